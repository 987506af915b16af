"""A drive as blocks, with the faults that real ones show."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from msgspec.structs import replace

from rasura_agent.drive.port import Disposition
from rasura_agent.inventory.model import Drive, IdentityPage, Transport
from simulators.queue import SimulatedQueue
from simulators.world import ManualClock


class BlockFault(Enum):
    """What can go wrong at one transfer."""

    WRITE_ERROR = "the write fails and nothing reaches the medium"
    WRITE_TORN = "the write fails after its first half reached the medium"
    WRITE_LOST = "the write is acknowledged and reaches nothing"
    WRITE_ELSEWHERE = "the write is acknowledged and lands in another place"
    WRITE_CORRUPT = "the write is acknowledged and one bit of it is wrong on the medium"
    READ_ERROR = "the read fails"
    READ_STALE = "the read returns what the drive held at the start"
    VANISH = "the drive is gone from here on"
    SWAP = "another drive answers to the name from here on"
    FLUSH_ERROR = "the next flush fails, and what it should have kept is lost"
    READ_NOTHING = "a read is acknowledged and brings nothing"
    HANG = "the transfer is not answered until the test releases it, an hour passes"
    FLUSH_HANGS = "the next flush is not answered likewise"


def simulated_drive(capacity: int, **facts: object) -> Drive:
    """A description of a drive of ``capacity`` bytes."""
    serial = facts.get("serial", "SIM0001")
    page = IdentityPage("simulated-identity", json.dumps([serial, capacity]).encode())
    drive = Drive(
        path="/dev/simulated",
        transport=Transport.SATA,
        manufacturer="Simulant",
        model="Block 1",
        serial="SIM0001",
        wwn=None,
        firmware="1.0",
        capacity_bytes=capacity,
        logical_sector_bytes=512,
        physical_sector_bytes=512,
        rotational=True,
        removable=False,
        device_number=(8, 0),
        diskseq=7,
        identity_pages=(page,),
    )
    return replace(drive, **facts)


@dataclass(slots=True)
class SimulatedBlock:
    """A ``BlockPort`` over memory. ``faults`` go by transfer number, each fires once.

    ``real_bytes`` below the capacity makes a fake: addresses wrap around. ``bad_writes`` and ``bad_reads``
    are byte ranges whose sectors fail, the first ``heals_after`` times if that is given. From transfer
    ``fails_from`` on everything fails. A transfer takes ``seconds`` of ``clock``, a failing one
    ``failing_seconds``. With several ``lanes``, transfers may come from as many threads at once.
    """

    drive: Drive
    faults: dict[int, BlockFault] = field(default_factory=dict)
    real_bytes: int | None = None
    bad_writes: tuple[range, ...] = ()
    bad_reads: tuple[range, ...] = ()
    heals_after: int | None = None
    fails_from: int | None = None
    zeroes: Disposition = Disposition.REFUSED
    """What becomes of Write Zeroes; it is a transfer like a write."""
    lanes: int = 1
    queued: int | None = None
    """The seed of a queue, by which transfers end in any order."""
    clock: ManualClock = field(default_factory=ManualClock)
    seconds: float = 0.0
    failing_seconds: float = 0.0
    released: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    medium: bytearray = field(init=False)
    transfers: int = 0
    closed: bool = False
    direct: bool = True
    hold: Callable[[], object] = lambda: None
    """Called before every write: a slow drive sleeps in it, a hung one waits."""
    _at_start: bytes = b""
    _gone: bool = False
    _swapped: bool = False
    _flush_fails: bool = False
    _flush_hangs: bool = False
    _at_once: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        size = self.real_bytes or self.drive.capacity_bytes
        self.medium = bytearray(b"OLD DATA" * (size // 8))
        self._at_start = bytes(self.medium)

    def identify(self) -> Drive:
        if self._gone:
            raise OSError(errno.ENODEV, "No such device")
        if self._swapped:
            return simulated_drive(self.drive.capacity_bytes, serial="SIM0002", diskseq=8)
        return self.drive

    def write(self, offset: int, data: memoryview) -> None:
        self.hold()
        with self._transfer(offset, len(data), self.bad_writes) as fault:
            if fault is BlockFault.WRITE_ERROR:
                raise OSError(errno.EIO, "Input/output error")
            if fault is BlockFault.WRITE_TORN:
                self._put(offset, bytes(data[: len(data) // 2]))
                raise OSError(errno.EIO, "Input/output error")
            if fault is BlockFault.WRITE_LOST:
                return
            content = bytearray(data)
            if fault is BlockFault.WRITE_CORRUPT:
                content[len(content) // 3] ^= 0x10
            if fault is BlockFault.WRITE_ELSEWHERE:
                offset = self.drive.capacity_bytes - offset - len(data)
            self._put(offset, bytes(content))

    def read(self, offset: int, into: memoryview) -> None:
        with self._transfer(offset, len(into), self.bad_reads) as fault:
            if fault is BlockFault.READ_ERROR:
                raise OSError(errno.EIO, "Input/output error")
            if fault is BlockFault.READ_NOTHING:
                return
            source = self._at_start if fault is BlockFault.READ_STALE else self.medium
            start = offset % len(source)
            into[:] = source[start : start + len(into)]

    def queue(self) -> SimulatedQueue | None:
        return None if self.queued is None else SimulatedQueue(self, Random(self.queued))

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        if self.zeroes is Disposition.DONE:
            self.write(offset, memoryview(bytes(length)))
        return self.zeroes

    def flush(self) -> None:
        if self._gone:
            raise OSError(errno.ENODEV, "No such device")
        if self._flush_hangs:
            self._hang()
        if self._flush_fails:
            self._flush_fails = False
            self.medium[:] = self._at_start
            raise OSError(errno.EIO, "Input/output error")

    def close(self) -> None:
        self.closed = True

    def old_data_left(self) -> bool:
        """Whether any sector still holds what it held at the start."""
        return any(
            self.medium[at : at + 512] == self._at_start[at : at + 512]
            for at in range(0, len(self.medium), 512)
        )

    def _put(self, offset: int, data: bytes) -> None:
        start = offset % len(self.medium)
        self.medium[start : start + len(data)] = data

    @contextmanager
    def _transfer(self, offset: int, length: int, bad: tuple[range, ...]) -> Iterator[BlockFault | None]:
        with self._lock:
            number = self.transfers
            fault = self._next_fault()
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if fault is BlockFault.HANG:
                self._hang()
            with self._lock:
                self._check(offset, length)
                late = self.fails_from is not None and number >= self.fails_from
                if late or self._is_bad(offset, length, bad):
                    self.clock.sleep(self.failing_seconds)
                    raise OSError(errno.EIO, "Input/output error")
                self.clock.sleep(self.seconds)
                yield fault
        finally:
            with self._lock:
                self._at_once -= 1

    def _is_bad(self, offset: int, length: int, bad: tuple[range, ...]) -> bool:
        if not any(offset < one.stop and one.start < offset + length for one in bad):
            return False
        if self.heals_after is not None:
            self.heals_after -= 1
            return self.heals_after >= 0
        return True

    def _hang(self) -> None:
        self.clock.sleep(3600.0)
        self.released.wait(60)
        raise OSError(errno.EIO, "Input/output error")

    def _check(self, offset: int, length: int) -> None:
        if self._gone:
            raise OSError(errno.ENODEV, "No such device")
        if offset % 512 or length % 512 or offset + length > self.drive.capacity_bytes:
            raise OSError(errno.EINVAL, "Invalid argument")

    def _next_fault(self) -> BlockFault | None:
        fault = self.faults.pop(self.transfers, None)
        self.transfers += 1
        if fault is BlockFault.VANISH:
            self._gone = True
        if fault is BlockFault.SWAP:
            self._swapped = True
        if fault is BlockFault.FLUSH_ERROR:
            self._flush_fails = True
        if fault is BlockFault.FLUSH_HANGS:
            self._flush_hangs = True
        return fault
