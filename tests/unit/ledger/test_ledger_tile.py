"""Tile coordinates, paths and bundles, as C2SP tlog-tiles has them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Malformed
from tenure.ledger.tile import (
    ENTRIES,
    TileId,
    decode_bundle,
    encode_bundle,
    expected_bundles,
    expected_tiles,
    split_tile,
    tile_width,
)

TILES = st.builds(TileId, st.integers(ENTRIES, 63), st.integers(0, 2**62), st.integers(1, 256))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (TileId(0, 0), "tile/0/000"),
        (TileId(0, 1234067), "tile/0/x001/x234/067"),
        (TileId(1, 0, 1), "tile/1/000.p/1"),
        (TileId(63, 999, 255), "tile/63/999.p/255"),
        (TileId(ENTRIES, 1000, 17), "tile/entries/x001/000.p/17"),
    ],
)
def test_paths_of_the_specification(tile, path):
    assert tile.path == path
    assert TileId.parse(path) == tile


@given(TILES)
@settings(deadline=None)
def test_path_round_trip(tile):
    assert TileId.parse(tile.path) == tile


# fmt: off
BAD_PATHS = (
    "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000",
    "tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0",
    "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/1000", "tile/x/000", "tile/Entries/000",
    "/tile/0/000", "tile/0/000/", "tile/0/../000", "checkpoint",
)
# fmt: on


@pytest.mark.parametrize("path", BAD_PATHS)
def test_any_other_spelling_is_refused(path):
    with pytest.raises(Malformed):
        TileId.parse(path)
    with pytest.raises(Malformed):
        TileId.parse(path + "\n")
    with pytest.raises(Malformed):
        TileId.parse("tile/0/00\N{ARABIC-INDIC DIGIT ZERO}")


def test_the_tree_of_70000_in_the_specification():
    tiles = list(expected_tiles(70_000))
    assert sum(t.level == 0 and t.width == 256 for t in tiles) == 273
    assert [t for t in tiles if t.width < 256] == [TileId(0, 273, 112), TileId(1, 1, 17), TileId(2, 0, 1)]
    assert TileId(1, 0) in tiles


@pytest.mark.parametrize(
    ("size", "paths"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
    ],
)
def test_small_trees(size, paths):
    assert [tile.path for tile in expected_tiles(size)] == paths


@given(st.integers(0, 200_000))
@settings(deadline=None)
def test_expected_tiles_cover_the_tree(size):
    tiles = list(expected_tiles(size))
    for level in range(4):
        row = [tile for tile in tiles if tile.level == level]
        assert sum(tile.width for tile in row) == size // 256**level
        assert all(tile.width == tile_width(level, tile.n, size) for tile in row)
    assert sum(tile.width for tile in expected_bundles(size)) == size
    assert tile_width(0, size // 256 + 1, size) == 0


@given(st.lists(st.binary(max_size=300), max_size=256))
@settings(deadline=None)
def test_bundle_round_trip(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


def test_bundle_is_lengths_and_bytes():
    assert encode_bundle([b"", b"ab", bytes(258)]) == b"\0\0" + b"\0\2ab" + b"\1\2" + bytes(258)
    assert decode_bundle(encode_bundle([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(OverflowError):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize("raw", [b"\0", b"\0\1", b"\0\2a", b"\0\1a\0"])
def test_bundle_that_ends_early_is_refused(raw):
    with pytest.raises(Malformed):
        decode_bundle(raw)


@pytest.mark.parametrize("length", [0, 31, 33, 257 * 32])
def test_tile_of_broken_hashes_is_refused(length):
    with pytest.raises(Malformed):
        split_tile(bytes(length))
