"""Drives that come while a job runs are in the report of the machine."""

from __future__ import annotations

from rasura.certificate import Outcome
from rasura.errors import RasuraError
from rasura_agent.confirm import left_alone
from rasura_agent.erase.plan import plan_drive
from rasura_agent.inventory.model import Drive
from rasura_agent.report_commands import with_latecomers
from rasura_agent.survey import Survey
from simulators.block import simulated_drive
from simulators.signing import overwrite_policy


def survey(*drives: Drive) -> Survey:
    return Survey(tuple(plan_drive(drive, overwrite_policy(), ()) for drive in drives), (), (), ())


FIRST = simulated_drive(1 << 20, path="/dev/sda")
LATE = simulated_drive(1 << 20, path="/dev/sdb", serial="LATE-1", diskseq=8)


def outcomes(*now: Drive) -> list[tuple[str | None, Outcome, str | None]]:
    before = survey(FIRST)
    found, whole = with_latecomers(left_alone(before.plans, "x"), before, lambda: survey(*now))
    assert [plan.drive for plan in whole.plans] == [one.plan.drive for one in found]
    return [(one.plan.drive.serial, one.outcome, one.reason) for one in found]


def test_one_that_came_is_named_with_why_nothing_was_done() -> None:
    late = ("LATE-1", Outcome.SKIPPED, "it was plugged in while the job ran")
    assert outcomes(FIRST, LATE) == [("SIM0001", Outcome.SKIPPED, "x"), late]
    # Under the name of one that went, too.
    other = simulated_drive(1 << 20, path="/dev/sda", serial="LATE-1", diskseq=8)
    assert outcomes(other) == [("SIM0001", Outcome.SKIPPED, "x"), late]


def test_one_that_went_or_lost_its_line_for_a_moment_is_there_once() -> None:
    assert len(outcomes()) == 1
    assert len(outcomes(simulated_drive(1 << 20, path="/dev/sdc", diskseq=9))) == 1


def test_what_cannot_be_listed_takes_no_report_along() -> None:
    def broken() -> Survey:
        raise RasuraError("sysfs cannot be read")

    before = survey(FIRST)
    left = left_alone(before.plans, "x")
    assert with_latecomers(left, before, broken) == (left, before)
