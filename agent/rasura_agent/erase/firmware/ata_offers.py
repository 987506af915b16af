"""What an ATA drive offers, read from its IDENTIFY DEVICE data; pure."""

from __future__ import annotations

from rasura.certificate import Method, Technique
from rasura_agent.drive.ata.identify import IdentifyDevice
from rasura_agent.drive.ata.sanitize import SanitizeState, SanitizeStatus
from rasura_agent.erase.firmware.ata_drive import Medium, medium_of, pass_through_obstacle
from rasura_agent.erase.firmware.ata_sanitize_status import SanitizeKind, sanitize_supports
from rasura_agent.erase.firmware.ata_security import erase_estimate, security_obstacle
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = ["SANITIZE_KINDS", "offers"]

SANITIZE_KINDS = {
    Technique.ATA_SANITIZE_BLOCK: SanitizeKind.BLOCK,
    Technique.ATA_SANITIZE_OVERWRITE: SanitizeKind.OVERWRITE,
    Technique.ATA_SANITIZE_CRYPTO: SanitizeKind.CRYPTO,
}
"""The sanitize operation behind a technique. Within a method those come first that trust no key handling."""

_SANITIZE_PURGE = "IEEE 2883 / NIST SP 800-88r2 Purge"
_R1_PURGE = "NIST SP 800-88r1 A-5"
"""ATA hard disks; for flash the same publication (A-8) has security erase among its Clear techniques."""
_CLEAR = "NIST SP 800-88r2 Clear"


def offers(
    identify: IdentifyDevice,
    drive: Drive,
    accept_r1_basis: bool = False,
    *,
    sanitize: SanitizeStatus | None = None,
) -> tuple[Offer, ...]:
    """Every ATA technique, strongest first, each with what stands in its way now.

    ``sanitize`` is the answer to SANITIZE STATUS EXT where it was read. Sanitize reaches Purge where the
    operation suits the medium: block erase on flash, overwrite on platters, cryptographic on any.
    Enhanced security erase reaches Purge on platters only, and only where the policy accepts the basis of
    Rev. 1 (``accept_r1_basis``).
    """
    medium = medium_of(identify, drive)
    between = pass_through_obstacle(identify, drive)
    found = [
        *(
            _sanitize_offer(technique, kind, medium, between or _sanitize_obstacle(identify, kind, sanitize))
            for technique, kind in SANITIZE_KINDS.items()
        ),
        *(
            _security_offer(identify, drive, medium, between, enhanced, accept_r1_basis)
            for enhanced in (True, False)
        ),
    ]
    return tuple(sorted(found, key=lambda offer: offer.method is not Method.PURGE))


def _sanitize_offer(technique: Technique, kind: SanitizeKind, medium: Medium, obstacle: str | None) -> Offer:
    purges = {
        SanitizeKind.CRYPTO: True,
        SanitizeKind.BLOCK: medium is Medium.FLASH,
        SanitizeKind.OVERWRITE: medium is Medium.ROTATING,
    }[kind]
    method, basis = (Method.PURGE, _SANITIZE_PURGE) if purges else (Method.CLEAR, _CLEAR)
    return Offer(technique, method, basis, estimate_s=None, obstacle=obstacle)


def _sanitize_obstacle(
    identify: IdentifyDevice, kind: SanitizeKind, status: SanitizeStatus | None
) -> str | None:
    if not sanitize_supports(identify.sanitize, kind):
        return Sentence("the drive does not offer sanitize by {kind}", kind=kind)
    if identify.security is not None and identify.security.locked:
        return Sentence("the drive is locked by a password (SEC4), and a locked drive aborts sanitize")
    match None if status is None else status.state:
        case SanitizeState.SD1:
            return Sentence(
                "its sanitize commands are frozen (SD1): suspend the machine to RAM and wake it, or pull the "
                "drive's power and plug it in again"
            )
        case SanitizeState.SD2:
            return Sentence("a sanitize is still at work on it (SD2)")
        case _:
            return None


def _security_offer(
    identify: IdentifyDevice,
    drive: Drive,
    medium: Medium,
    between: str | None,
    enhanced: bool,
    accept_r1_basis: bool,
) -> Offer:
    security = identify.security
    estimate = None if security is None else erase_estimate(security, enhanced=enhanced)
    obstacle = between
    if drive.transport is Transport.USB:
        obstacle = obstacle or Sentence("through a USB bridge a drive may be left locked: attach it directly")
    purges = enhanced and medium is Medium.ROTATING and accept_r1_basis
    method, basis = (Method.PURGE, _R1_PURGE) if purges else (Method.CLEAR, _CLEAR)
    return Offer(
        Technique.ATA_SECURITY_ERASE_ENHANCED if enhanced else Technique.ATA_SECURITY_ERASE,
        method,
        basis,
        None if estimate is None else float(estimate.seconds),
        obstacle or security_obstacle(security, enhanced=enhanced),
    )
