"""The main job on the image as it ships: from a stick, on drives with real data, to a registry with TLS.

The drives are looked at from the host's side: what the machine says of itself is not enough.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest

from functional.conftest import BIN
from image.collected import Planted, bitlocker, ext4, lvm, windows
from image.places import ISO, build_hash, missing
from lab.attached import Nic, NvmeDrive, SataDisk, ScsiDisk, SdCard, UsbDisk, blank
from lab.machine import Firmware, Machine, Media
from rasura.bundle import Bundle
from rasura.certificate import ErasureCertificate, Outcome
from rasura.health import Grade
from rasura.machine_report import MachineReport
from rasura.site_kit import seal_site_key
from rasura_agent.live.gpt import SECTOR_BYTES, parse_table
from rasura_image.settings import parse_settings
from rasura_image.usb import StickContents, write_stick

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(600),
]

PASSPHRASE = "correct horse battery"
SETTINGS = """
[station]
lot = "LOT-2026-001"
location = "Bay 3"
policy = "clear-random"

[menu]
default = "serial"
timeout = 1
"""
GUEST_SEES_HOST_AS = "10.0.2.2"
DATA_MIB = 96


@dataclass
class RegistryHere:
    """A registry on this host, with TLS of its own authority."""

    folder: Path

    @property
    def site(self) -> Path:
        return self.folder / "sites/Workshop"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryHere]:
    folder, port_file = tmp_path / "registry", tmp_path / "port"
    command = str(BIN / "rasura-registry")
    subprocess.run([command, "init", folder, "--name", "image.test/log", "--site", "Workshop"], check=True)
    with (tmp_path / "registry.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(command, "serve", folder, "--tls", f"{GUEST_SEES_HOST_AS},127.0.0.1"),
                *("--port", "0", "--port-file", port_file),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while not port_file.exists():
            assert server.poll() is None, (tmp_path / "registry.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        here = RegistryHere(folder)
        told = (tmp_path / "registry.log").read_text()
        pin = next(word for word in told.split() if word.startswith("rasura.ca="))
        url = f"https://{GUEST_SEES_HOST_AS}:{port_file.read_text().strip()}"
        settings = (here.site / "site.toml").read_text()
        (here.site / "site.toml").write_text(
            f'{settings}registry = "{url}"\nca = "{pin.removeprefix("rasura.ca=")}"\n'
        )
        seal_site_key(here.site, lambda: PASSPHRASE)
        yield here
    finally:
        server.terminate()
        server.wait(20)


def test_from_a_stick_to_the_registry(tmp_path: Path, registry: RegistryHere) -> None:
    drives = {
        "sata": ext4(tmp_path / "sata.img", 32),
        "sas": lvm(tmp_path / "sas.img", 24),
        "nvme-1": windows(tmp_path / "nvme-1.img", 24),
        "nvme-2": bitlocker(tmp_path / "nvme-2.img", 16),
        "usb": ext4(tmp_path / "usb.img", 24),
        "sd": windows(tmp_path / "sd.img", 16),
    }
    planted = {name: Planted(path) for name, path in drives.items()}
    stick = blank(tmp_path / "stick.img", ISO.stat().st_size // (1 << 20) + DATA_MIB)
    write_stick(
        stick, ISO, StickContents(parse_settings(SETTINGS), SETTINGS, registry.site), lambda _step: None
    )
    image_before = _image_on(stick)
    attached = {
        "stick": UsbDisk(stick, "STICK", bootindex=0),
        "sata": SataDisk(drives["sata"], "QM-SATA"),
        "sas": ScsiDisk(drives["sas"], "QM-SAS"),
        "nvme": NvmeDrive((drives["nvme-1"], drives["nvme-2"]), "QM-NVME"),
        "usb": UsbDisk(drives["usb"], "QM-USB"),
        "sd": SdCard(drives["sd"]),
        "nic": Nic("user"),
    }
    with Machine(tmp_path, Media(), firmware=Firmware.SECURE_BOOT, attached=attached) as machine:
        console = machine.console
        facts = console.expect(r"rasura-boot: ([^\r\n]*)[\r\n]", 180)[1]
        assert f"build={build_hash()}" in facts
        assert "lockdown=integrity" in facts
        console.expect(r"\[k\]", 120)
        console.expect("> ", 10)
        console.send("k\r")
        console.expect("Passphrase", 20)
        console.send(f"{PASSPHRASE}\r")
        console.expect(r"type the number of drives \((\d+)\)", 60)
        assert "is a Rasura stick" in console.text
        console.expect("> ", 10)
        console.send("6\r")
        console.expect("go on", 400)
        console.send("\r")
        console.expect("> ", 60)
        console.send("p\r")
        machine.wait_off(90)
    said = console.text
    # Six certificates and the machine report.
    assert said.count("on the stick, logged") == 7, said[-4000:]
    assert {name: one.left() for name, one in planted.items()} == dict.fromkeys(planted, 0)
    assert _image_on(stick) == image_before
    certificates = _certificates_on(stick, tmp_path / "kept")
    assert len(certificates) == 7
    verified = subprocess.run(
        [BIN / "rasura", "verify", *certificates, "--trust", registry.folder / "trust.toml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.count("GENUINE: ERASED") == 6
    assert "GENUINE: machine " in verified.stdout
    documents = [Bundle.parse(path.read_bytes()).claims for path in certificates]
    claims = [one for one in documents if isinstance(one, ErasureCertificate)]
    (report,) = (one for one in documents if isinstance(one, MachineReport))
    assert report.inventory is not None
    assert report.outcome is Outcome.ERASED
    # QEMU's SATA drives have SMART, its SCSI drives and sticks none.
    grades = {drive.serial: drive.health.grade for drive in report.drives if drive.health is not None}
    assert grades["QM-SATA"] is Grade.GOOD
    assert {claim.drive.serial for claim in claims} >= {"QM-SATA", "QM-SAS", "QM-NVME", "QM-USB"}
    assert {claim.source.lot for claim in claims} == {"LOT-2026-001"}


def _image_on(stick: Path) -> bytes:
    """The ISO as it is on the stick, but for the partition tables at its two ends."""
    with stick.open("rb") as stream:
        return _at(stream, 64 * SECTOR_BYTES, ISO.stat().st_size - 128 * SECTOR_BYTES)


def _at(stream: BinaryIO, offset: int, length: int) -> bytes:
    stream.seek(offset)
    return stream.read(length)


def _certificates_on(stick: Path, folder: Path) -> list[Path]:
    """What is in the spool's sent folder on the stick's data partition."""
    with stick.open("rb") as stream:
        data = parse_table(lambda offset, length: _at(stream, offset, length)).partitions[-1]
    folder.mkdir()
    volume = f"{stick}@@{data.first * SECTOR_BYTES}"
    subprocess.run(["mcopy", "-s", "-i", volume, "::certificates/sent", str(folder)], check=True)
    return sorted((folder / "sent").glob("*.json"))
