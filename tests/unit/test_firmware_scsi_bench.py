"""A bench for SCSI drives: one full of old data, faults on the way to it, and what others did to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from rasura_agent.drive.port import (
    AtaResult,
    Command,
    Completion,
    Disposition,
    DrivePort,
    ScsiCommand,
    SenseData,
)
from rasura_agent.drive.scsi.disposition import HostStatus, judge
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.erase.firmware.line import Line, Running, TechniqueEnd
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_format import run_format_unit
from rasura_agent.erase.firmware.scsi_sanitize import run_sanitize
from rasura_agent.erase.firmware.scsi_state import ScsiState
from simulators.ports import Bay, scsi_bay
from simulators.ports_reply import Host, Reply
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import Code, SenseKey, sense_data
from simulators.world import FaultSchedule, ManualClock

Technique = Callable[[Line, ScsiCapabilities], TechniqueEnd]


Watch = Callable[[Running], str | None]


OLD = b"OLD DATA"


BLOCKS = 48


QUICK = ScsiOptions(crypto_s=2.0, block_s=20.0, overwrite_s=60.0, format_s=60.0)


_HOST_STATUS = {
    Host.OK: HostStatus.DID_OK,
    Host.TIME_OUT: HostStatus.DID_TIME_OUT,
    Host.NO_CONNECT: HostStatus.DID_NO_CONNECT,
    Host.ERROR: HostStatus.DID_ERROR,
    Host.UNSUPPORTED: HostStatus.DID_BAD_TARGET,
}


def judge_as_sg_io(
    _: Command, reply: Reply, sense: SenseData | None, __: AtaResult | None
) -> tuple[Disposition, str]:
    """What the agent's own transport makes of a reply."""
    judgement = judge(reply.status, sense, host_status=_HOST_STATUS[reply.host])
    return judgement.disposition, judgement.detail


def go_on(_: Running) -> str | None:
    return None


class Rig:
    """A drive full of old data in a bay, as it was found."""

    def __init__(self, options: ScsiOptions = QUICK, *, block_bytes: int = 512, blocks: int = BLOCKS) -> None:
        self.clock = ManualClock()
        self.bay: Bay
        self.drive: SimulatedScsiDrive
        self.bay, self.drive = scsi_bay(self.clock, blocks, options, block_bytes=block_bytes)
        data = self.drive.medium.data
        data[:] = (OLD * (len(data) // len(OLD) + 1))[: len(data)]
        self.found = bytes(data)

    def line(
        self,
        schedule: FaultSchedule | None = None,
        *,
        watch: Watch = go_on,
        wrap: Callable[[DrivePort], DrivePort] = lambda port: port,
    ) -> Line:
        return Line(wrap(self.bay.open_port(schedule, judge_as_sg_io)), self.clock, watch)

    def capabilities(self) -> ScsiCapabilities:
        return read_capabilities(self.line())

    @property
    def old_data_left(self) -> bool:
        self.drive.settle()
        medium = self.drive.medium
        size = medium.sector_bytes
        return any(
            OLD in medium.data[sector * size : (sector + 1) * size]
            for sector in range(medium.sectors)
            if sector not in medium.bad
        )

    @property
    def untouched(self) -> bool:
        self.drive.settle()
        return bytes(self.drive.medium.data) == self.found and self.drive.sanitize.operation is None

    def interrupt(self) -> None:
        """The drive alone loses power for a moment: the machine and its open files stay."""
        self.drive.power_off()
        self.drive.power_on()


def sanitize(kind: SanitizeKind) -> Technique:
    def run(line: Line, capabilities: ScsiCapabilities) -> TechniqueEnd:
        return run_sanitize(line, kind, capabilities)

    return run


TECHNIQUES: dict[str, Technique] = {
    "crypto": sanitize(SanitizeKind.CRYPTO),
    "block": sanitize(SanitizeKind.BLOCK),
    "overwrite": sanitize(SanitizeKind.OVERWRITE),
    "format": run_format_unit,
}


every_technique = pytest.mark.parametrize("technique", TECHNIQUES.values(), ids=TECHNIQUES)


every_sanitize = pytest.mark.parametrize("kind", SanitizeKind)


def commands_sent(line: Line, name: str) -> int:
    return sum(record.name.startswith(name) for record in line.records)


@dataclass
class Answering:
    """A port that itself answers ``times`` commands of one operation code, after the first ``skip``."""

    port: DrivePort
    opcode: int
    answer: Callable[[], Completion]
    times: int = 1 << 30
    skip: int = 0

    def execute(self, command: Command) -> Completion:
        if isinstance(command, ScsiCommand) and command.cdb[0] == self.opcode and self.times:
            if self.skip:
                self.skip -= 1
            else:
                self.times -= 1
                return self.answer()
        return self.port.execute(command)


def completion(status: int, raw: bytes = b"") -> Completion:
    sense = parse_sense(raw)
    judgement = judge(status, sense)
    return Completion(judgement.disposition, judgement.detail, scsi_status=status, sense=sense)


def invalid_field() -> Completion:
    return completion(0x02, sense_data(int(SenseKey.ILLEGAL_REQUEST), Code.INVALID_FIELD_IN_CDB))


def aborted() -> Completion:
    return completion(0x02, sense_data(int(SenseKey.ABORTED_COMMAND), Code.NONE))


BLOCK_ERASE, BLOCK_ERASE_AUSE = "48 82 00 00 00 00 00 00 00 00", "48 A2 00 00 00 00 00 00 00 00"


FORMAT = "04 10 00 00 00 00"


def begin_elsewhere(rig: Rig, cdb: str) -> None:
    """Somebody else's command, by another path."""
    for _ in range(2):  # the first is answered with a unit attention
        answer = rig.drive.execute(
            bytes.fromhex(cdb), bytes.fromhex("00 02 00 00" if cdb[0] == "0" else ""), 0, 9, 1
        )
    assert answer.status == 0


def failed_drive(cdb: str) -> Rig:
    """A drive on which somebody's sanitize failed; it has no fault that would make the next one fail."""
    rig = Rig(replace(QUICK, bad_sectors_fail_erase=True))
    rig.drive.medium.bad = {3}
    begin_elsewhere(rig, cdb)
    rig.clock.sleep(100.0)
    rig.drive.settle()
    rig.drive.medium.bad = set()
    rig.drive.medium.data[:] = rig.found
    assert rig.capabilities().state is ScsiState.SANITIZE_FAILED
    return rig


def test_the_bench_sees_old_data_and_its_absence() -> None:
    found, erased = Rig(), Rig()
    erased.drive.medium.data[:] = bytes(len(erased.found))
    assert (found.old_data_left, found.untouched) == (True, True)
    assert (erased.old_data_left, erased.untouched) == (False, False)
