"""Going on with an overwrite that the power cut off, and writing down how far it is meanwhile.

Nothing rests on the record alone. Before it is believed, seeded places of the drive must hold what it
says was written there. What is continued is always read back in full, by this boot. Should that find
anything else than was written, the record was wrong, and the engine begins afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec.structs import replace

from rasura.certificate import Range, RangeKind
from rasura.errors import RasuraError
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, Transfers
from rasura_agent.erase.awaited import Awaited
from rasura_agent.erase.buffers import aligned_buffer, read_for_sure
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.mover import Span
from rasura_agent.erase.overwrite import PassResult
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.pipeline import answered
from rasura_agent.erase.progress_record import (
    JournalPace,
    Loaded,
    Place,
    ProgressRecord,
    ProgressStore,
    Refused,
    Wanted,
    misfit,
)
from rasura_agent.erase.ranges import gathered
from rasura_agent.verify.spots import SEED_BYTES, SPOT_BYTES, places

__all__ = ["Continuing", "Found", "Patterns", "Resumed", "Surroundings", "find"]

_SPOTS = 64
"""On either side of the place where an earlier boot was cut off."""
_SECTOR_BYTES = 512
_WHOLE_BYTES = 4096
"""Places are whole multiples: a file with direct I/O can be written from there on."""

Patterns = Callable[[Callable[[int], bytes]], list[Pattern]]
"""Makes the patterns of all passes out of fresh bytes that it draws."""


class Surroundings(msgspec.Struct, frozen=True):
    """What continuing needs of the engine. ``say`` takes sentences for people."""

    store: ProgressStore | None
    pace: JournalPace
    port: BlockPort
    clock: Clock
    new_key: Callable[[int], bytes]
    say: Callable[[str], None]
    limits: Limits


class Resumed(msgspec.Struct, frozen=True):
    """What earlier boots did, in bytes. ``checked_bytes`` were looked at before their word was taken."""

    interruptions: tuple[Place, ...]
    bytes_before: int
    duration_before_s: float
    first_started_at: datetime
    checked_bytes: int
    refused: tuple[Refused, ...]


class Found(msgspec.Struct, frozen=True):
    """A record that fits the drive, which holds what it tells of."""

    record: ProgressRecord
    patterns: list[Pattern]
    checked_bytes: int


def find(around: Surroundings, left: Loaded, wanted: Wanted, make: Patterns) -> Found | None:
    """What an earlier boot left of this very overwrite, of all that it ``left`` of the drive.

    A record that is not used is spoken of. An overwrite that is not written down is not gone on with either.
    """
    if around.store is None:
        return None
    if left.record is None and left.damaged:
        around.say(_afresh("its record is damaged"))
    record = left.begun
    if record is None:
        return None
    problem = misfit(record, wanted)
    if problem is not None:
        around.say(_afresh(problem))
        return None
    tape = list(record.keys)

    def replay(size: int) -> bytes:
        key = tape.pop(0) if tape else b""
        return key if len(key) == size else around.new_key(size)

    patterns = make(replay)
    port = Awaited(around.port, around.limits, around.clock)
    check = _Check(port, record, patterns, around.new_key(SEED_BYTES))
    if not check.agrees():
        around.say(_afresh("the drive does not hold what was written to it then"))
        return None
    return Found(record, patterns, check.read_bytes)


def _afresh(reason: str) -> str:
    return f"an interrupted erasure of this drive is not continued but begun afresh: {reason}"


class _Check(msgspec.Struct):
    """Seeded places on both sides of where it was cut off.

    Below, every sector holds the pass that was under way. Above, it holds that one or the one before:
    what was written after the last record may or may not have arrived. Before the first pass there was
    old data, of which nothing is known. A place that cannot be read below speaks against the record.
    """

    port: Transfers
    record: ProgressRecord
    patterns: Sequence[Pattern]
    seed: bytes
    read_bytes: int = 0

    def agrees(self) -> bool:
        record = self.record
        step, position = record.place.step, record.place.position
        if len(self.patterns) != len(record.passes):
            return False
        over = step > len(self.patterns)
        current = self.patterns[-1 if over else step - 1]
        if over:
            position = record.capacity_bytes
        below = places(self.seed, "below", position, _SPOTS)
        if not all(self._holds(offset, [current], unreadable=False) for offset in below):
            return False
        if over or step == 1:
            return True
        above = places(self.seed, "above", record.capacity_bytes - position, _SPOTS)
        either = [current, self.patterns[step - 2]]
        return all(self._holds(position + offset, either, unreadable=True) for offset in above)

    def _holds(self, offset: int, patterns: Sequence[Pattern], *, unreadable: bool) -> bool:
        failed = (one for ranges in self.record.failed for one in ranges)
        if any(one.offset < offset + SPOT_BYTES and offset < one.offset + one.length for one in failed):
            return True
        found, wanted = aligned_buffer(SPOT_BYTES), aligned_buffer(SPOT_BYTES)
        try:
            read_for_sure(self.port, offset, found)
        except OSError:
            return unreadable
        self.read_bytes += SPOT_BYTES
        fitting = set()
        for pattern in patterns:
            pattern.fill(offset, wanted)
            fitting |= {
                at
                for at in range(0, SPOT_BYTES, _SECTOR_BYTES)
                if found[at : at + _SECTOR_BYTES] == wanted[at : at + _SECTOR_BYTES]
            }
        return len(fitting) == SPOT_BYTES // _SECTOR_BYTES


class Continuing:
    """One overwrite under way, written ahead. Made by :meth:`afresh` or :meth:`going_on`."""

    def __init__(
        self,
        around: Surroundings,
        record: ProgressRecord,
        patterns: list[Pattern],
        resumed: Resumed | None = None,
    ) -> None:
        self.patterns, self.resumed = patterns, resumed
        self._around, self._record = around, record
        self._complained = False
        self._pass = _Pass(self.start(record.place.step), 0.0, 0)
        self._save(record)

    @classmethod
    def afresh(
        cls, around: Surroundings, wanted: Wanted, make: Patterns, refused: tuple[Refused, ...]
    ) -> Continuing:
        """Begin, with fresh keys; an older record of this drive is replaced before a byte is written."""
        keys: list[bytes] = []

        def draw(size: int) -> bytes:
            keys.append(around.new_key(size))
            return keys[-1]

        patterns = make(draw)
        record = ProgressRecord(
            drive_identity=wanted.drive.identity_sha256,
            capacity_bytes=wanted.drive.capacity_bytes,
            policy_sha256=wanted.policy_sha256,
            passes=wanted.passes,
            keys=tuple(keys),
            place=Place(step=1, position=0),
            failed=((),),
            spent_ms=(0,),
            interruptions=(),
            first_started_at=around.clock.wall(),
            refused=refused,
        )
        return cls(around, record, patterns)

    @classmethod
    def going_on(cls, around: Surroundings, found: Found) -> Continuing:
        """Go on from where an earlier boot was cut off."""
        record = found.record
        resumed = Resumed(
            interruptions=(*record.interruptions, record.place),
            bytes_before=sum(record.written(step) for step in range(1, len(record.passes) + 1)),
            duration_before_s=sum(record.spent_ms) / 1000,
            first_started_at=record.first_started_at,
            checked_bytes=found.checked_bytes,
            refused=record.refused,
        )
        ahead = msgspec.structs.replace(record, interruptions=resumed.interruptions)
        return cls(around, ahead, found.patterns, resumed)

    def start(self, step: int) -> int:
        """How many bytes of pass ``step``, not yet begun in this boot, earlier boots are through with."""
        place = self._record.place
        if step < place.step:
            return self._record.capacity_bytes
        return place.position if step == place.step else 0

    def before(self, step: int) -> PassResult | None:
        """Pass ``step``, if earlier boots have done all of it."""
        record = self._record
        if step >= record.place.step:
            return None
        pattern, spent_s = self.patterns[step - 1], record.spent_ms[step - 1] / 1000
        written, failed = record.written(step), record.failed[step - 1]
        return PassResult(pattern.label, pattern.cipher, written, spent_s, failed, None)

    def following(self, step: int, report: Callable[[int], str | None]) -> Callable[[int], str | None]:
        """What pass ``step`` is to call as it goes on: ``report``, and the place is written down too."""
        record, now = self._record, self._around.clock.monotonic()
        self._pass = under_way = _Pass(self.start(step), now, record.spent_ms[step - 1])
        under_way.failed = [(one.offset, one.length) for one in record.failed[step - 1]]

        def on_progress(position: int) -> str | None:
            # Before ``report``, which may let the drive rest: a cut in the pause costs nothing then.
            due = position < record.capacity_bytes and self._is_due(position)
            problem = self._keep(step, position) if due else None
            stop = report(position)
            if stop is not None and not due:
                problem = self._keep(step, position)
            return problem or stop

        return on_progress

    def failed(self, span: Span) -> None:
        """Hear of what could not be written; parts of it may be written later, which changes nothing."""
        self._pass.failed.append(span)

    def ended(self, step: int, result: PassResult) -> PassResult:
        """Pass ``step`` as a whole: what earlier boots did of it, and ``result``."""
        under_way = self._pass
        failed = _below(under_way.failed, under_way.start)
        errors, reached = (*failed, *result.errors), under_way.start
        written = result.bytes_written
        if under_way.unflushed:
            # What was written since the last flush may lie in a cache that is lost.
            reached, capacity = under_way.flushed, self._record.capacity_bytes
            failed = _below(under_way.failed, reached)
            rest = Range(offset=reached, length=capacity - reached, kind=RangeKind.NOT_WRITTEN)
            errors, written = (*failed, rest), 0
        written += reached - sum(one.length for one in failed)
        spent_s = under_way.earlier_ms / 1000 + result.duration_s
        if result.stopped is None:
            self._over(step, errors, round(spent_s * 1000))
        return replace(result, bytes_written=written, duration_s=spent_s, errors=errors)

    def _over(self, step: int, errors: tuple[Range, ...], spent_ms: int) -> None:
        last = step == len(self._record.passes)
        self._save(
            msgspec.structs.replace(
                self._record,
                place=Place(step=step + 1, position=0),
                failed=(*self._record.failed[: step - 1], errors, *(() if last else ((),))),
                spent_ms=(*self._record.spent_ms[: step - 1], spent_ms, *(() if last else (0,))),
            )
        )

    def _is_due(self, position: int) -> bool:
        pace, under_way = self._around.pace, self._pass
        since = self._around.clock.monotonic() - under_way.kept_at
        return position - under_way.flushed >= pace.interval_bytes or since >= pace.interval_s

    def _keep(self, step: int, position: int) -> str | None:
        """Have all below ``position`` on the medium, then write that down; why to stop, or ``None``."""
        under_way, clock = self._pass, self._around.clock
        position -= position % _WHOLE_BYTES
        if self._around.store is None:
            return None
        try:
            answered(self._around.port.flush, self._around.limits, clock)
        except OSError as error:
            under_way.unflushed = True
            return f"the drive could not flush its cache: {error.strerror}"
        under_way.flushed = position
        spent_ms = under_way.earlier_ms + round((clock.monotonic() - under_way.began) * 1000)
        self._save(
            msgspec.structs.replace(
                self._record,
                place=Place(step=step, position=position),
                failed=(*self._record.failed[: step - 1], _below(under_way.failed, position)),
                spent_ms=(*self._record.spent_ms[: step - 1], spent_ms),
            )
        )
        # From here on, so that many drives do not go on waiting for one stick at the same moment.
        under_way.kept_at = clock.monotonic()
        return None

    def _save(self, record: ProgressRecord) -> None:
        """Write ``record`` down; an erasure that cannot be continued is an erasure all the same."""
        self._record = record
        if self._around.store is None:
            return
        try:
            self._around.store.save(record)
        except RasuraError as error:
            if not self._complained:
                self._around.say(f"if the power goes now, this erasure begins afresh: {error}")
            self._complained = True


@dataclass(slots=True)
class _Pass:
    """The pass that is under way: where this boot began it and when, and how long earlier boots took."""

    start: int
    began: float
    earlier_ms: int
    failed: list[Span] = field(default_factory=list)
    """What could not be written, by earlier boots too; pieces may overlap."""
    flushed: int = field(init=False)
    """Below this everything is on the medium."""
    kept_at: float = field(init=False)
    unflushed: bool = False

    def __post_init__(self) -> None:
        self.flushed, self.kept_at = self.start, self.began


def _below(spans: Sequence[Span], position: int) -> tuple[Range, ...]:
    """The spans that could not be written, as far as they lie below ``position``."""
    return gathered(((*span, RangeKind.NOT_WRITTEN) for span in spans if span[0] < position), position)
