"""Self-tests of many drives at once, each held so that nothing erases it meanwhile."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from rasura.errors import RasuraError
from rasura.machine_report import ReportedTest
from rasura_agent.clock import Clock
from rasura_agent.drive.transport.block import open_to_hold
from rasura_agent.health.model import TestResult
from rasura_agent.health.selftest import SelfTested, TestKind, run_self_test, stop_self_test
from rasura_agent.health.smart import target_of
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import Commands
from rasura_agent.report import rfc3339

__all__ = ["DriveTested", "TestProgress", "reported_test", "run_tests", "stop_tests"]

_STOPPED = "stopped by the operator"


class TestProgress(msgspec.Struct, frozen=True):
    """How far a drive's self-test is; ``percent`` is ``None`` where the drive does not tell."""

    __test__ = False  # pytest looks for classes that begin with Test

    drive: Drive
    percent: int | None


class DriveTested(msgspec.Struct, frozen=True):
    """How a drive's self-test ended; ``refused`` says why none was started."""

    drive: Drive
    tested: SelfTested | None
    finished_at: datetime
    refused: str | None = None


def run_tests(
    drives: Sequence[Drive],
    kind: TestKind,
    commands: Commands,
    clock: Clock,
    on_progress: Callable[[TestProgress], None],
    hold: Callable[[str], int] = open_to_hold,
) -> tuple[DriveTested, ...]:
    """Test all drives at the same time; in their order.

    The first KeyboardInterrupt stops the tests in order, a second one is the caller's.
    """
    stopping = threading.Event()
    news: queue.SimpleQueue[TestProgress | tuple[int, DriveTested]] = queue.SimpleQueue()

    def run(number: int, drive: Drive) -> None:
        def watch(percent: int | None) -> str | None:
            news.put(TestProgress(drive, percent))
            return _STOPPED if stopping.is_set() else None

        news.put((number, _test(drive, kind, commands, clock, watch, hold)))

    for number, drive in enumerate(drives):
        # Daemons: a drive that hangs in the kernel must not keep the process from ending.
        threading.Thread(target=run, args=(number, drive), name=drive.path, daemon=True).start()
    ended: dict[int, DriveTested] = {}
    while len(ended) < len(drives):
        try:
            one = news.get()
        except KeyboardInterrupt:
            if stopping.is_set():
                raise
            stopping.set()
            continue
        if isinstance(one, TestProgress):
            on_progress(one)
        else:
            ended[one[0]] = one[1]
    return tuple(ended[number] for number in range(len(drives)))


def _test(
    drive: Drive,
    kind: TestKind,
    commands: Commands,
    clock: Clock,
    watch: Callable[[int | None], str | None],
    hold: Callable[[str], int],
) -> DriveTested:
    target = target_of(drive)
    if target.unasked is not None:
        return DriveTested(drive, None, clock.wall(), target.unasked)
    try:
        descriptor = hold(drive.path)
    except RasuraError as error:
        return DriveTested(drive, None, clock.wall(), f"{error}; a drive that is in use is not tested")
    try:
        tested = run_self_test(target, kind, commands, clock, watch)
        if isinstance(tested, str):
            return DriveTested(drive, None, clock.wall(), tested)
        return DriveTested(drive, tested, clock.wall())
    finally:
        os.close(descriptor)


def stop_tests(drives: Sequence[Drive], commands: Commands) -> tuple[tuple[Drive, str | None], ...]:
    """End the self-tests that run in drives, whoever started them; why that did not work, for each."""
    found = []
    for drive in drives:
        target = target_of(drive)
        found.append((drive, target.unasked or stop_self_test(target, commands)))
    return tuple(found)


def reported_test(one: DriveTested) -> ReportedTest | None:
    """The claims about a self-test; ``None`` where none was started."""
    if one.tested is None:
        return None
    return ReportedTest(
        kind=one.tested.kind,
        result=one.tested.result if one.tested.result is not TestResult.RUNNING else TestResult.UNKNOWN,
        sentence=one.tested.sentence,
        finished_at=rfc3339(one.finished_at),
        duration_ms=round(one.tested.took_s * 1000),
    )
