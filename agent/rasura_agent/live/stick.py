"""Making the data partition on the stick that this system was booted from, and on nothing else.

What says that it is that stick: its ISO 9660 volume is called RASURA, and the build named on it is the
one that is running. The device stays open from the first question to the last write, so that its name
cannot come to mean another one; and the table is only appended to, read back and compared before
anything is put into the new partition.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.console.language import _
from rasura_agent.drive.transport.block_ioctl import add_partition, logical_sector_bytes
from rasura_agent.inventory.labels import DATA_LABEL, IMAGE_LABEL, fat32_labels, iso9660_label
from rasura_agent.live.boot_facts import Build, parse_build
from rasura_agent.live.gpt import SECTOR_BYTES, GptError, Partition, Read, grow, parse_table
from rasura_agent.live.iso9660 import read_file

__all__ = ["RawStick", "StickError", "append_data_partition", "make_data_partition"]

_COMMAND_S = 120.0
_NODE_S = 10.0
_BUILD_FILE = ("rasura", "build.json")


class StickError(RasuraError):
    """The stick stays as it is, or what was done to it is not what was meant."""


class RawStick(Protocol):
    """A whole stick as bytes. Every method raises ``OSError`` as the kernel does."""

    @property
    def size_bytes(self) -> int:
        """Of all of it."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """What is on the medium; fewer bytes at its end."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Durable when this returns."""
        ...


def append_data_partition(stick: RawStick, build: Build, unique: bytes) -> Partition:
    """Append the data partition to the live image ``build`` on ``stick``; returns its entry.

    ``unique`` is 16 random bytes for its GUID.

    Raises:
        StickError: it is not the stick with that image, has a data partition, or forgets.
        GptError: there is no room, or the table is not the live image's.
        OSError: it cannot be read or written.
    """
    if iso9660_label(stick.read) != IMAGE_LABEL:
        raise StickError(_("this is not a stick with the live image"))
    _require_same_build(stick, build)
    before = parse_table(stick.read)
    for partition in before.partitions:
        if DATA_LABEL in fat32_labels(_within(stick, partition.first * SECTOR_BYTES)):
            raise StickError(_("this stick has a data partition already"))
    growth = grow(before, stick.size_bytes // SECTOR_BYTES, unique, DATA_LABEL)
    for offset, data in growth.writes:
        stick.write(offset, data)
    after = parse_table(stick.read)
    if after.partitions != (*before.partitions, growth.new):
        raise StickError(_("the stick does not keep its partition table: it may be broken"))
    return growth.new


def _within(stick: RawStick, base: int) -> Read:
    return lambda offset, length: stick.read(base + offset, length)


class _LocalStick:
    """A :class:`RawStick` on an open block device."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.lseek(descriptor, 0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return os.pread(self._descriptor, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, offset)
            offset, data = offset + written, data[written:]
        os.fsync(self._descriptor)


def make_data_partition(disk: str, build: Build, clock: Clock) -> str:
    """Make the data partition on the stick ``disk`` (a device node); returns the node of the partition.

    ``build`` is the one that is running.

    Raises:
        RasuraError: it is not the stick we were booted from, or it could not be done.
    """
    try:
        # Exclusively: nothing of it is in use, and nothing of it comes into use meanwhile.
        with _opened(disk, os.O_RDWR | os.O_EXCL) as descriptor:
            if logical_sector_bytes(descriptor) != SECTOR_BYTES:
                raise GptError(_("the stick has sectors of another size than the live image is made for"))
            new = append_data_partition(_LocalStick(descriptor), build, secrets.token_bytes(16))
            # The kernel is told of this one alone, so that it need not let go of the others.
            start, length = new.first * SECTOR_BYTES, (new.last - new.first + 1) * SECTOR_BYTES
            add_partition(descriptor, new.index + 1, start, length)
            number = os.fstat(descriptor).st_rdev
            name = _partition_name(number, new, clock)
            held = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _format(held, name)
        finally:
            os.close(held)
    except OSError as error:
        raise StickError(
            _("no data partition could be made on {disk}: {reason}").format(
                disk=disk, reason=error.strerror or error
            )
        ) from None
    return f"/dev/{name}"


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        if not stat.S_ISBLK(os.fstat(descriptor).st_mode):
            raise StickError(_("{path} is no block device").format(path=path))
        yield descriptor
    finally:
        os.close(descriptor)


def _require_same_build(stick: RawStick, build: Build) -> None:
    raw = read_file(stick.read, *_BUILD_FILE)
    on_stick = parse_build(raw) if raw is not None else None
    if on_stick is None or not on_stick.is_sound or on_stick.build_hash != build.build_hash:
        raise StickError(_("the stick holds another build than the one that is running: it is left as it is"))


def _format(held: int, name: str) -> None:
    """Make the filesystem in the partition open as ``held``, which the kernel calls ``name``."""
    number = os.fstat(held).st_rdev
    if _text(Path(f"/sys/class/block/{name}/dev")) != f"{os.major(number)}:{os.minor(number)}":
        raise StickError(_("{path} is not the new partition").format(path=f"/dev/{name}"))
    # By the open descriptor: whatever else may come to be called so is not reached.
    _run("mkfs.vfat", "-F", "32", "-n", DATA_LABEL, f"/proc/self/fd/{held}", keep=held)


def _partition_name(number: int, new: Partition, clock: Clock) -> str:
    """The kernel's name of the new partition, once the kernel and udev have made it."""
    disk = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    wanted = (str(new.index + 1), str(new.first), str(new.last - new.first + 1))
    deadline = clock.monotonic() + _NODE_S
    while clock.monotonic() < deadline:
        for folder in disk.glob("*/partition"):
            found = tuple(_text(folder.parent / name) for name in ("partition", "start", "size"))
            if found == wanted and Path(f"/dev/{folder.parent.name}").is_block_device():
                return folder.parent.name
        clock.sleep(0.2)
    raise StickError(_("the kernel does not show the new partition: pull the stick out and plug it in again"))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _run(*command: str, keep: int) -> None:
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            pass_fds=(keep,),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StickError(_("{command} failed: {reason}").format(command=command[0], reason=error)) from None
    if done.returncode:
        reason = done.stderr.strip() or done.returncode
        raise StickError(_("{command} failed: {reason}").format(command=command[0], reason=reason))
