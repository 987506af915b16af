"""NVMe Sanitize as a technique: stale, failing, stuck, and of somebody else."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura.certificate import Technique
from rasura_agent.erase.firmware.line import Line, Running
from rasura_agent.erase.firmware.nvme_capabilities import (
    read_sanitize_log,
)
from rasura_agent.erase.firmware.nvme_offers import SANITIZE_ACTIONS
from rasura_agent.erase.firmware.nvme_sanitize import (
    RESTRICTED_FAILURE,
    adopt_sanitize,
    leave_failure_mode,
    run_sanitize,
)
from simulators.nvme_types import NvmeOptions
from simulators.world import FaultKind
from unit.test_firmware_nvme_bench import (
    BLOCK,
    CRYPTO,
    DONE,
    FORMAT_USER,
    REFUSED,
    TIMED,
    UNKNOWN,
    VERS,
    Bench,
    altered,
)


@pytest.mark.parametrize("technique", SANITIZE_ACTIONS)
@pytest.mark.parametrize("vers", [0, VERS])
def test_a_sanitize_ends_in_idle(technique: Technique, vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    assert (bench.run(technique).state, bench.run(technique).state) == ("Idle", "Idle")


def test_garbage_for_a_sanitize_log() -> None:
    bench = Bench()
    for technique, first, wanted in ((BLOCK, 0, REFUSED), (BLOCK, 1, UNKNOWN), (CRYPTO, 1, UNKNOWN)):
        line = altered(bench.line(), "GET LOG PAGE 81h", lambda data: data[:100], first)
        assert bench.run_on(line, technique).disposition is wanted
    contradiction = altered(bench.line(), "GET LOG PAGE 81h", lambda data: b"\xff\xff\x07" + data[3:])
    end = bench.run_on(contradiction, BLOCK)
    assert end.disposition is REFUSED
    assert "contradicts itself" in end.reason


def test_progress_is_told_and_a_stop_is_no_success() -> None:
    bench = Bench()
    heard: list[Running] = []

    def watch(running: Running) -> str | None:
        heard.append(running)
        return "the operator gave up" if running.elapsed_s > 10 else None

    line = Line(bench.line().port, bench.subsystem.clock, watch)
    end = bench.run_on(line, BLOCK)
    assert end.disposition is UNKNOWN
    assert "the operator gave up" in end.reason
    assert end.state == "Unrestricted Processing"
    assert heard[0].estimate_s == 40
    fractions = [one.fraction for one in heard if one.fraction is not None]
    assert fractions == sorted(fractions)
    assert 0.2 < fractions[-1] < 1


@pytest.mark.parametrize("cdw10", [0b0010, 0b1010])
def test_a_success_of_the_past_is_not_taken_for_this_one(cdw10: int) -> None:
    bench = Bench()
    bench.subsystem.sanitize.pretend_earlier_success(cdw10)
    bench.subsystem.faults.sanitize_ignored = True
    end = bench.run(BLOCK)
    assert end.disposition is UNKNOWN
    assert "its log tells of another" in end.reason
    assert bench.holds_data


def test_two_runs_in_a_row_are_told_apart() -> None:
    bench = Bench(NvmeOptions(crypto_erase_seconds=0))
    words = []
    for _ in range(3):
        assert bench.run(CRYPTO).disposition is DONE
        log = read_sanitize_log(bench.line())
        assert not isinstance(log, str)
        words.append(log.scdw10)
    assert words == [0b1100, 0b0100, 0b1100]


def test_an_instant_cryptographic_erase_is_believed() -> None:
    bench = Bench(NvmeOptions(crypto_erase_seconds=0, estimates=(1600, 40, 3600, 0, 0, 0)))
    assert bench.run(CRYPTO).disposition is DONE
    assert not bench.holds_data


@pytest.mark.parametrize("technique", TIMED)
def test_an_instant_success_is_not_believed_where_the_drive_estimates_more(technique: Technique) -> None:
    bench = Bench(
        NvmeOptions(
            block_erase_seconds=0, overwrite_pass_seconds=0, estimates=(16 * 200, 200, 2, *[0xFFFFFFFF] * 3)
        )
    )
    end = bench.run(technique)
    assert end.disposition is UNKNOWN
    assert "estimates 200 s" in end.reason


@pytest.mark.parametrize("technique", TIMED)
def test_an_instant_success_is_not_believed_by_capacity(technique: Technique) -> None:
    bench = Bench(NvmeOptions(block_erase_seconds=0, overwrite_pass_seconds=0))
    found = bench.capabilities()
    real = replace(found, controller=replace(found.controller, tnvmcap=2 * 10**12))
    end = run_sanitize(bench.line(), real, technique)
    assert end.disposition is UNKNOWN
    assert "which no medium can do" in end.reason


@pytest.mark.parametrize("vers", [0, VERS])
@pytest.mark.parametrize("technique", SANITIZE_ACTIONS)
def test_a_sanitize_that_fails_midway(technique: Technique, vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    bench.subsystem.faults.sanitize_fails_at = 0.05
    end = bench.run(technique)
    assert (end.disposition, end.state) == (UNKNOWN, "Unrestricted Failure")
    assert "failed" in end.reason
    assert bench.run(FORMAT_USER).disposition is UNKNOWN
    left = leave_failure_mode(bench.line())
    assert (left.disposition, left.state) == (REFUSED, "Idle")
    assert "not erased" in left.reason
    bench.subsystem.faults.sanitize_fails_at = None
    assert bench.run(FORMAT_USER).disposition is DONE
    assert bench.run(technique).disposition is DONE


@pytest.mark.parametrize("vers", [0, VERS])
def test_a_restricted_failure_is_left_by_a_sanitize_only(vers: int) -> None:
    bench = Bench(NvmeOptions(sanicap=7 | vers))
    bench.subsystem.faults.sanitize_fails_at = 0.05
    bench.begin_elsewhere(0b0010)
    bench.subsystem.wait_until(100.0)
    bench.subsystem.faults.sanitize_fails_at = None
    left = leave_failure_mode(bench.line())
    assert (left.disposition, left.state) == (REFUSED, RESTRICTED_FAILURE)
    assert bench.holds_data
    end = bench.run(BLOCK)
    assert end.disposition is DONE
    assert not bench.holds_data


def test_leaving_a_failure_mode_that_is_none() -> None:
    bench = Bench()
    assert "no sanitize has failed" in leave_failure_mode(bench.line()).reason
    assert leave_failure_mode(bench.line({0: FaultKind.HANG})).disposition is UNKNOWN


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.ABORT, FaultKind.SWALLOW_STATUS])
def test_leaving_a_failure_mode_without_an_answer(kind: FaultKind) -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_fails_at = 0.05
    bench.run(BLOCK)
    assert leave_failure_mode(bench.line({1: kind})).disposition is UNKNOWN


def test_a_sanitize_that_is_stuck() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_sticks_at = 0.3
    end = bench.run(BLOCK)
    assert end.disposition is UNKNOWN
    assert "has not advanced" in end.reason
    assert bench.subsystem.clock.monotonic() < 2 * 3600


def test_a_drive_that_forgets() -> None:
    bench = Bench()
    bench.subsystem.faults.forgets_status_on_reset = True
    end = bench.run(BLOCK, {3: FaultKind.BUS_RESET})
    assert end.disposition is UNKNOWN
    assert bench.holds_data


@pytest.mark.parametrize("cdw10", [0b0010, 0b1100, 0b0011 | 2 << 4, 0b1010 | 1 << 9, 0b0010 | 1 << 10])
def test_a_running_sanitize_is_adopted_and_is_no_success(cdw10: int) -> None:
    bench = Bench(NvmeOptions(sanicap=0x8000_000F))
    bench.begin_elsewhere(cdw10)
    assert bench.run(BLOCK).disposition is UNKNOWN
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Idle")
    assert "did not begin has succeeded" in end.reason
    assert bench.run(BLOCK).disposition is DONE


def test_a_running_sanitize_that_fails_is_adopted() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_fails_at = 0.5
    bench.begin_elsewhere(0b1010)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Unrestricted Failure")


def test_media_verification_is_left() -> None:
    bench = Bench(NvmeOptions(sanicap=0xF))
    bench.begin_elsewhere(0b1010 | 1 << 10)
    bench.subsystem.wait_until(100.0)
    assert bench.run(BLOCK).state == "Media Verification"
    assert "under way" in str(bench.offer(BLOCK).obstacle)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.state) == (REFUSED, "Idle")


def test_nothing_to_adopt() -> None:
    bench = Bench()
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert (end.disposition, end.reason) == (REFUSED, "no sanitize is under way")
    end = adopt_sanitize(bench.line({0: FaultKind.HANG}), bench.capabilities())
    assert end.disposition is UNKNOWN


def test_an_adopted_sanitize_that_is_stuck() -> None:
    bench = Bench()
    bench.subsystem.faults.sanitize_sticks_at = 0.3
    bench.begin_elsewhere(0b1010)
    end = adopt_sanitize(bench.line(), bench.capabilities())
    assert end.disposition is UNKNOWN


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_status_of_sanitize_is_settled_by_the_log(kind: FaultKind) -> None:
    bench = Bench()
    end = bench.run(BLOCK, {1: kind})
    assert end.disposition is DONE
    assert not bench.holds_data
