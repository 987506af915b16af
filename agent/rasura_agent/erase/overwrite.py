"""One overwriting pass over a whole drive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from rasura.certificate import Range, RangeKind
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, Disposition
from rasura_agent.erase.buffers import BLOCK_BYTES, ROOM_BYTES, Borrowed
from rasura_agent.erase.covered import NOTHING, Covered, Span
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.mover import Moved
from rasura_agent.erase.pattern import Pattern
from rasura_agent.erase.pipeline import REPORT_BYTES, Lane, answered, move, move_blocks
from rasura_agent.erase.ranges import gathered

__all__ = ["SECTOR_BYTES", "PassResult", "lane_buffers", "write_pass"]

SECTOR_BYTES = 512
"""The logical sector where nobody says otherwise."""

_OFFLOAD_BLOCKS = 32
"""One Write Zeroes request, in blocks: short enough for progress and deadline, long enough to be fast."""

_PAGE_BYTES = 4096

_LANE_BYTES = 1024 * 1024


class PassResult(msgspec.Struct, frozen=True):
    """What one pass wrote in this boot, in bytes, and which ranges it could not."""

    pattern: str
    cipher: str | None
    bytes_written: int
    duration_s: float
    errors: tuple[Range, ...]
    stopped: str | None
    """Why the pass ended before the end of the drive."""
    bytes_offloaded: int = 0
    """How much of it the drive was only told to zero (Write Zeroes), not sent."""


def lane_buffers(port: BlockPort, room_bytes: int) -> list[Borrowed]:
    """A buffer for each lane that needs one, all of one size and together about ``room_bytes``.

    Two lanes at least hide each other's computing, where the port takes them; with more room there are
    more, and none is larger than a mebibyte: so it was fastest (``data-mover.md``).
    """
    size = max(min(_PAGE_BYTES, room_bytes), min(_LANE_BYTES, room_bytes // 2))
    return [Borrowed(size) for _ in range(_lane_count(port, room_bytes))]


def _lane_count(port: BlockPort, room_bytes: int) -> int:
    return min(port.lanes, max(2, room_bytes // _LANE_BYTES))


def write_pass(
    port: BlockPort,
    capacity: int,
    pattern: Pattern,
    clock: Clock,
    on_progress: Callable[[Covered], str | None],
    room_bytes: int = ROOM_BYTES,
    done: Covered = NOTHING,
    again: Sequence[Span] = (),
    *,
    limits: Limits | None = None,
    sector_bytes: int = SECTOR_BYTES,
    offload: bool = False,
    on_failed: Callable[[Span], None] = lambda _span: None,
    on_offloaded: Callable[[int], None] = lambda _length: None,
    report_bytes: int = REPORT_BYTES,
) -> PassResult:
    """Write ``pattern`` over all bytes below ``capacity`` and flush the drive's cache.

    What is ``done`` was written earlier and is left alone, but for the spans ``again`` in it, which could
    not be written then; it is not in ``bytes_written``, and they are.
    How ``on_progress`` and ``on_failed`` are called, what a failing transfer leads to, and how ``limits``
    end it, says :func:`~rasura_agent.erase.pipeline.move`. A flush that fails means that nothing is
    known to be written. ``offload`` has the drive zero itself where it can (for a pattern of zeros only);
    from the first refusal on zeros are sent; ``on_offloaded`` gets how many bytes it has zeroed, from any
    thread. ``room_bytes`` is what the pass may use of memory.
    """
    limits = limits or Limits()
    began = clock.monotonic()
    block_bytes, lanes = _lanes(port, pattern, room_bytes)
    sent, zeroed = lanes[0], None
    run: Callable[..., Moved] = partial(move_blocks, port, lanes, block_bytes=block_bytes)
    if offload and isinstance(sent, _Sent) and not any(sent.block):
        zeroed = _Zeroed(port, sent.block, on_offloaded)
        run = partial(move, [zeroed] * port.lanes, block_bytes=_OFFLOAD_BLOCKS * block_bytes)
    moved = run(
        done=done,
        again=again,
        capacity=capacity,
        sector_bytes=sector_bytes,
        limits=limits,
        clock=clock,
        on_progress=on_progress,
        on_failed=on_failed,
        report_bytes=report_bytes,
    )
    failed, stopped, todo = list(moved.failed), moved.stopped, [*done.gaps(capacity), *again]
    if stopped is None:
        try:
            answered(port.flush, limits, clock)
        except OSError as error:
            stopped = f"the drive could not flush its cache: {error.strerror}"
            failed = todo
    written = sum(length for _, length in todo) - sum(length for _, length in failed)
    return PassResult(
        pattern.label,
        pattern.cipher,
        written,
        clock.monotonic() - began,
        gathered(((*span, RangeKind.NOT_WRITTEN) for span in failed), capacity),
        stopped,
        min(written, sum(zeroed.offloaded)) if zeroed is not None else 0,
    )


def _lanes(port: BlockPort, pattern: Pattern, room_bytes: int) -> tuple[int, list[Lane]]:
    """How large a transfer is, and the lanes for it."""
    block = pattern.block(min(room_bytes, BLOCK_BYTES))
    if block is None:
        buffers = lane_buffers(port, room_bytes)
        return buffers[0].size, [_Filled(pattern, buffer) for buffer in buffers]
    # A constant needs no buffer of a lane's own: all of them send the same one.
    return len(block), [_Sent(block)] * _lane_count(port, room_bytes)


class _Sent(msgspec.Struct, frozen=True):
    """Sends the block that a constant pattern repeats."""

    block: memoryview
    writes = True

    def prepare(self, offset: int, length: int) -> memoryview:
        at = offset % len(self.block)
        return self.block[at : at + length]

    def finish(self, offset: int, length: int) -> None:
        """Nothing was read."""

    def end(self) -> None:
        """Nothing was taken."""


class _Filled(msgspec.Struct, frozen=True):
    """Makes a stream's next bytes and sends them."""

    pattern: Pattern
    buffer: Borrowed
    writes = True

    def prepare(self, offset: int, length: int) -> memoryview:
        piece = self.buffer.take(length)
        self.pattern.fill(offset, piece)
        return piece

    def finish(self, offset: int, length: int) -> None:
        """Nothing was read."""

    def end(self) -> None:
        self.buffer.end()


class _Zeroed:
    """Has the drive zero itself; what it refuses is sent, ``zeros`` at a time."""

    def __init__(self, port: BlockPort, zeros: memoryview, tell: Callable[[int], None]) -> None:
        self._port, self._zeros, self._tell = port, zeros, tell
        self._takes = True
        self.offloaded: list[int] = []

    def __call__(self, offset: int, length: int) -> None:
        if self._takes:
            if self._port.write_zeroes(offset, length) is Disposition.DONE:
                self.offloaded.append(length)
                self._tell(length)
                return
            self._takes = False
        for at in range(0, length, len(self._zeros)):
            self._port.write(offset + at, self._zeros[: length - at])
