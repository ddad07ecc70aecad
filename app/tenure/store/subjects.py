"""Data subjects and the leaves of scopes that hold data about nobody."""

from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, literal_column, select, update

from tenure.store import tables
from tenure.store.lookups import LookUp, Step
from tenure.store.session import Tx
from tenure.store.statements import Insert, Select

_s, _l, _b = tables.subjects, tables.scope_leaves, tables.bucket_leaves


class StoredSubject(NamedTuple):
    """A subject as it lies in the database. `ref_index` is None once erased."""

    ref_index: str | None
    id: str
    leaf: int
    state: str
    shred_id: str | None


_COLUMNS = (_s.c.ref_index, _s.c.id, _s.c.leaf, _s.c.state, _s.c.shred_id)

BY_REF = LookUp(_COLUMNS, Step(_s, _s.c.tenant_id == bindparam("tenant_id")), keys={"refs": _s.c.ref_index})
SCOPE_LEAVES = LookUp(
    (_l.c.scope, _l.c.leaf),
    Step(_l, _l.c.tenant_id == bindparam("tenant_id")),
    keys={"scopes": _l.c.scope},
)
_ERASING = Select(
    select(_s.c.leaf, _s.c.shred_id).where(
        _s.c.tenant_id == bindparam("tenant_id"), _s.c.state == literal_column("'erasing'")
    )
)
_BUCKETS = Select(select(_b.c.bucket, _b.c.leaf).where(_b.c.tenant_id == bindparam("tenant_id")))
INSERT = Insert(tables.subjects)
INSERT_SCOPE_LEAF = Insert(tables.scope_leaves)


def get(tx: Tx, subject_id: str) -> StoredSubject | None:
    """One subject by its opaque id."""
    row = tx.execute(
        select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id)
    ).one_or_none()
    return StoredSubject(*row) if row else None


def lock(tx: Tx, subject_id: str) -> None:
    """Let nobody else change this subject, or lock it, until this transaction ends."""
    here = select(_s.c.id).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id)
    tx.execute(here.with_for_update(key_share=True))


def by_leaves(tx: Tx, leaves: list[int]) -> list[StoredSubject]:
    """Whose leaves these are."""
    rows = tx.execute(select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, _s.c.leaf.in_(leaves)))
    return [StoredSubject(*row) for row in rows]


def erasing(tx: Tx) -> dict[int, str]:
    """Leaf → shred of every subject whose erasure has begun: 410 from here on."""
    return dict(tx.look((_ERASING, {}))[0])


def set_state(tx: Tx, subject_id: str, **values: Any) -> None:  # noqa: ANN401
    """Change a subject's state, shred or sealed reference."""
    tx.execute(update(_s).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id).values(**values))


# ── blind-index buckets ────────────────────────────────────────────────────────────────────────────
class Sealed(NamedTuple):
    """A subject's sealed reference, as an erasure re-keys the index of everybody in the bucket."""

    id: str
    leaf: int
    header: bytes
    part: bytes


def bucket_leaves(tx: Tx) -> dict[int, int]:
    """Bucket → its leaf, for the buckets that an erasure moved from their first one."""
    return dict(tx.look((_BUCKETS, {}))[0])


def move_bucket(tx: Tx, bucket: int, leaf: int) -> None:
    """A bucket's key is another leaf from now on."""
    tx.execute(delete(_b).where(_b.c.tenant_id == tx.tenant_id, _b.c.bucket == bucket))
    tx.execute(insert(_b).values(tenant_id=tx.tenant_id, bucket=bucket, leaf=leaf))


def in_bucket(tx: Tx, bucket: int) -> list[Sealed]:
    """Everybody who is found through a bucket, those being erased among them."""
    rows = tx.execute(
        select(_s.c.id, _s.c.leaf, _s.c.ref_header, _s.c.sealed_ref).where(
            _s.c.tenant_id == tx.tenant_id, _s.c.bucket == bucket, _s.c.ref_index.is_not(None)
        )
    )
    return [Sealed(*row) for row in rows]


def re_index(tx: Tx, indexes: dict[str, str]) -> None:
    """Give subjects, by id, another index."""
    if indexes:
        statement = (
            update(_s)
            .where(_s.c.tenant_id == tx.tenant_id, _s.c.id == bindparam("subject"))
            .values(ref_index=bindparam("index"))
        )
        tx.execute(statement, [{"subject": one, "index": index} for one, index in indexes.items()])


def bucket_of(tx: Tx, subject_id: str) -> int | None:
    """The bucket that a subject is found through; None once erased."""
    return tx.execute(
        select(_s.c.bucket).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id)
    ).scalar_one_or_none()
