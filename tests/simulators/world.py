"""What every simulated drive shares: time, a medium, power, and the faults a test schedules.

A simulator is shaped by the specification, not by our encoder: it refuses malformed commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum


class ManualClock:
    """A clock that moves only when somebody sleeps on it or the test turns it."""

    source = "simulated"

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now = 0.0

    def wall(self) -> datetime:
        return self._start + timedelta(seconds=self._now)

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(0.0, seconds)


class PowerCut(BaseException):
    """The power went: the run is over at this very command.

    Not an ``Exception``, so that no handler in the code under test can go on after it.
    """


class FaultKind(Enum):
    """What can go wrong at one command."""

    POWER_CUT_BEFORE = "power goes before the drive sees the command"
    POWER_CUT_AFTER = "power goes after the drive carried the command out, before the host learns"
    HANG = "the command never answers: the host's time-out passes; the drive did carry it out"
    HANG_UNSEEN = "the command never answers and the drive never saw it"
    SWALLOW_STATUS = "a bridge drops the status descriptor; the drive did carry it out"
    ABORT = "the drive aborts the command without acting"
    UNPLUG = "the drive is gone from here on"
    BUS_RESET = "a reset hides the answer: UNIT ATTENTION instead of status; the drive did carry it out"


@dataclass(slots=True)
class FaultSchedule:
    """Faults by command number (0 is the first command after this schedule was set), each fires once."""

    faults: dict[int, FaultKind] = field(default_factory=dict)
    seen: int = 0

    def next(self) -> FaultKind | None:
        """The fault for the command now arriving; counts it."""
        number, self.seen = self.seen, self.seen + 1
        return self.faults.pop(number, None)


@dataclass(slots=True)
class Medium:
    """All sectors a drive has, hidden ones included; ``bad`` sectors neither read nor write."""

    sector_bytes: int
    sectors: int
    data: bytearray = field(init=False)
    bad: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.data = bytearray(self.sector_bytes * self.sectors)

    def read(self, lba: int, count: int) -> bytes:
        """Sectors ``lba`` to ``lba + count``; raises ``MediumError`` on the first bad one."""
        self._check(lba, count)
        return bytes(self.data[lba * self.sector_bytes : (lba + count) * self.sector_bytes])

    def write(self, lba: int, data: bytes) -> None:
        """Write whole sectors from ``lba``; raises ``MediumError`` on the first bad one."""
        count, rest = divmod(len(data), self.sector_bytes)
        assert rest == 0, "a drive transfers whole sectors"
        self._check(lba, count)
        self.data[lba * self.sector_bytes : (lba + count) * self.sector_bytes] = data

    def _check(self, lba: int, count: int) -> None:
        assert 0 <= lba <= lba + count <= self.sectors, "the simulator must check the range itself"
        if self.bad:
            for sector in range(lba, lba + count):
                if sector in self.bad:
                    raise MediumError(sector)


class MediumError(Exception):
    """A sector cannot be read or written."""

    def __init__(self, lba: int) -> None:
        super().__init__(f"medium error at LBA {lba}")
        self.lba = lba
