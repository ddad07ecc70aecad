"""Key state at rest: the pointer, the cell manifests (L1) and the tenants' shards (L2). All sealed."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update

from tenure.ids import CELL
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_p, _m, _s = tables.key_pointer, tables.key_manifests, tables.key_shards
_POINTER = Select(select(_p.c.seq, _p.c.digest).where(_p.c.tenant_id == bindparam("tenant_id")))
_ALL = select(_m.c.blob).where(_m.c.tenant_id == bindparam("tenant_id"))
_MANIFESTS, _MANIFEST = Select(_ALL), Select(_ALL.where(_m.c.seq == bindparam("seq")))
_SHARDS = Select(
    select(_s.c.depth, _s.c.prefix, _s.c.seq, _s.c.blob).where(_s.c.tenant_id == bindparam("tenant_id"))
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which cell manifest is the live one."""

    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class SealedShard:
    """One sealed L2 shard and its address."""

    depth: int
    prefix: int
    seq: int
    blob: bytes


def pointer(tx: Tx) -> Pointer | None:
    """The live pointer; None in a cell that was never initialised. Cell transaction."""
    rows = tx.look((_POINTER, {"tenant_id": CELL}))[0]
    return Pointer(*rows[0]) if rows else None


def manifest(tx: Tx, seq: int) -> bytes | None:
    """A sealed cell manifest by its number. Cell transaction."""
    rows = tx.look((_MANIFEST, {"tenant_id": CELL, "seq": seq}))[0]
    return rows[0][0] if rows else None


def manifests(tx: Tx) -> list[bytes]:
    """Every sealed cell manifest that is still here. Cell transaction."""
    return [blob for (blob,) in tx.look((_MANIFESTS, {"tenant_id": CELL}))[0]]


def stage_manifest(tx: Tx, seq: int, digest: bytes, blob: bytes) -> None:
    """Write a manifest beside the live one; idempotent. Cell transaction."""
    table = tables.key_manifests
    tx.execute(delete(table).where(table.c.tenant_id == CELL, table.c.seq == seq))
    tx.execute(insert(table).values(tenant_id=CELL, seq=seq, digest=digest, blob=blob))


def move_pointer(tx: Tx, old: Pointer | None, new: Pointer) -> bool:
    """Compare-and-set; False when someone else moved it first. Cell transaction."""
    table = tables.key_pointer
    if old is None:
        tx.execute(insert(table).values(tenant_id=CELL, seq=new.seq, digest=new.digest))
        return True
    done = tx.execute(
        update(table)
        .where(table.c.tenant_id == CELL, table.c.seq == old.seq, table.c.digest == old.digest)
        .values(seq=new.seq, digest=new.digest)
    )
    return done.rowcount == 1


def drop_manifests_before(tx: Tx, seq: int) -> None:
    """Delete manifests that no live root opens any more. Cell transaction."""
    table = tables.key_manifests
    tx.execute(delete(table).where(table.c.tenant_id == CELL, table.c.seq < seq))


def shards(tx: Tx) -> list[SealedShard]:
    """Every shard of the transaction's tenant, all versions."""
    return [SealedShard(*row) for row in tx.look((_SHARDS, {}))[0]]


def stage_shards(tx: Tx, new: Iterable[SealedShard]) -> None:
    """Write shards beside the live ones; idempotent."""
    table = tables.key_shards
    for shard in new:
        address = (
            table.c.tenant_id == tx.tenant_id,
            table.c.depth == shard.depth,
            table.c.prefix == shard.prefix,
            table.c.seq == shard.seq,
        )
        tx.execute(delete(table).where(*address))
        tx.execute(
            insert(table).values(
                tenant_id=tx.tenant_id,
                depth=shard.depth,
                prefix=shard.prefix,
                seq=shard.seq,
                blob=shard.blob,
            )
        )


def keep_shards(tx: Tx, live: set[tuple[int, int, int]]) -> None:
    """Delete every shard of the tenant but the live ones, given as (depth, prefix, seq)."""
    table = tables.key_shards
    for shard in shards(tx):
        if (shard.depth, shard.prefix, shard.seq) not in live:
            tx.execute(
                delete(table).where(
                    table.c.tenant_id == tx.tenant_id,
                    table.c.depth == shard.depth,
                    table.c.prefix == shard.prefix,
                    table.c.seq == shard.seq,
                )
            )
