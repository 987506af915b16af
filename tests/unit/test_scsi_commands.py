"""SCSI command descriptor blocks and parameter lists, byte by byte, and what can't be encoded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rasura.errors import UsageError
from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.capacity import read_capacity_10, read_capacity_16
from rasura_agent.drive.scsi.control import start_unit, synchronize_cache_10, synchronize_cache_16
from rasura_agent.drive.scsi.errors import ScsiEncodeError
from rasura_agent.drive.scsi.format_unit import format_unit
from rasura_agent.drive.scsi.inquiry import VpdPage, inquiry, inquiry_vpd
from rasura_agent.drive.scsi.mode import (
    PageControl,
    mode_select_6,
    mode_select_10,
    mode_sense_6,
    mode_sense_10,
)
from rasura_agent.drive.scsi.opcodes import report_supported_operation_code
from rasura_agent.drive.scsi.sanitize import (
    SANITIZE,
    SanitizeAction,
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_exit_failure_mode,
    sanitize_overwrite,
)
from rasura_agent.drive.scsi.write_same import write_same_10, write_same_16

ZEROS = bytes(4)

# Operation, CDB, data-out. The bytes are those of the tables in SPC-5 and SBC-4; mode_select_6(512)
# with 0 blocks is the well-known 12-byte list that turns 520-byte drives into 512-byte ones.
KNOWN: list[tuple[ScsiCommand, str, str]] = [
    (inquiry(), "12 00 00 00 24 00", ""),
    (inquiry_vpd(VpdPage.UNIT_SERIAL_NUMBER), "12 01 80 00 fc 00", ""),
    (inquiry_vpd(VpdPage.ATA_INFORMATION), "12 01 89 02 3c 00", ""),
    (inquiry_vpd(VpdPage.BLOCK_LIMITS, 64), "12 01 b0 00 40 00", ""),
    (read_capacity_10(), "25 00 00 00 00 00 00 00 00 00", ""),
    (read_capacity_16(), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", ""),
    (
        report_supported_operation_code(SANITIZE, SanitizeAction.BLOCK_ERASE),
        "a3 0c 02 48 00 02 00 00 00 30 00 00",
        "",
    ),
    (report_supported_operation_code(0x04, timeouts=True), "a3 0c 81 04 00 00 00 00 00 30 00 00", ""),
    (
        sanitize_overwrite(ZEROS, count=1, invert=False, allow_unrestricted_exit=True),
        "48 a1 00 00 00 00 00 00 08 00",
        "01 00 00 04 00 00 00 00",
    ),
    (
        sanitize_overwrite(
            b"\x55\xaa",
            count=31,
            invert=True,
            test=2,
            allow_unrestricted_exit=False,
            zoned_no_reset=True,
            immediate=False,
        ),
        "48 41 00 00 00 00 00 00 06 00",
        "df 00 00 02 55 aa",
    ),
    (sanitize_block_erase(allow_unrestricted_exit=True), "48 a2 00 00 00 00 00 00 00 00", ""),
    (sanitize_block_erase(allow_unrestricted_exit=False), "48 82 00 00 00 00 00 00 00 00", ""),
    (sanitize_crypto_erase(allow_unrestricted_exit=True), "48 a3 00 00 00 00 00 00 00 00", ""),
    (sanitize_exit_failure_mode(), "48 1f 00 00 00 00 00 00 00 00", ""),
    (format_unit(), "04 10 00 00 00 00", "00 02 00 00"),
    (format_unit(immediate=False), "04 10 00 00 00 00", "00 00 00 00"),
    (format_unit(discard_grown_defects=True), "04 18 00 00 00 00", "00 02 00 00"),
    (format_unit(disable_certification=True), "04 10 00 00 00 00", "00 a2 00 00"),
    (format_unit(protection_type=1), "04 90 00 00 00 00", "00 02 00 00"),
    (format_unit(protection_type=2), "04 d0 00 00 00 00", "00 02 00 00"),
    (format_unit(protection_type=3), "04 d0 00 00 00 00", "01 02 00 00"),
    (
        format_unit(protection_type=2, protection_interval_exponent=3),
        "04 f0 00 00 00 00",
        "00 02 00 03 00 00 00 00",
    ),
    (mode_sense_6(), "1a 00 01 00 fc 00", ""),
    (mode_sense_6(0x3F, control=PageControl.CHANGEABLE), "1a 00 7f 00 fc 00", ""),
    (mode_sense_10(), "5a 00 01 00 00 00 00 00 fc 00", ""),
    (
        mode_sense_10(0x0A, control=PageControl.SAVED, long_lba=True),
        "5a 10 ca 00 00 00 00 00 fc 00",
        "",
    ),
    (
        mode_select_6(512, blocks=0),
        "15 10 00 00 0c 00",
        "00 00 00 08 00 00 00 00 00 00 02 00",
    ),
    (
        mode_select_6(4096, save=True),
        "15 11 00 00 0c 00",
        "00 00 00 08 ff ff ff ff 00 00 10 00",
    ),
    (
        mode_select_10(520, blocks=0x12345678),
        "55 10 00 00 00 00 00 00 10 00",
        "00 00 00 00 00 00 00 08 12 34 56 78 00 00 02 08",
    ),
    (
        mode_select_10(512, long_lba=True, save=True),
        "55 11 00 00 00 00 00 00 18 00",
        "00 00 00 00 01 00 00 10 ff ff ff ff ff ff ff ff 00 00 00 00 00 00 02 00",
    ),
    (
        write_same_10(0x01020304, 0x0506, b"\xaa" * 512, timeout_s=60),
        "41 00 01 02 03 04 00 05 06 00",
        "aa" * 512,
    ),
    (
        write_same_16(0x0102030405060708, 0x090A0B0C, b"\xbb" * 520, timeout_s=60),
        "93 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 00 00",
        "bb" * 520,
    ),
    (write_same_16(0, 1, None, timeout_s=60), "93 01 00 00 00 00 00 00 00 00 00 00 00 01 00 00", ""),
    (start_unit(), "1b 00 00 00 01 00", ""),
    (synchronize_cache_10(), "35 00 00 00 00 00 00 00 00 00", ""),
    (synchronize_cache_16(), "91 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", ""),
]


@pytest.mark.parametrize(("command", "cdb", "data_out"), KNOWN, ids=lambda value: getattr(value, "name", ""))
def test_bytes(command: ScsiCommand, cdb: str, data_out: str) -> None:
    assert command.cdb == bytes.fromhex(cdb)
    assert command.data_out == bytes.fromhex(data_out)
    assert command.timeout_s > 0
    assert not (command.data_in_bytes and command.data_out)


@pytest.mark.parametrize(
    ("command", "offset", "width"),
    [
        (inquiry(), 3, 2),
        (inquiry_vpd(VpdPage.DEVICE_IDENTIFICATION), 3, 2),
        (read_capacity_16(), 10, 4),
        (report_supported_operation_code(0x48, 1), 6, 4),
        (mode_sense_6(), 4, 1),
        (mode_sense_10(), 7, 2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_allocation_length_is_the_room_we_have(command: ScsiCommand, offset: int, width: int) -> None:
    assert int.from_bytes(command.cdb[offset : offset + width], "big") == command.data_in_bytes


@pytest.mark.parametrize(
    "encode",
    [
        lambda: sanitize_overwrite(ZEROS, count=0, invert=False, allow_unrestricted_exit=True),
        lambda: sanitize_overwrite(ZEROS, count=32, invert=False, allow_unrestricted_exit=True),
        lambda: sanitize_overwrite(b"", count=1, invert=False, allow_unrestricted_exit=True),
        lambda: sanitize_overwrite(bytes(65532), count=1, invert=False, allow_unrestricted_exit=True),
        lambda: sanitize_overwrite(ZEROS, count=1, invert=False, test=4, allow_unrestricted_exit=True),
        lambda: format_unit(protection_type=4),
        lambda: format_unit(protection_type=-1),
        lambda: format_unit(protection_type=1, protection_interval_exponent=1),
        lambda: format_unit(protection_interval_exponent=1),
        lambda: format_unit(protection_type=3, protection_interval_exponent=16),
        lambda: mode_select_6(0),
        lambda: mode_select_6(1 << 24),
        lambda: mode_select_6(512, blocks=1 << 32),
        lambda: mode_select_10(512, blocks=1 << 32),
        lambda: mode_select_10(1 << 32, long_lba=True),
        lambda: mode_sense_6(64),
        lambda: write_same_10(1 << 32, 1, ZEROS, timeout_s=1),
        lambda: write_same_10(0, 0, ZEROS, timeout_s=1),
        lambda: write_same_10(0, 0x10000, ZEROS, timeout_s=1),
        lambda: write_same_10(0, 1, b"", timeout_s=1),
        lambda: write_same_16(1 << 64, 1, None, timeout_s=1),
        lambda: write_same_16(0, 0, None, timeout_s=1),
        lambda: write_same_16(0, 1 << 32, None, timeout_s=1),
        lambda: write_same_16(0, 1, b"", timeout_s=1),
        lambda: write_same_16(-1, 1, None, timeout_s=1),
        lambda: report_supported_operation_code(256),
        lambda: report_supported_operation_code(0x48, 1 << 16),
        lambda: inquiry(4),
        lambda: inquiry_vpd(VpdPage.BLOCK_LIMITS, 1 << 16),
    ],
)
def test_what_does_not_fit_is_never_encoded(encode: Callable[[], ScsiCommand]) -> None:
    with pytest.raises(ScsiEncodeError) as error:
        encode()
    assert isinstance(error.value, UsageError)
