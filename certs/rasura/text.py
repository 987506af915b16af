"""Text from the world, made safe to print."""

from __future__ import annotations

__all__ = ["printable"]


_SPACES = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
"""French sets them; they look like what they are."""


def printable(text: str) -> str:
    """``text`` with everything that could move a cursor or hide other text written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or one in _SPACES
        else (f"\\x{ord(one):02x}" if ord(one) < 0x100 else f"\\u{ord(one):04x}")
        for one in text
    )
