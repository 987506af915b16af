"""The random passes' stream: one stream, two ciphers that make it."""

from __future__ import annotations

import os
import threading

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.drive.keystream import CHUNK_BYTES, KEY_BYTES, Keystream

KEY = bytes(range(KEY_BYTES))
BOTH = pytest.mark.parametrize("by_gcm", [False, True], ids=["ctr", "gcm"])


def stream(key: bytes, offset: int, length: int, *, by_gcm: bool | None = None) -> bytes:
    into = memoryview(bytearray(length))
    Keystream(key, by_gcm=by_gcm).add(offset, memoryview(bytes(length)), into)
    return bytes(into)


def as_specified(key: bytes, offset: int, length: int) -> bytes:
    """The counter blocks one by one, encrypted as they are (SP 800-38A §6.5)."""
    blocks = bytearray()
    for at in range(offset, offset + length + 16, 16):
        chunk, inside = divmod(at, CHUNK_BYTES)
        blocks += chunk.to_bytes(12, "big") + (2 + inside // 16).to_bytes(4, "big")
    encrypted = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(blocks))
    return encrypted[:length]


@BOTH
def test_the_known_answer_of_gcm(by_gcm: bool) -> None:
    """The GCM specification's test case 14: a key, nonce and block of zeros."""
    found = stream(bytes(KEY_BYTES), 0, CHUNK_BYTES, by_gcm=by_gcm)
    assert found[:16].hex() == "cea7403d4d606b6e074ec5d3baf39d18"


@settings(deadline=None, max_examples=60)
@given(
    chunk=st.one_of(st.integers(0, 3), st.integers(0, (1 << 63) // CHUNK_BYTES)),
    inside=st.one_of(st.just(0), st.integers(0, CHUNK_BYTES // 16 - 1).map(lambda block: block * 16)),
    length=st.one_of(st.integers(1, 4096), st.integers(CHUNK_BYTES - 32, 2 * CHUNK_BYTES + 512)),
    by_gcm=st.sampled_from([False, True, None]),
)
def test_every_part_of_it_is_the_same_by_either_cipher(
    chunk: int, inside: int, length: int, by_gcm: bool | None
) -> None:
    offset = chunk * CHUNK_BYTES + inside
    assert stream(KEY, offset, length, by_gcm=by_gcm) == as_specified(KEY, offset, length)


@BOTH
def test_added_in_place_twice_it_is_gone(by_gcm: bool) -> None:
    room = bytearray(before := os.urandom(CHUNK_BYTES + 48))
    one = Keystream(KEY, by_gcm=by_gcm)
    one.add(7 * CHUNK_BYTES, memoryview(room), memoryview(room))
    assert bytes(room) != before
    one.add(7 * CHUNK_BYTES, memoryview(room), memoryview(room))
    assert bytes(room) == before


@BOTH
def test_threads_share_one(by_gcm: bool) -> None:
    one, wrong = Keystream(KEY, by_gcm=by_gcm), []

    def use(number: int) -> None:
        into = memoryview(bytearray(CHUNK_BYTES))
        for chunk in range(number, 40, 4):
            one.add(chunk * CHUNK_BYTES, memoryview(bytes(CHUNK_BYTES)), into)
            if bytes(into[-4096:]) != as_specified(KEY, (chunk + 1) * CHUNK_BYTES - 4096, 4096):
                wrong.append(chunk)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
