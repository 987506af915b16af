"""The simulated eMMC device behind our ports, as Linux would show it.

``SimulatedMmcPort`` gives only what ``MMC_IOC_CMD`` gives: the response words, data, or an errno.
``SimulatedMmcBlock`` is a block device such as ``/dev/mmcblk0boot0`` opened with O_DIRECT. As in the kernel,
each block device has its partition: before every command, PARTITION_CONFIG is switched to it if need be.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from rasura_agent.drive.port import Command, Completion, Disposition, MmcCommand
from rasura_agent.inventory.model import Drive, IdentityPage, Transport
from simulators.mmc import Response, SimulatedEmmc
from simulators.mmc_types import RSP_BUSY, RSP_R1, SECTOR, Area, Bit, Cmd, DeviceGoneError, MmcBusError, Reg
from simulators.world import FaultKind, FaultSchedule, MediumError, PowerCut

MmcDisposition = Callable[[MmcCommand, Response], Disposition]
"""What the response words make of the command they answer."""

_REFUSALS = Bit.ADDRESS_OUT_OF_RANGE | Bit.ADDRESS_MISALIGN | Bit.ERASE_SEQ_ERROR | Bit.ERASE_PARAM
_TROUBLE = 0xFDF9_A080
"""Every error bit of JESD84-B51 table 68 (types E), SWITCH_ERROR, WP_ERASE_SKIP and ERASE_RESET included."""
_R1B = RSP_R1 | RSP_BUSY
_PATHS = {
    Area.USER: "/dev/mmcblk0",
    Area.BOOT_1: "/dev/mmcblk0boot0",
    Area.BOOT_2: "/dev/mmcblk0boot1",
}


def disposition_by_response(command: MmcCommand, response: Response) -> Disposition:
    """The simple reading of the standard: no error bit is done; an address or sequence error did nothing.

    SEND_STATUS is done whatever it tells, because what it tells is about the command before it.
    """
    status = response[0]
    if command.opcode == Cmd.SEND_STATUS or not status & _TROUBLE:
        return Disposition.DONE
    return Disposition.UNKNOWN if status & _TROUBLE & ~_REFUSALS else Disposition.REFUSED


class SimulatedMmcPort:
    """``DrivePort`` to one partition of a simulated eMMC device."""

    def __init__(
        self,
        device: SimulatedEmmc,
        area: Area = Area.USER,
        *,
        schedule: FaultSchedule | None = None,
        disposition: MmcDisposition = disposition_by_response,
        polls_status: bool = False,
    ) -> None:
        """``polls_status``: a host without busy detection; its kernel polls CMD13 and so takes the errors."""
        self.device = device
        self.schedule = schedule or FaultSchedule()
        self._area = area
        self._disposition = disposition
        self._polls_status = polls_status

    def execute(self, command: Command) -> Completion:
        """Send one command through the fault schedule; raises ``PowerCut`` where that says so."""
        if not isinstance(command, MmcCommand):
            return Completion(Disposition.REFUSED, "ENOTTY: the path takes MMC commands only")
        fault = self.schedule.next()
        if fault is FaultKind.POWER_CUT_BEFORE:
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            self.device.hot_unplug()
        started = self.device.clock.monotonic()
        if fault is FaultKind.HANG_UNSEEN and not self.device.unplugged:
            return self._timed_out(command, started, "no answer")
        if fault is FaultKind.ABORT and not self.device.unplugged:
            return self._ended(command, started, (int(Bit.ERROR), 0, 0, 0), b"")
        try:
            return self._carry_out(command, started, fault)
        except MmcBusError as error:
            number = errno.ETIMEDOUT if error.timed_out else errno.EILSEQ
            return self._failed(started, number, str(error))
        except DeviceGoneError:
            return self._failed(started, errno.ENODEV, "the device is gone")

    def _carry_out(self, command: MmcCommand, started: float, fault: FaultKind | None) -> Completion:
        if command.is_application:
            raise MmcBusError("no response to the application command", timed_out=True)
        bring_up(self.device, self._area)
        response, data = self.device.issue(
            command.opcode,
            command.arg,
            command.flags,
            write=command.write,
            data_out=command.data_out,
            data_len=command.data_in_bytes,
        )
        if fault is FaultKind.HANG:
            return self._timed_out(command, started, "no answer")
        if command.flags & RSP_BUSY or fault is not None:
            if self.device.ready_at > started + command.timeout_s:
                return self._timed_out(command, started, "still busy")
            self.device.wait_until(self.device.ready_at)
        if fault is FaultKind.POWER_CUT_AFTER:
            raise PowerCut
        if fault is FaultKind.BUS_RESET:
            self.device.power_cycle()
            return self._failed(started, errno.EIO, "the device was reset")
        if fault is FaultKind.SWALLOW_STATUS:
            return self._failed(started, errno.EILSEQ, "the response was garbled")
        if self._polls_status and command.flags & RSP_BUSY:
            _kernel_command(self.device, Cmd.SEND_STATUS, 1 << 16, RSP_R1)
        return self._ended(command, started, response, data)

    def _timed_out(self, command: MmcCommand, started: float, why: str) -> Completion:
        self.device.wait_until(started + command.timeout_s)
        return self._failed(started, errno.ETIMEDOUT, why)

    def _failed(self, started: float, number: int, why: str) -> Completion:
        return Completion(
            Disposition.UNKNOWN,
            f"{errno.errorcode[number]}: {why}",
            elapsed_s=self.device.clock.monotonic() - started,
        )

    def _ended(self, command: MmcCommand, started: float, response: Response, data: bytes) -> Completion:
        return Completion(
            self._disposition(command, response),
            f"MMC response {response[0]:08X}h",
            data=data,
            elapsed_s=self.device.clock.monotonic() - started,
            mmc_response=response,
        )

    # The world around it

    def power_cycle(self, seconds_off: float = 0.0) -> None:
        """See ``SimulatedEmmc.power_cycle``."""
        self.device.power_cycle(seconds_off)

    def suspend_resume(self) -> None:
        """See ``SimulatedEmmc.suspend_resume``."""
        self.device.suspend_resume()

    def hot_unplug(self) -> None:
        """See ``SimulatedEmmc.hot_unplug``."""
        self.device.hot_unplug()


def bring_up(device: SimulatedEmmc, area: Area) -> None:
    """What Linux does by itself: enable high-capacity erase groups after power-on, select the partition."""
    registers = device.registers
    if device.brought_up != device.power_ons:
        if registers.raw[Reg.HC_ERASE_GRP_SIZE]:
            _kernel_command(device, Cmd.SWITCH, _write_byte(Reg.ERASE_GROUP_DEF, 1), _R1B)
        device.brought_up = device.power_ons
    if registers.selected is not area:
        value = registers.raw[Reg.PARTITION_CONFIG] & ~7 | area
        _kernel_command(device, Cmd.SWITCH, _write_byte(Reg.PARTITION_CONFIG, value), _R1B)


def _write_byte(register: Reg, value: int) -> int:
    return 3 << 24 | register << 16 | value << 8


def _kernel_command(device: SimulatedEmmc, opcode: int, arg: int, flags: int) -> None:
    device.issue(opcode, arg, flags, write=False, data_out=b"", data_len=0)


class SimulatedMmcBlock:
    """``BlockPort`` on one partition: the user area or a boot partition (RPMB has no block device).

    Every failure of the device is EIO, except a device that is gone (ENODEV) and ``medium_errno`` for bad
    sectors. A reset (``FaultKind.BUS_RESET``) is retried by the kernel and not seen here.
    ``force_ro`` is the switch of boot partitions in sysfs.
    """

    def __init__(
        self,
        device: SimulatedEmmc,
        area: Area = Area.USER,
        *,
        schedule: FaultSchedule | None = None,
        path: str | None = None,
        medium_errno: int = errno.EIO,
        force_ro: bool = False,
        hang_seconds: float = 60.0,
    ) -> None:
        assert area in _PATHS, "RPMB has no block device"
        self.device = device
        self.schedule = schedule or FaultSchedule()
        self._area = area
        self._path = path or _PATHS[area]
        self._medium_errno = medium_errno
        self._force_ro = force_ro
        self._hang_seconds = hang_seconds
        self._closed = False

    lanes = 1
    """So that a schedule counts the transfers in their order."""

    @property
    def direct(self) -> bool:
        """Always: the simulation has no page cache."""
        return True

    def identify(self) -> Drive:
        """What the kernel tells of this block device now; ENODEV when the device is gone."""
        self._require_present()
        options = self.device.options
        return Drive(
            path=self._path,
            transport=Transport.MMC,
            manufacturer=f"0x{options.manufacturer_id:06x}",
            model=options.name,
            serial=f"0x{options.serial:08x}",
            wwn=None,
            firmware=f"0x{options.firmware.hex()}",
            capacity_bytes=len(self._medium_data),
            logical_sector_bytes=SECTOR,
            physical_sector_bytes=SECTOR,
            rotational=False,
            removable=False,
            device_number=(179, 8 * self._area),
            diskseq=1 + self._area,
            identity_pages=(IdentityPage("mmc-cid", self._cid()),),
        )

    def _cid(self) -> bytes:
        """Card Identification register (JESD84-B51 clause 7.2): MID, CBX, OID, PNM, PRV, PSN, MDT, CRC."""
        options = self.device.options
        name = options.name.encode("ascii").ljust(6)[:6]
        head = bytes([options.manufacturer_id, 1, 0])
        return head + name + b"\x10" + options.serial.to_bytes(4, "big") + b"\x5a\x01"

    @property
    def _medium_data(self) -> bytearray:
        return self.device.areas[self._area].medium.data

    def write(self, offset: int, data: memoryview) -> None:
        """Write whole sectors; ENOSPC beyond the end, EPERM under ``force_ro``."""
        sector = self._sector(offset, len(data), errno.ENOSPC)
        if self._force_ro:
            raise _os_error(errno.EPERM)
        content = bytes(data)
        self._transfer(lambda: self.device.write(self._area, sector, content))

    def read(self, offset: int, into: memoryview) -> None:
        """Read whole sectors; EIO beyond the end (a short read)."""
        sector = self._sector(offset, len(into), errno.EIO)
        count = len(into) // SECTOR

        def fill() -> None:
            into[:] = self.device.read(self._area, sector, count)

        self._transfer(fill)

    def queue(self) -> None:
        """There is none."""

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        """No Write Zeroes, as most drives."""
        return Disposition.REFUSED

    def flush(self) -> None:
        """Flush the device's cache."""
        self._require_present()
        self._transfer(lambda: None)

    def close(self) -> None:
        """Let go of the block device."""
        self._closed = True

    def _sector(self, offset: int, length: int, beyond_end: int) -> int:
        self._require_present()
        if offset < 0 or offset % SECTOR or length % SECTOR:
            raise _os_error(errno.EINVAL)
        if offset + length > len(self._medium_data):
            raise _os_error(beyond_end)
        return offset // SECTOR

    def _require_present(self) -> None:
        if self._closed:
            raise _os_error(errno.EBADF)
        if self.device.unplugged:
            raise _os_error(errno.ENODEV)

    def _transfer(self, act: Callable[[], None]) -> None:
        """Do one transfer through the fault schedule."""
        fault = self.schedule.next()
        if fault is FaultKind.POWER_CUT_BEFORE:
            raise PowerCut
        if fault is FaultKind.UNPLUG:
            self.device.hot_unplug()
            raise _os_error(errno.ENODEV)
        if fault is FaultKind.HANG_UNSEEN:
            self.device.clock.sleep(self._hang_seconds)
        if fault in {FaultKind.HANG_UNSEEN, FaultKind.ABORT}:
            raise _os_error(errno.EIO)
        try:
            bring_up(self.device, self._area)
            act()
        except MediumError as error:
            raise _os_error(self._medium_errno) from error
        except MmcBusError as error:
            raise _os_error(errno.EIO) from error
        if fault is FaultKind.POWER_CUT_AFTER:
            raise PowerCut
        if fault is FaultKind.HANG:
            self.device.clock.sleep(self._hang_seconds)
        if fault is FaultKind.BUS_RESET:
            self.device.power_cycle()
        if fault in {FaultKind.HANG, FaultKind.SWALLOW_STATUS}:
            raise _os_error(errno.EIO)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
