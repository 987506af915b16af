"""Intents on disk: what was about to be done to a drive whose traces survive a power cut.

One small file an intent, ``IDENTITY-TECHNIQUE.json``, so that writing and forgetting are each one
durable step.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rasura import durable, strict_json
from rasura.errors import RasuraError
from rasura_agent.erase.firmware.line import Intent

__all__ = ["FileJournal", "JournalError"]


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
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                durable.sync_folder(self.folder.parent)
            durable.write_file(self._path(intent), body)
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
