"""The tree of the puncturable PRF (Goldreich, Goldwasser, Micali 1986): seeds go down, never up.

A node is `depth` bits of prefix and a 32-byte seed; it stands for the 2^(40 - depth) leaves below it. Leaves
are counted left to right, the most significant bit decides first.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from tenure.errors import Invalid
from tenure.keys.secret import Octets, Secret, taken, wipe
from tenure.mac import hmac_sha256

LEAF_BITS: Final = 40
LEAVES: Final = 1 << LEAF_BITS
SEED_BYTES: Final = 32
_SEQUENCE_BITS: Final = 32
_EPOCHS: Final = 1 << (LEAF_BITS - _SEQUENCE_BITS)

_SIDES: Final = (b"tenure/ggm/v1/node\x00", b"tenure/ggm/v1/node\x01")
_LEAF: Final = b"tenure/ggm/v1/leaf"


class Node(NamedTuple):
    """One seed and the subtree it opens."""

    depth: int
    prefix: int
    seed: Octets

    def __repr__(self) -> str:
        """Without the seed: a repr ends in logs."""
        return f"Node(depth={self.depth}, prefix={self.prefix:#x})"

    @property
    def first_leaf(self) -> int:
        """The leftmost leaf below."""
        return self.prefix << (LEAF_BITS - self.depth)

    def child(self, bit: int) -> "Node":
        """The left (0) or right (1) child."""
        return Node(self.depth + 1, self.prefix << 1 | bit, taken(hmac_sha256(self.seed, _SIDES[bit])))


def leaf_number(epoch: int, sequence: int) -> int:
    """The 40-bit number of a leaf: restore epoch (8 bits), then sequence (32 bits).

    Raises Invalid when either is out of range: a sequence that ran out must never wrap into another's leaf.
    """
    if not (0 <= epoch < _EPOCHS and 0 <= sequence < 1 << _SEQUENCE_BITS):
        raise Invalid(
            "A leaf's restore epoch or sequence is out of range; no key was derived.", rule="leaf-number"
        )
    return epoch << _SEQUENCE_BITS | sequence


def check_leaf(leaf: int) -> None:
    """Raises Invalid unless `leaf` is a number of 40 bits."""
    if not 0 <= leaf < LEAVES:
        raise Invalid("A leaf number is out of range; no key was derived.", rule="leaf-number")


def leaf_key(seed: Octets, depth: int, leaf: int) -> Secret:
    """The 32-byte key of `leaf`, from the seed of the node of `depth` above it."""
    at = seed
    for shift in range(LEAF_BITS - depth - 1, -1, -1):
        below = hmac_sha256(at, _SIDES[leaf >> shift & 1])
        if at is not seed:
            wipe(at)
        at = below
    key = taken(hmac_sha256(at, _LEAF))
    if at is not seed:
        wipe(at)
    return key


def cover_without(node: Node, leaves: Sequence[int], into: list[Node]) -> None:
    """Append to `into` the fewest nodes below `node` that cover all its leaves but `leaves`, left to right.

    `leaves` are sorted, unique and all below `node`. About two HMACs for each level below which leaves go.
    """
    if not leaves:
        into.append(node)
        return
    if len(leaves) == 1 << (LEAF_BITS - node.depth):
        return
    left, right = node.child(0), node.child(1)
    cut = bisect_left(leaves, right.first_leaf)
    cover_without(left, leaves[:cut], into)
    cover_without(right, leaves[cut:], into)


class Descent:
    """Seeds below given nodes, for targets that come left to right: shared upper steps are taken once."""

    __slots__ = ("_path",)

    def __init__(self) -> None:
        self._path: list[Node] = []

    def seed(self, origin: Node, depth: int, prefix: int) -> Octets:
        """The seed at (depth, prefix), which lies at or below `origin`."""
        path = self._path
        if not path or path[0] != origin:
            path[:] = [origin]
        while path[-1].depth > depth or prefix >> (depth - path[-1].depth) != path[-1].prefix:
            path.pop()
        while path[-1].depth < depth:
            path.append(path[-1].child(prefix >> (depth - path[-1].depth - 1) & 1))
        return path[-1].seed
