"""Hidden capacity: the Host Protected Area (F8h, 27h, F9h, 37h) and Accessible Max Address (78h).

All addresses are the number of the last sector, one less than the number of sectors. The Device
Configuration Overlay, which hides capacity underneath these two, is in :mod:`.dco`.
"""

from __future__ import annotations

from enum import IntEnum

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.status import require_good
from rasura_agent.drive.port import AtaCommand, AtaResult

__all__ = [
    "AmaFeature",
    "HiddenOpcode",
    "ama_freeze",
    "ama_get_native_max_address",
    "ama_set",
    "decode_max_lba",
    "hidden_sectors",
    "read_native_max_address",
    "read_native_max_address_ext",
    "set_max_address",
    "set_max_address_ext",
]

_TIMEOUT_S = 30.0
_LBA_MODE = 0x40
"""DEVICE bit 6. Without it these commands answer with cylinders, heads and sectors."""
_VOLATILE_VALUE = 1 << 0
"""COUNT bit 0 of SET MAX ADDRESS (EXT): one keeps the address over power-on."""
_LAST_LBA_28 = 0x0FFFFFFF
_SATURATED_28 = 0x0FFFFFFE
"""READ NATIVE MAX ADDRESS gives this (or 0FFFFFFFh) for whatever does not fit in 28 bits."""


class HiddenOpcode(IntEnum):
    """COMMAND field."""

    READ_NATIVE_MAX_ADDRESS_EXT = 0x27
    SET_MAX_ADDRESS_EXT = 0x37
    ACCESSIBLE_MAX_ADDRESS = 0x78
    READ_NATIVE_MAX_ADDRESS = 0xF8
    SET_MAX_ADDRESS = 0xF9


class AmaFeature(IntEnum):
    """FEATURE field of 78h, the Accessible Max Address Configuration feature set (ACS-3 and later)."""

    GET_NATIVE_MAX_ADDRESS_EXT = 0x0000
    SET_ACCESSIBLE_MAX_ADDRESS_EXT = 0x0001
    FREEZE_ACCESSIBLE_MAX_ADDRESS_EXT = 0x0002


def read_native_max_address() -> AtaCommand:
    """READ NATIVE MAX ADDRESS, 28-bit: for drives without the 48-bit Address feature set only."""
    return AtaCommand(
        "READ NATIVE MAX ADDRESS",
        HiddenOpcode.READ_NATIVE_MAX_ADDRESS,
        device=_LBA_MODE,
        timeout_s=_TIMEOUT_S,
    )


def read_native_max_address_ext() -> AtaCommand:
    """READ NATIVE MAX ADDRESS EXT. A SET MAX ADDRESS EXT must follow one immediately."""
    return AtaCommand(
        "READ NATIVE MAX ADDRESS EXT",
        HiddenOpcode.READ_NATIVE_MAX_ADDRESS_EXT,
        device=_LBA_MODE,
        ext=True,
        timeout_s=_TIMEOUT_S,
    )


def set_max_address(max_lba: int, *, permanent: bool) -> AtaCommand:
    """SET MAX ADDRESS, 28-bit; ``permanent`` keeps it over power-on.

    Drives take one permanent change a power cycle and answer the second with IDNF.
    Raises ``AtaEncodeError`` for an address beyond 28 bits.
    """
    if not 0 <= max_lba <= _LAST_LBA_28:
        raise AtaEncodeError(f"{max_lba} is no 28-bit address: SET MAX ADDRESS EXT takes larger ones")
    return AtaCommand(
        "SET MAX ADDRESS",
        HiddenOpcode.SET_MAX_ADDRESS,
        feature=0x00,
        count=_VOLATILE_VALUE if permanent else 0,
        lba=max_lba,
        device=_LBA_MODE,
        timeout_s=_TIMEOUT_S,
    )


def set_max_address_ext(max_lba: int, *, permanent: bool) -> AtaCommand:
    """SET MAX ADDRESS EXT; as :func:`set_max_address`, with a 48-bit address."""
    return AtaCommand(
        "SET MAX ADDRESS EXT",
        HiddenOpcode.SET_MAX_ADDRESS_EXT,
        count=_VOLATILE_VALUE if permanent else 0,
        lba=_lba48(max_lba),
        device=_LBA_MODE,
        ext=True,
        timeout_s=_TIMEOUT_S,
    )


def ama_get_native_max_address() -> AtaCommand:
    """GET NATIVE MAX ADDRESS EXT (78h, feature 0000h)."""
    return _ama("GET NATIVE MAX ADDRESS EXT", AmaFeature.GET_NATIVE_MAX_ADDRESS_EXT)


def ama_set(max_lba: int) -> AtaCommand:
    """SET ACCESSIBLE MAX ADDRESS EXT (78h, feature 0001h); always permanent, once a power cycle."""
    return _ama("SET ACCESSIBLE MAX ADDRESS EXT", AmaFeature.SET_ACCESSIBLE_MAX_ADDRESS_EXT, _lba48(max_lba))


def ama_freeze() -> AtaCommand:
    """FREEZE ACCESSIBLE MAX ADDRESS EXT (78h, feature 0002h), until the next power-on."""
    return _ama("FREEZE ACCESSIBLE MAX ADDRESS EXT", AmaFeature.FREEZE_ACCESSIBLE_MAX_ADDRESS_EXT)


def _ama(name: str, feature: AmaFeature, lba: int = 0) -> AtaCommand:
    return AtaCommand(
        name,
        HiddenOpcode.ACCESSIBLE_MAX_ADDRESS,
        feature=feature,
        lba=lba,
        device=_LBA_MODE,
        ext=True,
        timeout_s=_TIMEOUT_S,
    )


def _lba48(lba: int) -> int:
    if not 0 <= lba < 1 << 48:
        raise AtaEncodeError(f"{lba} is no 48-bit address")
    return lba


def decode_max_lba(command: AtaCommand, result: AtaResult) -> int:
    """The address of the last sector, as READ or GET NATIVE MAX ADDRESS (EXT) answered it.

    Raises ``AtaDecodeError`` if the command did not end well, or if its 28 bits are full and the
    true address is therefore not known.
    """
    require_good(result, command.name)
    if command.ext:
        return result.lba & 0xFFFF_FFFF_FFFF
    lba = result.lba & _LAST_LBA_28
    if lba >= _SATURATED_28:
        raise AtaDecodeError(f"{command.name} says {lba:07X}h, which stands for any address beyond 28 bits")
    return lba


def hidden_sectors(native_max_lba: int, accessible_sectors: int) -> int:
    """How many sectors lie beyond the accessible ones.

    Raises ``AtaDecodeError`` when the drive claims more accessible sectors than native ones:
    one of the two numbers is wrong.
    """
    hidden = native_max_lba + 1 - accessible_sectors
    if hidden < 0:
        raise AtaDecodeError(
            f"native maximum address {native_max_lba} lies below the {accessible_sectors} accessible sectors"
        )
    return hidden
