"""The Sanitize Device feature set as a technique (ACS-4, Sanitize Device feature set, states SD0 to SD4).

An operation is begun by a command, goes on by itself, also over resets and power cycles, and is followed
with SANITIZE STATUS EXT. COUNT bit 15 (completed without error) outlives power cycles, so that it proves
nothing by itself: the run must see it appear, or see the operation run first.
"""

from __future__ import annotations

import msgspec

from rasura_agent.drive.ata.identify import IdentifyDevice
from rasura_agent.drive.ata.sanitize import (
    SanitizeErrorReason,
    SanitizeState,
    SanitizeStatus,
    sanitize_block_erase,
    sanitize_crypto_scramble,
    sanitize_overwrite,
)
from rasura_agent.drive.port import AtaCommand, Completion, Disposition
from rasura_agent.erase.firmware.ata_drive import (
    FASTEST_PLATTERS,
    SMALLEST_TELLING_BYTES,
    Silence,
    is_reset_signature,
    read_identify,
)
from rasura_agent.erase.firmware.ata_sanitize_status import (
    SanitizeKind,
    decode_answer,
    look_at_sanitize,
    read_sanitize_status,
    sanitize_pace,
    sanitize_supports,
    state_name,
)
from rasura_agent.erase.firmware.follow import Followed, LookState, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.sentence import Sentence

__all__ = ["run_sanitize"]

_FASTEST_FLASH = 8 * 2**30
"""Bytes a second that no SATA drive programs into its flash."""
_SHORTEST_BLOCK_ERASE_S = 1.0
"""One pass of erase pulses (milliseconds each) over the thousands of blocks of a single die."""


class _Request(msgspec.Struct, frozen=True):
    """What is asked of the drive; ``passes`` is 1 but for an overwrite."""

    kind: SanitizeKind
    pattern: int
    passes: int
    capacity_bytes: int

    def command(self, *, failure_mode: bool) -> AtaCommand:
        match self.kind:
            case SanitizeKind.CRYPTO:
                return sanitize_crypto_scramble(failure_mode=failure_mode)
            case SanitizeKind.BLOCK:
                return sanitize_block_erase(failure_mode=failure_mode)
            case SanitizeKind.OVERWRITE:
                return sanitize_overwrite(
                    pattern=self.pattern,
                    passes=self.passes,
                    invert=False,
                    definitive_ending_pattern=False,
                    failure_mode=failure_mode,
                )


def run_sanitize(
    line: Line, kind: SanitizeKind, *, capacity_bytes: int, pattern: int = 0, passes: int = 1
) -> TechniqueEnd:
    """Sanitize the drive, hidden areas and spare sectors included.

    ``capacity_bytes`` judges deadlines and plausibility; the 32-bit ``pattern`` and ``passes`` (1 to 16)
    are those of an overwrite and raise ``AtaEncodeError`` if out of range. FAILURE MODE is set, so that a
    drive on which it fails can be brought back.

    DONE: accepted in this run, and succeeded (SD4) by a fresh status that cannot be an older run's, after
    a plausible time. REFUSED: by a fresh status no operation began. UNKNOWN: anything else; in SD3 the
    operation failed, and ``leave_failure_mode`` or another sanitize follows.
    """
    request = _Request(kind, pattern, passes if kind is SanitizeKind.OVERWRITE else 1, capacity_bytes)
    request.command(failure_mode=True)  # what cannot be encoded is found before anything is sent
    identify = read_identify(line)
    if isinstance(identify, Silence):
        reason = Sentence("the drive does not identify itself: {detail}", detail=identify.detail)
        return line.end(Disposition.REFUSED, reason)
    if not sanitize_supports(identify.sanitize, kind):
        return line.end(
            Disposition.REFUSED, Sentence("the drive does not offer sanitize by {kind}", kind=kind)
        )
    before = read_sanitize_status(line)
    if isinstance(before, Silence):
        reason = Sentence("its sanitize status cannot be read: {detail}", detail=before.detail)
        return line.end(Disposition.REFUSED, reason)
    if obstacle := _why_not_now(before):
        return line.end(Disposition.REFUSED, obstacle, state_name(before))
    pace = sanitize_pace(kind, capacity_bytes, request.passes)
    began_at = line.clock.monotonic()
    begun = _begin(line, request, before)
    if isinstance(begun, TechniqueEnd):
        return begun
    followed = follow(line, lambda: look_at_sanitize(line), pace)
    took_s = line.clock.monotonic() - began_at
    return _judge(line, request, identify, _Course(before, begun.running, followed, took_s))


def _why_not_now(status: SanitizeStatus) -> str | None:
    match status.state:
        case SanitizeState.SD0 | SanitizeState.SD3 | SanitizeState.SD4:
            return None
        case SanitizeState.SD1:
            return Sentence(
                "its sanitize commands are frozen (SD1) until its power goes: suspend the machine to RAM and "
                "wake it, or pull the drive's power and plug it in again"
            )
        case SanitizeState.SD2:
            return Sentence("a sanitize that this run did not begin is still at work (SD2): let it end first")
        case _:
            return Sentence(
                "it aborts the question for its sanitize status without telling a state; "
                "it may be in failure mode"
            )


class _Begun(msgspec.Struct, frozen=True):
    """The operation was accepted in this run; ``running`` if the drive also said that it runs."""

    running: bool


def _begin(line: Line, request: _Request, before: SanitizeStatus) -> _Begun | TechniqueEnd:
    sent = first = line.execute(request.command(failure_mode=True))
    if sent.disposition is not Disposition.DONE and before.state is SanitizeState.SD3:
        # After an operation with FAILURE MODE zero, SD3 takes only another one with FAILURE MODE zero.
        now = read_sanitize_status(line)
        if not isinstance(now, Silence) and now.state is SanitizeState.SD3:
            sent = line.execute(request.command(failure_mode=False))
    if sent.disposition is Disposition.DONE and not is_reset_signature(sent):
        answer = decode_answer(sent)
        return _Begun(not isinstance(answer, Silence) and answer.state is SanitizeState.SD2)
    now = read_sanitize_status(line)
    if isinstance(now, Silence):
        reason = Sentence(
            "{detail}, and its sanitize status: {status}", detail=sent.detail, status=now.detail
        )
        return line.end(Disposition.UNKNOWN, reason)
    if {first.disposition, sent.disposition} == {Disposition.REFUSED}:
        return _aborted(line, sent, now)
    return _status_lost(line, sent, before, now)


def _aborted(line: Line, sent: Completion, now: SanitizeStatus) -> TechniqueEnd:
    if now.state is SanitizeState.SD2 or now.state is None:
        reason = Sentence(
            "{detail}, and yet its sanitize status does not say that it is idle", detail=sent.detail
        )
        return line.end(Disposition.UNKNOWN, reason, state_name(now))
    said = decode_answer(sent)
    why = None if isinstance(said, Silence) else said.error_reason
    words = "" if why is None or why is SanitizeErrorReason.NOT_REPORTED else f" ({why.name.lower()})"
    return line.end(Disposition.REFUSED, f"{sent.detail}{words}", state_name(now))


def _status_lost(
    line: Line, sent: Completion, before: SanitizeStatus, now: SanitizeStatus
) -> _Begun | TechniqueEnd:
    """The command's own answer is lost: only a change of state that nothing else explains settles it."""
    appeared = now.completed_without_error and not before.completed_without_error
    if now.state is SanitizeState.SD2 or appeared:
        return _Begun(running=now.state is SanitizeState.SD2)
    never = before.state is SanitizeState.SD0 and not before.completed_without_error
    if never and now.state is SanitizeState.SD0:
        # An operation would have left SD2, SD3, or the completed bit.
        return line.end(
            Disposition.REFUSED, Sentence("{detail}; no sanitize began (SD0)", detail=sent.detail), "SD0"
        )
    reason = Sentence(
        "{detail}, and its sanitize status does not tell whether an operation began", detail=sent.detail
    )
    return line.end(Disposition.UNKNOWN, reason, state_name(now))


class _Course(msgspec.Struct, frozen=True):
    """How an accepted operation went."""

    before: SanitizeStatus
    answered_running: bool
    followed: Followed
    took_s: float


def _judge(line: Line, request: _Request, identify: IdentifyDevice, course: _Course) -> TechniqueEnd:
    followed = course.followed
    if followed.state is LookState.FAILED:
        reason = Sentence(
            "sanitize by {kind} failed: sectors are left that were not sanitized", kind=request.kind
        )
        return line.end(Disposition.UNKNOWN, reason, "SD3")
    if followed.state is not LookState.SUCCEEDED:
        reason = Sentence("sanitize by {kind}: {detail}", kind=request.kind, detail=followed.detail)
        return line.end(Disposition.UNKNOWN, reason)
    seen_running = course.answered_running or followed.seen_running
    if course.before.completed_without_error and not seen_running:
        reason = Sentence(
            "it reports a success that may be an earlier run's: it was not seen to run in this one"
        )
        return line.end(Disposition.UNKNOWN, reason, "SD4")
    if (doubt := _implausible(request, identify, course)) is not None:
        return line.end(Disposition.UNKNOWN, doubt, "SD4")
    told = Sentence(
        "sanitize by {kind} succeeded after {seconds} s (SD4)",
        kind=request.kind,
        seconds=f"{course.took_s:.0f}",
    )
    if request.kind is SanitizeKind.CRYPTO and not identify.features.encrypts_all_user_data:
        told = Sentence(
            "{told}; the drive does not declare that it encrypts all user data (IDENTIFY word 69 bit 4)",
            told=told,
        )
    return line.end(Disposition.DONE, told, "SD4")


def _implausible(request: _Request, identify: IdentifyDevice, course: _Course) -> str | None:
    if request.capacity_bytes < SMALLEST_TELLING_BYTES:
        return None
    match request.kind:
        case SanitizeKind.CRYPTO:
            return None
        case SanitizeKind.BLOCK if course.followed.seen_running:
            return None
        case SanitizeKind.BLOCK:
            shortest_s = _SHORTEST_BLOCK_ERASE_S
        case SanitizeKind.OVERWRITE:
            rate = FASTEST_PLATTERS if identify.rotational else _FASTEST_FLASH
            shortest_s = request.passes * request.capacity_bytes / rate
    if course.took_s >= shortest_s:
        return None
    return Sentence(
        "sanitize by {kind} reports success after {seconds} s, which is not plausible for {count} bytes",
        kind=request.kind,
        seconds=f"{course.took_s:.1f}",
        count=request.capacity_bytes,
    )
