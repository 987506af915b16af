"""How MMC commands are put together: opcodes, response flags, CMD6, CMD8 and CMD13.

Opcodes and response types are those of JESD84-B51 clause 6.10; the flags are the ones the kernel
wants with them (``linux/mmc/core.h``), for a native and for an SPI host at once.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from rasura.errors import UsageError
from rasura_agent.drive.port import MmcCommand

__all__ = [
    "EMMC_RCA",
    "EXT_CSD_BYTES",
    "R1",
    "R1B",
    "Opcode",
    "ResponseFlags",
    "send_ext_csd",
    "send_status",
    "switch_byte",
]

EXT_CSD_BYTES = 512
EMMC_RCA = 1
"""The relative address Linux gives every eMMC; an SD card chooses its own (sysfs ``rca``)."""


class Opcode(IntEnum):
    """Command indices."""

    SWITCH = 6
    SEND_EXT_CSD = 8
    SEND_STATUS = 13
    ERASE_GROUP_START = 35
    ERASE_GROUP_END = 36
    ERASE = 38


class ResponseFlags(IntFlag):
    """``MMC_RSP_*`` and ``MMC_CMD_*`` of ``linux/mmc/core.h``; MMC_CMD_AC is 0."""

    PRESENT = 1 << 0
    CRC = 1 << 2
    BUSY = 1 << 3
    OPCODE = 1 << 4
    ADTC = 1 << 5
    SPI_S1 = 1 << 7
    SPI_BUSY = 1 << 10


R1 = ResponseFlags.PRESENT | ResponseFlags.CRC | ResponseFlags.OPCODE | ResponseFlags.SPI_S1
R1B = R1 | ResponseFlags.BUSY | ResponseFlags.SPI_BUSY

_ACCESS_WRITE_BYTE = 3
"""Access field of CMD6: the value replaces the byte (JESD84-B51 clause 6.6.1)."""
_CMD_SET_NORMAL = 1
"""As the kernel sends it; the field counts only when the access mode is 0."""


def send_ext_csd() -> MmcCommand:
    """CMD8: read the Extended CSD register, 512 bytes."""
    return MmcCommand(
        "SEND_EXT_CSD", Opcode.SEND_EXT_CSD, flags=R1 | ResponseFlags.ADTC, data_in_bytes=EXT_CSD_BYTES
    )


def send_status(rca: int) -> MmcCommand:
    """CMD13: the device status; it also tells how the command before it went.

    Raises:
        UsageError: the relative card address does not have 16 bits.
    """
    if not 0 <= rca <= 0xFFFF:
        raise UsageError(f"a relative card address has 16 bits, {rca} does not fit")
    return MmcCommand("SEND_STATUS", Opcode.SEND_STATUS, arg=rca << 16, flags=R1)


def switch_byte(name: str, index: int, value: int, *, timeout_s: float) -> MmcCommand:
    """CMD6: write one byte of the Extended CSD register; the device stays busy until it is done.

    Raises:
        UsageError: ``index`` is not in the writable half (0 to 191), or ``value`` is no byte.
    """
    if not 0 <= index <= 191 or not 0 <= value <= 0xFF:
        raise UsageError(f"EXT_CSD[{index}] cannot be set to {value}")
    return MmcCommand(
        name,
        Opcode.SWITCH,
        arg=_ACCESS_WRITE_BYTE << 24 | index << 16 | value << 8 | _CMD_SET_NORMAL,
        flags=R1B,
        timeout_s=timeout_s,
    )
