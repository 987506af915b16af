"""Drives with a SMART past, for a smartctl to read: a failing disk, a worn SSD, SAS counters, NVMe."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from simulators.ata import SimulatedAtaDrive
from simulators.ata_identify import SECTOR
from simulators.ata_options import ABORTED, GOOD, AtaOptions, Opcode, Outputs, Protocol, good
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.sat import SatTarget
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_options import ScsiOptions
from simulators.scsi_sense import GOOD as SCSI_GOOD
from simulators.scsi_sense import Answer
from simulators.world import ManualClock, Medium

_KEY, _EXCEEDED = 0xC24F, 0x2CF4
_READ_DATA, _READ_THRESHOLDS, _EXECUTE, _READ_LOG = 0xD0, 0xD1, 0xD4, 0xD5
_ENABLE, _STATUS = 0xD8, 0xDA
_ERROR_LOG, _SELF_TEST_LOG = 0x01, 0x06
_SELF_TESTS = {1: 0x01, 2: 0x02, 3: 0x03}
_ABORT = 0x7F


@dataclass
class Smart:
    """What the SMART of an ATA drive says (ATA8-ACS 7.53). ``attributes``: id -> (value, raw)."""

    attributes: dict[int, tuple[int, int]] = field(default_factory=dict)
    thresholds: dict[int, int] = field(default_factory=dict)
    hours: int = 1000
    errors: int = 0
    tests: list[tuple[int, int, int]] = field(default_factory=list)
    """Newest first: subcommand, status byte, hours."""
    test_s: float = 120.0
    test_fails: bool = False


class SmartAtaDrive(SimulatedAtaDrive):
    """A simulated ATA drive that keeps SMART data, thresholds, logs, and runs self-tests by its clock."""

    def __init__(self, clock: ManualClock, medium: Medium, options: AtaOptions, smart: Smart) -> None:
        self.smart = smart
        self._test: tuple[int, float] | None = None
        super().__init__(clock, medium, options)

    def identify_page(self) -> bytes:
        """With SMART error logging and self-tests supported and enabled (words 84 and 87)."""
        page = bytearray(super().identify_page())
        for word in (84, 87):
            (value,) = struct.unpack_from("<H", page, 2 * word)
            struct.pack_into("<H", page, 2 * word, value | 0x0003)
        page[511] = 0
        page[511] = -sum(page) & 0xFF
        return bytes(page)

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
        """See the drive; SMART is answered here."""
        if command != Opcode.SMART:
            return super().taskfile(command, feature, count, lba, device, protocol, ext, data_out, timeout_s)
        self._settle_test()
        if lba >> 8 & 0xFFFF != _KEY:
            return ABORTED
        if feature == _EXECUTE:
            return self._execute(lba & 0xFF)
        if feature == _STATUS:
            return good(lba=(_EXCEEDED if self.options.smart_failing else _KEY) << 8)
        log = lba & 0xFF if feature == _READ_LOG else None
        page = {
            (_READ_DATA, None): self._data,
            (_READ_THRESHOLDS, None): self._thresholds,
            (_READ_LOG, _ERROR_LOG): self._error_log,
            (_READ_LOG, _SELF_TEST_LOG): self._self_test_log,
        }.get((feature, log))
        if page is not None:
            return good(data_in=page())
        return GOOD if feature == _ENABLE else ABORTED

    def _execute(self, subcommand: int) -> Outputs:
        if subcommand == _ABORT:
            if self._test is not None:
                self.smart.tests.insert(0, (self._test[0], 0x10, self.smart.hours))
                self._test = None
            return GOOD
        if subcommand not in _SELF_TESTS:
            return ABORTED
        self._test = (subcommand, self.clock.monotonic())
        return GOOD

    def _settle_test(self) -> None:
        if self._test is None or self.clock.monotonic() - self._test[1] < self.smart.test_s:
            return
        status = 0x70 if self.smart.test_fails else 0x00
        self.smart.tests.insert(0, (self._test[0], status, self.smart.hours))
        self._test = None

    @property
    def _status(self) -> int:
        if self._test is not None:
            left = 1 - (self.clock.monotonic() - self._test[1]) / self.smart.test_s
            return 0xF0 | min(9, max(0, int(left * 10)))
        return self.smart.tests[0][1] if self.smart.tests else 0

    def _data(self) -> bytes:
        page = bytearray(SECTOR)
        struct.pack_into("<H", page, 0, 0x0010)
        for index, (number, (value, raw)) in enumerate(sorted(self.smart.attributes.items())):
            flags = 0x33 if number in {5, 10, 197} else 0x32
            struct.pack_into("<BHBB", page, 2 + 12 * index, number, flags, value, value)
            page[7 + 12 * index : 13 + 12 * index] = raw.to_bytes(6, "little")
        page[362], page[363] = 0x82, self._status
        struct.pack_into("<H", page, 364, 600)
        page[367] = 0x79
        struct.pack_into("<H", page, 368, 0x0003)
        page[370], page[372], page[373], page[374] = 0x01, 2, 90, 5
        return _sealed(page)

    def _thresholds(self) -> bytes:
        page = bytearray(SECTOR)
        struct.pack_into("<H", page, 0, 0x0010)
        for index, number in enumerate(sorted(self.smart.attributes)):
            page[2 + 12 * index], page[3 + 12 * index] = number, self.smart.thresholds.get(number, 0)
        return _sealed(page)

    def _error_log(self) -> bytes:
        """The summary log with its count alone."""
        page = bytearray(SECTOR)
        page[0], page[1] = 1, int(self.smart.errors > 0)
        struct.pack_into("<H", page, 452, self.smart.errors)
        return _sealed(page)

    def _self_test_log(self) -> bytes:
        page = bytearray(SECTOR)
        struct.pack_into("<H", page, 0, 1)
        kept = self.smart.tests[:21]
        for index, (kind, status, hours) in enumerate(reversed(kept)):
            struct.pack_into(
                "<BBHBI", page, 2 + 24 * index, kind, status, hours, 0, 4711 if status >= 0x30 else 0xFFFFFFFF
            )
        page[508] = len(kept)
        return _sealed(page)


def _sealed(page: bytearray) -> bytes:
    page[511] = -sum(page[:511]) & 0xFF
    return bytes(page)


@dataclass
class Counters:
    """What a SAS drive counts (SPC-5 and SBC-4 log pages)."""

    grown_defects: int = 0
    uncorrected_read: int = 0
    uncorrected_write: int = 0
    non_medium: int = 0
    gigabytes_written: int = 1000
    temperature: int = 38
    hours: int = 20000
    failing: bool = False
    wear_percent: int | None = None
    tests: list[tuple[int, int, int]] = field(default_factory=list)
    """Newest first: self-test code, result, hours."""


class SmartScsiDrive(SimulatedScsiDrive):
    """A simulated SAS drive that keeps log pages."""

    counters: Counters = Counters()

    def execute(
        self,
        cdb: bytes,
        data_out: bytes = b"",
        data_in_bytes: int = 0,
        timeout_s: float = math.inf,
        nexus: int = 0,
    ) -> Answer:
        """See the drive; LOG SENSE, the defect list and the exceptions mode page are answered here."""
        match cdb[0]:
            case 0x4D:
                page = self._log_page(cdb[2] & 0x3F, cdb[3])
                if page is not None:
                    return Answer(SCSI_GOOD, b"", page[: cdb[7] << 8 | cdb[8]])
            case 0xB7:
                length = 8 * self.counters.grown_defects
                data = struct.pack(">BBHI", 0, 0x0D, 0, length)
                return Answer(SCSI_GOOD, b"", data[: int.from_bytes(cdb[6:10], "big")])
            case 0x37:
                data = struct.pack(">BBH", 0, 0x0D, 8 * self.counters.grown_defects)
                return Answer(SCSI_GOOD, b"", data[: cdb[7] << 8 | cdb[8]])
            case 0x1A if cdb[2] & 0x3F == 0x1C:
                data = bytes((15, 0, 0, 0)) + bytes((0x1C, 0x0A, 0x00, 0x06)) + bytes(8)
                return Answer(SCSI_GOOD, b"", data[: cdb[4]])
            case 0x5A if cdb[2] & 0x3F == 0x1C:
                data = struct.pack(">HBBBBH", 18, 0, 0, 0, 0, 0) + bytes((0x1C, 0x0A, 0x00, 0x06)) + bytes(8)
                return Answer(SCSI_GOOD, b"", data[: cdb[7] << 8 | cdb[8]])
        return super().execute(cdb, data_out, data_in_bytes, timeout_s, nexus)

    def _log_page(self, page: int, subpage: int) -> bytes | None:
        if subpage:
            return None
        now = self.counters
        pages = {
            0x02: [
                (0, 0),
                (1, 0),
                (2, 0),
                (3, 0),
                (4, 0),
                (5, now.gigabytes_written * 10**9),
                (6, now.uncorrected_write),
            ],
            0x03: [(0, 3), (1, 0), (2, 0), (3, 3), (4, 3), (5, 5 * 10**11), (6, now.uncorrected_read)],
            0x06: [(0, now.non_medium)],
        }
        if page == 0x00:
            body = bytes(
                sorted(
                    {0, 2, 3, 6, 0x0D, 0x10, 0x15, 0x2F, *([0x11] if now.wear_percent is not None else [])}
                )
            )
        elif page in pages:
            body = b"".join(struct.pack(">HBBQ", code, 0, 8, value) for code, value in pages[page])
        elif page == 0x0D:
            body = bytes((0, 0, 1, 2, 0, now.temperature, 0, 1, 1, 2, 0, 68))
        elif page == 0x10:
            body = b"".join(self._self_test(number) for number in range(20))
        elif page == 0x11 and now.wear_percent is not None:
            body = bytes((0, 1, 3, 4, 0, 0, 0, now.wear_percent))
        elif page == 0x15:
            body = struct.pack(">HBBIBBHHH", 0, 3, 12, now.hours * 60, 0, 0, 0, 0, 0)
        elif page == 0x2F:
            asc, ascq = (0x5D, 0x10) if now.failing else (0, 0)
            body = bytes((0, 0, 3, 4, asc, ascq, now.temperature, 68))
        else:
            return None
        return struct.pack(">BBH", page, 0, len(body)) + body

    def _self_test(self, number: int) -> bytes:
        head = struct.pack(">HBB", number + 1, 3, 16)
        if number >= len(self.counters.tests):
            return head + bytes(16)
        code, result, hours = self.counters.tests[number]
        return head + struct.pack(">BBHQI", code << 5 | result, 0, hours, 2**64 - 1, 0)


def bench(clock: ManualClock) -> dict[str, SatTarget | SmartScsiDrive | SimulatedNvmeSubsystem]:
    """Drives of every kind, by the path of their device node."""
    failing = Smart(
        {1: (100, 0), 5: (30, 1975), 9: (70, 41234), 10: (100, 0), 187: (97, 3), 194: (36, 36),
         197: (98, 8), 198: (98, 8)},
        thresholds={5: 36}, hours=41234, errors=3, tests=[(2, 0x70, 41230), (1, 0x00, 100)],
    )  # fmt: skip
    healthy = Smart(
        {1: (100, 0), 5: (100, 0), 9: (99, 1200), 10: (100, 0), 187: (100, 0), 194: (30, 30),
         197: (100, 0), 198: (100, 0)},
        thresholds={5: 36}, hours=1200,
    )  # fmt: skip
    worn = Smart(
        {5: (100, 2), 9: (97, 21000), 187: (100, 0), 194: (35, 35), 202: (9, 91), 241: (1, 160 << 21)},
        hours=21000,
    )
    sas = SmartScsiDrive(clock, _medium(), ScsiOptions())
    sas.counters = Counters(grown_defects=3, uncorrected_read=1, non_medium=12, tests=[(1, 0, 19000)])
    nvme = SimulatedNvmeSubsystem(clock, [_medium()])
    nvme.health.percentage_used, nvme.health.media_errors = 104, 2
    nvme.health.data_units_written, nvme.health.power_on_hours = 600_000_000, 30_000
    return {
        "/dev/sda": SatTarget(SmartAtaDrive(clock, _medium(), AtaOptions(smart_failing=True), failing)),
        "/dev/sdb": SatTarget(SmartAtaDrive(clock, _medium(), AtaOptions(), healthy)),
        "/dev/sdc": SatTarget(SmartAtaDrive(clock, _medium(), AtaOptions(rotation_rate=1), worn)),
        "/dev/sdd": sas,
        "/dev/nvme0": nvme,
    }


def _medium() -> Medium:
    return Medium(512, 1 << 13)
