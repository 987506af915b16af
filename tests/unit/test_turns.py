"""Turns among fast drives: in order, bounded in number, and never kept by a drive that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from rasura_agent.erase import pipeline
from rasura_agent.erase.overwrite import write_pass
from rasura_agent.erase.pattern import RandomStream
from rasura_agent.erase.turns import BURST_BYTES, Turn, Turns
from rasura_agent.verify.readback import read_back
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.world import ManualClock

PATIENCE_S = 30
LONG_S = 1.0
"""A turn that lasts longer than a busy machine oversleeps."""


def taker(turns: Turns, order: list[int], number: int, ended: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        turns.take()
        order.append(number)
        ended()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def queued(turns: Turns, count: int) -> None:
    while len(turns._waiting) < count:
        threading.Event().wait(0.001)


def test_who_waits_first_is_first_served_and_no_more_than_allowed_at_once() -> None:
    turns, order = Turns(2, PATIENCE_S), list[int]()
    held = [turns.take(), turns.take()]
    served = threading.Semaphore(0)
    for number in range(3):
        taker(turns, order, number, served.release)
        queued(turns, number + 1)
    assert turns.wanted
    for number in range(2):
        turns.end(held[number])
        assert served.acquire(timeout=PATIENCE_S)
        assert order == list(range(number + 1))
    assert turns.wanted


def test_a_turn_that_is_kept_is_passed_on_and_its_late_end_takes_nothing_from_others() -> None:
    turns, order = Turns(1, LONG_S), list[int]()
    kept = turns.take()
    served = threading.Semaphore(0)
    taker(turns, order, 0, served.release)
    assert not served.acquire(timeout=LONG_S / 5)
    assert served.acquire(timeout=PATIENCE_S)
    turns.end(kept)
    taker(turns, order, 1, served.release)
    assert not served.acquire(timeout=LONG_S / 5), "the late end was nobody's turn"
    assert order == [0]


def test_a_turn_that_is_renewed_is_not_passed_on() -> None:
    turns, order = Turns(1, LONG_S), list[int]()
    kept, served = turns.take(), threading.Semaphore(0)
    taker(turns, order, 0, served.release)
    for _ in range(10):
        kept.bursts += 1
        assert not served.acquire(timeout=LONG_S / 5)
    turns.end(kept)
    assert served.acquire(timeout=PATIENCE_S)


def moved(turn: Turn, clock: ManualClock, mb_s: float, length: int = 1 << 20) -> int:
    """How many bytes a drive of such a speed moves before its burst ends, up to a thousand transfers."""
    turn.begin()
    for count in range(1000):
        if not turn.goes_on(length):
            turn.end()
            return count * length
        clock.sleep(length / mb_s / 1e6)
    return 1000 * length


def test_a_fast_drive_goes_on_until_somebody_waits() -> None:
    clock, turns = ManualClock(), Turns(1, PATIENCE_S)
    turn = Turn(turns, clock)
    assert moved(turn, clock, 3000) == 1000 << 20
    order, served = list[int](), threading.Semaphore(0)
    taker(turns, order, 0, served.release)
    queued(turns, 1)
    count = 0
    while turn.goes_on(1 << 20):
        count += 1
    assert count << 20 <= BURST_BYTES
    turn.end()
    assert served.acquire(timeout=PATIENCE_S)


def test_a_slow_drive_takes_no_turns_and_is_measured_again() -> None:
    clock, turns = ManualClock(), Turns(1, PATIENCE_S)
    slow = Turn(turns, clock)
    assert moved(slow, clock, 200) == 1000 << 20
    kept = turns.take()  # at once: the slow drive holds none
    assert slow.goes_on(1 << 20)
    free = 0
    while slow.goes_on(1 << 20):
        free += 1
    assert 32 * BURST_BYTES < free << 20 <= 64 * BURST_BYTES
    turns.end(kept)
    slow.begin()
    assert slow._hold is not None


@pytest.fixture
def one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MACHINE_TURNS", Turns(1))


@pytest.mark.usefixtures("one_turn")
def test_drives_that_share_one_turn_are_all_erased_and_one_that_hangs_delays_nobody() -> None:
    block, capacity = 1 << 20, 80 << 20
    drives = [SimulatedBlock(simulated_drive(capacity), lanes=2, queued=seed) for seed in range(4)]
    hung = drives[0]
    hung.faults = {3: BlockFault.HANG}
    patterns = [RandomStream(bytes([number]) * 32) for number in range(4)]

    def erase(number: int) -> tuple[int, bool]:
        drive, pattern = drives[number], patterns[number]
        written = write_pass(drive, capacity, pattern, drive.clock, lambda _mark: None, 2 * block)
        found = read_back(drive, capacity, pattern, lambda _mark: None, 2 * block, clock=drive.clock)
        return written.bytes_written, found.complete

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(erase, number) for number in range(4)]
        for number in range(1, 4):
            assert results[number].result(timeout=PATIENCE_S) == (capacity, True)
            assert not drives[number].old_data_left()
        hung.released.set()
        written, complete = results[0].result(timeout=PATIENCE_S)
    assert written < capacity
    assert not complete
