"""Sanitize operations that this run did not begin: still at work, or failed (ACS-4, SD2 and SD3).

Nothing here ever ends in DONE: nobody saw what was asked of the drive, nor when.
"""

from __future__ import annotations

from rasura_agent.drive.ata.sanitize import (
    MAX_OVERWRITE_PASSES,
    SanitizeState,
    SanitizeStatus,
    sanitize_status,
)
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware.ata_drive import Silence, read_identify
from rasura_agent.erase.firmware.ata_sanitize_status import (
    SanitizeKind,
    look_at_sanitize,
    read_sanitize_status,
    sanitize_pace,
    state_name,
)
from rasura_agent.erase.firmware.follow import LookState, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.sentence import Sentence

__all__ = ["adopt_sanitize", "leave_failure_mode"]


def _status_or_end(line: Line) -> SanitizeStatus | TechniqueEnd:
    """What the drive is doing, or the end of the matter if it has no such commands or does not say."""
    identify = read_identify(line)
    if isinstance(identify, Silence):
        reason = Sentence("the drive does not identify itself: {detail}", detail=identify.detail)
        return line.end(Disposition.UNKNOWN, reason)
    if identify.sanitize is None or not identify.sanitize.supported:
        return line.end(Disposition.REFUSED, Sentence("the drive has no sanitize commands"))
    status = read_sanitize_status(line)
    if isinstance(status, Silence):
        reason = Sentence("its sanitize status cannot be read: {detail}", detail=status.detail)
        return line.end(Disposition.UNKNOWN, reason)
    return status


def adopt_sanitize(line: Line, *, capacity_bytes: int) -> TechniqueEnd:
    """Follow a sanitize that was at work when we met the drive, to its end.

    REFUSED: the drive is idle, this run changed nothing, and it may be erased afresh. UNKNOWN: it failed
    (state SD3, see :func:`leave_failure_mode`), goes on, or is silent. ``capacity_bytes`` sets the deadline.
    """
    status = _status_or_end(line)
    if isinstance(status, TechniqueEnd):
        return status
    if status.state is not SanitizeState.SD2:
        return _nothing_to_adopt(line, status)
    # Which operation it is cannot be asked: the longest there is sets the deadline.
    longest = sanitize_pace(SanitizeKind.OVERWRITE, capacity_bytes, MAX_OVERWRITE_PASSES)
    followed = follow(line, lambda: look_at_sanitize(line), longest)
    match followed.state:
        case LookState.SUCCEEDED:
            reason = Sentence(
                "a sanitize begun before this run has ended well: the drive may now be erased afresh"
            )
            return line.end(Disposition.REFUSED, reason, "SD4")
        case LookState.FAILED:
            reason = Sentence("a sanitize begun before this run has failed")
            return line.end(Disposition.UNKNOWN, reason, "SD3")
        case _:
            reason = Sentence("a sanitize begun before this run: {detail}", detail=followed.detail)
            return line.end(Disposition.UNKNOWN, reason)


def _nothing_to_adopt(line: Line, status: SanitizeStatus) -> TechniqueEnd:
    match status.state:
        case SanitizeState.SD3:
            reason = Sentence("an earlier sanitize failed and left the drive in failure mode (SD3)")
            return line.end(Disposition.UNKNOWN, reason, "SD3")
        case None:
            reason = Sentence("it aborts the question for its sanitize status without telling a state")
            return line.end(Disposition.UNKNOWN, reason)
        case _:
            reason = Sentence("no sanitize is at work on this drive")
            return line.end(Disposition.REFUSED, reason, state_name(status))


def leave_failure_mode(line: Line) -> TechniqueEnd:
    """Take a drive out of SD3, where it stays over power cycles and refuses all access to its medium.

    SANITIZE STATUS EXT with CLEAR SANITIZE OPERATION FAILED does it if the failed operation had FAILURE
    MODE one; otherwise only a sanitize that succeeds. REFUSED: the drive is not, or no more, in failure
    mode, and may be erased afresh. UNKNOWN: it still is, or does not tell.
    """
    status = _status_or_end(line)
    if isinstance(status, TechniqueEnd):
        return status
    if status.state is not None and status.state is not SanitizeState.SD3:
        return line.end(Disposition.REFUSED, Sentence("the drive is not in failure mode"), state_name(status))
    # SD3 to SD0. Some drives in SD3 abort the status without giving its reason: they are tried too.
    line.execute(sanitize_status(clear_operation_failed=True))
    after = read_sanitize_status(line)
    if not isinstance(after, Silence) and after.state in {SanitizeState.SD0, SanitizeState.SD4}:
        return line.end(Disposition.REFUSED, Sentence("the drive has left failure mode"), state_name(after))
    reason = Sentence("the drive stays in failure mode: only a sanitize that succeeds opens it again")
    if isinstance(after, Silence):
        reason = Sentence("whether it left failure mode is unknown: {detail}", detail=after.detail)
    return line.end(Disposition.UNKNOWN, reason, state_name(after))
