"""Memory for direct I/O, and comparing it: page-aligned, and without a copy in between."""

from __future__ import annotations

import ctypes
import mmap

__all__ = ["BLOCK_BYTES", "aligned_buffer", "same"]

BLOCK_BYTES = 4 * 1024 * 1024
"""One transfer: large enough that the drive, not the system call, is the limit."""

_libc = ctypes.CDLL(None)
_libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_libc.memcmp.restype = ctypes.c_int


def aligned_buffer(size: int = BLOCK_BYTES) -> memoryview:
    """A writable buffer that begins on a page, as O_DIRECT wants it (open(2))."""
    return memoryview(mmap.mmap(-1, size))


def same(left: memoryview, right: memoryview) -> bool:
    """Whether two writable buffers of one length hold the same bytes; releases the GIL meanwhile."""
    if len(left) != len(right):
        return False
    if not len(left):
        return True
    # memoryview's own == goes element by element; memcmp is ten times as fast and runs beside other drives.
    first, second = (ctypes.addressof(ctypes.c_char.from_buffer(one)) for one in (left, right))
    return bool(_libc.memcmp(first, second, len(left)) == 0)
