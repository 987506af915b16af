"""Numbers and facts as an operator reads them. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rasura.certificate import Outcome, Technique
from rasura.text import printable
from rasura_agent.console.language import _
from rasura_agent.erase.events import Phase
from rasura_agent.erase.plan import Way
from rasura_agent.erase.scheme import Pass
from rasura_agent.inventory.model import Drive
from rasura_agent.sentence import Sentence

_PASSES_SPELT_OUT = 7
"""A scheme of more passes is named instead."""

__all__ = [
    "aligned",
    "duration",
    "fact",
    "how",
    "kind",
    "outcome_word",
    "phase_word",
    "shortened",
    "size",
    "table",
    "title",
    "wrapped",
]


_NO_BREAK = "\N{NO-BREAK SPACE}"


def size(count: float) -> str:
    """Bytes in decimal units, as drives are sold: ``512 GB``."""
    units = (_("B"), _("kB"), _("MB"), _("GB"), _("TB"), _("PB"))
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    text = f"{value:.{digits}f}".removesuffix(".0")
    # Translators: the decimal separator.
    separator = _(".")
    return f"{text.replace('.', separator)} {units[unit]}"


def duration(seconds: float | None) -> str:
    """``45 s``, ``3 min``, ``2 h 05``; ``?`` when it is not known."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 1:
        return "< 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02}"


def fact(value: object) -> str:
    """A fact, or a dash where nobody told us; what could upset a terminal is shown escaped.

    A sentence of the core is said in the language of the screens.
    """
    if value is None:
        return "-"
    if isinstance(value, Sentence):
        value = value.said(_)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    # French puts no-break spaces before some signs; they move no cursor and hide nothing.
    return _NO_BREAK.join(printable(part) for part in str(value).split(_NO_BREAK))


def title(drive: Drive) -> str:
    """The drive in a few words: model, serial, size."""
    name = " ".join(part for part in (drive.manufacturer, drive.model) if part) or _("unnamed drive")
    words = _("{name}, serial {serial}, {size}")
    return words.format(name=fact(name), serial=fact(drive.serial), size=size(drive.capacity_bytes))


def kind(drive: Drive) -> str:
    """How it is attached and what it is made of, such as ``sata, solid state``."""
    words = [fact(drive.transport)]
    if drive.rotational is not None:
        words.append(_("rotating") if drive.rotational else _("solid state"))
    if drive.removable:
        words.append(_("removable"))
    return ", ".join(words)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Rows under a header."""
    return aligned([header, *rows])


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their widest cell; the last one runs free."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def how(way: Way) -> str:
    """A way in a few words, such as ``Clear by overwrite (one, then zero)``."""
    technique = _("overwrite") if way.technique is Technique.OVERWRITE else str(way.technique)
    words = _("{method} by {technique}").format(method=way.method, technique=technique)
    passes = _(", then ").join(_pass_word(one) for one in way.passes)
    if len(way.passes) > _PASSES_SPELT_OUT:
        passes = _("{scheme}, {number} passes").format(scheme=way.scheme, number=len(way.passes))
    return f"{words} ({passes})" if passes else words


def _pass_word(one: Pass) -> str:
    words = {
        "zero": _("zero"),
        "one": _("one"),
        "random": _("random"),
        "random, inverted": _("random, inverted"),
    }
    return words.get(one.label, one.label)


def phase_word(phase: Phase) -> str:
    """What is being done to a drive."""
    return {
        Phase.WRITE: _("write"),
        Phase.MARK: _("mark"),
        Phase.COMMAND: _("command"),
        Phase.VERIFY: _("verify"),
    }[phase]


def outcome_word(outcome: Outcome, *, bare: bool = False) -> str:
    """The outcome; in another language with the constant of the certificate beside it, unless ``bare``."""
    word = {
        Outcome.ERASED: _("ERASED"),
        Outcome.FAILED: _("FAILED"),
        Outcome.UNKNOWN: _("UNKNOWN"),
        Outcome.REFUSED: _("REFUSED"),
        Outcome.SKIPPED: _("SKIPPED"),
        Outcome.UNHANDLED: _("UNHANDLED"),
    }[outcome]
    return word if bare or word == outcome else f"{word} ({outcome})"


def shortened(text: str, width: int, *, keep_end: bool = False) -> str:
    """``text`` in at most ``width`` columns, with an ellipsis where something is left out."""
    if len(text) <= width:
        return text
    return f"…{text[1 - width :]}" if keep_end else f"{text[: width - 1]}…"


def wrapped(text: str, width: int, indent: str = "") -> str:
    """``text`` in lines of at most ``width`` columns; all but the first begin with ``indent``."""
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False)
        for line in text.splitlines()
    )
