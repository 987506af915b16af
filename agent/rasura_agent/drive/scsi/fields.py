"""Field checks and byte access; SCSI is big-endian throughout."""

from __future__ import annotations

from rasura_agent.drive.scsi.errors import ScsiDecodeError, ScsiEncodeError

__all__ = ["be", "bounded", "field", "require", "text"]


def require(raw: bytes, length: int, what: str) -> None:
    """Raise ``ScsiDecodeError`` unless ``raw`` has at least ``length`` bytes."""
    if len(raw) < length:
        raise ScsiDecodeError(f"{what} has {len(raw)} bytes, at least {length} are needed")


def be(raw: bytes, offset: int, width: int) -> int:
    """The unsigned big-endian integer of ``width`` bytes at ``offset``, which the caller has checked."""
    return int.from_bytes(raw[offset : offset + width], "big")


def bounded(value: int, lowest: int, highest: int, name: str) -> int:
    """``value`` itself, or ``ScsiEncodeError`` when it lies outside ``lowest`` to ``highest``."""
    if not lowest <= value <= highest:
        raise ScsiEncodeError(f"{name} is {value}, it must lie between {lowest} and {highest}")
    return value


def field(value: int, bits: int, name: str) -> int:
    """``value`` itself, or ``ScsiEncodeError`` when it does not fit ``bits`` bits."""
    return bounded(value, 0, (1 << bits) - 1, name)


def text(raw: bytes) -> str | None:
    r"""An ASCII field (SPC-5, ASCII data field requirements) without its padding, ``None`` when blank.

    Bytes that are no printable ASCII appear as ``\xNN``: two odd serial numbers stay different.
    """
    unpadded = raw.strip(b" \0").decode("latin-1")
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in unpadded) or None
