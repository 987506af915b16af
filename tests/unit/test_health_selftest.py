"""Self-tests: started, followed, stopped; a drive that does not tell how it ended has not passed."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from rasura.errors import RefusedError
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.model import TestResult
from rasura_agent.health.selftest import SelfTested, TestKind, run_self_test, stop_self_test
from rasura_agent.health.smart import Target
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.self_testing import TestProgress, reported_test, run_tests
from simulators.machine import Machine
from simulators.selftester import SelfTestingDrive
from simulators.world import ManualClock

TARGET = Target("/dev/sda", serial="S-1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def followed(
    drive: SelfTestingDrive, kind: TestKind = TestKind.SHORT, stop_at: int | None = None
) -> SelfTested | str:
    def watch(percent: int | None) -> str | None:
        return "enough" if stop_at is not None and percent is not None and percent >= stop_at else None

    return run_self_test(TARGET, kind, drive, drive.clock, watch)


def test_passed(clock: ManualClock) -> None:
    seen: list[int | None] = []
    drive = SelfTestingDrive(clock)
    ended = run_self_test(TARGET, TestKind.SHORT, drive, clock, seen.append)
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.PASSED
    assert ended.entry is not None
    assert 120 <= ended.took_s < 130
    assert seen == sorted(seen, key=lambda one: -1 if one is None else one)
    assert seen[-1] is not None


def test_failed(clock: ManualClock) -> None:
    ended = followed(SelfTestingDrive(clock, fails=True))
    assert isinstance(ended, SelfTested)
    assert (ended.result, ended.sentence) == (TestResult.FAILED, "Completed: read failure")


def test_an_old_result_is_not_taken_for_the_new_one(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock, fails=True)
    drive._log("Completed without error", True)
    ended = followed(drive)
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.FAILED


def test_a_log_that_is_full(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock, fails=True)
    for _ in range(30):
        drive._log("Completed without error", True)
    ended = followed(drive)
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.FAILED


def test_stopped(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    ended = followed(drive, stop_at=50)
    assert isinstance(ended, SelfTested)
    assert (ended.result, ended.sentence) == (TestResult.ABORTED, "enough")
    assert drive.began is None


def test_it_never_ends(clock: ManualClock) -> None:
    """Three times what the drive says and ten minutes, no more."""
    drive = SelfTestingDrive(clock, takes_s=1e9)
    ended = followed(drive)
    assert isinstance(ended, SelfTested)
    assert (ended.result, ended.sentence) == (TestResult.ABORTED, "it did not end in its time")
    assert 16 * 60 <= ended.took_s < 17 * 60
    assert drive.began is None


def test_it_never_ends_and_never_said_how_long(clock: ManualClock) -> None:
    ended = followed(SelfTestingDrive(clock, takes_s=1e9, minutes=None))
    assert isinstance(ended, SelfTested)
    assert ended.took_s < 11 * 60


def test_the_drive_falls_silent(clock: ManualClock) -> None:
    ended = followed(SelfTestingDrive(clock, silent_after_s=30))
    assert isinstance(ended, SelfTested)
    assert (ended.result, ended.sentence) == (TestResult.UNKNOWN, "the drive does not answer any more")


def test_no_log_but_a_last_status(clock: ManualClock) -> None:
    ended = followed(SelfTestingDrive(clock, keeps_log=False))
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.PASSED
    assert "keeps no log" in ended.sentence


def test_no_log_and_never_seen_running_is_not_passed(clock: ManualClock) -> None:
    """The status of a drive that never ran a test looks like that of one that passed."""
    ended = followed(SelfTestingDrive(clock, keeps_log=False, shows_running=False))
    assert isinstance(ended, SelfTested)
    assert (ended.result, ended.sentence) == (TestResult.UNKNOWN, "the drive's log holds no result of it")


def test_a_quick_test_that_nobody_saw_running(clock: ManualClock) -> None:
    ended = followed(SelfTestingDrive(clock, takes_s=3, shows_running=False))
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.PASSED


def test_it_is_refused(clock: ManualClock) -> None:
    assert followed(SelfTestingDrive(clock, starts=False)) == "Self-test not supported"


def test_one_runs_already(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    drive.began = clock.monotonic()
    assert followed(drive) == "one runs already"
    assert not any("-t" in call for call in drive.calls)


def test_another_drive_answers(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    answer = run_self_test(
        Target("/dev/sda", serial="OTHER"), TestKind.SHORT, drive, clock, lambda _percent: None
    )
    assert isinstance(answer, str)
    assert not any("-t" in call for call in drive.calls)


def test_stop(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    assert stop_self_test(TARGET, drive) is None
    assert not any("-X" in call for call in drive.calls)
    drive.began = clock.monotonic()
    assert stop_self_test(TARGET, drive) is None
    assert drive.began is None


def test_stop_that_does_not_stop(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock, stops=False)
    drive.began = clock.monotonic()
    assert "does not stop" in (stop_self_test(TARGET, drive) or "")


DRIVE = Drive(
    *("/dev/sda", Transport.SATA, None, "Sample", "S-1", None, None, 1 << 30, 512, 512, True, False),
    *((8, 0), 1, ()),
)


def test_before_an_erasure_a_running_test_is_stopped(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    checkup = Checkup(drive, Machine())
    assert checkup.quiet(DRIVE, checkup.read(DRIVE)) is None
    drive.began = clock.monotonic()
    assert checkup.quiet(DRIVE, checkup.read(DRIVE)) is None
    assert drive.began is None
    stubborn = SelfTestingDrive(clock, stops=False)
    stubborn.began = clock.monotonic()
    checkup = Checkup(stubborn, Machine())
    assert "wait until it has ended" in (checkup.quiet(DRIVE, checkup.read(DRIVE)) or "")


def held(path: str) -> int:
    assert path == "/dev/sda"
    return os.open(os.devnull, os.O_RDONLY)


def busy(path: str) -> int:
    raise RefusedError(f"cannot open {path}: Device or resource busy")


def test_a_drive_that_is_being_erased_is_not_tested(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    (ended,) = run_tests([DRIVE], TestKind.SHORT, drive, clock, lambda _event: None, busy)
    assert ended.tested is None
    assert "busy" in (ended.refused or "")
    assert reported_test(ended) is None
    assert drive.calls == []


def test_many_at_once_and_what_is_reported(clock: ManualClock) -> None:
    drive = SelfTestingDrive(clock)
    seen: list[TestProgress] = []
    (ended,) = run_tests([DRIVE], TestKind.SHORT, drive, clock, seen.append, held)
    record = reported_test(ended)
    assert record is not None
    assert (record.kind, record.result) == ("short", "passed")
    assert record.duration_ms >= 120_000
    assert seen
