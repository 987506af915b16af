"""What a pass writes: a stream of bytes that can be made again from its offset alone.

So verification needs no stored copy: it makes the same bytes afresh and compares.
"""

from __future__ import annotations

import math
import mmap
from typing import Protocol

from rasura_agent.drive.keystream import Keystream
from rasura_agent.erase.buffers import BLOCK_BYTES, repeated

__all__ = ["UNIT_BYTES_MAX", "Constant", "Pattern", "RandomStream"]

UNIT_BYTES_MAX = 16
"""The longest byte sequence that a constant pattern repeats."""


class Pattern(Protocol):
    """A reproducible stream over the whole drive. Several threads may use one at once."""

    @property
    def label(self) -> str:
        """Its name on plan and certificate."""
        ...

    @property
    def cipher(self) -> str | None:
        """The generator of a random stream, ``None`` for a constant."""
        ...

    @property
    def tells_addresses_apart(self) -> bool:
        """Whether a drive that maps two addresses to one place would be caught by reading back."""
        ...

    def fill(self, offset: int, into: memoryview) -> None:
        """Write the stream's bytes from ``offset`` (a multiple of 16) into the buffer."""
        ...

    def block(self, at_most: int) -> memoryview | None:
        """A read-only block of at most about ``at_most`` bytes of which the whole stream is a repetition.

        ``None`` for a stream that never repeats. Whole pages.
        """
        ...

    def reduce(self, offset: int, found: memoryview) -> bytes:
        """What ``found``, read at ``offset``, now repeats from its first byte on if it is this stream.

        May change ``found``: a random stream is taken out of it in place, which leaves one byte
        everywhere. So the compare needs no buffer for what is expected.
        """
        ...


class Constant:
    """One byte everywhere, or a short sequence of bytes that keeps its phase over the whole drive."""

    cipher = None
    tells_addresses_apart = False

    def __init__(self, unit: bytes) -> None:
        self.unit = unit
        self.label = {b"\x00": "zero", b"\xff": "one"}.get(unit, f"0x{unit.hex()}")

    def fill(self, offset: int, into: memoryview) -> None:
        """Fill the buffer with the sequence, in the phase that it has at ``offset``."""
        unit = self._unit_at(offset)
        into[:] = (unit * (len(into) // len(unit) + 1))[: len(into)]

    def block(self, at_most: int) -> memoryview:
        """As many whole pages as hold the sequence a whole number of times."""
        step = math.lcm(len(self.unit), mmap.PAGESIZE)
        return repeated(self.unit, max(step, at_most // step * step))

    def reduce(self, offset: int, found: memoryview) -> bytes:  # noqa: ARG002  a constant needs no work
        """The sequence in its phase; nothing is changed."""
        return self._unit_at(offset)

    def _unit_at(self, offset: int) -> bytes:
        phase = offset % len(self.unit)
        return self.unit[phase:] + self.unit[:phase]


class RandomStream:
    """The AES-256 counter stream of one key (:mod:`rasura_agent.drive.keystream`).

    ``inverted`` gives its complement, for media that want a pattern and its complement. The key
    lives as long as this object and goes nowhere else.
    """

    cipher = "AES-256-CTR"
    tells_addresses_apart = True

    def __init__(self, key: bytes, *, inverted: bool = False) -> None:
        self.key, self.inverted = key, inverted
        self._plain = b"\xff" if inverted else b"\x00"
        self._stream = Keystream(key)
        self.label = "random, inverted" if inverted else "random"

    def fill(self, offset: int, into: memoryview) -> None:
        """Fill the buffer with the keystream at ``offset``."""
        # The keystream is added to what is sent in: zeroes give the stream, ones its complement.
        self._stream.add(offset, repeated(self._plain, max(len(into), BLOCK_BYTES))[: len(into)], into)

    def block(self, at_most: int) -> None:  # noqa: ARG002  as long as the drive
        """There is none."""
        return

    def reduce(self, offset: int, found: memoryview) -> bytes:
        """Take the keystream out of ``found``; what was written to make it is left."""
        self._stream.add(offset, found, found)
        return self._plain
