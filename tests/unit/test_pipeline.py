"""The data mover: what fails is narrowed to the sector, the rest goes first, a silent drive is abandoned."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.certificate import Range, RangeKind
from rasura_agent.drive.port import Disposition
from rasura_agent.drive.transport.block import BlockDevice
from rasura_agent.erase.buffers import BLOCK_BYTES, aligned_buffer, differing_sectors, repeated, repeats
from rasura_agent.erase.covered import NOTHING, Covered, merged
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.overwrite import PassResult, write_pass
from rasura_agent.erase.pattern import Constant, Pattern, RandomStream
from rasura_agent.erase.pipeline import move, move_blocks
from rasura_agent.erase.ranges import RANGES_MAX, gathered
from rasura_agent.verify.readback import ReadBack, read_back
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.world import ManualClock

BLOCK = 4096
CAPACITY = 64 * BLOCK
KEY = bytes(range(32))
WAYS = [(1, None), (4, None), (4, 1), (3, 2)]
"""How many transfers under way, and the seed of the queue that they go by; without one, by threads."""


def drive(lanes: int = 4, **options: object) -> SimulatedBlock:
    block = SimulatedBlock(simulated_drive(CAPACITY), lanes=lanes)
    for name, value in options.items():
        setattr(block, name, value)
    return block


def go_on(_done: object) -> None:
    return None


def write(block: SimulatedBlock, pattern: Pattern | None = None, limits: Limits | None = None) -> PassResult:
    return write_pass(
        block, CAPACITY, pattern or RandomStream(KEY), block.clock, go_on, BLOCK, limits=limits or Limits()
    )


def read(block: SimulatedBlock, pattern: Pattern | None = None, limits: Limits | None = None) -> ReadBack:
    return read_back(
        block, CAPACITY, pattern or RandomStream(KEY), go_on, BLOCK, clock=block.clock, limits=limits
    )


def spans(errors: tuple[Range, ...]) -> list[tuple[int, int]]:
    return [(one.offset, one.length) for one in errors]


PATTERNS = [Constant(b"\0"), Constant(b"\x92\x49\x24"), RandomStream(KEY), RandomStream(KEY, inverted=True)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda one: one.label)
@pytest.mark.parametrize(("lanes", "queued"), WAYS)
def test_what_is_written_is_what_the_pattern_says_at_every_offset(
    pattern: Pattern, lanes: int, queued: int | None
) -> None:
    block = drive(lanes, queued=queued)
    assert write(block, pattern).bytes_written == CAPACITY
    wanted = bytearray(CAPACITY)
    pattern.fill(0, memoryview(wanted))
    assert block.medium == wanted
    assert read(block, pattern).complete
    assert block.most_at_once <= lanes


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda one: one.label)
@given(at=st.integers(0, CAPACITY - 1), bit=st.integers(0, 7))
@settings(max_examples=20, deadline=None)
def test_a_single_wrong_bit_is_found_where_it_is(pattern: Pattern, at: int, bit: int) -> None:
    block = drive(2, queued=at if bit % 2 else None)
    write(block, pattern)
    block.medium[at] ^= 1 << bit
    found = read(block, pattern)
    assert [(one.kind, one.offset, one.length) for one in found.errors] == [
        (RangeKind.MISMATCH, at // 512 * 512, 512)
    ]


@pytest.mark.parametrize(("lanes", "queued"), WAYS)
@given(
    starts=st.lists(st.integers(0, CAPACITY // 512 - 1), max_size=6),
    reading=st.booleans(),
    retries=st.integers(0, 2),
    zone=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_bad_sectors_are_told_to_the_sector_and_the_rest_is_moved(
    lanes: int, queued: int | None, starts: list[int], reading: bool, retries: int, zone: int
) -> None:
    bad = {start * 512 for start in starts}
    block = drive(lanes, queued=queued)
    ranges = tuple(range(start, start + 1) for start in sorted(bad))
    limits = Limits(retries=retries, zone_transfers=zone)
    if reading:
        write(block)
        block.bad_reads = ranges
        result: PassResult | ReadBack = read(block, limits=limits)
    else:
        block.bad_writes = ranges
        result = write(block, limits=limits)
        assert not any(
            block.medium[at : at + 8] == b"OLD DATA" for at in range(0, CAPACITY, 512) if at not in bad
        )
    told = {at for offset, length in spans(result.errors) for at in range(offset, offset + length, 512)}
    assert told == bad
    assert result.stopped is None


def test_a_bad_zone_is_jumped_and_the_other_end_goes_first() -> None:
    order: list[int] = []
    bad = range(10 * BLOCK, 30 * BLOCK)

    def transfer(offset: int, length: int) -> None:
        if offset < bad.stop and bad.start < offset + length:
            raise OSError(errno.EIO, "Input/output error")
        order.append(offset // BLOCK)

    moved = move(
        [transfer],
        done=NOTHING,
        capacity=CAPACITY,
        block_bytes=BLOCK,
        sector_bytes=BLOCK,
        limits=Limits(retries=0),
        clock=ManualClock(),
        on_progress=go_on,
    )
    assert order[:10] == list(range(10))
    assert order[10:14] == [63, 62, 61, 60]
    assert sorted(order) == [*range(10), *range(30, 64)]
    assert {at for offset, length in moved.failed for at in range(offset, offset + length, BLOCK)} == set(
        range(bad.start, bad.stop, BLOCK)
    )


@pytest.mark.parametrize("queued", [None, 5])
def test_an_error_storm_ends_by_count_and_by_time(queued: int | None) -> None:
    by_count = write(drive(fails_from=20, queued=queued), limits=Limits(errors=12))
    assert "12 transfers failed, the last with Input/output error" in (by_count.stopped or "")
    by_time = write(drive(fails_from=20, failing_seconds=60.0, queued=queued), limits=Limits(error_s=600.0))
    assert "went into transfers that failed" in (by_time.stopped or "")
    for result in (by_count, by_time):
        assert sum(length for _, length in spans(result.errors)) == CAPACITY - result.bytes_written > 0


def test_narrowing_ends_with_the_limit_and_what_is_left_is_told_whole() -> None:
    block = drive(1, bad_writes=(range(5 * BLOCK, 5 * BLOCK + 1),))
    result = write(block, limits=Limits(retries=0, errors=3))
    assert result.stopped is None
    assert spans(result.errors) == [(5 * BLOCK, 2048)]


@pytest.mark.parametrize("queued", [None, 5])
@pytest.mark.parametrize("fault", [BlockFault.HANG, BlockFault.FLUSH_HANGS])
def test_a_drive_that_stops_answering_is_abandoned(fault: BlockFault, queued: int | None) -> None:
    block = drive(4, faults={20: fault}, queued=queued)
    try:
        result = write(block)
    finally:
        block.released.set()
    assert "has not answered for 300 s" in (result.stopped or "")
    assert result.errors


@pytest.mark.parametrize("queued", [None, 5])
def test_a_drive_that_is_only_slow_is_not_abandoned(queued: int | None) -> None:
    assert write(drive(4, seconds=20.0, queued=queued)).stopped is None


def test_a_hanging_drive_delays_no_other() -> None:
    hanging, healthy = drive(4, faults={3: BlockFault.HANG}), drive(4)
    stuck: list[PassResult] = []
    thread = threading.Thread(target=lambda: stuck.append(write(hanging)))
    thread.start()
    began = time.monotonic()
    assert write(healthy).stopped is None
    assert time.monotonic() - began < 10
    thread.join(30)
    hanging.released.set()
    assert stuck[0].stopped


def test_what_begins_later_leaves_the_rest_alone() -> None:
    block = drive()
    result = write_pass(block, CAPACITY, Constant(b"\0"), block.clock, go_on, BLOCK, done=Covered(30 * BLOCK))
    assert result.bytes_written == CAPACITY - 30 * BLOCK
    assert not result.errors
    assert bytes(block.medium[: 30 * BLOCK]) == b"OLD DATA" * (30 * BLOCK // 8)
    assert not any(block.medium[30 * BLOCK :])
    found = read_back(block, CAPACITY, Constant(b"\0"), go_on, BLOCK, start=30 * BLOCK, clock=block.clock)
    assert (found.bytes_read, found.errors, found.complete) == (CAPACITY - 30 * BLOCK, (), False)


def sectors(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {at for offset, length in spans for at in range(offset, offset + length, 512)}


@given(
    bad=st.lists(st.integers(0, 63), max_size=30),
    done=st.lists(st.tuples(st.integers(0, 63), st.integers(1, 20)), max_size=4),
    lanes=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_only_what_is_over_is_covered_and_failures_are_told_before(
    bad: list[int], done: list[tuple[int, int]], lanes: int, seed: int
) -> None:
    before = merged((at * BLOCK, min(size, 64 - at) * BLOCK) for at, size in done)
    moved_bytes, told = set[int](), set[int]()
    reports = []

    def transfer(offset: int, length: int) -> None:
        if (offset * 7 + seed) % 5 == 0:
            time.sleep(0.0002)
        if any(offset < (one + 1) * BLOCK and one * BLOCK < offset + length for one in bad):
            raise OSError(errno.EIO, "Input/output error")
        moved_bytes.update(range(offset, offset + length, 512))

    def on_progress(covered: Covered) -> None:
        reports.append(covered)
        assert covered.is_within(CAPACITY)
        assert sectors(covered.spans) <= moved_bytes.copy() | told | sectors(before.spans)

    moved = move(
        [transfer] * lanes,
        done=before,
        capacity=CAPACITY,
        block_bytes=BLOCK,
        sector_bytes=512,
        limits=Limits(retries=0, errors=50, zone_transfers=2),
        clock=ManualClock(),
        on_progress=on_progress,
        on_failed=lambda span: told.update(range(span[0], sum(span), 512)),
    )
    for one, later in pairwise([before, *reports]):
        assert sectors(one.spans) <= sectors(later.spans)
    left = sectors(before.gaps(CAPACITY))
    assert not left or reports[-1] == Covered(CAPACITY) or moved.failed
    failed = sectors(moved.failed)
    assert failed | moved_bytes == left
    assert failed.isdisjoint(moved_bytes)


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_is_past_a_bad_zone_counts_while_it_is_moved(lanes: int) -> None:
    """Progress does not stand still at the zone, with one or with two of them in the way."""
    bad = {*range(10, 14), *range(40, 44)}
    seen = []

    def transfer(offset: int, length: int) -> None:
        if bad & set(range(offset // BLOCK, -(-(offset + length) // BLOCK))):
            raise OSError(errno.EIO, "Input/output error")

    move(
        [transfer] * lanes,
        done=NOTHING,
        capacity=CAPACITY,
        block_bytes=BLOCK,
        sector_bytes=BLOCK,
        limits=Limits(retries=0),
        clock=ManualClock(),
        on_progress=seen.append,
        report_bytes=BLOCK,
    )
    sizes = [one.size // BLOCK for one in seen]
    assert sizes == sorted(sizes)
    assert max(later - one for one, later in pairwise(sizes)) <= 2 * lanes
    assert any(len(one.beyond) >= 2 for one in seen)


@pytest.mark.parametrize(("lanes", "queued"), WAYS)
@pytest.mark.parametrize("again", [True, False])
def test_what_is_left_by_transfers_of_another_size_is_written_whole(
    lanes: int, queued: int | None, again: bool
) -> None:
    """It need not begin or end with a block of this boot's."""
    block, left = drive(lanes, queued=queued), (3 * BLOCK, 6 * BLOCK)
    done = Covered(CAPACITY) if again else Covered(3 * BLOCK, ((9 * BLOCK, 20 * BLOCK),))
    result = write_pass(
        block, CAPACITY, Constant(b"\xff"), block.clock, go_on, 4 * BLOCK, done, [left] if again else []
    )
    assert not result.errors
    assert result.bytes_written == 6 * BLOCK + (0 if again else 35 * BLOCK)
    assert set(block.medium[left[0] : sum(left)]) == {0xFF}


def test_a_lane_with_too_few_bytes_moves_nothing() -> None:
    """Whatever is transferred is what was asked for, or the pass does not end."""

    class Short:
        writes = True

        def prepare(self, _offset: int, length: int) -> memoryview:
            return memoryview(bytes(length - 512))

        def finish(self, _offset: int, _length: int) -> None: ...

        def end(self) -> None: ...

    for lanes, queued in WAYS:
        block = drive(lanes, queued=queued)
        with pytest.raises(AssertionError, match="bytes for the"):
            move_blocks(
                block,
                [Short()] * lanes,
                done=NOTHING,
                capacity=CAPACITY,
                block_bytes=BLOCK,
                sector_bytes=512,
                limits=Limits(),
                clock=ManualClock(),
                on_progress=go_on,
            )


def test_what_an_earlier_boot_had_tried_comes_last() -> None:
    """However large it is: the limits are there for what nobody has tried."""
    order = []

    def transfer(offset: int, _length: int) -> None:
        order.append(offset // BLOCK)
        if 10 <= offset // BLOCK < 20:
            raise OSError(errno.EIO, "Input/output error")

    move(
        [transfer],
        done=Covered(30 * BLOCK, ((32 * BLOCK, 30 * BLOCK),)),
        again=[(10 * BLOCK, 10 * BLOCK)],
        capacity=CAPACITY,
        block_bytes=BLOCK,
        sector_bytes=512,
        limits=Limits(errors=8),
        clock=ManualClock(),
        on_progress=go_on,
    )
    assert set(order[:4]) == {30, 31, 62, 63}


def test_while_the_caller_is_slow_no_more_than_the_queue_goes_on() -> None:
    block = drive(1)
    seen = []

    def slow(covered: Covered) -> None:
        time.sleep(0.005)
        seen.append(block.transfers * BLOCK - covered.mark)

    write_pass(block, CAPACITY, Constant(b"\0"), block.clock, slow, BLOCK)
    assert set(seen) == {0}


def test_what_is_no_error_of_the_drive_reaches_the_caller() -> None:
    def transfer(_offset: int, _length: int) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        move(
            [transfer] * 3,
            done=NOTHING,
            capacity=CAPACITY,
            block_bytes=BLOCK,
            sector_bytes=512,
            limits=Limits(),
            clock=ManualClock(),
            on_progress=go_on,
        )


@pytest.mark.parametrize("takes", [True, False])
def test_the_drive_zeroes_itself_where_it_can(takes: bool) -> None:
    block = drive(zeroes=Disposition.DONE if takes else Disposition.REFUSED)
    result = write_pass(block, CAPACITY, Constant(b"\0"), block.clock, go_on, BLOCK, offload=True)
    assert result.bytes_offloaded == (CAPACITY if takes else 0)
    assert result.bytes_written == CAPACITY
    assert not any(block.medium)


def test_only_zeros_are_left_to_the_drive() -> None:
    for pattern in (RandomStream(KEY), Constant(b"\xff")):
        block = drive(zeroes=Disposition.DONE)
        result = write_pass(block, CAPACITY, pattern, block.clock, go_on, BLOCK, offload=True)
        assert result.bytes_offloaded == 0
        assert any(block.medium)


def test_a_bug_behind_a_queue_reaches_the_caller() -> None:
    class Broken(Constant):
        def reduce(self, offset: int, found: memoryview) -> bytes:
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        read(drive(4, queued=1), Broken(b"\0"))


# Buffers and ranges


@pytest.mark.parametrize("unit", [b"\0", b"\xff", b"\x92\x49\x24", b"0123456789abcdef"])
def test_repeats_looks_at_every_byte(unit: bytes) -> None:
    buffer = aligned_buffer(BLOCK)
    buffer[:] = bytes(repeated(unit, BLOCK_BYTES)[:BLOCK])
    assert repeats(buffer, unit)
    for at in (0, 1, len(unit) - 1, len(unit), 700, BLOCK - 1):
        buffer[at] ^= 1
        assert not repeats(buffer, unit)
        assert differing_sectors(buffer, unit, 512) == [(at // 512 * 512, 512)]
        buffer[at] ^= 1
    assert not repeats(buffer, bytes(byte ^ 1 for byte in unit))


def test_a_shared_buffer_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        repeated(b"\0", BLOCK_BYTES)[0] = 1


@given(
    found=st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20), st.sampled_from(RangeKind)), max_size=30)
)
def test_ranges_are_sorted_apart_and_leave_nothing_out(found: list[tuple[int, int, RangeKind]]) -> None:
    told = gathered(found, 200)
    for kind in RangeKind:
        wanted = {at for offset, length, one in found if one is kind for at in range(offset, offset + length)}
        ranges = [one for one in told if one.kind is kind]
        assert {at for one in ranges for at in range(one.offset, one.offset + one.length)} == wanted
        assert all(left.offset + left.length < right.offset for left, right in pairwise(ranges))


def test_a_drive_that_fails_everywhere_is_told_coarsely() -> None:
    found = [(at * 8192, 512, RangeKind.NOT_READ) for at in range(50_000)]
    told = gathered(found, 50_000 * 8192)
    assert len(told) == RANGES_MAX
    assert all(
        any(one.offset <= offset < one.offset + one.length for one in told) for offset, _, _ in found[::997]
    )


def test_one_range_too_many_joins_the_two_nearest() -> None:
    found = [(at * (1 << 30), 512, RangeKind.NOT_WRITTEN) for at in range(RANGES_MAX)]
    told = gathered([*found, (4096, 512, RangeKind.NOT_WRITTEN)], 1 << 50)
    assert len(told) == RANGES_MAX
    assert told[0] == Range(offset=0, length=4608, kind=RangeKind.NOT_WRITTEN)
    assert sum(one.length for one in told) == 512 * (RANGES_MAX - 1) + 4608


# The port over a descriptor


@pytest.fixture
def device(tmp_path: Path) -> BlockDevice:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(CAPACITY))
    return BlockDevice(os.open(path, os.O_RDWR), lambda _fd: simulated_drive(CAPACITY), direct=False)


def test_a_file_has_no_write_zeroes(device: BlockDevice) -> None:
    assert device.write_zeroes(0, BLOCK) is Disposition.REFUSED
    device.close()


def test_a_descriptor_with_a_hanging_transfer_stays_open(device: BlockDevice) -> None:
    """Else its number could come to mean another drive while the thread goes on with it."""
    entered, release = threading.Event(), threading.Event()

    def hang(_fd: int) -> None:
        entered.set()
        release.wait(10)

    with device._transfer() as descriptor:
        thread = threading.Thread(target=hang, args=(descriptor,))
        thread.start()
        entered.wait(10)
        device.close()
        os.fstat(descriptor)
        calls: list[Callable[[], object]] = [
            lambda: device.write(0, memoryview(bytearray(512))),
            lambda: device.read(0, memoryview(bytearray(512))),
            device.flush,
        ]
        for call in calls:
            with pytest.raises(OSError, match="let go of"):
                call()
    release.set()
    thread.join()
    os.close(descriptor)
