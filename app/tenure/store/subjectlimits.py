"""Restrictions of people's data and objections to purposes: rows that are set once and lifted once."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, func, insert, select, update

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_t, _s = tables.subject_limits, tables.subjects
RESTRICTION, OBJECTION = "restriction", "objection"


class SubjectLimit(NamedTuple):
    """One of them. `purpose` is "" of a restriction; `set_by` is None where the service itself did it.

    `epoch`: the subject epoch with which it was set or, later, lifted. The entries say both. Instants in
    microseconds.
    """

    id: str
    subject_id: str
    kind: str
    purpose: str
    request_id: str
    set_by: str | None
    set_at: int
    epoch: int
    entry: str
    lifted_by: str | None = None
    lifted_at: int | None = None
    lifted_entry: str | None = None


Held = tuple[int, str, str, int]
"""(leaf of the person, kind, purpose, how many such are in force)."""

_counts = _t.alias("counts")
_IN_FORCE = (
    select(func.count())
    .where(
        _counts.c.tenant_id == _t.c.tenant_id,
        _counts.c.subject_id == _t.c.subject_id,
        _counts.c.kind == _t.c.kind,
        _counts.c.purpose == _t.c.purpose,
        _counts.c.lifted_at.is_(None),
    )
    .correlate(_t)
    .scalar_subquery()
)
_OF_PERSON = and_(_s.c.tenant_id == _t.c.tenant_id, _s.c.id == _t.c.subject_id)
_MINE = _t.c.tenant_id == bindparam("tenant_id")
_EVERY = Select(
    select(_s.c.leaf, _t.c.kind, _t.c.purpose).join(_s, _OF_PERSON).where(_MINE, _t.c.lifted_at.is_(None))
)
_CHANGED = Select(
    select(_s.c.leaf, _t.c.kind, _t.c.purpose, _IN_FORCE.label("in_force"))
    .join(_s, _OF_PERSON)
    .where(_MINE, _t.c.epoch > bindparam("since"))
)


def every(tx: Tx) -> list[Held]:
    """All that are in force. One round trip; a row for each."""
    return [(leaf, kind, purpose, 1) for leaf, kind, purpose in tx.look((_EVERY, {}))[0]]


def changed(tx: Tx, since: int) -> list[Held]:
    """What was set or lifted after a subject epoch, as it is now. One round trip; by index."""
    rows = tx.look((_CHANGED, {"since": since}))[0]
    return [(leaf, kind, purpose, in_force) for leaf, kind, purpose, in_force in rows]


def create(tx: Tx, new: SubjectLimit) -> None:
    """One that is in force from the commit on."""
    tx.execute(insert(_t).values(tenant_id=tx.tenant_id, **new._asdict()))


def lift(tx: Tx, lifted: SubjectLimit) -> None:
    """Store how one was lifted."""
    values = {name: getattr(lifted, name) for name in ("epoch", "lifted_by", "lifted_at", "lifted_entry")}
    tx.execute(update(_t).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == lifted.id).values(**values))


def of(tx: Tx, subject_id: str) -> list[SubjectLimit]:
    """What is in force for a person, oldest first (their ids sort by time)."""
    return _select(tx, _t.c.subject_id == subject_id, _t.c.lifted_at.is_(None))


def _select(tx: Tx, *conditions: ColumnElement[bool]) -> list[SubjectLimit]:
    columns = [_t.c[name] for name in SubjectLimit._fields]
    query = select(*columns).where(_t.c.tenant_id == tx.tenant_id, *conditions).order_by(_t.c.id)
    return [SubjectLimit(*row) for row in tx.execute(query)]
