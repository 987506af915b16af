"""Which machine has come how far, told from the lines that dnsmasq and nginx log. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import PurePosixPath

__all__ = ["Board", "Event", "Machine", "Stage", "dnsmasq_event", "nginx_event"]

_ACK = re.compile(r"DHCPACK\([^)]*\) (\d+\.\d+\.\d+\.\d+) ([0-9a-f:]{17})")
_PXE = re.compile(r"PXE\([^)]*\) (?:(\d+\.\d+\.\d+\.\d+) )?([0-9a-f:]{17}) ")
_SENT = re.compile(r"sent (/.*) to (\d+\.\d+\.\d+\.\d+)$")
_MEBIBYTE = 1 << 20


class Stage(IntEnum):
    """How far a machine has come."""

    ADDRESS = 1
    PROGRAM = 2
    MENU = 3
    KERNEL = 4
    BROKEN_OFF = 5
    STARTED = 6


_SAID = {
    Stage.ADDRESS: "has an address",
    Stage.PROGRAM: "has the boot program",
    Stage.MENU: "shows the menu",
    Stage.KERNEL: "has the kernel, loads the system",
    Stage.BROKEN_OFF: "broke off loading the system",
    Stage.STARTED: "has all of the system and starts it",
}
_STAGES = {
    "undionly.kpxe": Stage.PROGRAM,
    "ipxe.efi": Stage.PROGRAM,
    "bootx64.efi": Stage.PROGRAM,
    "grubx64.efi": Stage.PROGRAM,
    "boot.ipxe": Stage.MENU,
    "grub.cfg": Stage.MENU,
    "vmlinuz": Stage.KERNEL,
    "initrd": Stage.STARTED,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that a machine did; ``ip`` or ``mac`` may be unknown, not both."""

    stage: Stage
    ip: str | None
    mac: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of one machine."""

    stage: Stage
    ip: str | None
    mac: str | None
    note: str = ""

    def line(self) -> str:
        """The machine on one line, for a person."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.mac or '?':17}  {self.ip or '-':15}  {_SAID[self.stage]}{note}"


def dnsmasq_event(line: str) -> Event | None:
    """What a line that dnsmasq logged says, if it says anything of a machine's boot."""
    if found := _ACK.search(line):
        return Event(Stage.ADDRESS, found[1], found[2])
    if found := _PXE.search(line):
        return Event(Stage.ADDRESS, found[1], found[2])
    if found := _SENT.search(line):
        stage = _STAGES.get(PurePosixPath(found[1]).name)
        return None if stage is None else Event(stage, found[2])
    return None


def nginx_event(line: str) -> Event | None:
    """What a line of nginx's access log says, if it says anything of a machine's boot."""
    try:
        request = json.loads(line)
        path, whole = PurePosixPath(request["path"]), request["whole"] == "OK"
        method, status, sent, seconds = (request[key] for key in ("method", "status", "bytes", "seconds"))
        ip = str(request["ip"])
    except (ValueError, TypeError, KeyError):
        return None
    stage = _STAGES.get(path.name)
    if method != "GET" or status != 200 or stage is None:
        return None
    note = f"{sent / _MEBIBYTE:.0f} MiB in {seconds:.1f} s" if stage is Stage.STARTED else ""
    if not whole:
        return Event(Stage.BROKEN_OFF, ip, note=note) if stage is Stage.STARTED else None
    return Event(stage, ip, note=note)


class Board:
    """All machines seen, in the order in which they came."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []

    def add(self, event: Event) -> Machine | None:
        """Note what happened; returns the machine if anything about it is new."""
        # The latest: an address may have been another machine's before.
        places = reversed(range(len(self.machines)))
        place = next((i for i in places if _same(self.machines[i], event)), None)
        if place is None:
            machine = Machine(event.stage, event.ip, event.mac, event.note)
            self.machines.append(machine)
            return machine
        old = self.machines[place]
        new = replace(old, ip=event.ip or old.ip, mac=event.mac or old.mac)
        # Boot programs and the started system ask for an address again.
        if event.stage is not Stage.ADDRESS:
            new = replace(new, stage=event.stage, note=event.note)
        self.machines[place] = new
        return new if new != old else None


def _same(machine: Machine, event: Event) -> bool:
    if event.mac is not None and machine.mac is not None:
        return event.mac == machine.mac
    return event.ip is not None and event.ip == machine.ip
