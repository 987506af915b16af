"""What a SCSI drive is doing now, and the ways to speak to it before and while it does so.

REQUEST SENSE and TEST UNIT READY are asked together: some drives report an operation in the one only,
some in the other. READY takes both, a quiet REQUEST SENSE and then GOOD from TEST UNIT READY, and is
no success by itself (see ``drive/scsi/poll``).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from rasura_agent.drive.port import Completion, Disposition, ScsiCommand, SenseData
from rasura_agent.drive.scsi.control import start_unit
from rasura_agent.drive.scsi.disposition import ScsiStatus
from rasura_agent.drive.scsi.poll import (
    PROGRESS_SCALE,
    LongOperation,
    OperationProgress,
    OperationState,
    read_request_sense,
    read_test_unit_ready,
    request_sense,
    unit_ready_test,
)
from rasura_agent.drive.scsi.sense import Additional, SenseKey, is_reset, is_whole, matches
from rasura_agent.erase.firmware.follow import Look, LookState
from rasura_agent.erase.firmware.line import Line
from rasura_agent.sentence import Sentence

__all__ = [
    "UNCLEAR",
    "Begun",
    "Observation",
    "OperationLook",
    "ScsiState",
    "ask",
    "begin",
    "observe",
    "send",
    "settle",
]

_TRIES = 6
_BUSY_WAIT_S = 2.0
_FIRST_WAIT_S = 0.5
_SENSE_HEADER = 8
"""Bytes that sense data of either format has at least (SPC-5, Sense data)."""
_TRYING_AGAIN = frozenset({ScsiStatus.BUSY, ScsiStatus.TASK_SET_FULL})
_INFORMATIONAL_ASC = frozenset({0x0B, 0x5D})
"""WARNING and FAILURE PREDICTION THRESHOLD EXCEEDED: a worn drive may say it at every REQUEST SENSE."""


class ScsiState(Enum):
    """What keeps a drive busy, or closed; the value is the standard's words (SPC-5, ASC assignments)."""

    READY = "ready"
    SANITIZING = "sanitize in progress (04h/1Bh)"
    FORMATTING = "format in progress (04h/04h)"
    SANITIZE_FAILED = "sanitize command failed (31h/03h)"
    FORMAT_FAILED = "format command failed (31h/01h)"
    FORMAT_CORRUPT = "medium format corrupted (31h/00h)"
    """A format was cut short, or another block length waits for one."""
    STOPPED = "initializing command required (04h/02h)"
    UNKNOWN = "unknown"


UNCLEAR = frozenset({ScsiState.UNKNOWN, ScsiState.STOPPED})
"""States that do not tell what the drive is at."""

_RUNNING = {LongOperation.SANITIZE: ScsiState.SANITIZING, LongOperation.FORMAT: ScsiState.FORMATTING}
_FAILED = {
    Additional.MEDIUM_FORMAT_CORRUPTED: ScsiState.FORMAT_CORRUPT,
    Additional.FORMAT_COMMAND_FAILED: ScsiState.FORMAT_FAILED,
    Additional.SANITIZE_COMMAND_FAILED: ScsiState.SANITIZE_FAILED,
}


class Observation(msgspec.Struct, frozen=True):
    """One look at a drive. ``fraction`` of 1 is how far it has come, ``None`` where it does not tell."""

    state: ScsiState
    detail: str
    fraction: float | None = None
    reset: bool = False
    """It said that it was reset (29h/xx): what ran before may be lost."""


def ask(line: Line, command: ScsiCommand) -> Completion:
    """Send a command that does no harm twice; again, a few times, after UNIT ATTENTION or when busy."""
    return _repeat(line, command, _passing)


def send(line: Line, command: ScsiCommand) -> Completion:
    """Send a command that matters; again, a few times, only if the drive surely did not take it."""
    return _repeat(line, command, _not_taken)


def observe(line: Line) -> Observation:
    """Look once: REQUEST SENSE, and TEST UNIT READY where that finds the drive quiet."""
    completion = line.execute(request_sense())
    if completion.disposition is Disposition.DONE and len(completion.data) < _SENSE_HEADER:
        return Observation(
            ScsiState.UNKNOWN, Sentence("REQUEST SENSE returned {count} bytes", count=len(completion.data))
        )
    said = _observation(completion, read_request_sense)
    if said.state is not ScsiState.READY:
        return said
    return _observation(line.execute(unit_ready_test()), read_test_unit_ready)


def settle(line: Line) -> Observation:
    """Look until the state is plain, over unit attentions and spinning up; UNKNOWN if it stays unclear."""
    wait = _FIRST_WAIT_S
    seen = observe(line)
    for _ in range(_TRIES - 1):
        if seen.state is ScsiState.STOPPED:
            ask(line, start_unit())
        elif seen.state is not ScsiState.UNKNOWN:
            break
        line.clock.sleep(wait)
        wait *= 2
        seen = observe(line)
    return seen


class Begun(msgspec.Struct, frozen=True):
    """Whether an operation was begun. DONE: the drive accepted it, or was quiet before and at it after."""

    disposition: Disposition
    detail: str
    state: ScsiState | None = None
    """What the drive was found in afterwards, where it was looked at."""


def begin(line: Line, command: ScsiCommand, running: ScsiState, before: ScsiState) -> Begun:
    """Send the command that begins an operation, with IMMED set.

    ``before`` is the state that the drive was just seen in, which is not ``running``. Without an
    acceptance in so many words the drive is looked at: an operation that was not there before is
    this one. A refusal counts if the drive is still in the state it was in.
    """
    completion = send(line, command)
    if completion.disposition is Disposition.DONE:
        return Begun(Disposition.DONE, completion.detail)
    seen = settle(line)
    if seen.state is running:
        words = Sentence("its answer was {answer}, but it was found at work", answer=repr(completion.detail))
        return Begun(Disposition.DONE, words, seen.state)
    if completion.disposition is Disposition.REFUSED and seen.state is before:
        return Begun(Disposition.REFUSED, completion.detail, seen.state)
    words = Sentence(
        "its answer was {answer}, and afterwards it was: {state}",
        answer=repr(completion.detail),
        state=seen.state.value,
    )
    return Begun(Disposition.UNKNOWN, words, seen.state)


class OperationLook(msgspec.Struct):
    """The look of ``follow`` at one operation; ``running`` is the state of a drive at work on it."""

    line: Line
    running: ScsiState
    last: Observation = Observation(ScsiState.UNKNOWN, Sentence("not looked at"))
    lost_sight: bool = False
    """The drive was reset and not seen at work since: quiet may also mean that it forgot."""

    def __call__(self) -> Look:
        """Look once."""
        self.last = seen = observe(self.line)
        self.lost_sight = self.lost_sight or seen.reset
        if seen.state is self.running:
            self.lost_sight = False
            return Look(LookState.RUNNING, seen.fraction, seen.detail)
        if seen.state is ScsiState.READY:
            return Look(LookState.SUCCEEDED, detail=seen.detail)
        if seen.state in _FAILED.values():
            return Look(LookState.FAILED, detail=seen.detail)
        if seen.state is ScsiState.STOPPED:
            ask(self.line, start_unit())
        return Look(LookState.UNKNOWN, detail=seen.detail)


def _repeat(line: Line, command: ScsiCommand, again: Callable[[Completion], bool]) -> Completion:
    completion = line.execute(command)
    for _ in range(_TRIES - 1):
        if not again(completion):
            break
        if completion.sense is None or completion.sense.key != SenseKey.UNIT_ATTENTION:
            line.clock.sleep(_BUSY_WAIT_S)
        completion = line.execute(command)
    return completion


def _not_taken(completion: Completion) -> bool:
    """BUSY and TASK SET FULL: "the logical unit is not able to accept the command" (SAM-5, Status codes)."""
    return completion.disposition is Disposition.REFUSED and completion.scsi_status in _TRYING_AGAIN


def _passing(completion: Completion) -> bool:
    if completion.disposition is Disposition.DONE:
        return False
    sense = completion.sense
    if sense is None:
        return completion.scsi_status in _TRYING_AGAIN
    becoming_ready = matches(sense, Additional.LOGICAL_UNIT_IS_IN_PROCESS_OF_BECOMING_READY)
    return sense.key == SenseKey.UNIT_ATTENTION or (sense.key == SenseKey.NOT_READY and becoming_ready)


def _observation(
    completion: Completion, read: Callable[[Completion, LongOperation], OperationProgress]
) -> Observation:
    sense = completion.sense
    if sense is not None and len(sense.raw) < _SENSE_HEADER:
        return Observation(
            ScsiState.UNKNOWN, Sentence("its sense data was cut short: {detail}", detail=completion.detail)
        )
    for operation, running in _RUNNING.items():
        progress = read(completion, operation)
        if progress.state is OperationState.RUNNING:
            fraction = None if progress.progress is None else progress.progress / PROGRESS_SCALE
            return Observation(running, progress.detail, fraction)
    # What is neither operation at work is read alike whichever of them was asked about.
    sense = progress.sense
    state = ScsiState.UNKNOWN
    if progress.state is OperationState.IDLE:
        state = ScsiState.READY
    elif sense is not None and progress.state is OperationState.FAILED:
        state = next((named for code, named in _FAILED.items() if matches(sense, code)), state)
    elif sense is not None:
        state = _quiet_or_stopped(completion, sense)
    return Observation(state, progress.detail, reset=sense is not None and is_reset(sense))


def _quiet_or_stopped(completion: Completion, sense: SenseData) -> ScsiState:
    if sense.deferred or not is_whole(sense) or sense.progress is not None:
        return ScsiState.UNKNOWN
    if sense.key == SenseKey.NOT_READY and matches(
        sense, Additional.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED
    ):
        return ScsiState.STOPPED
    informs = sense.key in (SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR) and sense.asc in _INFORMATIONAL_ASC
    done = completion.disposition is Disposition.DONE
    return ScsiState.READY if informs and done else ScsiState.UNKNOWN
