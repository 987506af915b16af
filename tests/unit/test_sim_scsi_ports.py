"""A simulated SCSI drive behind DrivePort and BlockPort."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.port import AtaCommand, BlockPort, Disposition, DrivePort, ScsiCommand
from rasura_agent.inventory.model import Transport
from simulators.ports import Bay, scsi_bay
from simulators.scsi import SimulatedScsiDrive
from simulators.scsi_host import OLD_DATA
from simulators.scsi_options import ScsiOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, PowerCut

READY = ScsiCommand("TEST UNIT READY", bytes(6))
BLOCK_ERASE = ScsiCommand("SANITIZE", bytes.fromhex("48 82 00 00 00 00 00 00 00 00"))
REQUEST_SENSE = ScsiCommand("REQUEST SENSE", bytes.fromhex("03 00 00 00 fc 00"), data_in_bytes=252)


def bay(options: ScsiOptions | None = None, *, block_bytes: int = 512) -> tuple[Bay, SimulatedScsiDrive]:
    made, drive = scsi_bay(ManualClock(), 64, options, block_bytes=block_bytes)
    drive.medium.data[:] = bytes((OLD_DATA,)) * len(drive.medium.data)
    drive.execute(bytes(6))
    return made, drive


def old(drive: SimulatedScsiDrive) -> int:
    """Bytes of old data on the medium."""
    drive.settle()
    return drive.medium.data.count(OLD_DATA)


def test_they_are_the_ports() -> None:
    made, _ = bay()
    port: DrivePort = made.open_port()
    block: BlockPort = made.open_block()
    assert port.execute(READY).disposition is Disposition.DONE
    assert block.identify().transport is Transport.SAS


def test_sanitize_run() -> None:
    made, drive = bay()
    port = made.open_port()
    started = port.execute(BLOCK_ERASE)
    assert (started.disposition, started.scsi_status, started.sense) == (Disposition.DONE, 0, None)
    made.clock.sleep(15)
    polled = port.execute(READY)
    assert polled.disposition is Disposition.UNKNOWN
    assert polled.sense is not None
    assert (polled.sense.key, polled.sense.asc, polled.sense.ascq) == (2, 0x04, 0x1B)
    assert polled.sense.progress == 32768
    assert polled.sense.information is None
    made.clock.sleep(16)
    assert port.execute(REQUEST_SENSE).data[2] == 0
    assert old(drive) == 0


def test_field_pointer_is_no_progress() -> None:
    made, _ = bay()
    refused = made.open_port().execute(ScsiCommand("", bytes.fromhex("00 00 00 00 01 00")))
    assert refused.disposition is Disposition.REFUSED
    assert refused.sense is not None
    assert refused.sense.raw[15] & 0x80
    assert refused.sense.progress is None


def test_information_of_a_medium_error() -> None:
    made, drive = bay()
    drive.medium.bad.add(9)
    read = ScsiCommand("READ", bytes.fromhex("28 00 00 00 00 08 00 00 02 00"), data_in_bytes=1024)
    done = made.open_port().execute(read)
    assert done.disposition is Disposition.UNKNOWN
    assert done.sense is not None
    assert done.sense.information == 9


def test_ata_commands_are_refused_by_a_sas_drive() -> None:
    done = bay()[0].open_port().execute(AtaCommand("", 0xE5))
    assert done.disposition is Disposition.REFUSED
    assert done.sense is not None
    assert (done.sense.asc, done.ata) == (0x20, None)


@pytest.mark.parametrize(
    ("kind", "acted", "disposition", "elapsed"),
    [
        (FaultKind.HANG, True, Disposition.UNKNOWN, 15),
        (FaultKind.HANG_UNSEEN, False, Disposition.UNKNOWN, 15),
        (FaultKind.SWALLOW_STATUS, True, Disposition.UNKNOWN, 0),
        (FaultKind.ABORT, False, Disposition.UNKNOWN, 0),
        (FaultKind.UNPLUG, False, Disposition.UNKNOWN, 0),
        (FaultKind.BUS_RESET, True, Disposition.UNKNOWN, 0),
    ],
)
def test_port_faults(kind: FaultKind, acted: bool, disposition: Disposition, elapsed: float) -> None:
    made, drive = bay()
    done = made.open_port(FaultSchedule({0: kind})).execute(BLOCK_ERASE)
    assert (done.disposition, done.elapsed_s) == (disposition, elapsed)
    made.clock.sleep(31)
    assert (old(drive) == 0) is (acted and kind is not FaultKind.UNPLUG)


@pytest.mark.parametrize("kind", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
def test_power_cut(kind: FaultKind) -> None:
    made, drive = bay()
    with pytest.raises(PowerCut):
        made.open_port(FaultSchedule({0: kind})).execute(BLOCK_ERASE)
    made.clock.sleep(1000)
    made.power_cycle()
    port = made.open_port()
    first = port.execute(READY)
    assert first.sense is not None
    assert first.sense.key == 6, "unit attention after power on"
    running = kind is FaultKind.POWER_CUT_AFTER
    assert port.execute(READY).disposition is (Disposition.UNKNOWN if running else Disposition.DONE)
    made.clock.sleep(31)
    assert (old(drive) == 0) is running


class TestBlock:
    def test_sanitizing_is_an_io_error(self) -> None:
        made, _ = bay()
        block = made.open_block()
        block.write(0, memoryview(bytes(512)))
        made.open_port().execute(BLOCK_ERASE)
        buffer = memoryview(bytearray(512))
        with pytest.raises(OSError, match="Input/output error"):
            block.read(0, buffer)
        with pytest.raises(OSError, match="Input/output error"):
            block.write(0, buffer)
        with pytest.raises(OSError, match="Input/output error"):
            block.flush()
        made.clock.sleep(31)
        into = bytearray(512)
        block.read(0, memoryview(into))
        assert not any(into)

    @pytest.mark.parametrize("length", [520, 524, 528])
    def test_no_capacity_in_sectors_that_linux_does_not_know(self, length: int) -> None:
        made, _ = bay(block_bytes=length)
        block = made.open_block()
        assert (block.identify().capacity_bytes, block.identify().logical_sector_bytes) == (0, 512)
        with pytest.raises(OSError, match="No space left"):
            block.write(0, memoryview(bytes(512)))

    def test_reformatted_to_512(self) -> None:
        made, _ = bay(block_bytes=520)
        port = made.open_port()
        select = ScsiCommand(
            "MODE SELECT(10)",
            bytes.fromhex("55 10 00 00 00 00 00 00 10 00"),
            data_out=bytes(7) + b"\x08" + bytes(4) + bytes.fromhex("00 00 02 00"),
        )
        assert port.execute(select).disposition is Disposition.DONE
        formatted = port.execute(
            ScsiCommand("FORMAT UNIT", bytes.fromhex("04 00 00 00 00 00"), timeout_s=7200)
        )
        assert formatted.disposition is Disposition.DONE
        assert formatted.elapsed_s == pytest.approx(3600, abs=0.01)
        made.rescan()
        assert made.identify().capacity_bytes == 65 * 512

    def test_rescan_after_an_immediate_format(self) -> None:
        made, drive = bay(block_bytes=520)
        list_520_to_512 = bytes(7) + b"\x08" + bytes(4) + bytes.fromhex("00 00 02 00")
        drive.execute(bytes.fromhex("55 10 00 00 00 00 00 00 10 00"), list_520_to_512)
        drive.execute(bytes.fromhex("04 10 00 00 00 00"), bytes.fromhex("00 02 00 00"))
        made.clock.sleep(3601)
        made.rescan()
        assert made.identify().capacity_bytes == 65 * 512

    def test_identity(self) -> None:
        made, _ = bay()
        who = made.identify()
        assert (who.manufacturer, who.model, who.serial) == ("SIMULATE", "SAS DRIVE", "SIM-SAS-0001")
        assert (who.wwn, who.firmware, who.rotational) == ("0x5000c500f0e1d2c0", "0001", True)
        made.power_cycle()
        assert made.identify().identity_sha256 == who.identity_sha256

    @given(st.dictionaries(st.integers(0, 11), st.sampled_from(list(FaultKind))))
    def test_whatever_was_flushed_is_there(self, faults: dict[int, FaultKind]) -> None:
        made, drive = bay()
        block = made.open_block(FaultSchedule(dict(faults)))
        safe = 0
        try:
            for sector in range(6):
                block.write(sector * 512, memoryview(bytes(512)))
                block.flush()
                safe = sector + 1
        except (OSError, PowerCut):
            pass
        made.power_cycle()
        assert drive.medium.data[: safe * 512] == bytes(safe * 512)
