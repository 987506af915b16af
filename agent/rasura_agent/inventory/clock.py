"""The clock of this machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """The :class:`~rasura_agent.clock.Clock` of the running system."""

    source = "system"

    def wall(self) -> datetime:
        """The time of day as the machine has it, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment after boot."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; none if negative."""
        time.sleep(max(0.0, seconds))
