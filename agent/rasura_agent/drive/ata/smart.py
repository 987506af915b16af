"""The SMART feature set: SMART (B0h), its data structure and its verdict."""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError
from rasura_agent.drive.ata.status import require_good
from rasura_agent.drive.ata.words import ATA_SECTOR_BYTES, to_words
from rasura_agent.drive.port import AtaCommand, AtaProtocol, AtaResult

__all__ = [
    "SMART",
    "SelfTest",
    "SelfTestStatus",
    "SmartAttribute",
    "SmartData",
    "SmartFeature",
    "SmartStatus",
    "decode_return_status",
    "decode_smart_data",
    "smart_execute_offline",
    "smart_read_data",
    "smart_return_status",
]

SMART = 0xB0

_KEY = 0xC24F00
"""LBA 23:8 of every SMART command: C2h and 4Fh."""
_STATUS_PASSED = 0xC24F
_STATUS_EXCEEDED = 0x2CF4

_ATTRIBUTES_AT, _ATTRIBUTE_BYTES, _ATTRIBUTES = 2, 12, 30


class SmartFeature(IntEnum):
    """FEATURE field of SMART."""

    READ_DATA = 0xD0
    EXECUTE_OFFLINE_IMMEDIATE = 0xD4
    RETURN_STATUS = 0xDA


class SelfTest(IntEnum):
    """Subcommands of SMART EXECUTE OFF-LINE IMMEDIATE that run in the background.

    The captive ones (80h and up) keep the drive busy for hours and are left out on purpose.
    """

    OFFLINE = 0x00
    SHORT = 0x01
    EXTENDED = 0x02
    CONVEYANCE = 0x03
    ABORT = 0x7F


class SmartStatus(Enum):
    """What SMART RETURN STATUS says."""

    PASSED = "passed"
    THRESHOLD_EXCEEDED = "threshold exceeded"


class SelfTestStatus(IntEnum):
    """Self-test execution status, bits 7:4 of byte 363 of the SMART data."""

    COMPLETED = 0x0
    ABORTED_BY_HOST = 0x1
    INTERRUPTED_BY_RESET = 0x2
    FATAL_ERROR = 0x3
    UNKNOWN_FAILURE = 0x4
    ELECTRICAL_FAILURE = 0x5
    SERVO_FAILURE = 0x6
    READ_FAILURE = 0x7
    HANDLING_DAMAGE = 0x8
    IN_PROGRESS = 0xF


class SmartAttribute(msgspec.Struct, frozen=True):
    """One vendor attribute. ``raw`` is 48 bits whose meaning is the vendor's."""

    id: int
    flags: int
    value: int
    worst: int
    raw: int


class SmartData(msgspec.Struct, frozen=True):
    """The device SMART data structure; times in minutes, ``None`` where the drive reports none."""

    attributes: tuple[SmartAttribute, ...]
    self_test: SelfTestStatus | None
    """``None`` for a reserved value."""
    self_test_remaining_percent: int
    short_test_minutes: int | None
    extended_test_minutes: int | None
    conveyance_test_minutes: int | None


def smart_read_data() -> AtaCommand:
    """SMART READ DATA (D0h): 512 bytes for :func:`decode_smart_data`."""
    return AtaCommand(
        "SMART READ DATA",
        SMART,
        AtaProtocol.PIO_IN,
        feature=SmartFeature.READ_DATA,
        count=1,
        lba=_KEY,
        data_in_bytes=ATA_SECTOR_BYTES,
    )


def smart_return_status() -> AtaCommand:
    """SMART RETURN STATUS (DAh): the drive's own verdict, for :func:`decode_return_status`."""
    return AtaCommand("SMART RETURN STATUS", SMART, feature=SmartFeature.RETURN_STATUS, lba=_KEY)


def smart_execute_offline(test: SelfTest) -> AtaCommand:
    """SMART EXECUTE OFF-LINE IMMEDIATE (D4h): start, or abort, a test in the background."""
    return AtaCommand(
        f"SMART EXECUTE OFF-LINE IMMEDIATE ({test.name})",
        SMART,
        feature=SmartFeature.EXECUTE_OFFLINE_IMMEDIATE,
        lba=_KEY | test,
        timeout_s=30.0,
    )


def decode_return_status(result: AtaResult) -> SmartStatus:
    """The verdict in LBA 23:8 of a SMART RETURN STATUS.

    Raises ``AtaDecodeError`` if the command did not end well or if the registers hold neither of
    the two values, as they do behind bridges that don't bring registers back.
    """
    require_good(result, "SMART RETURN STATUS")
    verdict = result.lba >> 8 & 0xFFFF
    if verdict == _STATUS_PASSED:
        return SmartStatus.PASSED
    if verdict == _STATUS_EXCEEDED:
        return SmartStatus.THRESHOLD_EXCEEDED
    raise AtaDecodeError(f"SMART RETURN STATUS brought back {verdict:04X}h, neither good nor bad")


def decode_smart_data(data: bytes) -> SmartData:
    """Read the answer to SMART READ DATA.

    Raises ``AtaDecodeError`` unless it is 512 bytes that sum to zero.
    """
    to_words(data, "SMART data")
    if not any(data) or sum(data) % 256:
        raise AtaDecodeError("SMART data has a wrong checksum")
    extended = data[373] if data[373] != 0xFF else data[375] | data[376] << 8
    status = data[363] >> 4
    return SmartData(
        attributes=tuple(
            attribute
            for at in range(_ATTRIBUTES_AT, _ATTRIBUTES_AT + _ATTRIBUTES * _ATTRIBUTE_BYTES, _ATTRIBUTE_BYTES)
            if (attribute := _attribute(data[at : at + _ATTRIBUTE_BYTES])).id
        ),
        self_test=SelfTestStatus(status) if status in set(SelfTestStatus) else None,
        self_test_remaining_percent=(data[363] & 0xF) * 10,
        short_test_minutes=data[372] or None,
        extended_test_minutes=extended or None,
        conveyance_test_minutes=data[374] or None,
    )


def _attribute(entry: bytes) -> SmartAttribute:
    return SmartAttribute(
        id=entry[0],
        flags=int.from_bytes(entry[1:3], "little"),
        value=entry[3],
        worst=entry[4],
        raw=int.from_bytes(entry[5:11], "little"),
    )
