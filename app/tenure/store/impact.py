"""What an erasure would touch, as it lies in the database: versions without contents, decisions, lineage.

In pages that a caller bounds. Entries are found by their decision (`ix_entries_decision`), versions of a
person by the key of `version_subjects`, which begins with the person.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import and_, bindparam, case, func, literal_column, select
from sqlalchemy.sql.elements import ColumnElement

from tenure.ledger.entry import Kind
from tenure.model.lifetime import Tier
from tenure.store import tables
from tenure.store.records import DERIVED, Place, among, beyond, linked
from tenure.store.session import Tx
from tenure.store.statements import AnyOf, Select, at_most
from tenure.store.storage import TIER

_v, _s, _l = tables.versions, tables.version_subjects, tables.lineage
_d, _e, _p = tables.decisions, tables.entries, tables.packs
AT_ONCE: Final = 500
"""Ids in one statement."""
_T = TypeVar("_T")


class Sketch(NamedTuple):
    """A version as far as an erasure's effect on it is told: its header and where it stands, no content.

    Of one in segments `content` has these, for each of them has a header of its own.
    """

    record_id: str
    version: int
    version_id: str
    scope: str
    state: str
    created_at: int
    header: bytes | None
    content: bytes | None
    segments: int | None
    cohort: int | None

    @property
    def place(self) -> Place:
        """Which version it is."""
        return self.record_id, self.version

    @property
    def readable(self) -> bool:
        """Whether it is neither a tombstone nor withdrawn."""
        return self.header is not None and self.state not in ("erased", "held")


_SKETCH = (
    _v.c.record_id,
    _v.c.version,
    _v.c.id,
    _v.c.scope,
    _v.c.state,
    _v.c.created_at,
    _v.c.header,
    case((_v.c.segments.is_not(None), _v.c.content)),
    _v.c.segments,
    _v.c.cohort,
)
_tenant: ColumnElement[str] = bindparam("tenant_id")


# ── versions ───────────────────────────────────────────────────────────────────────────────────────
def of_person(tx: Tx, subject_id: str, *, derived: bool, after: Place | None, limit: int) -> list[Sketch]:
    """Versions that name a person, or that name nobody and were derived; by record and number."""
    query = (
        select(*_SKETCH)
        .select_from(_s)
        .join(_v, linked(_s))
        .where(
            _s.c.tenant_id == tx.tenant_id,
            _s.c.subject_id == subject_id,
            _s.c.derived == int(derived),
        )
        .order_by(_s.c.record_id, _s.c.version)
        .limit(limit)
    )
    if after is not None:
        query = query.where(beyond(_s, after))
    return [Sketch(*row) for row in tx.execute(query)]


def at(tx: Tx, places: Collection[Place]) -> dict[Place, Sketch]:
    """These versions, as far as they are there. A round trip for each 500."""
    found: dict[Place, Sketch] = {}
    for some in _parts(sorted(set(places))):
        rows = tx.execute(select(*_SKETCH).where(_v.c.tenant_id == tx.tenant_id, among(_v, some)))
        found.update(((row[0], row[1]), Sketch(*row)) for row in rows)
    return found


_RECORDS_OF = Select(
    select(_s.c.record_id)
    .where(
        _s.c.tenant_id == _tenant,
        _s.c.subject_id == bindparam("subject"),
        AnyOf(_s.c.record_id, "records"),
    )
    .distinct()
)


def records_of(tx: Tx, subject_id: str, records: Collection[str]) -> set[str]:
    """Of these records, those with a version that goes with a person. A round trip for each 500."""
    return {
        row[0]
        for some in _parts(sorted(records))
        for row in tx.ask((_RECORDS_OF, {"subject": subject_id, "records": some}))[0]
    }


def links(tx: Tx, subject_id: str, places: Collection[Place]) -> dict[Place, bool]:
    """Those of these versions that go with a person → whether only by descent. A round trip for each 500."""
    found: dict[Place, bool] = {}
    for some in _parts(sorted(set(places))):
        rows = tx.execute(
            select(_s.c.record_id, _s.c.version, _s.c.derived).where(
                _s.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id, among(_s, some)
            )
        )
        found.update(((row[0], row[1]), row[2] == DERIVED) for row in rows)
    return found


_CHILDREN = Select(
    select(_v.c.id, _v.c.record_id, _v.c.version)
    .join_from(_l, _v, and_(_v.c.tenant_id == _l.c.tenant_id, _v.c.id == _l.c.child_id))
    .where(_l.c.tenant_id == _tenant, AnyOf(_l.c.parent_id, "parents"))
)


def children(tx: Tx, version_ids: Collection[str]) -> dict[str, Place]:
    """Id → place of what was derived from these versions, in one step. A round trip for each 500."""
    return {
        row[0]: (row[1], row[2])
        for some in _parts(sorted(version_ids))
        for row in tx.ask((_CHILDREN, {"parents": some}))[0]
    }


class Extent(NamedTuple):
    """How much goes with a person: versions, and when the newest of them was made (microseconds)."""

    versions: int
    newest: int


def extent(tx: Tx, subject_id: str) -> Extent:
    """Of everything that names a person or was derived from it. One round trip."""
    query = (
        select(func.count(), func.coalesce(func.max(_v.c.created_at), 0))
        .select_from(_s.join(_v, linked(_s)))
        .where(_s.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id)
    )
    versions, newest = tx.execute(query).one()
    return Extent(int(versions), int(newest))


class Count(NamedTuple):
    """How many versions of a person are alike. `tag` and `put_at` (microseconds): of the pack they lie in.

    `tier`: None when nothing of them is stored any more.
    """

    scope: str
    labels: str
    state: str
    derived: int
    tier: Tier | None
    tag: str | None
    put_at: int | None
    versions: int


def counted(tx: Tx, subject_id: str) -> list[Count]:
    """All versions that go with a person, by scope, labels, state, descent, tier and pack. One round trip."""
    kinds = (_v.c.scope, _v.c.labels, _v.c.state, _s.c.derived, TIER, _p.c.tag, _p.c.put_at)
    packed = and_(_p.c.tenant_id == _v.c.tenant_id, _p.c.id == _v.c.pack_id)
    query = (
        select(*kinds, func.count())
        .select_from(_s.join(_v, linked(_s)).outerjoin(_p, packed))
        .where(_s.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id)
        .group_by(*kinds)
        .order_by(*kinds[:4])
    )
    return [Count(*row) for row in tx.execute(query)]


# ── decisions ──────────────────────────────────────────────────────────────────────────────────────
class Made(NamedTuple):
    """A decision: whose, about whom, what for. `opened_at` in microseconds."""

    id: str
    principal_id: str
    subject_id: str | None
    purpose: str
    opened_at: int


_FIRST = select(_d.c.id, _d.c.principal_id, _d.c.subject_id, _d.c.purpose, _d.c.opened_at).where(
    _d.c.tenant_id == _tenant
)
_DECISIONS = Select(at_most(_FIRST.order_by(_d.c.id), bindparam("limit")))
_BEHIND = Select(at_most(_FIRST.where(_d.c.id > bindparam("after")).order_by(_d.c.id), bindparam("limit")))


def decisions(tx: Tx, *, after: str | None, limit: int) -> list[Made]:
    """Decisions behind an id, in its order: the oldest first."""
    question = _DECISIONS if after is None else _BEHIND
    return [Made(*row) for row in tx.ask((question, {"after": after, "limit": limit}))[0]]


_COUNTS = Select(
    select(_e.c.decision_id, func.count())
    .where(_e.c.tenant_id == _tenant, AnyOf(_e.c.decision_id, "decisions"))
    .group_by(_e.c.decision_id)
)
_ENTRIES = Select(
    select(_e.c.decision_id, _e.c.kind, _e.c.body)
    .where(
        _e.c.tenant_id == _tenant,
        AnyOf(_e.c.decision_id, "decisions"),
        _e.c.kind != literal_column(f"'{Kind.DECISION_OPEN.value}'"),
        _e.c.kind != literal_column(f"'{Kind.DECISION_SEAL.value}'"),
    )
    .order_by(_e.c.decision_id, _e.c.at, _e.c.writer, _e.c.n)
)


def entry_counts(tx: Tx, decision_ids: Sequence[str]) -> dict[str, int]:
    """How many entries are bound to each decision. By the index alone."""
    return {row[0]: int(row[1]) for row in tx.ask((_COUNTS, {"decisions": list(decision_ids)}))[0]}


def entries(tx: Tx, decision_ids: Sequence[str]) -> dict[str, list[tuple[str, bytes]]]:
    """Decision → (kind, raw entry) of all that is bound to it but its opening and seal, in writing order."""
    found: dict[str, list[tuple[str, bytes]]] = {one: [] for one in decision_ids}
    for decision_id, kind, body in tx.ask((_ENTRIES, {"decisions": list(decision_ids)}))[0]:
        found[decision_id].append((kind, bytes(body)))
    return found


def _parts(wanted: Sequence[_T]) -> Iterator[list[_T]]:
    for first in range(0, len(wanted), AT_ONCE):
        yield list(wanted[first : first + AT_ONCE])
