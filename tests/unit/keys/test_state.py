"""Sealed key state: opens as sealed or not at all, and a batch re-keys what it touches and nothing else."""

import os
from hashlib import sha256

import keys_second as second
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeRootStore
from tenure.errors import KeyFailure, RootLost, Tampered
from tenure.keys.encoding import lp
from tenure.keys.ggm import PuncturedState, Shard, leaf_number
from tenure.keys.sealed_shard import seal_under_fresh_key
from tenure.keys.state import (
    CellManifest,
    ShardRef,
    TenantKeys,
    manifest_digest,
    manifest_root_version,
    new_tenant,
    next_state,
    open_manifest,
    open_shard,
    seal_manifest,
    verify_narrowing,
)

SEED = bytes(range(32))
LEDGER = b"\x33" * 32
FRESH = PuncturedState.fresh(SEED)


@pytest.fixture
def root():
    store = FakeRootStore()
    store.create("op")
    return store


@st.composite
def manifests(draw):
    key = st.binary(min_size=32, max_size=32)
    refs = st.tuples(st.integers(0, 2**64 - 1), key, key)
    tenants = {}
    for name in draw(st.lists(st.text(max_size=8), max_size=3, unique=True)):
        depth = draw(st.integers(2, 40))
        prefixes = draw(st.lists(st.integers(0, 2**depth - 1), max_size=3, unique=True))
        shards = tuple(ShardRef(depth, prefix, *draw(refs)) for prefix in sorted(prefixes))
        tenants[name] = TenantKeys(draw(key), draw(st.integers(0, 2**32 - 1)), shards)
    return CellManifest(draw(st.integers(0, 2**64 - 1)), tenants)


@settings(max_examples=50)
@given(manifests())
def test_a_manifest_opens_as_it_was_sealed(manifest):
    root = FakeRootStore()
    version = root.create("op")
    blob = seal_manifest(manifest, root, version)
    assert open_manifest(blob, root) == manifest
    assert manifest_root_version(blob) == version


def test_a_manifest_is_sealed_under_a_fresh_cell_key_each_time(root):
    manifest = new_tenant(CellManifest(0, {}), "acme", SEED, LEDGER).manifest
    one, two = seal_manifest(manifest, root, 1), seal_manifest(manifest, root, 1)
    assert manifest_digest(one) != manifest_digest(two)
    assert SEED not in one
    assert LEDGER not in one


def test_every_changed_byte_of_a_manifest_is_noticed(root):
    manifest = new_tenant(CellManifest(0, {}), "acme", SEED, LEDGER).manifest
    blob = seal_manifest(manifest, root, 1)
    for at in range(len(blob)):
        with pytest.raises(KeyFailure):
            open_manifest(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], root)
    for cut in range(len(blob)):
        with pytest.raises(Tampered):
            open_manifest(blob[:cut], root)
    with pytest.raises(Tampered):
        open_manifest(blob + b"\x00", root)


def test_a_manifest_of_a_destroyed_root_is_lost(root):
    blob = seal_manifest(CellManifest(1, {}), root, 1)
    root.destroy(1, "shred")
    with pytest.raises(RootLost):
        open_manifest(blob, root)


def test_a_manifest_cannot_be_given_another_number(root):
    """The sealed cell key is bound to the number as well, so not even the root store would open it."""
    blob = seal_manifest(CellManifest(1, {}), root, 1)
    with pytest.raises(Tampered):
        open_manifest(blob[:5] + (2).to_bytes(8) + blob[13:], root)


def sealed_by_hand(root, plain, seq=1):
    """A manifest with any plaintext, sealed as docs/spec/keys.md says."""
    key, nonce = os.urandom(32), os.urandom(12)
    place = seq.to_bytes(8) + (1).to_bytes(8)
    header = b"TNSM\x01" + place + lp(root.seal(1, key, lp(b"tenure/v1/cell-key", place))) + nonce
    return header + AESGCM(key).encrypt(nonce, plain, lp(b"tenure/v1/cell-manifest", header))


def tenant(name, *shards):
    entry = lp(name) + LEDGER + (1).to_bytes(4) + len(shards).to_bytes(4)
    return entry + b"".join(bytes([d]) + p.to_bytes(5) + bytes(8 + 32 + 32) for d, p in shards)


def plain(*tenants, seq=1):
    return b"TNCM\x01" + seq.to_bytes(8) + len(tenants).to_bytes(4) + b"".join(tenants)


def test_a_manifest_by_hand_opens(root):
    body = plain(tenant(b"a", (1, 0), (1, 1)), tenant(b"b"))
    assert set(open_manifest(sealed_by_hand(root, body), root).tenants) == {"a", "b"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(plain(tenant(b"b"), tenant(b"a")), id="tenants out of order"),
        pytest.param(plain(tenant(b"a"), tenant(b"a")), id="a tenant twice"),
        pytest.param(plain(tenant(b"\xff")), id="not UTF-8"),
        pytest.param(plain(tenant(b"a", (1, 1), (1, 0))), id="shards out of order"),
        pytest.param(plain(tenant(b"a", (0, 0), (1, 1))), id="shards overlap"),
        pytest.param(plain(tenant(b"a", (1, 2))), id="prefix out of range"),
        pytest.param(plain(tenant(b"a", (41, 0))), id="too deep"),
        pytest.param(plain(tenant(b"a")) + b"\x00", id="bytes after the end"),
        pytest.param(plain(tenant(b"a"))[:-1], id="cut"),
        pytest.param(plain(tenant(b"a"), seq=2), id="another number inside"),
        pytest.param(b"TNCM\x02" + plain()[5:], id="another version"),
    ],
)
def test_a_manifest_that_is_not_canonical_is_refused(root, body):
    with pytest.raises(Tampered):
        open_manifest(sealed_by_hand(root, body), root)


def test_a_shard_opens_for_its_tenant_place_and_version_only():
    ref, blob = seal_under_fresh_key("acme", FRESH.shards[0], 7)
    assert open_shard(blob, "acme", ref) == FRESH.shards[0]
    others = [
        ("other", ref),
        ("acme", ShardRef(1, 0, 7, ref.key, ref.digest)),
        ("acme", ShardRef(0, 1, 7, ref.key, ref.digest)),
        ("acme", ShardRef(0, 0, 8, ref.key, ref.digest)),
        ("acme", ShardRef(0, 0, 7, bytes(32), ref.digest)),
        ("acme", ShardRef(0, 0, 7, ref.key, bytes(32))),
    ]
    for name, wrong in others:
        with pytest.raises(Tampered):
            open_shard(blob, name, wrong)


def test_a_shard_that_is_another_subtree_inside_is_refused():
    inside = Shard.of(1, 0, [next(FRESH.shards[0].nodes).child(0)])
    key, nonce = os.urandom(32), os.urandom(12)
    aad = lp(b"tenure/v1/key-shard", b"acme", bytes([0]), bytes(5), (7).to_bytes(8))
    blob = b"TNSS\x01" + nonce + AESGCM(key).encrypt(nonce, inside.encode(), aad)
    with pytest.raises(Tampered):
        open_shard(blob, "acme", ShardRef(0, 0, 7, key, sha256(blob).digest()))


def test_a_changed_sealed_shard_is_noticed():
    ref, blob = seal_under_fresh_key("acme", FRESH.shards[0], 7)
    for at in range(len(blob)):
        with pytest.raises(Tampered):
            open_shard(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :], "acme", ref)


def cell(shard_limit=10**6):
    """Two tenants; acme has a few leaves punctured, and shards if the limit is small."""
    made = new_tenant(CellManifest(0, {}), "acme", SEED, LEDGER)
    states = dict(made.states)
    made = new_tenant(made.manifest, "bolt", SEED[::-1], LEDGER, 4)
    states |= made.states
    made = next_state(made.manifest, states, {"acme": [5000, leaf_number(200, 1)]}, shard_limit=shard_limit)
    return made.manifest, states | dict(made.states)


def test_a_new_tenant_derives_from_its_seed(root):
    made = new_tenant(CellManifest(4, {}), "acme", SEED, LEDGER, 2)
    assert made.manifest.seq == 5
    keys = made.manifest.tenants["acme"]
    assert (keys.ledger_seed, keys.ledger_generation) == (LEDGER, 2)
    ((ref, blob),) = made.blobs["acme"].items()
    assert keys.shards == (ref,)
    assert PuncturedState([open_shard(blob, "acme", ref)]).derive(9) == second.leaf_key(SEED, 9)
    with pytest.raises(ValueError, match="already"):
        new_tenant(made.manifest, "acme", SEED, LEDGER)


def test_a_batch_rekeys_the_shards_it_touches_and_no_other():
    manifest, states = cell(shard_limit=400)
    made = next_state(manifest, states, {"acme": [5001]}, shard_limit=10**6)
    old, new = manifest.tenants["acme"].shards, made.manifest.tenants["acme"].shards
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    assert len(old) > 2
    assert len(changed) == 1
    (before, after) = changed[0]
    assert after.key != before.key
    assert after.seq == made.manifest.seq == manifest.seq + 1
    assert list(made.blobs["acme"]) == [after]
    shard = open_shard(made.blobs["acme"][after], "acme", after)
    assert not shard.covers(5001)
    assert shard.covers(5002)
    assert made.manifest.tenants["bolt"] == manifest.tenants["bolt"]
    assert set(made.states) == {"acme"}


def test_a_batch_that_splits_a_shard_writes_both_halves():
    manifest, states = cell()
    made = next_state(manifest, states, {"acme": [5001]}, shard_limit=400)
    assert len(made.manifest.tenants["acme"].shards) > len(manifest.tenants["acme"].shards)
    assert set(made.blobs["acme"]) == set(made.manifest.tenants["acme"].shards)
    assert made.manifest.tenants["acme"].ledger_seed == LEDGER


def test_puncturing_what_is_punctured_writes_nothing():
    manifest, states = cell()
    made = next_state(manifest, states, {"acme": [5000]})
    assert made.blobs["acme"] == {}
    assert made.manifest.tenants == manifest.tenants


def test_a_dropped_tenant_is_in_no_later_manifest():
    manifest, states = cell()
    made = next_state(manifest, states, {}, dropped=["bolt"])
    assert set(made.manifest.tenants) == {"acme"}
    with pytest.raises(KeyError):
        next_state(made.manifest, states, {"bolt": [1]})


def test_a_state_that_is_not_the_manifests_is_refused():
    manifest, states = cell(shard_limit=400)
    with pytest.raises(Tampered) as refusal:
        next_state(manifest, states | {"acme": FRESH}, {"acme": [1]})
    assert refusal.value.rule == "state-of-manifest"


def test_a_manifest_cannot_be_changed_in_place():
    manifest, _ = cell()
    with pytest.raises(TypeError):
        manifest.tenants["mallory"] = manifest.tenants["acme"]


def test_a_ledger_seed_has_32_bytes():
    with pytest.raises(ValueError, match="32"):
        TenantKeys(b"short", 1, ())


def test_no_repr_shows_a_key():
    manifest, _ = cell()
    shown = repr(manifest)
    ref = manifest.tenants["acme"].shards[0]
    assert repr(LEDGER)[2:-1] not in shown
    assert repr(bytes(ref.key))[2:-1] not in shown


# ── verification of a batch ──────────────────────────────────────────────────────────────────────
leaves = st.sets(st.integers(0, 60), max_size=6)


@given(leaves, leaves, leaves)
def test_a_right_batch_verifies(before, erased, sample):
    old = FRESH.puncture(before)
    verify_narrowing(old, old.puncture(erased), erased, sample)


def refused(old, new, erased, sample=()):
    with pytest.raises(Tampered) as refusal:
        verify_narrowing(old, new, erased, sample)
    return refusal.value.rule


def test_a_wrong_batch_is_refused_by_name():
    old = FRESH.puncture([1])
    other = PuncturedState.fresh(bytes(32)).puncture([1, 2])
    assert refused(old, old, [2]) == "erased-derivable"
    assert refused(old, old.puncture([2, 3]), [2]) == "survivor-lost"
    assert refused(old, old.puncture([2, 3]), [2], [3]) == "survivor-lost"
    assert refused(old, other, [2], [3]) == "survivor-differs"
    assert refused(old, other, [2]) == "wider-or-forged"


def test_a_stale_writer_is_refused():
    """It punctures from a state that a later batch has narrowed: its result would bring leaf 5 back."""
    stale = FRESH.puncture([1])
    live = stale.puncture([5])
    assert refused(live, stale.puncture([7]), [7]) == "wider-or-forged"
