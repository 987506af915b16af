"""The Sanitize Status log page, 81h (NVMe Base 2.1 figure 291): how a sanitize operation stands.

The page survives power cycles: a success in it may be years old. So the caller must have seen its own
command accepted, and :meth:`SanitizeLog.is_of` must hold, before a success counts for this run.
"""

from __future__ import annotations

from enum import Enum, IntEnum

import msgspec

from rasura_agent.drive.nvme.fields import BROADCAST_NSID, field, require_length
from rasura_agent.drive.nvme.logs import LogPage, get_log_page
from rasura_agent.drive.nvme.sanitize import MAX_OVERWRITE_PASSES, SanitizeAction
from rasura_agent.drive.port import NvmeCommand

__all__ = [
    "SANITIZE_LOG_BYTES",
    "SanitizeLog",
    "SanitizeOperationStatus",
    "SanitizeState",
    "SanitizeStateCode",
    "decode_sanitize_log",
    "sanitize_status",
]

SANITIZE_LOG_BYTES = 512
_NO_ESTIMATE = 0xFFFF_FFFF
_AUSE = 1 << 3
"""In SCDW10, as in CDW10 of the command."""


class SanitizeOperationStatus(IntEnum):
    """SOS, SSTAT bits 2:0."""

    NEVER_STARTED = 0
    SANITIZED = 1
    SANITIZING = 2
    SANITIZE_FAILED = 3
    SANITIZED_UNEXPECTED_DEALLOCATE = 4


class SanitizeStateCode(IntEnum):
    """SANS, SSI bits 3:0; always 0 on a controller without VERS."""

    IDLE = 0
    RESTRICTED_PROCESSING = 1
    RESTRICTED_FAILURE = 2
    UNRESTRICTED_PROCESSING = 3
    UNRESTRICTED_FAILURE = 4
    MEDIA_VERIFICATION = 5
    POST_VERIFICATION_DEALLOCATION = 6


class SanitizeState(Enum):
    """What the page as a whole says, one meaning each (the state machine of clause 8.1.24.3)."""

    NEVER = "no sanitize was ever started"
    IN_PROGRESS = "sanitizing"
    MEDIA_VERIFICATION = "sanitized, waiting for the host to read and to leave the Media Verification state"
    POST_VERIFICATION_DEALLOCATION = "sanitized, deallocating after the Media Verification state"
    SUCCEEDED = "the most recent sanitize succeeded"
    SUCCEEDED_DEALLOCATED = "the most recent sanitize succeeded, and deallocated although asked not to"
    FAILED_RESTRICTED = "the most recent sanitize failed; only a sanitize that succeeds unlocks the drive"
    FAILED_UNRESTRICTED = "the most recent sanitize failed; the failure can be left or was left, not erased"
    UNKNOWN = "the page contradicts itself or uses reserved values"


class SanitizeLog(msgspec.Struct, frozen=True):
    """Log page 81h, decoded. Estimates are seconds, ``None`` where the controller reports none."""

    state: SanitizeState
    progress: int | None
    """Of 65536; ``None`` unless a phase with progress is running."""
    passes_completed: int
    """OPC, SSTAT bits 7:3; of the current or latest overwrite."""
    global_data_erased: bool
    """GDE: nothing was written since the latest successful sanitize (or ever)."""
    media_verification_cancelled: bool
    """MVCNCLD: a reset took the Media Verification state away."""
    scdw10: int
    """CDW10 of the Sanitize command that started the operation."""
    failure_state: int
    """FAILS: in which state (a ``SanitizeStateCode``) it failed; 0 where not reported."""
    estimate_overwrite_s: int | None
    """For 16 passes."""
    estimate_block_erase_s: int | None
    estimate_crypto_erase_s: int | None
    estimate_overwrite_no_deallocate_s: int | None
    """The three for NDAS with NODMMAS 10b, where the controller modifies the media afterwards."""
    estimate_block_erase_no_deallocate_s: int | None
    estimate_crypto_erase_no_deallocate_s: int | None
    estimate_post_verification_deallocation_s: int | None

    @property
    def succeeded(self) -> bool:
        """Whether the latest operation ended well, with or without the deallocation it was asked to omit."""
        return self.state in {SanitizeState.SUCCEEDED, SanitizeState.SUCCEEDED_DEALLOCATED}

    @property
    def running(self) -> bool:
        """Whether the drive will change state by itself: poll on."""
        return self.state in {SanitizeState.IN_PROGRESS, SanitizeState.POST_VERIFICATION_DEALLOCATION}

    def is_of(self, command: NvmeCommand) -> bool:
        """Whether the operation in the log was started with the same CDW10 as ``command``."""
        return self.scdw10 == command.cdw10

    def estimate_s(
        self, action: SanitizeAction, *, passes: int = 1, modifies_media_after: bool = False
    ) -> int | None:
        """Seconds the drive estimates for an action, ``None`` where it doesn't say.

        Args:
            action: one of the three that erase; others have no estimate.
            passes: for an overwrite; the log counts for 16, so this takes its share, rounded up.
            modifies_media_after: NDAS is asked for and NODMMAS is 10b.
        """
        plain, modifying = {
            SanitizeAction.BLOCK_ERASE: (
                self.estimate_block_erase_s,
                self.estimate_block_erase_no_deallocate_s,
            ),
            SanitizeAction.OVERWRITE: (self.estimate_overwrite_s, self.estimate_overwrite_no_deallocate_s),
            SanitizeAction.CRYPTO_ERASE: (
                self.estimate_crypto_erase_s,
                self.estimate_crypto_erase_no_deallocate_s,
            ),
        }.get(action, (None, None))
        seconds = modifying if modifies_media_after else plain
        if seconds is None or action is not SanitizeAction.OVERWRITE:
            return seconds
        return -(-seconds * passes // MAX_OVERWRITE_PASSES)


def sanitize_status() -> NvmeCommand:
    """Get Log Page for 81h, for the whole NVM subsystem; it is permitted while a sanitize runs."""
    return get_log_page(LogPage.SANITIZE_STATUS, SANITIZE_LOG_BYTES, nsid=BROADCAST_NSID)


def decode_sanitize_log(data: bytes) -> SanitizeLog:
    """Decode the 512 bytes of log page 81h.

    Raises:
        NvmeDecodeError: not 512 bytes.
    """
    require_length("the Sanitize Status log page", data, SANITIZE_LOG_BYTES)
    sprog, sstat, scdw10 = field(data, 1, 0), field(data, 3, 2), field(data, 7, 4)
    state = _state(sstat & 0b111, data[36] & 0xF, unrestricted=bool(scdw10 & _AUSE))
    with_progress = state in {SanitizeState.IN_PROGRESS, SanitizeState.POST_VERIFICATION_DEALLOCATION}
    return SanitizeLog(
        state=state,
        progress=sprog if with_progress else None,
        passes_completed=sstat >> 3 & 0b11111,
        global_data_erased=bool(sstat & 1 << 8),
        media_verification_cancelled=bool(sstat & 1 << 9),
        scdw10=scdw10,
        failure_state=data[36] >> 4,
        estimate_overwrite_s=_estimate(data, 8),
        estimate_block_erase_s=_estimate(data, 12),
        estimate_crypto_erase_s=_estimate(data, 16),
        estimate_overwrite_no_deallocate_s=_estimate(data, 20),
        estimate_block_erase_no_deallocate_s=_estimate(data, 24),
        estimate_crypto_erase_no_deallocate_s=_estimate(data, 28),
        estimate_post_verification_deallocation_s=_estimate(data, 32),
    )


def _estimate(data: bytes, offset: int) -> int | None:
    seconds = field(data, offset + 3, offset)
    return None if seconds == _NO_ESTIMATE else seconds


_Sos = SanitizeOperationStatus
_Sans = SanitizeStateCode

_STATES: dict[tuple[int, int], SanitizeState] = {
    (_Sos.NEVER_STARTED, _Sans.IDLE): SanitizeState.NEVER,
    (_Sos.SANITIZED, _Sans.IDLE): SanitizeState.SUCCEEDED,
    (_Sos.SANITIZED_UNEXPECTED_DEALLOCATE, _Sans.IDLE): SanitizeState.SUCCEEDED_DEALLOCATED,
    # Without VERS, SANS is always Idle: the processing states are told by SOS alone.
    (_Sos.SANITIZING, _Sans.IDLE): SanitizeState.IN_PROGRESS,
    (_Sos.SANITIZING, _Sans.RESTRICTED_PROCESSING): SanitizeState.IN_PROGRESS,
    (_Sos.SANITIZING, _Sans.UNRESTRICTED_PROCESSING): SanitizeState.IN_PROGRESS,
    (_Sos.SANITIZING, _Sans.MEDIA_VERIFICATION): SanitizeState.MEDIA_VERIFICATION,
    (
        _Sos.SANITIZING,
        _Sans.POST_VERIFICATION_DEALLOCATION,
    ): SanitizeState.POST_VERIFICATION_DEALLOCATION,
    (_Sos.SANITIZE_FAILED, _Sans.RESTRICTED_FAILURE): SanitizeState.FAILED_RESTRICTED,
    (_Sos.SANITIZE_FAILED, _Sans.UNRESTRICTED_FAILURE): SanitizeState.FAILED_UNRESTRICTED,
}


def _state(sos: int, sans: int, *, unrestricted: bool) -> SanitizeState:
    if (sos, sans) == (_Sos.SANITIZE_FAILED, _Sans.IDLE):
        # Either there is no VERS, or the Unrestricted Failure state was left. AUSE of the command
        # that started it tells which failure it was: a restricted one is left by success only.
        return SanitizeState.FAILED_UNRESTRICTED if unrestricted else SanitizeState.FAILED_RESTRICTED
    return _STATES.get((sos, sans), SanitizeState.UNKNOWN)
