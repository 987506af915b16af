"""Text as a page takes it: only characters that its fonts have, and no more of it than fits. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from rasura.language import Tongue
from rasura.text import printable

__all__ = ["RANGES", "cut", "few", "legible"]

RANGES = (
    (0x20, 0x7E),
    (0xA0, 0xAC),
    (0xAE, 0x17F),  # Latin; U+00AD is invisible
    (0x218, 0x21B),
    (0x391, 0x3A1),  # Greek
    (0x3A3, 0x3CE),
    (0x400, 0x45F),  # Cyrillic
    (0x2013, 0x2014),
    (0x2018, 0x201A),
    (0x201C, 0x201E),
    (0x2022, 0x2022),
    (0x2026, 0x2026),
    (0x202F, 0x202F),
    (0x2030, 0x2030),
    (0x20AC, 0x20AC),
    (0x2116, 0x2116),
    (0x2122, 0x2122),
)
"""What the fonts built into typst can show, alone and beside each other. PDF/A forbids missing glyphs, and
scripts that need shaping have made typst 0.15 panic: what is not here is written as an escape."""


def legible(text: str) -> str:
    """``text`` with what no font of the page shows written as escapes, like ``\\u4e2d``."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(one if _shown(one) else _escape(one) for one in printable(composed))


def _shown(one: str) -> bool:
    return any(first <= ord(one) <= last for first, last in RANGES)


def _escape(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}"


def cut(text: str, length: int) -> str:
    """At most ``length`` characters; what is cut off ends in an ellipsis."""
    text = legible(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def few(sentences: Iterable[str], most: int, length: int, tongue: Tongue) -> list[str]:
    """At most ``most`` sentences of ``length`` characters; the rest is counted."""
    found = list(sentences)
    shown = [cut(one, length) for one in found[:most]]
    if len(found) > most:
        shown.append(
            tongue.count(
                "{number} more sentence: rasura show prints everything.",
                "{number} more sentences: rasura show prints everything.",
                len(found) - most,
            )
        )
    return shown
