"""Drives, plans and outcomes as JSON values for machines. Absent is ``null``."""

from __future__ import annotations

import json
from typing import Any

from rasura.certificate import Outcome
from rasura_agent.confirm import DriveOutcome
from rasura_agent.erase.events import Continues, Event, Noted, Paused, Progress
from rasura_agent.erase.plan import DrivePlan, Interrupted, media_type
from rasura_agent.inventory.model import Drive
from rasura_agent.spool import Sent
from rasura_agent.survey import Survey

__all__ = ["drive_facts", "event_facts", "outcome_facts", "plan_facts", "sent_facts", "survey_facts"]


def drive_facts(drive: Drive) -> dict[str, Any]:
    """Every fact about a drive."""
    return {
        "path": drive.path,
        "manufacturer": drive.manufacturer,
        "model": drive.model,
        "serial": drive.serial,
        "wwn": drive.wwn,
        "firmware": drive.firmware,
        "capacityBytes": drive.capacity_bytes,
        "logicalSectorBytes": drive.logical_sector_bytes,
        "physicalSectorBytes": drive.physical_sector_bytes,
        "rotational": drive.rotational,
        "removable": drive.removable,
        "transport": drive.transport,
        "mediaType": media_type(drive),
        "identitySha256": drive.identity_sha256,
    }


def plan_facts(plan: DrivePlan) -> dict[str, Any]:
    """A drive and what would be done to it."""
    return {
        "drive": drive_facts(plan.drive),
        "wouldErase": plan.runnable,
        "refusals": [{"reason": one.reason, "sentence": one.sentence} for one in plan.refusals],
        "unreachable": plan.unreachable,
        "noCommands": plan.no_commands,
        "interrupted": _interrupted_facts(plan.interrupted),
        "ways": [
            {
                "technique": way.technique,
                "method": way.method,
                "basis": way.basis,
                "scheme": way.scheme,
                "passes": [one.label for one in way.passes],
                "estimateSeconds": round(way.estimate_s) if way.estimate_s is not None else None,
                "out": way.out,
            }
            for way in plan.ways
        ],
    }


def _interrupted_facts(cut: Interrupted | None) -> dict[str, Any] | None:
    if cut is None:
        return None
    return {"step": cut.cut.step, "done": cut.cut.written, "misfit": cut.misfit}


def event_facts(event: Event) -> dict[str, Any]:
    """One event of a drive's way; sizes in bytes, rates in bytes a second, times in seconds."""
    match event:
        case Progress():
            told: dict[str, Any] = {
                "event": "progress",
                "phase": event.phase,
                "step": event.step,
                "steps": event.steps,
                "done": event.done,
                "total": event.total,
                "start": event.start,
                "elapsedSeconds": round(event.elapsed_s, 3),
                "rate": _rounded(event.rate),
                "recentRate": _rounded(event.recent_rate),
                "phaseLeftSeconds": _rounded(event.eta_s),
                "leftSeconds": _rounded(event.left_s),
            }
        case Continues():
            told = {
                "event": "continues",
                "step": event.step,
                "steps": event.steps,
                "done": event.done,
                "total": event.total,
                "interruptions": event.interruptions,
            }
        case Paused():
            told = {
                "event": "goes-on" if event.over else "paused",
                "celsius": event.celsius,
                "untilCelsius": event.until_celsius,
            }
        case Noted():
            told = {"event": "note", "sentence": event.sentence}
    return {"drive": event.drive, **told}


def _rounded(value: float | None) -> int | None:
    return round(value) if value is not None else None


def outcome_facts(outcome: DriveOutcome) -> dict[str, Any]:
    """How the way of a drive ended; the bundle itself only where it could not be written to disk."""
    bundle = outcome.certificate
    unwritten = bundle is not None and outcome.path is None
    return {
        "drive": drive_facts(outcome.plan.drive),
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "method": outcome.method,
        "technique": outcome.technique,
        "certificateId": bundle.certificate_id if bundle is not None else None,
        "path": str(outcome.path) if outcome.path is not None else None,
        "logged": outcome.logged,
        "problems": list(outcome.problems),
        "bundle": json.loads(bundle.encode()) if bundle is not None and unwritten else None,
    }


def survey_facts(survey: Survey) -> dict[str, Any]:
    """What is to be said about the machine beside its drives."""
    return {
        "unhandled": [
            {"name": one.name, "type": one.kind, "outcome": Outcome.UNHANDLED, "sentence": one.sentence}
            for one in survey.hidden
        ],
        "frozen": list(survey.frozen),
        "notes": list(survey.notes),
    }


def sent_facts(sent: Sent) -> dict[str, Any]:
    """What became of a certificate in the spool."""
    return {
        "certificateId": sent.certificate_id,
        "path": str(sent.path),
        "logged": sent.error is None,
        "problem": str(sent.error) if sent.error is not None else None,
    }
