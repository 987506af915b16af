"""The inventory's ports on this machine: its files, udev's database, its device nodes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyudev

from rasura_agent.inventory.labels import has_our_label
from rasura_agent.inventory.local_commands import LocalCommands
from rasura_agent.inventory.local_sensors import LocalSensors
from rasura_agent.inventory.ports import Attempt, FileId, LoopBacking, Opening, Sources

__all__ = ["LocalFiles", "LocalProbe", "LocalUdev", "has_uberblock", "local_sources"]

_READ_BYTES = 64 * 1024

LOOP_GET_STATUS64 = 0x4C05
"""linux/loop.h"""
_LOOP_INFO64 = struct.Struct("=QQQQQIIII64s64s32sQQ")

# ZFS keeps a ring of uberblocks in the second half of each 256 KiB label (include/sys/vdev_impl.h).
_ZFS_UBERBLOCKS_OFFSET = _ZFS_UBERBLOCKS_BYTES = 128 * 1024
_ZFS_UBERBLOCK_BYTES = 1024
_ZFS_UBERBLOCK_MAGIC = 0x00BAB10C


def local_sources() -> Sources:
    """The running machine."""
    return Sources(LocalFiles(), LocalUdev(), LocalCommands(), LocalProbe(), LocalSensors())


class LocalFiles:
    """The files of this machine."""

    def read_bytes(self, path: str) -> bytes:
        """See :class:`SystemFiles`. A machine has thousands of them, so without a stream in between."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces = []
            while piece := os.read(descriptor, _READ_BYTES):
                pieces.append(piece)
        finally:
            os.close(descriptor)
        return b"".join(pieces)

    def list_dir(self, path: str) -> list[str]:
        """See :class:`SystemFiles`."""
        return sorted(entry.name for entry in Path(path).iterdir())

    def real_path(self, path: str) -> str:
        """See :class:`SystemFiles`."""
        return os.path.realpath(path, strict=True)


class LocalUdev:
    """udev's database on this machine, through libudev."""

    def __init__(self) -> None:
        try:
            self._context = pyudev.Context()
        except ImportError:  # how pyudev says that libudev is not installed: sysfs alone must do
            self._context = None

    def properties(self, number: tuple[int, int]) -> Mapping[str, str]:
        """See :class:`Udev`."""
        return self._properties(
            lambda context: pyudev.Devices.from_device_number(context, "block", os.makedev(*number))
        )

    def properties_at(self, place: str) -> Mapping[str, str]:
        """See :class:`Udev`."""
        return self._properties(lambda context: pyudev.Devices.from_sys_path(context, place))

    def _properties(self, find: Callable[[pyudev.Context], pyudev.Device]) -> Mapping[str, str]:
        if self._context is None:
            return {}
        found: dict[str, str] = {}
        try:
            device = find(self._context)
            names = list(device.properties)
        except (pyudev.DeviceNotFoundError, OSError, UnicodeDecodeError):
            return {}
        for name in names:
            try:
                found[name] = device.properties[name]
            except (KeyError, UnicodeDecodeError):  # gone meanwhile, or bytes that are no text
                continue
        return found


def has_uberblock(data: bytes) -> bool:
    """Whether the uberblock ring of a ZFS label holds one, of either byte order."""
    magic = {_ZFS_UBERBLOCK_MAGIC.to_bytes(8, order) for order in ("little", "big")}
    return any(data[at : at + 8] in magic for at in range(0, len(data), _ZFS_UBERBLOCK_BYTES))


class LocalProbe:
    """The :class:`DeviceProbe` of this machine. What it opens it only reads."""

    def try_exclusive(self, path: str, number: tuple[int, int]) -> Attempt:
        """See :class:`DeviceProbe`; EBUSY while a filesystem, swap, dm, md or ZFS is on any part of it."""
        try:
            # Without O_NONBLOCK a reader without a medium would refuse to be opened.
            with _opened(path, number, os.O_EXCL | os.O_NONBLOCK):
                return Attempt(Opening.FREE)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return Attempt(Opening.BUSY)
            if error.errno == errno.ENOMEDIUM:
                return Attempt(Opening.FREE)
            return Attempt(Opening.UNKNOWN, error.strerror or "no reason given")

    def node_number(self, path: str) -> tuple[int, int] | None:
        """See :class:`DeviceProbe`."""
        status = _status(path)
        return _split(status.st_rdev) if status is not None and stat.S_ISBLK(status.st_mode) else None

    def file_id(self, path: str) -> FileId | None:
        """See :class:`DeviceProbe`."""
        status = _status(path)
        return None if status is None else (_split(status.st_dev), status.st_ino)

    def loop_backing(self, path: str, number: tuple[int, int]) -> LoopBacking | None:
        """See :class:`DeviceProbe`."""
        try:
            with _opened(path, number) as descriptor:
                answer = fcntl.ioctl(descriptor, LOOP_GET_STATUS64, bytes(_LOOP_INFO64.size))
        except OSError:
            return None
        device, inode, rdevice = _LOOP_INFO64.unpack(answer)[:3]
        return LoopBacking((_split(device), inode), _split(rdevice) if rdevice else None)

    def has_zfs_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        try:
            with _opened(path, number) as descriptor:
                return has_uberblock(os.pread(descriptor, _ZFS_UBERBLOCKS_BYTES, _ZFS_UBERBLOCKS_OFFSET))
        except OSError:
            return False

    def has_our_label(self, path: str, number: tuple[int, int]) -> bool:
        """See :class:`DeviceProbe`."""
        try:
            with _opened(path, number) as descriptor:
                return has_our_label(lambda offset, length: os.pread(descriptor, length, offset))
        except OSError:
            return False

    def is_writable(self, path: str) -> bool:
        """See :class:`DeviceProbe`."""
        return os.access(path, os.W_OK)


@contextmanager
def _opened(path: str, number: tuple[int, int], flags: int = 0) -> Iterator[int]:
    """A descriptor of the block device (major, minor), read-only; ``OSError`` if ``path`` names another."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISBLK(status.st_mode) or _split(status.st_rdev) != number:
            raise OSError(errno.ENODEV, "its device node names another device")
        yield descriptor
    finally:
        os.close(descriptor)


def _status(path: str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def _split(number: int) -> tuple[int, int]:
    return os.major(number), os.minor(number)
