"""The boot menu's entries that start no Rasura, pressed as a person would: only the boot loader runs here."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from image.places import ISO, missing
from lab.attached import CdRom, SataDisk
from lab.machine import BOOT_S, Firmware, Machine, Media

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.timeout(2 * BOOT_S),
]

SAYS = b"A SYSTEM ON THE DISK\r\n"
# 16-bit code at 7C00h: say what follows on the first serial port, then stay.
#   mov si, 7C16h / next: lodsb / or al, al / jz stay / mov dx, 3F8h / out dx, al / jmp next
#   stay: hlt / jmp stay
_BOOT_CODE = bytes.fromhex("be167c ac 08c0 7406 baf803 ee ebf5 f4 ebfd")


def _press_until(machine: Machine, key: str, done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOOT_S
    while not done():
        assert time.monotonic() < deadline, f"{what} did not come up"
        machine.press(key)
        time.sleep(0.4)


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.SECURE_BOOT], ids=lambda one: one.name.lower())
def test_power_off(tmp_path: Path, firmware: Firmware) -> None:
    with Machine(tmp_path, Media(), firmware=firmware, attached={"cd": CdRom(ISO, bootindex=0)}) as machine:
        _press_until(machine, "p", lambda: not machine.running, "power off")


def test_the_system_on_the_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    sector = _BOOT_CODE.ljust(0x16, b"\xf4") + SAYS + b"\0"
    disk.write_bytes((sector.ljust(510, b"\0") + b"\x55\xaa").ljust(1 << 20, b"\0"))
    attached = {"cd": CdRom(ISO, bootindex=0), "disk": SataDisk(disk, "QM-1")}
    with Machine(tmp_path, Media(), attached=attached) as machine:
        _press_until(machine, "d", lambda: SAYS.decode().strip() in machine.console.text, "the disk")


def test_the_memory_test(tmp_path: Path) -> None:
    """Its screen is blue, by far the most of it; the menu's is black."""

    def blue() -> bool:
        picture = tmp_path / "screen.ppm"
        machine.qmp.execute("screendump", filename=str(picture))
        pixels = picture.read_bytes().split(b"\n", 3)[3]
        colours = Counter(pixels[at : at + 3] for at in range(0, len(pixels), 3 * 7))
        return colours[b"\x00\x00\xaa"] > 0.3 * colours.total()

    with Machine(tmp_path, Media(), attached={"cd": CdRom(ISO, bootindex=0)}) as machine:
        _press_until(machine, "t", blue, "Memtest86+")
