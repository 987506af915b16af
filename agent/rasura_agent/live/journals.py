"""The journal of a live station: on the stick where there is one, otherwise in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rasura_agent.erase.firmware.line import Intent
from rasura_agent.journal import FileJournal

__all__ = ["LiveJournal"]


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
