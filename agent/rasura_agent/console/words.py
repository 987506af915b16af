"""Numbers and facts as an operator reads them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rasura.text import printable
from rasura_agent.erase.plan import Way
from rasura_agent.inventory.model import Drive

__all__ = ["aligned", "duration", "fact", "how", "size", "table", "title"]

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Bytes in decimal units, as drives are sold: ``512 GB``."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    text = f"{value:.{digits}f}"
    return f"{text.removesuffix('.0')} {_UNITS[unit]}"


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
    """A fact, or a dash where nobody told us; what could upset a terminal is shown escaped."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def title(drive: Drive) -> str:
    """The drive in a few words: model, serial, size."""
    name = " ".join(part for part in (drive.manufacturer, drive.model) if part) or "unnamed drive"
    return f"{fact(name)}, serial {fact(drive.serial)}, {size(drive.capacity_bytes)}"


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
    passes = f" ({', then '.join(way.passes)})" if way.passes else ""
    return f"{way.method} by {way.technique}{passes}"
