"""What the service asked of the object store for a tenant's packs: sums by day and tier, added to."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import delete, func, select

from tenure.model.lifetime import Tier
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Add

_r = tables.object_requests
_AMOUNTS: Final = ("puts", "gets", "restores", "retrieved")
_ADD = Add(_r, amounts=_AMOUNTS)


class Requests(NamedTuple):
    """Of a day and tier: numbers of requests, and bytes that were given out."""

    day: int
    tier: Tier
    puts: int
    gets: int
    restores: int
    retrieved: int


def add(tx: Tx, more: Iterable[Requests]) -> None:
    """Count some more. One statement."""
    tx.put(_ADD, *(one._asdict() for one in more))


def between(tx: Tx, first: int, end: int) -> list[Requests]:
    """Of the days from `first` until before `end`, the newest first: two rows a day at most."""
    query = select(*(_r.c[name] for name in Requests._fields)).where(
        _r.c.tenant_id == tx.tenant_id, _r.c.day >= first, _r.c.day < end
    )
    return [Requests(*row) for row in tx.execute(query.order_by(_r.c.day.desc(), _r.c.tier))]


def summed(tx: Tx, first: int, end: int) -> list[Requests]:
    """The same of all these days together, by tier; `day` is the first."""
    sums = (func.coalesce(func.sum(_r.c[name]), 0) for name in _AMOUNTS)
    query = select(_r.c.tier, *sums).where(_r.c.tenant_id == tx.tenant_id, _r.c.day >= first, _r.c.day < end)
    rows = tx.execute(query.group_by(_r.c.tier).order_by(_r.c.tier))
    return [Requests(first, tier, *(int(one) for one in numbers)) for tier, *numbers in rows]


def forget(tx: Tx, before: int) -> None:
    """Drop what is of earlier days. One statement."""
    tx.execute(delete(_r).where(_r.c.tenant_id == tx.tenant_id, _r.c.day < before))
