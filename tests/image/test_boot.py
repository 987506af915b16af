"""Every way to boot the image reaches the agent, which says what it was booted as."""

from __future__ import annotations

import filecmp
import shutil
import time
from pathlib import Path

import pytest

from image.places import ISO, build_hash, missing
from lab.attached import Attached, CdRom, UsbDisk
from lab.machine import BOOT_S, Firmware, Machine, Media

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(3 * BOOT_S),
]


def choose(machine: Machine, key: str, taken: str = "rasura-boot:") -> None:
    """Press a hotkey until the serial console says ``taken``: when GRUB's menu comes up nobody can say.

    The firmware may speak before it, and keys that come too early or too late are taken by nobody.
    """
    deadline = time.monotonic() + BOOT_S
    while taken not in machine.console.text:
        assert machine.running, "the machine ended"
        assert time.monotonic() < deadline, f"no menu took the key:\n{machine.console.text[-2000:]}"
        machine.press(key)
        time.sleep(0.4)


def boot_facts(machine: Machine) -> dict[str, str]:
    """What the agent says of the boot, on the serial console."""
    line = machine.console.expect(r"rasura-boot: ([^\r\n]*)[\r\n]", BOOT_S)[1]
    return dict(word.split("=", 1) for word in line.split())


@pytest.mark.parametrize("medium", ["cd", "usb"])
@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda one: one.name.lower())
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
    _right(facts, firmware)
    if medium == "usb":
        assert filecmp.cmp(ISO, tmp_path / "stick.img", shallow=False)


def _right(facts: dict[str, str], firmware: Firmware) -> None:
    assert facts["build"] == build_hash()
    assert facts["firmware"] == ("bios" if firmware is Firmware.BIOS else "uefi")
    # Firmware without it says nothing of it: "-".
    assert (facts["secureboot"] == "on") is (firmware is Firmware.SECURE_BOOT)
    assert facts["lockdown"] == ("integrity" if firmware is Firmware.SECURE_BOOT else "none")
    assert facts["boot"] == "medium"
    assert facts["entry"] == "serial"
