"""Asking a drive how far a SANITIZE or FORMAT UNIT has come.

REQUEST SENSE carries the progress; TEST UNIT READY tells ready from not ready. Neither ever says
"it succeeded": IDLE means only that nothing runs and nothing failed *as far as the drive says now*,
which is also what a drive says that never started, or that lost the operation to a reset. Success
is for the caller to conclude: accepted in this run, seen running or timed sensibly, then IDLE from
REQUEST SENSE and GOOD from TEST UNIT READY.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from rasura_agent.drive.port import Completion, Disposition, ScsiCommand, SenseData
from rasura_agent.drive.scsi.errors import ScsiDecodeError
from rasura_agent.drive.scsi.fields import be
from rasura_agent.drive.scsi.sense import (
    Additional,
    SenseKey,
    descriptors,
    is_whole,
    matches,
    parse_sense,
    sense_text,
)

__all__ = [
    "PROGRESS_SCALE",
    "LongOperation",
    "OperationProgress",
    "OperationState",
    "decode_request_sense",
    "read_request_sense",
    "read_test_unit_ready",
    "request_sense",
    "unit_ready_test",
]

PROGRESS_SCALE = 65536
"""What a progress indication is a fraction of (SPC-5, Progress indication)."""

_SENSE_ALLOCATION = 252
_PROGRESS_INDICATION_DESCRIPTOR = 0x0A
_MEDIUM_FORMAT_ASC = 0x31
_LOW_POWER_ASC = 0x5E


class LongOperation(Enum):
    """An operation that goes on after its command returned; the value is its "in progress" code."""

    SANITIZE = Additional.LOGICAL_UNIT_NOT_READY_SANITIZE_IN_PROGRESS
    FORMAT = Additional.LOGICAL_UNIT_NOT_READY_FORMAT_IN_PROGRESS


class OperationState(Enum):
    """What one poll says of the operation."""

    RUNNING = "running"
    FAILED = "failed"
    """The drive reports 31h/xx: sanitize failed, format failed or medium format corrupted."""
    IDLE = "idle"
    """Nothing running, nothing failed; not a success by itself."""
    UNKNOWN = "unknown"


class OperationProgress(msgspec.Struct, frozen=True):
    """One poll, decoded. ``progress`` is of 65536 and ``None`` where the drive gave none."""

    state: OperationState
    detail: str
    progress: int | None = None
    sense: SenseData | None = None


def request_sense(*, descriptor_format: bool = False) -> ScsiCommand:
    """REQUEST SENSE 03h (SPC-5): the sense data comes back as data."""
    cdb = bytes([0x03, descriptor_format, 0, 0, _SENSE_ALLOCATION, 0])
    return ScsiCommand("REQUEST SENSE", cdb, data_in_bytes=_SENSE_ALLOCATION)


def unit_ready_test() -> ScsiCommand:
    """TEST UNIT READY 00h (SPC-5); its name turned round, or pytest would collect it as a test."""
    return ScsiCommand("TEST UNIT READY", bytes(6))


def decode_request_sense(data: bytes, operation: LongOperation) -> OperationProgress:
    """Decode what REQUEST SENSE returned; raises ``ScsiDecodeError`` when it is no sense data."""
    sense = parse_sense(data)
    if sense is None:
        raise ScsiDecodeError(f"REQUEST SENSE returned {len(data)} bytes that are no sense data")
    return _classify(sense, operation)


def read_request_sense(completion: Completion, operation: LongOperation) -> OperationProgress:
    """What the answer to :func:`request_sense` says of ``operation``; never raises."""
    if completion.disposition is not Disposition.DONE:
        return _read_failed_poll(completion, operation)
    try:
        return decode_request_sense(completion.data, operation)
    except ScsiDecodeError as error:
        return OperationProgress(OperationState.UNKNOWN, str(error))


def read_test_unit_ready(completion: Completion, operation: LongOperation) -> OperationProgress:
    """What the answer to :func:`unit_ready_test` says of ``operation``: GOOD is IDLE; never raises."""
    if completion.disposition is not Disposition.DONE:
        return _read_failed_poll(completion, operation)
    sense = completion.sense
    if sense is None or sense.key == SenseKey.RECOVERED_ERROR:
        return OperationProgress(OperationState.IDLE, completion.detail, sense=sense)
    return _classify(sense, operation)


def _read_failed_poll(completion: Completion, operation: LongOperation) -> OperationProgress:
    """A poll that did not end well may still carry the answer, but never the news that all is quiet."""
    if completion.sense is None:
        return OperationProgress(OperationState.UNKNOWN, completion.detail)
    read = _classify(completion.sense, operation)
    if read.state is OperationState.IDLE:
        return OperationProgress(OperationState.UNKNOWN, completion.detail, sense=completion.sense)
    return read


def _classify(sense: SenseData, operation: LongOperation) -> OperationProgress:
    state, progress = _state(sense, operation)
    return OperationProgress(state, sense_text(sense), progress, sense)


def _state(sense: SenseData, operation: LongOperation) -> tuple[OperationState, int | None]:
    # A failed IMMED operation may be reported as a deferred error, so this goes first.
    if sense.key == SenseKey.MEDIUM_ERROR and sense.asc == _MEDIUM_FORMAT_ASC:
        return OperationState.FAILED, None
    if sense.deferred:
        return OperationState.UNKNOWN, None
    if sense.key in (SenseKey.NO_SENSE, SenseKey.NOT_READY) and matches(sense, operation.value):
        return OperationState.RUNNING, sense.progress
    if (progress := _descriptor_progress(sense, operation)) is not None:
        return OperationState.RUNNING, progress
    return (OperationState.IDLE if _is_quiet(sense) else OperationState.UNKNOWN), None


def _is_quiet(sense: SenseData) -> bool:
    """NO SENSE with nothing more to say, or resting in a low power condition; no progress of anything.

    Only of whole sense data: a progress descriptor may be what was cut off.
    """
    nothing = matches(sense, Additional.NO_ADDITIONAL_SENSE_INFORMATION) or sense.asc == _LOW_POWER_ASC
    return sense.key == SenseKey.NO_SENSE and sense.progress is None and nothing and is_whole(sense)


def _descriptor_progress(sense: SenseData, operation: LongOperation) -> int | None:
    """Progress from "another progress indication" descriptors, which name their own operation."""
    for kind, descriptor in descriptors(sense.raw):
        if (
            kind == _PROGRESS_INDICATION_DESCRIPTOR
            and len(descriptor) >= 8
            and be(descriptor, 3, 2) == operation.value
        ):
            return be(descriptor, 6, 2)
    return None
