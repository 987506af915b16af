"""Which bytes of a drive a pass is through with: where a bad zone was passed over, not those below one place.

Pure. Bytes that could not be moved are covered too once that is known: whoever counts takes them off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

__all__ = ["NOTHING", "Covered", "Span", "merged"]

Span = tuple[int, int]
"""Offset and length in bytes."""


class Covered(msgspec.Struct, frozen=True):
    """All below ``mark``, and the spans ``beyond`` it: ascending, and apart from each other and from it."""

    mark: int
    beyond: tuple[Span, ...] = ()

    @property
    def size(self) -> int:
        """How many bytes that are."""
        return self.mark + sum(length for _, length in self.beyond)

    @property
    def spans(self) -> tuple[Span, ...]:
        """All of it."""
        return ((0, self.mark), *self.beyond) if self.mark else self.beyond

    def gaps(self, capacity: int) -> list[Span]:
        """What is left of a drive of ``capacity`` bytes, ascending."""
        ends = [offset + length for offset, length in self.beyond]
        begins = [offset for offset, _ in self.beyond]
        found = zip([self.mark, *ends], [*begins, capacity], strict=True)
        return [(begin, end - begin) for begin, end in found if begin < end]

    def also(self, other: Covered) -> Covered:
        """What either of both covers."""
        if not self.beyond and not other.beyond:
            return self if self.mark >= other.mark else other
        return merged((*self.spans, *other.spans))

    def within(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Those parts of ``spans`` that are covered."""
        for begin, length in spans:
            for start, size in self.spans:
                low, high = max(begin, start), min(begin + length, start + size)
                if low < high:
                    yield low, high - low

    def whole(self, unit: int, capacity: int, most: int) -> Covered:
        """As much of it as begins and ends at a multiple of ``unit`` or at ``capacity``.

        Of the spans beyond no more than ``most``, the longest.
        """
        pieces = []
        for offset, length in self.beyond:
            begin, end = -(-offset // unit) * unit, offset + length
            end -= end % unit if end < capacity else 0
            if begin < end:
                pieces.append((begin, end - begin))
        longest = sorted(pieces, key=lambda one: one[1], reverse=True)[:most]
        return Covered(self.mark - self.mark % unit, tuple(sorted(longest)))

    def is_within(self, capacity: int) -> bool:
        """Whether it keeps to its own form and to a drive of ``capacity`` bytes."""
        at, apart = self.mark, True
        for offset, length in self.beyond:
            apart = apart and at < offset and length > 0
            at = offset + length
        return apart and self.mark >= 0 and at <= capacity


NOTHING = Covered(0)
"""Before the first byte."""


def merged(spans: Iterable[Span]) -> Covered:
    """What ``spans`` cover, in any order and overlapping or not."""
    found: list[list[int]] = [[0, 0]]
    for offset, length in sorted(spans):
        if offset <= found[-1][1]:
            found[-1][1] = max(found[-1][1], offset + length)
        else:
            found.append([offset, offset + length])
    (_, mark), *rest = found
    return Covered(mark, tuple((begin, end - begin) for begin, end in rest))
