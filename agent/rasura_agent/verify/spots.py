"""Spots on a drive: looked at before and after a device command, so that its word need not be believed.

Two kinds. *Markers* are random blocks that we write at seeded places and read back, just before the
command; one that is still there afterwards proves that the command did not do what it reported.
*Samples* are extents that are only read (``verify/sampling.py``): one that holds what it held before
proves the same of the data that was really on the drive. The seed is on the certificate, so that the
places can be known again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import msgspec

from rasura.certificate import Range, RangeKind
from rasura.errors import RasuraError
from rasura_agent.drive.port import Transfers
from rasura_agent.erase.buffers import aligned_buffer, read_for_sure, same
from rasura_agent.erase.pattern import RandomStream
from rasura_agent.verify.samples import Compared, Samples
from rasura_agent.verify.sampling import Extent, SamplePlan

__all__ = [
    "HIDDEN_MARKERS",
    "MARKERS",
    "SEED_BYTES",
    "SPOT_BYTES",
    "MarkerError",
    "SpotCheck",
    "Spots",
    "places",
]

SEED_BYTES = 32
SPOT_BYTES = 4096
"""A multiple of every logical sector in use but 520 and 528, which the block layer does not show."""

MARKERS = 64
HIDDEN_MARKERS = 8
"""More of them in an area that was hidden: it may be too small for one of the others to lie there."""


class MarkerError(RasuraError):
    """The drive does not take or does not keep markers: nothing it reports could be checked."""


class SpotCheck(msgspec.Struct, frozen=True):
    """What was found afterwards. Sizes in bytes, ranges as on the certificate."""

    bytes_read: int
    surviving_markers: int
    unchanged_samples: int
    unreadable: tuple[Range, ...]
    left: tuple[Range, ...]
    """Where old data was found."""
    compared: Compared | None = None
    plan: SamplePlan | None = None
    witnesses: int = 0
    """Granules of the samples that would have shown old data."""

    @property
    def stopped(self) -> str | None:
        """Why not all of them were looked at."""
        return self.compared.stopped if self.compared is not None else None

    @property
    def complete(self) -> bool:
        """Every spot could be read and none holds what it held."""
        return not self.unreadable and not self.left and self.stopped is None


def places(seed: bytes, purpose: str, capacity: int, count: int) -> tuple[int, ...]:
    """Byte offsets of spots: one at a pseudorandom place in each of ``count`` equal sections.

    The first and the last block are always among them. Ascending, without repetition; fewer on a
    drive that has fewer blocks. Deterministic in ``seed`` and ``purpose``.
    """
    blocks = capacity // SPOT_BYTES
    if blocks == 0:
        return ()
    sections = min(count, blocks)
    found = {0, (blocks - 1) * SPOT_BYTES}
    for section in range(sections):
        start, end = section * blocks // sections, (section + 1) * blocks // sections
        draw = hmac.digest(seed, f"{purpose} {section}".encode(), "sha256")
        found.add((start + int.from_bytes(draw[:8], "big") % (end - start)) * SPOT_BYTES)
    return tuple(sorted(found))


def _marker_places(seed: bytes, capacity: int, hidden_from: int | None) -> tuple[int, ...]:
    found = set(places(seed, "marker", capacity, MARKERS))
    if hidden_from is not None and hidden_from < capacity:
        first = -(-hidden_from // SPOT_BYTES) * SPOT_BYTES
        hidden = places(seed, "hidden marker", capacity - first, HIDDEN_MARKERS)
        found |= {first + offset for offset in hidden}
    return tuple(sorted(found))


class Spots:
    """The markers and samples of one drive, taken before a device command.

    Raises:
        MarkerError: a marker cannot be written or does not read back, or ``on_progress`` says why to stop.
    """

    def __init__(
        self,
        port: Transfers,
        capacity: int,
        seed: bytes,
        samples: SamplePlan,
        hidden_from: int | None = None,
        on_progress: Callable[[int], str | None] = lambda _done: None,
    ) -> None:
        """``hidden_from`` is where an area begins that was hidden until this run lifted it, if any.

        ``on_progress`` gets how many bytes of ``samples`` were read.
        """
        self._port = port
        self._found, self._wanted = aligned_buffer(SPOT_BYTES), aligned_buffer(SPOT_BYTES)
        self._stream = RandomStream(hashlib.sha256(b"marker content" + seed).digest())
        self.markers = _marker_places(seed, capacity, hidden_from)
        if not self.markers:
            raise MarkerError("the drive is too small to be marked")
        marks = tuple(Extent(offset, SPOT_BYTES) for offset in self.markers)
        self._samples = Samples(port, samples, marks)
        stopped = self._samples.take(on_progress)
        if stopped is not None:
            raise MarkerError(stopped)
        self._mark()

    @property
    def plan(self) -> SamplePlan:
        """Which samples were taken."""
        return self._samples.plan

    @property
    def witnesses(self) -> int:
        """How many granules of the samples would show old data."""
        return self._samples.witnesses

    def look(self, on_progress: Callable[[int], str | None] = lambda _done: None) -> SpotCheck:
        """Read every spot again; never raises for what the drive does."""
        unreadable: list[Range] = []
        left: list[Range] = []
        read = markers = 0
        for offset in self.markers:
            self._stream.fill(offset, self._wanted)
            if not self._read(offset):
                unreadable.append(_range(offset, RangeKind.NOT_READ))
                continue
            read += SPOT_BYTES
            if _shares_a_sector(self._found, self._wanted):
                markers += 1
                left.append(_range(offset, RangeKind.MISMATCH))
        compared = self._samples.compare(on_progress)
        return SpotCheck(
            read + compared.bytes_read,
            markers,
            compared.unchanged,
            (*unreadable, *compared.unreadable),
            (*left, *compared.left),
            compared,
            self._samples.plan,
            self._samples.witnesses,
        )

    def _mark(self) -> None:
        try:
            for offset in self.markers:
                self._stream.fill(offset, self._wanted)
                self._port.write(offset, self._wanted)
            self._port.flush()
            for offset in self.markers:
                self._stream.fill(offset, self._wanted)
                read_for_sure(self._port, offset, self._found)
                if not same(self._found, self._wanted):
                    raise MarkerError(f"the drive does not keep what is written to it (at byte {offset})")
        except OSError as error:
            raise MarkerError(f"the drive cannot be marked: {error.strerror}") from None

    def _read(self, offset: int) -> bool:
        try:
            read_for_sure(self._port, offset, self._found)
        except OSError:
            return False
        return True


def _range(offset: int, kind: RangeKind) -> Range:
    return Range(offset=offset, length=SPOT_BYTES, kind=kind)


def _shares_a_sector(found: memoryview, wanted: memoryview) -> bool:
    """Whether any 512 bytes of a marker are still in their place."""
    return any(found[at : at + 512] == wanted[at : at + 512] for at in range(0, SPOT_BYTES, 512))
