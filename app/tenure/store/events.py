"""What happened to people that a rule of retention may begin with: the latest of each event in a scope."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import delete, func, select

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Insert

_e = tables.events
_AT_ONCE = 500

KEEP = Insert(tables.events, replace=("at", "entry"))


class Event(NamedTuple):
    """An event of a person in a scope: the latest time that was told of, and the entry that tells it."""

    subject_id: str
    scope: str
    name: str
    at: int
    entry: str


_COLUMNS = [_e.c[name] for name in Event._fields]


def get(tx: Tx, subject_id: str, scope: str, name: str) -> Event | None:
    """One event. One round trip."""
    here = (_e.c.tenant_id == tx.tenant_id, _e.c.subject_id == subject_id)
    row = tx.execute(select(*_COLUMNS).where(*here, _e.c.scope == scope, _e.c.name == name)).one_or_none()
    return Event(*row) if row else None


def of_people(tx: Tx, subject_ids: Collection[str]) -> list[Event]:
    """Every event of these people, by person, scope and name. A round trip for each 500 people."""
    wanted, found = sorted(subject_ids), list[Event]()
    for first in range(0, len(wanted), _AT_ONCE):
        query = select(*_COLUMNS).where(
            _e.c.tenant_id == tx.tenant_id, _e.c.subject_id.in_(wanted[first : first + _AT_ONCE])
        )
        found += [Event(*row) for row in tx.execute(query.order_by(_e.c.subject_id, _e.c.scope, _e.c.name))]
    return found


def purge(tx: Tx, subject_id: str) -> None:
    """Nothing ever happened to this person."""
    tx.execute(delete(_e).where(_e.c.tenant_id == tx.tenant_id, _e.c.subject_id == subject_id))


def left(tx: Tx, subject_id: str) -> int:
    """How many events of a person there are."""
    query = select(func.count()).where(_e.c.tenant_id == tx.tenant_id, _e.c.subject_id == subject_id)
    return int(tx.execute(query).scalar_one())
