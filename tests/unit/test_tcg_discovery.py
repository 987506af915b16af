"""Level 0 Discovery: the three requests, and answers good and bad."""

import struct

import pytest

from rasura_agent.drive.port import AtaProtocol
from rasura_agent.drive.tcg.discovery import (
    BlockSid,
    DataRemoval,
    DataRemovalMechanism,
    Discovery,
    FeatureCode,
    Geometry,
    LockingFeature,
    SubsystemClass,
    TperFeature,
    ata_discovery,
    decode_discovery,
    nvme_discovery,
    scsi_discovery,
)
from rasura_agent.drive.tcg.errors import TcgDecodeError


def feature(code: int, body: bytes, version: int = 1) -> bytes:
    return struct.pack(">HBB", code, version << 4, len(body)) + body


def answer(*features: bytes, pad: int = 2048) -> bytes:
    body = struct.pack(">HH40x", 0, 1) + b"".join(features)
    return (struct.pack(">I", len(body)) + body).ljust(pad, b"\0")


TPER = feature(0x0001, b"\x11" + bytes(11))
LOCKED = feature(0x0002, b"\x0f" + bytes(11))
GEOMETRY = feature(0x0003, struct.pack(">B7xIQQ", 1, 512, 8, 0))
OPAL_2 = feature(0x0203, struct.pack(">HHBHHBB5x", 0x07FE, 1, 0, 4, 9, 0, 0), version=2)
PYRITE_2 = feature(0x0303, struct.pack(">HH12x", 0x1000, 2))
BLOCK_SID = feature(0x0402, b"\x03\x01" + bytes(10))
DATA_REMOVAL = feature(
    0x0404, struct.pack(">4B6H16x", 0, 0b01, 0b100110, 0b100010, 9, 3, 1, 0, 0, 65535), version=2
)


def decoded(*features: bytes) -> Discovery:
    found = decode_discovery(answer(*features))
    assert found is not None
    return found


def test_the_request_over_nvme() -> None:
    command = nvme_discovery()
    assert (command.opcode, command.cdw10, command.cdw11) == (0x82, 0x01000100, 2048)
    assert command.data_in_bytes == 2048


def test_the_request_over_ata() -> None:
    command = ata_discovery()
    assert (command.command, command.protocol, command.ext) == (0x5C, AtaProtocol.PIO_IN, False)
    assert (command.feature, command.count, command.lba) == (0x01, 4, 0x000100)
    assert command.data_in_bytes == 2048


def test_the_request_over_scsi() -> None:
    command = scsi_discovery()
    assert command.cdb.hex() == "a2010001" + "0000" + "00000800" + "0000"
    assert command.data_in_bytes == 2048


def test_an_opal_drive_somebody_owns() -> None:
    found = decoded(TPER, LOCKED, GEOMETRY, OPAL_2, BLOCK_SID, DATA_REMOVAL)
    assert found.revision == (0, 1)
    assert found.codes == (1, 2, 3, 0x203, 0x402, 0x404)
    assert found.tper == TperFeature.SYNC | TperFeature.STREAMING
    assert found.locking == (
        LockingFeature.SUPPORTED
        | LockingFeature.ENABLED
        | LockingFeature.LOCKED
        | LockingFeature.MEDIA_ENCRYPTION
    )
    assert found.locked
    assert found.geometry == Geometry(True, 512, 8, 0)
    assert found.classes == (SubsystemClass(FeatureCode.OPAL_2, 2, 0x07FE, 1),)
    assert found.block_sid == BlockSid(True, True, True)
    mechanism = DataRemovalMechanism
    assert found.data_removal == DataRemoval(
        processing=True,
        interrupted=False,
        mechanisms=mechanism.BLOCK_ERASE | mechanism.CRYPTOGRAPHIC_ERASE | mechanism.VENDOR_SPECIFIC,
        # Overwrite has a time but is not supported; bits 1 and 5 of the formats mean minutes.
        estimates_s=(
            (mechanism.BLOCK_ERASE, 360),
            (mechanism.CRYPTOGRAPHIC_ERASE, 2),
            (mechanism.VENDOR_SPECIFIC, 7864200),
        ),
    )


def test_classes_and_unknown_features() -> None:
    found = decoded(feature(0x0100, struct.pack(">HH12x", 0x07FE, 2)), PYRITE_2, feature(0xC001, b"vendor"))
    assert [c.code for c in found.classes] == [FeatureCode.ENTERPRISE, FeatureCode.PYRITE_2]
    assert found.codes == (0x0100, 0x0303, 0xC001)
    assert found.has(FeatureCode.PYRITE_2)
    assert not found.has(FeatureCode.OPAL_2)
    assert (found.tper, found.locking, found.block_sid, found.data_removal) == (None,) * 4
    assert not found.locked


@pytest.mark.parametrize("code", [0x0100, 0x0200, 0x0203, 0x0301, 0x0302, 0x0303, 0x0304, 0x0305])
def test_every_subsystem_class_is_told(code: int) -> None:
    found = decoded(feature(code, struct.pack(">HH", 5, 6)))
    assert found.classes == (SubsystemClass(FeatureCode(code), 1, 5, 6),)


def test_a_drive_without_tcg_answers_nothing() -> None:
    assert decode_discovery(bytes(512)) is None


def test_zeros_counted_as_part_of_the_answer() -> None:
    data = bytearray(answer(TPER, LOCKED))
    data[0:4] = (2048 - 4).to_bytes(4, "big")
    found = decode_discovery(bytes(data))
    assert found is not None
    assert found.codes == (1, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(47),
        answer(TPER)[:60],
        b"\xff" * 2048,
        (44 - 1).to_bytes(4, "big") + bytes(100),
        answer(TPER, TPER),
        answer(feature(0x0002, b"")),
        answer(feature(0x0003, bytes(27))),
        answer(feature(0x0203, bytes(3))),
        answer(feature(0x0402, bytes(1))),
        answer(feature(0x0404, bytes(15))),
        answer(TPER, b"\x00\x02\x10\xff" + bytes(11)),
        answer(TPER, b"\x00\x02\x10"),
    ],
)
def test_answers_that_cannot_be(data: bytes) -> None:
    with pytest.raises(TcgDecodeError):
        decode_discovery(data)
