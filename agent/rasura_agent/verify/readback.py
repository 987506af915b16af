"""Full read-back: every byte of the drive read again and compared with what the last pass wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rasura.certificate import Range, RangeKind
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import BLOCK_BYTES, aligned_buffer, same
from rasura_agent.erase.overwrite import MAX_ERRORS, add_range, is_gone
from rasura_agent.erase.pattern import Pattern

__all__ = ["ReadBack", "read_back"]


@dataclass(frozen=True, slots=True)
class ReadBack:
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


def read_back(
    port: BlockPort,
    capacity: int,
    pattern: Pattern,
    on_progress: Callable[[int], str | None],
    block_bytes: int = BLOCK_BYTES,
    start: int = 0,
) -> ReadBack:
    """Read bytes ``start`` to ``capacity`` and compare each with ``pattern``; the twin of ``write_pass``."""
    expected, found = aligned_buffer(block_bytes), aligned_buffer(block_bytes)
    errors: list[Range] = []
    stopped = None
    read = failures = 0
    offset = start
    while offset < capacity:
        length = min(block_bytes, capacity - offset)
        want, got = expected[:length], found[:length]
        pattern.fill(offset, want)
        try:
            port.read(offset, got)
        except OSError as error:
            failures += 1
            add_range(errors, offset, length, RangeKind.NOT_READ)
            if is_gone(error):
                stopped = "the drive is gone"
            elif failures == MAX_ERRORS:
                stopped = f"{failures} transfers failed, the last with {error.strerror}"
        else:
            read += length
            if not same(want, got):
                add_range(errors, offset, length, RangeKind.MISMATCH)
        offset += length
        stopped = on_progress(offset) or stopped
        if stopped is not None:
            break
    if offset < capacity:
        add_range(errors, offset, capacity - offset, RangeKind.NOT_READ)
    return ReadBack(read, capacity, tuple(errors), stopped)
