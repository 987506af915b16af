"""The commands about the health of drives. No decisions here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from rasura.command import EXIT_CODES_HELP, print_json, say_error
from rasura.errors import ExitCode, RasuraError, UsageError
from rasura.text import printable
from rasura_agent.console.facts import drive_facts
from rasura_agent.console.health_screen import HealthRow, health_table, proposal_lines, tested_line
from rasura_agent.erase.policy import BUILT_IN, load_policy
from rasura_agent.guard import RefusalReason
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.health.grade import grade, grade_table
from rasura_agent.health.model import HealthReading, TestResult
from rasura_agent.health.proposal import GradedDrive, graded_hidden, proposal_claims, propose
from rasura_agent.health.selftest import TestKind
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.inventory.local import local_sources
from rasura_agent.inventory.machine import read_machine
from rasura_agent.inventory.model import Drive
from rasura_agent.options import DRIVES, JSON, MACHINE, NO_MACHINE, require_drives, say_notes, seen_through
from rasura_agent.records import RecordError, add_records
from rasura_agent.self_testing import DriveTested, TestProgress, reported_test, run_tests, stop_tests
from rasura_agent.spool import default_folder
from rasura_agent.survey import Survey, survey_drives

__all__ = ["health", "selftest"]

_STOP = "stop"


@click.command(epilog=EXIT_CODES_HELP)
@DRIVES
@MACHINE
@JSON
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep what smartctl said of each drive in this folder, named by its SHA-256.",
)
def health(
    virtual: tuple[Path, ...],
    devices: tuple[str, ...],
    machine_folder: Path | None,
    evidence: Path | None,
    as_json: bool,
) -> int:
    """Ask every drive for its health, grade it, and propose what becomes of the machine.

    Reads only. GOOD, WATCH (donation, use in the house) or REJECT by a table whose version is
    named, each with every reason; NOT KNOWN where nobody told, which is never good. Drives behind a
    RAID controller are asked through it.
    """
    seen = seen_through(machine_folder, virtual)
    survey = survey_drives(virtual, devices, load_policy(BUILT_IN[0]), None, seen.sources)
    drives = tuple(plan.drive for plan in survey.plans)
    checkup = Checkup(seen.sources.commands, seen.sources.files)
    readings, behind = checkup.read_all(drives), checkup.read_hidden(survey.hidden)
    if evidence is not None:
        _keep(evidence, (*readings, *behind))
    graded = tuple(grade(reading, grade_table()) for reading in readings)
    hidden = tuple(zip(survey.hidden, behind, strict=True))
    rows = tuple(HealthRow.of_drive(*row) for row in zip(drives, readings, graded, strict=True))
    rows += tuple(HealthRow.of_hidden(one, told, grade(told, grade_table())) for one, told in hidden)
    proposal = None
    if not virtual and not devices:
        own = {p.drive.path for p in survey.plans if _is_ours(survey, p.drive)}
        judged = [
            GradedDrive(one.model or one.path, one.capacity_bytes, found.grade)
            for one, found in zip(drives, graded, strict=True)
            if one.path not in own
        ]
        judged += [graded_hidden(one, health_claims(told)) for one, told in hidden]
        proposal = propose(read_machine(seen.sources), judged)
    if as_json:
        claims = proposal_claims(proposal, None) if proposal is not None else None
        print_json(
            {
                "gradeTable": grade_table().version,
                "drives": [_facts(*row) for row in zip(drives, readings, strict=True)],
                "unhandled": [_hidden_facts(*row) for row in hidden],
                "proposal": msgspec.to_builtins(claims),
                "notes": list(survey.notes),
            }
        )
    else:
        say_notes(survey)
        if rows:
            click.echo(health_table(rows))
        if proposal is not None:
            click.echo(f"\n{proposal_lines(proposal)}")
    if not hidden:
        require_drives(survey)
    return ExitCode.DONE


def _is_ours(survey: Survey, drive: Drive) -> bool:
    """Whether the drive is the medium the station itself runs from."""
    refusals = next(plan.refusals for plan in survey.plans if plan.drive == drive)
    return any(one.reason is RefusalReason.LIVE_MEDIUM for one in refusals)


def _facts(drive: Drive, reading: HealthReading) -> dict[str, Any]:
    return {"drive": drive_facts(drive), "health": msgspec.to_builtins(health_claims(reading))}


def _hidden_facts(one: HiddenDrive, reading: HealthReading) -> dict[str, Any]:
    health = msgspec.to_builtins(health_claims(reading))
    known = reading.health
    return {
        "name": one.name,
        "type": one.kind,
        "model": known.model if known is not None else None,
        "serial": known.serial if known is not None else None,
        "health": health,
    }


def _keep(folder: Path, readings: Sequence[HealthReading]) -> None:
    for reading in readings:
        if reading.evidence is None:
            continue
        path = folder / f"{reading.evidence.sha256}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reading.evidence.document)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None


@click.command(epilog=EXIT_CODES_HELP)
@click.argument("kind", type=click.Choice([*(kind.value for kind in TestKind), _STOP]))
@DRIVES
@click.option(
    "--spool",
    "spool_folder",
    envvar="RASURA_SPOOL",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where results are kept for the machine report.  [default: ~/.local/state/rasura/spool]",
)
@NO_MACHINE
@JSON
def selftest(
    kind: str, virtual: tuple[Path, ...], devices: tuple[str, ...], spool_folder: Path | None, as_json: bool
) -> int:
    """Have drives test themselves, follow them to the end, and say how it ended.

    short takes some minutes, long reads the whole drive and takes hours, conveyance (ATA only)
    looks for damage of transport; stop ends tests that run, whoever started them. A drive that is
    being erased, mounted or otherwise in use is not tested, and one that is being tested is not
    erased. Ctrl-C stops the tests in order.

    Ends with 0 when every drive passed, 1 when one failed, 3 when none was tested, 4 when nobody
    can say.
    """
    survey = survey_drives(virtual, devices, load_policy(BUILT_IN[0]), None)
    say_notes(survey)
    require_drives(survey)
    drives = tuple(plan.drive for plan in survey.plans if devices or not _is_ours(survey, plan.drive))
    commands = local_sources().commands
    if kind == _STOP:
        return _stopped(stop_tests(drives, commands), as_json=as_json)
    ended = run_tests(drives, TestKind(kind), commands, SystemClock(), _say_progress)
    for one in ended:
        record = reported_test(one)
        if record is not None:
            try:
                add_records(spool_folder or default_folder(), one.drive.identity_sha256, [record])
            except RecordError as error:
                say_error(error)
    if as_json:
        print_json({"tests": [_test_facts(one) for one in ended]})
    else:
        for one in ended:
            click.echo(tested_line(one))
    return _test_code(ended)


def _say_progress(event: TestProgress) -> None:
    percent = f"{event.percent} %" if event.percent is not None else "?"
    click.echo(f"{printable(event.drive.path)}  {percent}", err=True)


def _stopped(ended: tuple[tuple[Drive, str | None], ...], *, as_json: bool) -> int:
    if as_json:
        print_json({"stopped": [{"path": drive.path, "problem": problem} for drive, problem in ended]})
    for drive, problem in ended:
        if problem is not None:
            say_error(RasuraError(f"{drive.path}: {problem}"))
        elif not as_json:
            click.echo(f"{printable(drive.path)}  no self-test runs")
    return ExitCode.FAILED if any(problem is not None for _, problem in ended) else ExitCode.DONE


def _test_facts(one: DriveTested) -> dict[str, Any]:
    tested = one.tested
    return {
        "drive": drive_facts(one.drive),
        "kind": tested.kind if tested is not None else None,
        "result": tested.result if tested is not None else None,
        "sentence": tested.sentence if tested is not None else one.refused,
        "seconds": round(tested.took_s) if tested is not None else None,
    }


def _test_code(ended: tuple[DriveTested, ...]) -> ExitCode:
    found = {one.tested.result for one in ended if one.tested is not None}
    if TestResult.FAILED in found:
        return ExitCode.FAILED
    if found - {TestResult.PASSED}:
        return ExitCode.UNKNOWN
    return ExitCode.DONE if found else ExitCode.REFUSED
