"""Progress: whatever a drive does, it never goes back, and no time left is negative or endless."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.erase.events import Phase, Progress
from rasura_agent.erase.firmware.line import Running
from rasura_agent.erase.meter import Meter, command_left_s

sizes = st.integers(0, 1 << 50)
moments = st.floats(0, 1e7)


@given(
    total=st.integers(1, 1 << 50),
    start=st.floats(0, 1),
    step=st.integers(1, 3),
    reports=st.lists(st.tuples(sizes, moments), min_size=1, max_size=60),
)
def test_progress_never_goes_back(
    total: int, start: float, step: int, reports: list[tuple[int, float]]
) -> None:
    begun = int(total * start)
    meter = Meter("/dev/sda", Phase.WRITE, step, 3, total, begun)
    last: Progress | None = None
    for done, elapsed in reports:
        event = meter.at(done, elapsed)
        assert begun <= event.done <= total
        for seconds in (event.eta_s, event.left_s):
            assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
        for rate in (event.rate, event.recent_rate):
            assert rate is None or rate > 0
        if event.eta_s is not None and event.left_s is not None:
            assert event.left_s >= event.eta_s
        if event.done == total and event.rate is not None:
            assert event.eta_s == 0
        if last is not None:
            assert event.done >= last.done
            assert event.elapsed_s >= last.elapsed_s
        last = event


@given(rate=st.integers(1, 10**10), seconds=st.integers(40, 500), before=st.integers(0, 10**12))
def test_a_steady_drive_is_foretold(rate: int, seconds: int, before: int) -> None:
    total = before + rate * 1000
    meter = Meter("/dev/sda", Phase.WRITE, 1, 2, total, before)
    for second in range(1, seconds):
        event = meter.at(before + rate * second, float(second))
    assert event.rate == pytest.approx(rate)
    assert event.recent_rate == pytest.approx(rate)
    left = 1000 - (seconds - 1)
    assert event.eta_s == pytest.approx(left)
    assert event.left_s == pytest.approx(left + total / rate)


def test_a_slow_zone_shows_in_the_recent_rate() -> None:
    meter = Meter("/dev/sda", Phase.WRITE, 1, 2, 10**9)
    for second in range(1, 101):
        event = meter.at(second * 10**6, float(second))
    for second in range(101, 161):
        event = meter.at(10**8 + (second - 100) * 10**5, float(second))
    assert event.recent_rate == pytest.approx(10**5, rel=0.01)
    assert event.rate is not None
    assert event.rate > 5 * 10**5


fractions = st.none() | st.floats(0, 1)
estimates = st.none() | st.floats(0, 1e7)


@given(fraction=fractions, elapsed=moments, estimate=estimates)
def test_a_command_never_takes_less_than_nothing(
    fraction: float | None, elapsed: float, estimate: float | None
) -> None:
    left = command_left_s(Running(fraction, elapsed, estimate))
    assert left is None or left >= 0
    if not fraction and (estimate is None or estimate <= elapsed):
        assert left is None
    if fraction == 1:
        assert left == 0
    if fraction and fraction > 1e-6:
        assert left is not None
        assert math.isfinite(left)


@given(estimate=st.floats(10, 1e6), factor=st.floats(0.2, 5))
def test_a_drive_that_is_slower_than_its_word_is_corrected(estimate: float, factor: float) -> None:
    """The nearer the end, the nearer the truth."""
    truth = estimate * factor
    errors = []
    for fraction in (0.1, 0.5, 0.9, 0.99):
        elapsed = truth * fraction
        left = command_left_s(Running(fraction, elapsed, estimate))
        assert left is not None
        errors.append(abs(left - truth * (1 - fraction)))
    assert errors[-1] <= errors[0] + 1e-6
    assert errors[-1] <= estimate * 0.05 + 1e-6


def test_percentages_that_go_back_are_not_shown() -> None:
    meter = Meter("/dev/nvme0n1", Phase.COMMAND, 2, 3, 1000)
    shown = [
        meter.at(done, at).done for done, at in [(0, 1.0), (300, 2.0), (250, 3.0), (900, 4.0), (1200, 5.0)]
    ]
    assert shown == [0, 300, 300, 900, 1000]
