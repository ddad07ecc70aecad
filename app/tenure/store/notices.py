"""Notices to recipients, and in which tenants some wait, for the whole cell.

A tenant's row in the queue is its lock, too: whoever changes a notice takes it first, and counts anew at the
end. So the numbers are right, a recipient's order has no ties, and nobody claims what another one has.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Subquery, and_, delete, func, insert, select, update

from tenure.ids import CELL
from tenure.model.notices import Notice, State
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.shreds import Kind

_t, _q, _s = tables.notices, tables.notice_queue, tables.shreds
_QUEUED, _DEAD = State.QUEUED.value, State.DEAD.value


class Waiting(NamedTuple):
    """How many wait, since when the oldest does (microseconds), and how many are dead: of a tenant."""

    tenant_id: str
    waiting: int
    oldest_at: int | None
    dead: int


def create(tx: Tx, new: Notice) -> None:
    """A new one."""
    tx.execute(insert(_t).values(tenant_id=tx.tenant_id, **new._asdict()))


def move(tx: Tx, new: Notice) -> None:
    """Store what became of one."""
    values = {name: value for name, value in new._asdict().items() if name != "id"}
    tx.execute(update(_t).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == new.id).values(**values))


def get(tx: Tx, notice_id: str) -> Notice | None:
    """One of them."""
    found = _select(tx, _t.c.id == notice_id, limit=1)
    return found[0] if found else None


def about(tx: Tx, request_id: str, recipient: str, event: str) -> Notice | None:
    """The one that tells a recipient this of a request."""
    same = and_(_t.c.request_id == request_id, _t.c.recipient == recipient, _t.c.event == event)
    found = _select(tx, same, limit=1)
    return found[0] if found else None


def of_request(tx: Tx, request_id: str) -> list[Notice]:
    """All of a request, in the order in which they were made."""
    return list(reversed(_select(tx, _t.c.request_id == request_id)))


def page(tx: Tx, *, state: str | None, request_id: str | None, after: str | None, limit: int) -> list[Notice]:
    """The tenant's, newest first (their ids sort by time)."""
    conditions = [] if state is None else [_t.c.state == state]
    conditions += [] if request_id is None else [_t.c.request_id == request_id]
    conditions += [] if after is None else [_t.c.id < after]
    return _select(tx, *conditions, limit=limit)


def next_seq(tx: Tx, recipient: str) -> int:
    """The number of a recipient's next notice. Under the lock."""
    highest = select(func.max(_t.c.seq)).where(_t.c.tenant_id == tx.tenant_id, _t.c.recipient == recipient)
    return int(tx.execute(highest).scalar_one() or 0) + 1


def due(tx: Tx, at: int, *, limit: int) -> list[str]:
    """Recipients whose oldest queued notice is due, those that wait longest first."""
    heads = _heads(tx.tenant_id)
    query = select(heads.c.recipient).where(heads.c.next_at <= at).order_by(heads.c.next_at).limit(limit)
    return list(tx.execute(query).scalars())


def head(tx: Tx, recipient: str) -> Notice | None:
    """A recipient's oldest queued notice: none of its later ones is sent before."""
    columns = [_t.c[name] for name in Notice._fields]
    query = (
        select(*columns)
        .where(_t.c.tenant_id == tx.tenant_id, _t.c.recipient == recipient, _t.c.state == _QUEUED)
        .order_by(_t.c.seq)
        .limit(1)
    )
    row = tx.execute(query).first()
    return None if row is None else Notice(*row)


def purge(tx: Tx, request_id: str) -> None:
    """Forget a request's notices: with its case, when that has had its time. Lock first, count afterwards."""
    tx.execute(delete(_t).where(_t.c.tenant_id == tx.tenant_id, _t.c.request_id == request_id))


# ── for the whole cell ─────────────────────────────────────────────────────────────────────────────
def lock(tx: Tx, *, begin: bool = False) -> bool:
    """Let nobody else change the tenant's notices until this transaction ends; False when none are open.

    `begin`: one is about to be.
    """
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    mine = select(_q.c.id).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id).with_for_update()
    there = tx.execute(mine).first() is not None
    if begin and not there:
        tx.execute(insert(_q).values(tenant_id=CELL, id=tenant_id, waiting=0, dead=0))
    tx.as_tenant(tenant_id)
    return there or begin


def count(tx: Tx) -> None:
    """Say in the queue how the tenant's notices stand, under the lock; with none open it leaves the queue."""
    tenant_id = tx.tenant_id
    heads = _heads(tenant_id)
    queued = _t.c.state == _QUEUED
    row = tx.execute(
        select(
            func.count().filter(queued),
            func.min(_t.c.created_at).filter(queued),
            func.count().filter(_t.c.state == _DEAD),
            select(func.min(heads.c.next_at)).scalar_subquery(),
        ).where(_t.c.tenant_id == tenant_id, _t.c.state.in_((_QUEUED, _DEAD)))
    ).one()
    tx.as_tenant(CELL)
    if row[0] or row[2]:
        values = {"waiting": row[0], "oldest_at": row[1], "dead": row[2], "due_at": row[3]}
        tx.execute(update(_q).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id).values(**values))
    else:
        forget(tx, tenant_id)
    tx.as_tenant(tenant_id)


def queue(tx: Tx, at: int) -> list[str]:
    """Tenants in which something is due, but for those that leave. Cell transaction."""
    leaving = select(_s.c.id).where(
        _s.c.tenant_id == CELL, _s.c.kind == Kind.TENANT.value, _s.c.target_id == _q.c.id
    )
    query = select(_q.c.id).where(_q.c.tenant_id == CELL, _q.c.due_at <= at, ~leaving.exists())
    return list(tx.execute(query.order_by(_q.c.due_at)).scalars())


def waiting(tx: Tx) -> list[Waiting]:
    """How it stands in each tenant with open or dead ones. Cell transaction."""
    query = select(_q.c.id, _q.c.waiting, _q.c.oldest_at, _q.c.dead).where(_q.c.tenant_id == CELL)
    return [Waiting(*row) for row in tx.execute(query.order_by(_q.c.id))]


def forget(tx: Tx, tenant_id: str) -> None:
    """Take a tenant out of the queue: nothing of it is sent any more. Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id))


def _heads(tenant_id: str) -> Subquery:
    """(recipient, next_at) of each recipient's oldest queued notice."""
    first = (
        select(_t.c.recipient, func.min(_t.c.seq).label("seq"))
        .where(_t.c.tenant_id == tenant_id, _t.c.state == _QUEUED)
        .group_by(_t.c.recipient)
        .subquery()
    )
    same = and_(_t.c.recipient == first.c.recipient, _t.c.seq == first.c.seq)
    return (
        select(_t.c.recipient, _t.c.next_at).join(first, same).where(_t.c.tenant_id == tenant_id).subquery()
    )


def _select(tx: Tx, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Notice]:
    columns = [_t.c[name] for name in Notice._fields]
    query = select(*columns).where(_t.c.tenant_id == tx.tenant_id, *conditions).order_by(_t.c.id.desc())
    return [Notice(*row) for row in tx.execute(query.limit(limit))]


def states(tx: Tx, request_id: str) -> dict[str, int]:
    """How many notices of a rights request are in each state."""
    query = select(_t.c.state, func.count()).where(
        _t.c.tenant_id == tx.tenant_id, _t.c.request_id == request_id
    )
    return {state: int(count) for state, count in tx.execute(query.group_by(_t.c.state))}
