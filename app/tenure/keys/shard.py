"""A shard: the punctured state of one subtree, and its canonical bytes (`docs/spec/keys.md`, "Shard").

In memory as on disk it is three columns (depths, first leaves, seeds), so that a state of a million leaves
loads, is searched and is written without a Python object for each node.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hmac import compare_digest
from typing import Final

from tenure.errors import KeyFailure
from tenure.keys.cover import check_cover, not_canonical
from tenure.keys.encoding import Reader
from tenure.keys.nodes import LEAF_BITS, SEED_BYTES, Node, cover_without, leaf_key
from tenure.keys.secret import Octets, Secret, joined, wipe

MAGIC: Final = b"TNKS\x01"
_PREFIX_BYTES: Final = 5
_FIXED: Final = len(MAGIC) + 1 + _PREFIX_BYTES + 4
_PER_NODE: Final = 1 + 8 + SEED_BYTES
Pieces = list[bytes | bytearray | memoryview]


class Shard:
    """Nodes that cover, without overlap and as few as can be, every unpunctured leaf of one subtree.

    Immutable but for `wipe`. A subtree without a leaf left has no shard.
    """

    __slots__ = ("_depths", "_firsts", "_seeds", "_wiped", "depth", "prefix")

    def __init__(self, depth: int, prefix: int, depths: bytes, firsts: "array[int]", seeds: Secret) -> None:
        """From columns that are right by construction; `of` and `decode` check."""
        self.depth = depth
        self.prefix = prefix
        self._depths = depths
        self._firsts = firsts
        self._seeds = seeds
        self._wiped = False

    @classmethod
    def of(cls, depth: int, prefix: int, nodes: Iterable[Node]) -> "Shard":
        """From nodes, left to right. Tampered unless they are a minimal cover inside the subtree."""
        found = tuple(nodes)
        depths = bytes(node.depth for node in found)
        firsts = array("Q", (node.first_leaf for node in found))
        shard = cls(depth, prefix, depths, firsts, joined(node.seed for node in found))
        shard._check()
        return shard

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shard) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]  # it can be wiped, so it is no key

    def __repr__(self) -> str:
        """Without seeds: a repr ends in logs."""
        return f"Shard(depth={self.depth}, prefix={self.prefix:#x}, nodes={len(self)})"

    def __len__(self) -> int:
        """How many nodes."""
        return len(self._depths)

    @property
    def first_leaf(self) -> int:
        """The leftmost leaf of the subtree."""
        return self.prefix << (LEAF_BITS - self.depth)

    @property
    def leaf_count(self) -> int:
        """How many leaves are still derivable."""
        return sum(self._depths.count(depth) << (LEAF_BITS - depth) for depth in range(LEAF_BITS + 1))

    @property
    def size_bytes(self) -> int:
        """Length of the encoding."""
        return _FIXED + _PER_NODE * len(self)

    @property
    def nodes(self) -> Iterator[Node]:
        """The nodes left to right. Their seeds are copies."""
        return (self._node(at) for at in range(len(self)))

    def node_over(self, leaf: int) -> Node | None:
        """The node that covers `leaf`; None when it is punctured or not of this subtree."""
        at = self._find(leaf)
        return None if at is None else self._node(at)

    def covers(self, leaf: int) -> bool:
        """True when `leaf` is of this subtree and unpunctured."""
        return self._find(leaf) is not None

    def key_of(self, leaf: int) -> Secret | None:
        """The key of `leaf`; None when it is punctured or not of this subtree."""
        at = self._find(leaf)
        return None if at is None else leaf_key(self._seed(at), self._depths[at], leaf)

    def nodes_not_in(self, other: "Shard") -> Iterator[Node]:
        """The nodes that `other` does not have at the same place with the same seed, left to right.

        Runs of nodes that both have are passed over in steps that grow: a batch changes a few of very many.
        """
        copies = Secret(self._seeds), Secret(other._seeds)
        self._alive()
        other._alive()
        mine, theirs = memoryview(copies[0]), memoryview(copies[1])

        def same(at: int, there: int, count: int) -> bool:
            return (
                self._firsts[at : at + count] == other._firsts[there : there + count]
                and self._depths[at : at + count] == other._depths[there : there + count]
                and compare_digest(_slots(mine, at, count), _slots(theirs, there, count))
            )

        at = there = 0
        step = 1
        while at < len(self):
            if at + step <= len(self) and same(at, there, step):
                at, there, step = at + step, there + step, 2 * step
                continue
            if step > 1:
                step //= 2
                continue
            first, depth = self._firsts[at], self._depths[at]
            there = bisect_left(other._firsts, first, there)
            if not same(at, there, 1):
                yield Node(depth, first >> (LEAF_BITS - depth), Secret(_slots(mine, at, 1)))
                at += 1

    def without(self, leaves: Sequence[int]) -> "Shard | None":
        """Without sorted, unique `leaves`: the same shard if it had none of them, None if none is left."""
        doomed: dict[int, list[int]] = {}
        for leaf in leaves:
            at = self._find(leaf)
            if at is not None:
                doomed.setdefault(at, []).append(leaf)
        if not doomed:
            return self
        depths, firsts = bytearray(), array("Q")
        seeds: Pieces = []
        done = 0
        for at, gone in doomed.items():
            self._append(done, at, depths, firsts, seeds)
            fresh: list[Node] = []
            cover_without(self._node(at), gone, fresh)
            depths += bytes(node.depth for node in fresh)
            firsts.extend(node.first_leaf for node in fresh)
            seeds += [node.seed for node in fresh]
            done = at + 1
        self._append(done, len(self), depths, firsts, seeds)
        return self._made(self.depth, self.prefix, depths, firsts, seeds) if depths else None

    def split(self, limit: int) -> list["Shard"]:
        """Itself, or shards of its half-subtrees, halved again until none encodes to more than `limit` bytes.

        A shard of one node stays whole. Since a minimal cover of several nodes has none at the subtree's own
        root, halving moves nodes and derives nothing. A half without a leaf left gives no shard.
        """
        if self.size_bytes <= limit or len(self) == 1:
            return [self]
        middle = (self.prefix << 1 | 1) << (LEAF_BITS - self.depth - 1)
        cut = bisect_left(self._firsts, middle)
        shards = []
        for bit, begin, end in ((0, 0, cut), (1, cut, len(self))):
            if begin < end:
                depths, firsts = bytearray(), array("Q")
                seeds: Pieces = []
                self._append(begin, end, depths, firsts, seeds)
                half = self._made(self.depth + 1, self.prefix << 1 | bit, depths, firsts, seeds)
                shards += half.split(limit)
        return shards

    def encode(self) -> Secret:
        """The canonical bytes. They are secret: see `state.seal_shard`."""
        encoded = joined(
            (
                MAGIC,
                self.depth.to_bytes(1),
                self.prefix.to_bytes(_PREFIX_BYTES),
                len(self).to_bytes(4),
                self._depths,
                _network_order(self._firsts).tobytes(),
                self._seeds,
            )
        )
        self._alive()
        return encoded

    @classmethod
    def decode(cls, data: Octets) -> "Shard":
        """Read canonical bytes; Tampered for any others, so that one state has one encoding."""
        reader = Reader(data, "key-state shard")
        reader.expect(MAGIC)
        depth, prefix, count = reader.number(1), reader.number(_PREFIX_BYTES), reader.number(4)
        depths = reader.take(count)
        firsts = array("Q")
        firsts.frombytes(reader.take(8 * count))
        seeds = reader.secret(SEED_BYTES * count)
        reader.end()
        shard = cls(depth, prefix, depths, _network_order(firsts), seeds)
        shard._check()
        return shard

    def wipe(self) -> None:
        """Overwrite the seeds; from now on deriving raises KeyFailure."""
        self._wiped = True  # before the zeros, so that nobody derives from them: see `_alive`
        wipe(self._seeds)

    def _check(self) -> None:
        if len(self._seeds) != SEED_BYTES * len(self):
            raise not_canonical("a seed is missing or too many")
        check_cover(self.depth, self.prefix, self._depths, self._firsts)

    def _append(self, begin: int, end: int, depths: bytearray, firsts: "array[int]", seeds: Pieces) -> None:
        depths += self._depths[begin:end]
        firsts.extend(self._firsts[begin:end])
        seeds.append(_slots(memoryview(self._seeds), begin, end - begin))

    def _made(
        self, depth: int, prefix: int, depths: bytearray, firsts: "array[int]", seeds: Pieces
    ) -> "Shard":
        """A shard of this one's seeds, among others."""
        made = Shard(depth, prefix, bytes(depths), firsts, joined(seeds))
        self._alive()
        return made

    def _find(self, leaf: int) -> int | None:
        at = bisect_right(self._firsts, leaf) - 1
        if at < 0 or (leaf - self._firsts[at]) >> (LEAF_BITS - self._depths[at]):
            return None
        return at

    def _node(self, at: int) -> Node:
        depth = self._depths[at]
        return Node(depth, self._firsts[at] >> (LEAF_BITS - depth), self._seed(at))

    def _seed(self, at: int) -> Secret:
        seed = Secret(_slots(memoryview(self._seeds), at, 1))
        self._alive()
        return seed

    def _alive(self) -> None:
        """Called after seeds were copied: what derives from overwritten ones is known to everybody."""
        if self._wiped:
            raise KeyFailure("This key state was wiped; nothing was derived. Load the live key state again.")

    def _state(self) -> tuple[object, ...]:
        return self.depth, self.prefix, self._depths, self._firsts, self._seeds


def _slots(seeds: memoryview, at: int, count: int) -> memoryview:
    return seeds[SEED_BYTES * at : SEED_BYTES * (at + count)]


def _network_order(column: "array[int]") -> "array[int]":
    """The column in the other byte order than this machine's, if that is little-endian."""
    if sys.byteorder == "big":
        return column
    swapped = column[:]
    swapped.byteswap()
    return swapped
