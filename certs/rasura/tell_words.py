"""Words for the closed sets of the claims; pure tables, translated where they are used."""

from __future__ import annotations

from rasura.certificate import (
    ContentKind,
    Evidence,
    Outcome,
    Presence,
    RangeKind,
    Technique,
    VerificationMethod,
    VerificationStatus,
)
from rasura.health import Grade, HealthClaims
from rasura.language import N_, Tongue
from rasura.machine_report import Answer, BatteryClass, Route
from rasura.signed_sentences import told

__all__ = [
    "ANSWERS",
    "AREA_PRESENCE",
    "BATTERIES",
    "CONTENTS",
    "EVIDENCE",
    "GRADES",
    "MEDIA",
    "OUTCOMES",
    "PATTERNS",
    "RANGES",
    "ROUTES",
    "STATUSES",
    "TECHNIQUES",
    "VERIFICATIONS",
    "grade_of",
    "word",
]

TECHNIQUES: dict[str, str] = {
    Technique.OVERWRITE: N_("overwriting"),
    Technique.ATA_SANITIZE_CRYPTO: N_("ATA sanitize, cryptographic scramble"),
    Technique.ATA_SANITIZE_BLOCK: N_("ATA sanitize, block erase"),
    Technique.ATA_SANITIZE_OVERWRITE: N_("ATA sanitize, overwrite"),
    Technique.ATA_SECURITY_ERASE_ENHANCED: N_("ATA security erase, enhanced"),
    Technique.ATA_SECURITY_ERASE: N_("ATA security erase"),
    Technique.NVME_SANITIZE_CRYPTO: N_("NVMe sanitize, cryptographic erase"),
    Technique.NVME_SANITIZE_BLOCK: N_("NVMe sanitize, block erase"),
    Technique.NVME_SANITIZE_OVERWRITE: N_("NVMe sanitize, overwrite"),
    Technique.NVME_FORMAT_CRYPTO: N_("NVMe format, cryptographic erase"),
    Technique.NVME_FORMAT_USER_DATA: N_("NVMe format, user data erase"),
    Technique.SCSI_SANITIZE_CRYPTO: N_("SCSI sanitize, cryptographic erase"),
    Technique.SCSI_SANITIZE_BLOCK: N_("SCSI sanitize, block erase"),
    Technique.SCSI_SANITIZE_OVERWRITE: N_("SCSI sanitize, overwrite"),
    Technique.SCSI_FORMAT_UNIT: N_("SCSI format unit"),
    Technique.MMC_SANITIZE: N_("eMMC sanitize"),
    Technique.MMC_SECURE_ERASE: N_("eMMC secure erase"),
    Technique.MMC_SECURE_TRIM: N_("eMMC secure trim"),
    Technique.TCG_PSID_REVERT: N_("TCG revert by PSID"),
}
OUTCOMES: dict[str, str] = {
    Outcome.ERASED: N_("ERASED"),
    Outcome.FAILED: N_("FAILED"),
    Outcome.UNKNOWN: N_("UNKNOWN"),
    Outcome.REFUSED: N_("REFUSED"),
    Outcome.SKIPPED: N_("SKIPPED"),
    Outcome.UNHANDLED: N_("UNHANDLED"),
}
PATTERNS: dict[str, str] = {
    "zero": N_("zeroes"),
    "one": N_("ones (bytes FFh)"),
    "random": N_("random data"),
    "random, inverted": N_("the complement of random data"),
}
"""As the agent names the patterns of its passes."""
MEDIA: dict[str, str] = {
    "hdd": N_("hard disk"),
    "ssd": N_("solid-state drive"),
    "flash": N_("USB stick or memory card"),
    "virtual": N_("virtual drive"),
    "unknown": N_("medium not known"),
}
AREA_PRESENCE: dict[str, str] = {
    Presence.PRESENT: N_("present"),
    Presence.ABSENT: N_("absent"),
    Presence.UNKNOWN: N_("not known"),
}
RANGES: dict[str, str] = {
    RangeKind.NOT_WRITTEN: N_("could not be written"),
    RangeKind.NOT_READ: N_("could not be read back"),
    RangeKind.MISMATCH: N_("did not hold what they should"),
}
VERIFICATIONS: dict[str, str] = {
    VerificationMethod.FULL_READ_BACK: N_("full read-back"),
    VerificationMethod.SAMPLED_READ_BACK: N_("sampled read-back"),
    VerificationMethod.MARKERS_AND_SAMPLES: N_("marks and samples"),
}
STATUSES: dict[str, str] = {
    VerificationStatus.COMPLETE: N_("complete"),
    VerificationStatus.MISMATCH: N_("mismatch"),
    VerificationStatus.INCOMPLETE: N_("incomplete"),
    VerificationStatus.NOT_RUN: N_("not run"),
}
EVIDENCE: dict[str, str] = {
    Evidence.BLOCK_READ_BACK: N_("read back past the cache"),
    Evidence.SAMPLED_READ_BACK: N_("samples read back past the cache"),
    Evidence.BUFFERED_READ_BACK: N_("read back, perhaps from a cache"),
    Evidence.DRIVE_REPORT_AND_SPOTS: N_("the drive's report, and the places looked at"),
    Evidence.NONE: N_("none"),
}
CONTENTS: dict[str, str] = {
    ContentKind.ZERO: N_("zeroes"),
    ContentKind.ONE: N_("ones (bytes FFh)"),
    ContentKind.CONSTANT: N_("repeated bytes"),
    ContentKind.NOISE: N_("noise"),
    ContentKind.MIXED: N_("a mixture"),
}
GRADES: dict[str, str] = {
    Grade.GOOD: N_("good"),
    Grade.WATCH: N_("to be watched"),
    Grade.REJECT: N_("to be rejected"),
    Grade.UNKNOWN: N_("not known"),
}
ROUTES: dict[str, str] = {
    Route.REUSE: N_("reuse"),
    Route.PARTS: N_("parts"),
    Route.RECYCLE: N_("recycling"),
}
ANSWERS: dict[str, str] = {
    Answer.YES: N_("yes"),
    Answer.NO: N_("no"),
    Answer.UNKNOWN: N_("not known"),
}
BATTERIES: dict[str, str] = {
    BatteryClass.SALE: N_("good enough for sale"),
    BatteryClass.DONATION: N_("good enough to give away"),
    BatteryClass.REPLACE: N_("to be replaced"),
    BatteryClass.UNKNOWN: N_("not known"),
}


def word(table: dict[str, str], value: str, tongue: Tongue) -> str:
    """The word for ``value``, or what stands in the claims where this version has none."""
    return tongue.say(table[value]) if value in table else value


def grade_of(health: HealthClaims | None, tongue: Tongue) -> str | None:
    """A grade with its reasons."""
    if health is None:
        return None
    why = "; ".join(told(one, tongue) for one in health.reasons)
    return word(GRADES, health.grade, tongue) + (f" ({why})" if why else "")
