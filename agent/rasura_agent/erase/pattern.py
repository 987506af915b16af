"""What a pass writes: a stream of bytes that can be made again from its offset alone.

So verification needs no stored copy: it makes the same bytes afresh and compares.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["KEY_BYTES", "Constant", "Pattern", "RandomStream"]

KEY_BYTES = 32
"""AES-256 (FIPS 197)."""

_AES_BLOCK_BYTES = 16


class Pattern(Protocol):
    """A reproducible stream over the whole drive."""

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


class Constant:
    """One byte, everywhere."""

    cipher = None
    tells_addresses_apart = False

    def __init__(self, byte: int) -> None:
        self._byte = byte
        self.label = {0x00: "zero", 0xFF: "one"}.get(byte, f"0x{byte:02x}")

    def fill(self, offset: int, into: memoryview) -> None:  # noqa: ARG002  the same at every offset
        """Fill the buffer with the byte."""
        into[:] = bytes([self._byte]) * len(into)


class RandomStream:
    """The AES-256-CTR keystream of one key (NIST SP 800-38A §6.5), counter 0 at offset 0.

    ``inverted`` gives its complement, for media that want a pattern and its complement. The key
    lives as long as this object and goes nowhere else.
    """

    cipher = "AES-256-CTR"
    tells_addresses_apart = True

    def __init__(self, key: bytes, *, inverted: bool = False) -> None:
        self._key = algorithms.AES(key)
        self._source_byte = b"\xff" if inverted else b"\x00"
        self._source = b""
        self.label = "random, inverted" if inverted else "random"

    def fill(self, offset: int, into: memoryview) -> None:
        """Fill the buffer with the keystream at ``offset``."""
        counter = offset // _AES_BLOCK_BYTES
        # CTR adds the keystream to its input: zeroes give the stream, ones its complement.
        if len(self._source) != len(into):
            self._source = self._source_byte * len(into)
        encryptor = Cipher(self._key, modes.CTR(counter.to_bytes(_AES_BLOCK_BYTES, "big"))).encryptor()
        encryptor.update_into(self._source, into)
