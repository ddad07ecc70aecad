"""Erasures under way and their certificates."""

import json
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, insert, literal_column, or_, select, update

from tenure.ids import CELL
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_s, _c, _b, _q = tables.shreds, tables.certificates, tables.key_batches, tables.shred_queue

DONE = "completed"
AWAITING = "awaiting-scan"
"""The state of an erasure that is done but for a search that was asked for; as `scan` among the findings:
that one was asked for."""


_DONE: ColumnElement[Any] = literal_column(f"'{DONE}'")
_BATCHES = (
    select(_b.c.op_id, _b.c.plan, _b.c.state)
    .where(_b.c.tenant_id == bindparam("tenant_id"))
    .order_by(_b.c.created_at)
)
_FINISHED, _UNDER_WAY = (
    Select(_BATCHES.where(condition)) for condition in (_b.c.state == _DONE, _b.c.state != _DONE)
)


class Kind(StrEnum):
    """What an erasure takes away: a person, what only a hold keeps, what has had its time, or a tenant."""

    SUBJECT = "subject"
    HOLD = "hold"
    COHORT = "cohort"
    TENANT = "tenant"


class Shred(NamedTuple):
    """One erasure of the subject, hold, cohort or tenant `target_id`.

    `steps` maps a step's name to when it was done (RFC 3339). `findings` are counts and ids that the
    certificate states; empty until something was purged.
    """

    id: str
    kind: str
    target_id: str
    op_id: str | None
    state: str
    steps: dict[str, Any]
    requested_by: str
    requested_at: int
    findings: dict[str, Any]
    certificate_id: str | None


def create(tx: Tx, shred: Shred) -> None:
    """A new erasure."""
    written = {"steps": json.dumps(shred.steps), "findings": json.dumps(shred.findings)}
    tx.execute(insert(_s).values(tenant_id=tx.tenant_id, **{**shred._asdict(), **written}))


def enqueue(tx: Tx) -> None:
    """Somebody of the transaction's tenant waits for the next batch.

    Locks the tenant's row: a batch that takes it out meanwhile either sees who is asked for here, or is over
    before this looks, and then the row is put in again.
    """
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    there = select(_q.c.id).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id).with_for_update()
    if tx.execute(there).first() is None:
        tx.execute(insert(_q).values(tenant_id=CELL, id=tenant_id))
    tx.as_tenant(tenant_id)


def queue(tx: Tx) -> list[str]:
    """Tenants in which somebody waits. Cell transaction."""
    return list(tx.execute(select(_q.c.id).where(_q.c.tenant_id == CELL).order_by(_q.c.id)).scalars())


def dequeue(tx: Tx, tenant_id: str) -> None:
    """Take a tenant out, before looking who waits there (`enqueue`). Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id))


def get(tx: Tx, shred_id: str) -> Shred | None:
    """One erasure."""
    found = _select(tx, _s.c.id == shred_id)
    return found[0] if found else None


def of_target(tx: Tx, kind: Kind, target_id: str) -> Shred | None:
    """The erasure of a hold or a tenant, if it was asked for."""
    found = _select(tx, _s.c.kind == kind, _s.c.target_id == target_id)
    return found[0] if found else None


def requested(tx: Tx, limit: int) -> list[Shred]:
    """The tenant's erasures that no batch has taken, oldest first."""
    return _select(tx, _s.c.state == "requested", limit=limit)


def under_way(tx: Tx) -> list[tuple[str, str]]:
    """(id, state) of the tenant's erasures that a batch has taken and that are not certified yet."""
    # Completed ones are most of them: two ranges around them, which the index on states has.
    open_ = or_(_s.c.state < DONE, _s.c.state > DONE)
    query = select(_s.c.id, _s.c.state).where(_s.c.tenant_id == tx.tenant_id, open_, _s.c.op_id.is_not(None))
    return [(row.id, row.state) for row in tx.execute(query.order_by(_s.c.id))]


def page(tx: Tx, *, after: str | None, limit: int) -> list[Shred]:
    """The tenant's erasures, newest first (their ids sort by time)."""
    older = () if after is None else (_s.c.id < after,)
    return _select(tx, *older, limit=limit, newest_first=True)


def in_batch(tx: Tx, op_id: str) -> list[Shred]:
    """The tenant's erasures in one key batch."""
    return _select(tx, _s.c.op_id == op_id)


def move(tx: Tx, shred: Shred) -> None:
    """Store an erasure's new state, steps and certificate."""
    tx.execute(
        update(_s)
        .where(_s.c.tenant_id == tx.tenant_id, _s.c.id == shred.id)
        .values(
            state=shred.state,
            op_id=shred.op_id,
            steps=json.dumps(shred.steps),
            findings=json.dumps(shred.findings),
            certificate_id=shred.certificate_id,
        )
    )


def keep_certificate(tx: Tx, certificate_id: str, shred_id: str, envelope: str, *, at: int) -> None:
    """Store a signed certificate."""
    tx.execute(
        insert(_c).values(
            tenant_id=tx.tenant_id, id=certificate_id, shred_id=shred_id, envelope=envelope, created_at=at
        )
    )


def certificates(tx: Tx, *, after: str | None, limit: int) -> list[tuple[str, str]]:
    """(id, envelope) of the tenant's certificates behind an id, in order."""
    query = select(_c.c.id, _c.c.envelope).where(_c.c.tenant_id == tx.tenant_id)
    if after is not None:
        query = query.where(_c.c.id > after)
    return [(row.id, row.envelope) for row in tx.execute(query.order_by(_c.c.id).limit(limit))]


def certificate(tx: Tx, certificate_id: str) -> str | None:
    """A certificate's envelope."""
    return tx.execute(
        select(_c.c.envelope).where(_c.c.tenant_id == tx.tenant_id, _c.c.id == certificate_id)
    ).scalar_one_or_none()


class Batch(NamedTuple):
    """One run of the eight steps over all erasures waiting in the cell."""

    op_id: str
    plan: dict[str, Any]
    state: str


def open_batch(tx: Tx, batch: Batch, *, at: int) -> None:
    """Record a batch's intent. Cell transaction."""
    tx.execute(
        insert(_b).values(
            tenant_id=CELL, op_id=batch.op_id, plan=json.dumps(batch.plan), state=batch.state, created_at=at
        )
    )


def move_batch(tx: Tx, op_id: str, old: str, new: str) -> bool:
    """Compare-and-set a batch's state; False when it is in another by now. Cell transaction."""
    here = (_b.c.tenant_id == CELL, _b.c.op_id == op_id, _b.c.state == old)
    return tx.execute(update(_b).where(*here).values(state=new)).rowcount == 1


def batches(tx: Tx, *, finished: bool = False) -> list[Batch]:
    """Batches that are under way, or all that finished, oldest first. Cell transaction."""
    rows = tx.look((_FINISHED if finished else _UNDER_WAY, {"tenant_id": CELL}))[0]
    return [Batch(op_id, json.loads(plan), state) for op_id, plan, state in rows]


def _select(
    tx: Tx, *conditions: ColumnElement[bool], limit: int | None = None, newest_first: bool = False
) -> list[Shred]:
    rows = tx.execute(
        select(
            _s.c.id,
            _s.c.kind,
            _s.c.target_id,
            _s.c.op_id,
            _s.c.state,
            _s.c.steps,
            _s.c.requested_by,
            _s.c.requested_at,
            _s.c.findings,
            _s.c.certificate_id,
        )
        .where(_s.c.tenant_id == tx.tenant_id, *conditions)
        .order_by(_s.c.id.desc() if newest_first else _s.c.id)
        .limit(limit)
    )
    read = {"steps": json.loads, "findings": json.loads}
    return [
        Shred(**{name: read[name](value) if name in read else value for name, value in row._mapping.items()})
        for row in rows
    ]
