"""Every fault at every command, lost answers, resets and busy drives: never a success that is none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rasura_agent.drive.port import (
    Command,
    Completion,
    Disposition,
    DrivePort,
)
from rasura_agent.erase.firmware.line import Running
from rasura_agent.erase.firmware.scsi_blocks import use_all_blocks
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind
from rasura_agent.erase.firmware.scsi_format import adopt_format, reformat_to_512, run_format_unit
from rasura_agent.erase.firmware.scsi_sanitize import adopt_sanitize, leave_failure_mode, run_sanitize
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from simulators.scsi_sense import SenseKey, sense_data
from simulators.world import FaultKind, FaultSchedule, PowerCut
from unit.test_firmware_scsi_bench import (
    BLOCK_ERASE,
    BLOCK_ERASE_AUSE,
    BLOCKS,
    QUICK,
    TECHNIQUES,
    Answering,
    Rig,
    Technique,
    commands_sent,
    completion,
    every_sanitize,
    every_technique,
    failed_drive,
    invalid_field,
)


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


def number_of_reformatting_commands() -> int:
    rig, schedule = Rig(block_bytes=520), FaultSchedule()
    reformat_to_512(rig.line(schedule), rig.capabilities())
    return schedule.seen


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
