"""SCSI / ATA translation in front of a simulated ATA drive (SAT-4): libata, or the bridge in a USB enclosure.

Raw CDBs in; status, sense data and data out. Everything is parsed from bytes here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from simulators import scsi_inquiry
from simulators.ata import SimulatedAtaDrive
from simulators.ata_identify import SECTOR
from simulators.ata_options import Error, Opcode, Outputs, Protocol, Status
from simulators.ports_media import AccessError, AccessFault, Description, PowerEvent
from simulators.scsi_sense import (
    CHECK_CONDITION,
    GOOD,
    NOTHING,
    Answer,
    Code,
    SenseKey,
    ata_sense,
    check,
)

ATA_PASS_THROUGH_12 = 0xA1
ATA_PASS_THROUGH_16 = 0x85


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What a SATL does to what passes through it."""

    swallows_descriptor: bool = False
    """It never returns the ATA Status Return descriptor, asked or not."""
    fixed_sense: bool = False
    """It returns fixed format sense data (SAT-4 clause 12.2.2.7)."""
    identity: bytes | None = None
    """It shows these 512 bytes instead of the drive's own IDENTIFY DEVICE data."""
    rejects_16: bool = False
    """ATA PASS-THROUGH(16) is an invalid operation code."""
    rejects_12: bool = False
    """ATA PASS-THROUGH(12) is an invalid operation code."""
    pretends: bool = False
    """It answers non-data commands with a fine descriptor and does not pass them on."""


_INVALID_OPCODE = check(SenseKey.ILLEGAL_REQUEST, Code.INVALID_COMMAND_OPERATION_CODE, descriptor=True)
_OUT_OF_RANGE = check(SenseKey.ILLEGAL_REQUEST, Code.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, descriptor=True)


def _invalid_field(byte: int) -> Answer:
    return check(SenseKey.ILLEGAL_REQUEST, Code.INVALID_FIELD_IN_CDB, descriptor=True, field=byte)


_ERRORS: dict[int, tuple[SenseKey, tuple[int, int]]] = {
    Error.UNCORRECTABLE: (SenseKey.MEDIUM_ERROR, Code.UNRECOVERED_READ_ERROR_AUTO_REALLOCATE_FAILED),
    Error.ID_NOT_FOUND: (SenseKey.ILLEGAL_REQUEST, Code.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE),
    Error.ABORT: (SenseKey.ABORTED_COMMAND, Code.NONE),
}
"""SAT-4 table 21, the errors a simulated drive has."""

_ALL_PAGES = 0x3F
_CACHING = 0x08
_WCE = 0x04
_MODE_PAGES = {
    0x01: b"\x01\x0a\x80".ljust(12, b"\0"),
    _CACHING: b"\x08\x12".ljust(20, b"\0"),
    0x0A: b"\x0a\x0a\x02".ljust(12, b"\0"),
}
"""Read-Write Error Recovery with AWRE, Caching, Control with GLTSD (SAT-4 clause 10.1)."""
_SAVING_NOT_SUPPORTED = check(SenseKey.ILLEGAL_REQUEST, Code.SAVING_PARAMETERS_NOT_SUPPORTED, descriptor=True)

_CDB_LENGTHS = {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}
"""By group code, bits 7:5 of the operation code (SPC-5 clause 4.2.5.1)."""

Handler = Callable[["SatTarget", bytes, bytes, int, float], Answer]


class SatTarget:
    """One ATA drive as a SCSI target."""

    def __init__(self, drive: SimulatedAtaDrive, options: BridgeOptions | None = None) -> None:
        self.drive = drive
        self.options = options or BridgeOptions()
        self.clock = drive.clock

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_bytes: int = 0, timeout_s: float = math.inf
    ) -> Answer:
        """Carry out one CDB; ``data_in_bytes`` is the host's buffer. Raises ``HostTimeoutError``."""
        handler = _COMMANDS.get(cdb[0]) if cdb else None
        if handler is None:
            return _INVALID_OPCODE
        if len(cdb) != _CDB_LENGTHS.get(cdb[0] >> 5) or cdb[-1]:
            return _invalid_field(len(cdb) - 1)
        return handler(self, cdb, data_out, data_in_bytes, timeout_s)

    def aborted(self, cdb: bytes) -> Answer:
        """What the host sees when the drive aborts ``cdb`` without acting."""
        if cdb[0] in {ATA_PASS_THROUGH_12, ATA_PASS_THROUGH_16}:
            return self._return(Outputs(0x51, Error.ABORT, 0, 0, 0, b""), ext=bool(cdb[1] & 1), wanted=True)
        return check(SenseKey.ABORTED_COMMAND, Code.NONE, descriptor=True)

    # Power, blocks and identity, as the kernel uses them

    def settle(self) -> None:
        """See the drive."""
        self.drive.settle()

    def power_off(self) -> None:
        """See the drive."""
        self.drive.power_off()

    def power_on(self, event: PowerEvent) -> None:
        """See the drive."""
        self.drive.power_on(event)

    @property
    def powered(self) -> bool:
        """Whether the drive has power."""
        return self.drive.powered

    def told_capacity(self) -> tuple[int, int]:
        """By IDENTIFY DEVICE data, which a drive gives in every state."""
        self.settle()
        return self.blocks, self.block_bytes

    @property
    def block_bytes(self) -> int:
        """Bytes of a logical sector."""
        return self.drive.medium.sector_bytes

    @property
    def blocks(self) -> int:
        """Accessible sectors."""
        return self.drive.capacity.sectors

    def read(self, lba: int, into: memoryview, timeout_s: float) -> None:
        """See the drive."""
        self.drive.read(lba, into, timeout_s)

    def write(self, lba: int, data: bytes | memoryview, timeout_s: float) -> None:
        """See the drive."""
        self.drive.write(lba, data, timeout_s)

    def flush(self, timeout_s: float) -> None:
        """See the drive."""
        self.drive.flush(timeout_s)

    def _identity(self) -> bytes:
        return self.options.identity or self.drive.identify_page()

    def describe(self) -> Description:
        """What udev makes of the IDENTIFY DEVICE data that the bridge shows."""
        return _describe(self._identity())

    # Pass-through

    def _pass_through(self, cdb: bytes, data_out: bytes, data_in_bytes: int, timeout_s: float) -> Answer:
        long = cdb[0] == ATA_PASS_THROUGH_16
        if self.options.rejects_16 if long else self.options.rejects_12:
            return _INVALID_OPCODE
        ext = bool(cdb[1] & 0x01)
        if long:
            feature, count = cdb[3] << 8 | cdb[4], cdb[5] << 8 | cdb[6]
            lba = cdb[11] << 40 | cdb[9] << 32 | cdb[7] << 24 | cdb[12] << 16 | cdb[10] << 8 | cdb[8]
            device, command = cdb[13], cdb[14]
            if not ext and (cdb[3] or cdb[5] or cdb[7] or cdb[9] or cdb[11]):
                return _invalid_field(3)
        else:
            feature, count, lba = cdb[3], cdb[4], cdb[7] << 16 | cdb[6] << 8 | cdb[5]
            device, command = cdb[8], cdb[9]
            if ext:
                return _invalid_field(1)
        protocol = cdb[1] >> 1 & 0x0F
        wrong = self._transfer_error(cdb, protocol, feature, count, data_out, data_in_bytes)
        if wrong is not None:
            return _invalid_field(wrong)
        wanted = bool(cdb[2] & 0x20)
        if self.options.pretends and protocol == Protocol.NON_DATA:
            return self._return(Outputs(0x50, 0, 0, 0, device, b""), ext=ext, wanted=wanted)
        outputs = self.drive.taskfile(
            command, feature, count, lba, device, protocol, ext, data_out, timeout_s
        )
        if command == Opcode.IDENTIFY_DEVICE and self.options.identity and not outputs.error:
            outputs = outputs._replace(data_in=self.options.identity)
        return self._return(outputs, ext=ext, wanted=wanted)

    def _transfer_error(
        self, cdb: bytes, protocol: int, feature: int, count: int, data_out: bytes, data_in_bytes: int
    ) -> int | None:
        """The CDB byte that contradicts the protocol or the data buffers (SAT-4 clause 12.2.2.2)."""
        t_length = cdb[2] & 0x03
        inwards = protocol == Protocol.PIO_IN
        if cdb[1] >> 5 or protocol not in {Protocol.NON_DATA, Protocol.PIO_IN, Protocol.PIO_OUT}:
            return 1
        if protocol == Protocol.NON_DATA:
            return 2 if t_length or data_out or data_in_bytes else None
        buffer = data_in_bytes if inwards else len(data_out)
        length = (0, feature, count, buffer)[t_length]
        if cdb[2] & 0x04 and t_length != 3:
            length *= self.block_bytes if cdb[2] & 0x10 else SECTOR
        if bool(cdb[2] & 0x08) is not inwards or not 0 < length <= buffer:
            return 2
        return None if inwards or length == buffer else 2

    def _return(self, outputs: Outputs, *, ext: bool, wanted: bool) -> Answer:
        """Status and sense data for what the drive ended with (SAT-4 clause 12.2.2.5)."""
        options = self.options
        failed = bool(outputs.status & (Status.ERROR | Status.DEVICE_FAULT))
        if not failed and (not wanted or options.swallows_descriptor):
            return Answer(GOOD, b"", outputs.data_in)
        key, code = SenseKey.RECOVERED_ERROR, Code.ATA_PASS_THROUGH_INFORMATION_AVAILABLE
        if outputs.status & Status.DEVICE_FAULT:
            key, code = SenseKey.HARDWARE_ERROR, Code.INTERNAL_TARGET_FAILURE
        elif failed:
            key, code = next(
                (sense for bit, sense in _ERRORS.items() if outputs.error & bit), _ERRORS[Error.ABORT]
            )
        if options.swallows_descriptor:
            return check(key, code, descriptor=not options.fixed_sense)
        sense = ata_sense(
            key,
            code,
            ext=ext,
            error=outputs.error,
            status=outputs.status,
            count=outputs.count,
            lba=outputs.lba,
            device=outputs.device,
            fixed=options.fixed_sense,
        )
        return Answer(CHECK_CONDITION, sense, outputs.data_in)

    # Translated commands

    def _inquiry(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        if cdb[1] & ~0x01 or (cdb[2] and not cdb[1]):
            return _invalid_field(1 if cdb[1] & ~0x01 else 2)
        identity = self._identity()
        page = self._standard_inquiry(identity) if not cdb[1] else self._vital_product_data(cdb[2], identity)
        if page is None:
            return _invalid_field(2)
        return Answer(GOOD, b"", page[: min(cdb[3] << 8 | cdb[4], data_in_bytes)])

    @staticmethod
    @lru_cache(maxsize=4096)
    def _standard_inquiry(identity: bytes) -> bytes:
        # The last four characters of the firmware revision that are not blank (SAT-4 clause 8.1.2).
        firmware = _ata_text(identity[46:54])
        return scsi_inquiry.standard("ATA", _ata_text(identity[54:94])[:16], firmware[-4:])

    @staticmethod
    @lru_cache(maxsize=4096)
    def _vital_product_data(code: int, identity: bytes) -> bytes | None:
        serial, model = _ata_raw(identity[20:40]), _ata_raw(identity[54:94])
        page = None
        match code:
            case scsi_inquiry.SUPPORTED_PAGES:
                page = scsi_inquiry.page(0x00, bytes((0x00, 0x80, 0x83, 0x89, 0xB0, 0xB1)))
            case scsi_inquiry.UNIT_SERIAL_NUMBER:
                page = scsi_inquiry.page(0x80, serial)
            case scsi_inquiry.DEVICE_IDENTIFICATION:
                number = _wwn(identity)
                designators = scsi_inquiry.vendor_specific(serial)
                designators += scsi_inquiry.t10_vendor_id(b"ATA     " + model + serial)
                page = scsi_inquiry.page(0x83, designators + (scsi_inquiry.naa(number) if number else b""))
            case scsi_inquiry.ATA_INFORMATION:
                head = struct.pack(">4x8s16s4s20sB3x", b"SIM", b"SATL", b"3.00", b"\x34", 0xEC)
                page = scsi_inquiry.page(0x89, head + identity)
            case scsi_inquiry.BLOCK_LIMITS:
                page = scsi_inquiry.block_limits(max_unmap=0, max_write_same=0)
            case scsi_inquiry.BLOCK_DEVICE_CHARACTERISTICS:
                rate = int.from_bytes(identity[434:436], "little")
                page = scsi_inquiry.block_device_characteristics(rate)
        return page

    def _test_unit_ready(self, _: bytes, __: bytes, ___: int, ____: float) -> Answer:
        return NOTHING

    def _request_sense(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        sense = check(SenseKey.NO_SENSE, Code.NONE, descriptor=bool(cdb[1] & 1)).sense
        return Answer(GOOD, b"", sense[: min(cdb[4], data_in_bytes)])

    def _mode_sense(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        """MODE SENSE (6) and (10), pages of SAT-4 clause 10.1 without block descriptors or saved values."""
        long = cdb[0] == 0x5A
        control, code = cdb[2] >> 6, cdb[2] & 0x3F
        if control == 3:
            return _SAVING_NOT_SUPPORTED
        codes = tuple(_MODE_PAGES) if code == _ALL_PAGES else (code,)
        if cdb[3] or any(code not in _MODE_PAGES for code in codes):
            return _invalid_field(3 if cdb[3] else 2)
        # Word 85 bit 5: volatile write cache enabled.
        cached = bool(self._identity()[170] & 0x20) and control != 1
        body = b""
        for code in codes:
            page = bytearray(_MODE_PAGES[code])
            if code == _CACHING:
                page[2] = _WCE if cached else 0
            body += bytes(page)
        head = struct.pack(">HBBxxH", len(body) + 6, 0, 0, 0) if long else bytes((len(body) + 3, 0, 0, 0))
        length = cdb[7] << 8 | cdb[8] if long else cdb[4]
        return Answer(GOOD, b"", (head + body)[: min(length, data_in_bytes)])

    def _start_stop(self, cdb: bytes, _: bytes, __: int, timeout_s: float) -> Answer:
        """START STOP UNIT: a stop flushes and goes to Standby, a start is the next access's business."""
        if cdb[4] & ~0x01:
            return _invalid_field(4)
        if cdb[4]:
            return NOTHING
        for command, ext in ((Opcode.FLUSH_CACHE_EXT, True), (Opcode.STANDBY_IMMEDIATE, False)):
            outputs = self.drive.taskfile(command, ext=ext, timeout_s=timeout_s)
            if outputs.error:
                return self._return(outputs, ext=ext, wanted=False)
        return NOTHING

    def _read_capacity_10(self, _: bytes, __: bytes, data_in_bytes: int, ___: float) -> Answer:
        last = min(self.blocks - 1, 0xFFFFFFFF)
        return Answer(GOOD, b"", struct.pack(">II", last, self.block_bytes)[:data_in_bytes])

    def _read_capacity_16(self, cdb: bytes, _: bytes, data_in_bytes: int, __: float) -> Answer:
        if cdb[1] & 0x1F != 0x10:
            return _invalid_field(1)
        data = struct.pack(">QI20x", self.blocks - 1, self.block_bytes)
        return Answer(GOOD, b"", data[: min(int.from_bytes(cdb[10:14], "big"), data_in_bytes)])

    def _read_write(self, cdb: bytes, data_out: bytes, data_in_bytes: int, timeout_s: float) -> Answer:
        """READ and WRITE, (10) and (16)."""
        long = cdb[0] & 0x80
        lba = int.from_bytes(cdb[2:10] if long else cdb[2:6], "big")
        count = int.from_bytes(cdb[10:14] if long else cdb[7:9], "big")
        length = count * self.block_bytes
        writing = cdb[0] & 0x02
        if length > (len(data_out) if writing else data_in_bytes):
            return _invalid_field(10 if long else 7)
        try:
            if writing:
                self.drive.write(lba, data_out[:length], timeout_s)
                return NOTHING
            buffer = bytearray(length)
            self.drive.read(lba, memoryview(buffer), timeout_s)
        except AccessError as error:
            return _access_error(error)
        return Answer(GOOD, b"", bytes(buffer))

    def _synchronize_cache(self, _: bytes, __: bytes, ___: int, timeout_s: float) -> Answer:
        try:
            self.drive.flush(timeout_s)
        except AccessError as error:
            return _access_error(error)
        return NOTHING


@lru_cache(maxsize=4096)
def _describe(page: bytes) -> Description:
    wwn = _wwn(page)
    return Description(
        manufacturer=None,
        model=_ata_text(page[54:94]),
        serial=_ata_text(page[20:40]),
        wwn=f"0x{wwn:016x}" if wwn else None,
        firmware=_ata_text(page[46:54]),
        rotational=page[434:436] != b"\x01\x00",
    )


def _access_error(error: AccessError) -> Answer:
    match error.fault:
        case AccessFault.RANGE:
            return _OUT_OF_RANGE
        case AccessFault.MEDIUM:
            key, code = _ERRORS[Error.UNCORRECTABLE]
            return check(key, code, descriptor=True, information=error.lba)
    return check(SenseKey.ABORTED_COMMAND, Code.NONE, descriptor=True)


def _ata_raw(field: bytes) -> bytes:
    text = bytearray(len(field))
    text[0::2], text[1::2] = field[1::2], field[0::2]
    return bytes(text)


def _wwn(page: bytes) -> int:
    """Words 108 to 111, the most significant first."""
    words = struct.unpack_from("<4H", page, 216)
    return int(words[0] << 48 | words[1] << 32 | words[2] << 16 | words[3])


def _ata_text(field: bytes) -> str:
    return _ata_raw(field).decode("ascii", "replace").strip()


_COMMANDS: dict[int, Handler] = {
    0x00: SatTarget._test_unit_ready,
    0x03: SatTarget._request_sense,
    0x12: SatTarget._inquiry,
    0x1A: SatTarget._mode_sense,
    0x1B: SatTarget._start_stop,
    0x25: SatTarget._read_capacity_10,
    0x28: SatTarget._read_write,
    0x2A: SatTarget._read_write,
    0x35: SatTarget._synchronize_cache,
    0x5A: SatTarget._mode_sense,
    0x88: SatTarget._read_write,
    0x8A: SatTarget._read_write,
    0x91: SatTarget._synchronize_cache,
    0x9E: SatTarget._read_capacity_16,
    ATA_PASS_THROUGH_12: SatTarget._pass_through,
    ATA_PASS_THROUGH_16: SatTarget._pass_through,
}
