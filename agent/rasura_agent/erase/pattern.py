"""What a pass writes: a stream of bytes that can be made again from its offset alone.

So verification needs no stored copy: it makes the same bytes afresh and compares.
"""

from __future__ import annotations

import math
import mmap
import threading
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from rasura_agent.erase.buffers import BLOCK_BYTES, repeated

__all__ = ["KEY_BYTES", "UNIT_BYTES_MAX", "Constant", "Pattern", "RandomStream"]

KEY_BYTES = 32
"""AES-256 (FIPS 197)."""

UNIT_BYTES_MAX = 16
"""The longest byte sequence that a constant pattern repeats."""

_AES_BLOCK_BYTES = 16


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
    """The AES-256-CTR keystream of one key (NIST SP 800-38A §6.5), counter 0 at offset 0.

    ``inverted`` gives its complement, for media that want a pattern and its complement. The key
    lives as long as this object and goes nowhere else.
    """

    cipher = "AES-256-CTR"
    tells_addresses_apart = True

    def __init__(self, key: bytes, *, inverted: bool = False) -> None:
        self.key, self.inverted = key, inverted
        self._plain = b"\xff" if inverted else b"\x00"
        self._contexts = threading.local()
        self.label = "random, inverted" if inverted else "random"

    def fill(self, offset: int, into: memoryview) -> None:
        """Fill the buffer with the keystream at ``offset``."""
        # CTR adds the keystream to its input: zeroes give the stream, ones its complement.
        self._at(offset).update_into(repeated(self._plain, max(len(into), BLOCK_BYTES))[: len(into)], into)

    def block(self, at_most: int) -> None:  # noqa: ARG002  as long as the drive
        """There is none."""
        return

    def reduce(self, offset: int, found: memoryview) -> bytes:
        """Take the keystream out of ``found``; what was written to make it is left."""
        # EVP_EncryptUpdate allows input and output to be one buffer.
        self._at(offset).update_into(found, found)
        return self._plain

    def _at(self, offset: int) -> CipherContext:
        """This thread's cipher, its counter at ``offset``; the key schedule is made once."""
        counter = (offset // _AES_BLOCK_BYTES).to_bytes(_AES_BLOCK_BYTES, "big")
        context: CipherContext | None = getattr(self._contexts, "cipher", None)
        if context is None:
            context = Cipher(algorithms.AES(self.key), modes.CTR(counter)).encryptor()
            self._contexts.cipher = context
        else:
            context.reset_nonce(counter)
        return context
