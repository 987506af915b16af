"""The Device Configuration Overlay: DEVICE CONFIGURATION (B1h), and the 512 bytes it shows and takes.

Obsolete since ACS-3, alive in older drives. An overlay hides capacity and features underneath the
Host Protected Area: RESTORE is aborted while an HPA is set, so the HPA goes first.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.words import ATA_SECTOR_BYTES, bit, integrity, qword, seal, to_words
from rasura_agent.drive.port import AtaCommand, AtaProtocol

__all__ = [
    "DEVICE_CONFIGURATION",
    "DcoFeature",
    "DcoIdentify",
    "dco_freeze_lock",
    "dco_identify",
    "dco_restore",
    "dco_set",
    "decode_dco_identify",
    "with_max_lba",
]

DEVICE_CONFIGURATION = 0xB1

_TIMEOUT_S = 30.0
_MAX_LBA_AT = 6
_MAX_LBA_BYTES = 8


class DcoFeature(IntEnum):
    """FEATURE field of DEVICE CONFIGURATION (ATA8-ACS)."""

    RESTORE = 0xC0
    FREEZE_LOCK = 0xC1
    IDENTIFY = 0xC2
    SET = 0xC3


class DcoIdentify(msgspec.Struct, frozen=True):
    """What the drive could be without an overlay (ATA8-ACS, DEVICE CONFIGURATION IDENTIFY data)."""

    revision: int
    max_lba: int
    """Address of the last sector in the factory condition."""
    security: bool
    """Whether the Security feature set exists and may be switched off by an overlay; likewise below."""
    hpa: bool
    lba48: bool
    smart: bool
    checksum_valid: bool | None
    """``None`` when the signature A5h is absent. With ``False`` no field here may be relied on."""
    raw: bytes

    @property
    def sectors(self) -> int:
        """The number of sectors in the factory condition."""
        return self.max_lba + 1


def dco_restore() -> AtaCommand:
    """DEVICE CONFIGURATION RESTORE: back to the factory condition, after the next power-on."""
    return _non_data("DEVICE CONFIGURATION RESTORE", DcoFeature.RESTORE)


def dco_freeze_lock() -> AtaCommand:
    """DEVICE CONFIGURATION FREEZE LOCK, until the next power-on."""
    return _non_data("DEVICE CONFIGURATION FREEZE LOCK", DcoFeature.FREEZE_LOCK)


def _non_data(name: str, feature: DcoFeature) -> AtaCommand:
    return AtaCommand(name, DEVICE_CONFIGURATION, feature=feature, timeout_s=_TIMEOUT_S)


def dco_identify() -> AtaCommand:
    """DEVICE CONFIGURATION IDENTIFY; aborted when frozen."""
    return AtaCommand(
        "DEVICE CONFIGURATION IDENTIFY",
        DEVICE_CONFIGURATION,
        AtaProtocol.PIO_IN,
        feature=DcoFeature.IDENTIFY,
        count=1,
        data_in_bytes=ATA_SECTOR_BYTES,
        timeout_s=_TIMEOUT_S,
    )


def dco_set(block: bytes) -> AtaCommand:
    """DEVICE CONFIGURATION SET with a whole sealed block, such as :func:`with_max_lba` makes.

    Raises ``AtaEncodeError`` unless ``block`` has 512 bytes and a valid checksum.
    """
    if len(block) != ATA_SECTOR_BYTES or not integrity(block):
        raise AtaEncodeError("DEVICE CONFIGURATION SET takes 512 bytes with signature and checksum")
    return AtaCommand(
        "DEVICE CONFIGURATION SET",
        DEVICE_CONFIGURATION,
        AtaProtocol.PIO_OUT,
        feature=DcoFeature.SET,
        count=1,
        data_out=block,
        timeout_s=_TIMEOUT_S,
    )


def decode_dco_identify(data: bytes) -> DcoIdentify:
    """Read the answer to DEVICE CONFIGURATION IDENTIFY.

    Raises ``AtaDecodeError`` unless it is 512 bytes with a revision in it.
    """
    words = to_words(data, "DEVICE CONFIGURATION IDENTIFY data")
    if words[0] in {0x0000, 0xFFFF}:
        raise AtaDecodeError(f"DEVICE CONFIGURATION IDENTIFY data has revision {words[0]:04X}h")
    features = words[7]
    return DcoIdentify(
        revision=words[0],
        max_lba=qword(words, _MAX_LBA_AT // 2),
        security=bit(features, 3),
        hpa=bit(features, 7),
        lba48=bit(features, 8),
        smart=bit(features, 0),
        checksum_valid=integrity(data),
        raw=bytes(data),
    )


def with_max_lba(identify: DcoIdentify, max_lba: int) -> bytes:
    """The 512 bytes for DEVICE CONFIGURATION SET: ``identify`` with another last address, sealed anew.

    Raises ``AtaEncodeError`` for an address that the drive does not have.
    """
    if not 0 <= max_lba <= identify.max_lba:
        raise AtaEncodeError(
            f"an overlay can only lower the last address {identify.max_lba}, not make it {max_lba}"
        )
    address = max_lba.to_bytes(_MAX_LBA_BYTES, "little")
    return seal(identify.raw[:_MAX_LBA_AT] + address + identify.raw[_MAX_LBA_AT + _MAX_LBA_BYTES :])
