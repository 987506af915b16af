"""Full read-back: every byte of the drive read again and compared with what a pass wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec

from rasura.certificate import Range, RangeKind
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import ROOM_BYTES, Borrowed, differing_sectors
from rasura_agent.erase.covered import Covered, Span
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.overwrite import SECTOR_BYTES, lane_buffers
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.pipeline import move_blocks
from rasura_agent.erase.ranges import gathered

__all__ = ["ReadBack", "Reader", "read_back"]

_EXACT_MISMATCHES = 4096
"""So many blocks that differ are looked at sector by sector; of a drive full of them the rest goes whole."""


class ReadBack(msgspec.Struct, frozen=True):
    """What was read again, in bytes, and which ranges do not hold what was written."""

    bytes_read: int
    bytes_total: int
    errors: tuple[Range, ...]
    stopped: str | None
    """Why reading ended before the end of the drive."""

    @property
    def complete(self) -> bool:
        """Everything was read and everything fits."""
        return self.bytes_read == self.bytes_total and not self.errors and self.stopped is None

    @property
    def mismatch(self) -> bool:
        """Something was read that is not what was written."""
        return any(one.kind is RangeKind.MISMATCH for one in self.errors)


class Reader(Protocol):
    """Who reads back: :func:`read_back` on a port, or a process that opens the drive itself."""

    def __call__(
        self,
        capacity: int,
        pattern: Pattern,
        on_progress: Callable[[int], str | None],
        room_bytes: int = ROOM_BYTES,
        start: int = 0,
        *,
        clock: Clock,
        limits: Limits | None = None,
        sector_bytes: int = SECTOR_BYTES,
        on_failed: Callable[[Span], None] = lambda _span: None,
    ) -> ReadBack:
        """As :func:`read_back`; never raises for what drive or process do."""
        ...


def read_back(
    port: BlockPort,
    capacity: int,
    pattern: Pattern,
    on_progress: Callable[[int], str | None],
    room_bytes: int = ROOM_BYTES,
    start: int = 0,
    *,
    clock: Clock,
    limits: Limits | None = None,
    sector_bytes: int = SECTOR_BYTES,
    on_failed: Callable[[Span], None] = lambda _span: None,
) -> ReadBack:
    """Read bytes ``start`` to ``capacity`` and compare each with ``pattern``; the twin of ``write_pass``.

    What lies before ``start`` was compared earlier and is not in ``bytes_read``: what is returned is
    complete only together with it. ``on_progress`` gets how many bytes are over, wherever they lie, those
    before ``start`` included, and answers with why to stop. ``on_failed`` also gets what differs.
    ``room_bytes`` as there.
    """
    differing = _Differing(sector_bytes)
    buffers = lane_buffers(port, room_bytes)
    moved = move_blocks(
        port,
        [_Compared(pattern, buffer, differing) for buffer in buffers],
        done=Covered(start),
        capacity=capacity,
        block_bytes=buffers[0].size,
        sector_bytes=sector_bytes,
        limits=limits or Limits(),
        clock=clock,
        on_progress=differing.told(on_progress, on_failed),
        on_failed=on_failed,
    )
    unread = sum(length for _, length in moved.failed)
    errors = [(*span, RangeKind.NOT_READ) for span in moved.failed]
    errors.extend((*span, RangeKind.MISMATCH) for span in differing.spans)
    return ReadBack(capacity - start - unread, capacity, gathered(errors, capacity), moved.stopped)


class _Differing:
    """What the lanes found to differ."""

    def __init__(self, sector_bytes: int) -> None:
        self.spans: list[Span] = []
        self._sector_bytes = sector_bytes
        self._blocks = 0
        self._told = 0
        self._lock = threading.Lock()

    def add(self, offset: int, found: memoryview, unit: bytes) -> None:
        """Note which sectors of a block differ; the block whole where too many do."""
        with self._lock:
            self._blocks += 1
            exact = self._blocks <= _EXACT_MISMATCHES
        spans = differing_sectors(found, unit, self._sector_bytes) if exact else [(0, len(found))]
        with self._lock:
            for at, length in spans:
                if self.spans and len(self.spans) > self._told and sum(self.spans[-1]) == offset + at:
                    self.spans[-1] = (self.spans[-1][0], self.spans[-1][1] + length)
                else:
                    self.spans.append((offset + at, length))

    def told(
        self, on_progress: Callable[[int], str | None], on_failed: Callable[[Span], None]
    ) -> Callable[[Covered], str | None]:
        """``on_progress``, in bytes, with ``on_failed`` called first for what was found since."""

        def report(covered: Covered) -> str | None:
            with self._lock:
                fresh, self._told = self.spans[self._told :], len(self.spans)
            for span in fresh:
                on_failed(span)
            return on_progress(covered.size)

        return report


class _Compared(msgspec.Struct, frozen=True):
    """Compares what was read."""

    pattern: Pattern
    buffer: Borrowed
    differing: _Differing
    writes = False

    def prepare(self, offset: int, length: int) -> memoryview:  # noqa: ARG002  wherever it lies
        return self.buffer.take_spoilt(length, for_random=self.pattern.cipher is not None)

    def finish(self, offset: int, length: int) -> None:
        found = self.buffer.take(length)
        unit = self.pattern.reduce(offset, found)
        if not self.buffer.repeats(length, unit):
            self.differing.add(offset, found, unit)

    def end(self) -> None:
        self.buffer.end()
