"""From status and sense data to one of the three dispositions of a command.

The rules, in order; whatever no rule names is UNKNOWN:

1. A host or driver status other than "delivered": UNKNOWN. The path broke, the drive may have acted.
2. A deferred error: UNKNOWN. It speaks of an earlier command, and hides what became of this one.
3. GOOD: DONE, unless sense data with a key beyond RECOVERED ERROR came along: UNKNOWN.
4. BUSY, RESERVATION CONFLICT, TASK SET FULL: REFUSED. The command was not taken (SAM-5, Status codes).
5. CHECK CONDITION by its sense key:

   - RECOVERED ERROR: DONE; but UNKNOWN with ROUNDED PARAMETER, for the drive did something else than
     asked, and with sense data cut short before it says what was recovered.
   - ILLEGAL REQUEST with one of ``REFUSING_ASC``: REFUSED, the command was rejected as written.
   - DATA PROTECT: REFUSED, the operation was not performed.
   - Everything else, so NOT READY (the very operation asked for may be what keeps it busy),
     UNIT ATTENTION (a reset can hide a failure), MEDIUM ERROR and HARDWARE ERROR (it began),
     ABORTED COMMAND, NO SENSE, or no sense data at all: UNKNOWN.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from rasura_agent.drive.port import Disposition, SenseData
from rasura_agent.drive.scsi.sense import Additional, SenseKey, carries_additional_sense, matches, sense_text

__all__ = [
    "DRIVER_SENSE",
    "REFUSING_ASC",
    "HostStatus",
    "Judgement",
    "ScsiStatus",
    "judge",
    "transport_problem",
]

DRIVER_SENSE = 0x08
"""Driver status "sense data available"; Linux sets it with every CHECK CONDITION."""

REFUSING_ASC = frozenset({0x1A, 0x20, 0x21, 0x24, 0x25, 0x26, 0x2C})
"""ASC values under ILLEGAL REQUEST that say the command was rejected as it was written.

Parameter list length, operation code, address, CDB field, logical unit, parameter list, sequence.
"""


class ScsiStatus(IntEnum):
    """STATUS byte (SAM-5, Status codes)."""

    GOOD = 0x00
    CHECK_CONDITION = 0x02
    CONDITION_MET = 0x04
    BUSY = 0x08
    RESERVATION_CONFLICT = 0x18
    TASK_SET_FULL = 0x28
    ACA_ACTIVE = 0x30
    TASK_ABORTED = 0x40


class HostStatus(IntEnum):
    """Host byte of the Linux SCSI layer (``include/scsi/scsi_status.h``)."""

    DID_OK = 0x00
    DID_NO_CONNECT = 0x01
    DID_BUS_BUSY = 0x02
    DID_TIME_OUT = 0x03
    DID_BAD_TARGET = 0x04
    DID_ABORT = 0x05
    DID_PARITY = 0x06
    DID_ERROR = 0x07
    DID_RESET = 0x08
    DID_BAD_INTR = 0x09
    DID_PASSTHROUGH = 0x0A
    DID_SOFT_ERROR = 0x0B
    DID_IMM_RETRY = 0x0C
    DID_REQUEUE = 0x0D
    DID_TRANSPORT_DISRUPTED = 0x0E
    DID_TRANSPORT_FAILFAST = 0x0F
    DID_TARGET_FAILURE = 0x10
    DID_NEXUS_FAILURE = 0x11
    DID_ALLOC_FAILURE = 0x12
    DID_MEDIUM_ERROR = 0x13
    DID_TRANSPORT_MARGINAL = 0x14


_NOT_TAKEN = (ScsiStatus.BUSY, ScsiStatus.RESERVATION_CONFLICT, ScsiStatus.TASK_SET_FULL)


class Judgement(msgspec.Struct, frozen=True):
    """A disposition, and in words what led to it."""

    disposition: Disposition
    detail: str


def transport_problem(host_status: int, driver_status: int) -> str | None:
    """What the kernel says went wrong on the way to the drive or back, ``None`` for a clean delivery."""
    if host_status != HostStatus.DID_OK:
        return f"transport: {_name(HostStatus, host_status, 'host status')}"
    if driver_status & ~DRIVER_SENSE:
        return f"transport: driver status {driver_status:02X}h"
    return None


def judge(
    scsi_status: int,
    sense: SenseData | None,
    *,
    host_status: int = HostStatus.DID_OK,
    driver_status: int = 0,
) -> Judgement:
    """Decide what became of a SCSI command, by the rules of this module."""
    if problem := transport_problem(host_status, driver_status):
        return Judgement(Disposition.UNKNOWN, problem)
    status = _name(ScsiStatus, scsi_status, "SCSI status")
    if sense is not None:
        return Judgement(_with_sense(scsi_status, sense), f"{status}: {sense_text(sense)}")
    missing = " without sense data" if scsi_status == ScsiStatus.CHECK_CONDITION else ""
    return Judgement(_by_status(scsi_status), status + missing)


def _with_sense(scsi_status: int, sense: SenseData) -> Disposition:
    if sense.deferred:
        return Disposition.UNKNOWN
    if scsi_status == ScsiStatus.CHECK_CONDITION:
        return _by_sense(sense)
    if scsi_status == ScsiStatus.GOOD and sense.key not in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR):
        return Disposition.UNKNOWN
    return _by_status(scsi_status)


def _by_status(scsi_status: int) -> Disposition:
    if scsi_status == ScsiStatus.GOOD:
        return Disposition.DONE
    return Disposition.REFUSED if scsi_status in _NOT_TAKEN else Disposition.UNKNOWN


def _by_sense(sense: SenseData) -> Disposition:
    if sense.key == SenseKey.RECOVERED_ERROR and carries_additional_sense(sense):
        rounded = matches(sense, Additional.ROUNDED_PARAMETER)
        return Disposition.UNKNOWN if rounded else Disposition.DONE
    if sense.key == SenseKey.ILLEGAL_REQUEST and sense.asc in REFUSING_ASC:
        return Disposition.REFUSED
    if sense.key == SenseKey.DATA_PROTECT:
        return Disposition.REFUSED
    return Disposition.UNKNOWN


def _name(names: type[IntEnum], value: int, what: str) -> str:
    try:
        return names(value).name.replace("_", " ")
    except ValueError:
        return f"{what} {value:02X}h"
