"""The simulated eMMC device behind our ports: what the host learns, and the faults on the way."""

from __future__ import annotations

import errno

import pytest

from rasura_agent.drive.port import BlockPort, Completion, Disposition, DrivePort, MmcCommand, NvmeCommand
from rasura_agent.inventory.model import Transport
from simulators.mmc import SimulatedEmmc
from simulators.mmc_ports import SimulatedMmcBlock, SimulatedMmcPort
from simulators.mmc_types import Area, MmcOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

R1, R1B, ADTC = 0x15, 0x1D, 0x15 | 1 << 5
OLD = b"old data in the way of the eraser" * 4000
BOOT = 128 * 1024


def device(options: MmcOptions | None = None) -> SimulatedEmmc:
    media = [Medium(512, 64), Medium(512, 256), Medium(512, 256)]
    for medium in media:
        medium.data[:] = OLD[: len(medium.data)]
    return SimulatedEmmc(ManualClock(), media[0], boot=(media[1], media[2]), options=options)


def status(line: SimulatedMmcPort) -> Completion:
    return line.execute(MmcCommand("status", 13, 1 << 16, R1))


def switch(index: int, value: int, timeout_s: float = 60) -> MmcCommand:
    return MmcCommand("switch", 6, 3 << 24 | index << 16 | value << 8, R1B, timeout_s=timeout_s)


def erase(line: SimulatedMmcPort, first: int, last: int, arg: int) -> list[Completion]:
    return [
        line.execute(MmcCommand("start", 35, first, R1)),
        line.execute(MmcCommand("end", 36, last, R1)),
        line.execute(MmcCommand("erase", 38, arg, R1B, timeout_s=60)),
    ]


def test_a_completion_carries_response_and_data() -> None:
    line: DrivePort = SimulatedMmcPort(device())
    page = line.execute(MmcCommand("ext_csd", 8, 0, ADTC, data_in_bytes=512))
    assert page.disposition is Disposition.DONE
    assert page.mmc_response == (0x900, 0, 0, 0)
    assert len(page.data) == 512
    assert page.data[175] == 1  # Linux enabled high-capacity erase groups
    assert (page.nvme_status, page.ata, page.sense) == (None, None, None)
    assert line.execute(NvmeCommand("identify", 6)).disposition is Disposition.REFUSED


def test_erase_and_sanitize_take_their_time() -> None:
    one = device()
    line = SimulatedMmcPort(one)
    answers = erase(line, 0, 63, 1)
    assert [answer.disposition for answer in answers] == [Disposition.DONE] * 3
    assert answers[2].elapsed_s == pytest.approx(0.3)
    assert line.execute(switch(165, 1)).elapsed_s == pytest.approx(30)
    one.areas[Area.BOOT_1].medium.data[:] = one.areas[Area.BOOT_2].medium.data[:] = bytes(BOOT)
    assert not one.holds(OLD[:40])


def test_refusals_and_troubles_are_told_apart() -> None:
    line = SimulatedMmcPort(device())
    assert line.execute(MmcCommand("start", 35, 64, R1)).disposition is Disposition.REFUSED
    assert line.execute(MmcCommand("erase", 38, 1, R1B)).disposition is Disposition.REFUSED
    assert erase(line, 0, 1, 2)[2].disposition is Disposition.UNKNOWN  # ERROR
    answer = line.execute(MmcCommand("what", 60, 0, R1))
    assert (answer.disposition, answer.mmc_response) == (Disposition.UNKNOWN, None)
    assert "ETIMEDOUT" in answer.detail
    assert "EILSEQ" in line.execute(MmcCommand("status", 13, 1 << 16, 7)).detail
    assert "ETIMEDOUT" in line.execute(MmcCommand("app", 13, 1 << 16, R1, is_application=True)).detail
    custom = SimulatedMmcPort(device(), disposition=lambda command, response: Disposition.UNKNOWN)
    assert status(custom).disposition is Disposition.UNKNOWN


@pytest.mark.parametrize(("polls", "told"), [(False, 1 << 7), (True, 0)])
def test_a_polling_kernel_takes_the_errors_away(polls: bool, told: int) -> None:
    line = SimulatedMmcPort(device(), polls_status=polls)
    assert line.execute(switch(192, 1)).disposition is Disposition.DONE
    answer = status(line)
    assert answer.mmc_response is not None
    assert answer.mmc_response[0] & 1 << 7 == told


def test_each_block_device_has_its_partition() -> None:
    one = device()
    main, boot = SimulatedMmcPort(one), SimulatedMmcPort(one, Area.BOOT_1)
    assert main.execute(switch(179, 2)).disposition is Disposition.DONE
    erase(main, 0, 63, 1)  # the kernel has switched back to the user area
    assert one.areas[Area.USER].medium.data == bytes(64 * 512)
    assert one.areas[Area.BOOT_2].medium.data == OLD[:BOOT]
    erase(boot, 0, 255, 1)
    assert one.areas[Area.BOOT_1].medium.data == bytes(BOOT)


def test_an_erase_sequence_does_not_survive_a_transfer_on_another_partition() -> None:
    one = device()
    line, boot = SimulatedMmcPort(one), SimulatedMmcBlock(one, Area.BOOT_1)
    line.execute(MmcCommand("start", 35, 0, R1))
    line.execute(MmcCommand("end", 36, 63, R1))
    boot.read(0, memoryview(bytearray(512)))
    assert line.execute(MmcCommand("erase", 38, 1, R1B)).disposition is Disposition.REFUSED


def test_a_sanitize_longer_than_the_timeout_goes_on() -> None:
    line = SimulatedMmcPort(device())
    answer = line.execute(switch(165, 1, timeout_s=10))
    assert (answer.disposition, answer.elapsed_s) == (Disposition.UNKNOWN, 10)
    busy = status(line)
    assert busy.mmc_response == (7 << 9, 0, 0, 0)
    line.device.clock.sleep(20)
    ready = status(line)
    assert ready.mmc_response == (0x900, 0, 0, 0)


@pytest.mark.parametrize(
    ("fault", "erased", "word"),
    [
        (FaultKind.HANG, True, "ETIMEDOUT"),
        (FaultKind.HANG_UNSEEN, False, "ETIMEDOUT"),
        (FaultKind.SWALLOW_STATUS, True, "EILSEQ"),
        (FaultKind.BUS_RESET, True, "EIO"),
        (FaultKind.ABORT, False, "00080000h"),
        (FaultKind.UNPLUG, False, "ENODEV"),
    ],
)
def test_faults_at_a_command(fault: FaultKind, erased: bool, word: str) -> None:
    one = device()
    line = SimulatedMmcPort(one, schedule=FaultSchedule({2: fault}))
    answer = erase(line, 0, 63, 1)[2]
    assert answer.disposition is Disposition.UNKNOWN
    assert word in answer.detail
    assert (one.areas[Area.USER].medium.data == bytes(64 * 512)) == erased


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("fault", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
def test_power_cuts_at_any_command_leave_a_device_that_works(number: int, fault: FaultKind) -> None:
    one = device()
    line = SimulatedMmcPort(one, schedule=FaultSchedule({number: fault}))
    with pytest.raises(PowerCut):
        erase(line, 0, 63, 1)
    line.power_cycle()
    carried_out = number == 2 and fault is FaultKind.POWER_CUT_AFTER
    assert (one.areas[Area.USER].medium.data == bytes(64 * 512)) == carried_out
    assert line.execute(MmcCommand("erase", 38, 1, R1B)).disposition is Disposition.REFUSED
    assert erase(line, 0, 63, 1)[2].disposition is Disposition.DONE
    assert one.areas[Area.USER].medium.data == bytes(64 * 512)


# Blocks


def failing(block: SimulatedMmcBlock, *, write: bool = False, offset: int = 0) -> int | None:
    transfer = block.write if write else block.read
    try:
        transfer(offset, memoryview(bytearray(512)))
    except OSError as error:
        return error.errno
    return None


def test_the_block_device_reads_writes_and_describes_itself() -> None:
    one = device()
    block: BlockPort = SimulatedMmcBlock(one)
    assert block.direct
    into = memoryview(bytearray(1024))
    block.read(512, into)
    assert bytes(into) == OLD[512:1536]
    block.write(0, memoryview(b"n" * 512))
    block.flush()
    assert one.areas[Area.USER].medium.data[:512] == b"n" * 512
    drive = block.identify()
    assert (drive.transport, drive.path, drive.capacity_bytes) == (Transport.MMC, "/dev/mmcblk0", 64 * 512)
    assert drive.serial == "0x12345678"
    digest = drive.identity_sha256
    one.power_cycle()
    assert block.identify().identity_sha256 == digest
    assert len(drive.identity_pages[0].data) == 16
    block.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        block.flush()


def test_boot_partitions_are_block_devices_of_their_own() -> None:
    one = device()
    boot = SimulatedMmcBlock(one, Area.BOOT_2)
    assert boot.identify().path == "/dev/mmcblk0boot1"
    assert boot.identify().capacity_bytes == BOOT
    assert failing(boot, write=True) is None
    assert failing(SimulatedMmcBlock(one, Area.BOOT_1, force_ro=True), write=True) == errno.EPERM
    with pytest.raises(AssertionError):
        SimulatedMmcBlock(one, Area.RPMB)


def test_errors_are_what_the_kernel_gives() -> None:
    one = device()
    one.areas[Area.USER].medium.bad.add(9)
    block = SimulatedMmcBlock(one)
    assert failing(block, offset=9 * 512) == errno.EIO
    assert failing(block, offset=9 * 512, write=True) == errno.EIO
    assert failing(SimulatedMmcBlock(one, medium_errno=errno.ENODATA), offset=9 * 512) == errno.ENODATA
    assert failing(block, offset=64 * 512) == errno.EIO
    assert failing(block, offset=64 * 512, write=True) == errno.ENOSPC
    assert failing(block, offset=1) == errno.EINVAL
    line = SimulatedMmcPort(one)
    line.execute(MmcCommand("protect", 28, 0, R1B))
    assert failing(block, write=True) == errno.EIO
    line.execute(switch(165, 1, timeout_s=1))
    assert failing(block) == errno.EIO  # still sanitizing
    one.hot_unplug()
    assert failing(block) == errno.ENODEV
    with pytest.raises(OSError, match="No such device"):
        block.identify()


@pytest.mark.parametrize(
    ("fault", "expected", "written"),
    [
        (FaultKind.HANG, errno.EIO, True),
        (FaultKind.HANG_UNSEEN, errno.EIO, False),
        (FaultKind.SWALLOW_STATUS, errno.EIO, True),
        (FaultKind.ABORT, errno.EIO, False),
        (FaultKind.UNPLUG, errno.ENODEV, False),
        (FaultKind.BUS_RESET, None, True),
    ],
)
def test_faults_at_a_block_transfer(fault: FaultKind, expected: int | None, written: bool) -> None:
    one = device()
    block = SimulatedMmcBlock(one, schedule=FaultSchedule({1: fault}))
    assert failing(block, offset=512, write=True) is None
    assert failing(block, write=True) == expected
    assert (one.areas[Area.USER].medium.data[:512] == bytes(512)) == written


@pytest.mark.parametrize(
    ("fault", "written"), [(FaultKind.POWER_CUT_BEFORE, False), (FaultKind.POWER_CUT_AFTER, True)]
)
def test_power_cuts_at_a_block_transfer(fault: FaultKind, written: bool) -> None:
    one = device()
    block = SimulatedMmcBlock(one, schedule=FaultSchedule({0: fault}))
    with pytest.raises(PowerCut):
        block.write(0, memoryview(bytearray(512)))
    assert (one.areas[Area.USER].medium.data[:512] == bytes(512)) == written
