"""smartctl's documents and texts of real drives, as other projects captured them.

Every one is read without an exception. Where py-SMART's data set says what its parser makes of a text
(``device.json``), ours agrees, but for these, on purpose:

- ``assessment`` mixes the drive's own verdict with that on single attributes; ours is the drive's.
- ``bytesWritten`` comes from text rounded to three digits; ours is counted in data units.
- A data set of 2021 knows nothing of thousands separators that are no UTF-8; both read the number today.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rasura_agent.health.document import Document, parse_document
from rasura_agent.health.grade import Grade, grade, grade_table
from rasura_agent.health.model import Health, HealthReading, Protocol
from rasura_agent.health.text import read_text

pytestmark = pytest.mark.corpus

_NVME_TYPES = ("nvme", "sntasmedia", "sntjmicron", "sntrealtek")


def corpus(folder: str) -> Path:
    root = os.environ.get("RASURA_CORPUS")
    if root is None:
        pytest.skip("RASURA_CORPUS is not set")
    return Path(root) / folder


def documents() -> list[str]:
    root = os.environ.get("RASURA_CORPUS")
    return sorted(path.name for path in Path(root, "smartctl-json").glob("*.json")) if root else []


def texts() -> list[str]:
    root = os.environ.get("RASURA_CORPUS")
    if root is None:
        return []
    base = Path(root) / "smartctl-text"
    return sorted(str(path.relative_to(base)) for path in base.glob("*/*/*--all*"))


def verdict(health: Health | None) -> Grade:
    return grade(HealthReading("/dev/x", health, "unknown"), grade_table()).grade


GRADES = {
    "smart-ata-date.json": Grade.GOOD,
    # Scrutiny fails it for attributes that are not graded here (rates of its own model).
    "smart-ata-failed-scrutiny.json": Grade.GOOD,
    "smart-ata2.json": Grade.GOOD,
    "smart-fail2.json": Grade.REJECT,
    "smart-nvme.json": Grade.GOOD,
    "smart-pass.json": Grade.UNKNOWN,  # -H alone: no figures
    "smart-raid.json": Grade.UNKNOWN,  # a volume of a controller
    "smart-sat.json": Grade.UNKNOWN,  # -A alone: no verdict
    "smart-scsi.json": Grade.REJECT,  # 56 grown defects
    "smartctl_info_nvme.json": Grade.UNKNOWN,
    "smartctl_info_sata_smart_support_bool.json": Grade.UNKNOWN,
    "smartctl_scan_simple.json": Grade.UNKNOWN,
}


@pytest.mark.parametrize("name", documents() or ["none"])
def test_a_document_is_read_and_graded(name: str) -> None:
    raw = (corpus("smartctl-json") / name).read_bytes()
    document = parse_document(raw)
    assert isinstance(document, Document)
    root = json.loads(raw)
    health = document.health
    if health is not None:
        assert health.serial == root.get("serial_number")
        assert health.passed == root.get("smart_status", {}).get("passed")
        assert health.power_on_hours == root.get("power_on_time", {}).get("hours")
        for attribute in root.get("ata_smart_attributes", {}).get("table", []):
            ours = health.attribute(attribute["id"])
            assert ours is not None
            assert (ours.name, ours.value, ours.raw) == (
                attribute["name"],
                attribute["value"],
                attribute["raw"]["string"],
            )
    if name in GRADES:
        assert verdict(health) is GRADES[name]


def test_a_running_self_test_is_seen() -> None:
    document = parse_document((corpus("smartctl-json") / "smart-ata-date.json").read_bytes())
    assert isinstance(document, Document)
    assert document.health is not None
    assert document.health.running is not None
    assert document.health.running.done_percent == 90
    assert len(document.health.self_tests or ()) == 21


@pytest.mark.parametrize("name", texts() or ["none"])
def test_a_text_is_read_as_its_data_set_says(name: str) -> None:
    path = corpus("smartctl-text") / name
    raw = path.read_bytes()
    if raw.startswith(b"../"):
        # A link of the data set that was flattened to the path it leads to.
        linked = path.parent / raw.decode().strip()
        if not linked.exists():
            pytest.skip(f"{linked.name} is not in the corpus")
        raw = linked.read_bytes()
    kind = path.name.removeprefix("_-d_").split("_")[0]
    expected = expectation(path)
    if kind in _NVME_TYPES:
        protocol = Protocol.NVME
    elif kind in {"ata", "sat"} or kind.startswith("sat+"):
        protocol = Protocol.ATA
    else:
        protocol = Protocol.SCSI
    health = read_text(raw, "/dev/x", protocol)
    assert isinstance(health, Health), health
    assert verdict(health) is Grade.GOOD
    if not expected:
        return
    assert health.model == (expected["model"] or None)
    assert health.serial == (expected["serial"] or None)
    assert health.temperature_c == expected["temperature"]
    assert health.passed is {"PASS": True, "WARN": True, "FAIL": False, None: None}[expected["assessment"]]
    assert len(health.self_tests or ()) == len(expected["tests"])
    for theirs in filter(None, expected["attributes"]):
        ours = health.attribute(theirs["num"])
        assert ours is not None
        assert (ours.name, ours.value, ours.worst, ours.threshold) == (
            theirs["name"],
            int(theirs["value"]),
            theirs["worst"],
            theirs["thresh"],
        )
        assert ours.count == theirs["raw_int"]
    interface = expected["if_attributes"]
    if protocol is Protocol.NVME:
        assert health.nvme is not None
        assert health.nvme.critical_warning == interface["criticalWarning"]
        assert health.nvme.available_spare_percent == interface["availableSpare"]
        assert health.nvme.spare_threshold_percent == interface["availableSpareThreshold"]
        assert health.nvme.percentage_used == health.wear_percent == interface["percentageUsed"]
        assert health.nvme.media_errors == interface["integrityErrors"]
        assert health.power_on_hours == interface["powerOnHours"]
        assert health.bytes_written == pytest.approx(interface["bytesWritten"], rel=0.02)
    if protocol is Protocol.SCSI:
        assert health.sas is not None
        counters = expected["diagnostics"]
        assert health.sas.grown_defects == counters["Reallocated_Sector_Ct"]
        assert health.sas.uncorrected_read == counters["_Uncorrected_Reads"]
        assert health.sas.uncorrected_write == counters["_Uncorrected_Writes"]


def expectation(path: Path) -> dict[str, Any]:
    """What py-SMART's data set says of one drive; that of whole listings names drives in other files."""
    root = json.loads((path.parent / "device.json").read_bytes())
    values = root.get("values") if isinstance(root, dict) else None
    return values if isinstance(values, dict) else {}


@pytest.mark.parametrize("sample", ["sample1", "sample2", "sample5", "sample6", "sample7"])
def test_texts_of_old_smartctls(sample: str) -> None:
    """Information sections alone, from smartctl 5.38 on; nothing of health is in them, nothing is made up."""
    raw = (corpus("smartctl-info") / sample).read_bytes()
    for protocol in (Protocol.ATA, Protocol.NVME, Protocol.SCSI):
        health = read_text(raw, "/dev/x", protocol)
        assert isinstance(health, Health)
        assert verdict(health) is Grade.UNKNOWN
    assert isinstance(parse_document(raw), str)
