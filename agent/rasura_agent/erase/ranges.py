"""Ranges of a drive in error, gathered in any order and told in as few words as a certificate can hold."""

from __future__ import annotations

from collections.abc import Iterable

from rasura.certificate import Range, RangeKind

__all__ = ["RANGES_MAX", "gathered"]

RANGES_MAX = 1000
"""So many ranges are told apart; beyond, neighbours are told as one range that covers them all."""

_COARSEST_BYTES = 1 << 40


def gathered(found: Iterable[tuple[int, int, RangeKind]], capacity: int) -> tuple[Range, ...]:
    """Sorted ranges that cover every ``(offset, length, kind)``; those of one kind that touch are one.

    A drive that fails in too many places is told more coarsely; nothing in error is ever left out.
    """
    pieces = sorted((kind, offset, offset + length) for offset, length, kind in found)
    grain = 1
    while True:
        merged: list[list[int]] = []
        kinds: list[RangeKind] = []
        for kind, start, end in pieces:
            low, high = start // grain * grain, min(capacity, -(-end // grain) * grain)
            if merged and kinds[-1] is kind and low <= merged[-1][1]:
                merged[-1][1] = max(high, merged[-1][1])
            else:
                merged.append([low, high])
                kinds.append(kind)
        if len(merged) <= RANGES_MAX or grain >= _COARSEST_BYTES:
            break
        grain = max(4096, grain * 8)
    ranges = [
        Range(offset=low, length=high - low, kind=kind)
        for (low, high), kind in zip(merged, kinds, strict=True)
    ]
    return tuple(sorted(ranges, key=lambda one: (one.offset, one.kind)))
