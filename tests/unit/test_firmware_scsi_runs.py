"""Erasing simulated SCSI drives: every technique, every fault at every command, every odd drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from rasura_agent.drive.port import (
    AtaResult,
    Command,
    Completion,
    Disposition,
    DrivePort,
    ScsiCommand,
    SenseData,
)
from rasura_agent.drive.scsi.capacity import Capacity
from rasura_agent.drive.scsi.disposition import HostStatus, judge
from rasura_agent.drive.scsi.errors import ScsiEncodeError
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.erase.firmware.line import Line, Running, TechniqueEnd
from rasura_agent.erase.firmware.scsi_blocks import select_all_blocks, use_all_blocks
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_format import adopt_format, reformat_to_512, run_format_unit
from rasura_agent.erase.firmware.scsi_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from simulators.ports import Bay, scsi_bay
from simulators.ports_media import Lie
from simulators.ports_reply import Host, Reply, judge_by_specification
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import Code, SenseKey, sense_data
from simulators.world import FaultKind, FaultSchedule, ManualClock, PowerCut

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


# The good path


@every_technique
@pytest.mark.parametrize(
    "options",
    [
        QUICK,
        ScsiOptions(),
        replace(QUICK, descriptor_sense=True),
        replace(QUICK, reports_progress=False),
        replace(QUICK, write_after_sanitize=True),
        replace(QUICK, reports_opcodes=False),
        replace(QUICK, rotation_rate=1, unmaps=True),
        replace(QUICK, write_cache=False),
    ],
    ids=["quick", "default", "descriptor", "silent", "11h/15h", "no RSOC", "flash", "no cache"],
)
def test_it_is_erased(technique: Technique, options: ScsiOptions) -> None:
    rig = Rig(options)
    end = technique(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert end.state == ScsiState.READY.value
    assert not rig.old_data_left
    assert end.records
    assert end.duration_s > 0


@every_technique
def test_it_is_erased_whatever_the_port_makes_of_not_ready(technique: Technique) -> None:
    rig = Rig()
    line = Line(rig.bay.open_port(judge=judge_by_specification), rig.clock, go_on)
    assert technique(line, rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


@every_technique
def test_blocks_that_a_mode_select_hid_are_erased_too(technique: Technique) -> None:
    rig = Rig(replace(QUICK, visible_blocks=BLOCKS // 2))
    assert technique(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


@pytest.mark.parametrize(("passes", "invert"), [(1, False), (3, True), (31, False)])
def test_overwrite_ends_with_the_pattern(passes: int, invert: bool) -> None:
    rig = Rig(replace(QUICK, overwrite_s=7.0))
    end = run_sanitize(
        rig.line(),
        SanitizeKind.OVERWRITE,
        rig.capabilities(),
        passes=passes,
        pattern=b"\xa5\x5a",
        invert=invert,
    )
    assert end.disposition is Disposition.DONE
    assert end.duration_s >= passes * 7.0
    assert rig.drive.medium.data == b"\xa5\x5a" * (BLOCKS * 256)


@pytest.mark.parametrize(("passes", "pattern"), [(0, b"\0"), (32, b"\0"), (1, b"")])
def test_what_cannot_be_encoded_is_not_sent(passes: int, pattern: bytes) -> None:
    rig = Rig()
    line, capabilities = rig.line(), rig.capabilities()
    with pytest.raises(ScsiEncodeError):
        run_sanitize(line, SanitizeKind.OVERWRITE, capabilities, passes=passes, pattern=pattern)
    assert not line.records


# Every fault at every command


def recover(rig: Rig, technique: Technique) -> None:
    """What the next run does: adopt what goes on, then erase for good."""
    if not rig.bay.connected:
        rig.bay.replug()
    elif not rig.bay.powered:
        rig.bay.power_cycle()
    for adopt in (adopt_sanitize, adopt_format):
        assert adopt(rig.line(), rig.capabilities()).disposition is Disposition.REFUSED
    end = technique(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.DONE, end.reason
    assert not rig.old_data_left


def number_of_commands(technique: Technique) -> int:
    rig, schedule = Rig(), FaultSchedule()
    capabilities = rig.capabilities()
    technique(rig.line(schedule), capabilities)
    return schedule.seen


@every_technique
@pytest.mark.parametrize("fault", FaultKind)
def test_a_fault_at_any_command_never_makes_a_success(technique: Technique, fault: FaultKind) -> None:
    ended = set()
    for number in range(number_of_commands(technique) + 1):
        rig = Rig()
        capabilities = rig.capabilities()
        try:
            end = technique(rig.line(FaultSchedule({number: fault})), capabilities)
        except PowerCut:
            end = None
        if end is not None:
            ended.add(end.disposition)
            assert end.reason
            if end.disposition is Disposition.DONE:
                assert not rig.old_data_left, (number, end)
            if end.disposition is Disposition.REFUSED:
                assert rig.untouched, (number, end)
        recover(rig, technique)
    assert Disposition.DONE in ended  # the last number is past the end: no fault there


@pytest.mark.parametrize("fault", FaultKind)
def test_a_fault_while_reformatting_never_makes_a_success(fault: FaultKind) -> None:
    """Nor is the drive ever left in a state from which a fresh run cannot go on."""
    for number in range(number_of_reformatting_commands() + 1):
        rig = Rig(block_bytes=520)
        capabilities = rig.capabilities()
        try:
            end = reformat_to_512(rig.line(FaultSchedule({number: fault})), capabilities)
        except PowerCut:
            end = None
        if end is not None and end.disposition is Disposition.DONE:
            assert rig.drive.medium.sector_bytes == 512
        if end is not None and end.disposition is Disposition.REFUSED:
            assert rig.untouched
            assert rig.drive.medium.sector_bytes == 520
            assert rig.drive.mode.pending is None
        if not rig.bay.connected:
            rig.bay.replug()
        elif not rig.bay.powered:
            rig.bay.power_cycle()
        adopt_format(rig.line(), rig.capabilities())
        reformat_to_512(rig.line(), rig.capabilities())
        assert rig.drive.medium.sector_bytes == 512
        assert settle(rig.line()).state is ScsiState.READY


def number_of_reformatting_commands() -> int:
    rig, schedule = Rig(block_bytes=520), FaultSchedule()
    reformat_to_512(rig.line(schedule), rig.capabilities())
    return schedule.seen


# Drives that are odd


@every_technique
@pytest.mark.parametrize(
    "options",
    [
        replace(QUICK, sanitize_fails_at=0.0, format_fails_at=0.0),
        replace(QUICK, sanitize_fails_at=0.5, format_fails_at=0.5),
        replace(QUICK, sanitize_fails_at=1.0, format_fails_at=1.0),
        replace(QUICK, hangs=frozenset({0x48, 0x04})),
        replace(QUICK, hangs=frozenset({0x03})),
        replace(QUICK, hangs=frozenset({0x00})),
    ],
    ids=["fails at once", "fails midway", "fails late", "hangs", "REQUEST SENSE hangs", "TUR hangs"],
)
def test_a_drive_that_does_not_succeed_is_never_done(technique: Technique, options: ScsiOptions) -> None:
    rig = Rig(options)
    end = technique(rig.line(), rig.capabilities())
    assert end.disposition is not Disposition.DONE
    if end.disposition is Disposition.REFUSED:
        assert rig.untouched


@every_sanitize
@pytest.mark.parametrize("reports_progress", [True, False])
def test_a_sanitize_that_stands_still_is_given_up(kind: SanitizeKind, reports_progress: bool) -> None:
    rig = Rig(replace(QUICK, progress_stuck_at=0.4, reports_progress=reports_progress))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert ("not advanced" if reports_progress else "did not end within") in end.reason
    assert end.state == ScsiState.SANITIZING.value


@pytest.mark.parametrize("kind", [SanitizeKind.BLOCK, SanitizeKind.OVERWRITE])
def test_instant_success_is_not_believed(kind: SanitizeKind) -> None:
    rig = Rig(replace(QUICK, lie=Lie(instantly=True)))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "without ever being seen at work" in end.reason


def test_an_instant_format_is_not_believed() -> None:
    rig = Rig(replace(QUICK, lie=Lie(instantly=True)))
    end = run_format_unit(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "without ever being seen at work" in end.reason


def test_an_instant_cryptographic_erase_is_believed() -> None:
    rig = Rig(replace(QUICK, crypto_s=0.0))
    end = run_sanitize(rig.line(), SanitizeKind.CRYPTO, rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


def test_only_a_lie_that_takes_its_time_gets_through() -> None:
    """And that is what the engine's markers are for."""
    rig = Rig(replace(QUICK, lie=Lie()))
    end = run_sanitize(rig.line(), SanitizeKind.BLOCK, rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert rig.old_data_left


@pytest.mark.parametrize("technique", ["overwrite", "format"])
def test_a_large_drive_that_is_done_too_soon_is_not_believed(technique: str) -> None:
    rig = Rig()
    large = replace(rig.capabilities(), capacity=Capacity(4 * 10**12 // 512, 512))
    end = TECHNIQUES[technique](rig.line(), large)
    assert end.disposition is Disposition.UNKNOWN
    assert "too few to write all blocks" in end.reason


@pytest.mark.parametrize("technique", ["block", "overwrite"])
def test_bad_sectors_make_a_sanitize_fail(technique: str) -> None:
    rig = Rig()
    rig.drive.medium.bad = {7}
    end = TECHNIQUES[technique](rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


@every_sanitize
def test_a_sanitize_that_is_not_supported_is_refused(kind: SanitizeKind) -> None:
    rig = Rig(replace(QUICK, sanitize=frozenset()))
    end = run_sanitize(rig.line(), kind, rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert rig.untouched


@every_technique
def test_whoever_watches_can_end_it(technique: Technique) -> None:
    rig = Rig()
    end = technique(rig.line(watch=lambda running: "the operator left"), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.reason == "the operator left"


@every_technique
def test_progress_is_told(technique: Technique) -> None:
    rig, told = Rig(), []

    def watch(running: Running) -> None:
        told.append(running.fraction)

    technique(rig.line(watch=watch), rig.capabilities())
    fractions = [fraction for fraction in told if fraction is not None]
    assert fractions
    assert fractions == sorted(fractions)


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


@every_technique
@pytest.mark.parametrize("asc", [0x5D, 0x0B])
def test_a_worn_drive_that_warns_at_every_request_sense_is_erased(technique: Technique, asc: int) -> None:
    """MRIE 6 of the Informational Exceptions mode page: a prediction is reported on request, every time."""
    rig = Rig()

    def quiet_but_worn(port: DrivePort) -> DrivePort:
        inner = port.execute

        class Worn:
            def execute(self, command: Command) -> Completion:
                done = inner(command)
                sense = parse_sense(done.data) if done.data[:1] == b"\x70" else None
                if command.name == "REQUEST SENSE" and sense is not None and (sense.key, sense.asc) == (0, 0):
                    return replace(done, data=sense_data(0, (asc, 0)))
                return done

        return Worn()

    assert technique(rig.line(wrap=quiet_but_worn), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


def index_of(technique: Technique, name: str) -> int:
    rig = Rig()
    capabilities, line = rig.capabilities(), rig.line()
    technique(line, capabilities)
    return [record.name.startswith(name) for record in line.records].index(True)


@every_technique
@pytest.mark.parametrize("fault", [FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET])
def test_a_lost_answer_is_made_up_for_by_seeing_it_at_work(technique: Technique, fault: FaultKind) -> None:
    rig = Rig()
    name = "FORMAT" if technique is run_format_unit else "SANITIZE"
    schedule = FaultSchedule({index_of(technique, name): fault})
    end = technique(rig.line(schedule), rig.capabilities())
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


@every_technique
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_refusal_of_what_is_under_way_is_none(technique: Technique, goes_on: bool) -> None:
    """A path that sent the command twice: taken the first time, refused the second."""
    rig = Rig()
    name = "FORMAT" if technique is run_format_unit else "SANITIZE"

    def taken_and_refused(port: DrivePort) -> DrivePort:
        class Twice:
            def execute(self, command: Command) -> Completion:
                done = port.execute(command)
                if not command.name.startswith(name):
                    return done
                if not goes_on:
                    rig.clock.sleep(100.0)
                    rig.drive.settle()
                    rig.drive.corrupt = True
                return invalid_field()

        return Twice()

    end = technique(rig.line(wrap=taken_and_refused), rig.capabilities())
    assert end.disposition is (Disposition.DONE if goes_on else Disposition.UNKNOWN)


BUSY, TASK_SET_FULL, RESERVATION_CONFLICT = 0x08, 0x28, 0x18


@pytest.mark.parametrize("status", [BUSY, TASK_SET_FULL])
@pytest.mark.parametrize(("times", "disposition"), [(3, Disposition.DONE), (99, Disposition.REFUSED)])
def test_a_busy_drive_is_asked_again_a_few_times(status: int, times: int, disposition: Disposition) -> None:
    rig = Rig()
    line = rig.line(wrap=lambda port: Answering(port, 0x48, lambda: completion(status), times))
    assert run_sanitize(line, SanitizeKind.BLOCK, rig.capabilities()).disposition is disposition
    assert commands_sent(line, "SANITIZE") == min(times + 1, 6)


def test_a_reserved_drive_refuses_and_is_not_asked_again() -> None:
    rig = Rig()
    line = rig.line(wrap=lambda port: Answering(port, 0x48, lambda: completion(RESERVATION_CONFLICT)))
    assert run_sanitize(line, SanitizeKind.BLOCK, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "SANITIZE") == 1
    assert rig.untouched


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (SenseKey.UNIT_ATTENTION, (0x29, 0x00)),
        (SenseKey.UNIT_ATTENTION, (0x2A, 0x09)),
        (SenseKey.NOT_READY, (0x04, 0x1B)),
        (SenseKey.NOT_READY, (0x04, 0x01)),
        (SenseKey.ABORTED_COMMAND, (0x00, 0x00)),
        (SenseKey.HARDWARE_ERROR, (0x44, 0x00)),
        (SenseKey.NO_SENSE, (0x00, 0x00)),
    ],
)
@pytest.mark.parametrize("opcode", [0x48, 0x04], ids=["SANITIZE", "FORMAT UNIT"])
def test_an_answer_that_is_no_refusal_is_not_taken_for_one(
    opcode: int, key: SenseKey, code: tuple[int, int]
) -> None:
    """The drive is looked at; quiet says nothing, and the command is not sent again."""
    rig = Rig()
    raw = sense_data(int(key), code)
    line = rig.line(wrap=lambda port: Answering(port, opcode, lambda: completion(0x02, raw)))
    technique = TECHNIQUES["crypto" if opcode == 0x48 else "format"]
    assert technique(line, rig.capabilities()).disposition is Disposition.UNKNOWN
    assert commands_sent(line, "SANITIZE") + commands_sent(line, "FORMAT UNIT") == 1


@every_technique
def test_a_stopped_drive_is_started(technique: Technique) -> None:
    rig = Rig()
    rig.drive.stopped = True
    assert technique(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert not rig.old_data_left


# Resets


@every_sanitize
def test_a_sanitize_goes_on_after_the_drive_lost_power(kind: SanitizeKind) -> None:
    rig = Rig(replace(QUICK, crypto_s=60.0, block_s=60.0))
    times = [0]

    def watch(running: Running) -> None:
        if running.fraction is not None and running.fraction > 0.3 and not times[0]:
            times[0] += 1
            rig.interrupt()

    end = run_sanitize(rig.line(watch=watch), kind, rig.capabilities())
    assert times == [1]
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


@every_sanitize
def test_a_sanitize_that_a_reset_took_away_is_no_success(kind: SanitizeKind) -> None:
    """Against the standard, the drive forgets it and is quiet: as if it had succeeded."""
    rig = Rig(replace(QUICK, crypto_s=60.0, block_s=60.0))

    def watch(running: Running) -> None:
        if running.fraction is not None and running.fraction > 0.3:
            rig.drive.sanitize.operation = None
            rig.drive.sanitize.phase = type(rig.drive.sanitize.phase).IDLE
            rig.interrupt()

    end = run_sanitize(rig.line(watch=watch), kind, rig.capabilities())
    assert rig.old_data_left
    assert end.disposition is Disposition.UNKNOWN
    assert "reset" in end.reason


def test_a_format_that_a_reset_took_away_is_no_success() -> None:
    """Against the standard, the drive forgets it and says nothing of a corrupted medium."""
    rig = Rig()

    def watch(running: Running) -> None:
        if running.fraction is not None and running.fraction > 0.3:
            rig.drive._format = None
            rig.interrupt()

    end = run_format_unit(rig.line(watch=watch), rig.capabilities())
    assert rig.old_data_left
    assert end.disposition is Disposition.UNKNOWN
    assert "reset" in end.reason


def test_a_drive_with_fewer_blocks_after_the_format_is_no_success() -> None:
    rig = Rig()

    def watch(_: Running) -> None:
        rig.drive.mode.visible_blocks = BLOCKS // 2

    end = run_format_unit(rig.line(watch=watch), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "before it had" in end.reason


def test_a_drive_that_forgot_the_new_length_is_not_reformatted() -> None:
    rig = Rig(block_bytes=520)

    def watch(_: Running) -> None:
        rig.drive.mode.pending = None

    end = reformat_to_512(rig.line(watch=watch), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "does not tell blocks of 512" in end.reason


def test_a_format_that_cannot_be_repeated_is_no_refusal() -> None:
    rig = Rig()
    left = [1]

    def watch(_: Running) -> None:
        if left[0]:
            left[0] -= 1
            rig.interrupt()

    line = rig.line(watch=watch, wrap=lambda port: Answering(port, 0x04, invalid_field, skip=1))
    end = run_format_unit(line, rig.capabilities())
    assert commands_sent(line, "FORMAT UNIT") == 2
    assert end.disposition is Disposition.UNKNOWN
    assert "could not be repeated" in end.reason


@pytest.mark.parametrize("block_bytes", [512, 520])
@pytest.mark.parametrize(("resets", "disposition"), [(1, Disposition.DONE), (2, Disposition.UNKNOWN)])
def test_an_interrupted_format_is_repeated(block_bytes: int, resets: int, disposition: Disposition) -> None:
    rig = Rig(block_bytes=block_bytes)
    left = [resets]

    def watch(running: Running) -> None:
        if running.fraction is not None and running.fraction > 0.3 and left[0]:
            left[0] -= 1
            rig.interrupt()

    technique = run_format_unit if block_bytes == 512 else reformat_to_512
    line = rig.line(watch=watch)
    end = technique(line, rig.capabilities())
    assert end.disposition is disposition
    assert commands_sent(line, "FORMAT UNIT") == 2
    assert rig.old_data_left is (disposition is not Disposition.DONE)
    if disposition is not Disposition.DONE:
        assert end.state == ScsiState.FORMAT_CORRUPT.value


# What is found at work, or failed


def begin_elsewhere(rig: Rig, cdb: str) -> None:
    """Somebody else's command, by another path."""
    for _ in range(2):  # the first is answered with a unit attention
        answer = rig.drive.execute(
            bytes.fromhex(cdb), bytes.fromhex("00 02 00 00" if cdb[0] == "0" else ""), 0, 9, 1
        )
    assert answer.status == 0


BLOCK_ERASE, BLOCK_ERASE_AUSE = "48 82 00 00 00 00 00 00 00 00", "48 A2 00 00 00 00 00 00 00 00"
FORMAT = "04 10 00 00 00 00"


def test_a_sanitize_at_work_is_adopted_but_is_no_success_of_ours() -> None:
    rig = Rig()
    begin_elsewhere(rig, BLOCK_ERASE)
    assert rig.capabilities().state is ScsiState.SANITIZING
    end = adopt_sanitize(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert end.state == ScsiState.READY.value
    assert "may be erased afresh" in end.reason


def test_an_adopted_sanitize_that_fails_is_unknown() -> None:
    rig = Rig(replace(QUICK, sanitize_fails_at=0.5))
    begin_elsewhere(rig, BLOCK_ERASE)
    end = adopt_sanitize(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value
    assert end.reason.startswith("the drive reports that it failed")


def test_an_adopted_sanitize_that_stands_still_is_unknown() -> None:
    rig = Rig(replace(QUICK, progress_stuck_at=0.5))
    begin_elsewhere(rig, BLOCK_ERASE)
    assert adopt_sanitize(rig.line(), rig.capabilities()).disposition is Disposition.UNKNOWN


def test_a_format_at_work_is_adopted_but_is_no_success_of_ours() -> None:
    rig = Rig()
    begin_elsewhere(rig, FORMAT)
    assert rig.capabilities().state is ScsiState.FORMATTING
    end = adopt_format(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert end.state == ScsiState.READY.value


def test_an_adopted_format_that_fails_is_unknown() -> None:
    rig = Rig(replace(QUICK, format_fails_at=0.5))
    begin_elsewhere(rig, FORMAT)
    end = adopt_format(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.FORMAT_FAILED.value


@pytest.mark.parametrize("adopt", [adopt_sanitize, adopt_format])
def test_there_is_nothing_to_adopt(adopt: Technique) -> None:
    rig = Rig()
    end = adopt(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert rig.untouched


@every_technique
@pytest.mark.parametrize("cdb", [BLOCK_ERASE, FORMAT])
def test_nothing_is_begun_on_top_of_what_is_at_work(technique: Technique, cdb: str) -> None:
    rig = Rig()
    begin_elsewhere(rig, cdb)
    line = rig.line()
    assert technique(line, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "SANITIZE") + commands_sent(line, "FORMAT UNIT") == 0


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


def test_leaving_the_failure_mode_is_never_a_success() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    end = leave_failure_mode(rig.line())
    # From here on the drive looks exactly like one whose sanitize succeeded.
    assert settle(rig.line()).state is ScsiState.READY
    assert rig.old_data_left
    assert end.disposition is Disposition.REFUSED
    assert "NOTHING WAS ERASED" in end.reason
    for adopt in (adopt_sanitize, adopt_format):
        assert adopt(rig.line(), rig.capabilities()).disposition is Disposition.REFUSED


def test_a_lost_answer_to_exit_failure_mode_is_looked_up() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    line = rig.line()
    leave_failure_mode(line)
    number = [record.name.startswith("SANITIZE") for record in line.records].index(True)
    rig = failed_drive(BLOCK_ERASE_AUSE)
    end = leave_failure_mode(rig.line(FaultSchedule({number: FaultKind.SWALLOW_STATUS})))
    assert end.disposition is Disposition.REFUSED


def test_a_failure_mode_that_persists_is_reported_whatever_the_answer_was() -> None:
    rig = failed_drive(BLOCK_ERASE_AUSE)
    line = rig.line(wrap=lambda port: Answering(port, 0x48, lambda: completion(0x00)))
    end = leave_failure_mode(line)
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


def test_a_restricted_failure_is_not_left() -> None:
    rig = failed_drive(BLOCK_ERASE)
    end = leave_failure_mode(rig.line())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZE_FAILED.value


def test_there_is_no_failure_to_leave() -> None:
    rig = Rig()
    line = rig.line()
    assert leave_failure_mode(line).disposition is Disposition.REFUSED
    assert commands_sent(line, "SANITIZE") == 0


@pytest.mark.parametrize("fault", FaultKind)
@pytest.mark.parametrize("cdb", [BLOCK_ERASE, BLOCK_ERASE_AUSE])
def test_leaving_the_failure_mode_with_faults_is_never_a_success(fault: FaultKind, cdb: str) -> None:
    for number in range(6):
        rig = failed_drive(cdb)
        try:
            end = leave_failure_mode(rig.line(FaultSchedule({number: fault})))
        except PowerCut:
            continue
        assert end.disposition is not Disposition.DONE
        if end.disposition is Disposition.REFUSED:
            assert rig.drive.sanitize.operation is None
            assert rig.untouched


@every_sanitize
@pytest.mark.parametrize("cdb", [BLOCK_ERASE, BLOCK_ERASE_AUSE])
@pytest.mark.parametrize("free", [True, False])
def test_a_new_sanitize_leads_out_of_either_failure(kind: SanitizeKind, cdb: str, free: bool) -> None:
    rig = failed_drive(cdb)
    end = run_sanitize(rig.line(), kind, rig.capabilities(), allow_unrestricted_exit=free)
    assert end.disposition is Disposition.DONE
    assert not rig.old_data_left


def test_a_failed_drive_takes_no_format() -> None:
    rig = failed_drive(BLOCK_ERASE)
    line = rig.line()
    assert run_format_unit(line, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "FORMAT UNIT") == 0


@pytest.mark.parametrize("free", [True, False])
def test_exit_is_allowed_only_when_asked_for(free: bool) -> None:
    rig = Rig(replace(QUICK, sanitize_fails_at=0.5))
    run_sanitize(rig.line(), SanitizeKind.BLOCK, rig.capabilities(), allow_unrestricted_exit=free)
    expected = Disposition.REFUSED if free else Disposition.UNKNOWN
    assert leave_failure_mode(rig.line()).disposition is expected


# Blocks


@pytest.mark.parametrize("visible", [1, BLOCKS // 3, BLOCKS - 1, BLOCKS, None])
def test_hidden_blocks_are_found_and_lifted(visible: int | None) -> None:
    rig = Rig(replace(QUICK, visible_blocks=visible))
    lifted = use_all_blocks(rig.line())
    assert lifted.end.disposition is Disposition.DONE
    assert lifted.hidden_blocks == BLOCKS - (visible or BLOCKS)
    assert (lifted.blocks_after, lifted.block_bytes) == (BLOCKS, 512)
    assert rig.drive.blocks == BLOCKS
    assert rig.untouched
    again = use_all_blocks(rig.line())
    assert again.hidden_blocks == 0


@pytest.mark.parametrize("fault", FaultKind)
def test_faults_while_lifting_never_claim_what_is_not_so(fault: FaultKind) -> None:
    for number in range(10):
        rig = Rig(replace(QUICK, visible_blocks=5))
        try:
            lifted = use_all_blocks(rig.line(FaultSchedule({number: fault})))
        except PowerCut:
            continue
        assert rig.untouched
        if lifted.end.disposition is Disposition.DONE:
            assert rig.drive.blocks == BLOCKS
            assert lifted.hidden_blocks == BLOCKS - 5
        elif lifted.end.disposition is Disposition.REFUSED:
            assert rig.drive.blocks == 5


def test_blocks_of_a_drive_that_is_not_ready_are_left_alone() -> None:
    rig = Rig()
    begin_elsewhere(rig, BLOCK_ERASE)
    line = rig.line()
    assert use_all_blocks(line).end.disposition is Disposition.REFUSED
    assert commands_sent(line, "MODE SELECT") == 0


def test_a_drive_that_refuses_the_longer_forms_is_asked_in_the_shortest() -> None:
    rig = Rig(replace(QUICK, visible_blocks=5))
    line = rig.line(wrap=lambda port: Answering(Answering(port, 0x55, invalid_field), 0x5A, invalid_field))
    assert use_all_blocks(line).hidden_blocks == BLOCKS - 5
    assert commands_sent(line, "MODE SELECT(6)") == 1


def test_a_mode_select_that_is_aborted_is_sent_again() -> None:
    rig = Rig(replace(QUICK, visible_blocks=5))
    line = rig.line(wrap=lambda port: Answering(port, 0x55, aborted, times=2))
    assert use_all_blocks(line).hidden_blocks == BLOCKS - 5
    assert commands_sent(line, "MODE SELECT(10)") == 3


def test_blocks_that_may_or_may_not_have_been_set_are_unknown() -> None:
    rig = Rig(replace(QUICK, visible_blocks=5))
    line = rig.line(wrap=lambda port: Answering(port, 0x55, aborted))
    assert use_all_blocks(line).end.disposition is Disposition.UNKNOWN
    assert run_format_unit(line, rig.capabilities()).disposition is Disposition.UNKNOWN
    assert commands_sent(line, "FORMAT UNIT") == 0


def test_a_mode_select_that_made_it_smaller_is_unknown() -> None:
    rig = Rig()

    def misunderstood() -> Completion:
        rig.drive.mode.visible_blocks = 3
        return completion(0x00)

    lifted = use_all_blocks(rig.line(wrap=lambda port: Answering(port, 0x55, misunderstood)))
    assert lifted.end.disposition is Disposition.UNKNOWN
    assert lifted.hidden_blocks == 3 - BLOCKS


def test_a_drive_that_closes_after_mode_select_is_unknown() -> None:
    rig = Rig()

    def corrupted() -> Completion:
        rig.drive.corrupt = True
        return completion(0x00)

    lifted = use_all_blocks(rig.line(wrap=lambda port: Answering(port, 0x55, corrupted)))
    assert lifted.end.disposition is Disposition.UNKNOWN
    assert lifted.end.state == ScsiState.FORMAT_CORRUPT.value
    assert lifted.end.reason.startswith("after MODE SELECT the drive was")


def test_a_drive_that_somebody_else_begins_to_sanitize_is_not_formatted() -> None:
    rig = Rig()
    begun: list[None] = []

    def meanwhile(port: DrivePort) -> DrivePort:
        class Shared:
            def execute(self, command: Command) -> Completion:
                done = port.execute(command)
                if command.name.startswith("MODE SENSE") and len(rig.shared_line.records) > 5 and not begun:
                    begun.append(begin_elsewhere(rig, BLOCK_ERASE))
                return done

        return Shared()

    rig.shared_line = line = rig.line(wrap=meanwhile)
    assert run_format_unit(line, rig.capabilities()).disposition is Disposition.UNKNOWN
    assert commands_sent(line, "MODE SELECT") == 1
    assert commands_sent(line, "FORMAT UNIT") == 0


def test_a_drive_that_only_pretends_to_take_the_length_is_not_formatted() -> None:
    rig = Rig(block_bytes=520)
    line = rig.line(wrap=lambda port: Answering(port, 0x55, lambda: completion(0x00)))
    end = reformat_to_512(line, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "took 520 bytes a block instead of 512" in end.reason
    assert commands_sent(line, "FORMAT UNIT") == 0
    assert rig.untouched


@pytest.mark.parametrize("length", [0, 1 << 24, 0xFFFFFFFF])
def test_a_nonsense_length_is_not_sent(length: int) -> None:
    rig = Rig()
    line = rig.line()
    assert select_all_blocks(line, length).disposition is Disposition.REFUSED
    assert not line.records


@pytest.mark.parametrize("block_bytes", [520, 524, 528])
@pytest.mark.parametrize("visible", [None, 9])
def test_it_is_reformatted_to_512(block_bytes: int, visible: int | None) -> None:
    rig = Rig(replace(QUICK, visible_blocks=visible), block_bytes=block_bytes)
    capabilities = rig.capabilities()
    assert capabilities.needs_reformat
    end = reformat_to_512(rig.line(), capabilities)
    assert end.disposition is Disposition.DONE
    assert "erasing it is a step of its own" in end.reason
    assert rig.drive.block_bytes == 512
    assert rig.drive.blocks == BLOCKS * block_bytes // 512
    assert not rig.capabilities().needs_reformat


@pytest.mark.parametrize("block_bytes", [512, 4096])
def test_plain_blocks_are_left_alone(block_bytes: int) -> None:
    rig = Rig(block_bytes=block_bytes)
    line = rig.line()
    assert reformat_to_512(line, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "MODE SELECT") == 0


def test_a_drive_that_knows_no_other_length_refuses() -> None:
    rig = Rig(replace(QUICK, block_lengths=frozenset({520})), block_bytes=520)
    assert reformat_to_512(rig.line(), rig.capabilities()).disposition is Disposition.REFUSED
    assert rig.untouched


def test_a_refused_format_takes_the_new_length_back() -> None:
    rig = Rig(block_bytes=520)
    line = rig.line(wrap=lambda port: Answering(port, 0x04, invalid_field))
    end = reformat_to_512(line, rig.capabilities())
    assert end.disposition is Disposition.REFUSED
    assert rig.untouched
    assert settle(rig.line()).state is ScsiState.READY
    assert rig.capabilities().selected_block_bytes == 520


def test_a_format_that_fails_is_no_success() -> None:
    rig = Rig(replace(QUICK, format_fails_at=0.5), block_bytes=520)
    end = reformat_to_512(rig.line(), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.FORMAT_FAILED.value


@pytest.mark.parametrize("technique", [run_format_unit, reformat_to_512])
def test_a_format_that_lost_its_power_is_recognised_by_the_next_run(technique: Technique) -> None:
    rig = Rig(block_bytes=512 if technique is run_format_unit else 520)
    rig.bay.power_cut_at = 30.0
    with pytest.raises(PowerCut):
        technique(rig.line(), rig.capabilities())
    rig.bay.power_cycle()
    assert rig.capabilities().state is ScsiState.FORMAT_CORRUPT
    assert technique(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert rig.drive.block_bytes == 512
    assert not rig.old_data_left


def test_a_forgotten_block_length_is_formatted() -> None:
    """MODE SELECT without FORMAT UNIT, by somebody before us: medium format corrupted."""
    rig = Rig(block_bytes=520)
    select = bytes.fromhex("00 00 00 08 FF FF FF FF 00 00 02 00")
    for _ in range(2):
        rig.drive.execute(bytes.fromhex("15 10 00 00 0C 00"), select, 0, 9, 1)
    capabilities = rig.capabilities()
    assert capabilities.state is ScsiState.FORMAT_CORRUPT
    assert capabilities.selected_block_bytes == 512
    assert reformat_to_512(rig.line(), capabilities).disposition is Disposition.DONE
    assert rig.drive.block_bytes == 512


def test_a_format_that_writes_nothing_is_for_the_markers_to_find() -> None:
    """No standard makes FORMAT UNIT write: the drive says the truth, and the old data is there."""
    rig = Rig(replace(QUICK, format_writes=False))
    assert run_format_unit(rig.line(), rig.capabilities()).disposition is Disposition.DONE
    assert rig.old_data_left
