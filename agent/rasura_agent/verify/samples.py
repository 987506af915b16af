"""Reading samples: compared with what was written, or before and after a device command with one another."""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from rasura.certificate import Range, RangeKind
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, Transfers
from rasura_agent.erase.buffers import aligned_buffer, read_for_sure
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.ranges import gathered
from rasura_agent.verify.content import COUNTED_BYTES, Content, constant_byte
from rasura_agent.verify.readback import read_back
from rasura_agent.verify.sampling import Extent, SamplePlan

__all__ = ["Compared", "SampledReadBack", "Samples", "read_samples"]

_READ_BYTES = 1 << 20
_GAP_BYTES = 64 << 10
"""Sooner read through than jumped: a transfer of its own costs more."""
_NOTHING = Extent(0, 0)
_GRANULE_BYTES = 16 << 10
_MOST_GRANULES = 1 << 17
"""Digests of 8 bytes each: a megabyte for each drive, and there may be 64 of them."""
_DIGEST_BYTES = 8
_TOLD_EXTENTS = 16
"""After so many a caller hears how far it is: on a small drive one of them is a single sector."""
_MOST_ERRORS = 16
"""So many failing places are enough to know: a dying drive must not hold the bench for days."""


class SampledReadBack(msgspec.Struct, frozen=True):
    """What of the samples was read again, in bytes, and which ranges do not hold what was written."""

    plan: SamplePlan
    bytes_read: int
    errors: tuple[Range, ...]
    stopped: str | None

    @property
    def complete(self) -> bool:
        """All samples were read and all fit."""
        return self.bytes_read == self.plan.bytes and not self.errors and self.stopped is None

    @property
    def mismatch(self) -> bool:
        """Something was read that is not what was written."""
        return any(one.kind is RangeKind.MISMATCH for one in self.errors)


def read_samples(
    port: BlockPort,
    plan: SamplePlan,
    pattern: Pattern,
    on_progress: Callable[[int], str | None],
    room_bytes: int,
    *,
    clock: Clock,
    limits: Limits,
    sector_bytes: int,
) -> SampledReadBack:
    """Read every extent of ``plan`` and compare it with ``pattern``; the short form of ``read_back``.

    ``limits`` hold for all samples together.
    """
    errors: list[Range] = []
    read = done = 0
    stopped = None
    for extent in plan.runs():
        began = clock.monotonic()
        found = read_back(
            port,
            extent.end,
            pattern,
            functools.partial(_shifted, on_progress, done - extent.offset),
            room_bytes,
            extent.offset,
            clock=clock,
            limits=limits,
            sector_bytes=sector_bytes,
        )
        read += found.bytes_read
        done += extent.length
        errors += found.errors
        stopped = found.stopped
        if found.errors:
            limits = replace(limits, error_s=limits.error_s - (clock.monotonic() - began))
        if stopped is None and (len(errors) >= _MOST_ERRORS or limits.error_s <= 0):
            stopped = f"{len(errors)} samples could not be read or do not hold what was written"
        if stopped is not None:
            break
    return SampledReadBack(plan, read, tuple(errors), stopped)


def _shifted(on_progress: Callable[[int], str | None], by: int, position: int) -> str | None:
    return on_progress(by + position)


class Compared(msgspec.Struct, frozen=True):
    """Samples after a device command, held against those before it."""

    bytes_read: int
    unchanged: int
    """Granules that still hold what they held."""
    left: tuple[Range, ...]
    unreadable: tuple[Range, ...]
    stopped: str | None
    granule_bytes: int
    before: Content
    after: Content


class Samples:
    """The samples of one drive before a device command, as digests of granules.

    A granule of one repeated byte says nothing and is no witness, nor is one that cannot be read now, nor
    one on which a mark will lie.
    """

    def __init__(self, port: Transfers, plan: SamplePlan, marks: tuple[Extent, ...]) -> None:
        """``marks`` ascend and do not overlap."""
        self.plan = plan
        self._port, self._marks = port, marks
        share = -(-plan.bytes // _MOST_GRANULES)
        self.granule_bytes = max(1, -(-share // _GRANULE_BYTES)) * _GRANULE_BYTES
        self._runs = plan.runs(_GAP_BYTES)
        longest = max((one.length for one in self._runs), default=_GRANULE_BYTES)
        self._buffer = aligned_buffer(min(_READ_BYTES, longest))
        self._held, self._alone_until = _NOTHING, 0
        """Which part of the drive the buffer holds; below which place samples are read one by one."""
        self._first = tuple(
            itertools.accumulate((-(-one.length // self.granule_bytes) for one in plan.extents), initial=0)
        )
        """The number of each extent's first granule."""
        self._before = bytearray(_DIGEST_BYTES * self._first[-1])
        self._content = Content()
        self.witnesses = 0
        """How many granules would betray a drive that left its data in place."""

    def take(self, on_progress: Callable[[int], str | None]) -> str | None:
        """Read the drive as it is before the command; why it was stopped, or ``None``."""
        self._held, self._alone_until = _NOTHING, 0
        done = failures = 0
        for number, extent in enumerate(self.plan.extents):
            for granule, seen in self._granules(extent, self._content):
                failures += seen is None
                if seen is not None and seen.constant is None and not self._is_marked(granule):
                    self._before[self._place(number, granule)] = seen.digest
                    self.witnesses += 1
            done += extent.length
            stopped = on_progress(done) if self._is_told(number) else None
            if stopped is not None:
                return stopped
            if failures >= _MOST_ERRORS:
                return None  # it is dying: witnesses enough, or the marks will have to do
        return None

    def compare(self, on_progress: Callable[[int], str | None]) -> Compared:
        """Read the same places again; never raises for what the drive does."""
        left: list[tuple[int, int, RangeKind]] = []
        unreadable: list[tuple[int, int, RangeKind]] = []
        after, self._held, self._alone_until = Content(), _NOTHING, 0
        read = unchanged = done = 0
        stopped = None
        for number, extent in enumerate(self.plan.extents):
            for granule, seen in self._granules(extent, after):
                if seen is None:
                    unreadable.append((granule.offset, granule.length, RangeKind.NOT_READ))
                    continue
                read += granule.length
                if seen.digest == self._before[self._place(number, granule)]:
                    unchanged += 1
                    left.append((granule.offset, granule.length, RangeKind.MISMATCH))
            done += extent.length
            stopped = on_progress(done) if self._is_told(number) else None
            if stopped is None and len(unreadable) >= _MOST_ERRORS:
                stopped = f"{len(unreadable)} of the places to look at could not be read"
            if stopped is not None:
                break
        return Compared(
            bytes_read=read,
            unchanged=unchanged,
            left=gathered(left, self.plan.capacity_bytes),
            unreadable=gathered(unreadable, self.plan.capacity_bytes),
            stopped=stopped,
            granule_bytes=self.granule_bytes,
            before=self._content,
            after=after,
        )

    def _is_told(self, number: int) -> bool:
        """Whether the caller hears of extent ``number``: of long ones of each, of short ones now and then."""
        is_long = self.plan.extents[number].length >= _READ_BYTES
        return is_long or number % _TOLD_EXTENTS == 0 or number == len(self.plan.extents) - 1

    def _place(self, number: int, granule: Extent) -> slice:
        """Where the digest of a granule of extent ``number`` is kept."""
        inside = (granule.offset - self.plan.extents[number].offset) // self.granule_bytes
        at = (self._first[number] + inside) * _DIGEST_BYTES
        return slice(at, at + _DIGEST_BYTES)

    def _granules(self, extent: Extent, content: Content) -> Iterator[tuple[Extent, _Seen | None]]:
        """Each granule of an extent with what is there; ``None`` for all that one failing read was for."""
        size = self.granule_bytes
        step = max(size, len(self._buffer) // size * size)
        for offset in range(extent.offset, extent.end, step):
            run = Extent(offset, min(step, extent.end - offset))
            try:
                # Several small granules by one read, or a large one by several.
                found = self._small(run) if run.length <= len(self._buffer) else [(run, self._large(run))]
            except OSError:
                yield run, None
                continue
            for granule, seen in found:
                content.add(seen.start if granule.offset == extent.offset else b"", seen.constant)
                yield granule, seen

    def _small(self, run: Extent) -> list[tuple[Extent, _Seen]]:
        data, size = self._must_read(run.offset, run.length), self.granule_bytes
        return [
            (Extent(run.offset + at, len(data[at : at + size])), _seen([data[at : at + size]]))
            for at in range(0, run.length, size)
        ]

    def _large(self, granule: Extent) -> _Seen:
        step = len(self._buffer)
        pieces = range(granule.offset, granule.end, step)
        return _seen(self._must_read(at, min(step, granule.end - at)) for at in pieces)

    def _must_read(self, offset: int, length: int) -> memoryview:
        """These bytes, good until the next call; what lies close behind comes with the same transfer."""
        if not self._held.offset <= offset <= offset + length <= self._held.end:
            run = self._runs[bisect.bisect_right(self._runs, offset, key=lambda one: one.offset) - 1]
            ahead = max(length, min(run.end - offset, len(self._buffer)))
            if offset < self._alone_until:
                ahead = length
            self._held = _NOTHING
            try:
                read_for_sure(self._port, offset, self._buffer[:ahead])
            except OSError:
                if ahead == length:
                    raise
                # One failing sector may cost seconds: it is met once more at most.
                self._alone_until, ahead = offset + ahead, length
                read_for_sure(self._port, offset, self._buffer[:ahead])
            self._held = Extent(offset, ahead)
        at = offset - self._held.offset
        return self._buffer[at : at + length]

    def _is_marked(self, granule: Extent) -> bool:
        after = bisect.bisect_left(self._marks, granule.end, key=lambda mark: mark.offset)
        return after > 0 and granule.offset < self._marks[after - 1].end


class _Seen(msgspec.Struct, frozen=True):
    """A granule: its digest, the byte it holds throughout, if so, and how it begins."""

    digest: bytes
    constant: int | None
    start: bytes


def _seen(pieces: Iterable[memoryview]) -> _Seen:
    digest, constants, start = hashlib.sha256(), set(), b""
    for piece in pieces:
        digest.update(piece)
        constants.add(constant_byte(piece))
        start = start or bytes(piece[:COUNTED_BYTES])
    constant = constants.pop() if len(constants) == 1 else None
    short = digest.digest()[:_DIGEST_BYTES]
    # Nought is the mark of a granule that is no witness.
    return _Seen(short if any(short) else b"\1" * _DIGEST_BYTES, constant, start)
