"""Ledger entries, tiles and checkpoints at rest."""

import heapq
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, func, insert, literal_column, select, update

from tenure.ledger.cosignature import merge
from tenure.ledger.entry import Kind
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Insert, Params, Row, Select, Update, at_most

_e, _g, _c, _t = tables.entries, tables.logs, tables.checkpoints, tables.tiles
_p, _w = tables.places, tables.writers

_INSERT_PLACE = Insert(tables.places)
_PUT_BACK_COLUMNS = ("kind", "at", "principal_id", "decision_id", "breakglass_id", "body")
_PUT_BACK = Insert(tables.entries, replace=_PUT_BACK_COLUMNS)
_PUT_WRITER = Insert(tables.writers, ignore_existing=True)
_MEND_CHECKPOINT = Insert(tables.checkpoints, replace=("note",))
_MEND_PLACE = Insert(tables.places, ignore_existing=True)
_KEEP_CHECKPOINT = Insert(tables.checkpoints, ignore_existing=True)
_PUT_TILE = Insert(tables.tiles, replace=("data",))
_MOVE_WRITER = Update(tables.writers, key=("tenant_id", "writer"), values=("next",))

WRITERS = Select(select(_w.c.writer, _w.c.next).where(_w.c.tenant_id == bindparam("tenant_id")))
_WAITING = Select(
    select(_e.c.at, _e.c.writer, _e.c.n, _e.c.kind, _e.c.body)
    .where(
        _e.c.tenant_id == bindparam("tenant_id"),
        _e.c.writer == bindparam("writer"),
        _e.c.n >= bindparam("next"),
        _e.c.n < bindparam("end"),
    )
    .order_by(_e.c.n)
)

# The place of an entry that is joined with the run it stands in.
_idx = _p.c.idx + _e.c.n - _p.c.n
_IN_RUN = and_(
    _e.c.tenant_id == _p.c.tenant_id,
    _e.c.writer == _p.c.writer,
    _e.c.n >= _p.c.n,
    _e.c.n < _p.c.n + _p.c.count,
)


class Log(NamedTuple):
    """The newest generation of a tenant's log."""

    generation: int
    origin: str
    size: int
    root: bytes
    published: int


class Pending(NamedTuple):
    """An entry that has no place yet."""

    writer: str
    n: int
    kind: str
    body: bytes


class Placed(NamedTuple):
    """An entry with its place; both parts of it are None until it is sequenced."""

    generation: int | None
    idx: int | None
    writer: str
    n: int
    body: bytes


_PLACED = (_p.c.generation, _idx, _e.c.writer, _e.c.n, _e.c.body)


def open_log(tx: Tx, generation: int, origin: str, root: bytes) -> None:
    """Begin a generation of the tenant's log."""
    tx.execute(
        insert(_g).values(
            tenant_id=tx.tenant_id, generation=generation, origin=origin, size=0, root=root, published=0
        )
    )


_LOGS = select(_g.c.generation, _g.c.origin, _g.c.size, _g.c.root, _g.c.published).where(
    _g.c.tenant_id == bindparam("tenant_id")
)
_NEWEST = Select(at_most(_LOGS.order_by(_g.c.generation.desc())))
_GENERATIONS = Select(_LOGS.order_by(_g.c.generation))


def newest(tx: Tx) -> Log | None:
    """The generation that grows."""
    rows = tx.look((_NEWEST, {}))[0]
    return Log(*rows[0]) if rows else None


def leave_behind(tx: Tx) -> None:
    """Entries that still wait belong to a generation that ended: they are never placed here again."""
    mine = and_(_e.c.tenant_id == _w.c.tenant_id, _e.c.writer == _w.c.writer)
    behind = select(func.max(_e.c.n) + 1).where(mine).scalar_subquery()
    tx.execute(update(_w).where(_w.c.tenant_id == tx.tenant_id).values(next=behind))


def pending(tx: Tx, limit: int) -> list[Pending]:
    """Committed entries without a place, each writer's in order. Two round trips."""
    return waiting(tx, tx.ask((WRITERS, {}))[0], limit)


def waiting(tx: Tx, marks: Sequence[Row], limit: int) -> list[Pending]:
    """The same, given each writer's (id, first number without a place). One round trip.

    Each writer is asked for by itself: joined with their marks, entries are scanned whole by planners that
    do not know how few are waiting.
    """
    answers = tx.ask(*((_WAITING, {"writer": writer, "next": n, "end": n + limit}) for writer, n in marks))
    found = heapq.merge(*answers)  # by instant, writer, number: each answer is in that order
    return [Pending(writer, n, kind, body) for _at, writer, n, kind, body in islice(found, limit)]


def place(tx: Tx, generation: int, first: int, entries: Sequence[Pending]) -> None:
    """Give entries contiguous places from `first`. A writer that ended is waited for no longer."""
    runs: list[dict[str, Any]] = []
    moved: dict[str, int] = {}
    for idx, one in enumerate(entries, first):
        if runs and runs[-1]["writer"] == one.writer:  # its next number: a writer has no gaps
            runs[-1]["count"] += 1
        else:
            run = {"generation": generation, "idx": idx, "writer": one.writer, "n": one.n, "count": 1}
            runs.append(run)
        moved[one.writer] = one.n + 1
    tx.put(_INSERT_PLACE, *runs)
    tx.put(_MOVE_WRITER, *({"writer": writer, "next": n} for writer, n in moved.items()))
    if ended := [one.writer for one in entries if one.kind == Kind.WRITER_END]:
        tx.execute(delete(_w).where(_w.c.tenant_id == tx.tenant_id, _w.c.writer.in_(ended)))


class Returned(NamedTuple):
    """A published entry that this database has forgotten; `at` in microseconds."""

    writer: str
    n: int
    kind: str
    at: int
    principal_id: str | None
    decision_id: str | None
    breakglass_id: str | None
    body: bytes


def put_back(tx: Tx, generation: int, first: int, entries: Sequence[Returned]) -> None:
    """Entries at the places from `first` on, with the commit. One that is here already is written again."""
    tx.put(_PUT_BACK, *(one._asdict() for one in entries))
    # As with a writer's first entry: a writer without an end is known, so that it can be given one.
    tx.put(_PUT_WRITER, *({"writer": writer, "next": 0} for writer in {one.writer for one in entries}))
    place(tx, generation, first, [Pending(one.writer, one.n, one.kind, one.body) for one in entries])


def keep_checkpoint(tx: Tx, generation: int, size: int, note: str, *, at: int) -> None:
    """A checkpoint of this log that was signed before, with the commit; one of that size stays as it is."""
    tx.put(_KEEP_CHECKPOINT, {"generation": generation, "size": size, "note": note, "at": at})


def generations(tx: Tx) -> list[Log]:
    """Every generation of the tenant's log, the oldest first."""
    return [Log(*row) for row in tx.look((_GENERATIONS, {}))[0]]


def placed(tx: Tx, generation: int, first: int, count: int) -> dict[int, bytes]:
    """Place → raw entry, of those places first … first + count - 1 that have one."""
    found = search(tx, generation, Search(), after=first - 1, limit=count)
    return {one.idx: one.body for one in found if one.idx is not None and one.idx < first + count}


def mend_entry(tx: Tx, generation: int, idx: int, entry: Returned) -> None:
    """Write a published entry over a damaged copy of it, and its place if that is missing."""
    tx.put(_PUT_BACK, entry._asdict())
    tx.flush()
    if idx not in placed(tx, generation, idx, 1):
        run = {"generation": generation, "idx": idx, "writer": entry.writer, "n": entry.n, "count": 1}
        tx.put(_MEND_PLACE, run)
        tx.flush()


def mend_tile(tx: Tx, generation: int, level: int, n: int, data: bytes) -> None:
    """Write the beginning of a tile over what the database has there; hashes behind it stay."""
    old = tile(tx, generation, level, n) or b""
    put_tile(tx, generation, level, n, data + old[len(data) :])


def mend_head(tx: Tx, generation: int, size: int, root: bytes, note: str, at: int) -> None:
    """Write a signed checkpoint over what the database has of that size."""
    tx.put(_MEND_CHECKPOINT, {"generation": generation, "size": size, "note": note, "at": at})
    mine = (_g.c.tenant_id == tx.tenant_id, _g.c.generation == generation, _g.c.size == size)
    tx.execute(update(_g).where(*mine).values(root=root))


def keep_cosigned(tx: Tx, generation: int, size: int, note: str) -> None:
    """Add the note's signatures to the kept checkpoint of this size; none that is there is lost."""
    kept = checkpoint(tx, generation, size=size)
    whole = merge(kept, note) if kept else note
    if kept and whole != kept:
        mine = (_c.c.tenant_id == tx.tenant_id, _c.c.generation == generation, _c.c.size == size)
        tx.execute(update(_c).where(*mine).values(note=whole))


_NOTES = (
    select(_c.c.note)
    .where(_c.c.tenant_id == bindparam("tenant_id"), _c.c.generation == bindparam("generation"))
    .order_by(_c.c.size.desc())
)
_NOTE = Select(at_most(_NOTES))
_NOTE_OF = Select(_NOTES.where(_c.c.size == bindparam("size")))
_NOTE_UPTO = Select(at_most(_NOTES.where(_c.c.size <= bindparam("size"))))
_TILE = Select(
    select(_t.c.data).where(
        _t.c.tenant_id == bindparam("tenant_id"),
        _t.c.generation == bindparam("generation"),
        _t.c.level == bindparam("level"),
        _t.c.n == bindparam("n"),
    )
)


def checkpoint(
    tx: Tx, generation: int, *, size: int | None = None, newest_upto: int | None = None
) -> str | None:
    """The signed checkpoint of a size, or the newest one up to a size."""
    upto = newest_upto if size is None else size
    question = _NOTE_OF if size is not None else _NOTE if newest_upto is None else _NOTE_UPTO
    note: str | None = _only(tx, question, {"generation": generation, "size": upto})
    return note


def tile(tx: Tx, generation: int, level: int, n: int) -> bytes | None:
    """The present content of a tile: 1 to 256 hashes."""
    data: bytes | None = _only(tx, _TILE, {"generation": generation, "level": level, "n": n})
    return data


def _only(tx: Tx, question: Select, params: Params) -> Any:  # noqa: ANN401 - a column's value
    """The one value of the one row that there may be."""
    rows = tx.look((question, params))[0]
    return rows[0][0] if rows else None


def put_tile(tx: Tx, generation: int, level: int, n: int, data: bytes) -> None:
    """Create a tile or let it grow, with the commit."""
    tx.put(_PUT_TILE, {"generation": generation, "level": level, "n": n, "data": data})


def _run_at(tenant_id: Any, generation: Any, idx: Any) -> Any:  # noqa: ANN401 - values or parameters
    """The first place of the run that `idx` stands in."""
    mine = (_p.c.tenant_id == tenant_id, _p.c.generation == generation, _p.c.idx <= idx)
    return select(func.max(_p.c.idx)).where(*mine).scalar_subquery()


_tenant: Any = bindparam("tenant_id")
_generation: Any = bindparam("generation")
_BODIES = Select(
    select(_e.c.body)
    .join_from(_p, _e, _IN_RUN)
    .where(
        _p.c.tenant_id == _tenant,
        _p.c.generation == _generation,
        _p.c.idx >= _run_at(_tenant, _generation, bindparam("first")),
        _p.c.idx < bindparam("end"),
        _idx >= bindparam("first"),
        _idx < bindparam("end"),
    )
    .order_by(_p.c.idx, _e.c.n)
)
_mine = (_p.c.tenant_id == _tenant, _p.c.writer == bindparam("writer"), _p.c.n <= bindparam("n"))
_run = select(func.max(_p.c.n)).where(*_mine).scalar_subquery()
_ENTRY = Select(
    select(*_PLACED)
    .join_from(_e, _p, and_(_IN_RUN, _p.c.n == _run), isouter=True)
    .where(_e.c.tenant_id == _tenant, _e.c.writer == bindparam("writer"), _e.c.n == bindparam("n"))
)


def bodies(tx: Tx, generation: int, first: int, count: int) -> list[bytes]:
    """Raw entries at places first … first + count - 1."""
    which = {"generation": generation, "first": first, "end": first + count}
    return [body for (body,) in tx.look((_BODIES, which))[0]]


def entry(tx: Tx, writer: str, n: int) -> Placed | None:
    """One entry by its id."""
    rows = tx.look((_ENTRY, {"writer": writer, "n": n}))[0]
    return Placed(*rows[0]) if rows else None


def of_decision(tx: Tx, decision_id: str, *, limit: int | None = None) -> list[tuple[str, bytes]]:
    """(kind, raw entry) of the entries bound to a decision, in writing order; the first ones with a limit."""
    rows = tx.execute(
        select(_e.c.kind, _e.c.body)
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.decision_id == decision_id)
        .order_by(_e.c.at, _e.c.writer, _e.c.n)
        .limit(limit)
    )
    return [(kind, body) for kind, body in rows]


def principal_changes(tx: Tx, *, limit: int) -> list[bytes]:
    """The newest entries that change principals, the newest first. By an index of these alone."""
    rows = tx.execute(
        select(_e.c.body)
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.kind == literal_column("'principal.change'"))
        .order_by(_e.c.at.desc())
        .limit(limit)
    )
    return [bytes(body) for body in rows.scalars()]


class Search(NamedTuple):
    """Filters over placed entries; instants in microseconds."""

    kind: str | None = None
    since: int | None = None
    until: int | None = None
    principal_id: str | None = None
    decision_id: str | None = None


def search(tx: Tx, generation: int, filters: Search, *, after: int, limit: int) -> list[Placed]:
    """Placed entries behind index `after`, in order."""
    conditions: list[Any] = [
        _p.c.tenant_id == tx.tenant_id,
        _p.c.generation == generation,
        _p.c.idx >= func.coalesce(_run_at(tx.tenant_id, generation, after), 0),
        _idx > after,
    ]
    for column, value in (
        (_e.c.kind, filters.kind),
        (_e.c.principal_id, filters.principal_id),
        (_e.c.decision_id, filters.decision_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if filters.since is not None:
        conditions.append(_e.c.at >= filters.since)
    if filters.until is not None:
        conditions.append(_e.c.at < filters.until)
    rows = tx.execute(
        select(*_PLACED).join_from(_p, _e, _IN_RUN).where(*conditions).order_by(_p.c.idx, _e.c.n).limit(limit)
    )
    return [Placed(*row) for row in rows]


_LIST = Select(
    select(tables.access_lists.c.body).where(
        tables.access_lists.c.tenant_id == _tenant, tables.access_lists.c.digest == bindparam("digest")
    )
)


def access_list(tx: Tx, digest: str) -> bytes | None:
    """A kept list of accesses."""
    body: bytes | None = _only(tx, _LIST, {"digest": digest})
    return body


def access_list_sizes(tx: Tx, digests: Sequence[str]) -> dict[str, int]:
    """Digest → bytes, of those of these lists that are kept. One round trip."""
    table = tables.access_lists
    query = select(table.c.digest, func.length(table.c.body)).where(
        table.c.tenant_id == tx.tenant_id, table.c.digest.in_(digests)
    )
    return {row.digest: int(row[1]) for row in tx.execute(query)}


def access_lists_of(tx: Tx, digests: Sequence[str]) -> dict[str, bytes]:
    """Digest → list, of those of these lists that are kept. One round trip."""
    table = tables.access_lists
    query = select(table.c.digest, table.c.body).where(
        table.c.tenant_id == tx.tenant_id, table.c.digest.in_(digests)
    )
    return {row.digest: row.body for row in tx.execute(query)}


def access_lists(tx: Tx, *, after: str, limit: int) -> list[tuple[str, bytes]]:
    """(digest, list) of the kept lists of accesses behind a digest, in order."""
    table = tables.access_lists
    query = select(table.c.digest, table.c.body).where(
        table.c.tenant_id == tx.tenant_id, table.c.digest > after
    )
    return [(row.digest, row.body) for row in tx.execute(query.order_by(table.c.digest).limit(limit))]


def count_entries(tx: Tx) -> int:
    """Entries of the transaction's tenant, placed or not; for `doctor`."""
    return int(
        tx.execute(select(func.count()).select_from(_e).where(_e.c.tenant_id == tx.tenant_id)).scalar_one()
    )
