"""Reading one small file of an ISO 9660 volume without mounting it (ECMA-119); pure."""

from __future__ import annotations

import struct
from collections.abc import Callable

__all__ = ["read_file"]

_SECTOR_BYTES = 2048
_DESCRIPTOR_AT = 16 * _SECTOR_BYTES
_ROOT_RECORD = slice(156, 190)
"""Of the primary volume descriptor (clause 8.4.18)."""
_RECORD = struct.Struct("<BBI4xI4x7sB6xB")
"""Clause 9.1: length, extended attributes, location and length of the extent, time, flags, length of name."""
_FOLDER = 0x02
_MOST_BYTES = 1 << 20
_NM_HEAD_BYTES = 5

Read = Callable[[int, int], bytes]
"""Reads so many bytes (the second) at an offset (the first); fewer at the end."""


def read_file(read: Read, *path: str) -> bytes | None:
    """The content of the file at ``path``, one name a folder; letters' case and versions do not matter.

    ``None`` if there is no such file, or if it or a folder has more than a MiB. Raises what ``read`` raises.
    """
    descriptor = read(_DESCRIPTOR_AT, _SECTOR_BYTES)
    if len(descriptor) < _SECTOR_BYTES or descriptor[:6] != b"\x01CD001":
        return None
    found = _extent(descriptor[_ROOT_RECORD])
    for name in path:
        if found is None or not found[2]:
            return None
        found = _entry(_content(read, *found[:2]), name)
    return None if found is None or found[2] else _content(read, *found[:2])


def _content(read: Read, at: int, length: int) -> bytes:
    return b"" if length > _MOST_BYTES else read(at * _SECTOR_BYTES, length)


def _extent(record: bytes) -> tuple[int, int, bool] | None:
    """Sector, length in bytes, and whether it is a folder."""
    if len(record) < _RECORD.size:
        return None
    _length, _extended, at, size, _time, flags, _name = _RECORD.unpack_from(record)
    return at, size, bool(flags & _FOLDER)


def _entry(folder: bytes, name: str) -> tuple[int, int, bool] | None:
    at = 0
    while at + _RECORD.size <= len(folder):
        length = folder[at]
        if length == 0:  # records do not cross sectors: the rest of this one is empty
            at = (at // _SECTOR_BYTES + 1) * _SECTOR_BYTES
            continue
        record = folder[at : at + length]
        at += length
        if len(record) >= _RECORD.size and _name(record).casefold() == name.casefold():
            return _extent(record)
    return None


def _name(record: bytes) -> str:
    """The Rock Ridge name where there is one (RRIP 1.12 clause 4.1.4), else the short one of ISO 9660."""
    end = _RECORD.size + record[_RECORD.size - 1]
    at = end + end % 2  # padded to an even number
    while at + _NM_HEAD_BYTES <= len(record) and record[at + 2] >= _NM_HEAD_BYTES:
        if record[at : at + 2] == b"NM":
            return record[at + _NM_HEAD_BYTES : at + record[at + 2]].decode("utf-8", "replace")
        at += record[at + 2]
    return record[_RECORD.size : end].decode("latin-1").partition(";")[0].rstrip(".")
