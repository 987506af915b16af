"""Vital product data that says which drive this is: 00h, 80h, 83h (SPC-5) and 89h (SAT-4)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be, require, text
from rasura_agent.drive.scsi.inquiry import VpdPage, vpd_body

__all__ = [
    "Association",
    "AtaInformation",
    "CodeSet",
    "Designator",
    "DesignatorType",
    "decode_ata_information",
    "decode_designators",
    "decode_serial",
    "decode_supported_pages",
    "logical_unit_name",
]


class Association(IntEnum):
    """ASSOCIATION: what a designator names (SPC-5, Device Identification VPD page)."""

    LOGICAL_UNIT = 0
    TARGET_PORT = 1
    TARGET_DEVICE = 2
    RESERVED = 3


class CodeSet(IntEnum):
    """CODE SET of a designator (SPC-5, Device Identification VPD page)."""

    BINARY = 1
    ASCII = 2
    UTF_8 = 3


class DesignatorType(IntEnum):
    """DESIGNATOR TYPE (SPC-5, Device Identification VPD page)."""

    VENDOR_SPECIFIC = 0x0
    T10_VENDOR_ID = 0x1
    EUI_64 = 0x2
    NAA = 0x3
    RELATIVE_TARGET_PORT = 0x4
    TARGET_PORT_GROUP = 0x5
    LOGICAL_UNIT_GROUP = 0x6
    MD5 = 0x7
    SCSI_NAME_STRING = 0x8
    PROTOCOL_SPECIFIC_PORT = 0x9
    UUID = 0xA


class Designator(msgspec.Struct, frozen=True):
    """One designation descriptor. ``kind`` and ``code_set`` may be values the enums don't know."""

    association: Association
    kind: int
    code_set: int
    data: bytes


class AtaInformation(msgspec.Struct, frozen=True):
    """ATA Information page: the SCSI/ATA translator, and the ATA drive behind it.

    ``identify`` is the 512 bytes of IDENTIFY (PACKET) DEVICE as the translator read them once;
    a pass-through IDENTIFY is fresher. ``command`` is ECh, or A1h for a packet device.
    """

    translator_vendor: str | None
    translator_product: str | None
    translator_revision: str | None
    signature: bytes
    """Initial Device to Host register FIS, 20 bytes; byte 0 is 34h for SATA."""
    command: int
    identify: bytes


def decode_supported_pages(data: bytes) -> frozenset[int]:
    """Decode page 00h: the page codes the drive knows; raises ``ScsiDecodeError``.

    A page that says it supports nothing, not even itself, is an error.
    """
    pages = frozenset(vpd_body(data, VpdPage.SUPPORTED_PAGES))
    if VpdPage.SUPPORTED_PAGES not in pages:
        raise ScsiDecodeError("the list of VPD pages does not name itself")
    return pages


def decode_serial(data: bytes) -> str | None:
    """Decode page 80h, ``None`` for a blank serial number; raises ``ScsiDecodeError`` also when cut short."""
    return text(_whole_body(data, VpdPage.UNIT_SERIAL_NUMBER))


def decode_designators(data: bytes) -> tuple[Designator, ...]:
    """Decode page 83h; raises ``ScsiDecodeError``, also when it was cut short: half a name is no name."""
    body = _whole_body(data, VpdPage.DEVICE_IDENTIFICATION)
    found = []
    offset = 0
    while offset < len(body):
        header = body[offset : offset + 4]
        require(header, 4, "designation descriptor header")
        end = offset + 4 + header[3]
        require(body, end, "designation descriptors")
        found.append(
            Designator(
                association=Association(header[1] >> 4 & 0x03),
                kind=header[1] & 0x0F,
                code_set=header[0] & 0x0F,
                data=body[offset + 4 : end],
            )
        )
        offset = end
    return tuple(found)


def logical_unit_name(designators: tuple[Designator, ...]) -> str | None:
    """The world-wide name of the logical unit, such as ``naa.5000c50030cb2b11``; ``None`` without one.

    Names of ports and of the target are not the drive's. Preferred in the order the kernel has:
    NAA 6, EUI-64 of 16 then 12 bytes, NAA 5, then EUI-64 of 8 bytes, NAA 2, and a SCSI name string
    of either kind. NAA 3 (locally assigned), T10 and vendor-specific identifiers are not world-wide.
    """
    ranked = [
        (rank, name)
        for designator in designators
        if designator.association is Association.LOGICAL_UNIT
        for rank, name in [_world_wide_name(designator)]
        if name is not None
    ]
    return min(ranked)[1] if ranked else None


def decode_ata_information(data: bytes) -> AtaInformation:
    """Decode page 89h, 572 bytes; raises ``ScsiDecodeError``, also when it was cut short."""
    body = vpd_body(data, VpdPage.ATA_INFORMATION)
    require(body, 568, "ATA Information page")
    return AtaInformation(
        translator_vendor=text(body[4:12]),
        translator_product=text(body[12:28]),
        translator_revision=text(body[28:32]),
        signature=body[32:52],
        command=body[52],
        identify=body[56:568],
    )


def _whole_body(data: bytes, page: VpdPage) -> bytes:
    body = vpd_body(data, page)
    if len(body) < be(data, 2, 2):
        raise ScsiDecodeError(f"VPD page {page:02X}h was cut short")
    return body


_NAA_RANK = {(6, 16): 0, (5, 8): 3, (2, 8): 5}
_EUI_RANK = {16: 1, 12: 2, 8: 4}
_NAME_STRING_RANK = 6
_NO_NAME = (99, None)


def _world_wide_name(designator: Designator) -> tuple[int, str | None]:
    """How good a name the designator is (less is better), and the name."""
    raw = designator.data
    if designator.kind == DesignatorType.SCSI_NAME_STRING and designator.code_set == CodeSet.UTF_8:
        name = (text(raw) or "").lower()
        return (_NAME_STRING_RANK, name) if name.startswith(("naa.", "eui.")) else _NO_NAME
    if designator.code_set != CodeSet.BINARY or not any(raw):
        return _NO_NAME
    if designator.kind == DesignatorType.NAA:
        rank = _NAA_RANK.get((raw[0] >> 4, len(raw)))
        return _NO_NAME if rank is None else (rank, f"naa.{raw.hex()}")
    if designator.kind == DesignatorType.EUI_64:
        rank = _EUI_RANK.get(len(raw))
        return _NO_NAME if rank is None else (rank, f"eui.{raw.hex()}")
    return _NO_NAME
