"""A simulated eMMC device in the transfer state: what it answers, and what becomes of the data.

It is shaped by JESD84-B51: it reads raw commands and arguments, answers R1 status, gives no response to what
is illegal, and holds EXT_CSD. Data that is erased, trimmed or overwritten stays in the chips, unmapped,
until a sanitize or a secure erase removes it.
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.mmc_erase import EraseUnit
from simulators.mmc_registers import US_PERM_WP_EN, US_PWR_WP_EN, Registers
from simulators.mmc_types import (
    BOOT_UNIT,
    CMD_AC,
    CMD_ADTC,
    CMD_TYPE_MASK,
    RCA,
    RSP_BUSY,
    RSP_MASK,
    RSP_R1,
    SECTOR,
    STATE_PRG,
    STATE_TRAN,
    Area,
    Bit,
    Cmd,
    DeviceGoneError,
    EmmcArea,
    MmcBusError,
    MmcFaults,
    MmcOptions,
    Reg,
    without,
)
from simulators.world import ManualClock, Medium, PowerCut

Response = tuple[int, int, int, int]

_ERASE_SEQUENCE = (Cmd.ERASE_GROUP_START, Cmd.ERASE_GROUP_END, Cmd.ERASE)
_BUSY_COMMANDS = (Cmd.SWITCH, Cmd.ERASE, Cmd.SET_WRITE_PROT, Cmd.CLR_WRITE_PROT)
_DATA_IN = {Cmd.SEND_EXT_CSD: 512, Cmd.SEND_WRITE_PROT: 4}
# The RPMB partition takes neither erase nor write-protection commands (JESD84-B51 clause 6.6.22).
_RPMB_COMMANDS = (Cmd.SWITCH, Cmd.SEND_EXT_CSD, Cmd.SEND_STATUS)


class SimulatedEmmc:
    """One eMMC device: user area, two boot partitions, RPMB. Areas a test does not give are absent."""

    def __init__(
        self,
        clock: ManualClock,
        user: Medium,
        *,
        boot: tuple[Medium, Medium] | None = None,
        rpmb: Medium | None = None,
        options: MmcOptions | None = None,
    ) -> None:
        self.clock = clock
        self.options = options or MmcOptions()
        self.faults = MmcFaults()
        self.unplugged = False
        self.power_ons = 1
        self.brought_up = 0
        """The power-on after which the host last initialised the device; the host's own note."""
        media = {Area.USER: user}
        if boot is not None:
            media |= {Area.BOOT_1: boot[0], Area.BOOT_2: boot[1]}
        if rpmb is not None:
            media[Area.RPMB] = rpmb
        for area, medium in media.items():
            assert medium.sector_bytes == SECTOR, "eMMC sectors have 512 bytes"
            whole = len(medium.data) % BOOT_UNIT == 0
            assert area is Area.USER or whole, "boot and RPMB partitions are multiples of 128 KiB"
        self.areas = {area: EmmcArea(area, medium) for area, medium in media.items()}
        self.eraser = EraseUnit(self.areas, self.options, self.faults)
        self.registers = Registers(self.areas, self.options, self.eraser)
        self._latched = 0
        self._handlers: dict[int, Callable[[int, float], tuple[int, bytes]]] = {
            Cmd.SWITCH: self._switch,
            Cmd.SEND_EXT_CSD: lambda arg, now: (0, bytes(self.registers.raw)),
            Cmd.SEND_STATUS: lambda arg, now: (0, b""),
            Cmd.SET_WRITE_PROT: lambda arg, now: self._protect(arg, protect=True),
            Cmd.CLR_WRITE_PROT: lambda arg, now: self._protect(arg, protect=False),
            Cmd.SEND_WRITE_PROT: self._send_write_prot,
            Cmd.ERASE_GROUP_START: lambda arg, now: (self.eraser.group_start(self._area, arg), b""),
            Cmd.ERASE_GROUP_END: lambda arg, now: (self.eraser.group_end(self._area, arg), b""),
            Cmd.ERASE: self._erase,
        }

    # Commands

    def command(
        self,
        opcode: int,
        arg: int = 0,
        flags: int = RSP_R1,
        *,
        write: bool = False,
        data_out: bytes = b"",
        data_len: int = 0,
    ) -> tuple[Response, bytes]:
        """Send a command and, if ``flags`` say R1b, wait while the device is busy.

        Returns the response words and the data. Raises ``MmcBusError`` where the host controller gets no
        valid answer, ``DeviceGoneError`` when unplugged, ``PowerCut`` where a fault says so.
        """
        answer = self.issue(opcode, arg, flags, write=write, data_out=data_out, data_len=data_len)
        if flags & RSP_BUSY:
            if self.ready_at == float("inf"):
                raise MmcBusError("busy for ever", timed_out=True)
            self.wait_until(self.ready_at)
        return answer

    def issue(
        self, opcode: int, arg: int, flags: int, *, write: bool, data_out: bytes, data_len: int
    ) -> tuple[Response, bytes]:
        """Send a command without waiting for the end of a busy signal."""
        if self.unplugged:
            raise DeviceGoneError
        assert 0 <= opcode <= 63, "a command index has 6 bits"
        assert 0 <= arg <= 0xFFFFFFFF, "an argument has 32 bits"
        now = self.settle()
        handler = self._handlers.get(opcode)
        if handler is None or not self._legal(opcode, arg):
            # An illegal command gets no response; the next status tells.
            self._latched |= Bit.ILLEGAL_COMMAND
            raise MmcBusError(f"no response to CMD{opcode}", timed_out=True)
        status, self._latched = self._status(), 0
        if self.eraser.in_sequence and opcode not in _ERASE_SEQUENCE and opcode != Cmd.SEND_STATUS:
            self.eraser.reset_sequence()
            status |= Bit.ERASE_RESET
        bits, data = handler(arg, now)
        self._check_host(opcode, flags, write=write, data_out=data_out, data_len=data_len)
        self._maybe_cut(now)
        return (status | bits, 0, 0, 0), data

    def _check_host(self, opcode: int, flags: int, *, write: bool, data_out: bytes, data_len: int) -> None:
        """What a host controller does when its driver expected something else than the device sends."""
        expected = RSP_R1 | (RSP_BUSY if opcode in _BUSY_COMMANDS else 0)
        # A host may take R1b for R1 (it then does not wait), never R1 for R1b or for another length.
        if flags & RSP_MASK not in {RSP_R1, expected}:
            raise MmcBusError("the response has another form than expected", timed_out=False)
        sent = _DATA_IN.get(Cmd(opcode), 0)
        kind = CMD_ADTC if sent else CMD_AC
        if flags & CMD_TYPE_MASK != kind or write or data_out or data_len != sent:
            raise MmcBusError("the data transfer is not the one the host expected", timed_out=True)

    def _legal(self, opcode: int, arg: int) -> bool:
        if opcode == Cmd.SEND_STATUS:
            return arg >> 16 == RCA  # otherwise another device is meant
        if self.eraser.busy is not None:
            return False
        return self.registers.selected is not Area.RPMB or opcode in _RPMB_COMMANDS

    def _status(self) -> int:
        """The status word of this moment, with the errors latched since the last one."""
        if self.eraser.busy is not None:
            return self._latched | STATE_PRG << 9
        return self._latched | STATE_TRAN << 9 | Bit.READY_FOR_DATA

    @property
    def _area(self) -> EmmcArea:
        return self.areas[self.registers.selected]

    @property
    def ready_at(self) -> float:
        """When the busy signal ends: a moment of the clock, or infinity."""
        return self.clock.monotonic() if self.eraser.busy is None else self.eraser.busy.ends

    def wait_until(self, moment: float) -> None:
        """Let the simulated time pass up to ``moment``."""
        self.clock.sleep(moment - self.clock.monotonic())
        self.settle()

    def _erase(self, arg: int, now: float) -> tuple[int, bytes]:
        bits, self._latched = self.eraser.erase(self._area, arg, now)
        return bits, b""

    def _switch(self, arg: int, now: float) -> tuple[int, bytes]:
        if not self.registers.switch(arg, now):
            self._latched = Bit.SWITCH_ERROR  # told by the next status, not by this response
        elif self.eraser.busy is None:
            self.clock.sleep(self.options.switch_seconds)
        return 0, b""

    # Write protection (JESD84-B51 clause 6.6.15)

    def _group(self, arg: int) -> int | None:
        """The write-protect group an argument addresses."""
        address = arg if self.options.byte_addressed else arg * SECTOR
        if address >= len(self._area.medium.data):
            return None
        return address // (self.options.wp_group_sectors * SECTOR)

    def _protect(self, arg: int, *, protect: bool) -> tuple[int, bytes]:
        group = self._group(arg)
        if group is None:
            return Bit.ADDRESS_OUT_OF_RANGE, b""
        if protect:
            self._area.protected_groups.add(group)
        elif self.registers.raw[Reg.USER_WP] & (US_PWR_WP_EN | US_PERM_WP_EN):
            self._latched = Bit.ERROR  # groups protected until power-on or for good cannot be cleared
        else:
            self._area.protected_groups.discard(group)
        return 0, b""

    def _send_write_prot(self, arg: int, now: float) -> tuple[int, bytes]:
        first = self._group(arg)
        if first is None:
            return Bit.ADDRESS_OUT_OF_RANGE, bytes(4)
        bits = sum(1 << n for n in range(32) if first + n in self._area.protected_groups)
        return 0, bits.to_bytes(4, "big")

    # Blocks

    def read(self, area: Area, sector: int, count: int) -> bytes:
        """Read sectors of a partition as CMD18 would; raises ``MmcBusError`` or ``MediumError``."""
        return self._addressed(area, sector, count).medium.read(sector, count)

    def write(self, area: Area, sector: int, data: bytes) -> None:
        """Write sectors of a partition as CMD25 would; raises ``MmcBusError`` or ``MediumError``."""
        count = len(data) // SECTOR
        place = self._addressed(area, sector, count)
        group = self.options.wp_group_sectors
        touched = range(sector // group, -(-(sector + count) // group))
        if place.is_protected or not place.protected_groups.isdisjoint(touched):
            raise MmcBusError("WP_VIOLATION", timed_out=False)
        start, end = sector * SECTOR, sector * SECTOR + len(data)
        if place.medium.bad.isdisjoint(range(sector, sector + count)):
            place.remember(start, end)
        place.medium.write(sector, data)
        # What is written after secure trim step 1 is not erased by step 2.
        place.marked = [part for one in place.marked for part in without(one, start, end)]

    def _addressed(self, area: Area, sector: int, count: int) -> EmmcArea:
        if self.unplugged:
            raise DeviceGoneError
        self.settle()
        if self.eraser.busy is not None:
            raise MmcBusError("the device is busy", timed_out=True)
        place = self.areas[area]
        if not 0 <= sector <= sector + count <= place.medium.sectors:
            raise MmcBusError("ADDRESS_OUT_OF_RANGE", timed_out=False)
        return place

    # The world around it

    def settle(self) -> float:
        """Do what the simulated time has brought about, before looking at a medium; returns the moment."""
        now = self.clock.monotonic()
        if not self.unplugged:
            self.eraser.settle(now)
        return now

    def _maybe_cut(self, now: float) -> None:
        busy, fraction = self.eraser.busy, self.faults.power_cut_at
        if busy is not None and fraction is not None:
            self.faults.power_cut_at = None
            seconds = self.options.sanitize_seconds if busy.kind is None else busy.ends - now
            self.clock.sleep(seconds * fraction)
            raise PowerCut

    def power_cycle(self, seconds_off: float = 0.0) -> None:
        """Take the power away and give it back: operations end where they are and do not resume."""
        self.eraser.interrupt(self.settle())
        self.registers.power_on()
        self._latched = 0
        self.power_ons += 1
        if self.faults.reverts_on_power_cycle:
            for area in self.areas.values():
                area.revert()
        self.clock.sleep(seconds_off)

    def suspend_resume(self) -> None:
        """Suspend to RAM and resume: for the device, a power cycle."""
        self.power_cycle(5.0)

    def hot_unplug(self) -> None:
        """Take the device away, and its power."""
        self.power_cycle()
        self.unplugged = True

    def replug(self) -> None:
        """Put the device back."""
        assert self.unplugged, "it was never taken away"
        self.unplugged = False

    def holds(self, pattern: bytes) -> bool:
        """Whether ``pattern`` is anywhere in the chips, mapped or not."""
        self.settle()
        return any(
            area.medium.data.find(pattern) >= 0 or any(old.find(pattern) >= 0 for _, old in area.unmapped)
            for area in self.areas.values()
        )
