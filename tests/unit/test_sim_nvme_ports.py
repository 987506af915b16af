"""The simulated NVM subsystem behind our ports: what the host learns, and the faults on the way."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.drive.port import (
    AtaCommand,
    BlockPort,
    Completion,
    Disposition,
    DrivePort,
    NvmeCommand,
)
from rasura_agent.inventory.model import Transport
from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_ports import SimulatedNamespace, SimulatedNvmePort
from simulators.nvme_types import NvmeOptions
from simulators.world import FaultKind, FaultSchedule, ManualClock, Medium, PowerCut

OLD = b"old data in the way of the eraser" * 1000
IDENTIFY = NvmeCommand("identify", 0x06, cdw10=1, data_in_bytes=4096)
SANITIZE = NvmeCommand("sanitize", 0x84, cdw10=2)
LOG = NvmeCommand("sanitize log", 0x02, nsid=0xFFFFFFFF, cdw10=127 << 16 | 0x81, data_in_bytes=512)
FORMAT = NvmeCommand("format", 0x80, nsid=1, cdw10=1 << 9, timeout_s=60)


def subsystem(options: NvmeOptions | None = None) -> SimulatedNvmeSubsystem:
    medium = Medium(512, 64)
    medium.data[:] = OLD[: len(medium.data)]
    return SimulatedNvmeSubsystem(ManualClock(), [medium], options)


def port(one: SimulatedNvmeSubsystem, **faults: FaultKind) -> SimulatedNvmePort:
    """A port whose schedule has fault ``cN`` at command N."""
    return SimulatedNvmePort(one, schedule=FaultSchedule({int(n[1:]): kind for n, kind in faults.items()}))


def sos(completion: Completion) -> int:
    return completion.data[2] & 7


def test_a_completion_carries_status_result_and_data() -> None:
    one = subsystem()
    line: DrivePort = port(one)
    identified = line.execute(IDENTIFY)
    assert identified.disposition is Disposition.DONE
    assert (identified.nvme_status, identified.nvme_result) == (0, 0)
    assert len(identified.data) == 4096
    others = (identified.ata, identified.sense, identified.mmc_response, identified.scsi_status)
    assert others == (None, None, None, None)
    refused = line.execute(NvmeCommand("sanitize", 0x84, cdw10=0))
    assert (refused.disposition, refused.nvme_status) == (Disposition.REFUSED, 0x4002)
    formatted = line.execute(FORMAT)
    assert (formatted.disposition, formatted.elapsed_s) == (Disposition.DONE, 10)


def test_a_plugged_in_disposition_decides() -> None:
    line = SimulatedNvmePort(
        subsystem(), disposition=lambda command, status: Disposition.UNKNOWN, abort_status=0x4007
    )
    assert line.execute(IDENTIFY).disposition is Disposition.UNKNOWN


def test_other_families_are_not_taken() -> None:
    answer = port(subsystem()).execute(AtaCommand("identify", 0xEC))
    assert (answer.disposition, answer.nvme_status) == (Disposition.REFUSED, None)


@pytest.mark.parametrize(
    ("fault", "carried_out", "elapsed"),
    [
        (FaultKind.HANG, True, 15),
        (FaultKind.HANG_UNSEEN, False, 15),
        (FaultKind.SWALLOW_STATUS, True, 0),
        (FaultKind.BUS_RESET, True, 0),
    ],
)
def test_faults_that_leave_the_host_in_the_dark(fault: FaultKind, carried_out: bool, elapsed: float) -> None:
    line = port(subsystem(), c0=fault)
    answer = line.execute(SANITIZE)
    assert answer.disposition is Disposition.UNKNOWN
    assert answer.nvme_status is None
    assert answer.elapsed_s == elapsed
    assert sos(line.execute(LOG)) == (2 if carried_out else 0)


@pytest.mark.parametrize("fault", [FaultKind.HANG, FaultKind.HANG_UNSEEN, FaultKind.BUS_RESET])
def test_the_host_resets_the_controller_when_it_gets_no_answer(fault: FaultKind) -> None:
    line = port(subsystem(), c1=fault)
    line.subsystem.faults.forgets_status_on_reset = True
    line.execute(SANITIZE)
    line.execute(LOG)
    assert sos(line.execute(LOG)) == 0


def test_an_abort_did_nothing() -> None:
    line = port(subsystem(), c0=FaultKind.ABORT)
    answer = line.execute(SANITIZE)
    assert (answer.disposition, answer.nvme_status) == (Disposition.REFUSED, 0x4001)
    assert sos(line.execute(LOG)) == 0


def test_power_cuts_before_and_after() -> None:
    for fault, started in ((FaultKind.POWER_CUT_BEFORE, 0), (FaultKind.POWER_CUT_AFTER, 2)):
        line = port(subsystem(), c1=fault)
        line.execute(IDENTIFY)
        with pytest.raises(PowerCut):
            line.execute(SANITIZE)
        line.power_cycle()
        assert sos(line.execute(LOG)) == started


def test_an_unplugged_drive_is_unknown_from_there_on() -> None:
    line = port(subsystem(), c1=FaultKind.UNPLUG)
    assert line.execute(IDENTIFY).disposition is Disposition.DONE
    for _ in range(2):
        answer = line.execute(SANITIZE)
        assert answer.disposition is Disposition.UNKNOWN
        assert "ENODEV" in answer.detail


def test_a_format_longer_than_the_timeout_goes_on_without_the_host() -> None:
    one = subsystem(NvmeOptions(format_seconds=100))
    line = port(one)
    answer = line.execute(FORMAT)
    assert (answer.disposition, answer.elapsed_s) == (Disposition.UNKNOWN, 60)
    assert line.execute(FORMAT).nvme_status == 0x84
    one.clock.sleep(40)
    assert not one.holds(OLD[:40])


def test_two_controllers_see_one_sanitize() -> None:
    one = subsystem(NvmeOptions(controllers=2))
    first, second = SimulatedNvmePort(one, 0), SimulatedNvmePort(one, 1)
    first.execute(SANITIZE)
    assert sos(second.execute(LOG)) == 2


# Blocks


def buffer(blocks: int = 1) -> memoryview:
    return memoryview(bytearray(512 * blocks))


def test_the_block_device_reads_writes_and_describes_itself() -> None:
    one = subsystem()
    device: BlockPort = SimulatedNamespace(one)
    assert device.direct
    into = buffer(2)
    device.read(512, into)
    assert bytes(into) == OLD[512:1536]
    device.write(0, memoryview(b"n" * 512))
    device.flush()
    device.read(0, into[:512])
    assert bytes(into[:512]) == b"n" * 512
    drive = device.identify()
    assert (drive.transport, drive.capacity_bytes, drive.logical_sector_bytes) == (
        Transport.NVME,
        64 * 512,
        512,
    )
    assert drive.path == "/dev/nvme0n1"
    assert drive.identity_pages[0].data == port(one).execute(IDENTIFY).data
    digest = drive.identity_sha256
    one.power_cycle()
    assert device.identify().identity_sha256 == digest
    device.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        device.read(0, into)


def test_the_block_device_sees_a_new_format() -> None:
    one = subsystem()
    port(one).execute(NvmeCommand("format", 0x80, nsid=1, cdw10=1, timeout_s=60))
    device = SimulatedNamespace(one)
    assert device.identify().logical_sector_bytes == 4096
    with pytest.raises(OSError, match="Invalid argument"):
        device.read(512, buffer())


def failing(device: SimulatedNamespace, *, write: bool = False, offset: int = 0) -> int | None:
    transfer = device.write if write else device.read
    try:
        transfer(offset, buffer())
    except OSError as error:
        return error.errno
    return None


def test_errors_are_what_the_kernel_gives() -> None:
    one = subsystem()
    one.media.namespaces[1].medium.bad.add(9)
    device = SimulatedNamespace(one)
    assert failing(device, offset=9 * 512) == errno.EIO
    assert failing(SimulatedNamespace(one, medium_errno=errno.ENODATA), offset=9 * 512) == errno.ENODATA
    assert failing(device, offset=64 * 512) == errno.EIO
    assert failing(device, offset=64 * 512, write=True) == errno.ENOSPC
    assert failing(device, offset=100) == errno.EINVAL
    one.media.namespaces[1].write_protected = True
    assert failing(device, write=True) == errno.EIO
    one.media.namespaces[1].write_protected = False
    port(one).execute(SANITIZE)
    assert failing(device) == errno.EIO
    one.hot_unplug()
    assert failing(device) == errno.ENODEV
    with pytest.raises(OSError, match="No such device"):
        device.identify()


@pytest.mark.parametrize(
    ("fault", "expected", "written"),
    [
        (FaultKind.HANG, errno.EIO, True),
        (FaultKind.HANG_UNSEEN, errno.EIO, False),
        (FaultKind.SWALLOW_STATUS, errno.EIO, True),
        (FaultKind.ABORT, errno.EIO, False),
        (FaultKind.UNPLUG, errno.ENODEV, False),
    ],
)
def test_faults_at_a_block_transfer(fault: FaultKind, expected: int, written: bool) -> None:
    one = subsystem()
    device = SimulatedNamespace(one, schedule=FaultSchedule({1: fault}))
    device.write(512, buffer())
    assert failing(device, write=True) == expected
    assert (one.media.namespaces[1].medium.data[:512] == bytes(512)) == written


def test_a_reset_is_retried_by_the_kernel_and_power_cuts_end_the_run() -> None:
    one = subsystem()
    schedule = FaultSchedule(
        {0: FaultKind.BUS_RESET, 1: FaultKind.POWER_CUT_AFTER, 2: FaultKind.POWER_CUT_BEFORE}
    )
    device = SimulatedNamespace(one, schedule=schedule)
    device.write(0, buffer())
    with pytest.raises(PowerCut):
        device.write(512, buffer())
    with pytest.raises(PowerCut):
        device.flush()
    assert one.media.namespaces[1].medium.data[:1024] == bytes(1024)


# Any fault anywhere


@given(
    faults=st.dictionaries(st.integers(0, 12), st.sampled_from(FaultKind), max_size=4),
    action=st.sampled_from([2, 4, 2 | 1 << 3]),
)
@settings(max_examples=150, deadline=None)
def test_any_fault_at_any_command_keeps_the_drive_in_a_legal_state(
    faults: dict[int, FaultKind], action: int
) -> None:
    """The log never tells a success that did not happen, however the host was left in the dark."""
    one = subsystem()
    line = SimulatedNvmePort(one, schedule=FaultSchedule(dict(faults)))
    for step in (IDENTIFY, LOG, NvmeCommand("sanitize", 0x84, cdw10=action), LOG, LOG, FORMAT, LOG):
        try:
            line.execute(step)
        except PowerCut:
            line.power_cycle()
        one.clock.sleep(7)
    if one.unplugged:
        one.replug()
    one.clock.sleep(1000)
    told = SimulatedNvmePort(one).execute(LOG)
    assert told.disposition is Disposition.DONE
    assert sos(told) in {0, 1}
    if sos(told) == 1:
        assert not one.holds(OLD[:40])
        assert told.data[:2] == b"\xff\xff"
