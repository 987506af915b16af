"""Appending one partition to the GUID partition table of a stick; pure (UEFI 2.10 clause 5.3).

The live image brings a table that ends where the image ends. Growing it means: the backup goes to the
real end of the stick, and one entry is added behind all others. The partitions that are there, the boot
code and the other entries of the master boot record (some firmware only starts a stick that has an
active one) stay as they are, byte for byte: no write that comes out of here touches them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from rasura.errors import RasuraError
from rasura_agent.console.language import _

__all__ = ["SECTOR_BYTES", "GptError", "Growth", "Partition", "Read", "Table", "grow", "parse_table"]

SECTOR_BYTES = 512
"""The only sector size that the table of a hybrid image is made for."""
LEAST_BYTES = 64 << 20
MOST_BYTES = 32 << 30
"""A larger FAT32 volume only takes longer to make: certificates are small."""

_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_SIGNATURE, _REVISION = b"EFI PART", 0x00010000
_HEADER_CRC = slice(16, 20)
_ENTRY = struct.Struct("<16s16sQQQ72s")
_MOST_ENTRIES = 1024
_PRIMARY_LBA = 1
_BASIC_DATA = bytes.fromhex("a2a0d0ebe5b9334487c068b6b72699c7")
"""EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, as it lies on the medium."""
_ALIGNMENT = 2048
_RECORDS = range(446, 510, 16)
"""Offsets of the partition records in the master boot record (UEFI 2.10 clause 5.2.1)."""
_PROTECTIVE = 0xEE
_TYPE_OFFSET, _START_OFFSET, _SIZE_OFFSET = 4, 8, 12
_MOST_SECTORS_OF_RECORD = 0xFFFFFFFF

Read = Callable[[int, int], bytes]
"""Reads so many bytes (the second) at an offset (the first); fewer at the end."""


class GptError(RasuraError):
    """The table is not one that a partition can be appended to."""


class Partition(msgspec.Struct, frozen=True):
    """One entry in use; ``first`` and ``last`` are sectors, both its own. ``raw`` is all of it."""

    index: int
    first: int
    last: int
    raw: bytes


class Table(msgspec.Struct, frozen=True):
    """A table whose checksums are right; numbers of sectors."""

    backup: int
    first_usable: int
    last_usable: int
    disk: bytes
    """The disk's GUID."""
    entries_at: int
    entries: bytes
    """The whole array."""
    partitions: tuple[Partition, ...]
    mbr: bytes


class Growth(msgspec.Struct, frozen=True):
    """What appending takes: ``writes`` in their order, and the new entry as it must be read back."""

    writes: tuple[tuple[int, bytes], ...]
    """Byte offsets and what goes there. After any of them one of both tables is whole."""
    new: Partition


def parse_table(read: Read) -> Table:
    """Read the primary table.

    Raises:
        GptError: there is none, it is damaged, or made in a way that is not ours.
    """
    mbr, sector = read(0, SECTOR_BYTES), read(SECTOR_BYTES, SECTOR_BYTES)
    if len(sector) < SECTOR_BYTES or mbr[510:] != b"\x55\xaa":
        raise GptError(_("there is no partition table"))
    header = _HEADER.unpack_from(sector)
    signature, revision, size, checksum, reserved, own, backup, first, last, disk, at, count, each, crc = (
        header
    )
    if signature != _SIGNATURE or revision != _REVISION or size != _HEADER.size or reserved:
        raise GptError(_("there is no GUID partition table"))
    blank = bytearray(sector[: _HEADER.size])
    blank[_HEADER_CRC] = bytes(4)
    if zlib.crc32(blank) != checksum or own != _PRIMARY_LBA:
        raise GptError(_("the partition table is damaged"))
    if each != _ENTRY.size or not 0 < count <= _MOST_ENTRIES or at <= _PRIMARY_LBA:
        raise GptError(_("the partition table is made in a way that is not known here"))
    entries = read(at * SECTOR_BYTES, count * each)
    if len(entries) != count * each or zlib.crc32(entries) != crc:
        raise GptError(_("the list of partitions is damaged"))
    partitions = _partitions(entries)
    if at + _sectors(entries) > first or any(
        not first <= one.first <= one.last <= last for one in partitions
    ):
        raise GptError(_("the partitions do not lie where the partition table allows it"))
    return Table(backup, first, last, disk, at, entries, partitions, mbr)


def _partitions(entries: bytes) -> tuple[Partition, ...]:
    found = []
    for index in range(len(entries) // _ENTRY.size):
        raw = entries[index * _ENTRY.size : (index + 1) * _ENTRY.size]
        kind, _unique, first, last, _attributes, _name = _ENTRY.unpack(raw)
        if kind != bytes(16):
            found.append(Partition(index, first, last, raw))
    return tuple(found)


def _sectors(data: bytes) -> int:
    return -(-len(data) // SECTOR_BYTES)


def grow(table: Table, sectors: int, unique: bytes, name: str) -> Growth:
    """Append a partition for basic data called ``name`` on a disk of that many sectors.

    Args:
        table: of the disk.
        sectors: of the disk, 512 bytes each.
        unique: 16 random bytes, for the partition's GUID.
        name: at most 36 characters.

    Raises:
        GptError: there is no room, or no free entry.
    """
    backup = sectors - 1
    last_usable = backup - _sectors(table.entries) - 1
    used = max((one.last for one in table.partitions), default=table.first_usable - 1)
    start = -(-(max(used, table.backup) + 1) // _ALIGNMENT) * _ALIGNMENT
    length = min(last_usable + 1 - start, MOST_BYTES // SECTOR_BYTES) // _ALIGNMENT * _ALIGNMENT
    if backup <= table.backup or length * SECTOR_BYTES < LEAST_BYTES:
        raise GptError(_("there is no room behind the live image"))
    index = max((one.index for one in table.partitions), default=-1) + 1
    if (index + 1) * _ENTRY.size > len(table.entries):
        raise GptError(_("there is no free entry in the partition table"))
    raw = _ENTRY.pack(_BASIC_DATA, _version_4(unique), start, start + length - 1, 0, name.encode("utf-16-le"))
    entries = bytearray(table.entries)
    entries[index * _ENTRY.size : (index + 1) * _ENTRY.size] = raw
    grown = replace(table, backup=backup, last_usable=last_usable, entries=bytes(entries))
    behind = last_usable + 1
    writes = (
        (behind * SECTOR_BYTES, grown.entries),
        (backup * SECTOR_BYTES, _header(grown, backup, _PRIMARY_LBA, behind)),
        (table.entries_at * SECTOR_BYTES, grown.entries),
        (SECTOR_BYTES, _header(grown, _PRIMARY_LBA, backup, table.entries_at)),
        (0, _protected(table.mbr, sectors)),
    )
    return Growth(writes, Partition(index, start, start + length - 1, raw))


def _version_4(unique: bytes) -> bytes:
    """A random GUID (RFC 9562 clause 5.4), as it lies on the medium: its first three fields turned round."""
    guid = bytearray(unique)
    guid[7] = guid[7] & 0x0F | 0x40
    guid[8] = guid[8] & 0x3F | 0x80
    return bytes(guid)


def _header(table: Table, own: int, other: int, entries_at: int) -> bytes:
    def packed(checksum: int) -> bytes:
        return _HEADER.pack(
            _SIGNATURE,
            _REVISION,
            _HEADER.size,
            checksum,
            0,
            own,
            other,
            table.first_usable,
            table.last_usable,
            table.disk,
            entries_at,
            len(table.entries) // _ENTRY.size,
            _ENTRY.size,
            zlib.crc32(table.entries),
        )

    return packed(zlib.crc32(packed(0))).ljust(SECTOR_BYTES, b"\0")


def _protected(mbr: bytes, sectors: int) -> bytes:
    """The master boot record with a protective record that reaches to the end; nothing else of it changes."""
    record = bytearray(mbr)
    for at in _RECORDS:
        if record[at + _TYPE_OFFSET] == _PROTECTIVE:
            (start,) = struct.unpack_from("<I", record, at + _START_OFFSET)
            struct.pack_into("<I", record, at + _SIZE_OFFSET, min(sectors - start, _MOST_SECTORS_OF_RECORD))
            break
    return bytes(record)
