"""What an erasure does to the media of a simulated NVM subsystem, honest or not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from simulators.nvme_types import LbaFormat, Media, Namespace, Remnant

Fill = Callable[[int], bytes]
"""What ``length`` bytes hold afterwards."""


def constant(value: int) -> Fill:
    """Every byte ``value``."""
    return lambda length: bytes([value]) * length


def repeated(pattern: bytes) -> Fill:
    """``pattern`` over and over."""
    return lambda length: (pattern * -(-length // len(pattern)))[:length]


def scrambled(seed: int) -> Fill:
    """What old ciphertext decrypts to under a new key."""
    return lambda length: random.Random(seed).randbytes(length)


def deallocated(dlfeat: int) -> Fill:
    """What deallocated logical blocks read as (DLFEAT bits 2:0, NVM Command Set 1.0 figure 97)."""
    return constant(0xFF if dlfeat & 7 == 2 else 0)


def erase(
    media: Media,
    fill: Fill,
    *,
    namespaces: Iterable[Namespace],
    unallocated: bool,
    fraction: float = 1.0,
    leaves: tuple[Remnant, ...] = (),
) -> None:
    """Fill the leading ``fraction`` of each place, except what ``leaves`` says."""
    places = [(namespace.nsid, namespace.medium.data) for namespace in namespaces]
    if unallocated:
        places.append((0, media.unallocated))
    for nsid, data in places:
        kept = [
            (span, bytes(data[span])) for span in (_span(media, nsid, remnant) for remnant in leaves) if span
        ]
        end = len(data) if fraction >= 1.0 else int(len(data) * max(0.0, fraction))
        data[:end] = fill(end)
        for span, old in kept:
            data[span] = old


def _span(media: Media, nsid: int, remnant: Remnant) -> slice | None:
    """The bytes of place ``nsid`` that ``remnant`` keeps."""
    if remnant.nsid is not None and remnant.nsid != nsid:
        return None
    if remnant.lbas is None:
        return slice(None)
    size = media.namespaces[nsid].medium.sector_bytes if nsid else 512
    return slice(remnant.lbas.start * size, remnant.lbas.stop * size)


def reformat(namespace: Namespace, index: int, lba_format: LbaFormat) -> None:
    """Give the namespace another LBA format; its bytes stay where they are."""
    medium = namespace.medium
    old, new = medium.sector_bytes, lba_format.data_bytes
    namespace.lbaf = index
    if old == new:
        return
    medium.sector_bytes = new
    medium.sectors = len(medium.data) // new
    bad = {byte // new for sector in medium.bad for byte in range(sector * old, (sector + 1) * old, new)}
    medium.bad.clear()
    medium.bad.update(sector for sector in bad if sector < medium.sectors)
