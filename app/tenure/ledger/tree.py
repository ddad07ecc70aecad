"""The growing edge of a log: append leaves, get the tiles to store; and proofs from stored tiles.

Of a log of any size only the right-most, partial tile of each level is needed to go on.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tenure.errors import Invalid, Malformed
from tenure.ledger import merkle
from tenure.ledger.merkle import EMPTY_ROOT, HASH_SIZE, node_hash
from tenure.ledger.tile import WIDTH, split_tile

ReadTile = Callable[[int, int], bytes]
"""(level, n) → the tile's content: at least as wide as the tree in question makes it."""

_HEIGHT = 8  # a tile spans eight levels of the binary tree


class TileWrite(NamedTuple):
    """The whole present content of one tile: 1…256 hashes. Earlier contents are prefixes of it."""

    level: int
    n: int
    data: bytes


class _Edge:
    """The partial tile of one level, and the perfect subtrees within it, widest first."""

    __slots__ = ("data", "subtrees")

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray()
        self.subtrees: list[tuple[int, bytes]] = []
        for at in range(0, len(data), HASH_SIZE):
            self.add(data[at : at + HASH_SIZE])

    def copy(self) -> "_Edge":
        """An independent edge of the same state. Nothing is hashed for it."""
        other = _Edge()
        other.data, other.subtrees = self.data[:], self.subtrees[:]
        return other

    def add(self, digest: bytes) -> None:
        """Append one hash and join what has become perfect: one node hash per append on average."""
        self.data += digest
        height = 0
        subtrees = self.subtrees
        while subtrees and subtrees[-1][0] == height:
            digest = node_hash(subtrees.pop()[1], digest)
            height += 1
        subtrees.append((height, digest))


class Tree:
    """A log's right edge. Not safe for several threads; costs grow with new leaves, not with size."""

    def __init__(self) -> None:
        self._size = 0
        self._edges: list[_Edge] = []

    @classmethod
    def from_edge(cls, size: int, tiles: Mapping[int, bytes]) -> "Tree":
        """Go on from `size` leaves with the right-most tile of each level: {level: content}.

        A level whose last tile is full needs no entry, and one given for it is ignored. Raises `Malformed`
        when a partial tile is missing or has another width than this size gives it.
        """
        tree = cls()
        tree._size = size
        for level in range(_levels(size)):
            width = (size >> (_HEIGHT * level)) % WIDTH
            data = tiles.get(level, b"") if width else b""
            if len(data) != width * HASH_SIZE:
                raise Malformed(
                    f"The right-most tile of level {level} is missing or has not the {width} hashes that a"
                    f" log of {size} entries has there. The log was not opened. Restore the published tile.",
                    rule="tree-edge",
                )
            tree._edges.append(_Edge(data))
        return tree

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._size

    def edge(self) -> dict[int, bytes]:
        """The partial right-most tiles: what `from_edge` takes."""
        return {level: bytes(edge.data) for level, edge in enumerate(self._edges) if edge.data}

    def copy(self) -> "Tree":
        """An independent tree of the same state."""
        other = Tree()
        other._size, other._edges = self._size, [edge.copy() for edge in self._edges]
        return other

    def append(self, leaf_hashes: Iterable[bytes]) -> list[TileWrite]:
        """Add leaves; returns every tile that changed, once, with its whole content, level by level."""
        writes: list[TileWrite] = []
        level, rising = 0, list(leaf_hashes)
        start = self._size
        self._size += len(rising)
        while rising:
            if level == len(self._edges):
                self._edges.append(_Edge())
            n = (start >> (_HEIGHT * level)) // WIDTH
            rising = self._fill(level, n, rising, writes)
            level += 1
        return writes

    def root(self) -> bytes:
        """The root hash of everything appended so far."""
        right = b""  # what lies right of the hashes seen so far: the lower levels' remainder
        for edge in self._edges:
            for _, subtree in reversed(edge.subtrees):
                right = node_hash(subtree, right) if right else subtree
        return right or EMPTY_ROOT

    def _fill(self, level: int, n: int, rising: list[bytes], writes: list[TileWrite]) -> list[bytes]:
        """Add hashes to one level from tile `n` on; returns the hashes of tiles that became full."""
        full: list[bytes] = []
        edge = self._edges[level]
        for digest in rising:
            edge.add(digest)
            if len(edge.data) == WIDTH * HASH_SIZE:
                writes.append(TileWrite(level, n, bytes(edge.data)))
                full.append(edge.subtrees[0][1])
                edge = self._edges[level] = _Edge()
                n += 1
        if edge.data:
            writes.append(TileWrite(level, n, bytes(edge.data)))
        return full


def inclusion(index: int, size: int, read_tile: ReadTile) -> list[bytes]:
    """The inclusion proof of one leaf in the tree of `size`, leaf's sibling first."""
    return merkle.inclusion_proof(index, size, subtree_reader(read_tile))


def consistency(old: int, new: int, read_tile: ReadTile) -> list[bytes]:
    """The consistency proof from the tree of `old` leaves to the one of `new`."""
    return merkle.consistency_proof(old, new, subtree_reader(read_tile))


def tree_root(size: int, read_tile: ReadTile) -> bytes:
    """The root of the first `size` leaves, from stored tiles."""
    return merkle.tree_root(size, subtree_reader(read_tile))


def subtree_reader(read_tile: ReadTile) -> merkle.SubtreeReader:
    """Perfect subtrees out of tiles. Each tile is asked for once."""
    tiles: dict[tuple[int, int], list[bytes]] = {}

    def read(height: int, index: int) -> bytes:
        level, within = divmod(height, _HEIGHT)
        first = index << within
        n, offset = divmod(first, WIDTH)
        if (level, n) not in tiles:
            tiles[level, n] = split_tile(read_tile(level, n))
        hashes = tiles[level, n][offset : offset + (1 << within)]
        if len(hashes) != 1 << within:
            raise Invalid(
                f"Tile {n} of level {level} is narrower than this tree makes it. No proof was made."
                " Ask for a size that is already published.",
                rule="tree-range",
            )
        return merkle.root(hashes)

    return read


def _levels(size: int) -> int:
    return (size.bit_length() + _HEIGHT - 1) // _HEIGHT
