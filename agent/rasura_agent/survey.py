"""The survey: which drives there are, what uses them, what they can do, and what the policy makes of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from rasura.errors import UsageError
from rasura_agent.drive.scsi.virtual import VirtualKind, virtual_disk
from rasura_agent.erase.firmware.family import Family
from rasura_agent.erase.plan import DrivePlan, plan_drive
from rasura_agent.erase.policy import Policy
from rasura_agent.guard import Refusal, RefusalReason, examine
from rasura_agent.inventory.behind_raid import HiddenDrive, find_hidden_drives
from rasura_agent.inventory.drives import enumerate_drives
from rasura_agent.inventory.local import local_sources
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.inventory.ports import Sources, SystemFiles
from rasura_agent.inventory.power import power_note
from rasura_agent.inventory.usage import gather_usage
from rasura_agent.inventory.virtual import describe_virtual
from rasura_agent.opener import DriveOpener
from rasura_agent.sentence import Sentence

__all__ = ["Survey", "survey_drives"]

_SCSI = frozenset({Transport.SCSI, Transport.SAS, Transport.FC, Transport.ISCSI})


class Survey(msgspec.Struct, frozen=True):
    """The drives in question, each with its plan, and what else is to be said about the machine.

    ``hidden`` are drives behind a RAID controller, which nothing here can reach.
    """

    plans: tuple[DrivePlan, ...]
    hidden: tuple[HiddenDrive, ...]
    notes: tuple[str, ...]
    frozen: tuple[str, ...]
    """Paths of drives that the firmware froze at boot."""


def survey_drives(
    virtual: tuple[Path, ...],
    devices: tuple[str, ...],
    policy: Policy,
    opener: DriveOpener | None,
    sources: Sources | None = None,
) -> Survey:
    """Find the drives, ask what uses them and what they can do, and plan; changes nothing.

    With ``virtual`` or ``devices`` only those are considered, otherwise every drive of the machine.
    Without an ``opener`` the drives are not asked for their own commands. ``sources`` are those of a
    captured machine, this one's if not given.

    Raises:
        UsageError: a file cannot be a virtual drive, or a path is not a drive of this machine.
    """
    sources = sources or local_sources()
    described = tuple(describe_virtual(str(path)) for path in virtual)
    notes: tuple[str, ...] = ()
    hidden: tuple[HiddenDrive, ...] = ()
    if devices or not virtual:
        inventory = enumerate_drives(sources.files, sources.udev, include_loop=bool(devices))
        notes = tuple(note.sentence for note in inventory.notes)
        described += _named(inventory.drives, devices, sources.files) if devices else inventory.drives
        power = power_note(sources.files)
        notes += (power,) if power is not None else ()
    if not devices and not virtual:
        hidden, more = find_hidden_drives(sources.files, sources.commands)
        notes += more
    paths = [drive.path for drive in described]
    if len(set(paths)) < len(paths):
        raise UsageError("a drive was named twice")
    usages = gather_usage(described, sources.files, sources.probe)
    plans, frozen = [], []
    for drive in described:
        refusals = (*_made_of_others(drive), *examine(drive, usages[drive.path], policy.protection))
        # A drive of odd sectors shows no capacity: asking it is how to find out.
        askable = all(refusal.reason is RefusalReason.ZERO_SIZE for refusal in refusals)
        met = Sentence("it was not asked") if opener is None or not askable else opener.ask(drive)
        if refusals and not isinstance(met, str):
            refusals = _instead_of_zero_size(drive, met, refusals)
        offers = () if isinstance(met, str) else met.offers()
        plan = plan_drive(drive, policy, refusals, offers, met if isinstance(met, str) else None)
        if opener is not None:
            plan = replace(plan, interrupted=opener.interrupted(plan))
        plans.append(plan)
        if not isinstance(met, str) and met.is_frozen:
            frozen.append(drive.path)
    return Survey(tuple(plans), hidden, (*notes, *sources.missing()), tuple(frozen))


def _instead_of_zero_size(drive: Drive, family: Family, refusals: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    """Refusals of a drive without capacity, knowing what its own commands say of that."""
    odd = family.odd_sectors
    if odd is None:
        return refusals
    sentence = Sentence("{path} shows no capacity: {reason}", path=drive.path, reason=odd)
    return (Refusal(RefusalReason.ODD_SECTORS, sentence),) if odd else ()


def _made_of_others(drive: Drive) -> tuple[Refusal, ...]:
    """A volume of a RAID controller is no drive: what is erased on it says nothing of the drives behind."""
    if drive.transport not in _SCSI:
        return ()
    disk = virtual_disk(drive.manufacturer, drive.model)
    if disk is None or disk.kind is VirtualKind.HYPERVISOR:
        return ()
    sentence = Sentence(
        "{path} is a volume of {maker}, not a drive: set the controller to HBA or JBOD mode, "
        "so that the drives behind it can be erased",
        path=drive.path,
        maker=disk.maker,
    )
    return (Refusal(RefusalReason.NOT_A_DRIVE, sentence),)


def _named(drives: tuple[Drive, ...], devices: tuple[str, ...], files: SystemFiles) -> tuple[Drive, ...]:
    by_path = {drive.path: drive for drive in drives}
    named = []
    for device in devices:
        # /dev/disk/by-id and the like are links to the kernel's name.
        path = device if device in by_path else _resolved(device, files)
        if path not in by_path:
            raise UsageError(
                f"{device} is not a drive of this machine",
                hint="'rasura-agent drives' lists them; a partition is not a drive",
            )
        named.append(by_path[path])
    return tuple(named)


def _resolved(device: str, files: SystemFiles) -> str:
    try:
        return files.real_path(os.path.abspath(device))  # noqa: PTH100  a path of the machine, not of ours
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return device
