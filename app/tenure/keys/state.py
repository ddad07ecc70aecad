"""The key state of a cell, and what a batch of erasures does to it. Pure: new state out of old.

    L0 root store ─seals─► cell key ─seals─► L1 cell manifest ─holds keys of─► L2 shards ─derive─► leaf keys

The order in which a batch's results are written, verified, pointed at and made irrevocable is the caller's
(`docs/spec/keys.md`, "A batch").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tenure.errors import Tampered
from tenure.keys.ggm import SHARD_LIMIT, PuncturedState
from tenure.keys.manifest import (
    CellManifest,
    TenantKeys,
    manifest_digest,
    manifest_root_version,
    open_manifest,
    seal_manifest,
)
from tenure.keys.sealed_shard import ShardRef, open_shard, seal_shard, seal_under_fresh_key
from tenure.keys.secret import Octets

__all__ = [
    "CellManifest",
    "NextState",
    "ShardRef",
    "TenantKeys",
    "manifest_digest",
    "manifest_root_version",
    "new_tenant",
    "next_state",
    "open_manifest",
    "open_shard",
    "seal_manifest",
    "seal_shard",
    "verify_narrowing",
    "with_ledger_seed",
]


@dataclass(frozen=True, slots=True)
class NextState:
    """What a batch makes: the next manifest, the touched tenants' states, and the sealed bytes to write."""

    manifest: CellManifest
    states: Mapping[str, PuncturedState]
    blobs: Mapping[str, Mapping[ShardRef, bytes]]
    """Tenant → new shard → its sealed bytes. Untouched shards keep their reference and their bytes."""


def new_tenant(
    manifest: CellManifest, tenant: str, seed: Octets, ledger_seed: Octets, ledger_generation: int = 1
) -> NextState:
    """The manifest with one tenant more, whose key state grows from `seed` (32 random bytes)."""
    if tenant in manifest.tenants:
        raise ValueError("the tenant has keys already")
    seq = manifest.seq + 1
    state = PuncturedState.fresh(seed)
    refs, blobs = _sealed(tenant, state, {}, seq)
    keys = TenantKeys(ledger_seed, ledger_generation, refs)
    return NextState(CellManifest(seq, {**manifest.tenants, tenant: keys}), {tenant: state}, {tenant: blobs})


def with_ledger_seed(manifest: CellManifest, tenant: str, seed: Octets) -> NextState:
    """The manifest with another ledger seed (32 random bytes) for one tenant; no shard is touched."""
    keys = replace(manifest.tenants[tenant], ledger_seed=seed)
    return NextState(CellManifest(manifest.seq + 1, {**manifest.tenants, tenant: keys}), {}, {})


def next_state(
    manifest: CellManifest,
    states: Mapping[str, PuncturedState],
    punctured: Mapping[str, Iterable[int]],
    *,
    dropped: Iterable[str] = (),
    shard_limit: int = SHARD_LIMIT,
) -> NextState:
    """Puncture leaves of any tenants and shred the tenants in `dropped`; the next manifest has seq + 1.

    `states` holds the opened state of each tenant in `punctured`, as `manifest` names it. Every shard that a
    leaf goes from is sealed under a fresh key; no other is touched. Raises Tampered when a state is not made
    of the shards that the manifest names, KeyError for a tenant that is in neither.
    """
    seq = manifest.seq + 1
    gone = set(dropped)
    tenants = {tenant: keys for tenant, keys in manifest.tenants.items() if tenant not in gone}
    after: dict[str, PuncturedState] = {}
    blobs: dict[str, Mapping[ShardRef, bytes]] = {}
    for tenant, leaves in punctured.items():
        keys, old = tenants[tenant], states[tenant]
        kept = _kept(old, keys.shards)
        after[tenant] = old.puncture(leaves, shard_limit=shard_limit)
        refs, blobs[tenant] = _sealed(tenant, after[tenant], kept, seq)
        tenants[tenant] = TenantKeys(keys.ledger_seed, keys.ledger_generation, refs)
    return NextState(CellManifest(seq, tenants), after, blobs)


def verify_narrowing(
    old: PuncturedState, new: PuncturedState, erased: Iterable[int], sample: Iterable[int]
) -> None:
    """Step 4 of a batch: `new`, read back from the mirror, is `old` without exactly the leaves `erased`.

    `erased` are all leaves the batch punctured; ones that `old` had lost before may be among them, and in
    `sample` are passed over. Raises Tampered, its `rule` naming the check that failed:
    `erased-derivable` a leaf of `erased` still has a key;
    `survivor-differs` a leaf of `sample` derives another key than before;
    `wider-or-forged` `new` derives something that `old` does not, or differently: a stale writer;
    `survivor-lost` a leaf went that is not in `erased` (all leaves are counted, not sampled).
    """
    leaves = set(erased)
    if not all(new.is_punctured(leaf) for leaf in leaves):
        raise _refused("erased-derivable", "a leaf of the batch can still be derived")
    for leaf in sample:
        if leaf in leaves or old.is_punctured(leaf):
            continue
        if new.is_punctured(leaf):
            raise _refused("survivor-lost", "a surviving leaf cannot be derived")
        if new.derive(leaf) != old.derive(leaf):
            raise _refused("survivor-differs", "a surviving leaf does not derive its old key")
    if not new.is_narrowing_of(old):
        raise _refused("wider-or-forged", "it derives what the state before it does not")
    newly = sum(not old.is_punctured(leaf) for leaf in leaves)
    if new.leaf_count != old.leaf_count - newly:
        raise _refused("survivor-lost", "it lost leaves that the batch did not name")


def _kept(state: PuncturedState, refs: tuple[ShardRef, ...]) -> dict[int, ShardRef]:
    """References by the identity of the shards that they name."""
    if [(shard.depth, shard.prefix) for shard in state.shards] != [(ref.depth, ref.prefix) for ref in refs]:
        raise _refused("state-of-manifest", "the opened state is not the one that the manifest names")
    return {id(shard): ref for shard, ref in zip(state.shards, refs, strict=True)}


def _sealed(
    tenant: str, state: PuncturedState, kept: Mapping[int, ShardRef], seq: int
) -> tuple[tuple[ShardRef, ...], dict[ShardRef, bytes]]:
    refs: list[ShardRef] = []
    blobs: dict[ShardRef, bytes] = {}
    for shard in state.shards:
        ref = kept.get(id(shard))
        if ref is None:
            ref, blob = seal_under_fresh_key(tenant, shard, seq)
            blobs[ref] = blob
        refs.append(ref)
    return tuple(refs), blobs


def _refused(rule: str, why: str) -> Tampered:
    return Tampered(
        f"The next key state was refused: {why}. The live key state did not change; run the batch again.",
        rule=rule,
    )
