"""The machine report: wires what is known of a machine and its drives to a signed, handed-over document."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from rasura.certificate import Outcome
from rasura.machine_report import Override, ProposalClaims, ReportedDrive, ReportedTest
from rasura_agent.confirm import DriveOutcome
from rasura_agent.handing import Handed, Handing
from rasura_agent.health.checkup import Checkup
from rasura_agent.health.claims import health_claims
from rasura_agent.health.model import HealthReading
from rasura_agent.health.proposal import GradedDrive, graded_hidden, proposal_claims, propose
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import Machine
from rasura_agent.machine_claims import MachineFacts, machine_claims, reported_drive
from rasura_agent.report import Circumstances
from rasura_agent.station import SigningStation

__all__ = ["SeenAround", "report_machine"]


class SeenAround(msgspec.Struct, frozen=True):
    """The machine around its drives, for the report; ``inventory`` is ``machine`` as it is exported."""

    machine: Machine | None = None
    inventory: dict[str, Any] | None = None
    hidden: tuple[HiddenDrive, ...] = ()
    notes: tuple[str, ...] = ()
    decision: Override | None = None
    tests: Mapping[str, tuple[ReportedTest, ...]] = msgspec.field(default_factory=dict)
    """Self-tests by the drive's identity digest."""
    earlier: Mapping[str, ReportedDrive] = msgspec.field(default_factory=dict)
    """What an earlier job of this boot reported, by the drive's identity digest."""


def report_machine(
    outcomes: Sequence[DriveOutcome],
    seen: SeenAround,
    around: Circumstances,
    times: tuple[datetime, datetime],
    station: SigningStation,
    handing: Handing,
    checkup: Checkup,
) -> Handed:
    """Sign the report on a machine with these drives, keep it and post it.

    Drives that were not asked for their health yet are asked now. ``times`` are when the job began and
    when it ended.
    """
    unasked = [outcome.plan.drive for outcome in outcomes if outcome.health is None]
    readings = checkup.read_all(unasked)
    asked = {drive.path: health_claims(one) for drive, one in zip(unasked, readings, strict=True)}
    behind = checkup.read_hidden(seen.hidden)
    hidden = tuple(zip(seen.hidden, behind, strict=True))
    facts = MachineFacts(seen.inventory, None, hidden, seen.notes, _places(seen.machine), seen.tests)
    drives = tuple(
        _with_earlier(
            reported_drive(replace(one, health=one.health or asked.get(one.plan.drive.path)), facts),
            seen.earlier,
        )
        for one in outcomes
    )
    if seen.machine is not None:
        facts = replace(facts, proposal=_proposal(seen.machine, drives, hidden, seen.decision))
    report_id = str(uuid.uuid4())
    bundle = station.sign(lambda place: machine_claims(report_id, drives, facts, around, place, times))
    handed = handing.hand(bundle)
    more = handing.keep_evidence((*readings, *behind))
    return replace(handed, problems=tuple(dict.fromkeys((*handed.problems, *more))))


def _places(machine: Machine | None) -> dict[str, str]:
    """Slot or bay by the drive's path."""
    bays = machine.bays if machine is not None else ()
    return {bay.drive: f"{bay.enclosure} {bay.slot}" for bay in bays if bay.drive is not None}


def _proposal(
    machine: Machine,
    drives: Sequence[ReportedDrive],
    hidden: Sequence[tuple[HiddenDrive, HealthReading]],
    decision: Override | None,
) -> ProposalClaims:
    graded = [
        GradedDrive(one.model or one.block_device, one.capacity_bytes or 0, one.health.grade)
        for one in drives
        if one.health is not None and not one.is_station_medium
    ]
    graded += [graded_hidden(one, health_claims(reading)) for one, reading in hidden]
    return proposal_claims(propose(machine, graded), decision)


def _with_earlier(drive: ReportedDrive, earlier: Mapping[str, ReportedDrive]) -> ReportedDrive:
    """What an earlier job of this boot did to a drive that this one did nothing to stays said.

    Unless the drive could not be erased now: then somebody has put it to use since.
    """
    before = earlier.get(drive.identity_sha256 or "")
    if drive.outcome is not Outcome.SKIPPED or before is None or before.certificate is None:
        return drive
    return before
