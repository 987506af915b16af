"""Our SCSI decoders against sg3_utils on the same bytes."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.capacity import read_capacity_10, read_capacity_16
from rasura_agent.drive.scsi.control import start_unit, synchronize_cache_10, synchronize_cache_16
from rasura_agent.drive.scsi.format_unit import format_unit
from rasura_agent.drive.scsi.inquiry import decode_inquiry, inquiry
from rasura_agent.drive.scsi.mode import mode_select_6, mode_select_10, mode_sense_6, mode_sense_10
from rasura_agent.drive.scsi.opcodes import report_supported_operation_code
from rasura_agent.drive.scsi.poll import request_sense, unit_ready_test
from rasura_agent.drive.scsi.sanitize import (
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_exit_failure_mode,
    sanitize_overwrite,
)
from rasura_agent.drive.scsi.sense import Additional, SenseKey, parse_sense
from rasura_agent.drive.scsi.vpd import decode_designators, decode_serial, logical_unit_name
from rasura_agent.drive.scsi.vpd_block import (
    decode_block_characteristics,
    decode_block_limits,
    decode_provisioning,
)
from rasura_agent.drive.scsi.write_same import write_same_10, write_same_16


def tool(name: str, *arguments: str, given: bytes | None = None) -> str:
    """What ``name`` of sg3_utils prints; ``given`` goes in as hexadecimal text."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} of sg3_utils is not installed")
    text = None if given is None else given.hex(" ")
    return subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, check=True
    ).stdout


def letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def vpd(code: int, body: bytes) -> bytes:
    return bytes([0, code]) + len(body).to_bytes(2, "big") + body


def value(output: str, label: str) -> str:
    found = re.search(rf"{re.escape(label)}[:=]?\s*(.*)", output)
    assert found is not None, f"{label!r} is not in:\n{output}"
    return found.group(1).strip()


def decode_sense(raw: bytes) -> str:
    return tool("sg_decode_sense", "--file=-", given=raw)


def test_names_of_additional_sense_codes() -> None:
    for code in Additional:
        raw = bytes([0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, code >> 8, code & 0xFF, 0, 0, 0, 0])
        said = value(decode_sense(raw), "Additional sense")
        assert letters(code.name) == letters(said), f"{code:04X}"


def test_names_of_sense_keys() -> None:
    for key in set(SenseKey) - {SenseKey.RESERVED}:  # Ch was EQUAL in older standards
        said = decode_sense(bytes([0x72, key, 0x90, 0, 0, 0, 0, 0]))
        assert letters(key.name) in letters(value(said, "Sense key")), key


@pytest.mark.parametrize(
    "raw",
    [
        "70 00 02 00 00 00 00 0a 00 00 00 00 04 1b 00 80 40 00",
        "f0 00 03 00 01 12 34 0a 00 00 00 00 31 03 77 80 01 98",
        "71 00 03 00 00 00 00 0a 00 00 00 00 31 01 00 00 00 00",
        "72 02 04 1b 00 00 00 14 00 0a 80 00 00 00 00 00 12 34 56 78 02 06 00 00 80 80 00 00",
        "73 04 44 00 00 00 00 00",
        "72 05 24 00 00 00 00 08 02 06 00 00 c8 00 01 00",
        "70 00 00 00 00 00 00 0a 00 00 00 00 00 00 00 80 ff ff",
    ],
)
def test_sense_data(raw: str) -> None:
    said = decode_sense(bytes.fromhex(raw))
    parsed = parse_sense(bytes.fromhex(raw))
    assert parsed is not None
    assert parsed.deferred == ("deferred" in said)
    percent = re.search(r"Progress indication: ([\d.]+)%", said)
    if percent is None:
        assert parsed.progress is None
    else:
        assert parsed.progress is not None
        assert abs(float(percent.group(1)) - parsed.progress * 100 / 65536) < 0.02
    information = re.search(r"(?:Info fld=|Information: )0x([0-9a-f]+)", said)
    assert parsed.information == (None if information is None else int(information.group(1), 16))


NAMES = [
    (inquiry(), "Inquiry"),
    (request_sense(), "Request sense"),
    (unit_ready_test(), "Test unit ready"),
    (read_capacity_10(), "Read capacity(10)"),
    (read_capacity_16(), "Read capacity(16)"),
    (report_supported_operation_code(0x48, 1), "Report supported operation codes"),
    (sanitize_overwrite(b"\0", count=1, invert=False, allow_unrestricted_exit=True), "Sanitize, overwrite"),
    (sanitize_block_erase(allow_unrestricted_exit=True), "Sanitize, block erase"),
    (sanitize_crypto_erase(allow_unrestricted_exit=True), "Sanitize, cryptographic erase"),
    (sanitize_exit_failure_mode(), "Sanitize, exit failure mode"),
    (format_unit(), "Format unit"),
    (mode_sense_6(), "Mode sense(6)"),
    (mode_sense_10(), "Mode sense(10)"),
    (mode_select_6(512), "Mode select(6)"),
    (mode_select_10(512), "Mode select(10)"),
    (write_same_10(0, 1, b"\0", timeout_s=1), "Write same(10)"),
    (write_same_16(0, 1, None, timeout_s=1), "Write same(16)"),
    (start_unit(), "Start stop unit"),
    (synchronize_cache_10(), "Synchronize cache(10)"),
    (synchronize_cache_16(), "Synchronize cache(16)"),
]


@pytest.mark.parametrize(("command", "name"), NAMES, ids=[name for _, name in NAMES])
def test_commands_are_what_they_are_called(command: ScsiCommand, name: str) -> None:
    said = tool("sg_decode_sense", "--cdb", "--file=-", given=command.cdb)
    assert letters(said) == letters(name)
    assert letters(name.split(",", maxsplit=1)[0]) in letters(command.name)


def test_standard_inquiry() -> None:
    raw = bytes.fromhex("00 80 06 02 1f 01 10 02") + b"SEAGATE ST600MM0006     0004"
    said = tool("sg_inq", "--inhex=-", given=raw)
    decoded = decode_inquiry(raw)
    assert value(said, "Vendor identification") == decoded.vendor
    assert value(said, "Product identification") == decoded.product
    assert value(said, "Product revision level") == decoded.revision
    assert value(said, "RMB").startswith(str(int(decoded.removable)))
    assert value(said, "PDT").startswith(str(decoded.peripheral_type))
    assert value(said, "Protect").startswith(str(int(decoded.protect)))
    assert value(said, "version").startswith(f"0x{decoded.version:02x}")


def test_serial_number() -> None:
    page = vpd(0x80, b"  Z1X2C3V4  ")
    said = tool("sg_vpd", "--inhex=-", "--page=sn", given=page)
    assert value(said, "Unit serial number: ") == decode_serial(page)


@pytest.mark.parametrize(
    "body",
    [
        "01 03 00 08 50 00 c5 00 30 11 cb 2b 61 93 00 08 50 00 c5 00 30 11 cb 29 61 94 00 04 00 00 00 01",
        "02 01 00 0c 41 43 4d 45 20 20 20 20 53 4e 30 31 01 02 00 08 00 25 38 5b 71 b0 12 34",
        "01 03 00 10 60 00 c5 00 30 11 cb 2b 00 00 00 00 00 00 00 01",
    ],
)
def test_name_of_the_logical_unit(body: str) -> None:
    page = vpd(0x83, bytes.fromhex(body))
    said = tool("sg_vpd", "--inhex=-", "--page=di", "--quiet", given=page)
    name = logical_unit_name(decode_designators(page))
    assert name is not None
    assert f"0x{name.partition('.')[2]}" in said.split()


def test_block_limits() -> None:
    body = bytearray(60)
    body[0] = 1
    body[2:4] = (16).to_bytes(2, "big")
    body[4:8] = (2048).to_bytes(4, "big")
    body[8:12] = (1024).to_bytes(4, "big")
    body[16:20] = (4096).to_bytes(4, "big")
    body[32:40] = (0x2_0000).to_bytes(8, "big")
    page = vpd(0xB0, bytes(body))
    said = tool("sg_vpd", "--inhex=-", "--page=bl", given=page)
    decoded = decode_block_limits(page)
    assert value(said, "(WSNZ)") == str(int(decoded.write_same_non_zero))
    assert value(said, "Optimal transfer length granularity") == f"{decoded.optimal_granularity} blocks"
    assert value(said, "Maximum transfer length") == f"{decoded.maximum_transfer} blocks"
    assert value(said, "Optimal transfer length:") == f"{decoded.optimal_transfer} blocks"
    assert value(said, "Maximum unmap LBA count") == str(decoded.maximum_unmap)
    assert value(said, "Maximum write same length") == f"0x{decoded.maximum_write_same:x} blocks"


@pytest.mark.parametrize("flags", [0x00, 0xB2, 0x53, 0xC5])
def test_block_characteristics(flags: int) -> None:
    page = vpd(0xB1, bytes([0x1C, 0x20, 0, flags, 0x10]) + bytes(55))
    said = tool("sg_vpd", "--inhex=-", "--page=bdc", given=page)
    decoded = decode_block_characteristics(page)
    assert value(said, "Nominal rotation rate") == f"{decoded.rotation_rate} rpm"
    assert value(said, "WABEREQ") == str(decoded.after_block_erase)
    assert value(said, "WACEREQ") == str(decoded.after_crypto_erase)
    assert value(said, "ZONED").startswith(str(decoded.zoned))
    reported = "not reported" not in value(said, "Nominal form factor").lower()
    assert (decoded.form_factor is not None) == reported


def test_a_solid_state_drive() -> None:
    page = vpd(0xB1, b"\x00\x01" + bytes(58))
    assert "Non-rotating medium" in tool("sg_vpd", "--inhex=-", "--page=bdc", given=page)
    assert decode_block_characteristics(page).rotational is False


@pytest.mark.parametrize("flags", [0xE6, 0x84, 0x48, 0x00])
def test_provisioning(flags: int) -> None:
    page = vpd(0xB2, bytes([0, flags, 2, 0]))
    said = tool("sg_vpd", "--inhex=-", "--page=lbpv", given=page)
    decoded = decode_provisioning(page)
    assert value(said, "(LBPU)") == str(int(decoded.unmap))
    assert value(said, "(LBPWS)") == str(int(decoded.write_same_16_unmap))
    assert value(said, "(LBPWS10)") == str(int(decoded.write_same_10_unmap))
    assert value(said, "(LBPRZ)") == str(decoded.read_zeros)
    assert value(said, "(ANC_SUP)") == str(int(decoded.anchor))
    assert "thin provisioned" in value(said, "Provisioning type")
