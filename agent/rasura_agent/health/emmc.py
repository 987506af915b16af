"""The health of eMMC drives, which smartctl cannot ask: what the kernel shows of their EXT_CSD register.

JESD84-B51 clause 7.4: DEVICE_LIFE_TIME_EST_TYP_A and _B [268:269], PRE_EOL_INFO [267]; since eMMC 5.0. The
kernel has them in sysfs as ``life_time`` and ``pre_eol_info`` (Documentation/ABI/testing/sysfs-bus-mmc). SD
cards have no such register.
"""

from __future__ import annotations

import hashlib
import json

from rasura_agent.drive.mmc.ext_csd import PreEol
from rasura_agent.health.model import EmmcHealth, Health, HealthEvidence, HealthReading, Protocol
from rasura_agent.inventory.model import Drive
from rasura_agent.inventory.ports import SystemFiles
from rasura_agent.inventory.sysfs import word

__all__ = ["read_emmc"]

_TOLD = ("life_time", "pre_eol_info", "type", "name", "serial", "fwrev", "date")
_LONGEST = range(0x01, 0x0C)
"""01h to 0Ah: up to so many tenths of the estimated life; 0Bh: more than all of it; 00h: not defined."""


def read_emmc(drive: Drive, files: SystemFiles) -> HealthReading:
    """Ask one eMMC drive or SD card. Never raises."""
    folder = f"/sys/block/{drive.path.rpartition('/')[2]}/device"
    told = {name: text for name in _TOLD if (text := word(files, f"{folder}/{name}")) is not None}
    if told.get("type") == "SD":
        return HealthReading(drive.path, None, "an SD card tells nothing of its health")
    bands = tuple(map(_band, told.get("life_time", "").split()))
    pre_eol = _number(told.get("pre_eol_info", ""))
    known = PreEol(pre_eol) if pre_eol in list(PreEol) else None
    lives = [band for band in bands[:2] if band is not None]
    if not lives and known is None:
        return HealthReading(drive.path, None, "the drive told nothing of its health")
    document = json.dumps({"folder": folder, "read": told}, sort_keys=True).encode()
    health = Health(
        protocol=Protocol.MMC,
        model=drive.model,
        serial=drive.serial,
        # Its own verdict: whether the reserve that replaces bad blocks comes to its end.
        passed=known is not PreEol.URGENT if known is not None else None,
        emmc=EmmcHealth(known.value if known is not None else None),
        wear_percent=max(lives, default=None),
    )
    evidence = HealthEvidence(
        command=("cat", *(f"{folder}/{name}" for name in told)),
        exit_status=0,
        document=document,
        sha256=hashlib.sha256(document).hexdigest(),
        tool="sysfs of the kernel",
    )
    return HealthReading(drive.path, health, None, (), evidence)


def _band(text: str) -> int | None:
    """The upper end of the band of its estimated life that is used, in percent; 110 for more than all."""
    value = _number(text)
    return value * 10 if value in _LONGEST else None


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
