"""Markers and samples: what a drive that did not do what it reported cannot hide."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.certificate import RangeKind
from rasura_agent.verify.spots import MARKERS, SAMPLES, SEED_BYTES, SPOT_BYTES, MarkerError, Spots, places
from simulators.block import BlockFault, SimulatedBlock, simulated_drive

CAPACITY = 4096 * SPOT_BYTES


def drive() -> SimulatedBlock:
    block = SimulatedBlock(simulated_drive(CAPACITY))
    block.medium[:] = os.urandom(CAPACITY)
    return block


def marked(block: SimulatedBlock) -> Spots:
    return Spots(block, CAPACITY, os.urandom(SEED_BYTES))


@given(seed=st.binary(min_size=32, max_size=32), blocks=st.integers(0, 5000), count=st.integers(1, 1200))
def test_places_are_spread_over_the_whole_drive(seed: bytes, blocks: int, count: int) -> None:
    capacity = blocks * SPOT_BYTES + 512
    found = places(seed, "marker", capacity, count)
    assert found == places(seed, "marker", capacity, count)
    assert list(found) == sorted(set(found))
    assert all(offset % SPOT_BYTES == 0 and offset + SPOT_BYTES <= capacity for offset in found)
    if blocks:
        assert {0, (blocks - 1) * SPOT_BYTES} <= set(found)
        sections = min(blocks, count)
        numbers = [offset // SPOT_BYTES for offset in found]
        for section in range(sections):
            start, end = section * blocks // sections, (section + 1) * blocks // sections
            assert any(start <= number < end for number in numbers)


def test_seeds_and_purposes_give_other_places() -> None:
    one, two = bytes(32), bytes([1]) * 32
    assert places(one, "marker", CAPACITY, 64) != places(two, "marker", CAPACITY, 64)
    assert places(one, "marker", CAPACITY, 64) != places(one, "sample", CAPACITY, 64)


@pytest.mark.parametrize("after", [b"\0", b"\xff", None])
def test_an_erased_drive_passes(after: bytes | None) -> None:
    block = drive()
    spots = marked(block)
    block.medium[:] = os.urandom(CAPACITY) if after is None else after * CAPACITY
    check = spots.look()
    assert check.complete
    assert check.bytes_read == spots.count * SPOT_BYTES
    assert MARKERS <= len(spots.markers) <= MARKERS + 2
    assert spots.count > SAMPLES * 0.9


def test_a_drive_that_did_nothing_is_caught_by_every_spot() -> None:
    block = drive()
    spots = marked(block)
    check = spots.look()
    assert check.surviving_markers == len(spots.markers)
    assert check.surviving_markers + check.unchanged_samples == spots.count
    assert {one.kind for one in check.left} == {RangeKind.MISMATCH}


@pytest.mark.parametrize("start", [0, CAPACITY // 3, CAPACITY - CAPACITY // 20])
def test_a_twentieth_left_behind_is_caught(start: int) -> None:
    block = drive()
    spots = marked(block)
    kept = bytes(block.medium[start : start + CAPACITY // 20])
    block.medium[:] = bytes(CAPACITY)
    block.medium[start : start + len(kept)] = kept
    check = spots.look()
    assert check.surviving_markers >= 2
    assert check.unchanged_samples >= 30


def test_half_a_marker_is_still_a_marker() -> None:
    block = drive()
    spots = marked(block)
    offset = spots.markers[5]
    kept = bytes(block.medium[offset + 512 : offset + 1024])
    block.medium[:] = bytes(CAPACITY)
    block.medium[offset + 512 : offset + 1024] = kept
    assert [one.offset for one in spots.look().left] == [offset]


def test_what_cannot_be_read_is_said() -> None:
    block = drive()
    spots = marked(block)
    block.medium[:] = bytes(CAPACITY)
    block.faults = {block.transfers + 3: BlockFault.READ_ERROR}
    check = spots.look()
    assert not check.complete
    assert [one.kind for one in check.unreadable] == [RangeKind.NOT_READ]


def test_blank_samples_are_no_witnesses() -> None:
    block = SimulatedBlock(simulated_drive(CAPACITY))
    block.medium[:] = bytes(CAPACITY)
    spots = marked(block)
    assert spots.count == len(spots.markers)
    block.medium[:] = bytes(CAPACITY)
    assert spots.look().complete


@pytest.mark.parametrize("fault", [BlockFault.WRITE_ERROR, BlockFault.WRITE_LOST, BlockFault.FLUSH_ERROR])
def test_a_drive_that_takes_no_markers(fault: BlockFault) -> None:
    block = drive()
    before = len(
        [
            one
            for one in places(bytes(32), "sample", CAPACITY, SAMPLES)
            if one not in places(bytes(32), "marker", CAPACITY, MARKERS)
        ]
    )
    block.faults = {before + 2: fault}
    with pytest.raises(MarkerError):
        Spots(block, CAPACITY, bytes(32))


def test_a_drive_without_a_whole_block() -> None:
    block = SimulatedBlock(simulated_drive(512))
    with pytest.raises(MarkerError, match="too small"):
        Spots(block, 512, bytes(32))
