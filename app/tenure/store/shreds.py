"""Erasures under way and their certificates."""

import json
from typing import Any, NamedTuple

from sqlalchemy import insert, select, update

from tenure.ids import CELL
from tenure.store import tables
from tenure.store.session import Tx

_s, _c, _b = tables.shreds, tables.certificates, tables.key_batches

DONE = "completed"


class Shred(NamedTuple):
    """One subject's erasure. `steps` maps a step's name to when it was done (microseconds)."""

    id: str
    subject_id: str
    op_id: str | None
    state: str
    steps: dict[str, Any]
    requested_by: str
    requested_at: int
    certificate_id: str | None


def create(tx: Tx, shred: Shred) -> None:
    """A new erasure."""
    tx.execute(
        insert(_s).values(tenant_id=tx.tenant_id, **{**shred._asdict(), "steps": json.dumps(shred.steps)})
    )


def get(tx: Tx, shred_id: str) -> Shred | None:
    """One erasure."""
    found = _select(tx, _s.c.id == shred_id)
    return found[0] if found else None


def in_state(tx: Tx, *states: str) -> list[Shred]:
    """The tenant's erasures in these states, oldest first."""
    return _select(tx, _s.c.state.in_(states))


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


def move_batch(tx: Tx, op_id: str, state: str) -> None:
    """Store a batch's new state. Cell transaction."""
    tx.execute(update(_b).where(_b.c.tenant_id == CELL, _b.c.op_id == op_id).values(state=state))


def batches(tx: Tx, *, finished: bool = False) -> list[Batch]:
    """Batches that are under way, or all that finished, oldest first. Cell transaction."""
    condition = _b.c.state == DONE if finished else _b.c.state != DONE
    rows = tx.execute(
        select(_b.c.op_id, _b.c.plan, _b.c.state)
        .where(_b.c.tenant_id == CELL, condition)
        .order_by(_b.c.created_at)
    )
    return [Batch(row.op_id, json.loads(row.plan), row.state) for row in rows]


def _select(tx: Tx, *conditions: Any) -> list[Shred]:  # noqa: ANN401
    rows = tx.execute(
        select(
            _s.c.id,
            _s.c.subject_id,
            _s.c.op_id,
            _s.c.state,
            _s.c.steps,
            _s.c.requested_by,
            _s.c.requested_at,
            _s.c.certificate_id,
        )
        .where(_s.c.tenant_id == tx.tenant_id, *conditions)
        .order_by(_s.c.id)
    )
    return [Shred(**{**row._mapping, "steps": json.loads(row.steps)}) for row in rows]
