"""EXT_CSD of a simulated eMMC device, and what SWITCH may change in it (JESD84-B51 clauses 6.6.1 and 7.4)."""

from __future__ import annotations

import struct

from simulators.mmc_erase import EraseUnit
from simulators.mmc_types import BOOT_UNIT, Area, EmmcArea, MmcOptions, Reg

# SWITCH may store these and nothing happens: bus, power and background settings without a meaning here.
_PLAIN_REGISTERS = frozenset(
    {
        Reg.CACHE_CTRL,
        Reg.POWER_OFF_NOTIFICATION,
        Reg.BKOPS_EN,
        Reg.BOOT_BUS_CONDITIONS,
        Reg.BUS_WIDTH,
        Reg.HS_TIMING,
        Reg.POWER_CLASS,
    }
)
_COMMAND_REGISTERS = frozenset({Reg.FLUSH_CACHE, Reg.BKOPS_START})
"""Writing them starts something that is over at once here; no value stays."""
_VOLATILE_REGISTERS = (
    Reg.CACHE_CTRL,
    Reg.POWER_OFF_NOTIFICATION,
    Reg.BUS_WIDTH,
    Reg.HS_TIMING,
    Reg.POWER_CLASS,
    Reg.ERASE_GROUP_DEF,
)
_SET_BITS, _CLEAR_BITS, _WRITE_BYTE = 1, 2, 3
US_PWR_WP_EN, US_PERM_WP_EN = 1 << 0, 1 << 2
_B_PWR_WP_EN, _B_PERM_WP_EN, _B_PERM_WP_DIS, _B_PWR_WP_DIS = 1 << 0, 1 << 2, 1 << 4, 1 << 6
_PARTITION_ACCESS = 7


class Registers:
    """The 512 bytes of EXT_CSD."""

    def __init__(self, areas: dict[Area, EmmcArea], options: MmcOptions, eraser: EraseUnit) -> None:
        self._areas = areas
        self._eraser = eraser
        self.raw = bytearray(512)
        for register, value in (
            (Reg.SECURE_REMOVAL_TYPE, 0x01),
            (Reg.PARTITIONING_SUPPORT, 0x07),
            (Reg.ERASED_MEM_CONT, options.erased_mem_cont),
            (Reg.EXT_CSD_REV, options.ext_csd_rev),
            (Reg.CSD_STRUCTURE, 2),
            (Reg.DEVICE_TYPE, 0x57),
            (Reg.PARTITION_SWITCH_TIME, 10),
            (Reg.HC_WP_GRP_SIZE, 1),
            (Reg.ERASE_TIMEOUT_MULT, 1),
            (Reg.HC_ERASE_GRP_SIZE, options.hc_erase_grp_size),
            (Reg.SEC_TRIM_MULT, 10),
            (Reg.SEC_ERASE_MULT, 10),
            (Reg.SEC_FEATURE_SUPPORT, options.sec_feature_support),
            (Reg.TRIM_MULT, 1),
            (Reg.GENERIC_CMD6_TIME, 10),
            (Reg.PRE_EOL_INFO, options.pre_eol_info),
            (Reg.LIFE_TIME_EST_A, options.life_time_a),
            (Reg.LIFE_TIME_EST_B, options.life_time_b),
            (Reg.S_CMD_SET, 1),
        ):
            self.raw[register] = value
        self.raw[Reg.FIRMWARE_VERSION : Reg.FIRMWARE_VERSION + 8] = options.firmware
        struct.pack_into("<I", self.raw, Reg.SEC_COUNT, areas[Area.USER].medium.sectors)
        for register, area in ((Reg.BOOT_SIZE_MULT, Area.BOOT_1), (Reg.RPMB_SIZE_MULT, Area.RPMB)):
            if area in areas:
                self.raw[register] = len(areas[area].medium.data) // BOOT_UNIT

    @property
    def selected(self) -> Area:
        """The partition that commands act on (PARTITION_ACCESS)."""
        return Area(self.raw[Reg.PARTITION_CONFIG] & _PARTITION_ACCESS)

    def switch(self, arg: int, now: float) -> bool:
        """Carry out CMD6: bits 25:24 access, 23:16 index, 15:8 value. False is SWITCH_ERROR."""
        access, index, value = arg >> 24 & 3, arg >> 16 & 0xFF, arg >> 8 & 0xFF
        if arg >> 26 or arg & 0xF8 or access not in {_SET_BITS, _CLEAR_BITS, _WRITE_BYTE}:
            return False  # bits 31:26 and 7:3 are zero; Cmd Set (2:0) counts in access mode 0 only
        if access == _SET_BITS:
            value |= self.raw[index]
        elif access == _CLEAR_BITS:
            value = self.raw[index] & ~value
        return self._store(index, value, now)

    def _store(self, index: int, value: int, now: float) -> bool:
        """Write one byte; false where the device refuses."""
        if index == Reg.SANITIZE_START:
            if self._eraser.can_sanitize:
                self._eraser.sanitize(now)
            return self._eraser.can_sanitize
        if index == Reg.BOOT_WP:
            return self._store_boot_wp(value)
        if index not in _COMMAND_REGISTERS:
            if not self._accepts(index, value):
                return False
            self.raw[index] = value
        return True

    def _accepts(self, index: int, value: int) -> bool:
        """Whether ``value`` may be stored; tells those whom it concerns."""
        if index == Reg.PARTITION_CONFIG:
            if value & _PARTITION_ACCESS not in self._areas or value & 0x80:
                return False
            if value & _PARTITION_ACCESS != self.selected:
                self._areas[self.selected].marked.clear()
            return True
        if index == Reg.ERASE_GROUP_DEF:
            self._eraser.high_capacity_groups = value == 1
            return value <= 1
        if index == Reg.USER_WP:
            return not value & ~(US_PWR_WP_EN | US_PERM_WP_EN)
        return index in _PLAIN_REGISTERS

    def _store_boot_wp(self, value: int) -> bool:
        """Protect both boot partitions, until power-on or for good, unless that was disabled."""
        old = self.raw[Reg.BOOT_WP]
        known = _B_PWR_WP_EN | _B_PERM_WP_EN | _B_PERM_WP_DIS | _B_PWR_WP_DIS
        power_on, permanent = bool(value & _B_PWR_WP_EN), bool(value & _B_PERM_WP_EN)
        disabled = (power_on and old & _B_PWR_WP_DIS) or (permanent and old & _B_PERM_WP_DIS)
        if value & ~known or disabled or Area.BOOT_1 not in self._areas:
            return False
        for area in (self._areas[Area.BOOT_1], self._areas[Area.BOOT_2]):
            area.protected |= power_on
            area.protected_for_good |= permanent
        self.raw[Reg.BOOT_WP] = old | value
        self._tell_boot_wp()
        return True

    def _tell_boot_wp(self) -> None:
        """BOOT_WP_STATUS: two bits an area; 1 protected until power-on, 2 for good."""
        boot = self._areas.get(Area.BOOT_1)
        if boot is not None:
            self.raw[Reg.BOOT_WP_STATUS] = (
                0b1010 if boot.protected_for_good else 0b0101 if boot.protected else 0
            )

    def power_on(self) -> None:
        """Everything that does not outlast a power cycle goes back, PARTITION_ACCESS to the user area."""
        for register in _VOLATILE_REGISTERS:
            self.raw[register] = 0
        self._eraser.high_capacity_groups = False
        self.raw[Reg.PARTITION_CONFIG] &= ~_PARTITION_ACCESS
        self.raw[Reg.BOOT_WP] &= ~_B_PWR_WP_EN
        self.raw[Reg.USER_WP] &= ~US_PWR_WP_EN
        for area in self._areas.values():
            area.protected = False
            area.protected_groups.clear()
        self._tell_boot_wp()
