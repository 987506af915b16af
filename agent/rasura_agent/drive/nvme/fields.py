"""How NVMe lays out numbers and text in its data structures: little-endian, space-padded ASCII."""

from __future__ import annotations

from rasura_agent.drive.nvme.errors import NvmeDecodeError

__all__ = ["BROADCAST_NSID", "ascii_text", "field", "require_length"]

BROADCAST_NSID = 0xFFFF_FFFF
"""All namespaces, or the controller as such (NVMe Base 2.1 clause 3.2.1.1)."""


def require_length(what: str, data: bytes, length: int) -> None:
    """Raise unless ``data`` has exactly ``length`` bytes: a short page is a page nobody sent.

    Raises:
        NvmeDecodeError: the length differs.
    """
    if len(data) != length:
        raise NvmeDecodeError(f"{what} has {len(data)} bytes instead of {length}")


def field(data: bytes, high: int, low: int) -> int:
    """The number in bytes ``high:low`` of ``data``, numbered as the specification's figures number them."""
    return int.from_bytes(data[low : high + 1], "little")


def ascii_text(raw: bytes) -> str | None:
    r"""Padded ASCII (clause 1.4.2): what is printable without its padding, ``None`` if nothing remains.

    Bytes that are not printable ASCII appear as ``\xNN``, so that two odd serial numbers stay different.
    """
    text = raw.rstrip(b"\0").decode("latin-1").strip(" ")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in text) or None
