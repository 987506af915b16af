"""The main job on the image as it ships: from a stick, on drives with real data, to a registry with TLS.

The drives are looked at from the host's side: what the machine says of itself is not enough.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from image.collected import Planted, bitlocker, ext4, lvm, windows
from image.on_a_stick import certificates_on, image_on
from image.places import ISO, missing
from image.registry_here import PASSPHRASE, RegistryHere
from image.test_boot import boot_facts, check_boot
from lab.attached import Nic, NvmeDrive, SataDisk, ScsiDisk, SdCard, UsbDisk, blank
from lab.machine import BOOT_S, Firmware, Machine, Media
from rasura.bundle import Bundle
from rasura_image.settings import parse_settings
from rasura_image.usb import StickContents, write_stick

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(4 * BOOT_S),
]

SETTINGS = """
[station]
lot = "LOT-2026-001"
location = "Bay 3"
policy = "clear-random"

[menu]
default = "serial"
timeout = 1
"""
DATA_MIB = 96


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
    image_before = image_on(stick)
    attached = {
        "stick": UsbDisk(stick, "STICK", bootindex=0),
        "sata": SataDisk(drives["sata"], "QM-SATA"),
        "sas": ScsiDisk(drives["sas"], "QM-SAS"),
        "nvme": NvmeDrive((drives["nvme-1"], drives["nvme-2"]), "QM-NVME"),
        "usb": UsbDisk(drives["usb"], "QM-USB"),
        "sd": SdCard(drives["sd"]),
        "nic": Nic("user"),
    }
    with Machine(tmp_path, Media(), firmware=Firmware.SECURE_BOOT, attached=attached, cpus=2) as machine:
        console = machine.console
        check_boot(boot_facts(machine), Firmware.SECURE_BOOT)
        console.expect(r"\[k\]", BOOT_S)
        console.expect("> ", 60)
        console.send("k\r")
        console.expect("Passphrase", 60)
        console.send(f"{PASSPHRASE}\r")
        console.expect(r"type the number of drives \((\d+)\)", BOOT_S)
        assert "is a Rasura stick" in console.text
        console.expect("> ", 60)
        console.send("6\r")
        console.expect("go on", 2 * BOOT_S)
        console.send("\r")
        console.expect("> ", 60)
        console.send("p\r")
        machine.wait_off(BOOT_S)
    said = console.text
    # Of each drive, and the machine's report.
    assert said.count("on the stick, logged") == 6 + 1, said[-4000:]
    assert {name: one.left() for name, one in planted.items()} == dict.fromkeys(planted, 0)
    assert image_on(stick) == image_before
    certificates = certificates_on(stick, tmp_path / "kept")
    assert len(certificates) == 6
    documents = sorted(certificates[0].parent.glob("*.json"))
    assert len(documents) == 6 + 1
    verified = registry.verify(*documents)
    assert verified.count("GENUINE: ERASED") == 6
    assert "all 6 certificates that the report names are there and fit" in verified
    claims = [Bundle.parse(path.read_bytes()).certificate for path in certificates]
    assert {claim.drive.serial for claim in claims} >= {"QM-SATA", "QM-SAS", "QM-NVME", "QM-USB"}
    assert {claim.source.lot for claim in claims} == {"LOT-2026-001"}
