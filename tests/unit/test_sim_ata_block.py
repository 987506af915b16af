"""The block device of a simulated ATA drive: errors, faults, and what survives a power cut."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ata import SimulatedAtaDrive
from simulators.ata_host import OLD_DATA, USER
from simulators.ata_options import AtaOptions
from simulators.ports import Bay
from simulators.ports_host import BLOCK_ERASE, PREPARE, error_of, full_bay, sector, security
from simulators.world import FaultKind, FaultSchedule, PowerCut


class TestBlock:
    def test_transfers(self) -> None:
        made, drive = full_bay()
        block = made.open_block()
        data = bytes(range(256)) * 8
        block.write(1024, memoryview(data))
        into = bytearray(2048)
        block.read(1024, memoryview(into))
        assert into == data == drive.medium.data[1024:3072]
        block.flush()
        assert made.clock.monotonic() == pytest.approx(4096 / 200e6)

    @pytest.mark.parametrize(
        ("spoil", "number"),
        [
            (lambda made, drive: drive.medium.bad.add(0), errno.EIO),
            (lambda made, drive: made.hot_unplug(), errno.ENODEV),
            (lambda made, drive: made.lose_power(), errno.ENODEV),
            (lambda made, drive: made.power_cycle(), errno.ENODEV),
            (lambda made, drive: made.replug(), errno.ENODEV),
            (lambda made, drive: made.open_port().execute(BLOCK_ERASE), errno.EIO),
        ],
    )
    def test_errors(self, spoil: Callable[[Bay, SimulatedAtaDrive], object], number: int) -> None:
        made, drive = full_bay()
        block = made.open_block()
        spoil(made, drive)
        for transfer in (block.read, block.write):
            assert error_of(partial(transfer, 0, sector())) == number

    def test_locked_drive(self) -> None:
        block = full_bay(AtaOptions(user_password=USER))[0].open_block()
        assert error_of(lambda: block.read(0, sector())) == errno.EIO
        assert error_of(block.flush) == errno.EIO

    def test_busy_drive_costs_the_kernel_its_time_out(self) -> None:
        made, _ = full_bay()
        port = made.open_port()
        port.execute(security(0xF1))
        port.execute(PREPARE)
        port.execute(security(0xF4, 60.0))
        assert error_of(lambda: made.open_block().read(0, sector())) == errno.EIO
        assert made.clock.monotonic() == pytest.approx(90)

    @pytest.mark.parametrize(
        ("offset", "length", "number"),
        [
            (64 * 512, 512, None),
            (63 * 512, 1024, None),
            (1, 512, errno.EINVAL),
            (0, 511, errno.EINVAL),
            (-512, 512, errno.EINVAL),
        ],
    )
    def test_bounds(self, offset: int, length: int, number: int | None) -> None:
        block = full_bay()[0].open_block()
        data = memoryview(bytearray(length))
        assert error_of(lambda: block.read(offset, data)) == (number or errno.EIO)
        assert error_of(lambda: block.write(offset, data)) == (number or errno.ENOSPC)

    def test_closed(self) -> None:
        block = full_bay()[0].open_block()
        block.close()
        assert error_of(lambda: block.read(0, sector())) == errno.EBADF

    @pytest.mark.parametrize(
        ("kind", "written", "number"),
        [
            (FaultKind.HANG, True, errno.EIO),
            (FaultKind.HANG_UNSEEN, False, errno.EIO),
            (FaultKind.SWALLOW_STATUS, True, errno.EIO),
            (FaultKind.ABORT, False, errno.EIO),
            (FaultKind.UNPLUG, False, errno.ENODEV),
            (FaultKind.BUS_RESET, True, None),
        ],
    )
    def test_faults(self, kind: FaultKind, written: bool, number: int | None) -> None:
        made, drive = full_bay(AtaOptions(write_cache=False))
        block = made.open_block(FaultSchedule({1: kind}))
        block.write(512, memoryview(bytes(512)))
        assert error_of(lambda: block.write(0, sector())) == number
        assert (drive.medium.data[:512] == bytes(512)) is written

    @pytest.mark.parametrize("kind", [FaultKind.POWER_CUT_BEFORE, FaultKind.POWER_CUT_AFTER])
    def test_power_cut_loses_what_was_not_flushed(self, kind: FaultKind) -> None:
        made, drive = full_bay()
        block = made.open_block(FaultSchedule({3: kind}))
        block.write(0, memoryview(bytes(512)))
        block.flush()
        block.write(512, memoryview(bytes(512)))
        with pytest.raises(PowerCut):
            block.write(1024, memoryview(bytes(512)))
        assert drive.medium.data[:512] == bytes(512)
        assert drive.medium.data[512:1536] == bytes((OLD_DATA,)) * 1024

    @given(st.dictionaries(st.integers(0, 11), st.sampled_from(list(FaultKind))))
    def test_whatever_was_flushed_is_there(self, faults: dict[int, FaultKind]) -> None:
        made, drive = full_bay()
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
