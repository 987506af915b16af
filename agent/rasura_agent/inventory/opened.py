"""Identifying afresh the drive behind an open descriptor: names may have moved since it was listed."""

from __future__ import annotations

import fcntl
import os
import posixpath
import stat
import sys

from rasura.errors import UsageError
from rasura_agent.inventory.attributes import block_attributes
from rasura_agent.inventory.describe import SECTOR_BYTES
from rasura_agent.inventory.drives import InventoryError, drive_at
from rasura_agent.inventory.local import LocalFiles, LocalUdev
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles, Udev

__all__ = ["describe_open"]

# linux/fs.h
BLKSSZGET = 0x1268
BLKPBSZGET = 0x127B
BLKGETSIZE64 = 0x80081272
BLKGETDISKSEQ = 0x80081280


def describe_open(descriptor: int, files: SystemFiles | None = None, udev: Udev | None = None) -> Drive:
    """Describe the drive behind an open block device, whatever name it was opened by.

    Sizes and the sequence number are asked of the very descriptor; the rest is read in sysfs under the
    descriptor's device number. It equals what ``enumerate_drives`` said if it is still the same drive.

    Raises:
        UsageError: the descriptor is not that of a whole block device.
        InventoryError: the drive is gone.
    """
    files, udev = files or LocalFiles(), udev or LocalUdev()
    status = os.fstat(descriptor)
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError("what was opened is not a block device")
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    try:
        place = files.real_path(f"/sys/dev/block/{number}")
        size = _ask(descriptor, BLKGETSIZE64, 8)
        sector = _ask(descriptor, BLKSSZGET, 4)
        physical = _ask(descriptor, BLKPBSZGET, 4)
    except OSError as error:
        raise _gone(number, error.strerror or "no reason given") from None
    attributes = block_attributes(files, place)
    if attributes.get("dev", b"").strip() != number.encode():
        raise _gone(number, "sysfs tells nothing of it")
    if _is_partition(files, place):
        raise UsageError(f"/dev/{posixpath.basename(place)} is a partition, not a drive")
    try:
        sequence = _ask(descriptor, BLKGETDISKSEQ, 8)
    except OSError:  # ENOTTY before Linux 5.15, which has no such file in sysfs either
        pass
    else:
        if attributes.get("diskseq", b"").strip() not in {b"", str(sequence).encode()}:
            raise _gone(number, "its sequence number changed")
        attributes["diskseq"] = str(sequence).encode()
    attributes["size"] = str(size // SECTOR_BYTES).encode()
    attributes["queue/logical_block_size"] = str(sector).encode()
    attributes["queue/physical_block_size"] = str(physical).encode()
    return drive_at(files, udev, place, attributes)


def _gone(number: str, reason: str) -> InventoryError:
    return InventoryError(
        f"the drive behind block device {number} is gone: {reason}",
        hint="check its cable and list the drives again",
    )


def _ask(descriptor: int, request: int, size: int) -> int:
    return int.from_bytes(fcntl.ioctl(descriptor, request, bytes(size)), sys.byteorder)


def _is_partition(files: SystemFiles, place: str) -> bool:
    try:
        files.read_bytes(f"{place}/partition")
    except OSError:
        return False
    return True
