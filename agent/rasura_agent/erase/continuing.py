"""Going on with an overwrite that the power cut off, and writing down how far it is meanwhile.

Nothing rests on the record alone. Before it is believed, seeded places of the drive must hold what it
says was written there. What is continued is always read back in full, by this boot. Should that find
anything else than was written, the record was wrong, and the engine begins afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from rasura_agent.erase.covered import NOTHING, Covered, Span
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.overwrite import PassResult
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.pipeline import answered
from rasura_agent.erase.progress_record import (
    MOST_BEYOND,
    Cut,
    JournalPace,
    Loaded,
    Place,
    ProgressRecord,
    ProgressStore,
    Refused,
    Wanted,
    misfit,
)
from rasura_agent.erase.ranges import gathered, spans_of
from rasura_agent.verify.spots import SEED_BYTES, SPOT_BYTES, places

__all__ = ["Continuing", "Found", "Patterns", "Resumed", "Surroundings", "find"]

_SPOTS = 64
"""Of what an earlier boot was through with when it was cut off, and of what it was not."""
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

    interruptions: tuple[Cut, ...]
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

    A record that is not used is spoken of.
    """
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
    """Seeded places in what the pass that was cut off is said to be through with, and in what it is not.

    In the first, every sector holds that pass; elsewhere it holds that one or the one before: what was
    written after the last record may or may not have arrived. Before the first pass there was old data, of
    which nothing is known. A place that cannot be read speaks against the record where it was written.
    """

    port: Transfers
    record: ProgressRecord
    patterns: Sequence[Pattern]
    seed: bytes
    read_bytes: int = 0

    def agrees(self) -> bool:
        record = self.record
        if len(self.patterns) != len(record.passes):
            return False
        step = min(record.place.step, len(self.patterns))
        covered, capacity = record.covered(step), record.capacity_bytes
        current = self.patterns[step - 1]
        written = self._spots("written", covered.spans)
        if not all(self._holds(offset, step, [current], unreadable=False) for offset in written):
            return False
        if step == 1 or not (gaps := covered.gaps(capacity)):
            return True
        # The other gaps are bad zones, where each read may take half a minute.
        left = self._spots("left", [max(gaps, key=lambda one: one[1])])
        either = [current, self.patterns[step - 2]]
        return all(self._holds(offset, step - 1, either, unreadable=True) for offset in left)

    def _spots(self, purpose: str, spans: Sequence[Span]) -> Iterator[int]:
        """Shared out among the spans by their length; none at the ends of those past a bad zone."""
        size = sum(length for _, length in spans)
        for number, (begin, length) in enumerate(spans):
            found = places(self.seed, f"{purpose} {begin}", length, -(-_SPOTS * length // size))
            for offset in found[1:-1] if number and len(found) > 2 else found:
                yield begin + offset

    def _holds(self, offset: int, step: int, patterns: Sequence[Pattern], *, unreadable: bool) -> bool:
        """Whether a place holds one of ``patterns``, if pass ``step`` could write it."""
        failed = self.record.failed[step - 1]
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
        self._pass = _Pass(NOTHING, (), 0.0, 0, [])
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
            beyond=(),
            failed=((),),
            offloaded=(0,),
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
            interruptions=(*record.interruptions, record.cut),
            bytes_before=sum(record.written(step) for step in range(1, len(record.passes) + 1)),
            duration_before_s=sum(record.spent_ms) / 1000,
            first_started_at=record.first_started_at,
            checked_bytes=found.checked_bytes,
            refused=record.refused,
        )
        ahead = msgspec.structs.replace(record, interruptions=resumed.interruptions)
        return cls(around, ahead, found.patterns, resumed)

    def done(self, step: int) -> tuple[Covered, tuple[Span, ...]]:
        """What of pass ``step``, not yet begun in this boot, earlier boots are through with.

        And what of that they could not write. An earlier boot's limits, cable or heat are not this one's.
        """
        failed = self._record.failed[step - 1] if step == self._record.place.step else ()
        return self._record.covered(step), tuple(spans_of(failed))

    def before(self, step: int) -> PassResult | None:
        """Pass ``step``, if earlier boots have done all of it."""
        record = self._record
        if step >= record.place.step:
            return None
        pattern, spent_s = self.patterns[step - 1], record.spent_ms[step - 1] / 1000
        written, failed = record.written(step), record.failed[step - 1]
        offloaded = record.offloaded[step - 1]
        return PassResult(pattern.label, pattern.cipher, written, spent_s, failed, None, offloaded)

    def following(self, step: int, report: Callable[[int], str | None]) -> Callable[[Covered], str | None]:
        """What pass ``step`` is to call as it goes on: ``report``, in bytes, and it is written down too."""
        record, now = self._record, self._around.clock.monotonic()
        done, again = self.done(step)
        self._pass = _Pass(done, again, now, record.spent_ms[step - 1], [record.offloaded[step - 1]])

        def on_progress(covered: Covered) -> str | None:
            # Before ``report``, which may let the drive rest: a cut in the pause costs nothing then.
            due = covered.size < record.capacity_bytes and self._is_due(covered)
            problem = self._keep(step, covered) if due else None
            stop = report(covered.size)
            if stop is not None and not due:
                problem = self._keep(step, covered)
            return problem or stop

        return on_progress

    def failed(self, span: Span) -> None:
        """Hear of what could not be written; parts of it may be written later, which changes nothing."""
        self._pass.failed.append(span)

    def offloaded(self, length: int) -> None:
        """Hear of what the drive was only told to zero; from any thread."""
        self._pass.offloaded.append(length)

    def ended(self, step: int, result: PassResult) -> PassResult:
        """Pass ``step`` as a whole: what earlier boots did of it, and ``result``."""
        under_way, capacity = self._pass, self._record.capacity_bytes
        errors = result.errors
        before = under_way.done.size - sum(length for _, length in under_way.again)
        written = before + result.bytes_written
        if under_way.unflushed:
            # What was written since the last flush may lie in a cache that is lost.
            failed = self._failed_in(under_way.flushed)
            errors = _not_written([*spans_of(failed), *under_way.flushed.gaps(capacity)], capacity)
            # No less than before: that was on the medium then, however coarsely it is told now what failed.
            written = max(before, under_way.flushed.size - sum(one.length for one in failed))
        spent_s = under_way.earlier_ms / 1000 + result.duration_s
        result = replace(
            result,
            bytes_written=written,
            duration_s=spent_s,
            errors=errors,
            bytes_offloaded=min(written, sum(under_way.offloaded)),
        )
        if result.stopped is None:
            self._over(step, result)
        return result

    def _over(self, step: int, result: PassResult) -> None:
        record, last = self._record, step == len(self._record.passes)
        spent_ms = round(result.duration_s * 1000)
        written = record.capacity_bytes - sum(one.length for one in result.errors)  # told coarsely, maybe
        offloaded = min(result.bytes_offloaded, written)
        self._save(
            msgspec.structs.replace(
                record,
                place=Place(step=step + 1, position=0),
                beyond=(),
                failed=(*record.failed[: step - 1], result.errors, *(() if last else ((),))),
                offloaded=(*record.offloaded[: step - 1], offloaded, *(() if last else (0,))),
                spent_ms=(*record.spent_ms[: step - 1], spent_ms, *(() if last else (0,))),
            )
        )

    def _is_due(self, covered: Covered) -> bool:
        pace, under_way = self._around.pace, self._pass
        since = self._around.clock.monotonic() - under_way.kept_at
        return covered.size - under_way.kept_size >= pace.interval_bytes or since >= pace.interval_s

    def _failed_in(self, covered: Covered) -> tuple[Range, ...]:
        """What of ``covered`` could not be written."""
        failed = _not_written(self._pass.failed, self._record.capacity_bytes)
        # Whatever is told coarsely must not reach into what is still to be written.
        inside = covered.within(spans_of(failed))
        return tuple(Range(offset=at, length=length, kind=RangeKind.NOT_WRITTEN) for at, length in inside)

    def _keep(self, step: int, covered: Covered) -> str | None:
        """Have all that is ``covered`` on the medium, then write that down; why to stop, or ``None``."""
        under_way, clock, record = self._pass, self._around.clock, self._record
        if self._around.store is None:
            return None
        try:
            answered(self._around.port.flush, self._around.limits, clock)
        except OSError as error:
            under_way.unflushed = True
            return f"the drive could not flush its cache: {error.strerror}"
        under_way.flushed = covered.whole(_WHOLE_BYTES, record.capacity_bytes, MOST_BEYOND)
        failed = self._failed_in(under_way.flushed)
        written = under_way.flushed.size - sum(one.length for one in failed)
        spent_ms = under_way.earlier_ms + round((clock.monotonic() - under_way.began) * 1000)
        self._save(
            msgspec.structs.replace(
                record,
                place=Place(step=step, position=under_way.flushed.mark),
                beyond=under_way.flushed.beyond,
                failed=(*record.failed[: step - 1], failed),
                offloaded=(*record.offloaded[: step - 1], min(written, sum(under_way.offloaded))),
                spent_ms=(*record.spent_ms[: step - 1], spent_ms),
            )
        )
        under_way.kept_size = covered.size  # not what was written down of it, which may be less
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
    """The pass that is under way: what this boot found done and when, and what earlier boots took for it."""

    done: Covered
    again: tuple[Span, ...]
    """What of it could not be written then."""
    began: float
    earlier_ms: int
    offloaded: list[int]
    """What the drive was only told to zero, by earlier boots too, in bytes."""
    failed: list[Span] = field(init=False)
    """What could not be written, by earlier boots too; pieces may overlap, and some may be written since."""
    flushed: Covered = field(init=False)
    """All of it is on the medium."""
    kept_at: float = field(init=False)
    kept_size: int = field(init=False)
    unflushed: bool = False

    def __post_init__(self) -> None:
        self.flushed, self.kept_at, self.kept_size = self.done, self.began, self.done.size
        self.failed = list(self.again)


def _not_written(spans: Iterable[Span], capacity: int) -> tuple[Range, ...]:
    return gathered(((*span, RangeKind.NOT_WRITTEN) for span in spans), capacity)
