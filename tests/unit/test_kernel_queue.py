"""The kernel's queue, for real: over a file past the page cache, where the file system lets us."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rasura_agent.drive.transport.block import BlockDevice
from rasura_agent.drive.transport.kernel_queue import KernelQueue, open_queue
from rasura_agent.erase.buffers import aligned_buffer
from rasura_agent.erase.overwrite import write_pass
from rasura_agent.erase.pattern import RandomStream
from rasura_agent.inventory.clock import SystemClock
from rasura_agent.verify.readback import read_back
from simulators.block import simulated_drive

BLOCK = 65536
CAPACITY = 64 * BLOCK


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "disk.img"
    path.write_bytes(b"OLD DATA" * (CAPACITY // 8))
    try:
        opened = os.open(path, os.O_RDWR | os.O_DIRECT)
    except OSError:
        pytest.skip("this file system has no O_DIRECT")
    yield opened
    os.close(opened)


@pytest.fixture
def queue(descriptor: int) -> Iterator[KernelQueue]:
    made = open_queue(descriptor, 4)
    assert made is not None, "this kernel or machine has no io_setup(2)"
    yield made
    made.close()


def all_of(queue: KernelQueue, count: int) -> dict[int, OSError | None]:
    ended: dict[int, OSError | None] = {}
    while len(ended) < count:
        ended.update(queue.ended())
    return ended


def test_several_transfers_are_under_way_and_each_ends_once(queue: KernelQueue, descriptor: int) -> None:
    room = aligned_buffer(4 * BLOCK)
    for tag in range(4):
        piece = room[tag * BLOCK : (tag + 1) * BLOCK]
        piece[:] = bytes([tag + 1]) * BLOCK
        # Also what nobody may write to can be sent.
        queue.start(tag, tag * BLOCK, piece.toreadonly(), write=True)
    assert not queue.idle
    assert all_of(queue, 4) == dict.fromkeys(range(4))
    assert queue.idle
    for tag in range(4):
        queue.start(tag, tag * BLOCK, room[(3 - tag) * BLOCK : (4 - tag) * BLOCK], write=False)
    assert all_of(queue, 4) == dict.fromkeys(range(4))
    assert [room[tag * BLOCK] for tag in range(4)] == [4, 3, 2, 1]


def test_what_ends_short_goes_on_or_fails(queue: KernelQueue) -> None:
    queue.start(0, CAPACITY - BLOCK, aligned_buffer(2 * BLOCK), write=False)
    (problem,) = all_of(queue, 1).values()
    assert problem is not None
    assert problem.errno == errno.EIO
    queue.start(1, 7, aligned_buffer(BLOCK), write=False)
    (problem,) = all_of(queue, 1).values()
    assert problem is not None
    assert problem.errno == errno.EINVAL
    assert queue.idle


def test_a_closed_queue_takes_nothing(descriptor: int) -> None:
    made = open_queue(descriptor, 1)
    assert made is not None
    made.start(0, 0, aligned_buffer(BLOCK), write=False)
    assert not made.close(), "a transfer is under way: neither queue nor descriptor may go"
    made.ended()
    with pytest.raises(OSError, match="let go of"):
        made.start(0, 0, aligned_buffer(BLOCK), write=False)
    assert made.idle


def test_a_whole_pass_by_the_queue_is_read_back(descriptor: int) -> None:
    port = BlockDevice(os.dup(descriptor), lambda _fd: simulated_drive(CAPACITY), direct=True)
    assert port.queue() is not None
    pattern = RandomStream(bytes(range(32)))
    written = write_pass(port, CAPACITY, pattern, SystemClock(), lambda _mark: None, 4 * BLOCK)
    assert (written.bytes_written, written.errors, written.stopped) == (CAPACITY, (), None)
    wanted = bytearray(CAPACITY)
    pattern.fill(0, memoryview(wanted))
    with open(f"/proc/self/fd/{descriptor}", "rb") as file:
        assert file.read() == wanted
    assert read_back(port, CAPACITY, pattern, lambda _mark: None, 4 * BLOCK, clock=SystemClock()).complete
    port.close()
    port.close()
    assert port.queue() is None
