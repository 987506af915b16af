"""ATA codecs: what goes in comes out, and no bytes from a drive raise anything but our own error."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.drive.ata import dco, hidden, identify, logs, sanitize, security, smart, words
from rasura_agent.drive.ata.errors import AtaDecodeError
from rasura_agent.drive.ata.passthrough import (
    ABORT_MEANS_REFUSED,
    ata_pass_through_12,
    ata_pass_through_16,
    completion_from_ata,
    detail_from_ata,
    result_from_sense,
)
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult, Disposition

# The machine that runs this may be busy; a slow example is no failure.
patient = settings(deadline=None)

BYTE = st.integers(0, 0xFF)
WORD = st.integers(0, 0xFFFF)
STATUS = st.sampled_from([0x50, 0x40, 0x51, 0x41]) | BYTE
ERROR = st.sampled_from([0x00, 0x04]) | BYTE
COUNT = st.integers(0, 7).map(lambda bits: bits << 13) | WORD
DECODERS: dict[str, Callable[[bytes], object]] = {
    "identify": identify.decode_identify,
    "dco": dco.decode_dco_identify,
    "password block": security.decode_password_block,
    "smart data": smart.decode_smart_data,
    "log directory": logs.decode_log_directory,
    "supported pages": lambda data: logs.decode_supported_pages(data, logs.LogAddress.DEVICE_STATISTICS),
    "supported capabilities": logs.decode_supported_capabilities,
    "security capabilities": logs.decode_security_capabilities,
    "general statistics": logs.decode_general_statistics,
}


@st.composite
def _commands(draw: st.DrawFn, *, ext: bool | None = None) -> AtaCommand:
    wide = draw(st.booleans()) if ext is None else ext
    protocol = draw(st.sampled_from(AtaProtocol))
    count = draw(st.integers(1, 4) if protocol is not AtaProtocol.NON_DATA else WORD if wide else BYTE)
    length = count * 512
    return AtaCommand(
        name="any",
        command=draw(BYTE),
        protocol=protocol,
        feature=draw(WORD if wide else BYTE),
        count=count,
        lba=draw(st.integers(0, (1 << (48 if wide else 28)) - 1)),
        device=draw(st.sampled_from([0x00, 0x40, 0xA0, 0xE0])),
        ext=wide,
        data_out=bytes(length) if protocol is AtaProtocol.PIO_OUT else b"",
        data_in_bytes=length if protocol is AtaProtocol.PIO_IN else 0,
    )


@patient
@given(_commands())
def test_sixteen_bytes_hold_the_whole_command(command: AtaCommand) -> None:
    cdb = ata_pass_through_16(command).cdb
    assert len(cdb) == 16
    assert (cdb[0], cdb[1], cdb[14], cdb[15]) == (
        0x85,
        command.protocol << 1 | command.ext,
        command.command,
        0,
    )
    low = cdb[8] | cdb[10] << 8 | cdb[12] << 16
    if command.ext:
        assert (cdb[3] << 8 | cdb[4], cdb[5] << 8 | cdb[6]) == (command.feature, command.count)
        assert (cdb[7] << 24 | cdb[9] << 32 | cdb[11] << 40 | low, cdb[13]) == (command.lba, command.device)
    else:
        assert (cdb[3], cdb[5], cdb[7], cdb[9], cdb[11]) == (0, 0, 0, 0, 0)
        assert (cdb[4], cdb[6]) == (command.feature, command.count)
        assert ((cdb[13] & 0xF) << 24 | low, cdb[13] & 0xF0) == (command.lba, command.device)
    assert (
        cdb[2]
        == {AtaProtocol.NON_DATA: 0x20, AtaProtocol.PIO_IN: 0x0E, AtaProtocol.PIO_OUT: 0x26}[command.protocol]
    )


@patient
@given(_commands(ext=False))
def test_twelve_bytes_say_the_same_as_sixteen(command: AtaCommand) -> None:
    short, long = ata_pass_through_12(command).cdb, ata_pass_through_16(command).cdb
    assert len(short) == 12
    assert short[:10] == bytes([0xA1, *(long[n] for n in (1, 2, 4, 6, 8, 10, 12, 13, 14))])


@patient
@given(_commands(), STATUS, ERROR, COUNT, st.integers(0, (1 << 48) - 1), BYTE, st.binary(max_size=20))
def test_registers_survive_the_descriptor(
    command: AtaCommand, status: int, error: int, count: int, lba: int, device: int, tail: bytes
) -> None:
    at = [lba >> shift & 0xFF for shift in (24, 0, 32, 8, 40, 16)]
    key = 0xB if status & 0x01 else 0x1
    sense = bytes([0x72, key, 0, 0x1D, 0, 0, 0, 14 + len(tail)])
    sense += bytes([0x09, 0x0C, 1, error, count >> 8, count & 0xFF, *at, device, status]) + tail
    if not command.ext:
        count, lba = count & 0xFF, lba & 0xFFFFFF | (device & 0xF) << 24
    assert result_from_sense(command, sense) == AtaResult(status, error, count, lba, device)


@patient
@given(_commands(), st.binary(max_size=80))
def test_any_sense_data_is_read_or_unknown(command: AtaCommand, sense: bytes) -> None:
    result = result_from_sense(command, sense)
    assert result is None or isinstance(result, AtaResult)


@patient
@given(_commands(), st.sampled_from([0x70, 0xF0, 0x72]), st.binary(min_size=17, max_size=60), st.data())
def test_registers_under_an_error_are_never_a_success(
    command: AtaCommand, code: int, body: bytes, data: st.DataObject
) -> None:
    """Whatever else the sense data holds, a sense key that reports an error forbids DONE."""
    sense = bytearray([code, *body])
    sense[1 if code == 0x72 else 2] = data.draw(st.integers(2, 15))
    if code == 0x72 and data.draw(st.booleans()):
        sense[7:10] = bytes([len(sense), 0x09, 0x0C])
    result = result_from_sense(command, bytes(sense))
    assert completion_from_ata(result, command, 0x02) is not Disposition.DONE


@patient
@given(_commands(), STATUS, ERROR, COUNT, st.integers(0, (1 << 48) - 1), BYTE)
def test_done_and_refused_are_narrow(
    command: AtaCommand, status: int, error: int, count: int, lba: int, device: int
) -> None:
    result = AtaResult(status, error, count, lba, device)
    disposition = completion_from_ata(result, command, 0x00)
    assert detail_from_ata(result, command, 0x00)
    if disposition is Disposition.DONE:
        assert status & 0xE9 == 0x40
    if disposition is Disposition.REFUSED:
        assert (status & 0xE9, error) == (0x41, 0x04)
        assert command.command in ABORT_MEANS_REFUSED


@pytest.mark.parametrize("name", DECODERS)
@patient
@given(data=st.binary(max_size=520) | st.binary(min_size=512, max_size=512))
def test_any_bytes_decode_or_raise_our_error(name: str, data: bytes) -> None:
    try:
        DECODERS[name](data)
    except AtaDecodeError:
        return
    assert len(data) == 512


@pytest.mark.parametrize("name", DECODERS)
@patient
@given(head=st.binary(min_size=1, max_size=24), at=st.integers(0, 511))
def test_bytes_that_pass_the_first_checks_decode_or_raise_our_error(name: str, head: bytes, at: int) -> None:
    data = bytearray(512)
    data[0], data[7] = 1, 0x80
    data[at : at + len(head)] = head[: 512 - at]
    sealed = words.seal(bytes(data))
    try:
        DECODERS[name](sealed)
    except AtaDecodeError:
        return


@patient
@given(STATUS, ERROR, COUNT, st.integers(0, (1 << 48) - 1), st.booleans())
def test_any_registers_decode_or_raise_our_error(
    status: int, error: int, count: int, lba: int, ext: bool
) -> None:
    result = AtaResult(status, error, count, lba, 0x40)
    read = hidden.read_native_max_address_ext() if ext else hidden.read_native_max_address()
    decoders: tuple[Callable[[AtaResult], object], ...] = (
        sanitize.decode_sanitize_status,
        smart.decode_return_status,
        lambda registers: hidden.decode_max_lba(read, registers),
    )
    for decode in decoders:
        try:
            decode(result)
        except AtaDecodeError:
            continue
        assert status & 0xA8 == 0, "a drive that is busy, broken or mid-transfer has said nothing"


@patient
@given(STATUS, ERROR, COUNT, st.integers(0, (1 << 48) - 1))
def test_a_sanitize_has_succeeded_only_by_its_one_answer(
    status: int, error: int, count: int, lba: int
) -> None:
    try:
        decoded = sanitize.decode_sanitize_status(AtaResult(status, error, count, lba, 0x40))
    except AtaDecodeError:
        return
    succeeded = status & 0xE9 == 0x40 and count >> 13 == 0b100
    assert (decoded.state is sanitize.SanitizeState.SD4) is succeeded
    assert decoded.progress is None or 0 <= decoded.progress < sanitize.PROGRESS_DENOMINATOR


@patient
@given(
    st.integers(0, 0xFFFFFFFF),
    st.integers(1, 16),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_an_overwrite_says_what_it_was_asked(pattern: int, passes: int, flags: tuple[bool, ...]) -> None:
    invert, definitive, failure_mode, no_reset = flags
    command = sanitize.sanitize_overwrite(
        pattern=pattern,
        passes=passes,
        invert=invert,
        definitive_ending_pattern=definitive,
        failure_mode=failure_mode,
        zoned_no_reset=no_reset,
    )
    assert command.lba == 0x4F57 << 32 | pattern
    assert (command.count & 0xF or 16) == passes
    bits = [bool(command.count >> number & 1) for number in (7, 6, 4, 15)]
    assert bits == [invert, definitive, failure_mode, no_reset]
    assert command.count & 0x7F20 == 0


@patient
@given(
    st.binary(max_size=32),
    st.sampled_from(security.PasswordIdentifier),
    st.booleans(),
    st.sampled_from(security.SecurityLevel),
    WORD,
)
def test_a_password_block_survives(
    password: bytes,
    identifier: security.PasswordIdentifier,
    enhanced: bool,
    level: security.SecurityLevel,
    master: int,
) -> None:
    block = security.PasswordBlock(password.ljust(32, b"\0"), identifier, enhanced, level, master)
    assert security.decode_password_block(block.encode()) == block
    assert security.PasswordBlock(password, identifier, enhanced, level, master).encode() == block.encode()


@patient
@given(st.one_of(st.none(), st.integers(0, 65532 * 60)), st.booleans(), st.integers(0, 1 << 48))
def test_a_timeout_never_falls_short(estimate_s: int | None, saturated: bool, capacity_bytes: int) -> None:
    timeout = security.erase_timeout_s(estimate_s, saturated, capacity_bytes)
    assert timeout >= 1800 + capacity_bytes / (30 * 2**20)
    assert estimate_s is None or timeout >= estimate_s + (5400 if saturated else 3600)


@patient
@given(WORD)
def test_an_estimate_is_a_multiple_of_two_minutes(word: int) -> None:
    estimate = security.decode_erase_estimate(word)
    if estimate is None:
        assert word & (0x7FFF if word & 0x8000 else 0xFF) == 0
    else:
        assert estimate.seconds % 120 == 0
        assert 0 < estimate.seconds <= 65532 * 60


@patient
@given(st.integers(0, (1 << 64) - 1), st.data())
def test_an_overlay_survives(max_lba: int, data: st.DataObject) -> None:
    page = words.seal(b"\x02\x00" + bytes(4) + max_lba.to_bytes(8, "little") + bytes(496))
    factory = dco.decode_dco_identify(page)
    assert (factory.max_lba, factory.checksum_valid) == (max_lba, True)
    target = data.draw(st.integers(0, max_lba))
    block = dco.dco_set(dco.with_max_lba(factory, target)).data_out
    assert dco.decode_dco_identify(block).max_lba == target
    assert block[14:510] == page[14:510]


@patient
@given(st.integers(0, (1 << 48) - 1), st.booleans())
def test_a_max_address_survives(lba: int, permanent: bool) -> None:
    for command in (hidden.set_max_address_ext(lba, permanent=permanent), hidden.ama_set(lba)):
        answer = AtaResult(0x50, 0, 0, command.lba, 0x40)
        assert hidden.decode_max_lba(hidden.read_native_max_address_ext(), answer) == lba


@patient
@given(st.lists(st.sampled_from("ABCxyz019 -_/."), max_size=40))
def test_a_string_survives(characters: list[str]) -> None:
    value = "".join(characters)
    raw = value.ljust(40).encode()
    swapped = tuple(raw[n] << 8 | raw[n + 1] for n in range(0, 40, 2))
    assert words.ascii_field(swapped, 0, 20) == (value.strip() or None)


@patient
@given(st.binary(min_size=510, max_size=510), st.integers(0, 511), st.integers(1, 255))
def test_one_wrong_byte_breaks_the_seal(body: bytes, at: int, change: int) -> None:
    sealed = bytearray(words.seal(body))
    assert words.integrity(bytes(sealed)) is True
    sealed[at] ^= change
    assert words.integrity(bytes(sealed)) is not True
