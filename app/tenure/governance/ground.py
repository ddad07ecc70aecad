"""What key changes stand on, and keeping its two copies alike."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from tenure.cold.mirror import Mirror
from tenure.cold.objects import Objects
from tenure.errors import Tampered
from tenure.ids import CELL
from tenure.keyring import Keyring
from tenure.keys.rootstore import RootStore
from tenure.store import keystate, shreds, tenants
from tenure.store.database import Database
from tenure.store.session import Tx


class Ground(NamedTuple):
    """A cell's database, root store, mirror, opened keys and object tier."""

    database: Database
    roots: RootStore
    mirror: Mirror
    keyring: Keyring
    origin_prefix: str
    objects: Objects


def keep_certificates(ground: Ground, plan: Mapping[str, Any]) -> None:
    """Copy a batch's certificates to the mirror: a restored database must still name them."""
    for tenant_id, mine in plan.items():
        wanted = [one["shred"] for one in mine["erasures"] if ground.mirror.certificate(one["shred"]) is None]
        if wanted:
            for kept in ground.database.read(tenant_id, partial(_certificates, shred_ids=wanted)):
                ground.mirror.put_certificate(*kept)


def _certificates(tx: Tx, shred_ids: list[str]) -> list[tuple[str, str, str]]:
    found = [shreds.get(tx, shred_id) for shred_id in shred_ids]
    return [
        (one.id, one.certificate_id, shreds.certificate(tx, one.certificate_id) or "")
        for one in found
        if one is not None and one.certificate_id is not None
    ]


def re_mirror_history(ground: Ground) -> list[str]:
    """Copy what the mirror lacks of the journal of erasures, certificates and leaf epochs; for start-up.

    The batches that it lacked.
    """
    lacked = []
    for finished in (False, True):
        for batch in ground.database.read(CELL, partial(shreds.batches, finished=finished)):
            if not ground.mirror.has_intent(batch.op_id):
                lacked.append(batch.op_id)
                ground.mirror.put_intent(batch.op_id, batch.plan)
                keep_certificates(ground, batch.plan)
    epoch = ground.database.read(CELL, tenants.leaf_sequence)[0]
    if epoch > ground.mirror.leaf_epoch():
        ground.mirror.put_restore(epoch, {"mirrored": "again"})
    return lacked


def re_mirror(ground: Ground) -> None:
    """Copy what the mirror lacks of the live key state, everybody's; it may have been lost.

    Afterwards a restored database can adopt the live state from the mirror alone: what must hold before
    an old root is destroyed.
    """
    live, mirror = ground.keyring.live(), ground.mirror
    for tenant_id, keys in live.manifest.tenants.items():
        missing = [ref for ref in keys.shards if mirror.shard(tenant_id, ref) is None]
        if missing:
            stored = ground.database.read(tenant_id, keystate.shards)
            sealed = {(one.depth, one.prefix, one.seq): one for one in stored}
            for ref in missing:
                mirror.put_shard(tenant_id, sealed[ref.depth, ref.prefix, ref.seq])
                if mirror.shard(tenant_id, ref) is None:
                    raise Tampered("A stored shard is not the one that the key state names.")
    if mirror.manifest(live.pointer.seq, live.pointer.digest) is None:
        blob = ground.database.read(CELL, lambda tx: keystate.manifest(tx, live.pointer.seq))
        mirror.put_manifest(live.pointer.seq, live.pointer.digest, blob or b"")
    if mirror.pointer() != (live.pointer.seq, live.pointer.digest):
        mirror.put_pointer(live.pointer.seq, live.pointer.digest)
