"""What an NVMe drive offers: a pure reading of its capabilities."""

from __future__ import annotations

from rasura.certificate import Method, Technique
from rasura_agent.drive.nvme.format import FormatScope, SecureEraseSettings, format_scope
from rasura_agent.drive.nvme.identify import FormatNvmAttributes, OptionalAdminCommands
from rasura_agent.drive.nvme.sanitize import SanitizeAction
from rasura_agent.drive.nvme.sanitize_log import SanitizeState
from rasura_agent.erase.firmware.nvme_capabilities import NvmeCapabilities
from rasura_agent.erase.firmware.offer import Offer
from rasura_agent.inventory.model import Drive, Transport
from rasura_agent.sentence import Sentence

__all__ = ["FORMAT_SETTINGS", "SANITIZE_ACTIONS", "offers", "risks", "standing_obstacle"]

SANITIZE_ACTIONS = {
    Technique.NVME_SANITIZE_BLOCK: SanitizeAction.BLOCK_ERASE,
    Technique.NVME_SANITIZE_CRYPTO: SanitizeAction.CRYPTO_ERASE,
    Technique.NVME_SANITIZE_OVERWRITE: SanitizeAction.OVERWRITE,
}
"""Strongest first. All three reach Purge; a block erase needs no trust in the drive's encryption, and an
overwrite takes hours of wear to reach no more."""

FORMAT_SETTINGS = {
    Technique.NVME_FORMAT_USER_DATA: SecureEraseSettings.USER_DATA_ERASE,
    Technique.NVME_FORMAT_CRYPTO: SecureEraseSettings.CRYPTOGRAPHIC_ERASE,
}
"""Strongest first, for the same reason."""

_PURGE = "IEEE 2883 / NIST SP 800-88r2 Purge"
_CLEAR = "NIST SP 800-88r2 Clear"
_R1_PURGE = "NIST SP 800-88r1 A-8"


def offers(
    capabilities: NvmeCapabilities,
    drive: Drive,
    accept_r1_basis: bool = False,
    *,
    erase_whole_subsystem: bool = False,
) -> tuple[Offer, ...]:
    """Every NVMe technique, strongest first.

    Args:
        capabilities: as just read from the drive.
        drive: as the inventory describes it; it must be what ``capabilities`` speaks of.
        accept_r1_basis: whether the policy takes NIST SP 800-88 Rev. 1, for which Format NVM is a Purge.
        erase_whole_subsystem: whether the other namespaces of the subsystem are to be erased as well.
    """
    mismatch = _mismatch(capabilities, drive)

    def obstacle(technique: Technique) -> str | None:
        return (
            mismatch
            or standing_obstacle(capabilities, technique, erase_whole_subsystem=erase_whole_subsystem)
            or _state_obstacle(capabilities, technique)
        )

    log = capabilities.sanitize_log
    sanitizes = [
        Offer(
            technique,
            Method.PURGE,
            _PURGE,
            None if log is None else log.estimate_s(action),
            obstacle(technique),
        )
        for technique, action in SANITIZE_ACTIONS.items()
    ]
    # Format NVM reports no time (clause 5.1.10).
    method, basis = (Method.PURGE, _R1_PURGE) if accept_r1_basis else (Method.CLEAR, _CLEAR)
    formats = [Offer(technique, method, basis, None, obstacle(technique)) for technique in FORMAT_SETTINGS]
    return (*sanitizes, *formats)


def risks(capabilities: NvmeCapabilities) -> tuple[str, ...]:
    """What none of the techniques reaches, as sentences that begin with a code."""
    rpmb = capabilities.controller.rpmbs
    if rpmb is None:
        return ()
    size = rpmb.units * rpmb.unit_bytes // 1024
    return (f"rpmb: {size} KiB of replay-protected memory are reached by no erase command",)


def standing_obstacle(
    capabilities: NvmeCapabilities, technique: Technique, *, erase_whole_subsystem: bool
) -> str | None:
    """Why ``technique`` must not be used on this drive whatever its present state, or ``None``."""
    if technique in SANITIZE_ACTIONS:
        return _sanitize_obstacle(capabilities, SANITIZE_ACTIONS[technique], erase_whole_subsystem)
    return _format_obstacle(capabilities, FORMAT_SETTINGS[technique], erase_whole_subsystem)


def _mismatch(capabilities: NvmeCapabilities, drive: Drive) -> str | None:
    if drive.transport is not Transport.NVME:
        return Sentence(
            "it is not attached as an NVMe drive, so what NVMe commands would reach is not certain"
        )
    size = capabilities.namespace.size_bytes
    # Multipath renames block devices: a namespace of another size is not the one that was planned.
    if size != drive.capacity_bytes:
        return Sentence(
            "the namespace that answers has {size} bytes, the block device {named}",
            size=size,
            named=drive.capacity_bytes,
        )
    return None


def _sanitize_obstacle(
    capabilities: NvmeCapabilities, action: SanitizeAction, erase_whole_subsystem: bool
) -> str | None:
    sanicap = capabilities.controller.sanicap
    if not sanicap.supported:
        return Sentence("the drive has no Sanitize command")
    supported = {
        SanitizeAction.BLOCK_ERASE: sanicap.block_erase,
        SanitizeAction.CRYPTO_ERASE: sanicap.crypto_erase,
        SanitizeAction.OVERWRITE: sanicap.overwrite,
    }
    if not supported[action]:
        return Sentence("the drive's Sanitize command does not have this kind of erase")
    if capabilities.others and not erase_whole_subsystem:
        return _beyond(capabilities)
    return None


def _format_obstacle(
    capabilities: NvmeCapabilities, ses: SecureEraseSettings, erase_whole_subsystem: bool
) -> str | None:
    controller = capabilities.controller
    if OptionalAdminCommands.FORMAT_NVM not in controller.oacs:
        return Sentence("the drive has no Format NVM command")
    crypto = FormatNvmAttributes.CRYPTOGRAPHIC_ERASE in controller.fna
    if ses is SecureEraseSettings.CRYPTOGRAPHIC_ERASE and not crypto:
        return Sentence("the drive's Format NVM command has no cryptographic erase")
    if controller.unvmcap:
        return Sentence(
            "{count} bytes belong to no namespace, and a format does not reach them", count=controller.unvmcap
        )
    reaches_all = format_scope(controller.fna, ses=ses, nsid=capabilities.nsid) is FormatScope.ALL_NAMESPACES
    if reaches_all and capabilities.others and not erase_whole_subsystem:
        return _beyond(capabilities)
    if erase_whole_subsystem and capabilities.unattached and not reaches_all:
        return Sentence(
            "a format does not reach {namespaces}, which this controller does not see",
            namespaces=_named(capabilities.unattached),
        )
    return None


def _state_obstacle(capabilities: NvmeCapabilities, technique: Technique) -> str | None:
    """What stands in the way now and can be brought to an end."""
    if capabilities.namespace.write_protected:
        return Sentence("the namespace is write protected")
    log = capabilities.sanitize_log
    if log is None:
        is_sanitize = technique in SANITIZE_ACTIONS
        return Sentence("the drive does not show its sanitize log") if is_sanitize else None
    if log.running or log.state is SanitizeState.MEDIA_VERIFICATION:
        return Sentence("a sanitize that this run did not begin is still under way on it")
    if technique in SANITIZE_ACTIONS:
        is_clear = log.state is not SanitizeState.UNKNOWN
        return None if is_clear else Sentence("its sanitize log contradicts itself")
    if log.state is SanitizeState.FAILED_RESTRICTED:
        return Sentence("its last sanitize failed, and only a sanitize that succeeds unlocks it")
    return None


def _beyond(capabilities: NvmeCapabilities) -> str:
    return Sentence(
        "it would erase {namespaces} too, and only {one} is to be erased",
        namespaces=_named(capabilities.others),
        one=capabilities.nsid,
    )


def _named(nsids: tuple[int, ...]) -> str:
    numbers = ", ".join(map(str, nsids))
    if len(nsids) > 1:
        return Sentence("namespaces {numbers}", numbers=numbers)
    return Sentence("namespace {numbers}", numbers=numbers)
