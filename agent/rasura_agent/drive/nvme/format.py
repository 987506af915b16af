"""Format NVM (opcode 80h): the command, what it reaches, its time-out (NVMe Base 2.1 clause 5.1.10)."""

from __future__ import annotations

from enum import Enum, IntEnum

from rasura.errors import UsageError
from rasura_agent.drive.nvme.fields import BROADCAST_NSID
from rasura_agent.drive.nvme.identify import FormatNvmAttributes
from rasura_agent.drive.nvme.identify_namespace import IdentifyNamespace
from rasura_agent.drive.port import NvmeCommand

__all__ = [
    "OPCODE_FORMAT_NVM",
    "FormatScope",
    "SecureEraseSettings",
    "format_keeping",
    "format_nvm",
    "format_scope",
    "format_timeout_s",
]

OPCODE_FORMAT_NVM = 0x80


class SecureEraseSettings(IntEnum):
    """SES, CDW10 bits 11:9. There is no default anywhere: 0 erases nothing for sure."""

    NONE = 0
    USER_DATA_ERASE = 1
    CRYPTOGRAPHIC_ERASE = 2


class FormatScope(Enum):
    """What one Format NVM command reaches (figure 188)."""

    ONE_NAMESPACE = "the specified namespace"
    ATTACHED_NAMESPACES = "all namespaces attached to the controller"
    ALL_NAMESPACES = "all namespaces in the NVM subsystem"


def format_nvm(
    nsid: int,
    *,
    ses: SecureEraseSettings,
    lbaf: int,
    mset: bool,
    pi: int,
    pil: bool,
    timeout_s: float,
) -> NvmeCommand:
    """Format a namespace (or ``BROADCAST_NSID``) to the given LBA format and protection settings.

    Args:
        nsid: the namespace; Format blocks until it is done, so ``timeout_s`` is for the whole erase.
        ses: what is erased; explicit on purpose.
        lbaf: LBA format index, 0 to 63 (LBAFL in bits 3:0, LBAFU in bits 13:12).
        mset: metadata as part of an extended data block (bit 4).
        pi: end-to-end protection type, 0 to 3 (bits 7:5).
        pil: protection information in the first bytes of the metadata (bit 8).
        timeout_s: seconds.

    Raises:
        UsageError: a value does not fit its field.
    """
    if not 0 < nsid <= BROADCAST_NSID:
        raise UsageError(f"Format NVM needs a namespace, {nsid} is none")
    if not 0 <= lbaf <= 63 or not 0 <= pi <= 3:
        raise UsageError(f"there is no LBA format {lbaf} with protection type {pi}")
    return NvmeCommand(
        f"FORMAT NVM (SES {ses:d})",
        OPCODE_FORMAT_NVM,
        nsid=nsid,
        cdw10=lbaf & 0xF | mset << 4 | pi << 5 | pil << 8 | ses << 9 | (lbaf >> 4) << 12,
        timeout_s=timeout_s,
    )


def format_keeping(
    nsid: int, namespace: IdentifyNamespace, *, ses: SecureEraseSettings, timeout_s: float
) -> NvmeCommand:
    """Format a namespace to the very format it has: same blocks, same metadata, same protection.

    Raises:
        UsageError: ``nsid`` is no namespace.
    """
    return format_nvm(
        nsid,
        ses=ses,
        lbaf=namespace.format_index,
        mset=namespace.metadata_extended,
        pi=namespace.protection_type,
        pil=namespace.protection_first,
        timeout_s=timeout_s,
    )


def format_scope(fna: FormatNvmAttributes, *, ses: SecureEraseSettings, nsid: int) -> FormatScope | None:
    """What a Format NVM would reach (figure 188); ``None`` where the controller must refuse the broadcast.

    With a secure erase only SENS counts, without one only FNS. It never reaches unallocated
    capacity: see ``unvmcap``.
    """
    bit = (
        FormatNvmAttributes.FORMAT_ALL_NAMESPACES
        if ses is SecureEraseSettings.NONE
        else FormatNvmAttributes.SECURE_ERASE_ALL_NAMESPACES
    )
    if nsid == BROADCAST_NSID and FormatNvmAttributes.BROADCAST_REFUSED in fna:
        return None
    if bit in fna:
        return FormatScope.ALL_NAMESPACES
    return FormatScope.ATTACHED_NAMESPACES if nsid == BROADCAST_NSID else FormatScope.ONE_NAMESPACE


_SETTLING_S = 30 * 60.0
"""What a controller may need beside the erase proper. The specification reports no time for Format."""
_SLOWEST_BYTES_PER_S = 50 * 1024 * 1024
"""A user data erase done as an overwrite, at the sustained write rate of a slow, nearly worn-out drive."""


def format_timeout_s(ses: SecureEraseSettings, reached_bytes: int) -> float:
    """How many seconds to give a Format that reaches ``reached_bytes`` in all.

    Generous on purpose: when it passes, the kernel aborts the command and resets the controller,
    and the outcome is unknown.
    """
    if ses is SecureEraseSettings.USER_DATA_ERASE:
        return _SETTLING_S + reached_bytes / _SLOWEST_BYTES_PER_S
    return _SETTLING_S
