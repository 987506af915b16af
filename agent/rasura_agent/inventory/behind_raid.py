"""Drives that a RAID controller keeps to itself: Linux sees only volumes, smartctl can see the drives.

They cannot be erased from here, and must not be silently absent: each is listed with what to do.
"""

from __future__ import annotations

import json

import msgspec

from rasura_agent.inventory.ports import CommandError, Commands, SystemFiles
from rasura_agent.sentence import Sentence

__all__ = ["RAID_DRIVERS", "SCAN", "HiddenDrive", "find_hidden_drives", "hidden_drives"]

RAID_DRIVERS = (
    "3w-9xxx",
    "3w-sas",
    "aacraid",
    "arcmsr",
    "cciss",
    "hpsa",
    "ips",
    "megaraid_sas",
    "mpi3mr",
    "smartpqi",
)
"""Kernel drivers of controllers that can keep drives to themselves."""

_BEHIND = ("megaraid,", "sssraid,", "cciss,", "aacraid,", "areca,", "3ware,", "hpt,")
"""Beginnings of smartctl's device types for drives behind a controller (smartctl(8), ``-d TYPE``)."""

_TIMEOUT_S = 60.0

SCAN = ("smartctl", "--scan-open", "--json")


class HiddenDrive(msgspec.Struct, frozen=True):
    """A drive behind a controller, as smartctl names it: ``name`` and ``kind`` are its ``-d`` arguments."""

    name: str
    kind: str

    @property
    def sentence(self) -> Sentence:
        """What it is and what to do."""
        return Sentence(
            "{name} ({kind}) is a drive behind a RAID controller and was not erased: "
            "set the controller to HBA or JBOD mode, or move the drive to another machine",
            name=self.name,
            kind=self.kind,
        )


def hidden_drives(scan: str) -> tuple[HiddenDrive, ...]:
    """The drives behind controllers in the output of ``smartctl --scan-open --json``; garbage has none."""
    try:
        document = json.loads(scan)
    except (ValueError, RecursionError):
        return ()
    devices = document.get("devices") if isinstance(document, dict) else None
    found = []
    for device in devices if isinstance(devices, list) else []:
        match device:
            case {"name": str(name), "type": str(kind)} if kind.removeprefix("sat+").startswith(_BEHIND):
                found.append(HiddenDrive(name, kind))
            case _:
                continue
    return tuple(dict.fromkeys(found))


def find_hidden_drives(
    files: SystemFiles, commands: Commands
) -> tuple[tuple[HiddenDrive, ...], tuple[str, ...]]:
    """Look behind the RAID controllers of this machine, if it has any.

    Returns the drives found, and sentences about what could not be looked at. Never raises.
    """
    drivers = [driver for driver in RAID_DRIVERS if _in_use(files, driver)]
    if not drivers:
        return (), ()
    names = ", ".join(drivers)
    try:
        # smartctl's status is a bitmask and no reason to throw its output away (smartctl(8)).
        scan = commands.run(SCAN, _TIMEOUT_S).stdout.decode("utf-8", "replace")
    except CommandError as error:
        note = Sentence(
            "a RAID controller ({names}) may hide drives, and smartctl, which could list them, did not "
            "answer ({reason}): install smartmontools, or set the controller to HBA mode",
            names=names,
            reason=error,
        )
        return (), (note,)
    found = hidden_drives(scan)
    if found:
        return found, ()
    note = Sentence(
        "there is a RAID controller ({names}), and smartctl sees no drive behind it: "
        "compare the number of drives listed with those in the machine",
        names=names,
    )
    return (), (note,)


def _in_use(files: SystemFiles, driver: str) -> bool:
    """Whether a PCI device is bound to ``driver``: its folder then holds a link named by a PCI address."""
    try:
        return any(":" in name for name in files.list_dir(f"/sys/bus/pci/drivers/{driver}"))
    except OSError:
        return False
