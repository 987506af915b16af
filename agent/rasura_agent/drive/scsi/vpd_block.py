"""Vital product data of block devices: limits, characteristics, provisioning (SBC-4).

These pages grew with the standard. A field beyond the end of a shorter page is ``None``: nobody
told us. So is a field whose value means "not reported".
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.scsi.fields import be, require
from rasura_agent.drive.scsi.inquiry import VpdPage, vpd_body

__all__ = [
    "BlockCharacteristics",
    "BlockLimits",
    "FormFactor",
    "LogicalBlockProvisioning",
    "ProvisioningType",
    "ReadAfterErase",
    "Zoned",
    "decode_block_characteristics",
    "decode_block_limits",
    "decode_provisioning",
]

_NON_ROTATING = 0x0001
_LOWEST_ROTATION_RATE = 0x0401


class BlockLimits(msgspec.Struct, frozen=True):
    """Block Limits B0h. Lengths are in logical blocks; ``None`` is "not reported"."""

    write_same_non_zero: bool
    """WSNZ: WRITE SAME with a NUMBER OF LOGICAL BLOCKS of 0 is not supported."""
    optimal_granularity: int | None
    maximum_transfer: int | None
    optimal_transfer: int | None
    maximum_unmap: int | None
    maximum_write_same: int | None


class ReadAfterErase(IntEnum):
    """WABEREQ and WACEREQ: what reads return after a sanitize, before the next write (SBC-4, page B1h)."""

    NOT_SPECIFIED = 0b00
    INDETERMINATE_DATA = 0b01
    """GOOD status, any data."""
    MEDIUM_ERROR = 0b10
    """CHECK CONDITION, MEDIUM ERROR with some code other than the next."""
    WRITE_REQUIRED = 0b11
    """CHECK CONDITION, MEDIUM ERROR, WRITE AFTER SANITIZE REQUIRED (11h/15h)."""


class FormFactor(IntEnum):
    """NOMINAL FORM FACTOR."""

    INCH_5_25 = 1
    INCH_3_5 = 2
    INCH_2_5 = 3
    INCH_1_8 = 4
    SMALLER = 5


class Zoned(IntEnum):
    """ZONED (SBC-4). A host-managed drive shows itself by its peripheral device type instead."""

    NOT_REPORTED = 0b00
    HOST_AWARE = 0b01
    DEVICE_MANAGED = 0b10
    RESERVED = 0b11


class BlockCharacteristics(msgspec.Struct, frozen=True):
    """Block Device Characteristics B1h."""

    rotational: bool | None
    rotation_rate: int | None
    """Revolutions per minute; ``None`` also for a non-rotating medium."""
    after_block_erase: ReadAfterErase | None
    after_crypto_erase: ReadAfterErase | None
    form_factor: FormFactor | None
    zoned: Zoned | None


class ProvisioningType(IntEnum):
    """PROVISIONING TYPE."""

    FULL_OR_UNKNOWN = 0
    RESOURCE = 1
    THIN = 2


class LogicalBlockProvisioning(msgspec.Struct, frozen=True):
    """Logical Block Provisioning B2h."""

    unmap: bool
    """LBPU: UNMAP is supported."""
    write_same_16_unmap: bool
    """LBPWS."""
    write_same_10_unmap: bool
    """LBPWS10."""
    read_zeros: int
    """LBPRZ: 0 indeterminate, odd values zeros (xx1b), 2 a provisioning initialization pattern."""
    anchor: bool
    """ANC_SUP."""
    provisioning: ProvisioningType | None


def decode_block_limits(data: bytes) -> BlockLimits:
    """Decode page B0h; raises ``ScsiDecodeError``."""
    body = vpd_body(data, VpdPage.BLOCK_LIMITS)
    require(body, 12, "Block Limits page")
    return BlockLimits(
        write_same_non_zero=bool(body[0] & 0x01),
        optimal_granularity=_reported(body, 2, 2),
        maximum_transfer=_reported(body, 4, 4),
        optimal_transfer=_reported(body, 8, 4),
        maximum_unmap=_reported(body, 16, 4),
        maximum_write_same=_reported(body, 32, 8),
    )


def decode_block_characteristics(data: bytes) -> BlockCharacteristics:
    """Decode page B1h; raises ``ScsiDecodeError``."""
    body = vpd_body(data, VpdPage.BLOCK_DEVICE_CHARACTERISTICS)
    require(body, 2, "Block Device Characteristics page")
    rate = be(body, 0, 2)
    turns = _LOWEST_ROTATION_RATE <= rate < 0xFFFF
    flags = body[3] if len(body) > 3 else None
    form = None if flags is None else flags & 0x0F
    return BlockCharacteristics(
        rotational=True if turns else False if rate == _NON_ROTATING else None,
        rotation_rate=rate if turns else None,
        after_block_erase=None if flags is None else ReadAfterErase(flags >> 6),
        after_crypto_erase=None if flags is None else ReadAfterErase(flags >> 4 & 0x03),
        form_factor=FormFactor(form) if form in tuple(FormFactor) else None,
        zoned=Zoned(body[4] >> 4 & 0x03) if len(body) > 4 else None,
    )


def decode_provisioning(data: bytes) -> LogicalBlockProvisioning:
    """Decode page B2h; raises ``ScsiDecodeError``."""
    body = vpd_body(data, VpdPage.LOGICAL_BLOCK_PROVISIONING)
    require(body, 4, "Logical Block Provisioning page")
    kind = body[2] & 0x07
    return LogicalBlockProvisioning(
        unmap=bool(body[1] & 0x80),
        write_same_16_unmap=bool(body[1] & 0x40),
        write_same_10_unmap=bool(body[1] & 0x20),
        read_zeros=body[1] >> 2 & 0x07,
        anchor=bool(body[1] & 0x02),
        provisioning=ProvisioningType(kind) if kind in tuple(ProvisioningType) else None,
    )


def _reported(body: bytes, offset: int, width: int) -> int | None:
    """A number where 0, or an end of page before it, means that it is not reported."""
    return be(body, offset, width) or None if len(body) >= offset + width else None
