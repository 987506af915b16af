"""Block ports over the kernel: a block device, or a regular file posing as a drive."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from rasura.errors import RefusedError
from rasura_agent.drive.port import BlockPort
from rasura_agent.inventory.model import Drive

__all__ = ["open_block_device", "open_virtual_drive"]

_DIRECT_ALIGNMENT = 4096
"""No logical sector in use is larger; a file of such a size can be written past the cache to its end."""


class _Descriptor:
    """A :class:`~rasura_agent.drive.port.BlockPort` over a file descriptor."""

    def __init__(self, descriptor: int, identify: Callable[[int], Drive], *, direct: bool) -> None:
        self._descriptor = descriptor
        self._identify = identify
        self.direct = direct

    def identify(self) -> Drive:
        return self._identify(self._descriptor)

    def write(self, offset: int, data: memoryview) -> None:
        done = 0
        while done < len(data):
            step = os.pwrite(self._descriptor, data[done:], offset + done)
            if step == 0:
                raise OSError(errno.EIO, "the drive took no more bytes")
            done += step

    def read(self, offset: int, into: memoryview) -> None:
        if not self.direct:
            os.posix_fadvise(self._descriptor, offset, len(into), os.POSIX_FADV_DONTNEED)
        done = 0
        while done < len(into):
            step = os.preadv(self._descriptor, [into[done:]], offset + done)
            if step == 0:
                raise OSError(errno.EIO, "the drive ended before its capacity")
            done += step

    def flush(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def open_block_device(path: str, identify: Callable[[int], Drive]) -> BlockPort:
    """Open a block device for erasing: exclusively (the kernel refuses it if anything holds it), O_DIRECT.

    Raises:
        RefusedError: the kernel does not let us, with what to do next.
    """
    flags = os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC
    return _Descriptor(_open(path, flags), identify, direct=True)


def open_virtual_drive(path: str, identify: Callable[[int], Drive]) -> BlockPort:
    """Open a file as a drive; past the page cache where its size and file system allow it.

    Raises:
        RefusedError: the file cannot be opened for writing.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    descriptor = _open(path, flags)
    if os.fstat(descriptor).st_size % _DIRECT_ALIGNMENT:
        return _Descriptor(descriptor, identify, direct=False)
    try:
        # Through /proc, so that it is this very file again and not whatever has its name by now.
        direct = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_DIRECT)
    except OSError:
        return _Descriptor(descriptor, identify, direct=False)
    os.close(descriptor)
    return _Descriptor(direct, identify, direct=True)


def _open(path: str, flags: int) -> int:
    try:
        return os.open(path, flags)
    except OSError as error:
        hints = {
            errno.EBUSY: "something holds it: unmount it or stop what uses it",
            errno.EACCES: "writing to a drive needs root",
            errno.EPERM: "writing to a drive needs root",
            errno.EROFS: "it is read-only: release its write-protect switch",
            errno.ENOENT: "it is gone: check its cable and look at 'rasura-agent drives' again",
        }
        raise RefusedError(
            f"cannot open {path} for erasing: {error.strerror}", hint=hints.get(error.errno or 0)
        ) from None
