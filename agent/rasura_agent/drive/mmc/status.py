"""The 32-bit device status in R1 responses, and the fate of a command it tells (JESD84-B51 clause 6.13).

An R1 tells about two commands. Errors of type *r* concern the command it answers; those of type *x*
appear while the command runs, and those of type *b* always concern the command before: both are read
from the CMD13 that follows. Hence the two functions.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from rasura_agent.drive.port import Disposition

__all__ = ["CardState", "DeviceStatus", "accepted", "card_state", "completed"]


class DeviceStatus(IntFlag):
    """The bits of R1 that report errors or states (``R1_*`` of ``linux/mmc/mmc.h``)."""

    OUT_OF_RANGE = 1 << 31
    ADDRESS_ERROR = 1 << 30
    BLOCK_LEN_ERROR = 1 << 29
    ERASE_SEQ_ERROR = 1 << 28
    ERASE_PARAM = 1 << 27
    WP_VIOLATION = 1 << 26
    CARD_IS_LOCKED = 1 << 25
    LOCK_UNLOCK_FAILED = 1 << 24
    COM_CRC_ERROR = 1 << 23
    ILLEGAL_COMMAND = 1 << 22
    CARD_ECC_FAILED = 1 << 21
    CC_ERROR = 1 << 20
    ERROR = 1 << 19
    UNDERRUN = 1 << 18
    OVERRUN = 1 << 17
    CID_CSD_OVERWRITE = 1 << 16
    WP_ERASE_SKIP = 1 << 15
    ERASE_RESET = 1 << 13
    READY_FOR_DATA = 1 << 8
    SWITCH_ERROR = 1 << 7
    EXCEPTION_EVENT = 1 << 6


class CardState(IntEnum):
    """CURRENT_STATE, bits 12:9."""

    IDLE = 0
    READY = 1
    IDENTIFICATION = 2
    STANDBY = 3
    TRANSFER = 4
    DATA = 5
    RECEIVE = 6
    PROGRAM = 7
    DISCONNECT = 8
    BUS_TEST = 9
    SLEEP = 10


_NOT_ERRORS = DeviceStatus.CARD_IS_LOCKED | DeviceStatus.READY_FOR_DATA | DeviceStatus.EXCEPTION_EVENT
_ERRORS = ~_NOT_ERRORS & sum(DeviceStatus)

_REFUSED_AT_ONCE = (
    DeviceStatus.OUT_OF_RANGE
    | DeviceStatus.ADDRESS_ERROR
    | DeviceStatus.BLOCK_LEN_ERROR
    | DeviceStatus.ERASE_SEQ_ERROR
)
"""Of type *r*: seen in the answer to the command itself, before anything ran."""

_REFUSED_AFTER = DeviceStatus.ILLEGAL_COMMAND | DeviceStatus.ERASE_SEQ_ERROR | DeviceStatus.ERASE_PARAM
"""In the next CMD13: the command was illegal here, or its selection was, so that nothing was erased."""


def card_state(r1: int) -> CardState | None:
    """CURRENT_STATE, ``None`` for a reserved value."""
    value = r1 >> 9 & 0xF
    return CardState(value) if value <= CardState.SLEEP else None


def accepted(r1: int) -> tuple[Disposition, str]:
    """What the R1 that answers a command says of this very command, and the bits it goes by.

    All zeros are no answer: an addressed device is never in the idle state. ``DONE`` means that
    the device took the command; how it ended says :func:`completed`.
    """
    if not r1:
        return Disposition.UNKNOWN, "no response"
    errors = DeviceStatus(r1 & _ERRORS)
    if not errors:
        return Disposition.DONE, _words(r1)
    if errors & ~_REFUSED_AT_ONCE:
        return Disposition.UNKNOWN, _words(r1)
    return Disposition.REFUSED, _words(r1)


def completed(r1: int) -> tuple[Disposition, str]:
    """What the R1 of a CMD13 says of the command before it, and the bits it goes by.

    ``DONE`` only if no error bit is set and the device is back in the transfer state, ready.
    WP_ERASE_SKIP (a part was write protected and skipped) is ``UNKNOWN`` like any other error.
    """
    if not r1:
        return Disposition.UNKNOWN, "no response"
    errors = DeviceStatus(r1 & _ERRORS)
    if errors:
        refused = not errors & ~_REFUSED_AFTER
        return (Disposition.REFUSED if refused else Disposition.UNKNOWN), _words(r1)
    ready = card_state(r1) is CardState.TRANSFER and r1 & DeviceStatus.READY_FOR_DATA
    return (Disposition.DONE if ready else Disposition.UNKNOWN), _words(r1)


def _words(r1: int) -> str:
    state = card_state(r1)
    bits = [bit.name or "" for bit in DeviceStatus if r1 & bit]
    return " ".join([f"R1 {r1:08X}h:", state.name if state is not None else "reserved state", *bits])
