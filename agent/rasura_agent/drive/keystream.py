"""The AES-256 counter stream that random passes are made of, by whichever of two ciphers is quicker here.

Every mebibyte of the stream has a nonce of its own, its number, and counts its blocks from 2 on: what GCM
encrypts with (NIST SP 800-38D §7.1 step 3, GCTR). Where the processor has vector instructions for AES, GCM
makes it two to three times as fast as CTR does, its tag included; without them CTR is quicker. Both make the
same bytes.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

__all__ = ["CHUNK_BYTES", "KEY_BYTES", "Keystream"]

KEY_BYTES = 32
"""AES-256 (FIPS 197)."""

CHUNK_BYTES = 1024 * 1024
"""What shares a nonce. Far from where the counter of 32 bits would begin again."""

_BLOCK_BYTES = 16
_NONCE_BYTES = 12
_COUNTER_BYTES = 4
_FIRST_COUNTER = 2
"""A nonce of 96 bits with 1 makes the tag (SP 800-38D §7.1 step 2)."""

_WORTH_BYTES = 256 * 1024
"""For less, making a cipher for its nonce costs as much as GCM saves."""
_TRIES = 5


class Keystream:
    """The stream of one key. Several threads may use it at once; the key goes nowhere else."""

    def __init__(self, key: bytes, *, by_gcm: bool | None = None) -> None:
        """``by_gcm`` says which cipher makes whole chunks; by default the quicker one on this machine."""
        self._aes = algorithms.AES(key)
        self._by_gcm = by_gcm
        self._kept = threading.local()

    def add(self, offset: int, source: memoryview, into: memoryview) -> None:
        """``source`` exclusive-or the stream at ``offset`` (a multiple of 16), written to ``into``.

        Both are of one length, and may be the same memory.
        """
        at, end = 0, len(into)
        while at < end:
            chunk, inside = divmod(offset + at, CHUNK_BYTES)
            upto = min(end, at + CHUNK_BYTES - inside)
            by_gcm = not inside and upto - at >= _WORTH_BYTES and self._gcm_is_quicker()
            cipher = self._gcm(chunk) if by_gcm else self._ctr(chunk, inside // _BLOCK_BYTES)
            cipher.update_into(source[at:upto], into[at:upto])
            at = upto

    def _gcm_is_quicker(self) -> bool:
        return _gcm_is_quicker() if self._by_gcm is None else self._by_gcm

    def _gcm(self, chunk: int) -> CipherContext:
        return Cipher(self._aes, modes.GCM(chunk.to_bytes(_NONCE_BYTES, "big"))).encryptor()

    def _ctr(self, chunk: int, block: int) -> CipherContext:
        """This thread's cipher, its counter at ``block`` of ``chunk``; the key schedule is made once."""
        count = (_FIRST_COUNTER + block).to_bytes(_COUNTER_BYTES, "big")
        counter = chunk.to_bytes(_NONCE_BYTES, "big") + count
        context: CipherContext | None = getattr(self._kept, "cipher", None)
        if context is None:
            self._kept.cipher = context = Cipher(self._aes, modes.CTR(counter)).encryptor()
        else:
            context.reset_nonce(counter)
        return context


@lru_cache(maxsize=1)
def _gcm_is_quicker() -> bool:
    """Measured by turns, a few milliseconds; a wrong answer costs speed and nothing else."""
    room = memoryview(bytearray(_WORTH_BYTES))

    def seconds(stream: Keystream) -> float:
        began = time.perf_counter()
        stream.add(0, room, room)
        return time.perf_counter() - began

    ctr, gcm = (Keystream(bytes(KEY_BYTES), by_gcm=by_gcm) for by_gcm in (False, True))
    turns = [(seconds(ctr), seconds(gcm)) for _ in range(_TRIES)]
    return min(by_gcm for _, by_gcm in turns) < min(by_ctr for by_ctr, _ in turns)
