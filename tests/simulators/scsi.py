"""A simulated SCSI drive: a SAS disk or solid-state drive (SPC-5, SBC-4), spoken to by raw CDBs.

It parses what it is sent by itself and refuses what the standards let it refuse.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from simulators import scsi_commands, scsi_inquiry
from simulators.ports_media import (
    AccessError,
    AccessFault,
    Description,
    Operation,
    PowerEvent,
    Store,
    Technique,
    wait,
)
from simulators.scsi_commands import INQUIRY, MAINTENANCE_IN, REPORT_LUNS, REQUEST_SENSE, SANITIZE
from simulators.scsi_erase import FormatRequest, SanitizeAction, SanitizePhase, ScsiSanitize
from simulators.scsi_media import ScsiMedia
from simulators.scsi_mode import ModeParameters
from simulators.scsi_options import SOLID_STATE, ScsiOptions
from simulators.scsi_sense import (
    GOOD,
    NOTHING,
    Answer,
    CheckConditionError,
    Code,
    SenseKey,
    check,
    invalid_field,
    wrong_length,
)
from simulators.world import ManualClock, Medium

_ALWAYS = frozenset({INQUIRY, REQUEST_SENSE, REPORT_LUNS})
"""Processed whatever the state, and not preceded by a unit attention condition (SPC-5 clause 5.14)."""
_WHILE_CLOSED = _ALWAYS | {MAINTENANCE_IN}
"""Processed while a sanitize or format operation runs, or after a sanitize failed (SBC-4 clause 4.11.2)."""

Handler = Callable[["SimulatedScsiDrive", bytes, bytes, int, float], Answer]


class SimulatedScsiDrive:
    """One logical unit with power. Whoever owns it takes care not to speak to it without.

    ``medium`` has every block, clipped ones included, and is what a test looks at afterwards.
    """

    def __init__(self, clock: ManualClock, medium: Medium, options: ScsiOptions | None = None) -> None:
        self.clock = clock
        self.medium = medium
        self.options = options = options or ScsiOptions()
        self.mode = ModeParameters(options, medium)
        self.media = ScsiMedia(options, Store(medium, cached=options.write_cache), self.mode)
        self.sanitize = ScsiSanitize(clock, options)
        self._commands = scsi_commands.supported(options)
        self._hidden_from = self.mode.visible_blocks
        self._format: Operation | None = None
        self._format_request: FormatRequest | None = None
        self._format_failed = False
        self.corrupt = False
        """Medium format corrupted: a format was cut short, or failed."""
        self.stopped = False
        self._told_of_power_on: set[int] = set()
        self.powered = True

    # Power

    def power_off(self) -> None:
        """Unflushed writes are lost; a format is cut short, a sanitize operation is suspended."""
        self.settle()
        if self._format is not None:
            self._format = None
            self.corrupt = True
        self.media.store.lose_power()
        if self.sanitize.operation is not None:
            self.sanitize.operation.pause()
        self.powered = False

    def power_on(self, event: PowerEvent = PowerEvent.BOOT) -> None:
        """Power on condition: every I_T nexus will be told once. A BIOS leaves a SAS drive alone."""
        del event
        self.powered = True
        self.stopped = False
        self._told_of_power_on.clear()
        self.mode.power_on()
        if self.sanitize.operation is not None:
            self.sanitize.operation.resume()

    # Commands

    def execute(
        self,
        cdb: bytes,
        data_out: bytes = b"",
        data_in_bytes: int = 0,
        timeout_s: float = math.inf,
        nexus: int = 0,
    ) -> Answer:
        """Carry out one CDB from one I_T nexus; ``data_in_bytes`` is the host's buffer.

        Raises ``HostTimeoutError`` when it takes longer than ``timeout_s``; what was begun goes on.
        """
        self.settle()
        opcode = cdb[0] if cdb else 0xFF
        if opcode in self.options.hangs:
            wait(self.clock, math.inf, timeout_s)
        try:
            if opcode not in _ALWAYS and self._take_attention(nexus):
                raise _power_on_occurred()
            command = scsi_commands.find(self._commands, cdb)
            if opcode not in _WHILE_CLOSED:
                self._check_open(opcode)
            if command.medium:
                self._check_medium()
            if opcode == REQUEST_SENSE:
                return self._request_sense(cdb, data_in_bytes, nexus)
            return _HANDLERS[opcode](self, cdb, data_out, data_in_bytes, timeout_s)
        except AccessError as error:
            refusal = self.media.refusal(error, writing=bool(opcode & 0x02 or data_out))
            return refusal.answer(descriptor=self.mode.descriptor_sense)
        except CheckConditionError as error:
            return error.answer(descriptor=self.mode.descriptor_sense)

    def aborted(self, cdb: bytes) -> Answer:
        """What the host sees when the drive aborts ``cdb`` without acting."""
        del cdb
        return check(SenseKey.ABORTED_COMMAND, Code.NONE, descriptor=self.mode.descriptor_sense)

    def settle(self) -> None:
        """Bring the medium up to date with the clock."""
        self.sanitize.settle(self._replace_all)
        if self.sanitize.technique_done is not None:
            self._after_sanitize(self.sanitize.technique_done)
            self.sanitize.technique_done = None
        operation, request = self._format, self._format_request
        if operation is not None and request is not None and operation.over:
            self._format = None
            self._after_format(request, failed=operation.failed)

    def _take_attention(self, nexus: int) -> bool:
        if nexus in self._told_of_power_on:
            return False
        self._told_of_power_on.add(nexus)
        return True

    def _condition(self) -> CheckConditionError | None:
        """What a sanitize or format operation makes of every other command, and of REQUEST SENSE."""
        running = self.sanitize.operation or self._format
        if running is not None:
            code = Code.FORMAT_IN_PROGRESS if running is self._format else Code.SANITIZE_IN_PROGRESS
            progress = running.progress if self.options.reports_progress else None
            return CheckConditionError(SenseKey.NOT_READY, code, progress=progress)
        if self.sanitize.phase is SanitizePhase.FAILED:
            return CheckConditionError(SenseKey.MEDIUM_ERROR, Code.SANITIZE_COMMAND_FAILED)
        return None

    def _check_open(self, opcode: int) -> None:
        condition = self._condition()
        if condition is None or (opcode == SANITIZE and self.sanitize.phase is SanitizePhase.FAILED):
            return
        raise condition

    def _check_started(self) -> None:
        if self.stopped:
            raise CheckConditionError(SenseKey.NOT_READY, Code.INITIALIZING_COMMAND_REQUIRED)

    def _check_medium(self) -> None:
        self._check_started()
        if self.corrupt or self.mode.pending is not None:
            raise CheckConditionError(SenseKey.MEDIUM_ERROR, Code.MEDIUM_FORMAT_CORRUPTED)

    def _request_sense(self, cdb: bytes, data_in_bytes: int, nexus: int) -> Answer:
        """Conditions as parameter data with GOOD status (SPC-5 clause 6.37)."""
        sense = self._condition()
        if self._take_attention(nexus):
            sense = _power_on_occurred()
        elif self._format_failed and sense is None:
            sense = CheckConditionError(SenseKey.MEDIUM_ERROR, Code.FORMAT_COMMAND_FAILED)
        elif self.stopped:
            sense = CheckConditionError(SenseKey.NOT_READY, Code.INITIALIZING_COMMAND_REQUIRED)
        elif sense is None:
            sense = CheckConditionError(SenseKey.NO_SENSE, Code.NONE)
        data = sense.answer(descriptor=bool(cdb[1] & 0x01)).sense
        return Answer(GOOD, b"", data[: min(cdb[4], data_in_bytes)])

    def _test_unit_ready(self, _: bytes, __: bytes, ___: int, ____: float) -> Answer:
        return NOTHING

    def _inquiry(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        if cdb[1]:
            page = self._vital_product_data(cdb[2])
        elif cdb[2]:
            raise invalid_field(2)
        else:
            options = self.options
            page = scsi_inquiry.standard(options.vendor, options.product, options.revision)
        return Answer(GOOD, b"", page[: min(cdb[3] << 8 | cdb[4], data_in_bytes)])

    def _vital_product_data(self, code: int) -> bytes:
        options = self.options
        match code:
            case scsi_inquiry.SUPPORTED_PAGES:
                page = scsi_inquiry.page(0x00, bytes((0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2)))
            case scsi_inquiry.UNIT_SERIAL_NUMBER:
                page = scsi_inquiry.page(0x80, options.serial.encode().ljust(20))
            case scsi_inquiry.DEVICE_IDENTIFICATION:
                designators = scsi_inquiry.naa(options.wwn) + scsi_inquiry.naa(options.wwn + 1, port=True)
                page = scsi_inquiry.page(0x83, designators)
            case scsi_inquiry.BLOCK_LIMITS:
                unmap = 0xFFFFFFFF if options.unmaps else 0
                page = scsi_inquiry.block_limits(max_unmap=unmap, max_write_same=options.max_write_same)
            case scsi_inquiry.BLOCK_DEVICE_CHARACTERISTICS:
                after = 0b11 if options.write_after_sanitize else 0b01
                page = scsi_inquiry.block_device_characteristics(options.rotation_rate, after)
            case scsi_inquiry.LOGICAL_BLOCK_PROVISIONING:
                page = scsi_inquiry.logical_block_provisioning(unmaps=options.unmaps)
            case _:
                raise invalid_field(2)
        return page

    def _report_luns(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        length = int.from_bytes(cdb[6:10], "big")
        return Answer(GOOD, b"", struct.pack(">I12x", 8)[: min(length, data_in_bytes)])

    def _report_opcodes(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        data = scsi_commands.report(self._commands, cdb)
        return Answer(GOOD, b"", data[: min(int.from_bytes(cdb[6:10], "big"), data_in_bytes)])

    def _read_capacity(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        """The format that the medium has, which a MODE SELECT still to be formatted does not change."""
        self._check_started()
        if self.corrupt:
            raise CheckConditionError(SenseKey.MEDIUM_ERROR, Code.MEDIUM_FORMAT_CORRUPTED)
        last = self.mode.visible_blocks - 1
        if cdb[0] == 0x25:
            data = struct.pack(">II", min(last, 0xFFFFFFFF), self.medium.sector_bytes)
            return Answer(GOOD, b"", data[:data_in_bytes])
        provisioning = 0xC000 if self.options.unmaps else 0
        data = struct.pack(">QIxxH16x", last, self.medium.sector_bytes, provisioning)
        return Answer(GOOD, b"", data[: min(int.from_bytes(cdb[10:14], "big"), data_in_bytes)])

    def _mode_sense(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        length = cdb[7] << 8 | cdb[8] if cdb[0] == 0x5A else cdb[4]
        return Answer(GOOD, b"", self.mode.sense(cdb)[: min(length, data_in_bytes)])

    def _mode_select(self, cdb: bytes, data_out: bytes, _: int, __: float) -> Answer:
        long = cdb[0] == 0x55
        if not cdb[1] & 0x10:
            raise invalid_field(1)
        if len(data_out) != (cdb[7] << 8 | cdb[8] if long else cdb[4]):
            raise wrong_length()
        if data_out:
            self.mode.select(data_out, long=long)
        return NOTHING

    def _start_stop(self, cdb: bytes, _: bytes, __: int, ___: float) -> Answer:
        if not cdb[4] & 0x05:
            self.media.store.flush()
        self.stopped = not cdb[4] & 0x01
        return NOTHING

    # Erasing

    def _sanitize(self, cdb: bytes, data_out: bytes, _: int, timeout_s: float) -> Answer:
        self._check_started()
        self.sanitize.start(cdb, data_out, self.medium.sector_bytes)
        operation = self.sanitize.operation
        if operation is None or cdb[1] & 0x80 or cdb[1] & 0x1F == SanitizeAction.EXIT_FAILURE_MODE:
            return NOTHING
        wait(self.clock, operation.remaining_s, timeout_s)
        self.settle()
        condition = self._condition()
        if condition is not None:
            raise condition
        return NOTHING

    def _format_unit(self, cdb: bytes, data_out: bytes, _: int, timeout_s: float) -> Answer:
        self._check_started()
        request = FormatRequest(cdb, data_out, self.medium.sector_bytes)
        options, lie = self.options, self.options.lie
        instantly = lie is not None and lie.instantly and lie.about(Technique.FORMAT)
        seconds = 0.0 if instantly else options.format_s
        self._format_request, self._format_failed = request, False
        self._format = Operation(self.clock, seconds, fails_at=options.format_fails_at)
        if request.immediate:
            return NOTHING
        wait(self.clock, self._format.remaining_s, timeout_s)
        self.settle()
        if self._format_failed:
            raise CheckConditionError(SenseKey.MEDIUM_ERROR, Code.FORMAT_COMMAND_FAILED)
        return NOTHING

    def _after_format(self, request: FormatRequest, *, failed: bool) -> None:
        if failed:
            self._format_failed = self.corrupt = True
            return
        self.corrupt = False
        self.media.everything_is_readable()
        self.mode.formatted()
        if self.options.format_writes:
            # Blocks that are clipped away are no part of what the application client sees, nor formatted.
            self._replace(Technique.FORMAT, request.pattern, self.mode.visible_blocks)

    def _after_sanitize(self, technique: Technique) -> None:
        self.corrupt = self._format_failed = False
        self.media.everything_is_readable()
        if self.options.write_after_sanitize and technique is not Technique.OVERWRITE:
            self.media.must_be_written_first()

    def _replace_all(self, technique: Technique, pattern: bytes | None, fraction: float) -> bool:
        """The scope of a sanitize operation is everything, clipped blocks included."""
        return self._replace(technique, pattern, int(self.medium.sectors * fraction))

    def _replace(self, technique: Technique, pattern: bytes | None, blocks: int) -> bool:
        lie = self.options.lie
        kept = () if lie is None else lie.kept(technique, self._hidden_from)
        reassign = not self.options.bad_sectors_fail_erase
        return self.media.store.fill(blocks, pattern, kept=kept, reassign_bad=reassign)

    # Media access

    def _read_write(self, cdb: bytes, data_out: bytes, data_in_bytes: int, _: float) -> Answer:
        return self.media.read_write(cdb, data_out, data_in_bytes)

    def _write_same(self, cdb: bytes, data_out: bytes, _: int, __: float) -> Answer:
        return self.media.write_same(cdb, data_out)

    def _unmap(self, cdb: bytes, data_out: bytes, _: int, __: float) -> Answer:
        return self.media.unmap(cdb, data_out)

    def _synchronize_cache(self, _: bytes, __: bytes, ___: int, ____: float) -> Answer:
        self.media.store.flush()
        return NOTHING

    # Blocks and identity, as the kernel uses them

    @property
    def block_bytes(self) -> int:
        """Bytes of a logical block."""
        return self.medium.sector_bytes

    @property
    def blocks(self) -> int:
        """Accessible blocks."""
        return self.mode.visible_blocks

    def told_capacity(self) -> tuple[int, int] | None:
        """READ CAPACITY is not among the commands of a drive at work, and a corrupt one has none to tell."""
        self.settle()
        if self.corrupt or self.stopped or self._condition() is not None:
            return None
        return self.blocks, self.block_bytes

    def _check_access(self, lba: int) -> None:
        """The kernel absorbs a unit attention condition by trying again: then it is gone for everybody."""
        self.settle()
        self._told_of_power_on.add(0)
        try:
            self._check_open(0)
            self._check_medium()
        except CheckConditionError:
            raise AccessError(AccessFault.ABORTED, lba) from None

    def read(self, lba: int, into: memoryview, timeout_s: float) -> None:
        """What READ does."""
        del timeout_s
        self._check_access(lba)
        self.media.read(lba, into)

    def write(self, lba: int, data: bytes | memoryview, timeout_s: float) -> None:
        """What WRITE does."""
        del timeout_s
        self._check_access(lba)
        self.media.write(lba, data)

    def flush(self, timeout_s: float) -> None:
        """What SYNCHRONIZE CACHE does."""
        del timeout_s
        self._check_access(0)
        self.media.store.flush()

    def describe(self) -> Description:
        """What udev makes of INQUIRY."""
        options = self.options
        return Description(
            manufacturer=options.vendor[:8].strip(),
            model=options.product[:16].strip(),
            serial=options.serial,
            wwn=f"0x{options.wwn:016x}",
            firmware=options.revision[:4].strip(),
            rotational=options.rotation_rate != SOLID_STATE,
        )


def _power_on_occurred() -> CheckConditionError:
    return CheckConditionError(SenseKey.UNIT_ATTENTION, Code.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED)


_HANDLERS: dict[int, Handler] = {
    0x00: SimulatedScsiDrive._test_unit_ready,
    0x04: SimulatedScsiDrive._format_unit,
    INQUIRY: SimulatedScsiDrive._inquiry,
    0x15: SimulatedScsiDrive._mode_select,
    0x1A: SimulatedScsiDrive._mode_sense,
    0x1B: SimulatedScsiDrive._start_stop,
    0x25: SimulatedScsiDrive._read_capacity,
    0x28: SimulatedScsiDrive._read_write,
    0x2A: SimulatedScsiDrive._read_write,
    0x35: SimulatedScsiDrive._synchronize_cache,
    0x41: SimulatedScsiDrive._write_same,
    0x42: SimulatedScsiDrive._unmap,
    SANITIZE: SimulatedScsiDrive._sanitize,
    0x55: SimulatedScsiDrive._mode_select,
    0x5A: SimulatedScsiDrive._mode_sense,
    0x88: SimulatedScsiDrive._read_write,
    0x8A: SimulatedScsiDrive._read_write,
    0x91: SimulatedScsiDrive._synchronize_cache,
    0x93: SimulatedScsiDrive._write_same,
    0x9E: SimulatedScsiDrive._read_capacity,
    REPORT_LUNS: SimulatedScsiDrive._report_luns,
    MAINTENANCE_IN: SimulatedScsiDrive._report_opcodes,
}
