"""The erase operations of a simulated eMMC device: CMD35, CMD36, CMD38 and sanitize.

JESD84-B51 clauses 6.6.9 (ERASE), 6.6.10 (TRIM), 6.6.11 (sanitize), 6.6.12 (discard); secure erase and secure
trim as the standard keeps them from version 4.41.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from simulators.mmc_types import (
    HC_ERASE_UNIT,
    REV_4_5,
    SEC_GB_CL_EN,
    SEC_SANITIZE,
    SECTOR,
    SECURE_ER_EN,
    Area,
    Bit,
    EmmcArea,
    MmcFaults,
    MmcOptions,
)


class EraseArg(IntEnum):
    """CMD38 arguments (JESD84-B51 table 12)."""

    ERASE = 0x0000_0000
    TRIM = 0x0000_0001
    DISCARD = 0x0000_0003
    SECURE_ERASE = 0x8000_0000
    SECURE_TRIM_STEP_1 = 0x8000_0001
    SECURE_TRIM_STEP_2 = 0x8000_8000


_NEEDS = {
    EraseArg.ERASE: 0,
    EraseArg.TRIM: SEC_GB_CL_EN,
    EraseArg.DISCARD: 0,
    EraseArg.SECURE_ERASE: SECURE_ER_EN,
    EraseArg.SECURE_TRIM_STEP_1: SECURE_ER_EN | SEC_GB_CL_EN,
    EraseArg.SECURE_TRIM_STEP_2: SECURE_ER_EN | SEC_GB_CL_EN,
}
_WHOLE_GROUPS = (EraseArg.ERASE, EraseArg.SECURE_ERASE)


@dataclass(frozen=True, slots=True)
class Busy:
    """An operation in the programming state; ``kind`` ``None`` is sanitize, which has no area."""

    kind: EraseArg | None
    area: EmmcArea | None
    ranges: tuple[tuple[int, int], ...]
    started: float
    ends: float


class EraseUnit:
    """The erase sequence, the operation it starts, and what that does to the areas."""

    def __init__(self, areas: dict[Area, EmmcArea], options: MmcOptions, faults: MmcFaults) -> None:
        self._areas = areas
        self._options = options
        self._faults = faults
        self.start: int | None = None
        self.end: int | None = None
        self.high_capacity_groups = False
        """ERASE_GROUP_DEF[175] bit 0."""
        self.busy: Busy | None = None

    @property
    def in_sequence(self) -> bool:
        """Whether CMD35 opened a sequence that CMD38 has not ended."""
        return self.start is not None

    def reset_sequence(self) -> None:
        """Forget the range."""
        self.start = self.end = None

    @property
    def group_bytes(self) -> int:
        """The erase group in force."""
        if self.high_capacity_groups and self._options.hc_erase_grp_size:
            return self._options.hc_erase_grp_size * HC_ERASE_UNIT
        return self._options.csd_erase_group_sectors * SECTOR

    # Commands; each returns the status bits it adds to its response, and those only a later status tells

    def group_start(self, area: EmmcArea, arg: int) -> int:
        """CMD35."""
        self.reset_sequence()
        error, address = self._address(area, arg)
        if not error:
            self.start = address
        return error

    def group_end(self, area: EmmcArea, arg: int) -> int:
        """CMD36: only right after a CMD35."""
        if self.start is None or self.end is not None:
            self.reset_sequence()
            return Bit.ERASE_SEQ_ERROR
        error, address = self._address(area, arg)
        if error:
            self.reset_sequence()
        else:
            self.end = address
        return error

    def _address(self, area: EmmcArea, arg: int) -> tuple[int, int]:
        """The byte address ``arg`` means."""
        address = arg if self._options.byte_addressed else arg * SECTOR
        if address >= len(area.medium.data):
            return Bit.ADDRESS_OUT_OF_RANGE, 0
        if address % SECTOR:
            return Bit.ADDRESS_MISALIGN, 0
        return 0, address

    def erase(self, area: EmmcArea, arg: int, now: float) -> tuple[int, int]:
        """CMD38: bits of its own response, and bits for the status that follows."""
        start, end = self.start, self.end
        self.reset_sequence()
        if start is None or end is None:
            return Bit.ERASE_SEQ_ERROR, 0
        kind = self._kind(arg)
        if kind is None:
            return Bit.ERROR, 0
        if start > end:
            return 0, Bit.ERASE_PARAM
        if kind is EraseArg.SECURE_TRIM_STEP_2:
            # The range of this step is sent and ignored: it erases all that step 1 marked.
            ranges, area.marked = area.marked, []
            skipped = 0
        else:
            ranges, skipped = self._allowed(area, *self._rounded(area, kind, start, end + SECTOR))
        secure = bool(arg & 0x8000_0000) and kind is not EraseArg.SECURE_TRIM_STEP_1
        seconds = self._options.secure_erase_seconds if secure else self._options.erase_seconds
        self.busy = Busy(kind, area, tuple(ranges), now, now + seconds)
        return 0, skipped

    def _kind(self, arg: int) -> EraseArg | None:
        """The operation ``arg`` asks for, if this device has it."""
        if arg not in EraseArg.__members__.values():
            return None
        kind = EraseArg(arg)
        needs = _NEEDS[kind]
        if self._options.sec_feature_support & needs != needs:
            return None
        if kind is EraseArg.DISCARD and self._options.ext_csd_rev < REV_4_5:
            return None
        return kind

    def _rounded(self, area: EmmcArea, kind: EraseArg, start: int, end: int) -> tuple[int, int]:
        """ERASE and secure erase take the whole erase groups that the addresses lie in."""
        if kind in _WHOLE_GROUPS:
            group = self.group_bytes
            start, end = start // group * group, -(-end // group) * group
        return start, min(end, len(area.medium.data))

    def _allowed(self, area: EmmcArea, start: int, end: int) -> tuple[list[tuple[int, int]], int]:
        """The parts that are not write protected; protected ones are skipped and reported."""
        if area.is_protected:
            return [], Bit.WP_ERASE_SKIP
        if not area.protected_groups:
            return [(start, end)], 0
        group = self._options.wp_group_sectors * SECTOR
        ranges: list[tuple[int, int]] = []
        skipped = 0
        for index in range(start // group, -(-end // group)):
            if index in area.protected_groups:
                skipped = Bit.WP_ERASE_SKIP
            else:
                ranges.append((max(start, index * group), min(end, (index + 1) * group)))
        return ranges, skipped

    @property
    def can_sanitize(self) -> bool:
        """Whether SANITIZE_START[165] does anything."""
        options = self._options
        return bool(options.sec_feature_support & SEC_SANITIZE) and options.ext_csd_rev >= REV_4_5

    def sanitize(self, now: float) -> None:
        """Begin to remove all unmapped data."""
        ends = float("inf") if self._faults.sanitize_sticks else now + self._options.sanitize_seconds
        self.busy = Busy(None, None, (), now, ends)

    # Time and power

    def settle(self, now: float) -> None:
        """Finish what is over by ``now``."""
        if self.busy is not None and now >= self.busy.ends:
            self._apply(1.0)

    def interrupt(self, now: float) -> None:
        """Power is lost: what was reached is done; marks and the sequence are forgotten."""
        if self.busy is not None:
            self._apply((now - self.busy.started) / (self.busy.ends - self.busy.started))
        self.reset_sequence()
        for area in self._areas.values():
            area.marked.clear()

    def _apply(self, fraction: float) -> None:
        operation, self.busy = self.busy, None
        assert operation is not None
        if operation.kind is None:
            self._remove_unmapped(fraction)
            return
        assert operation.area is not None
        for start, end in operation.ranges:
            reached = end if fraction >= 1.0 else start + int((end - start) * fraction) // SECTOR * SECTOR
            self._erase(operation.area, operation.kind, start, reached)

    def _remove_unmapped(self, fraction: float) -> None:
        if self._faults.sanitize_lies:
            return
        for area in self._areas.values():
            if area.area is Area.USER or (area.area is not Area.RPMB and self._options.sanitizes_boot):
                del area.unmapped[: int(len(area.unmapped) * min(1.0, fraction))]

    def _erase(self, area: EmmcArea, kind: EraseArg, start: int, end: int) -> None:
        erased = 0xFF if self._options.erased_mem_cont else 0
        if kind is EraseArg.SECURE_TRIM_STEP_1:
            area.marked.append((start, end))
            return
        if kind is EraseArg.DISCARD:
            end = start + int((end - start) * self._options.discard_unmaps) // SECTOR * SECTOR
        kept = None
        leaves = self._faults.erase_leaves
        if leaves is not None:
            kept = slice(max(start, leaves.start * SECTOR), min(end, leaves.stop * SECTOR))
            old = bytes(area.medium.data[kept])
        if kind in {EraseArg.SECURE_ERASE, EraseArg.SECURE_TRIM_STEP_2}:
            area.purge(start, end, erased)
        else:
            area.unmap(start, end, erased)
        if kept is not None and kept.start < kept.stop:
            area.medium.data[kept] = old
