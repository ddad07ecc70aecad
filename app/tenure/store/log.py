"""Ledger entries, tiles and checkpoints at rest."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text, update

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Update

_e, _g, _c, _t = tables.entries, tables.logs, tables.checkpoints, tables.tiles

_PLACE = Update(tables.entries, key=("tenant_id", "writer", "n"), values=("generation", "idx"))


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
    body: bytes


class Placed(NamedTuple):
    """An entry with its place; `idx` is None until it is sequenced."""

    generation: int | None
    idx: int | None
    writer: str
    n: int
    kind: str
    at: int
    body: bytes


_PLACED = (_e.c.generation, _e.c.idx, _e.c.writer, _e.c.n, _e.c.kind, _e.c.at, _e.c.body)


def open_log(tx: Tx, generation: int, origin: str, root: bytes) -> None:
    """Begin a generation of the tenant's log."""
    tx.execute(
        insert(_g).values(
            tenant_id=tx.tenant_id, generation=generation, origin=origin, size=0, root=root, published=0
        )
    )


def newest(tx: Tx) -> Log | None:
    """The generation that grows."""
    row = tx.execute(
        select(_g.c.generation, _g.c.origin, _g.c.size, _g.c.root, _g.c.published)
        .where(_g.c.tenant_id == tx.tenant_id)
        .order_by(_g.c.generation.desc())
        .limit(1)
    ).one_or_none()
    return Log(*row) if row else None


def leave_behind(tx: Tx, generation: int) -> None:
    """Entries that still wait belong to a generation that ended: they are never placed here again."""
    tx.execute(
        update(_e)
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.generation.is_(None))
        .values(generation=generation)
    )


def lock(tx: Tx) -> None:
    """One sequencer per tenant at a time. SQLite's single writer needs none."""
    if tx.connection.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:t, 7))"), {"t": tx.tenant_id})


def pending(tx: Tx, limit: int) -> list[Pending]:
    """Committed entries without a place, each writer's in order."""
    rows = tx.execute(
        select(_e.c.writer, _e.c.n, _e.c.body)
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.generation.is_(None), _e.c.idx.is_(None))
        .order_by(_e.c.at, _e.c.writer, _e.c.n)
        .limit(limit)
    )
    return [Pending(*row) for row in rows]


def place(tx: Tx, generation: int, first: int, entries: Sequence[Pending]) -> None:
    """Give entries contiguous places from `first`."""
    tx.put(
        _PLACE,
        *(
            {"writer": entry.writer, "n": entry.n, "generation": generation, "idx": first + offset}
            for offset, entry in enumerate(entries)
        ),
    )


def grow(tx: Tx, old: Log, *, size: int, root: bytes, note: str, at: int) -> bool:
    """Advance the log by compare-and-set and keep the checkpoint; False when someone else did."""
    done = tx.execute(
        update(_g)
        .where(
            _g.c.tenant_id == tx.tenant_id,
            _g.c.generation == old.generation,
            _g.c.size == old.size,
            _g.c.root == old.root,
        )
        .values(size=size, root=root)
    )
    if done.rowcount != 1:
        return False
    tx.execute(
        insert(_c).values(tenant_id=tx.tenant_id, generation=old.generation, size=size, note=note, at=at)
    )
    return True


def mark_published(tx: Tx, generation: int, size: int) -> None:
    """Everything up to `size` is in the object tier and in the mirror."""
    tx.execute(
        update(_g)
        .where(_g.c.tenant_id == tx.tenant_id, _g.c.generation == generation, _g.c.published < size)
        .values(published=size)
    )


def checkpoint(
    tx: Tx, generation: int, *, size: int | None = None, newest_upto: int | None = None
) -> str | None:
    """The signed checkpoint of a size, or the newest one up to a size."""
    query = select(_c.c.note).where(_c.c.tenant_id == tx.tenant_id, _c.c.generation == generation)
    if size is not None:
        query = query.where(_c.c.size == size)
    if newest_upto is not None:
        query = query.where(_c.c.size <= newest_upto)
    return tx.execute(query.order_by(_c.c.size.desc()).limit(1)).scalar_one_or_none()


def tile(tx: Tx, generation: int, level: int, n: int) -> bytes | None:
    """The present content of a tile: 1 to 256 hashes."""
    return tx.execute(
        select(_t.c.data).where(
            _t.c.tenant_id == tx.tenant_id,
            _t.c.generation == generation,
            _t.c.level == level,
            _t.c.n == n,
        )
    ).scalar_one_or_none()


def put_tile(tx: Tx, generation: int, level: int, n: int, data: bytes) -> None:
    """Create a tile or let it grow."""
    done = tx.execute(
        update(_t)
        .where(
            _t.c.tenant_id == tx.tenant_id,
            _t.c.generation == generation,
            _t.c.level == level,
            _t.c.n == n,
        )
        .values(data=data)
    )
    if done.rowcount == 0:
        tx.execute(
            insert(_t).values(tenant_id=tx.tenant_id, generation=generation, level=level, n=n, data=data)
        )


def bodies(tx: Tx, generation: int, first: int, count: int) -> list[bytes]:
    """Raw entries at places first … first + count - 1."""
    return list(
        tx.execute(
            select(_e.c.body)
            .where(
                _e.c.tenant_id == tx.tenant_id,
                _e.c.generation == generation,
                _e.c.idx >= first,
                _e.c.idx < first + count,
            )
            .order_by(_e.c.idx)
        ).scalars()
    )


def entry(tx: Tx, writer: str, n: int) -> Placed | None:
    """One entry by its id."""
    row = tx.execute(
        select(*_PLACED).where(_e.c.tenant_id == tx.tenant_id, _e.c.writer == writer, _e.c.n == n)
    ).one_or_none()
    return Placed(*row) if row else None


def of_decision(tx: Tx, decision_id: str) -> list[Placed]:
    """Every entry bound to a decision, in writing order."""
    rows = tx.execute(
        select(*_PLACED)
        .where(_e.c.tenant_id == tx.tenant_id, _e.c.decision_id == decision_id)
        .order_by(_e.c.at, _e.c.writer, _e.c.n)
    )
    return [Placed(*row) for row in rows]


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
        _e.c.tenant_id == tx.tenant_id,
        _e.c.generation == generation,
        _e.c.idx > after,
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
    rows = tx.execute(select(*_PLACED).where(*conditions).order_by(_e.c.idx).limit(limit))
    return [Placed(*row) for row in rows]


def access_list(tx: Tx, digest: str) -> bytes | None:
    """A kept list of accesses."""
    table = tables.access_lists
    return tx.execute(
        select(table.c.body).where(table.c.tenant_id == tx.tenant_id, table.c.digest == digest)
    ).scalar_one_or_none()


def count_entries(tx: Tx) -> int:
    """Entries of the transaction's tenant, placed or not; for `doctor`."""
    return int(
        tx.execute(select(func.count()).select_from(_e).where(_e.c.tenant_id == tx.tenant_id)).scalar_one()
    )
