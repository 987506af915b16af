"""The machine report as a command, and at the end of a job. No decisions here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from rasura.errors import RasuraError, UsageError
from rasura.machine_report import MachineReport, Override
from rasura_agent.capturing import SeenMachine, seen_machine
from rasura_agent.confirm import DriveOutcome, left_alone
from rasura_agent.console.health_screen import claimed_proposal_lines
from rasura_agent.console.language import _
from rasura_agent.console.words import fact
from rasura_agent.earlier import EarlierJobs
from rasura_agent.erase.plan import DrivePlan
from rasura_agent.erase.policy import Policy
from rasura_agent.export.document import Inventoried, inventory_document
from rasura_agent.handing import Handed
from rasura_agent.health.proposal import override
from rasura_agent.inventory.local import LocalFiles
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.model import Transport
from rasura_agent.inventory.ports import Sources
from rasura_agent.records import read_records
from rasura_agent.reporting import SeenAround
from rasura_agent.survey import Survey, survey_drives

__all__ = [
    "DECIDE",
    "all_drives",
    "decision",
    "handed_facts",
    "handed_lines",
    "look_around",
    "with_latecomers",
]

DECIDE = click.option(
    "--decide",
    "decided",
    metavar="ROUTE=WHY",
    help="In the machine report, decide otherwise than proposed: reuse, parts or recycle, and why. "
    "Needs --operator.",
)


def decision(decided: str | None, operator: str | None) -> Override | None:
    """The operator's decision from the command line; raises ``UsageError``."""
    if decided is None:
        return None
    route, equals, why = decided.partition("=")
    if not equals:
        raise UsageError(f"--decide is written ROUTE=WHY, not {decided!r}")
    return override(route, operator, why)


_NOT_OF_A_MACHINE = frozenset({Transport.FILE, Transport.LOOP})


_CAPTURED = "this is a captured machine: nothing of it was there when the report was signed"


def look_around(
    survey: Survey, spool: Path, decided: Override | None, seen: SeenMachine | None = None
) -> SeenAround:
    """The machine around its drives, for the report; files and loop devices have no machine of their own."""
    seen = seen or seen_machine(None)
    drives = tuple(plan.drive for plan in survey.plans)
    if seen.captured:
        machine, notes = read_machine(seen.sources), (_CAPTURED, *survey.notes)
        document = inventory_document(Inventoried(machine, drives, survey.hidden, notes))
        return SeenAround(machine, document, survey.hidden, notes, decided)
    tests = read_records(spool, (drive.identity_sha256 for drive in drives))
    earlier = EarlierJobs(spool, LocalFiles()).of(drives)
    if _is_simulated(survey):
        return SeenAround(notes=survey.notes, decision=decided, tests=tests, earlier=earlier)
    machine = read_machine()
    document = inventory_document(Inventoried(machine, drives, survey.hidden, survey.notes))
    return SeenAround(machine, document, survey.hidden, survey.notes, decided, tests, earlier)


def _is_simulated(survey: Survey) -> bool:
    return bool(survey.plans) and all(plan.drive.transport in _NOT_OF_A_MACHINE for plan in survey.plans)


def all_drives(
    outcomes: tuple[DriveOutcome, ...],
    survey: Survey,
    policy: Policy,
    *,
    narrowed: bool,
    sources: Sources | None = None,
) -> tuple[tuple[DriveOutcome, ...], Survey]:
    """Every drive of the machine, those too that a job for single devices did not consider."""
    if _is_simulated(survey):
        return outcomes, survey
    if not narrowed:
        return with_latecomers(outcomes, survey, lambda: survey_drives((), (), policy, None, sources))
    whole = survey_drives((), (), policy, None, sources)
    others = _others(survey, whole)
    return (*outcomes, *left_alone(others, "not considered: the job was for other devices")), whole


def with_latecomers(
    outcomes: tuple[DriveOutcome, ...], survey: Survey, look: Callable[[], Survey]
) -> tuple[tuple[DriveOutcome, ...], Survey]:
    """Drives that were plugged in while the job ran, too: no drive of the machine is silently absent."""
    try:
        others = _others(survey, look())
    except RasuraError:
        return outcomes, survey  # what was done is reported in any case
    left = left_alone(others, "it was plugged in while the job ran")
    return (*outcomes, *left), replace(survey, plans=(*survey.plans, *others))


def _others(survey: Survey, now: Survey) -> tuple[DrivePlan, ...]:
    """What ``now`` has and ``survey`` has not. A drive that lost its line for a moment is still itself."""
    known = {(plan.drive.path, plan.drive.diskseq) for plan in survey.plans}
    named = {plan.drive.identity_sha256 for plan in survey.plans if plan.drive.identity_pages}
    return tuple(
        plan
        for plan in now.plans
        if (plan.drive.path, plan.drive.diskseq) not in known and plan.drive.identity_sha256 not in named
    )


def handed_lines(handed: Handed) -> str:
    """What became of the machine report."""
    state = _("logged") if handed.logged else _("NOT LOGGED YET")
    lines = [_("machine report {id} ({state})").format(id=handed.bundle.certificate_id, state=state)]
    lines.append(f"         {handed.path if handed.path is not None else _('NOT WRITTEN TO DISK')}")
    claims = handed.bundle.claims
    if isinstance(claims, MachineReport) and claims.proposal is not None:
        lines += [f"         {line}" for line in claimed_proposal_lines(claims.proposal)]
    lines += ["         " + _("note: {note}").format(note=fact(problem)) for problem in handed.problems]
    return "\n".join(lines)


def handed_facts(handed: Handed | None) -> dict[str, Any] | None:
    """The same for machines; the bundle itself only where it could not be written to disk."""
    if handed is None:
        return None
    return {
        "machineReportId": handed.bundle.certificate_id,
        "path": str(handed.path) if handed.path is not None else None,
        "logged": handed.logged,
        "problems": list(handed.problems),
        "bundle": msgspec.json.decode(handed.bundle.encode()) if handed.path is None else None,
    }
