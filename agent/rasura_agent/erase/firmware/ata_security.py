"""SECURITY ERASE UNIT as a technique (ACS-4, Security feature set, states SEC1 to SEC6).

The command blocks until the drive is erased, tells no progress, and ends in SEC1. That the drive is in
SEC1 afterwards proves nothing alone, and good status alone neither: a bus reset in the middle hides a
failure. DONE needs a password seen set (SEC5), the erase seen to end well, and the password seen gone.
"""

from __future__ import annotations

import msgspec

from rasura.certificate import Technique
from rasura.errors import RasuraError
from rasura_agent.drive.ata.identify import IdentifyDevice
from rasura_agent.drive.ata.security import (
    EraseEstimate,
    SecurityState,
    SecurityStatus,
    erase_timeout_s,
    security_erase_prepare,
    security_erase_unit,
    security_set_password,
)
from rasura_agent.drive.port import Completion, Disposition
from rasura_agent.erase.firmware.ata_drive import (
    FASTEST_PLATTERS,
    SMALLEST_TELLING_BYTES,
    Silence,
    is_reset_signature,
    read_identify,
    same_identity,
    security_of,
)
from rasura_agent.erase.firmware.ata_password import (
    PUBLISHED_PASSWORD,
    master_password_note,
    remove_password,
    settled,
)
from rasura_agent.erase.firmware.line import Intent, Journal, Line, Running, TechniqueEnd
from rasura_agent.sentence import Sentence

__all__ = ["erase_estimate", "run_security_erase", "security_obstacle"]

_SHORTEST_ESTIMATE_S = 120
"""One unit of words 89 and 90: it is also what drives report that erase by changing a key."""
_SHORTEST_FLASH_ERASE_S = 1.0


def erase_estimate(security: SecurityStatus, *, enhanced: bool) -> EraseEstimate | None:
    """The drive's own estimate for the mode, ``None`` where it reports none."""
    return security.enhanced_erase if enhanced else security.normal_erase


def security_obstacle(security: SecurityStatus | None, *, enhanced: bool) -> str | None:
    """Why SECURITY ERASE UNIT cannot be used now, as a sentence, or ``None``."""
    if security is None or not security.supported:
        return Sentence("the drive has no Security feature set")
    if enhanced and not security.enhanced_erase_supported:
        return Sentence("the drive has no enhanced security erase")
    return _state_obstacle(security)


def _state_obstacle(security: SecurityStatus) -> str | None:
    state = security.state
    if state is None:
        return Sentence("the bits of its security status contradict each other")
    if security.frozen:
        return Sentence(
            "its security commands are frozen ({state}), as a machine's firmware does at boot: suspend "
            "the machine to RAM and wake it, or pull the drive's power and plug it in again",
            state=state.name,
        )
    if security.count_expired:
        return Sentence("the drive takes no more passwords until its power goes ({state})", state=state.name)
    if state is SecurityState.SEC4:
        return Sentence(
            "the drive is locked by a password (SEC4); {note}", note=master_password_note(security)
        )
    return None


class _Erase(msgspec.Struct, frozen=True):
    """One security erase on its way."""

    line: Line
    journal: Journal
    intent: Intent
    enhanced: bool
    capacity_bytes: int
    before: IdentifyDevice

    def unchanged(self, reason: str) -> TechniqueEnd:
        """The drive never took the password: nothing was begun."""
        return self.line.end(Disposition.REFUSED, self.settled(reason), self.state_name)

    @property
    def state_name(self) -> str | None:
        state = None if self.before.security is None else self.before.security.state
        return None if state is None else state.name

    def settled(self, reason: str) -> str:
        """Forget the intent; the reason, and that this failed if it did."""
        return settled(self.journal, (self.intent,), reason)

    def abandon(self, reason: str, *, begun: bool) -> TechniqueEnd:
        """Leave the drive without our password if it can be had; ``begun`` if ERASE UNIT was sent."""
        removal = remove_password(self.line, PUBLISHED_PASSWORD)
        name = None if removal.state is None else removal.state.name
        if removal.free:
            free = Sentence("{reason}; no password is left on it ({state})", reason=reason, state=name)
            return self.line.end(
                Disposition.UNKNOWN if begun else Disposition.REFUSED, self.settled(free), name
            )
        if isinstance(removal.security, Silence):
            left = Sentence(
                "{reason}; it may be left locked with the published password, and does not answer: {detail}",
                reason=reason,
                detail=removal.security.detail,
            )
        else:
            left = Sentence("{reason}; it may be left locked with the published password", reason=reason)
        return self.line.end(Disposition.UNKNOWN, left, name)


def run_security_erase(
    line: Line, enhanced: bool, journal: Journal, drive_identity: str, capacity_bytes: int
) -> TechniqueEnd:
    """Erase by SECURITY ERASE UNIT, in enhanced or in normal mode.

    The intent is in the journal before a password is set, and settled when the drive is seen without one;
    ``drive_identity`` is the journal's name for the drive. ``capacity_bytes``, native where known, judges
    the timeout and what time is plausible. A password that an unlocked drive (SEC5) already has is
    replaced. On any failure the drive is left without our password if it lets us.

    DONE: good status of this very command, SEC1 after SEC5, a plausible time. REFUSED: ERASE UNIT was
    never sent, and no password of ours is left. UNKNOWN: anything else, whatever state the drive shows.
    """
    before = read_identify(line)
    if isinstance(before, Silence):
        reason = Sentence("the drive does not identify itself: {detail}", detail=before.detail)
        return line.end(Disposition.REFUSED, reason)
    security = before.security
    technique = Technique.ATA_SECURITY_ERASE_ENHANCED if enhanced else Technique.ATA_SECURITY_ERASE
    erase = _Erase(line, journal, Intent(drive_identity, technique.value), enhanced, capacity_bytes, before)
    obstacle = security_obstacle(security, enhanced=enhanced)
    if security is None or obstacle is not None:
        return line.end(Disposition.REFUSED, obstacle or "unsupported", erase.state_name)
    estimate = erase_estimate(security, enhanced=enhanced)
    # The command tells no progress: this is the only moment at which it can be called off.
    stop = line.watch(Running(None, 0.0, None if estimate is None else float(estimate.seconds)))
    if stop is not None:
        return line.end(Disposition.REFUSED, stop, erase.state_name)
    try:
        journal.intend(erase.intent)
    except RasuraError as error:
        reason = Sentence("it cannot be written down that this drive gets a password: {error}", error=error)
        return line.end(Disposition.REFUSED, reason, erase.state_name)
    refusal = _set_password(erase)
    return refusal or _erase_unit(erase, estimate)


def _set_password(erase: _Erase) -> TechniqueEnd | None:
    """SEC1 (or SEC5) to SEC5; ``None`` when the drive was then seen in SEC5."""
    line = erase.line
    sent = line.execute(security_set_password(PUBLISHED_PASSWORD))
    if sent.disposition is Disposition.REFUSED:
        reason = Sentence("the drive takes no password: {detail}", detail=sent.detail)
        now = security_of(line)
        same = not isinstance(now, Silence) and erase.before.security is not None
        if same and now == erase.before.security:
            return erase.unchanged(reason)
        return erase.abandon(reason, begun=False)
    if sent.disposition is Disposition.UNKNOWN:
        # The same password once more changes nothing if the first one arrived.
        sent = line.execute(security_set_password(PUBLISHED_PASSWORD))
    if sent.disposition is not Disposition.DONE:
        reason = Sentence("whether the drive took the password is unknown: {detail}", detail=sent.detail)
        return erase.abandon(reason, begun=False)
    armed = security_of(line)
    if isinstance(armed, Silence) or armed.state is not SecurityState.SEC5:
        reason = Sentence("the drive reports a password set and does not show one")
        return erase.abandon(reason, begun=False)
    return None


def _erase_unit(erase: _Erase, estimate: EraseEstimate | None) -> TechniqueEnd:
    line = erase.line
    seconds, saturated = (None, False) if estimate is None else (estimate.seconds, estimate.saturated)
    timeout_s = erase_timeout_s(seconds, saturated, erase.capacity_bytes)
    prepared = line.execute(security_erase_prepare())
    if prepared.disposition is not Disposition.DONE:
        reason = Sentence("the drive was not prepared for the erase: {detail}", detail=prepared.detail)
        return erase.abandon(reason, begun=False)
    # Nothing may come between the two: any other command takes the preparation back.
    began_at = line.clock.monotonic()
    sent = line.execute(security_erase_unit(PUBLISHED_PASSWORD, enhanced=erase.enhanced, timeout_s=timeout_s))
    took_s = line.clock.monotonic() - began_at
    if doubt := _doubt(sent):
        return erase.abandon(doubt, begun=True)
    return _judge(erase, estimate, took_s)


def _judge(erase: _Erase, estimate: EraseEstimate | None, took_s: float) -> TechniqueEnd:
    """ERASE UNIT ended well by its own status: what the drive shows now must be SEC1, and plausible."""
    line = erase.line
    after = read_identify(line)
    if isinstance(after, Silence) or after.security is None:
        reason = Sentence("the drive reports success and does not show its state")
        return erase.abandon(reason, begun=True)
    if not same_identity(erase.before, after):
        # Nothing more is sent: the password in question is not this drive's.
        reason = Sentence("another drive answers than the one that was to be erased")
        return line.end(Disposition.UNKNOWN, reason)
    if after.security.enabled or after.security.locked:
        # A successful erase leads to SEC1; some firmware stays in SEC5 over a failure.
        reason = Sentence("the drive reports success and keeps its password")
        return erase.abandon(reason, begun=True)
    name = None if after.security.state is None else after.security.state.name
    seconds = f"{took_s:.0f}"
    if erase.enhanced:
        ended = Sentence(
            "enhanced security erase ended after {seconds} s with the password gone ({state})",
            seconds=seconds,
            state=name,
        )
    else:
        ended = Sentence(
            "normal security erase ended after {seconds} s with the password gone ({state})",
            seconds=seconds,
            state=name,
        )
    told = erase.settled(ended)
    if not erase.enhanced:
        # ACS-4: normal mode writes up to the native maximum address, enhanced mode all that held user data.
        told = Sentence(
            "{told}; it reached the native sectors, not those that an overlay (DCO) would hide", told=told
        )
    if _implausible(erase, estimate, took_s):
        told = Sentence(
            "{told}, which is not plausible for {count} bytes", told=told, count=erase.capacity_bytes
        )
        return line.end(Disposition.UNKNOWN, told, name)
    return line.end(Disposition.DONE, told, name)


def _doubt(sent: Completion) -> str | None:
    """Why the status of ERASE UNIT does not say that it ended well, whatever state the drive shows next.

    Not even REFUSED is taken for harmless: a drive aborts it for a wrong password and equally when the
    erase failed half way.
    """
    if sent.disposition is not Disposition.DONE:
        return Sentence("how the erase ended is unknown: {detail}", detail=sent.detail)
    if sent.ata is None or is_reset_signature(sent):
        return Sentence(
            "how the erase ended is unknown: {detail}", detail=Sentence("a reset answered in its place")
        )
    return None


def _implausible(erase: _Erase, estimate: EraseEstimate | None, took_s: float) -> bool:
    """Whether that was too quick, on a drive of real capacity, for what the drive said it would do."""
    if erase.capacity_bytes < SMALLEST_TELLING_BYTES:
        return False
    quick = estimate is not None and not estimate.saturated and estimate.seconds <= _SHORTEST_ESTIMATE_S
    if erase.before.rotational:
        # The shortest estimate there is says that a key is changed; then any time will do.
        if quick and (erase.enhanced or erase.before.features.encrypts_all_user_data):
            return False
        return took_s < erase.capacity_bytes / FASTEST_PLATTERS
    return estimate is not None and not quick and took_s < _SHORTEST_FLASH_ERASE_S
