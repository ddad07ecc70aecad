"""What applications are asked to derive again, without an erased person or from what was corrected."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Update, and_, delete, func, insert, select, update

from tenure import ids
from tenure.ids import CELL
from tenure.store import tables
from tenure.store.session import Tx

_t, _q, _r = tables.rederivations, tables.rederivation_queue, tables.records
PENDING, ASKED, DONE, OVERDUE = "pending", "asked", "done", "overdue"
ERASURE, RECTIFICATION = "erasure", "rectification"
STATES = (PENDING, ASKED, DONE, OVERDUE)
_OPEN = (PENDING, ASKED)


class Rederivation(NamedTuple):
    """One record whose current version went with a person, or is stale. Instants in microseconds.

    pending: the application did not yet take the question. asked: it did. done: the record has a live version
    again. overdue: it had none when the deadline passed.
    """

    id: str
    shred_id: str
    scope: str
    record_id: str
    version: int
    version_id: str
    state: str
    attempts: int
    next_at: int
    deadline: int
    cause: str = ERASURE
    """Of a rectification `shred_id` is the rights request's id, and the version stays as it is, stale."""


def begun(
    *,
    shred_id: str,
    scope: str,
    record_id: str,
    version: int,
    version_id: str,
    at: int,
    deadline: int,
    cause: str = ERASURE,
) -> Rederivation:
    """One that nobody was asked for yet, due at once."""
    return Rederivation(
        ids.new_id(), shred_id, scope, record_id, version, version_id, PENDING, 0, at, deadline, cause
    )


def create(tx: Tx, new: Sequence[Rederivation]) -> None:
    """Put them on the list, and the tenant in the queue."""
    if new:
        tx.execute(insert(_t), [{"tenant_id": tx.tenant_id, **one._asdict()} for one in new])
        _enqueue(tx)


def page(tx: Tx, *, state: str | None, after: str | None, limit: int) -> list[Rederivation]:
    """The tenant's, newest first (their ids sort by time)."""
    conditions = [] if state is None else [_t.c.state == state]
    conditions += [] if after is None else [_t.c.id < after]
    return _select(tx, *conditions, limit=limit, newest_first=True)


def of_shred(tx: Tx, shred_id: str) -> dict[str, int]:
    """How many of an erasure are in each state."""
    counted = (
        select(_t.c.state, func.count())
        .where(_t.c.tenant_id == tx.tenant_id, _t.c.shred_id == shred_id)
        .group_by(_t.c.state)
    )
    return {state: int(count) for state, count in tx.execute(counted)}


def claim(tx: Tx, *, at: int, scopes: Sequence[str], until: int) -> Rederivation | None:
    """One of these scopes that is due, for the caller to ask for; nobody else gets it before `until`."""
    due = and_(_t.c.state == PENDING, _t.c.next_at <= at, _t.c.scope.in_(scopes))
    query = (
        select(_t.c.id)
        .where(_t.c.tenant_id == tx.tenant_id, due)
        .order_by(_t.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = tx.execute(query).scalar_one_or_none()
    if found is None:
        return None
    here = (_t.c.tenant_id == tx.tenant_id, _t.c.id == found)
    tx.execute(update(_t).where(*here).values(attempts=_t.c.attempts + 1, next_at=until))
    return _select(tx, _t.c.id == found)[0]


def postpone(tx: Tx, one: Rederivation, *, until: int) -> None:
    """Asked for in vain: again at `until`."""
    tx.execute(_of(tx, one).values(next_at=until))


def move(tx: Tx, one: Rederivation, state: str) -> bool:
    """Its new state; False when it is not open any more."""
    return tx.execute(_of(tx, one).values(state=state)).rowcount == 1


def answered(tx: Tx, *, limit: int) -> list[Rederivation]:
    """Open ones whose record has a live version again."""
    newer = and_(_r.c.tenant_id == _t.c.tenant_id, _r.c.id == _t.c.record_id, _r.c.latest > _t.c.version)
    again = select(_r.c.id).where(newer, _r.c.state == "live").exists()
    return _select(tx, _t.c.state.in_(_OPEN), again, limit=limit)


def late(tx: Tx, *, at: int, limit: int) -> list[Rederivation]:
    """Open ones whose deadline has passed."""
    return _select(tx, _t.c.state.in_(_OPEN), _t.c.deadline <= at, limit=limit)


# ── tenants in which something is open ─────────────────────────────────────────────────────────────
def queue(tx: Tx) -> list[str]:
    """Tenants with open ones. Cell transaction."""
    return list(tx.execute(select(_q.c.id).where(_q.c.tenant_id == CELL).order_by(_q.c.id)).scalars())


def dequeue(tx: Tx) -> None:
    """Take the transaction's tenant out when nothing of it is open.

    Looks again with its row gone: whoever adds meanwhile is seen here, or puts the tenant in again.
    """
    if _is_open(tx):
        return
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    forget(tx, tenant_id)
    tx.as_tenant(tenant_id)
    if _is_open(tx):
        _enqueue(tx)


def forget(tx: Tx, tenant_id: str) -> None:
    """Take a tenant out that is gone. Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id))


def _enqueue(tx: Tx) -> None:
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    there = select(_q.c.id).where(_q.c.tenant_id == CELL, _q.c.id == tenant_id).with_for_update()
    if tx.execute(there).first() is None:
        tx.execute(insert(_q).values(tenant_id=CELL, id=tenant_id))
    tx.as_tenant(tenant_id)


def _is_open(tx: Tx) -> bool:
    return bool(_select(tx, _t.c.state.in_(_OPEN), limit=1))


def _of(tx: Tx, one: Rederivation) -> Update:
    return update(_t).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == one.id, _t.c.state.in_(_OPEN))


def _select(
    tx: Tx, *conditions: ColumnElement[bool], limit: int | None = None, newest_first: bool = False
) -> list[Rederivation]:
    columns = [_t.c[name] for name in Rederivation._fields]
    rows = tx.execute(
        select(*columns)
        .where(_t.c.tenant_id == tx.tenant_id, *conditions)
        .order_by(_t.c.id.desc() if newest_first else _t.c.id)
        .limit(limit)
    )
    return [Rederivation(*row) for row in rows]
