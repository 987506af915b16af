"""The state of one pass over a drive: which span comes next, what failed, what waits, what may be reported.

What fails is tried again, then set aside, and the rest of the drive goes first: where several blocks in a
row fail, the bad zone is jumped and the pass goes on backwards from the other end, and so on from side to
side until both meet. Only then is what was set aside narrowed by halving, largest pieces first, down to
the sector, as far as the :class:`~rasura_agent.erase.limits.Limits` allow.

Lanes take spans and say what became of them (:meth:`Mover.claim`, :meth:`Mover.settle`), from one thread
or several; the caller watches. :mod:`rasura_agent.erase.pipeline` brings both together.
"""

from __future__ import annotations

import errno
import heapq
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from rasura_agent.clock import Clock
from rasura_agent.erase.covered import Covered, Span, merged
from rasura_agent.erase.limits import Limits

__all__ = ["REPORT_S", "Moved", "Mover", "Work", "is_gone", "unanswered"]

REPORT_S = 0.1
"""How long the caller waits for news at most, in seconds."""
_IDLE_REPORT_S = 1.0
"""Also without progress the caller is asked so often whether to stop."""
_JUMP_BLOCKS = 4
_JUMP_MAX_BYTES = 1 << 30

_GONE = {errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN}


def is_gone(error: OSError) -> bool:
    """Whether ``error`` says that the drive itself is no longer there."""
    return error.errno in _GONE


def unanswered(seconds: float) -> str:
    """What is said of a drive that did not answer for so long."""
    return f"the drive has not answered for {seconds:.0f} s and was abandoned"


class Moved(msgspec.Struct, frozen=True):
    """What came of it: the spans that could not be moved, and why it ended early, if it did."""

    failed: tuple[Span, ...]
    stopped: str | None


class _Mode(Enum):
    FORWARD = auto()
    BACKWARD = auto()
    NARROWING = auto()


class Work(msgspec.Struct):
    """One span in a lane's hands, and since when the drive has been at it."""

    offset: int
    length: int
    since: float
    way: _Mode
    tries: int
    """How often it may still be tried again."""


@dataclass(slots=True)
class Mover:
    """The state that lanes and caller share; every method that begins with an underscore needs the lock."""

    done: Covered
    """What was over before."""
    again: Sequence[Span]
    """What of that could not be moved then: it is tried once more, last."""
    capacity: int
    block: int
    sector: int
    limits: Limits
    clock: Clock
    step: int
    """So many bytes done are worth a report."""
    ahead: int
    """So many bytes the lanes may do beyond the last report, and, going forward, beyond its mark."""
    patience_s: float
    """How long a single transfer may wait behind those of the other lanes."""
    mode: _Mode = _Mode.FORWARD
    low: int = field(init=False)
    high: int = field(init=False)
    reported: Covered = field(init=False)
    """What the caller was told last."""
    finished: int = 0
    """Bytes done since then, wherever they lie."""
    heard: float = field(init=False)
    """When the drive last answered."""
    in_flight: dict[int, Work] = field(default_factory=dict)
    aside: list[tuple[bool, int, bool, int]] = field(default_factory=list)
    """A heap of (failed before, -length, tried, offset): what waits to be narrowed.

    What an earlier boot had tried comes last, else large and not yet tried pieces first.
    """
    failed: list[Span] = field(default_factory=list)
    news_of_failure: list[Span] = field(default_factory=list)
    failures: int = 0
    failing_s: float = 0.0
    last_error: str = ""
    row: int = 0
    jump: int = field(init=False)
    stopped: str | None = None
    over: bool = False
    crash: BaseException | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    work: threading.Condition = field(init=False)
    news: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        self.reported = self.done
        # The longest gap is moved from both ends, if need be. The others are bad zones that were left.
        gaps = sorted(self.done.gaps(self.capacity), key=lambda one: one[1])
        begin, length = gaps.pop() if gaps else (self.capacity, 0)
        self.low, self.high = begin, begin + length
        for before, spans in ((False, gaps), (True, self.again)):
            for offset, size in spans:
                heapq.heappush(self.aside, (before, -size, False, offset))
        self.heard = self.clock.monotonic()
        self.jump = _JUMP_BLOCKS * self.block
        self.work, self.news = threading.Condition(self.lock), threading.Condition(self.lock)

    # A lane's side

    def claim(self, number: int, *, wait: bool = True) -> Work | None:
        """The next span for a lane; by default waits while there may still be one."""
        with self.lock:
            while not self.over:
                span = self._next()
                if span is not None:
                    tries = 0 if self.mode is _Mode.NARROWING else self.limits.retries
                    work = Work(*span, self.clock.monotonic(), self.mode, tries)
                    self.in_flight[number] = work
                    return work
                if not wait:
                    return None
                self.news.notify()
                self.work.wait()
        return None

    def settle(self, number: int, work: Work, problem: OSError | None) -> bool:
        """Take note of how a transfer ended; whether the lane is to try the same span again.

        What failed for good is set aside by the limits.
        """
        with self.lock:
            self.heard = self.clock.monotonic()
            if problem is not None and self._failure(problem, work) and work.tries:
                work.tries -= 1
                work.since = self.heard
                return True
            self._end(number, work, failed=problem is not None)
            return False

    def crashed(self, error: BaseException, numbers: Iterable[int]) -> None:
        """These lanes ended by what is no error of the drive; the caller gets it, whose thread they serve."""
        with self.lock:
            self.crash, self.over = error, True
            for number in numbers:
                self.in_flight.pop(number, None)
            self.work.notify_all()
            self.news.notify()

    def _next(self) -> Span | None:
        if self._is_far_ahead():
            return None  # the caller has to hear of what was done first
        if self.mode is _Mode.NARROWING:
            return self._next_piece()
        if self.low >= self.high:
            return None
        if self.mode is _Mode.BACKWARD:
            begin = max(self.low, (self.high - 1) // self.block * self.block)
            end, self.high = self.high, begin
            return begin, end - begin
        end = min(self.high, (self.low // self.block + 1) * self.block)
        begin, self.low = self.low, end
        return begin, end - begin

    def _is_far_ahead(self) -> bool:
        if self.finished + sum(one.length for one in self.in_flight.values()) >= self.ahead:
            return True
        # Behind a slow block others are done that a cut would lose: no more of them than an interval.
        forward = self.mode is _Mode.FORWARD and all(tried for _, _, tried, _ in self.aside)
        return forward and self.low - self.reported.mark >= self.ahead

    def _next_piece(self) -> Span | None:
        if not self.aside or self._spent():
            return None
        before, size, tried, offset = heapq.heappop(self.aside)
        length = -size
        if tried:
            piece = max(self.sector, length // 2 // self.sector * self.sector)
        else:
            # What an earlier boot left need not begin where a block of this one does.
            piece = min(length, self.block - offset % self.block)
        if piece < length:
            heapq.heappush(self.aside, (before, piece - length, False, offset + piece))
        return offset, piece

    def _failure(self, error: OSError, work: Work) -> bool:
        """Take note of a failed transfer; whether another try may make sense."""
        self.failures += 1
        self.failing_s += self.heard - work.since
        self.last_error = error.strerror or str(error)
        if self.over:
            return False
        if is_gone(error):
            self.stopped, self.over = "the drive is gone", True
        elif self._spent() and self.mode is not _Mode.NARROWING:
            self.stopped, self.over = self._storm(), True
        return not self.over

    def _spent(self) -> bool:
        return self.failures >= self.limits.errors or self.failing_s >= self.limits.error_s

    def _storm(self) -> str:
        if self.failures >= self.limits.errors:
            return f"{self.failures} transfers failed, the last with {self.last_error}"
        return f"{self.failing_s:.0f} s went into transfers that failed, the last with {self.last_error}"

    def _end(self, number: int, work: Work, *, failed: bool) -> None:
        self.in_flight.pop(number, None)
        span = (work.offset, work.length)
        if failed:
            self._set_aside(span)
        self.finished += work.length
        if work.way is self.mode and self.mode is not _Mode.NARROWING:
            self.row = self.row + 1 if failed else 0
            if self.row >= self.limits.zone_transfers:
                self._turn()
        if self.finished >= self.step or not self.in_flight:
            self.news.notify()
        if self.mode is _Mode.NARROWING or self.over:
            self.work.notify_all()

    def _set_aside(self, span: Span) -> None:
        offset, length = span
        if length <= self.sector:
            self.failed.append(span)
        else:
            heapq.heappush(self.aside, (False, -length, True, offset))
        self.news_of_failure.append(span)

    def _turn(self) -> None:
        """Leave a bad zone, and some more beyond it for later; go on from the other end."""
        self.row = 0
        room = min(self.jump, self.high - self.low)
        self.jump = min(2 * self.jump, _JUMP_MAX_BYTES)
        if self.mode is _Mode.FORWARD:
            begin, self.low = self.low, self.low + room
            self.mode = _Mode.BACKWARD
        else:
            self.high -= room
            begin = self.high
            self.mode = _Mode.FORWARD
        if room:
            heapq.heappush(self.aside, (False, -room, False, begin))
        self.work.notify_all()

    def _covered(self) -> Covered:
        """What has been moved or has failed; never less than before, while what failed is halved."""
        left = [(offset, -size) for _, size, tried, offset in self.aside if not tried]
        if not left and self.mode is _Mode.FORWARD and self.high == self.capacity:
            marks = [self.low if self.low < self.high else self.capacity]
            marks.extend(one.offset for one in self.in_flight.values())
            return Covered(min(marks)).also(self.reported)
        left.extend((one.offset, one.length) for one in self.in_flight.values())
        if self.low < self.high:
            left.append((self.low, self.high - self.low))
        return merged(merged(left).gaps(self.capacity)).also(self.reported)

    # The caller's side

    def watch(self, on_progress: Callable[[Covered], str | None], on_failed: Callable[[Span], None]) -> None:
        """Report until everything is over; starts narrowing, looks at the drive's deadline."""
        asked = self.clock.monotonic()
        while True:
            with self.lock:
                done = self._settled()
                if not done and not self.over and self.finished < self.step and not self.news_of_failure:
                    self.news.wait(REPORT_S)
                    done = self._settled()
                covered, failures = self._covered(), self.news_of_failure
                self.news_of_failure = []
                overdue = self._overdue()
                if overdue is not None:
                    self.stopped, self.over = overdue, True
                if self.over or done:
                    break
                finished = self.finished
            now = self.clock.monotonic()
            if finished or failures or now - asked >= _IDLE_REPORT_S:
                asked = now
                self.report(covered, failures, on_progress, on_failed)
        self.finish(on_progress, on_failed, failures)

    def report(
        self,
        covered: Covered,
        failures: list[Span],
        on_progress: Callable[[Covered], str | None],
        on_failed: Callable[[Span], None],
    ) -> None:
        """Tell the caller, failures first; may block for as long as the caller wants to be slow."""
        for span in failures:
            on_failed(span)
        with self.lock:
            told = self.finished
        reason = on_progress(covered)
        with self.lock:
            self.reported = covered
            self.finished -= told
            if reason is not None:
                self.stopped, self.over = reason, True
            self.work.notify_all()

    def _settled(self) -> bool:
        """Whether nothing is left to do; turns to what was set aside when both ways have met."""
        if self.in_flight:
            return False
        if self.mode is not _Mode.NARROWING and self.low >= self.high and self.aside and not self.over:
            self.mode = _Mode.NARROWING
            self.work.notify_all()
        if self.mode is _Mode.NARROWING:
            return not self.aside or self._spent()
        return self.low >= self.high

    def _overdue(self) -> str | None:
        if not self.in_flight:
            return None
        now, oldest = self.clock.monotonic(), min(one.since for one in self.in_flight.values())
        silent = now - max(self.heard, oldest) > self.limits.answer_s
        return unanswered(self.limits.answer_s) if silent or now - oldest > self.patience_s else None

    def finish(
        self,
        on_progress: Callable[[Covered], str | None],
        on_failed: Callable[[Span], None],
        failures: list[Span],
    ) -> None:
        """Let the lanes end, each within the drive's deadline, and tell what is left to tell."""
        with self.lock:
            self.over = True
            self.work.notify_all()
            while self.in_flight and (overdue := self._overdue()) is None:
                self.news.wait(REPORT_S)
            if self.in_flight:
                self.stopped = overdue
            if self.crash is not None:
                raise self.crash
            covered = self._covered()
            failures += self.news_of_failure
        if covered != self.reported or failures:
            self.report(covered, failures, on_progress, on_failed)

    def outcome(self) -> Moved:
        """What came of it, after :meth:`finish`; whatever is not known to be moved has failed."""
        with self.lock:
            spans = [*self.failed, *((offset, -size) for _, size, _, offset in self.aside)]
            spans.extend((one.offset, one.length) for one in self.in_flight.values())
            if self.low < self.high:
                spans.append((self.low, self.high - self.low))
            return Moved(tuple(sorted(spans)), self.stopped)
