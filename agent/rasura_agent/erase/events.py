"""What is going on, as one stream of frozen events; ``agent/decisions/events.md`` says who hears it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Continues", "Event", "Noted", "Paused", "Phase", "Progress"]


class Phase(StrEnum):
    """The part of a drive's way that is running."""

    WRITE = "write"
    MARK = "mark"
    """Before a device command: samples are read and marks written; ``total`` is what the samples have."""
    COMMAND = "command"
    """The drive erases itself; ``done`` is its own word on how far it is, in bytes of its capacity."""
    VERIFY = "verify"
    """``total`` is less than the drive where samples are read."""


class Progress(msgspec.Struct, frozen=True):
    """``done`` of ``total`` bytes in this phase after ``elapsed_s`` seconds in it.

    ``start`` of these were done before, by an earlier boot. ``recent_rate`` is bytes a second over the
    last half minute, ``command_left_s`` how long a device command still takes, estimated
    (``erase/meter.py``); each ``None`` where it is not known.
    """

    drive: str
    phase: Phase
    step: int
    steps: int
    done: int
    total: int
    elapsed_s: float
    start: int = 0
    recent_rate: float | None = None
    command_left_s: float | None = None

    @property
    def rate(self) -> float | None:
        """Bytes a second so far in this phase; ``None`` before there is anything to measure."""
        fresh = self.done - self.start
        return fresh / self.elapsed_s if fresh > 0 and self.elapsed_s > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until this phase is over, at the recent rate or, without one, at the rate so far."""
        if self.phase is Phase.COMMAND:
            return self.command_left_s
        rate = self.recent_rate or self.rate
        return (self.total - self.done) / rate if rate else None

    @property
    def left_s(self) -> float | None:
        """Seconds until the drive has its outcome: the phases to come take the rate of this one."""
        rate, phase = self.recent_rate or self.rate, self.eta_s
        if phase is None or self.phase is Phase.COMMAND:
            return phase
        return phase + (self.steps - self.step) * self.total / rate if rate else None


class Continues(msgspec.Struct, frozen=True):
    """An interrupted overwrite goes on in ``step`` with ``done`` bytes of it; the last is verification."""

    drive: str
    step: int
    steps: int
    done: int
    total: int
    interruptions: int


class Paused(msgspec.Struct, frozen=True):
    """The drive rests, at ``celsius`` degrees, until it is below ``until_celsius``; ``over``: it goes on."""

    drive: str
    celsius: float
    until_celsius: float
    over: bool = False


class Noted(msgspec.Struct, frozen=True):
    """Something that a person should know of, in a sentence."""

    drive: str
    sentence: str


Event = Progress | Continues | Paused | Noted
