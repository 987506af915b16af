"""What a pass is through with, held against plain sets of bytes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.erase.covered import NOTHING, Covered, Span, merged

CAPACITY = 60
SPANS = st.lists(
    st.integers(0, CAPACITY - 1).flatmap(lambda at: st.tuples(st.just(at), st.integers(1, CAPACITY - at))),
    max_size=8,
)


def at(spans: Iterable[Span]) -> set[int]:
    return {place for offset, length in spans for place in range(offset, offset + length)}


@given(spans=SPANS)
def test_spans_are_merged_in_one_form(spans: list[Span]) -> None:
    found = merged(spans)
    assert at(found.spans) == at(spans)
    assert found.size == len(at(spans))
    assert found.is_within(CAPACITY)
    assert merged(reversed(found.spans)) == found


@given(spans=SPANS)
def test_gaps_are_all_the_rest(spans: list[Span]) -> None:
    gaps = merged(spans).gaps(CAPACITY)
    assert at(gaps) == set(range(CAPACITY)) - at(spans)
    assert gaps == sorted(gaps)
    assert all(length > 0 for _, length in gaps)


@given(one=SPANS, other=SPANS)
def test_either_and_both(one: list[Span], other: list[Span]) -> None:
    assert at(merged(one).also(merged(other)).spans) == at(one) | at(other)
    assert at(merged(one).within(other)) == at(one) & at(other)


@given(spans=SPANS, unit=st.integers(1, 9), most=st.integers(0, 5))
def test_whole_units_of_it(spans: list[Span], unit: int, most: int) -> None:
    found = merged(spans)
    whole = found.whole(unit, CAPACITY, most)
    assert at(whole.spans) <= at(spans)
    assert whole.is_within(CAPACITY)
    assert len(whole.beyond) <= most
    ends = {place for span in whole.spans for place in (span[0], sum(span))}
    assert all(place % unit == 0 or place == CAPACITY for place in ends)
    if most >= len(found.beyond):
        full = [n for n in range(CAPACITY // unit) if at([(n * unit, unit)]) <= at(spans)]
        assert at((n * unit, unit) for n in full) <= at(whole.spans) | set(range(found.mark))


@pytest.mark.parametrize(
    "covered",
    [
        Covered(-1),
        Covered(CAPACITY + 1),
        Covered(10, ((10, 5),)),
        Covered(10, ((20, 0),)),
        Covered(10, ((20, -3),)),
        Covered(0, ((20, 5), (25, 5))),
        Covered(0, ((30, 5), (20, 5))),
        Covered(0, ((50, 20),)),
        Covered(0, ((-5, 2),)),
    ],
)
def test_what_is_not_in_that_form(covered: Covered) -> None:
    assert not covered.is_within(CAPACITY)
    assert NOTHING.is_within(0)
