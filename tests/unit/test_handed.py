"""What the sequencer hands to the publisher is what the log has, or nothing."""

import random
from collections.abc import Iterator

import pytest

from tenure.errors import TenureError
from tenure.handed import Grown, Handed
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, encode_bundle
from tenure.ledger.tree import Tree
from tenure.publisher import _content, changed_files
from tenure.store.log import Log


class Model:
    """A log, and what its tiles hold."""

    def __init__(self) -> None:
        self.tree, self.bodies, self.tiles = Tree(), list[bytes](), dict[tuple[int, int], bytes]()
        self.published = 0

    def turn(self, count: int) -> Grown:
        first = len(self.bodies)
        new = [b"entry %d" % n for n in range(first, first + count)]
        self.bodies += new
        written = {(one.level, one.n): one.data for one in self.tree.append(map(leaf_hash, new))}
        self.tiles |= written
        return Grown(self.log, f"note {self.tree.size}", ("key",), first, new, written)

    @property
    def log(self) -> Log:
        return Log(1, "origin", self.tree.size, self.tree.root(), self.published)

    def read(self) -> Grown:
        """As a round reads it from the database."""
        first = self.published // WIDTH * WIDTH
        return Grown(self.log, f"note {self.tree.size}", ("key",), first, self.bodies[first:], self.tiles)

    def content(self, name: TileId) -> bytes:
        if name.level == ENTRIES:
            return encode_bundle(self.bodies[name.n * WIDTH :][: name.width])
        return self.tiles[name.level, name.n][: name.width * 32]


def files(piece: Grown) -> Iterator[tuple[TileId, bytes]]:
    for name in changed_files(piece.log.published, piece.log.size):
        yield name, _content(piece, name)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_taken_is_what_the_log_has(seed: int) -> None:
    chance, model, handed = random.Random(seed), Model(), Handed()
    taken, shown = 0, ""
    for _ in range(300):
        grown = model.turn(chance.choice([1, 3, 40, 255, 256, 257, 700]))
        if chance.random() < 0.8:  # else another process placed them, or a key was changed
            handed.give("t", grown)
        if chance.random() < 0.3:
            continue  # the publisher is behind
        if chance.random() < 0.1:
            model.published = model.tree.size  # another process published
        piece = handed.take("t")
        if piece is None:
            piece = model.read()
            if chance.random() < 0.5:  # the sequencer is faster
                handed.give("t", model.turn(2))
            handed.give("t", piece)
        else:
            taken += 1
            assert piece.note == f"note {piece.log.size}"
            assert piece.shown in ("", shown)
        assert all(content == model.content(name) for name, content in files(piece))
        model.published = max(model.published, piece.log.size)
        handed.published("t", 1, piece.log.size, shown := piece.note)
    assert taken > 50


def test_nothing_is_taken_across_a_gap_or_without_the_beginning_of_the_bundle() -> None:
    model, handed = Model(), Handed()
    model.turn(10)
    handed.give("t", model.turn(10))
    assert handed.take("t") is None, "the first ten are missing"
    handed.give("t", model.read())
    handed.published("t", 1, 20, "note 20")
    handed.give("t", model.turn(5))
    assert handed.take("t") is not None
    model.turn(1)
    handed.give("t", model.turn(5))
    assert handed.take("t") is None, "one is missing"
    handed.give("t", model.turn(5)._replace(log=model.log._replace(generation=2)))
    assert handed.take("t") is None, "it is another log"


def test_nothing_is_taken_twice_and_nothing_of_who_is_gone() -> None:
    model, handed = Model(), Handed()
    handed.give("t", model.turn(10))
    assert handed.take("t") is not None
    handed.published("t", 1, 10, "note 10")
    assert handed.take("t") is None
    handed.give("t", model.turn(10))
    handed.forget("t")
    assert handed.take("t") is None


def test_what_is_kept_is_bounded_and_what_was_published_goes() -> None:
    handed = Handed(most=100_000)
    models = {f"t{n}": Model() for n in range(20)}
    for _ in range(50):
        for tenant, model in models.items():
            handed.give(tenant, model.turn(60))
            assert handed._bytes == sum(weight for _, weight in handed._pieces.values()) <= 100_000
    assert 0 < len(handed._pieces) < 20
    alone, model = Handed(), Model()
    for _ in range(100):
        alone.give("t", model.turn(60))
        alone.published("t", 1, model.tree.size, "note")
        piece, weight = alone._pieces["t"]
        assert len(piece.bodies) < WIDTH
        assert len(piece.tiles) <= 3
        assert weight == piece.weight == alone._bytes
    alone.forget("t")
    assert alone._bytes == 0


def test_a_file_is_not_put_with_less_than_its_name_says() -> None:
    piece = Model().turn(10)
    for name in (TileId(ENTRIES, 0, 11), TileId(0, 0, 11), TileId(1, 0, 1)):
        with pytest.raises(TenureError, match="missing"):
            _content(piece, name)
