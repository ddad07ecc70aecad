"""The Merkle tree of RFC 6962 §2.1: hashes, roots, and proofs made and checked.

Proofs are made from perfect subtrees, whoever keeps them: a `SubtreeReader` answers, for (height, index),
the hash of the leaves [index << height, (index + 1) << height). Hashes are 32 bytes of SHA-256.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

from tenure.errors import Invalid

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

SubtreeReader = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf hashes, or over equal perfect subtrees of which the last may be smaller."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        # An odd last node moves up as it is; duplicating it would let two lists share a root.
        odd = row[-1:] if len(row) % 2 else []
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)] + odd
    return row[0]


def tree_root(size: int, read: SubtreeReader) -> bytes:
    """The root of the first `size` leaves."""
    return span_root(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: SubtreeReader) -> list[bytes]:
    """PATH(index, D[size]) of §2.1.1, from the leaf's sibling up. Raises `Invalid` outside the tree."""
    if not 0 <= index < size:
        raise _outside("index")
    proof: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            proof.append(span_root(middle, high, read))
            high = middle
        else:
            proof.append(span_root(low, middle, read))
            low = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, read: SubtreeReader) -> list[bytes]:
    """PROOF(old, D[new]) of §2.1.2; empty when old is 0 or new. Raises `Invalid` when old is beyond new."""
    if not 0 <= old <= new:
        raise _outside("old size")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    low, high = 0, new
    while old != high:
        middle = low + split(high - low)
        if old <= middle:
            proof.append(span_root(middle, high, read))
            high = middle
        else:
            proof.append(span_root(low, middle, read))
            low = middle
    if low:  # SUBPROOF's b is false: the verifier cannot know this subtree, so it is part of the proof
        proof.append(span_root(low, high, read))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> bool:
    """Whether `leaf` (a leaf hash) is at `index` of the tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            node, last = _skip(node, last)
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == expected


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `new` leaves extends the one of `old` leaves (RFC 9162 §2.1.4.2)."""
    if not 0 < old < new:
        # Nothing to prove: the empty tree is a prefix of every tree, and each tree of itself.
        same = (old == 0 and old_root == EMPTY_ROOT) or (old == new and old_root == new_root)
        return same and 0 <= old <= new and not proof
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    computed_old = computed_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed_old = node_hash(sibling, computed_old)
            computed_new = node_hash(sibling, computed_new)
            node, last = _skip(node, last)
        else:
            computed_new = node_hash(computed_new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed_old == old_root and computed_new == new_root


def _skip(node: int, last: int) -> tuple[int, int]:
    """Step 4.b.ii of both algorithms: leave out the levels at which this node has no right sibling."""
    while not node & 1 and node:
        node, last = node >> 1, last >> 1
    return node, last


def split(count: int) -> int:
    """Where §2.1 divides `count` leaves: the largest power of two smaller than `count` (count > 1)."""
    return 1 << (count - 1).bit_length() - 1


def span_root(low: int, high: int, read: SubtreeReader) -> bytes:
    """MTH(D[low:high]), where `low` is a multiple of the power of two at or above the range's length."""
    count = high - low
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return read(height, low >> height)
    middle = low + split(count)
    return node_hash(span_root(low, middle, read), span_root(middle, high, read))


def _outside(what: str) -> Invalid:
    return Invalid(
        f"The {what} is outside the tree. No proof was made. Ask for one that the checkpoint covers.",
        rule="tree-range",
    )
