"""INQUIRY 12h: standard data, and the frame of the vital product data pages (SPC-5).

The pages themselves are in ``vpd`` (identity) and ``vpd_block`` (block devices).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be, bounded, require, text

__all__ = [
    "INQUIRY",
    "PeripheralType",
    "StandardInquiry",
    "VpdPage",
    "decode_inquiry",
    "inquiry",
    "inquiry_vpd",
    "vpd_body",
]

INQUIRY = 0x12
"""Operation code."""

_STANDARD_BYTES = 36


class PeripheralType(IntEnum):
    """PERIPHERAL DEVICE TYPE (SPC-5, Standard INQUIRY data), those a machine's drive list meets."""

    DIRECT_ACCESS = 0x00
    SEQUENTIAL_ACCESS = 0x01
    CD_DVD = 0x05
    STORAGE_ARRAY_CONTROLLER = 0x0C
    ENCLOSURE_SERVICES = 0x0D
    SIMPLIFIED_DIRECT_ACCESS = 0x0E
    HOST_MANAGED_ZONED = 0x14
    UNKNOWN = 0x1F


class VpdPage(IntEnum):
    """PAGE CODE of the vital product data pages we read."""

    SUPPORTED_PAGES = 0x00
    UNIT_SERIAL_NUMBER = 0x80
    DEVICE_IDENTIFICATION = 0x83
    ATA_INFORMATION = 0x89
    BLOCK_LIMITS = 0xB0
    BLOCK_DEVICE_CHARACTERISTICS = 0xB1
    LOGICAL_BLOCK_PROVISIONING = 0xB2


_VPD_ALLOCATION = {VpdPage.ATA_INFORMATION: 572, VpdPage.DEVICE_IDENTIFICATION: 1024}


class StandardInquiry(msgspec.Struct, frozen=True):
    """Standard INQUIRY data. Texts are without padding, ``None`` when blank."""

    qualifier: int
    """PERIPHERAL QUALIFIER: 0 connected, 1 not connected, 3 no such logical unit."""
    peripheral_type: int
    """See ``PeripheralType``; other values stay numbers."""
    removable: bool
    version: int
    """3 SPC, 4 SPC-2, 5 SPC-3, 6 SPC-4, 7 SPC-5; 0 claims no standard."""
    protect: bool
    """PROTECT: the drive can hold protection information."""
    vendor: str | None
    product: str | None
    revision: str | None


def inquiry(allocation: int = _STANDARD_BYTES) -> ScsiCommand:
    """Standard INQUIRY. More than 36 bytes hangs some USB bridges, so that is the default."""
    return _inquiry("INQUIRY", 0, 0, bounded(allocation, 5, 0xFFFF, "ALLOCATION LENGTH"))


def inquiry_vpd(page: VpdPage, allocation: int | None = None) -> ScsiCommand:
    """INQUIRY for one vital product data page, by default with room for all of it.

    The default is 252 bytes, which every bridge takes; more only for the pages that need more.
    """
    length = _VPD_ALLOCATION.get(page, 252) if allocation is None else allocation
    return _inquiry(f"INQUIRY VPD {page:02X}h", 1, page, bounded(length, 4, 0xFFFF, "ALLOCATION LENGTH"))


def decode_inquiry(data: bytes) -> StandardInquiry:
    """Decode standard INQUIRY data, 36 bytes at least; raises ``ScsiDecodeError``."""
    require(data, _STANDARD_BYTES, "standard INQUIRY data")
    return StandardInquiry(
        qualifier=data[0] >> 5,
        peripheral_type=data[0] & 0x1F,
        removable=bool(data[1] & 0x80),
        version=data[2],
        protect=bool(data[5] & 0x01),
        vendor=text(data[8:16]),
        product=text(data[16:32]),
        revision=text(data[32:36]),
    )


def vpd_body(data: bytes, page: VpdPage) -> bytes:
    """The bytes of a vital product data page after its 4-byte header.

    They may be fewer than PAGE LENGTH claims, when the transfer was short; every decoder says
    whether it can live with that. Raises ``ScsiDecodeError`` when it is another page: drives that
    don't know EVPD answer with standard data.
    """
    require(data, 4, f"VPD page {page:02X}h")
    if data[1] != page:
        raise ScsiDecodeError(f"asked for VPD page {page:02X}h, the drive returned {data[1]:02X}h")
    return bytes(data[4 : 4 + be(data, 2, 2)])


def _inquiry(name: str, evpd: int, page: int, allocation: int) -> ScsiCommand:
    cdb = bytes([INQUIRY, evpd, page]) + allocation.to_bytes(2, "big") + b"\0"
    return ScsiCommand(name, cdb, data_in_bytes=allocation)
