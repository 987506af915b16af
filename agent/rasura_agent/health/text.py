"""smartctl's text -> health, as pySMART reads it.

pySMART asks a runner for the output of smartctl; ours hands it what was run already, once, by
:mod:`rasura_agent.health.smartctl`. So nothing here can hang, and everything pySMART thinks of asking
besides (which link the drive has) is not asked of a drive that may be dying.
"""

from __future__ import annotations

import re

from pySMART import Device
from pySMART.interface.ata import AtaAttributes
from pySMART.interface.nvme import NvmeAttributes
from pySMART.interface.scsi import SCSIAttributes
from pySMART.interface.scsi.diagnostics import Diagnostics

from rasura_agent.health.document import NVME_UNIT_BYTES, count, temperature
from rasura_agent.health.model import (
    AtaAttribute,
    Failing,
    Health,
    NvmeHealth,
    Protocol,
    RunningTest,
    SasCounters,
    SelfTestEntry,
    result_of,
)

__all__ = ["read_text"]

_FAILING = {"-": Failing.NEVER, "In_the_past": Failing.PAST, "FAILING_NOW": Failing.NOW}
_INTEGER = re.compile(r"\d{1,18}")
_NON_MEDIUM = re.compile(r"^Non-medium error count:\s+(\d{1,18})\s*$", re.MULTILINE)


class _OneAnswer:
    """What pySMART takes for its ``Smartctl``: it knows the answer to ``--all`` and to nothing else."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def all(self, _disk: str, _interface: str | None = None) -> list[str]:
        return list(self._lines)

    def generic_call(self, _params: list[str], _pass_options: bool = False) -> tuple[list[str], int]:
        return [], 1

    try_generic_call = generic_call


def read_text(output: bytes, path: str, protocol: Protocol) -> Health | str:
    """What pySMART makes of the output of ``smartctl --all``; a string says why it can make nothing."""
    try:
        printed = output.decode("utf-8")
    except UnicodeDecodeError:
        # What is no UTF-8 is a thousands separator or a strange letter in a name.
        printed = output.decode("ascii", "ignore")
    lines = printed.splitlines()
    try:
        device = Device(path, interface=protocol.value, smartctl=_OneAnswer(lines))
        return _health(device, protocol, printed)
    except Exception as error:  # noqa: BLE001  it scrapes text that a broken drive wrote: anything can come out
        return f"pySMART cannot read what smartctl printed ({type(error).__name__}: {error})"


def _health(device: Device, protocol: Protocol, printed: str) -> Health:
    found = device.if_attributes
    attributes = _attributes(found) if isinstance(found, AtaAttributes) else ()
    nvme = found if isinstance(found, NvmeAttributes) else None
    sas = found.diagnostics if isinstance(found, SCSIAttributes) and protocol is Protocol.SCSI else None
    written = None
    if nvme is not None and nvme.dataUnitsWritten is not None:
        written = count(nvme.dataUnitsWritten * NVME_UNIT_BYTES)
    elif sas is not None and sas._Writes_GB is not None:  # noqa: SLF001  its property calls 10^9 bytes 2^30
        written = count(round(sas._Writes_GB * 1000) * 1_000_000)  # noqa: SLF001
    wear = count(nvme.percentageUsed) if nvme is not None else None
    if sas is not None and sas.Life_Left is not None:
        wear = count(100 - sas.Life_Left)
    hours = nvme.powerOnHours if nvme is not None else sas.Power_On_Hours if sas is not None else None
    return Health(
        protocol=protocol,
        model=device.model or None,
        serial=device.serial or None,
        passed=_passed(device, attributes),
        attributes=attributes,
        nvme=_nvme(nvme) if nvme is not None else None,
        sas=_sas(sas, printed) if sas is not None else None,
        self_tests=tuple(_test(one) for one in device.tests if one.status != "Running") or None,
        running=RunningTest(None, count(device._test_progress)) if device._test_running else None,  # noqa: SLF001
        temperature_c=temperature(device.temperature),
        power_on_hours=count(hours),
        bytes_written=written,
        wear_percent=wear,
    )


def _passed(device: Device, attributes: tuple[AtaAttribute, ...]) -> bool | None:
    """The overall verdict alone: pySMART also says FAIL or WARN where it is about single attributes."""
    if device.assessment is None:
        return None
    if device.assessment != "FAIL":
        return True
    return None if any(one.failing is Failing.NOW for one in attributes) else False


def _attributes(found: AtaAttributes) -> tuple[AtaAttribute, ...]:
    return tuple(
        AtaAttribute(
            id=one.num,
            name=one.name,
            value=one.value_int,
            worst=one.worst,
            threshold=one.thresh,
            raw=one.raw.strip(),
            failing=_FAILING.get(one.when_failed),
            prefailure={"Pre-fail": True, "Old_age": False}.get(one.type),
        )
        for one in found.legacyAttributes
        if one is not None
    )


def _nvme(found: NvmeAttributes) -> NvmeHealth:
    return NvmeHealth(
        critical_warning=count(found.criticalWarning),
        available_spare_percent=count(found.availableSpare),
        spare_threshold_percent=count(found.availableSpareThreshold),
        percentage_used=count(found.percentageUsed),
        media_errors=count(found.integrityErrors),
    )


def _sas(found: Diagnostics, printed: str) -> SasCounters:
    # pySMART 1.4.3 looks for this line in lower case, and smartctl's JSON lacks it.
    non_medium = _NON_MEDIUM.search(printed)
    return SasCounters(
        grown_defects=count(found.Reallocated_Sector_Ct),
        uncorrected_read=count(found.Uncorrected_Reads),
        uncorrected_write=count(found.Uncorrected_Writes),
        uncorrected_verify=count(found.Uncorrected_Verifies),
        non_medium_errors=count(int(non_medium[1])) if non_medium else count(found.Non_Medium_Errors),
    )


def _test(entry: object) -> SelfTestEntry:
    status = str(getattr(entry, "status", ""))
    return SelfTestEntry(
        kind=str(getattr(entry, "type", "unknown")),
        result=result_of(status),
        status=status,
        hours=_integer(getattr(entry, "hours", None)),
        lba=_integer(getattr(entry, "LBA", None)),
    )


def _integer(value: object) -> int | None:
    match = _INTEGER.fullmatch(str(value).strip())
    return count(int(match[0])) if match else None
