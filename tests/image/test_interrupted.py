"""A machine reset in the middle of an overwrite: the stick has the journal, and the next boot goes on."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from functional.conftest import BIN
from image.collected import SECRET, Planted, windows
from image.on_a_stick import certificates_on
from image.places import ISO, missing
from image.registry_here import PASSPHRASE, RegistryHere
from lab.attached import ScsiDisk, UsbDisk, blank
from lab.machine import BOOT_S, Machine, Media
from rasura_image.settings import parse_settings
from rasura_image.usb import StickContents, write_stick

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(4 * BOOT_S),
]

MIB = 1 << 20
SIZE_MIB = 160
INTERVAL_MB, INTERVAL_S = 16, 2
SETTINGS = '[station]\npolicy = "watched"\n\n[menu]\ndefault = "serial"\ntimeout = 1\n'
POLICY = f"""name = "watched"

[erase]
method = "Clear"

[journal]
interval_mb = {INTERVAL_MB}
interval_s = {INTERVAL_S}
"""
RATE = 4 * MIB
"""Bytes a second that the drive takes."""
AHEAD = INTERVAL_MB * 1_000_000 + INTERVAL_S * RATE + 16 * MIB
"""What may be lost: the interval, and what was under way to the drive."""


def test_reset_in_an_overwrite_it_goes_on_by_the_stick(tmp_path: Path, registry: RegistryHere) -> None:
    drive = windows(tmp_path / "drive.img", SIZE_MIB)
    planted = Planted(drive)
    policy = tmp_path / "watched.toml"
    policy.write_text(POLICY)
    stick = blank(tmp_path / "stick.img", ISO.stat().st_size // MIB + 96)
    contents = StickContents(parse_settings(SETTINGS), SETTINGS, registry.site, (policy,))
    write_stick(stick, ISO, contents, lambda _step: None)
    attached = {
        "stick": UsbDisk(stick, "STICK", bootindex=0),
        "drive": ScsiDisk(drive, "QM-CUT", writes=RATE),
    }
    with Machine(tmp_path, Media(), attached=attached) as machine:
        console = machine.console
        _begin(machine)
        reached = _wait_until_half(drive)
        machine.reset()
        assert _old_at(drive, SIZE_MIB - 8), "the reset came too late to prove anything"
        _unlock(machine)
        console.expect("interrupted before: it goes on in pass 1 of 1 at", BOOT_S)
        console.expect("> ", BOOT_S)
        console.send("1\r")
        console.expect("ERASED", 2 * BOOT_S)
        console.expect("go on", BOOT_S)
        console.send("\r")
        console.expect("> ", BOOT_S)
        console.send("p\r")
        machine.wait_off(BOOT_S)
    assert planted.left() == 0
    kept = certificates_on(stick, tmp_path / "kept", "pending")
    resumed, outcome = _erasure(kept)
    assert outcome == "ERASED"
    (cut,) = resumed["interruptions"]
    assert cut["step"] == 1
    assert 0 < cut["position"] == cut["bytesWritten"] == resumed["bytesBefore"]
    assert reached - AHEAD <= cut["position"] < SIZE_MIB * MIB
    assert resumed["bytesNow"] == SIZE_MIB * MIB - cut["position"]
    said = _rasura("verify", "--allow-unlogged", *kept, "--trust", registry.folder / "trust.toml")
    assert "GENUINE: ERASED" in said


def _begin(machine: Machine) -> None:
    _unlock(machine)
    machine.console.expect(r"type the number of drives \(1\)", BOOT_S)
    machine.console.expect("> ", BOOT_S)
    machine.console.send("1\r")


def _unlock(machine: Machine) -> None:
    console = machine.console
    console.expect(r"\[k\]", BOOT_S)
    console.expect("> ", BOOT_S)
    console.send("k\r")
    console.expect("Passphrase", BOOT_S)
    console.send(f"{PASSPHRASE}\r")


def _old_at(drive: Path, mib: int) -> bool:
    with drive.open("rb") as stream:
        stream.seek(mib * MIB)
        return SECRET in stream.read(4096)


def _wait_until_half(drive: Path) -> int:
    """Until the middle of the drive is overwritten, by its host's word; how far it certainly is, in bytes."""
    deadline = time.monotonic() + BOOT_S
    while _old_at(drive, SIZE_MIB // 2):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.2)
    return SIZE_MIB // 2 * MIB


def _erasure(kept: list[Path]) -> tuple[dict[str, object], str]:
    """What the one erasure certificate among the documents says of its interruption, and its outcome."""
    for path in kept:
        (statement,) = json.loads(_rasura("show", "--json", path))
        result = statement["predicate"].get("result")
        if result is not None:
            return result["resumed"], result["outcome"]
    pytest.fail("there is no erasure certificate on the stick")


def _rasura(*words: object) -> str:
    done = subprocess.run([BIN / "rasura", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
