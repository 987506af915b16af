"""One overwriting pass over a whole drive."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass

from rasura.certificate import Range, RangeKind
from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import BLOCK_BYTES, aligned_buffer
from rasura_agent.erase.pattern import Pattern

__all__ = ["MAX_ERRORS", "PassResult", "add_range", "is_gone", "write_pass"]

MAX_ERRORS = 16
"""So many failing transfers end a pass: a dying drive must not hold the bench for days."""

_GONE = {errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN}


def is_gone(error: OSError) -> bool:
    """Whether ``error`` says that the drive itself is no longer there."""
    return error.errno in _GONE


@dataclass(frozen=True, slots=True)
class PassResult:
    """What one pass wrote, in bytes, and which ranges it could not."""

    pattern: str
    cipher: str | None
    bytes_written: int
    duration_s: float
    errors: tuple[Range, ...]
    stopped: str | None
    """Why the pass ended before the end of the drive."""


def add_range(ranges: list[Range], offset: int, length: int, kind: RangeKind) -> None:
    """Append a range, or lengthen the last one if they touch."""
    if ranges and ranges[-1].kind is kind and ranges[-1].offset + ranges[-1].length == offset:
        last = ranges.pop()
        offset, length = last.offset, last.length + length
    ranges.append(Range(offset=offset, length=length, kind=kind))


def write_pass(
    port: BlockPort,
    capacity: int,
    pattern: Pattern,
    clock: Clock,
    on_progress: Callable[[int], str | None],
    block_bytes: int = BLOCK_BYTES,
    start: int = 0,
    on_failed: Callable[[Range], None] = lambda _failed: None,
) -> PassResult:
    """Write ``pattern`` over bytes ``start`` to ``capacity`` and flush the drive's cache.

    What lies below ``start`` was written by an earlier boot: it is not touched and not counted.

    A transfer that fails is recorded whole and the pass goes on behind it, up to
    :data:`MAX_ERRORS`. A flush that fails means that nothing is known to be written.
    ``on_progress`` gets the position in bytes after every transfer, below which every byte is written
    or in a range that ``on_failed`` was told before, and answers with why to stop, or ``None`` to go on;
    it may block.
    """
    buffer = aligned_buffer(block_bytes)
    errors: list[Range] = []
    stopped = None
    written = failures = 0
    offset = start
    began = clock.monotonic()
    while offset < capacity:
        piece = buffer[: min(block_bytes, capacity - offset)]
        pattern.fill(offset, piece)
        try:
            port.write(offset, piece)
        except OSError as error:
            failures += 1
            add_range(errors, offset, len(piece), RangeKind.NOT_WRITTEN)
            on_failed(Range(offset=offset, length=len(piece), kind=RangeKind.NOT_WRITTEN))
            if is_gone(error):
                stopped = "the drive is gone"
            elif failures == MAX_ERRORS:
                stopped = f"{failures} transfers failed, the last with {error.strerror}"
        else:
            written += len(piece)
        offset += len(piece)
        stopped = on_progress(offset) or stopped
        if stopped is not None:
            break
    if offset < capacity:
        add_range(errors, offset, capacity - offset, RangeKind.NOT_WRITTEN)
    if stopped is None:
        try:
            port.flush()
        except OSError as error:
            stopped = f"the drive could not flush its cache: {error.strerror}"
            errors = [Range(offset=start, length=capacity - start, kind=RangeKind.NOT_WRITTEN)]
            written = 0
    return PassResult(
        pattern.label, pattern.cipher, written, clock.monotonic() - began, tuple(errors), stopped
    )
