"""A simulated ATA drive full of old data on a line; and that this bench is no gentler than the real path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from rasura.errors import RasuraError
from rasura_agent.drive.ata.identify import IdentifyDevice, decode_identify
from rasura_agent.drive.ata.passthrough import (
    ABORT_MEANS_REFUSED,
    completion_from_ata,
    detail_from_ata,
    result_from_sense,
)
from rasura_agent.drive.ata.sanitize import sanitize_status
from rasura_agent.drive.port import AtaCommand, Command, Completion, Disposition, DrivePort
from rasura_agent.drive.scsi.disposition import judge
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.erase.firmware.line import Intent, Line, Running
from rasura_agent.inventory.model import Drive
from simulators.ata_host import OLD_DATA
from simulators.ata_options import AtaOptions
from simulators.ata_sanitize import SanitizeState
from simulators.ports import SimulatedPort, ata_bay
from simulators.ports_reply import Host
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock

TERABYTE = 10**12
"""What the techniques are told of the capacity: real enough for durations to tell."""


def no_watch(_running: Running) -> str | None:
    return None


@dataclass
class MemoryJournal:
    """A journal that outlives power cuts; ``broken``, or without forgetting when not ``settles``."""

    intents: list[Intent] = field(default_factory=list)
    broken: bool = False
    settles: bool = True

    def intend(self, intent: Intent) -> None:
        self._check()
        if intent not in self.intents:
            self.intents.append(intent)

    def settle(self, intent: Intent) -> None:
        self._check(self.settles)
        if intent in self.intents:
            self.intents.remove(intent)

    def open_intents(self, drive_identity: str) -> tuple[Intent, ...]:
        self._check()
        return tuple(intent for intent in self.intents if intent.drive_identity == drive_identity)

    def _check(self, works: bool = True) -> None:
        if self.broken or not works:
            raise RasuraError("the journal is full")


Change = Callable[[Command, Completion], Completion]
Watch = Callable[[Running], str | None]


@dataclass
class Tampered:
    """A path on which ``change`` happens to what the drive answers."""

    port: DrivePort
    change: Change

    def execute(self, command: Command) -> Completion:
        return self.change(command, self.port.execute(command))


class CodecPort:
    """A simulated port whose raw replies are read by the agent's own codecs, as SG_IO's are."""

    def __init__(self, port: SimulatedPort) -> None:
        self._port = port

    def execute(self, command: Command) -> Completion:
        assert isinstance(command, AtaCommand)
        reply = self._port.transact(command)
        if reply.host is not Host.OK:
            return Completion(Disposition.UNKNOWN, f"{command.name}: {reply.host.value}")
        result = result_from_sense(command, reply.sense)
        disposition = completion_from_ata(result, command, reply.status)
        detail = detail_from_ata(result, command, reply.status)
        sense = parse_sense(reply.sense)
        if result is None and disposition is not Disposition.DONE:
            verdict = judge(reply.status, sense)
            if verdict.disposition is Disposition.REFUSED and command.command in ABORT_MEANS_REFUSED:
                disposition = Disposition.REFUSED
        data = reply.data if disposition is Disposition.DONE else b""
        return Completion(disposition, detail, data, reply.elapsed_s, reply.status, sense, result)


class Bench:
    """One drive in its bay, all of it old data."""

    def __init__(
        self, options: AtaOptions | None = None, bridge: BridgeOptions | None = None, *, codecs: bool = True
    ) -> None:
        self.clock = ManualClock()
        self.bay, self.drive = ata_bay(self.clock, 64, options, bridge)
        self.drive.medium.data[:] = bytes((OLD_DATA,)) * len(self.drive.medium.data)
        self.journal = MemoryJournal()
        self.codecs = codecs

    def line(
        self,
        faults: dict[int, FaultKind] | None = None,
        *,
        watch: Watch = no_watch,
        change: Change | None = None,
    ) -> Line:
        simulated = self.bay.open_port(FaultSchedule(dict(faults or {})))
        port: DrivePort = CodecPort(simulated) if self.codecs else simulated
        return Line(port if change is None else Tampered(port, change), self.clock, watch)

    def identify(self) -> IdentifyDevice:
        return decode_identify(self.drive.identify_page())

    def inventory(self) -> Drive:
        return self.bay.identify()

    def old_sectors(self) -> int:
        self.drive.settle()
        size, old = self.drive.medium.sector_bytes, bytes((OLD_DATA,)) * self.drive.medium.sector_bytes
        data = bytes(self.drive.medium.data)
        return sum(data[at : at + size] == old for at in range(0, len(data), size))

    @property
    def untouched(self) -> bool:
        """Nothing is erased, and nothing is erasing."""
        whole = self.old_sectors() == self.drive.medium.sectors
        return whole and self.drive.sanitize.state is not SanitizeState.SD2


@pytest.mark.parametrize("kind", [None, FaultKind.ABORT, FaultKind.HANG, FaultKind.BUS_RESET])
def test_the_codecs_and_the_plain_reading_agree(kind: FaultKind | None) -> None:
    faults = {} if kind is None else {0: kind}
    answers = [Bench(codecs=codecs).line(faults).execute(sanitize_status()) for codecs in (True, False)]
    assert answers[0].disposition is answers[1].disposition
    assert answers[0].ata == answers[1].ata


def test_a_swallowed_status_is_no_answer() -> None:
    for codecs in (True, False):
        answer = Bench(codecs=codecs).line({0: FaultKind.SWALLOW_STATUS}).execute(sanitize_status())
        assert (answer.disposition, answer.ata) == (Disposition.UNKNOWN, None)
