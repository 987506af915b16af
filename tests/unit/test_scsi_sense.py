"""Sense data, the disposition of a command, and polling: unknown never becomes success."""

from __future__ import annotations

import pytest

from rasura_agent.drive.port import Completion, Disposition, SenseData
from rasura_agent.drive.scsi.disposition import HostStatus, ScsiStatus, judge
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.poll import (
    LongOperation,
    OperationState,
    decode_request_sense,
    read_request_sense,
    read_test_unit_ready,
    request_sense,
    unit_ready_test,
)
from rasura_agent.drive.scsi.sense import (
    Additional,
    SenseKey,
    additional_name,
    carries_additional_sense,
    descriptors,
    is_reset,
    parse_sense,
    sense_text,
)

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
RUNNING, FAILED, IDLE = OperationState.RUNNING, OperationState.FAILED, OperationState.IDLE


def fixed(key: int, code: int, *, progress: int | None = None, response: int = 0x70) -> bytes:
    """18 bytes of fixed-format sense data, as SPC-5 lays them out."""
    specific = bytes(3) if progress is None else b"\x80" + progress.to_bytes(2, "big")
    return bytes([response, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code >> 8, code & 0xFF, 0]) + specific


def descriptor(key: int, code: int, *parts: bytes, response: int = 0x72) -> bytes:
    body = b"".join(parts)
    return bytes([response, key, code >> 8, code & 0xFF, 0, 0, 0, len(body)]) + body


def parsed_sense(raw: bytes) -> SenseData:
    parsed = parse_sense(raw)
    assert parsed is not None
    return parsed


def sense(key: int, code: int, *, response: int = 0x70) -> SenseData:
    return parsed_sense(fixed(key, code, response=response))


def polled(data: bytes, operation: LongOperation = LongOperation.SANITIZE) -> OperationState:
    return decode_request_sense(data, operation).state


def test_fixed_format_with_progress() -> None:
    parsed = parsed_sense(bytes.fromhex("70 00 02 00 00 00 00 0a 00 00 00 00 04 1b 00 80 40 00"))
    assert (parsed.key, parsed.asc, parsed.ascq) == (SenseKey.NOT_READY, 0x04, 0x1B)
    assert (parsed.progress, parsed.information, parsed.deferred) == (0x4000, None, False)
    assert sense_text(parsed) == "NOT READY, LOGICAL UNIT NOT READY SANITIZE IN PROGRESS (04h/1Bh)"


def test_fixed_format_information_needs_its_valid_bit() -> None:
    raw = bytearray(fixed(SenseKey.MEDIUM_ERROR, 0x1100))
    raw[3:7] = bytes.fromhex("00 12 34 56")
    assert parsed_sense(bytes(raw)).information is None
    raw[0] |= 0x80
    assert parsed_sense(bytes(raw)).information == 0x123456


def test_descriptor_format_with_progress_and_information() -> None:
    parsed = parse_sense(
        bytes.fromhex("72 02 04 04 00 00 00 14 00 0a 80 00 00 00 00 01 00 00 00 02 02 06 00 00 80 ff ff 00")
    )
    assert parsed is not None
    assert (parsed.key, parsed.asc, parsed.ascq) == (SenseKey.NOT_READY, 0x04, 0x04)
    assert (parsed.progress, parsed.information) == (0xFFFF, 0x1_0000_0002)


def test_descriptors_need_their_valid_bits() -> None:
    information = bytes.fromhex("00 0a 00 00 00 00 00 00 00 00 00 02")
    progress = bytes.fromhex("02 06 00 00 00 40 00 00")
    parsed = parsed_sense(descriptor(SenseKey.NOT_READY, 0x041B, information, progress))
    assert (parsed.information, parsed.progress) == (None, None)


@pytest.mark.parametrize("key", [SenseKey.ILLEGAL_REQUEST, SenseKey.MEDIUM_ERROR])
def test_a_field_pointer_or_retry_count_is_no_progress(key: SenseKey) -> None:
    specific = bytes.fromhex("02 06 00 00 80 01 98 00")
    for raw in (fixed(key, 0x2400, progress=0x0198), descriptor(key, 0x2400, specific)):
        parsed = parse_sense(raw)
        assert parsed is not None
        assert parsed.progress is None


@pytest.mark.parametrize(
    "raw", [b"", b"\x70", b"\x72", bytes(18), b"\x7f" + bytes(17), b"\x00\x00\x02", b"\x6f" * 20]
)
def test_what_is_no_sense_data_is_none(raw: bytes) -> None:
    assert parse_sense(raw) is None


def test_deferred_formats() -> None:
    assert sense(SenseKey.MEDIUM_ERROR, 0x3101, response=0x71).deferred
    deferred = parsed_sense(descriptor(SenseKey.MEDIUM_ERROR, 0x3103, response=0x73))
    assert deferred.deferred
    assert sense_text(deferred).startswith("deferred error: MEDIUM ERROR")


def test_codes_cut_off_are_not_taken_for_zeros() -> None:
    full = fixed(SenseKey.NO_SENSE, 0x0000)
    whole, cut = parse_sense(full), parse_sense(full[:13])
    assert whole is not None
    assert cut is not None
    assert carries_additional_sense(whole)
    assert not carries_additional_sense(cut)
    claims_less = parsed_sense(full[:7] + b"\x05" + full[8:])
    assert not carries_additional_sense(claims_less)


def test_descriptor_walk_stops_at_a_cut_one() -> None:
    raw = descriptor(0, 0, bytes.fromhex("03 02 00 45"), bytes.fromhex("02 06 00 00"))
    assert list(descriptors(raw)) == [(3, bytes.fromhex("03 02 00 45"))]
    assert list(descriptors(fixed(0, 0))) == []


def test_names() -> None:
    assert additional_name(0x31, 0x03) == "SANITIZE COMMAND FAILED"
    assert additional_name(0x29, 0x7F) == "RESET OCCURRED"
    assert additional_name(0x90, 0x00) == ""
    assert is_reset(sense(SenseKey.UNIT_ATTENTION, 0x2904))
    assert not is_reset(sense(SenseKey.ILLEGAL_REQUEST, 0x2900))
    assert sense_text(sense(SenseKey.VENDOR_SPECIFIC, 0x9000)) == "VENDOR SPECIFIC (90h/00h)"


@pytest.mark.parametrize(
    ("key", "code", "expected"),
    [
        (SenseKey.ILLEGAL_REQUEST, 0x1A00, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2000, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2100, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2400, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2500, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2600, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2602, REFUSED),
        (SenseKey.ILLEGAL_REQUEST, 0x2C00, REFUSED),
        (SenseKey.DATA_PROTECT, 0x2700, REFUSED),
        (SenseKey.DATA_PROTECT, 0x7471, REFUSED),
        (SenseKey.RECOVERED_ERROR, 0x0000, DONE),
        (SenseKey.RECOVERED_ERROR, 0x5D00, DONE),
        (SenseKey.RECOVERED_ERROR, 0x3700, UNKNOWN),
        (SenseKey.ILLEGAL_REQUEST, 0x0000, UNKNOWN),
        (SenseKey.ILLEGAL_REQUEST, 0x5500, UNKNOWN),
        (SenseKey.NO_SENSE, 0x0000, UNKNOWN),
        (SenseKey.NOT_READY, 0x0400, UNKNOWN),
        (SenseKey.NOT_READY, 0x041B, UNKNOWN),
        (SenseKey.NOT_READY, 0x0404, UNKNOWN),
        (SenseKey.NOT_READY, 0x3A00, UNKNOWN),
        (SenseKey.MEDIUM_ERROR, 0x3103, UNKNOWN),
        (SenseKey.HARDWARE_ERROR, 0x4400, UNKNOWN),
        (SenseKey.UNIT_ATTENTION, 0x2900, UNKNOWN),
        (SenseKey.UNIT_ATTENTION, 0x2A01, UNKNOWN),
        (SenseKey.ABORTED_COMMAND, 0x0000, UNKNOWN),
        (SenseKey.COMPLETED, 0x0000, UNKNOWN),
        (SenseKey.MISCOMPARE, 0x1D00, UNKNOWN),
    ],
)
def test_check_condition_by_sense_key(key: SenseKey, code: int, expected: Disposition) -> None:
    verdict = judge(ScsiStatus.CHECK_CONDITION, sense(key, code))
    assert verdict.disposition is expected
    assert f"({code >> 8:02X}h/{code & 0xFF:02X}h)" in verdict.detail


def test_a_recovered_error_that_does_not_say_what_it_recovered_is_unknown() -> None:
    cut = parse_sense(fixed(SenseKey.RECOVERED_ERROR, 0x3700)[:8])
    assert judge(ScsiStatus.CHECK_CONDITION, cut).disposition is UNKNOWN


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ScsiStatus.GOOD, DONE),
        (ScsiStatus.CHECK_CONDITION, UNKNOWN),
        (ScsiStatus.CONDITION_MET, UNKNOWN),
        (ScsiStatus.BUSY, REFUSED),
        (ScsiStatus.RESERVATION_CONFLICT, REFUSED),
        (ScsiStatus.TASK_SET_FULL, REFUSED),
        (ScsiStatus.ACA_ACTIVE, UNKNOWN),
        (ScsiStatus.TASK_ABORTED, UNKNOWN),
        (0x22, UNKNOWN),
        (0xFF, UNKNOWN),
    ],
)
def test_status_without_sense(status: int, expected: Disposition) -> None:
    assert judge(status, None).disposition is expected


@pytest.mark.parametrize("host", [*list(HostStatus)[1:], 0x15, 0xFFFF])
def test_any_trouble_on_the_way_is_unknown(host: int) -> None:
    assert judge(ScsiStatus.GOOD, None, host_status=host).disposition is UNKNOWN
    refusing = sense(SenseKey.ILLEGAL_REQUEST, Additional.INVALID_COMMAND_OPERATION_CODE)
    assert judge(ScsiStatus.CHECK_CONDITION, refusing, host_status=host).disposition is UNKNOWN


@pytest.mark.parametrize(
    ("driver", "expected"), [(0x00, DONE), (0x08, DONE), (0x06, UNKNOWN), (0x18, UNKNOWN)]
)
def test_driver_status(driver: int, expected: Disposition) -> None:
    assert judge(ScsiStatus.GOOD, None, driver_status=driver).disposition is expected


@pytest.mark.parametrize("status", [ScsiStatus.GOOD, ScsiStatus.CHECK_CONDITION, ScsiStatus.BUSY])
def test_a_deferred_error_hides_what_became_of_this_command(status: ScsiStatus) -> None:
    deferred = sense(SenseKey.RECOVERED_ERROR, 0x0000, response=0x71)
    assert judge(status, deferred).disposition is UNKNOWN


def test_good_status_with_an_error_in_the_sense_data_is_unknown() -> None:
    assert judge(ScsiStatus.GOOD, sense(SenseKey.MEDIUM_ERROR, 0x3103)).disposition is UNKNOWN
    assert judge(ScsiStatus.GOOD, sense(SenseKey.RECOVERED_ERROR, 0x5D00)).disposition is DONE


def test_sanitize_in_progress() -> None:
    for raw in (
        fixed(SenseKey.NOT_READY, 0x041B, progress=0x8000),
        descriptor(SenseKey.NOT_READY, 0x041B, bytes.fromhex("02 06 00 00 80 80 00 00")),
        descriptor(SenseKey.NO_SENSE, 0x041B, bytes.fromhex("02 06 00 00 80 80 00 00")),
        # Another progress indication descriptor, which names its operation itself.
        descriptor(SenseKey.NO_SENSE, 0x0000, bytes.fromhex("0a 06 02 04 1b 00 80 00")),
    ):
        poll = decode_request_sense(raw, LongOperation.SANITIZE)
        assert (poll.state, poll.progress) == (RUNNING, 0x8000)


def test_running_without_a_progress_value_is_still_running() -> None:
    poll = decode_request_sense(fixed(SenseKey.NOT_READY, 0x041B), LongOperation.SANITIZE)
    assert (poll.state, poll.progress) == (RUNNING, None)


def test_another_operation_in_progress_says_nothing_of_ours() -> None:
    formatting = fixed(SenseKey.NOT_READY, 0x0404, progress=0x8000)
    assert polled(formatting) is OperationState.UNKNOWN
    assert polled(formatting, LongOperation.FORMAT) is RUNNING
    beside = descriptor(SenseKey.NOT_READY, 0x0400, bytes.fromhex("0a 06 02 04 04 00 80 00"))
    assert polled(beside) is OperationState.UNKNOWN
    assert polled(beside, LongOperation.FORMAT) is RUNNING


@pytest.mark.parametrize("code", [0x3100, 0x3101, 0x3103])
@pytest.mark.parametrize("response", [0x70, 0x71])
def test_a_failed_operation_even_as_a_deferred_error(code: int, response: int) -> None:
    raw = fixed(SenseKey.MEDIUM_ERROR, code, response=response)
    assert polled(raw) is FAILED
    assert polled(raw, LongOperation.FORMAT) is FAILED


@pytest.mark.parametrize("code", [0x0000, 0x5E00, 0x5E01])
def test_idle(code: int) -> None:
    poll = decode_request_sense(fixed(SenseKey.NO_SENSE, code), LongOperation.SANITIZE)
    assert (poll.state, poll.progress) == (IDLE, None)


@pytest.mark.parametrize(
    "raw",
    [
        fixed(SenseKey.NO_SENSE, 0x0000)[:13],
        fixed(SenseKey.NO_SENSE, 0x0000)[:17],
        descriptor(SenseKey.NO_SENSE, 0x0000, bytes.fromhex("0a 06 02 04 1b 00 80 00"))[:-1],
        fixed(SenseKey.NO_SENSE, 0x0000, progress=0x1000),
        fixed(SenseKey.NO_SENSE, 0x0000, response=0x71),
        fixed(SenseKey.NO_SENSE, 0x001D),
        fixed(SenseKey.NO_SENSE, 0x5D00),
        fixed(SenseKey.RECOVERED_ERROR, 0x0000),
        fixed(SenseKey.NOT_READY, 0x0000),
        fixed(SenseKey.NOT_READY, 0x0400),
        fixed(SenseKey.UNIT_ATTENTION, 0x2900),
        fixed(SenseKey.HARDWARE_ERROR, 0x4400),
        fixed(SenseKey.MEDIUM_ERROR, 0x1115),
    ],
)
def test_no_progress_is_not_success_and_this_is_not_even_idle(raw: bytes) -> None:
    assert polled(raw) is OperationState.UNKNOWN


@pytest.mark.parametrize("data", [b"", bytes(18), bytes(252)])
def test_a_bridge_that_answers_nothing_or_zeros_is_not_idle(data: bytes) -> None:
    with pytest.raises(ScsiDecodeError):
        decode_request_sense(data, LongOperation.SANITIZE)
    done = Completion(DONE, "GOOD", data=data, scsi_status=0)
    assert read_request_sense(done, LongOperation.SANITIZE).state is OperationState.UNKNOWN


def test_request_sense_that_went_wrong_is_never_idle() -> None:
    idle = fixed(SenseKey.NO_SENSE, 0x0000)
    for completion in (
        Completion(UNKNOWN, "time-out", data=idle),
        Completion(UNKNOWN, "check", scsi_status=2, sense=parse_sense(idle)),
        Completion(REFUSED, "busy", scsi_status=8),
    ):
        assert read_request_sense(completion, LongOperation.SANITIZE).state is OperationState.UNKNOWN
        assert read_test_unit_ready(completion, LongOperation.SANITIZE).state is OperationState.UNKNOWN


def test_request_sense_answers() -> None:
    done = Completion(DONE, "GOOD", data=fixed(SenseKey.NO_SENSE, 0x0000), scsi_status=0)
    assert read_request_sense(done, LongOperation.SANITIZE).state is IDLE
    failing = Completion(UNKNOWN, "check", scsi_status=2, sense=sense(SenseKey.MEDIUM_ERROR, 0x3103))
    assert read_request_sense(failing, LongOperation.SANITIZE).state is FAILED


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (Completion(DONE, "GOOD", scsi_status=0), IDLE),
        (Completion(DONE, "recovered", scsi_status=2, sense=sense(SenseKey.RECOVERED_ERROR, 0x5D00)), IDLE),
        (Completion(UNKNOWN, "check", scsi_status=2, sense=sense(SenseKey.NOT_READY, 0x041B)), RUNNING),
        (Completion(UNKNOWN, "check", scsi_status=2, sense=sense(SenseKey.MEDIUM_ERROR, 0x3103)), FAILED),
        (
            Completion(UNKNOWN, "check", scsi_status=2, sense=sense(SenseKey.UNIT_ATTENTION, 0x2900)),
            OperationState.UNKNOWN,
        ),
        (Completion(UNKNOWN, "time-out"), OperationState.UNKNOWN),
    ],
)
def test_test_unit_ready_answers(completion: Completion, expected: OperationState) -> None:
    assert read_test_unit_ready(completion, LongOperation.SANITIZE).state is expected


def test_poll_commands() -> None:
    assert request_sense().cdb == bytes.fromhex("03 00 00 00 fc 00")
    assert request_sense(descriptor_format=True).cdb == bytes.fromhex("03 01 00 00 fc 00")
    assert request_sense().data_in_bytes == 252
    assert unit_ready_test().cdb == bytes(6)
    assert unit_ready_test().data_in_bytes == 0
