"""Drives that a RAID controller keeps to itself: Linux sees only volumes, smartctl can see the drives.

They cannot be erased from here, and must not be silently absent: each is listed with what to do.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rasura_agent.inventory.local import LocalFiles
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.sentence import Sentence

__all__ = ["RAID_DRIVERS", "HiddenDrive", "find_hidden_drives", "hidden_drives", "run_smartctl"]

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

Run = Callable[[Sequence[str], float], str | None]
"""Runs a command with a time limit in seconds; its standard output, ``None`` if there is none to be had."""


@dataclass(frozen=True, slots=True)
class HiddenDrive:
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


def run_smartctl(arguments: Sequence[str], timeout_s: float) -> str | None:
    """Run smartctl; a non-zero status is a bitmask and no reason to throw its output away (smartctl(8))."""
    path = shutil.which("smartctl", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        return None
    try:
        done = subprocess.run([path, *arguments], capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace")


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
    files: SystemFiles | None = None, run: Run = run_smartctl
) -> tuple[tuple[HiddenDrive, ...], tuple[str, ...]]:
    """Look behind the RAID controllers of this machine, if it has any.

    Returns the drives found, and sentences about what could not be looked at. Never raises.
    """
    files = files or LocalFiles()
    drivers = [driver for driver in RAID_DRIVERS if _in_use(files, driver)]
    if not drivers:
        return (), ()
    scan = run(["--scan-open", "--json"], _TIMEOUT_S)
    names = ", ".join(drivers)
    if scan is None:
        note = Sentence(
            "a RAID controller ({names}) may hide drives, and smartctl, which could list them, did not "
            "answer: install smartmontools, or set the controller to HBA mode",
            names=names,
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
