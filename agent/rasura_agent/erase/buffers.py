"""Memory for direct I/O, and comparing it: page-aligned, and without a copy in between."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import threading
from functools import lru_cache

import msgspec

from rasura_agent.drive.memory import address
from rasura_agent.drive.port import Transfers

__all__ = [
    "BLOCK_BYTES",
    "ROOM_BYTES",
    "Borrowed",
    "Pool",
    "aligned_buffer",
    "differing_sectors",
    "read_for_sure",
    "repeated",
    "repeats",
    "same",
    "spoil",
]

BLOCK_BYTES = 2 * 1024 * 1024
"""The largest transfer, and a huge page of x86: the kernel pins one page for it instead of 512."""

ROOM_BYTES = 2 * BLOCK_BYTES
"""What the transfers of one drive among few use of memory."""

_HUGE_PAGE_BYTES = 2 * 1024 * 1024

_SPOILT_EACH_BYTES = 512
_WORD_BYTES = 8
_SPOILT = os.urandom(_WORD_BYTES)
"""Known to nobody, so on no drive."""

_libc = ctypes.CDLL(None)
_libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_libc.memcmp.restype = ctypes.c_int


def aligned_buffer(size: int = BLOCK_BYTES) -> memoryview:
    """A writable buffer of zeros that begins on a page, as O_DIRECT wants it (open(2)).

    One that fills huge pages is laid on them where the kernel lets us.
    """
    if size < _HUGE_PAGE_BYTES:
        return memoryview(mmap.mmap(-1, size))
    # Private, because shared anonymous memory is of small pages.
    room = mmap.mmap(-1, size + _HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them: small pages do as well
        room.madvise(mmap.MADV_HUGEPAGE)
    start = -address(memoryview(room)) % _HUGE_PAGE_BYTES
    return memoryview(room)[start : start + size]


class _Buffer(msgspec.Struct):
    """Memory of the pool."""

    room: memoryview
    is_uniform: bool = False
    """Whether one byte is known to be everywhere in it, which no part of a random stream is."""


class Pool:
    """Buffers that all drives share. Used by many threads.

    What was given back last is taken first: the processor's cache still holds it, and drives that take turns
    have no more under way than fits there.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[_Buffer]] = {}
        self._lock = threading.Lock()

    def take(self, size: int) -> _Buffer:
        """A buffer of ``size`` bytes with anything in it; as many as are wanted."""
        with self._lock:
            free = self._free.setdefault(size, [])
            if not free:
                room = aligned_buffer(max(size, BLOCK_BYTES))
                free.extend(_Buffer(room[at : at + size]) for at in range(0, len(room) - size + 1, size))
            return free.pop()

    def give_back(self, buffer: _Buffer) -> None:
        """Nobody uses it any more, the kernel included."""
        with self._lock:
            self._free[len(buffer.room)].append(buffer)


_SHARED = Pool()


class Borrowed:
    """A buffer for one transfer after the other, from the pool for each. Used by one thread at once."""

    def __init__(self, size: int, pool: Pool = _SHARED) -> None:
        self.size, self._pool = size, pool
        self._held: _Buffer | None = None

    def take(self, length: int) -> memoryview:
        """The first ``length`` bytes of a buffer, to be changed; the same one until :meth:`end`."""
        held = self._buffer()
        held.is_uniform = False
        return held.room[:length]

    def take_spoilt(self, length: int, *, for_random: bool) -> memoryview:
        """As :meth:`take`, with nothing in it that a read could pass off as what is expected.

        ``for_random``: what is expected is a random stream.
        """
        known = for_random and self._buffer().is_uniform
        piece = self.take(length)
        if not known:
            spoil(piece)
        return piece

    def repeats(self, length: int, unit: bytes) -> bool:
        """Whether its first ``length`` bytes hold ``unit`` over and over; if they do, that is remembered."""
        held = self._buffer()
        if not repeats(held.room[:length], unit):
            return False
        held.is_uniform = length == self.size and len(unit) == 1
        return True

    def end(self) -> None:
        """The transfer is over. Not to be called for one that the kernel may still be at."""
        if self._held is not None:
            self._pool.give_back(self._held)
            self._held = None

    def _buffer(self) -> _Buffer:
        if self._held is None:
            self._held = self._pool.take(self.size)
        return self._held


@lru_cache(maxsize=8)
def repeated(unit: bytes, size: int) -> memoryview:
    """An aligned buffer that holds ``unit`` over and over; shared by all drives, so only to be read."""
    buffer = aligned_buffer(size)
    if any(unit):
        buffer[:] = (unit * (size // len(unit) + 1))[:size]
    else:
        # Touched, so that direct I/O finds pages of its own there and not the kernel's one zero page.
        buffer[:: mmap.PAGESIZE] = bytes(len(range(0, size, mmap.PAGESIZE)))
    return buffer.toreadonly()


def same(left: memoryview, right: memoryview) -> bool:
    """Whether two writable buffers of one length hold the same bytes; releases the GIL meanwhile."""
    if len(left) != len(right):
        return False
    if not len(left):
        return True
    # memoryview's own == goes element by element; memcmp is ten times as fast and runs beside other drives.
    return bool(_libc.memcmp(address(left), address(right), len(left)) == 0)


def repeats(buffer: memoryview, unit: bytes) -> bool:
    """Whether a writable buffer holds ``unit`` over and over, from its first byte on; releases the GIL.

    It does if it begins with the unit and equals itself one unit further on: nothing else is read.
    """
    head = min(len(unit), len(buffer))
    if bytes(buffer[:head]) != unit[:head]:
        return False
    if len(buffer) <= head:
        return True
    start = address(buffer)
    return bool(_libc.memcmp(start, start + head, len(buffer) - head) == 0)


def spoil(room: memoryview) -> None:
    """Have every 512 bytes of ``room``, which is to be read into, begin with what no drive holds.

    A read that is said to have succeeded and brought nothing would else leave what was there before: from the
    last read of the same constant, just what is expected.
    """
    begins = _begins(room)
    begins[:] = _spoilt(len(begins))


def read_for_sure(port: Transfers, offset: int, into: memoryview) -> None:
    """Read as ``port`` does; raises ``OSError`` also where a sector was said to be read and was not."""
    spoil(into)
    port.read(offset, into)
    if _spoilt(1)[0] in _begins(into).tolist():
        raise OSError(errno.EIO, "the drive says that it was read and brought no data")


def _begins(room: memoryview) -> memoryview:
    """The first eight bytes of every 512, as integers; a shorter rest at the end is left out."""
    whole = room[: len(room) // _WORD_BYTES * _WORD_BYTES]
    return whole.cast("Q")[:: _SPOILT_EACH_BYTES // _WORD_BYTES]


@lru_cache(maxsize=32)
def _spoilt(count: int) -> memoryview:
    return memoryview(_SPOILT * count).cast("Q")


def differing_sectors(buffer: memoryview, unit: bytes, sector_bytes: int) -> list[tuple[int, int]]:
    """Offset and length of the runs of sectors in ``buffer`` that do not hold ``unit`` over and over."""
    wanted = unit * (len(buffer) // len(unit) + 1)
    found: list[tuple[int, int]] = []
    for at in range(0, len(buffer), sector_bytes):
        piece = bytes(buffer[at : at + sector_bytes])
        if piece == wanted[at : at + len(piece)]:
            continue
        if found and sum(found[-1]) == at:
            found[-1] = (found[-1][0], found[-1][1] + len(piece))
        else:
            found.append((at, len(piece)))
    return found
