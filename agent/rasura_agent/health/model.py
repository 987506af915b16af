"""What is known of a drive's health; pure, no I/O. What nobody told us is ``None``, never a guess."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

__all__ = [
    "AtaAttribute",
    "EmmcHealth",
    "Failing",
    "Health",
    "HealthEvidence",
    "HealthReading",
    "NvmeHealth",
    "Protocol",
    "RunningTest",
    "SasCounters",
    "SelfTestEntry",
    "TestResult",
    "result_of",
]

_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")
"""Makers whose counters smartctl prints in hexadecimal exist (``-v ID,hex48``)."""
_ID_COMMAND_TIMEOUT = 188


class Protocol(StrEnum):
    """What the drive speaks, whatever stands before it (a USB bridge, a SAS controller)."""

    ATA = "ata"
    NVME = "nvme"
    SCSI = "scsi"
    MMC = "mmc"


class Failing(StrEnum):
    """Whether an attribute is at or below its maker's threshold (smartctl(8), WHEN_FAILED)."""

    NEVER = "never"
    PAST = "past"
    NOW = "now"


class TestResult(StrEnum):
    """How a self-test ended."""

    __test__ = False  # pytest looks for classes that begin with Test

    PASSED = "passed"
    FAILED = "failed"
    ABORTED = "aborted"
    RUNNING = "running"
    UNKNOWN = "unknown"


class AtaAttribute(msgspec.Struct, frozen=True):
    """One vendor attribute; ``value``, ``worst``, ``threshold`` are normalized, ``raw`` is smartctl's text.

    smartctl knows how a maker packs the 48 bits of ``raw``; the number alone would mislead.
    """

    id: int
    name: str
    value: int | None
    worst: int | None
    threshold: int | None
    raw: str
    failing: Failing | None
    prefailure: bool | None

    @property
    def count(self) -> int | None:
        """The number that ``raw`` begins with: a count, for the attributes that count."""
        numbers = _numbers(self.raw)
        return numbers[0] if numbers else None

    @property
    def largest(self) -> int | None:
        """The largest number of ``raw``, for counters that a maker packs several of into one attribute."""
        return max(_numbers(self.raw), default=None)


class NvmeHealth(msgspec.Struct, frozen=True):
    """The SMART / Health Information log (NVM Express Base 2.0, 5.16.1.3).

    The number of error log entries is not here on purpose: a query that a drive does not know is
    logged as an error, so reading a drive's health can raise it.
    """

    critical_warning: int | None
    available_spare_percent: int | None
    spare_threshold_percent: int | None
    percentage_used: int | None
    """May exceed 100."""
    media_errors: int | None


class SasCounters(msgspec.Struct, frozen=True):
    """What SCSI drives count (SPC-5 log pages 02h, 03h, 05h, 06h; the grown defect list of SBC-4)."""

    grown_defects: int | None
    uncorrected_read: int | None
    uncorrected_write: int | None
    uncorrected_verify: int | None
    non_medium_errors: int | None


class EmmcHealth(msgspec.Struct, frozen=True):
    """What an eMMC drive says beside its wear (JESD84-B51 clause 7.4)."""

    pre_eol: int | None
    """PRE_EOL_INFO [267]: 1 normal, 2 and 3 when 80 and 90 percent of the reserved blocks are used up."""


class SelfTestEntry(msgspec.Struct, frozen=True):
    """A row of the self-test log; ``hours`` is the power-on time it ran at."""

    kind: str
    result: TestResult
    status: str
    hours: int | None
    lba: int | None

    @property
    def is_extended(self) -> bool:
        """Whether it read the whole medium: "Extended offline", "Extended", "Background long"."""
        return any(word in self.kind.lower() for word in ("extended", "long"))


class RunningTest(msgspec.Struct, frozen=True):
    """A self-test that runs now, and how far it is."""

    kind: str | None
    done_percent: int | None


class Health(msgspec.Struct, frozen=True):
    """What one drive said of its health at one moment. ``self_tests`` is newest first."""

    protocol: Protocol
    model: str | None = None
    serial: str | None = None
    passed: bool | None = None
    """The drive's own overall verdict."""
    attributes: tuple[AtaAttribute, ...] = ()
    nvme: NvmeHealth | None = None
    sas: SasCounters | None = None
    emmc: EmmcHealth | None = None
    errors_logged: int | None = None
    """Errors counted by an ATA drive's error log; there is no such count for others."""
    self_tests: tuple[SelfTestEntry, ...] | None = None
    running: RunningTest | None = None
    last_self_test: TestResult | None = None
    """How the last self-test ended, where the drive says so beside its log (ATA)."""
    temperature_c: int | None = None
    power_on_hours: int | None = None
    bytes_written: int | None = None
    wear_percent: int | None = None
    """Of a solid-state drive: 0 new, 100 used up, more is possible."""
    test_minutes: tuple[tuple[str, int], ...] = ()
    """How long the drive says that each self-test takes."""

    def attribute(self, number: int) -> AtaAttribute | None:
        """The attribute with that id."""
        return next((one for one in self.attributes if one.id == number), None)

    def attribute_count(self, number: int) -> int | None:
        """What an attribute that counts has counted; of packed counters the largest."""
        one = self.attribute(number)
        if one is None:
            return None
        return one.largest if number == _ID_COMMAND_TIMEOUT else one.count

    @property
    def failed_self_test(self) -> SelfTestEntry | None:
        """The newest failed self-test, unless a newer extended one passed (smartctl(8), exit bit 7)."""
        for entry in self.self_tests or ():
            if entry.result is TestResult.FAILED:
                return entry
            if entry.result is TestResult.PASSED and entry.is_extended:
                return None
        return None


class HealthEvidence(msgspec.Struct, frozen=True):
    """The raw document that the values were read from, kept byte by byte."""

    command: tuple[str, ...]
    exit_status: int
    document: bytes
    sha256: str
    tool: str
    """What read it, with its version."""


class HealthReading(msgspec.Struct, frozen=True):
    """The result of asking one drive, always one of the two: ``health``, or ``unknown`` says why not."""

    path: str
    health: Health | None
    unknown: str | None
    notes: tuple[str, ...] = ()
    """Sentences: what failed on the way, and where two sources disagree."""
    evidence: HealthEvidence | None = None
    kind: str | None = None
    """smartctl's device type of the drive, which it found out."""


def _numbers(raw: str) -> list[int]:
    return [int(text, 16 if text.startswith("0x") else 10) for text in _NUMBER.findall(raw.lower()[:80])]


def result_of(status: str) -> TestResult:
    """How a self-test ended, from smartctl's words for it (ataprint, nvmeprint, scsiprint)."""
    words = status.strip().lower()
    if "in progress" in words or words == "running":
        return TestResult.RUNNING
    if words.startswith(("aborted", "interrupted")):
        return TestResult.ABORTED
    if "fail" in words or "fatal" in words or "damage" in words:
        return TestResult.FAILED
    if words.startswith("completed"):
        return TestResult.PASSED
    return TestResult.UNKNOWN
