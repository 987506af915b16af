"""The grade of a drive: good, watch or reject by a versioned table, or unknown. Pure.

The grade is about reuse and never stops an erasure by itself: a failing drive above all is to be
erased, or known not to be.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from rasura.errors import RasuraError
from rasura.health import Grade
from rasura.strict_json import MAX_SAFE_INTEGER
from rasura_agent.health.model import AtaAttribute, Failing, Health, HealthReading

__all__ = ["Figure", "Grade", "GradeTable", "Graded", "GradesError", "Reason", "grade", "grade_table"]


class Figure(StrEnum):
    """What a rule looks at; each is a whole number, or not known."""

    OVERALL_FAILED = "overall-failed"
    PREFAIL_ATTRIBUTES = "prefail-attributes"
    SELF_TEST_FAILED = "self-test-failed"
    ERASE_ERRORS = "erase-errors"
    UNCORRECTABLE_SECTORS = "uncorrectable-sectors"
    PENDING_SECTORS = "pending-sectors"
    REPORTED_UNCORRECTABLE = "reported-uncorrectable"
    REALLOCATED_SECTORS = "reallocated-sectors"
    SPIN_RETRIES = "spin-retries"
    COMMAND_TIMEOUTS = "command-timeouts"
    NVME_CRITICAL_WARNING = "nvme-critical-warning"
    NVME_SPARE_MISSING = "nvme-spare-missing"
    NVME_MEDIA_ERRORS = "nvme-media-errors"
    WEAR = "wear"
    GROWN_DEFECTS = "grown-defects"
    UNCORRECTED_ERRORS = "uncorrected-errors"
    EMMC_RESERVE = "emmc-reserve"
    POWER_ON_HOURS = "power-on-hours"


class GradesError(RasuraError):
    """The table of grades is not what it must be."""


class Reason(msgspec.Struct, frozen=True):
    """A rule that holds, or (``figure`` is ``None``) the sentence why nothing can be said."""

    grade: Grade
    figure: Figure | None
    value: int | None = None
    sentence: str | None = None


class Graded(msgspec.Struct, frozen=True):
    """The verdict on one drive, with every reason for it and the figures that were known."""

    grade: Grade
    table: str
    """The version of the table."""
    reasons: tuple[Reason, ...]
    figures: tuple[tuple[Figure, int], ...]


class Rule(msgspec.Struct, frozen=True):
    """``grade`` if ``figure`` is at least and at most so much."""

    grade: Grade
    figure: Figure
    at_least: int
    at_most: int | None


class GradeTable(msgspec.Struct, frozen=True):
    """The rules, and which figures a good drive must have told at least one of."""

    version: str
    rules: tuple[Rule, ...]
    needs_one_of: frozenset[Figure]

    @classmethod
    def parse(cls, text: str) -> GradeTable:
        """Read a table in TOML.

        Raises:
            GradesError: not TOML, a member is missing, unknown or of another type, or a rule for no one.
        """
        try:
            root = tomllib.loads(text)
            table = cls(
                version=_text(root.pop("version")),
                rules=tuple(_rule(one) for one in root.pop("rule")),
                needs_one_of=frozenset(Figure(one) for one in root.pop("good")["needs_one_of"]),
            )
        except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise GradesError(f"the table of grades cannot be read: {error}") from None
        if root or not table.rules or not table.needs_one_of:
            raise GradesError("the table of grades has no rule, or members that this version does not know")
        return table


@cache
def grade_table() -> GradeTable:
    """The table of this version of the agent."""
    return GradeTable.parse((resources.files("rasura_agent.health") / "grades.toml").read_text("utf-8"))


def grade(reading: HealthReading, table: GradeTable, erase_errors: int | None = None) -> Graded:
    """The grade of a drive from what it told, and from the errors that erasing it met, if it was erased."""
    figures = _figures(reading.health, erase_errors)
    reasons = tuple(
        Reason(rule.grade, rule.figure, value)
        for rule in table.rules
        if (value := figures.get(rule.figure)) is not None
        and rule.at_least <= value
        and (rule.at_most is None or value <= rule.at_most)
    )
    found = {reason.grade for reason in reasons}
    verdict = next((one for one in (Grade.REJECT, Grade.WATCH) if one in found), Grade.GOOD)
    missing = _missing(reading, figures, table)
    if verdict is Grade.GOOD and missing is not None:
        verdict, reasons = Grade.UNKNOWN, (Reason(Grade.UNKNOWN, None, None, missing),)
    return Graded(verdict, table.version, reasons, tuple(figures.items()))


def _missing(reading: HealthReading, figures: dict[Figure, int], table: GradeTable) -> str | None:
    """Why a drive without a bad figure is not good, or ``None``."""
    if reading.health is None:
        return reading.unknown or "the drive was not asked"
    if reading.health.passed is None:
        return "the drive gives no overall verdict"
    if not table.needs_one_of & figures.keys():
        return "the drive passes by its own verdict, and tells none of the figures that are graded"
    return None


def _figures(health: Health | None, erase_errors: int | None) -> dict[Figure, int]:
    found = {Figure.ERASE_ERRORS: erase_errors}
    if health is not None:
        found |= {figure: read(health) for figure, read in _READ.items()}
    # A certificate carries no larger number, and none of these means anything near it.
    return {figure: min(value, MAX_SAFE_INTEGER) for figure, value in found.items() if value is not None}


def _attribute(number: int) -> Callable[[Health], int | None]:
    return lambda health: health.attribute_count(number)


def _overall_failed(health: Health) -> int | None:
    return None if health.passed is None else int(not health.passed)


def _prefail(health: Health) -> int | None:
    def fails(one: AtaAttribute) -> bool:
        return one.prefailure is True and one.failing is Failing.NOW

    return sum(map(fails, health.attributes)) if health.attributes else None


def _self_test_failed(health: Health) -> int | None:
    return None if health.self_tests is None else int(health.failed_self_test is not None)


def _spare_missing(health: Health) -> int | None:
    log = health.nvme
    if log is None or log.available_spare_percent is None or log.spare_threshold_percent is None:
        return None
    return max(0, log.spare_threshold_percent - log.available_spare_percent)


def _uncorrected(health: Health) -> int | None:
    counters = health.sas
    if counters is None:
        return None
    known = [
        one
        for one in (counters.uncorrected_read, counters.uncorrected_write, counters.uncorrected_verify)
        if one is not None
    ]
    return sum(known) if known else None


_READ: dict[Figure, Callable[[Health], int | None]] = {
    Figure.OVERALL_FAILED: _overall_failed,
    Figure.PREFAIL_ATTRIBUTES: _prefail,
    Figure.SELF_TEST_FAILED: _self_test_failed,
    Figure.UNCORRECTABLE_SECTORS: _attribute(198),
    Figure.PENDING_SECTORS: _attribute(197),
    Figure.REPORTED_UNCORRECTABLE: _attribute(187),
    Figure.REALLOCATED_SECTORS: _attribute(5),
    Figure.SPIN_RETRIES: _attribute(10),
    Figure.COMMAND_TIMEOUTS: _attribute(188),
    Figure.NVME_CRITICAL_WARNING: lambda health: health.nvme.critical_warning if health.nvme else None,
    Figure.NVME_SPARE_MISSING: _spare_missing,
    Figure.NVME_MEDIA_ERRORS: lambda health: health.nvme.media_errors if health.nvme else None,
    Figure.WEAR: lambda health: health.wear_percent,
    Figure.GROWN_DEFECTS: lambda health: health.sas.grown_defects if health.sas else None,
    Figure.UNCORRECTED_ERRORS: _uncorrected,
    Figure.EMMC_RESERVE: lambda health: health.emmc.pre_eol if health.emmc else None,
    Figure.POWER_ON_HOURS: lambda health: health.power_on_hours,
}


def _rule(value: dict[str, Any]) -> Rule:
    rest = dict(value)
    rule = Rule(
        Grade(rest.pop("grade")),
        Figure(rest.pop("figure")),
        _whole(rest.pop("at_least")),
        _whole(rest.pop("at_most")) if "at_most" in rest else None,
    )
    if rest or rule.grade not in {Grade.WATCH, Grade.REJECT}:
        raise ValueError(f"a rule says {value}")
    return rule


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is no text")
    return value
