"""Buffers that drives share: who is at one has it alone, and keeps it if the drive never answers."""

from __future__ import annotations

import errno
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest

from rasura_agent.drive.memory import address
from rasura_agent.drive.port import TransferQueue
from rasura_agent.erase.buffers import BLOCK_BYTES, Borrowed, Pool
from rasura_agent.erase.overwrite import write_pass
from rasura_agent.erase.pattern import RandomStream
from rasura_agent.verify.readback import read_back
from simulators.block import BlockFault, SimulatedBlock, simulated_drive
from simulators.queue import SimulatedQueue

BLOCK = 4096
CAPACITY = 64 * BLOCK
MIB = 1 << 20


class Busy:
    """Which memory transfers are at, of all drives."""

    def __init__(self) -> None:
        self.now: list[tuple[int, int]] = []
        self.shared = False
        self._lock = threading.Lock()

    def begin(self, piece: memoryview) -> None:
        start, end = address(piece), address(piece) + len(piece)
        with self._lock:
            self.shared |= any(start < other_end and other < end for other, other_end in self.now)
            self.now.append((start, end))

    def end(self, piece: memoryview) -> None:
        with self._lock:
            self.now.remove((address(piece), address(piece) + len(piece)))

    @contextmanager
    def at(self, piece: memoryview) -> Iterator[None]:
        self.begin(piece)
        try:
            yield
        finally:
            self.end(piece)


@dataclass(slots=True)
class Watched(SimulatedBlock):
    """A drive that says what memory it is at."""

    busy: Busy = field(default_factory=Busy)

    def write(self, offset: int, data: memoryview) -> None:
        if self.queued is not None:  # the queue was at it before
            SimulatedBlock.write(self, offset, data)
            return
        with self.busy.at(data):
            SimulatedBlock.write(self, offset, data)

    def queue(self) -> TransferQueue | None:
        return None if self.queued is None else WatchedQueue(self, Random(self.queued))


class WatchedQueue(SimulatedQueue):
    """Memory is the kernel's from the start of a transfer until its end was told."""

    def __init__(self, port: Watched, draw: Random) -> None:
        super().__init__(port, draw)
        self._busy, self._pieces = port.busy, dict[int, memoryview]()

    def start(self, tag: int, offset: int, buffer: memoryview, *, write: bool) -> None:
        super().start(tag, offset, buffer, write=write)
        self._pieces[tag] = buffer
        self._busy.begin(buffer)

    def ended(self) -> list[tuple[int, OSError | None]]:
        done = super().ended()
        for tag, _ in done:
            self._busy.end(self._pieces.pop(tag))
        return done


@pytest.mark.parametrize("queued", [None, 3])
def test_no_two_transfers_share_memory_and_a_drive_that_hangs_keeps_its_own(queued: int | None) -> None:
    busy = Busy()

    def drive(**faults: BlockFault) -> Watched:
        numbered = {int(number.removeprefix("at_")): fault for number, fault in faults.items()}
        return Watched(simulated_drive(CAPACITY), numbered, lanes=3, queued=queued, busy=busy)

    def write(block: Watched, key: int) -> None:
        stream = RandomStream(bytes([key]) * 32)
        write_pass(block, CAPACITY, stream, block.clock, lambda _mark: None, BLOCK)
        if block is not hanging:
            wanted = memoryview(bytearray(CAPACITY))
            stream.fill(0, wanted)
            assert block.medium == wanted

    hanging, failing = drive(at_9=BlockFault.HANG), drive(at_5=BlockFault.WRITE_ERROR)
    write(hanging, 1)  # until it is abandoned
    assert busy.now
    drives = enumerate((failing, drive(), drive()))
    threads = [threading.Thread(target=write, args=(one, 2 + at)) for at, one in drives]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        hanging.released.set()
    assert not busy.shared


def test_the_last_one_given_back_is_the_next_one_taken() -> None:
    pool = Pool()
    buffers = [pool.take(MIB) for _ in range(5)]
    assert len({address(one.room) for one in buffers}) == 5
    pool.give_back(buffers[3])
    pool.give_back(buffers[1])
    assert [pool.take(MIB) for _ in range(2)] == [buffers[1], buffers[3]]


@pytest.mark.parametrize("size", [4096, 65536, MIB, BLOCK_BYTES, 3 * MIB])
def test_each_is_whole_on_pages_and_apart_from_the_others(size: int) -> None:
    pool = Pool()
    rooms = [pool.take(size).room for _ in range(7)]
    places = sorted(map(address, rooms))
    assert all(len(one) == size for one in rooms)
    assert all(place % mmap.PAGESIZE == 0 for place in places)
    assert all(later - before >= size for before, later in pairwise(places))


def test_a_borrowed_buffer_is_one_until_its_end() -> None:
    pool = Pool()
    one, other = Borrowed(MIB, pool), Borrowed(MIB, pool)
    place = address(one.take(512))
    assert (len(one.take(512)), address(one.take(MIB))) == (512, place)
    assert address(other.take(512)) != place
    one.end()
    one.end()
    other.end()
    assert address(one.take(MIB)) != place  # the other's was given back last


def _stream(buffer: Borrowed, length: int = BLOCK) -> bytes:
    """A random stream, which is left in ``buffer``."""
    piece = buffer.take(length)
    RandomStream(bytes(32)).fill(0, piece)
    return bytes(piece)


def _shows_all(before: bytes, after: memoryview) -> bool:
    """Whether a read of no sector of ``before`` could be made up from what is in the buffer."""
    return all(before[at : at + 512] != after[at : at + 512] for at in range(0, len(before), 512))


@pytest.mark.parametrize("for_random", [True, False])
@pytest.mark.parametrize("compared", [None, BLOCK - 512, BLOCK])
def test_nothing_that_a_read_could_pass_off_is_left(for_random: bool, compared: int | None) -> None:
    """Whatever was in the buffer, of whichever drive, or was found in a part of it."""
    pool = Pool()
    buffer = Borrowed(BLOCK, pool)
    expected = _stream(buffer) if for_random else bytes(BLOCK)
    if compared is not None:
        buffer.take(compared)[:] = bytes(compared)
        assert buffer.repeats(compared, b"\0")
    buffer.end()
    assert _shows_all(expected, Borrowed(BLOCK, pool).take_spoilt(BLOCK, for_random=for_random))


def test_what_a_random_stream_leaves_is_spoilt_enough_once() -> None:
    """Nothing is written for the next read of a stream; anything else, or a second try, is spoilt again."""
    buffer = Borrowed(BLOCK, Pool())
    buffer.take(BLOCK)[:] = bytes(BLOCK)
    assert buffer.repeats(BLOCK, b"\0")
    buffer.end()
    assert not any(buffer.take_spoilt(BLOCK, for_random=True))
    failed = _stream(buffer)  # what a failed try brought
    assert _shows_all(failed, buffer.take_spoilt(BLOCK, for_random=True))
    buffer.end()
    assert any(buffer.take_spoilt(BLOCK, for_random=True))  # nothing was compared


def test_what_repeats_longer_units_is_spoilt_before_the_next_read() -> None:
    """Two bytes by turns are no byte everywhere: what is said of a stream holds for one byte only."""
    buffer = Borrowed(BLOCK, Pool())
    buffer.take(BLOCK)[:] = before = b"ab" * (BLOCK // 2)
    assert buffer.repeats(BLOCK, b"ab")
    assert _shows_all(before, buffer.take_spoilt(BLOCK, for_random=True))


@dataclass(slots=True)
class Forgetful(SimulatedBlock):
    """The first read of each place brings what was written and fails; later ones succeed with nothing."""

    seen: set[int] = field(default_factory=set)

    def read(self, offset: int, into: memoryview) -> None:
        if offset not in self.seen:
            self.seen.add(offset)
            KEYED.fill(offset, into)
            raise OSError(errno.EIO, "Input/output error")


KEYED = RandomStream(bytes(32))


@pytest.mark.parametrize(("lanes", "queued"), [(1, None), (3, None), (3, 5)])
def test_what_a_failed_read_brought_is_not_what_the_next_one_did(lanes: int, queued: int | None) -> None:
    block = Forgetful(simulated_drive(CAPACITY), lanes=lanes, queued=queued)
    found = read_back(block, CAPACITY, KEYED, lambda _mark: None, 2 * BLOCK, clock=block.clock)
    assert found.mismatch
    assert sum(one.length for one in found.errors) == CAPACITY
