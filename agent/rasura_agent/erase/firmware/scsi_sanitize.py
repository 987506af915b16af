"""SANITIZE on SCSI drives (SBC-4, Sanitize operations): begin and follow, adopt, leave failure mode.

SCSI has no "completed" status: a drive that succeeded, one that never began and one that was taken
out of its failure mode all look READY. So success is concluded here and only from one run: READY or
failed before, accepted, seen at work, READY after. A cryptographic erase alone may be too quick to be
seen; then acceptance with GOOD status stands for it.
"""

from __future__ import annotations

from rasura_agent.drive.port import Disposition, ScsiCommand
from rasura_agent.drive.scsi.sanitize import (
    sanitize_block_erase,
    sanitize_crypto_erase,
    sanitize_exit_failure_mode,
    sanitize_overwrite,
)
from rasura_agent.erase.firmware.follow import Followed, LookState, follow
from rasura_agent.erase.firmware.line import Line, TechniqueEnd
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities
from rasura_agent.erase.firmware.scsi_pace import adopted_pace, sanitize_pace, too_fast
from rasura_agent.erase.firmware.scsi_state import (
    UNCLEAR,
    OperationLook,
    ScsiState,
    begin,
    send,
    settle,
)
from rasura_agent.sentence import Sentence

__all__ = ["ZEROS", "adopt_sanitize", "leave_failure_mode", "run_sanitize"]

ZEROS = bytes(4)
"""The pattern of an overwrite: four bytes, the one length that every drive takes (SAT-4, SANITIZE)."""

_ACCESSIBLE = frozenset({ScsiState.READY, ScsiState.FORMAT_FAILED, ScsiState.FORMAT_CORRUPT})
_MAY_BEGIN = _ACCESSIBLE | {ScsiState.SANITIZE_FAILED}


def run_sanitize(
    line: Line,
    kind: SanitizeKind,
    capabilities: ScsiCapabilities,
    *,
    passes: int = 1,
    pattern: bytes = ZEROS,
    invert: bool = False,
    allow_unrestricted_exit: bool = False,
) -> TechniqueEnd:
    """Sanitize the drive, hidden blocks included; ``passes``, ``pattern`` and ``invert`` are for OVERWRITE.

    ``allow_unrestricted_exit`` sets AUSE. It stays 0 by default: then nothing but a sanitize that
    succeeded makes the drive accessible again, so that nobody can turn a failure into quiet behind
    our back. With it, a drive that cannot be sanitized can still be overwritten, see
    :func:`leave_failure_mode`. A drive that failed before is always sanitized with AUSE 0, the one
    form that leads out of either failure.

    Raises:
        ScsiEncodeError: ``passes`` (1 to 31) or ``pattern`` cannot be expressed; nothing was sent.
    """
    restricted = _command(kind, passes, pattern, invert=invert, unrestricted=False)
    unrestricted = _command(kind, passes, pattern, invert=invert, unrestricted=True)
    before = settle(line)
    if before.state not in _MAY_BEGIN:
        reason = Sentence(
            "nothing was sent, for the drive was found in another state: {detail}", detail=before.detail
        )
        return line.end(Disposition.REFUSED, reason, before.state.value)
    free = allow_unrestricted_exit and before.state is not ScsiState.SANITIZE_FAILED
    sent_at = line.elapsed_s
    begun = begin(line, unrestricted if free else restricted, ScsiState.SANITIZING, before.state)
    if begun.disposition is Disposition.REFUSED:
        return line.end(
            Disposition.REFUSED,
            Sentence("the drive refused it: {detail}", detail=begun.detail),
            before.state.value,
        )
    if begun.disposition is Disposition.UNKNOWN:
        state = None if begun.state is None else begun.state.value
        reason = Sentence("whether it was begun is not known: {detail}", detail=begun.detail)
        return line.end(Disposition.UNKNOWN, reason, state)
    # "Sanitize in progress" (04h/1Bh), then "sanitize command failed" (31h/03h) or READY.
    look = OperationLook(line, ScsiState.SANITIZING)
    followed = follow(line, look, sanitize_pace(capabilities, kind, passes))
    took_s = line.elapsed_s - sent_at
    doubt = _doubt(followed, look)
    if doubt is None and kind is not SanitizeKind.CRYPTO:
        if not (followed.seen_running or begun.state is ScsiState.SANITIZING):
            doubt = Sentence(
                "it was over within {seconds} s without ever being seen at work", seconds=f"{took_s:.0f}"
            )
        elif kind is SanitizeKind.OVERWRITE and too_fast(capabilities, took_s, passes):
            doubt = Sentence(
                "it was over within {seconds} s, too few to write all blocks", seconds=f"{took_s:.0f}"
            )
    if doubt is not None:
        return line.end(Disposition.UNKNOWN, doubt, look.last.state.value)
    reason = Sentence("accepted, and followed to its end for {seconds} s", seconds=f"{took_s:.0f}")
    return line.end(Disposition.DONE, reason, look.last.state.value)


def adopt_sanitize(line: Line, capabilities: ScsiCapabilities) -> TechniqueEnd:
    """Follow a sanitize that this run did not begin to its end. Never DONE.

    Nobody knows what was begun, when and with what: a sanitize that ends well ends here as REFUSED,
    for this run did nothing and the drive may now be erased afresh; so does a drive that is at no
    sanitize. A failure, an end that was not seen, or a state that cannot be told is UNKNOWN.
    """
    before = settle(line)
    if before.state is not ScsiState.SANITIZING:
        known = before.state not in UNCLEAR
        reason = Sentence("there is no sanitize to follow: {detail}", detail=before.detail)
        return line.end(Disposition.REFUSED if known else Disposition.UNKNOWN, reason, before.state.value)
    look = OperationLook(line, ScsiState.SANITIZING)
    doubt = _doubt(follow(line, look, adopted_pace(capabilities)), look)
    if doubt is not None:
        return line.end(Disposition.UNKNOWN, doubt, look.last.state.value)
    reason = Sentence(
        "a sanitize that this run did not begin has ended: the drive is idle and may be erased afresh"
    )
    return line.end(Disposition.REFUSED, reason, look.last.state.value)


def leave_failure_mode(line: Line) -> TechniqueEnd:
    """Take a drive out of the state of a failed sanitize by EXIT FAILURE MODE. Never DONE.

    Only where that sanitize had AUSE set does the drive comply, and from then on it behaves as if the
    sanitize had succeeded, with old data on it. REFUSED: nothing was erased, the drive is accessible
    and may be erased afresh (or was in no failure mode). UNKNOWN: it may still be in it; a sanitize
    with AUSE 0, as :func:`run_sanitize` sends it, is the way that is left.
    """
    before = settle(line)
    if before.state is not ScsiState.SANITIZE_FAILED:
        known = before.state not in UNCLEAR
        reason = Sentence(
            "the drive is not seen in the failure mode of a sanitize: {detail}", detail=before.detail
        )
        return line.end(Disposition.REFUSED if known else Disposition.UNKNOWN, reason, before.state.value)
    completion = send(line, sanitize_exit_failure_mode())
    after = settle(line)
    if after.state in _ACCESSIBLE:
        reason = Sentence(
            "it left the failure mode with its data as it was: NOTHING WAS ERASED, erase it afresh"
        )
        return line.end(Disposition.REFUSED, reason, after.state.value)
    reason = Sentence(
        "EXIT FAILURE MODE ended with {detail}; afterwards the drive was: {after}",
        detail=completion.detail,
        after=after.detail,
    )
    return line.end(Disposition.UNKNOWN, reason, after.state.value)


def _command(
    kind: SanitizeKind, passes: int, pattern: bytes, *, invert: bool, unrestricted: bool
) -> ScsiCommand:
    match kind:
        case SanitizeKind.CRYPTO:
            return sanitize_crypto_erase(allow_unrestricted_exit=unrestricted)
        case SanitizeKind.BLOCK:
            return sanitize_block_erase(allow_unrestricted_exit=unrestricted)
        case SanitizeKind.OVERWRITE:
            return sanitize_overwrite(
                pattern, count=passes, invert=invert, allow_unrestricted_exit=unrestricted
            )


def _doubt(followed: Followed, look: OperationLook) -> str | None:
    """Why the end of a sanitize that was followed is no success, ``None`` if it may be one."""
    if followed.state is LookState.FAILED:
        return Sentence("the drive reports that it failed: {detail}", detail=followed.detail)
    if followed.state is not LookState.SUCCEEDED:
        return followed.detail
    if look.lost_sight:
        # A sanitize goes on after a reset (SBC-4); a drive that lost it there would look the same.
        return Sentence("the drive was reset meanwhile, and was not seen at work after that")
    return None
