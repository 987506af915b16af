"""Finding the drives of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from rasura.errors import RasuraError
from rasura_agent.inventory.attributes import block_attributes, kernel_node
from rasura_agent.inventory.behind_raid import RAID_DRIVERS
from rasura_agent.inventory.describe import describe, device_numbers
from rasura_agent.inventory.local import LocalFiles, LocalUdev
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles, Udev
from rasura_agent.inventory.same import Note, NoteKind, drive_notes
from rasura_agent.inventory.text import text

__all__ = ["HARDWARE_PARTITION", "Inventory", "InventoryError", "drive_at", "drive_named", "enumerate_drives"]

HARDWARE_PARTITION = re.compile(r"(mmcblk\d+)(boot\d+|gp\d+|rpmb)")
"""Areas of an eMMC drive outside its main one (JESD84-B51 clause 6.2): block devices, but no drives."""

_MADE_BY_KERNEL = "/devices/virtual/block/"
"""Where ram, zram, dm, md, bcache, nbd, zd, drbd and loop devices are: nothing of them is a thing."""
_REMOVABLE_DISCS = re.compile(r"sr\d+|fd\d+")
_ELSEWHERE = re.compile(r"nbd\d+|rbd\d+")
_FIRMWARE_FLASH = re.compile(r"(mtd|ubi)block[\d_]+")


class InventoryError(RasuraError):
    """The machine's drives cannot be listed, or the one asked for is not there any more."""


class Inventory(msgspec.Struct, frozen=True):
    """The drives that were found, in the order of their kernel names, and what is to be said about them."""

    drives: tuple[Drive, ...]
    notes: tuple[Note, ...]


def enumerate_drives(
    files: SystemFiles | None = None, udev: Udev | None = None, *, include_loop: bool = False
) -> Inventory:
    """List the drives of this machine.

    sysfs says which there are; udev adds what it knows, where it runs. Card readers without a card are
    drives of capacity 0. Not listed: what the kernel made itself (ram, dm, md, bcache …), optical and floppy
    drives, areas of an eMMC drive, and the hidden paths below a multipath NVMe namespace. Loop devices
    in use are listed with ``include_loop``.

    Raises:
        InventoryError: sysfs cannot be read.
    """
    files, udev = files or LocalFiles(), udev or LocalUdev()
    try:
        names = files.list_dir("/sys/block")
    except OSError as error:
        raise InventoryError(
            f"the kernel's list of block devices (/sys/block) cannot be read: {error.strerror}",
            hint="mount sysfs at /sys",
        ) from None
    drives, notes = [], []
    for name in sorted(names, key=_natural):
        found = _look(files, udev, name, include_loop=include_loop)
        if found is None:
            continue
        drive, attributes = found
        if _is_drive(name, attributes, include_loop=include_loop):
            drives.append(drive)
        notes.extend(_notes(name, drive, attributes))
    return Inventory(tuple(drives), (*notes, *drive_notes(drives)))


def drive_named(
    name: str, files: SystemFiles | None = None, udev: Udev | None = None, *, include_loop: bool = False
) -> Drive | None:
    """The drive with this kernel name; ``None`` if there is no such block device, or it is no drive."""
    found = _look(files or LocalFiles(), udev or LocalUdev(), name, include_loop=include_loop)
    if found is None:
        return None
    drive, attributes = found
    return drive if _is_drive(name, attributes, include_loop=include_loop) else None


def _look(
    files: SystemFiles, udev: Udev, name: str, *, include_loop: bool
) -> tuple[Drive, dict[str, bytes]] | None:
    """A block device and what sysfs says of it; ``None`` if it is gone, or can be no drive."""
    try:
        place = files.real_path(f"/sys/block/{name}")
    except OSError:
        return None
    if (
        _MADE_BY_KERNEL in place
        and not (include_loop and name.startswith("loop"))
        and not _ELSEWHERE.fullmatch(name)
    ):
        return None
    attributes = block_attributes(files, place)
    return drive_at(files, udev, place, attributes), attributes


def drive_at(files: SystemFiles, udev: Udev, place: str, attributes: Mapping[str, bytes | str]) -> Drive:
    """Describe the block device whose folder in sysfs is ``place``."""
    name, devpath = place.rpartition("/")[2], place.removeprefix("/sys")
    node = kernel_node(files, place, name)
    number, diskseq = device_numbers(attributes)
    properties = {} if number is None else udev.properties(number)
    # What udev remembers of another disk that had this number must not be taken for this one.
    if properties.get("DISKSEQ", str(diskseq)) != str(diskseq):
        properties = {}
    return describe(name, properties, attributes, devpath=devpath, path=node)


def _is_drive(name: str, attributes: Mapping[str, bytes | str], *, include_loop: bool) -> bool:
    if name.startswith("loop"):
        return include_loop and "loop/backing_file" in attributes
    if text(attributes.get("hidden")) == "1":
        return False
    others = (_REMOVABLE_DISCS, _ELSEWHERE, _FIRMWARE_FLASH, HARDWARE_PARTITION)
    return not any(pattern.fullmatch(name) for pattern in others)


def _notes(name: str, drive: Drive, attributes: Mapping[str, bytes | str]) -> list[Note]:
    """What is to be said about one block device, drive or not."""
    path, driver = drive.path, text(attributes.get("host/proc_name"))
    area = HARDWARE_PARTITION.fullmatch(name)
    if _ELSEWHERE.fullmatch(name) and drive.capacity_bytes:
        sentence = f"{path} is a drive of another machine, reached by network: it is left alone"
        return [Note(NoteKind.NOT_A_DRIVE, (path,), sentence)]
    if _FIRMWARE_FLASH.fullmatch(name):
        return [
            Note(
                NoteKind.NOT_A_DRIVE,
                (path,),
                f"{path} is a flash chip of the machine itself: it is left alone",
            )
        ]
    if area and area[2].startswith("gp"):
        sentence = (
            f"{path} is an area of /dev/{area[1]} of its own, which erasing /dev/{area[1]} does not reach"
        )
        return [Note(NoteKind.HARDWARE_PARTITIONS, (f"/dev/{area[1]}", path), sentence)]
    if driver in RAID_DRIVERS and text(attributes.get("device/raid_level")) != "N/A":
        sentence = (
            f"{path} is reached through a RAID controller ({driver}): "
            "it may be a volume over several drives, or hide others"
        )
        return [Note(NoteKind.RAID_CONTROLLER, (path,), sentence)]
    return []


def _natural(name: str) -> str:
    """A key that sorts sdb before sdaa, and nvme2n1 before nvme10n1."""
    lettered = re.sub(r"^(sd|vd|xvd|hd|dasd)([a-z]+)$", lambda match: match[1] + match[2].rjust(8), name)
    return re.sub(r"\d+", lambda match: match[0].zfill(8), lettered)
