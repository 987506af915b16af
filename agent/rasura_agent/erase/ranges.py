"""Ranges of a drive in error, gathered in any order and told in as few words as a certificate can hold."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable

from rasura.certificate import Range, RangeKind

__all__ = ["RANGES_MAX", "gathered"]

_Piece = tuple[RangeKind, int, int]
"""Kind, first byte, and the byte after the last."""

RANGES_MAX = 1000
"""So many ranges are told apart; beyond, those nearest to each other are told as one that covers both."""


def gathered(found: Iterable[tuple[int, int, RangeKind]], capacity: int) -> tuple[Range, ...]:
    """Sorted ranges that cover every ``(offset, length, kind)``; those of one kind that touch are one.

    A drive that fails in too many places is told more coarsely; nothing in error is ever left out.
    """
    pieces = sorted((kind, offset, min(capacity, offset + length)) for offset, length, kind in found)
    ranges: list[_Piece] = []
    for kind, low, high in pieces:
        if ranges and ranges[-1][0] is kind and low <= ranges[-1][2]:
            ranges[-1] = (kind, ranges[-1][1], max(high, ranges[-1][2]))
        else:
            ranges.append((kind, low, high))
    told = _nearest_joined(ranges) if len(ranges) > RANGES_MAX else ranges
    return tuple(
        sorted(
            (Range(offset=low, length=high - low, kind=kind) for kind, low, high in told),
            key=lambda one: (one.offset, one.kind),
        )
    )


def _nearest_joined(ranges: list[_Piece]) -> list[_Piece]:
    """Just as many neighbours of one kind joined as there are ranges too many, the nearest ones."""
    gaps = (
        (later[1] - one[2], number)
        for number, (one, later) in enumerate(itertools.pairwise(ranges), 1)
        if one[0] is later[0]
    )
    closed = {number for _, number in heapq.nsmallest(len(ranges) - RANGES_MAX, gaps)}
    joined: list[_Piece] = []
    for number, (kind, low, high) in enumerate(ranges):
        if number in closed:
            joined[-1] = (kind, joined[-1][1], high)
        else:
            joined.append((kind, low, high))
    return joined
