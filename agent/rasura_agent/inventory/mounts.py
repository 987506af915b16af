"""Parsers of ``/proc/self/mountinfo``, ``/proc/swaps`` and ``/proc/cmdline``; pure.

Paths are kept as the system writes them (undecodable bytes as surrogates), since they are looked up again;
whoever shows one makes it printable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import msgspec

from rasura.errors import RasuraError

__all__ = [
    "MountEntry",
    "SourceError",
    "SwapEntry",
    "layer_paths",
    "mounts_at",
    "parse_mountinfo",
    "parse_parameters",
    "parse_swaps",
]

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_OPTIONAL_FIELDS = 6
_SWAP_COLUMNS = 5
_PARAMETER = re.compile(r'(?:"[^"]*"?|[^\s"\0])+')
_LAYER_OPTION = re.compile(r"(lowerdir\+?|upperdir|workdir|datadir\+?)=(.*)", re.DOTALL)


class SourceError(RasuraError):
    """A file of the kernel does not read as documented, so what it says is unknown."""


class MountEntry(msgspec.Struct, frozen=True):
    """One line of mountinfo (``Documentation/filesystems/proc.rst`` clause 3.5)."""

    number: tuple[int, int]
    """(major, minor) of the filesystem; major 0 where it has no block device of its own."""
    mountpoint: str
    fstype: str
    source: str
    options: tuple[str, ...]
    """The filesystem's own."""


class SwapEntry(msgspec.Struct, frozen=True):
    """One line of /proc/swaps."""

    path: str
    is_file: bool


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))


def parse_mountinfo(data: bytes) -> tuple[MountEntry, ...]:
    """The mounts of this process' namespace, in the order they were made.

    Raises:
        SourceError: a line is not understood.
    """
    return tuple(_mount(line) for line in data.split(b"\n") if line)


def _mount(line: bytes) -> MountEntry:
    fields = line.split(b" ")
    number = re.fullmatch(rb"(\d{1,9}):(\d{1,9})", fields[2]) if len(fields) > 2 else None
    try:
        end = fields.index(b"-", _OPTIONAL_FIELDS)
        fstype, source = fields[end + 1 : end + 3]
    except ValueError:
        number = None
    if number is None:
        raise SourceError("a line of /proc/self/mountinfo is not understood")
    # Options are split before their escapes are undone: an escaped comma is not a separator.
    options = b" ".join(fields[end + 3 :]).split(b",")
    return MountEntry(
        (int(number[1]), int(number[2])),
        _unescaped(fields[4]),
        fstype.decode("ascii", "replace"),
        _unescaped(source),
        tuple(_unescaped(option) for option in options),
    )


def parse_swaps(data: bytes) -> tuple[SwapEntry, ...]:
    """The swap areas in use.

    Raises:
        SourceError: it does not read as documented.
    """
    lines = data.split(b"\n")
    if not lines[0].startswith(b"Filename"):
        raise SourceError("/proc/swaps is not understood: it has no heading")
    entries = []
    for line in lines[1:]:
        columns = line.split()
        if not columns:
            continue
        if len(columns) != _SWAP_COLUMNS:
            raise SourceError("a line of /proc/swaps is not understood")
        entries.append(SwapEntry(_unescaped(columns[0]).removesuffix(" (deleted)"), columns[1] == b"file"))
    return tuple(entries)


def parse_parameters(data: bytes) -> dict[str, str]:
    """The kernel's parameters, the last of each name; a parameter without a value has an empty one."""
    words = (word.replace('"', "") for word in _PARAMETER.findall(os.fsdecode(data)))
    return dict(word.partition("=")[::2] for word in words)


def layer_paths(entry: MountEntry) -> tuple[str, ...]:
    """The folders that an overlay mount puts on top of each other."""
    found: list[str] = []
    for option in entry.options:
        match = _LAYER_OPTION.fullmatch(option)
        if match is None:
            continue
        # Colons inside a path are escaped by a backslash, "::" sets data-only layers apart.
        parts = re.split(r"(?<!\\):+", match[2]) if match[1] == "lowerdir" else [match[2]]
        found.extend(re.sub(r"\\(.)", r"\1", part) for part in parts if part)
    return tuple(found)


def mounts_at(mounts: Sequence[MountEntry], path: str) -> list[MountEntry]:
    """The mounts that ``path`` may lie on: all at the longest mount point above it.

    Several mounts at one place hide each other; which of them is meant cannot be told later, so all count.
    """
    place = re.sub("/+", "/", path)

    def covers(mountpoint: str) -> bool:
        return place == mountpoint or place.startswith(mountpoint.rstrip("/") + "/")

    longest = max((len(m.mountpoint) for m in mounts if covers(m.mountpoint)), default=0)
    return [m for m in mounts if covers(m.mountpoint) and len(m.mountpoint) == longest]
