"""Tiles against the arithmetic of c2sp.org/tlog-tiles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rasura.tiles import Tile, TileCache, entry_bundle, entry_tiles, grow
from rasura.tree import inclusion_from, inclusion_proof, leaf_hash, root_from, root_hash

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]


class Store:
    """Tiles as a log has them: partial ones stay, full ones take their place."""

    def __init__(self) -> None:
        self.tiles: dict[str, bytes] = {}

    def load(self, tile: Tile) -> bytes:
        return self.tiles.get(tile.full_name) or self.tiles[tile.name]

    def grow(self, old: int, new: int) -> list[Tile]:
        written = []
        for tile, data in grow(self.load, old, LEAVES[old:new]):
            assert len(data) == 32 * tile.width
            assert self.tiles.setdefault(tile.name, data) == data
            written.append(tile)
        return written


def test_the_example_of_the_specification() -> None:
    # "a tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0 tile of width
    # 112, one full level 1 tile, one partial level 1 tile of width 17, one partial level 2 tile of width 1"
    tiles = Store().grow(0, 70_000)
    assert [tile for tile in tiles if tile.level == 0] == [
        *(Tile(0, index) for index in range(273)),
        Tile(0, 273, 112),
    ]
    assert [tile for tile in tiles if tile.level != 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_a_tree_of_256_is_a_full_tile_and_a_partial_one_above() -> None:
    assert Store().grow(0, 256) == [Tile(0, 0), Tile(1, 0, 1)]


def test_a_hash_above_is_that_of_the_full_tile_below() -> None:
    store = Store()
    store.grow(0, 513)
    assert store.tiles["tile/1/000.p/2"] == root_hash(LEAVES[:256]) + root_hash(LEAVES[256:512])
    assert store.tiles["tile/0/002.p/1"] == LEAVES[512]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.data())
def test_however_the_log_grew_roots_and_proofs_are_the_same(steps: list[int], data: st.DataObject) -> None:
    store, size = Store(), 0
    cache = TileCache(store.load)
    sizes = [0]
    for step in steps:
        store.grow(size, size + step)
        size += step
        sizes.append(size)
        assert root_from(cache.reader(size), size) == root_hash(LEAVES[:size])
    once = Store()
    once.grow(0, size)
    assert once.tiles.items() <= store.tiles.items()
    # Older trees, after the partial tiles that a full one replaced are gone.
    for name in [name for name in store.tiles if name.partition(".p/")[0] in store.tiles and ".p/" in name]:
        del store.tiles[name]
    for reader in (cache.reader, TileCache(store.load).reader):
        old = data.draw(st.sampled_from(sizes[1:]))
        index = data.draw(st.integers(0, old - 1))
        assert root_from(reader(old), old) == root_hash(LEAVES[:old])
        assert inclusion_from(reader(old), index, old) == inclusion_proof(LEAVES[:old], index)


def test_bundles_of_entries_follow_the_same_widths() -> None:
    assert list(entry_tiles(0, 600)) == [Tile(None, 0), Tile(None, 1), Tile(None, 2, 88)]
    assert list(entry_tiles(256, 300)) == [Tile(None, 1, 44)]
    assert list(entry_tiles(255, 256)) == [Tile(None, 0)]


def test_entries_are_prefixed_by_their_length() -> None:
    assert entry_bundle([b"one", b"", b"x" * 300]) == b"\x00\x03one\x00\x00\x01\x2c" + b"x" * 300


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "0/000"),
        (Tile(3, 1234067), "3/x001/x234/067"),
        (Tile(0, 1000, 7), "0/x001/000.p/7"),
        (Tile(63, 5, 255), "63/005.p/255"),
        (Tile(None, 12, 1), "entries/012.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.name == f"tile/{path}"
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "0/0",
        "0/0000",
        "00/000",
        "64/000",
        "-1/000",
        "0/x000/000",
        "0/001/000",
        "0/x1/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p",
        "0/000.p/",
        "0/000/",
        "0/\u0660\u0660\u0660",
        "0/000\n",
        "../keys/log.key",
        "0/../../keys/log.key",
        "entries/000/../../../keys/log.key",
        "0/" + "x999/" * 40 + "000",
    ],
)
def test_what_is_no_tile_has_no_path(path: str) -> None:
    assert Tile.parse(path) is None


@given(st.text(max_size=30) | st.text("0123456789x/.pentris", max_size=30))
def test_a_path_is_the_one_path_of_its_tile(path: str) -> None:
    tile = Tile.parse(path)
    assert tile is None or tile.name == f"tile/{path}"
