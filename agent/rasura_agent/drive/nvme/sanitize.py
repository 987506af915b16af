"""Sanitize (opcode 84h), the command (NVMe Base 2.1 clause 5.1.22).

It reaches the whole NVM subsystem: every namespace, unallocated capacity and caches; not the boot
partitions and not the RPMB (clause 8.1.24). It runs on through resets and power cycles, and the host
cannot stop it. Success of the command means that it started, and nothing more: what became of it
says :mod:`rasura_agent.drive.nvme.sanitize_log`.
"""

from __future__ import annotations

from enum import IntEnum

from rasura.errors import UsageError
from rasura_agent.drive.port import NvmeCommand

__all__ = [
    "MAX_OVERWRITE_PASSES",
    "OPCODE_SANITIZE",
    "SanitizeAction",
    "exit_failure_mode",
    "exit_media_verification",
    "sanitize_block_erase",
    "sanitize_crypto_erase",
    "sanitize_overwrite",
]

OPCODE_SANITIZE = 0x84
MAX_OVERWRITE_PASSES = 16
"""OWPASS has four bits, and 0 stands for 16."""

_ACCEPT_TIMEOUT_S = 180.0
"""The command only starts the operation; but a controller may first finish what it is doing."""


class SanitizeAction(IntEnum):
    """SANACT, CDW10 bits 2:0."""

    EXIT_FAILURE_MODE = 1
    BLOCK_ERASE = 2
    OVERWRITE = 3
    CRYPTO_ERASE = 4
    EXIT_MEDIA_VERIFICATION = 5


def sanitize_block_erase(*, ause: bool, nodas: bool = False, emvs: bool = False) -> NvmeCommand:
    """Start a block erase.

    Args:
        ause: allow unrestricted sanitize exit. With ``False``, a failed sanitize locks the drive until
            one succeeds; with ``True`` it can be left with :func:`exit_failure_mode`, not erased.
        nodas: don't deallocate afterwards. A controller with NDI set refuses or ignores it.
        emvs: stop in the Media Verification state, so that the host may read what the erase left.
            Only where ``SanitizeCapabilities.verification``, and not together with ``nodas``.

    Raises:
        UsageError: ``emvs`` together with ``nodas``.
    """
    return _start(SanitizeAction.BLOCK_ERASE, ause=ause, nodas=nodas, emvs=emvs)


def sanitize_crypto_erase(*, ause: bool, nodas: bool = False, emvs: bool = False) -> NvmeCommand:
    """Start a cryptographic erase; arguments as for :func:`sanitize_block_erase`.

    Raises:
        UsageError: ``emvs`` together with ``nodas``.
    """
    return _start(SanitizeAction.CRYPTO_ERASE, ause=ause, nodas=nodas, emvs=emvs)


def sanitize_overwrite(
    *, passes: int, pattern: int, invert: bool, ause: bool, nodas: bool = False
) -> NvmeCommand:
    """Start an overwrite (it never enters the Media Verification state).

    Args:
        passes: 1 to 16; 16 is sent as OWPASS 0, and 0 is refused here.
        pattern: OVRPAT, 32 bits.
        invert: OIPBP, invert the pattern between passes.
        ause: as for :func:`sanitize_block_erase`.
        nodas: as for :func:`sanitize_block_erase`.

    Raises:
        UsageError: passes or pattern out of range.
    """
    if not 1 <= passes <= MAX_OVERWRITE_PASSES:
        raise UsageError(f"an overwrite has 1 to {MAX_OVERWRITE_PASSES} passes, not {passes}")
    if not 0 <= pattern <= 0xFFFF_FFFF:
        raise UsageError(f"an overwrite pattern has 32 bits, {pattern:#x} does not fit")
    return _start(
        SanitizeAction.OVERWRITE,
        ause=ause,
        nodas=nodas,
        overwrite=(passes % MAX_OVERWRITE_PASSES) << 4 | invert << 8,
        pattern=pattern,
    )


def exit_failure_mode() -> NvmeCommand:
    """Leave the Unrestricted Failure state, **without** an erased drive."""
    return _start(SanitizeAction.EXIT_FAILURE_MODE)


def exit_media_verification() -> NvmeCommand:
    """Leave the Media Verification state for the Post-Verification Deallocation state."""
    return _start(SanitizeAction.EXIT_MEDIA_VERIFICATION)


def _start(
    action: SanitizeAction,
    *,
    ause: bool = False,
    nodas: bool = False,
    emvs: bool = False,
    overwrite: int = 0,
    pattern: int = 0,
) -> NvmeCommand:
    if emvs and nodas:
        raise UsageError("a controller refuses Media Verification (EMVS) together with No-Deallocate (NDAS)")
    return NvmeCommand(
        f"SANITIZE {action.name.replace('_', ' ')}",
        OPCODE_SANITIZE,
        cdw10=action | ause << 3 | overwrite | nodas << 9 | emvs << 10,
        cdw11=pattern,
        timeout_s=_ACCEPT_TIMEOUT_S,
    )
