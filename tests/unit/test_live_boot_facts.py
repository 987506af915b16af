"""How a machine was booted, read from made-up ones; and whether it runs what was built."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rasura_agent.live.boot_facts import Firmware, boot_line, parse_build, read_boot_facts
from rasura_agent.live.boot_parameters import BootParameters, parse_boot_parameters
from rasura_agent.live.intact import Integrity, IntegrityCheck, check_parts

BASE, AGENT = b"base" * 1024, b"agent" * 999


def build(**changes: Any) -> dict[str, Any]:
    parts = {
        "vmlinuz": "1" * 64,
        "init.cpio": "2" * 64,
        "base.squashfs": hashlib.sha256(BASE).hexdigest(),
        "agent.squashfs": hashlib.sha256(AGENT).hexdigest(),
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(canonical).hexdigest()}"
    return {"schema": 1, "version": "0.2", "commit": "c0ffee", "buildHash": digest, "parts": parts, **changes}


def write(root: Path, name: str, data: bytes | str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    write(tmp_path, "usr/lib/rasura/build.json", json.dumps(build()))
    variable = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    write(tmp_path, variable, b"\x06\0\0\0\x01")
    write(tmp_path, "sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    write(tmp_path, "proc/meminfo", "MemTotal:         500224 kB\nMemFree: 1 kB\n")
    write(tmp_path, "proc/sys/kernel/osrelease", "6.12.48+deb13-amd64\n")
    write(tmp_path, "dev/loop0", BASE)
    write(tmp_path, "dev/loop1", AGENT)
    return tmp_path


def test_a_station_with_secure_boot(machine: Path) -> None:
    facts = read_boot_facts(machine, parse_boot_parameters("rasura.boot=network rasura.entry=serial"))
    assert boot_line(facts) == (
        f"rasura-boot: build={build()['buildHash']} firmware=uefi secureboot=on lockdown=integrity "
        "boot=network entry=serial kernel=6.12.48+deb13-amd64 ram_mib=488"
    )


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    facts = read_boot_facts(tmp_path, BootParameters())
    assert facts.firmware is Firmware.BIOS
    assert boot_line(facts) == (
        "rasura-boot: build=- firmware=bios secureboot=- lockdown=- boot=- entry=- kernel=- ram_mib=-"
    )


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        (
            "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            b"\x06\0\0\0\0",
            "secureboot=off",
        ),
        (
            "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
            b"\x06\0\0",
            "secureboot=-",
        ),
        ("sys/kernel/security/lockdown", "[none] integrity", "lockdown=none"),
        ("sys/kernel/security/lockdown", "garbage", "lockdown=-"),
        ("sys/kernel/security/lockdown", b"[\xff\x1b x]", "lockdown=-"),
        ("proc/meminfo", "MemTotal: many kB", "ram_mib=-"),
        ("usr/lib/rasura/build.json", "{}", "build=-"),
        ("usr/lib/rasura/build.json", b"\xff\xfe", "build=-"),
        ("usr/lib/rasura/build.json", '{"parts": []}', "build=-"),
    ],
)
def test_odd_answers(machine: Path, name: str, data: bytes | str, word: str) -> None:
    write(machine, name, data)
    assert word in boot_line(read_boot_facts(machine, BootParameters())).split()


def checked(root: Path) -> Integrity:
    return check_parts(root, read_boot_facts(root, BootParameters()).build)


def test_an_image_as_it_was_built(machine: Path) -> None:
    assert checked(machine) is Integrity.INTACT
    running = IntegrityCheck(machine, read_boot_facts(machine, BootParameters()).build)
    assert running.wait() is Integrity.INTACT
    assert running.found is Integrity.INTACT


@pytest.mark.parametrize("name", ["dev/loop0", "dev/loop1"])
@pytest.mark.parametrize("change", ["flip", "longer", "shorter", "gone", "empty"])
def test_an_image_that_is_damaged(machine: Path, name: str, change: str) -> None:
    data = (machine / name).read_bytes()
    changed = {
        "flip": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "longer": data + b"\0",
        "shorter": data[:-1],
        "empty": b"",
    }
    if change == "gone":
        (machine / name).unlink()
    else:
        write(machine, name, changed[change])
    assert checked(machine) is Integrity.DAMAGED


def test_a_build_that_contradicts_itself(machine: Path) -> None:
    write(machine, "usr/lib/rasura/build.json", json.dumps(build(buildHash="sha256:" + "0" * 64)))
    assert checked(machine) is Integrity.DAMAGED
    parts = {key: value for key, value in build()["parts"].items() if key != "agent.squashfs"}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(canonical).hexdigest()}"
    write(machine, "usr/lib/rasura/build.json", json.dumps(build(parts=parts, buildHash=digest)))
    (machine / "dev/loop1").unlink()
    assert checked(machine) is Integrity.DAMAGED


def test_no_image_at_all(tmp_path: Path) -> None:
    assert checked(tmp_path) is Integrity.NOT_AN_IMAGE


def test_the_build_hash_follows_from_the_parts() -> None:
    sound = parse_build(json.dumps(build()).encode())
    assert sound is not None
    assert sound.is_sound
