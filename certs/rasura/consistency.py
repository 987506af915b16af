"""Does a certificate's verdict follow from its own evidence? Pure.

A signature proves who said it; this refuses what no honest agent could say. Above all: ERASED
needs every byte written, none in error, and a check that covered what it says it covered.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from rasura.certificate import (
    ErasureCertificate,
    Method,
    Outcome,
    Technique,
    VerificationMethod,
    VerificationStatus,
)
from rasura.strict_json import MAX_SAFE_INTEGER

__all__ = ["contradictions", "parse_time"]

_VALIDATION_PENDING = "awaiting decision"


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time in UTC written with ``Z``, or ``None``."""
    if not text.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def contradictions(certificate: ErasureCertificate) -> tuple[str, ...]:
    """Sentences, one for each way in which the claims contradict themselves; empty when they don't."""
    return (*_form(certificate), *_times(certificate), *_erased(certificate))


def _form(certificate: ErasureCertificate) -> list[str]:
    found = []
    try:
        canonical = str(uuid.UUID(certificate.id))
    except ValueError:
        canonical = ""
    if certificate.id != canonical:
        found.append("the certificate's id is not a UUID in its usual form")
    drive, result, coverage = certificate.drive, certificate.result, certificate.verification.coverage
    sizes = [
        drive.capacity_bytes,
        drive.logical_sector_bytes,
        result.bytes_written,
        result.duration_ms,
        coverage.bytes_read,
        coverage.bytes_total,
        certificate.station.sequence,
        *(one.bytes_written for one in result.passes),
        *(number for one in result.error_ranges for number in (one.offset, one.length)),
    ]
    if any(not 0 <= size <= MAX_SAFE_INTEGER for size in sizes):
        found.append("a size or a count is negative or beyond 2^53")
    if not drive.identity_pages:
        found.append("no identity page says which drive this was")
    if certificate.validation.decision != _VALIDATION_PENDING:
        found.append("the agent claims a validation, which only a person can give")
    return found


def _times(certificate: ErasureCertificate) -> list[str]:
    result = certificate.result
    started, finished = parse_time(result.started_at), parse_time(result.finished_at)
    if started is None or finished is None:
        return ["the start or the end is not an RFC 3339 time in UTC"]
    return []


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
        found.extend(_self_erased(certificate))
    if verification.method is VerificationMethod.FULL_READ_BACK:
        coverage = verification.coverage
        if not coverage.bytes_read == coverage.bytes_total == certificate.drive.capacity_bytes:
            found.append("a full read-back that did not read the full drive")
    elif result.technique is Technique.OVERWRITE:
        found.append("ERASED by overwriting although nothing was read back")
    return found


def _overwritten(certificate: ErasureCertificate) -> list[str]:
    result, capacity = certificate.result, certificate.drive.capacity_bytes
    found = []
    if result.method is Method.PURGE:
        found.append("Purge by overwriting, which reaches Clear only")
    if not result.passes:
        found.append("ERASED by overwriting without a pass")
    if any(one.bytes_written != capacity for one in result.passes):
        found.append("a pass did not write the full drive")
    if any(not 0 <= one.bytes_offloaded <= one.bytes_written for one in result.passes):
        found.append("a pass of which the drive zeroed more itself than was written")
    if any(one.bytes_offloaded and one.cipher is not None for one in result.passes):
        found.append("a random pass that the drive is said to have zeroed itself")
    if result.bytes_written != sum(one.bytes_written for one in result.passes):
        found.append("the bytes written are not the sum of the passes")
    return found


def _self_erased(certificate: ErasureCertificate) -> list[str]:
    found = []
    if not certificate.commands:
        found.append("ERASED by the drive's own commands although none is recorded")
    if certificate.verification.method is VerificationMethod.MARKERS_AND_SAMPLES:
        if certificate.verification.coverage.bytes_read <= 0 or certificate.verification.seed is None:
            found.append("markers and samples were looked for without a seed or without reading")
    elif certificate.verification.method is None:
        found.append("ERASED on the drive's word alone")
    return found
