"""The tree against RFC 6962 read literally, and against its published test vectors."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import Invalid, Malformed
from tenure.ledger import tree
from tenure.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tenure.ledger.merkle import tree_root as root_of
from tenure.ledger.tree import Tree
from unit.ledger.logs import publish

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/ledger/rfc6962.json").read_text())


# ── RFC 6962 §2.1 as it is written: recursive, over the leaves themselves ──────────────────────────
def naive_leaf(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def naive_root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = naive_split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m, leaves):
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m, leaves, b):
    if m == len(leaves):
        return [] if b else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], b), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def leaves_of(n):
    return [naive_leaf(b"%d" % i) for i in range(n)]


def subtrees_of(leaves):
    return lambda height, index: naive_root(leaves[index << height : (index + 1) << height])


def test_rfc6962_reference_roots():
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["leaves"]]
    for size, expected in enumerate(VECTORS["roots"]):
        assert root(leaves[:size]).hex() == expected
        assert naive_root(leaves[:size]).hex() == expected


def test_rfc6962_reference_proofs():
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["leaves"]]
    for case in VECTORS["inclusion"]:
        proof = [bytes.fromhex(digest) for digest in case["proof"]]
        assert inclusion_proof(case["index"], case["size"], subtrees_of(leaves)) == proof
        expected = bytes.fromhex(VECTORS["roots"][case["size"]])
        assert verify_inclusion(leaves[case["index"]], case["index"], case["size"], proof, expected)
    for case in VECTORS["consistency"]:
        proof = [bytes.fromhex(digest) for digest in case["proof"]]
        assert consistency_proof(case["old"], case["new"], subtrees_of(leaves)) == proof


@given(st.integers(1, 600), st.data())
@settings(max_examples=60, deadline=None)
def test_inclusion_is_the_rfcs_and_holds_only_there(size, data):
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, subtrees_of(leaves))
    head = naive_root(leaves)
    assert proof == naive_path(index, leaves)
    assert verify_inclusion(leaves[index], index, size, proof, head)
    other = data.draw(st.integers(0, size))
    if other != index:
        assert not verify_inclusion(leaves[index], other, size, proof, head)
    assert not verify_inclusion(naive_leaf(b"x"), index, size, proof, head)
    assert not verify_inclusion(leaves[index], index, size, [*proof, bytes(32)], head)
    if proof:
        assert not verify_inclusion(leaves[index], index, size, proof[:-1], head)


@given(st.integers(0, 600), st.data())
@settings(max_examples=60, deadline=None)
def test_consistency_is_the_rfcs_and_refuses_another_past(new, data):
    leaves = leaves_of(new)
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(old, new, subtrees_of(leaves))
    before, after = naive_root(leaves[:old]), naive_root(leaves)
    assert proof == (naive_subproof(old, leaves, True) if 0 < old < new else [])
    assert verify_consistency(old, new, before, after, proof)
    assert not verify_consistency(old, new, naive_leaf(b"x"), after, proof)
    assert not verify_consistency(old, new, before, after, [*proof, bytes(32)])
    if old < new:
        assert not verify_consistency(new, old, after, before, proof)
    if 0 < old < new:
        assert not verify_consistency(old, new, before, naive_leaf(b"x"), proof)
        assert not verify_consistency(old, new, before, after, proof[:-1])


def test_a_proof_of_another_tree_height_does_not_hold():
    """The hashes fit, the size does not: a log must not pass one tree off as another's size."""
    a, b, c, d, x = leaves_of(5)
    assert not verify_inclusion(a, 0, 1, [x], node_hash(x, a))
    assert not verify_inclusion(a, 0, 4, [b], node_hash(a, b))
    old, new = naive_root([a, b, c]), naive_root([a, b, c, d])
    path = [c, d, node_hash(a, b)]
    assert verify_consistency(3, 4, old, new, path)
    assert not verify_consistency(3, 4, node_hash(x, old), node_hash(x, new), [*path, x])
    assert not verify_consistency(3, 8, old, new, path)


def test_nothing_outside_the_tree_is_proven():
    with pytest.raises(Invalid):
        inclusion_proof(3, 3, subtrees_of(leaves_of(3)))
    with pytest.raises(Invalid):
        consistency_proof(4, 3, subtrees_of(leaves_of(3)))
    assert not verify_inclusion(bytes(32), 0, 0, [], EMPTY_ROOT)
    assert not verify_consistency(-1, 3, EMPTY_ROOT, EMPTY_ROOT, [])


# ── the growing edge ───────────────────────────────────────────────────────────────────────────────
SIZES = (0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000)


@pytest.mark.parametrize("size", SIZES)
def test_tree_root_and_proofs_from_tiles(size):
    leaves = leaves_of(size)
    grown = Tree()
    tiles = {(w.level, w.n): w.data for w in grown.append(leaves)}
    assert grown.size == size
    assert grown.root() == naive_root(leaves) == root_of(size, subtrees_of(leaves))

    def read(level, n):
        return tiles[level, n]

    if size:
        assert tree.tree_root(size, read) == grown.root()
    for index in {0, size // 2, size - 2, size - 1}:
        if 0 <= index < size:
            assert tree.inclusion(index, size, read) == naive_path(index, leaves)
    for old in {1, size // 3, size // 2, size - 1}:
        if 0 < old < size:
            assert tree.consistency(old, size, read) == naive_subproof(old, leaves, True)


@given(st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=30, deadline=None)
def test_batches_leave_the_same_tiles_and_partials_are_prefixes(batches):
    leaves = leaves_of(sum(batches))
    grown = Tree()
    tiles: dict[tuple[int, int], bytes] = {}
    at = 0
    for batch in batches:
        writes = grown.append(leaves[at : at + batch])
        at += batch
        assert len({(w.level, w.n) for w in writes}) == len(writes)
        for write in writes:
            assert write.data.startswith(tiles.get((write.level, write.n), b""))
            assert 32 <= len(write.data) <= 8192
            tiles[write.level, write.n] = write.data
        # A sequencer that starts again from what is stored goes on alike.
        edge = {level: tiles[level, (at >> 8 * level) // 256] for level in grown.edge()}
        again = Tree.from_edge(at, edge)
        assert again.root() == grown.root() == naive_root(leaves[:at])
        grown = again
    whole = Tree()
    assert {(w.level, w.n): w.data for w in whole.append(leaves)} == tiles
    for level in range(2):
        unit = 256**level
        hashes = b"".join(naive_root(leaves[i * unit : (i + 1) * unit]) for i in range(len(leaves) // unit))
        assert b"".join(tiles[key] for key in sorted(tiles) if key[0] == level) == hashes


@pytest.mark.parametrize("size", [65535, 65536, 65537])
def test_third_level(size):
    leaves = [i.to_bytes(32) for i in range(size)]
    grown = Tree()
    tiles = {(w.level, w.n): w.data for w in grown.append(leaves)}
    assert grown.root() == naive_root(leaves)
    assert {level for level, _ in tiles} == ({0, 1} if size < 65536 else {0, 1, 2})
    last = tree.inclusion(size - 1, size, lambda level, n: tiles[level, n])
    assert verify_inclusion(leaves[-1], size - 1, size, last, grown.root())
    proof = tree.consistency(300, size, lambda level, n: tiles[level, n])
    assert verify_consistency(300, size, naive_root(leaves[:300]), grown.root(), proof)


def test_a_copy_grows_on_its_own():
    one, leaves = Tree(), leaves_of(700)
    one.append(leaves[:599])
    other = one.copy()
    other.append(leaves[599:])
    assert (one.size, other.size) == (599, 700)
    assert one.root() == naive_root(leaves[:599])
    assert other.root() == naive_root(leaves)
    assert other.edge() == Tree.from_edge(700, other.edge()).edge()


def test_an_edge_that_does_not_fit_the_size_is_refused():
    log = publish([b"entry %d" % i for i in range(300)])
    edge = log.tree.edge()
    assert Tree.from_edge(300, edge).root() == log.tree.root()
    for wrong in ({}, {0: edge[0]}, {**edge, 0: edge[0][:-32]}, {**edge, 1: edge[1] * 2}):
        with pytest.raises(Malformed):
            Tree.from_edge(300, wrong)


def test_a_size_that_is_not_stored_yet_is_not_proven():
    log = publish([b"entry %d" % i for i in range(5)])
    with pytest.raises(Invalid):
        tree.inclusion(0, 6, log.read_tile)
