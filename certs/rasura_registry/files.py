"""The port to the files of the data folder, and its only real implementation."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rasura import durable
from rasura_registry.errors import LogDamagedError, StoreError

__all__ = ["DurableFiles", "Files", "body_name"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Files(Protocol):
    """Files by their name relative to the data folder, such as ``tile/0/000``.

    Every method raises :class:`StoreError` when the file system says no. After a call that raised,
    the file may be there or not, but never in part.
    """

    def create(self, name: str, data: bytes) -> None:
        """Make an immutable file, durable when this returns; the same again is fine.

        Raises:
            LogDamagedError: the file is there with other content.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Put a file in place of an older one in one step, durable when this returns."""

    def read(self, name: str) -> bytes | None:
        """The content, or None when there is no such file."""

    def remove_folder(self, name: str) -> None:
        """Remove a folder and its files, if it is there."""


class DurableFiles:
    """Files under ``root`` on a POSIX file system; safe from several threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders = {root}
        self._folders_lock = threading.Lock()

    def create(self, name: str, data: bytes) -> None:
        """See :class:`Files`."""
        path = self._root / name
        with _as_store_error("write", name):
            self._ensure_folder(path.parent)
            if self.read(name) is None:
                durable.write_file(path, data)
                return
            # Whoever wrote it may have died, or may be about to, before it was durable.
            _sync_file(path)
            durable.sync_folder(path.parent)
        if self.read(name) != data:
            raise LogDamagedError(f"{name} is there with other content, and such files never change")

    def replace(self, name: str, data: bytes) -> None:
        """See :class:`Files`."""
        with _as_store_error("write", name):
            durable.write_file(self._root / name, data)

    def read(self, name: str) -> bytes | None:
        """See :class:`Files`."""
        with _as_store_error("read", name):
            try:
                return (self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def remove_folder(self, name: str) -> None:
        """See :class:`Files`."""
        self._folders.discard(self._root / name)
        with _as_store_error("remove", name):
            try:
                shutil.rmtree(self._root / name)
            except FileNotFoundError:
                return

    def _ensure_folder(self, folder: Path) -> None:
        """Make ``folder`` and its name durable. That it exists is no proof: see :meth:`create`."""
        if folder in self._folders:
            return
        with self._folders_lock:
            missing = []
            while folder not in self._folders:
                missing.append(folder)
                folder = folder.parent
            for one in reversed(missing):
                one.mkdir(exist_ok=True)
                durable.sync_folder(one.parent)
                self._folders.add(one)


def body_name(sha256: str) -> str:
    """Where the bytes of a submission with that digest (hexadecimal) are kept."""
    return f"bodies/{sha256[:2]}/{sha256}.json"


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _as_store_error(verb: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot {verb} {name}: {error.strerror}", full=error.errno in _NO_ROOM) from error
