"""A simulated ATA drive behind DrivePort and BlockPort: framing, faults, power, the kernel's view."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.drive.port import (
    AtaCommand,
    AtaResult,
    BlockPort,
    Command,
    Completion,
    Disposition,
    DrivePort,
    MmcCommand,
    NvmeCommand,
    ScsiCommand,
    SenseData,
)
from rasura_agent.inventory.model import Transport
from simulators.ata_host import OLD_DATA, USER
from simulators.ata_options import AtaOptions, Freeze
from simulators.ata_security import SecurityState
from simulators.ports import Bay, ata_bay, pass_through_16
from simulators.ports_block import SimulatedBlock
from simulators.ports_host import (
    BLOCK_ERASE,
    ERASE_RUN,
    FREEZE,
    IDENTIFY,
    PREPARE,
    SANITIZE_STATUS,
    full_bay,
    old,
    run,
    security,
)
from simulators.ports_media import Lie
from simulators.ports_reply import Host, Reply, parse_ata, parse_sense
from simulators.sat import BridgeOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, PowerCut


def test_they_are_the_ports() -> None:
    made, _ = full_bay()
    port: DrivePort = made.open_port()
    block: BlockPort = made.open_block()
    assert port.execute(IDENTIFY).disposition is Disposition.DONE
    assert block.direct
    assert not made.open_block(direct=False).direct


class TestCompletion:
    def test_done(self) -> None:
        made, drive = full_bay()
        done = made.open_port().execute(IDENTIFY)
        assert done.disposition is Disposition.DONE
        assert done.data == drive.identify_page()
        assert (done.scsi_status, done.sense, done.ata) == (0, None, None)

    def test_done_with_registers(self) -> None:
        done = full_bay()[0].open_port().execute(AtaCommand("CHECK POWER MODE", 0xE5))
        assert done.disposition is Disposition.DONE
        assert done.scsi_status == 2
        assert done.sense is not None
        assert (done.sense.key, done.sense.asc, done.sense.ascq) == (1, 0, 0x1D)
        assert done.ata == AtaResult(status=0x50, error=0, count=0xFF, lba=0, device=0x40)

    def test_refused(self) -> None:
        made, _ = full_bay(AtaOptions(user_password=USER))
        done = made.open_port().execute(FREEZE)
        assert done.disposition is Disposition.REFUSED
        assert done.ata is not None
        assert (done.ata.status, done.ata.error) == (0x51, 0x04)

    def test_28_bit_address_comes_back_whole(self) -> None:
        made, drive = full_bay(AtaOptions(hpa_sectors=10))
        drive.capacity.factory_sectors = 0x0ABCDEF0
        port = made.open_port()
        native = port.execute(AtaCommand("READ NATIVE MAX ADDRESS", 0xF8, device=0x40))
        assert native.ata is not None
        assert native.ata.lba == 0x0ABCDEEF
        drive.capacity.factory_sectors = 0x1234_5678_9ABC
        native = port.execute(AtaCommand("READ NATIVE MAX ADDRESS EXT", 0x27, device=0x40, ext=True))
        assert native.ata is not None
        assert native.ata.lba == 0x1234_5678_9ABB

    def test_long_command_takes_its_time(self) -> None:
        made, drive = full_bay()
        port = made.open_port()
        results = [port.execute(command) for command in ERASE_RUN]
        assert all(result.disposition is Disposition.DONE for result in results)
        assert results[3].elapsed_s == pytest.approx(7200, abs=0.01)
        assert old(drive) == 0

    def test_host_time_out_is_unknown_and_the_drive_goes_on(self) -> None:
        made, drive = full_bay()
        port = made.open_port()
        port.execute(security(0xF1))
        port.execute(PREPARE)
        gone = port.execute(security(0xF4, 60.0))
        assert gone.disposition is Disposition.UNKNOWN
        assert gone.elapsed_s == pytest.approx(60)
        assert (gone.scsi_status, gone.sense, gone.ata) == (None, None, None)
        assert port.execute(IDENTIFY).disposition is Disposition.UNKNOWN
        made.clock.sleep(7200)
        assert port.execute(IDENTIFY).disposition is Disposition.DONE
        assert old(drive) == 0

    def test_what_no_scsi_transport_carries(self) -> None:
        port = full_bay()[0].open_port()
        for command in (NvmeCommand("", 0x06), MmcCommand("", 8)):
            assert port.execute(command).disposition is Disposition.REFUSED
            assert port.transact(command).host is Host.UNSUPPORTED

    def test_scsi_commands_go_through_the_translation(self) -> None:
        port = full_bay()[0].open_port()
        done = port.execute(ScsiCommand("INQUIRY", bytes.fromhex("12 00 00 00 24 00"), data_in_bytes=36))
        assert (done.disposition, done.data[8:11], done.ata) == (Disposition.DONE, b"ATA", None)
        refused = port.execute(ScsiCommand("SANITIZE", bytes.fromhex("48 82 00 00 00 00 00 00 00 00")))
        assert refused.disposition is Disposition.REFUSED

    def test_another_judge(self) -> None:
        seen: list[tuple[Command, Reply, SenseData | None, AtaResult | None]] = []

        def judge(
            command: Command, reply: Reply, sense: SenseData | None, ata: AtaResult | None
        ) -> tuple[Disposition, str]:
            seen.append((command, reply, sense, ata))
            return Disposition.UNKNOWN, "never sure"

        done = full_bay()[0].open_port(judge=judge).execute(FREEZE)
        assert (done.disposition, done.detail) == (Disposition.UNKNOWN, "never sure")
        assert seen[0][0] is FREEZE
        assert parse_ata(seen[0][1].sense) == seen[0][3]


def test_pass_through_framing() -> None:
    command = AtaCommand("", 0xB4, feature=0x0123, count=0x4567, lba=0x89ABCDEF0123, device=0x40, ext=True)
    assert pass_through_16(command).hex(" ") == "85 07 20 01 23 45 67 cd 23 ab 01 89 ef 40 b4 00"
    short = AtaCommand("", 0xF9, count=1, lba=0x0ABCDEF0, device=0x40)
    assert pass_through_16(short).hex(" ") == "85 06 20 00 00 00 01 00 f0 00 de 00 bc 4a f9 00"
    assert pass_through_16(security(0xF1)).hex(" ") == "85 0a 26 00 00 00 01 00 00 00 00 00 00 00 f1 00"


@given(st.binary(max_size=64))
def test_parsers_take_any_bytes(raw: bytes) -> None:
    sense = parse_sense(raw)
    if sense is None:
        assert parse_ata(raw) is None
    else:
        assert sense.raw == raw


class TestPortFaults:
    @pytest.mark.parametrize(
        ("kind", "acted", "disposition"),
        [
            (FaultKind.HANG, True, Disposition.UNKNOWN),
            (FaultKind.HANG_UNSEEN, False, Disposition.UNKNOWN),
            (FaultKind.SWALLOW_STATUS, True, Disposition.UNKNOWN),
            (FaultKind.ABORT, False, Disposition.REFUSED),
            (FaultKind.UNPLUG, False, Disposition.UNKNOWN),
            (FaultKind.BUS_RESET, True, Disposition.UNKNOWN),
        ],
    )
    def test_each(self, kind: FaultKind, acted: bool, disposition: Disposition) -> None:
        made, drive = full_bay()
        port = made.open_port(FaultSchedule({1: kind}))
        assert port.execute(IDENTIFY).disposition is Disposition.DONE
        done = port.execute(FREEZE)
        assert done.disposition is disposition
        assert drive.security.frozen is acted
        assert made.clock.monotonic() == (15 if kind in {FaultKind.HANG, FaultKind.HANG_UNSEEN} else 0)
        after = port.execute(IDENTIFY).disposition
        assert after is (Disposition.UNKNOWN if kind is FaultKind.UNPLUG else Disposition.DONE)

    @pytest.mark.parametrize("kind", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
    def test_power_cut(self, kind: FaultKind) -> None:
        made, drive = full_bay()
        port = made.open_port(FaultSchedule({0: kind}))
        with pytest.raises(PowerCut):
            port.execute(security(0xF1))
        assert not drive.powered
        assert port.execute(IDENTIFY).disposition is Disposition.UNKNOWN
        made.power_cycle()
        assert port.execute(IDENTIFY).disposition is Disposition.UNKNOWN, (
            "the descriptor died with the machine"
        )
        assert made.open_port().execute(IDENTIFY).disposition is Disposition.DONE
        set_before_cut = kind is FaultKind.POWER_CUT_AFTER
        assert drive.security.state is (SecurityState.SEC4 if set_before_cut else SecurityState.SEC1)

    def test_swallowed_data_still_arrives(self) -> None:
        made, drive = full_bay()
        done = made.open_port(FaultSchedule({0: FaultKind.SWALLOW_STATUS})).execute(IDENTIFY)
        assert (done.data, done.ata, done.scsi_status) == (drive.identify_page(), None, 0)

    def test_bus_reset_is_a_unit_attention(self) -> None:
        done = full_bay()[0].open_port(FaultSchedule({0: FaultKind.BUS_RESET})).execute(FREEZE)
        assert done.sense is not None
        assert (done.sense.key, done.sense.asc, done.sense.ascq) == (6, 0x29, 0)

    def test_power_cut_at_a_moment_in_the_middle_of_a_command(self) -> None:
        made, drive = full_bay()
        made.power_cut_at = 1800.0
        port = made.open_port()
        with pytest.raises(PowerCut):
            run(port, ERASE_RUN)
        assert made.clock.monotonic() == pytest.approx(1800.0)
        made.power_cycle()
        assert drive.security.state is SecurityState.SEC4
        assert old(drive) == 48 * 512

    @pytest.mark.parametrize("kind", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
    @pytest.mark.parametrize("at", range(len(ERASE_RUN)))
    def test_power_cut_at_any_command_of_a_run(self, at: int, kind: FaultKind) -> None:
        made, drive = full_bay()
        port = made.open_port(FaultSchedule({at: kind}))
        with pytest.raises(PowerCut):
            run(port, ERASE_RUN)
        made.power_cycle()
        done = at + (kind is FaultKind.POWER_CUT_AFTER)
        assert drive.security.state is (SecurityState.SEC4 if 2 <= done < 4 else SecurityState.SEC1)
        assert (old(drive) == 0) is (done >= 4)


class TestBridges:
    @pytest.mark.parametrize(
        "bridge",
        [BridgeOptions(swallows_descriptor=True), BridgeOptions(fixed_sense=True)],
    )
    def test_no_descriptor_is_unknown(self, bridge: BridgeOptions) -> None:
        made, drive = full_bay(None, bridge)
        assert made.open_port().execute(BLOCK_ERASE).disposition is Disposition.UNKNOWN
        made.clock.sleep(31)
        assert old(drive) == 0

    def test_rejected_is_refused(self) -> None:
        made, drive = full_bay(None, BridgeOptions(rejects_16=True))
        assert made.open_port().execute(BLOCK_ERASE).disposition is Disposition.REFUSED
        made.clock.sleep(31)
        assert old(drive) == len(drive.medium.data)

    def test_a_liar_looks_done(self) -> None:
        made, drive = full_bay(
            None,
            BridgeOptions(pretends=True),
        )
        assert made.open_port().execute(BLOCK_ERASE).disposition is Disposition.DONE
        made.clock.sleep(31)
        assert old(drive) == len(drive.medium.data)

    def test_identity_of_another_drive(self) -> None:
        page = full_bay(AtaOptions(model="OTHER", serial="OTHER-1"))[1].identify_page()
        made, _ = full_bay(None, BridgeOptions(identity=page))
        who = made.open_block().identify()
        assert (who.model, who.serial) == ("OTHER", "OTHER-1")


class TestKernelsView:
    def test_identify(self) -> None:
        made, _ = full_bay()
        who = made.open_block().identify()
        assert (who.transport, who.path) == (Transport.SATA, "/dev/sda")
        assert (who.manufacturer, who.model, who.serial) == (None, "SIMULATED ATA DRIVE", "SIM-ATA-0001")
        assert who.wwn == "0x5000c500a1b2c3d4"
        assert who.capacity_bytes == 64 * 512
        assert who.rotational
        assert [page.name for page in who.identity_pages] == ["inquiry", "vpd_pg80", "vpd_pg83"]

    def test_identity_holds_nothing_that_changes(self) -> None:
        made, _ = full_bay()
        before = made.identify().identity_sha256
        port = made.open_port()
        for command in ERASE_RUN[:2]:
            port.execute(command)
        made.replug()
        assert made.identify().identity_sha256 == before
        assert full_bay(AtaOptions(serial="ANOTHER"))[0].identify().identity_sha256 != before

    def test_removing_a_host_protected_area_is_news_to_the_kernel(self) -> None:
        made, _ = full_bay(AtaOptions(hpa_sectors=48))
        port, block = made.open_port(), made.open_block()
        port.execute(AtaCommand("", 0x27, ext=True, device=0x40))
        done = port.execute(AtaCommand("", 0x37, count=1, lba=63, ext=True, device=0x40))
        assert done.disposition is Disposition.DONE
        assert block.identify().capacity_bytes == 48 * 512
        with pytest.raises(OSError, match="No space left"):
            block.write(48 * 512, memoryview(bytes(512)))
        made.rescan()
        assert block.identify().capacity_bytes == 64 * 512
        block.write(48 * 512, memoryview(bytes(512)))

    def test_volatile_size_ends_in_suspend(self) -> None:
        made, _ = full_bay(AtaOptions(hpa_sectors=48))
        port = made.open_port()
        port.execute(AtaCommand("", 0x27, ext=True, device=0x40))
        port.execute(AtaCommand("", 0x37, lba=63, ext=True, device=0x40))
        made.rescan()
        assert made.identify().capacity_bytes == 64 * 512
        made.suspend_resume()
        assert made.identify().capacity_bytes == 48 * 512

    def test_suspend_thaws_flushes_and_keeps_descriptors(self) -> None:
        made, drive = full_bay(AtaOptions(bios_freezes=Freeze.AT_BOOT))
        port, block = made.open_port(), made.open_block()
        assert port.execute(security(0xF1)).disposition is Disposition.REFUSED
        block.write(0, memoryview(bytes(512)))
        made.suspend_resume()
        assert drive.medium.data[:512] == bytes(512)
        assert port.execute(security(0xF1)).disposition is Disposition.DONE

    def test_suspend_of_a_sanitizing_drive_resumes(self) -> None:
        made, drive = full_bay()
        port = made.open_port()
        port.execute(BLOCK_ERASE)
        made.clock.sleep(10)
        made.suspend_resume()
        status = port.execute(SANITIZE_STATUS)
        assert status.ata is not None
        assert status.ata.count == 0x4000
        made.clock.sleep(21)
        assert old(drive) == 0

    def test_replug_counts_a_new_disk(self) -> None:
        made, drive = full_bay(AtaOptions(bios_freezes=Freeze.AT_EVERY_POWER_ON))
        first = made.identify().diskseq
        assert drive.security.state is SecurityState.SEC2
        made.replug()
        assert made.identify().diskseq != first
        assert ok_after_thaw(made)
        with pytest.raises(OSError, match="No such device"):
            SimulatedBlock.identify(_unplugged(made))


def ok_after_thaw(made: Bay) -> bool:
    return made.open_port().execute(security(0xF1)).disposition is Disposition.DONE


def _unplugged(made: Bay) -> SimulatedBlock:
    block = made.open_block()
    made.hot_unplug()
    made.hot_unplug()
    return block


def test_a_lying_drive_really_leaves_data_behind_the_port() -> None:
    made, drive = full_bay(AtaOptions(lie=Lie(leaves=((3, 4),))))
    port, block = made.open_port(), made.open_block()
    assert all(port.execute(command).disposition is Disposition.DONE for command in ERASE_RUN)
    into = bytearray(64 * 512)
    block.read(0, memoryview(into))
    assert into.count(OLD_DATA) == 512 == drive.medium.data.count(OLD_DATA)


def test_speed() -> None:
    """A property test runs this by the hundred thousand: a run of 15 commands stays far below a millisecond.

    Processor time, with a wide margin for a busy machine.
    """
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(20):
            made, _ = ata_bay(ManualClock(), 64)
            port, block = made.open_port(), made.open_block()
            results: list[Completion] = [port.execute(command) for command in ERASE_RUN]
            block.write(0, memoryview(bytes(64 * 512)))
            results += [port.execute(SANITIZE_STATUS) for _ in range(10)]
            assert all(result.disposition is Disposition.DONE for result in results)
        best = min(best, (time.process_time() - began) / 20)
    assert best < 0.003
