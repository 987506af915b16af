"""The claims that the vectors start from, written out: nothing of the agent makes them."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable
from typing import Any

__all__ = [
    "CAPACITY",
    "certificate",
    "drive_digest",
    "edited",
    "overwrite",
    "report",
    "sanitized",
    "side_kind",
    "statement",
]

CAPACITY = 500_107_862_016
PAGE = b"rasura test vector: what a drive says of itself, "
UNKNOWN = {"before": "unknown", "after": "unknown"}
NOBODY = dict.fromkeys(("name", "title", "organization", "location", "contact", "date", "signature"))
SOURCE = {
    "hostManufacturer": "Example",
    "hostModel": "Tower 1",
    "hostSerial": "HOST-1",
    "hostUuid": None,
    "assetTag": None,
    "lot": "LOT-1",
}
TOOL = {"name": "rasura-agent", "version": "0.1.0", "build": None}
CLOCK = {"source": "rtc", "offsetMs": None}


def drive_digest(serial: str) -> str:
    """The subject digest of the drive with this serial number."""
    page = PAGE + serial.encode()
    return hashlib.sha256(b"vector-page\0" + len(page).to_bytes(8, "big") + page).hexdigest()


def certificate(station: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An overwritten hard disk, and ``changes`` by path: ``result__method="Purge"``."""
    serial = changes.pop("serial", "VECTOR-1")
    page = base64.b64encode(PAGE + serial.encode()).decode()
    predicate = {
        "formatVersion": "1.0",
        "id": "00000000-0000-4000-8000-000000000001",
        "tool": TOOL,
        "drive": {
            "manufacturer": "Example",
            "model": "Disk 500",
            "serial": serial,
            "wwn": "5000c500a1b2c3d4",
            "firmware": "1.0",
            "propertyNumber": None,
            "mediaType": "hdd",
            "transport": "sata",
            "rotational": True,
            "removable": False,
            "capacityBytes": CAPACITY,
            "nativeCapacityBytes": None,
            "logicalSectorBytes": 512,
            "physicalSectorBytes": 4096,
            "hiddenAreas": {"hpa": UNKNOWN, "ama": UNKNOWN, "dco": UNKNOWN},
            "namespaces": None,
            "blockDevice": "/dev/sda",
            "identityPages": [{"name": "vector-page", "data": page}],
        },
        "source": SOURCE,
        "preErasureCategorization": None,
        "request": {
            "policy": "vector",
            "policySha256": "0" * 64,
            "method": "Clear",
            "technique": None,
            "weakerAllowed": False,
            "readBack": "full",
        },
        "plan": {
            "technique": "overwrite",
            "method": "Clear",
            "basis": "NIST SP 800-88r2 Clear",
            "passes": ["zero"],
            "estimateMs": None,
            "passedOver": [],
            "scheme": None,
        },
        "result": {
            "outcome": "ERASED",
            "reason": None,
            "method": "Clear",
            "technique": "overwrite",
            "basis": "NIST SP 800-88r2 Clear",
            "passes": [zeros(CAPACITY)],
            "bytesWritten": CAPACITY,
            "errorRanges": [],
            "startedAt": "2026-03-02T08:00:00Z",
            "finishedAt": "2026-03-02T10:00:00Z",
            "durationMs": 7_200_000,
            "clock": CLOCK,
            "resumed": None,
        },
        "verification": {
            "method": "full-read-back",
            "status": "complete",
            "coverage": {"bytesRead": CAPACITY, "bytesTotal": CAPACITY},
            "seed": None,
            "sampling": None,
            "evidence": "block-read-back",
            "secondReader": False,
            "passesReadBack": 1,
        },
        "verifiedBy": NOBODY,
        "validation": {"decision": "awaiting decision", "person": NOBODY},
        "destination": None,
        "residualRisks": ["remapped-sectors: sectors that the drive has taken out of use are not reached"],
        "healthBefore": None,
        "healthAfter": None,
        "healthChanges": [],
        "commands": [],
        "commandsOmitted": 0,
        "notBefore": None,
        "station": station,
        "supersedes": None,
    }
    return edited(predicate, **changes)


def zeros(size: int, **changes: Any) -> dict[str, Any]:
    """A pass of zeros over so many bytes."""
    one = {"pattern": "zero", "cipher": None, "bytesWritten": size, "durationMs": 3_600_000}
    return {**one, "bytesOffloaded": 0, **changes}


def command(name: str, disposition: str = "done") -> dict[str, Any]:
    """A device command, and how it ended."""
    detail = "status 0000h" if disposition == "done" else "status 4002h"
    return {"name": name, "atMs": 0, "tookMs": 12, "disposition": disposition, "detail": detail}


def sanitized(station: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An NVMe drive purged by its own command, checked by marks and samples."""
    sampling = {
        "sections": 1000,
        "reads": 2002,
        "plannedBytes": 1_000_000_000,
        "wholeScheme": False,
        "granuleBytes": 4096,
        "witnesses": 200_000,
        "content": "zero",
        "entropyBefore": 7900,
        "entropyAfter": 0,
    }
    return certificate(
        station,
        **{
            "drive__mediaType": "ssd",
            "drive__transport": "nvme",
            "drive__rotational": False,
            "request__method": "Purge",
            "plan__technique": "nvme-sanitize-block-erase",
            "plan__method": "Purge",
            "plan__basis": "IEEE 2883 / NIST SP 800-88r2 Purge",
            "plan__passes": [],
            "result__method": "Purge",
            "result__technique": "nvme-sanitize-block-erase",
            "result__basis": "IEEE 2883 / NIST SP 800-88r2 Purge",
            "result__passes": [],
            "result__bytesWritten": 0,
            "verification__method": "markers-and-samples",
            "verification__coverage": {"bytesRead": 1_000_000_000, "bytesTotal": CAPACITY},
            "verification__seed": "00" * 16,
            "verification__sampling": sampling,
            "verification__evidence": "drive-report-and-spots",
            "verification__passesReadBack": None,
            "commands": [command("SANITIZE BLOCK ERASE")],
            **changes,
        },
    )


def overwrite(serial: str, name: str, digest: str) -> dict[str, Any]:
    """How a machine report lists an overwritten drive with its certificate."""
    return {
        "manufacturer": "Example",
        "model": "Disk 500",
        "serial": serial,
        "mediaType": "hdd",
        "transport": "sata",
        "capacityBytes": CAPACITY,
        "blockDevice": "/dev/sda",
        "identitySha256": drive_digest(serial),
        "place": None,
        "isStationMedium": False,
        "outcome": "ERASED",
        "reason": None,
        "method": "Clear",
        "technique": "overwrite",
        "certificate": {"id": name, "payloadSha256": digest, "station": None},
        "health": None,
        "selfTests": [],
    }


def report(station: dict[str, Any], drives: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A machine report over ``drives``."""
    predicate = {
        "formatVersion": "1.0",
        "id": "00000000-0000-4000-8000-0000000000ff",
        "tool": TOOL,
        "source": SOURCE,
        "location": None,
        "inventory": None,
        "drives": drives,
        "proposal": None,
        "notes": [],
        "startedAt": "2026-03-02T08:00:00Z",
        "finishedAt": "2026-03-02T10:05:00Z",
        "clock": CLOCK,
        "notBefore": None,
        "station": station,
        "supersedes": None,
    }
    return edited(predicate, **changes)


def statement(predicate: dict[str, Any]) -> dict[str, Any]:
    """The in-toto Statement around a predicate, its subject as the claims have it."""
    if "signer" in predicate:
        document = predicate.get("document")
        kind = side_kind(predicate)
        name = document["kind"] if document else "key"
        sha256 = document["payloadSha256"] if document else predicate["key"]
    elif "drives" in predicate:
        kind, name, digest = "machine-report", "machine:HOST-1", hashlib.sha256()
        for field, value in (("manufacturer", "Example"), ("model", "Tower 1"), ("serial", "HOST-1")):
            digest.update(f"{field}\0".encode() + len(value).to_bytes(8, "big") + value.encode())
        sha256 = digest.hexdigest()
    else:
        serial = predicate["drive"]["serial"]
        kind, name, sha256 = "erasure-certificate", f"drive:{serial}", drive_digest(serial)
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": f"urn:rasura:{kind}:v1",
        "predicate": predicate,
    }


def side_kind(predicate: dict[str, Any]) -> str:
    """Which side statement a predicate is."""
    kinds = {
        "decision": "validation",
        "field": "correction",
        "replacement": "supersession",
        "key": "revocation",
    }
    return next(kind for member, kind in kinds.items() if member in predicate)


def edited(tree: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with values replaced by path; a function is given the old value; ``...`` drops the member."""
    tree = copy.deepcopy(tree)
    for path, value in changes.items():
        *parents, last = path.split("__") if not path.startswith("_") else [path]
        place: Any = tree
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        key: Any = int(last) if isinstance(place, list) else last
        if value is ...:
            del place[key]
        elif isinstance(value, Callable):  # type: ignore[arg-type]
            place[key] = value(place[key])
        else:
            place[key] = value
    return tree
