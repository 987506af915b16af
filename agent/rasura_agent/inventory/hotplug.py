"""Following the drives of the machine in a thread of its own, for all who want to know of changes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rasura.errors import RasuraError
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.local import LocalFiles, LocalUdev
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import number
from rasura_agent.inventory.watch import Change, LocalBlockEvents, watch_drives

__all__ = ["DriveWatch", "followed_drives", "is_gone", "local_drive_watch"]

Listener = Callable[[Change], None]


def is_gone(drive: Drive, files: SystemFiles) -> bool:
    """Whether the kernel shows the drive no more: nothing has its name, or another drive does.

    A capacity of nothing is no sign but of a medium pulled out of its reader: a drive that formats itself
    may show none. What cannot be asked is not gone.
    """
    if drive.device_number is None:
        return False
    folder = f"/sys/block/{drive.path.removeprefix('/dev/').replace('/', '!')}"
    try:
        place = files.real_path(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    diskseq = number(files, f"{place}/diskseq")
    if None not in {diskseq, drive.diskseq} and diskseq != drive.diskseq:
        return True
    return bool(drive.removable and drive.capacity_bytes and number(files, f"{place}/size") == 0)


class DriveWatch:
    """Tells its listeners what becomes of drives, from a thread of its own."""

    def __init__(self, start: Callable[[], Iterator[Change]], files: SystemFiles) -> None:
        """``start`` begins to follow the drives, and may raise ``RasuraError``; it is called once."""
        self._start, self._files = start, files
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._begun = False
        self.problem: str | None = None
        """Why drives cannot be followed, once somebody has listened; they can be asked for all the same."""

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Within, ``listener`` is called with every change, from the watch's own thread."""
        with self._lock:
            self._listeners.append(listener)
            self._begin()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def is_gone(self, drive: Drive) -> bool:
        """See :func:`is_gone`."""
        return is_gone(drive, self._files)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        try:
            changes = self._start()
        except RasuraError as error:
            self.problem = str(error)
            return
        # A daemon: it waits for the kernel without end.
        threading.Thread(target=self._follow, args=(changes,), name="drive-watch", daemon=True).start()

    def _follow(self, changes: Iterator[Change]) -> None:
        with contextlib.suppress(OSError):  # the socket is gone: nothing more is told
            for change in changes:
                with self._lock:
                    listeners = tuple(self._listeners)
                for listener in listeners:
                    listener(change)


def followed_drives() -> tuple[tuple[Drive, ...], Iterator[Change]]:
    """The drives of this machine, and what becomes of them from here on; raises ``RasuraError``."""
    events = LocalBlockEvents()  # before the drives are listed, so that none is missed between
    files, udev = LocalFiles(), LocalUdev()
    drives = enumerate_drives(files, udev).drives
    return drives, watch_drives(events, files, udev, drives)


def local_drive_watch() -> DriveWatch:
    """The watch of this machine."""
    return DriveWatch(lambda: followed_drives()[1], LocalFiles())
