"""Moving a whole drive through a few lanes: what one of them computes, another one's transfer hides.

Each lane takes the next block, borrows a buffer, makes or compares its bytes and transfers it, so that
generating, writing, reading and comparing of neighbouring blocks overlap, and several requests are in
flight. Where the port has a queue, one thread serves all lanes: it computes while the kernel transfers.
Elsewhere each lane is a thread. ``agent/decisions/data-mover.md`` has the figures.

What fails, and what comes next, decides the :class:`~rasura_agent.erase.mover.Mover`.

A thread that waits for a drive in the kernel cannot be stopped. A drive that has not answered within its
limit is abandoned: its lanes keep what they borrowed, which nobody else gets, and take no more work.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from rasura_agent.clock import Clock
from rasura_agent.drive.port import BlockPort, TransferQueue
from rasura_agent.erase.covered import Covered, Span
from rasura_agent.erase.limits import Limits
from rasura_agent.erase.mover import REPORT_S, Moved, Mover, Work, unanswered
from rasura_agent.erase.turns import MACHINE_TURNS, Turn

__all__ = ["REPORT_BYTES", "Lane", "Transfer", "answered", "move", "move_blocks"]

REPORT_BYTES = 8 * 1024 * 1024
"""Progress is reported at least every so many bytes, and a tenth of a second of work.

The lanes go twice as far ahead of a caller who blocks, which is how a drive is held to a pace.
"""

Transfer = Callable[[int, int], None]
"""Moves one span; belongs to one lane. Raises ``OSError`` where the drive fails, any number of times."""


class Lane(Protocol):
    """What is to be done before and after the transfer of a span. No two threads use one at once."""

    @property
    def writes(self) -> bool:
        """Whether it writes to the drive or reads from it."""
        ...

    def prepare(self, offset: int, length: int) -> memoryview:
        """Before each try: the bytes to write, or the room for those to read; the same until :meth:`end`."""
        ...

    def finish(self, offset: int, length: int) -> None:
        """The transfer succeeded: look at what was read."""
        ...

    def end(self) -> None:
        """It succeeded or failed for good: nobody is at its bytes any more."""
        ...


def move(
    lanes: Sequence[Transfer],
    *,
    done: Covered,
    again: Sequence[Span] = (),
    capacity: int,
    block_bytes: int,
    sector_bytes: int,
    limits: Limits,
    clock: Clock,
    on_progress: Callable[[Covered], str | None],
    on_failed: Callable[[Span], None] = lambda _span: None,
    report_bytes: int = REPORT_BYTES,
) -> Moved:
    """Move what is not ``done`` below ``capacity``, and ``again`` what is, by ``lanes``: a thread each.

    No span crosses a multiple of ``block_bytes``; failing ones are narrowed to ``sector_bytes``.
    ``on_progress`` gets what has been moved or has failed, ``done`` included, and answers with why to stop,
    or ``None``; while it blocks, the lanes finish what is in reach and wait. ``on_failed`` gets every span
    that failed, before it is said to be covered. Both are called in the caller's thread. A single lane goes
    in lock-step with ``on_progress``, block by block.

    Raises what a lane raises, other than ``OSError``.
    """
    mover = _mover(len(lanes), done, again, capacity, block_bytes, sector_bytes, limits, clock, report_bytes)
    runs = [_serve(mover, number, transfer) for number, transfer in enumerate(lanes)]
    return _watched(mover, runs, on_progress, on_failed)


def move_blocks(
    port: BlockPort,
    lanes: Sequence[Lane],
    *,
    done: Covered,
    again: Sequence[Span] = (),
    capacity: int,
    block_bytes: int,
    sector_bytes: int,
    limits: Limits,
    clock: Clock,
    on_progress: Callable[[Covered], str | None],
    on_failed: Callable[[Span], None] = lambda _span: None,
    report_bytes: int = REPORT_BYTES,
) -> Moved:
    """As :func:`move`, with the transfers of ``port``: by its queue, or else by a thread for each lane."""
    mover = _mover(len(lanes), done, again, capacity, block_bytes, sector_bytes, limits, clock, report_bytes)
    queue = port.queue() if len(lanes) > 1 else None
    if queue is not None:
        runs = [_serve_queued(mover, lanes, queue)]
    else:
        runs = [_serve(mover, number, _at_once(port, lane)) for number, lane in enumerate(lanes)]
    return _watched(mover, runs, on_progress, on_failed)


def _mover(
    lanes: int,
    done: Covered,
    again: Sequence[Span],
    capacity: int,
    block: int,
    sector: int,
    limits: Limits,
    clock: Clock,
    report_bytes: int,
) -> Mover:
    step = block if lanes == 1 else max(report_bytes, block)
    ahead = step if lanes == 1 else 2 * step
    return Mover(done, again, capacity, block, sector, limits, clock, step, ahead, limits.answer_s * lanes)


def _watched(
    mover: Mover,
    runs: Sequence[Callable[[], None]],
    on_progress: Callable[[Covered], str | None],
    on_failed: Callable[[Span], None],
) -> Moved:
    name = threading.current_thread().name
    for number, run in enumerate(runs):
        # Daemons: one that waits in the kernel for a dead drive must not keep the process from ending.
        threading.Thread(target=run, name=f"{name} lane {number}", daemon=True).start()
    try:
        mover.watch(on_progress, on_failed)
    finally:
        with mover.lock:
            mover.over = True
            mover.work.notify_all()
    return mover.outcome()


def _at_once(port: BlockPort, lane: Lane) -> Transfer:
    transfer = port.write if lane.writes else port.read

    def move_span(offset: int, length: int) -> None:
        try:
            transfer(offset, _prepared(lane, offset, length))
            lane.finish(offset, length)
        finally:
            lane.end()

    return move_span


def _prepared(lane: Lane, offset: int, length: int) -> memoryview:
    """What a lane has for a span: all of it, or nothing may be called moved."""
    piece = lane.prepare(offset, length)
    if len(piece) != length:
        raise AssertionError(f"a lane has {len(piece)} bytes for the {length} at {offset}")
    return piece


def _serve(mover: Mover, number: int, transfer: Transfer) -> Callable[[], None]:
    """What the thread of one lane does: one span after the other, until there is none left."""

    def attempt(work: Work) -> OSError | None:
        try:
            transfer(work.offset, work.length)
        except OSError as error:
            return error
        return None

    def run() -> None:
        try:
            while (work := mover.claim(number)) is not None:
                while mover.settle(number, work, attempt(work)):
                    pass
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            mover.crashed(error, [number])

    return run


def _serve_queued(mover: Mover, lanes: Sequence[Lane], queue: TransferQueue) -> Callable[[], None]:
    """What the thread of all lanes does: keep as many transfers under way as there are lanes."""
    under_way: dict[int, Work] = {}
    free = list(range(len(lanes)))
    turn = Turn(MACHINE_TURNS, mover.clock)

    def send(number: int) -> None:
        work, lane = under_way[number], lanes[number]
        while True:
            try:
                queue.start(number, work.offset, _prepared(lane, work.offset, work.length), write=lane.writes)
            except OSError as error:
                if mover.settle(number, work, error):
                    continue
                release(number)
            return

    def release(number: int) -> None:
        del under_way[number]
        lanes[number].end()
        free.append(number)

    def begin(work: Work) -> None:
        number = free.pop()
        under_way[number] = work
        send(number)

    def fill() -> None:
        while free and turn.goes_on(mover.block):
            work = mover.claim(free[-1], wait=False)
            if work is None:
                return
            begin(work)

    def collect() -> None:
        for number, problem in queue.ended():
            work = under_way[number]
            if problem is None:
                lanes[number].finish(work.offset, work.length)
            if mover.settle(number, work, problem):
                send(number)
            else:
                release(number)

    def run() -> None:
        try:
            while (work := mover.claim(free[-1])) is not None:
                turn.begin()
                work.since = mover.clock.monotonic()  # to wait for a turn is not to wait for the drive
                begin(work)
                fill()
                while under_way:
                    collect()
                    fill()
                turn.end()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            mover.crashed(error, range(len(lanes)))
        finally:
            turn.end()

    return run


def answered(call: Callable[[], None], limits: Limits, clock: Clock) -> None:
    """Call what may wait for the drive, for as long as its deadline allows.

    Raises:
        OSError: what the call raised, or ``ETIMEDOUT`` when the drive did not answer; the call then goes
            on in a thread of its own, which cannot be stopped.
    """
    ended = threading.Event()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            raised.append(error)
        ended.set()

    began = clock.monotonic()
    threading.Thread(target=run, name=f"{threading.current_thread().name} flush", daemon=True).start()
    while not ended.wait(REPORT_S):
        if clock.monotonic() - began > limits.answer_s:
            raise OSError(errno.ETIMEDOUT, unanswered(limits.answer_s))
    if raised:
        raise raised[0]
