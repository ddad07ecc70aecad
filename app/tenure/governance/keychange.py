"""Making and moving key states: what tenant creation, erasure and restore have in common.

    stage   the new state goes to the mirror and, beside the live one, to the database
    swap    the pointer moves by compare-and-set, in the transaction of whoever needs it

Between the two a crash leaves a staged state that nobody uses.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tenure.cold.mirror import Mirror
from tenure.errors import RootLost
from tenure.ids import CELL
from tenure.keyring import Fetch, load_state
from tenure.keys.ggm import PuncturedState
from tenure.keys.rootstore import RootStore
from tenure.keys.state import CellManifest, NextState, manifest_digest, open_manifest, seal_manifest
from tenure.store import keystate
from tenure.store.database import Clash
from tenure.store.keystate import Pointer, SealedShard
from tenure.store.session import Tx


class Staged(NamedTuple):
    """A sealed new state that waits for the pointer."""

    manifest: CellManifest
    pointer: Pointer
    blob: bytes
    shards: Mapping[str, Sequence[SealedShard]]
    root_version: int
    verified_at: str = ""


def seal_state(new: NextState, roots: RootStore, version: int) -> Staged:
    """Seal a next state under a root version, ready to be staged."""
    blob = seal_manifest(new.manifest, roots, version)
    shards = {
        tenant_id: [SealedShard(ref.depth, ref.prefix, ref.seq, sealed) for ref, sealed in blobs.items()]
        for tenant_id, blobs in new.blobs.items()
    }
    return Staged(new.manifest, Pointer(new.manifest.seq, manifest_digest(blob)), blob, shards, version)


def mirror_state(mirror: Mirror, staged: Staged) -> None:
    """Copy a staged state to where a restore of the data does not reach.

    Shards first: a mirrored manifest never names a shard that is not there.
    """
    for tenant_id, shards in staged.shards.items():
        for shard in shards:
            mirror.put_shard(tenant_id, shard)
    mirror.put_manifest(staged.pointer.seq, staged.pointer.digest, staged.blob)


def stage(tx: Tx, staged: Staged) -> None:
    """Write a staged state beside the live one. Cell transaction; it comes back as the cell's."""
    keystate.stage_manifest(tx, staged.pointer.seq, staged.pointer.digest, staged.blob)
    for tenant_id, shards in staged.shards.items():
        tx.as_tenant(tenant_id)
        keystate.stage_shards(tx, shards)
    tx.as_tenant(CELL)


def swap(tx: Tx, old: Pointer | None, staged: Staged) -> None:
    """Move the pointer. Clash when someone else moved it first: nothing is changed."""
    if not keystate.move_pointer(tx, old, staged.pointer):
        raise Clash


def drop_dead(tx: Tx, live: CellManifest) -> None:
    """Delete sealed states that no live root opens any more. Cell transaction."""
    keystate.drop_manifests_before(tx, live.seq)
    for tenant_id, keys in live.tenants.items():
        tx.as_tenant(tenant_id)
        keystate.keep_shards(tx, {(ref.depth, ref.prefix, ref.seq) for ref in keys.shards})
    tx.as_tenant(CELL)


class Mirrored(NamedTuple):
    """A state as the mirror has it, opened."""

    pointer: Pointer
    blob: bytes
    manifest: CellManifest


def newest_mirrored(mirror: Mirror, roots: RootStore) -> Mirrored | None:
    """The newest mirrored state that was live and that a live root opens; None when nothing opens."""
    named = mirror.pointer()
    for one in mirror.manifests():
        if named is not None and one.seq > named[0]:
            continue  # staged, never live
        blob = mirror.objects.get(one.name)
        if blob is None:
            continue
        try:
            manifest = open_manifest(blob, roots)
        except RootLost:
            continue
        return Mirrored(Pointer(one.seq, manifest_digest(blob)), blob, manifest)
    return None


def mirrored_state(mirror: Mirror, manifest: CellManifest, tenant_id: str) -> PuncturedState:
    """A tenant's state, from the mirror's copies alone."""
    return load_state(tenant_id, manifest.tenants[tenant_id], mirrored_shards(mirror, tenant_id))


def mirrored_shards(mirror: Mirror, tenant_id: str) -> Fetch:
    """Fetch a tenant's shards from the mirror."""
    return lambda ref: mirror.shard(tenant_id, ref)
