"""A drive with a write cache that a power cut empties, and a journal beside it that the same cut tears."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from random import Random

from rasura_agent.drive.port import Disposition
from rasura_agent.erase.progress_record import Loaded, ProgressRecord, encode, newest
from rasura_agent.inventory.model import Drive
from simulators.queue import SimulatedQueue
from simulators.world import PowerCut

SECTOR_BYTES = 512


@dataclass
class Power:
    """The power of one machine: goes at the ``cut_at``-th thing that happens, if ever."""

    cut_at: int | None = None
    seen: int = 0

    def tick(self) -> None:
        """One more thing happens, unless the power is gone before it."""
        if self.seen == self.cut_at:
            raise PowerCut
        self.seen += 1


@dataclass
class VolatileDrive:
    """What survives from boot to boot: the medium, and of the cache what a cut happens to spare.

    Writes go to the cache and are read from there. A cut leaves, of every sector written since the last
    flush, any of the versions it had: drives write back in any order. ``forgets_flushes`` makes a liar
    whose flush does nothing.
    """

    drive: Drive
    draw: Random
    content: bytes
    forgets_flushes: bool = False
    bad: set[int] = field(default_factory=set)
    """Sectors that cannot be written."""
    weak: dict[int, int] = field(default_factory=dict)
    """Sectors that cannot be written for so many tries."""
    zeroes: Disposition = Disposition.REFUSED
    """What becomes of Write Zeroes."""
    failing_flush: int | None = None
    """After so many flushes, one fails."""
    written: int = 0
    """Bytes of all writes, in all boots."""

    def __post_init__(self) -> None:
        self.view = bytearray(self.content)
        self._versions: dict[int, list[bytes]] = {}
        self._contents: list[set[int]] = [set() for _ in range(len(self.content) // SECTOR_BYTES)]

    def put(self, offset: int, data: bytes) -> None:
        self.written += len(data)
        for at in range(0, len(data), SECTOR_BYTES):
            place = offset + at
            self._versions.setdefault(place, [bytes(self.view[place : place + SECTOR_BYTES])])
            self.view[place : place + SECTOR_BYTES] = data[at : at + SECTOR_BYTES]
            self._versions[place].append(data[at : at + SECTOR_BYTES])
            self._contents[place // SECTOR_BYTES].add(hash(data[at : at + SECTOR_BYTES]))

    def flush(self) -> None:
        if self.failing_flush is not None:
            self.failing_flush -= 1
            if self.failing_flush == 0:
                raise OSError(errno.EIO, "Input/output error")
        if not self.forgets_flushes:
            self._versions.clear()

    def lose_power(self) -> None:
        for place, versions in self._versions.items():
            self.view[place : place + SECTOR_BYTES] = self.draw.choice(versions)
        self._versions.clear()

    @property
    def least_contents(self) -> int:
        """Different contents that were written to the sector that got the fewest."""
        return min(map(len, self._contents))

    def old_sectors(self) -> list[int]:
        """Numbers of the sectors that hold what they held at the very beginning."""
        return [
            at // SECTOR_BYTES
            for at in range(0, len(self.view), SECTOR_BYTES)
            if self.view[at : at + SECTOR_BYTES] == self.content[at : at + SECTOR_BYTES]
        ]


@dataclass
class VolatileBlock:
    """A ``BlockPort`` to the drive, for one boot."""

    medium: VolatileDrive
    power: Power
    direct: bool = True
    lanes: int = 1
    """With several, transfers come from as many threads at once; they happen one after the other."""
    queued: bool = False
    """Whether they come by a queue."""
    _one: threading.Lock = field(default_factory=threading.Lock)

    def identify(self) -> Drive:
        return self.medium.drive

    def write(self, offset: int, data: memoryview) -> None:
        with self._one:
            self.power.tick()
            sectors = range(offset // SECTOR_BYTES, (offset + len(data)) // SECTOR_BYTES)
            weak = [one for one in sectors if self.medium.weak.get(one)]
            for one in weak:
                self.medium.weak[one] -= 1
            if weak or self.medium.bad.intersection(sectors):
                raise OSError(errno.EIO, "Input/output error")
            self.medium.put(offset, bytes(data))
            self.power.tick()

    def read(self, offset: int, into: memoryview) -> None:
        with self._one:
            self.power.tick()
            into[:] = self.medium.view[offset : offset + len(into)]

    def queue(self) -> SimulatedQueue | None:
        return SimulatedQueue(self, self.medium.draw) if self.queued else None

    def write_zeroes(self, offset: int, length: int) -> Disposition:
        if self.medium.zeroes is Disposition.DONE:
            self.write(offset, memoryview(bytes(length)))
        return self.medium.zeroes

    def flush(self) -> None:
        with self._one:
            self.power.tick()
            self.medium.flush()
            self.power.tick()

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class TornStore:
    """A ``ProgressStore`` in two generations of bytes; a cut while one is replaced leaves a piece of it."""

    draw: Random
    power: Power = field(default_factory=Power)
    slots: dict[str, list[bytes]] = field(default_factory=dict)
    saved: list[ProgressRecord] = field(default_factory=list)
    """Every record that was ever durable, oldest first."""

    def save(self, record: ProgressRecord) -> None:
        slots = self.slots.setdefault(record.drive_identity, [b"", b""])
        before = newest(filter(None, slots))
        sequence = 1 + (before.sequence if before is not None else 0)
        raw = encode(record, sequence)
        self.power.tick()
        slots[sequence % 2] = raw[: self.draw.randrange(len(raw))]
        self.power.tick()
        slots[sequence % 2] = raw
        self.saved.append(record)
        self.power.tick()

    def load(self, drive_identity: str) -> Loaded:
        raws = [raw for raw in self.slots.get(drive_identity, ()) if raw]
        found = newest(raws)
        return Loaded(found.record if found is not None else None, damaged=bool(raws))

    def forget(self, drive_identity: str) -> None:
        self.power.tick()
        self.slots.pop(drive_identity, None)
