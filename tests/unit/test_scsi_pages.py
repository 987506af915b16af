"""What drives say of themselves: INQUIRY, vital product data, capacity, command support, mode data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rasura_agent.drive.scsi.capacity import Capacity, decode_read_capacity_10, decode_read_capacity_16
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.inquiry import PeripheralType, StandardInquiry, VpdPage, decode_inquiry, vpd_body
from rasura_agent.drive.scsi.mode import BlockDescriptor, decode_mode_sense_6, decode_mode_sense_10
from rasura_agent.drive.scsi.opcodes import CommandTimeouts, Support, decode_command_support
from rasura_agent.drive.scsi.vpd import (
    Association,
    Designator,
    decode_ata_information,
    decode_designators,
    decode_serial,
    decode_supported_pages,
    logical_unit_name,
)
from rasura_agent.drive.scsi.vpd_block import (
    BlockLimits,
    FormFactor,
    ProvisioningType,
    ReadAfterErase,
    Zoned,
    decode_block_characteristics,
    decode_block_limits,
    decode_provisioning,
)

SAS_DRIVE = bytes.fromhex("00 00 07 02 1f 01 10 02") + b"SEAGATE ST600MM0006     0004"
LU_NAA = "01 03 00 08 50 00 c5 00 30 11 cb 2b"
PORT_NAA = "61 93 00 08 50 00 c5 00 30 11 cb 29"
TARGET_NAME = "63 a8 00 18 6e 61 61 2e 35 30 30 30 43 35 30 30 33 30 31 31 43 42 32 38 00 00 00 00"


def page(code: int, body: str | bytes, *, claimed: int | None = None) -> bytes:
    raw = bytes.fromhex(body) if isinstance(body, str) else body
    return bytes([0, code]) + (len(raw) if claimed is None else claimed).to_bytes(2, "big") + raw


def test_standard_inquiry() -> None:
    assert decode_inquiry(SAS_DRIVE) == StandardInquiry(
        qualifier=0,
        peripheral_type=PeripheralType.DIRECT_ACCESS,
        removable=False,
        version=7,
        protect=True,
        vendor="SEAGATE",
        product="ST600MM0006",
        revision="0004",
    )


def test_inquiry_of_a_reader_with_odd_texts() -> None:
    reader = bytes.fromhex("00 80 00 02 1f 00 00 00") + b"Gen\xe9ric " + bytes(16) + b"1.\t0"
    decoded = decode_inquiry(reader)
    assert decoded.removable
    assert (decoded.vendor, decoded.product, decoded.revision) == ("Gen\\xe9ric", None, "1.\\x090")


def test_a_logical_unit_that_is_not_there() -> None:
    decoded = decode_inquiry(b"\x7f" + SAS_DRIVE[1:])
    assert (decoded.qualifier, decoded.peripheral_type) == (3, PeripheralType.UNKNOWN)


def test_standard_data_instead_of_a_page_is_refused() -> None:
    with pytest.raises(ScsiDecodeError, match="asked for VPD page 83h"):
        decode_designators(SAS_DRIVE)
    with pytest.raises(ScsiDecodeError):
        vpd_body(b"\0\x80", VpdPage.UNIT_SERIAL_NUMBER)


def test_supported_pages() -> None:
    assert decode_supported_pages(page(0x00, "00 80 83 b0 b1")) == {0x00, 0x80, 0x83, 0xB0, 0xB1}
    with pytest.raises(ScsiDecodeError):
        decode_supported_pages(page(0x00, ""))


def test_serial_number() -> None:
    assert decode_serial(page(0x80, b"    S3X0ABCD\0\0")) == "S3X0ABCD"
    assert decode_serial(page(0x80, b"        ")) is None
    with pytest.raises(ScsiDecodeError, match="cut short"):
        decode_serial(page(0x80, b"S3X0", claimed=20))


def test_designators_and_the_name_of_the_logical_unit() -> None:
    designators = decode_designators(page(0x83, f"{LU_NAA}{PORT_NAA}{TARGET_NAME}"))
    assert [one.association for one in designators] == [
        Association.LOGICAL_UNIT,
        Association.TARGET_PORT,
        Association.TARGET_DEVICE,
    ]
    assert designators[0] == Designator(Association.LOGICAL_UNIT, 3, 1, bytes.fromhex("5000c5003011cb2b"))
    assert logical_unit_name(designators) == "naa.5000c5003011cb2b"


@pytest.mark.parametrize(
    ("descriptors", "name"),
    [
        (PORT_NAA + TARGET_NAME, None),  # names of a port and of the target only
        (
            "03 08 00 14 6e 61 61 2e 35 30 30 30 43 35 30 30 33 30 31 31 43 42 32 38",
            "naa.5000c5003011cb28",
        ),
        ("01 02 00 08 00 25 38 00 00 00 00 01", "eui.0025380000000001"),
        # NAA 5 goes before an 8-byte EUI-64, and behind the 16-byte kinds.
        ("01 02 00 08 00 25 38 00 00 00 00 01" + LU_NAA, "naa.5000c5003011cb2b"),
        (
            LU_NAA + "01 03 00 10 60 00 c5 00 30 11 cb 2b 00 00 00 00 00 00 00 01",
            "naa.6000c5003011cb2b0000000000000001",
        ),
        (
            LU_NAA + "01 02 00 10 00 00 00 00 00 00 00 01 00 25 38 00 00 00 00 01",
            "eui.00000000000000010025380000000001",
        ),
        ("01 03 00 08 30 00 00 00 00 00 00 01", None),  # NAA 3: locally assigned
        ("01 03 00 08 00 00 00 00 00 00 00 00", None),
        ("01 02 00 08 00 00 00 00 00 00 00 00", None),
        ("01 03 00 04 50 00 c5 00", None),
        ("02 01 00 0a 41 54 41 20 20 20 20 20 53 4e", None),  # T10 vendor ID
        ("03 08 00 04 69 71 6e 2e", None),
        ("", None),
    ],
)
def test_only_a_world_wide_name_of_the_logical_unit_counts(descriptors: str, name: str | None) -> None:
    assert logical_unit_name(decode_designators(page(0x83, descriptors))) == name


@pytest.mark.parametrize(
    "data",
    [
        page(0x83, LU_NAA)[:-1],
        page(0x83, LU_NAA + "01 03"),
        page(0x83, "01 03 00 20 50 00"),
    ],
)
def test_half_a_designator_is_none(data: bytes) -> None:
    with pytest.raises(ScsiDecodeError):
        decode_designators(data)


def test_block_limits() -> None:
    body = bytearray(60)
    body[0] = 1
    body[2:4] = b"\0\x08"
    body[4:8] = (65536).to_bytes(4, "big")
    body[32:40] = (1 << 32).to_bytes(8, "big")
    assert decode_block_limits(page(0xB0, bytes(body))) == BlockLimits(True, 8, 65536, None, None, 1 << 32)
    assert decode_block_limits(page(0xB0, bytes(body[:12]))) == BlockLimits(True, 8, 65536, None, None, None)
    with pytest.raises(ScsiDecodeError):
        decode_block_limits(page(0xB0, bytes(11)))


@pytest.mark.parametrize(
    ("rate", "rotational", "rpm"),
    [
        (0, None, None),
        (1, False, None),
        (2, None, None),
        (0x400, None, None),
        (7200, True, 7200),
        (0xFFFF, None, None),
    ],
)
def test_rotation(rate: int, rotational: bool | None, rpm: int | None) -> None:
    decoded = decode_block_characteristics(page(0xB1, rate.to_bytes(2, "big") + bytes(58)))
    assert (decoded.rotational, decoded.rotation_rate) == (rotational, rpm)


def test_block_characteristics() -> None:
    decoded = decode_block_characteristics(page(0xB1, bytes.fromhex("1c 20 00 b2 20") + bytes(55)))
    assert decoded.after_block_erase is ReadAfterErase.MEDIUM_ERROR
    assert decoded.after_crypto_erase is ReadAfterErase.WRITE_REQUIRED
    assert decoded.form_factor is FormFactor.INCH_3_5
    assert decoded.zoned is Zoned.DEVICE_MANAGED
    short = decode_block_characteristics(page(0xB1, "00 01"))
    assert (short.rotational, short.after_block_erase, short.form_factor, short.zoned) == (
        False,
        None,
        None,
        None,
    )
    assert decode_block_characteristics(page(0xB1, "00 01 00 0f")).form_factor is None


def test_provisioning() -> None:
    decoded = decode_provisioning(page(0xB2, "00 e6 02 00"))
    assert (decoded.unmap, decoded.write_same_16_unmap, decoded.write_same_10_unmap) == (True, True, True)
    assert (decoded.read_zeros, decoded.anchor, decoded.provisioning) == (1, True, ProvisioningType.THIN)
    assert decode_provisioning(page(0xB2, "00 00 07 00")).provisioning is None


def test_ata_information() -> None:
    identify = bytes(range(256)) * 2
    body = bytes(4) + b"LSI     SATL            0008" + b"\x34" + bytes(19) + b"\xec" + bytes(3) + identify
    decoded = decode_ata_information(page(0x89, body))
    assert (decoded.translator_vendor, decoded.translator_product) == ("LSI", "SATL")
    assert (decoded.translator_revision, decoded.signature[0], decoded.command) == ("0008", 0x34, 0xEC)
    assert decoded.identify == identify
    with pytest.raises(ScsiDecodeError):
        decode_ata_information(page(0x89, body)[:-1])


def test_read_capacity_10() -> None:
    decoded = decode_read_capacity_10(bytes.fromhex("00 00 0f ff 00 00 02 00"))
    assert (decoded.blocks, decoded.block_bytes, decoded.total_bytes) == (4096, 512, 4096 * 512)
    assert decoded.physical_block_bytes is None
    assert decoded.protection_type is None
    too_large = decode_read_capacity_10(bytes.fromhex("ff ff ff ff 00 00 02 00"))
    assert (too_large.blocks, too_large.total_bytes) == (None, None)


def test_read_capacity_16() -> None:
    # The zoned drive of the sg3_utils examples: 0x9185f_ffff + 1 blocks, 4096-byte physical ones.
    decoded = decode_read_capacity_16(
        bytes.fromhex("00 00 00 09 18 5f ff ff 00 00 02 00 00 03 00 00") + bytes(16)
    )
    assert decoded == Capacity(0x9_1860_0000, 512, 3, 0, 0, 0, False, False)
    assert decoded.physical_block_bytes == 4096


@pytest.mark.parametrize(
    ("byte_12", "protection_type"), [(0x00, 0), (0x01, 1), (0x03, 2), (0x05, 3), (0x04, 0)]
)
def test_protection_information(byte_12: int, protection_type: int) -> None:
    data = bytes(7) + b"\x01" + (520).to_bytes(4, "big") + bytes([byte_12, 0x31, 0xC0, 0x07]) + bytes(16)
    decoded = decode_read_capacity_16(data)
    assert decoded.protection_type == protection_type
    assert (decoded.protection_interval_exponent, decoded.blocks_per_physical_exponent) == (3, 1)
    assert (decoded.provisioning_managed, decoded.reads_zero_when_unmapped) == (True, True)
    assert decoded.lowest_aligned_lba == 7


@pytest.mark.parametrize(
    ("block_bytes", "usable"),
    [(512, True), (520, False), (524, False), (528, False), (4096, True), (4160, False), (4224, False)],
)
def test_odd_block_lengths(block_bytes: int, usable: bool) -> None:
    data = bytes(7) + b"\xff" + block_bytes.to_bytes(4, "big")
    decoded = decode_read_capacity_16(data)
    assert (decoded.blocks, decoded.block_bytes, decoded.usable_by_linux) == (256, block_bytes, usable)
    assert decoded.provisioning_managed is None


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (decode_read_capacity_10, bytes(7)),
        (decode_read_capacity_10, bytes(8)),
        (decode_read_capacity_16, bytes(11)),
        (decode_read_capacity_16, bytes(32)),
        (decode_read_capacity_16, b"\xff" * 8 + b"\0\0\2\0" + bytes(20)),
    ],
)
def test_no_capacity(decode: Callable[[bytes], Capacity], data: bytes) -> None:
    with pytest.raises(ScsiDecodeError):
        decode(data)


def test_supported_command_with_its_timeouts() -> None:
    data = bytes.fromhex("00 83 00 0a 48 e1 00 00 00 00 00 ff ff 04 00 0a 00 00 00 00 00 00 00 00 70 80")
    decoded = decode_command_support(data, 0x48)
    assert decoded.support is Support.STANDARD
    assert decoded.usage == bytes.fromhex("48 e1 00 00 00 00 00 ff ff 04")
    assert decoded.timeouts == CommandTimeouts(None, 28800)


@pytest.mark.parametrize(
    ("data", "support"),
    [
        ("00 00", Support.NOT_AVAILABLE_NOW),
        ("00 01 00 00", Support.NOT_SUPPORTED),
        ("00 01 ff ff 99", Support.NOT_SUPPORTED),  # "all data after byte 1 is undefined"
        ("00 05 00 06 48 1f 00 00 00 00", Support.VENDOR_SPECIFIC),
        ("00 7b 00 06 48 1f 00 00 00 00", Support.STANDARD),
    ],
)
def test_support(data: str, support: Support) -> None:
    assert decode_command_support(bytes.fromhex(data), 0x48).support is support


@pytest.mark.parametrize(
    "data",
    [
        "",
        "00",
        "00 02",
        "00 04 00 06 48 1f 00 00 00 00",
        "00 07",
        "00 03 00",
        "00 03 00 00 48",
        "00 03 00 06 48 1f",
        "00 03 00 06 12 ff ff ff ff ff",  # about another command
        "00 83 00 06 48 1f 00 00 00 00",  # promises timeouts and sends none
    ],
)
def test_no_support_is_read_out_of_nonsense(data: str) -> None:
    with pytest.raises(ScsiDecodeError):
        decode_command_support(bytes.fromhex(data), 0x48)


def test_mode_sense_6() -> None:
    decoded = decode_mode_sense_6(bytes.fromhex("0f 00 90 08 00 10 00 00 00 00 02 08 81 02 c0 00 ff ff"))
    assert decoded.block_descriptor == BlockDescriptor(0x100000, 520)
    assert (decoded.write_protected, decoded.dpo_fua) == (True, True)
    assert decoded.pages == bytes.fromhex("81 02 c0 00")


def test_mode_sense_10_in_both_forms() -> None:
    short = decode_mode_sense_10(bytes.fromhex("00 0e 00 10 00 00 00 08 ff ff ff ff 00 00 10 00"))
    assert short.block_descriptor == BlockDescriptor(0xFFFF_FFFF, 4096)
    long = decode_mode_sense_10(
        bytes.fromhex("00 16 00 00 01 00 00 10 00 00 00 01 00 00 00 02 00 00 00 00 00 00 02 00")
    )
    assert long.block_descriptor == BlockDescriptor(0x1_0000_0002, 512, long_lba=True)
    assert not long.write_protected


def test_mode_sense_without_a_block_descriptor() -> None:
    assert decode_mode_sense_6(bytes.fromhex("03 00 00 00")).block_descriptor is None


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (decode_mode_sense_6, "03 00 00"),
        (decode_mode_sense_6, "0b 00 00 08 00 00 00 00"),
        (decode_mode_sense_6, "03 00 00 08 00 00 00 00 00 00 02 00"),
        (decode_mode_sense_6, "0a 00 00 07 00 00 00 00 00 00 02"),
        (decode_mode_sense_10, "00 0e 00 00 00 00 00"),
        (decode_mode_sense_10, "00 0e 00 00 01 00 00 08 00 00 00 00 00 00 02 00"),
        (decode_mode_sense_10, "00 00 00 00 00 00 00 08 00 00 00 00 00 00 02 00"),
    ],
)
def test_mode_data_that_contradicts_itself(decode: Callable[[bytes], object], data: str) -> None:
    with pytest.raises(ScsiDecodeError):
        decode(bytes.fromhex(data))
