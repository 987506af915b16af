"""The events of a job as JSON lines, for programs that watch; and several who watch at once."""

from __future__ import annotations

import json
from typing import Any

from rasura_agent.confirm import DriveOutcome
from rasura_agent.console.facts import event_facts, outcome_facts
from rasura_agent.console.screens import TextStream
from rasura_agent.erase.events import Event
from rasura_agent.job import Observer

__all__ = ["EventLines", "Observers"]


class EventLines:
    """An :class:`~rasura_agent.job.Observer` that writes one JSON object a line.

    A reader that goes away stops nothing: the lines end, the job does not.
    """

    def __init__(self, stream: TextStream) -> None:
        self._stream: TextStream | None = stream

    def told(self, event: Event) -> None:
        """Write an event."""
        self._write(event_facts(event))

    def ended(self, outcome: DriveOutcome) -> None:
        """Write how a drive's way ended: the facts of its outcome, with ``"event": "ended"``."""
        self._write({"event": "ended", **outcome_facts(outcome)})

    def _write(self, facts: dict[str, Any]) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(facts, separators=(",", ":")) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None


class Observers:
    """Tells each of several observers everything."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def told(self, event: Event) -> None:
        """Pass on an event."""
        for one in self._observers:
            one.told(event)

    def ended(self, outcome: DriveOutcome) -> None:
        """Pass on an outcome."""
        for one in self._observers:
            one.ended(outcome)
