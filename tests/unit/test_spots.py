"""Markers and samples: what a drive that did not do what it reported cannot hide."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura.certificate import ContentKind, RangeKind
from rasura_agent.verify import samples
from rasura_agent.verify.sampling import Extent, SamplePlan, plan_samples
from rasura_agent.verify.spots import (
    HIDDEN_MARKERS,
    MARKERS,
    SEED_BYTES,
    SPOT_BYTES,
    MarkerError,
    SpotCheck,
    Spots,
    places,
)
from simulators.block import BlockFault, SimulatedBlock, simulated_drive

CAPACITY = 4096 * SPOT_BYTES


def drive() -> SimulatedBlock:
    block = SimulatedBlock(simulated_drive(CAPACITY))
    block.medium[:] = os.urandom(CAPACITY)
    return block


def marked(block: SimulatedBlock, hidden_from: int | None = None, limit: int = 0) -> Spots:
    seed = os.urandom(SEED_BYTES)
    return Spots(block, CAPACITY, seed, plan_samples(seed, CAPACITY, 512, limit), hidden_from)


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


@pytest.mark.parametrize(
    ("after", "kind", "entropy"),
    [
        (b"\0", ContentKind.ZERO, 0.0),
        (b"\xff", ContentKind.ONE, 0.0),
        (b"\x55", ContentKind.CONSTANT, 0.0),
        (None, ContentKind.NOISE, 8.0),
        (b"abcd", ContentKind.MIXED, 2.0),
    ],
)
def test_an_erased_drive_passes(after: bytes | None, kind: ContentKind, entropy: float) -> None:
    block = drive()
    spots = marked(block)
    block.medium[:] = os.urandom(CAPACITY) if after is None else after * (CAPACITY // len(after))
    check = spots.look()
    assert check.complete
    assert check.bytes_read == len(spots.markers) * SPOT_BYTES + spots.plan.bytes
    assert MARKERS <= len(spots.markers) <= MARKERS + 2
    assert spots.witnesses > 1800
    assert check.compared is not None
    assert check.compared.after.kind is kind
    assert check.compared.after.entropy == pytest.approx(entropy, abs=0.01)
    assert check.compared.before.entropy == pytest.approx(8.0, abs=0.01)


def test_a_drive_that_did_nothing_is_caught_by_every_spot() -> None:
    block = drive()
    spots = marked(block)
    check = spots.look()
    assert check.surviving_markers == len(spots.markers)
    assert check.unchanged_samples == spots.witnesses
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
    assert check.unchanged_samples >= 80


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
    assert spots.witnesses == 0
    block.medium[:] = bytes(CAPACITY)
    assert spots.look().complete


@pytest.mark.parametrize("limit", [0, 1 << 20, 4 << 20])
def test_a_drive_that_left_its_data_is_caught_by_few_samples_too(limit: int) -> None:
    block = drive()
    spots = marked(block, limit=limit)
    for offset in spots.markers:  # a drive that knows our marks, and nothing else
        block.medium[offset : offset + SPOT_BYTES] = bytes(SPOT_BYTES)
    check = spots.look()
    assert check.surviving_markers == 0
    assert check.unchanged_samples > 1500


def test_a_sector_that_changed_is_no_witness_for_the_others_of_its_granule() -> None:
    """Granules are compared whole; so what is left of one is only caught if all of it is left."""
    block = drive()
    spots = marked(block)
    extent = next(
        one
        for one in spots.plan.extents[10:]
        if not any(mark < one.end and one.offset < mark + SPOT_BYTES for mark in spots.markers)
    )
    kept = bytes(block.medium[extent.offset : extent.end])
    block.medium[:] = bytes(CAPACITY)
    block.medium[extent.offset : extent.end] = kept
    left = spots.look().left
    assert [(one.offset, one.length) for one in left] == [(extent.offset, extent.length)]


def test_marks_lie_in_what_was_hidden() -> None:
    block = drive()
    hidden_from = CAPACITY - 10 * SPOT_BYTES
    spots = marked(block, hidden_from)
    inside = [offset for offset in spots.markers if offset >= hidden_from]
    assert len(inside) >= HIDDEN_MARKERS
    kept = bytes(block.medium[hidden_from:])
    block.medium[:] = bytes(CAPACITY)
    block.medium[hidden_from:] = kept
    assert spots.look().surviving_markers >= len(inside)


def test_a_person_may_stop_it() -> None:
    block = drive()
    seed = bytes(32)
    plan = plan_samples(seed, CAPACITY, 512)
    with pytest.raises(MarkerError, match="stopped by the operator"):
        Spots(block, CAPACITY, seed, plan, None, lambda _done: "stopped by the operator")
    check: SpotCheck = marked(block).look(lambda done: "stopped by the operator" if done > 1000 else None)
    assert check.stopped == "stopped by the operator"
    assert not check.complete


def test_a_zone_that_cannot_be_read_ends_the_looking() -> None:
    block = drive()
    spots = marked(block)
    block.medium[:] = bytes(CAPACITY)
    block.bad_reads = (range(CAPACITY // 2, CAPACITY),)
    check = spots.look()
    assert not check.complete
    assert "could not be read" in (check.stopped or "")


@pytest.mark.parametrize("kept_bytes", [0, 1 << 20, 3 << 20])
def test_granules_larger_than_a_read(kept_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So large a drive that digests of small granules would not fit into memory."""
    monkeypatch.setattr(samples, "_MOST_GRANULES", 2)
    block = drive()
    plan = SamplePlan(CAPACITY, 512, 2, (Extent(512, 3 << 20), Extent(8 << 20, 3 << 20)), True)
    taken = samples.Samples(block, plan, ())
    assert taken.take(lambda _done: None) is None
    assert (taken.granule_bytes, taken.witnesses) == (3 << 20, 2)
    kept = bytes(block.medium[512 : 512 + kept_bytes])
    block.medium[:] = bytes(CAPACITY)
    block.medium[512 : 512 + kept_bytes] = kept
    compared = taken.compare(lambda _done: None)
    assert compared.unchanged == (kept_bytes == 3 << 20)
    assert compared.bytes_read == plan.bytes


def test_a_dying_drive_is_not_asked_for_long() -> None:
    block = drive()
    block.bad_reads = (range(CAPACITY // 20, CAPACITY),)
    plan = plan_samples(bytes(32), CAPACITY, 512)
    taken = samples.Samples(block, plan, ())
    assert taken.take(lambda _done: None) is None
    assert block.transfers < 120
    assert 90 <= taken.witnesses <= 110
    block.bad_reads = ()
    assert taken.compare(lambda _done: None).unchanged == taken.witnesses


def test_a_small_drive_is_sampled_by_few_transfers() -> None:
    """What lies close together comes with one transfer, and a bad sector costs its own sample only."""
    block = drive()
    plan = plan_samples(bytes(32), CAPACITY, 512)
    taken = samples.Samples(block, plan, ())
    taken.take(lambda _done: None)
    assert taken.witnesses == len(plan.extents) > 2000
    assert block.transfers < 40
    bad = plan.extents[700]
    block.bad_reads = (range(bad.offset, bad.offset + 512),)
    compared = taken.compare(lambda _done: None)
    assert [(one.offset, one.length) for one in compared.unreadable] == [(bad.offset, bad.length)]
    assert compared.unchanged == len(plan.extents) - 1


def test_no_witness_before_and_read_errors_now() -> None:
    """A bad sector before the command is a bad sector after it, and is said."""
    block = drive()
    block.faults = {7: BlockFault.READ_ERROR, 8: BlockFault.READ_ERROR}
    spots = marked(block)
    block.medium[:] = bytes(CAPACITY)
    assert spots.look().complete


@pytest.mark.parametrize("fault", [BlockFault.WRITE_ERROR, BlockFault.WRITE_LOST, BlockFault.FLUSH_ERROR])
def test_a_drive_that_takes_no_markers(fault: BlockFault) -> None:
    block = drive()
    plan = plan_samples(bytes(32), CAPACITY, 512)
    sampled = drive()
    samples.Samples(sampled, plan, ()).take(lambda _done: None)
    block.faults = {sampled.transfers + 2: fault}
    with pytest.raises(MarkerError):
        Spots(block, CAPACITY, bytes(32), plan)


def test_a_drive_without_a_whole_block() -> None:
    block = SimulatedBlock(simulated_drive(512))
    with pytest.raises(MarkerError, match="too small"):
        Spots(block, 512, bytes(32), plan_samples(bytes(32), 512, 512))
