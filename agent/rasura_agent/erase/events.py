"""What is going on, as a stream of frozen events that console, journal and registry can share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Phase", "Progress"]


class Phase(StrEnum):
    """The part of a drive's way that is running."""

    WRITE = "write"
    COMMAND = "command"
    """The drive erases itself; ``done`` is its own word on how far it is, in bytes of its capacity."""
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` bytes in this phase after ``elapsed_s`` seconds in it."""

    drive: str
    phase: Phase
    step: int
    steps: int
    done: int
    total: int
    elapsed_s: float

    @property
    def rate(self) -> float | None:
        """Bytes a second so far in this phase; ``None`` before there is anything to measure."""
        return self.done / self.elapsed_s if self.done and self.elapsed_s > 0 else None

    @property
    def eta_s(self) -> float | None:
        """Seconds until this phase is over, at the rate so far."""
        return (self.total - self.done) / self.rate if self.rate else None
