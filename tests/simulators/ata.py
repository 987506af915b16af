"""A simulated ATA drive (ACS-4; HPA and DCO from ATA8-ACS), spoken to by taskfile.

It parses what it is sent by itself and aborts what the standard says it aborts. Stricter than many
real drives in one way: reserved bits and a protocol that is not the command's are refused, so that a
sloppy encoder is found out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

from simulators import ata_identify
from simulators.ata_capacity import Capacity, OverlayFeature
from simulators.ata_options import (
    ABORTED,
    DEVICE_LBA,
    GOOD,
    AtaOptions,
    Error,
    Freeze,
    Opcode,
    Outputs,
    Protocol,
    Registers,
    failure,
    good,
)
from simulators.ata_sanitize import Feature as SanitizeFeature
from simulators.ata_sanitize import Sanitize
from simulators.ata_security import Security, is_enhanced
from simulators.ports_media import (
    AccessError,
    AccessFault,
    Operation,
    PowerEvent,
    Store,
    Technique,
    wait,
)
from simulators.world import ManualClock, Medium, MediumError

_SMART_KEY = 0xC24F
"""LBA[23:8] of every SMART command."""
_SMART_EXCEEDED = 0x2CF4


class SmartFeature(IntEnum):
    """FEATURE field of SMART, as far as it goes here."""

    READ_DATA = 0xD0
    ENABLE_OPERATIONS = 0xD8
    RETURN_STATUS = 0xDA


_ABORTED_WHEN_LOCKED = frozenset(
    {
        Opcode.READ_SECTORS,
        Opcode.READ_SECTORS_EXT,
        Opcode.WRITE_SECTORS,
        Opcode.WRITE_SECTORS_EXT,
        Opcode.FLUSH_CACHE,
        Opcode.FLUSH_CACHE_EXT,
        Opcode.SET_MAX_ADDRESS,
        Opcode.SET_MAX_ADDRESS_EXT,
    }
)
"""In SEC4 (ACS-4 table 8). Commands with features that differ are looked at one by one."""

_ALLOWED_WHILE_SANITIZING = frozenset(
    {
        Opcode.IDENTIFY_DEVICE,
        Opcode.IDLE_IMMEDIATE,
        Opcode.SANITIZE_DEVICE,
        Opcode.SECURITY_UNLOCK,
        Opcode.STANDBY_IMMEDIATE,
    }
)
"""In SD2 and SD3 (ACS-4 clause 4.17.1), and SMART RETURN STATUS."""

_FREEZING = {
    PowerEvent.BOOT: (Freeze.AT_BOOT, Freeze.AT_EVERY_POWER_ON),
    PowerEvent.RESUME: (Freeze.AT_EVERY_POWER_ON,),
}
"""When a BIOS that freezes does so; it never sees a drive that is plugged in later."""

Handler = Callable[["SimulatedAtaDrive", Registers], Outputs]


class SimulatedAtaDrive:
    """One drive with power. Whoever owns it takes care not to speak to it without.

    ``medium`` has every sector, hidden ones included, and is what a test looks at afterwards.
    """

    def __init__(self, clock: ManualClock, medium: Medium, options: AtaOptions | None = None) -> None:
        self.clock = clock
        self.medium = medium
        self.options = options = options or AtaOptions()
        self.store = Store(medium, cached=options.write_cache)
        self.security = Security(options)
        self.sanitize = Sanitize(clock, options)
        self.capacity = Capacity(options, medium.sectors)
        self._hidden_from = self.capacity.sectors
        self._erase: Operation | None = None
        self._erase_technique = Technique.NORMAL_ERASE
        self._erase_result = GOOD
        self._previous = 0
        self._before = 0
        self._page = b""
        self._page_for: ata_identify.Changing | None = None
        self.powered = True
        self._bios(PowerEvent.BOOT)

    # Power

    def power_off(self) -> None:
        """Whatever was volatile is lost; an erase is cut short, a sanitize operation stands still."""
        self.settle()
        if self._erase is not None:
            self._apply_erase(self._erase)
            self._erase = None
        self.store.lose_power()
        self.sanitize.power_off()
        self.powered = False

    def power_on(self, event: PowerEvent = PowerEvent.BOOT) -> None:
        """Power-on reset, and what the BIOS does after it."""
        self.powered = True
        self._previous = self._before = 0
        self.security.power_on()
        self.sanitize.power_on()
        self.capacity.power_on()
        self._bios(event)

    def _bios(self, event: PowerEvent) -> None:
        policies = _FREEZING.get(event, ())
        if self.options.bios_freezes in policies:
            self.taskfile(Opcode.SECURITY_FREEZE_LOCK)
        if self.options.bios_freezes_sanitize in policies:
            self.taskfile(Opcode.SANITIZE_DEVICE, SanitizeFeature.FREEZE_LOCK, lba=0x46724C6B, ext=True)

    # Commands

    def taskfile(
        self,
        command: int,
        feature: int = 0,
        count: int = 0,
        lba: int = 0,
        device: int = 0,
        protocol: int = Protocol.NON_DATA,
        ext: bool = False,
        data_out: bytes = b"",
        timeout_s: float = math.inf,
    ) -> Outputs:
        """Carry out one command: (STATUS, ERROR, COUNT, LBA, DEVICE, data in).

        Fields are as in the registers, see ``Registers``. Raises ``HostTimeoutError`` when the drive is busy
        for longer than ``timeout_s``; what it was doing goes on.
        """
        self._wait_until_ready(timeout_s)
        if command in self.options.hangs:
            wait(self.clock, math.inf, timeout_s)
        self._before, self._previous = self._previous, 0
        entry = _COMMANDS.get(command)
        if entry is None:
            return ABORTED
        handler, wanted_protocol, wanted_ext = entry
        if ext is not wanted_ext or protocol != (wanted_protocol or protocol):
            return ABORTED
        if bool(data_out) is not (protocol == Protocol.PIO_OUT):
            return ABORTED
        if self.security.locked and command in _ABORTED_WHEN_LOCKED:
            return ABORTED
        if (
            self.sanitize.keeps_media_closed
            and command not in _ALLOWED_WHILE_SANITIZING
            and not (command == Opcode.SMART and feature == SmartFeature.RETURN_STATUS)
        ):
            return ABORTED
        outputs = handler(self, Registers(command, feature, count, lba, device, protocol, ext, data_out))
        if self._erase is not None:
            self._wait_until_ready(timeout_s)
            outputs = self._erase_result
        if not outputs.error:
            self._previous = command
        return outputs

    def settle(self) -> None:
        """Bring the medium up to date with the clock."""
        if self._erase is not None and self._erase.over:
            self._finish_erase(self._erase)
        self.sanitize.settle(self._replace_all)

    def _wait_until_ready(self, timeout_s: float) -> None:
        """While SECURITY ERASE UNIT runs the drive is busy (BSY) and takes no command."""
        if self._erase is not None:
            wait(self.clock, self._erase.remaining_s, timeout_s)
        self.settle()

    @property
    def _supports_security(self) -> bool:
        return self.options.security and not self.capacity.security_removed

    def identify_page(self) -> bytes:
        """IDENTIFY DEVICE data as it is now."""
        supported = self._supports_security
        now = ata_identify.Changing(
            self.capacity.sectors,
            supported,
            self.options.hpa,
            supported and self.security.enabled,
            self.security.word_92 if supported else 0,
            self.security.word_128 if supported else 0,
        )
        if now != self._page_for:
            self._page = ata_identify.identify_device(self.options, self.medium.sector_bytes, now)
            self._page_for = now
        return self._page

    def _identify(self, _: Registers) -> Outputs:
        return good(data_in=self.identify_page())

    def _smart(self, registers: Registers) -> Outputs:
        if registers.lba >> 8 & 0xFFFF != _SMART_KEY:
            return ABORTED
        wanted = Protocol.PIO_IN if registers.feature == SmartFeature.READ_DATA else Protocol.NON_DATA
        if registers.protocol != wanted:
            return ABORTED
        match registers.feature:
            case SmartFeature.READ_DATA:
                return good(data_in=ata_identify.smart_data(0, len(self.medium.bad)))
            case SmartFeature.ENABLE_OPERATIONS:
                return GOOD
            case SmartFeature.RETURN_STATUS:
                return good(lba=(_SMART_EXCEEDED if self.options.smart_failing else _SMART_KEY) << 8)
        return ABORTED

    def _power_mode(self, registers: Registers) -> Outputs:
        return good(count=0xFF) if registers.command == Opcode.CHECK_POWER_MODE else GOOD

    # Security feature set

    def _security(self, registers: Registers) -> Outputs:
        if not self._supports_security:
            return ABORTED
        security, data = self.security, registers.data_out
        match registers.command:
            case Opcode.SECURITY_SET_PASSWORD:
                accepted = security.set_password(data)
            case Opcode.SECURITY_UNLOCK:
                accepted = security.unlock(data)
            case Opcode.SECURITY_ERASE_PREPARE:
                accepted = security.erase_prepare()
            case Opcode.SECURITY_FREEZE_LOCK:
                accepted = security.freeze_lock()
            case Opcode.SECURITY_DISABLE_PASSWORD:
                accepted = security.disable_password(data)
            case _:
                return self._erase_unit(data)
        return GOOD if accepted else ABORTED

    def _erase_unit(self, data: bytes) -> Outputs:
        """SECURITY ERASE UNIT. SECURITY ERASE PREPARE must be the command completed immediately before."""
        if self._before != Opcode.SECURITY_ERASE_PREPARE or not self.security.may_erase(data):
            return ABORTED
        options = self.options
        technique = Technique.ENHANCED_ERASE if is_enhanced(data) else Technique.NORMAL_ERASE
        seconds = options.enhanced_s if technique is Technique.ENHANCED_ERASE else options.erase_s
        if options.lie is not None and options.lie.instantly and options.lie.about(technique):
            seconds = 0.0
        self._erase_technique = technique
        self._erase = Operation(self.clock, seconds, fails_at=options.erase_fails_at)
        return GOOD

    def _apply_erase(self, erase: Operation) -> bool:
        """Normal mode: up to the native maximum address; enhanced: all that ever held user data."""
        technique = self._erase_technique
        enhanced = technique is Technique.ENHANCED_ERASE
        scope = self.medium.sectors if enhanced else self.capacity.native_sectors
        pattern = self.options.enhanced_pattern if enhanced else b"\0"
        return self._replace(technique, pattern, int(scope * erase.fraction))

    def _finish_erase(self, erase: Operation) -> None:
        self._erase = None
        complete = self._apply_erase(erase)
        if erase.failed or not complete:
            self._erase_result = ABORTED
            return
        self._erase_result = GOOD
        if not self.options.erase_keeps_password:
            self.security.erased()

    def _replace_all(self, technique: Technique, pattern: bytes | None, fraction: float) -> bool:
        """The scope of a sanitize operation is everything (ACS-4 clause 4.17.1)."""
        return self._replace(technique, pattern, int(self.medium.sectors * fraction))

    def _replace(self, technique: Technique, pattern: bytes | None, sectors: int) -> bool:
        lie = self.options.lie
        kept = () if lie is None else lie.kept(technique, self._hidden_from)
        return self.store.fill(
            sectors, pattern, kept=kept, reassign_bad=not self.options.bad_sectors_fail_erase
        )

    # Sanitize, capacity

    def _sanitize(self, registers: Registers) -> Outputs:
        if not self.options.sanitize:
            return ABORTED
        return self.sanitize.command(registers, locked=self.security.locked)

    def _native_max(self, registers: Registers) -> Outputs:
        return self.capacity.read_native_max(registers)

    def _set_max(self, registers: Registers) -> Outputs:
        return self.capacity.set_max(registers, self._before)

    def _accessible_max(self, registers: Registers) -> Outputs:
        return ABORTED if self.security.locked else self.capacity.accessible_max(registers)

    def _configuration(self, registers: Registers) -> Outputs:
        # A locked drive still identifies and freezes its overlay.
        if self.security.locked and registers.feature in {OverlayFeature.RESTORE, OverlayFeature.SET}:
            return ABORTED
        return self.capacity.configuration(registers)

    # Media access

    def check_access(self, lba: int, sectors: int, timeout_s: float = math.inf) -> None:
        """Raise ``AccessError`` unless state and capacity allow it, ``HostTimeoutError`` if it is busy."""
        self._wait_until_ready(timeout_s)
        self._previous = 0
        if self.security.locked or self.sanitize.keeps_media_closed:
            raise AccessError(AccessFault.ABORTED, lba)
        if lba + sectors > self.capacity.sectors:
            raise AccessError(AccessFault.RANGE, lba)

    def read(self, lba: int, into: memoryview, timeout_s: float = math.inf) -> None:
        """What READ DMA EXT does."""
        self.check_access(lba, len(into) // self.medium.sector_bytes, timeout_s)
        try:
            self.store.read(lba, into)
        except MediumError as error:
            raise AccessError(AccessFault.MEDIUM, error.lba) from None

    def write(self, lba: int, data: bytes | memoryview, timeout_s: float = math.inf) -> None:
        """What WRITE DMA EXT does."""
        self.check_access(lba, len(data) // self.medium.sector_bytes, timeout_s)
        try:
            self.store.write(lba, data)
        except MediumError as error:
            raise AccessError(AccessFault.MEDIUM, error.lba) from None

    def flush(self, timeout_s: float = math.inf) -> None:
        """What FLUSH CACHE EXT does."""
        self.check_access(0, 0, timeout_s)
        self.store.flush()

    def _flush(self, _: Registers) -> Outputs:
        self.store.flush()
        return GOOD

    def _pio(self, registers: Registers) -> Outputs:
        """READ and WRITE SECTORS (EXT); a COUNT of zero is the largest there is."""
        if not registers.device & DEVICE_LBA:
            return ABORTED
        sectors = registers.count or (65536 if registers.ext else 256)
        lba = registers.lba if registers.ext else registers.lba28
        length = sectors * self.medium.sector_bytes
        try:
            if registers.protocol == Protocol.PIO_IN:
                self.check_access(lba, sectors)
                buffer = bytearray(length)
                self.read(lba, memoryview(buffer))
                return good(data_in=bytes(buffer))
            if len(registers.data_out) != length:
                return ABORTED
            self.write(lba, registers.data_out)
        except AccessError as error:
            bit = {AccessFault.RANGE: Error.ID_NOT_FOUND, AccessFault.MEDIUM: Error.UNCORRECTABLE}.get(
                error.fault, Error.ABORT
            )
            return failure(bit, error.lba if registers.ext else error.lba & 0xFFFFFF)
        return GOOD


_COMMANDS: dict[int, tuple[Handler, int | None, bool]] = {
    Opcode.READ_SECTORS: (SimulatedAtaDrive._pio, Protocol.PIO_IN, False),
    Opcode.READ_SECTORS_EXT: (SimulatedAtaDrive._pio, Protocol.PIO_IN, True),
    Opcode.WRITE_SECTORS: (SimulatedAtaDrive._pio, Protocol.PIO_OUT, False),
    Opcode.WRITE_SECTORS_EXT: (SimulatedAtaDrive._pio, Protocol.PIO_OUT, True),
    Opcode.READ_NATIVE_MAX_ADDRESS: (SimulatedAtaDrive._native_max, Protocol.NON_DATA, False),
    Opcode.READ_NATIVE_MAX_ADDRESS_EXT: (SimulatedAtaDrive._native_max, Protocol.NON_DATA, True),
    Opcode.SET_MAX_ADDRESS: (SimulatedAtaDrive._set_max, Protocol.NON_DATA, False),
    Opcode.SET_MAX_ADDRESS_EXT: (SimulatedAtaDrive._set_max, Protocol.NON_DATA, True),
    Opcode.ACCESSIBLE_MAX_ADDRESS_CONFIGURATION: (SimulatedAtaDrive._accessible_max, Protocol.NON_DATA, True),
    Opcode.SMART: (SimulatedAtaDrive._smart, None, False),
    Opcode.DEVICE_CONFIGURATION: (SimulatedAtaDrive._configuration, None, False),
    Opcode.SANITIZE_DEVICE: (SimulatedAtaDrive._sanitize, Protocol.NON_DATA, True),
    Opcode.STANDBY_IMMEDIATE: (SimulatedAtaDrive._power_mode, Protocol.NON_DATA, False),
    Opcode.IDLE_IMMEDIATE: (SimulatedAtaDrive._power_mode, Protocol.NON_DATA, False),
    Opcode.CHECK_POWER_MODE: (SimulatedAtaDrive._power_mode, Protocol.NON_DATA, False),
    Opcode.FLUSH_CACHE: (SimulatedAtaDrive._flush, Protocol.NON_DATA, False),
    Opcode.FLUSH_CACHE_EXT: (SimulatedAtaDrive._flush, Protocol.NON_DATA, True),
    Opcode.IDENTIFY_DEVICE: (SimulatedAtaDrive._identify, Protocol.PIO_IN, False),
    Opcode.SECURITY_SET_PASSWORD: (SimulatedAtaDrive._security, Protocol.PIO_OUT, False),
    Opcode.SECURITY_UNLOCK: (SimulatedAtaDrive._security, Protocol.PIO_OUT, False),
    Opcode.SECURITY_ERASE_PREPARE: (SimulatedAtaDrive._security, Protocol.NON_DATA, False),
    Opcode.SECURITY_ERASE_UNIT: (SimulatedAtaDrive._security, Protocol.PIO_OUT, False),
    Opcode.SECURITY_FREEZE_LOCK: (SimulatedAtaDrive._security, Protocol.NON_DATA, False),
    Opcode.SECURITY_DISABLE_PASSWORD: (SimulatedAtaDrive._security, Protocol.PIO_OUT, False),
}
