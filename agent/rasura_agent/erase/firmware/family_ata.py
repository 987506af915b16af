"""ATA drives behind the family port."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from rasura.certificate import HiddenArea, HiddenAreas, Presence, Technique
from rasura_agent.drive.ata.identify import IdentifyDevice
from rasura_agent.drive.ata.sanitize import SanitizeState, SanitizeStatus
from rasura_agent.drive.port import Disposition
from rasura_agent.erase.firmware import hidden_areas
from rasura_agent.erase.firmware.ata_drive import Silence, pass_through_obstacle, read_identify
from rasura_agent.erase.firmware.ata_locked import recover_locked
from rasura_agent.erase.firmware.ata_offers import SANITIZE_KINDS, offers
from rasura_agent.erase.firmware.ata_sanitize import run_sanitize
from rasura_agent.erase.firmware.ata_sanitize_left import adopt_sanitize, leave_failure_mode
from rasura_agent.erase.firmware.ata_sanitize_status import read_sanitize_status
from rasura_agent.erase.firmware.ata_security import run_security_erase
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import Journal, Line, TechniqueEnd
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

__all__ = ["AtaFamily"]

_SECURITY = frozenset({Technique.ATA_SECURITY_ERASE, Technique.ATA_SECURITY_ERASE_ENHANCED})


class AtaFamily(msgspec.Struct):
    """One ATA drive; ``identify`` and ``sanitize`` are as it was met."""

    drive: Drive
    identify: IdentifyDevice
    sanitize: SanitizeStatus | None
    journal: Journal
    accept_r1_basis: bool

    @classmethod
    def meet(cls, line: Line, drive: Drive, journal: Journal, *, accept_r1_basis: bool) -> AtaFamily | str:
        """Ask the drive who it is; a string says why it does not tell."""
        identify = read_identify(line)
        if isinstance(identify, Silence):
            return Sentence("it does not answer ATA commands: {reason}", reason=identify.detail)
        return cls(drive, identify, _sanitize_status(line, identify), journal, accept_r1_basis)

    def offers(self) -> tuple[Offer, ...]:
        """Every ATA technique, as it will stand once the drive is prepared.

        A sanitize at work, a failure mode and a password are what :meth:`prepare` is there for.
        """
        return offers(_as_prepared(self.identify), self.drive, self.accept_r1_basis, sanitize=self._lasting)

    @property
    def odd_sectors(self) -> str | None:
        """None: only SCSI drives come with sectors that Linux cannot use."""
        return None

    @property
    def is_frozen(self) -> bool:
        """SEC2, SEC6, or a sanitize feature set in SD1."""
        security = self.identify.security
        by_sanitize = self.sanitize is not None and self.sanitize.state is SanitizeState.SD1
        return by_sanitize or (security is not None and security.frozen)

    def prepare(self, line: Line) -> Prepared:
        """Follow or leave an earlier sanitize, unlock with our password, lift hidden areas."""
        identify = read_identify(line)
        if isinstance(identify, Silence):
            return Prepared(obstacle=_silent(identify))
        between = pass_through_obstacle(identify, self.drive)
        if between is not None:
            return Prepared(risks=(f"hidden-areas: they were not examined: {between}",))
        barred = False
        status = _sanitize_status(line, identify)
        if status is not None and status.state is SanitizeState.SD2:
            ended = adopt_sanitize(line, capacity_bytes=self._capacity)
            status = _sanitize_status(line, identify)
            if ended.disposition is not Disposition.REFUSED and not _failed(status):
                return Prepared(obstacle=ended.reason)
        if _failed(status):
            barred = leave_failure_mode(line).disposition is not Disposition.REFUSED
        recovery = recover_locked(line, self.journal, self.drive.identity_sha256)
        security = identify.security
        if not recovery.free and security is not None and security.locked:
            return Prepared(obstacle=Sentence("the drive is locked: {reason}", reason=recovery.reason))
        return self._unhide(line, barred=barred)

    def run(self, technique: Technique, line: Line) -> TechniqueEnd:
        """Carry out one ATA technique."""
        if technique in _SECURITY:
            enhanced = technique is Technique.ATA_SECURITY_ERASE_ENHANCED
            return run_security_erase(
                line, enhanced, self.journal, self.drive.identity_sha256, self._capacity
            )
        return run_sanitize(line, SANITIZE_KINDS[technique], capacity_bytes=self._capacity)

    @property
    def _lasting(self) -> SanitizeStatus | None:
        """The sanitize status as met, unless preparing the drive will change it."""
        passing = self.sanitize is not None and self.sanitize.state in {SanitizeState.SD2, SanitizeState.SD3}
        return None if passing else self.sanitize

    @property
    def _capacity(self) -> int:
        return self.identify.capacity_bytes or self.drive.capacity_bytes

    def _unhide(self, line: Line, *, barred: bool) -> Prepared:
        identify = read_identify(line)
        if isinstance(identify, Silence):
            return Prepared(obstacle=_silent(identify))
        found = hidden_areas.find(line, identify)
        lifted = hidden_areas.lift(line, found)
        after = lifted.after
        areas = HiddenAreas(
            hpa=_both(found.hpa, after.hpa if after else None),
            ama=_both(found.ama, after.ama if after else None),
            dco=_both(found.dco, after.dco if after else None),
        )
        remaining = [name for name, area in (after or found).areas if area.presence is Presence.PRESENT]
        still = _still_hidden(remaining, needs_power_cycle=lifted.needs_power_cycle) if remaining else None
        return Prepared(
            barred=barred,
            lifted=after != found,
            still_hidden=still,
            hidden_areas=areas,
            native_capacity_bytes=(after or found).native_bytes,
            risks=lifted.risks,
        )


def _as_prepared(identify: IdentifyDevice) -> IdentifyDevice:
    """As it would be without the password that it is locked by."""
    security = identify.security
    if security is None or not security.locked:
        return identify
    return replace(identify, security=replace(security, enabled=False, locked=False, count_expired=False))


def _both(before: hidden_areas.HiddenArea, after: hidden_areas.HiddenArea | None) -> HiddenArea:
    return HiddenArea(before=before.presence, after=after.presence if after else Presence.UNKNOWN)


def _sanitize_status(line: Line, identify: IdentifyDevice) -> SanitizeStatus | None:
    if identify.sanitize is None:
        return None
    status = read_sanitize_status(line)
    return None if isinstance(status, Silence) else status


def _failed(status: SanitizeStatus | None) -> bool:
    return status is not None and status.state is SanitizeState.SD3


def _silent(silence: Silence) -> str:
    return Sentence("the drive no longer answers: {detail}", detail=silence.detail)


def _still_hidden(areas: list[str], *, needs_power_cycle: bool) -> str:
    names = areas[0]
    for area in areas[1:]:
        names = Sentence("{first} and {second}", first=names, second=area)
    if needs_power_cycle:
        return Sentence(
            "{areas} could not be lifted: switch the machine off and on, and run again", areas=names
        )
    return Sentence("{areas} could not be lifted", areas=names)
