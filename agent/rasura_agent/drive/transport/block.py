"""Block ports over the kernel: a block device, or a regular file posing as a drive."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rasura.errors import RefusedError
from rasura_agent.drive.port import Disposition
from rasura_agent.drive.transport.block_ioctl import zero_out
from rasura_agent.drive.transport.kernel_queue import KernelQueue, open_queue
from rasura_agent.inventory.model import Drive

__all__ = [
    "LANES",
    "BlockDevice",
    "open_block_device",
    "open_for_questions",
    "open_to_hold",
    "open_to_read_back",
    "open_virtual_drive",
    "rescan",
]

LANES = 4
"""Transfers under way at once: two hide each other's computing on two cores, more hide a drive's latency."""

_DIRECT_ALIGNMENT = 4096
"""No logical sector in use is larger; a file of such a size can be written past the cache to its end."""


class BlockDevice:
    """A :class:`~rasura_agent.drive.port.BlockPort` over a file descriptor, for several threads.

    A transfer that hangs in the kernel keeps the descriptor open beyond :meth:`close`: its number must not
    come to mean another drive while a thread may still use it.
    """

    lanes = LANES

    def __init__(self, descriptor: int, identify: Callable[[int], Drive], *, direct: bool) -> None:
        self._descriptor = descriptor
        self._identify = identify
        self.direct = direct
        self._lock = threading.Lock()
        self._queue: KernelQueue | None = None
        self._under_way = 0
        self._closed = False

    def fileno(self) -> int:
        """The descriptor: the drive's own commands go through it too, so that they reach this very drive."""
        return self._descriptor

    def identify(self) -> Drive:
        """Describe the drive behind this very descriptor."""
        return self._identify(self._descriptor)

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data``, going on after short transfers."""
        with self._transfer() as descriptor:
            done = os.pwrite(descriptor, data, offset)
            while done < len(data):
                step = os.pwrite(descriptor, data[done:], offset + done)
                if step == 0:
                    raise OSError(errno.EIO, "the drive took no more bytes")
                done += step

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into``, going on after short transfers; past the page cache, or with the cache dropped."""
        with self._transfer() as descriptor:
            if not self.direct:
                os.posix_fadvise(descriptor, offset, len(into), os.POSIX_FADV_DONTNEED)
            done = 0
            while done < len(into):
                step = os.preadv(descriptor, [into[done:]], offset + done)
                if step == 0:
                    raise OSError(errno.EIO, "the drive ended before its capacity")
                done += step

    def queue(self) -> KernelQueue | None:
        """The kernel's queue; made once, because giving one back takes the kernel some milliseconds."""
        if self._queue is None and self.direct and not self._closed:
            self._queue = open_queue(self._descriptor, self.lanes)
        return self._queue if self._queue is not None and self._queue.idle else None

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        """Zero a range by BLKZEROOUT: the drive's Write Zeroes, or zeros that the kernel itself sends."""
        with self._transfer() as descriptor:
            result = zero_out(descriptor, offset, length)
        if result.disposition is Disposition.UNKNOWN:
            raise OSError(errno.EIO, result.detail)
        return result.disposition

    def flush(self) -> None:
        """Flush the drive's cache, by fsync(2)."""
        with self._transfer() as descriptor:
            os.fsync(descriptor)

    def close(self) -> None:
        """Close the descriptor, unless a transfer still hangs in it; take no more transfers."""
        with self._lock:
            idle = not self._under_way and not self._closed
            self._closed = True
            queue, self._queue = self._queue, None
        if queue is not None:
            idle = queue.close() and idle
        if idle:
            os.close(self._descriptor)

    @contextmanager
    def _transfer(self) -> Iterator[int]:
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the drive was let go of")
            self._under_way += 1
        try:
            yield self._descriptor
        finally:
            with self._lock:
                self._under_way -= 1


def open_block_device(path: str, identify: Callable[[int], Drive]) -> BlockDevice:
    """Open a block device for erasing: exclusively (the kernel refuses it if anything holds it), O_DIRECT.

    Raises:
        RefusedError: the kernel does not let us, with what to do next.
    """
    flags = os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC
    return BlockDevice(_open(path, flags), identify, direct=True)


def open_virtual_drive(path: str, identify: Callable[[int], Drive]) -> BlockDevice:
    """Open a file as a drive; past the page cache where its size and file system allow it.

    Raises:
        RefusedError: the file cannot be opened for writing.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    descriptor = _open(path, flags)
    if os.fstat(descriptor).st_size % _DIRECT_ALIGNMENT:
        return BlockDevice(descriptor, identify, direct=False)
    try:
        # Through /proc, so that it is this very file again and not whatever has its name by now.
        direct = os.open(f"/proc/self/fd/{descriptor}", flags | os.O_DIRECT)
    except OSError:
        return BlockDevice(descriptor, identify, direct=False)
    os.close(descriptor)
    return BlockDevice(direct, identify, direct=True)


def open_to_read_back(path: str, identify: Callable[[int], Drive]) -> BlockDevice:
    """Open a drive, or a file posing as one, a second time and for reading only; past the page cache.

    Raises:
        RefusedError: the kernel does not let us, or not past the page cache.
    """
    return BlockDevice(_open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC), identify, direct=True)


def open_for_questions(path: str) -> int:
    """A descriptor for asking a drive what it is and can, without claiming it; the caller closes it.

    Raises:
        RefusedError: the kernel does not let us.
    """
    return _open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def open_to_hold(path: str) -> int:
    """A descriptor that claims a drive without changing it: nobody erases or mounts it until it is closed.

    Raises:
        RefusedError: the kernel does not let us, as while the drive is being erased.
    """
    return _open(path, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)


def rescan(device_number: tuple[int, int]) -> None:
    """Have the kernel read a SCSI or ATA drive's capacity again (``device/rescan``, sysfs-bus-scsi).

    A namespace or a card has no such file: the kernel follows its size by itself. Raises ``OSError``.
    """
    major, minor = device_number
    file = Path(f"/sys/dev/block/{major}:{minor}/device/rescan")
    if file.exists():
        file.write_text("1")


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
            f"cannot open {path}: {error.strerror}", hint=hints.get(error.errno or 0)
        ) from None
