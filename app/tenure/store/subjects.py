"""Data subjects and the leaves of scopes that hold data about nobody."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, update

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import AnyOf, Insert, Select

_s, _l = tables.subjects, tables.scope_leaves


class StoredSubject(NamedTuple):
    """A subject as it lies in the database. `ref_index` is None once erased."""

    ref_index: str | None
    id: str
    leaf: int
    state: str
    shred_id: str | None


_COLUMNS = (_s.c.ref_index, _s.c.id, _s.c.leaf, _s.c.state, _s.c.shred_id)

BY_REF = Select(
    select(*_COLUMNS).where(_s.c.tenant_id == bindparam("tenant_id"), AnyOf(_s.c.ref_index, "refs"))
)
SCOPE_LEAVES = Select(
    select(_l.c.scope, _l.c.leaf).where(_l.c.tenant_id == bindparam("tenant_id"), AnyOf(_l.c.scope, "scopes"))
)
INSERT = Insert(tables.subjects)
INSERT_SCOPE_LEAF = Insert(tables.scope_leaves)


def get(tx: Tx, subject_id: str) -> StoredSubject | None:
    """One subject by its opaque id."""
    row = tx.execute(
        select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id)
    ).one_or_none()
    return StoredSubject(*row) if row else None


def by_leaves(tx: Tx, leaves: list[int]) -> list[StoredSubject]:
    """Whose leaves these are."""
    rows = tx.execute(select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, _s.c.leaf.in_(leaves)))
    return [StoredSubject(*row) for row in rows]


def erasing(tx: Tx) -> dict[int, str]:
    """Leaf → shred of every subject whose erasure has begun: 410 from here on."""
    rows = tx.execute(
        select(_s.c.leaf, _s.c.shred_id).where(_s.c.tenant_id == tx.tenant_id, _s.c.state == "erasing")
    )
    return {row.leaf: row.shred_id for row in rows}


def set_state(tx: Tx, subject_id: str, **values: Any) -> None:  # noqa: ANN401
    """Change a subject's state, shred or sealed reference."""
    tx.execute(update(_s).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id).values(**values))
