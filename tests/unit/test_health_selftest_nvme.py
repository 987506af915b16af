"""Self-tests of NVMe drives, the whole way: started, followed, stopped, given up."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from rasura_agent.health.checkup import Checkup
from rasura_agent.health.model import TestResult
from rasura_agent.health.selftest import SelfTested, TestKind
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.self_testing import DriveTested, TestProgress, reported_test, run_tests, stop_tests
from simulators.machine import Machine
from simulators.selftester import SelfTestingNvme
from simulators.world import ManualClock

DRIVE = Drive(
    *("/dev/nvme0n1", Transport.NVME, None, "Sample", "S-1", None, None, 1 << 30, 512, 512, False, False),
    *((259, 0), 1, ()),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def held(path: str) -> int:
    assert path == "/dev/nvme0n1", "the namespace is held, the controller is asked"
    return os.open(os.devnull, os.O_RDONLY)


def ended(
    drive: SelfTestingNvme,
    kind: TestKind = TestKind.SHORT,
    told: Callable[[TestProgress], None] = lambda _event: None,
) -> DriveTested:
    (one,) = run_tests([DRIVE], kind, drive, drive.clock, told, held)
    return one


def whole_way(drive: SelfTestingNvme, kind: TestKind = TestKind.SHORT) -> SelfTested:
    one = ended(drive, kind).tested
    assert one is not None
    return one


@pytest.mark.parametrize(("kind", "name"), [(TestKind.SHORT, "Short"), (TestKind.LONG, "Extended")])
def test_started_followed_and_passed(clock: ManualClock, kind: TestKind, name: str) -> None:
    drive = SelfTestingNvme(clock, takes_s=600.0)
    seen: list[TestProgress] = []
    one = ended(drive, kind, seen.append)
    assert one.tested is not None
    assert (one.tested.result, one.tested.sentence) == (TestResult.PASSED, "Completed without error")
    assert one.tested.entry is not None
    assert one.tested.entry.kind == name
    percents = [event.percent for event in seen]
    assert percents
    assert all(percent is not None for percent in percents)
    assert percents == sorted(percents, key=lambda percent: percent or 0)
    record = reported_test(one)
    assert record is not None
    assert (record.kind, record.result) == (kind.value, "passed")


def test_failed(clock: ManualClock) -> None:
    drive = SelfTestingNvme(clock, fails=True)
    one = whole_way(drive)
    assert (one.result, one.sentence) == (TestResult.FAILED, "Completed: failed segments")
    reading = Checkup(drive, Machine()).read(DRIVE)
    assert reading.health is not None
    assert reading.health.failed_self_test is not None


def test_an_old_result_is_not_taken_for_the_new_one(clock: ManualClock) -> None:
    drive = SelfTestingNvme(clock)
    assert whole_way(drive).result is TestResult.PASSED
    drive.fails = True
    assert whole_way(drive).result is TestResult.FAILED


def test_stopped_by_whoever_comes_later(clock: ManualClock) -> None:
    drive = SelfTestingNvme(clock)
    drive.running = ("long", clock.monotonic())
    assert ended(drive).refused == "one runs already"
    assert stop_tests([DRIVE], drive) == ((DRIVE, None),)
    assert drive.running is None
    assert drive.log[0]["self_test_result"]["value"] == 1


def test_before_an_erasure_it_is_stopped(clock: ManualClock) -> None:
    drive = SelfTestingNvme(clock)
    drive.running = ("short", clock.monotonic())
    checkup = Checkup(drive, Machine())
    assert checkup.quiet(DRIVE, checkup.read(DRIVE)) is None
    assert drive.running is None
    stubborn = SelfTestingNvme(clock, stops=False)
    stubborn.running = ("short", clock.monotonic())
    checkup = Checkup(stubborn, Machine())
    assert "wait until it has ended" in (checkup.quiet(DRIVE, checkup.read(DRIVE)) or "")


@pytest.mark.parametrize(("kind", "most_s"), [(TestKind.SHORT, 11 * 60), (TestKind.LONG, 48.1 * 3600)])
def test_it_never_ends(clock: ManualClock, kind: TestKind, most_s: float) -> None:
    drive = SelfTestingNvme(clock, takes_s=1e9)
    one = whole_way(drive, kind)
    assert (one.result, one.sentence) == (TestResult.ABORTED, "it did not end in its time")
    assert one.took_s < most_s
    assert drive.running is None, "it was stopped"


def test_it_is_refused(clock: ManualClock) -> None:
    one = ended(SelfTestingNvme(clock, starts=False))
    assert one.tested is None
    assert "Self-test in Progress" in (one.refused or "")
    assert "not supported by NVMe" in (ended(SelfTestingNvme(clock), TestKind.CONVEYANCE).refused or "")
