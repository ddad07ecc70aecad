"""Which copy of a log fits its signed root? Two copies that disagree are judged from the root downwards.

The right-most tiles of all levels make the root together. A full tile is one hash in the tile above it, so
once that one is known to fit, so is every tile below it, and at last every entry. Nothing is believed because
of where it came from; a tile that no copy has is made from what lies below it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from tenure.errors import Malformed
from tenure.ledger import merkle
from tenure.ledger.merkle import HASH_SIZE, leaf_hash
from tenure.ledger.tile import MAX_LEVEL, WIDTH, TileId, split_tile, tile_width
from tenure.ledger.tree import Tree

Bodies = Sequence[bytes | None]


class Copy(NamedTuple):
    """One copy of a log: (level, n, width) → a tile's content, (n, width) → a bundle's entries.

    What is not there is None; contents may be anything.
    """

    tile: Callable[[int, int, int], bytes | None]
    entries: Callable[[int, int], Bodies]


class Fitting:
    """The tiles and entries of a log of `size` entries with this `root`, out of several copies.

    Asks each copy for each tile once at most, and keeps those above level 0.
    """

    def __init__(self, size: int, root: bytes, copies: Sequence[Copy]) -> None:
        self._size = size
        self._copies = copies
        self._kept: dict[tuple[int, int], bytes | None] = {}
        self._edge = self._fitting_edge(root)

    @property
    def rooted(self) -> bool:
        """Whether the copies make the root at all. If not, nothing below can be judged."""
        return self._edge is not None

    def tile(self, level: int, n: int) -> bytes | None:
        """A tile that fits, at its width in this log; None when no copy's does and it cannot be made."""
        if self._edge is None:
            return None
        width = tile_width(level, n, self._size)
        if width < WIDTH:
            return self._edge[level]
        if not level:
            return self._full(level, n)
        if (level, n) not in self._kept:
            self._kept[level, n] = self._full(level, n)
        return self._kept[level, n]

    def entries(self, n: int, tile: bytes) -> list[bytes | None]:
        """The entries of a bundle whose level-0 tile fits, one by one from whichever copy has them."""
        hashes = split_tile(tile)
        found: list[bytes | None] = [None] * len(hashes)
        for copy in self._copies:
            if None not in found:
                break
            for place, body in enumerate(copy.entries(n, len(hashes))):
                if found[place] is None and body is not None and leaf_hash(body) == hashes[place]:
                    found[place] = body
        return found

    def _full(self, level: int, n: int) -> bytes | None:
        above = self.tile(level + 1, n // WIDTH)
        if above is None:
            return None
        place = n % WIDTH * HASH_SIZE
        wanted = above[place : place + HASH_SIZE]
        for data in self._candidates(level, n, WIDTH):
            if merkle.root(split_tile(data)) == wanted:
                return data
        return None

    def _fitting_edge(self, root: bytes) -> dict[int, bytes] | None:
        """The right-most, partial tile of each level: those that make the root together."""
        partial = {
            level: (self._size >> (8 * level)) // WIDTH
            for level in range(MAX_LEVEL + 1)
            if (self._size >> (8 * level)) % WIDTH
        }
        for candidates in (self._stored, self._candidates):  # to make one may take hundreds of tiles
            choices = [
                dict.fromkeys(candidates(level, n, tile_width(level, n, self._size)))
                for level, n in partial.items()
            ]
            for chosen in product(*choices):
                edge = dict(zip(partial, chosen, strict=True))
                if Tree.from_edge(self._size, edge).root() == root:
                    return edge
        return None

    def _candidates(self, level: int, n: int, width: int) -> Iterator[bytes]:
        """Contents of the right length, the cheapest to get first."""
        yield from self._stored(level, n, width)
        yield from self._made(level, n, width)

    def _stored(self, level: int, n: int, width: int) -> Iterator[bytes]:
        for copy in self._copies:
            data = copy.tile(level, n, width)
            if data is not None and len(data) == width * HASH_SIZE:
                yield data

    def _made(self, level: int, n: int, width: int) -> Iterator[bytes]:
        """The same made from what lies below: entries, or whatever each tile below may be."""
        if not level:
            for copy in self._copies:
                bodies = [body for body in copy.entries(n, width) if body is not None]
                if len(bodies) == width:
                    yield b"".join(map(leaf_hash, bodies))
            return
        hashes = []
        for below in range(n * WIDTH, n * WIDTH + width):
            data = next(self._candidates(level - 1, below, WIDTH), None)
            if data is None:
                return
            hashes.append(merkle.root(split_tile(data)))
        yield b"".join(hashes)


def expected_names(tiles: Iterable[TileId], sizes: Iterable[int]) -> Iterator[TileId]:
    """Tiles of a log, and those that earlier published `sizes` had in the place of its partial ones."""
    earlier = sorted(set(sizes))
    for tile in tiles:
        yield tile
        if tile.width == WIDTH:
            continue
        level = max(tile.level, 0)
        widths = {tile_width(level, tile.n, size) for size in earlier}
        yield from (tile._replace(width=width) for width in sorted(widths) if 0 < width < tile.width)


def decoded(raw: bytes | None, width: int, decode: Callable[[bytes], list[bytes]]) -> Bodies:
    """A bundle's entries, as many as there must be; None for what cannot be read."""
    try:
        found: list[bytes | None] = list(decode(raw)) if raw is not None else []
    except Malformed:
        found = []
    return [*found[:width], *[None] * (width - len(found))]
