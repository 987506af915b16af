"""The sampling scheme of NIST SP 800-88 Rev. 1 §4.7, for any drive and any seed."""

from __future__ import annotations

import hmac
import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rasura_agent.verify.sampling import SECTIONS, plan_samples

seeds = st.binary(min_size=32, max_size=32)
units = st.sampled_from([512, 4096])
small = st.integers(1, 5000)
large = st.integers(5000, 40_000_000_000)
counts = small | large
limits = st.just(0) | st.integers(1, 1 << 34)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, unit=units, count=counts, limit=limits)
def test_what_is_read_lies_on_the_drive_without_overlap(
    seed: bytes, unit: int, count: int, limit: int
) -> None:
    plan = plan_samples(seed, count * unit, unit, limit)
    assert plan == plan_samples(seed, count * unit, unit, limit)
    assert all(one.offset % unit == 0 and one.length % unit == 0 and one.length > 0 for one in plan.extents)
    assert all(first.end <= second.offset for first, second in pairwise(plan.extents))
    assert plan.extents[0].offset == 0
    assert plan.extents[-1].end == count * unit
    assert plan.bytes == sum(one.length for one in plan.extents) <= count * unit


@settings(max_examples=30, deadline=None)
@given(seed=seeds, unit=units, count=counts)
def test_two_reads_of_a_twentieth_in_each_of_a_thousand_sections(seed: bytes, unit: int, count: int) -> None:
    plan = plan_samples(seed, count * unit, unit)
    assert plan.sections == max(1, min(SECTIONS, count // 2))
    assert plan.is_whole_scheme
    assert plan.bytes * 10 >= count * unit
    bounds = [section * count // plan.sections * unit for section in range(plan.sections + 1)]
    for start, end in pairwise(bounds):
        inside = [one for one in plan.extents if start <= one.offset < end]
        enough = [one for one in inside if one.length * 20 >= end - start and one.end <= end]
        assert len(enough) >= min(2, (end - start) // unit)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, unit=units, count=st.integers(4000, 40_000_000_000), limit=st.integers(1, 1 << 34))
def test_a_limit_is_kept_and_said(seed: bytes, unit: int, count: int, limit: int) -> None:
    plan = plan_samples(seed, count * unit, unit, limit)
    assert plan.bytes <= max(limit, 2 * SECTIONS * unit) + 2 * unit
    assert len(plan.extents) >= 2 * SECTIONS
    whole = plan_samples(seed, count * unit, unit)
    assert plan.is_whole_scheme == (plan == whole)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(20_000, 1_000_000_000))
def test_seeds_choose_other_places(count: int) -> None:
    assert plan_samples(bytes(32), count * 512, 512) != plan_samples(b"\1" * 32, count * 512, 512)


def test_an_auditor_works_the_places_out_again() -> None:
    """By the words of the docstring alone."""
    seed, blocks, unit = bytes(range(32)), 1_953_525_168, 512
    offsets = set()
    for k in range(1000):
        start, stop = k * blocks // 1000, (k + 1) * blocks // 1000
        r = math.ceil((stop - start) / 20)
        draw = hmac.new(seed, b"section %d" % k, "sha256").digest()
        free = stop - start - 2 * r + 1
        a, b = sorted((int.from_bytes(draw[:8], "big") % free, int.from_bytes(draw[8:16], "big") % free))
        offsets |= {((start + a) * unit, r * unit), ((start + b + r) * unit, r * unit)}
    plan = plan_samples(seed, blocks * unit, unit)
    assert {(one.offset, one.length) for one in plan.extents} - offsets <= {
        (0, unit),
        ((blocks - 1) * unit, unit),
    }
    assert offsets <= {(one.offset, one.length) for one in plan.extents}


def test_places_are_spread_within_their_sections() -> None:
    """Both ends of a section are reached by some seed: nothing stays out of sight for ever."""
    first = {plan_samples(bytes([seed]) * 32, 20_000 * 512, 512).extents[1].offset for seed in range(200)}
    assert min(first) <= 512
    assert max(first) >= 10 * 512
