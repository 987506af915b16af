"""What a SCSI drive offers for erasing, by its own word; pure."""

from __future__ import annotations

from rasura.certificate import Method, Technique
from rasura_agent.drive.scsi.inquiry import PeripheralType
from rasura_agent.drive.scsi.opcodes import CommandSupport, Support
from rasura_agent.drive.scsi.virtual import virtual_disk
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities
from rasura_agent.erase.firmware.scsi_identity import Identity, same_identity
from rasura_agent.erase.firmware.scsi_pace import format_pace, sanitize_estimate_s
from rasura_agent.erase.firmware.scsi_state import UNCLEAR, ScsiState
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

__all__ = ["BASIS_FORMAT", "BASIS_OTHER_MEDIUM", "BASIS_PURGE", "offers"]

BASIS_PURGE = "IEEE 2883 / NIST SP 800-88r2 Purge"
"""SANITIZE on the medium that the standards name it for."""
BASIS_OTHER_MEDIUM = "NIST SP 800-88r2 Clear: this sanitize operation is Purge on other media only"
BASIS_FORMAT = "NIST SP 800-88r2 Clear"

_DRIVES = frozenset({PeripheralType.DIRECT_ACCESS, PeripheralType.HOST_MANAGED_ZONED})


def offers(capabilities: ScsiCapabilities, drive: Drive) -> tuple[Offer, ...]:
    """Every technique of a SCSI drive, Purge before Clear, with what stands in its way now.

    SANITIZE reaches Purge by cryptographic erase on any medium, by overwrite on rotating media and by
    block erase on flash; where the rotation is not known, the latter two count as Clear. FORMAT UNIT
    is Clear: what it overwrites is the drive's business.
    """
    rotational = capabilities.rotational if capabilities.rotational is not None else drive.rotational
    general = _general_obstacle(capabilities, drive)
    found = [_sanitize(capabilities, kind, rotational, general) for kind in SanitizeKind]
    found.append(
        Offer(
            Technique.SCSI_FORMAT_UNIT,
            Method.CLEAR,
            BASIS_FORMAT,
            format_pace(capabilities).estimate_s,
            general or _format_obstacle(capabilities),
        )
    )
    return tuple(sorted(found, key=lambda offer: offer.method is not Method.PURGE))


def _sanitize(
    capabilities: ScsiCapabilities, kind: SanitizeKind, rotational: bool | None, general: str | None
) -> Offer:
    purges = {
        SanitizeKind.CRYPTO: True,
        SanitizeKind.BLOCK: rotational is False,
        SanitizeKind.OVERWRITE: rotational is True,
    }[kind]
    return Offer(
        kind.value,
        Method.PURGE if purges else Method.CLEAR,
        BASIS_PURGE if purges else BASIS_OTHER_MEDIUM,
        sanitize_estimate_s(capabilities, kind),
        general or _support_obstacle(capabilities.sanitize(kind), Sentence("this sanitize operation")),
    )


def _general_obstacle(capabilities: ScsiCapabilities, drive: Drive) -> str | None:
    """Why no SCSI command may erase it."""
    if obstacle := _by_nature(capabilities):
        return obstacle
    identity = same_identity(capabilities.serial, capabilities.wwn, drive)
    if identity.identity is not Identity.SAME:
        return identity.sentence
    if capabilities.state in (ScsiState.SANITIZING, ScsiState.FORMATTING):
        return Sentence(
            "it is at work ({state}), which has to be followed to its end first",
            state=capabilities.state.value,
        )
    if capabilities.state in UNCLEAR:
        return Sentence("its state could not be told")
    return Sentence("it is write-protected") if capabilities.write_protected else None


def _by_nature(capabilities: ScsiCapabilities) -> str | None:
    """Why it is no SCSI drive."""
    inquiry = capabilities.inquiry
    if inquiry is None:
        return Sentence("it did not say in INQUIRY data what it is")
    if disk := virtual_disk(inquiry.vendor, inquiry.product):
        return Sentence(
            "it is no drive but a disk made by {maker} ({kind}): "
            "the drives behind it must be reached themselves",
            maker=disk.maker,
            kind=disk.kind.value,
        )
    if inquiry.qualifier != 0 or inquiry.peripheral_type not in _DRIVES:
        return Sentence(
            "it is no disk drive (peripheral device type {number}h)", number=f"{inquiry.peripheral_type:02X}"
        )
    if capabilities.translated_ata:
        return Sentence("it is an ATA drive behind a SCSI translation: its ATA commands are for it")
    return None


def _format_obstacle(capabilities: ScsiCapabilities) -> str | None:
    if capabilities.state is ScsiState.SANITIZE_FAILED:
        return Sentence("a sanitize failed on it, and until another succeeds it takes no FORMAT UNIT")
    if capabilities.format_unit is None:
        return None  # FORMAT UNIT is mandatory (SBC-4, Commands for direct access block devices)
    return _support_obstacle(capabilities.format_unit, "FORMAT UNIT")


def _support_obstacle(support: CommandSupport | None, what: str) -> str | None:
    if support is None:
        return Sentence("it does not tell whether it supports {what}", what=what)
    match support.support:
        case Support.STANDARD:
            return None
        case Support.NOT_SUPPORTED:
            return Sentence("it does not support {what}", what=what)
        case Support.NOT_AVAILABLE_NOW:
            return Sentence("it cannot tell now whether it supports {what}: ask again", what=what)
        case Support.VENDOR_SPECIFIC:
            return Sentence(
                "it supports {what} in its maker's own way, which need not be the standard's", what=what
            )
