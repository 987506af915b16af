"""The block device of the drive in a bay: what O_DIRECT reads and writes come to."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from rasura_agent.drive.port import Disposition
from rasura_agent.inventory.model import Drive
from simulators.ports_media import AccessError, HostTimeoutError
from simulators.world import FaultKind, FaultSchedule, PowerCut

if TYPE_CHECKING:
    from simulators.ports import Bay

KERNEL_TIMEOUT_S = 30.0
"""The SCSI command time-out of a disk in Linux (SD_TIMEOUT)."""


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class SimulatedBlock:
    """A ``BlockPort`` onto the drive in a bay. Each read, write and flush is one event of ``schedule``."""

    def __init__(self, bay: Bay, schedule: FaultSchedule | None, *, direct: bool) -> None:
        self._bay = bay
        self._schedule = FaultSchedule() if schedule is None else schedule
        self._direct = direct
        self._opening = bay.opening
        self._closed = False

    lanes = 1
    """So that a schedule counts the transfers in their order."""

    @property
    def direct(self) -> bool:
        """As the test said."""
        return self._direct

    def identify(self) -> Drive:
        """Describe the drive afresh; raises ``OSError`` ``ENODEV`` when it is gone."""
        self._check_open()
        return self._bay.identify()

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at ``offset``: into the drive's cache, until a flush."""
        lba = self._locate(offset, len(data), errno.ENOSPC)
        fault = self._begin()
        if fault is None or fault in _CARRIED_OUT:
            try:
                self._bay.target.write(lba, data, KERNEL_TIMEOUT_S)
            except (AccessError, HostTimeoutError) as error:
                raise _error(errno.EIO) from error
            self._bay.clock.sleep(len(data) / self._bay.bytes_per_second)
        self._end(fault)

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into`` from ``offset``."""
        # Reading past the end is a short transfer, which this port has to raise as EIO.
        lba = self._locate(offset, len(into), errno.EIO)
        fault = self._begin()
        if fault is None or fault in _CARRIED_OUT:
            try:
                self._bay.target.read(lba, into, KERNEL_TIMEOUT_S)
            except (AccessError, HostTimeoutError) as error:
                raise _error(errno.EIO) from error
            self._bay.clock.sleep(len(into) / self._bay.bytes_per_second)
        self._end(fault)

    def queue(self) -> None:
        """There is none."""

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        """No Write Zeroes, as most drives."""
        return Disposition.REFUSED

    def flush(self) -> None:
        """Flush the drive's own cache."""
        self._check_open()
        fault = self._begin()
        if fault is None or fault in _CARRIED_OUT:
            try:
                self._bay.target.flush(KERNEL_TIMEOUT_S)
            except (AccessError, HostTimeoutError) as error:
                raise _error(errno.EIO) from error
        self._end(fault)

    def close(self) -> None:
        """Let go of the drive."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise _error(errno.EBADF)
        if not self._bay.is_open(self._opening):
            raise _error(errno.ENODEV)

    def _locate(self, offset: int, length: int, beyond: int) -> int:
        """The first sector of a transfer, checked against what the kernel believes the drive to be."""
        self._check_open()
        size = self._bay.kernel_block_bytes
        if offset < 0 or offset % size or length % size:
            raise _error(errno.EINVAL)
        if offset + length > self._bay.kernel_blocks * size:
            raise _error(beyond)
        return offset // size

    def _begin(self) -> FaultKind | None:
        fault = self._schedule.next()
        self._bay.outage()
        match fault:
            case FaultKind.POWER_CUT_BEFORE:
                self._bay.lose_power()
                raise PowerCut
            case FaultKind.UNPLUG:
                self._bay.hot_unplug()
                raise _error(errno.ENODEV)
            case FaultKind.ABORT:
                raise _error(errno.EIO)
        return fault

    def _end(self, fault: FaultKind | None) -> None:
        match fault:
            case FaultKind.POWER_CUT_AFTER:
                self._bay.lose_power()
                raise PowerCut
            case FaultKind.HANG | FaultKind.HANG_UNSEEN:
                self._bay.clock.sleep(KERNEL_TIMEOUT_S)
                raise _error(errno.EIO)
            case FaultKind.SWALLOW_STATUS:
                raise _error(errno.EIO)


_CARRIED_OUT = frozenset(
    {FaultKind.POWER_CUT_AFTER, FaultKind.HANG, FaultKind.SWALLOW_STATUS, FaultKind.BUS_RESET}
)
"""Faults that strike after the drive did its work. After a reset the kernel tries again, unseen."""
