"""ATA PASS-THROUGH: the CDBs, the registers in sense data, and the judgement of how a command ended."""

import pytest

from rasura_agent.drive.ata.errors import AtaEncodeError
from rasura_agent.drive.ata.hidden import read_native_max_address_ext, set_max_address
from rasura_agent.drive.ata.identify import identify_device
from rasura_agent.drive.ata.logs import read_log_ext
from rasura_agent.drive.ata.passthrough import (
    asks_for_registers,
    ata_pass_through_12,
    ata_pass_through_16,
    completion_from_ata,
    detail_from_ata,
    result_from_sense,
)
from rasura_agent.drive.ata.sanitize import sanitize_block_erase, sanitize_crypto_scramble, sanitize_status
from rasura_agent.drive.ata.security import (
    security_erase_prepare,
    security_erase_unit,
    security_set_password,
)
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult, Disposition

DONE, REFUSED, UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN
ERASE = security_erase_unit(b"", enhanced=False, timeout_s=60.0)


@pytest.mark.parametrize(
    ("command", "cdb"),
    [
        (identify_device(), "85 08 0e 00 00 00 01 00 00 00 00 00 00 00 ec 00"),
        (security_erase_prepare(), "85 06 20 00 00 00 00 00 00 00 00 00 00 00 f3 00"),
        (security_set_password(b""), "85 0a 26 00 00 00 01 00 00 00 00 00 00 00 f1 00"),
        # As hdparm --sanitize-crypto-scramble and -N send them.
        (
            sanitize_crypto_scramble(failure_mode=False),
            "85 07 20 00 11 00 00 43 70 00 79 00 72 40 b4 00",
        ),
        (read_native_max_address_ext(), "85 07 20 00 00 00 00 00 00 00 00 00 00 40 27 00"),
        (set_max_address(0x0ABCDEF1, permanent=True), "85 06 20 00 00 00 01 00 f1 00 de 00 bc 4a f9 00"),
        (read_log_ext(0x30, 0x1206, 0x0102), "85 09 0e 00 00 01 02 00 30 12 06 00 00 40 2f 00"),
    ],
)
def test_sixteen_byte_cdb(command: AtaCommand, cdb: str) -> None:
    wrapped = ata_pass_through_16(command)
    assert wrapped.cdb == bytes.fromhex(cdb)
    assert (wrapped.data_out, wrapped.data_in_bytes) == (command.data_out, command.data_in_bytes)
    assert (wrapped.name, wrapped.timeout_s) == (command.name, command.timeout_s)


@pytest.mark.parametrize(
    ("command", "cdb"),
    [
        (identify_device(), "a1 08 0e 00 01 00 00 00 00 ec 00 00"),
        (set_max_address(0x0ABCDEF1, permanent=True), "a1 06 20 00 01 f1 de bc 4a f9 00 00"),
    ],
)
def test_twelve_byte_cdb(command: AtaCommand, cdb: str) -> None:
    assert ata_pass_through_12(command).cdb == bytes.fromhex(cdb)


def test_twelve_bytes_carry_no_48_bit_command() -> None:
    with pytest.raises(AtaEncodeError):
        ata_pass_through_12(sanitize_status())


@pytest.mark.parametrize(
    "command",
    [
        AtaCommand("x", 0x100),
        AtaCommand("x", 0, device=0x100),
        AtaCommand("x", 0, feature=0x100),
        AtaCommand("x", 0, count=0x100),
        AtaCommand("x", 0, lba=1 << 28),
        AtaCommand("x", 0, lba=1 << 48, ext=True),
        AtaCommand("x", 0, feature=0x10000, ext=True),
        AtaCommand("x", 0, lba=-1),
        AtaCommand("x", 0, data_out=bytes(512)),
        AtaCommand("x", 0, data_in_bytes=512),
        AtaCommand("x", 0, AtaProtocol.PIO_IN),
        AtaCommand("x", 0, AtaProtocol.PIO_IN, count=1, data_in_bytes=1024),
        AtaCommand("x", 0, AtaProtocol.PIO_IN, count=1, data_in_bytes=512, data_out=b"x"),
        AtaCommand("x", 0, AtaProtocol.PIO_OUT),
        AtaCommand("x", 0, AtaProtocol.PIO_OUT, count=1, data_out=bytes(100)),
    ],
)
def test_a_command_that_does_not_fit_is_refused(command: AtaCommand) -> None:
    with pytest.raises(AtaEncodeError):
        ata_pass_through_16(command)


def test_registers_are_asked_for_except_with_data_in() -> None:
    assert asks_for_registers(sanitize_status())
    assert asks_for_registers(ERASE)
    assert not asks_for_registers(identify_device())


def descriptor(
    *,
    key: int = 0x1,
    code: int = 0x72,
    extend: int = 1,
    status: int = 0x50,
    error: int = 0,
    before: bytes = b"",
) -> bytes:
    """Descriptor-format sense data whose count is 8123h and whose LBA is A1A2A3B1B2B3h."""
    body = before + bytes(
        [0x09, 0x0C, extend, error, 0x81, 0x23, 0xA3, 0xB3, 0xA2, 0xB2, 0xA1, 0xB1, 0x4C, status]
    )
    return bytes([code, key, 0x00, 0x1D, 0, 0, 0, len(body)]) + body


def test_descriptor_of_a_48_bit_command() -> None:
    assert result_from_sense(sanitize_status(), descriptor()) == AtaResult(
        status=0x50, error=0, count=0x8123, lba=0xA1A2A3B1B2B3, device=0x4C
    )


def test_descriptor_of_a_28_bit_command_takes_four_bits_from_device() -> None:
    for extend in (0, 1):
        assert result_from_sense(security_erase_prepare(), descriptor(extend=extend)) == AtaResult(
            status=0x50, error=0, count=0x23, lba=0xCB1B2B3, device=0x4C
        )


def test_descriptor_behind_another_one() -> None:
    information = bytes([0x00, 0x0A]) + bytes(10)
    assert result_from_sense(sanitize_status(), descriptor(before=information)) is not None


def test_half_an_answer_is_none_for_a_success_and_enough_for_an_error() -> None:
    assert result_from_sense(sanitize_status(), descriptor(extend=0)) is None
    failed = result_from_sense(sanitize_status(), descriptor(extend=0, key=0xB, status=0x51, error=0x04))
    assert failed is not None
    assert (failed.error, failed.lba & 0xFF) == (0x04, 0xB3)


@pytest.mark.parametrize(
    "sense",
    [
        b"",
        b"\x72",
        descriptor()[:21],
        descriptor()[:8],
        bytes([*descriptor()[:7], 13, *descriptor()[8:]]),
        bytes([*descriptor()[:9], 0x0B, *descriptor()[10:]]),
        bytes([*descriptor()[:8], 0x0A, *descriptor()[9:]]),
        descriptor(code=0x73),
        descriptor(code=0x71),
        descriptor(code=0x00),
        descriptor(key=0x6),
        descriptor(key=0xB),
        descriptor(key=0x4),
        descriptor(key=0x6, status=0x51, error=0x04),
        bytes([0x72, 0x01, 0x00, 0x1D, 0, 0, 0, 0]),
        bytes([0x72, 0x05, 0x20, 0x00, 0, 0, 0, 0]),
    ],
    ids=lambda sense: sense.hex() or "nothing",
)
def test_sense_data_that_tells_nothing(sense: bytes) -> None:
    assert result_from_sense(sanitize_status(), sense) is None


# What a 5 TB USB drive answered to STANDBY with CK_COND (hdparm's tracker on SourceForge, patch 53).
WD_FIXED = bytes.fromhex("f0 00 01 00 50 40 3c 0a 80 00 00 00 00 1d").ljust(32, b"\0")


def test_fixed_format_of_a_real_drive() -> None:
    assert result_from_sense(AtaCommand("STANDBY", 0xE3), WD_FIXED) == AtaResult(
        status=0x50, error=0, count=0x3C, lba=0, device=0x40
    )


def fixed(
    flags: int = 0x80, *, key: int = 0x1, head: int = 0xF0, code: tuple[int, int] = (0x00, 0x1D)
) -> bytes:
    """Fixed-format sense data: status 50h, count 23h, LBA B1B2B3h."""
    return bytes([head, 0, key, 0x00, 0x50, 0x40, 0x23, 10, flags, 0xB3, 0xB2, 0xB1, *code, 0, 0, 0, 0])


def test_fixed_format_of_a_48_bit_command() -> None:
    command = sanitize_status()
    assert result_from_sense(command, fixed()) == AtaResult(0x50, 0, 0x23, 0xB1B2B3, 0x40)
    # COUNT or LBA has upper bits which fixed format cannot carry, or the command came back as a 28-bit one.
    for flags in (0xC0, 0xA0, 0xE0, 0x00):
        assert result_from_sense(command, fixed(flags)) is None


@pytest.mark.parametrize(
    "sense",
    [
        fixed(code=(0x00, 0x00)),
        fixed(code=(0x21, 0x04), key=0x5),
        fixed(head=0xF1),
        fixed(key=0x6),
        fixed(key=0x3),
        fixed()[:13],
        bytes([*fixed()[:7], 5, *fixed()[8:]]),
        bytes.fromhex("70 00 05 00 00 00 00 0a 00 00 00 00 20 00 00 00 00 00"),
        # As Linux before 6.11 put an abort there: registers from byte 8 on, VALID zero.
        bytes.fromhex("70 00 05 00 00 00 00 0a 04 51 40 01 21 04 00 00 00 00"),
        # An abort with VALID zero: INFORMATION is not announced.
        bytes.fromhex("70 00 0b 04 51 40 00 0a 00 00 00 00 00 00 00 00 00 00"),
        # INFORMATION that is an address.
        bytes.fromhex("f0 00 05 00 00 10 00 0a 00 00 00 00 24 00 00 00 00 00"),
        # A sector's address that looks like status 51h and error 04h.
        bytes.fromhex("f0 00 03 04 51 40 00 0a 00 00 00 00 11 00 00 00 00 00"),
    ],
    ids=lambda sense: sense.hex(),
)
def test_fixed_format_that_tells_nothing(sense: bytes) -> None:
    assert result_from_sense(security_erase_prepare(), sense) is None


def test_fixed_format_of_an_abort_as_linux_gives_it() -> None:
    sense = bytes.fromhex("f0 00 0b 04 51 40 00 0a a0 03 00 00 00 00 00 00 00 00")
    result = result_from_sense(sanitize_block_erase(failure_mode=False), sense)
    assert result == AtaResult(status=0x51, error=0x04, count=0, lba=0x03, device=0x40)


def ended(status: int, error: int = 0, lba: int = 0) -> AtaResult:
    return AtaResult(status=status, error=error, count=0, lba=lba, device=0x40)


@pytest.mark.parametrize(
    ("status", "error", "disposition"),
    [
        (0x50, 0x00, DONE),
        (0x40, 0x00, DONE),
        (0x50, 0x04, DONE),  # ERROR means nothing without ERR
        (0x42, 0x00, DONE),
        (0xD0, 0x00, UNKNOWN),
        (0xFF, 0xFF, UNKNOWN),
        (0x70, 0x00, UNKNOWN),
        (0x71, 0x04, UNKNOWN),
        (0x58, 0x00, UNKNOWN),
        (0x59, 0x04, UNKNOWN),
        (0x00, 0x00, UNKNOWN),
        (0x10, 0x00, UNKNOWN),
        (0x01, 0x04, UNKNOWN),
        (0x51, 0x00, UNKNOWN),
        (0x51, 0x04, REFUSED),
        (0x41, 0x04, REFUSED),
        *((0x51, 0x04 | 1 << other, UNKNOWN) for other in (0, 1, 3, 4, 5, 6, 7)),
        *((0x51, 1 << other, UNKNOWN) for other in (0, 1, 3, 4, 5, 6, 7)),
    ],
)
def test_every_bit(status: int, error: int, disposition: Disposition) -> None:
    command = sanitize_status()
    assert completion_from_ata(ended(status, error), command) is disposition
    # A good SCSI status makes nothing better.
    assert completion_from_ata(ended(status, error), command, 0x00) is disposition
    assert f"status {status:02X}h" in detail_from_ata(ended(status, error), command)


def test_an_aborted_erase_is_unknown() -> None:
    assert completion_from_ata(ended(0x51, 0x04), ERASE) is UNKNOWN
    assert completion_from_ata(ended(0x51, 0x04), AtaCommand("WRITE SECTOR(S)", 0x30)) is UNKNOWN
    assert completion_from_ata(ended(0x51, 0x04), security_erase_prepare()) is REFUSED


def test_a_sanitize_that_left_sectors_is_not_refused() -> None:
    command = sanitize_block_erase(failure_mode=False)
    assert completion_from_ata(ended(0x51, 0x04, lba=1), command) is UNKNOWN
    assert completion_from_ata(ended(0x51, 0x04, lba=2), command) is REFUSED


def test_missing_registers() -> None:
    for command in (sanitize_status(), ERASE):
        for scsi_status in (None, 0x00, 0x02):
            assert completion_from_ata(None, command, scsi_status) is UNKNOWN
    assert completion_from_ata(None, identify_device(), 0x00) is DONE
    for scsi_status in (None, 0x02, 0x08, 0x18):
        assert completion_from_ata(None, identify_device(), scsi_status) is UNKNOWN


def test_details_name_what_decided() -> None:
    assert "IDNF" in detail_from_ata(ended(0x51, 0x10), ERASE)
    assert "no ATA status" in detail_from_ata(None, ERASE, 0x00)
    assert detail_from_ata(ended(0x50), ERASE).startswith(ERASE.name)
