"""Ranges of a drive in error, gathered in any order and told in as few words as a certificate can hold."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable

from rasura.certificate import Range, RangeKind
from rasura_agent.erase.covered import Span, merged

__all__ = ["RANGES_MAX", "gathered", "spans_of"]

RANGES_MAX = 1000
"""So many ranges are told apart; beyond, those nearest to each other are told as one that covers both."""


def gathered(found: Iterable[tuple[int, int, RangeKind]], capacity: int) -> tuple[Range, ...]:
    """Sorted ranges that cover every ``(offset, length, kind)``; those of one kind that touch are one.

    A drive that fails in too many places is told more coarsely; nothing in error is ever left out.
    """
    by_kind: dict[RangeKind, list[Span]] = {}
    for offset, length, kind in found:
        by_kind.setdefault(kind, []).append((offset, min(length, capacity - offset)))
    ranges = [
        Range(offset=offset, length=length, kind=kind)
        for kind in sorted(by_kind)
        for offset, length in merged(by_kind[kind]).spans
    ]
    told = _nearest_joined(ranges) if len(ranges) > RANGES_MAX else ranges
    return tuple(sorted(told, key=lambda one: (one.offset, one.kind)))


def spans_of(ranges: Iterable[Range]) -> list[Span]:
    """Where they lie."""
    return [(one.offset, one.length) for one in ranges]


def _nearest_joined(ranges: list[Range]) -> list[Range]:
    """Just as many neighbours of one kind joined as there are ranges too many, the nearest ones."""
    gaps = (
        (later.offset - one.offset - one.length, number)
        for number, (one, later) in enumerate(itertools.pairwise(ranges), 1)
        if one.kind is later.kind
    )
    closed = {number for _, number in heapq.nsmallest(len(ranges) - RANGES_MAX, gaps)}
    joined: list[Range] = []
    for number, one in enumerate(ranges):
        if number in closed:
            begin = joined[-1].offset
            joined[-1] = Range(offset=begin, length=one.offset + one.length - begin, kind=one.kind)
        else:
            joined.append(one)
    return joined
