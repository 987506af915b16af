"""The ports through which the inventory sees the running system. Tests put made-up machines behind them.

Paths are absolute and use ``/``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Protocol

import msgspec

from rasura_agent.inventory.machine_model import Sensor

__all__ = [
    "Attempt",
    "CommandError",
    "Commands",
    "DeviceProbe",
    "FileId",
    "LoopBacking",
    "Opening",
    "Ran",
    "Sensors",
    "Sources",
    "SystemFiles",
    "Udev",
    "optional_text",
]

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})
"""The kernel has no such file, or the device whose file it was has just been removed."""


class SystemFiles(Protocol):
    """Reading from ``/sys`` and ``/proc``. Every method raises ``OSError`` as the kernel does."""

    def read_bytes(self, path: str) -> bytes:
        """The whole content of a file."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """The names in a folder, sorted."""
        ...

    def real_path(self, path: str) -> str:
        """``path`` with all symbolic links resolved; ``FileNotFoundError`` where it leads nowhere."""
        ...


class Udev(Protocol):
    """What udev knows of a block device."""

    def properties(self, number: tuple[int, int]) -> Mapping[str, str]:
        """The properties of the device (major, minor); empty where udev does not run or does not know it."""
        ...

    def properties_at(self, place: str) -> Mapping[str, str]:
        """The properties of the device whose folder in sysfs is ``place`` (a real path); empty likewise."""
        ...


class CommandError(Exception):
    """A command could not be run, or did not end in its time; the sentence says which and why."""


class Ran(msgspec.Struct, frozen=True):
    """How a command ended, with whatever it said."""

    status: int
    """Its exit status; negative is the signal that ended it."""
    stdout: bytes
    stderr: bytes = b""


class Commands(Protocol):
    """Runs programs of the system."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Ran:
        """Run a program found by its bare name; a status that is not 0 is an answer like others.

        Raises:
            CommandError: it is not installed, cannot be started, or was stopped after ``timeout_s``.
        """
        ...


class Sensors(Protocol):
    """The sensors of the machine."""

    def read(self) -> tuple[Sensor, ...]:
        """What they say now; empty where there are none."""
        ...


FileId = tuple[tuple[int, int], int]
"""A file: (major, minor) of its filesystem as stat tells it, and its inode number."""


class Opening(Enum):
    """What came of trying to open a block device exclusively."""

    FREE = "free"
    BUSY = "busy"
    UNKNOWN = "unknown"


class Attempt(msgspec.Struct, frozen=True):
    """An exclusive open that was tried; ``reason`` says in words why it is unknown."""

    opening: Opening
    reason: str = ""


class LoopBacking(msgspec.Struct, frozen=True):
    """What a loop device stands on, by numbers, which hold even where its path means nothing to us."""

    file: FileId
    device: tuple[int, int] | None
    """The block device, if it stands on one."""


class DeviceProbe(Protocol):
    """Questions to device nodes and files. No method raises; what cannot be asked is unknown."""

    def try_exclusive(self, path: str, number: tuple[int, int]) -> Attempt:
        """Open the block device (major, minor) at ``path`` exclusively, for reading, and close it again."""
        ...

    def node_number(self, path: str) -> tuple[int, int] | None:
        """(major, minor) of the block device node ``path``; ``None`` if it is none or cannot be asked."""
        ...

    def file_id(self, path: str) -> FileId | None:
        """Which file ``path`` is."""
        ...

    def loop_backing(self, path: str, number: tuple[int, int]) -> LoopBacking | None:
        """What the loop device (major, minor) at ``path`` stands on."""
        ...

    def has_zfs_label(self, path: str, number: tuple[int, int]) -> bool:
        """Whether the block device carries a ZFS label."""
        ...

    def has_our_label(self, path: str, number: tuple[int, int]) -> bool:
        """Whether the block device carries a volume of a Rasura stick (``inventory/labels.py``)."""
        ...

    def is_writable(self, path: str) -> bool:
        """Whether the file ``path`` may be written."""
        ...


class Sources(msgspec.Struct, frozen=True):
    """All that a machine can be seen through: the running one (``local.py``), or a capture of one."""

    files: SystemFiles
    udev: Udev
    commands: Commands
    probe: DeviceProbe
    sensors: Sensors
    missing: Callable[[], tuple[str, ...]] = tuple
    """Sentences about what a capture did not hold and was asked for; a running machine misses nothing."""


def optional_text(files: SystemFiles, path: str) -> str | None:
    """The content of a small text file without spaces around it; ``None`` where there is none.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return files.read_bytes(path).decode("utf-8", "replace").strip()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
