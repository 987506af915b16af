"""Does a certificate's verdict follow from its own evidence? Pure.

A signature proves who said it; this refuses what no honest agent could say. Above all: ERASED
needs every byte written, none in error, and a check that covered what it says it covered.
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from functools import lru_cache

from rasura.certificate import (
    ErasureCertificate,
    Interruption,
    Method,
    Outcome,
    ReadBackExtent,
    Result,
    Resumption,
    Technique,
    Verification,
    VerificationMethod,
    VerificationStatus,
)
from rasura.health import figure_changes
from rasura.machine_report import MachineReport, ReportedDrive
from rasura.own_command import disposition_problems, own_command_problems
from rasura.reach import reach_problems

__all__ = ["TIME_PATTERN", "UUID_PATTERN", "contradictions", "parse_time"]

TIME_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z"
"""RFC 3339, in UTC and written with ``Z``; ISO 8601 has many more forms, and readers of it differ."""

UUID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_VALIDATION_PENDING = "awaiting decision"
_SECTIONS = 1000
"""NIST SP 800-88 Rev. 1 §4.7, and of each section a tenth."""
_WHOLE = 10
_MOST_ENTROPY = 8000
_TIME = re.compile(TIME_PATTERN)
_UUID = re.compile(UUID_PATTERN)


@lru_cache(maxsize=256)
def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time in UTC written with ``Z``, or ``None``."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def contradictions(claims: ErasureCertificate | MachineReport) -> tuple[str, ...]:
    """Sentences, one for each way in which the claims contradict themselves; empty when they don't."""
    if isinstance(claims, MachineReport):
        return tuple(_report(claims))
    return (
        *_form(claims),
        *_times(claims.result),
        *_resumed(claims),
        *_erased(claims),
        *_health(claims),
    )


def _identified(name: str) -> list[str]:
    return [] if _UUID.fullmatch(name) else [f"the id {name[:40]!r} is not a UUID in its usual form"]


def _form(certificate: ErasureCertificate) -> list[str]:
    found = _identified(certificate.id)
    if any(entropy > _MOST_ENTROPY for entropy in _entropies(certificate.verification)):
        found.append("an entropy of more than eight bits a byte")
    if not certificate.drive.identity_pages:
        found.append("no identity page says which drive this was")
    if certificate.validation.decision != _VALIDATION_PENDING:
        found.append("the agent claims a validation, which only a person can give")
    return [*found, *disposition_problems(certificate.commands)]


def _times(claims: Result | MachineReport) -> list[str]:
    started, finished = parse_time(claims.started_at), parse_time(claims.finished_at)
    if started is None or finished is None:
        return ["the start or the end is not an RFC 3339 time in UTC"]
    return []


def _entropies(verification: Verification) -> list[int]:
    sampling = verification.sampling
    found = (sampling.entropy_before, sampling.entropy_after) if sampling is not None else ()
    return [one for one in found if one is not None]


def _resumed(certificate: ErasureCertificate) -> list[str]:
    result, capacity = certificate.result, certificate.drive.capacity_bytes
    resumed = result.resumed
    if resumed is None:
        return []
    found = []
    if parse_time(resumed.first_started_at) is None:
        found.append("the first start of a resumed erasure is not an RFC 3339 time in UTC")
    steps, places = len(result.passes) + 1, resumed.interruptions
    if not places:
        found.append("a resumed erasure that was never interrupted")
    if any(not _is_within(one, steps, capacity) for one in places):
        found.append("an interruption lies outside of the passes or of the drive")
    if any(_order(one) > _order(two) for one, two in itertools.pairwise(places)):
        found.append("a resumed erasure went back behind an earlier interruption")
    if resumed.bytes_before + resumed.bytes_now != result.bytes_written:
        found.append("the bytes written before and after the interruption are not those of the passes")
    if result.outcome is Outcome.ERASED:
        found.extend(_resumed_and_erased(certificate, resumed))
    return found


def _is_within(one: Interruption, steps: int, capacity: int) -> bool:
    if one.step == steps:
        return one.position == one.bytes_written == 0
    return 1 <= one.step < steps and max(one.position, one.bytes_written) <= capacity


def _order(one: Interruption) -> tuple[int, int]:
    return one.step, one.position


def _resumed_and_erased(certificate: ErasureCertificate, resumed: Resumption) -> list[str]:
    found = []
    if certificate.result.technique is not Technique.OVERWRITE:
        found.append("only an overwrite can be resumed")
    if certificate.verification.method is not VerificationMethod.FULL_READ_BACK:
        found.append("ERASED after an interruption without reading all of the drive back")
    if resumed.interruptions:
        last, capacity = resumed.interruptions[-1], certificate.drive.capacity_bytes
        if resumed.bytes_before != (last.step - 1) * capacity + last.bytes_written:
            found.append("the bytes written before are not those written before the last interruption")
    return found


def _erased(certificate: ErasureCertificate) -> list[str]:
    result, verification = certificate.result, certificate.verification
    if result.outcome is not Outcome.ERASED:
        claimed = result.method is not None
        return ["a method is claimed although the drive was not erased"] if claimed else []
    found = []
    if result.method is None or result.technique is None or result.basis is None:
        found.append("ERASED without the method, technique and basis achieved")
    elif result.method.is_weaker_than(certificate.request.method) and not certificate.request.weaker_allowed:
        found.append("the method achieved is weaker than the one asked for, which the policy did not allow")
    if result.method is Method.DESTROY:
        found.append("an agent cannot destroy a medium")
    if certificate.drive.capacity_bytes == 0:
        found.append("ERASED a drive of zero bytes")
    if result.error_ranges:
        found.append("ERASED although ranges of the drive are in error")
    if verification.status is not VerificationStatus.COMPLETE:
        found.append("ERASED although the verification is not complete")
    if result.technique is Technique.OVERWRITE:
        found.extend(_overwritten(certificate))
    elif result.technique is not None:
        found.extend(own_command_problems(certificate))
    return [*found, *reach_problems(certificate), *_read_back(certificate)]


def _read_back(certificate: ErasureCertificate) -> list[str]:
    verification = certificate.verification
    if verification.method is VerificationMethod.SAMPLED_READ_BACK:
        return _sampled(certificate)
    if verification.method is VerificationMethod.FULL_READ_BACK:
        coverage = verification.coverage
        found = []
        if not coverage.bytes_read == coverage.bytes_total == certificate.drive.capacity_bytes:
            found.append("a full read-back that did not read the full drive")
        if not 1 <= (verification.passes_read_back or 0) <= len(certificate.result.passes):
            found.append("a full read-back that does not fit the number of passes that were read back")
        return found
    if certificate.result.technique is Technique.OVERWRITE:
        return ["ERASED by overwriting although nothing was read back"]
    return []


def _sampled(certificate: ErasureCertificate) -> list[str]:
    """An overwrite of which samples were read back: only where asked for, and only by the whole scheme."""
    verification, drive = certificate.verification, certificate.drive
    sampling, coverage = verification.sampling, verification.coverage
    found = []
    if certificate.request.read_back is not ReadBackExtent.SAMPLED:
        found.append("samples were read back where the policy asked for all of the drive")
    if certificate.result.technique is not Technique.OVERWRITE:
        found.append("samples can be compared with what was written after an overwrite only")
    if sampling is None or verification.seed is None:
        return [*found, "samples without the scheme and the seed by which they were chosen"]
    blocks = drive.capacity_bytes // max(1, drive.logical_sector_bytes)
    if not sampling.whole_scheme or sampling.sections < min(_SECTIONS, blocks // 2):
        found.append("an overwrite was sampled more thinly than SP 800-88 Rev. 1 has it")
    if coverage.bytes_read != sampling.planned_bytes or coverage.bytes_total != drive.capacity_bytes:
        found.append("the samples that were read are not those that were to be read")
    if coverage.bytes_read * _WHOLE < coverage.bytes_total:
        found.append("less than a tenth of the drive was read back")
    return found


def _overwritten(certificate: ErasureCertificate) -> list[str]:
    result, capacity = certificate.result, certificate.drive.capacity_bytes
    found = []
    if result.method is Method.PURGE:
        found.append("Purge by overwriting, which reaches Clear only")
    if not result.passes:
        found.append("ERASED by overwriting without a pass")
    plan = certificate.plan
    if plan.technique is Technique.OVERWRITE and plan.passes != tuple(one.pattern for one in result.passes):
        found.append("the passes are not those of the plan")
    if any(one.bytes_written != capacity for one in result.passes):
        found.append("a pass did not write the full drive")
    if any(not 0 <= one.bytes_offloaded <= one.bytes_written for one in result.passes):
        found.append("a pass of which the drive zeroed more itself than was written")
    if any(one.bytes_offloaded and one.cipher is not None for one in result.passes):
        found.append("a random pass that the drive is said to have zeroed itself")
    if result.bytes_written != sum(one.bytes_written for one in result.passes):
        found.append("the bytes written are not the sum of the passes")
    return found


def _health(certificate: ErasureCertificate) -> list[str]:
    if certificate.health_changes == figure_changes(certificate.health_before, certificate.health_after):
        return []
    return ["the changes of health are not those between before and after"]


def _report(report: MachineReport) -> list[str]:
    found = [*_identified(report.id), *_times(report)]
    for drive in report.drives:
        found += _reported(drive)
    names = [drive.certificate.id for drive in report.drives if drive.certificate is not None]
    if len(set(names)) < len(names):
        found.append("two drives have the same certificate")
    return found


def _reported(drive: ReportedDrive) -> list[str]:
    name = f"drive {drive.serial or drive.block_device}"
    found = []
    if drive.outcome is Outcome.ERASED:
        if drive.method is None or drive.technique is None:
            found.append(f"{name} is ERASED without method and technique")
        if drive.certificate is None or drive.identity_sha256 is None:
            found.append(f"{name} is ERASED without a certificate of a drive that identified itself")
    elif drive.method is not None:
        found.append(f"a method is claimed for {name}, which was not erased")
    if drive.outcome is Outcome.UNHANDLED and drive.certificate is not None:
        found.append(f"{name} has a certificate although nothing can reach it")
    if drive.certificate is not None:
        found += _identified(drive.certificate.id)
    return found
