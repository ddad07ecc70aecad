"""Rights requests of a tenant, and when the cell is to look at one again."""

from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from tenure.ids import CELL
from tenure.model.rightsrequest import RightsRequest
from tenure.store import tables
from tenure.store.session import Tx

_t, _q = tables.rights_requests, tables.rights_queue
_COLUMNS = tuple(_t.c[name] for name in RightsRequest._fields)


class Kept(NamedTuple):
    """A request as far as its case goes."""

    id: str
    subject_id: str | None
    header: bytes | None
    sealed: bytes | None


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
    due_before: int | None = None,
    after: str | None = None,
) -> list[RightsRequest]:
    """Requests newest first (their ids sort by time), in these states if given."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id)
    if states is not None:
        query = query.where(_t.c.state.in_(states))
    if kind is not None:
        query = query.where(_t.c.kind == kind)
    if due_before is not None:
        query = query.where(_t.c.due_at <= due_before)
    if after is not None:
        query = query.where(_t.c.id < after)
    return [RightsRequest(*row) for row in tx.execute(query.order_by(_t.c.id.desc()).limit(limit))]


def cases(tx: Tx, *, after: str | None, limit: int) -> list[Kept]:
    """What is sealed in requests, newest first: no more of the rows is read."""
    query = select(_t.c.id, _t.c.subject_id, _t.c.header, _t.c.sealed).where(_t.c.tenant_id == tx.tenant_id)
    if after is not None:
        query = query.where(_t.c.id < after)
    return [Kept(*row) for row in tx.execute(query.order_by(_t.c.id.desc()).limit(limit))]


def envelope(tx: Tx, certificate_id: str) -> str | None:
    """The signed certificate of a request."""
    query = select(_t.c.envelope).where(_t.c.tenant_id == tx.tenant_id, _t.c.certificate_id == certificate_id)
    return tx.execute(query).scalar_one_or_none()


def certificates(tx: Tx, *, after: str | None, limit: int) -> list[tuple[str, str]]:
    """(id, envelope) of the certificates of the tenant's requests behind an id, in order."""
    query = select(_t.c.certificate_id, _t.c.envelope).where(
        _t.c.tenant_id == tx.tenant_id, _t.c.envelope.is_not(None)
    )
    if after is not None:
        query = query.where(_t.c.certificate_id > after)
    rows = tx.execute(query.order_by(_t.c.certificate_id).limit(limit))
    return [(row.certificate_id, row.envelope) for row in rows]


# ── for the whole cell ─────────────────────────────────────────────────────────────────────────────
def enqueue(tx: Tx, request_id: str, due_at: int | None, deadline_at: int | None = None) -> None:
    """Have a request of the transaction's tenant looked at from `due_at` on, and known to be open until then.

    None: not looked at by itself, and not open or its clock stands still.
    """
    owner = tx.tenant_id
    tx.as_tenant(CELL)
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.id == request_id))
    if due_at is not None or deadline_at is not None:
        row = {"id": request_id, "owner_id": owner, "due_at": due_at, "deadline_at": deadline_at}
        tx.execute(insert(_q).values(tenant_id=CELL, **row))
    tx.as_tenant(owner)


def due(tx: Tx, now: int, limit: int) -> list[Due]:
    """Requests of every tenant that are to be looked at, those that wait longest first. Cell transaction."""
    query = select(_q.c.id, _q.c.owner_id, _q.c.due_at).where(_q.c.tenant_id == CELL, _q.c.due_at <= now)
    return [Due(*row) for row in tx.execute(query.order_by(_q.c.due_at, _q.c.id).limit(limit))]


def put_off(tx: Tx, request_id: str, until: int) -> None:
    """Look at a request later, whatever is the matter with its tenant. Cell transaction."""
    here = (_q.c.tenant_id == CELL, _q.c.id == request_id, _q.c.due_at.is_not(None))
    tx.execute(update(_q).where(*here).values(due_at=until))


def forget(tx: Tx, owner_id: str) -> None:
    """Nothing is done any more for a tenant that leaves. Cell transaction."""
    tx.execute(delete(_q).where(_q.c.tenant_id == CELL, _q.c.owner_id == owner_id))


def waiting(tx: Tx, now: int) -> tuple[int, int]:
    """(open requests whose clock runs, of them overdue) of the whole cell. Cell transaction."""
    late = func.count().filter(_q.c.deadline_at < now)
    query = select(func.count(), late).where(_q.c.tenant_id == CELL, _q.c.deadline_at.is_not(None))
    row = tx.execute(query).one()
    return int(row[0]), int(row[1])


def overdue(tx: Tx, now: int, limit: int) -> list[Due]:
    """Requests of every tenant whose time is over, the latest first. Cell transaction."""
    query = select(_q.c.id, _q.c.owner_id, _q.c.deadline_at).where(
        _q.c.tenant_id == CELL, _q.c.deadline_at < now
    )
    return [Due(*row) for row in tx.execute(query.order_by(_q.c.deadline_at, _q.c.id).limit(limit))]
