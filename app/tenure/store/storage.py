"""How much a tenant stores: counted over its versions, a page at a time, and kept day by day.

A page is a range of versions in the order of their key: each in a short transaction of its own, so that no
count holds up an erasure or vacuum, however much there is. Sizes are asked of the database without reading
what they are of.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, case, delete, func, literal, literal_column, select, tuple_

from tenure.model.layers import DAY_US, STORED, Layer
from tenure.model.lifetime import Tier
from tenure.store import requests, tables
from tenure.store.records import Place, beyond
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_v, _s, _l = tables.versions, tables.storage_samples, tables.storage_layers

# ── where a version lies and what it weighs: the one place that says so ──────────────────────────────
TIER: Final = case(
    (_v.c.pack_id.is_not(None), literal_column("'cold'")),
    (_v.c.content.is_not(None), literal_column("'hot'")),
)
"""A version's tier; null when nothing of it is stored any more."""
SIZE: Final = (
    func.coalesce(func.length(_v.c.head), 0)
    + func.coalesce(func.length(_v.c.content), 0)
    + func.coalesce(_v.c.pack_length, 0)
)
"""Bytes of its ciphertext."""

_DAY = literal_column(str(DAY_US), BigInteger)
KEPT_DAYS: Final = 1_100
"""For how long samples are kept: three years, to compare a month with those before."""
ALL: Final = ""
"""The scope of rows that are about all scopes."""


class Sample(NamedTuple):
    """What was stored in a scope and tier on a day; `written`: of it, what was written on the day before."""

    day: int
    scope: str
    tier: Tier
    at: int
    versions: int
    bytes: int
    written_versions: int
    written_bytes: int


_KEEP = Insert(_s, replace=Sample._fields[3:])
_LAYERS = Insert(_l, replace=("at", "body"))
_COLUMNS = tuple(_s.c[name] for name in Sample._fields)
_newest = _s.alias()

COUNTED_AT = Select(select(_l.c.at).where(_l.c.tenant_id == bindparam("tenant_id")))
"""When a tenant was counted last: one row, or none."""
TOTALS = Select(
    select(*_COLUMNS).where(
        _s.c.tenant_id == bindparam("tenant_id"),
        _s.c.scope == literal_column("''"),  # of ALL
        _s.c.day
        == select(func.max(_newest.c.day))
        .where(_newest.c.tenant_id == bindparam("tenant_id"))
        .scalar_subquery(),
    )
)
"""Rows of `Sample` of all scopes on the newest day: one for each tier, or none."""


def stride(tx: Tx, after: Place | None, limit: int) -> Place | None:
    """The last of the next `limit` versions; None after the end."""
    key = (_v.c.record_id, _v.c.version)
    query = select(*key).where(_v.c.tenant_id == tx.tenant_id)
    if after is not None:
        query = query.where(beyond(_v, after))
    some = query.order_by(*key).limit(limit).subquery()
    last = select(*some.c).order_by(some.c.record_id.desc(), some.c.version.desc()).limit(1)
    row = tx.execute(last).one_or_none()
    return None if row is None else (row[0], row[1])


def layers(tx: Tx, after: Place | None, upto: Place) -> list[Layer]:
    """What is stored of the versions behind one place and up to another."""
    here = tuple_(literal(upto[0], tables.Id), literal(upto[1], BigInteger))
    parts = (_v.c.scope, _v.c.labels, TIER, _v.c.created_at // _DAY, _v.c.expires_at // _DAY)
    query = select(*parts, func.count(), func.sum(SIZE)).where(
        _v.c.tenant_id == tx.tenant_id,
        tuple_(_v.c.record_id, _v.c.version) <= here,
        TIER.is_not(None),
    )
    if after is not None:
        query = query.where(beyond(_v, after))
    rows = tx.execute(query.group_by(*parts))
    return [
        Layer(scope, labels, tier, day, expires, versions, int(size))
        for scope, labels, tier, day, expires, versions, size in rows
    ]


def keep(tx: Tx, at: int, counted: Sequence[Layer], samples: Iterable[Sample]) -> None:
    """Keep a day's count, in place of another one of that day; what is too old goes."""
    tx.put(_LAYERS, {"at": at, "body": json.dumps([list(one) for one in counted])})
    keep_samples(tx, at, samples)


def keep_samples(tx: Tx, at: int, samples: Iterable[Sample]) -> None:
    """The same without layers: the cell's."""
    tx.put(_KEEP, *(one._asdict() for one in samples))
    old = at // DAY_US - KEPT_DAYS
    tx.execute(delete(_s).where(_s.c.tenant_id == tx.tenant_id, _s.c.day < old))
    requests.forget(tx, before=old)


def kept_layers(tx: Tx) -> tuple[int, list[Layer]] | None:
    """The newest count in full, and when it was made."""
    row = tx.execute(select(_l.c.at, _l.c.body).where(_l.c.tenant_id == tx.tenant_id)).one_or_none()
    return None if row is None else (row.at, [Layer(*one) for one in json.loads(row.body)])


def newest(tx: Tx) -> list[Sample]:
    """All rows of the newest day."""
    day = select(func.max(_s.c.day)).where(_s.c.tenant_id == tx.tenant_id).scalar_subquery()
    return _samples(tx, _s.c.day == day)


def between(tx: Tx, first: int, end: int, limit: int) -> list[Sample]:
    """Rows of the days from `first` until before `end`, the newest days first; `limit` at most."""
    return _samples(tx, _s.c.day >= first, _s.c.day < end, limit=limit)


def summed(day: int, at: int, scopes: Iterable[Layer]) -> list[Sample]:
    """A day's rows: for each scope and tier in which something is, and for all scopes by tier."""
    sums: dict[tuple[str, Tier], list[int]] = {(ALL, tier): [0, 0, 0, 0] for tier in STORED}
    for one in scopes:
        written = one.day == day - 1
        for scope in (ALL, one.scope):
            total = sums.setdefault((scope, one.tier), [0, 0, 0, 0])
            total[0] += one.versions
            total[1] += one.bytes
            total[2] += one.versions * written
            total[3] += one.bytes * written
    return [Sample(day, scope, tier, at, *numbers) for (scope, tier), numbers in sorted(sums.items())]


def _samples(tx: Tx, *conditions: Any, limit: int | None = None) -> list[Sample]:  # noqa: ANN401
    query = select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, *conditions)
    rows = tx.execute(query.order_by(_s.c.day.desc(), _s.c.scope, _s.c.tier).limit(limit))
    return [Sample(*row) for row in rows]
