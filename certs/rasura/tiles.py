"""Tiles (c2sp.org/tlog-tiles): how the tree is cut into files, and read back from them. No I/O here."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from rasura.tree import HASH_BYTES, HashReader, node_hash

__all__ = ["TILE_WIDTH", "Tile", "TileCache", "TileLoader", "entry_bundle", "entry_tiles", "grow"]

TILE_WIDTH = 256
"""Hashes in a full tile (tlog-tiles, "Merkle Tree")."""

_TILE_HEIGHT = 8
_MAX_LEVEL = 63
_CACHED_TILES = 256
"""About 40 kB each once expanded."""

_PATH = re.compile(r"(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")

TileLoader = Callable[["Tile"], bytes]
"""Gives a tile's bytes, ``width`` hashes at least."""


class Tile(msgspec.Struct, frozen=True):
    """One tile: its level (None for a bundle of entries), its index in the level, its width in hashes."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def name(self) -> str:
        """Its path in the data folder and on the server."""
        return self.full_name + ("" if self.width == TILE_WIDTH else f".p/{self.width}")

    @property
    def full_name(self) -> str:
        """The path of the full tile."""
        groups, rest = [f"{self.index % 1000:03d}"], self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{'/'.join(reversed(groups))}"

    @property
    def partial_folder(self) -> str:
        """Where its partial versions are."""
        return f"{self.full_name}.p"

    @classmethod
    def parse(cls, path: str) -> Tile | None:
        """The tile at ``path`` (what follows ``/tile/``), or None when that is no tile's path."""
        match = _PATH.fullmatch(path)
        if match is None or len(path) > 80:
            return None
        level, groups, last, width = match.groups()
        number = None if level == "entries" else int(level)
        tile = cls(number, int(groups.replace("x", "").replace("/", "") + last), int(width or TILE_WIDTH))
        wrong = (number or 0) > _MAX_LEVEL or (width is not None and tile.width >= TILE_WIDTH)
        return None if wrong or tile.name != f"tile/{path}" else tile


def grow(load: TileLoader, old: int, leaves: Sequence[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """The hash tiles that are new, or wider, when ``leaves`` (hashes) follow the first ``old``.

    Levels from the bottom up; a hash in a level above is that of a full tile below.
    """
    level, start, hashes = 0, old, leaves
    while hashes:
        parents: list[bytes] = []
        for tile, already in _spans(level, start, start + len(hashes)):
            first = tile.index * TILE_WIDTH
            kept = load(Tile(level, tile.index, already))[: already * HASH_BYTES] if already else b""
            fresh = hashes[max(first - start, 0) : first + tile.width - start]
            data = kept + b"".join(fresh)
            yield tile, data
            if tile.width == TILE_WIDTH:
                parents.append(_Expanded(data).hash(_TILE_HEIGHT, 0))
        level, start, hashes = level + 1, start // TILE_WIDTH, parents


def entry_tiles(old: int, new: int) -> Iterator[Tile]:
    """The bundles of entries that are new, or longer, in a log of ``new`` entries after one of ``old``."""
    for tile, _ in _spans(None, old, new):
        yield tile


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Big-endian uint16 length-prefixed entries (tlog-tiles, "Log entries")."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _spans(level: int | None, start: int, end: int) -> Iterator[tuple[Tile, int]]:
    """Tiles of ``level`` touched by positions ``start`` to ``end``; each with the width it had before."""
    for index in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
        first = index * TILE_WIDTH
        yield Tile(level, index, min(end - first, TILE_WIDTH)), max(start - first, 0)


class _Expanded:
    """A tile with the levels between its own and the next, and what its width allows of them."""

    def __init__(self, data: bytes) -> None:
        row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        self._rows = [row]
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
            self._rows.append(row)
        self.width = len(self._rows[0])

    def hash(self, height: int, position: int) -> bytes:
        return self._rows[height][position]


class TileCache:
    """Hash readers over tiles, the recently used ones kept expanded; safe from several threads.

    What a tile holds never changes, so a wider version serves every smaller tree too.
    """

    def __init__(self, load: TileLoader) -> None:
        self._load = load
        self._tiles: OrderedDict[tuple[int, int], _Expanded] = OrderedDict()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything, so that it is read from the files again."""
        with self._lock:
            self._tiles.clear()

    def reader(self, size: int) -> HashReader:
        """A reader of the complete subtrees in the tree of ``size`` leaves; loads what it lacks."""

        def read(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, _TILE_HEIGHT)
            tile_index, position = divmod(index << height, TILE_WIDTH)
            needed = position + (1 << height)
            width = min((size >> (level - height)) - tile_index * TILE_WIDTH, TILE_WIDTH)
            return self._expanded(Tile(tile_level, tile_index, width), needed).hash(
                height, position >> height
            )

        return read

    def _expanded(self, tile: Tile, needed: int) -> _Expanded:
        key = (tile.level or 0, tile.index)
        with self._lock:
            found = self._tiles.get(key)
            if found is not None and found.width >= needed:
                self._tiles.move_to_end(key)
                return found
        expanded = _Expanded(self._load(tile))
        with self._lock:
            self._tiles[key] = expanded
            while len(self._tiles) > _CACHED_TILES:
                self._tiles.popitem(last=False)
        return expanded
