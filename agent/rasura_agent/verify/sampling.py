"""Where to look on a drive that is not read in full: the sampling scheme of NIST SP 800-88 Rev. 1 §4.7. Pure.

The drive is cut into at least 1,000 equal subsections; in each, two pseudorandom reads that do not
overlap, of at least 5 % of the subsection each; and the first and the last addressable block. Places
follow from the seed alone, so that an auditor can work them out again:

With ``units`` blocks in ``sections = min(1000, units // 2)`` subsections, number k from block
``start = k * units // sections`` to the next one's start has ``n`` blocks and is read ``r = ceil(n / 20)``
blocks at a time. HMAC-SHA-256 of ``section k`` in ASCII under the seed gives two numbers, its first and its
second 8 bytes, big endian, each modulo ``n - 2 r + 1``. With the smaller one a, the larger one b: the reads
begin at ``start + a`` and at ``start + b + r``.
"""

from __future__ import annotations

import hmac
from itertools import pairwise

import msgspec

__all__ = ["SECTIONS", "Extent", "SamplePlan", "plan_samples"]

SECTIONS = 1000
"""NIST SP 800-88 Rev. 1 §4.7: "at least 1,000"."""
_SHARE = 20
"""One read is at least a twentieth of its subsection."""


class Extent(msgspec.Struct, frozen=True):
    """Bytes ``offset`` to ``offset + length``."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length


class SamplePlan(msgspec.Struct, frozen=True):
    """What will be read, ascending and without overlap; ``unit_bytes`` is the logical block."""

    capacity_bytes: int
    unit_bytes: int
    sections: int
    extents: tuple[Extent, ...]
    is_whole_scheme: bool
    """Whether every read is as long as the scheme wants; a limit makes them shorter."""

    @property
    def bytes(self) -> int:
        """How much that is."""
        return sum(one.length for one in self.extents)

    def runs(self, gap_bytes: int = 0) -> tuple[Extent, ...]:
        """The extents with those in one that are no further apart: on a small drive, few instead of many."""
        joined: list[Extent] = []
        for one in self.extents:
            close = bool(joined) and one.offset - joined[-1].end <= gap_bytes
            start = joined.pop().offset if close else one.offset
            joined.append(Extent(start, one.end - start))
        return tuple(joined)


def plan_samples(seed: bytes, capacity_bytes: int, unit_bytes: int, limit_bytes: int = 0) -> SamplePlan:
    """The samples of a drive of whole ``unit_bytes`` blocks.

    ``limit_bytes`` shortens all reads alike so that no more than about that is read, but never below one
    block each; 0 is no limit.
    """
    units = capacity_bytes // unit_bytes
    sections = max(1, min(SECTIONS, units // 2))
    most = max(1, limit_bytes // (2 * sections * unit_bytes)) if limit_bytes else units
    found: list[tuple[int, int]] = []
    whole = True
    keyed = hmac.new(seed, digestmod="sha256")
    starts = (section * units // sections for section in range(sections + 1))
    for number, (start, end) in enumerate(pairwise(starts)):
        wanted = -(-(end - start) // _SHARE)
        length = min(wanted, most)
        whole &= length == wanted
        if end - start < 2:
            found += [(start, end - start)] if end > start else []
            continue
        digest = keyed.copy()
        digest.update(f"section {number}".encode())
        draw = digest.digest()
        places = end - start - 2 * length + 1
        low, high = sorted(int.from_bytes(draw[at : at + 8], "big") % places for at in (0, 8))
        found += [(start + low, length), (start + high + length, length)]
    if found and found[0][0] > 0:
        found.insert(0, (0, 1))
    if found and sum(found[-1]) < units:
        found.append((units - 1, 1))
    extents = tuple(Extent(first * unit_bytes, count * unit_bytes) for first, count in found)
    return SamplePlan(capacity_bytes, unit_bytes, sections, extents, whole)
