"""What came of one drive's erasure, as the engine tells it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from rasura.certificate import Method, Outcome, Range, VerificationStatus
from rasura_agent.erase.continuing import Resumed
from rasura_agent.erase.firmware.family import Prepared
from rasura_agent.erase.firmware.line import CommandRecord
from rasura_agent.erase.overwrite import PassResult
from rasura_agent.erase.plan import Way
from rasura_agent.verify.readback import ReadBack
from rasura_agent.verify.samples import SampledReadBack
from rasura_agent.verify.spots import SpotCheck

__all__ = ["EraseResult"]


class EraseResult(msgspec.Struct, frozen=True):
    """What happened to one drive. ``touched`` is whether anything may have been written to it.

    ``way`` is the last one that was tried. An overwrite fills ``passes``, ``read_back`` (of its last pass)
    or ``sampled``, and ``earlier_reads`` (of other passes); a device command ``commands``, ``spots`` and
    ``seed``.
    """

    outcome: Outcome
    reason: str | None
    way: Way | None
    capacity_bytes: int
    passes: tuple[PassResult, ...]
    read_back: ReadBack | None
    commands: tuple[CommandRecord, ...]
    spots: SpotCheck | None
    seed: bytes | None
    prepared: Prepared | None
    started_at: datetime
    finished_at: datetime
    duration_s: float
    direct: bool
    touched: bool
    identity_sha256: str
    """Of the drive as it was prepared: lifting hidden areas may change what it says of itself."""
    earlier_reads: tuple[ReadBack, ...] = ()
    second_reader: bool = False
    """Whether a process of its own read back."""
    sampled: SampledReadBack | None = None
    resumed: Resumed | None = None
    """What earlier boots did of this overwrite; their bytes are in ``passes`` too."""
    is_settled: bool = False
    """Whether an overwrite came to its end, so that nothing is left to continue."""
    notes: tuple[str, ...] = ()
    """What else a person should know, in sentences."""

    @property
    def passes_read_back(self) -> int | None:
        """How many passes were read back in full and fit; ``None`` where nothing was overwritten."""
        if not self.passes:
            return None
        reads = (*self.earlier_reads, self.read_back)
        return sum(1 for one in reads if one is not None and one.complete)

    @property
    def method(self) -> Method | None:
        """The method achieved."""
        return self.way.method if self.outcome is Outcome.ERASED and self.way is not None else None

    @property
    def errors(self) -> tuple[Range, ...]:
        """Every range that some pass could not write, or that does not hold what it should."""
        found = {one for result in self.passes for one in result.errors}
        for read in (*self.earlier_reads, self.read_back, self.sampled):
            found.update(read.errors if read is not None else ())
        found.update((*self.spots.unreadable, *self.spots.left) if self.spots is not None else ())
        return tuple(sorted(found, key=lambda one: (one.offset, one.length, one.kind)))

    @property
    def bytes_read(self) -> int:
        """How much was read to verify."""
        parts = (self.read_back, self.sampled, self.spots)
        return sum(part.bytes_read for part in parts if part is not None)

    @property
    def verification_status(self) -> VerificationStatus:
        """What verification found."""
        last = self.read_back or self.sampled
        reads = [*self.earlier_reads, *([last] if last is not None else [])]
        if reads:
            mismatch = any(one.mismatch for one in reads)
            complete = last is not None and all(one.complete for one in reads)
        elif self.spots is not None:
            mismatch, complete = bool(self.spots.left), self.spots.complete
        else:
            return VerificationStatus.NOT_RUN
        if mismatch:
            return VerificationStatus.MISMATCH
        return VerificationStatus.COMPLETE if complete else VerificationStatus.INCOMPLETE
