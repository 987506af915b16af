"""The file system of a stick's data partition, made in a file.

Not on the stick itself: while it is held open, so that nobody mounts it meanwhile, mkfs.vfat does not get it.
And not with ``mkfs.vfat --offset``: that takes the size of clusters from all of the file, image and all, and
makes what calls itself FAT32 with so few clusters that it is read as FAT16.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from rasura_agent.inventory.labels import DATA_LABEL
from rasura_agent.live.gpt import SECTOR_BYTES, Partition
from rasura_image.errors import BuildError
from rasura_image.tools import run

__all__ = ["PROGRAMS", "copy_out", "make_volume", "used_bytes"]

PROGRAMS = {"mkfs.vfat": "dosfstools", "mcopy": "mtools"}
_MTOOLS = {"MTOOLS_SKIP_CHECK": "1"}

# Microsoft's FAT specification 1.03: BPB_BytsPerSec, BPB_SecPerClus, BPB_RsvdSecCnt, BPB_NumFATs.
_GEOMETRY, _GEOMETRY_OFFSET = struct.Struct("<HBHB"), 11
_FAT_SECTORS, _FAT_SECTORS_OFFSET = struct.Struct("<I"), 36  # BPB_FATSz32
_ENTRY_BYTES = 4
_FIRST_CLUSTER = 2
"""The entries before it in the table are of no cluster."""


def make_volume(volume: Path, partition: Partition, tree: Path) -> None:
    """Make the file ``volume``, which is what goes into ``partition``, with the files of the folder ``tree``.

    Raises:
        BuildError: there is no room for them, or FAT cannot hold them as they are.
        OSError: the file cannot be made.
    """
    with volume.open("xb") as stream:
        stream.truncate((partition.last - partition.first + 1) * SECTOR_BYTES)
    # BPB_HiddSec: what lies before the partition, as mkfs.vfat itself finds it for a partition's device.
    run(["mkfs.vfat", "-F", "32", "-n", DATA_LABEL, "-h", str(partition.first), volume])
    run(["mcopy", "-s", "-Q", "-i", volume, *sorted(tree.iterdir()), "::"], env=_MTOOLS)
    again = volume.with_name("again")
    again.mkdir()
    copy_out(str(volume), again)
    if _listing(tree) != _listing(again):
        raise BuildError("the data partition cannot hold its files as they are")


def copy_out(volume: str, folder: Path) -> None:
    """Copy all files of ``volume``, in the words of mtools, to ``folder``; raises :class:`BuildError`."""
    run(["mcopy", "-s", "-m", "-Q", "-i", volume, "::", folder], env=_MTOOLS)


def used_bytes(volume: Path) -> int:
    """How much of ``volume`` makes the file system: all up to the end of the last cluster in use.

    Told by its table, not by the holes of the file: zeros must be written as well, over what was there.
    """
    with volume.open("rb") as stream:
        sector = stream.read(SECTOR_BYTES)
        per_sector, per_cluster, reserved, fats = _GEOMETRY.unpack_from(sector, _GEOMETRY_OFFSET)
        (fat_sectors,) = _FAT_SECTORS.unpack_from(sector, _FAT_SECTORS_OFFSET)
        stream.seek(reserved * per_sector)
        fat = stream.read(fat_sectors * per_sector)
    entries = -(-len(fat.rstrip(b"\0")) // _ENTRY_BYTES)
    sectors = reserved + fats * fat_sectors + (entries - _FIRST_CLUSTER) * per_cluster
    return int(sectors * per_sector)


def _listing(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return json.dumps(
        [(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
    )
