"""Drives as they come and go: a dock, a backplane, a card reader.

The kernel tells of block devices by events; each is looked at anew, and only what became of drives is told.
The watch is an iterator without an end, which waits for the next change; nothing here holds a drive open.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import pyudev

from rasura.errors import RasuraError
from rasura_agent.inventory.drives import drive_named
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles, Udev

__all__ = ["Appeared", "BlockEvents", "Change", "LocalBlockEvents", "Vanished", "WatchError", "watch_drives"]

_UDEV_RUNS = Path("/run/udev/control")
"""The socket of a running udev; without one the kernel's own events must do."""
_SIZE_WAIT_S = 1.0
"""A drive may be announced before its capacity is read; how long is waited for that."""
_SIZE_TICK_S = 0.05


class WatchError(RasuraError):
    """The kernel's events cannot be listened to."""


class Appeared(msgspec.Struct, frozen=True):
    """A drive is there that was not, or another one under the name of one that is gone."""

    drive: Drive


class Vanished(msgspec.Struct, frozen=True):
    """A drive is gone; ``drive`` is as it was last seen."""

    drive: Drive


Change = Appeared | Vanished


class BlockEvents(Protocol):
    """Tells of block devices of which something changed."""

    def wait(self, timeout_s: float | None) -> str | None:
        """The kernel name of the next one (``sda``); ``None`` if the time was over before."""
        ...


class LocalBlockEvents:
    """Events of this machine's disks, after udev has dealt with them where it runs."""

    def __init__(self) -> None:
        """Listens from here on: look at what is there after this, and nothing is missed between.

        Raises:
            WatchError: there is no libudev, or no socket to be had.
        """
        try:
            context = pyudev.Context()
            self._monitor = pyudev.Monitor.from_netlink(context, "udev" if _UDEV_RUNS.exists() else "kernel")
            self._monitor.filter_by("block", "disk")
            self._monitor.start()
        except (ImportError, OSError) as error:
            raise WatchError(
                f"drives that come and go cannot be watched: {error}", hint="install libudev1"
            ) from None

    def wait(self, timeout_s: float | None) -> str | None:
        """See :class:`BlockEvents`."""
        device = self._monitor.poll(timeout_s)
        return None if device is None else str(device.sys_name).replace("/", "!")


def watch_drives(
    events: BlockEvents,
    files: SystemFiles,
    udev: Udev,
    known: Sequence[Drive] = (),
    *,
    include_loop: bool = False,
    timeout_s: float | None = None,
) -> Iterator[Change]:
    """What becomes of drives, as it happens; ``known`` are those that are there already.

    Without ``timeout_s`` it never ends; with it, when nothing happened for so long.
    """
    present = {_name(drive): drive for drive in known}
    while (name := events.wait(timeout_s)) is not None:
        before = present.get(name)
        now = _settled(name, files, udev, include_loop=include_loop)
        if before is not None and (now is None or _other(before, now)):
            del present[name]
            yield Vanished(before)
            before = None
        if now is not None:
            present[name] = now
            if before is None:
                yield Appeared(now)


def _settled(name: str, files: SystemFiles, udev: Udev, *, include_loop: bool) -> Drive | None:
    """The drive of that name, with its capacity where it gets one soon: spinning up takes a moment."""
    deadline = time.monotonic() + _SIZE_WAIT_S
    while True:
        drive = drive_named(name, files, udev, include_loop=include_loop)
        if drive is None or drive.capacity_bytes or drive.removable or time.monotonic() >= deadline:
            return drive
        time.sleep(_SIZE_TICK_S)


def _other(before: Drive, now: Drive) -> bool:
    """Whether another drive has the name now, or another card is in the reader."""
    if None not in {before.diskseq, now.diskseq} and before.diskseq != now.diskseq:
        return True
    return (before.identity_sha256, before.capacity_bytes) != (now.identity_sha256, now.capacity_bytes)


def _name(drive: Drive) -> str:
    return drive.path.removeprefix("/dev/").replace("/", "!")
