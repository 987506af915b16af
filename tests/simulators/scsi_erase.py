"""Sanitize operations (SBC-4 clause 4.11) and FORMAT UNIT (clause 5.4) of a simulated SCSI drive."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum

from simulators.ports_media import Operation, Technique
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import invalid_field, invalid_parameter, wrong_length
from simulators.world import ManualClock

Replace = Callable[[Technique, bytes | None, float], bool]
"""Erases that fraction of the drive with a pattern, or with noise; False if a sector could not be."""


class SanitizeAction(IntEnum):
    """SERVICE ACTION field of SANITIZE (SBC-4 table 96)."""

    OVERWRITE = 0x01
    BLOCK_ERASE = 0x02
    CRYPTOGRAPHIC_ERASE = 0x03
    EXIT_FAILURE_MODE = 0x1F


class SanitizePhase(Enum):
    """Where a logical unit stands."""

    IDLE = "no operation, or the last one succeeded"
    RUNNING = "in progress"
    FAILED = "failed: media stay closed"


class ScsiSanitize:
    """The sanitize operation of a logical unit. Restricted completion mode is AUSE zero."""

    __slots__ = (
        "_clock",
        "_options",
        "_pattern",
        "_restricted",
        "_technique",
        "operation",
        "phase",
        "technique_done",
    )

    def __init__(self, clock: ManualClock, options: ScsiOptions) -> None:
        self._clock = clock
        self._options = options
        self._technique = Technique.BLOCK
        self._pattern: bytes | None = None
        self._restricted = False
        self.operation: Operation | None = None
        self.phase = SanitizePhase.IDLE
        self.technique_done: Technique | None = None
        """Of the last operation that ended well, until somebody takes it."""

    def settle(self, replace: Replace) -> None:
        """Notice that an operation is over, and let ``replace`` do to the medium what it amounts to."""
        operation = self.operation
        if operation is None or not operation.over:
            return
        self.operation = None
        complete = replace(self._technique, self._pattern, operation.fraction)
        if operation.failed or not complete:
            self.phase = SanitizePhase.FAILED
            return
        self.phase = SanitizePhase.IDLE
        self.technique_done = self._technique

    def start(self, cdb: bytes, data: bytes, block_bytes: int) -> None:
        """Begin, or exit a failure; raises ``CheckConditionError``."""
        action = SanitizeAction(cdb[1] & 0x1F)
        unrestricted = bool(cdb[1] & 0x20)
        length = cdb[7] << 8 | cdb[8]
        failed = self.phase is SanitizePhase.FAILED
        if action is SanitizeAction.OVERWRITE:
            if not 4 < length < block_bytes + 5:
                raise invalid_field(7)
        elif length:
            raise invalid_field(7)
        if len(data) != length:
            raise wrong_length()
        if failed and self._restricted and (unrestricted or action is SanitizeAction.EXIT_FAILURE_MODE):
            # Only an operation in restricted mode that succeeds leads out of this failure.
            raise invalid_field(1)
        if action is SanitizeAction.EXIT_FAILURE_MODE:
            self.phase = SanitizePhase.IDLE
            return
        options = self._options
        if action is SanitizeAction.OVERWRITE:
            passes, self._pattern = _parse_overwrite(data)
            self._technique, seconds = Technique.OVERWRITE, passes * options.overwrite_s
        elif action is SanitizeAction.BLOCK_ERASE:
            self._technique, seconds = Technique.BLOCK, options.block_s
            self._pattern = options.block_pattern
        else:
            self._technique, seconds = Technique.CRYPTO, options.crypto_s
            self._pattern = None
        lie = options.lie
        if lie is not None and lie.instantly and lie.about(self._technique):
            seconds = 0.0
        self._restricted = not unrestricted
        self.phase = SanitizePhase.RUNNING
        self.operation = Operation(
            self._clock, seconds, fails_at=options.sanitize_fails_at, stuck_at=options.progress_stuck_at
        )


def _parse_overwrite(data: bytes) -> tuple[int, bytes]:
    """(passes, final pattern). With INVERT the first pass is chosen so that the last one is plain."""
    count = data[0] & 0x1F
    if not count or data[0] & 0x60 or data[1] or data[2] << 8 | data[3] != len(data) - 4:
        raise invalid_parameter()
    return count, data[4:]


class FormatRequest:
    """A FORMAT UNIT command, parsed; raises ``CheckConditionError``."""

    __slots__ = ("immediate", "pattern")

    def __init__(self, cdb: bytes, data: bytes, block_bytes: int) -> None:
        self.immediate = False
        self.pattern = b"\0"
        has_list, long_list, complete_list = cdb[1] & 0x10, cdb[1] & 0x20, cdb[1] & 0x08
        # No protection information, and no defect list formats but the one that needs no list.
        if cdb[1] & 0xC7 or (not has_list and (long_list or complete_list)):
            raise invalid_field(1)
        if not has_list:
            if data:
                raise wrong_length()
            return
        header = 8 if long_list else 4
        if len(data) < header:
            raise wrong_length()
        options = data[1]
        # Without FOV, the bits DPRY, DCRT, STPF and IP must be zero.
        reserved = data[0] | options & 0x05 | any(data[2:header])
        if reserved or (not options & 0x80 and options & 0x78):
            raise invalid_parameter()
        self.immediate = bool(options & 0x02)
        rest = data[header:]
        if options & 0x08:
            rest = self._initialization_pattern(rest, block_bytes)
        if rest:
            raise wrong_length()

    def _initialization_pattern(self, data: bytes, block_bytes: int) -> bytes:
        """Parse the descriptor and return what follows it."""
        if len(data) < 4:
            raise wrong_length()
        kind, length = data[1], data[2] << 8 | data[3]
        if data[0] or kind > 1 or bool(length) is not bool(kind) or length > block_bytes:
            raise invalid_parameter()
        if len(data) < 4 + length:
            raise wrong_length()
        if length:
            self.pattern = data[4 : 4 + length]
        return data[4 + length :]
