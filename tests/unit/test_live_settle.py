"""How long a station waits for slow drives."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from rasura_agent.live.settle import MOST_S, STILL_S, settle
from simulators.world import ManualClock


def waited(appear: list[float], idle: Callable[[float], bool] = lambda _now: True) -> tuple[float, int]:
    """Seconds until it is over, and drives found, with drives that come at those moments."""
    clock = ManualClock()
    found = settle(
        clock,
        lambda: sum(moment <= clock.monotonic() for moment in appear),
        lambda: idle(clock.monotonic()),
        lambda _seen, _waited: None,
    )
    return clock.monotonic(), found


def test_drives_that_are_there_at_once() -> None:
    assert waited([0, 0, 0]) == (STILL_S, 3)


def test_a_machine_without_drives_waits_no_longer() -> None:
    assert waited([]) == (STILL_S, 0)


def test_a_slow_controller() -> None:
    assert waited([0, 2, 4.5, 7]) == (10.0, 4)


def test_a_drive_that_comes_after_a_pause_too_long_is_for_the_next_look() -> None:
    assert waited([0, 20]) == (STILL_S, 1)


def test_udev_at_work_holds_it_up() -> None:
    assert waited([0], lambda now: now >= 20) == (20 + STILL_S - 0.5, 1)


def test_an_end_in_any_case() -> None:
    assert waited([0], lambda _now: False) == (MOST_S, 1)
    assert waited([second / 2 for second in range(400)])[0] == MOST_S


@given(st.lists(st.floats(0, 100), max_size=20), st.floats(0, 100))
def test_never_longer_than_the_most_never_shorter_than_the_pause(appear: list[float], busy: float) -> None:
    seconds, found = waited(appear, lambda now: now >= busy)
    assert STILL_S <= seconds <= MOST_S
    assert found == sum(moment <= seconds for moment in appear)
