"""Health, self-tests and what is proposed for a machine, as an operator reads them."""

from __future__ import annotations

import msgspec

from rasura.health import Grade
from rasura.machine_report import Answer, BatteryClass, ProposalClaims, Route
from rasura_agent.console.language import _
from rasura_agent.console.words import duration, fact, size, table
from rasura_agent.health.grade import Graded
from rasura_agent.health.model import HealthReading, TestResult
from rasura_agent.health.proposal import Proposal
from rasura_agent.health.words import reason_sentences
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.model import Drive
from rasura_agent.self_testing import DriveTested

__all__ = [
    "HealthRow",
    "claimed_proposal_lines",
    "grade_word",
    "health_table",
    "proposal_lines",
    "route_word",
    "tested_line",
]


def grade_word(grade: Grade) -> str:
    """The grade in a word that is seen from afar."""
    return {
        Grade.GOOD: _("GOOD"),
        Grade.WATCH: _("WATCH"),
        Grade.REJECT: _("REJECT"),
        Grade.UNKNOWN: _("NOT KNOWN"),
    }[grade]


class HealthRow(msgspec.Struct, frozen=True):
    """A drive as it is named to a person, and how it is."""

    name: str
    serial: str | None
    reading: HealthReading
    graded: Graded

    @classmethod
    def of_drive(cls, drive: Drive, reading: HealthReading, graded: Graded) -> HealthRow:
        """A drive that Linux sees."""
        return cls(drive.path, drive.serial, reading, graded)

    @classmethod
    def of_hidden(cls, one: HiddenDrive, reading: HealthReading, graded: Graded) -> HealthRow:
        """A drive behind a RAID controller, which only smartctl sees."""
        serial = reading.health.serial if reading.health is not None else None
        return cls(f"{one.name} {one.kind}", serial, reading, graded)


def health_table(rows: tuple[HealthRow, ...]) -> str:
    """One line a drive, then every reason for its grade and what could not be read."""
    header = (_("DRIVE"), _("SERIAL"), _("HEALTH"), _("HOURS"), _("WRITTEN"), _("WEAR"), _("TEMPERATURE"))
    blocks = [table(header, [_cells(row) for row in rows])]
    for row in rows:
        said = [fact(sentence) for sentence in reason_sentences(row.graded, _)]
        said += [_("note: {note}").format(note=fact(note)) for note in row.reading.notes]
        blocks += [f"{fact(row.name)}  {one}" for one in said]
    return "\n".join(blocks)


def _cells(row: HealthRow) -> tuple[str, ...]:
    health = row.reading.health
    written = health.bytes_written if health is not None else None
    wear = health.wear_percent if health is not None else None
    temperature = health.temperature_c if health is not None else None
    return (
        fact(row.name),
        fact(row.serial),
        grade_word(row.graded.grade),
        fact(health.power_on_hours if health is not None else None),
        size(written) if written is not None else "-",
        f"{wear}\N{NO-BREAK SPACE}%" if wear is not None else "-",
        f"{temperature}\N{NO-BREAK SPACE}°C" if temperature is not None else "-",
    )


def tested_line(one: DriveTested) -> str:
    """How a self-test ended."""
    if one.tested is None:
        word = _("NOT RUN")
        return f"{word:<10} {fact(one.drive.path)}  {fact(one.refused)}"
    word = {
        TestResult.PASSED: _("PASSED"),
        TestResult.FAILED: _("FAILED"),
        TestResult.ABORTED: _("STOPPED"),
    }.get(one.tested.result, _("UNKNOWN"))
    took = duration(one.tested.took_s)
    return f"{word:<10} {fact(one.drive.path)}  {one.tested.kind}: {fact(one.tested.sentence)} ({took})"


def route_word(route: Route) -> str:
    """What becomes of a machine, in a word."""
    return {
        Route.REUSE: _("REUSE"),
        Route.PARTS: _("PARTS"),
        Route.RECYCLE: _("RECYCLING"),
    }[route]


def claimed_proposal_lines(proposal: ProposalClaims) -> list[str]:
    """What a signed report proposes for the machine, and what a person decided instead."""
    lines = [_("Proposal: {route}").format(route=route_word(proposal.route))]
    decided = proposal.override
    if decided is not None:
        words = _("Decided: {route}, by {who}: {why}")
        route = route_word(decided.route)
        lines.append(words.format(route=route, who=fact(decided.by), why=fact(decided.why)))
    return lines


def proposal_lines(proposal: Proposal) -> str:
    """What is proposed for the machine, and why."""
    eleven = {Answer.YES: _("yes"), Answer.NO: _("no"), Answer.UNKNOWN: _("not known")}
    kinds = {
        BatteryClass.SALE: _("good enough for sale"),
        BatteryClass.DONATION: _("good enough to give away"),
        BatteryClass.REPLACE: _("to be replaced"),
        BatteryClass.UNKNOWN: _("not known"),
    }
    lines = [_("Proposal: {route}").format(route=route_word(proposal.route))]
    lines += [f"  {fact(one.in_words_of(_))}" for one in proposal.reasons]
    lines.append(_("Windows 11: {answer}").format(answer=eleven[proposal.windows_11.answer]))
    lines += [f"  {fact(one.in_words_of(_))}" for one in proposal.windows_11.reasons]
    for battery in proposal.batteries:
        holds = f"{battery.health_percent}\N{NO-BREAK SPACE}%" if battery.health_percent is not None else "-"
        words = _("Battery {name}: {holds} of its capacity, {kind}")
        lines.append(words.format(name=fact(battery.name), holds=holds, kind=kinds[battery.battery_class]))
    return "\n".join(lines)
