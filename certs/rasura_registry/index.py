"""The index: one SQLite file that decides which entry stands where, and keeps every signed checkpoint.

Its commit is the moment an entry is in the log. Bodies and tiles are files; the index only orders them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from rasura_registry.errors import StoreError

__all__ = ["Connection", "Index", "Sequenced", "SqliteIndex", "create_index"]

_SCHEMA_VERSION = 1
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE entries (
    position    INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    entry       BLOB NOT NULL,
    body_sha256 TEXT NOT NULL
) STRICT;
CREATE INDEX revocations ON entries (position) WHERE kind = 'revocation';
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
) STRICT;
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""


class Sequenced(msgspec.Struct, frozen=True):
    """One entry in its place: zero-based position, id and kind, leaf bytes, digest of the body (hex)."""

    position: int
    id: str
    kind: str
    entry: bytes
    body_sha256: str


class Index(Protocol):
    """What the log asks of its index.

    Every method raises :class:`StoreError` when the database says no. After a write that raised,
    the write may have happened or not, but never in part.
    """

    def append(self, rows: Sequence[Sequenced]) -> None:
        """Commit ``rows``, all or none, durable when this returns."""

    def add_checkpoint(self, size: int, note: str) -> None:
        """Commit the signed checkpoint of ``size``, durable when this returns."""

    def sequenced(self) -> int:
        """How many entries there are."""

    def find(self, certificate_id: str) -> Sequenced | None:
        """The entry of that certificate, if it is there."""

    def rows(self, start: int, stop: int) -> list[Sequenced]:
        """The entries at positions ``start`` to ``stop``, in order."""

    def revocations(self) -> list[Sequenced]:
        """The entries that are revocations, in order."""

    def last_checkpoint(self) -> str | None:
        """The signed checkpoint of the largest size."""

    def checkpoint_at(self, size: int) -> str | None:
        """The signed checkpoint of exactly ``size``."""

    def checkpoint_covering(self, position: int) -> str | None:
        """The earliest signed checkpoint that holds the entry at ``position``."""


def create_index(path: Path) -> None:
    """Make an empty index; raises :class:`StoreError`."""
    with _as_store_error("make"):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.executescript(_SCHEMA)
        finally:
            connection.close()


class SqliteIndex:
    """The index in a SQLite file: WAL, synchronous FULL, one writer; safe from several threads.

    Raises:
        StoreError: the file is missing, not an index, or of another version.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreError(f"there is no index at {path}")
        self._writer = Connection(path, "PRAGMA synchronous = FULL")
        try:
            self._reader = Connection(path, "PRAGMA query_only = ON")
        except StoreError:
            self._writer.close()
            raise
        try:
            (version,) = self._reader.one("PRAGMA user_version") or (None,)
        except StoreError:
            self.close()
            raise
        if version != _SCHEMA_VERSION:
            self.close()
            raise StoreError(f"{path} is not an index of version {_SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._writer.close()

    def append(self, rows: Sequence[Sequenced]) -> None:
        """See :class:`Index`."""
        self._writer.write(
            "INSERT INTO entries (position, id, kind, entry, body_sha256) VALUES (?, ?, ?, ?, ?)",
            [(row.position, row.id, row.kind, row.entry, row.body_sha256) for row in rows],
        )

    def add_checkpoint(self, size: int, note: str) -> None:
        """See :class:`Index`."""
        self._writer.write("INSERT INTO checkpoints (size, note) VALUES (?, ?)", [(size, note)])

    def sequenced(self) -> int:
        """See :class:`Index`."""
        (last,) = self._reader.one("SELECT max(position) FROM entries") or (None,)
        return 0 if last is None else int(last) + 1

    def find(self, certificate_id: str) -> Sequenced | None:
        """See :class:`Index`."""
        row = self._reader.one(f"{_SELECT_ENTRY} WHERE id = ?", certificate_id)
        return Sequenced(*row) if row else None

    def rows(self, start: int, stop: int) -> list[Sequenced]:
        """See :class:`Index`."""
        found = self._reader.all(
            f"{_SELECT_ENTRY} WHERE position >= ? AND position < ? ORDER BY position", start, stop
        )
        return [Sequenced(*row) for row in found]

    def revocations(self) -> list[Sequenced]:
        """See :class:`Index`."""
        found = self._reader.all(f"{_SELECT_ENTRY} WHERE kind = 'revocation' ORDER BY position")
        return [Sequenced(*row) for row in found]

    def last_checkpoint(self) -> str | None:
        """See :class:`Index`."""
        return self._note("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1")

    def checkpoint_at(self, size: int) -> str | None:
        """See :class:`Index`."""
        return self._note("SELECT note FROM checkpoints WHERE size = ?", size)

    def checkpoint_covering(self, position: int) -> str | None:
        """See :class:`Index`."""
        return self._note("SELECT note FROM checkpoints WHERE size > ? ORDER BY size LIMIT 1", position)

    def checkpoints(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Up to ``limit`` signed checkpoints of sizes above ``after``, with their sizes, in order."""
        return self._reader.all(
            "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?", after, limit
        )

    def _note(self, query: str, *values: int) -> str | None:
        row = self._reader.one(query, *values)
        return str(row[0]) if row else None


_SELECT_ENTRY = "SELECT position, id, kind, entry, body_sha256 FROM entries"


class Connection:
    """One SQLite connection, one user at a time."""

    def __init__(self, path: Path, pragma: str) -> None:
        self._lock = threading.Lock()
        with _as_store_error("open"):
            self._sqlite = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            try:
                self._sqlite.execute(pragma)
            except sqlite3.Error:
                self._sqlite.close()
                raise

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._sqlite.close()

    def one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        """The first row, if there is one; raises :class:`StoreError`."""
        rows = self.all(query, *values)
        return rows[0] if rows else None

    def all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows; raises :class:`StoreError`."""
        with self._lock, _as_store_error("read"):
            return self._sqlite.execute(query, values).fetchall()

    def write(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for all rows or none, committed when this returns; raises :class:`StoreError`."""
        with self._lock, _as_store_error("write"):
            self._sqlite.execute("BEGIN IMMEDIATE")
            try:
                self._sqlite.executemany(statement, rows)
                self._sqlite.execute("COMMIT")
            except BaseException:
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
                raise


@contextmanager
def _as_store_error(verb: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        raise StoreError(f"cannot {verb} the index: {error}", full=full) from error
