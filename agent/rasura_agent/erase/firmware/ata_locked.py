"""A drive that is found with a user password set, before anything is done to it."""

from __future__ import annotations

from enum import Enum

import msgspec

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.ata.security import SecurityState, SecurityStatus
from rasura_agent.erase.firmware.ata_drive import Silence, security_of
from rasura_agent.erase.firmware.ata_password import (
    EMPTY_PASSWORD,
    PUBLISHED_PASSWORD,
    Removal,
    master_password_note,
    remove_password,
    settled,
)
from rasura_agent.erase.firmware.line import CommandRecord, Intent, Journal, Line
from rasura_agent.sentence import Sentence

__all__ = ["LockFound", "Recovery", "recover_locked"]

_OURS = frozenset({Technique.ATA_SECURITY_ERASE.value, Technique.ATA_SECURITY_ERASE_ENHANCED.value})


class LockFound(Enum):
    """Whose password was on the drive."""

    NONE = "no password is set"
    PUBLISHED = Sentence("the published password of an interrupted erase")
    EMPTY = Sentence("the empty password")
    FOREIGN = "a password that is not known here"
    FROZEN = "a password is set and cannot be removed now"
    EXPIRED = "a password is set and no attempt is left"
    SILENT = "the drive does not say"


class Recovery(msgspec.Struct, frozen=True):
    """What was found and what became of it.

    ``free``: no password is set now, and every technique may be tried. ``interrupted`` are the security
    erases that earlier runs began on this drive and did not settle: what they left of the data is not
    known. ``state`` is the standard's name (SEC1, …) of the state the drive was left in.
    """

    found: LockFound
    free: bool
    reason: str
    state: str | None
    interrupted: tuple[Intent, ...]
    records: tuple[CommandRecord, ...]
    duration_s: float


def recover_locked(line: Line, journal: Journal, drive_identity: str) -> Recovery:
    """Free the drive from the published password, or the empty one, if it is locked by it.

    Nothing is sent but IDENTIFY DEVICE, UNLOCK and DISABLE PASSWORD; each password is tried once, or
    once more where the first answer was lost, which stays below the drive's limit of five attempts.
    A drive without a password is left alone. Intents are settled when no password is left.
    """
    interrupted, unread = _interrupted(journal, drive_identity)
    found, security, reason = _recover(line)
    state = None if isinstance(security, Silence) else security.state
    free = not isinstance(security, Silence) and not security.enabled and not security.locked
    if unread is not None:
        reason = Sentence(
            "{reason}; whether an earlier erase was interrupted is unknown: {error}",
            reason=reason,
            error=unread,
        )
    if interrupted:
        reason = Sentence(
            "{reason}; an earlier security erase of this drive was interrupted, "
            "and its data may still be there",
            reason=reason,
        )
    if free:
        reason = settled(journal, interrupted, reason)
    return Recovery(
        found,
        free,
        reason,
        None if state is None else state.name,
        interrupted,
        tuple(line.records),
        line.elapsed_s,
    )


def _interrupted(journal: Journal, drive_identity: str) -> tuple[tuple[Intent, ...], RasuraError | None]:
    """The security erases not settled, and why the journal cannot be read if it cannot."""
    try:
        intents = journal.open_intents(drive_identity)
    except RasuraError as error:
        # The password is tried all the same: it needs no journal.
        return (), error
    return tuple(intent for intent in intents if intent.technique in _OURS), None


_Found = tuple[LockFound, SecurityStatus | Silence, str]


def _recover(line: Line) -> _Found:
    security = security_of(line)
    if isinstance(security, Silence):
        reason = Sentence("whether a password is set is unknown: {detail}", detail=security.detail)
        return LockFound.SILENT, security, reason
    if not security.enabled and not security.locked:
        return LockFound.NONE, security, Sentence("no password is set on the drive")
    match security.state:
        case SecurityState.SEC6:
            reason = Sentence(
                "a password is set, and the drive is unlocked but frozen (SEC6): remove the disk password in "
                "the machine's firmware setup, or pull the drive's power and plug it in again"
            )
            return LockFound.FROZEN, security, reason
        case None:
            reason = Sentence("the bits of its security status contradict each other")
            return LockFound.SILENT, security, reason
        case SecurityState.SEC4 if security.count_expired:
            return _expired(security)
        case _:
            return _try_passwords(line, security)


def _expired(security: SecurityStatus | Silence) -> _Found:
    reason = Sentence(
        "the drive is locked (SEC4) and takes no more passwords until its power goes: pull its power, or "
        "switch the machine off, and start again"
    )
    return LockFound.EXPIRED, security, reason


def _try_passwords(line: Line, security: SecurityStatus) -> _Found:
    locked = security.state is SecurityState.SEC4
    for password, found in ((PUBLISHED_PASSWORD, LockFound.PUBLISHED), (EMPTY_PASSWORD, LockFound.EMPTY)):
        removal = remove_password(line, password)
        if removal.free:
            return found, removal.security, _removed(found, locked=locked)
        if isinstance(removal.security, Silence):
            reason = Sentence(
                "while its password was being removed the drive fell silent: {detail}",
                detail=removal.security.detail,
            )
            return LockFound.SILENT, removal.security, reason
        if removal.fits or (locked and removal.state is SecurityState.SEC5):
            return _fits_and_stays(found, removal)
        if removal.state is SecurityState.SEC4 and removal.security.count_expired:
            return _expired(removal.security)
    reason = Sentence(
        "the drive has a password that is not known here; {note}", note=master_password_note(security)
    )
    return LockFound.FOREIGN, removal.security, reason


def _removed(found: LockFound, *, locked: bool) -> str:
    if locked:
        return Sentence("the drive was locked by {password}, which is removed now", password=found.value)
    return Sentence("the drive was unlocked, with {password}, which is removed now", password=found.value)


def _fits_and_stays(found: LockFound, removal: Removal) -> _Found:
    if removal.state is None:
        reason = Sentence(
            "the drive took {password}, but would not let it be removed and is left in no clear state",
            password=found.value,
        )
    else:
        reason = Sentence(
            "the drive took {password}, but would not let it be removed and is left in {state}",
            password=found.value,
            state=removal.state.name,
        )
    return found, removal.security, reason
