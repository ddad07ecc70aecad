"""The rules that make a shard the one minimal cover of what it covers (`docs/spec/keys.md`, "Shard").

They are checked for all nodes at once: a column of 64-bit numbers is one very long integer, and no number
here passes 2^63, so that neighbours neither carry into one another nor borrow. A batch of erasures reads
back some sixty thousand nodes for a tenant of a million people; one by one they took a third of the time.
"""

import sys
from array import array
from typing import Final

from tenure.errors import Tampered
from tenure.keys.nodes import LEAF_BITS

_SIZES: Final = tuple(1 << (LEAF_BITS - depth) for depth in range(LEAF_BITS + 1))
_WIDTH: Final = 64


def check_cover(depth: int, prefix: int, depths: bytes, firsts: "array[int]") -> None:
    """Tampered unless nodes of `depths` from leaves `firsts` on (64 bits each) cover as the rules say.

    `depth` and `prefix` name the subtree. Seeds are no matter here: any 32 bytes can be one.
    """
    if not (0 <= depth <= LEAF_BITS and 0 <= prefix < 1 << depth and depths and len(depths) == len(firsts)):
        raise not_canonical("its subtree or its number of nodes is out of range")
    if min(depths) < depth or max(depths) > LEAF_BITS:
        raise not_canonical("a node has a depth outside the subtree")
    sizes = array("Q", [_SIZES[one] for one in depths])
    first, size, ones = _number(firsts), _number(sizes), _number(array("Q", [1]) * len(depths))
    if first & ones << 63:
        raise not_canonical("a node lies outside the subtree")
    if first & (size - ones):
        raise not_canonical("a node is misaligned")
    whole = _SIZES[depth]
    if firsts[0] < prefix * whole or firsts[-1] + sizes[-1] > (prefix + 1) * whole:
        raise not_canonical("a node lies outside the subtree")
    # From here on two neighbours at a time: each node but the last, and the one after it.
    ones >>= _WIDTH
    but_last = (1 << _WIDTH * (len(depths) - 1)) - 1
    here, following, tops = first & but_last, first >> _WIDTH, ones << 63
    if ((following | tops) - here - (size & but_last)) & tops != tops:  # borrowed where the next begins early
        raise not_canonical("a node overlaps the next or is out of order")
    unlike = ((size ^ size >> _WIDTH) & but_last) | (here ^ following ^ size & but_last)
    if (unlike + tops - ones) & tops != tops:  # nothing unlike: two halves of one parent
        raise not_canonical("two siblings stand where only their parent may")


def not_canonical(why: str) -> Tampered:
    """The error for a shard that breaks a rule."""
    return Tampered(
        f"A key-state shard is not canonical: {why}. Nothing was opened; restore it from the mirror.",
        rule="key-format",
    )


def _number(column: "array[int]") -> int:
    """A column as one integer, its first entry lowest."""
    ordered = column if sys.byteorder == "little" else column[::-1]
    return int.from_bytes(ordered.tobytes(), sys.byteorder)
