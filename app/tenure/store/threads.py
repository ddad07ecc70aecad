"""Versions of records that are filed under a path: for the pages of a thread, and for its end."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, and_, bindparam, literal, select, tuple_

from tenure.store import tables
from tenure.store.lookups import LookUp, Step
from tenure.store.records import StoredVersion, every
from tenure.store.session import Tx

_p, _r, _v = tables.record_paths, tables.records, tables.versions

TOGETHER = LookUp(
    (_r.c.key_index,),
    Step(_r, _r.c.tenant_id == bindparam("tenant_id")),
    keys={"roots": _r.c.key_index},
    lock="FOR KEY SHARE",
)
"""Keeps the roots of threads as they are until the transaction ends: others may do this too, nobody `alone`.

Asked before anything else is read of them. On SQLite writers come one after the other anyway.
"""


class Spot(NamedTuple):
    """Where a page ended: an instant in microseconds, and the id of a version."""

    created_at: int
    version_id: str


def _filed(path_index: str) -> ColumnElement[bool]:
    return and_(
        _p.c.tenant_id == _v.c.tenant_id, _p.c.record_id == _v.c.record_id, _p.c.path_index == path_index
    )


def page(
    tx: Tx, path_index: str, labels: Sequence[str], *, before: Spot | None, limit: int
) -> list[StoredVersion]:
    """Live versions of the records filed here that have one of these label sets, newest first."""
    query = every(tx).join(_p, _filed(path_index)).where(_v.c.state == "live", _v.c.labels.in_(labels))
    if before is not None:
        here = tuple_(literal(before.created_at, BigInteger), literal(before.version_id, tables.Id))
        query = query.where(tuple_(_v.c.created_at, _v.c.id) < here)
    query = query.order_by(_v.c.created_at.desc(), _v.c.id.desc()).limit(limit)
    return [StoredVersion(*row) for row in tx.execute(query)]


def everything(tx: Tx, path_index: str) -> list[StoredVersion]:
    """All live versions of the records filed here, by record and number."""
    query = every(tx).join(_p, _filed(path_index)).where(_v.c.state == "live")
    return [StoredVersion(*row) for row in tx.execute(query.order_by(_v.c.record_id, _v.c.version))]


def alone(tx: Tx, root_index: str) -> None:
    """Wait until nobody stores anything in a thread, and let nobody until the transaction ends."""
    root = select(_r.c.id).where(_r.c.tenant_id == tx.tenant_id, _r.c.key_index == root_index)
    tx.execute(root.with_for_update())


def cohorts(tx: Tx, path_index: str) -> list[int]:
    """The leaves of the cohorts in which live versions of the records filed here are."""
    query = (
        select(_v.c.cohort)
        .distinct()
        .join(_p, _filed(path_index))
        .where(_v.c.tenant_id == tx.tenant_id, _v.c.state == "live", _v.c.cohort.is_not(None))
    )
    return sorted(tx.execute(query).scalars())
