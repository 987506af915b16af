"""Moving a whole drive through a few lanes: what one of them computes, another one's transfer hides.

Each lane is a thread with a buffer of its own that takes the next block, works on it and transfers it, so
that generating, writing, reading and comparing of neighbouring blocks overlap, and several requests are
in flight. Python's lock is held for microseconds a block only; ``agent/decisions/data-mover.md`` has the
figures.

What fails is tried again, then set aside, and the rest of the drive goes first: where several blocks in a
row fail, the bad zone is jumped and the pass goes on backwards from the other end, and so on from side to
side until both meet. Only then is what was set aside narrowed by halving, largest pieces first, down to
the sector, as far as the :class:`~rasura_agent.erase.limits.Limits` allow.

A thread that waits for a drive in the kernel cannot be stopped. A drive that has not answered within its
limit is abandoned: its lanes keep their buffers, which nobody uses again, and take no more work.
"""

from __future__ import annotations

import errno
import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from rasura_agent.clock import Clock
from rasura_agent.erase.limits import Limits

__all__ = ["REPORT_BYTES", "Moved", "Span", "Transfer", "answered", "is_gone", "move"]

REPORT_BYTES = 8 * 1024 * 1024
"""Progress is reported at least every so many bytes, and a tenth of a second of work.

The lanes go twice as far ahead of a caller who blocks, which is how a drive is held to a pace.
"""

_REPORT_S = 0.1
_IDLE_REPORT_S = 1.0
"""Also without progress the caller is asked so often whether to stop."""
_JUMP_BLOCKS = 4
_JUMP_MAX_BYTES = 1 << 30

_GONE = {errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN}

Span = tuple[int, int]
"""Offset and length in bytes."""

Transfer = Callable[[int, int], None]
"""Moves one span; belongs to one lane. Raises ``OSError`` where the drive fails, any number of times."""


def is_gone(error: OSError) -> bool:
    """Whether ``error`` says that the drive itself is no longer there."""
    return error.errno in _GONE


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of it: the spans that could not be moved, and why it ended early, if it did."""

    failed: tuple[Span, ...]
    stopped: str | None


class _Mode(Enum):
    FORWARD = auto()
    BACKWARD = auto()
    NARROWING = auto()


@dataclass(slots=True)
class _Work:
    """One span in a lane's hands, and since when the drive has been at it."""

    offset: int
    length: int
    since: float
    way: _Mode


@dataclass(slots=True)
class _Mover:
    """The state that lanes and caller share; every method that begins with an underscore needs the lock."""

    start: int
    capacity: int
    block: int
    sector: int
    limits: Limits
    clock: Clock
    step: int
    """So many bytes done are worth a report."""
    ahead: int
    """So many bytes the lanes may do beyond the last report."""
    patience_s: float
    """How long a single transfer may wait behind those of the other lanes."""
    mode: _Mode = _Mode.FORWARD
    low: int = field(init=False)
    high: int = field(init=False)
    reported: int = field(init=False)
    """The watermark that the caller was told last."""
    finished: int = 0
    """Bytes done since then, wherever they lie."""
    heard: float = field(init=False)
    """When the drive last answered."""
    in_flight: dict[int, _Work] = field(default_factory=dict)
    aside: list[tuple[int, bool, int]] = field(default_factory=list)
    """A heap of (-length, tried, offset): what waits to be narrowed, large and not yet tried pieces first."""
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
        self.low, self.high, self.reported = self.start, self.capacity, self.start
        self.heard = self.clock.monotonic()
        self.jump = _JUMP_BLOCKS * self.block
        self.work, self.news = threading.Condition(self.lock), threading.Condition(self.lock)

    # A lane's side

    def lane(self, number: int, transfer: Transfer) -> None:
        """Work until there is none left."""
        try:
            while (work := self.claim(number)) is not None:
                self.attempt(number, work, transfer)
        except BaseException as error:  # noqa: BLE001  handed to the caller, whose thread it belongs to
            with self.lock:
                self.crash, self.over = error, True
                self.in_flight.pop(number, None)
                self.work.notify_all()
                self.news.notify()

    def claim(self, number: int) -> _Work | None:
        """The next span for a lane; waits while there may still be one."""
        with self.lock:
            while not self.over:
                span = self._next()
                if span is not None:
                    work = _Work(*span, self.clock.monotonic(), self.mode)
                    self.in_flight[number] = work
                    return work
                self.news.notify()
                self.work.wait()
        return None

    def attempt(self, number: int, work: _Work, transfer: Transfer) -> None:
        """Move one span; what fails is tried again by the limits and then set aside."""
        left = 0 if work.way is _Mode.NARROWING else self.limits.retries
        while True:
            problem = None
            try:
                transfer(work.offset, work.length)
            except OSError as error:
                problem = error
            with self.lock:
                self.heard = self.clock.monotonic()
                if problem is not None and self._failure(problem, work) and left:
                    left -= 1
                    work.since = self.heard
                    continue
                self._end(number, work, failed=problem is not None)
                return

    def _next(self) -> Span | None:
        if self.finished + sum(one.length for one in self.in_flight.values()) >= self.ahead:
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

    def _next_piece(self) -> Span | None:
        if not self.aside or self._spent():
            return None
        size, tried, offset = heapq.heappop(self.aside)
        length = -size
        if tried:
            half = max(self.sector, length // 2 // self.sector * self.sector)
            heapq.heappush(self.aside, (half - length, False, offset + half))
            return offset, half
        if length > self.block:
            heapq.heappush(self.aside, (self.block - length, False, offset + self.block))
        return offset, min(length, self.block)

    def _failure(self, error: OSError, work: _Work) -> bool:
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

    def _end(self, number: int, work: _Work, *, failed: bool) -> None:
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
            heapq.heappush(self.aside, (-length, True, offset))
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
            heapq.heappush(self.aside, (-room, False, begin))
        self.work.notify_all()

    def _watermark(self) -> int:
        """Below it everything has been moved or has failed; never goes back, while what failed is halved."""
        marks = [self.low if self.low < self.high else self.capacity]
        marks.extend(one.offset for one in self.in_flight.values())
        marks.extend(offset for _, tried, offset in self.aside if not tried)
        return max(min(marks), self.reported)

    # The caller's side

    def watch(self, on_progress: Callable[[int], str | None], on_failed: Callable[[Span], None]) -> None:
        """Report until everything is over; starts narrowing, looks at the drive's deadline."""
        asked = self.clock.monotonic()
        while True:
            with self.lock:
                done = self._settled()
                if not done and not self.over and self.finished < self.step and not self.news_of_failure:
                    self.news.wait(_REPORT_S)
                    done = self._settled()
                mark, failures = self._watermark(), self.news_of_failure
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
                self.report(mark, failures, on_progress, on_failed)
        self.finish(on_progress, on_failed, failures)

    def report(
        self,
        mark: int,
        failures: list[Span],
        on_progress: Callable[[int], str | None],
        on_failed: Callable[[Span], None],
    ) -> None:
        """Tell the caller, failures first; may block for as long as the caller wants to be slow."""
        for span in failures:
            on_failed(span)
        with self.lock:
            told = self.finished
        reason = on_progress(mark)
        with self.lock:
            self.reported = mark
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
        return _silent(self.limits.answer_s) if silent or now - oldest > self.patience_s else None

    def finish(
        self,
        on_progress: Callable[[int], str | None],
        on_failed: Callable[[Span], None],
        failures: list[Span],
    ) -> None:
        """Let the lanes end, each within the drive's deadline, and tell what is left to tell."""
        with self.lock:
            self.over = True
            self.work.notify_all()
            while self.in_flight and (overdue := self._overdue()) is None:
                self.news.wait(_REPORT_S)
            if self.in_flight:
                self.stopped = overdue
            if self.crash is not None:
                raise self.crash
            mark = self._watermark()
            failures += self.news_of_failure
        if mark > self.reported or failures:
            self.report(mark, failures, on_progress, on_failed)

    def outcome(self) -> Moved:
        """What came of it, after :meth:`finish`; whatever is not known to be moved has failed."""
        with self.lock:
            spans = [*self.failed, *((offset, -size) for size, _, offset in self.aside)]
            spans.extend((one.offset, one.length) for one in self.in_flight.values())
            if self.low < self.high:
                spans.append((self.low, self.high - self.low))
            return Moved(tuple(sorted(spans)), self.stopped)


def move(
    lanes: list[Transfer],
    *,
    start: int,
    capacity: int,
    block_bytes: int,
    sector_bytes: int,
    limits: Limits,
    clock: Clock,
    on_progress: Callable[[int], str | None],
    on_failed: Callable[[Span], None] = lambda _span: None,
    report_bytes: int = REPORT_BYTES,
) -> Moved:
    """Move bytes ``start`` to ``capacity`` through ``lanes``, a transfer each; they run in threads.

    No span crosses a multiple of ``block_bytes``; failing ones are narrowed to ``sector_bytes``.
    ``on_progress`` gets the watermark below which everything has been moved or has failed, and answers
    with why to stop, or ``None``; while it blocks, the lanes finish what is in reach and wait.
    ``on_failed`` gets every span that failed, before the watermark passes it. Both are called in the
    caller's thread. A single lane goes in lock-step with ``on_progress``, block by block.

    Raises what a lane raises, other than ``OSError``.
    """
    step = block_bytes if len(lanes) == 1 else max(report_bytes, block_bytes)
    ahead = step if len(lanes) == 1 else 2 * step
    patience_s = limits.answer_s * len(lanes)
    mover = _Mover(start, capacity, block_bytes, sector_bytes, limits, clock, step, ahead, patience_s)
    name = threading.current_thread().name
    for number, transfer in enumerate(lanes):
        # Daemons: one that waits in the kernel for a dead drive must not keep the process from ending.
        threading.Thread(
            target=mover.lane, args=(number, transfer), name=f"{name} lane {number}", daemon=True
        ).start()
    try:
        mover.watch(on_progress, on_failed)
    finally:
        with mover.lock:
            mover.over = True
            mover.work.notify_all()
    return mover.outcome()


def answered(call: Callable[[], None], limits: Limits, clock: Clock) -> None:
    """Call what may wait for the drive, for as long as its deadline allows.

    Raises:
        OSError: what the call raised, or ``ETIMEDOUT`` when the drive did not answer; the call then goes
            on in a thread of its own, which cannot be stopped.
    """
    ended = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            raised.append(error)
        ended.set()

    began = clock.monotonic()
    threading.Thread(target=run, name=f"{threading.current_thread().name} flush", daemon=True).start()
    while not ended.wait(_REPORT_S):
        if clock.monotonic() - began > limits.answer_s:
            raise OSError(errno.ETIMEDOUT, _silent(limits.answer_s))
    if raised:
        raise raised[0]


def _silent(seconds: float) -> str:
    return f"the drive has not answered for {seconds:.0f} s and was abandoned"
