"""Rows as they lie in the tables, for inspections: pages of any table, and what belongs to a page.

Everything runs in a tenant's transaction, and every statement carries the tenant. A page costs one round
trip, what belongs to it one each.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Column, Integer, Table, bindparam, func, literal_column, select

from tenure.store import shapes, tables
from tenure.store.session import Tx
from tenure.store.shapes import mine
from tenure.store.statements import AnyOf, Select, at_most

Row = Mapping[str, Any]
"""One row by column name, without its tenant."""
Key = tuple[Any, ...]
"""A row's primary key, without its tenant."""
EntryId = tuple[str, int]
"""(writer, n)."""

_e, _p, _v, _s = tables.entries, tables.places, tables.versions, tables.subjects
_k = tables.cell_checkpoints
_ONE = literal_column("1", Integer)

LEAVES = (_s, tables.cohorts, tables.holds, tables.breakglass, tables.scope_leaves, tables.bucket_leaves)
"""Tables of what has a leaf of its own."""


class Span(NamedTuple):
    """What a writer has: entries from its number 0 to `last`; its last entry's kind; where its places end."""

    entries: int
    last: int
    kind: str
    placed: int


def key_of(table: Table, row: Row) -> Key:
    """A row's primary key, without its tenant."""
    return tuple(row[column.name] for column in shapes.key_columns(table))


def page(tx: Tx, table: Table, *, after: Key | None, limit: int) -> list[Row]:
    """Rows of the transaction's tenant behind a key, in its order."""
    if after is not None and not shapes.key_columns(table):
        return []  # a table with one row for each tenant
    return shapes.as_rows(table, tx.look(shapes.page(table, after, limit))[0])


def where(
    tx: Tx,
    table: Table,
    *,
    limit: int | None = None,
    but: Mapping[str, Iterable[Any]] | None = None,
    **columns: Any,  # noqa: ANN401 - values of columns
) -> list[Row]:
    """Rows of the transaction's tenant whose columns have these values, in the order of their key.

    Of a set, list or tuple, any one; None is a null. `but` gives values that a column must not have.
    """
    return shapes.as_rows(table, tx.look(shapes.where(table, columns, but or {}, limit))[0])


def entries(tx: Tx, wanted: Collection[EntryId]) -> dict[EntryId, Row]:
    """Entries by (writer, n)."""
    if not wanted:
        return {}
    named = set(wanted)
    writers = {writer for writer, _ in named}
    numbers = {n for _, n in named}
    rows = where(tx, _e, writer=writers, n=numbers)
    return {(row["writer"], row["n"]): row for row in rows if (row["writer"], row["n"]) in named}


_RUNS = Select(
    select(*shapes.own(_p))
    .where(
        mine(_p),
        _p.c.writer == bindparam("writer"),
        _p.c.n <= bindparam("last"),
        _p.c.n + _p.c.count > bindparam("first"),
    )
    .order_by(_p.c.generation, _p.c.idx)
)
_RUNS_BETWEEN = Select(
    select(*shapes.own(_p))
    .where(
        mine(_p),
        _p.c.generation == bindparam("generation"),
        _p.c.idx < bindparam("end"),
        _p.c.idx + _p.c.count > bindparam("first"),
    )
    .order_by(_p.c.idx)
)


def runs(tx: Tx, spans: Mapping[str, tuple[int, int]]) -> list[Row]:
    """Runs of places that touch a span of numbers (first, last) of each writer."""
    questions = [
        (_RUNS, {"writer": writer, "first": first, "last": last}) for writer, (first, last) in spans.items()
    ]
    return [row for found in tx.look(*questions) for row in shapes.as_rows(_p, found)]


def runs_between(tx: Tx, generation: int, first: int, end: int) -> list[Row]:
    """Runs of a generation that touch places first … end - 1."""
    which = {"generation": generation, "first": first, "end": end}
    return shapes.as_rows(_p, tx.look((_RUNS_BETWEEN, which))[0])


_COUNTED = Select(
    select(_e.c.writer, func.count(), func.max(_e.c.n))
    .where(mine(_e), AnyOf(_e.c.writer, "writers"))
    .group_by(_e.c.writer)
)
_ENDS = Select(
    select(_p.c.writer, func.max(_p.c.n + _p.c.count))
    .where(mine(_p), AnyOf(_p.c.writer, "writers"))
    .group_by(_p.c.writer)
)


def spans(tx: Tx, writers: Collection[str]) -> dict[str, Span]:
    """What each of these writers has; only those that have an entry. Two round trips."""
    if not writers:
        return {}
    named = {"writers": list(writers)}
    counted, placed = tx.look((_COUNTED, named), (_ENDS, named))
    found = {writer: (count, last) for writer, count, last in counted}
    ends: dict[str, int] = dict(placed)
    last = entries(tx, [(writer, end) for writer, (_, end) in found.items()])
    return {
        writer: Span(count, end, last[writer, end]["kind"], ends.get(writer, 0))
        for writer, (count, end) in found.items()
    }


_PLACED = Select(
    select(func.max(_p.c.idx + _p.c.count)).where(mine(_p), _p.c.generation == bindparam("generation"))
)
_RUN_BEFORE = Select(
    at_most(
        select(*shapes.own(_p))
        .where(mine(_p), _p.c.generation == bindparam("generation"), _p.c.idx < bindparam("idx"))
        .order_by(_p.c.idx.desc())
    )
)
_CHANGES = Select(
    select(_e.c.body)
    .where(mine(_e), _e.c.kind == literal_column("'principal.change'"))
    .order_by(_e.c.at, _e.c.writer, _e.c.n)
)
_ACTS = Select(select(_e.c.body).where(mine(_e), AnyOf(_e.c.kind, "kinds")))


def placed(tx: Tx, generation: int) -> int:
    """Where the last run of a generation ends."""
    return int(tx.look((_PLACED, {"generation": generation}))[0][0][0] or 0)


def run_before(tx: Tx, generation: int, idx: int) -> Row | None:
    """The run before a place, in its generation."""
    found = shapes.as_rows(_p, tx.look((_RUN_BEFORE, {"generation": generation, "idx": idx}))[0])
    return found[0] if found else None


def acts(tx: Tx, *kinds: str) -> list[bytes]:
    """The bodies of every entry of some kinds. No index: reads the whole ledger, for rare doubts only."""
    return [bytes(body) for (body,) in tx.look((_ACTS, {"kinds": [str(kind) for kind in kinds]}))[0]]


def principal_changes(tx: Tx) -> list[bytes]:
    """The bodies of every entry that changes principals, by time. By an index of these alone."""
    return [bytes(body) for (body,) in tx.look((_CHANGES, {}))[0]]


def versions(tx: Tx, places: Collection[tuple[str, int]]) -> dict[tuple[str, int], Row]:
    """Versions by (record id, number)."""
    if not places:
        return {}
    wanted = set(places)
    rows = where(
        tx,
        _v,
        record_id={record for record, _ in wanted},
        version={number for _, number in wanted},
    )
    found = {(row["record_id"], row["version"]): row for row in rows}
    return {place: row for place, row in found.items() if place in wanted}


_COUNTS = Select(
    select(_v.c.record_id, func.count(), func.max(_v.c.version))
    .where(mine(_v), AnyOf(_v.c.record_id, "records"))
    .group_by(_v.c.record_id)
)
_IN_USE = Select(
    at_most(
        select(_ONE).where(mine(_v), _v.c.scope == bindparam("scope"), _v.c.labels == bindparam("labels"))
    )
)
_OF_COHORT = Select(
    at_most(
        select(_ONE).where(mine(_v), _v.c.cohort == bindparam("leaf"), _v.c.state == literal_column("'live'"))
    )
)
_HIGHEST = [Select(select(func.max(table.c.leaf)).where(mine(table))) for table in LEAVES]
_NEWEST_TAKEN = Select(
    at_most(
        select(_k.c.generation, _k.c.size)
        .where(mine(_k), _k.c.id == bindparam("id"))
        .order_by(_k.c.generation.desc(), _k.c.size.desc())
    )
)


@cache
def _known(column: Column[Any]) -> Select:
    return Select(select(column).where(mine(column.table), AnyOf(column, "wanted")))


@cache
def _count(table: Table) -> Select:
    return Select(select(func.count()).select_from(table).where(mine(table)))


def version_counts(tx: Tx, record_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Record → (how many versions it has, the highest number)."""
    rows = tx.look((_COUNTS, {"records": list(record_ids)}))[0]
    return {record_id: (count, last) for record_id, count, last in rows}


def known_ids(tx: Tx, column: Column[Any], wanted: Collection[Any]) -> set[Any]:
    """Which of these values a column has."""
    if not wanted:
        return set()
    return {value for (value,) in tx.look((_known(column), {"wanted": shapes.known(wanted)}))[0]}


def in_use(tx: Tx, scope: str, labels: str) -> bool:
    """Whether a version has this set of labels in this scope."""
    return bool(tx.look((_IN_USE, {"scope": scope, "labels": labels}))[0])


def of_cohort(tx: Tx, leaf: int) -> bool:
    """Whether a version of a cohort is live."""
    return bool(tx.look((_OF_COHORT, {"leaf": leaf}))[0])


def highest_leaf(tx: Tx) -> int:
    """The highest leaf that was given to anybody or anything (`LEAVES`); -1 for none. One round trip."""
    found = [highest for [(highest,)] in tx.look(*((question, {}) for question in _HIGHEST))]
    return max([-1, *(int(highest) for highest in found if highest is not None)])


def newest_taken(tx: Tx, tenant_id: str) -> list[tuple[int, int]]:
    """(generation, size) of the newest of a tenant's checkpoints in the cell's log. Cell transaction."""
    return [(generation, size) for generation, size in tx.look((_NEWEST_TAKEN, {"id": tenant_id}))[0]]


def count(tx: Tx, table: Table) -> int:
    """How many rows of a table the transaction's tenant has."""
    return int(tx.look((_count(table), {}))[0][0][0])
