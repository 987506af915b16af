"""The blocks of a drive: all of them used, of 512 bytes, formatted."""

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
from rasura_agent.erase.firmware.scsi_blocks import select_all_blocks, use_all_blocks
from rasura_agent.erase.firmware.scsi_format import adopt_format, reformat_to_512, run_format_unit
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from unit.test_firmware_scsi_bench import (
    BLOCK_ERASE,
    BLOCKS,
    FORMAT,
    QUICK,
    Answering,
    Rig,
    aborted,
    begin_elsewhere,
    commands_sent,
    completion,
    failed_drive,
    invalid_field,
)


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


def test_a_drive_that_only_pretends_to_take_the_length_is_not_formatted() -> None:
    rig = Rig(block_bytes=520)
    line = rig.line(wrap=lambda port: Answering(port, 0x55, lambda: completion(0x00)))
    end = reformat_to_512(line, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "took 520 bytes a block instead of 512" in end.reason
    assert commands_sent(line, "FORMAT UNIT") == 0
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


def test_a_drive_that_forgot_the_new_length_is_not_reformatted() -> None:
    rig = Rig(block_bytes=520)

    def watch(_: Running) -> None:
        rig.drive.mode.pending = None

    end = reformat_to_512(rig.line(watch=watch), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "does not tell blocks of 512" in end.reason


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


def test_a_drive_with_fewer_blocks_after_the_format_is_no_success() -> None:
    rig = Rig()

    def watch(_: Running) -> None:
        rig.drive.mode.visible_blocks = BLOCKS // 2

    end = run_format_unit(rig.line(watch=watch), rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert "before it had" in end.reason


def test_a_drive_that_somebody_else_begins_to_sanitize_is_not_formatted() -> None:
    rig = Rig()
    selected: list[str] = []

    def shared(port: DrivePort) -> DrivePort:
        class Shared:
            def execute(self, command: Command) -> Completion:
                done = port.execute(command)
                if selected and command.name.startswith("MODE SENSE"):
                    selected.clear()
                    begin_elsewhere(rig, BLOCK_ERASE)
                if command.name.startswith("MODE SELECT"):
                    selected.append(command.name)
                return done

        return Shared()

    line = rig.line(wrap=shared)
    end = run_format_unit(line, rig.capabilities())
    assert end.disposition is Disposition.UNKNOWN
    assert end.state == ScsiState.SANITIZING.value
    assert commands_sent(line, "FORMAT UNIT") == 0


def test_a_failed_drive_takes_no_format() -> None:
    rig = failed_drive(BLOCK_ERASE)
    line = rig.line()
    assert run_format_unit(line, rig.capabilities()).disposition is Disposition.REFUSED
    assert commands_sent(line, "FORMAT UNIT") == 0


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
