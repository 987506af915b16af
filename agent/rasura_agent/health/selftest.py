"""Self-tests: a drive is told to test itself, followed to the end, and its log read for the result.

The drive works alone; smartctl only starts, looks and stops. Whoever calls this holds the drive, so that
nothing erases it meanwhile. No step can hang: every run of smartctl is bounded, and so is the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from rasura_agent.clock import Clock
from rasura_agent.health.document import Document, parse_document
from rasura_agent.health.model import Health, Protocol, SelfTestEntry, TestResult
from rasura_agent.health.smart import LIMIT_S, Target, read_health
from rasura_agent.health.smartctl import ask
from rasura_agent.inventory.ports import Commands

__all__ = ["SelfTested", "TestKind", "deadline_s", "run_self_test", "stop_self_test"]


class TestKind(StrEnum):
    """The self-tests there are. NVMe calls the long one extended; only ATA drives know conveyance."""

    __test__ = False  # pytest looks for classes that begin with Test

    SHORT = "short"
    LONG = "long"
    CONVEYANCE = "conveyance"


_LONGEST_MINUTES = {TestKind.SHORT: 10, TestKind.CONVEYANCE: 30, TestKind.LONG: 48 * 60}
"""Where the drive does not say how long it takes. 20 TB read at 120 MB/s are 46 hours."""
_POLL_S = {TestKind.SHORT: 5.0, TestKind.CONVEYANCE: 10.0, TestKind.LONG: 60.0}
_BEGINNING_S = 60.0
"""How long a drive may take to show that a test runs."""
_UNANSWERED = 5
"""So many times in a row a drive may not answer before it is given up."""

Watch = Callable[[int | None], str | None]
"""Hears how far the test is, in percent where the drive tells; answers with why to stop, or ``None``."""


class SelfTested(msgspec.Struct, frozen=True):
    """How a self-test ended. ``UNKNOWN`` is said wherever the drive did not tell; it is never passed."""

    kind: TestKind
    result: TestResult
    sentence: str
    entry: SelfTestEntry | None
    took_s: float


def deadline_s(kind: TestKind, health: Health) -> float:
    """How long to wait: three times what the drive says, and ten minutes; or the longest there is."""
    minutes = dict(health.test_minutes).get(kind.value)
    return (3 * minutes + 10 if minutes is not None else _LONGEST_MINUTES[kind]) * 60.0


def run_self_test(
    target: Target,
    kind: TestKind,
    commands: Commands,
    clock: Clock,
    watch: Watch,
    limit_s: float = LIMIT_S,
) -> SelfTested | str:
    """Start a self-test and follow it to its end; a string says why none was started. Never raises."""
    began = clock.monotonic()
    reading = read_health(target, commands, limit_s)
    before = reading.health
    run = _Run(replace(target, kind=reading.kind), commands, limit_s)
    if before is None:
        refusal = reading.unknown
    elif before.running is not None:
        refusal = "one runs already"
    elif before.protocol is Protocol.NVME and before.self_tests is None:
        # smartctl 7.4 ends with 0 where such a drive is told to test itself, and nothing happens.
        refusal = "the drive keeps no log of self-tests, as those do that know none"
    else:
        refusal = run.start(kind)
    if before is None or refusal is not None:
        return refusal or "its health is not known"
    ending = _follow(run, kind, before, clock, watch)
    return SelfTested(kind, ending.result, ending.sentence, ending.entry, clock.monotonic() - began)


class _Ending(msgspec.Struct, frozen=True):
    result: TestResult
    sentence: str
    entry: SelfTestEntry | None = None


def _follow(run: _Run, kind: TestKind, before: Health, clock: Clock, watch: Watch) -> _Ending:
    began = clock.monotonic()
    seen_running, unanswered = False, 0
    while True:
        clock.sleep(_POLL_S[kind])
        now = run.look()
        unanswered = unanswered + 1 if now is None else 0
        if unanswered >= _UNANSWERED:
            return _Ending(TestResult.UNKNOWN, "the drive does not answer any more")
        running = now.running if now is not None else None
        seen_running = seen_running or running is not None
        if now is not None and running is None:
            ending = _ended(before, now, seen_running)
            if ending is not None:
                return ending
            if seen_running or clock.monotonic() - began > _BEGINNING_S:
                return _Ending(TestResult.UNKNOWN, "the drive's log holds no result of it")
        stop = watch(running.done_percent if running is not None else None)
        if stop is None and clock.monotonic() - began > deadline_s(kind, before):
            stop = "it did not end in its time"
        if stop is not None:
            run.stop()
            return _Ending(TestResult.ABORTED, stop)


def stop_self_test(target: Target, commands: Commands, limit_s: float = LIMIT_S) -> str | None:
    """End the self-test that runs in a drive; why that did not work, or ``None``, also where none runs."""
    reading = read_health(target, commands, limit_s)
    if reading.health is None:
        return reading.unknown
    if reading.health.running is None:
        return None
    run = _Run(replace(target, kind=reading.kind), commands, limit_s)
    run.stop()
    after = run.look()
    if after is None or after.running is not None:
        return "a self-test runs in the drive and does not stop: wait until it has ended"
    return None


class _Run(msgspec.Struct, frozen=True):
    """smartctl's three commands about the self-test of one drive."""

    target: Target
    commands: Commands
    limit_s: float

    def start(self, kind: TestKind) -> str | None:
        """Start it; why the drive does not, or ``None``."""
        answer = ask(self.commands, self._arguments("-t", kind.value), self.limit_s)
        if answer.problem is not None:
            return answer.problem
        if not answer.status.has_failed:
            return None
        document = parse_document(answer.output)
        said = document.messages if isinstance(document, Document) else ()
        return "; ".join(said) or f"the drive does not know it (smartctl's exit status {answer.status.value})"

    def stop(self) -> None:
        """End it; whether it ended is to be looked at."""
        ask(self.commands, self._arguments("-X"), self.limit_s)

    def look(self) -> Health | None:
        """The drive as it is now, from smartctl's document alone; ``None`` if it does not answer."""
        answer = ask(self.commands, self._arguments("-x"), self.limit_s)
        document = parse_document(answer.output) if answer.problem is None else ""
        return document.health if isinstance(document, Document) and document.has_figures else None

    def _arguments(self, *what: str) -> tuple[str, ...]:
        kind = ("-d", self.target.kind) if self.target.kind is not None else ()
        return ("--json=c", *kind, *what, self.target.path)


def _ended(before: Health, now: Health, seen_running: bool) -> _Ending | None:
    """How the test ended, if the drive tells."""
    rows = tuple(row for row in now.self_tests or () if row.result is not TestResult.RUNNING)
    # A log that is full loses its oldest row, so that it differs in any case.
    if rows and rows != before.self_tests:
        return _Ending(rows[0].result, rows[0].status, rows[0])
    if now.self_tests is None and seen_running and now.last_self_test is not None:
        return _Ending(
            now.last_self_test, "the drive keeps no log, and says that its last self-test ended so"
        )
    return None
