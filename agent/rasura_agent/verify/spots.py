"""Spots on a drive: looked at before and after a device command, so that its word need not be believed.

Two kinds. *Markers* are random blocks that we write at seeded places and read back, just before the
command; one that is still there afterwards proves that the command did not do what it reported.
*Samples* are seeded places in between that are only read: one whose old content is still there proves
the same of the data that was really on the drive. The seed is on the certificate, so that the places
can be known again.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from rasura.certificate import Range, RangeKind
from rasura.errors import RasuraError
from rasura_agent.drive.port import BlockPort
from rasura_agent.erase.buffers import aligned_buffer, same
from rasura_agent.erase.pattern import RandomStream

__all__ = ["MARKERS", "SAMPLES", "SEED_BYTES", "SPOT_BYTES", "MarkerError", "SpotCheck", "Spots", "places"]

SEED_BYTES = 32
SPOT_BYTES = 4096
"""A multiple of every logical sector in use but 520 and 528, which the block layer does not show."""

MARKERS = 64
SAMPLES = 1000
"""As many sections as NIST SP 800-88r1 §4.7 wants for representative sampling; the share read is stated."""


class MarkerError(RasuraError):
    """The drive does not take or does not keep markers: nothing it reports could be checked."""


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """What was found afterwards. Sizes in bytes, ranges as on the certificate."""

    bytes_read: int
    surviving_markers: int
    unchanged_samples: int
    unreadable: tuple[Range, ...]
    left: tuple[Range, ...]
    """Where old data was found."""

    @property
    def complete(self) -> bool:
        """Every spot could be read and none holds what it held."""
        return not self.unreadable and not self.left


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


class Spots:
    """The markers and samples of one drive, taken before a device command.

    Raises:
        MarkerError: a marker cannot be written or does not read back.
    """

    def __init__(self, port: BlockPort, capacity: int, seed: bytes) -> None:
        self._port = port
        self._found, self._wanted = aligned_buffer(SPOT_BYTES), aligned_buffer(SPOT_BYTES)
        self._stream = RandomStream(hashlib.sha256(b"marker content" + seed).digest())
        self.markers = places(seed, "marker", capacity, MARKERS)
        if not self.markers:
            raise MarkerError("the drive is too small to be marked")
        self._before = self._sample(places(seed, "sample", capacity, SAMPLES))
        self._mark()

    @property
    def count(self) -> int:
        """How many places will be looked at again."""
        return len(self.markers) + len(self._before)

    def look(self) -> SpotCheck:
        """Read every spot again; never raises for what the drive does."""
        unreadable: list[Range] = []
        left: list[Range] = []
        read = markers = samples = 0
        for offset in self.markers:
            self._stream.fill(offset, self._wanted)
            if not self._read(offset):
                unreadable.append(_range(offset, RangeKind.NOT_READ))
                continue
            read += SPOT_BYTES
            if _shares_a_sector(self._found, self._wanted):
                markers += 1
                left.append(_range(offset, RangeKind.MISMATCH))
        for offset, before in self._before.items():
            if not self._read(offset):
                unreadable.append(_range(offset, RangeKind.NOT_READ))
                continue
            read += SPOT_BYTES
            if hashlib.sha256(self._found).digest() == before:
                samples += 1
                left.append(_range(offset, RangeKind.MISMATCH))
        return SpotCheck(read, markers, samples, tuple(unreadable), tuple(left))

    def _sample(self, offsets: tuple[int, ...]) -> dict[int, bytes]:
        """Digests of what stands at ``offsets``; blocks of one repeated byte say nothing and are left out."""
        before = {}
        for offset in offsets:
            # A bad sector now is a bad sector later: it is no witness.
            if offset not in self.markers and self._read(offset) and not _is_constant(self._found):
                before[offset] = hashlib.sha256(self._found).digest()
        return before

    def _mark(self) -> None:
        try:
            for offset in self.markers:
                self._stream.fill(offset, self._wanted)
                self._port.write(offset, self._wanted)
            self._port.flush()
            for offset in self.markers:
                self._stream.fill(offset, self._wanted)
                self._port.read(offset, self._found)
                if not same(self._found, self._wanted):
                    raise MarkerError(f"the drive does not keep what is written to it (at byte {offset})")
        except OSError as error:
            raise MarkerError(f"the drive cannot be marked: {error.strerror}") from None

    def _read(self, offset: int) -> bool:
        try:
            self._port.read(offset, self._found)
        except OSError:
            return False
        return True


def _range(offset: int, kind: RangeKind) -> Range:
    return Range(offset=offset, length=SPOT_BYTES, kind=kind)


def _is_constant(block: memoryview) -> bool:
    data = bytes(block)
    return data == data[:1] * len(data)


def _shares_a_sector(found: memoryview, wanted: memoryview) -> bool:
    """Whether any 512 bytes of a marker are still in their place."""
    return any(found[at : at + 512] == wanted[at : at + 512] for at in range(0, SPOT_BYTES, 512))
