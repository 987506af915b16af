"""Transfers by the kernel's asynchronous I/O (io_submit(2)): several under way, one thread, no copies.

The interface is the kernel's own (``linux/aio_abi.h``), because what is on PyPI takes no memory of ours.
Transfers past the page cache really go on by themselves; others would be done at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading

import msgspec

from rasura_agent.drive.memory import address

__all__ = ["IoControlBlock", "IoEvent", "KernelQueue", "open_queue"]

_PREAD, _PWRITE = 0, 1
"""IOCB_CMD_PREAD and IOCB_CMD_PWRITE."""

_SYSCALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2), "riscv64": (0, 1, 4, 2)}
"""Numbers of io_setup, io_destroy, io_getevents and io_submit, by machine (``asm/unistd.h``)."""

_libc = ctypes.CDLL(None, use_errno=True)
_ONE = ctypes.c_long(1)


class IoControlBlock(ctypes.LittleEndianStructure):
    """``struct iocb``."""

    _fields_ = (
        ("aio_data", ctypes.c_uint64),
        ("aio_key", ctypes.c_uint32),
        ("aio_rw_flags", ctypes.c_uint32),
        ("aio_lio_opcode", ctypes.c_uint16),
        ("aio_reqprio", ctypes.c_int16),
        ("aio_fildes", ctypes.c_uint32),
        ("aio_buf", ctypes.c_uint64),
        ("aio_nbytes", ctypes.c_uint64),
        ("aio_offset", ctypes.c_int64),
        ("aio_reserved2", ctypes.c_uint64),
        ("aio_flags", ctypes.c_uint32),
        ("aio_resfd", ctypes.c_uint32),
    )


class IoEvent(ctypes.LittleEndianStructure):
    """``struct io_event``."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    )


class _UnderWay(msgspec.Struct):
    """What is left of a transfer; keeps its memory alive as long as the kernel may use it."""

    offset: int
    buffer: memoryview
    opcode: int


class KernelQueue:
    """A :class:`~rasura_agent.drive.port.TransferQueue` over a descriptor opened with O_DIRECT."""

    def __init__(
        self, context: ctypes.c_ulong, numbers: tuple[int, int, int, int], descriptor: int, depth: int
    ) -> None:
        self._context, self._descriptor = context, descriptor
        _, self._destroy, self._get_events, self._submit = numbers
        self._blocks = [IoControlBlock(aio_data=tag) for tag in range(depth)]
        self._pointers = [(ctypes.c_void_p * 1)(ctypes.addressof(one)) for one in self._blocks]
        self._events = (IoEvent * depth)()
        self._depth = ctypes.c_long(depth)
        self._under_way: dict[int, _UnderWay] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def start(self, tag: int, offset: int, buffer: memoryview, *, write: bool) -> None:
        """Begin a transfer; ``tag`` is below the depth."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the drive was let go of")
            self._under_way[tag] = _UnderWay(offset, buffer, _PWRITE if write else _PREAD)
        try:
            self._send(tag)
        except OSError:
            del self._under_way[tag]
            raise

    def ended(self) -> list[tuple[int, OSError | None]]:
        """Wait for at least one; what was transferred in part goes on."""
        done: list[tuple[int, OSError | None]] = []
        while not done:
            for event in self._events[: self._wait()]:
                tag = int(event.data)
                problem = self._look(tag, int(event.res))
                if problem is not None or tag not in self._under_way:
                    self._under_way.pop(tag, None)
                    done.append((tag, problem))
        return done

    def close(self) -> bool:
        """Take no more transfers; whether nothing is under way any more, so that the descriptor may go."""
        with self._lock:
            self._closed = True
            if self._under_way:
                return False  # io_destroy(2) would wait for a drive that may never answer
        _libc.syscall(self._destroy, self._context)
        return True

    def _send(self, tag: int) -> None:
        one, block = self._under_way[tag], self._blocks[tag]
        block.aio_lio_opcode, block.aio_fildes = one.opcode, self._descriptor
        block.aio_buf, block.aio_nbytes, block.aio_offset = address(one.buffer), len(one.buffer), one.offset
        while _libc.syscall(self._submit, self._context, _ONE, self._pointers[tag]) != 1:
            if (problem := ctypes.get_errno()) != errno.EINTR:
                raise OSError(problem, os.strerror(problem))

    def _wait(self) -> int:
        while True:
            count = int(_libc.syscall(self._get_events, self._context, _ONE, self._depth, self._events, None))
            if count > 0:
                return count
            if count < 0 and (problem := ctypes.get_errno()) != errno.EINTR:
                raise OSError(problem, os.strerror(problem))

    def _look(self, tag: int, result: int) -> OSError | None:
        """What became of a transfer; it stays under way if it goes on."""
        one = self._under_way[tag]
        if result < 0:
            return OSError(-result, os.strerror(-result))
        if result == 0:
            return OSError(errno.EIO, "the drive took or gave no more bytes")
        if result == len(one.buffer):
            del self._under_way[tag]
            return None
        one.offset, one.buffer = one.offset + result, one.buffer[result:]
        try:
            self._send(tag)
        except OSError as error:
            return error
        return None


def open_queue(descriptor: int, depth: int) -> KernelQueue | None:
    """A queue of ``depth`` transfers, or ``None`` on a machine or kernel that has none (or no more)."""
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        return None
    context = ctypes.c_ulong(0)
    if _libc.syscall(numbers[0], depth, ctypes.byref(context)) != 0:
        return None
    return KernelQueue(context, numbers, descriptor, depth)
