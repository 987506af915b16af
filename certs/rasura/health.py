"""The claims about a drive's health: a grade, why, and the document it was read from, by its hash."""

# No annotations as text here: msgspec would have to compile each of them, at every start.
from enum import StrEnum

from rasura.claims import Claims, Figure

__all__ = ["FigureChange", "Grade", "HealthClaims", "HealthFigure", "HealthSource", "figure_changes"]


class Grade(StrEnum):
    """The health verdict. ``UNKNOWN`` is one of its own: nobody may read it as good."""

    GOOD = "good"
    WATCH = "watch"
    REJECT = "reject"
    UNKNOWN = "unknown"


class HealthSource(Claims, frozen=True):
    """The document the values were read from, kept beside the certificate under its hash."""

    tool: str
    command: str
    exit_status: Figure
    sha256: str


class HealthFigure(Claims, frozen=True):
    """A figure that was graded, by its name in the table of grades."""

    name: str
    value: Figure


class HealthClaims(Claims, frozen=True):
    """A drive's health at one moment. ``reasons`` are every reason for the grade, in words."""

    grade: Grade
    table: str
    """The version of the table of grades."""
    reasons: tuple[str, ...]
    figures: tuple[HealthFigure, ...]
    passed: bool | None
    """The drive's own overall verdict."""
    temperature_celsius: Figure | None
    power_on_hours: Figure | None
    bytes_written: Figure | None
    wear_percent: Figure | None
    self_tests_failed: Figure | None
    """Of those in the drive's log."""
    source: HealthSource | None
    notes: tuple[str, ...]


class FigureChange(Claims, frozen=True):
    """A figure that the erasure changed: pending sectors may clear, reallocated ones may rise."""

    name: str
    before: Figure
    after: Figure


def figure_changes(before: HealthClaims | None, after: HealthClaims | None) -> tuple[FigureChange, ...]:
    """The figures known before and after that differ, in the order of ``after``."""
    if before is None or after is None:
        return ()
    earlier = {one.name: one.value for one in before.figures}
    return tuple(
        FigureChange(name=one.name, before=earlier[one.name], after=one.value)
        for one in after.figures
        if one.name in earlier and earlier[one.name] != one.value
    )
