"""The block layer's own ioctls: facts about a block device, partitions, discard, zeroing, PSID revert.

Also the port through which all transports issue ioctls, so that a test can stand in for the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from typing import Protocol

import msgspec

from rasura_agent.drive.port import Disposition
from rasura_agent.drive.tcg.psid import Psid, encode_opal_key

__all__ = [
    "BlockResult",
    "Ioctl",
    "add_partition",
    "discard",
    "disk_sequence",
    "flush",
    "is_read_only",
    "logical_sector_bytes",
    "physical_sector_bytes",
    "psid_revert",
    "secure_discard",
    "size_bytes",
    "system_ioctl",
    "zero_out",
]

# linux/fs.h: _IO(0x12, n), and _IOR(0x12, n, 8 bytes) for the two that end in 64.
BLKROGET = 0x125E
BLKSSZGET = 0x1268
BLKGETSIZE64 = 0x8008_1272
BLKDISCARD = 0x1277
BLKPBSZGET = 0x127B
BLKSECDISCARD = 0x127D
BLKZEROOUT = 0x127F
BLKGETDISKSEQ = 0x8008_1280
# linux/blkpg.h
BLKPG = 0x1269
BLKPG_ADD_PARTITION = 1
_BLKPG_ARG = struct.Struct("=iii4xQ")
"""struct blkpg_ioctl_arg: op, flags, datalen, and the address of the data."""
_BLKPG_PARTITION = struct.Struct("=qqi64s64s4x")
"""struct blkpg_partition: start and length in bytes, number, and two names that nobody reads."""
# linux/sed-opal.h: _IOW('p', 232, struct opal_key).
IOC_OPAL_PSID_REVERT_TPR = 0x4108_70E8


class Ioctl(Protocol):
    """One ioctl, issued exactly once: returns its result, raises ``OSError``.

    A ``bytearray`` is changed in place, also where an error is raised. Structures that hold addresses
    point to memory the caller keeps alive.
    """

    def __call__(self, fd: int, request: int, argument: bytearray | int, /) -> int:
        """Issue one ioctl."""
        ...


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ioctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)
_libc.ioctl.restype = ctypes.c_int


def system_ioctl(fd: int, request: int, argument: bytearray | int, /) -> int:
    """The kernel's own.

    By ctypes and not by ``fcntl``, which from Python 3.14 on repeats an ioctl that ends in EINTR; but so
    ends an NVMe command whose time-out passed, and no erase may be sent twice. Other threads run
    meanwhile, so that one drive does not wait for another.
    """
    # The exported buffer keeps the bytearray where it is for as long as the kernel may write to it.
    pointed = None if isinstance(argument, int) else (ctypes.c_char * len(argument)).from_buffer(argument)
    result = int(_libc.ioctl(fd, request, argument if pointed is None else ctypes.addressof(pointed)))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class BlockResult(msgspec.Struct, frozen=True):
    """What became of an operation of the block layer, and in words why."""

    disposition: Disposition
    detail: str


def size_bytes(fd: int, ioctl: Ioctl = system_ioctl) -> int:
    """The size of the block device in bytes; raises ``OSError``."""
    return _read(fd, BLKGETSIZE64, "=Q", ioctl)


def logical_sector_bytes(fd: int, ioctl: Ioctl = system_ioctl) -> int:
    """The smallest unit of a transfer, in bytes; raises ``OSError``."""
    return _read(fd, BLKSSZGET, "=i", ioctl)


def physical_sector_bytes(fd: int, ioctl: Ioctl = system_ioctl) -> int:
    """The unit the drive writes without reading, in bytes; raises ``OSError``."""
    return _read(fd, BLKPBSZGET, "=I", ioctl)


def is_read_only(fd: int, ioctl: Ioctl = system_ioctl) -> bool:
    """Whether the kernel refuses writes to it; raises ``OSError``."""
    return bool(_read(fd, BLKROGET, "=i", ioctl))


def disk_sequence(fd: int, ioctl: Ioctl = system_ioctl) -> int | None:
    """The number that no other disk of this boot will ever have; ``None`` before Linux 5.15.

    Raises ``OSError``.
    """
    try:
        return _read(fd, BLKGETDISKSEQ, "=Q", ioctl)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL}:
            return None
        raise


def add_partition(fd: int, number: int, offset: int, length: int, ioctl: Ioctl = system_ioctl) -> None:
    """Tell the kernel of one more partition (bytes, whole sectors); raises ``OSError``."""
    data = ctypes.create_string_buffer(_BLKPG_PARTITION.pack(offset, length, number, b"", b""))
    size = _BLKPG_PARTITION.size
    ioctl(fd, BLKPG, bytearray(_BLKPG_ARG.pack(BLKPG_ADD_PARTITION, 0, size, ctypes.addressof(data))))


def discard(fd: int, offset: int, length: int, ioctl: Ioctl = system_ioctl) -> BlockResult:
    """Tell the drive that a range (bytes, whole sectors) is unused.

    ``DONE`` is only the kernel's word that it passed the request on; it reports success even where
    the drive turned the request down. It is never a proof that anything was erased.
    """
    return _over_range("discard", fd, BLKDISCARD, offset, length, ioctl)


def secure_discard(fd: int, offset: int, length: int, ioctl: Ioctl = system_ioctl) -> BlockResult:
    """Discard a range and its copies; among the drives we meet only an eMMC with secure erase does it."""
    return _over_range("secure discard", fd, BLKSECDISCARD, offset, length, ioctl)


def zero_out(fd: int, offset: int, length: int, ioctl: Ioctl = system_ioctl) -> BlockResult:
    """Make a range (bytes, whole sectors) read as zeros, by Write Zeroes without unmapping or by writing."""
    return _over_range("zero out", fd, BLKZEROOUT, offset, length, ioctl)


def flush(fd: int, fsync: Callable[[int], None] = os.fsync) -> BlockResult:
    """Return once what was written is on stable storage.

    An error is ``UNKNOWN`` for good: the kernel reports a failed write-back once and then forgets it.
    """
    try:
        fsync(fd)
    except OSError as error:
        return BlockResult(Disposition.UNKNOWN, f"flush: {error.strerror} (errno {error.errno})")
    return BlockResult(Disposition.DONE, "flush: done")


_OPAL_METHOD_STATUS = {
    0x01: ("Not Authorized: not this drive's PSID, or the authority is blocked", Disposition.REFUSED),
    0x03: ("SP Busy", Disposition.REFUSED),
    0x05: ("SP Disabled", Disposition.REFUSED),
    0x06: ("SP Frozen", Disposition.REFUSED),
    0x07: ("No Sessions Available", Disposition.REFUSED),
    0x0C: ("Invalid Parameter", Disposition.REFUSED),
    0x12: ("Authority Locked Out: too many attempts, cut the power", Disposition.REFUSED),
}
"""TCG Core 2.01 clause 5.1.5: the statuses with which a drive denies the session or the method."""

_NOT_SUPPORTED_IN_KERNEL = 524
"""ENOTSUPP, which is not for user space but was returned for drives without TCG before Linux 6.4."""


def psid_revert(fd: int, psid: Psid, ioctl: Ioctl = system_ioctl) -> BlockResult:
    """Revert the whole drive (NVMe or SATA) to its factory state by its PSID: all data becomes unreadable.

    Any status not known to be a denial is ``UNKNOWN``: the drive may have reverted.
    """
    try:
        status = ioctl(fd, IOC_OPAL_PSID_REVERT_TPR, bytearray(encode_opal_key(psid)))
    except OSError as error:
        refused = {errno.EACCES, errno.EPERM, errno.ENOTTY, errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP}
        return _failed("PSID revert", error, frozenset({*refused, _NOT_SUPPORTED_IN_KERNEL}))
    if status == 0:
        return BlockResult(Disposition.DONE, "PSID revert: done")
    words, disposition = _OPAL_METHOD_STATUS.get(status, ("not a denial", Disposition.UNKNOWN))
    return BlockResult(disposition, f"PSID revert: method status {status:02X}h, {words}")


_REFUSED = frozenset(
    {
        errno.EOPNOTSUPP,  # the drive or its driver has no such operation
        errno.ENOTTY,  # the kernel hasn't
        errno.EINVAL,  # the range is not of whole sectors within the device
        errno.EBADF,  # the descriptor is not open for writing
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EBUSY,  # somebody else has it open exclusively
    }
)
"""What ``block/ioctl.c`` answers before it issues any request."""


def _over_range(name: str, fd: int, request: int, offset: int, length: int, ioctl: Ioctl) -> BlockResult:
    if not 0 <= offset < 1 << 64 or not 0 < length < 1 << 64:
        return BlockResult(Disposition.REFUSED, f"{name}: {length} bytes at {offset} are no range")
    try:
        ioctl(fd, request, bytearray(struct.pack("=QQ", offset, length)))
    except OSError as error:
        return _failed(name, error, _REFUSED)
    return BlockResult(Disposition.DONE, f"{name}: {length} bytes at {offset}")


def _failed(name: str, error: OSError, refused: frozenset[int]) -> BlockResult:
    disposition = Disposition.REFUSED if error.errno in refused else Disposition.UNKNOWN
    return BlockResult(disposition, f"{name}: {error.strerror} (errno {error.errno})")


def _read(fd: int, request: int, layout: str, ioctl: Ioctl) -> int:
    buffer = bytearray(struct.calcsize(layout))
    ioctl(fd, request, buffer)
    (value,) = struct.unpack(layout, buffer)
    return int(value)
