"""Recognising a stick of ours by the labels of its filesystems; pure.

A stick that was written with the live image carries its ISO 9660 volume, one that keeps certificates a
FAT32 volume. Both are asked of the medium itself, so that they are seen where udev does not run.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

__all__ = ["DATA_LABEL", "IMAGE_LABEL", "fat32_labels", "has_our_label", "iso9660_label"]

IMAGE_LABEL = "RASURA"
"""The volume identifier of the live image."""
DATA_LABEL = "RASURADATA"
"""The volume label of the partition that keeps certificates."""

_VOLUME_DESCRIPTOR_OFFSET = 16 * 2048
_VOLUME_DESCRIPTOR_BYTES = 2048
"""ECMA-119 clause 8.4: the primary volume descriptor, in the first sector after the system area."""

_BOOT_SECTOR_BYTES = 512
# Microsoft's FAT specification 1.03: BPB_BytsPerSec, BPB_SecPerClus, BPB_RsvdSecCnt, BPB_NumFATs.
_GEOMETRY = struct.Struct("<HBHB")
_GEOMETRY_OFFSET = 11
_FAT_SECTORS = struct.Struct("<I")
_FAT_SECTORS_OFFSET = 36  # BPB_FATSz32
_ROOT_CLUSTER_OFFSET = 44  # BPB_RootClus
_LABEL = slice(71, 82)  # BS_VolLab
_TYPE = slice(82, 90)  # BS_FilSysType
_ENTRY_BYTES = 32
_ROOT_BYTES = 4096
_ATTRIBUTES_OFFSET = 11
_VOLUME_ID, _LONG_NAME = 0x08, 0x0F

Read = Callable[[int, int], bytes]
"""Reads so many bytes (the second) at an offset (the first); fewer at the end."""


def has_our_label(read: Read) -> bool:
    """Whether a block device carries a volume of ours; raises what ``read`` raises."""
    return iso9660_label(read) == IMAGE_LABEL or DATA_LABEL in fat32_labels(read)


def iso9660_label(read: Read) -> str | None:
    """The volume identifier of an ISO 9660 volume; ``None`` if there is none."""
    data = read(_VOLUME_DESCRIPTOR_OFFSET, _VOLUME_DESCRIPTOR_BYTES)
    if len(data) < _VOLUME_DESCRIPTOR_BYTES or data[:6] != b"\x01CD001":
        return None
    return data[40:72].decode("latin-1").rstrip(" \0")


def fat32_labels(read: Read) -> frozenset[str]:
    """The labels of a FAT32 volume, none if it is none.

    There are two places for one, in the boot sector and in the root folder, and not every system that
    renames a volume changes both.
    """
    sector = read(0, _BOOT_SECTOR_BYTES)
    if len(sector) < _BOOT_SECTOR_BYTES or sector[510:] != b"\x55\xaa" or sector[_TYPE] != b"FAT32   ":
        return frozenset()
    bytes_per_sector, per_cluster, reserved, fats = _GEOMETRY.unpack_from(sector, _GEOMETRY_OFFSET)
    (fat_sectors,) = _FAT_SECTORS.unpack_from(sector, _FAT_SECTORS_OFFSET)
    (root_cluster,) = _FAT_SECTORS.unpack_from(sector, _ROOT_CLUSTER_OFFSET)
    first = reserved + fats * fat_sectors + max(0, root_cluster - 2) * per_cluster
    root = read(first * bytes_per_sector, _ROOT_BYTES)
    entries = (root[at : at + _ENTRY_BYTES] for at in range(0, len(root) - _ENTRY_BYTES + 1, _ENTRY_BYTES))
    names = [entry[:11] for entry in entries if _is_label(entry)]
    return frozenset(name.decode("latin-1").rstrip(" \0") for name in (sector[_LABEL], *names))


def _is_label(entry: bytes) -> bool:
    attributes = entry[_ATTRIBUTES_OFFSET]
    return bool(attributes & _VOLUME_ID) and attributes & _LONG_NAME != _LONG_NAME
