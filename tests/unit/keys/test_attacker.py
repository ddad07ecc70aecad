"""Random histories of a cell against an attacker who keeps every sealed byte and has every live root key.

Batches over several tenants with many small shards, batches that crash before the swap, writers that lose the
race for it, tenants that come and go. After each the attacker (`support.oracle`) takes what can be taken:
never a leaf that was erased, always one that was not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from fakes import FakeRootStore
from support.attic import Address, Attic, SealedShard
from support.oracle import Oracle
from tenure.errors import Shredded, Tampered
from tenure.keys.ggm import PuncturedState
from tenure.keys.state import (
    CellManifest,
    NextState,
    ShardRef,
    TenantKeys,
    new_tenant,
    next_state,
    open_shard,
    seal_manifest,
    seal_shard,
)

TINY = 1500
"""Bytes of a shard: less than one far leaf's path needs, so that one erasure already makes several shards."""
TENANTS = ("acme", "bolt", "crux")
LEAVES = (4097, 4098, 4099, 4100, 2**32, 2**40 - 1)

batches = st.dictionaries(
    st.sampled_from(TENANTS), st.sets(st.sampled_from(LEAVES), min_size=1, max_size=3), min_size=1
)


class Live(NamedTuple):
    """What the pointer names."""

    manifest: CellManifest
    states: Mapping[str, PuncturedState]
    version: int


class History(RuleBasedStateMachine):
    """A cell, everything that it ever wrote, and what its people were promised."""

    next_state = staticmethod(next_state)

    def __init__(self) -> None:
        super().__init__()
        self.root = FakeRootStore()
        self.attic = Attic()
        self.sealed: list[tuple[ShardRef, Address, bytes]] = []
        self.first_keys: dict[tuple[str, int], bytes] = {}
        self.erased: set[tuple[str, int]] = set()
        self.live = Live(CellManifest(0, {}), {}, self.root.create("first"))

    @initialize()
    def begin(self) -> None:
        for number, tenant in enumerate(TENANTS[:2]):
            self._found(tenant, bytes([number]) * 32)

    # ── what happens in a cell ───────────────────────────────────────────────────────────────────
    @rule(batch=batches)
    def erase(self, batch: dict[str, set[int]]) -> None:
        self._swap(self._staged(self._known(batch)), self._known(batch))

    @rule(batch=batches)
    def crash_before_the_swap(self, batch: dict[str, set[int]]) -> None:
        """Staged and mirrored, never pointed at: the next start destroys the root that nobody uses."""
        self.root.destroy(self._staged(self._known(batch)).version, "orphan")

    @rule(first=batches, second=batches)
    def lose_a_race(self, first: dict[str, set[int]], second: dict[str, set[int]]) -> None:
        """Both stage from one state; only one of them is swapped in, and the other's root goes too."""
        loser = self._staged(self._known(second))
        winner = self._staged(self._known(first))
        self._swap(winner, self._known(first))
        self.root.destroy(loser.version, "lost the race")

    @rule(tenant=st.sampled_from(TENANTS))
    def shred_a_tenant(self, tenant: str) -> None:
        if tenant in self.live.manifest.tenants:
            after = self._staged({}, dropped=[tenant])
            self._swap(after, {tenant: set(LEAVES)})

    @rule()
    def meet_a_tenant(self) -> None:
        if "crux" not in self.live.manifest.tenants and ("crux", LEAVES[0]) not in self.first_keys:
            self._found("crux", b"c" * 32)

    # ── what must hold ───────────────────────────────────────────────────────────────────────────
    @invariant()
    def nobody_erased_is_reached_and_everybody_else_is(self) -> None:
        oracle = Oracle(self.attic, self.root)
        for who, key in self.first_keys.items():
            if who in self.erased:
                with pytest.raises(Shredded):
                    oracle.leaf_key(*who)
            else:
                assert oracle.leaf_key(*who) == key

    # ── doing it ─────────────────────────────────────────────────────────────────────────────────
    def _known(self, batch: dict[str, set[int]]) -> dict[str, set[int]]:
        return {tenant: leaves for tenant, leaves in batch.items() if tenant in self.live.manifest.tenants}

    def _found(self, tenant: str, seed: bytes) -> None:
        made = new_tenant(self.live.manifest, tenant, seed, bytes(32))
        self._keep(made, self.live.version)
        self.live = Live(made.manifest, {**self.live.states, **made.states}, self.live.version)
        fresh = PuncturedState.fresh(seed)
        self.first_keys |= {(tenant, leaf): bytes(fresh.derive(leaf)) for leaf in LEAVES}

    def _staged(self, batch: Mapping[str, Iterable[int]], **how: Any) -> Live:
        version = self.root.create(f"op-{len(self.root.list())}")
        made = self.next_state(self.live.manifest, self.live.states, batch, shard_limit=TINY, **how)
        self._fresh_keys(made)
        self._keep(made, version)
        return Live(made.manifest, {**self.live.states, **made.states}, version)

    def _swap(self, after: Live, erased: Mapping[str, Iterable[int]]) -> None:
        before, self.live = self.live, after
        self.root.destroy(before.version, "batch")
        self.erased |= {(tenant, leaf) for tenant, leaves in erased.items() for leaf in leaves}

    def _keep(self, made: NextState, version: int) -> None:
        self.attic.manifests.add(seal_manifest(made.manifest, self.root, version))
        for tenant, blobs in made.blobs.items():
            for ref, blob in blobs.items():
                address = Address(tenant, ref.depth, ref.prefix, ref.seq)
                self.attic.shards.add(SealedShard(address, blob))
                self.sealed.append((ref, address, blob))

    def _fresh_keys(self, made: NextState) -> None:
        """A shard that a batch touched has a key that opens nothing older, and no older key opens it."""
        new = [
            (ref, Address(tenant, ref.depth, ref.prefix, ref.seq), blob)
            for tenant, blobs in made.blobs.items()
            for ref, blob in blobs.items()
        ]
        for old_ref, old_address, old_blob in self.sealed:
            for ref, address, blob in new:
                assert not _opens(old_ref.key, address, blob), "an old key opens a new shard"
                assert not _opens(ref.key, old_address, old_blob), "a new key opens an old shard"


def _opens(key: bytes, address: Address, blob: bytes) -> bool:
    ref = ShardRef(address.depth, address.prefix, address.seq, key, sha256(blob).digest())
    try:
        open_shard(blob, address.tenant, ref)
    except Tampered:
        return False
    return True


def _under_old_keys(manifest: CellManifest, *given: Any, **how: Any) -> NextState:
    """A careless `next_state`: what it touched is sealed under the key that opened it before."""
    made = next_state(manifest, *given, **how)
    tenants, blobs = dict(made.manifest.tenants), {}
    for tenant, new in made.blobs.items():
        shards = {(one.depth, one.prefix): one for one in made.states[tenant].shards}
        resealed: dict[ShardRef, ShardRef] = {}
        blobs[tenant] = {}
        for ref in new:
            old = next(
                one
                for one in manifest.tenants[tenant].shards
                if one.depth <= ref.depth and ref.prefix >> (ref.depth - one.depth) == one.prefix
            )
            blob = seal_shard(tenant, shards[ref.depth, ref.prefix], ref.seq, old.key)
            resealed[ref] = replace(ref, key=old.key, digest=sha256(blob).digest())
            blobs[tenant][resealed[ref]] = blob
        keys = tenants[tenant]
        refs = tuple(resealed.get(ref, ref) for ref in keys.shards)
        tenants[tenant] = TenantKeys(keys.ledger_seed, keys.ledger_generation, refs)
    return NextState(CellManifest(made.manifest.seq, tenants), made.states, blobs)


class Careless(History):
    """The same cell, with shard keys that are kept."""

    next_state = staticmethod(_under_old_keys)

    def _fresh_keys(self, made: NextState) -> None:
        """Not looked at: the attacker has to notice."""


class CarelessAndWatched(History):
    """The same, with somebody who looks at the keys."""

    next_state = staticmethod(_under_old_keys)


class Forgetful(History):
    """A cell that keeps the root of a writer that lost the race."""

    @rule(first=batches, second=batches)
    def lose_a_race(self, first: dict[str, set[int]], second: dict[str, set[int]]) -> None:
        self._staged(self._known(second))
        self.erase(first)


SEARCH = settings(max_examples=25, stateful_step_count=8, deadline=None)
AS_FOUND = settings(SEARCH, phases=[Phase.generate], database=None, max_examples=200)
"""For cells that are broken on purpose: found is enough, the smallest history is not looked for."""

TestHistory = History.TestCase
TestHistory.settings = SEARCH


@pytest.mark.parametrize(
    ("broken", "how"),
    [
        (Careless, "DID NOT RAISE"),
        (CarelessAndWatched, "an old key opens a new shard"),
        (Forgetful, "DID NOT RAISE"),
    ],
)
def test_a_broken_cell_is_found_out(broken: type[History], how: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=how):
        run_state_machine_as_test(broken, settings=AS_FOUND)
