"""The line to one drive during a technique: sends commands, keeps the record, carries the clock.

What a technique ends in is a :class:`TechniqueEnd`. Its disposition is the drive's word only; the
engine still looks for its markers before it says ERASED.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from rasura_agent.clock import Clock
from rasura_agent.drive.port import Command, Completion, Disposition, DrivePort

__all__ = ["CommandRecord", "Intent", "Journal", "Line", "Running", "TechniqueEnd"]


class CommandRecord(msgspec.Struct, frozen=True):
    """One command, sent ``at_s`` seconds after the technique began, answered ``took_s`` seconds later."""

    name: str
    at_s: float
    took_s: float
    disposition: Disposition
    detail: str


class Running(msgspec.Struct, frozen=True):
    """A device command is at work: ``fraction`` of 1 by the drive's word, ``None`` where it tells nothing."""

    fraction: float | None
    elapsed_s: float
    estimate_s: float | None


class TechniqueEnd(msgspec.Struct, frozen=True):
    """How a technique ended.

    ``DONE``: the drive accepted it in this run, was followed to its end, and took a plausible time.
    ``REFUSED``: nothing was changed, the next technique may be tried. ``UNKNOWN``: anything else,
    failures included; ``reason`` is a sentence. ``state`` is the standard's own name of the state
    the drive was left in (SD4, SEC1, …) where there is one.
    """

    disposition: Disposition
    reason: str
    state: str | None
    records: tuple[CommandRecord, ...]
    duration_s: float


class Intent(msgspec.Struct, frozen=True):
    """What a technique was about to do to a drive when it was written down."""

    drive_identity: str
    technique: str


class Journal(Protocol):
    """Written ahead of commands whose traces survive a power cut; each call is durable when it returns.

    Raises ``RasuraError`` where it cannot be made durable: then the technique must not begin.
    """

    def intend(self, intent: Intent) -> None:
        """Remember ``intent``; doing so again is harmless."""
        ...

    def settle(self, intent: Intent) -> None:
        """Forget it: its traces are gone from the drive."""
        ...

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:
        """What earlier runs began on this drive and did not settle."""
        ...


@dataclass(slots=True)
class Line:
    """A drive port with a record and a clock.

    ``watch`` hears of progress and answers with why to stop, or ``None`` to go on.
    """

    port: DrivePort
    clock: Clock
    watch: Callable[[Running], str | None]
    records: list[CommandRecord] = field(default_factory=list)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the line was opened."""
        return self.clock.monotonic() - self.began

    def execute(self, command: Command) -> Completion:
        """Send ``command``, keep its record, hand back the completion."""
        at = self.elapsed_s
        completion = self.port.execute(command)
        took = self.elapsed_s - at
        self.records.append(CommandRecord(command.name, at, took, completion.disposition, completion.detail))
        return completion

    def end(self, disposition: Disposition, reason: str, state: str | None = None) -> TechniqueEnd:
        """The technique's end, with everything that was said on this line."""
        return TechniqueEnd(disposition, reason, state, tuple(self.records), self.elapsed_s)
