"""MMC commands, their time-outs, and what the device status says of them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rasura.errors import UsageError
from rasura_agent.drive.mmc.commands import EMMC_RCA, send_ext_csd, send_status, switch_byte
from rasura_agent.drive.mmc.erase import (
    EraseArgument,
    erase_sequence,
    erase_supported,
    erase_timeout_s,
    sanitize,
    sanitize_timeout_s,
    sequence_outcome,
)
from rasura_agent.drive.mmc.ext_csd import ExtCsd, decode_ext_csd
from rasura_agent.drive.mmc.status import CardState, DeviceStatus, accepted, card_state, completed
from rasura_agent.drive.port import Completion, Disposition

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
READY = CardState.TRANSFER << 9 | DeviceStatus.READY_FOR_DATA

# linux/mmc/core.h: MMC_RSP_SPI_R1 | MMC_RSP_R1, and with _R1B; MMC_CMD_ADTC is 20h.
FLAGS_R1, FLAGS_R1B, ADTC = 0x95, 0x49D, 0x20


def _device(**bytes_at: int) -> ExtCsd:
    data = bytearray(512)
    data[192], data[175], data[224], data[223], data[231], data[232] = 8, 1, 1, 1, 0x55, 1
    data[229], data[230] = 17, 27
    data[212:216] = struct.pack("<I", 61_071_360)
    for name, value in bytes_at.items():
        data[int(name[1:])] = value
    return decode_ext_csd(bytes(data))


def test_simple_commands() -> None:
    read = send_ext_csd()
    assert (read.opcode, read.arg, read.flags, read.data_in_bytes) == (8, 0, FLAGS_R1 | ADTC, 512)
    assert not read.write
    status = send_status(EMMC_RCA)
    assert (status.opcode, status.arg, status.flags) == (13, 0x10000, FLAGS_R1)


def test_switch_and_sanitize() -> None:
    command = switch_byte("ERASE_GROUP_DEF", 175, 1, timeout_s=2)
    assert (command.opcode, command.arg, command.flags) == (6, 0x03AF0101, FLAGS_R1B)
    command = sanitize(timeout_s=99)
    assert (command.opcode, command.arg, command.timeout_s) == (6, 0x03A50101, 99)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        (EraseArgument.ERASE, 0),
        (EraseArgument.TRIM, 1),
        (EraseArgument.DISCARD, 3),
        (EraseArgument.SECURE_ERASE, 0x80000000),
        (EraseArgument.SECURE_TRIM_STEP_1, 0x80000001),
        (EraseArgument.SECURE_TRIM_STEP_2, 0x80008000),
    ],
)
def test_erase_sequence(argument: EraseArgument, value: int) -> None:
    sequence = erase_sequence(0, 61_071_359, argument, rca=1, timeout_s=7)
    assert [(c.opcode, c.arg, c.flags) for c in sequence] == [
        (35, 0, FLAGS_R1),
        (36, 61_071_359, FLAGS_R1),
        (38, value, FLAGS_R1B),
        (13, 0x10000, FLAGS_R1),
    ]
    assert sequence[2].timeout_s == 7


@pytest.mark.parametrize(("start", "end"), [(1, 0), (-1, 5), (0, 1 << 32)])
def test_ranges_that_are_none(start: int, end: int) -> None:
    with pytest.raises(UsageError):
        erase_sequence(start, end, EraseArgument.ERASE, rca=1, timeout_s=1)


@pytest.mark.parametrize(("index", "value"), [(192, 1), (-1, 0), (175, 256), (175, -1)])
def test_registers_that_cannot_be_written(index: int, value: int) -> None:
    with pytest.raises(UsageError):
        switch_byte("X", index, value, timeout_s=1)


@pytest.mark.parametrize("rca", [-1, 65536])
def test_addresses_that_do_not_fit(rca: int) -> None:
    with pytest.raises(UsageError):
        send_status(rca)


@pytest.mark.parametrize(
    ("features", "supported"),
    [
        (0x00, {"ERASE", "DISCARD"}),
        (0x01, {"ERASE", "DISCARD", "SECURE_ERASE"}),
        (0x10, {"ERASE", "DISCARD", "TRIM"}),
        (0x11, {a.name for a in EraseArgument}),
    ],
)
def test_support(features: int, supported: set[str]) -> None:
    device = _device(r231=features)
    assert {a.name for a in EraseArgument if erase_supported(device, a)} == supported
    assert not erase_supported(_device(r192=5), EraseArgument.DISCARD)


def test_timeouts() -> None:
    device = _device()
    group = 512 * 1024
    assert erase_timeout_s(device, EraseArgument.ERASE, 1) == pytest.approx(60.3)
    assert erase_timeout_s(device, EraseArgument.ERASE, 10 * group + 1) == pytest.approx(63.3)
    assert erase_timeout_s(device, EraseArgument.TRIM, 10 * group) == pytest.approx(63.0)
    assert erase_timeout_s(device, EraseArgument.SECURE_ERASE, group) == pytest.approx(60 + 0.3 * 27)
    assert erase_timeout_s(device, EraseArgument.SECURE_TRIM_STEP_2, group) == pytest.approx(60 + 0.3 * 17)
    assert erase_timeout_s(device, EraseArgument.SECURE_ERASE, 10**12) == 24 * 3600
    # What the device does not tell is the longest that the register can express.
    for untold in (_device(r230=0), _device(r224=0), _device(r175=0), _device(r223=0)):
        assert erase_timeout_s(untold, EraseArgument.SECURE_ERASE, group) == 300 * 255 * 255 / 1000


def test_sanitize_timeout_grows_and_ends() -> None:
    assert (
        600
        < sanitize_timeout_s(4 << 30)
        < sanitize_timeout_s(64 << 30)
        < sanitize_timeout_s(1 << 40)
        == 86400
    )


REFUSING = {
    DeviceStatus.OUT_OF_RANGE,
    DeviceStatus.ADDRESS_ERROR,
    DeviceStatus.BLOCK_LEN_ERROR,
    DeviceStatus.ERASE_SEQ_ERROR,
}
REFUSING_AFTER = {DeviceStatus.ILLEGAL_COMMAND, DeviceStatus.ERASE_SEQ_ERROR, DeviceStatus.ERASE_PARAM}
HARMLESS = {DeviceStatus.CARD_IS_LOCKED, DeviceStatus.READY_FOR_DATA, DeviceStatus.EXCEPTION_EVENT}


@pytest.mark.parametrize("bit", list(DeviceStatus))
def test_each_bit(bit: DeviceStatus) -> None:
    expected = DONE if bit in HARMLESS else REFUSED if bit in REFUSING else UNKNOWN
    assert accepted(READY | bit)[0] is expected
    assert completed(READY | bit)[0] is (
        DONE if bit in HARMLESS else REFUSED if bit in REFUSING_AFTER else UNKNOWN
    )
    assert bit.name in completed(READY | bit)[1]


def test_no_answer_is_unknown() -> None:
    assert accepted(0)[0] is UNKNOWN
    assert completed(0)[0] is UNKNOWN


def test_an_illegal_command_shows_only_in_the_next_answer() -> None:
    # In its own answer the bit speaks of the command before, so nothing is known of this one.
    assert accepted(READY | DeviceStatus.ILLEGAL_COMMAND)[0] is UNKNOWN


@pytest.mark.parametrize("state", range(16))
def test_only_the_transfer_state_is_the_end(state: int) -> None:
    r1 = state << 9 | DeviceStatus.READY_FOR_DATA
    assert (completed(r1)[0] is DONE) == (state == CardState.TRANSFER)
    assert card_state(r1) == (state if state <= 10 else None)
    assert completed(CardState.TRANSFER << 9)[0] is UNKNOWN


@given(st.integers(0, 0xFFFFFFFF))
def test_done_means_no_error_at_all(r1: int) -> None:
    errors = 0
    for bit in set(DeviceStatus) - HARMLESS:
        errors |= bit
    if r1 & errors:
        assert accepted(r1)[0] is not DONE
        assert completed(r1)[0] is not DONE


def _ok(r1: int = READY) -> Completion:
    return Completion(DONE, "ok", mmc_response=(r1, 0, 0, 0))


def test_sequence_outcome() -> None:
    assert sequence_outcome([_ok()] * 4)[0] is DONE
    assert sequence_outcome([_ok(), _ok(), _ok(), _ok(READY | DeviceStatus.ERASE_PARAM)])[0] is REFUSED
    assert sequence_outcome([_ok(), _ok(), _ok(), _ok(READY | DeviceStatus.WP_ERASE_SKIP)])[0] is UNKNOWN
    assert sequence_outcome([_ok(), _ok(), _ok(), _ok(CardState.PROGRAM << 9)])[0] is UNKNOWN
    refused = replace(_ok(), disposition=REFUSED)
    unknown = replace(_ok(), disposition=UNKNOWN)
    assert sequence_outcome([_ok(), refused, unknown, _ok()])[0] is REFUSED
    assert sequence_outcome([_ok(), _ok(), unknown, refused])[0] is UNKNOWN
    assert sequence_outcome([_ok()] * 3)[0] is UNKNOWN
    assert sequence_outcome([])[0] is UNKNOWN
    assert sequence_outcome([_ok(), _ok(), _ok(), Completion(DONE, "no response")])[0] is UNKNOWN
