"""What is behind a simulated drive's interface: a medium, a write cache, and operations that take time.

Shared by the ATA and the SCSI drive. Nothing here knows a command.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random

from simulators.world import ManualClock, Medium, MediumError

EVERYTHING = (0, 1 << 62)
"""A sector range that covers any drive."""

PROGRESS_DENOMINATOR = 65536
"""Progress indications are numerators of this in all three standards (ACS-4, SPC-5, NVMe)."""


class Technique(Enum):
    """What a firmware can do to all of a medium at once."""

    NORMAL_ERASE = "SECURITY ERASE UNIT, normal"
    ENHANCED_ERASE = "SECURITY ERASE UNIT, enhanced"
    CRYPTO = "sanitize: cryptographic"
    BLOCK = "sanitize: block erase"
    OVERWRITE = "sanitize: overwrite"
    FORMAT = "FORMAT UNIT"


class PowerEvent(Enum):
    """Why a drive has power again; it decides whether a BIOS gets to speak to it first."""

    BOOT = "the machine was switched on"
    RESUME = "the machine woke from suspend to RAM"
    REPLUG = "the drive was plugged into a running machine"


class AccessFault(Enum):
    """Why a medium access was not carried out."""

    ABORTED = "the drive's state forbids it"
    RANGE = "beyond the accessible capacity"
    MEDIUM = "unreadable or unwritable sector"


class AccessError(Exception):
    """A medium access failed at ``lba``."""

    def __init__(self, fault: AccessFault, lba: int) -> None:
        super().__init__(f"{fault.value} at LBA {lba}")
        self.fault = fault
        self.lba = lba


class HostTimeoutError(Exception):
    """The host's time-out passed before the drive answered; the drive goes on with what it does."""


@dataclass(frozen=True, slots=True)
class Description:
    """Who a drive says it is, as the kernel and udev would put it."""

    manufacturer: str | None
    model: str | None
    serial: str | None
    wwn: str | None
    firmware: str | None
    rotational: bool


@dataclass(frozen=True, slots=True)
class Lie:
    """A firmware that reports success over sectors it never touched.

    ``leaves`` are ranges of sectors, first included and last excluded. ``leaves_hidden`` leaves what was
    beyond the accessible capacity when the drive was built. ``techniques`` empty means all of them.
    ``instantly``: it does not even pretend to take its time.
    """

    leaves: tuple[tuple[int, int], ...] = (EVERYTHING,)
    leaves_hidden: bool = False
    techniques: frozenset[Technique] = frozenset()
    instantly: bool = False

    def about(self, technique: Technique) -> bool:
        """Whether this firmware lies about ``technique``."""
        return not self.techniques or technique in self.techniques

    def kept(self, technique: Technique, hidden_from: int) -> tuple[tuple[int, int], ...]:
        """The sector ranges that ``technique`` leaves as they are."""
        if not self.about(technique):
            return ()
        return (*self.leaves, (hidden_from, EVERYTHING[1])) if self.leaves_hidden else self.leaves


def wait(clock: ManualClock, seconds: float, timeout_s: float) -> None:
    """Let ``seconds`` pass; raises ``HostTimeoutError`` after ``timeout_s`` if that is sooner."""
    if seconds <= timeout_s and not math.isinf(seconds):
        clock.sleep(seconds)
        return
    if not math.isinf(timeout_s):
        clock.sleep(timeout_s)
    raise HostTimeoutError


class Operation:
    """Something a drive does over simulated time, and can go on with after a loss of power.

    ``fails_at`` and ``stuck_at`` are fractions of the whole: there it ends in an error, or stays for ever.
    """

    __slots__ = ("_before", "_clock", "_fails_at", "_seconds", "_since", "_stuck_at")

    def __init__(
        self,
        clock: ManualClock,
        seconds: float,
        *,
        fails_at: float | None = None,
        stuck_at: float | None = None,
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._fails_at = fails_at
        self._stuck_at = stuck_at
        self._before = 0.0
        self._since: float | None = clock.monotonic()

    @property
    def fraction(self) -> float:
        """How far it has come, 0 to 1."""
        running = 0.0 if self._since is None else self._clock.monotonic() - self._since
        reached = 1.0 if self._seconds <= 0 else min(1.0, (self._before + running) / self._seconds)
        for bound in (self._fails_at, self._stuck_at):
            if bound is not None and reached > bound:
                reached = bound
        return reached

    @property
    def over(self) -> bool:
        """Whether it has ended, well or badly. What is stuck is never over."""
        if self._stuck_at is not None and (self._fails_at is None or self._stuck_at <= self._fails_at):
            return False
        return self.fraction >= (1.0 if self._fails_at is None else self._fails_at)

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self._fails_at is not None and self.over

    @property
    def progress(self) -> int:
        """Its progress indication; FFFFh would say that none is running (SANITIZE STATUS EXT, NVMe SPROG)."""
        return min(PROGRESS_DENOMINATOR - 2, int(self.fraction * PROGRESS_DENOMINATOR))

    @property
    def remaining_s(self) -> float:
        """Seconds until it is over; infinite if it is stuck."""
        if self.over:
            return 0.0
        if self._stuck_at is not None and (self._fails_at is None or self._stuck_at <= self._fails_at):
            return math.inf
        end = 1.0 if self._fails_at is None else self._fails_at
        spent = self._before + (0.0 if self._since is None else self._clock.monotonic() - self._since)
        # The margin keeps a wait of exactly this long from ending a rounding error too early.
        return max(0.0, end * self._seconds - spent) + 1e-6

    def pause(self) -> None:
        """Power is gone."""
        if self._since is not None:
            self._before += self._clock.monotonic() - self._since
            self._since = None

    def resume(self) -> None:
        """Power is back."""
        if self._since is None:
            self._since = self._clock.monotonic()


class Store:
    """A medium behind a volatile write cache.

    The cache is an undo log: what a write replaced is remembered until a flush, and put back
    when the power goes before it. Reads see the newest data, as from a real drive.
    """

    __slots__ = ("_cached", "_undo", "_undo_bytes", "cache_bytes", "medium")

    def __init__(self, medium: Medium, *, cached: bool, cache_bytes: int = 8 << 20) -> None:
        self.medium = medium
        self._cached = cached
        self.cache_bytes = cache_bytes
        self._undo: deque[tuple[int, bytes]] = deque()
        self._undo_bytes = 0

    def _first_bad(self, lba: int, count: int) -> int | None:
        return (
            min((s for s in self.medium.bad if lba <= s < lba + count), default=None)
            if self.medium.bad
            else None
        )

    def read(self, lba: int, into: memoryview) -> None:
        """Fill ``into`` with whole sectors from ``lba``, up to a bad one: then raises ``MediumError``."""
        size = self.medium.sector_bytes
        bad = self._first_bad(lba, len(into) // size)
        length = len(into) if bad is None else (bad - lba) * size
        start = lba * size
        into[:length] = memoryview(self.medium.data)[start : start + length]
        if bad is not None:
            raise MediumError(bad)

    def write(self, lba: int, data: bytes | memoryview) -> None:
        """Write whole sectors from ``lba``, up to a bad one: then raises ``MediumError``."""
        size = self.medium.sector_bytes
        bad = self._first_bad(lba, len(data) // size)
        length = len(data) if bad is None else (bad - lba) * size
        start = lba * size
        if self._cached:
            self._undo.append((start, bytes(memoryview(self.medium.data)[start : start + length])))
            self._undo_bytes += length
            while self._undo_bytes > self.cache_bytes:
                self._undo_bytes -= len(self._undo.popleft()[1])
        self.medium.data[start : start + length] = data if bad is None else data[:length]
        if bad is not None:
            raise MediumError(bad)

    def flush(self) -> None:
        """All that was written is on the medium."""
        self._undo.clear()
        self._undo_bytes = 0

    def lose_power(self) -> None:
        """What was not flushed never happened."""
        while self._undo:
            start, old = self._undo.pop()
            self.medium.data[start : start + len(old)] = old
        self._undo_bytes = 0

    def fill(
        self,
        stop: int,
        pattern: bytes | None,
        *,
        start: int = 0,
        kept: Iterable[tuple[int, int]] = (),
        reassign_bad: bool = False,
    ) -> bool:
        """Replace the sectors ``start`` to ``stop`` by ``pattern``, repeated in each, or by noise (``None``).

        Sectors in ``kept`` stay as they are. Bad sectors stay too, and make the answer False, unless
        they are reassigned: then they are replaced, and good from now on.
        """
        self.flush()
        medium = self.medium
        bad = [sector for sector in medium.bad if start <= sector < stop]
        if reassign_bad:
            medium.bad.difference_update(bad)
            bad = []
        at = start
        skipped = [*((s, s + 1) for s in bad), *kept]
        for first, last in (*sorted(skipped), (stop, stop)):
            if min(first, stop) > at:
                self._replace(at, min(first, stop), pattern)
            at = max(at, min(last, stop))
        return not bad

    def _replace(self, first: int, last: int, pattern: bytes | None) -> None:
        size = self.medium.sector_bytes
        count = last - first
        if pattern is None:
            content = Random(first).randbytes(count * size)
        elif not any(pattern):
            content = bytes(count * size)
        else:
            content = (pattern * -(-size // len(pattern)))[:size] * count
        self.medium.data[first * size : last * size] = content
