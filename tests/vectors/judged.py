"""Vectors that are honestly signed and logged, and claim what their own evidence does not bear: check 6."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from vectors.claims import CAPACITY, certificate, command, edited, sanitized, zeros
from vectors.genuine import resumed, sampled
from vectors.world import Case, Made, made, station_place

__all__ = ["CASES"]

PLACE = station_place()
RANGE = {"offset": 4096, "length": 512, "kind": "mismatch"}
HEALTH = {
    "grade": "good",
    "table": "1",
    "reasons": [],
    "figures": [{"name": "reallocated", "value": 0}],
    "passed": True,
    "temperatureCelsius": 30,
    "powerOnHours": 12000,
    "bytesWritten": None,
    "wearPercent": None,
    "selfTestsFailed": None,
    "source": None,
    "notes": [],
}


def _bent(make: Callable[..., dict[str, Any]], changes: dict[str, Any]) -> Callable[[], Made]:
    return lambda: made(make(PLACE, **changes))


def _case(
    name: str, why: str, says: str, make: Callable[..., dict[str, Any]] = certificate, **changes: Any
) -> Case:
    return Case(f"{name}_fail", why, _bent(make, changes), 1, ("6 claims",), says)


def _purge(technique: str, basis: str = "NIST SP 800-88r2 Purge", **more: Any) -> dict[str, Any]:
    return {"result__technique": technique, "result__basis": basis, **more}


_METHOD = (
    _case("purge-by-overwriting", "Overwriting reaches Clear.", "reaches Clear only", result__method="Purge"),
    _case(
        "purge-by-nobodys-standard",
        "No standard says that it is one.",
        "names no standard",
        sanitized,
        result__basis="house rules",
    ),
    _case(
        "purge-by-security-erase",
        "Plain ATA security erase reaches Clear.",
        "reaches Clear only",
        sanitized,
        **_purge("ata-security-erase"),
    ),
    _case(
        "purge-by-enhanced-security-erase",
        "Enhanced ATA security erase is a Purge for the withdrawn Rev. 1 only, and the basis says Rev. 2.",
        "on another basis",
        sanitized,
        **_purge("ata-security-erase-enhanced"),
    ),
    _case(
        "purge-by-format",
        "Format NVM is a Purge for the withdrawn Rev. 1 only, and the basis says Rev. 2.",
        "on another basis",
        sanitized,
        **_purge("nvme-format-user-data-erase"),
    ),
    _case(
        "purge-by-scsi-format",
        "FORMAT UNIT reaches Clear, on any basis.",
        "reaches Clear only",
        sanitized,
        **_purge("scsi-format-unit", "NIST SP 800-88r1 A-6"),
    ),
    _case(
        "purge-by-emmc-trim",
        "Secure trim reaches Clear, on any basis.",
        "reaches Clear only",
        sanitized,
        **_purge("emmc-secure-trim", "NIST SP 800-88r1 A-3"),
    ),
    _case("destroyed", "A program cannot destroy a medium.", "cannot destroy", result__method="Destroy"),
    _case(
        "weaker-than-asked",
        "Purge was asked for, Clear was done, and the policy allowed nothing weaker.",
        "weaker than the one asked for",
        request__method="Purge",
    ),
    _case(
        "another-technique",
        "The policy asked for one technique, and it was another.",
        "and nothing else",
        sanitized,
        request__technique="nvme-sanitize-crypto-erase",
    ),
    _case("erased-without-method", "ERASED, by nothing.", "without the method", result__method=None),
    _case(
        "failed-with-method",
        "FAILED, and a method is claimed.",
        "although the drive was not erased",
        result__outcome="FAILED",
        result__reason="a write failed",
    ),
)

_EVIDENCE = (
    _case(
        "range-in-error",
        "A range of the drive still holds something else.",
        "ranges of the drive",
        result__errorRanges=[RANGE],
    ),
    _case("check-incomplete", "The check did not end.", "not complete", verification__status="incomplete"),
    _case("check-mismatch", "The check found old data.", "not complete", verification__status="mismatch"),
    _case(
        "nothing-read-back",
        "Overwritten, and nobody looked.",
        "nothing was read back",
        verification__method=None,
        verification__evidence="none",
    ),
    _case(
        "half-read-back",
        "A full read-back of half the drive.",
        "did not read the full drive",
        verification__coverage__bytesRead=CAPACITY // 2,
    ),
    _case(
        "smaller-drive-read-back",
        "All was read of a smaller drive than this one.",
        "did not read the full drive",
        verification__coverage={"bytesRead": 512, "bytesTotal": 512},
    ),
    _case(
        "half-written",
        "A pass over half the drive.",
        "did not write the full drive",
        result__passes=[zeros(CAPACITY // 2)],
        result__bytesWritten=CAPACITY // 2,
    ),
    _case("no-pass", "Overwritten in no pass.", "without a pass", result__passes=[], result__bytesWritten=0),
    _case(
        "bytes-do-not-add-up",
        "More bytes than the passes wrote.",
        "not the sum",
        result__bytesWritten=CAPACITY + 512,
    ),
    _case(
        "drive-of-zero-bytes",
        "Nothing was there to erase.",
        "zero bytes",
        drive__capacityBytes=0,
        result__passes=[zeros(0)],
        result__bytesWritten=0,
        verification__coverage={"bytesRead": 0, "bytesTotal": 0},
    ),
    _case(
        "more-zeroed-than-written",
        "A drive that zeroed more by itself than the whole pass.",
        "zeroed more itself",
        result__passes=[zeros(CAPACITY, bytesOffloaded=CAPACITY + 512)],
    ),
    _case(
        "random-by-the-drive",
        "A random pass that was left to the drive's Write Zeroes.",
        "random pass that the drive",
        result__passes=[zeros(CAPACITY, pattern="random", cipher="AES-256-CTR", bytesOffloaded=512)],
    ),
    _case(
        "no-pass-read-back",
        "A full read-back after which no pass was found as written.",
        "passes that were read back",
        verification__passesReadBack=0,
    ),
    Case(
        "no-identity-page_fail",
        "Nothing says which drive it was.",
        lambda: made(
            certificate(PLACE, drive__identityPages=[]),
            document=lambda one: edited(one, subject__0__digest={"sha256": hashlib.sha256().hexdigest()}),
        ),
        1,
        ("6 claims",),
        "which drive",
    ),
    _case(
        "evidence-inflated",
        "Samples after a device command, called a full read-back past the page cache.",
        "is not what",
        sanitized,
        verification__evidence="block-read-back",
    ),
    _case(
        "samples-not-asked-for",
        "The policy asked for all of the drive to be read back, and samples were.",
        "policy asked for all",
        **sampled(request__readBack="full"),
    ),
    _case(
        "samples-too-thin",
        "Samples of less than a tenth of the drive.",
        "a tenth",
        **sampled(
            verification__coverage={"bytesRead": 4096, "bytesTotal": CAPACITY},
            verification__sampling__plannedBytes=4096,
        ),
    ),
    _case(
        "samples-without-seed",
        "Nobody can say where the samples were.",
        "seed",
        **sampled(verification__seed=None),
    ),
    _case(
        "on-the-drives-word",
        "The drive said that it was done, and nobody looked.",
        "word alone",
        sanitized,
        verification__method=None,
        verification__evidence="none",
    ),
    _case(
        "no-command",
        "Erased by the drive's own command, of which there is no record.",
        "none is recorded",
        sanitized,
        commands=[],
    ),
    _case(
        "command-refused",
        "Erased by a command that the drive refused, and by no other.",
        "carried out none of those recorded",
        sanitized,
        commands=[command("SANITIZE BLOCK ERASE", "refused")],
    ),
    _case(
        "command-not-answered",
        "Nobody knows whether the drive took the command: that is never success.",
        "carried out none of those recorded",
        sanitized,
        commands=[command("SANITIZE BLOCK ERASE", "unknown")],
    ),
    _case(
        "command-missing",
        "The drive was asked who it is, and never told to erase.",
        "no SANITIZE BLOCK ERASE is recorded",
        sanitized,
        commands=[command("IDENTIFY NAMESPACE")],
    ),
    _case(
        "command-ended-strangely",
        "A command ended in a way that the format does not know.",
        "none of done, refused and unknown",
        sanitized,
        commands=[command("SANITIZE BLOCK ERASE"), command("GET LOG PAGE 81h", "perhaps")],
    ),
    _case(
        "technique-of-another-interface",
        "An NVMe command that a SATA drive does not have.",
        "does not have",
        sanitized,
        drive__transport="sata",
    ),
    _case(
        "marks-read-thinly",
        "A gigabyte was to be looked at, and one byte was.",
        "not what was to be looked at",
        sanitized,
        verification__coverage__bytesRead=1,
    ),
    _case(
        "marks-read-beyond-the-drive",
        "More was looked at than there is.",
        "not what was to be looked at",
        sanitized,
        verification__coverage__bytesRead=3 * CAPACITY,
    ),
    _case(
        "marks-without-samples",
        "Samples were looked at, of which there were none.",
        "there were none",
        sanitized,
        verification__sampling__reads=0,
    ),
    _case(
        "zeros-that-differ",
        "Samples that are all zeros, of eight bits a byte.",
        "differ among themselves",
        sanitized,
        verification__sampling__entropyAfter=8000,
    ),
    _case(
        "passes-of-another-plan",
        "Thirty-five passes were planned, and one was done.",
        "not those of the plan",
        plan__scheme="gutmann",
        plan__passes=["random"] * 35,
    ),
    _case(
        "marks-without-reading",
        "Marks were looked for without reading.",
        "without reading",
        sanitized,
        verification__coverage__bytesRead=0,
    ),
    _case(
        "resumed-without-reading-all",
        "Another boot wrote half of it, and only samples were read back.",
        "after an interruption",
        **sampled(result__resumed=resumed()),
    ),
    _case(
        "resumed-and-skipped",
        "More is counted as written before the interruption than was written then.",
        "before the last interruption",
        result__resumed=resumed(bytesBefore=CAPACITY - 512, bytesNow=512),
    ),
    _case(
        "resumed-backwards",
        "A later interruption lies before an earlier one.",
        "went back",
        result__resumed=resumed(
            interruptions=[
                {"step": 1, "position": CAPACITY // 2, "bytesWritten": CAPACITY // 2},
                {"step": 1, "position": 512, "bytesWritten": 512},
            ],
            bytesBefore=512,
            bytesNow=CAPACITY - 512,
        ),
    ),
    _case(
        "health-change-hidden",
        "Sectors were reallocated during the erasure, and the changes do not say so.",
        "changes of health",
        healthBefore=HEALTH,
        healthAfter={**HEALTH, "figures": [{"name": "reallocated", "value": 24}]},
    ),
    _case(
        "validated-by-the-agent",
        "The agent approves itself.",
        "only a person can give",
        validation__decision="accepted",
    ),
    Case(
        "id-in-capitals_fail",
        "An id that is not a UUID in its usual form names no entry.",
        _bent(certificate, {"id": "00000000-0000-4000-8000-00000000000A"}),
        1,
        ("6 claims", "8 inclusion"),
        "UUID",
    ),
)


def _ended(outcome: str, reason: str) -> dict[str, Any]:
    return {
        "result__outcome": outcome,
        "result__reason": reason,
        "result__method": None,
        "result__technique": None,
        "result__basis": None,
    }


_OUTCOME = (
    Case(
        "drive-failed_fail",
        "Genuine, and it says FAILED: it must not pass for an erasure.",
        _bent(certificate, _ended("FAILED", "the drive does not hold what was written")),
        3,
        (),
        "NOT ERASED",
    ),
    Case(
        "drive-unknown_fail",
        "Genuine, and nobody can say what happened.",
        _bent(sanitized, _ended("UNKNOWN", "the drive did not answer")),
        4,
        (),
        "NOT ERASED",
    ),
    Case(
        "drive-refused_fail",
        "Genuine, and the drive was left alone.",
        _bent(certificate, _ended("REFUSED", "it is mounted")),
        3,
        (),
        "NOT ERASED",
    ),
)

CASES = (*_METHOD, *_EVIDENCE, *_OUTCOME)
