"""What becomes of a machine, as far as its facts go: reuse, parts or recycling. Pure; a person decides."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rasura.errors import UsageError
from rasura.health import Grade, HealthClaims
from rasura.machine_report import (
    BatteryClass,
    Override,
    ProposalClaims,
    ReportedBattery,
    Route,
)
from rasura_agent.health.said import Said, say
from rasura_agent.health.windows11 import Windows11, windows_11
from rasura_agent.inventory.behind_raid import HiddenDrive
from rasura_agent.inventory.machine_model import Battery, Machine

__all__ = [
    "GradedDrive",
    "Proposal",
    "battery_class",
    "graded_hidden",
    "override",
    "proposal_claims",
    "propose",
]

_REUSE_BYTES = 4_000_000_000
"""With less memory no system that is still maintained runs well."""
_USABLE_BYTES = 3_500_000_000
"""The same where the modules are not known: firmware and graphics keep some."""
_SALE_PERCENT, _DONATION_PERCENT = 85, 65
"""Of its design capacity: for sale as it is; good enough to give away; below, it is replaced."""


class GradedDrive(msgspec.Struct, frozen=True):
    """A drive of the machine (not the station's own stick), its capacity in bytes, and its grade."""

    name: str
    capacity_bytes: int | None
    grade: Grade


class JudgedBattery(msgspec.Struct, frozen=True):
    """A battery, what it still holds of its design capacity, and the class that makes it."""

    name: str
    health_percent: int | None
    battery_class: BatteryClass


class Proposal(msgspec.Struct, frozen=True):
    """The route, with a sentence for everything that speaks for it or has to be done."""

    route: Route
    reasons: tuple[Said, ...]
    windows_11: Windows11
    batteries: tuple[JudgedBattery, ...]


def _(message: str) -> str:
    """Marks a message for the catalogues; who shows it translates it."""
    return message


def graded_hidden(one: HiddenDrive, health: HealthClaims) -> GradedDrive:
    """A drive behind a RAID controller, whose capacity nobody tells."""
    return GradedDrive(f"{one.name} {one.kind}", None, health.grade)


def battery_class(health_percent: float | None) -> BatteryClass:
    """The class of a battery that holds so much of its design capacity."""
    if health_percent is None:
        return BatteryClass.UNKNOWN
    if health_percent >= _SALE_PERCENT:
        return BatteryClass.SALE
    return BatteryClass.DONATION if health_percent >= _DONATION_PERCENT else BatteryClass.REPLACE


def propose(machine: Machine, drives: Sequence[GradedDrive]) -> Proposal:
    """Propose a route: reuse where there is memory for it, parts where something is worth taking out."""
    batteries = tuple(_battery(one) for one in machine.batteries)
    sizes = tuple(drive.capacity_bytes for drive in drives)
    enough = _memory_for_reuse(machine)
    to_do = (*_drives(drives), *_batteries(batteries))
    eleven = windows_11(machine, sizes)
    if enough is None:
        unknown = say(_("the size of the memory is not known: look whether it has 4 GB"))
        return Proposal(Route.REUSE, (unknown, *to_do), eleven, batteries)
    if enough:
        return Proposal(Route.REUSE, to_do, eleven, batteries)
    little = say(_("less than 4 GB of memory: add some, or use its parts"))
    parts = _parts(machine, drives, batteries)
    if parts:
        return Proposal(Route.PARTS, (little, *parts), eleven, batteries)
    nothing = say(_("nothing in it is worth taking out"))
    return Proposal(Route.RECYCLE, (little, nothing), eleven, batteries)


def override(route: str, by: str | None, why: str | None) -> Override:
    """A person's decision in place of the proposal.

    Raises:
        UsageError: the route is none, or it is not said who decides and why.
    """
    try:
        chosen = Route(route)
    except ValueError:
        known = ", ".join(Route)
        raise UsageError(f"{route!r} is no route for a machine", hint=f"there are {known}") from None
    if not (by or "").strip() or not (why or "").strip():
        raise UsageError("who decides otherwise than proposed says who they are and why")
    return Override(route=chosen, by=(by or "").strip(), why=(why or "").strip())


def proposal_claims(proposal: Proposal, decision: Override | None) -> ProposalClaims:
    """What is claimed of it, in English."""
    return ProposalClaims(
        route=proposal.route,
        reasons=tuple(map(str, proposal.reasons)),
        windows_11=proposal.windows_11.answer,
        windows_11_reasons=tuple(map(str, proposal.windows_11.reasons)),
        batteries=tuple(
            ReportedBattery(name=one.name, health_percent=one.health_percent, battery_class=one.battery_class)
            for one in proposal.batteries
        ),
        override=decision,
    )


def _memory_for_reuse(machine: Machine) -> bool | None:
    installed, usable = machine.memory.installed_bytes, machine.memory.usable_bytes
    if installed is not None:
        return installed >= _REUSE_BYTES
    return usable >= _USABLE_BYTES if usable is not None else None


def _battery(battery: Battery) -> JudgedBattery:
    health = 100.0 - battery.wear_percent if battery.wear_percent is not None else None
    rounded = int(health) if health is not None else None
    return JudgedBattery(battery.name, rounded, battery_class(health))


def _drives(drives: Sequence[GradedDrive]) -> tuple[Said, ...]:
    said = {
        Grade.REJECT: _("the drive {name} must be replaced: its health is bad"),
        Grade.WATCH: _("the drive {name} is worn: for donation or use in the house"),
        Grade.UNKNOWN: _("the health of the drive {name} is not known"),
    }
    found = tuple(say(said[drive.grade], name=drive.name) for drive in drives if drive.grade in said)
    return found if drives else (say(_("it needs a drive: there is none in it")),)


def _batteries(batteries: Sequence[JudgedBattery]) -> tuple[Said, ...]:
    said = {
        BatteryClass.REPLACE: _("the battery {name} must be replaced"),
        BatteryClass.DONATION: _("the battery {name} is worn: for donation, or a new one"),
        BatteryClass.UNKNOWN: _("the state of the battery {name} is not known"),
    }
    return tuple(
        say(said[one.battery_class], name=one.name) for one in batteries if one.battery_class in said
    )


def _parts(
    machine: Machine, drives: Sequence[GradedDrive], batteries: Sequence[JudgedBattery]
) -> tuple[Said, ...]:
    keep = {BatteryClass.SALE, BatteryClass.DONATION}
    good = [
        *((_("the drive {name} is good"), one.name) for one in drives if one.grade is Grade.GOOD),
        *((_("the battery {name} is good"), one.name) for one in batteries if one.battery_class in keep),
        *((_("the display {name} may be kept"), one.connector) for one in machine.displays if one.internal),
    ]
    return tuple(say(message, name=name) for message, name in good)
