"""Reading samples: compared with what was written, or before and after a device command with one another."""

from __future__ import annotations

import bisect
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rasura.certificate import Range, RangeKind
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import aligned_buffer
from rasura_agent.erase.overwrite import MAX_ERRORS, add_range
from rasura_agent.erase.pattern import Pattern
from rasura_agent.verify.content import COUNTED_BYTES, Content, constant_byte
from rasura_agent.verify.readback import read_back
from rasura_agent.verify.sampling import Extent, SamplePlan

__all__ = ["Compared", "SampledReadBack", "Samples", "read_samples"]

_READ_BYTES = 1 << 20
_GRANULE_BYTES = 16 << 10
_MOST_GRANULES = 1 << 17
"""Digests of 8 bytes each: a megabyte for each drive, and there may be 64 of them."""
_DIGEST_BYTES = 8
_NO_WITNESS = bytes(_DIGEST_BYTES)


@dataclass(frozen=True, slots=True)
class SampledReadBack:
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
    block_bytes: int,
) -> SampledReadBack:
    """Read every extent of ``plan`` and compare it with ``pattern``; the short form of ``read_back``."""
    errors: list[Range] = []
    read = done = 0
    stopped = None
    for extent in plan.extents:
        before = done - extent.offset
        found = read_back(
            port,
            extent.end,
            pattern,
            functools.partial(_shifted, on_progress, before),
            block_bytes,
            extent.offset,
        )
        read += found.bytes_read
        done += extent.length
        errors += found.errors
        stopped = found.stopped
        if stopped is None and len(errors) >= MAX_ERRORS:
            stopped = f"{len(errors)} samples could not be read or do not hold what was written"
        if stopped is not None:
            break
    return SampledReadBack(plan, read, tuple(errors), stopped)


def _shifted(on_progress: Callable[[int], str | None], by: int, position: int) -> str | None:
    return on_progress(by + position)


@dataclass(frozen=True, slots=True)
class Compared:
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

    def __init__(self, port: BlockPort, plan: SamplePlan, marks: tuple[Extent, ...]) -> None:
        """``marks`` ascend and do not overlap."""
        self.plan = plan
        self._port, self._marks = port, marks
        share = -(-plan.bytes // _MOST_GRANULES)
        self.granule_bytes = max(1, -(-share // _GRANULE_BYTES)) * _GRANULE_BYTES
        longest = max((one.length for one in plan.extents), default=_GRANULE_BYTES)
        self._buffer = aligned_buffer(min(_READ_BYTES, longest))
        self._before = bytearray()
        self._content = Content()

    @property
    def witnesses(self) -> int:
        """How many granules would betray a drive that left its data in place."""
        found = range(0, len(self._before), _DIGEST_BYTES)
        return sum(self._before[at : at + _DIGEST_BYTES] != _NO_WITNESS for at in found)

    def take(self, on_progress: Callable[[int], str | None]) -> str | None:
        """Read the drive as it is before the command; why it was stopped, or ``None``."""
        done = 0
        for extent in self.plan.extents:
            for granule, seen in self._granules(extent, self._content):
                is_witness = seen is not None and seen.constant is None and not self._is_marked(granule)
                self._before += seen.digest if seen is not None and is_witness else _NO_WITNESS
            done += extent.length
            stopped = on_progress(done)
            if stopped is not None:
                return stopped
        return None

    def compare(self, on_progress: Callable[[int], str | None]) -> Compared:
        """Read the same places again; never raises for what the drive does."""
        left: list[Range] = []
        unreadable: list[Range] = []
        after = Content()
        read = unchanged = number = done = 0
        stopped = None
        for extent in self.plan.extents:
            for granule, seen in self._granules(extent, after):
                before = self._before[number : number + _DIGEST_BYTES]
                number += _DIGEST_BYTES
                if seen is None:
                    add_range(unreadable, granule.offset, granule.length, RangeKind.NOT_READ)
                    continue
                read += granule.length
                if before != _NO_WITNESS and seen.digest == before:
                    unchanged += 1
                    add_range(left, granule.offset, granule.length, RangeKind.MISMATCH)
            done += extent.length
            stopped = on_progress(done)
            if stopped is None and len(unreadable) >= MAX_ERRORS:
                stopped = f"{len(unreadable)} of the places to look at could not be read"
            if stopped is not None:
                break
        return Compared(
            bytes_read=read,
            unchanged=unchanged,
            left=tuple(left),
            unreadable=tuple(unreadable),
            stopped=stopped,
            granule_bytes=self.granule_bytes,
            before=self._content,
            after=after,
        )

    def _granules(self, extent: Extent, content: Content) -> Iterator[tuple[Extent, _Seen | None]]:
        """Each granule of an extent with what is there, ``None`` where it cannot be read."""
        size = self.granule_bytes
        step = max(size, len(self._buffer) // size * size)
        for offset in range(extent.offset, extent.end, step):
            length = min(step, extent.end - offset)
            # Several small granules by one read; if that fails, one by one.
            together = self._read(offset, length) if length <= len(self._buffer) else None
            for at in range(0, length, size):
                granule = Extent(offset + at, min(size, length - at))
                if together is not None:
                    seen: _Seen | None = _seen([together[at : at + granule.length]])
                else:
                    seen = self._seen_in_pieces(granule)
                if seen is not None:
                    content.add(seen.start if granule.offset == extent.offset else b"", seen.constant)
                yield granule, seen

    def _seen_in_pieces(self, granule: Extent) -> _Seen | None:
        pieces = range(granule.offset, granule.end, len(self._buffer))
        try:
            return _seen(self._must_read(at, min(len(self._buffer), granule.end - at)) for at in pieces)
        except OSError:
            return None

    def _read(self, offset: int, length: int) -> memoryview | None:
        try:
            return self._must_read(offset, length)
        except OSError:
            return None

    def _must_read(self, offset: int, length: int) -> memoryview:
        piece = self._buffer[:length]
        self._port.read(offset, piece)
        return piece

    def _is_marked(self, granule: Extent) -> bool:
        after = bisect.bisect_left(self._marks, granule.end, key=lambda mark: mark.offset)
        return after > 0 and granule.offset < self._marks[after - 1].end


@dataclass(frozen=True, slots=True)
class _Seen:
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
    return _Seen(short if short != _NO_WITNESS else b"\1" * _DIGEST_BYTES, constant, start)
