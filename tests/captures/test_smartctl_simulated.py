"""Health of simulated drives as the installed smartctl reads it: the whole way from bytes to a grade.

What it printed once is kept in smartctl/ (see record_smartctl.py), so that the same is tested where there is
no smartctl.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rasura.health import Grade
from rasura_agent.health.document import Document, parse_document
from rasura_agent.health.grade import grade, grade_table
from rasura_agent.health.model import Health, HealthReading, TestResult
from rasura_agent.health.selftest import SelfTested, TestKind, run_self_test, stop_self_test
from rasura_agent.health.smart import Target, read_health
from rasura_agent.health.words import reason_sentences
from rasura_agent.inventory.ports import Commands
from simulators.sat import SatTarget
from simulators.smart_drives import SmartAtaDrive, bench
from simulators.smartctl_line import CapturedSmartctl, SmartctlOverSimulators, obstacle
from simulators.world import ManualClock

CAPTURES = Path(__file__).with_name("smartctl")
QEMU = Path(__file__).with_name("smartctl-qemu")
"""Taken in the live image's guest of the lab, from QEMU's own SATA and NVMe drives."""
needs_smartctl = pytest.mark.skipif(obstacle() is not None, reason=obstacle() or "")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(params=["captured", pytest.param("installed", marks=needs_smartctl)])
def commands(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Commands:
    if request.param == "captured":
        return CapturedSmartctl(CAPTURES)
    return SmartctlOverSimulators(tmp_path, bench(clock))


def read(commands: Commands, path: str) -> tuple[HealthReading, Health]:
    reading = read_health(Target(path), commands)
    assert reading.unknown is None
    assert reading.health is not None
    assert reading.evidence is not None
    # No two readings of one drive may differ.
    assert not [note for note in reading.notes if "pySMART" in note]
    return reading, reading.health


def test_a_failing_disk(commands: Commands) -> None:
    reading, health = read(commands, "/dev/sda")
    assert health.passed is False
    assert (health.power_on_hours, health.errors_logged) == (41234, 3)
    assert [one.result for one in health.self_tests or ()] == [TestResult.FAILED, TestResult.PASSED]
    verdict = grade(reading, grade_table())
    assert verdict.grade is Grade.REJECT
    assert reason_sentences(verdict) == (
        "the drive itself says that it fails",
        "1 of its attributes say that it will fail soon",
        "its last self-test failed",
        "8 sectors cannot be read (attribute 198)",
        "8 sectors wait to be replaced (attribute 197)",
        "3 errors could not be corrected (attribute 187)",
        "1975 sectors were replaced (attribute 5)",
        "it ran for 41234 hours",
    )


def test_a_healthy_disk(commands: Commands) -> None:
    reading, health = read(commands, "/dev/sdb")
    assert health.passed is True
    assert health.temperature_c == 30
    assert dict(health.test_minutes) == {"short": 2, "long": 90, "conveyance": 5}
    assert grade(reading, grade_table()).grade is Grade.GOOD


def test_a_worn_ssd(commands: Commands) -> None:
    reading, health = read(commands, "/dev/sdc")
    assert health.bytes_written == (160 << 21) * 512
    verdict = grade(reading, grade_table())
    assert verdict.grade is Grade.WATCH
    assert "2 sectors were replaced (attribute 5)" in reason_sentences(verdict)


def test_sas_counters(commands: Commands) -> None:
    reading, health = read(commands, "/dev/sdd")
    assert health.sas is not None
    assert (health.sas.grown_defects, health.sas.uncorrected_read, health.sas.non_medium_errors) == (3, 1, 12)
    assert health.bytes_written == 10**12
    assert [one.kind for one in health.self_tests or ()] == ["Background short"]
    assert grade(reading, grade_table()).grade is Grade.WATCH


def test_nvme_past_its_life(commands: Commands) -> None:
    reading, health = read(commands, "/dev/nvme0")
    assert (health.wear_percent, health.bytes_written) == (104, 600_000_000 * 512_000)
    verdict = grade(reading, grade_table())
    assert verdict.grade is Grade.REJECT
    assert set(reason_sentences(verdict)) == {"it lost data 2 times", "104 % of its life is used up"}


@pytest.mark.parametrize(("path", "model"), [("/dev/sda", "QEMU HARDDISK"), ("/dev/nvme0", "QEMU NVMe Ctrl")])
def test_the_images_smartctl_on_drives_of_qemu(path: str, model: str) -> None:
    """smartctl 7.4 in the live image, which has keys that 7.3 has not."""
    reading, health = read(CapturedSmartctl(QEMU), path)
    assert health.model == model
    assert reading.evidence is not None
    assert reading.evidence.tool == "smartctl 7.4"
    assert grade(reading, grade_table()).grade is Grade.GOOD


def test_an_nvme_drive_without_self_tests_is_not_told_to(clock: ManualClock) -> None:
    """smartctl 7.4 says that it was started, and nothing is."""
    answer = run_self_test(
        Target("/dev/nvme0"), TestKind.SHORT, CapturedSmartctl(QEMU), clock, lambda _percent: None
    )
    assert answer == "the drive keeps no log of self-tests, as those do that know none"


def test_the_images_smartctl_starts_a_self_test() -> None:
    """QEMU's disk ends it at once, and logs it."""
    started = CapturedSmartctl(QEMU).run(("smartctl", "--json=c", "-d", "sat", "-t", "short", "/dev/sda"), 1)
    assert started.status == 0
    after = CapturedSmartctl(QEMU).run(("smartctl", "--json=c", "-d", "sat", "-x", "/dev/sda"), 1)
    document = parse_document(after.stdout)
    assert isinstance(document, Document)
    assert document.health is not None
    assert [one.result for one in document.health.self_tests or ()] == [TestResult.PASSED]


def test_a_run_that_was_not_captured_is_an_error() -> None:
    reading = read_health(Target("/dev/sdz"), CapturedSmartctl(CAPTURES))
    assert reading.health is None
    assert "there is no capture of smartctl --json=c -x /dev/sdz" in (reading.unknown or "")


@needs_smartctl
@pytest.mark.parametrize("kind", list(TestKind))
@pytest.mark.parametrize("fails", [False, True])
def test_a_self_test_of_a_disk(tmp_path: Path, clock: ManualClock, kind: TestKind, fails: bool) -> None:
    commands, drive = ready(tmp_path, clock)
    drive.smart.test_fails = fails
    seen: list[int | None] = []
    ended = run_self_test(Target("/dev/sdb"), kind, commands, clock, seen.append)
    assert isinstance(ended, SelfTested)
    assert ended.result is (TestResult.FAILED if fails else TestResult.PASSED)
    assert any(seen)
    health = read(commands, "/dev/sdb")[1]
    assert (health.failed_self_test is not None) is fails


@needs_smartctl
def test_a_self_test_is_stopped(tmp_path: Path, clock: ManualClock) -> None:
    commands, drive = ready(tmp_path, clock)
    ended = run_self_test(
        Target("/dev/sdb"), TestKind.SHORT, commands, clock, lambda percent: "enough" if percent else None
    )
    assert isinstance(ended, SelfTested)
    assert ended.result is TestResult.ABORTED
    assert drive.smart.tests[0][1] == 0x10
    assert stop_self_test(Target("/dev/sdb"), commands) is None


def ready(tmp_path: Path, clock: ManualClock) -> tuple[Commands, SmartAtaDrive]:
    drives = bench(clock)
    target = drives["/dev/sdb"]
    assert isinstance(target, SatTarget)
    assert isinstance(target.drive, SmartAtaDrive)
    return SmartctlOverSimulators(tmp_path, drives), target.drive


def test_the_captures_say_nothing_of_where_they_were_made() -> None:
    for path in CAPTURES.iterdir():
        assert os.uname().release.encode() not in path.read_bytes()
