"""Records, versions, labels, lineage: sealed columns and blind indexes only."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Table,
    and_,
    bindparam,
    func,
    literal,
    null,
    select,
    true,
    tuple_,
)
from sqlalchemy import Select as CoreSelect

from tenure.store import tables
from tenure.store.lookups import LookUp, Step
from tenure.store.session import Tx
from tenure.store.statements import Insert, InsertFound, Update

Place = tuple[str, int]
"""(record id, number) of a version."""
_r, _v, _s, _d = tables.records, tables.versions, tables.version_subjects, tables.lineage
_p, _l, _f = tables.subjects, tables.scope_leaves, tables.record_paths

_AT_ONCE = 500

LABELLED, DERIVED = 0, 1
"""How a version goes with a person: it names them; it names nobody and was derived from what is theirs."""


class StoredVersion(NamedTuple):
    """One version as it lies in the database, with where its record stands."""

    key_index: str
    record_id: str
    latest: int
    version: int
    version_id: str
    scope: str
    labels: str
    state: str
    created_at: int
    expires_at: int | None
    entry: str
    header: bytes | None
    head: bytes | None
    content: bytes | None
    shred_id: str | None
    segments: int | None
    cohort: int | None = None
    """The leaf of its cohort."""
    accessed_at: int | None = None
    """The last access to its record, as far as it is kept (`tenure.clocks`)."""
    pack_id: str | None = None
    pack_offset: int | None = None
    pack_length: int | None = None
    pack_sha256: bytes | None = None
    """Where its content lies if it is in a pack; in `content` there is nothing then, or, of one with
    segments, these without their contents."""
    restricted_since: int | None = None
    """Since when it was corrected by a newer one (GDPR Art. 16): kept, and not read any more."""
    stale_since: int | None = None
    """Since when something that it was derived from is like that."""

    @property
    def place(self) -> Place:
        """Which version it is."""
        return self.record_id, self.version

    @property
    def tier(self) -> str:
        """Where its content lies: `hot` or `cold`."""
        return "hot" if self.pack_id is None else "cold"


_COLUMNS = (
    _r.c.key_index,
    _r.c.id,
    _r.c.latest,
    _v.c.version,
    _v.c.id,
    _v.c.scope,
    _v.c.labels,
    _v.c.state,
    _v.c.created_at,
    _v.c.expires_at,
    _v.c.entry,
    _v.c.header,
    _v.c.head,
    _v.c.content,
    _v.c.shred_id,
    _v.c.segments,
    _v.c.cohort,
    _r.c.accessed_at,
    _v.c.pack_id,
    _v.c.pack_offset,
    _v.c.pack_length,
    _v.c.pack_sha256,
    _v.c.restricted_since,
    _v.c.stale_since,
)
_BARE = tuple(null().label("content") if one is _v.c.content else one for one in _COLUMNS)
"""The same without contents: they may be large, and are not needed to tell where they lie."""
_OF_RECORD = and_(_v.c.tenant_id == _r.c.tenant_id, _v.c.record_id == _r.c.id)

_RECORDS = Step(_r, _r.c.tenant_id == bindparam("tenant_id"))
_VERSIONS = Step(_v, _OF_RECORD)

CURRENT = LookUp(
    _COLUMNS,
    _RECORDS,
    Step(_v, and_(_OF_RECORD, _v.c.version == _r.c.latest)),
    keys={"keys": _r.c.key_index},
)
BY_ID = LookUp(
    _COLUMNS, Step(_v, _v.c.tenant_id == bindparam("tenant_id")), Step(_r, _OF_RECORD), keys={"ids": _v.c.id}
)
NUMBERED = LookUp(
    _COLUMNS,
    Step(_r, and_(_RECORDS.where, _r.c.key_index == bindparam("key_index"))),
    _VERSIONS,
    keys={"numbers": _v.c.version},
)
EVERY = LookUp(_COLUMNS, _RECORDS, _VERSIONS, keys={"keys": _r.c.key_index}, order_by=(_r.c.id, _v.c.version))
"""All versions of these records."""


class Source(NamedTuple):
    """A version that something is derived from. `scope_leaf`: of its scope, if that has one.

    `segments`: how many its content has; None when it is one. `cohort`: the leaf of its cohort. The last two
    are as in `StoredVersion`.
    """

    version_id: str
    state: str
    shred_id: str | None
    header: bytes | None
    scope_leaf: int | None
    segments: int | None
    cohort: int | None
    restricted_since: int | None = None
    stale_since: int | None = None


KNOWN_VERSIONS = LookUp(
    (
        _v.c.id,
        _v.c.state,
        _v.c.shred_id,
        _v.c.header,
        _l.c.leaf,
        _v.c.segments,
        _v.c.cohort,
        _v.c.restricted_since,
        _v.c.stale_since,
    ),
    Step(_v, _v.c.tenant_id == bindparam("tenant_id")),
    Step(_l, and_(_l.c.tenant_id == _v.c.tenant_id, _l.c.scope == _v.c.scope), optional=True),
    keys={"ids": _v.c.id},
)
"""Rows of `Source`."""

INSERT_RECORD = Insert(tables.records)
INSERT_VERSION = Insert(tables.versions)
INSERT_LABELS = Insert(tables.label_sets, ignore_existing=True)
INSERT_SUBJECT_LINK = Insert(tables.version_subjects)
INSERT_DERIVED_LINK = InsertFound(_s, into="subject_id", value=_p.c.id, by=_p.c.leaf)
INSERT_LINEAGE = Insert(tables.lineage, ignore_existing=True)
MOVE_RECORD = Update(
    tables.records, key=("tenant_id", "id"), values=("latest", "labels", "state", "updated_at")
)

KEEP_ACCESS = Update(tables.records, key=("tenant_id", "id"), values=("accessed_at", "accessed_entry"))


def at_version(tx: Tx, key_index: str, version: int) -> StoredVersion | None:
    """One version of a record by number."""
    return _one(tx, _r.c.key_index == key_index, _v.c.version == version)


def as_of(tx: Tx, key_index: str, at: int) -> StoredVersion | None:
    """The version that was current at an instant."""
    return _one(tx, _r.c.key_index == key_index, _v.c.created_at <= at)


def by_ids(tx: Tx, pairs: Sequence[Place]) -> list[StoredVersion]:
    """Versions by (record id, number), one statement."""
    wanted = set(pairs)
    found = tx.execute(
        every(tx).where(
            _r.c.id.in_({record for record, _ in wanted}), _v.c.version.in_({n for _, n in wanted})
        )
    )
    rows = (StoredVersion(*row) for row in found)
    return [row for row in rows if (row.record_id, row.version) in wanted]


def newest(tx: Tx, record_ids: Collection[str]) -> list[StoredVersion]:
    """The newest versions of records, by id. One statement."""
    query = every(tx).where(_r.c.id.in_(list(record_ids)), _v.c.version == _r.c.latest)
    return [StoredVersion(*row) for row in tx.execute(query.order_by(_r.c.id))]


def among(table: Table, places: Collection[Place]) -> ColumnElement[bool]:
    """Condition: the row's (record id, number) is one of these. By the table's index on them.

    SQLite looks pairs from a list up in no index, and would read the whole tenant: the records alone narrow
    it down first.
    """
    records = table.c.record_id.in_({record for record, _ in places})
    return and_(records, tuple_(table.c.record_id, table.c.version).in_(places))


def labels_at(tx: Tx, places: Collection[Place]) -> dict[Place, tuple[str, str]]:
    """Scope and labels of versions, whatever became of their content. A round trip for each 500."""
    found: dict[Place, tuple[str, str]] = {}
    wanted = sorted(places)
    for first in range(0, len(wanted), _AT_ONCE):
        which = among(_v, wanted[first : first + _AT_ONCE])
        rows = tx.execute(
            select(_v.c.record_id, _v.c.version, _v.c.scope, _v.c.labels).where(
                _v.c.tenant_id == tx.tenant_id, which
            )
        )
        found.update(((row[0], row[1]), (row[2], row[3])) for row in rows)
    return found


def history(
    tx: Tx, key_index: str, labels: Sequence[str], *, before: int | None, limit: int
) -> list[StoredVersion]:
    """Versions of a record whose label set is one of `labels`, newest first."""
    query = every(tx).where(_r.c.key_index == key_index, _v.c.labels.in_(labels))
    if before is not None:
        query = query.where(_v.c.version < before)
    return [StoredVersion(*row) for row in tx.execute(query.order_by(_v.c.version.desc()).limit(limit))]


def hidden(tx: Tx, key_index: str, labels: Sequence[str], *, before: int | None, after: int | None) -> int:
    """How many versions of a record between `before` and `after` have none of these label sets."""
    query = (
        select(func.count())
        .select_from(_r.join(_v, _OF_RECORD))
        .where(_r.c.tenant_id == tx.tenant_id, _r.c.key_index == key_index, _v.c.labels.not_in(labels))
    )
    if before is not None:
        query = query.where(_v.c.version < before)
    if after is not None:
        query = query.where(_v.c.version > after)
    return int(tx.execute(query).scalar_one())


class Filter(NamedTuple):
    """What a list is restricted to, besides what policy allows. Instants in microseconds."""

    scope: str
    subject_id: str | None = None
    since: int | None = None
    until: int | None = None
    as_of: int | None = None
    categories: tuple[str, ...] = ()
    key_indexes: tuple[str, ...] = ()
    """Only these records, if there are any here."""
    path_index: str | None = None
    """Only records that are, or were, filed there."""


def label_sets(tx: Tx, scope: str) -> list[str]:
    """Every set of categories that a version in this scope was ever labelled with."""
    table = tables.label_sets
    return list(
        tx.execute(
            select(table.c.labels).where(table.c.tenant_id == tx.tenant_id, table.c.scope == scope)
        ).scalars()
    )


def page(
    tx: Tx,
    filters: Filter,
    labels: Sequence[str],
    *,
    now: int,
    after: str | None,
    limit: int,
    bare: bool = False,
) -> list[StoredVersion]:
    """Live versions under the filters whose label set is one of `labels`, by record id.

    `bare`: without contents.
    """
    columns = _BARE if bare else _COLUMNS
    # The same order either way; SQLite goes by the index of whichever is named.
    by = _r.c.id if filters.path_index is None else _f.c.record_id
    query = _listing(tx, columns, filters, labels, now).order_by(by).limit(limit)
    if after is not None:
        query = query.where(by > after)
    return [StoredVersion(*row) for row in tx.execute(query)]


def count(tx: Tx, filters: Filter, labels: Sequence[str], *, now: int) -> int:
    """How many live versions under the filters carry one of these label sets."""
    if not labels:
        return 0
    return int(tx.execute(_listing(tx, (func.count(),), filters, labels, now)).scalar_one())


def _listing(
    tx: Tx, columns: Sequence[Any], filters: Filter, labels: Sequence[str], now: int
) -> CoreSelect[Any]:
    r, v, source = _sources(tx, filters)
    query = (
        select(*(_column(one, r, v) for one in columns))
        .select_from(source)
        .where(
            r.c.tenant_id == tx.tenant_id,
            r.c.scope == filters.scope,
            v.c.labels.in_(labels),
            v.c.state == "live",
            (v.c.expires_at.is_(None)) | (v.c.expires_at > now),
        )
    )
    if filters.subject_id is not None:
        query = query.join(
            _s,
            and_(
                _s.c.tenant_id == v.c.tenant_id,
                _s.c.subject_id == filters.subject_id,
                _s.c.derived == LABELLED,
                _s.c.record_id == v.c.record_id,
                _s.c.version == v.c.version,
            ),
        )
    if filters.key_indexes:
        query = query.where(r.c.key_index.in_(filters.key_indexes))
    if filters.since is not None:
        query = query.where(v.c.created_at >= filters.since)
    if filters.until is not None:
        query = query.where(v.c.created_at < filters.until)
    return query


def _sources(tx: Tx, filters: Filter) -> tuple[FromClause, FromClause, FromClause]:
    """What is records and what is versions in a listing, and the join of both.

    With a path it begins there, and goes on record by record. PostgreSQL is made to (`OFFSET 0` is a fence):
    of tables that it has no statistics of it would take each index for as good as any other, and may read
    all records for each one, and all versions for each of these.
    """
    if filters.path_index is None:
        return _r, _v, _r.join(_v, and_(_OF_RECORD, _current(_r, filters)))
    here = and_(_f.c.tenant_id == tx.tenant_id, _f.c.path_index == filters.path_index)
    filed = and_(_r.c.tenant_id == _f.c.tenant_id, _r.c.id == _f.c.record_id)
    if tx.connection.dialect.name == "sqlite":
        return _r, _v, _f.join(_r, and_(here, filed)).join(_v, and_(_OF_RECORD, _current(_r, filters)))
    r = select(_r).where(filed).correlate(_f).offset(0).lateral("r")
    of_record = and_(_v.c.tenant_id == r.c.tenant_id, _v.c.record_id == r.c.id)
    v = select(_v).where(of_record, _current(r, filters)).correlate(r).offset(0).lateral("v")
    return r, v, _f.join(r, here).join(v, true())


def _current(r: FromClause, filters: Filter) -> ColumnElement[bool]:
    """A version is the record's newest, or was at an instant."""
    if filters.as_of is None:
        return _v.c.version == r.c.latest
    newer = tables.versions.alias("newer")
    return and_(
        _v.c.created_at <= filters.as_of,
        ~select(newer.c.version)
        .where(
            newer.c.tenant_id == _v.c.tenant_id,
            newer.c.record_id == _v.c.record_id,
            newer.c.version > _v.c.version,
            newer.c.created_at <= filters.as_of,
        )
        .exists(),
    )


def _column(one: Any, r: FromClause, v: FromClause) -> Any:  # noqa: ANN401 - a column, or what stands for one
    """The same of what stands for the tables."""
    table = getattr(one, "table", None)
    return r.c[one.name] if table is _r else v.c[one.name] if table is _v else one


def beyond(table: Table, after: Place) -> ColumnElement[bool]:
    """Past a place, by record and number."""
    here = tuple_(literal(after[0], tables.Id), literal(after[1], BigInteger))
    return tuple_(table.c.record_id, table.c.version) > here


def sources(tx: Tx, version_id: str) -> list[Source]:
    """What a version was derived from, by id."""
    parents = select(_d.c.parent_id).where(_d.c.tenant_id == tx.tenant_id, _d.c.child_id == version_id)
    ids = list(tx.execute(parents).scalars())
    return [Source(*row) for row in sorted(tx.ask((KNOWN_VERSIONS, {"ids": ids}))[0])]


def linked(link: Table) -> ColumnElement[bool]:
    """A row of `link`, a table of (record, version), is of this version."""
    return and_(
        link.c.tenant_id == _v.c.tenant_id,
        link.c.record_id == _v.c.record_id,
        link.c.version == _v.c.version,
    )


def base(tx: Tx, link: Table, *conditions: ColumnElement[bool]) -> CoreSelect[Any]:
    """Versions that `link`, a table of (record, version), names under these conditions."""
    return every(tx).join(link, linked(link)).where(*conditions)


def exists(tx: Tx, record_id: str) -> bool:
    """Whether there is such a record."""
    return (
        tx.execute(select(_r.c.id).where(_r.c.tenant_id == tx.tenant_id, _r.c.id == record_id)).first()
        is not None
    )


def any_in(tx: Tx, scope: str) -> bool:
    """Whether a record was ever written to this scope: erased ones count, they answer 410."""
    return (
        tx.execute(
            select(_r.c.id).where(_r.c.tenant_id == tx.tenant_id, _r.c.scope == scope).limit(1)
        ).first()
        is not None
    )


def inventory(tx: Tx, subject_id: str) -> list[tuple[str, str, str, int]]:
    """(scope, labels, state, versions) of one subject."""
    query = (
        select(_v.c.scope, _v.c.labels, _v.c.state, func.count())
        .join(_s, linked(_s))
        .where(_v.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id, _s.c.derived == LABELLED)
        .group_by(_v.c.scope, _v.c.labels, _v.c.state)
        .order_by(_v.c.scope, _v.c.labels)
    )
    return [tuple(row) for row in tx.execute(query)]


def every(tx: Tx) -> CoreSelect[Any]:
    """All versions of the tenant: to be restricted further."""
    return select(*_COLUMNS).join(_v, _OF_RECORD).where(_r.c.tenant_id == tx.tenant_id)


def _one(tx: Tx, *conditions: ColumnElement[bool]) -> StoredVersion | None:
    query = every(tx).where(*conditions).order_by(_v.c.version.desc()).limit(1)
    row = tx.execute(query).one_or_none()
    return StoredVersion(*row) if row else None
