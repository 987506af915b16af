"""Signed documents as a workshop has them, for the pages that are made of them."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from rasura.bundle import Bundle
from rasura.certificate import Clock, Outcome, Source, Station, Tool
from rasura.consistency import contradictions
from rasura.health import HealthClaims
from rasura.machine_report import (
    FORMAT_VERSION,
    CertificateName,
    MachineReport,
    ProposalClaims,
    ReportedDrive,
)
from simulators.block import BlockFault
from simulators.signing import TrustWorld

SOURCE = {
    "hostManufacturer": "HP",
    "hostModel": "ProDesk 400 G5",
    "hostSerial": "CZC9402XYZ",
    "hostUuid": "7f2b6c1e-1c9f-4a57-9c0e-0d5c8f6a1b22",
    "assetTag": "MAIRIE-0417",
    "lot": "LOT-2026-11-A",
}
HDD_BYTES = 500_107_862_016
SSD_BYTES = 256_060_514_304
PRESENT_ABSENT = {"before": "present", "after": "absent"}
ABSENT = {"before": "absent", "after": "absent"}


def health(grade: str = "good", *reasons: str) -> dict[str, Any]:
    return {
        "grade": grade,
        "table": "2026-1",
        "reasons": list(reasons),
        "figures": [],
        "passed": True,
        "temperatureCelsius": 34,
        "powerOnHours": 21873,
        "bytesWritten": None,
        "wearPercent": None,
        "selfTestsFailed": 0,
        "source": None,
        "notes": [],
    }


def _overwritten(capacity: int) -> dict[str, Any]:
    return {
        "drive__capacityBytes": capacity,
        "result__passes__0__bytesWritten": capacity,
        "result__bytesWritten": capacity,
        "verification__coverage": {"bytesRead": capacity, "bytesTotal": capacity},
        "result__durationMs": 9_732_000,
        "result__startedAt": "2026-01-01T00:00:00Z",
        "result__finishedAt": "2026-01-01T02:42:12Z",
    }


def hdd(world: TrustWorld, serial: str = "WCC6Y7ABCDEF", **changes: Any) -> Bundle:
    """A hard disk, overwritten and read back, its HPA lifted."""
    return world.bundle(
        **{
            **_overwritten(HDD_BYTES),
            "drive__manufacturer": "Western Digital",
            "drive__model": "WDC WD5000AAKX-60U6AA0",
            "drive__serial": serial,
            "drive__wwn": "50014ee2b1a2c3d4",
            "drive__firmware": "18.01H18",
            "drive__propertyNumber": "INV-2019-00417",
            "drive__hiddenAreas": {"hpa": PRESENT_ABSENT, "ama": ABSENT, "dco": ABSENT},
            "source": SOURCE,
            "residualRisks": ["remapped-sectors: sectors that the drive has retired cannot be overwritten"],
            "healthBefore": health("watch", "12 pending sectors", "21 873 hours of operation"),
            "healthAfter": health("good"),
            "verifiedBy__location": "Atelier de Grenoble",
            **changes,
        }
    )


def schemed(world: TrustWorld, serial: str = "WCC6Y7SCHEME", **changes: Any) -> Bundle:
    """A hard disk with a scheme of passes; it zeroed itself in one, and a second process read each back."""
    passes = [
        {
            "pattern": pattern,
            "cipher": "AES-256-CTR" if pattern == "random" else None,
            "bytesWritten": HDD_BYTES,
            "durationMs": 3_000_000,
            "bytesOffloaded": HDD_BYTES // 2 if pattern == "zero" else 0,
        }
        for pattern in ("random", "random", "0x924924", "zero")
    ]
    return hdd(
        world,
        serial,
        **{
            "plan__scheme": "house-scheme",
            "plan__passes": [one["pattern"] for one in passes],
            "result__passes": passes,
            "result__bytesWritten": 4 * HDD_BYTES,
            "verification__secondReader": True,
            "verification__passesReadBack": 4,
            **changes,
        },
    )


def ssd(world: TrustWorld, serial: str = "S4NYNF0M512345", **changes: Any) -> Bundle:
    """A solid-state drive that was told to sanitize itself."""
    read = 1_000_000_000 // 512 * 512
    technique = "nvme-sanitize-block-erase"
    return world.bundle(
        **{
            "drive__manufacturer": "Samsung",
            "drive__model": "SAMSUNG MZVLB256HBHQ-000H1",
            "drive__serial": serial,
            "drive__wwn": "eui.002538b391b0c5f1",
            "drive__firmware": "EXD70H1Q",
            "drive__mediaType": "ssd",
            "drive__transport": "nvme",
            "drive__rotational": False,
            "drive__capacityBytes": SSD_BYTES,
            "drive__propertyNumber": None,
            "source": SOURCE,
            "request__method": "Purge",
            "request__policy": "purge",
            "plan__technique": technique,
            "plan__method": "Purge",
            "plan__basis": "IEEE 2883 / NIST SP 800-88r2 Purge",
            "plan__passes": [],
            "plan__scheme": None,
            "plan__passedOver": [
                {
                    "technique": "nvme-sanitize-crypto-erase",
                    "method": "Purge",
                    "reason": "the controller does not offer it",
                }
            ],
            "result__method": "Purge",
            "result__technique": technique,
            "result__basis": "IEEE 2883 / NIST SP 800-88r2 Purge",
            "result__passes": [],
            "result__bytesWritten": 0,
            "result__durationMs": 94_200,
            "result__finishedAt": "2026-01-01T00:01:34Z",
            "commands": [
                {
                    "name": "SANITIZE BLOCK ERASE",
                    "atMs": 10,
                    "tookMs": 4,
                    "disposition": "done",
                    "detail": "status 0000h",
                }
            ],
            "verification": {
                "method": "markers-and-samples",
                "status": "complete",
                "coverage": {"bytesRead": read, "bytesTotal": SSD_BYTES},
                "seed": "ab" * 32,
                "sampling": {
                    "sections": 1000,
                    "reads": 2002,
                    "plannedBytes": read,
                    "wholeScheme": False,
                    "granuleBytes": 4096,
                    "witnesses": 151_022,
                    "content": "zero",
                    "entropyBefore": 6912,
                    "entropyAfter": 0,
                },
                "evidence": "drive-report-and-spots",
                "secondReader": False,
                "passesReadBack": None,
            },
            "residualRisks": [
                "drive's-word: beyond the spots that were read, the drive's own report is believed"
            ],
            "healthBefore": health("good"),
            "healthAfter": health("good"),
            **changes,
        }
    )


def partial(world: TrustWorld, serial: str = "9VMB4F2Z", **changes: Any) -> Bundle:
    """A dying hard disk: ranges that could not be written, others that could not be read back."""
    ranges = [
        {"offset": 1_048_576 * number, "length": 65_536, "kind": "not-written"}
        for number in (7, 8, 91, 4711, 5003)
    ] + [{"offset": 320_071_000_064, "length": 4096, "kind": "not-read"}]
    lost = 5 * 65_536
    return world.bundle(
        *((at, BlockFault.WRITE_ERROR) for at in range(1, 2000)),  # no retry helps
        **{
            "drive__manufacturer": "Seagate",
            "drive__model": "ST500DM002-1BD142",
            "drive__serial": serial,
            "drive__firmware": "KC45",
            "drive__capacityBytes": HDD_BYTES,
            "source": SOURCE,
            "result__reason": "6 ranges could not be written or read back",
            "result__errorRanges": ranges,
            "result__passes": [
                {
                    "pattern": "random",
                    "cipher": "AES-256-CTR",
                    "bytesWritten": HDD_BYTES - lost,
                    "durationMs": 12_000_000,
                    "bytesOffloaded": 0,
                }
            ],
            "result__bytesWritten": HDD_BYTES - lost,
            "result__durationMs": 21_600_000,
            "result__finishedAt": "2026-01-01T06:00:00Z",
            "verification": {
                "method": "full-read-back",
                "status": "incomplete",
                "coverage": {"bytesRead": HDD_BYTES - lost - 4096, "bytesTotal": HDD_BYTES},
                "seed": None,
                "sampling": None,
                "evidence": "block-read-back",
                "secondReader": False,
                "passesReadBack": 0,
            },
            "healthBefore": health("reject", "2 048 reallocated sectors", "197 pending sectors"),
            "healthAfter": health("reject", "2 311 reallocated sectors", "6 pending sectors"),
            **changes,
        },
    )


def reported(bundle: Bundle, place: str | None = None) -> ReportedDrive:
    """The line of a machine report about the drive of a certificate."""
    claims = bundle.certificate
    drive, result = claims.drive, claims.result
    return ReportedDrive(
        manufacturer=drive.manufacturer,
        model=drive.model,
        serial=drive.serial,
        media_type=drive.media_type,
        transport=drive.transport,
        capacity_bytes=drive.capacity_bytes,
        block_device=drive.block_device,
        identity_sha256=claims.subject_digest(),
        place=place,
        is_station_medium=False,
        outcome=result.outcome,
        reason=result.reason,
        method=result.method,
        technique=result.technique,
        certificate=CertificateName(id=claims.id, payload_sha256=bundle.payload_sha256, station=None),
        health=claims.health_after,
        self_tests=(),
    )


def uncertified(serial: str | None, outcome: Outcome, reason: str, **changes: Any) -> ReportedDrive:
    """A drive to which nothing was done."""
    drive = ReportedDrive(
        manufacturer=None,
        model="SanDisk Ultra" if serial else None,
        serial=serial,
        media_type=None,
        transport=None,
        capacity_bytes=None,
        block_device="/dev/bus/0 megaraid,4",
        identity_sha256=None,
        place=None,
        is_station_medium=False,
        outcome=outcome,
        reason=reason,
        method=None,
        technique=None,
        certificate=None,
        health=msgspec.convert(health("unknown"), HealthClaims),
        self_tests=(),
    )
    return msgspec.structs.replace(drive, **changes)


def machine(world: TrustWorld, *drives: ReportedDrive, **changes: Any) -> Bundle:
    """The report on the machine that the drives were in."""
    # Replaced when it is signed.
    nobody = Station(name="", site="", operator=None, sequence=0, previous_sha256=None)
    report = MachineReport(
        format_version=FORMAT_VERSION,
        id=str(uuid.uuid4()),
        tool=Tool(name="rasura-agent", version="0.1.0", build=None),
        source=msgspec.convert(SOURCE, Source),
        location="Atelier de Grenoble",
        inventory=None,
        drives=drives,
        proposal=msgspec.convert(
            {
                "route": "reuse",
                "reasons": ["8 GB of memory and a good drive"],
                "windows11": "no",
                "windows11Reasons": ["no TPM 2.0"],
                "batteries": [],
                "override": None,
            },
            ProposalClaims,
        ),
        notes=("the memory modules could not be read without root",),
        started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T06:10:00Z",
        clock=Clock(source="simulated", offset_ms=None),
        not_before=None,
        station=nobody,
        supersedes=None,
    )
    return world.station.sign(lambda place: msgspec.structs.replace(report, station=place, **changes))


def six_drives(world: TrustWorld) -> tuple[Bundle, ...]:
    """A report on six drives, and the four certificates that it names."""
    drives = (hdd(world), hdd(world, "WCC6Y7GHIJKL"), ssd(world), partial(world))
    report = machine(
        world,
        *(reported(one, f"bay {number}") for number, one in enumerate(drives, 1)),
        uncertified("4C530001", Outcome.REFUSED, "it is the live medium", is_station_medium=True),
        uncertified(None, Outcome.UNHANDLED, "behind a RAID controller: nothing can reach it"),
    )
    bundles = (*drives, report)
    for one in bundles:
        assert contradictions(one.claims) == (), contradictions(one.claims)
    return tuple(world.logged(one) for one in bundles)
