"""The cosignatures of witnesses, by the size of the checkpoint they are under: one SQLite file of its own.

They may be asked for again, so nothing in the log depends on this file: without it receipts are as they were.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rasura.note import VerifierKey
from rasura_registry.errors import StoreError
from rasura_registry.index import Connection

__all__ = ["Cosignatures"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cosignatures (
    size    INTEGER NOT NULL,
    witness TEXT NOT NULL,
    line    TEXT NOT NULL,
    PRIMARY KEY (size, witness)
) STRICT
"""


class Cosignatures:
    """Safe from several threads. Only those of ``witnesses`` count: one that is no longer asked is forgotten.

    Raises:
        StoreError: the file cannot be made or read.
    """

    def __init__(self, path: Path, witnesses: tuple[VerifierKey, ...]) -> None:
        self._names = tuple(one.encode() for one in witnesses)
        try:
            with sqlite3.connect(path) as made:
                made.execute(_SCHEMA)
            made.close()
        except sqlite3.Error as error:
            raise StoreError(f"cannot make {path}: {error}") from error
        self._sqlite = Connection(path, "PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file."""
        self._sqlite.close()

    def add(self, size: int, witness: VerifierKey, line: str) -> None:
        """Keep a witness's signature line under the checkpoint of ``size``; the first one stands.

        Raises:
            StoreError: the database said no.
        """
        self._sqlite.write(
            "INSERT OR IGNORE INTO cosignatures (size, witness, line) VALUES (?, ?, ?)",
            [(size, witness.encode(), line)],
        )

    def under(self, size: int) -> str:
        """The signature lines under the checkpoint of ``size``, in the order of the witnesses' keys."""
        found = self._sqlite.all(
            "SELECT witness, line FROM cosignatures WHERE size = ? ORDER BY witness", size
        )
        return "".join(line for witness, line in found if witness in self._names)

    def covering(self, position: int) -> int | None:
        """The size of the first checkpoint with the entry at ``position`` that all witnesses cosigned.

        Where there is none such, the first that any did.
        """
        if not self._names:
            return None
        marks = ", ".join("?" for _ in self._names)
        query = (
            f"SELECT size FROM cosignatures WHERE size > ? AND witness IN ({marks}) "  # noqa: S608  marks only
            "GROUP BY size HAVING count(*) >= ? ORDER BY size LIMIT 1"
        )
        for enough in dict.fromkeys((len(self._names), 1)):
            row = self._sqlite.one(query, position, *self._names, enough)
            if row is not None:
                return int(row[0])
        return None
