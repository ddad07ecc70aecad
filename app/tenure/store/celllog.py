"""Tenants' checkpoints on their way into the cell's log, and what opens each of them there.

All rows are the cell's: a round is one transaction, and no tenant sees another's.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from sqlalchemy import delete, select

from tenure.ids import CELL
from tenure.ledger.cellproof import CellProof
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.tree import inclusion
from tenure.store import log, tables
from tenure.store.log import Log
from tenure.store.session import Tx
from tenure.store.statements import Insert

_q, _k = tables.cell_queue, tables.cell_checkpoints
_ENQUEUE = Insert(_q, replace=("generation", "origin", "size", "root"))
_KEEP = Insert(_k, replace=("salt", "place", "path", "writer", "n"))
_CANDIDATES = 8
"""How many of the newest are looked at for one whose entry is published: a round a second, published soon."""


class Waiting(NamedTuple):
    """A tenant's newest published checkpoint that is not in the cell's log yet."""

    id: str
    generation: int
    origin: str
    size: int
    root: bytes


class Taken(NamedTuple):
    """A checkpoint that went into the cell's log, and what opens it there."""

    id: str
    generation: int
    size: int
    salt: bytes
    place: int
    path: tuple[bytes, ...]


def enqueue(tx: Tx, published: Log) -> None:
    """Let the transaction's tenant's checkpoint go into the cell's log with the next round.

    Of several before that round the newest goes. Sent with the commit. The cell's own log is not
    enqueued.
    """
    tenant_id = tx.tenant_id
    if tenant_id == CELL:
        return
    tx.as_tenant(CELL)
    place = {"generation": published.generation, "origin": published.origin}
    tx.put(_ENQUEUE, {"id": tenant_id, **place, "size": published.size, "root": published.root})
    tx.as_tenant(tenant_id)


def take(tx: Tx, limit: int) -> list[Waiting]:
    """Take out what waits, at most `limit`. Cell transaction. Two round trips, one when nothing waits.

    Rows that another process is taking are passed over; one that a publisher is replacing waits for it.
    """
    columns = (_q.c.id, _q.c.generation, _q.c.origin, _q.c.size, _q.c.root)
    found = select(*columns).where(_q.c.tenant_id == CELL).order_by(_q.c.id).limit(limit)
    waiting = [Waiting(*row) for row in tx.execute(found.with_for_update(skip_locked=True))]
    if waiting:
        tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id.in_([one.id for one in waiting])))
    return waiting


def keep(tx: Tx, entry: str, taken: Sequence[Taken]) -> None:
    """Remember what opens these checkpoints in the cell's entry `<writer>-<n>`. Goes with the commit."""
    writer, _, n = entry.rpartition("-")
    tx.put(
        _KEEP,
        *(
            {
                "id": one.id,
                "generation": one.generation,
                "size": one.size,
                "salt": one.salt,
                "place": one.place,
                "path": b"".join(one.path),
                "writer": writer,
                "n": int(n),
            }
            for one in taken
        ),
    )


def newest_proof(
    tx: Tx, tenant_id: str, generation: int, *, above: int, upto: int | None
) -> tuple[int, CellProof] | None:
    """The newest checkpoint of a tenant's log that is provably in the cell's: its size, and the proof.

    Its size is above `above` and at most `upto`. Cell transaction. None when there is none yet. Round trips:
    three, and one for each proof hash that is not in a tile read before.
    """
    current = log.newest(tx)
    sizes = (_k.c.size > above,) if upto is None else (_k.c.size > above, _k.c.size <= upto)
    query = (
        select(_k.c.size, _k.c.salt, _k.c.place, _k.c.path, _k.c.writer, _k.c.n)
        .where(_k.c.tenant_id == CELL, _k.c.id == tenant_id, _k.c.generation == generation, *sizes)
        .order_by(_k.c.size.desc())
        .limit(_CANDIDATES)
    )
    for row in tx.execute(query).all():
        placed = log.entry(tx, row.writer, row.n)
        if placed is None or placed.idx is None or placed.generation is None or current is None:
            continue
        cell = placed.generation
        note = log.checkpoint(tx, cell, newest_upto=current.published if cell == current.generation else None)
        if note is None or (size := int(note.splitlines()[1])) <= placed.idx:
            continue
        proof = inclusion(placed.idx, size, partial(_tile, tx, cell))
        path = tuple(row.path[at : at + HASH_SIZE] for at in range(0, len(row.path), HASH_SIZE))
        return row.size, CellProof(row.salt, row.place, path, placed.body, placed.idx, tuple(proof), note)
    return None


def _tile(tx: Tx, generation: int, level: int, n: int) -> bytes:
    return log.tile(tx, generation, level, n) or b""
