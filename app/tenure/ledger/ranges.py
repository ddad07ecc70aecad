"""Range proofs: that some entries are all the leaves first … end - 1 of a signed tree, none left out.

The proof holds the hashes of the maximal subtrees of RFC 6962 §2.1 that lie wholly before the range (`left`)
and wholly behind it (`right`), each from left to right. Whoever has the leaves of the range folds these and
the hashes into the root: every other number, order or content of leaves makes another root.
"""

from collections.abc import Sequence

from tenure.errors import Invalid
from tenure.ledger.merkle import SubtreeReader, node_hash, span_root, split


def range_proof(first: int, end: int, size: int, read: SubtreeReader) -> tuple[list[bytes], list[bytes]]:
    """(left, right) for the leaves first … end - 1 of the tree of `size`.

    At most one hash for each level on either side. Raises `Invalid` for an empty range, or one that the tree
    does not have.
    """
    if not 0 <= first < end <= size:
        raise Invalid(
            "The range is empty or outside the tree. No proof was made. Ask for one that it has.",
            rule="tree-range",
        )
    left: list[bytes] = []
    right: list[bytes] = []

    def walk(low: int, high: int) -> None:
        if high <= first:
            left.append(span_root(low, high, read))
        elif low >= end:
            right.append(span_root(low, high, read))
        elif low < first or high > end:
            middle = low + split(high - low)
            walk(low, middle)
            walk(middle, high)

    walk(0, size)
    return left, right


def root_of_range(
    first: int, leaves: Sequence[bytes], size: int, left: Sequence[bytes], right: Sequence[bytes]
) -> bytes | None:
    """The root of the tree of `size` that these leaf hashes, from index `first` on, and the proof make.

    None when they cannot be a range of such a tree, or the proof has not exactly the hashes that it needs.
    """
    end = first + len(leaves)
    if not 0 <= first < end <= size:
        return None
    before, behind = list(reversed(left)), list(reversed(right))

    def walk(low: int, high: int) -> bytes:
        if high <= first:
            return before.pop()
        if low >= end:
            return behind.pop()
        if high - low == 1:
            return leaves[low - first]
        middle = low + split(high - low)
        return node_hash(walk(low, middle), walk(middle, high))

    try:
        root = walk(0, size)
    except IndexError:
        return None
    return None if before or behind else root
