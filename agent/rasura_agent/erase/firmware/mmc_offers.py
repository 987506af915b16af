"""What an eMMC offers: a pure reading of its registers, and the erases each technique consists of."""

from __future__ import annotations

from rasura.certificate import Method, Technique
from rasura_agent.drive.mmc.erase import EraseArgument, erase_supported
from rasura_agent.drive.mmc.ext_csd import SecureFeatures
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea, MmcCapabilities
from rasura_agent.erase.firmware.mmc_protection import boot_protection
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = ["TECHNIQUES", "erases", "offers", "risks", "unsupported"]

TECHNIQUES = (Technique.MMC_SANITIZE, Technique.MMC_SECURE_ERASE, Technique.MMC_SECURE_TRIM)
"""Strongest first: sanitize reaches every former copy, secure erase and trim those of the range."""

_CLEAR = "NIST SP 800-88r2 Clear"
_R1_PURGE = "NIST SP 800-88r1 A-3, as an equivalent of the eMMC secure erase it names"
"""Table A-3 (mobile devices) is where Rev. 1 speaks of eMMC. What IEEE 2883 makes of it is not known here,
so without Rev. 1 a sanitize counts as Clear."""

_REV_4_5 = 6
"""EXT_CSD_REV from which sanitize exists; before, its bit in SEC_FEATURE_SUPPORT was reserved."""

_SECURE_TRIM = (EraseArgument.SECURE_TRIM_STEP_1, EraseArgument.SECURE_TRIM_STEP_2)


def offers(capabilities: MmcCapabilities, drive: Drive, accept_r1_basis: bool = False) -> tuple[Offer, ...]:
    """Every eMMC technique, strongest first; the device estimates no times.

    Args:
        capabilities: as just read from the device.
        drive: as the inventory describes it, the user area.
        accept_r1_basis: whether the policy takes NIST SP 800-88 Rev. 1.
    """
    found = []
    for technique in TECHNIQUES:
        purges = technique is Technique.MMC_SANITIZE and accept_r1_basis and _reaches_copies(capabilities)
        method, basis = (Method.PURGE, _R1_PURGE) if purges else (Method.CLEAR, _CLEAR)
        obstacle = _mismatch(drive) or unsupported(capabilities, technique)
        obstacle = obstacle or boot_protection(capabilities.ext_csd)
        found.append(Offer(technique, method, basis, None, obstacle))
    return tuple(found)


def risks(capabilities: MmcCapabilities) -> tuple[str, ...]:
    """What none of the techniques reaches, as sentences that begin with a code."""
    found = []
    if capabilities.ext_csd.rpmb_bytes:
        size = capabilities.ext_csd.rpmb_bytes // 1024
        found.append(f"rpmb: {size} KiB of replay-protected memory are reached by no erase command")
    if not _reaches_copies(capabilities):
        found.append("boot-copies: former copies of data in the boot partitions may be left in the chips")
    return tuple(found)


def unsupported(capabilities: MmcCapabilities, technique: Technique) -> str | None:
    """Why the device does not have ``technique``, or ``None``."""
    ext_csd = capabilities.ext_csd
    if technique is Technique.MMC_SANITIZE:
        known = ext_csd.rev >= _REV_4_5 and SecureFeatures.SEC_SANITIZE in ext_csd.secure_features
        return None if known else Sentence("the device has no sanitize")
    wanted = EraseArgument.SECURE_ERASE if technique is Technique.MMC_SECURE_ERASE else _SECURE_TRIM[0]
    if erase_supported(ext_csd, wanted):
        return None
    if wanted is EraseArgument.SECURE_ERASE:
        return Sentence("the device has no secure erase")
    return Sentence("the device has no secure trim")


def erases(capabilities: MmcCapabilities, technique: Technique, area: MmcArea) -> tuple[EraseArgument, ...]:
    """The CMD38 arguments with which ``technique`` goes over one partition, in order.

    Before a sanitize, the user area is only unmapped. Sanitize is about the user address space
    (JESD84-B51 clause 6.6.11), so the other partitions are erased securely where the device can.
    """
    ext_csd = capabilities.ext_csd
    secure = erase_supported(ext_csd, EraseArgument.SECURE_ERASE)
    if technique is Technique.MMC_SECURE_TRIM:
        return _SECURE_TRIM
    if technique is Technique.MMC_SECURE_ERASE or (secure and area is not MmcArea.USER):
        return (EraseArgument.SECURE_ERASE,)
    # An erase takes whole erase groups, a trim is exact.
    trim = erase_supported(ext_csd, EraseArgument.TRIM)
    return (EraseArgument.TRIM if trim else EraseArgument.ERASE,)


def _reaches_copies(capabilities: MmcCapabilities) -> bool:
    """Whether nothing but the user area has to be emptied, or all else can be erased securely."""
    alone = len(capabilities.areas) == 1
    return alone or erase_supported(capabilities.ext_csd, EraseArgument.SECURE_ERASE)


def _mismatch(drive: Drive) -> str | None:
    if drive.transport is not Transport.MMC:
        return Sentence("it is not attached to an MMC host, so what MMC commands would reach is not certain")
    return None
