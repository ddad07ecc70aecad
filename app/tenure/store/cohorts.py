"""Cohorts and their leaves (`model.cohorts`): looked up by writes, ended by retention, kept afterwards."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, update

from tenure.store import tables
from tenure.store.erasing import Headed, headed
from tenure.store.lookups import LookUp, Step
from tenure.store.records import Place, StoredVersion, beyond, every
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_t, _v, _s = tables.cohorts, tables.versions, tables.version_subjects
OPEN, ENDING, OVER = "open", "ending", "over"
KEPT = "kept"
"""Of a leaf that is no versions': it ends when whoever began it says so (`governance.ownleaves`)."""


class Cohort(NamedTuple):
    """A cohort as it lies in the database. `anchor`: its name. `seal`: keyed digest of what never changes."""

    id: str
    anchor: str
    leaf: int
    state: str
    shred_id: str | None
    seal: str


_COLUMNS = (_t.c.id, _t.c.anchor, _t.c.leaf, _t.c.state, _t.c.shred_id, _t.c.seal)
BY_ANCHOR = LookUp(
    _COLUMNS, Step(_t, _t.c.tenant_id == bindparam("tenant_id")), keys={"anchors": _t.c.anchor}
)
"""Rows of `Cohort`."""
_WITHHELD = Select(
    select(_t.c.leaf).where(
        _t.c.tenant_id == bindparam("tenant_id"), _t.c.state == literal_column(f"'{ENDING}'")
    )
)
INSERT = Insert(_t)


def get(tx: Tx, cohort_id: str) -> Cohort | None:
    """One cohort."""
    found = _select(tx, _t.c.id == cohort_id)
    return found[0] if found else None


def by_leaves(tx: Tx, leaves: list[int]) -> list[Cohort]:
    """Whose leaves these are."""
    return _select(tx, _t.c.leaf.in_(leaves))


def page(tx: Tx, *, after: str | None, limit: int) -> list[Cohort]:
    """Cohorts that have not ended, by id: in the order in which they were made."""
    behind = () if after is None else (_t.c.id > after,)
    return _select(tx, _t.c.state == OPEN, *behind, limit=limit)


def withheld(tx: Tx) -> list[int]:
    """The leaves of cohorts that are ending: no key is given out for them any more."""
    return [leaf for (leaf,) in tx.look((_WITHHELD, {}))[0]]


def move(tx: Tx, cohort_id: str, **values: Any) -> None:  # noqa: ANN401 - column values
    """Store a cohort's new state."""
    tx.execute(update(_t).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == cohort_id).values(**values))


def live(
    tx: Tx,
    leaf: int,
    *,
    limit: int,
    after: Place | None = None,
    subject_id: str | None = None,
    lock: bool = False,
) -> list[StoredVersion]:
    """Versions of a cohort that somebody may read, of one person if named, by record and number.

    `lock`: as they are now, until the transaction ends (`erasing.of_subject`).
    """
    query = every(tx).where(_v.c.cohort == leaf, _v.c.state == "live")
    if subject_id is not None:
        query = query.join(
            _s,
            (_s.c.tenant_id == _v.c.tenant_id)
            & (_s.c.record_id == _v.c.record_id)
            & (_s.c.version == _v.c.version)
            & (_s.c.subject_id == subject_id),
        )
    if after is not None:
        query = query.where(beyond(_v, after))
    if lock:
        query = query.with_for_update(of=_v)
    return [
        StoredVersion(*row) for row in tx.execute(query.order_by(_v.c.record_id, _v.c.version).limit(limit))
    ]


def headers_of(tx: Tx, *, cohort_id: str, limit: int, after: Place | None) -> list[Headed]:
    """Headers of the versions of a cohort, by record and number. By index: a page costs a page."""
    leaf = select(_t.c.leaf).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == cohort_id).scalar_subquery()
    return headed(tx, (_v.c.cohort == leaf) & (_v.c.state == "live"), limit=limit, after=after)


def count_of(tx: Tx, cohort_id: str) -> int:
    """How many versions of a cohort are live, by its id."""
    cohort = get(tx, cohort_id)
    return 0 if cohort is None else count(tx, cohort.leaf)


def count(tx: Tx, leaf: int) -> int:
    """How many versions of a cohort are live."""
    query = select(func.count()).where(
        _v.c.tenant_id == tx.tenant_id, _v.c.cohort == leaf, _v.c.state == "live"
    )
    return int(tx.execute(query).scalar_one())


def _select(tx: Tx, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Cohort]:
    query = (
        select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id, *conditions).order_by(_t.c.id).limit(limit)
    )
    return [Cohort(*row) for row in tx.execute(query)]
