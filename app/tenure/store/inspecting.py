"""Rows as they lie in the tables, for inspections: pages of any table, and what belongs to a page.

Everything runs in a tenant's transaction, and every statement carries the tenant. A page costs one round
trip, what belongs to it one each.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Table, and_, func, literal, or_, select, tuple_

from tenure.store import tables
from tenure.store.session import Tx

Row = Mapping[str, Any]
"""One row by column name, without its tenant."""
Key = tuple[Any, ...]
"""A row's primary key, without its tenant."""
EntryId = tuple[str, int]
"""(writer, n)."""

_e, _p, _v, _s = tables.entries, tables.places, tables.versions, tables.subjects
_k = tables.cell_checkpoints

LEAVES = (_s, tables.cohorts, tables.holds, tables.breakglass, tables.scope_leaves, tables.bucket_leaves)
"""Tables of what has a leaf of its own."""


class Span(NamedTuple):
    """What a writer has: entries from its number 0 to `last`; its last entry's kind; where its places end."""

    entries: int
    last: int
    kind: str
    placed: int


def key_columns(table: Table) -> list[Column[Any]]:
    """The columns of the primary key, without the tenant."""
    return [column for column in table.primary_key.columns if column.name != "tenant_id"]


def key_of(table: Table, row: Row) -> Key:
    """A row's primary key, without its tenant."""
    return tuple(row[column.name] for column in key_columns(table))


def page(tx: Tx, table: Table, *, after: Key | None, limit: int) -> list[Row]:
    """Rows of the transaction's tenant behind a key, in its order."""
    key = key_columns(table)
    query = select(*_own(table)).where(table.c.tenant_id == tx.tenant_id).order_by(*key).limit(limit)
    if after is not None and key:
        here = [literal(value, column.type) for value, column in zip(after, key, strict=True)]
        query = query.where(tuple_(*key) > tuple_(*here))
    elif after is not None:
        return []  # a table with one row for each tenant
    return [dict(row) for row in tx.execute(query).mappings()]


def where(tx: Tx, table: Table, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Row]:
    """Rows of the transaction's tenant under conditions, in the order of their key."""
    query = select(*_own(table)).where(table.c.tenant_id == tx.tenant_id, *conditions)
    return [dict(row) for row in tx.execute(query.order_by(*key_columns(table)).limit(limit)).mappings()]


def entries(tx: Tx, wanted: Collection[EntryId]) -> dict[EntryId, Row]:
    """Entries by (writer, n)."""
    if not wanted:
        return {}
    named = set(wanted)
    writers = {writer for writer, _ in named}
    numbers = {n for _, n in named}
    rows = where(tx, _e, _e.c.writer.in_(writers), _e.c.n.in_(numbers))
    return {(row["writer"], row["n"]): row for row in rows if (row["writer"], row["n"]) in named}


def runs(tx: Tx, spans: Mapping[str, tuple[int, int]]) -> list[Row]:
    """Runs of places that touch a span of numbers (first, last) of each writer."""
    touching = [
        and_(_p.c.writer == writer, _p.c.n <= last, _p.c.n + _p.c.count > first)
        for writer, (first, last) in spans.items()
    ]
    return where(tx, _p, or_(*touching)) if touching else []


def runs_between(tx: Tx, generation: int, first: int, end: int) -> list[Row]:
    """Runs of a generation that touch places first … end - 1."""
    return where(tx, _p, _p.c.generation == generation, _p.c.idx < end, _p.c.idx + _p.c.count > first)


def spans(tx: Tx, writers: Collection[str]) -> dict[str, Span]:
    """What each of these writers has; only those that have an entry. Two statements and one for the kinds."""
    if not writers:
        return {}
    counted = tx.execute(
        select(_e.c.writer, func.count(), func.max(_e.c.n))
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.writer.in_(writers))
        .group_by(_e.c.writer)
    )
    found = {writer: (count, last) for writer, count, last in counted}
    placed = tx.execute(
        select(_p.c.writer, func.max(_p.c.n + _p.c.count))
        .where(_p.c.tenant_id == tx.tenant_id, _p.c.writer.in_(writers))
        .group_by(_p.c.writer)
    )
    ends = {writer: int(end) for writer, end in placed}
    last = entries(tx, [(writer, end) for writer, (_, end) in found.items()])
    return {
        writer: Span(count, end, last[writer, end]["kind"], ends.get(writer, 0))
        for writer, (count, end) in found.items()
    }


def placed(tx: Tx, generation: int) -> int:
    """Where the last run of a generation ends."""
    query = select(func.max(_p.c.idx + _p.c.count)).where(
        _p.c.tenant_id == tx.tenant_id, _p.c.generation == generation
    )
    return int(tx.execute(query).scalar_one() or 0)


def run_before(tx: Tx, generation: int, idx: int) -> Row | None:
    """The run before a place, in its generation."""
    query = (
        select(*_own(_p))
        .where(_p.c.tenant_id == tx.tenant_id, _p.c.generation == generation, _p.c.idx < idx)
        .order_by(_p.c.idx.desc())
        .limit(1)
    )
    row = tx.execute(query).mappings().one_or_none()
    return dict(row) if row else None


def acts(tx: Tx, *kinds: str) -> list[bytes]:
    """The bodies of every entry of some kinds. No index: reads the whole ledger, for rare doubts only."""
    query = select(_e.c.body).where(_e.c.tenant_id == tx.tenant_id, _e.c.kind.in_(kinds))
    return [bytes(body) for body in tx.execute(query).scalars()]


def versions(tx: Tx, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], Row]:
    """Versions by (record id, number)."""
    if not places:
        return {}
    wanted = set(places)
    rows = where(
        tx,
        _v,
        _v.c.record_id.in_({record for record, _ in wanted}),
        _v.c.version.in_({number for _, number in wanted}),
    )
    found = {(row["record_id"], row["version"]): row for row in rows}
    return {place: row for place, row in found.items() if place in wanted}


def version_counts(tx: Tx, record_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Record → (how many versions it has, the highest number)."""
    rows = tx.execute(
        select(_v.c.record_id, func.count(), func.max(_v.c.version))
        .where(_v.c.tenant_id == tx.tenant_id, _v.c.record_id.in_(record_ids))
        .group_by(_v.c.record_id)
    )
    return {record_id: (count, last) for record_id, count, last in rows}


def known_ids(tx: Tx, column: Column[Any], wanted: Collection[Any]) -> set[Any]:
    """Which of these values a column has."""
    if not wanted:
        return set()
    query = select(column).where(column.table.c.tenant_id == tx.tenant_id, column.in_(wanted))
    return set(tx.execute(query).scalars())


def in_use(tx: Tx, scope: str, labels: str) -> bool:
    """Whether a version has this set of labels in this scope."""
    query = select(literal(1)).where(
        _v.c.tenant_id == tx.tenant_id, _v.c.scope == scope, _v.c.labels == labels
    )
    return tx.execute(query.limit(1)).first() is not None


def of_cohort(tx: Tx, leaf: int) -> bool:
    """Whether a version of a cohort is live."""
    query = select(literal(1)).where(
        _v.c.tenant_id == tx.tenant_id, _v.c.cohort == leaf, _v.c.state == "live"
    )
    return tx.execute(query.limit(1)).first() is not None


def highest_leaf(tx: Tx) -> int:
    """The highest leaf that was given to anybody or anything (`LEAVES`); -1 for none."""
    found = [-1]
    for table in LEAVES:
        query = select(func.max(table.c.leaf)).where(table.c.tenant_id == tx.tenant_id)
        highest = tx.execute(query).scalar_one()
        found += [] if highest is None else [int(highest)]
    return max(found)


def newest_taken(tx: Tx, tenant_id: str) -> list[tuple[int, int]]:
    """(generation, size) of the newest of a tenant's checkpoints in the cell's log. Cell transaction."""
    query = select(_k.c.generation, _k.c.size).where(_k.c.tenant_id == tx.tenant_id, _k.c.id == tenant_id)
    rows = tx.execute(query.order_by(_k.c.generation.desc(), _k.c.size.desc()).limit(1))
    return [(generation, size) for generation, size in rows]


def count(tx: Tx, table: Table) -> int:
    """How many rows of a table the transaction's tenant has."""
    query = select(func.count()).select_from(table).where(table.c.tenant_id == tx.tenant_id)
    return int(tx.execute(query).scalar_one())


def _own(table: Table) -> Sequence[Column[Any]]:
    return [column for column in table.c if column.name != "tenant_id"]
