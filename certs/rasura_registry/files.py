"""The port to the files of the data folder, and its only real implementation."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from rasura import durable
from rasura_registry.errors import LogDamagedError, StoreError

__all__ = ["DurableFiles", "Files", "body_name"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Files(Protocol):
    """Files by their name relative to the data folder, such as ``tile/0/000``.

    Every method raises :class:`StoreError` when the file system says no. After a call that raised,
    the file may be there or not, but never in part.
    """

    def create_all(self, files: Mapping[str, bytes]) -> None:
        """Make immutable files, all durable when this returns; one that is there already is fine.

        When it raises, any of them may be there.

        Raises:
            LogDamagedError: one is there with other content.
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

    def create_all(self, files: Mapping[str, bytes]) -> None:
        """See :class:`Files`."""
        written: list[_Written] = []
        try:
            for name, data in files.items():
                with _as_store_error("write", name):
                    written.append(self._write(name, data))
            # Only now: the disk has worked on all of them meanwhile, and one commit serves many.
            for one in written:
                with _as_store_error("write", one.path.name):
                    os.fsync(one.descriptor)
            for one in written:
                with _as_store_error("write", one.path.name):
                    one.rename()
            for folder in dict.fromkeys(one.path.parent for one in written):
                with _as_store_error("write", folder.name):
                    durable.sync_folder(folder)
        finally:
            for one in written:
                one.close()

    def _write(self, name: str, data: bytes) -> _Written:
        """Write a file under a temporary name, or find it there; not durable yet."""
        path = self._root / name
        self._ensure_folder(path.parent)
        there = self.read(name)
        if there is not None:
            if there != data:
                raise LogDamagedError(f"{name} is there with other content, and such files never change")
            # Whoever wrote it may have died before it was durable.
            return _Written(path, None, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        written = _Written(path, temporary, os.open(temporary, flags, 0o644))
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(written.descriptor, rest) :]
            # Linux begins to write the pages out, so that the fsync later finds little left to do.
            os.posix_fadvise(written.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except BaseException:
            written.close()
            raise
        return written

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
        """Make ``folder`` and its name durable. That it exists is no proof: see :meth:`_write`."""
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
    return f"bodies/{sha256[:1]}/{sha256}.json"


class _Written(msgspec.Struct):
    """A file on its way: its open descriptor, and its temporary name until it is renamed to ``path``."""

    path: Path
    temporary: Path | None
    descriptor: int

    def rename(self) -> None:
        """Give it its name, if it has not got it."""
        if self.temporary is not None:
            self.temporary.replace(self.path)
            self.temporary = None

    def close(self) -> None:
        """Let go of it; if it was not renamed, remove it."""
        os.close(self.descriptor)
        if self.temporary is not None:
            with suppress(OSError):
                self.temporary.unlink()


@contextmanager
def _as_store_error(verb: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot {verb} {name}: {error.strerror}", full=error.errno in _NO_ROOM) from error
