"""A reading of a drive's health -> the claims about it. Pure."""

from __future__ import annotations

from rasura.health import HealthClaims, HealthFigure, HealthSource
from rasura_agent.health.grade import GradeTable, grade, grade_table
from rasura_agent.health.model import HealthReading, TestResult
from rasura_agent.health.words import reason_sentences

__all__ = ["health_claims"]

_NOTES_KEPT = 20


def health_claims(
    reading: HealthReading, erase_errors: int | None = None, table: GradeTable | None = None
) -> HealthClaims:
    """What is claimed of a drive's health, graded; in English, like all that is signed."""
    graded = grade(reading, table or grade_table(), erase_errors)
    health, evidence = reading.health, reading.evidence
    failed = None
    if health is not None and health.self_tests is not None:
        failed = sum(one.result is TestResult.FAILED for one in health.self_tests)
    return HealthClaims(
        grade=graded.grade,
        table=graded.table,
        reasons=reason_sentences(graded),
        figures=tuple(HealthFigure(name=figure.value, value=value) for figure, value in graded.figures),
        passed=health.passed if health is not None else None,
        temperature_celsius=health.temperature_c if health is not None else None,
        power_on_hours=health.power_on_hours if health is not None else None,
        bytes_written=health.bytes_written if health is not None else None,
        wear_percent=health.wear_percent if health is not None else None,
        self_tests_failed=failed,
        source=HealthSource(
            tool=evidence.tool,
            command=" ".join(evidence.command),
            exit_status=evidence.exit_status,
            sha256=evidence.sha256,
        )
        if evidence is not None
        else None,
        notes=reading.notes[:_NOTES_KEPT],
    )
