"""smartctl's JSON document -> health. Pure, and ready for anything a document can hold.

Keys and values are those of smartmontools 7.0 to 7.5; a key that is missing or of another type is
``None``. Numbers that a counter cannot reach are dropped like garbage.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from rasura.strict_json import MAX_SAFE_INTEGER
from rasura_agent.drive.ata.smart import SelfTestStatus
from rasura_agent.health.model import (
    AtaAttribute,
    Failing,
    Health,
    NvmeHealth,
    Protocol,
    RunningTest,
    SasCounters,
    SelfTestEntry,
    TestResult,
    result_of,
)

__all__ = ["NVME_UNIT_BYTES", "Document", "count", "parse_document", "temperature"]

_PROTOCOLS = {"ATA": Protocol.ATA, "NVMe": Protocol.NVME, "SCSI": Protocol.SCSI}
NVME_UNIT_BYTES = 512_000
"""A data unit of the SMART log: thousands of 512 bytes (NVM Express Base 2.0, 5.16.1.3)."""
_GENERAL_STATISTICS, _SSD_STATISTICS = 1, 7
"""Pages of the ATA Device Statistics log (ACS-4, 9.5)."""
_ENDED = {
    SelfTestStatus.COMPLETED.value: TestResult.PASSED,
    SelfTestStatus.ABORTED_BY_HOST.value: TestResult.ABORTED,
    SelfTestStatus.INTERRUPTED_BY_RESET.value: TestResult.ABORTED,
    **dict.fromkeys(range(SelfTestStatus.FATAL_ERROR, SelfTestStatus.HANDLING_DAMAGE + 1), TestResult.FAILED),
    SelfTestStatus.IN_PROGRESS.value: TestResult.RUNNING,
}
_SCSI_TESTS = 20
"""Entries of the SCSI self-test results log page (SPC-5, 7.3.20)."""
_WRITTEN = {
    "Total_LBAs_Written": 512,
    "Host_Writes_32MiB": 32 << 20,
    "Total_Writes_32MiB": 32 << 20,
    "Host_Writes_MiB": 1 << 20,
    "Host_Writes_GiB": 1 << 30,
    "Lifetime_Writes_GiB": 1 << 30,
    "Total_Host_Writes_GiB": 1 << 30,
}
"""Attributes of smartctl's drive database that count writes, and their units in bytes."""
_LIFE_LEFT = (
    "SSD_Life_Left",
    "Percent_Lifetime_Remain",
    "Remaining_Lifetime_Perc",
    "Media_Wearout_Indicator",
    "Wear_Leveling_Count",
    "Drive_Life_Remaining%",
)
"""Attributes whose normalized value goes from 100 for a new solid-state drive down to 0."""


class Document(msgspec.Struct, frozen=True):
    """A smartctl document that could be read; ``health`` is ``None`` if it speaks of no drive's health."""

    health: Health | None
    kind: str | None
    """smartctl's own device type, for ``-d``."""
    messages: tuple[str, ...]
    version: str | None
    exit_status: int | None
    smart_available: bool | None
    smart_enabled: bool | None
    has_figures: bool
    """Whether anything about health is in it, beside who the drive is."""


def parse_document(raw: bytes) -> Document | str:
    """Read what ``smartctl --json`` printed; a string says why that is impossible."""
    try:
        root = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return "smartctl printed no JSON document" if raw.strip() else "smartctl printed nothing"
    if not isinstance(root, dict):
        return "smartctl printed JSON that is no document of a drive"
    protocol = _PROTOCOLS.get(_text(_at(root, "device", "protocol")) or "")
    health = _health(root, protocol) if protocol is not None else None
    version = [count(part) for part in _list(_at(root, "smartctl", "version"))]
    return Document(
        health=health,
        kind=_text(_at(root, "device", "type")),
        messages=tuple(
            text
            for one in _list(_at(root, "smartctl", "messages"))
            if (text := _text(_at(one, "string"))) is not None
        ),
        version=".".join(map(str, version)) if version and None not in version else None,
        exit_status=count(_at(root, "smartctl", "exit_status")),
        smart_available=_flag(_at(root, "smart_support", "available")),
        smart_enabled=_flag(_at(root, "smart_support", "enabled")),
        has_figures=health is not None and _has_figures(health),
    )


def _has_figures(health: Health) -> bool:
    bare = Health(
        health.protocol, model=health.model, serial=health.serial, temperature_c=health.temperature_c
    )
    return health != bare


def _health(root: dict[str, Any], protocol: Protocol) -> Health:
    attributes = _attributes(root) if protocol is Protocol.ATA else ()
    return Health(
        protocol=protocol,
        model=_text(root.get("model_name")) or _text(root.get("scsi_model_name")),
        serial=_text(root.get("serial_number")),
        passed=_flag(_at(root, "smart_status", "passed")),
        attributes=attributes,
        nvme=_nvme(root) if protocol is Protocol.NVME else None,
        sas=_sas(root) if protocol is Protocol.SCSI else None,
        errors_logged=_errors_logged(root),
        self_tests=_self_tests(root, protocol),
        running=_running(root, protocol),
        last_self_test=_last_self_test(root),
        temperature_c=temperature(_at(root, "temperature", "current")),
        power_on_hours=count(_at(root, "power_on_time", "hours")),
        bytes_written=_bytes_written(root, attributes),
        wear_percent=_wear(root, attributes),
        test_minutes=_test_minutes(root),
    )


def _attributes(root: dict[str, Any]) -> tuple[AtaAttribute, ...]:
    found = []
    for row in _list(_at(root, "ata_smart_attributes", "table")):
        number = count(_at(row, "id"))
        if number is None or not 1 <= number <= 255:
            continue
        raw = _text(_at(row, "raw", "string"))
        if raw is None:
            value = count(_at(row, "raw", "value"))
            raw = "" if value is None else str(value)
        failed = _at(row, "when_failed")
        found.append(
            AtaAttribute(
                id=number,
                name=_text(_at(row, "name")) or "Unknown_Attribute",
                value=count(_at(row, "value")),
                worst=count(_at(row, "worst")),
                threshold=count(_at(row, "thresh")),
                raw=raw,
                failing={"": Failing.NEVER, "past": Failing.PAST, "now": Failing.NOW}.get(str(failed)),
                prefailure=_flag(_at(row, "flags", "prefailure")),
            )
        )
    return tuple(found)


def _nvme(root: dict[str, Any]) -> NvmeHealth | None:
    log = root.get("nvme_smart_health_information_log")
    if not isinstance(log, dict):
        return None
    return NvmeHealth(
        critical_warning=count(log.get("critical_warning")),
        available_spare_percent=count(log.get("available_spare")),
        spare_threshold_percent=count(log.get("available_spare_threshold")),
        percentage_used=count(log.get("percentage_used")),
        media_errors=count(log.get("media_errors")),
    )


def _sas(root: dict[str, Any]) -> SasCounters | None:
    def uncorrected(kind: str) -> int | None:
        return count(_at(root, "scsi_error_counter_log", kind, "total_uncorrected_errors"))

    counters = SasCounters(
        grown_defects=count(root.get("scsi_grown_defect_list")),
        uncorrected_read=uncorrected("read"),
        uncorrected_write=uncorrected("write"),
        uncorrected_verify=uncorrected("verify"),
        non_medium_errors=count(_at(root, "scsi_error_counter_log", "non_medium_error", "count")),
    )
    return None if counters == SasCounters(None, None, None, None, None) else counters


def _errors_logged(root: dict[str, Any]) -> int | None:
    for kind in ("extended", "summary"):
        logged = count(_at(root, "ata_smart_error_log", kind, "count"))
        if logged is not None:
            return logged
    return None


def _self_tests(root: dict[str, Any], protocol: Protocol) -> tuple[SelfTestEntry, ...] | None:
    if protocol is Protocol.SCSI:
        entries = [_scsi_test(root.get(f"scsi_self_test_{number}")) for number in range(_SCSI_TESTS)]
        found = tuple(entry for entry in entries if entry is not None)
        return found or None
    if protocol is Protocol.NVME:
        log = root.get("nvme_self_test_log")
        if not isinstance(log, dict):
            return None
        # The newest is row 0, and rows that were never used are null or absent.
        rows = (_nvme_test(row) for row in _list(log.get("table")))
        return tuple(entry for entry in rows if entry is not None)
    for kind in ("extended", "standard"):
        log = _at(root, "ata_smart_self_test_log", kind)
        if isinstance(log, dict):
            rows = (_ata_test(row) for row in _list(log.get("table")))
            return tuple(entry for entry in rows if entry is not None)
    return None


def _ata_test(row: object) -> SelfTestEntry | None:
    status = _text(_at(row, "status", "string"))
    if status is None:
        return None
    passed = _at(row, "status", "passed")
    result = result_of(status)
    if passed is False and result is not TestResult.ABORTED:
        result = TestResult.FAILED
    return SelfTestEntry(
        kind=_text(_at(row, "type", "string")) or "unknown",
        result=result,
        status=status,
        hours=count(_at(row, "lifetime_hours")),
        lba=count(_at(row, "lba")),
    )


def _nvme_test(row: object) -> SelfTestEntry | None:
    status = _text(_at(row, "self_test_result", "string"))
    if status is None:
        return None
    return SelfTestEntry(
        kind=_text(_at(row, "self_test_code", "string")) or "unknown",
        result=result_of(status),
        status=status,
        hours=count(_at(row, "power_on_hours")),
        lba=count(_at(row, "lba")),
    )


def _scsi_test(row: object) -> SelfTestEntry | None:
    status = _text(_at(row, "result", "string"))
    if status is None:
        return None
    running = _at(row, "self_test_in_progress") is True
    return SelfTestEntry(
        kind=_text(_at(row, "code", "string")) or "unknown",
        result=TestResult.RUNNING if running else result_of(status),
        status=status,
        hours=count(_at(row, "power_on_time", "hours")),
        lba=count(_at(row, "lba_first_failure", "value")),
    )


def _running(root: dict[str, Any], protocol: Protocol) -> RunningTest | None:
    if protocol is Protocol.ATA:
        status = _at(root, "ata_smart_data", "self_test", "status")
        value = count(_at(status, "value"))
        if value is None or value >> 4 != SelfTestStatus.IN_PROGRESS:
            return None
        remaining = count(_at(status, "remaining_percent"))
        return RunningTest(None, 100 - (remaining if remaining is not None else (value & 0xF) * 10))
    if protocol is Protocol.NVME:
        operation = _at(root, "nvme_self_test_log", "current_self_test_operation")
        if not count(_at(operation, "value")):
            return None
        done = count(_at(root, "nvme_self_test_log", "current_self_test_completion_percent"))
        return RunningTest(_text(_at(operation, "string")), done)
    newest = _scsi_test(root.get("scsi_self_test_0"))
    if newest is None or newest.result is not TestResult.RUNNING:
        return None
    return RunningTest(newest.kind, None)


def _last_self_test(root: dict[str, Any]) -> TestResult | None:
    value = count(_at(root, "ata_smart_data", "self_test", "status", "value"))
    return _ENDED.get(value >> 4) if value is not None else None


def _test_minutes(root: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    polling = _at(root, "ata_smart_data", "self_test", "polling_minutes")
    minutes = []
    for ours, theirs in (("short", "short"), ("long", "extended"), ("conveyance", "conveyance")):
        told = count(_at(polling, theirs))
        if told:
            minutes.append((ours, told))
    seconds = count(root.get("scsi_extended_self_test_seconds"))
    if seconds:
        minutes.append(("long", -(-seconds // 60)))
    return tuple(minutes)


def _bytes_written(root: dict[str, Any], attributes: tuple[AtaAttribute, ...]) -> int | None:
    units = count(_at(root, "nvme_smart_health_information_log", "data_units_written"))
    if units is not None:
        return count(units * NVME_UNIT_BYTES)
    gigabytes = _at(root, "scsi_error_counter_log", "write", "gigabytes_processed")
    if isinstance(gigabytes, str):
        whole, _, part = gigabytes.partition(".")
        if whole.isascii() and whole.isdecimal() and len(whole) < 12:
            thousandths = int(part[:3].ljust(3, "0")) if part.isascii() and part.isdecimal() else 0
            return count((int(whole) * 1000 + thousandths) * 1_000_000)
    sector = count(root.get("logical_block_size")) or 512
    sectors = _statistic(root, _GENERAL_STATISTICS, "Logical Sectors Written")
    if sectors is not None:
        return count(sectors * sector)
    for one in attributes:
        unit = _WRITTEN.get(one.name)
        if unit is not None and one.count is not None:
            return count(one.count * (sector if one.name == "Total_LBAs_Written" else unit))
    return None


def _wear(root: dict[str, Any], attributes: tuple[AtaAttribute, ...]) -> int | None:
    for percent in (
        count(_at(root, "nvme_smart_health_information_log", "percentage_used")),
        count(root.get("scsi_percentage_used_endurance_indicator")),
        _statistic(root, _SSD_STATISTICS, "Percentage Used Endurance Indicator"),
        count(_at(root, "endurance_used", "current_percent")),
    ):
        if percent is not None and percent <= 255:
            return percent
    if count(root.get("rotation_rate")):
        return None
    by_name = {one.name: one.value for one in attributes}
    for name in _LIFE_LEFT:
        left = by_name.get(name)
        if left is not None and left <= 100:
            return 100 - left
    return None


def _statistic(root: dict[str, Any], page: int, name: str) -> int | None:
    for one in _list(_at(root, "ata_device_statistics", "pages")):
        if _at(one, "number") != page:
            continue
        for row in _list(_at(one, "table")):
            if _at(row, "name") == name and _at(row, "flags", "valid") is not False:
                return count(_at(row, "value"))
    return None


def _at(value: object, *keys: str) -> Any:
    """The member at the end of ``keys``, ``None`` where a step is missing or no object."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    """Text that can be signed: an escape of JSON can name half a character, which no encoding takes."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().strip() or None


def count(value: object) -> int | None:
    """A number that a counter can hold and a certificate can carry."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SAFE_INTEGER:
        return None
    return value


def temperature(value: object) -> int | None:
    """Degrees Celsius that a drive can have; -128, 0 kelvin and the like mean that it does not know."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -60 <= value <= 150 else None
