"""SANITIZE 48h (SBC-4): overwrite, block erase, cryptographic erase, exit failure mode.

A failed sanitize leaves the drive unusable. With AUSE (allow unrestricted sanitize exit) set, EXIT
FAILURE MODE ends that state *as if the sanitize had succeeded*; without it only another sanitize
that succeeds does. Support is asked for per service action, see ``opcodes``; progress is polled
for, see ``poll``.
"""

from __future__ import annotations

from enum import IntEnum

from rasura_agent.drive.port import ScsiCommand
from rasura_agent.drive.scsi.fields import bounded, field

__all__ = [
    "ACCEPTANCE_TIMEOUT_S",
    "SANITIZE",
    "SanitizeAction",
    "sanitize_block_erase",
    "sanitize_crypto_erase",
    "sanitize_exit_failure_mode",
    "sanitize_overwrite",
]

SANITIZE = 0x48
"""Operation code."""

ACCEPTANCE_TIMEOUT_S = 120.0
"""Seconds a drive gets to check and accept a command with IMMED set; ours, generously chosen."""

_LONGEST_PATTERN = 0xFFFF - 4


class SanitizeAction(IntEnum):
    """SERVICE ACTION of SANITIZE."""

    OVERWRITE = 0x01
    BLOCK_ERASE = 0x02
    CRYPTOGRAPHIC_ERASE = 0x03
    EXIT_FAILURE_MODE = 0x1F


def sanitize_overwrite(
    pattern: bytes,
    *,
    count: int,
    invert: bool,
    allow_unrestricted_exit: bool,
    test: int = 0,
    zoned_no_reset: bool = False,
    immediate: bool = True,
    timeout_s: float = ACCEPTANCE_TIMEOUT_S,
) -> ScsiCommand:
    """Overwrite the medium ``count`` times (1 to 31) with ``pattern`` repeated through each block.

    ``pattern`` is 1 byte to one logical block long, and exactly 4 bytes behind a SCSI/ATA
    translation. With ``invert`` each pass is the complement of the one before, so arranged that the
    last pass is ``pattern`` itself. ``test`` is vendor-specific. Raises ``ScsiEncodeError``.
    """
    parameters = bytes(
        [invert << 7 | field(test, 2, "TEST") << 5 | bounded(count, 1, 31, "OVERWRITE COUNT"), 0]
    )
    length = bounded(len(pattern), 1, _LONGEST_PATTERN, "INITIALIZATION PATTERN LENGTH")
    parameters += length.to_bytes(2, "big") + pattern
    return _sanitize(
        SanitizeAction.OVERWRITE,
        parameters,
        allow_unrestricted_exit=allow_unrestricted_exit,
        zoned_no_reset=zoned_no_reset,
        immediate=immediate,
        timeout_s=timeout_s,
    )


def sanitize_block_erase(
    *,
    allow_unrestricted_exit: bool,
    zoned_no_reset: bool = False,
    immediate: bool = True,
    timeout_s: float = ACCEPTANCE_TIMEOUT_S,
) -> ScsiCommand:
    """Block erase. What reads return afterwards is in ``BlockCharacteristics.after_block_erase``."""
    return _sanitize(
        SanitizeAction.BLOCK_ERASE,
        b"",
        allow_unrestricted_exit=allow_unrestricted_exit,
        zoned_no_reset=zoned_no_reset,
        immediate=immediate,
        timeout_s=timeout_s,
    )


def sanitize_crypto_erase(
    *,
    allow_unrestricted_exit: bool,
    zoned_no_reset: bool = False,
    immediate: bool = True,
    timeout_s: float = ACCEPTANCE_TIMEOUT_S,
) -> ScsiCommand:
    """Cryptographic erase. Reads afterwards: ``BlockCharacteristics.after_crypto_erase``."""
    return _sanitize(
        SanitizeAction.CRYPTOGRAPHIC_ERASE,
        b"",
        allow_unrestricted_exit=allow_unrestricted_exit,
        zoned_no_reset=zoned_no_reset,
        immediate=immediate,
        timeout_s=timeout_s,
    )


def sanitize_exit_failure_mode(*, timeout_s: float = ACCEPTANCE_TIMEOUT_S) -> ScsiCommand:
    """Leave the state of a failed sanitize, so that an overwrite can be tried.

    Only after a failed sanitize that had AUSE set; otherwise INVALID FIELD IN CDB. From here on the
    drive polls as if that sanitize had succeeded: whoever sends this must have recorded the failure.
    """
    return _sanitize(
        SanitizeAction.EXIT_FAILURE_MODE,
        b"",
        allow_unrestricted_exit=False,
        zoned_no_reset=False,
        immediate=False,
        timeout_s=timeout_s,
    )


def _sanitize(
    action: SanitizeAction,
    parameters: bytes,
    *,
    allow_unrestricted_exit: bool,
    zoned_no_reset: bool,
    immediate: bool,
    timeout_s: float,
) -> ScsiCommand:
    cdb = bytearray(10)
    cdb[0] = SANITIZE
    cdb[1] = immediate << 7 | zoned_no_reset << 6 | allow_unrestricted_exit << 5 | action
    cdb[7:9] = len(parameters).to_bytes(2, "big")
    name = f"SANITIZE {action.name.replace('_', ' ')}"
    return ScsiCommand(name, bytes(cdb), data_out=parameters, timeout_s=timeout_s)
