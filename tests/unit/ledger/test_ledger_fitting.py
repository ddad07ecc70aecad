"""Of two damaged copies of a log what fits its root is found, and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Unverified
from tenure.ledger.fitting import Copy, Fitting, decoded, expected_names
from tenure.ledger.tail import Growing, entries_from, entries_of
from tenure.ledger.tile import (
    ENTRIES,
    WIDTH,
    TileId,
    decode_bundle,
    encode_bundle,
    expected_bundles,
    expected_tiles,
    tile_width,
)
from tenure.ledger.tree import Tree
from unit.ledger.logs import Log, publish

LARGE = 65_536 + 700


def copy_of(files: dict[str, bytes]) -> Copy:
    """What lies under tlog-tiles paths."""
    return Copy(
        lambda level, n, width: files.get(TileId(level, n, width).path),
        lambda n, width: decoded(files.get(TileId(ENTRIES, n, width).path), width, decode_bundle),
    )


@pytest.fixture(scope="module")
def large() -> Log:
    """Three levels, the last tile of each partial."""
    return publish([b"%d" % n for n in range(LARGE)])


def fitting(log: Log, *copies: dict[str, bytes]) -> Fitting:
    return Fitting(len(log.entries), log.tree.root(), [copy_of(one) for one in copies])


def _all_fits(log: Log, found: Fitting, tiles: list[TileId] | None = None) -> bool:
    wanted = tiles if tiles is not None else list(expected_tiles(len(log.entries)))
    return all(found.tile(tile.level, tile.n) == log.files[tile.path] for tile in wanted)


def test_an_intact_copy_fits_throughout(large: Log) -> None:
    found = fitting(large, large.files)
    assert found.rooted
    assert _all_fits(large, found)
    for bundle in list(expected_bundles(LARGE))[::40]:
        entries = found.entries(bundle.n, large.files[TileId(0, bundle.n, bundle.width).path])
        assert encode_bundle([body or b"" for body in entries]) == large.files[bundle.path]


PLACES = [
    TileId(0, 0), TileId(0, 258, 188), TileId(1, 0), TileId(1, 1, 2), TileId(2, 0, 1), TileId(ENTRIES, 0),
    TileId(ENTRIES, 258, 188),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda one: one.path)
@pytest.mark.parametrize("damage", ["gone", "flipped", "short"])
@pytest.mark.parametrize("first", [True, False])
def test_each_part_is_taken_from_the_copy_that_fits(
    large: Log, place: TileId, damage: str, first: bool
) -> None:
    broken = dict(large.files)
    data = broken.pop(place.path)
    if damage != "gone":
        broken[place.path] = data[:-1] if damage == "short" else data[:-1] + bytes([data[-1] ^ 1])
    copies = (broken, large.files) if first else (large.files, broken)
    found = fitting(large, *copies)
    assert found.rooted
    assert _all_fits(large, found, [TileId(place.level, place.n, place.width)] if place.level >= 0 else [])
    if place.level == ENTRIES:
        hashes = large.files[TileId(0, place.n, place.width).path]
        entries = found.entries(place.n, hashes)
        assert encode_bundle([body or b"" for body in entries]) == data


@pytest.mark.parametrize("place", [one for one in PLACES if one.level >= 0], ids=lambda one: one.path)
def test_a_tile_that_no_copy_has_is_made_from_what_lies_below(large: Log, place: TileId) -> None:
    broken = {path: data for path, data in large.files.items() if path != place.path}
    found = fitting(large, broken)
    assert found.rooted
    assert found.tile(place.level, place.n) == large.files[place.path]


def test_all_tiles_come_back_from_entries_alone() -> None:
    log = publish([b"%d" % n for n in range(600)])
    bundles = {path: data for path, data in log.files.items() if "/entries/" in path}
    assert _all_fits(log, fitting(log, bundles))


def test_what_no_copy_has_is_not_made_up() -> None:
    log = publish([b"%d" % n for n in range(600)])
    broken = dict(log.files)
    broken["tile/entries/000"] = encode_bundle([b"x", *(b"%d" % n for n in range(1, 256))])
    broken["tile/0/000"] = bytes(WIDTH * 32)
    found = fitting(log, broken)
    assert found.rooted
    assert found.tile(0, 0) is None
    assert found.tile(0, 1) == log.files["tile/0/001"]
    kept = found.entries(0, log.files["tile/0/000"])
    assert kept[0] is None
    assert None not in kept[1:]
    broken["tile/1/000.p/2"] = bytes(64)
    assert not fitting(log, broken).rooted
    assert fitting(log, broken).tile(0, 1) is None
    assert not fitting(log, {}).rooted


def test_a_tile_whose_parent_is_lost_is_not_judged(large: Log) -> None:
    broken = {path: data for path, data in large.files.items() if path not in ("tile/1/000", "tile/0/007")}
    broken["tile/entries/007"] = b"\x00"
    found = fitting(large, broken)
    assert found.tile(1, 0) is None
    assert found.tile(0, 3) is None


@given(st.integers(1, 600), st.data())
def test_damage_anywhere_is_never_taken_for_what_was_signed(size: int, data: st.DataObject) -> None:
    log = publish([b"%d" % n for n in range(size)])
    copies = []
    for _ in range(2):
        broken = dict(log.files)
        for path in data.draw(st.lists(st.sampled_from(sorted(log.files)), max_size=4)):
            raw = bytearray(broken[path])
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
            broken[path] = bytes(raw)
        copies.append(broken)
    found = fitting(log, *copies)
    for tile in expected_tiles(size):
        assert found.tile(tile.level, tile.n) in (None, log.files[tile.path])


def test_narrower_forms_of_partial_tiles_by_earlier_sizes() -> None:
    tiles = [TileId(0, 1), TileId(0, 2, 100), TileId(1, 0, 2), TileId(ENTRIES, 2, 100)]
    found = list(expected_names(tiles, [612, 300, 513, 600, 600, 5]))
    assert found == [
        TileId(0, 1), TileId(0, 2, 100), TileId(0, 2, 1), TileId(0, 2, 88), TileId(1, 0, 2), TileId(1, 0, 1),
        TileId(ENTRIES, 2, 100), TileId(ENTRIES, 2, 1), TileId(ENTRIES, 2, 88),
    ]  # fmt: skip


def test_a_bundle_that_cannot_be_read_has_no_entries() -> None:
    assert decoded(None, 2, decode_bundle) == [None, None]
    assert decoded(b"\x00", 2, decode_bundle) == [None, None]
    assert decoded(encode_bundle([b"a", b"b", b"c"]), 2, decode_bundle) == [b"a", b"b"]


# ── the tail ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("first", "size"), [(0, 1), (0, 600), (1, 256), (255, 257), (256, 512), (300, 600)])
def test_a_tree_goes_on_with_the_entries_behind_it(first: int, size: int) -> None:
    log = publish([b"%d" % n for n in range(size)])
    tree, small = Tree(), publish([b"%d" % n for n in range(first)])
    tree = small.tree.copy() if first else tree
    growing = Growing(tree, [size, first + 1])
    read = [body for bodies in entries_from(log.files.get, first, size) for body in bodies]
    assert read == log.entries[first:]
    for bodies in entries_from(log.files.get, first, size):
        growing.grow(bodies)
    assert growing.tree.root() == growing.roots[size] == log.tree.root()
    assert growing.roots[first + 1] == publish([b"%d" % n for n in range(first + 1)]).tree.root()
    for (level, n), data in growing.changed().items():
        assert data == log.files[TileId(level, n, tile_width(level, n, size)).path]
    assert not growing.changed()


def test_a_full_bundle_stands_for_the_partial_one() -> None:
    log = publish([b"%d" % n for n in range(256)])
    assert entries_of(log.files.get, 0, 100) == log.entries[:100]


@pytest.mark.parametrize(
    ("content", "check"),
    [(None, "bundle-missing"), (b"\x00\x05a", "bundle-format"), (encode_bundle([b"a"]), "bundle-missing")],
)
def test_a_tail_with_a_hole_is_none(content: bytes | None, check: str) -> None:
    with pytest.raises(Unverified) as refused:
        entries_of(lambda _: content, 0, 2)
    assert refused.value.check == check
