"""What else there is about a person, beside the versions: who wrote them, which decisions were about them."""

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import func, or_, select

from tenure.model.decision import Decision
from tenure.store import tables
from tenure.store.records import Place, among
from tenure.store.session import Tx

_v, _s, _d, _p = tables.versions, tables.version_subjects, tables.decisions, tables.subjects
_l = tables.scope_leaves
_AT_ONCE = 500
_DECISION = [_d.c[name] for name in Decision.__dataclass_fields__]


class Reference(NamedTuple):
    """A person's sealed reference, since when they are known, and what became of them."""

    leaf: int
    state: str
    header: bytes | None
    part: bytes | None
    created_at: int


def reference(tx: Tx, subject_id: str) -> Reference | None:
    """One person's."""
    query = select(_p.c.leaf, _p.c.state, _p.c.ref_header, _p.c.sealed_ref, _p.c.created_at).where(
        _p.c.tenant_id == tx.tenant_id, _p.c.id == subject_id
    )
    row = tx.execute(query).one_or_none()
    return Reference(*row) if row else None


def writers(tx: Tx, places: Collection[Place]) -> dict[Place, str]:
    """Which principal wrote each of these versions. One statement."""
    query = select(_v.c.record_id, _v.c.version, _v.c.principal_id).where(
        _v.c.tenant_id == tx.tenant_id, among(_v, places)
    )
    return {(row[0], row[1]): row[2] for row in tx.execute(query)} if places else {}


def relations(tx: Tx, subject_id: str, places: Collection[Place]) -> dict[Place, int]:
    """How each of these versions goes with a person (`records.LABELLED`, `DERIVED`). One statement."""
    query = select(_s.c.record_id, _s.c.version, _s.c.derived).where(
        _s.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id, among(_s, places)
    )
    return {(row[0], row[1]): row[2] for row in tx.execute(query)} if places else {}


def scope_leaves(tx: Tx) -> frozenset[int]:
    """The leaves of what is about nobody."""
    return frozenset(tx.execute(select(_l.c.leaf).where(_l.c.tenant_id == tx.tenant_id)).scalars())


def packs_of(tx: Tx, subject_id: str) -> list[tuple[str, int]]:
    """(pack, versions in it) of everything that goes with a person, derived versions among it."""
    query = (
        select(_v.c.pack_id, func.count())
        .join(
            _s,
            (_s.c.tenant_id == _v.c.tenant_id)
            & (_s.c.record_id == _v.c.record_id)
            & (_s.c.version == _v.c.version),
        )
        .where(
            _v.c.tenant_id == tx.tenant_id,
            _s.c.subject_id == subject_id,
            _v.c.pack_id.is_not(None),
            _v.c.header.is_not(None),
        )
        .group_by(_v.c.pack_id)
        .order_by(_v.c.pack_id)
    )
    return [(row[0], int(row[1])) for row in tx.execute(query)]


def decisions(tx: Tx, subject_id: str, also: Sequence[str]) -> list[Decision]:
    """Decisions about a person, and these others, by id. A statement for each 500 of these."""
    found: dict[str, Decision] = {}
    for first in range(0, max(len(also), 1), _AT_ONCE):
        named = _d.c.id.in_(also[first : first + _AT_ONCE])
        which = named if first else or_(_d.c.subject_id == subject_id, named)
        for row in tx.execute(select(*_DECISION).where(_d.c.tenant_id == tx.tenant_id, which)):
            found[row.id] = Decision(
                **{
                    **dict(zip(Decision.__dataclass_fields__, row, strict=True)),
                    "facts": json.loads(row.facts),
                }
            )
    return [found[one] for one in sorted(found)]
