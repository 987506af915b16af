"""What a drive's content looks like: one byte throughout, noise, or something else. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from rasura.certificate import ContentKind

__all__ = ["COUNTED_BYTES", "Content", "constant_byte"]

_NOISE_BITS = 7.9
"""Per byte. Ciphertext gives 7.99 from some kilobytes on; a file system as a whole gives less."""
COUNTED_BYTES = 256
"""From the start of every extent: half a megabyte in all is enough for a figure, and counting is slow."""


class Content:
    """Gathers what is read; the entropy is of the first 256 bytes of each extent, taken together."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._constants: set[int | None] = set()

    def add(self, start: bytes, constant: int | None) -> None:
        """A granule that is ``constant`` throughout, or not (``None``); ``start`` is how an extent begins."""
        if constant is None:
            self._counts.update(start)
        elif start:
            # What an erased drive holds nearly everywhere need not be counted byte by byte.
            self._counts[constant] += len(start)
        self._constants.add(constant)

    @property
    def entropy(self) -> float | None:
        """Shannon entropy of the bytes seen, bits a byte; ``None`` where nothing was."""
        return _entropy(self._counts.values())

    @property
    def kind(self) -> ContentKind | None:
        """What it looks like; ``None`` where nothing was seen."""
        entropy = self.entropy
        if entropy is None or not self._constants:
            return None
        if self._constants == {0x00}:
            return ContentKind.ZERO
        if self._constants == {0xFF}:
            return ContentKind.ONE
        if None not in self._constants:
            return ContentKind.CONSTANT
        return ContentKind.NOISE if entropy >= _NOISE_BITS else ContentKind.MIXED


def constant_byte(block: memoryview) -> int | None:
    """The byte that a block, not an empty one, holds throughout, or ``None``."""
    data = bytes(block)
    return data[0] if data == data[:1] * len(data) else None


def _entropy(counts: Iterable[int]) -> float | None:
    found = [count for count in counts if count]
    total = sum(found)
    if not total:
        return None
    return max(0.0, -sum(count / total * math.log2(count / total) for count in found))
