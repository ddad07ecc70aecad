"""Rights requests of a tenant, and when the cell is to look at one again."""

from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from tenure.ids import CELL
from tenure.model.rightsrequest import RightsRequest
from tenure.store import tables
from tenure.store.session import Tx

_t, _q = tables.rights_requests, tables.rights_queue
_COLUMNS = tuple(_t.c[name] for name in RightsRequest._fields)


class Due(NamedTuple):
    """Something is to be done about a request of a tenant."""

    id: str
    owner_id: str
    due_at: int


def create(tx: Tx, new: RightsRequest, entry: str) -> None:
    """A new request, with the entry that says so."""
    tx.execute(insert(_t).values(tenant_id=tx.tenant_id, entry=entry, **new._asdict()))


def get(tx: Tx, request_id: str, *, lock: bool = False) -> RightsRequest | None:
    """One request; with `lock` nobody else's step comes between until the transaction ends."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == request_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else RightsRequest(*row)


def move(tx: Tx, old: RightsRequest, new: RightsRequest, entry: str) -> bool:
    """Store a step with its entry; False when somebody else's came first."""
    here = (_t.c.tenant_id == tx.tenant_id, _t.c.id == old.id, _t.c.timeline == old.timeline)
    changed = {name: value for name, value in new._asdict().items() if value != getattr(old, name)}
    return tx.execute(update(_t).where(*here).values(entry=entry, **changed)).rowcount == 1


def page(
    tx: Tx,
    *,
    limit: int,
    states: list[str] | None = None,
    kind: str | None = None,
    subject_id: str | None = None,
    due_before: int | None = None,
    after: str | None = None,
) -> list[RightsRequest]:
    """Requests newest first (their ids sort by time), in these states if given."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id)
    if states is not None:
        query = query.where(_t.c.state.in_(states))
    if kind is not None:
        query = query.where(_t.c.kind == kind)
    if subject_id is not None:
        query = query.where(_t.c.subject_id == subject_id)
    if due_before is not None:
        query = query.where(_t.c.due_at <= due_before)
    if after is not None:
        query = query.where(_t.c.id < after)
    return [RightsRequest(*row) for row in tx.execute(query.order_by(_t.c.id.desc()).limit(limit))]


def envelope(tx: Tx, certificate_id: str) -> str | None:
    """The signed certificate of a request."""
    query = select(_t.c.envelope).where(_t.c.tenant_id == tx.tenant_id, _t.c.certificate_id == certificate_id)
    return tx.execute(query).scalar_one_or_none()


def states(tx: Tx) -> dict[str, int]:
    """How many requests are in each state."""
    query = select(_t.c.state, func.count()).where(_t.c.tenant_id == tx.tenant_id).group_by(_t.c.state)
    return {state: int(count) for state, count in tx.execute(query)}


# ── for the whole cell ─────────────────────────────────────────────────────────────────────────────
def enqueue(tx: Tx, request_id: str, due_at: int | None) -> None:
    """Have a request of the transaction's tenant looked at from an instant on; None: never again."""
    owner = tx.tenant_id
    tx.as_tenant(CELL)
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == request_id))
    if due_at is not None:
        tx.execute(insert(_q).values(tenant_id=CELL, id=request_id, owner_id=owner, due_at=due_at))
    tx.as_tenant(owner)


def due(tx: Tx, now: int, limit: int) -> list[Due]:
    """Requests of every tenant that are to be looked at, those that wait longest first. Cell transaction."""
    query = select(_q.c.id, _q.c.owner_id, _q.c.due_at).where(_q.c.tenant_id == CELL, _q.c.due_at <= now)
    return [Due(*row) for row in tx.execute(query.order_by(_q.c.due_at, _q.c.id).limit(limit))]


def forget(tx: Tx, owner_id: str) -> None:
    """Nothing is done any more for a tenant that leaves. Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.owner_id == owner_id))


def unfinished(tx: Tx, *values: Any) -> int:  # noqa: ANN401 - column values
    """How many requests of the tenant are in none of these states."""
    query = select(func.count()).where(_t.c.tenant_id == tx.tenant_id, _t.c.state.not_in(values))
    return int(tx.execute(query).scalar_one())
