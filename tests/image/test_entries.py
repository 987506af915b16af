"""The boot menu's entries without a serial console: what they show is read off the screen."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from image.collected import Planted, ext4
from image.on_a_stick import certificates_on, image_on
from image.places import ISO, STATED_MIB, console_font, missing
from image.registry_here import RegistryHere
from lab.attached import CdRom, IdeDisk, Nic, SataDisk, UsbDisk, blank
from lab.machine import BOOT_S, Firmware, Machine, Media
from lab.screen import Screen
from rasura_image.settings import parse_settings
from rasura_image.usb import StickContents, write_stick

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(4 * BOOT_S),
]

TEXT_MODE, OF_THE_MENU = (720, 400), (800, 600)
"""The screen of VGA's text mode, and the menu's; what the kernel's drivers make of QEMU's is larger."""
_BAR = b"\x00\x00\xa8"
"""The menu's bar is blue, as nothing else here; red, green, blue."""
_LEAST_PIXELS = 100
SETTINGS = """
[station]
policy = "clear-zero"
registry = "{registry}"
ca = "{pin}"

[autonomous]
end = "poweroff"
countdown = 10

[menu]
default = "autonomous"
timeout = 1
"""
DATA_MIB = 96


def _menu_is_shown(screen: Screen) -> bool:
    _, _, pixels = screen.picture()
    return sum(pixels[at : at + 3] == _BAR for at in range(0, len(pixels), 3 * 7)) > _LEAST_PIXELS


def _choose(machine: Machine, screen: Screen, key: str) -> None:
    """Press a hotkey while the menu is shown: what comes later would be typed into the agent."""
    deadline = time.monotonic() + BOOT_S
    chosen = False
    while (shown := _menu_is_shown(screen)) or not chosen:
        assert time.monotonic() < deadline, f"no menu took the key; the screen shows:\n{screen.text()}"
        if shown:
            machine.press(key)
            chosen = True
        time.sleep(0.5)


def _entry(machine: Machine, screen: Screen) -> str:
    """What the agent says it was booted as, among the details; the question is on the screen again then."""
    # What is typed before the question is not its answer.
    screen.expect("^> ", BOOT_S)
    machine.type("d\n")
    screen.expect(r"^\[Enter\] go on", BOOT_S)
    told = "".join(screen.text().splitlines())
    machine.type("\n")
    screen.expect("^> ", BOOT_S)
    found = re.search(r"rasura-boot: .*? entry=(\S+) kernel=", told)
    assert found is not None, told
    return found[1]


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI], ids=lambda one: one.name.lower())
def test_safe_graphics(tmp_path: Path, firmware: Firmware) -> None:
    """No driver takes the graphics over: the screen stays in the mode that the boot loader left it in."""
    attached = {"cd": CdRom(ISO, bootindex=0), "disk": SataDisk(blank(tmp_path / "disk.img", 8), "QM-1")}
    # GRUB has a driver of its own for QEMU's usual graphics, behind the firmware's back: the kernel, which
    # asks the firmware, then draws where nothing is shown. No real machine has those.
    graphics = "std" if firmware is Firmware.BIOS else "virtio"
    with Machine(tmp_path, Media(), firmware=firmware, graphics=graphics, attached=attached) as machine:
        screen = Screen(machine, console_font())
        _choose(machine, screen, "g")
        screen.expect("^1  /dev/sda +QEMU HARDDISK +QM-1", BOOT_S)
        assert screen.picture()[:2] == (TEXT_MODE if firmware is Firmware.BIOS else OF_THE_MENU)
        assert _entry(machine, screen) == "safe-graphics"
        # No other entry has a shell.
        machine.press("alt", "f2")
        machine.type("id")
        screen.expect("^> id", BOOT_S)


def test_old_pc(tmp_path: Path) -> None:
    """As little as is stated, on IDE, with neither ACPI nor its interrupts: those of the first PCs do."""
    attached = {
        "cd": CdRom(ISO, bootindex=0, bus="ide.1"),
        "disk": IdeDisk(blank(tmp_path / "disk.img", 8), "QM-1"),
    }
    with Machine(tmp_path, Media(), chipset="pc", attached=attached, memory_mib=STATED_MIB) as machine:
        screen = Screen(machine, console_font())
        _choose(machine, screen, "o")
        screen.expect("^1  /dev/sda +QEMU HARDDISK +QM-1", BOOT_S)
        assert _entry(machine, screen) == "old-pc"
        pins = re.findall("^ *pin .*", _monitor(machine, "info pic"), re.MULTILINE)
        assert pins
        assert all(" masked " in pin for pin in pins), "the I/O APIC is used"
        machine.type("p\n")
        # Nothing else can switch it off: that takes ACPI.
        screen.expect("Power off not available: System halted", BOOT_S)


def _monitor(machine: Machine, command: str) -> str:
    return str(machine.qmp.execute("human-monitor-command", command_line=command))


def test_a_root_shell(tmp_path: Path) -> None:
    """On the second console, beside the agent on the first, which waits and erases nothing."""
    drive = ext4(tmp_path / "disk.img", 8)
    before = drive.read_bytes()
    attached = {"cd": CdRom(ISO, bootindex=0), "disk": SataDisk(drive, "QM-1")}
    with Machine(tmp_path, Media(), firmware=Firmware.UEFI, attached=attached) as machine:
        screen = Screen(machine, console_font())
        _choose(machine, screen, "x")
        screen.expect("^1  /dev/sda +QEMU HARDDISK +QM-1", BOOT_S)
        assert _entry(machine, screen) == "shell"
        machine.press("alt", "f2")
        # That console has the kernel's own font, which is not read here: the serial port tells what it shows.
        machine.type("(cat /dev/vcs2; echo; tty; id -u; systemctl is-active rasura; echo END) >/dev/ttyS1\n")
        machine.results.expect("^END\n", BOOT_S)
        shown, console, user, agent = re.findall("(.*)\n", machine.results.text)[-5:-1]
        assert re.search(r"root@\S+:~# \(cat /dev/vcs2; ", shown)
        assert (console, user, agent) == ("/dev/tty2", "0", "active")
        machine.press("alt", "f1")
        # Nothing of it was typed into the agent.
        screen.expect(r"^> \ufffd?$", BOOT_S)
    assert drive.read_bytes() == before


def test_all_drives_unattended(tmp_path: Path, registry: RegistryHere) -> None:
    """Nobody at the boot menu: first somebody comes in time to press a key, then nobody does."""
    drive = ext4(tmp_path / "sata.img", 16)
    planted, before = Planted(drive), drive.read_bytes()
    stick = blank(tmp_path / "stick.img", ISO.stat().st_size // (1 << 20) + DATA_MIB)
    settings = SETTINGS.format(registry=registry.url, pin=registry.pin)
    write_stick(stick, ISO, StickContents(parse_settings(settings), settings), lambda _step: None)
    image_before = image_on(stick)
    attached = {
        "stick": UsbDisk(stick, "STICK", bootindex=0),
        "disk": SataDisk(drive, "QM-SATA"),
        "nic": Nic("user"),
    }
    with Machine(
        tmp_path, Media(), firmware=Firmware.UEFI, attached=attached, memory_mib=STATED_MIB
    ) as machine:
        screen = Screen(machine, console_font())
        shown = _counts_down(screen, registry)
        assert re.search(r"QM-SATA +16\.8 MB +Clear$", shown, re.MULTILINE)
        assert re.search(r"STICK +\d+ MB +LEFT ALONE$", shown, re.MULTILINE)
        assert drive.read_bytes() == before
        machine.press("spc")
        screen.expect(r"stopped by a key: nothing was erased\s+^> ", BOOT_S)
        assert drive.read_bytes() == before
        machine.type("r\n")
        _counts_down(screen, registry)
        machine.wait_off(BOOT_S)
    assert planted.left() == 0
    assert image_on(stick) == image_before
    (certificate,) = certificates_on(stick, tmp_path / "kept")
    assert "GENUINE: ERASED drive" in registry.verify(certificate)


def _counts_down(screen: Screen, registry: RegistryHere) -> str:
    """Approve the station; what it shows while it counts down."""
    code = screen.expect(r"type the code\s+([0-9A-Z]{4}-[0-9A-Z]{4})", BOOT_S)[1]
    registry.approve(code)
    return screen.expect(
        r"(?s).*THIS MACHINE ERASES ALL ITS DRIVES BY ITSELF.*Starts in \d+ s\. ANY KEY", BOOT_S
    )[0]
