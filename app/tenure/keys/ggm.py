"""The puncturable PRF of a tenant: every leaf has a key, until it is punctured and then never again.

`docs/spec/keys.md` freezes it. Construction: Goldreich, Goldwasser, Micali 1986, punctured as in Holepunch
(IEEE S&P 2024): the state keeps the fewest seeds from which all unpunctured leaves follow.
"""

from bisect import bisect_right
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from tenure.errors import Shredded, Tampered
from tenure.keys.nodes import LEAF_BITS, SEED_BYTES, Descent, Node, check_leaf, leaf_number
from tenure.keys.secret import Octets, Secret
from tenure.keys.shard import Shard

__all__ = ["LEAF_BITS", "SHARD_LIMIT", "Node", "PuncturedState", "Shard", "leaf_number"]

SHARD_LIMIT: Final = 1_000_000
"""A shard that encodes to more bytes than this is split: a small batch should rewrite little."""


class PuncturedState:
    """All derivable leaves of one tenant, as shards left to right. Immutable but for `wipe`."""

    __slots__ = ("_firsts", "shards")

    def __init__(self, shards: Iterable[Shard]) -> None:
        """Join shards in any order; none means that every leaf is punctured. Tampered when they overlap."""
        self.shards = tuple(sorted(shards, key=lambda shard: shard.first_leaf))
        self._firsts = [shard.first_leaf for shard in self.shards]
        free = 0
        for shard in self.shards:
            if shard.first_leaf < free:
                raise Tampered(
                    "Two shards of one key state overlap. Nothing was opened; restore them from the mirror.",
                    rule="key-format",
                )
            free = shard.first_leaf + (1 << (LEAF_BITS - shard.depth))

    @classmethod
    def fresh(cls, seed: Octets) -> "PuncturedState":
        """Nothing punctured: one shard of one node, from 32 random bytes."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a seed has 32 bytes")
        return cls([Shard.of(0, 0, [Node(0, 0, seed)])])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PuncturedState) and self.shards == other.shards

    __hash__ = None  # type: ignore[assignment]  # like its shards

    def __repr__(self) -> str:
        """Without seeds."""
        return f"PuncturedState({', '.join(map(repr, self.shards))})"

    @property
    def size_bytes(self) -> int:
        """Length of all shards' encodings."""
        return sum(shard.size_bytes for shard in self.shards)

    @property
    def leaf_count(self) -> int:
        """How many leaves are still derivable, of 2^40."""
        return sum(shard.leaf_count for shard in self.shards)

    def derive(self, leaf: int) -> Secret:
        """The 32-byte key of a leaf. Shredded when it was punctured, Invalid when it is no leaf number."""
        check_leaf(leaf)
        shard = self._shard(leaf)
        key = shard.key_of(leaf) if shard else None
        if key is None:
            raise Shredded("This key was destroyed and cannot be derived again; nothing was opened.")
        return key

    def is_punctured(self, leaf: int) -> bool:
        """True when no key will ever come from this leaf again. Invalid when it is no leaf number."""
        check_leaf(leaf)
        shard = self._shard(leaf)
        return shard is None or not shard.covers(leaf)

    def node_over(self, leaf: int) -> Node | None:
        """The node that covers a leaf; None when it is punctured."""
        shard = self._shard(leaf)
        return shard.node_over(leaf) if shard else None

    def puncture(self, leaves: Iterable[int], *, shard_limit: int = SHARD_LIMIT) -> "PuncturedState":
        """The state without `leaves`; punctured ones may be among them. Invalid when one is no leaf number.

        Shards that covered none of them are the same objects in the new state; the others are new, and are
        split when they encode to more than `shard_limit` bytes.
        """
        gone: dict[int, list[int]] = {}
        for leaf in sorted(set(leaves)):
            check_leaf(leaf)
            gone.setdefault(bisect_right(self._firsts, leaf) - 1, []).append(leaf)
        shards: list[Shard] = []
        for at, shard in enumerate(self.shards):
            left = shard.without(gone[at]) if at in gone else shard
            if left is shard:
                shards.append(shard)
            elif left is not None:
                shards += left.split(shard_limit)
        return PuncturedState(shards)

    def is_narrowing_of(self, old: "PuncturedState") -> bool:
        """True when this state derives nothing that `old` does not, and the same keys where it derives.

        Each node must lie under one node of `old` and carry the seed that follows from it: a wider state, a
        stale one and one with a forged seed are all refused. Equal states narrow each other.
        """
        known = {(shard.depth, shard.prefix): shard for shard in old.shards}
        descent = Descent()
        for shard in self.shards:
            if known.get((shard.depth, shard.prefix)) == shard:
                continue
            # Most of what a batch leaves is as it was; only the rest is derived again.
            was = old._shard(shard.first_leaf)
            for node in shard.nodes if was is None else shard.nodes_not_in(was):
                origin = old.node_over(node.first_leaf)
                if origin is None or origin.depth > node.depth:
                    return False
                if not compare_digest(descent.seed(origin, node.depth, node.prefix), node.seed):
                    return False
        return True

    def wipe(self) -> None:
        """Overwrite the seeds of this state, and of every state that shares shards with it.

        `puncture` shares untouched shards: wipe the old and the new state together, or neither.
        """
        for shard in self.shards:
            shard.wipe()

    def _shard(self, leaf: int) -> Shard | None:
        at = bisect_right(self._firsts, leaf) - 1
        return self.shards[at] if at >= 0 else None
