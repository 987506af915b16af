"""The Sanitize command as a technique: begin it, follow it by the sanitize log, judge how it ended.

State names are those of the sanitize operation state machine, NVMe Base 2.1 clause 8.1.24.3 (SANS in
the Sanitize Status log page, figure 291).

Only :func:`run_sanitize` ever ends in ``DONE``. :func:`adopt_sanitize` and :func:`leave_failure_mode`
bring the drive to rest and end in ``REFUSED`` then: they changed none of its data, and a technique may
be begun. A sanitize that somebody else began proves nothing for a certificate, since nobody here saw
with which command, and whether data was written before.
"""

from __future__ import annotations

from rasura.certificate import Technique
from rasura.errors import UsageError
from rasura_agent.drive.nvme.identify import NoDeallocateModifiesMedia
from rasura_agent.drive.nvme.sanitize import (
    MAX_OVERWRITE_PASSES,
    SanitizeAction,
    exit_failure_mode,
    exit_media_verification,
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_overwrite,
)
from rasura_agent.drive.nvme.sanitize_log import SanitizeLog, SanitizeState
from rasura_agent.drive.port import Disposition, NvmeCommand
from rasura_agent.erase.firmware.follow import Followed, Look, LookState, Pace, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.nvme_capabilities import NvmeCapabilities, read_sanitize_log
from rasura_agent.erase.firmware.nvme_offers import SANITIZE_ACTIONS, standing_obstacle
from rasura_agent.erase.firmware.nvme_words import in_words, refusal
from rasura_agent.sentence import Sentence

__all__ = ["RESTRICTED_FAILURE", "adopt_sanitize", "leave_failure_mode", "run_sanitize"]

_DONE, _REFUSED, _UNKNOWN = Disposition.DONE, Disposition.REFUSED, Disposition.UNKNOWN

RESTRICTED_FAILURE = "Restricted Failure"
"""The ``TechniqueEnd.state`` of a drive that nothing but a successful sanitize unlocks."""

_ESTIMATE_MARGIN_S = 3600.0
_SETTLING_S = 1800.0
_SLOWEST_BYTES_PER_S = 30 * 1024 * 1024
"""With the settling time: how long a sanitize may take by capacity, whatever the drive's estimate."""

_FASTEST_BYTES_PER_S = {SanitizeAction.BLOCK_ERASE: 1 << 40, SanitizeAction.OVERWRITE: 64 << 30}
"""Faster than flash erases blocks, and than a drive writes to it. A cryptographic erase may be instant."""
_LEAST_OF_ESTIMATE = 0.01

_UNDER_WAY = {
    SanitizeState.IN_PROGRESS,
    SanitizeState.MEDIA_VERIFICATION,
    SanitizeState.POST_VERIFICATION_DEALLOCATION,
}

_LOOKS = {
    SanitizeState.IN_PROGRESS: LookState.RUNNING,
    SanitizeState.POST_VERIFICATION_DEALLOCATION: LookState.RUNNING,
    SanitizeState.SUCCEEDED: LookState.SUCCEEDED,
    SanitizeState.SUCCEEDED_DEALLOCATED: LookState.SUCCEEDED,
    SanitizeState.FAILED_RESTRICTED: LookState.FAILED,
    SanitizeState.FAILED_UNRESTRICTED: LookState.FAILED,
}
"""All others say nothing usable about the operation that is followed."""


def run_sanitize(
    line: Line,
    capabilities: NvmeCapabilities,
    technique: Technique,
    *,
    erase_whole_subsystem: bool = False,
    pattern: int = 0,
) -> TechniqueEnd:
    """Sanitize the NVM subsystem; an overwrite is one pass of ``pattern`` (32 bits).

    ``DONE`` only if the log tells of this very command, as running or as ended, and of its success.

    Raises:
        UsageError: ``technique`` is no NVMe sanitize, or the pattern does not fit.
    """
    action = SANITIZE_ACTIONS.get(technique)
    if action is None:
        raise UsageError(f"{technique} is not done by the NVMe Sanitize command")
    obstacle = standing_obstacle(capabilities, technique, erase_whole_subsystem=erase_whole_subsystem)
    if obstacle is not None:
        return line.end(_REFUSED, obstacle)
    before = read_sanitize_log(line)
    if isinstance(before, str):
        return line.end(
            _REFUSED,
            Sentence("the drive does not show its sanitize log ({detail}); nothing was begun", detail=before),
        )
    if before.state in _UNDER_WAY:
        reason = Sentence(
            "a sanitize that this run did not begin is under way; it has to be followed to its end first"
        )
        return line.end(_UNKNOWN, reason, _name(before))
    if before.state is SanitizeState.UNKNOWN:
        return line.end(_REFUSED, Sentence("the drive's sanitize log contradicts itself; nothing was begun"))
    return _begin(line, capabilities, action, before, _command(action, before, pattern))


def _begin(
    line: Line,
    capabilities: NvmeCapabilities,
    action: SanitizeAction,
    before: SanitizeLog,
    command: NvmeCommand,
) -> TechniqueEnd:
    # Idle, or a failure state -> Restricted or Unrestricted Processing.
    began = line.clock.monotonic()
    completion = line.execute(command)
    if completion.disposition is _REFUSED:
        return line.end(_REFUSED, refusal(command, completion), _name(before))
    # The status of the command only says that the operation began, and a lost one not even that: in
    # both cases the log tells, because no success in it had this CDW10 before.
    looks = _Looks(line, command)
    estimate = before.estimate_s(action)
    followed = follow(line, looks.look, _pace(estimate, capabilities, 1))
    match followed.state:
        case LookState.SUCCEEDED:
            took = line.clock.monotonic() - began
            doubt = _implausible(action, estimate, capabilities, took, followed)
            words = Sentence(
                "its log tells of the success of this {command} after {seconds} s",
                command=command.name,
                seconds=f"{took:.0f}",
            )
            return line.end(_UNKNOWN if doubt else _DONE, doubt or words, looks.state)
        case LookState.FAILED:
            reason = Sentence("the drive began the sanitize and failed: {detail}", detail=followed.detail)
        case _ if completion.disposition is _UNKNOWN:
            refused = refusal(command, completion)
            reason = Sentence("{reason}; and {detail}", reason=refused, detail=followed.detail)
        case _:
            reason = Sentence("the drive accepted the sanitize, but {detail}", detail=followed.detail)
    return line.end(_UNKNOWN, reason, looks.state)


def adopt_sanitize(line: Line, capabilities: NvmeCapabilities) -> TechniqueEnd:
    """Follow a sanitize that is under way, begun by an earlier run or by somebody else, to its end.

    ``REFUSED`` once the drive is at rest (or was already): then it may be erased afresh. ``UNKNOWN``
    while it is not, or where its state cannot be read. Never ``DONE``.
    """
    before = read_sanitize_log(line)
    if isinstance(before, str):
        return line.end(
            _UNKNOWN, Sentence("whether a sanitize is under way cannot be told ({detail})", detail=before)
        )
    if before.state not in _UNDER_WAY:
        return line.end(_REFUSED, Sentence("no sanitize is under way"), _name(before))
    looks = _Looks(line, None)
    passes = (before.scdw10 >> 4 & 0xF) or MAX_OVERWRITE_PASSES
    followed = follow(line, looks.look, _pace(_running_estimate(before, capabilities), capabilities, passes))
    if followed.state is LookState.UNKNOWN:
        return line.end(
            _UNKNOWN, Sentence("a sanitize is under way, and {detail}", detail=followed.detail), looks.state
        )
    if followed.state is LookState.SUCCEEDED:
        reason = Sentence(
            "a sanitize that this run did not begin has succeeded; "
            "the drive is at rest and may be erased afresh"
        )
    else:
        reason = Sentence(
            "a sanitize that this run did not begin has failed; the drive is at rest and may be erased afresh"
        )
    return line.end(_REFUSED, reason, looks.state)


def leave_failure_mode(line: Line) -> TechniqueEnd:
    """Take a drive whose last sanitize failed out of the failure state, if the standard lets us.

    ``REFUSED`` when the drive is not, or no longer, in a state that only this could leave, with what
    may be tried next; ``UNKNOWN`` otherwise. Never ``DONE``: what is left is not erased.
    """
    before = read_sanitize_log(line)
    if isinstance(before, str):
        return line.end(
            _UNKNOWN, Sentence("whether a sanitize has failed cannot be told ({detail})", detail=before)
        )
    if before.state is SanitizeState.FAILED_RESTRICTED:
        # Restricted Failure: only a sanitize without AUSE that succeeds leads out.
        reason = Sentence(
            "its last sanitize failed with the exit barred; only a sanitize that succeeds unlocks it"
        )
        return line.end(_REFUSED, reason, _name(before))
    if before.state is not SanitizeState.FAILED_UNRESTRICTED:
        return line.end(_REFUSED, Sentence("no sanitize has failed on it"), _name(before))
    # Unrestricted Failure -> Idle. A drive without VERS shows the same log before and after, and in
    # Idle the command is accepted too, so its status is all there is.
    command = exit_failure_mode()
    completion = line.execute(command)
    if completion.disposition is not _DONE:
        return line.end(_UNKNOWN, refusal(command, completion), _name(before))
    reason = Sentence("it has left the failure mode, not erased; another technique may be tried")
    return line.end(_REFUSED, reason, "Idle")


class _Looks:
    """Looks at the log; ``command`` is the one whose operation is followed, ``None`` for any."""

    def __init__(self, line: Line, command: NvmeCommand | None) -> None:
        self._line = line
        self._command = command
        self.state: str | None = None
        """The standard's name of the state last seen."""

    def look(self) -> Look:
        log = read_sanitize_log(self._line)
        if isinstance(log, str):
            self.state = None
            return Look(LookState.UNKNOWN, detail=log)
        self.state = _name(log)
        if self._command is not None and not log.is_of(self._command):
            # A log that goes on telling of an earlier operation: this one never began, or was forgotten.
            return Look(
                LookState.UNKNOWN,
                detail=Sentence("its log tells of another: {state}", state=in_words(log.state)),
            )
        if self._command is None and log.state is SanitizeState.MEDIA_VERIFICATION:
            # Somebody asked to read the media first (EMVS) and will not: on to the deallocation.
            self._line.execute(exit_media_verification())
            return Look(LookState.RUNNING)
        fraction = None if log.progress is None else log.progress / 65536
        return Look(_LOOKS.get(log.state, LookState.UNKNOWN), fraction, in_words(log.state))


def _command(action: SanitizeAction, before: SanitizeLog, pattern: int) -> NvmeCommand:
    """The command to send, with a CDW10 that a success already in the log does not have.

    AUSE is set as a rule, so that a failed sanitize does not lock the drive for good. From Restricted
    Failure a drive accepts it cleared only; and it is cleared to tell this run from the last one.
    """
    command = _build(action, before.state is not SanitizeState.FAILED_RESTRICTED, pattern)
    if before.succeeded and before.is_of(command):
        return _build(action, False, pattern)
    return command


def _build(action: SanitizeAction, ause: bool, pattern: int) -> NvmeCommand:
    if action is SanitizeAction.OVERWRITE:
        return sanitize_overwrite(passes=1, pattern=pattern, invert=False, ause=ause)
    if action is SanitizeAction.BLOCK_ERASE:
        return sanitize_block_erase(ause=ause)
    return sanitize_crypto_erase(ause=ause)


def _pace(estimate: int | None, capabilities: NvmeCapabilities, passes: int) -> Pace:
    by_capacity = passes * capabilities.subsystem_bytes / _SLOWEST_BYTES_PER_S + _SETTLING_S
    deadline = max(by_capacity, (estimate or 0) + _ESTIMATE_MARGIN_S)
    # One part in 65536 of a very long estimate is still minutes; coarser counters exist.
    return Pace(estimate, deadline, no_progress_s=max(3600.0, (estimate or 0) / 10))


def _running_estimate(log: SanitizeLog, capabilities: NvmeCapabilities) -> int | None:
    """What the drive estimates for the operation its log tells of, by the CDW10 that began it."""
    action = next((one for one in SANITIZE_ACTIONS.values() if one == log.scdw10 & 0b111), None)
    if action is None:
        return None
    kept = bool(log.scdw10 & 1 << 9)
    modifies = capabilities.controller.sanicap.no_deallocate_modifies_media
    return log.estimate_s(
        action,
        passes=(log.scdw10 >> 4 & 0xF) or MAX_OVERWRITE_PASSES,
        modifies_media_after=kept and modifies is NoDeallocateModifiesMedia.MODIFIED,
    )


def _implausible(
    action: SanitizeAction,
    estimate: int | None,
    capabilities: NvmeCapabilities,
    took_s: float,
    followed: Followed,
) -> str | None:
    """Why a success after ``took_s`` seconds is not believed, or ``None``."""
    fastest = _FASTEST_BYTES_PER_S.get(action)
    if fastest is None:
        return None
    if not followed.seen_running and estimate and took_s < estimate * _LEAST_OF_ESTIMATE:
        return Sentence(
            "the drive estimates {seconds} s, was never seen at work and claims success at once",
            seconds=estimate,
        )
    size = capabilities.subsystem_bytes
    if took_s < size / fastest:
        return Sentence(
            "the drive claims to have gone through {count} bytes in {seconds} s, which no medium can do",
            count=size,
            seconds=f"{took_s:.3f}",
        )
    return None


_NAMES = {
    SanitizeState.NEVER: "Idle",
    SanitizeState.SUCCEEDED: "Idle",
    SanitizeState.SUCCEEDED_DEALLOCATED: "Idle",
    SanitizeState.MEDIA_VERIFICATION: "Media Verification",
    SanitizeState.POST_VERIFICATION_DEALLOCATION: "Post-Verification Deallocation",
    SanitizeState.FAILED_RESTRICTED: RESTRICTED_FAILURE,
    SanitizeState.FAILED_UNRESTRICTED: "Unrestricted Failure",
}


def _name(log: SanitizeLog) -> str | None:
    """The standard's name of the state that the log shows."""
    if log.state is SanitizeState.IN_PROGRESS:
        return "Unrestricted Processing" if log.scdw10 & 1 << 3 else "Restricted Processing"
    return _NAMES.get(log.state)
