"""Sense data as bytes (SPC-5 clause 4.4), and what every SCSI command of a simulated target ends with."""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

GOOD = 0x00
CHECK_CONDITION = 0x02


class SenseKey(IntEnum):
    """SENSE KEY field (SPC-5 table 48)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    ABORTED_COMMAND = 0xB


class Code:
    """Additional sense codes and qualifiers (SPC-5 table F.1) of which use is made here."""

    NONE = (0x00, 0x00)
    ATA_PASS_THROUGH_INFORMATION_AVAILABLE = (0x00, 0x1D)
    INITIALIZING_COMMAND_REQUIRED = (0x04, 0x02)
    FORMAT_IN_PROGRESS = (0x04, 0x04)
    SANITIZE_IN_PROGRESS = (0x04, 0x1B)
    WRITE_ERROR = (0x0C, 0x00)
    UNRECOVERED_READ_ERROR = (0x11, 0x00)
    UNRECOVERED_READ_ERROR_AUTO_REALLOCATE_FAILED = (0x11, 0x04)
    WRITE_AFTER_SANITIZE_REQUIRED = (0x11, 0x15)
    PARAMETER_LIST_LENGTH_ERROR = (0x1A, 0x00)
    INVALID_COMMAND_OPERATION_CODE = (0x20, 0x00)
    LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = (0x21, 0x00)
    INVALID_FIELD_IN_CDB = (0x24, 0x00)
    INVALID_FIELD_IN_PARAMETER_LIST = (0x26, 0x00)
    POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED = (0x29, 0x00)
    MEDIUM_FORMAT_CORRUPTED = (0x31, 0x00)
    FORMAT_COMMAND_FAILED = (0x31, 0x01)
    SANITIZE_COMMAND_FAILED = (0x31, 0x03)
    SAVING_PARAMETERS_NOT_SUPPORTED = (0x39, 0x00)
    INTERNAL_TARGET_FAILURE = (0x44, 0x00)
    DATA_PHASE_ERROR = (0x4B, 0x00)


class Answer(NamedTuple):
    """SCSI status, sense data (empty with GOOD) and data in."""

    status: int
    sense: bytes
    data: bytes


NOTHING = Answer(GOOD, b"", b"")
"""GOOD status and no data."""


@lru_cache(maxsize=4096)
def sense_data(
    key: int,
    code: tuple[int, int],
    *,
    descriptor: bool = False,
    progress: int | None = None,
    field: int | None = None,
    information: int | None = None,
) -> bytes:
    """Current sense data, fixed format (70h, 18 bytes) or descriptor format (72h).

    ``progress`` and ``field`` (the CDB byte that is wrong) share the sense key specific bytes: whoever takes
    the one for the other is wrong.
    """
    specific = b""
    if progress is not None:
        specific = struct.pack(">BH", 0x80, progress)
    elif field is not None:
        specific = struct.pack(">BH", 0xC0, field)
    if not descriptor:
        valid = information is not None and information < 1 << 32
        return struct.pack(
            ">BBBIB4xBBB3s",
            0x70 | valid << 7,
            0,
            key,
            information if valid and information is not None else 0,
            10,
            *code,
            0,
            specific,
        )
    descriptors = b""
    if information is not None:
        descriptors += struct.pack(">BBBBQ", 0x00, 0x0A, 0x80, 0, information)
    if specific:
        descriptors += struct.pack(">BBxx3sx", 0x02, 0x06, specific)
    return struct.pack(">BBBB3xB", 0x72, key, *code, len(descriptors)) + descriptors


def check(
    key: SenseKey,
    code: tuple[int, int],
    *,
    descriptor: bool = False,
    progress: int | None = None,
    field: int | None = None,
    information: int | None = None,
) -> Answer:
    """CHECK CONDITION with sense data."""
    sense = sense_data(
        int(key), code, descriptor=descriptor, progress=progress, field=field, information=information
    )
    return Answer(CHECK_CONDITION, sense, b"")


class CheckConditionError(Exception):
    """A simulated SCSI drive ends a command with CHECK CONDITION; who catches it knows the format."""

    def __init__(
        self,
        key: SenseKey,
        code: tuple[int, int],
        *,
        progress: int | None = None,
        field: int | None = None,
        information: int | None = None,
    ) -> None:
        super().__init__(key, code)
        self.key = key
        self.code = code
        self.progress = progress
        self.field = field
        self.information = information

    def answer(self, *, descriptor: bool) -> Answer:
        """The status and sense data."""
        return check(
            self.key,
            self.code,
            descriptor=descriptor,
            progress=self.progress,
            field=self.field,
            information=self.information,
        )


def invalid_field(byte: int) -> CheckConditionError:
    """Byte ``byte`` of the CDB is wrong."""
    return CheckConditionError(SenseKey.ILLEGAL_REQUEST, Code.INVALID_FIELD_IN_CDB, field=byte)


def invalid_parameter() -> CheckConditionError:
    """The parameter list says something wrong."""
    return CheckConditionError(SenseKey.ILLEGAL_REQUEST, Code.INVALID_FIELD_IN_PARAMETER_LIST)


def wrong_length() -> CheckConditionError:
    """The parameter list is too short or too long."""
    return CheckConditionError(SenseKey.ILLEGAL_REQUEST, Code.PARAMETER_LIST_LENGTH_ERROR)


def ata_sense(
    key: int,
    code: tuple[int, int],
    *,
    ext: bool,
    error: int,
    status: int,
    count: int,
    lba: int,
    device: int,
    fixed: bool = False,
) -> bytes:
    """Sense data with what an ATA command ended with (SAT-4 clauses 12.2.2.6 and 12.2.2.7)."""
    if fixed:
        information = (error << 24 | status << 16 | device << 8 | count & 0xFF).to_bytes(4, "big")
        flags = ext << 7 | (count > 0xFF) << 6 | (lba >> 24 > 0) << 5
        specific = bytes((flags, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF))
        return bytes((0x70, 0, key)) + information + b"\x0a" + specific + bytes((*code, 0, 0, 0, 0))
    if not ext:
        count &= 0xFF
        lba &= 0xFFFFFF
    return bytes(
        (
            *(0x72, key, *code, 0, 0, 0, 14),
            *(0x09, 0x0C, ext, error),
            *(count >> 8, count & 0xFF),
            *(lba >> 24 & 0xFF, lba & 0xFF, lba >> 32 & 0xFF, lba >> 8 & 0xFF, lba >> 40, lba >> 16 & 0xFF),
            *(device, status),
        )
    )
