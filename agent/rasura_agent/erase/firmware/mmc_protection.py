"""Whether parts of an eMMC are write protected, asked before anything is erased.

An erase skips protected groups and tells so in one bit (WP_ERASE_SKIP) of the next status only. On a
host controller that cannot sense the busy signal, Linux polls the status itself and so takes that bit
away: the erase would look complete. So the groups are asked for beforehand.
"""

from __future__ import annotations

from rasura_agent.drive.mmc.commands import R1, ResponseFlags
from rasura_agent.drive.mmc.ext_csd import SECTOR_BYTES, ExtCsd
from rasura_agent.drive.port import Disposition, MmcCommand
from rasura_agent.erase.firmware.line import CommandRecord, Line
from rasura_agent.erase.firmware.mmc_capabilities import MmcArea, MmcCapabilities
from rasura_agent.sentence import Sentence, text_alone

__all__ = ["boot_protection", "group_protection"]

_SEND_WRITE_PROT = 30
_GROUPS_AT_ONCE = 32
_ANSWER_BYTES = 4

_UNTIL_POWER_ON = Sentence("a boot partition is write protected until the next power-on")
_FOR_GOOD = Sentence("a boot partition is write protected for good")

_BOOT_WP_EN = {1 << 0: _UNTIL_POWER_ON, 1 << 2: _FOR_GOOD}
"""BOOT_WP [173]: B_PWR_WP_EN and B_PERM_WP_EN (JESD84-B51 clause 7.4.60)."""
_BOOT_WP_STATUS = {1: _UNTIL_POWER_ON, 2: _FOR_GOOD}
"""BOOT_WP_STATUS [174], two bits an area; 0 is not protected (clause 7.4.59). Only there from eMMC 5.0 on."""


def boot_protection(ext_csd: ExtCsd) -> str | None:
    """Whether the register says that a boot partition is write protected, in a sentence; else ``None``."""
    if not ext_csd.boot_partition_bytes:
        return None
    found = [words for bit, words in _BOOT_WP_EN.items() if ext_csd.boot_write_protection & bit]
    for value in (
        ext_csd.boot_write_protection_status & 0b11,
        ext_csd.boot_write_protection_status >> 2 & 0b11,
    ):
        if value:
            unknown = Sentence(
                "a boot partition is write protected in a way that the register does not explain"
            )
            found.append(_BOOT_WP_STATUS.get(value, unknown))
    return found[-1] if found else None


def group_protection(line: Line, capabilities: MmcCapabilities, area: MmcArea, size: int) -> str | None:
    """Which protection CMD30 finds in a partition, or why it cannot be told; ``None`` if there is none.

    The device tells 32 write-protect groups at a time, those beyond the end as unprotected. It is not
    for boot partitions, which take no command of that class. The questions about a partition make one
    record.
    """
    unit = SECTOR_BYTES if capabilities.ext_csd.block_addressed else 1
    step = capabilities.write_protect_group_bytes * _GROUPS_AT_ONCE
    if not step:
        return Sentence("the size of the write-protect groups of {area} is not known", area=area.words)
    at, asked, disposition = line.elapsed_s, 0, Disposition.DONE
    problem: str | None = None
    for address in range(0, size, step):
        completion = line.port.execute(_send_write_prot(address // unit))
        asked += 1
        if completion.disposition is not Disposition.DONE or len(completion.data) != _ANSWER_BYTES:
            disposition = completion.disposition
            problem = Sentence(
                "whether {area} is write protected cannot be told ({detail})",
                area=area.words,
                detail=completion.detail,
            )
            break
        if any(completion.data):
            problem = Sentence(
                "a part of {area} is write protected, from byte {address} on",
                area=area.words,
                address=address,
            )
            break
    name = f"SEND_WRITE_PROT x {asked}"
    detail = text_alone(problem) or "no group is write protected"
    line.records.append(CommandRecord(name, at, line.elapsed_s - at, disposition, detail))
    return problem


def _send_write_prot(address: int) -> MmcCommand:
    """CMD30 (JESD84-B51 clause 6.10, class 6): the protection bits of 32 groups from ``address`` on."""
    return MmcCommand(
        "SEND_WRITE_PROT",
        _SEND_WRITE_PROT,
        arg=address,
        flags=R1 | ResponseFlags.ADTC,
        data_in_bytes=_ANSWER_BYTES,
        block_bytes=_ANSWER_BYTES,
    )
