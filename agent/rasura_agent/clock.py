"""The port to time. Durations come from ``monotonic``; ``wall`` is recorded, never trusted."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """A source of time that a test can turn by hand."""

    @property
    def source(self) -> str:
        """Where ``wall`` comes from, for the certificate (``system``, ``simulated``)."""
        ...

    def wall(self) -> datetime:
        """The time of day by this machine's clock, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""
        ...
