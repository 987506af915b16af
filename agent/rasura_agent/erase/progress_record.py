"""What of a drive was overwritten so far, as it is written down for the boot after a power cut. Pure.

A record is only ever a claim: ``erase/continuing.py`` says what it is held against before a byte is skipped.

On a medium a record is one line with the hex SHA-256 of all that follows, then JSON. Two generations
lie side by side and are replaced by turns, so that a cut while one is written leaves the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

import msgspec

from rasura.certificate import Range
from rasura_agent.erase.covered import Covered, Span
from rasura_agent.erase.ranges import spans_of
from rasura_agent.inventory.model import Drive

__all__ = [
    "JOURNAL_PACE",
    "MOST_BEYOND",
    "Cut",
    "Generation",
    "JournalPace",
    "Loaded",
    "Place",
    "ProgressRecord",
    "ProgressStore",
    "Refused",
    "Wanted",
    "decode",
    "encode",
    "misfit",
    "newest",
]

_FORMAT = 3
"""1 had another random stream for the same key, 2 knew nothing past a bad zone: those are begun afresh."""
MOST_BEYOND = 64
"""So many spans past a bad zone are written down; a drive that needs more of them loses the smallest."""
_MOST_RANGES = 4096
"""More failed ranges than that, and the drive is nothing to go on with."""


class JournalPace(msgspec.Struct, frozen=True):
    """How much may be lost: a place is made durable after so many bytes or seconds, whichever comes first.

    The drive's cache is flushed before, which costs a hard disk some milliseconds.
    """

    interval_bytes: int
    interval_s: float


JOURNAL_PACE = JournalPace(interval_bytes=32_000_000_000, interval_s=20.0)
"""Where a policy says nothing. A stick takes a tenth of a second for it: not to be had every second."""


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Place(_Stored, frozen=True, order=True):
    """So far an overwrite has come: all passes before ``step`` (from 1), and this one below ``position``.

    One step after the last pass is verification, which is never counted as partly done.
    """

    step: int
    position: int


class Cut(_Stored, frozen=True):
    """Where an overwrite was cut off: the place, and how many bytes of that pass were written.

    Fewer than lie below where some could not be, more where a bad zone was passed over.
    """

    step: int
    position: int
    written: int


class Refused(_Stored, frozen=True):
    """A technique that the drive refused before it was overwritten, and why, in a sentence."""

    technique: str
    reason: str


class ProgressRecord(_Stored, frozen=True):
    """One drive's overwrite. ``keys`` are what its random passes were made from, in the order drawn.

    ``beyond`` is what of the pass at ``place`` is done further on, where a bad zone was passed over.
    ``failed``, ``offloaded`` and ``spent_ms`` have one entry for each pass begun; ``offloaded`` are bytes
    that the drive was only told to zero. ``refused`` are the techniques that had been tried before.
    ``first_started_at`` is by a clock nobody trusts.
    """

    drive_identity: str
    capacity_bytes: int
    policy_sha256: str
    passes: tuple[str, ...]
    keys: tuple[bytes, ...]
    place: Place
    beyond: tuple[Span, ...]
    failed: tuple[tuple[Range, ...], ...]
    offloaded: tuple[int, ...]
    spent_ms: tuple[int, ...]
    interruptions: tuple[Cut, ...]
    first_started_at: datetime
    refused: tuple[Refused, ...]

    @property
    def is_sound(self) -> bool:
        """Whether it says something possible."""
        places = (*(Place(step=one.step, position=one.position) for one in self.interruptions), self.place)
        begun = min(self.place.step, len(self.passes))
        return (
            bool(self.passes)
            and all(
                1 <= one.step <= len(self.passes) + 1 and 0 <= one.position <= self.capacity_bytes
                for one in places
            )
            and list(places) == sorted(places)
            and all(0 <= one.written <= self.capacity_bytes for one in self.interruptions)
            and len(self.beyond) <= (MOST_BEYOND if self.place.step <= len(self.passes) else 0)
            and self.covered(self.place.step).is_within(self.capacity_bytes)
            and len(self.failed) == len(self.offloaded) == len(self.spent_ms) == begun
            and sum(map(len, self.failed)) <= _MOST_RANGES
            and all(spent >= 0 for spent in self.spent_ms)
            and all(self._is_possible(step) for step in range(1, begun + 1))
        )

    def _is_possible(self, step: int) -> bool:
        """Whether what failed of pass ``step`` is covered, and no more of it offloaded than written."""
        failed = spans_of(self.failed[step - 1])
        return (
            all(length > 0 for _, length in failed)
            and list(self.covered(step).within(failed)) == failed
            and 0 <= self.offloaded[step - 1] <= self.written(step)
        )

    @property
    def has_begun(self) -> bool:
        """Whether anything is known to be written; if not, there is nothing to go on with."""
        return self.place > Place(step=1, position=0) or bool(self.beyond)

    @property
    def cut(self) -> Cut:
        """Where it would be gone on from."""
        step = self.place.step
        return Cut(step=step, position=self.place.position, written=self.written(step))

    def written(self, step: int) -> int:
        """Bytes of pass ``step`` that are durable."""
        if step > len(self.failed):
            return 0
        return self.covered(step).size - sum(one.length for one in self.failed[step - 1])

    def covered(self, step: int) -> Covered:
        """What pass ``step`` is through with, what failed of it included."""
        if step == self.place.step:
            return Covered(self.place.position, self.beyond)
        return Covered(self.capacity_bytes if step < self.place.step else 0)


class Generation(_Stored, frozen=True):
    """A record as it lies on a medium: the one with the highest ``sequence`` counts."""

    format: int
    sequence: int
    record: ProgressRecord


class Wanted(msgspec.Struct, frozen=True):
    """The overwrite that is to be done: the drive as it is, the passes by their names, by which policy.

    ``stronger`` are the techniques that the plan tries before.
    """

    drive: Drive
    passes: tuple[str, ...]
    policy_sha256: str
    stronger: tuple[str, ...]


class Loaded(msgspec.Struct, frozen=True):
    """What was found for a drive; ``damaged`` says that something was there and could not be used."""

    record: ProgressRecord | None
    damaged: bool = False

    @property
    def begun(self) -> ProgressRecord | None:
        """The record, if there is something to go on with."""
        return self.record if self.record is not None and self.record.has_begun else None

    @property
    def is_unfinished(self) -> bool:
        """Whether an overwrite was begun and not ended, for all that is known."""
        return self.damaged or self.begun is not None


class ProgressStore(Protocol):
    """Where records outlive the power."""

    def save(self, record: ProgressRecord) -> None:
        """Keep ``record`` in place of the one before it; durable on return. Raises ``RasuraError``."""
        ...

    def load(self, drive_identity: str) -> Loaded:
        """The newest whole record of this drive; never raises."""
        ...

    def forget(self, drive_identity: str) -> None:
        """Let go of this drive's record; one that stays does no harm, it will not fit. Never raises."""
        ...


def encode(record: ProgressRecord, sequence: int) -> bytes:
    """The bytes of a generation."""
    body = msgspec.json.encode(Generation(format=_FORMAT, sequence=sequence, record=record))
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(raw: bytes) -> Generation | None:
    """The generation in ``raw``; ``None`` if it is torn, damaged, of another format or impossible."""
    digest, _, body = raw.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    try:
        generation = msgspec.json.decode(body, type=Generation)
    except msgspec.MsgspecError:
        return None
    return generation if generation.format == _FORMAT and generation.record.is_sound else None


def newest(raws: Iterable[bytes]) -> Generation | None:
    """The generation that counts; ``None`` if none of them can be used."""
    whole = (one for one in map(decode, raws) if one is not None)
    return max(whole, key=lambda one: one.sequence, default=None)


def misfit(record: ProgressRecord, wanted: Wanted) -> str | None:
    """Why the erasure that ``record`` tells of is not the one that is ``wanted``, or ``None``."""
    return next(_misfits(record, wanted), None)


def _misfits(record: ProgressRecord, wanted: Wanted) -> Iterator[str]:
    drive, refused = wanted.drive, {one.technique for one in record.refused}
    if drive.serial is None and drive.wwn is None:
        # Two sticks of one make would be one drive to us.
        yield "the drive has no number of its own by which it could be known again"
    if record.drive_identity != drive.identity_sha256:
        yield "it was another drive"
    if record.capacity_bytes != drive.capacity_bytes:
        yield f"the drive had {record.capacity_bytes} bytes then, and has {drive.capacity_bytes} now"
    if record.policy_sha256 != wanted.policy_sha256:
        yield "it was begun by another policy"
    if record.passes != wanted.passes:
        yield f"it was begun with other passes ({', then '.join(record.passes)})"
    untried = [technique for technique in wanted.stronger if technique not in refused]
    if untried:
        yield f"a stronger technique can be tried now ({', '.join(untried)})"


# Two threads must not make msgspec read a type for the first time (see rasura.certificate).
msgspec.convert(None, Generation | None)
msgspec.json.decode(b"null", type=Generation | None)
