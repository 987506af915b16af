"""Sense data: what a drive says about a command, or about itself (SPC-5, Sense data)."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from rasura_agent.drive.port import SenseData
from rasura_agent.drive.scsi.fields import be

__all__ = [
    "Additional",
    "SenseKey",
    "additional_name",
    "carries_additional_sense",
    "descriptors",
    "is_reset",
    "is_whole",
    "matches",
    "parse_sense",
    "sense_text",
]

_FIXED = (0x70, 0x71)
_DESCRIPTOR = (0x72, 0x73)
_DEFERRED = (0x71, 0x73)

# Sense data descriptor types (SPC-5, Descriptor format sense data).
_INFORMATION_DESCRIPTOR = 0x00
_SENSE_KEY_SPECIFIC_DESCRIPTOR = 0x02

_FIXED_ASCQ_END = 14
_DESCRIPTOR_ASCQ_END = 4


class SenseKey(IntEnum):
    """SENSE KEY (SPC-5, Sense key and additional sense code definitions)."""

    NO_SENSE = 0x0
    RECOVERED_ERROR = 0x1
    NOT_READY = 0x2
    MEDIUM_ERROR = 0x3
    HARDWARE_ERROR = 0x4
    ILLEGAL_REQUEST = 0x5
    UNIT_ATTENTION = 0x6
    DATA_PROTECT = 0x7
    BLANK_CHECK = 0x8
    VENDOR_SPECIFIC = 0x9
    COPY_ABORTED = 0xA
    ABORTED_COMMAND = 0xB
    RESERVED = 0xC
    VOLUME_OVERFLOW = 0xD
    MISCOMPARE = 0xE
    COMPLETED = 0xF


class Additional(IntEnum):
    """Additional sense codes we act on or meet often: ASC << 8 | ASCQ (SPC-5, ASC and ASCQ assignments)."""

    NO_ADDITIONAL_SENSE_INFORMATION = 0x0000
    ATA_PASS_THROUGH_INFORMATION_AVAILABLE = 0x001D
    LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE = 0x0400
    LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY = 0x0401
    LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED = 0x0402
    LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED = 0x0403
    LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS = 0x0404
    LOGICAL_UNIT_NOT_READY_SELF_TEST_IN_PROGRESS = 0x0409
    LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS = 0x041B
    WARNING_SPECIFIED_TEMPERATURE_EXCEEDED = 0x0B01
    WRITE_ERROR = 0x0C00
    UNRECOVERED_READ_ERROR = 0x1100
    WRITE_AFTER_SANITIZE_REQUIRED = 0x1115
    PARAMETER_LIST_LENGTH_ERROR = 0x1A00
    INVALID_COMMAND_OPERATION_CODE = 0x2000
    LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = 0x2100
    INVALID_FIELD_IN_CDB = 0x2400
    LOGICAL_UNIT_NOT_SUPPORTED = 0x2500
    INVALID_FIELD_IN_PARAMETER_LIST = 0x2600
    PARAMETER_VALUE_INVALID = 0x2602
    WRITE_PROTECTED = 0x2700
    HARDWARE_WRITE_PROTECTED = 0x2701
    LOGICAL_UNIT_SOFTWARE_WRITE_PROTECTED = 0x2702
    NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED = 0x2800
    POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED = 0x2900
    POWER_ON_OCCURRED = 0x2901
    SCSI_BUS_RESET_OCCURRED = 0x2902
    BUS_DEVICE_RESET_FUNCTION_OCCURRED = 0x2903
    DEVICE_INTERNAL_RESET = 0x2904
    I_T_NEXUS_LOSS_OCCURRED = 0x2907
    MODE_PARAMETERS_CHANGED = 0x2A01
    CAPACITY_DATA_HAS_CHANGED = 0x2A09
    COMMAND_SEQUENCE_ERROR = 0x2C00
    MEDIUM_FORMAT_CORRUPTED = 0x3100
    FORMAT_COMMAND_FAILED = 0x3101
    SANITIZE_COMMAND_FAILED = 0x3103
    ROUNDED_PARAMETER = 0x3700
    MEDIUM_NOT_PRESENT = 0x3A00
    INTERNAL_TARGET_FAILURE = 0x4400
    FAILURE_PREDICTION_THRESHOLD_EXCEEDED = 0x5D00
    LOW_POWER_CONDITION_ON = 0x5E00


# Whole families, for the pairs that have no name of their own above.
_ASC_FAMILIES = {
    0x04: "LOGICAL UNIT NOT READY",
    0x0B: "WARNING",
    0x0C: "WRITE ERROR",
    0x11: "UNRECOVERED READ ERROR",
    0x20: "INVALID COMMAND OPERATION CODE",
    0x21: "LOGICAL BLOCK ADDRESS OUT OF RANGE",
    0x24: "INVALID FIELD IN CDB",
    0x26: "INVALID FIELD IN PARAMETER LIST",
    0x27: "WRITE PROTECTED",
    0x28: "NOT READY TO READY CHANGE",
    0x29: "RESET OCCURRED",
    0x2A: "PARAMETERS CHANGED",
    0x2C: "COMMAND SEQUENCE ERROR",
    0x31: "MEDIUM FORMAT CORRUPTED",
    0x3A: "MEDIUM NOT PRESENT",
    0x3F: "TARGET OPERATING CONDITIONS HAVE CHANGED",
    0x44: "INTERNAL TARGET FAILURE",
    0x5D: "FAILURE PREDICTION THRESHOLD EXCEEDED",
    0x5E: "LOW POWER CONDITION",
    0x74: "SECURITY ERROR",
}

_RESET_ASC = 0x29


def parse_sense(raw: bytes) -> SenseData | None:
    """Decode sense data as it came with a command or as REQUEST SENSE returned it.

    ``None`` when ``raw`` is no current or deferred sense data of either format: a missing
    description is a state of its own, which no caller may take for success. Truncated sense data
    is decoded as far as it goes; absent codes are 0.
    """
    if not raw:
        return None
    code = raw[0] & 0x7F
    if code in _FIXED:
        return _parse_fixed(raw, code)
    if code in _DESCRIPTOR:
        return _parse_descriptor(raw, code)
    return None


def carries_additional_sense(sense: SenseData) -> bool:
    """Whether ASC and ASCQ were really in the sense data, and are not 0 only because it was cut short."""
    end = _FIXED_ASCQ_END if sense.response_code in _FIXED else _DESCRIPTOR_ASCQ_END
    return _valid_end(sense.raw) >= end


def is_whole(sense: SenseData) -> bool:
    """Whether nothing of the sense data was cut off: it has its codes and is as long as it claims."""
    raw = sense.raw
    return carries_additional_sense(sense) and len(raw) >= 8 and len(raw) >= 8 + raw[7]


def descriptors(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The descriptors of descriptor-format sense data: DESCRIPTOR TYPE and the whole descriptor.

    Yields nothing for fixed format; a descriptor cut short ends the walk.
    """
    if not raw or raw[0] & 0x7F not in _DESCRIPTOR:
        return
    end = _valid_end(raw)
    offset = 8
    while offset + 2 <= end:
        length = raw[offset + 1] + 2
        if offset + length > end:
            return
        yield raw[offset], raw[offset : offset + length]
        offset += length


def matches(sense: SenseData, *codes: Additional) -> bool:
    """Whether the additional sense code is one of ``codes``."""
    return (sense.asc << 8 | sense.ascq) in codes


def is_reset(sense: SenseData) -> bool:
    """Whether the drive reports that it was reset (29h/xx): earlier errors may have been lost with it."""
    return sense.key == SenseKey.UNIT_ATTENTION and sense.asc == _RESET_ASC


def additional_name(asc: int, ascq: int) -> str:
    """The name of an additional sense code, in the capitals of the standard; empty when we know none."""
    try:
        return Additional(asc << 8 | ascq).name.replace("_", " ")
    except ValueError:
        return _ASC_FAMILIES.get(asc, "")


def sense_text(sense: SenseData) -> str:
    """One line for evidence, such as ``MEDIUM ERROR, SANITIZE COMMAND FAILED (31h/03h)``."""
    parts = [SenseKey(sense.key).name.replace("_", " ")]
    if name := additional_name(sense.asc, sense.ascq):
        parts.append(name)
    deferred = "deferred error: " if sense.deferred else ""
    return f"{deferred}{', '.join(parts)} ({sense.asc:02X}h/{sense.ascq:02X}h)"


def _valid_end(raw: bytes) -> int:
    """Where the sense data ends: ADDITIONAL SENSE LENGTH counts from byte 8, and may claim too much."""
    return len(raw) if len(raw) < 8 else min(len(raw), raw[7] + 8)


def _parse_fixed(raw: bytes, code: int) -> SenseData | None:
    end = _valid_end(raw)
    if end < 3:
        return None
    key = raw[2] & 0x0F
    information = be(raw, 3, 4) if raw[0] & 0x80 and end >= 7 else None
    progress = be(raw, 16, 2) if end >= 18 and raw[15] & 0x80 and _may_carry_progress(key) else None
    return SenseData(
        response_code=code,
        key=key,
        asc=raw[12] if end > 12 else 0,
        ascq=raw[13] if end > 13 else 0,
        deferred=code in _DEFERRED,
        progress=progress,
        information=information,
        raw=bytes(raw),
    )


def _parse_descriptor(raw: bytes, code: int) -> SenseData | None:
    if len(raw) < 2:
        return None
    key = raw[1] & 0x0F
    information: int | None = None
    progress: int | None = None
    for kind, descriptor in descriptors(raw):
        if kind == _INFORMATION_DESCRIPTOR and len(descriptor) >= 12 and descriptor[2] & 0x80:
            information = be(descriptor, 4, 8)
        elif (
            kind == _SENSE_KEY_SPECIFIC_DESCRIPTOR
            and len(descriptor) >= 7
            and descriptor[4] & 0x80
            and _may_carry_progress(key)
        ):
            progress = be(descriptor, 5, 2)
    return SenseData(
        response_code=code,
        key=key,
        asc=raw[2] if len(raw) > 2 else 0,
        ascq=raw[3] if len(raw) > 3 else 0,
        deferred=code in _DEFERRED,
        progress=progress,
        information=information,
        raw=bytes(raw),
    )


def _may_carry_progress(key: int) -> bool:
    """The sense key specific field is a progress indication under these two keys only.

    Under ILLEGAL REQUEST the same bytes are a field pointer, under MEDIUM ERROR a retry count
    (SPC-5, Sense key specific sense data descriptor).
    """
    return key in (SenseKey.NO_SENSE, SenseKey.NOT_READY)
