"""Format NVM of the simulated NVM subsystem: scope, refusals, time, power cuts and lies."""

from __future__ import annotations

import pytest

from simulators.nvme import SimulatedNvmeSubsystem
from simulators.nvme_types import (
    BROADCAST,
    DNR,
    AdminCommand,
    LbaFormat,
    NvmeOptions,
    Op,
    Remnant,
    Status,
)
from simulators.world import ManualClock, Medium, PowerCut

INVALID_FIELD = Status.INVALID_FIELD | DNR
OLD = b"old data in the way of the eraser"


def drive(count: int = 1, options: NvmeOptions | None = None, unallocated: int = 0) -> SimulatedNvmeSubsystem:
    media = [Medium(512, 64) for _ in range(count)]
    for medium in media:
        medium.data[:] = (OLD * 1000)[: len(medium.data)]
    return SimulatedNvmeSubsystem(ManualClock(), media, options, unallocated=(OLD * 1000)[:unallocated])


def content(one: SimulatedNvmeSubsystem, nsid: int = 1) -> bytes:
    status, data = one.read(0, nsid, 0, one.media.namespaces[nsid].medium.sectors)
    assert status is Status.SUCCESS
    return data


def format_nvm(one: SimulatedNvmeSubsystem, nsid: int, ses: int, lbaf: int = 0, extra: int = 0) -> int:
    return one.admin(0, Op.FORMAT_NVM, nsid, lbaf | ses << 9 | extra)[0]


@pytest.mark.parametrize("ses", [1, 2])
def test_format_with_secure_erase_erases_one_namespace_and_takes_its_time(ses: int) -> None:
    one = drive(2, unallocated=4096)
    assert format_nvm(one, 2, ses) == 0
    assert one.clock.monotonic() == 10
    assert content(one, 2) == bytes(64 * 512)
    assert OLD in content(one, 1)
    assert OLD in one.media.unallocated


def test_format_without_secure_erase_erases_nothing() -> None:
    one = drive()
    before = content(one)
    assert format_nvm(one, 1, 0) == 0
    assert content(one) == before
    assert format_nvm(one, 1, 0, lbaf=1) == 0
    assert one.media.namespaces[1].medium.sector_bytes == 4096
    assert content(one) == before


def test_format_moves_bad_sectors_to_the_new_size() -> None:
    one = drive()
    one.media.namespaces[1].medium.bad.update({7, 8})
    format_nvm(one, 1, 1, lbaf=1)
    assert one.media.namespaces[1].medium.bad == {0, 1}
    format_nvm(one, 1, 1, lbaf=0)
    assert one.media.namespaces[1].medium.bad == set(range(16))


def test_format_that_does_not_deallocate_leaves_what_the_erasure_left() -> None:
    one = drive(1, NvmeOptions(deallocates=False))
    format_nvm(one, 1, 1)
    assert content(one) == b"\xff" * (64 * 512)
    format_nvm(one, 1, 2)
    assert len(set(content(one))) > 100


@pytest.mark.parametrize(
    ("fna", "nsid", "ses", "erased"),
    [
        (0x4, 1, 1, {1}),
        (0x4, BROADCAST, 1, {1, 2}),  # attached to this controller
        (0x6, 1, 1, {1, 2, 3}),  # SENS: all of the subsystem
        (0x6, BROADCAST, 2, {1, 2, 3}),
        (0x5, 1, 1, {1}),  # FNS says nothing of a secure erase
    ],
)
def test_the_scope_of_format_follows_fna(fna: int, nsid: int, ses: int, erased: set[int]) -> None:
    one = drive(3, NvmeOptions(fna=fna, controllers=2))
    one.media.namespaces[3].attached.discard(0)
    assert format_nvm(one, nsid, ses) == 0
    assert {n for n, ns in one.media.namespaces.items() if OLD not in ns.medium.data} == erased


@pytest.mark.parametrize(("fna", "changed"), [(0x4, {1}), (0x5, {1, 2}), (0x6, {1})])
def test_the_scope_of_a_plain_format_follows_fns(fna: int, changed: set[int]) -> None:
    one = drive(2, NvmeOptions(fna=fna))
    assert format_nvm(one, 1, 0, lbaf=1) == 0
    assert {n for n, ns in one.media.namespaces.items() if ns.lbaf == 1} == changed


@pytest.mark.parametrize(
    ("options", "nsid", "ses", "lbaf", "extra", "expected"),
    [
        (NvmeOptions(oacs=0x9), 1, 1, 0, 0, Status.INVALID_OPCODE),
        (NvmeOptions(), 1, 3, 0, 0, Status.INVALID_FIELD),
        (NvmeOptions(), 1, 7, 0, 0, Status.INVALID_FIELD),
        (NvmeOptions(fna=0), 1, 2, 0, 0, Status.INVALID_FIELD),
        (NvmeOptions(fna=0xC), BROADCAST, 1, 0, 0, Status.INVALID_FIELD),
        (NvmeOptions(), 0, 1, 0, 0, Status.INVALID_NAMESPACE_OR_FORMAT),
        (NvmeOptions(), 2, 1, 0, 0, Status.INVALID_NAMESPACE_OR_FORMAT),
        (NvmeOptions(), 17, 1, 0, 0, Status.INVALID_NAMESPACE_OR_FORMAT),
        (NvmeOptions(), 1, 1, 2, 0, Status.INVALID_FORMAT),
        (NvmeOptions(), 1, 1, 0, 1 << 5, Status.INVALID_FORMAT),  # PI without metadata
        (NvmeOptions(), 1, 1, 0, 4 << 5, Status.INVALID_FIELD),  # reserved PI
        (NvmeOptions(), 1, 1, 0, 1 << 14, Status.INVALID_FIELD),
    ],
)
def test_format_refuses(
    options: NvmeOptions, nsid: int, ses: int, lbaf: int, extra: int, expected: Status
) -> None:
    one = drive(1, options)
    before = content(one)
    assert format_nvm(one, nsid, ses, lbaf, extra) == expected | DNR
    assert content(one) == before
    assert one.clock.monotonic() == 0


def test_format_takes_protection_information_where_there_is_metadata() -> None:
    one = drive(1, NvmeOptions(lba_formats=(LbaFormat(512), LbaFormat(512, 8))))
    assert format_nvm(one, 1, 1, lbaf=1, extra=1 << 5) == 0


def test_format_refuses_reserved_dwords_and_write_protection() -> None:
    one = drive(2)
    assert one.admin(0, Op.FORMAT_NVM, 1, 1 << 9, 1)[0] == INVALID_FIELD
    one.media.namespaces[2].write_protected = True
    assert format_nvm(one, BROADCAST, 1) == Status.NAMESPACE_WRITE_PROTECTED | DNR
    assert OLD in content(one, 1)
    assert format_nvm(one, 1, 1) == 0


def test_while_a_format_runs_its_namespace_is_closed() -> None:
    one = drive(2)
    running = one.submit(AdminCommand(0, Op.FORMAT_NVM, 1, 1 << 9, 0, 0, 0, 0, 0, b"", 0))
    assert running.ready_at == 10
    one.clock.sleep(4)
    assert one.read(0, 1, 0, 1)[0] is Status.FORMAT_IN_PROGRESS
    assert one.read(0, 2, 0, 1)[0] is Status.SUCCESS
    assert format_nvm(one, 2, 1) == Status.FORMAT_IN_PROGRESS
    assert one.admin(0, Op.SANITIZE, 0, 2)[0] == Status.FORMAT_IN_PROGRESS
    assert one.admin(0, Op.IDENTIFY, 1, 0, data_len=4096)[2][32] == 0x80 | 60
    one.wait_until(running.ready_at)
    assert content(one, 1) == bytes(64 * 512)


def test_a_power_cut_interrupts_a_format_for_good() -> None:
    one = drive()
    one.faults.power_cut_at = 0.5
    with pytest.raises(PowerCut):
        format_nvm(one, 1, 1, lbaf=1)
    one.power_cycle()
    data = content(one)
    half = len(data) // 2
    assert data == bytes(half) + (OLD * 1000)[half : len(data)]
    assert one.media.namespaces[1].lbaf == 0
    assert format_nvm(one, 1, 1) == 0
    assert not one.holds(OLD)


def test_a_format_that_is_an_invalid_opcode_until_resume() -> None:
    one = drive()
    one.faults.format_invalid_opcode_until_resume = True
    assert format_nvm(one, 1, 1) == Status.INVALID_OPCODE | DNR
    one.power_cycle()
    assert format_nvm(one, 1, 1) == Status.INVALID_OPCODE | DNR
    one.suspend_resume()
    assert format_nvm(one, 1, 1) == 0


def test_a_lying_format_leaves_data() -> None:
    one = drive()
    one.faults.leaves = (Remnant(nsid=1, lbas=range(10, 11)),)
    assert format_nvm(one, 1, 2) == 0
    assert OLD in content(one)
