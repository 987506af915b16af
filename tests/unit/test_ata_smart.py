"""SMART and the general purpose logs."""

import pytest

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.logs import (
    GeneralStatistics,
    LogAddress,
    SecurityCapabilities,
    SupportedCapabilities,
    decode_general_statistics,
    decode_log_directory,
    decode_security_capabilities,
    decode_supported_capabilities,
    decode_supported_pages,
    read_log_ext,
)
from rasura_agent.drive.ata.smart import (
    SelfTest,
    SelfTestStatus,
    SmartAttribute,
    SmartStatus,
    decode_return_status,
    decode_smart_data,
    smart_execute_offline,
    smart_read_data,
    smart_return_status,
)
from rasura_agent.drive.port import AtaProtocol, AtaResult

# SMART READ DATA of a Samsung SSD 870 QVO, as its owner published it: the attributes, then bytes 367 to 376.
_ATTRIBUTES = bytes.fromhex(
    "0100"
    "053300646400000000000000"
    "093200636363050000000000"
    "0c32006363c4000000000000"
    "b11300636304000000000000"
    "b31300646400000000000000"
    "b53200646400000000000000"
    "b63200646400000000000000"
    "b71300646400000000000000"
    "bb3200646400000000000000"
    "be3200472f1d000000000000"
    "c31a00c8c800000000000000"
    "c73e00646400000000000000"
    "eb120063630c000000000000"
    "f132006363798cd097050000"
)
_FROM_367 = bytes.fromhex("53 03 00 01 00 02 ff 00 40 01")


def smart_page() -> bytes:
    return (_ATTRIBUTES.ljust(367, b"\0") + _FROM_367).ljust(511, b"\0") + b"\x8d"


def test_smart_commands() -> None:
    read = smart_read_data()
    assert (read.command, read.feature, read.lba, read.data_in_bytes) == (0xB0, 0xD0, 0xC24F00, 512)
    status = smart_return_status()
    assert (status.command, status.feature, status.lba) == (0xB0, 0xDA, 0xC24F00)
    assert status.protocol is AtaProtocol.NON_DATA
    test = smart_execute_offline(SelfTest.EXTENDED)
    assert (test.command, test.feature, test.lba, test.protocol) == (
        0xB0,
        0xD4,
        0xC24F02,
        AtaProtocol.NON_DATA,
    )


def test_no_self_test_keeps_the_drive_busy() -> None:
    assert all(test < 0x80 for test in SelfTest)


def status_result(lba: int, status: int = 0x50, error: int = 0) -> AtaResult:
    return AtaResult(status=status, error=error, count=0, lba=lba, device=0xA0)


def test_smart_verdict() -> None:
    assert decode_return_status(status_result(0xC24F00)) is SmartStatus.PASSED
    assert decode_return_status(status_result(0x2CF400)) is SmartStatus.THRESHOLD_EXCEEDED
    # Bits 27:24 and 7:0 have no part in it.
    assert decode_return_status(status_result(0xAC24F7F)) is SmartStatus.PASSED


@pytest.mark.parametrize("lba", [0, 0x4FC200, 0xC2F400, 0x2C4F00, 0xFFFFFF])
def test_smart_verdict_that_is_neither_is_unknown(lba: int) -> None:
    with pytest.raises(AtaDecodeError):
        decode_return_status(status_result(lba))


def test_smart_verdict_of_a_failed_command_is_unknown() -> None:
    with pytest.raises(AtaDecodeError):
        decode_return_status(status_result(0xC24F00, 0x51, 0x04))


def test_published_smart_data() -> None:
    decoded = decode_smart_data(smart_page())
    assert len(decoded.attributes) == 14
    assert decoded.attributes[1] == SmartAttribute(id=9, flags=0x32, value=99, worst=99, raw=1379)
    assert decoded.attributes[-1].raw == 0x0597D08C79
    assert decoded.self_test is SelfTestStatus.COMPLETED
    assert decoded.short_test_minutes == 2
    assert decoded.extended_test_minutes == 320
    assert decoded.conveyance_test_minutes is None


def test_self_test_in_progress() -> None:
    data = bytearray(512)
    data[363], data[373], data[374] = 0xF3, 60, 5
    data[511] = -sum(data) % 256
    decoded = decode_smart_data(bytes(data))
    assert decoded.self_test is SelfTestStatus.IN_PROGRESS
    assert decoded.self_test_remaining_percent == 30
    assert (decoded.extended_test_minutes, decoded.conveyance_test_minutes) == (60, 5)
    assert decoded.short_test_minutes is None


@pytest.mark.parametrize("data", [b"", bytes(512), b"\x01" + bytes(511), bytes(511)])
def test_smart_data_with_a_wrong_checksum_is_refused(data: bytes) -> None:
    with pytest.raises(AtaDecodeError):
        decode_smart_data(data)


def test_read_log() -> None:
    command = read_log_ext(LogAddress.IDENTIFY_DEVICE_DATA, 0x1206, 3)
    assert (command.command, command.ext, command.protocol) == (0x2F, True, AtaProtocol.PIO_IN)
    assert (command.lba, command.count, command.data_in_bytes) == (0x12_0000_0630, 3, 1536)
    for bad in ((256, 0, 1), (-1, 0, 1), (0, 65536, 1), (0, 0, 0), (0, 0, 65536)):
        with pytest.raises(AtaEncodeError):
            read_log_ext(*bad)


def qwords(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values).ljust(512, b"\0")


VALID = 1 << 63


def test_log_directory() -> None:
    data = bytearray(512)
    data[0], data[8], data[0x60] = 1, 8, 16
    assert decode_log_directory(bytes(data)) == {0x04: 8, 0x30: 16}
    for bad in (bytes(512), b"\xff" * 512, bytes(10)):
        with pytest.raises(AtaDecodeError):
            decode_log_directory(bad)


def test_supported_pages() -> None:
    page = (qwords(1)[:8] + bytes([3, 0, 3, 6])).ljust(512, b"\0")
    assert decode_supported_pages(page, LogAddress.IDENTIFY_DEVICE_DATA) == (0, 3, 6)
    full = qwords(1)[:8] + b"\xff" + bytes(503)
    assert len(decode_supported_pages(full, LogAddress.IDENTIFY_DEVICE_DATA)) == 255
    with pytest.raises(AtaDecodeError):
        decode_supported_pages(qwords(0x010001), LogAddress.DEVICE_STATISTICS)


def test_capabilities_pages() -> None:
    assert decode_supported_capabilities(qwords(VALID | 0x030001, VALID | 1 << 51)) == SupportedCapabilities(
        overwrite_definitive_ending_pattern=True
    )
    assert decode_supported_capabilities(qwords(VALID | 0x030001, 1 << 51)) == SupportedCapabilities(
        overwrite_definitive_ending_pattern=None
    )
    security = [VALID | 0x060001, 0, 0, 0, 0, 0]
    assert decode_security_capabilities(qwords(*security, VALID | 0x81)) == SecurityCapabilities(
        restricted_sanitize_overrides_security=True, encrypts_all_user_data=True
    )
    assert decode_security_capabilities(qwords(*security, VALID)) == SecurityCapabilities(
        restricted_sanitize_overrides_security=False, encrypts_all_user_data=False
    )
    assert decode_security_capabilities(qwords(*security, 0x81)) == SecurityCapabilities(
        restricted_sanitize_overrides_security=None, encrypts_all_user_data=None
    )


@pytest.mark.parametrize("header", [0, 0x060001, VALID | 0x060000, VALID | 0x070001, 2**64 - 1])
def test_another_page_is_refused(header: int) -> None:
    with pytest.raises(AtaDecodeError):
        decode_security_capabilities(qwords(header))


def test_general_statistics() -> None:
    both = 0b11 << 62
    page = qwords(0x010001, both | 0xFFFFFFFF, both | 1379, both | 1 << 47, 0, 1 << 63 | 5)
    assert decode_general_statistics(page) == GeneralStatistics(
        power_on_resets=0xFFFFFFFF,
        power_on_hours=1379,
        logical_sectors_written=1 << 47,
        logical_sectors_read=None,  # supported, not valid
    )
    with pytest.raises(AtaDecodeError):
        decode_general_statistics(qwords(0x020001))
