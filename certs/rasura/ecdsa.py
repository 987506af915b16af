"""One signature, one text: ECDSA signatures with the smaller ``s`` only.

With (r, s) also (r, n - s) verifies, and anybody who holds the one can write the other. The log names a
certificate by its signature's hash, so the second would be another entry of the same certificate: refused
as a conflict, with an alert about a station that did nothing. So only ``s <= n/2`` is ours, in strict DER.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

__all__ = ["is_one_form", "one_form"]

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of P-256 (SP 800-186 clause 3.2.1.3)."""


def one_form(signature: bytes) -> bytes:
    """The same DER signature over P-256, with the smaller of the two values of ``s``."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _ORDER - s))


def is_one_form(signature: bytes) -> bool:
    """Whether these bytes are the one way to write this signature."""
    usual = _usual(signature)
    if usual is not None:
        return usual <= _ORDER // 2
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return False
    return s <= _ORDER // 2 and encode_dss_signature(r, s) == signature


def _usual(signature: bytes) -> int | None:
    """``s`` of a signature in strict DER whose lengths take one byte each; None: look closely.

    ITU-T X.690 clauses 8.1.3.4 and 8.3: lengths below 80h; integers in two's complement, no byte too many.
    """
    size = len(signature)
    if not 8 <= size <= 72 or signature[0] != 0x30 or signature[1] != size - 2:
        return None
    first = signature[3]
    if signature[2] != 2 or not 1 <= first <= 33 or 6 + first >= size:
        return None
    second = signature[5 + first]
    if signature[4 + first] != 2 or second != size - 6 - first:
        return None
    for start, length in ((4, first), (6 + first, second)):
        if signature[start] > 0x7F or (length > 1 and signature[start] == 0 and signature[start + 1] < 0x80):
            return None
    return int.from_bytes(signature[6 + first :], "big")
