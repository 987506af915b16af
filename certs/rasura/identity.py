"""The subject digest of a certificate: which drive it speaks of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["identity_digest"]


def identity_digest(pages: Iterable[tuple[str, bytes]]) -> str:
    """Hex SHA-256 over raw identity pages in order, each as name, NUL, length (8 bytes, big-endian), data.

    The pages are what the drive said of itself (IDENTIFY, INQUIRY, VPD, Identify Controller…).
    """
    digest = hashlib.sha256()
    for name, data in pages:
        digest.update(name.encode() + b"\0" + len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
