"""What the parts of the simulated eMMC device share: registers, status bits, options, faults.

Numbers are those of JESD84-B51: device status clause 6.13 (table 68), EXT_CSD clause 7.4, erase commands
clause 6.6.9 to 6.6.12 (ERASE, TRIM, sanitize, discard). Nothing here comes from the code under test.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from simulators.world import Medium

SECTOR = 512
BOOT_UNIT = 128 * 1024
"""Bytes that BOOT_SIZE_MULT and RPMB_SIZE_MULT count."""
HC_ERASE_UNIT = 512 * 1024
"""Bytes that HC_ERASE_GRP_SIZE counts."""
RCA = 1
"""The relative address Linux gives an eMMC device."""


class Cmd(IntEnum):
    """Command indexes this device knows in the transfer state."""

    SWITCH = 6
    SEND_EXT_CSD = 8
    SEND_STATUS = 13
    SET_WRITE_PROT = 28
    CLR_WRITE_PROT = 29
    SEND_WRITE_PROT = 30
    ERASE_GROUP_START = 35
    ERASE_GROUP_END = 36
    ERASE = 38


class Bit(IntEnum):
    """Device status, R1 bits (JESD84-B51 table 68); combined they are plain integers, which are fast."""

    ADDRESS_OUT_OF_RANGE = 1 << 31
    ADDRESS_MISALIGN = 1 << 30
    ERASE_SEQ_ERROR = 1 << 28
    ERASE_PARAM = 1 << 27
    WP_VIOLATION = 1 << 26
    ILLEGAL_COMMAND = 1 << 22
    DEVICE_ECC_FAILED = 1 << 21
    ERROR = 1 << 19
    WP_ERASE_SKIP = 1 << 15
    ERASE_RESET = 1 << 13
    READY_FOR_DATA = 1 << 8
    SWITCH_ERROR = 1 << 7


STATE_TRAN, STATE_PRG = 4, 7
"""CURRENT_STATE, R1 bits 12:9: transfer, programming (busy)."""


class Area(IntEnum):
    """PARTITION_ACCESS, PARTITION_CONFIG[179] bits 2:0."""

    USER = 0
    BOOT_1 = 1
    BOOT_2 = 2
    RPMB = 3


class Reg(IntEnum):
    """EXT_CSD bytes this device gives a meaning."""

    SECURE_REMOVAL_TYPE = 16
    FLUSH_CACHE = 32
    CACHE_CTRL = 33
    POWER_OFF_NOTIFICATION = 34
    PARTITION_SETTING_COMPLETED = 155
    PARTITIONING_SUPPORT = 160
    RST_N_FUNCTION = 162
    BKOPS_EN = 163
    BKOPS_START = 164
    SANITIZE_START = 165
    RPMB_SIZE_MULT = 168
    USER_WP = 171
    BOOT_WP = 173
    BOOT_WP_STATUS = 174
    ERASE_GROUP_DEF = 175
    BOOT_BUS_CONDITIONS = 177
    PARTITION_CONFIG = 179
    ERASED_MEM_CONT = 181
    BUS_WIDTH = 183
    HS_TIMING = 185
    POWER_CLASS = 187
    EXT_CSD_REV = 192
    CSD_STRUCTURE = 194
    DEVICE_TYPE = 196
    PARTITION_SWITCH_TIME = 199
    SEC_COUNT = 212
    HC_WP_GRP_SIZE = 221
    ERASE_TIMEOUT_MULT = 223
    HC_ERASE_GRP_SIZE = 224
    BOOT_SIZE_MULT = 226
    SEC_TRIM_MULT = 229
    SEC_ERASE_MULT = 230
    SEC_FEATURE_SUPPORT = 231
    TRIM_MULT = 232
    GENERIC_CMD6_TIME = 248
    FIRMWARE_VERSION = 254
    PRE_EOL_INFO = 267
    LIFE_TIME_EST_A = 268
    LIFE_TIME_EST_B = 269
    S_CMD_SET = 504


SECURE_ER_EN, SEC_BD_BLK_EN, SEC_GB_CL_EN, SEC_SANITIZE = 1 << 0, 1 << 2, 1 << 4, 1 << 6
"""SEC_FEATURE_SUPPORT[231]."""
REV_4_5 = 6
"""EXT_CSD_REV from which discard and sanitize exist."""

RSP_PRESENT, RSP_136, RSP_CRC, RSP_BUSY, RSP_OPCODE = 1, 2, 4, 8, 16
RSP_R1 = RSP_PRESENT | RSP_CRC | RSP_OPCODE
RSP_MASK = RSP_R1 | RSP_136 | RSP_BUSY
CMD_TYPE_MASK, CMD_AC, CMD_ADTC = 3 << 5, 0 << 5, 1 << 5
"""Response and command type flags of ``linux/mmc/core.h``: what the host controller was told to expect."""


class MmcBusError(Exception):
    """The host controller got no valid answer; ``timed_out`` or a garbled one."""

    def __init__(self, why: str, *, timed_out: bool) -> None:
        super().__init__(why)
        self.timed_out = timed_out


class DeviceGoneError(Exception):
    """Nothing is at the other end of the bus."""


class MmcOptions(msgspec.Struct, frozen=True):
    """What the device is. Times are simulated seconds."""

    name: str = "SIMMMC"
    serial: int = 0x12345678
    manufacturer_id: int = 0x15
    firmware: bytes = b"\x01\0\0\0\0\0\0\0"
    ext_csd_rev: int = 8
    sec_feature_support: int = SECURE_ER_EN | SEC_BD_BLK_EN | SEC_GB_CL_EN | SEC_SANITIZE
    erased_mem_cont: int = 0
    """What erased memory reads as: 0 zeros, 1 ones."""
    hc_erase_grp_size: int = 1
    """High-capacity erase group in units of 512 KiB, used once ERASE_GROUP_DEF is 1."""
    csd_erase_group_sectors: int = 8
    """The erase group of the CSD register, used while ERASE_GROUP_DEF is 0."""
    wp_group_sectors: int = 16
    byte_addressed: bool = False
    """A device of 2 GiB or less: addresses are bytes."""
    pre_eol_info: int = 1
    life_time_a: int = 2
    life_time_b: int = 1
    erase_seconds: float = 0.3
    secure_erase_seconds: float = 20.0
    sanitize_seconds: float = 30.0
    switch_seconds: float = 0.0
    sanitizes_boot: bool = True
    """Whether sanitize covers what boot partitions unmapped, too."""
    discard_unmaps: float = 0.0
    """The leading fraction of a discarded range that discard unmaps; the rest stays readable."""


class MmcFaults(msgspec.Struct):
    """What the device does wrong; a test may change it at any moment."""

    sanitize_lies: bool = False
    """Sanitize takes its time and reports success, and removes nothing."""
    sanitize_sticks: bool = False
    """Sanitize is busy for ever."""
    erase_leaves: range | None = None
    """Sectors of any area that every kind of erase leaves readable."""
    reverts_on_power_cycle: bool = False
    """The mapping goes back at power-on: what was unmapped and is still in the chips is readable again."""
    power_cut_at: float | None = None
    """The power goes at this fraction of the next erase or sanitize."""


class EmmcArea(msgspec.Struct):
    """One partition: what the host reads, and what the chips still hold of what it no longer reads."""

    area: Area
    medium: Medium
    unmapped: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    """(byte offset, former content), oldest first."""
    protected_groups: set[int] = msgspec.field(default_factory=set)
    """Write-protect groups protected until power-on (CMD28)."""
    protected: bool = False
    """The whole area (BOOT_WP)."""
    protected_for_good: bool = False
    marked: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """Byte ranges marked by secure trim step 1."""

    @property
    def is_protected(self) -> bool:
        """Whether the area as a whole refuses writes."""
        return self.protected or self.protected_for_good

    def unmap(self, start: int, end: int, erased: int) -> None:
        """Erase bytes ``start`` to ``end`` for the host; the chips keep what was there."""
        self.remember(start, end)
        self.medium.data[start:end] = bytes([erased]) * (end - start)

    def remember(self, start: int, end: int) -> None:
        """Keep what the chips hold at ``start`` to ``end`` before it is remapped."""
        old = bytes(self.medium.data[start:end])
        if old and old.count(old[0]) != len(old):  # nothing worth finding in one repeated byte
            self.unmapped.append((start, old))

    def purge(self, start: int, end: int, erased: int) -> None:
        """Erase bytes ``start`` to ``end`` and remove every former copy of them from the chips."""
        self.medium.data[start:end] = bytes([erased]) * (end - start)
        kept = []
        for at, old in self.unmapped:
            for first, last in without((at, at + len(old)), start, end):
                kept.append((first, old[first - at : last - at]))
        self.unmapped[:] = kept

    def revert(self) -> None:
        """Map everything unmapped back, newest first, so that the oldest content wins."""
        for start, old in reversed(self.unmapped):
            self.medium.data[start : start + len(old)] = old
        self.unmapped.clear()


def without(one: tuple[int, int], start: int, end: int) -> list[tuple[int, int]]:
    """The range ``one`` less ``start`` to ``end``."""
    parts = [(one[0], min(one[1], start)), (max(one[0], end), one[1])]
    return [part for part in parts if part[0] < part[1]]
