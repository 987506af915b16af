"""What a technique can reach at most: nothing weaker may be called Purge. Pure.

The rules of ``erasure-certificate`` v1 are those by which the agent plans: NIST SP 800-88 Rev. 2 takes a
Purge from IEEE 2883, whose Purge leans on each interface's sanitize commands; cryptographic erase by a TCG
revert counts where the drive says that it encrypts everything. Some techniques are a Purge for the withdrawn
Rev. 1 only, and a certificate that calls them so must say so in its basis.
"""

from __future__ import annotations

from rasura.certificate import ErasureCertificate, Evidence, Method, Technique, VerificationMethod

__all__ = ["R1_BASIS", "reach_problems"]

R1_BASIS = "NIST SP 800-88r1"
"""How the basis begins of what only Rev. 1 calls Purge."""

_PURGES = frozenset(
    {
        Technique.ATA_SANITIZE_CRYPTO,
        Technique.ATA_SANITIZE_BLOCK,
        Technique.ATA_SANITIZE_OVERWRITE,
        Technique.NVME_SANITIZE_CRYPTO,
        Technique.NVME_SANITIZE_BLOCK,
        Technique.NVME_SANITIZE_OVERWRITE,
        Technique.SCSI_SANITIZE_CRYPTO,
        Technique.SCSI_SANITIZE_BLOCK,
        Technique.SCSI_SANITIZE_OVERWRITE,
        Technique.TCG_PSID_REVERT,
    }
)
_PURGES_BY_R1 = frozenset(
    {
        Technique.ATA_SECURITY_ERASE_ENHANCED,  # Rev. 1 table A-5
        Technique.NVME_FORMAT_CRYPTO,
        Technique.NVME_FORMAT_USER_DATA,
        Technique.MMC_SANITIZE,
    }
)
_STANDARDS = ("NIST SP 800-88r", "IEEE 2883")
"""How every basis begins."""
_EVIDENCE = {
    VerificationMethod.FULL_READ_BACK: {Evidence.BLOCK_READ_BACK, Evidence.BUFFERED_READ_BACK},
    VerificationMethod.SAMPLED_READ_BACK: {Evidence.SAMPLED_READ_BACK},
    VerificationMethod.MARKERS_AND_SAMPLES: {Evidence.DRIVE_REPORT_AND_SPOTS},
}


def reach_problems(certificate: ErasureCertificate) -> list[str]:
    """How a certificate that says ERASED claims more than its technique or its verification can show."""
    result, verification, asked = certificate.result, certificate.verification, certificate.request
    found = []
    if result.method is Method.PURGE and result.technique not in {Technique.OVERWRITE, *_PURGES}:
        if result.technique not in _PURGES_BY_R1:
            found.append(f"Purge by {result.technique}, which reaches Clear only")
        elif not (result.basis or "").startswith(R1_BASIS):
            found.append(f"Purge by {result.technique}, which is one for {R1_BASIS} only, on another basis")
    if result.basis is not None and not result.basis.startswith(_STANDARDS):
        found.append(f"the basis {result.basis[:40]!r} names no standard that says what the method reaches")
    if asked.technique is not None and result.technique is not asked.technique:
        found.append(
            f"the policy asked for {asked.technique} and nothing else, and it was {result.technique}"
        )
    if verification.method is not None and verification.evidence not in _EVIDENCE[verification.method]:
        found.append(f"the evidence {verification.evidence} is not what {verification.method} gives")
    return found
