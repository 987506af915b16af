"""Does an erasure by the drive's own commands hold together: what was sent, and what was looked at. Pure.

The names of commands are those of ``erasure-certificate`` v1: each standard's, as the agent records them.
"""

from __future__ import annotations

from rasura.certificate import (
    CommandClaims,
    ContentKind,
    ErasureCertificate,
    Sampling,
    Technique,
    VerificationMethod,
)

__all__ = ["SENT", "disposition_problems", "own_command_problems"]

_DONE, _REFUSED, _UNKNOWN = "done", "refused", "unknown"
_DISPOSITIONS = frozenset({_DONE, _REFUSED, _UNKNOWN})

SENT = {
    Technique.ATA_SANITIZE_CRYPTO: "CRYPTO SCRAMBLE EXT",
    Technique.ATA_SANITIZE_BLOCK: "BLOCK ERASE EXT",
    Technique.ATA_SANITIZE_OVERWRITE: "OVERWRITE EXT",
    Technique.ATA_SECURITY_ERASE_ENHANCED: "SECURITY ERASE UNIT (ENHANCED)",
    Technique.ATA_SECURITY_ERASE: "SECURITY ERASE UNIT (NORMAL)",
    Technique.NVME_SANITIZE_CRYPTO: "SANITIZE CRYPTO ERASE",
    Technique.NVME_SANITIZE_BLOCK: "SANITIZE BLOCK ERASE",
    Technique.NVME_SANITIZE_OVERWRITE: "SANITIZE OVERWRITE",
    Technique.NVME_FORMAT_CRYPTO: "FORMAT NVM (SES 2)",
    Technique.NVME_FORMAT_USER_DATA: "FORMAT NVM (SES 1)",
    Technique.SCSI_SANITIZE_CRYPTO: "SANITIZE CRYPTOGRAPHIC ERASE",
    Technique.SCSI_SANITIZE_BLOCK: "SANITIZE BLOCK ERASE",
    Technique.SCSI_SANITIZE_OVERWRITE: "SANITIZE OVERWRITE",
    Technique.SCSI_FORMAT_UNIT: "FORMAT UNIT",
    Technique.MMC_SANITIZE: "SANITIZE_START",
    Technique.MMC_SECURE_ERASE: "ERASE (SECURE_ERASE)",
    Technique.MMC_SECURE_TRIM: "ERASE (SECURE_TRIM_STEP_2)",
    Technique.TCG_PSID_REVERT: "PSID REVERT",
}
"""The command that erases, by technique."""

_INTERFACES = {"nvme": "nvme", "emmc": "mmc"}
"""How techniques begin that drives attached in one way only have; ATA and SCSI travel over several."""


def disposition_problems(commands: tuple[CommandClaims, ...]) -> list[str]:
    """Commands that ended in no way that a command can, whatever the outcome."""
    strange = sorted({one.disposition for one in commands} - _DISPOSITIONS)
    return [f"a command ended {one[:20]!r}, which is none of done, refused and unknown" for one in strange]


def own_command_problems(certificate: ErasureCertificate) -> list[str]:
    """How a certificate that says ERASED by ``result.technique``, no overwrite, contradicts itself."""
    verification = certificate.verification
    found = _sending(certificate)
    if verification.method is VerificationMethod.MARKERS_AND_SAMPLES:
        if verification.coverage.bytes_read <= 0 or verification.seed is None:
            found.append("markers and samples were looked for without a seed or without reading")
        if verification.sampling is None:
            found.append("markers and samples were looked for, and nothing is said of the samples")
        else:
            found.extend(_looking(certificate, verification.sampling))
    elif verification.method is None:
        found.append("ERASED on the drive's word alone")
    return found


def _sending(certificate: ErasureCertificate) -> list[str]:
    technique, commands = certificate.result.technique, certificate.commands
    if not commands:
        return ["ERASED by the drive's own commands although none is recorded"]
    found = []
    if all(one.disposition != _DONE for one in commands):
        found.append("ERASED by the drive's own commands although it carried out none of those recorded")
    wanted = SENT.get(technique) if technique is not None else None
    sent = any(one.name == wanted and one.disposition != _REFUSED for one in commands)
    if wanted is not None and not sent and not certificate.commands_omitted:
        found.append(f"ERASED by {technique}, and no {wanted} is recorded that the drive did not refuse")
    kind = str(technique).partition("-")[0]
    interface = _INTERFACES.get(kind)
    if interface is not None and certificate.drive.transport != interface:
        found.append(f"ERASED by {technique}, which a drive on {certificate.drive.transport} does not have")
    return found


def _looking(certificate: ErasureCertificate, sampling: Sampling) -> list[str]:
    coverage, capacity = certificate.verification.coverage, certificate.drive.capacity_bytes
    found = []
    if not sampling.sections or not sampling.reads or not sampling.planned_bytes:
        found.append("samples were looked at, of which there were none")
    # The markers are read besides; each lies on the drive once, and a sample may hold some.
    most = sampling.planned_bytes + capacity
    if coverage.bytes_total != capacity or not sampling.planned_bytes <= coverage.bytes_read <= most:
        found.append("what was looked at is not what was to be looked at")
    if sampling.content in {ContentKind.ZERO, ContentKind.ONE} and sampling.entropy_after:
        found.append(f"samples that hold {sampling.content} everywhere and differ among themselves")
    return found
