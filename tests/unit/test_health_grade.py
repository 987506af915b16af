"""The grade table, limit by limit."""

from __future__ import annotations

from typing import Any

import pytest

from rasura_agent.health.grade import Figure, Grade, GradesError, GradeTable, grade, grade_table
from rasura_agent.health.model import (
    AtaAttribute,
    Failing,
    Health,
    HealthReading,
    NvmeHealth,
    Protocol,
    SasCounters,
    SelfTestEntry,
    TestResult,
)
from rasura_agent.health.words import reason_sentences

TABLE = grade_table()
NVME = NvmeHealth(0, 100, 10, 0, 0)
SAS = SasCounters(0, 0, 0, 0, 0)


def attribute(
    number: int, raw: str, failing: Failing = Failing.NEVER, prefailure: bool = True
) -> AtaAttribute:
    return AtaAttribute(number, f"A{number}", 100, 100, 10, raw, failing, prefailure)


def ata(*attributes: AtaAttribute, **more: Any) -> Health:
    return Health(**{"protocol": Protocol.ATA, "passed": True, "attributes": attributes, **more})


def graded(health: Health | None, erase_errors: int | None = None, unknown: str | None = None) -> Grade:
    return grade(HealthReading("/dev/sda", health, unknown), TABLE, erase_errors).grade


@pytest.mark.parametrize(
    ("number", "raw", "expected"),
    [
        (5, "0", Grade.GOOD),
        (5, "1", Grade.WATCH),
        (5, "16", Grade.WATCH),
        (5, "17", Grade.REJECT),
        (5, "8 (0 12)", Grade.WATCH),
        (5, "0x000000000020", Grade.REJECT),
        (187, "1", Grade.REJECT),
        (197, "1", Grade.WATCH),
        (197, "2", Grade.REJECT),
        (198, "0/5678", Grade.GOOD),
        (198, "1", Grade.REJECT),
        (10, "1", Grade.REJECT),
        (188, "0 0 0", Grade.GOOD),
        (188, "0 0 4", Grade.WATCH),
        (188, "4295032833", Grade.WATCH),
        (199, "500", Grade.GOOD),
    ],
)
def test_attributes(number: int, raw: str, expected: Grade) -> None:
    others = [attribute(one, "0") for one in (5, 197) if one != number]
    assert graded(ata(attribute(number, raw), *others)) is expected


@pytest.mark.parametrize(
    ("log", "wear", "expected"),
    [
        (NVME, 0, Grade.GOOD),
        (NVME, 79, Grade.GOOD),
        (NVME, 80, Grade.WATCH),
        (NVME, 100, Grade.WATCH),
        (NVME, 101, Grade.REJECT),
        (NVME, 255, Grade.REJECT),
        (NvmeHealth(1, 100, 10, 0, 0), 0, Grade.REJECT),
        (NvmeHealth(0, 10, 10, 0, 0), 0, Grade.GOOD),
        (NvmeHealth(0, 9, 10, 0, 0), 0, Grade.REJECT),
        (NvmeHealth(0, 100, 10, 0, 1), 0, Grade.REJECT),
    ],
)
def test_nvme(log: NvmeHealth, wear: int, expected: Grade) -> None:
    assert graded(Health(Protocol.NVME, passed=True, nvme=log, wear_percent=wear)) is expected


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        (SAS, Grade.GOOD),
        (SasCounters(1, 0, 0, 0, 0), Grade.WATCH),
        (SasCounters(17, 0, 0, 0, 0), Grade.REJECT),
        (SasCounters(0, 1, None, None, 0), Grade.WATCH),
        (SasCounters(0, 0, 0, 0, 9999), Grade.GOOD),
    ],
)
def test_scsi(counters: SasCounters, expected: Grade) -> None:
    assert graded(Health(Protocol.SCSI, passed=True, sas=counters)) is expected


def test_hours() -> None:
    assert graded(ata(attribute(5, "0"), power_on_hours=40_000)) is Grade.GOOD
    assert graded(ata(attribute(5, "0"), power_on_hours=40_001)) is Grade.WATCH


def test_the_drives_own_verdict() -> None:
    assert graded(ata(attribute(5, "0"), passed=False)) is Grade.REJECT
    assert graded(ata(attribute(1, "0", Failing.NOW))) is Grade.REJECT
    assert graded(ata(attribute(5, "0"), attribute(190, "70", Failing.NOW, prefailure=False))) is Grade.GOOD
    assert graded(ata(attribute(5, "0"), attribute(1, "0", Failing.PAST))) is Grade.GOOD


def entry(kind: str, result: TestResult) -> SelfTestEntry:
    return SelfTestEntry(kind, result, result.value, 1, None)


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ((), Grade.GOOD),
        ((entry("Short offline", TestResult.FAILED),), Grade.REJECT),
        (
            (entry("Short offline", TestResult.PASSED), entry("Short offline", TestResult.FAILED)),
            Grade.REJECT,
        ),
        (
            (entry("Extended offline", TestResult.PASSED), entry("Short offline", TestResult.FAILED)),
            Grade.GOOD,
        ),
        (
            (entry("Extended offline", TestResult.ABORTED), entry("Extended", TestResult.FAILED)),
            Grade.REJECT,
        ),
        ((entry("Extended offline", TestResult.FAILED), entry("Extended", TestResult.PASSED)), Grade.REJECT),
        ((entry("Background long", TestResult.PASSED), entry("Short", TestResult.FAILED)), Grade.GOOD),
        ((entry("Extended offline", TestResult.ABORTED),), Grade.GOOD),
    ],
)
def test_self_tests(tests: tuple[SelfTestEntry, ...], expected: Grade) -> None:
    assert graded(ata(attribute(5, "0"), self_tests=tests)) is expected


def test_errors_of_the_erasure_reject_whatever_the_drive_says() -> None:
    assert graded(ata(attribute(5, "0")), erase_errors=0) is Grade.GOOD
    assert graded(ata(attribute(5, "0")), erase_errors=1) is Grade.REJECT
    assert graded(None, erase_errors=3, unknown="no SMART") is Grade.REJECT


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (None, "the drive has no SMART"),
        (Health(Protocol.ATA, passed=True), "none of the figures"),
        (Health(Protocol.ATA, passed=None, attributes=(attribute(5, "0"),)), "no overall verdict"),
        (ata(attribute(194, "30")), "none of the figures"),
        (Health(Protocol.NVME, passed=True, nvme=NvmeHealth(None, 100, 10, None, None)), "none of the"),
    ],
)
def test_what_nobody_knows_is_not_good(health: Health | None, word: str) -> None:
    verdict = grade(HealthReading("/dev/sda", health, "the drive has no SMART"), TABLE)
    assert verdict.grade is Grade.UNKNOWN
    (sentence,) = reason_sentences(verdict)
    assert word in sentence


def test_a_bad_figure_counts_even_where_the_rest_is_unknown() -> None:
    assert graded(Health(Protocol.ATA, attributes=(attribute(198, "4"),))) is Grade.REJECT


def test_every_reason_is_said() -> None:
    verdict = grade(
        HealthReading("/dev/sda", ata(attribute(5, "20"), attribute(197, "1"), power_on_hours=50_000), None),
        TABLE,
    )
    assert verdict.grade is Grade.REJECT
    assert reason_sentences(verdict) == (
        "1 sectors wait to be replaced (attribute 197)",
        "20 sectors were replaced (attribute 5)",
        "it ran for 50000 hours",
    )
    assert dict(verdict.figures)[Figure.REALLOCATED_SECTORS] == 20
    assert verdict.table == TABLE.version


def test_every_figure_has_a_rule_and_words() -> None:
    assert {rule.figure for rule in TABLE.rules} == set(Figure)
    for rule in TABLE.rules:
        assert rule.at_most is None or rule.at_least <= rule.at_most


RULE = '[[rule]]\ngrade = "watch"\nfigure = "wear"\nat_least = 1\n'
GOOD = '[good]\nneeds_one_of = ["wear"]\n'
VERSION = 'version = "1"\n'


def test_a_table() -> None:
    assert len(GradeTable.parse(VERSION + RULE + GOOD).rules) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 1",
        "version = 1\n" + RULE + GOOD,
        RULE + GOOD,
        VERSION + RULE,
        VERSION + GOOD,
        VERSION + "rule = []\n" + GOOD,
        VERSION + "rule = 7\n" + GOOD,
        VERSION + "good = 7\n" + RULE,
        VERSION + "other = 1\n" + RULE + GOOD,
        VERSION + RULE + "other = 1\n" + GOOD,
        VERSION + RULE.replace("watch", "good") + GOOD,
        VERSION + RULE.replace("wear", "colour") + GOOD,
        VERSION + RULE.replace("1", '"1"') + GOOD,
        VERSION + RULE.replace("1", "true") + GOOD,
        VERSION + RULE + GOOD.replace("wear", "colour"),
        VERSION + RULE + "[good]\nneeds_one_of = []",
    ],
)
def test_a_table_that_is_none(text: str) -> None:
    with pytest.raises(GradesError):
        GradeTable.parse(text)
