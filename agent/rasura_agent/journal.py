"""Journals on disk, for after a power cut: what was about to be done to a drive, and how far that came.

One small file an intent, ``IDENTITY-TECHNIQUE.json``, so that writing and forgetting are each one
durable step. Two files a drive for the progress of its overwrite, ``IDENTITY.progress-0`` and ``-1``:
renaming is not atomic on FAT, so the one that was written last is never the one that is replaced.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rasura import durable, strict_json
from rasura.errors import RasuraError
from rasura_agent.erase.firmware.line import Intent
from rasura_agent.erase.progress_record import Generation, Loaded, ProgressRecord, encode, newest

__all__ = ["FileJournal", "FileProgress", "JournalError"]


class JournalError(RasuraError):
    """The journal cannot be written: what depends on it must not begin."""


class FileJournal:
    """A :class:`~rasura_agent.erase.firmware.line.Journal` in a folder that survives the power."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def intend(self, intent: Intent) -> None:
        """Write the intent down; durable when this returns."""
        body = strict_json.dumps({"drive": intent.drive_identity, "technique": intent.technique})
        try:
            _write(self._path(intent), body)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal {self.folder}: {error.strerror}",
                hint="the drive is left alone: after a power cut nobody would know what was begun",
            ) from None

    def settle(self, intent: Intent) -> None:
        """Forget the intent; a file that stays is read as unsettled, which does no harm."""
        with contextlib.suppress(OSError):
            self._path(intent).unlink(missing_ok=True)
            durable.sync_folder(self.folder)

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:
        """What was begun on this drive and not settled; damaged files are passed over."""
        found = []
        try:
            paths = sorted(self.folder.glob(f"{drive_identity}-*.json"))
        except OSError:
            return ()
        for path in paths:
            with contextlib.suppress(OSError, RasuraError):
                match strict_json.loads(path.read_bytes(), what=path.name):
                    case {"drive": str(drive), "technique": str(technique)} if drive == drive_identity:
                        found.append(Intent(drive, technique))
        return tuple(found)

    def _path(self, intent: Intent) -> Path:
        return self.folder / f"{intent.drive_identity}-{intent.technique}.json"


class FileProgress:
    """A :class:`~rasura_agent.erase.progress_record.ProgressStore` in a folder that survives the power."""

    def __init__(self, folder: Path, *, forgetful: bool = False) -> None:
        """``forgetful``: what earlier boots left is passed over, and replaced by what this one begins."""
        self.folder, self._forgetful = folder, forgetful

    def save(self, record: ProgressRecord, sequence: int | None = None) -> None:
        """Keep the record; ``sequence`` is the next one here unless it is given.

        Raises:
            JournalError: it is not durable; the record before it still is.
        """
        identity = record.drive_identity
        if sequence is None:
            before = self.newest(identity)
            sequence = 1 + (before.sequence if before is not None else 0)
        try:
            _write(self._paths(identity)[sequence % 2], encode(record, sequence))
        except OSError as error:
            raise JournalError(f"cannot write the journal {self.folder}: {error.strerror}") from None

    def load(self, drive_identity: str) -> Loaded:
        """The newest whole record."""
        if self._forgetful:
            return Loaded(None)
        found = self.newest(drive_identity)
        if found is not None and found.record.drive_identity == drive_identity:
            return Loaded(found.record)
        return Loaded(None, damaged=any(path.exists() for path in self._paths(drive_identity)))

    def newest(self, drive_identity: str) -> Generation | None:
        """The generation that counts."""
        raws = []
        for path in self._paths(drive_identity):
            with contextlib.suppress(OSError):
                raws.append(path.read_bytes())
        return newest(raws)

    def forget(self, drive_identity: str) -> None:
        """Let go of both generations, and of what a cut may have left of a third."""
        with contextlib.suppress(OSError):
            torn = list(self.folder.glob(f".{drive_identity}.progress-*"))
            for path in (*self._paths(drive_identity), *torn):
                path.unlink(missing_ok=True)
            durable.sync_folder(self.folder)

    def _paths(self, drive_identity: str) -> tuple[Path, Path]:
        return (
            self.folder / f"{drive_identity}.progress-0",
            self.folder / f"{drive_identity}.progress-1",
        )


def _write(path: Path, data: bytes) -> None:
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        durable.sync_folder(folder.parent)
    durable.write_file(path, data)
