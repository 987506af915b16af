"""Every way to boot the image reaches the agent, which says what it was booted as."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from image.on_a_stick import data_partition, image_on
from image.places import ISO, build_hash, missing
from lab.attached import Attached, CdRom, UsbDisk
from lab.machine import BOOT_S, Firmware, Machine, Media

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(3 * BOOT_S),
]


def choose(machine: Machine, key: str) -> None:
    """Press a hotkey until the agent speaks on the serial console: when the menu comes up nobody can say.

    The firmware may speak before it, and keys that come too early or too late are taken by nobody.
    """
    deadline = time.monotonic() + BOOT_S
    while "rasura-boot:" not in machine.console.text:
        assert machine.running, "the machine ended"
        assert time.monotonic() < deadline, f"no menu took the key:\n{machine.console.text[-2000:]}"
        machine.press(key)
        time.sleep(0.4)


def boot_facts(machine: Machine) -> dict[str, str]:
    """What the agent says of the boot, on the serial console."""
    line = machine.console.expect(r"rasura-boot: ([^\r\n]*)[\r\n]", BOOT_S)[1]
    return dict(word.split("=", 1) for word in line.split())


@pytest.mark.parametrize(
    ("firmware", "medium"),
    [
        pytest.param(firmware, medium, id=f"{firmware.name.lower()}-{medium}")
        for firmware in Firmware
        for medium in ("cd", "usb")
        # With room for a data partition: the one is booted below, the other for the main job.
        if medium == "cd" or firmware is Firmware.UEFI
    ],
)
def test_from_a_medium(tmp_path: Path, firmware: Firmware, medium: str) -> None:
    attached: Attached = CdRom(ISO, bootindex=0)
    if medium == "usb":
        # As large as the image: without room for a data partition nothing is written to it.
        shutil.copy(ISO, tmp_path / "stick.img")
        attached = UsbDisk(tmp_path / "stick.img", "STICK", bootindex=0)
    with Machine(tmp_path, Media(), firmware=firmware, attached={"medium": attached}) as machine:
        choose(machine, "s")
        facts = boot_facts(machine)
        if medium == "usb":
            # Everything is in RAM by now: the stick may be pulled out.
            machine.unplug("medium")
        machine.console.expect("(?i)no drive was found|left alone", BOOT_S)
        assert machine.running
    check_boot(facts, firmware)
    if medium == "usb":
        assert filecmp.cmp(ISO, tmp_path / "stick.img", shallow=False)


def test_a_stick_of_any_writer_gets_its_data_partition(tmp_path: Path) -> None:
    """The ISO and nothing else on a larger stick, as dd and others leave it."""
    stick = tmp_path / "stick.img"
    shutil.copy(ISO, stick)
    with stick.open("r+b") as stream:
        stream.truncate(ISO.stat().st_size + (96 << 20))
    before = image_on(stick)
    attached = {"medium": UsbDisk(stick, "STICK", bootindex=0)}
    with Machine(tmp_path, Media(), firmware=Firmware.BIOS, attached=attached) as machine:
        choose(machine, "s")
        facts = boot_facts(machine)
        machine.console.expect("The stick gets its data partition now", BOOT_S)
        machine.console.expect(r"\[p\]", BOOT_S)
        machine.console.expect("> ", BOOT_S)
        machine.console.send("p\r")
        machine.wait_off(BOOT_S)
    # No words of a failure to let go of what it runs from.
    assert "systemd-shutdown" not in machine.console.text
    check_boot(facts, Firmware.BIOS)
    assert image_on(stick) == before
    listing = ["mdir", "-b", "-i", data_partition(stick), "::"]
    names = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
    for name in ("certificates", "policies", "journal", "LISEZMOI.txt", "README.txt"):
        assert name in names
    label = ["mlabel", "-s", "-i", data_partition(stick), "::"]
    assert "RASURADATA" in subprocess.run(label, capture_output=True, text=True, check=True).stdout


def check_boot(facts: dict[str, str], firmware: Firmware, boot: str = "medium") -> None:
    """Whether it is this build, booted in that way with that firmware."""
    assert facts["build"] == build_hash()
    assert facts["firmware"] == ("bios" if firmware is Firmware.BIOS else "uefi")
    # Firmware without it says nothing of it: "-".
    assert (facts["secureboot"] == "on") is (firmware is Firmware.SECURE_BOOT)
    assert facts["lockdown"] == ("integrity" if firmware is Firmware.SECURE_BOOT else "none")
    assert facts["boot"] == boot
    assert facts["entry"] == "serial"
