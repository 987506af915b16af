"""The report on one machine, told to a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from rasura.certificate import Outcome
from rasura.language import Tongue
from rasura.machine_report import CertificateName, MachineReport, ProposalClaims, ReportedDrive
from rasura.signed_sentences import told
from rasura.tell_bundle import receipt_rows, unread_told
from rasura.tell_facts import row, source_rows, station_rows, tool_row
from rasura.tell_words import ANSWERS, BATTERIES, GRADES, OUTCOMES, ROUTES, TECHNIQUES, word
from rasura.telling import BundleFacts, Part, Row, Table, Telling, name_of

__all__ = ["outcomes_in_words", "tell_machine"]


def tell_machine(
    report: MachineReport,
    tongue: Tongue,
    bundle: BundleFacts | None = None,
    fallen: Mapping[str, str] = MappingProxyType({}),
) -> Telling:
    """The machine, what is proposed for it, and every one of its drives; without ``bundle``, in none.

    ``fallen`` has the word for each certificate, by its payload's hash, that does not stand any more.
    """
    _ = tongue.say
    source = report.source
    good = report.outcome is Outcome.ERASED
    drives = [drive for drive in report.drives if not drive.is_station_medium]
    name = name_of(source.host_manufacturer, source.host_model) or _("machine without a name")
    return Telling(
        kind=_("Report on a machine"),
        id=report.id,
        payload_sha256=bundle.payload_sha256 if bundle is not None else None,
        good=good,
        word=_("ALL DRIVES ERASED") if good else _("NOT EVERY DRIVE WAS ERASED"),
        headline=outcomes_in_words((drive.outcome for drive in drives), tongue),
        subject=_("{name}, serial {serial}").format(name=name, serial=source.host_serial or _("none")),
        done=(),
        open=tuple(_open(report, tongue, bundle)),
        tables=(_drives(report, fallen, tongue),),
        parts=(
            Part(
                _("The machine"),
                (
                    *source_rows(source, tongue),
                    row(tongue, _("location"), report.location),
                    *_proposal(report.proposal, tongue),
                ),
            ),
            Part(
                _("The work"),
                (
                    row(tongue, _("started"), tongue.moment(report.started_at)),
                    row(tongue, _("finished"), tongue.moment(report.finished_at)),
                    row(
                        tongue,
                        _("clock"),
                        _("{clock}, which is not trusted").format(clock=report.clock.source),
                        detail=True,
                    ),
                    *station_rows(report.station, tongue),
                    tool_row(report.tool, tongue),
                    row(tongue, _("replaces"), report.supersedes, exact=True),
                    *receipt_rows(bundle, tongue),
                ),
            ),
        ),
        finished_at=report.finished_at,
    )


def outcomes_in_words(outcomes: Iterable[Outcome], tongue: Tongue) -> str:
    """How many drives ended how, in the order of the outcomes."""
    counted = Counter(outcomes)
    told_counts = [
        f"{tongue.number(counted[one])} {word(OUTCOMES, one, tongue)}" for one in Outcome if counted[one]
    ]
    return tongue.count("{number} drive", "{number} drives", counted.total()) + (
        tongue.say(": {list}").format(list=", ".join(told_counts)) if told_counts else ""
    )


def _drives(report: MachineReport, fallen: Mapping[str, str], tongue: Tongue) -> Table:
    _ = tongue.say
    return Table(
        _("Its drives"),
        (_("drive"), _("serial"), _("capacity"), _("outcome"), _("health"), _("certificate")),
        tuple(_drive(drive, fallen, tongue) for drive in report.drives),
    )


def _drive(drive: ReportedDrive, fallen: Mapping[str, str], tongue: Tongue) -> tuple[str, ...]:
    _ = tongue.say
    outcome = word(OUTCOMES, drive.outcome, tongue)
    if drive.certificate is not None and drive.certificate.payload_sha256 in fallen:
        outcome = fallen[drive.certificate.payload_sha256]
    elif drive.is_station_medium:
        outcome = _("{outcome}: the station's own medium").format(outcome=outcome)
    elif drive.method is not None:
        outcome = _("{outcome}: {method} by {technique}").format(
            outcome=outcome, method=drive.method, technique=word(TECHNIQUES, drive.technique or "", tongue)
        )
    elif drive.reason is not None:
        outcome = _("{outcome}: {reason}").format(outcome=outcome, reason=told(drive.reason, tongue))
    place = f" ({drive.place})" if drive.place else ""
    return (
        (name_of(drive.manufacturer, drive.model) or drive.block_device) + place,
        drive.serial or _("none"),
        tongue.size(drive.capacity_bytes) if drive.capacity_bytes is not None else _("not known"),
        outcome,
        word(GRADES, drive.health.grade, tongue) if drive.health is not None else _("not known"),
        _certificate(drive.certificate, tongue),
    )


def _certificate(named: CertificateName | None, tongue: Tongue) -> str:
    if named is None:
        return tongue.say("none")
    if named.station is None:
        return named.id
    return tongue.say("{id}, of {station}").format(id=named.id, station=named.station)


def _proposal(proposal: ProposalClaims | None, tongue: Tongue) -> Iterator[Row]:
    if proposal is None:
        return
    _ = tongue.say
    override = proposal.override
    route = override.route if override is not None else proposal.route
    why = "; ".join(told(one, tongue) for one in proposal.reasons)
    yield row(tongue, _("proposal"), word(ROUTES, route, tongue))
    if override is not None:
        yield row(
            tongue,
            _("decided by"),
            _("{by}, instead of {route}: {why}").format(
                by=override.by, route=word(ROUTES, proposal.route, tongue), why=override.why
            ),
        )
    yield row(tongue, _("because"), why or None)
    yield row(tongue, _("Windows 11"), word(ANSWERS, proposal.windows_11, tongue))
    for battery in proposal.batteries:
        yield row(tongue, _("battery"), f"{battery.name}: {word(BATTERIES, battery.battery_class, tongue)}")


def _open(report: MachineReport, tongue: Tongue, bundle: BundleFacts | None) -> Iterator[str]:
    _ = tongue.say
    hidden = sum(drive.outcome is Outcome.UNHANDLED for drive in report.drives)
    if hidden:
        yield tongue.count(
            "{number} drive behind a RAID controller could not be reached.",
            "{number} drives behind a RAID controller could not be reached.",
            hidden,
        )
    alone = [
        drive
        for drive in report.drives
        if drive.certificate is None
        and drive.outcome is not Outcome.UNHANDLED
        and not drive.is_station_medium
    ]
    if alone:
        yield tongue.count(
            "{number} drive was left alone and has no certificate.",
            "{number} drives were left alone and have no certificate.",
            len(alone),
        )
    yield from unread_told(bundle, tongue)
    for note in report.notes:
        yield told(note, tongue)
    if bundle is not None and not bundle.logged:
        yield _("No receipt is attached: this report is in no log yet.")
