"""The promise: an erased leaf is underivable from every old copy together with every secret that is alive.

The attacker keeps every manifest and every sealed shard ever written (backups, replicas, the mirror), may ask
the root store to unseal anything, and tries every key it finds on everything it has, until nothing new
comes. It is written with the second implementation, and ignores digests and places: only keys count.
"""

from dataclasses import dataclass, field

import keys_second as second
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import FakeRootStore
from tenure.errors import KeyFailure
from tenure.keys.encoding import lp
from tenure.keys.ggm import PuncturedState
from tenure.keys.sealed_shard import ShardRef, seal_shard
from tenure.keys.state import CellManifest, new_tenant, next_state, open_manifest, seal_manifest

TINY = 400
TENANTS = ("acme", "bolt")


@dataclass
class Attic:
    """A cell and every byte that it ever wrote."""

    root: FakeRootStore = field(default_factory=FakeRootStore)
    manifests: list[bytes] = field(default_factory=list)
    shards: list[tuple[str, ShardRef, bytes]] = field(default_factory=list)
    manifest: CellManifest = field(default_factory=lambda: CellManifest(0, {}))
    states: dict[str, PuncturedState] = field(default_factory=dict)
    version: int = 0

    @classmethod
    def built(cls):
        attic = cls()
        attic.version = attic.root.create("first")
        for number, name in enumerate(TENANTS):
            attic.keep(new_tenant(attic.manifest, name, bytes([number]) * 32, bytes(32)))
        return attic

    def keep(self, made):
        self.manifest = made.manifest
        self.states |= made.states
        self.shards += [(t, ref, blob) for t, blobs in made.blobs.items() for ref, blob in blobs.items()]
        self.manifests.append(seal_manifest(made.manifest, self.root, self.version))

    def batch(self, punctured, dropped=()):
        """The order of docs/spec/keys.md, up to but without the destruction. Returns the old root version."""
        old, self.version = self.version, self.root.create(f"batch-{len(self.manifests)}")
        self.keep(next_state(self.manifest, self.states, punctured, dropped=dropped, shard_limit=TINY))
        return old


def reachable(attic):
    """Every (tenant, depth, prefix, seed) that the attacker ends up with."""
    keys = set()
    for blob in attic.manifests:
        try:
            manifest = open_manifest(blob, attic.root)
        except KeyFailure:
            continue
        keys |= {bytes(ref.key) for tenant in manifest.tenants.values() for ref in tenant.shards}
    nodes = set()
    for tenant, ref, blob in attic.shards:
        aad = lp(
            b"tenure/v1/key-shard",
            tenant.encode(),
            ref.depth.to_bytes(1),
            ref.prefix.to_bytes(5),
            ref.seq.to_bytes(8),
        )
        for key in keys:
            try:
                plain = second.AESGCM(key).decrypt(blob[5:17], blob[17:], aad)
            except InvalidTag:
                continue
            nodes |= {(tenant, *node) for node in second.decode_shard(plain)[2]}
    return nodes


def reaches(attic, tenant, leaf):
    return any(
        name == tenant and leaf >> (40 - depth) == prefix for name, depth, prefix, _ in reachable(attic)
    )


leaf = st.one_of(st.integers(4097, 4105), st.integers(0, 2**40 - 1))
batches = st.lists(
    st.dictionaries(st.sampled_from(TENANTS), st.sets(leaf, min_size=1, max_size=2), min_size=1),
    min_size=1,
    max_size=3,
)


@settings(max_examples=25, deadline=None)
@given(batches)
def test_what_was_erased_cannot_be_reached_from_anything_old_or_new(plan):
    attic = Attic.built()
    for punctured in plan:
        fresh = [
            (t, one) for t, gone in punctured.items() for one in gone if not attic.states[t].is_punctured(one)
        ]
        old = attic.batch(punctured)
        assert all(reaches(attic, *one) for one in fresh), (
            "the control: before the old root is destroyed, the search does reach the erased leaves"
        )
        attic.root.destroy(old, "shred")
    nodes = reachable(attic)
    for tenant in TENANTS:
        erased = {one for punctured in plan for one in punctured.get(tenant, ())}
        seed = bytes([TENANTS.index(tenant)]) * 32
        assert {node[1:] for node in nodes if node[0] == tenant} == set(second.cover(seed, sorted(erased)))


def test_a_dropped_tenant_is_gone_whole():
    attic = Attic.built()
    old = attic.batch({}, dropped=["bolt"])
    assert reaches(attic, "bolt", 4097)
    attic.root.destroy(old, "shred")
    assert not reaches(attic, "bolt", 4097)
    assert reaches(attic, "acme", 4097)


def test_without_the_fresh_shard_key_an_old_backup_would_bring_the_person_back():
    """Why every touched shard is re-keyed: the same batch with the key kept."""
    attic = Attic.built()
    (kept,) = attic.manifest.tenants["acme"].shards
    old = attic.batch({"acme": [4097]})
    attic.root.destroy(old, "shred")
    assert not reaches(attic, "acme", 4097)
    ref = attic.manifest.tenants["acme"].shards[0]
    careless = ShardRef(ref.depth, ref.prefix, ref.seq, kept.key, ref.digest)
    tenants = dict(attic.manifest.tenants)
    tenants["acme"] = type(tenants["acme"])(bytes(32), 1, (careless, *tenants["acme"].shards[1:]))
    attic.manifests.append(seal_manifest(CellManifest(9, tenants), attic.root, attic.version))
    assert reaches(attic, "acme", 4097)


def test_a_root_that_only_claims_to_be_destroyed_is_found_out_by_the_search():
    attic = Attic.built()
    attic.root.lies = True
    old = attic.batch({"acme": [4097]})
    assert attic.root.destroy(old, "shred").state == "destroyed"
    assert reaches(attic, "acme", 4097)


def test_an_aborted_batch_leaves_nothing_that_outlives_its_root():
    """Crash after staging: the orphan root goes, the live state stays, and the next batch holds."""
    attic = Attic.built()
    live, manifest, states = attic.version, attic.manifest, dict(attic.states)
    attic.batch({"acme": [4097]})
    attic.root.destroy(attic.version, "drop orphan")
    attic.version, attic.manifest, attic.states = live, manifest, states
    assert reaches(attic, "acme", 4097)
    attic.root.destroy(attic.batch({"acme": [4098]}), "shred")
    assert not reaches(attic, "acme", 4098)
    assert reaches(attic, "acme", 4097)


def test_the_root_of_a_writer_that_lost_the_race_must_go_too():
    """Two writers stage from one state. The loser's manifest still holds the key of the unpunctured shard."""
    attic = Attic.built()
    manifest, states = attic.manifest, dict(attic.states)
    first = attic.batch({"acme": [4097]})
    winner = attic.version
    attic.manifest, attic.states = manifest, states
    attic.batch({"bolt": [4098]})
    loser = attic.version
    assert loser > winner
    attic.root.destroy(first, "shred")
    assert reaches(attic, "acme", 4097), "older roots are not all: the loser's is newer, and alive"
    attic.root.destroy(loser, "shred")
    assert not reaches(attic, "acme", 4097)


def test_a_shard_key_seals_one_version_only():
    attic = Attic.built()
    for gone in ([4097], [4098], [4099]):
        attic.batch({"acme": gone})
    keys = [bytes(ref.key) for _, ref, _ in attic.shards]
    assert len(set(keys)) == len(keys)
    with pytest.raises(ValueError, match="key"):
        seal_shard("acme", attic.states["acme"].shards[0], 1, b"short")
