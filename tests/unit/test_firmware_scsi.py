"""What a SCSI drive says of itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rasura_agent.drive.port import (
    Command,
    Completion,
    Disposition,
    DrivePort,
    ScsiCommand,
)
from rasura_agent.drive.scsi.opcodes import CommandSupport, Support
from rasura_agent.drive.scsi.sense import parse_sense
from rasura_agent.erase.firmware.line import Line
from rasura_agent.erase.firmware.scsi_capabilities import SanitizeKind, ScsiCapabilities, read_capabilities
from rasura_agent.erase.firmware.scsi_offers import offers
from rasura_agent.erase.firmware.scsi_state import ScsiState, settle
from rasura_agent.inventory.model import Drive
from simulators.ports import Bay, ata_bay, scsi_bay
from simulators.ports_media import Technique as Does
from simulators.scsi_options import SOLID_STATE, ScsiOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, PowerCut
from unit.test_firmware_scsi_bench import judge_as_sg_io


def line_to(bay: Bay, schedule: FaultSchedule | None = None) -> Line:
    return Line(bay.open_port(schedule, judge_as_sg_io), bay.clock, lambda running: None)


def read(options: ScsiOptions) -> tuple[ScsiCapabilities, Drive]:
    bay, _ = scsi_bay(ManualClock(), options=options)
    return read_capabilities(line_to(bay)), bay.identify()


STANDARD = CommandSupport(Support.STANDARD)
NOT_SUPPORTED = CommandSupport(Support.NOT_SUPPORTED)


# Reading


def test_a_drive_tells_all_of_itself() -> None:
    said, drive = read(ScsiOptions(visible_blocks=40))
    assert said.inquiry is not None
    assert (said.inquiry.vendor, said.inquiry.product) == ("SIMULATE", "SAS DRIVE")
    assert (said.serial, said.wwn) == ("SIM-SAS-0001", "naa.5000c500f0e1d2c0")
    assert said.rotational is True
    assert said.translated_ata is False
    assert said.total_bytes == drive.capacity_bytes == 40 * 512
    assert said.selected_block_bytes == 512
    assert said.write_protected is False
    assert said.state is ScsiState.READY
    for support in (said.crypto, said.block, said.overwrite, said.exit_failure_mode, said.format_unit):
        assert support is not None
        assert support.support is Support.STANDARD
    assert said.unread == ()


def test_flash_does_not_rotate() -> None:
    assert read(ScsiOptions(rotation_rate=SOLID_STATE))[0].rotational is False


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (Does.CRYPTO, SanitizeKind.CRYPTO),
        (Does.BLOCK, SanitizeKind.BLOCK),
        (Does.OVERWRITE, SanitizeKind.OVERWRITE),
    ],
)
def test_support_is_read_for_each_service_action(does: Does, kind: SanitizeKind) -> None:
    said, _ = read(ScsiOptions(sanitize=frozenset({does})))
    for each in SanitizeKind:
        support = said.sanitize(each)
        assert support is not None
        assert (support.support is Support.STANDARD) is (each is kind)


def test_a_drive_without_sanitize_says_so_for_the_operation_code() -> None:
    """It refuses to speak of service actions of a command that it does not know."""
    said, _ = read(ScsiOptions(sanitize=frozenset()))
    assert said.crypto == said.block == said.overwrite == said.exit_failure_mode == NOT_SUPPORTED
    assert said.format_unit is not None


def test_a_yes_for_the_operation_code_is_none_for_its_service_actions() -> None:
    """A drive that knows SANITIZE but does not tell which."""
    bay, _ = scsi_bay(ManualClock())
    port = line_to(bay).port

    class Terse:
        def execute(self, command: Command) -> Completion:
            if isinstance(command, ScsiCommand) and command.cdb[0] == 0xA3 and command.cdb[3] == 0x48:
                if command.cdb[2] & 0x07 != 0b001:
                    return Completion(Disposition.REFUSED, "INVALID FIELD IN CDB", scsi_status=2)
                usage = bytes([0x48]) + bytes(9)
                return Completion(Disposition.DONE, "GOOD", data=b"\0\x03\0\x0a" + usage, scsi_status=0)
            return port.execute(command)

    said = read_capabilities(Line(Terse(), bay.clock, lambda running: None))
    assert said.crypto is said.block is said.overwrite is None
    assert said.format_unit is not None


def test_a_drive_that_reports_no_operation_codes_is_asked_once() -> None:
    bay, _ = scsi_bay(ManualClock(), options=ScsiOptions(reports_opcodes=False))
    line = line_to(bay)
    said = read_capabilities(line)
    assert said.crypto is said.block is said.overwrite is said.format_unit is None
    assert said.unread == ("it does not report which commands it supports",)
    assert sum(record.name.startswith("REPORT") for record in line.records) == 1


def test_a_drive_at_work_tells_who_it_is_and_what_it_does() -> None:
    bay, drive = scsi_bay(ManualClock())
    for _ in range(2):
        drive.execute(bytes.fromhex("48 82 00 00 00 00 00 00 00 00"), nexus=1)
    said = read_capabilities(line_to(bay))
    assert said.state is ScsiState.SANITIZING
    assert said.serial == "SIM-SAS-0001"
    assert said.capacity is None
    assert said.unread
    assert all(
        "followed to its end first" in (offer.obstacle or "") for offer in offers(said, bay.identify())
    )


def test_an_ata_drive_behind_a_translator_is_recognised() -> None:
    bay, _ = ata_bay(ManualClock())
    said = read_capabilities(line_to(bay))
    assert said.translated_ata
    assert all(offer.obstacle for offer in offers(said, bay.identify()))


@pytest.mark.parametrize("fault", FaultKind)
def test_faults_while_reading_only_leave_things_unread(fault: FaultKind) -> None:
    for number in range(16):
        bay, drive = scsi_bay(ManualClock())
        before = bytes(drive.medium.data)
        try:
            said = read_capabilities(line_to(bay, FaultSchedule({number: fault})))
        except PowerCut:
            continue
        assert bytes(drive.medium.data) == before
        whole, _ = read(ScsiOptions())
        names = [name for name in ScsiCapabilities.__struct_fields__ if name not in {"state", "unread"}]
        missing = [name for name in names if getattr(said, name) is None]
        assert all(getattr(said, name) == getattr(whole, name) for name in names if name not in missing)
        assert bool(missing) is bool(said.unread)
        assert said.state in {ScsiState.READY, ScsiState.UNKNOWN}


@dataclass
class Talking:
    """A port that answers commands of one operation code with bytes of its own, and all others truly."""

    port: DrivePort
    opcode: int
    data: bytes

    def execute(self, command: Command) -> Completion:
        if isinstance(command, ScsiCommand) and command.cdb[0] == self.opcode:
            return Completion(Disposition.DONE, "GOOD", data=self.data, scsi_status=0)
        return self.port.execute(command)


@pytest.mark.parametrize("opcode", [0x03, 0x12, 0x1A, 0x25, 0x5A, 0x9E, 0xA3])
@pytest.mark.parametrize("data", [b"", b"\0", bytes(36), bytes(600), b"\xff" * 36, b"\xff" * 600])
def test_nonsense_is_unread(opcode: int, data: bytes) -> None:
    bay, _ = scsi_bay(ManualClock())
    line = Line(Talking(line_to(bay).port, opcode, data), bay.clock, lambda running: None)
    said = read_capabilities(line)
    if opcode == 0x12:
        assert all(offer.obstacle for offer in offers(said, bay.identify()))
    elif opcode == 0x03:
        assert said.state is not ScsiState.READY
    elif opcode == 0xA3:
        assert not any(said.sanitize(kind) == STANDARD for kind in SanitizeKind)


@pytest.mark.parametrize("length", range(8))
def test_sense_data_shorter_than_its_header_says_nothing(length: int) -> None:
    bay, _ = scsi_bay(ManualClock())
    cut = Talking(line_to(bay).port, 0x03, bytes([0x72, 0, 0, 0, 0, 0, 0, 0])[:length])
    assert settle(Line(cut, bay.clock, lambda running: None)).state is ScsiState.UNKNOWN


@pytest.mark.parametrize("raw", [b"\x72\x00\x00\x00", b"\x72\x02\x04\x1b", b"\x70\x00\x02"])
def test_a_failed_poll_with_cut_sense_data_says_nothing(raw: bytes) -> None:
    bay, _ = scsi_bay(ManualClock())
    port = line_to(bay).port

    class Cutting:
        def execute(self, command: Command) -> Completion:
            if command.name != "TEST UNIT READY":
                return port.execute(command)
            return Completion(Disposition.UNKNOWN, "cut", scsi_status=2, sense=parse_sense(raw))

    assert settle(Line(Cutting(), bay.clock, lambda running: None)).state is ScsiState.UNKNOWN
