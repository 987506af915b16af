"""The Sanitize Device feature set: SANITIZE DEVICE (B4h), its keys, its status and its state machine.

Every command carries a key in its LBA field, so that no stray register write starts one. A sanitize
command ends as soon as the operation has begun; what becomes of it is told by SANITIZE STATUS EXT.
"""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from rasura_agent.drive.ata.errors import AtaDecodeError, AtaEncodeError
from rasura_agent.drive.ata.status import is_aborted, is_good
from rasura_agent.drive.ata.words import bit
from rasura_agent.drive.port import AtaCommand, AtaResult

__all__ = [
    "MAX_OVERWRITE_PASSES",
    "PROGRESS_DENOMINATOR",
    "SANITIZE_DEVICE",
    "SanitizeErrorReason",
    "SanitizeFeature",
    "SanitizeState",
    "SanitizeStatus",
    "SanitizeSupport",
    "decode_sanitize_status",
    "decode_sanitize_support",
    "sanitize_antifreeze_lock",
    "sanitize_block_erase",
    "sanitize_crypto_scramble",
    "sanitize_freeze_lock",
    "sanitize_overwrite",
    "sanitize_status",
]

SANITIZE_DEVICE = 0xB4
MAX_OVERWRITE_PASSES = 16
"""OVERWRITE COUNT has four bits, and its value 0 asks for 16 passes."""
PROGRESS_DENOMINATOR = 0x10000

_TIMEOUT_S = 30.0
_LBA_MODE = 0x40

_CRYPTO_SCRAMBLE_KEY = 0x43727970  # "Cryp"
_BLOCK_ERASE_KEY = 0x426B4572  # "BkEr"
_OVERWRITE_KEY = 0x4F57  # "OW", in LBA 47:32; the pattern takes LBA 31:0
_FREEZE_LOCK_KEY = 0x46724C6B  # "FrLk"
_ANTIFREEZE_LOCK_KEY = 0x416E7469  # "Anti"

_CLEAR_SANITIZE_OPERATION_FAILED = 1 << 0
_FAILURE_MODE = 1 << 4
_DEFINITIVE_ENDING_PATTERN = 1 << 6
_INVERT_PATTERN = 1 << 7
_ZONED_NO_RESET = 1 << 15


class SanitizeFeature(IntEnum):
    """FEATURE field of SANITIZE DEVICE."""

    STATUS = 0x0000
    CRYPTO_SCRAMBLE = 0x0011
    BLOCK_ERASE = 0x0012
    OVERWRITE = 0x0014
    FREEZE_LOCK = 0x0020
    ANTIFREEZE_LOCK = 0x0040


class SanitizeState(Enum):
    """States of the Sanitize Device state machine (ACS-4, Sanitize Device feature set)."""

    SD0 = "sanitize idle"
    SD1 = "sanitize frozen"
    SD2 = "sanitize operation in progress"
    SD3 = "sanitize operation failed"
    SD4 = "sanitize operation succeeded"


class SanitizeErrorReason(IntEnum):
    """SANITIZE DEVICE ERROR REASON, in LBA 7:0 of an aborted command."""

    NOT_REPORTED = 0
    UNSUCCESSFUL = 1
    """The operation ended with physical sectors, available for user data, that were not sanitized."""
    UNSUPPORTED = 2
    FROZEN = 3
    ANTIFREEZE_LOCKED = 4


class SanitizeSupport(msgspec.Struct, frozen=True):
    """What the drive can do of the feature set (IDENTIFY word 59); all false unless ``supported``."""

    supported: bool
    crypto_scramble: bool
    block_erase: bool
    overwrite: bool
    antifreeze_lock: bool
    acs3_commands: bool
    """Commands allowed while sanitizing are those of ACS-3, READ LOG EXT of log 30h among them."""


def decode_sanitize_support(word: int) -> SanitizeSupport | None:
    """Read word 59 of IDENTIFY data; ``None`` for FFFFh, that is, not given."""
    if word == 0xFFFF:
        return None
    supported = bit(word, 12)
    return SanitizeSupport(
        supported=supported,
        crypto_scramble=supported and bit(word, 13),
        block_erase=supported and bit(word, 15),
        overwrite=supported and bit(word, 14),
        antifreeze_lock=supported and bit(word, 10),
        acs3_commands=supported and bit(word, 11),
    )


class SanitizeStatus(msgspec.Struct, frozen=True):
    """The answer to SANITIZE STATUS EXT, or to any sanitize command, normal or aborted.

    ``completed_without_error`` outlives power cycles: on its own it may speak of an erase done years
    ago, so a run may rely on it only after its own command was accepted and seen to run.
    ``progress`` is of :data:`PROGRESS_DENOMINATOR`, and ``None`` unless an operation is running.
    """

    completed_without_error: bool
    in_progress: bool
    frozen: bool
    antifreeze_locked: bool
    progress: int | None
    error_reason: SanitizeErrorReason | None
    """Set only if the command was aborted with a reason that the standard lists."""
    state: SanitizeState | None
    """``None`` where the registers do not tell, or contradict each other.

    SD4 may also be SD0 that a power cycle made of SD4; SD0 may be a failed operation that was cleared.
    """


def decode_sanitize_status(result: AtaResult) -> SanitizeStatus:
    """Read the registers a sanitize command ended with.

    Raises ``AtaDecodeError`` if it ended neither well nor plainly aborted: they say nothing then.
    """
    if is_good(result):
        return _decode_normal(result)
    if is_aborted(result):
        return _decode_aborted(result)
    raise AtaDecodeError(
        f"SANITIZE DEVICE ended with status {result.status:02X}h, error {result.error:02X}h: nobody can tell"
    )


def _decode_normal(result: AtaResult) -> SanitizeStatus:
    completed, running, frozen = (bit(result.count, number) for number in (15, 14, 13))
    state: SanitizeState | None
    if running:
        # Entering SD2 clears the completed bit, and a frozen drive runs nothing.
        state = None if completed or frozen else SanitizeState.SD2
    elif frozen:
        state = SanitizeState.SD1
    else:
        state = SanitizeState.SD4 if completed else SanitizeState.SD0
    return SanitizeStatus(
        completed_without_error=completed,
        in_progress=running,
        frozen=frozen,
        antifreeze_locked=bit(result.count, 12),
        progress=result.lba & 0xFFFF if running else None,
        error_reason=None,
        state=state,
    )


def _decode_aborted(result: AtaResult) -> SanitizeStatus:
    value = result.lba & 0xFF
    # A drive without the feature set leaves whatever it likes there, the key it was given for one.
    reason = SanitizeErrorReason(value) if value in set(SanitizeErrorReason) else None
    state = (
        {
            SanitizeErrorReason.UNSUCCESSFUL: SanitizeState.SD3,
            SanitizeErrorReason.FROZEN: SanitizeState.SD1,
        }.get(reason)
        if reason is not None
        else None
    )
    return SanitizeStatus(
        completed_without_error=False,
        in_progress=False,
        frozen=reason is SanitizeErrorReason.FROZEN,
        antifreeze_locked=reason is SanitizeErrorReason.ANTIFREEZE_LOCKED,
        progress=None,
        error_reason=reason,
        state=state,
    )


def _command(name: str, feature: SanitizeFeature, lba: int, count: int) -> AtaCommand:
    return AtaCommand(
        name=name,
        command=SANITIZE_DEVICE,
        feature=feature,
        count=count,
        lba=lba,
        device=_LBA_MODE,
        ext=True,
        timeout_s=_TIMEOUT_S,
    )


def _operation_bits(failure_mode: bool, zoned_no_reset: bool) -> int:
    return (_FAILURE_MODE if failure_mode else 0) | (_ZONED_NO_RESET if zoned_no_reset else 0)


def sanitize_status(*, clear_operation_failed: bool = False) -> AtaCommand:
    """SANITIZE STATUS EXT. ``clear_operation_failed`` leaves SD3 for SD0 if FAILURE MODE was 1."""
    count = _CLEAR_SANITIZE_OPERATION_FAILED if clear_operation_failed else 0
    return _command("SANITIZE STATUS EXT", SanitizeFeature.STATUS, 0, count)


def sanitize_crypto_scramble(*, failure_mode: bool, zoned_no_reset: bool = False) -> AtaCommand:
    """CRYPTO SCRAMBLE EXT: change the keys that all user data is encrypted with.

    ``failure_mode`` true lets SANITIZE STATUS EXT leave SD3 after a failure; false leaves no way out
    but a sanitize that succeeds.
    """
    return _command(
        "CRYPTO SCRAMBLE EXT",
        SanitizeFeature.CRYPTO_SCRAMBLE,
        _CRYPTO_SCRAMBLE_KEY,
        _operation_bits(failure_mode, zoned_no_reset),
    )


def sanitize_block_erase(*, failure_mode: bool, zoned_no_reset: bool = False) -> AtaCommand:
    """BLOCK ERASE EXT: erase every block of the medium, unallocated ones too."""
    return _command(
        "BLOCK ERASE EXT",
        SanitizeFeature.BLOCK_ERASE,
        _BLOCK_ERASE_KEY,
        _operation_bits(failure_mode, zoned_no_reset),
    )


def sanitize_overwrite(
    *,
    pattern: int,
    passes: int,
    invert: bool,
    definitive_ending_pattern: bool,
    failure_mode: bool,
    zoned_no_reset: bool = False,
) -> AtaCommand:
    """OVERWRITE EXT: write the 32-bit ``pattern`` over the medium, 1 to 16 ``passes`` of them.

    ``invert`` complements the pattern between passes; with ``definitive_ending_pattern`` the last pass
    writes ``pattern`` itself. Raises ``AtaEncodeError`` for anything out of range: passes 0 above all,
    which the drive would take for 16.
    """
    if not 1 <= passes <= MAX_OVERWRITE_PASSES:
        raise AtaEncodeError(f"OVERWRITE EXT makes 1 to {MAX_OVERWRITE_PASSES} passes, not {passes}")
    if not 0 <= pattern <= 0xFFFFFFFF:
        raise AtaEncodeError("the pattern of OVERWRITE EXT has 32 bits")
    overwrite_count = passes % MAX_OVERWRITE_PASSES
    return _command(
        "OVERWRITE EXT",
        SanitizeFeature.OVERWRITE,
        _OVERWRITE_KEY << 32 | pattern,
        overwrite_count
        | (_INVERT_PATTERN if invert else 0)
        | (_DEFINITIVE_ENDING_PATTERN if definitive_ending_pattern else 0)
        | _operation_bits(failure_mode, zoned_no_reset),
    )


def sanitize_freeze_lock() -> AtaCommand:
    """SANITIZE FREEZE LOCK EXT: SD0 or SD4 to SD1, until the next power-on reset."""
    return _command("SANITIZE FREEZE LOCK EXT", SanitizeFeature.FREEZE_LOCK, _FREEZE_LOCK_KEY, 0)


def sanitize_antifreeze_lock() -> AtaCommand:
    """SANITIZE ANTIFREEZE LOCK EXT: forbid SANITIZE FREEZE LOCK EXT until the next power-on reset."""
    return _command("SANITIZE ANTIFREEZE LOCK EXT", SanitizeFeature.ANTIFREEZE_LOCK, _ANTIFREEZE_LOCK_KEY, 0)
