"""Elevations to roles for emergencies, reviews that wait in the whole cell, and what was done under one."""

from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, tuple_, update

from tenure.ids import CELL
from tenure.model.breakglass import REQUEST_US, Elevation, State
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Row, Select

_t, _q, _e = tables.breakglass, tables.breakglass_queue, tables.entries
_OPEN = State.ACTIVE.value, State.ENDED.value

_RUNNING = Select(
    select(_t.c.principal_id, _t.c.role, _t.c.ends_at, _t.c.id)
    .where(
        _t.c.tenant_id == bindparam("tenant_id"),
        _t.c.state == bindparam("state"),
        _t.c.ends_at > bindparam("now"),
    )
    .order_by(_t.c.id)
)


class Used(NamedTuple):
    """An entry that was made under an elevation."""

    at: int
    writer: str
    n: int
    kind: str
    body: bytes


class Review(NamedTuple):
    """A review that is to be done in some tenant of the cell."""

    id: str
    owner_id: str
    due_at: int


def boxes(tx: Tx, now: int) -> list[Row]:
    """(principal, role, end, id) of each elevation that is active at an instant: few, by an index."""
    return tx.ask((_RUNNING, {"state": State.ACTIVE.value, "now": now}))[0]


def create(tx: Tx, new: Elevation) -> None:
    """A new request."""
    tx.execute(insert(_t).values(tenant_id=tx.tenant_id, **new._asdict()))


def get(tx: Tx, elevation_id: str) -> Elevation | None:
    """One elevation."""
    found = _select(tx, _t.c.id == elevation_id, limit=1)
    return found[0] if found else None


def move(tx: Tx, old: Elevation, new: Elevation) -> bool:
    """Store a step; False when somebody else's came first."""
    here = (_t.c.tenant_id == tx.tenant_id, _t.c.id == old.id, _t.c.state == old.state)
    changed = {name: value for name, value in new._asdict().items() if value != getattr(old, name)}
    return tx.execute(update(_t).where(*here).values(**changed)).rowcount == 1


def page(
    tx: Tx,
    *,
    state: State | None,
    mine: Any,  # noqa: ANN401 - a condition
    after: str | None,
    now: int,
    limit: int,
) -> list[Elevation]:
    """Elevations newest first (their ids sort by time): in a state at an instant, under a condition."""
    conditions = [] if mine is None else [mine]
    conditions += [] if state is None else [_at(state, now)]
    conditions += [] if after is None else [_t.c.id < after]
    return _select(tx, *conditions, limit=limit)


def concerning(principal_id: str, roles: list[str]) -> Any:  # noqa: ANN401 - a condition
    """Elevations of a principal, or to one of these roles."""
    return or_(_t.c.principal_id == principal_id, _t.c.role.in_(roles))


def running(tx: Tx, principal_id: str, now: int) -> Elevation | None:
    """An elevation of this principal that is active."""
    found = _select(tx, _t.c.principal_id == principal_id, _at(State.ACTIVE, now), limit=1)
    return found[0] if found else None


def overdue(tx: Tx, now: int) -> Elevation | None:
    """One of the tenant that should have been reviewed by now, the newest."""
    found = _select(tx, _t.c.state.in_(_OPEN), _t.c.review_due <= now, limit=1)
    return found[0] if found else None


def used(tx: Tx, elevation_id: str, *, after: tuple[int, str, int] | None, limit: int) -> list[Used]:
    """Entries that name an elevation, by instant, writer and number, placed in the log or not."""
    order = (_e.c.at, _e.c.writer, _e.c.n)
    query = select(*order, _e.c.kind, _e.c.body).where(
        _e.c.tenant_id == tx.tenant_id, _e.c.breakglass_id == elevation_id
    )
    if after is not None:
        at, writer, n = after
        query = query.where(
            or_(_e.c.at > at, and_(_e.c.at == at, tuple_(_e.c.writer, _e.c.n) > tuple_(writer, n)))
        )
    return [Used(*row) for row in tx.execute(query.order_by(*order).limit(limit))]


# ── for the whole cell ─────────────────────────────────────────────────────────────────────────────
def enqueue(tx: Tx, elevation: Elevation) -> None:
    """Let the cell know when a review of the transaction's tenant is due, or that it is due earlier."""
    owner = tx.tenant_id
    tx.as_tenant(CELL)
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == elevation.id))
    row = {"id": elevation.id, "owner_id": owner, "due_at": elevation.review_due}
    tx.execute(insert(_q).values(tenant_id=CELL, **row))
    tx.as_tenant(owner)


def dequeue(tx: Tx, elevation_id: str) -> None:
    """A review of the transaction's tenant is done."""
    owner = tx.tenant_id
    tx.as_tenant(CELL)
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == elevation_id))
    tx.as_tenant(owner)


def forget(tx: Tx, owner_id: str) -> None:
    """Nobody reviews anything of a tenant that leaves. Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.owner_id == owner_id))


def reviews(tx: Tx, now: int, limit: int) -> list[Review]:
    """Overdue reviews of every tenant, the oldest first. Cell transaction."""
    query = select(_q.c.id, _q.c.owner_id, _q.c.due_at).where(_q.c.tenant_id == CELL, _q.c.due_at <= now)
    return [Review(*row) for row in tx.execute(query.order_by(_q.c.due_at, _q.c.id).limit(limit))]


def waiting(tx: Tx, now: int) -> tuple[int, int]:
    """(reviews to be done in the cell, of them overdue). Cell transaction."""
    late = func.count().filter(_q.c.due_at <= now)
    row = tx.execute(select(func.count(), late).where(_q.c.tenant_id == CELL)).one()
    return int(row[0]), int(row[1])


def _at(state: State, now: int) -> Any:  # noqa: ANN401 - a condition
    """What `Elevation.at` says, in SQL."""
    stored = _t.c.state == state.value
    if state in (State.REQUESTED, State.LAPSED):
        lapsed = _t.c.requested_at <= now - REQUEST_US
        return and_(_t.c.state == State.REQUESTED.value, lapsed if state is State.LAPSED else ~lapsed)
    if state is State.ACTIVE:
        return and_(stored, _t.c.ends_at > now)
    if state is State.ENDED:
        return or_(stored, and_(_t.c.state == State.ACTIVE.value, _t.c.ends_at <= now))
    return stored


def _select(tx: Tx, *conditions: Any, limit: int) -> list[Elevation]:  # noqa: ANN401
    query = select(*(_t.c[name] for name in Elevation._fields)).where(
        _t.c.tenant_id == tx.tenant_id, *conditions
    )
    return [Elevation(*row) for row in tx.execute(query.order_by(_t.c.id.desc()).limit(limit))]
