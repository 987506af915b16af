"""SCSI codecs against any bytes: they decode or raise our own error, and never turn doubt into success."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rasura_agent.drive.port import Completion, Disposition, SenseData
from rasura_agent.drive.scsi.capacity import decode_read_capacity_10, decode_read_capacity_16
from rasura_agent.drive.scsi.disposition import HostStatus, ScsiStatus, judge
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.inquiry import decode_inquiry
from rasura_agent.drive.scsi.mode import (
    decode_mode_sense_6,
    decode_mode_sense_10,
    mode_select_6,
    mode_select_10,
)
from rasura_agent.drive.scsi.opcodes import Support, decode_command_support
from rasura_agent.drive.scsi.poll import (
    LongOperation,
    OperationState,
    decode_request_sense,
    read_request_sense,
    read_test_unit_ready,
)
from rasura_agent.drive.scsi.sanitize import sanitize_overwrite
from rasura_agent.drive.scsi.sense import SenseKey, descriptors, parse_sense, sense_text
from rasura_agent.drive.scsi.vpd import (
    decode_ata_information,
    decode_designators,
    decode_serial,
    decode_supported_pages,
    logical_unit_name,
)
from rasura_agent.drive.scsi.vpd_block import (
    decode_block_characteristics,
    decode_block_limits,
    decode_provisioning,
)
from rasura_agent.drive.scsi.write_same import write_same_16

VPD_DECODERS: list[tuple[int, Callable[[bytes], object]]] = [
    (0x00, decode_supported_pages),
    (0x80, decode_serial),
    (0x83, decode_designators),
    (0x83, lambda data: logical_unit_name(decode_designators(data))),
    (0x89, decode_ata_information),
    (0xB0, decode_block_limits),
    (0xB1, decode_block_characteristics),
    (0xB2, decode_provisioning),
]
OTHER_DECODERS: list[Callable[[bytes], object]] = [
    decode_inquiry,
    decode_read_capacity_10,
    decode_read_capacity_16,
    decode_mode_sense_6,
    decode_mode_sense_10,
    lambda data: decode_command_support(data, 0x48),
    lambda data: decode_request_sense(data, LongOperation.SANITIZE),
]

BYTES = st.integers(0, 255)
KEYS = st.sampled_from(SenseKey)


def fixed(key: int, asc: int, ascq: int, *, deferred: bool, tail: bytes) -> bytes:
    head = bytes([0x71 if deferred else 0x70, 0, key, 0, 0, 0, 0, 6 + len(tail), 0, 0, 0, 0, asc, ascq])
    return head + tail


SENSE = st.one_of(
    st.binary(max_size=64),
    st.builds(fixed, KEYS, BYTES, BYTES, deferred=st.booleans(), tail=st.binary(max_size=8)),
    st.builds(
        lambda code, key, asc, ascq, body: bytes([code, key, asc, ascq, 0, 0, 0, len(body)]) + body,
        st.sampled_from([0x72, 0x73]),
        KEYS,
        BYTES,
        BYTES,
        st.binary(max_size=48),
    ),
)


@pytest.mark.parametrize("decode", OTHER_DECODERS)
@given(data=st.binary(max_size=80))
def test_any_bytes_decode_or_raise_our_error(decode: Callable[[bytes], object], data: bytes) -> None:
    try:
        decode(data)
    except ScsiDecodeError:
        return


@pytest.mark.parametrize(("code", "decode"), VPD_DECODERS)
@given(body=st.binary(max_size=700), claimed=st.integers(0, 0xFFFF) | st.none(), cut=st.integers(0, 800))
def test_any_page_decodes_or_raises_our_error(
    code: int, decode: Callable[[bytes], object], body: bytes, claimed: int | None, cut: int
) -> None:
    length = len(body) if claimed is None else claimed
    data = (bytes([0, code]) + length.to_bytes(2, "big") + body)[:cut]
    try:
        decode(data)
    except ScsiDecodeError:
        return


@given(raw=SENSE)
def test_any_sense_data_is_read_or_none(raw: bytes) -> None:
    parsed = parse_sense(raw)
    assert sum(len(one) for _, one in descriptors(raw)) <= len(raw)
    if parsed is not None:
        assert parsed.raw == raw
        assert sense_text(parsed)
        assert parsed.progress is None or parsed.key in (SenseKey.NO_SENSE, SenseKey.NOT_READY)


@given(
    key=KEYS,
    asc=BYTES,
    ascq=BYTES,
    deferred=st.booleans(),
    progress=st.integers(0, 0xFFFF) | st.none(),
    information=st.integers(0, 0xFFFF_FFFF) | st.none(),
    descriptor_format=st.booleans(),
)
def test_sense_round_trip(
    key: SenseKey,
    asc: int,
    ascq: int,
    deferred: bool,
    progress: int | None,
    information: int | None,
    descriptor_format: bool,
) -> None:
    if descriptor_format:
        body = b""
        if information is not None:
            body += b"\x00\x0a\x80\x00" + information.to_bytes(8, "big")
        if progress is not None:
            body += b"\x02\x06\x00\x00\x80" + progress.to_bytes(2, "big") + b"\x00"
        raw = bytes([0x73 if deferred else 0x72, key, asc, ascq, 0, 0, 0, len(body)]) + body
    else:
        specific = bytes(3) if progress is None else b"\x80" + progress.to_bytes(2, "big")
        edited = bytearray(fixed(key, asc, ascq, deferred=deferred, tail=b"\x00" + specific))
        if information is not None:
            edited[0] |= 0x80
            edited[3:7] = information.to_bytes(4, "big")
        raw = bytes(edited)
    shown = progress if key in (SenseKey.NO_SENSE, SenseKey.NOT_READY) else None
    assert parse_sense(raw) == SenseData(raw[0] & 0x7F, key, asc, ascq, deferred, shown, information, raw)


@given(status=BYTES, raw=SENSE, host=st.sampled_from(HostStatus), driver=st.sampled_from([0, 8, 6]))
def test_done_needs_a_clean_path_and_a_drive_that_says_so(
    status: int, raw: bytes, host: HostStatus, driver: int
) -> None:
    sense = parse_sense(raw)
    if judge(status, sense, host_status=host, driver_status=driver).disposition is Disposition.DONE:
        assert host is HostStatus.DID_OK
        assert driver in (0, 8)
        assert status in (ScsiStatus.GOOD, ScsiStatus.CHECK_CONDITION)
        assert sense is None or sense.key in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR)
        assert sense is None or not sense.deferred
        assert status == ScsiStatus.GOOD or sense is not None


@given(raw=SENSE, cut=st.integers(0, 64))
@example(raw=fixed(SenseKey.RECOVERED_ERROR, 0x37, 0x00, deferred=False, tail=b""), cut=8)
@example(raw=fixed(SenseKey.NO_SENSE, 0x04, 0x1B, deferred=False, tail=b""), cut=12)
@example(raw=bytes.fromhex("72 00 00 00 00 00 00 08 0a 06 02 04 1b 00 80 00"), cut=8)
def test_losing_part_of_the_sense_data_never_makes_an_outcome_better(raw: bytes, cut: int) -> None:
    whole, part = parse_sense(raw), parse_sense(raw[:cut])
    before = judge(ScsiStatus.CHECK_CONDITION, whole).disposition
    after = judge(ScsiStatus.CHECK_CONDITION, part).disposition
    assert after in (before, Disposition.UNKNOWN)
    cut_off = Completion(Disposition.DONE, "GOOD", data=raw[:cut], scsi_status=0)
    if part is not None and read_request_sense(cut_off, LongOperation.SANITIZE).state is OperationState.IDLE:
        assert len(raw[:cut]) >= 8 + raw[7]


@given(raw=SENSE, operation=st.sampled_from(LongOperation))
def test_a_poll_is_idle_only_on_a_quiet_drive(raw: bytes, operation: LongOperation) -> None:
    done = Completion(Disposition.DONE, "GOOD", data=raw, scsi_status=0)
    poll = read_request_sense(done, operation)
    if poll.state is OperationState.IDLE:
        assert poll.sense is not None
        assert (poll.sense.key, poll.sense.deferred, poll.sense.progress) == (SenseKey.NO_SENSE, False, None)
    failed = Completion(Disposition.UNKNOWN, "check", data=raw, scsi_status=2, sense=parse_sense(raw))
    for read in (read_request_sense, read_test_unit_ready):
        assert read(failed, operation).state is not OperationState.IDLE


@given(
    pattern=st.binary(min_size=1, max_size=4096),
    count=st.integers(1, 31),
    invert=st.booleans(),
    test=st.integers(0, 3),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_sanitize_overwrite_says_exactly_what_was_asked(
    pattern: bytes, count: int, invert: bool, test: int, flags: tuple[bool, bool, bool]
) -> None:
    immediate, zoned, exit_allowed = flags
    command = sanitize_overwrite(
        pattern,
        count=count,
        invert=invert,
        test=test,
        allow_unrestricted_exit=exit_allowed,
        zoned_no_reset=zoned,
        immediate=immediate,
    )
    cdb, parameters = command.cdb, command.data_out
    assert (cdb[0], cdb[1] & 0x1F, len(cdb)) == (0x48, 0x01, 10)
    assert (bool(cdb[1] & 0x80), bool(cdb[1] & 0x40), bool(cdb[1] & 0x20)) == flags
    assert int.from_bytes(cdb[7:9], "big") == len(parameters) == 4 + len(pattern)
    assert (parameters[0] >> 7, parameters[0] >> 5 & 3, parameters[0] & 0x1F) == (invert, test, count)
    assert int.from_bytes(parameters[2:4], "big") == len(pattern)
    assert parameters[4:] == pattern


@given(block_bytes=st.integers(1, (1 << 24) - 1), blocks=st.integers(0, (1 << 32) - 1) | st.none())
def test_what_mode_select_sets_mode_sense_reads(block_bytes: int, blocks: int | None) -> None:
    for long_lba in (False, True):
        sent = mode_select_10(block_bytes, blocks=blocks, long_lba=long_lba).data_out
        answer = (len(sent) - 2).to_bytes(2, "big") + sent[2:]
        descriptor = decode_mode_sense_10(answer).block_descriptor
        assert descriptor is not None
        ones = (1 << (64 if long_lba else 32)) - 1
        assert (descriptor.blocks, descriptor.block_bytes) == (
            ones if blocks is None else blocks,
            block_bytes,
        )
        assert descriptor.long_lba is long_lba
    sent = mode_select_6(block_bytes, blocks=blocks).data_out
    descriptor = decode_mode_sense_6(bytes([len(sent) - 1]) + sent[1:]).block_descriptor
    assert descriptor is not None
    assert (descriptor.blocks, descriptor.block_bytes) == (
        0xFFFF_FFFF if blocks is None else blocks,
        block_bytes,
    )


@given(
    last=st.integers(0, (1 << 64) - 2), block_bytes=st.integers(1, (1 << 32) - 1), tail=st.binary(max_size=20)
)
def test_capacity_round_trip(last: int, block_bytes: int, tail: bytes) -> None:
    decoded = decode_read_capacity_16(last.to_bytes(8, "big") + block_bytes.to_bytes(4, "big") + tail)
    assert (decoded.blocks, decoded.block_bytes) == (last + 1, block_bytes)
    if last < 0xFFFF_FFFF:
        short = decode_read_capacity_10(last.to_bytes(4, "big") + block_bytes.to_bytes(4, "big"))
        assert short.total_bytes == decoded.total_bytes


@given(
    lba=st.integers(0, (1 << 64) - 1),
    blocks=st.integers(1, (1 << 32) - 1),
    block=st.binary(min_size=1) | st.none(),
)
def test_write_same_16_never_unmaps(lba: int, blocks: int, block: bytes | None) -> None:
    command = write_same_16(lba, blocks, block, timeout_s=1)
    assert command.cdb[1] == (1 if block is None else 0)
    assert int.from_bytes(command.cdb[2:10], "big") == lba
    assert int.from_bytes(command.cdb[10:14], "big") == blocks
    assert command.data_out == (block or b"")


@given(data=st.binary(max_size=64))
def test_support_is_never_read_out_of_an_answer_about_another_command(data: bytes) -> None:
    try:
        decoded = decode_command_support(data, 0x48)
    except ScsiDecodeError:
        return
    if decoded.support in (Support.STANDARD, Support.VENDOR_SPECIFIC):
        assert decoded.usage[0] == 0x48
    else:
        assert decoded.usage == b""
