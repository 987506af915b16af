"""The journals of a live station: on the stick where there is one, otherwise in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rasura_agent.erase.firmware.line import Intent
from rasura_agent.erase.progress_record import Loaded, ProgressRecord
from rasura_agent.journal import FileJournal, FileProgress

__all__ = ["LiveJournal", "LiveProgress"]


class LiveJournal:
    """A :class:`~rasura_agent.erase.firmware.line.Journal` that reads in both places.

    A drive begun without a stick is recognised when one is there later in the same boot; in memory a journal
    survives the agent, and on the stick the power too.
    """

    def __init__(self, memory: Path, stick: Callable[[], Path | None]) -> None:
        """``memory`` and what ``stick`` returns are folders for intents."""
        self._memory, self._stick = memory, stick

    def intend(self, intent: Intent) -> None:
        """Write the intent down in the better place; raises ``JournalError``."""
        self._places()[0].intend(intent)

    def settle(self, intent: Intent) -> None:
        """Forget the intent everywhere."""
        for place in self._places():
            place.settle(intent)

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:
        """What was begun on this drive and not settled, by any place."""
        found = [intent for place in self._places() for intent in place.open_intents(drive_identity)]
        return tuple(dict.fromkeys(found))

    def _places(self) -> tuple[FileJournal, ...]:
        stick = self._stick()
        memory = FileJournal(self._memory)
        return (memory,) if stick is None else (FileJournal(stick), memory)


class LiveProgress:
    """A :class:`~rasura_agent.erase.progress_record.ProgressStore` that reads in both places.

    Sequence numbers run on over both, so that a stick which comes or goes in the middle of an erasure never
    has an older record taken for the newest.
    """

    def __init__(self, memory: Path, stick: Callable[[], Path | None]) -> None:
        """``memory`` and what ``stick`` returns are folders for records."""
        self._memory, self._stick = memory, stick
        self._last = 0
        """The highest sequence number used: a stick that is away cannot be asked for it."""

    def save(self, record: ProgressRecord) -> None:
        """Keep the record in the better place; raises ``JournalError``."""
        places = self._places()
        newest = (place.newest(record.drive_identity) for place in places)
        sequence = 1 + max([self._last, *(one.sequence for one in newest if one is not None)])
        places[0].save(record, sequence)
        self._last = sequence

    def load(self, drive_identity: str) -> Loaded:
        """The newest whole record of any place."""
        places = self._places()
        whole = [one for one in (place.newest(drive_identity) for place in places) if one is not None]
        if whole:
            return Loaded(max(whole, key=lambda one: one.sequence).record)
        return Loaded(None, damaged=any(place.load(drive_identity).damaged for place in places))

    def forget(self, drive_identity: str) -> None:
        """Let go of it everywhere."""
        for place in self._places():
            place.forget(drive_identity)

    def _places(self) -> tuple[FileProgress, ...]:
        stick = self._stick()
        memory = FileProgress(self._memory)
        return (memory,) if stick is None else (FileProgress(stick), memory)
