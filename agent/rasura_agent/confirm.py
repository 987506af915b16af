"""Which drives a person agreed to lose, and how the way of each drive ended. Pure."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rasura.bundle import Bundle
from rasura.certificate import Method, Outcome, Technique
from rasura.errors import RefusedError
from rasura.health import HealthClaims
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.erase.result import EraseResult
from rasura_agent.sentence import Sentence

__all__ = ["Confirmation", "DriveOutcome", "confirm_all", "confirm_serials", "left_alone"]


class DriveOutcome(msgspec.Struct, frozen=True):
    """How the way of one drive ended.

    ``certificate`` is signed wherever something was done to the drive. ``path`` is where it lies,
    ``None`` if it could not be written; then the caller must show it. ``logged`` is whether the
    registry has proven that it holds it. ``problems`` are sentences about the certificate's fate.
    """

    plan: DrivePlan
    outcome: Outcome
    reason: str | None
    result: EraseResult | None = None
    certificate: Bundle | None = None
    path: Path | None = None
    logged: bool = False
    problems: tuple[str, ...] = ()
    health: HealthClaims | None = None
    """The latest that is known, after the erasure if there was one."""

    @property
    def method(self) -> Method | None:
        """The method achieved."""
        return self.result.method if self.result is not None else None

    @property
    def technique(self) -> Technique | None:
        """The technique that achieved it."""
        way = self.result.way if self.result is not None else None
        return way.technique if way is not None and self.method is not None else None


class Confirmation(msgspec.Struct, frozen=True):
    """Which drives a person agreed to lose: plans to run, and why each other one is left alone."""

    chosen: tuple[DrivePlan, ...]
    left: tuple[DriveOutcome, ...]


def confirm_serials(plans: tuple[DrivePlan, ...], serials: tuple[str, ...]) -> Confirmation:
    """Choose the drives named by serial, or by path where a drive has no serial of its own.

    Raises:
        RefusedError: a name fits no drive, or a serial fits several.
    """
    wanted: set[str] = set()
    for name in serials:
        fitting = [plan for plan in plans if name in {plan.drive.serial, plan.drive.path}]
        if not fitting:
            known = ", ".join(plan.drive.serial or plan.drive.path for plan in plans) or "no drive at all"
            raise RefusedError(
                f"no drive has the serial {name!r}: nothing was erased", hint=f"there is {known}"
            )
        if len(fitting) > 1:
            paths = ", ".join(plan.drive.path for plan in fitting)
            raise RefusedError(
                f"several drives have the serial {name!r}: nothing was erased",
                hint=f"confirm one by its path instead: {paths}",
            )
        wanted.add(fitting[0].drive.path)
    chosen = tuple(plan for plan in plans if plan.drive.path in wanted and plan.runnable)
    return Confirmation(chosen, _left(plans, chosen))


def confirm_all(plans: tuple[DrivePlan, ...], number: int) -> Confirmation:
    """Choose every drive that can be erased, if there are exactly ``number`` of them.

    Raises:
        RefusedError: there are more or fewer.
    """
    chosen = tuple(plan for plan in plans if plan.runnable)
    if len(chosen) != number:
        raise RefusedError(
            f"{number} drives were confirmed and {len(chosen)} would be erased: nothing was erased",
            hint="look at 'rasura-agent plan' and confirm the number it ends with",
        )
    return Confirmation(chosen, _left(plans, chosen))


def _left(plans: tuple[DrivePlan, ...], chosen: tuple[DrivePlan, ...]) -> tuple[DriveOutcome, ...]:
    return left_alone(tuple(plan for plan in plans if plan not in chosen), "not confirmed")


def left_alone(plans: tuple[DrivePlan, ...], why: str) -> tuple[DriveOutcome, ...]:
    """The outcomes of drives that nothing is done to; ``why`` is said of those that could be erased."""
    left = []
    for plan in plans:
        if plan.runnable:
            left.append(DriveOutcome(plan, Outcome.SKIPPED, why))
        else:
            reason = plan.unreachable or Sentence.of(refusal.sentence for refusal in plan.refusals)
            left.append(DriveOutcome(plan, Outcome.REFUSED, reason))
    return tuple(left)
