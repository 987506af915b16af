"""Virtual drives: regular files that stand for a drive, to try Rasura without one.

Their serial numbers are our own numbering: ``VD-`` and the first 12 hex digits of the SHA-256 of the file's
real path (its bytes). The same file has the same number on every run; another path has another.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from msgspec.structs import replace

from rasura.errors import UsageError
from rasura_agent.inventory.describe import facts_page
from rasura_agent.inventory.drives import InventoryError
from rasura_agent.inventory.model import Drive, Transport

__all__ = ["VIRTUAL_MODEL", "VIRTUAL_SECTOR_BYTES", "describe_virtual", "describe_virtual_open"]

VIRTUAL_MODEL = "Rasura virtual drive"
VIRTUAL_SECTOR_BYTES = 512

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def describe_virtual(path: str) -> Drive:
    """The virtual drive in the file ``path``; symbolic links are followed.

    Raises:
        UsageError: it is no regular file, it is empty, or its size is no whole number of sectors.
    """
    try:
        real = os.path.realpath(path, strict=True)
        status = Path(real).stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "this is no path"
        raise UsageError(
            f"the virtual drive {path!r} cannot be read: {reason}",
            hint="make one, for example with: truncate -s 64M drive.img",
        ) from None
    return _describe(real, status)


def describe_virtual_open(descriptor: int, path: str) -> Drive:
    """Describe afresh the virtual drive behind an open descriptor.

    Args:
        descriptor: of the file.
        path: the real path that :func:`describe_virtual` gave.

    Raises:
        InventoryError: ``path`` now names another file or none, so what is written to the descriptor would
            not be found under it.
        UsageError: as :func:`describe_virtual`.
    """
    opened = os.fstat(descriptor)
    try:
        named = Path(path).lstat()
    except OSError as error:
        raise InventoryError(f"the virtual drive {path} is gone: {error.strerror}") from None
    if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino):
        raise InventoryError(f"the virtual drive {path} was replaced by another file since it was opened")
    return _describe(path, opened)


def _describe(real: str, status: os.stat_result) -> Drive:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFBLK:
        raise UsageError(f"{real} is a block device, not a file", hint="name it as a drive instead")
    if kind != stat.S_IFREG:
        raise UsageError(
            f"{real} is {_KINDS.get(kind, 'something')}, not a file: it cannot be a virtual drive"
        )
    size, remainder = status.st_size, status.st_size % VIRTUAL_SECTOR_BYTES
    if size == 0:
        raise UsageError(
            f"the file {real} is empty: a virtual drive has a size", hint="truncate -s 64M makes one"
        )
    if remainder:
        raise UsageError(
            f"the file {real} has {size} bytes, {remainder} more than a whole number of "
            f"{VIRTUAL_SECTOR_BYTES}-byte sectors: it cannot be a virtual drive"
        )
    drive = Drive(
        path=real,
        transport=Transport.FILE,
        manufacturer=None,
        model=VIRTUAL_MODEL,
        serial="VD-" + hashlib.sha256(os.fsencode(real)).hexdigest()[:12],
        wwn=None,
        firmware=None,
        capacity_bytes=size,
        logical_sector_bytes=VIRTUAL_SECTOR_BYTES,
        physical_sector_bytes=None,
        rotational=None,
        removable=None,
        device_number=None,
        diskseq=None,
        identity_pages=(),
    )
    return replace(drive, identity_pages=(facts_page("file-identity", drive),))
