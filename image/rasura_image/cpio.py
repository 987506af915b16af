"""cpio archives as the kernel unpacks them into its first file system. Pure.

Format: "new ASCII" (newc) of Documentation/driver-api/early-userspace/buffer-format.rst. Several archives,
each compressed or not, may follow one another, with zeroes up to a multiple of four between them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from typing import BinaryIO

from rasura_image.tree import Entry, with_folders

__all__ = ["ALIGNMENT", "write_cpio"]

ALIGNMENT = 4
_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_S_IFCHR_MODE = stat.S_IFCHR | 0o600


def write_cpio(stream: BinaryIO, entries: Iterable[Entry], epoch: int, *, console: bool = False) -> None:
    """Write ``entries`` and the folders above them; ``console`` adds /dev/console and /dev/null.

    The kernel opens /dev/console for the first program before that could make it.
    """
    number = 0
    for entry in with_folders(entries):
        number += 1
        content = entry.target.encode() if entry.target is not None else entry.read()
        _member(stream, number, entry.path, _type(entry) | entry.mode, content, epoch)
    if console:
        for name, device in (("dev/console", (5, 1)), ("dev/null", (1, 3))):
            number += 1
            _member(stream, number, name, _S_IFCHR_MODE, b"", epoch, device)
    _member(stream, 0, _TRAILER, 0, b"", 0)


def _type(entry: Entry) -> int:
    if entry.target is not None:
        return stat.S_IFLNK
    return stat.S_IFDIR if entry.content is None else stat.S_IFREG


def _member(
    stream: BinaryIO,
    number: int,
    path: str,
    mode: int,
    content: bytes,
    epoch: int,
    device: tuple[int, int] = (0, 0),
) -> None:
    name = path.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (number, mode, 0, 0, 1, epoch, len(content), 0, 0, *device, len(name), 0)
    header = _MAGIC + b"".join(b"%08X" % field for field in fields)
    for part in (header + name, content):
        stream.write(part)
        stream.write(b"\0" * (-len(part) % ALIGNMENT))
