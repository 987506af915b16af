"""What became of all drives of a machine -> the claims of its report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from rasura import __version__
from rasura.bundle import Bundle
from rasura.certificate import Checkpointed, Clock, Outcome, Station, Tool
from rasura.machine_report import (
    FORMAT_VERSION,
    CertificateName,
    MachineReport,
    ProposalClaims,
    ReportedDrive,
    ReportedTest,
)
from rasura_agent.confirm import DriveOutcome
from rasura_agent.erase.plan import media_type
from rasura_agent.guard import RefusalReason
from rasura_agent.health.claims import health_claims
from rasura_agent.health.model import HealthReading
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.report import Circumstances, rfc3339, source_claims
from rasura_agent.sentence import text_alone

__all__ = ["MachineFacts", "drives_by_identity", "machine_claims", "reported_drive"]


class MachineFacts(msgspec.Struct, frozen=True):
    """What a report says beside the drives' outcomes."""

    inventory: dict[str, Any] | None = None
    """The machine as the inventory exports it."""
    proposal: ProposalClaims | None = None
    hidden: tuple[tuple[HiddenDrive, HealthReading | None], ...] = ()
    """Drives behind a RAID controller, with what smartctl could read of them through it."""
    notes: tuple[str, ...] = ()
    places: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Slot or bay by the drive's path."""
    tests: Mapping[str, tuple[ReportedTest, ...]] = msgspec.field(default_factory=dict)
    """Self-tests by the drive's identity digest."""


def machine_claims(
    report_id: str,
    drives: Sequence[ReportedDrive],
    facts: MachineFacts,
    around: Circumstances,
    station: Station,
    times: tuple[datetime, datetime],
) -> MachineReport:
    """Every claim about one machine; ``times`` are when the job began and when it ended."""
    drives = tuple(_named_by(station, drive) for drive in drives)
    return MachineReport(
        format_version=FORMAT_VERSION,
        id=report_id,
        tool=Tool(name="rasura-agent", version=__version__, build=around.build),
        source=source_claims(around),
        location=around.location,
        inventory=facts.inventory,
        drives=(*drives, *(_hidden(one, reading) for one, reading in facts.hidden)),
        proposal=facts.proposal,
        notes=facts.notes,
        started_at=rfc3339(times[0]),
        finished_at=rfc3339(times[1]),
        clock=Clock(source=around.clock_source, offset_ms=None),
        not_before=Checkpointed(checkpoint=around.checkpoint) if around.checkpoint is not None else None,
        station=station,
        supersedes=None,
    )


def _named_by(station: Station, drive: ReportedDrive) -> ReportedDrive:
    """As a report of this station lists the drive: of its own certificates it says nothing more."""
    name = drive.certificate
    if name is None or name.station != station.name:
        return drive
    return msgspec.structs.replace(drive, certificate=msgspec.structs.replace(name, station=None))


def reported_drive(outcome: DriveOutcome, facts: MachineFacts) -> ReportedDrive:
    """One drive and how its way ended, with its certificate where it has one.

    Then the report says of the drive what the certificate says: lifting hidden areas changes its capacity.
    """
    drive, bundle = outcome.plan.drive, outcome.certificate
    capacity = drive.capacity_bytes
    if bundle is not None:
        identity: str | None = bundle.certificate.subject_digest()
        capacity = bundle.certificate.drive.capacity_bytes
    else:
        identity = drive.identity_sha256 if drive.identity_pages else None
    ours = {refusal.reason for refusal in outcome.plan.refusals} & {RefusalReason.LIVE_MEDIUM}
    return ReportedDrive(
        manufacturer=drive.manufacturer,
        model=drive.model,
        serial=drive.serial,
        media_type=media_type(drive),
        transport=drive.transport,
        capacity_bytes=capacity,
        block_device=drive.path,
        identity_sha256=identity,
        place=facts.places.get(drive.path),
        is_station_medium=bool(ours),
        outcome=outcome.outcome,
        reason=text_alone(outcome.reason),
        method=outcome.method,
        technique=outcome.technique,
        certificate=_name(bundle) if bundle is not None else None,
        health=outcome.health,
        self_tests=facts.tests.get(drive.identity_sha256, ()),
    )


def _name(bundle: Bundle) -> CertificateName:
    return CertificateName(
        id=bundle.certificate_id,
        payload_sha256=bundle.payload_sha256,
        station=bundle.certificate.station.name,
    )


def drives_by_identity(report: MachineReport) -> dict[str, ReportedDrive]:
    """The drives of a report by their identity digest, each certificate named with its station."""
    found = {}
    for drive in report.drives:
        name = drive.certificate
        if name is not None and name.station is None:
            name = msgspec.structs.replace(name, station=report.station.name)
        if drive.identity_sha256:
            found[drive.identity_sha256] = msgspec.structs.replace(drive, certificate=name)
    return found


def _hidden(one: HiddenDrive, reading: HealthReading | None) -> ReportedDrive:
    health = reading.health if reading is not None else None
    return ReportedDrive(
        manufacturer=None,
        model=health.model if health is not None else None,
        serial=health.serial if health is not None else None,
        media_type=None,
        transport=None,
        capacity_bytes=None,
        block_device=f"{one.name} {one.kind}",
        identity_sha256=None,
        place=None,
        is_station_medium=False,
        outcome=Outcome.UNHANDLED,
        reason=text_alone(one.sentence),
        method=None,
        technique=None,
        certificate=None,
        health=health_claims(reading) if reading is not None else None,
        self_tests=(),
    )
