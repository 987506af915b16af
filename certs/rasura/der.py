"""The one way to write a value in DER (X.690 clause 8.1, 10.1)."""

from __future__ import annotations

__all__ = ["der_value"]


def der_value(tag: int, body: bytes) -> bytes:
    """Tag (one octet), definite length in the shortest form, contents."""
    length = len(body)
    if length < 0x80:
        return bytes([tag, length]) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body
