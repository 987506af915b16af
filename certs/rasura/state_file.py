"""A small file that one process at a time may change, and that is there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasura import durable
from rasura.errors import RefusedError, UsageError
from rasura.lock_file import take_lock

__all__ = ["StateFile", "StateInUseError"]

_MOST_BYTES = 1 << 20


class StateInUseError(RefusedError):
    """Another process holds the file."""


class StateFile:
    """The file at ``path``; ``what`` names it in sentences, ``mode`` is that of a new one."""

    def __init__(self, path: Path, what: str, *, mode: int = 0o644) -> None:
        self.path = path
        self._what = what
        self._mode = mode

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process from it; the kernel lets go when this one ends.

        Raises:
            StateInUseError: another process holds it.
            UsageError: it cannot be held.
        """
        path = self.path.with_name(f".{self.path.name}.lock")
        try:
            descriptor = take_lock(path)
        except BlockingIOError:
            raise StateInUseError(
                f"another process is using {self._what} at {self.path}",
                hint="one of them at a time: end the other, or name another file",
            ) from None
        except OSError as error:
            raise UsageError(f"{self._what} cannot be kept at {self.path}: {error.strerror}") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def read(self) -> bytes | None:
        """What it holds; ``None`` if it is not there. Raises :class:`UsageError`."""
        try:
            with self.path.open("rb") as stream:
                raw = stream.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self._what} cannot be read at {self.path}: {error.strerror}") from None
        if len(raw) > _MOST_BYTES:
            raise UsageError(f"{self.path} has more than {_MOST_BYTES} bytes: it is not {self._what}")
        return raw

    def write(self, raw: bytes) -> None:
        """Put ``raw`` in its place, durable when this returns. Raises :class:`UsageError`."""
        try:
            durable.write_file(self.path, raw, mode=self._mode)
        except OSError as error:
            raise UsageError(f"{self._what} cannot be written to {self.path}: {error.strerror}") from None
