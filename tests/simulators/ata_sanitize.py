"""The Sanitize Device feature set of a simulated ATA drive (ACS-4 clause 4.17): states SD0 to SD4."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum

from simulators.ata_options import ABORTED, AtaOptions, Error, Outputs, Registers, failure, good
from simulators.ports_media import Operation, Technique
from simulators.world import ManualClock

NOT_RUNNING = 0xFFFF
"""Progress indication when no operation is in progress."""

_STATUS_CLEAR_FAILED = 1 << 0
_FAILURE_MODE = 1 << 4
_ZONED_NO_RESET = 1 << 15
_INVERT = 1 << 7
_DEFINITIVE_ENDING = 1 << 6
_OVERWRITE_KEY = 0x4F57
"""LBA[47:32] of OVERWRITE EXT."""


class SanitizeState(Enum):
    """States of ACS-4 figure 11."""

    SD0 = "idle"
    SD1 = "frozen"
    SD2 = "operation in progress"
    SD3 = "operation failed"
    SD4 = "operation succeeded"


class Reason(IntEnum):
    """SANITIZE DEVICE ERROR REASON, in LBA[7:0] of an aborted command."""

    NOT_REPORTED = 0
    UNSUCCESSFUL = 1
    UNSUPPORTED_FEATURE = 2
    FROZEN = 3
    ANTIFREEZE = 4


class Feature(IntEnum):
    """FEATURE field of SANITIZE DEVICE."""

    STATUS = 0x0000
    CRYPTO_SCRAMBLE = 0x0011
    BLOCK_ERASE = 0x0012
    OVERWRITE = 0x0014
    FREEZE_LOCK = 0x0020
    ANTIFREEZE_LOCK = 0x0040


_TECHNIQUES = {
    Feature.CRYPTO_SCRAMBLE: Technique.CRYPTO,
    Feature.BLOCK_ERASE: Technique.BLOCK,
    Feature.OVERWRITE: Technique.OVERWRITE,
}
_KEYS = {
    Feature.CRYPTO_SCRAMBLE: 0x43727970,
    Feature.BLOCK_ERASE: 0x426B4572,
    Feature.FREEZE_LOCK: 0x46724C6B,
    Feature.ANTIFREEZE_LOCK: 0x416E7469,
}

Replace = Callable[[Technique, bytes | None, float], bool]
"""Erases that fraction of the drive with a pattern, or with noise; False if a sector could not be."""


def _refused(reason: Reason = Reason.NOT_REPORTED) -> Outputs:
    return failure(Error.ABORT, int(reason)) if reason else ABORTED


class Sanitize:
    """The state machine; what an operation does to the medium is given to ``settle``."""

    __slots__ = (
        "_clock",
        "_failure_mode",
        "_operation",
        "_options",
        "_pattern",
        "_technique",
        "antifreeze",
        "completed",
        "state",
    )

    def __init__(self, clock: ManualClock, options: AtaOptions) -> None:
        self._clock = clock
        self._options = options
        self._operation: Operation | None = None
        self._technique = Technique.BLOCK
        self._pattern: bytes | None = None
        self._failure_mode = False
        self.state = SanitizeState.SD0
        self.antifreeze = False
        self.completed = options.sanitize_completed_before

    @property
    def keeps_media_closed(self) -> bool:
        """Whether the drive aborts media access (SD2 and SD3)."""
        return self.state is SanitizeState.SD2 or self.state is SanitizeState.SD3

    def settle(self, replace: Replace) -> None:
        """Notice that an operation is over, and let ``replace`` do to the medium what it amounts to."""
        operation = self._operation
        if operation is None or not operation.over:
            return
        self._operation = None
        complete = replace(self._technique, self._pattern, operation.fraction)
        if operation.failed or not complete:
            self.state = SanitizeState.SD3
        else:
            self.state = SanitizeState.SD4
            self.completed = True

    def power_off(self) -> None:
        """An operation stands still without power."""
        if self._operation is not None:
            self._operation.pause()

    def power_on(self) -> None:
        """SD1 and SD4 to SD0; SD2 and SD3 stay, and "completed without error" stays."""
        self.antifreeze = False
        if self.state in {SanitizeState.SD1, SanitizeState.SD4}:
            self.state = SanitizeState.SD0
        if self._operation is not None:
            self._operation.resume()

    def command(self, registers: Registers, *, locked: bool) -> Outputs:
        """SANITIZE DEVICE, B4h. A locked drive (SEC4) reports status and does nothing else."""
        try:
            feature = Feature(registers.feature)
        except ValueError:
            return _refused(Reason.UNSUPPORTED_FEATURE)
        if feature is Feature.STATUS:
            return self._status(registers)
        if locked:
            return _refused()
        if feature is Feature.FREEZE_LOCK:
            return self._freeze_lock(registers)
        if feature is Feature.ANTIFREEZE_LOCK:
            return self._antifreeze_lock(registers)
        return self._start(feature, registers)

    def _report(self) -> Outputs:
        running = self._operation
        count = (
            self.completed << 15
            | (self.state is SanitizeState.SD2) << 14
            | (self.state is SanitizeState.SD1) << 13
            | self.antifreeze << 12
        )
        return good(count=count, lba=NOT_RUNNING if running is None else running.progress)

    def _status(self, registers: Registers) -> Outputs:
        if registers.lba or registers.count & ~_STATUS_CLEAR_FAILED:
            return _refused()
        if self.state is SanitizeState.SD3:
            if not (registers.count & _STATUS_CLEAR_FAILED and self._failure_mode):
                return _refused(Reason.UNSUCCESSFUL)
            self.state = SanitizeState.SD0
        return self._report()

    def _freeze_lock(self, registers: Registers) -> Outputs:
        if registers.count or registers.lba != _KEYS[Feature.FREEZE_LOCK]:
            return _refused()
        if self.antifreeze:
            return _refused(Reason.ANTIFREEZE)
        if self.keeps_media_closed:
            return _refused()
        self.state = SanitizeState.SD1
        return self._report()

    def _antifreeze_lock(self, registers: Registers) -> Outputs:
        if not self._options.antifreeze:
            return _refused(Reason.UNSUPPORTED_FEATURE)
        if registers.count or registers.lba != _KEYS[Feature.ANTIFREEZE_LOCK]:
            return _refused()
        if self.state is SanitizeState.SD1:
            return _refused(Reason.FROZEN)
        self.antifreeze = True
        return self._report()

    def _start(self, feature: Feature, registers: Registers) -> Outputs:
        technique = _TECHNIQUES[feature]
        if technique not in self._options.sanitize:
            return _refused(Reason.UNSUPPORTED_FEATURE)
        if self.state is SanitizeState.SD1:
            return _refused(Reason.FROZEN)
        if self.state is SanitizeState.SD2:
            return _refused()
        failure_mode = bool(registers.count & _FAILURE_MODE)
        if self.state is SanitizeState.SD3 and failure_mode and not self._failure_mode:
            # A failed operation that might not be exited may not be followed by one that may.
            return _refused()
        seconds, allowed = self._shape(feature, registers)
        if seconds is None or registers.count & ~(allowed | _FAILURE_MODE | _ZONED_NO_RESET):
            return _refused()
        lie = self._options.lie
        if lie is not None and lie.instantly and lie.about(technique):
            seconds = 0.0
        self._technique = technique
        self._failure_mode = failure_mode
        self._operation = Operation(
            self._clock,
            seconds,
            fails_at=self._options.sanitize_fails_at,
            stuck_at=self._options.progress_stuck_at,
        )
        self.state = SanitizeState.SD2
        self.completed = False
        return self._report()

    def _shape(self, feature: Feature, registers: Registers) -> tuple[float | None, int]:
        """Seconds the operation takes (``None``: wrong key) and its COUNT bits; sets the pattern."""
        options = self._options
        if feature is not Feature.OVERWRITE:
            crypto = feature is Feature.CRYPTO_SCRAMBLE
            self._pattern = None if crypto else options.block_pattern
            return (options.crypto_s if crypto else options.block_s) if registers.lba == _KEYS[
                feature
            ] else None, 0
        if registers.lba >> 32 != _OVERWRITE_KEY:
            return None, 0
        # A pass count of zero means 16 (ACS-4 clause 7.38.5.2).
        passes = registers.count & 0x0F or 16
        pattern = (registers.lba & 0xFFFFFFFF).to_bytes(4, "little")
        inverts = (
            bool(registers.count & _INVERT) and not registers.count & _DEFINITIVE_ENDING and not passes % 2
        )
        self._pattern = bytes(byte ^ 0xFF for byte in pattern) if inverts else pattern
        return passes * options.overwrite_s, _INVERT | _DEFINITIVE_ENDING | 0x0F
