"""What the sequencer and the publisher ask of the database, in few round trips.

Everything here goes through the statements of the hot path: a cell has thousands of logs, and each of them is
sequenced as often as somebody writes in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Integer, Text, bindparam, case, delete, func, literal_column, select, update

from tenure.errors import Malformed, Tampered
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.tile import WIDTH
from tenure.ledger.tree import Tree
from tenure.store import tables
from tenure.store.ledgerkeys import HISTORY_UPTO, LedgerKey
from tenure.store.log import WRITERS, Log
from tenure.store.session import Tx
from tenure.store.statements import Insert, Row, Select
from tenure.store.wire import Question

_e, _g, _c, _t = tables.entries, tables.logs, tables.checkpoints, tables.tiles
_p, _w, _k = tables.places, tables.writers, tables.ledger_keys
_later = _e.alias("later")
_TENANT = bindparam("tenant_id", type_=tables.Id)
_KEY = bindparam("tenant_id", type_=Text())

# Advisory locks of a tenant's log: 7 while it grows, 8 while its head is published.
_GROWING = Select(
    select(func.pg_try_advisory_xact_lock(func.hashtextextended(_KEY, literal_column("7"))).label("free"))
)
_GROWING_ALONE = Select(select(func.pg_advisory_xact_lock(func.hashtextextended(_KEY, literal_column("7")))))
_HEADING = Select(select(func.pg_advisory_xact_lock(func.hashtextextended(_KEY, literal_column("8")))))
_last = _g.alias("last")
NEWEST = Select(
    select(_g.c.generation, _g.c.origin, _g.c.size, _g.c.root, _g.c.published).where(
        _g.c.tenant_id == _TENANT,
        _g.c.generation
        == select(func.max(_last.c.generation)).where(_last.c.tenant_id == _TENANT).scalar_subquery(),
    )
)
_CHECKPOINT = Select(
    select(_c.c.note).where(
        _c.c.tenant_id == _TENANT,
        _c.c.generation == bindparam("generation"),
        _c.c.size == bindparam("size"),
    )
)
_TILE = Select(
    select(_t.c.data).where(
        _t.c.tenant_id == _TENANT,
        _t.c.generation == bindparam("generation"),
        _t.c.level == bindparam("level"),
        _t.c.n == bindparam("n"),
    )
)
_NAMED = Select(
    select(_k.c.vkey)
    .where(
        _k.c.tenant_id == _TENANT,
        _k.c.generation
        == select(func.max(_last.c.generation)).where(_last.c.tenant_id == _TENANT).scalar_subquery(),
    )
    .order_by(_k.c.idx.desc())
)
"""Keys of the newest generation, newest first: one, or as many as it was changed."""
_before = _p.alias("before")
_idx = _p.c.idx + _e.c.n - _p.c.n
_BODIES = Select(
    select(_e.c.body)
    .join_from(
        _p,
        _e,
        (_e.c.tenant_id == _p.c.tenant_id)
        & (_e.c.writer == _p.c.writer)
        & (_e.c.n >= _p.c.n)
        & (_e.c.n < _p.c.n + _p.c.count),
    )
    .where(
        _p.c.tenant_id == _TENANT,
        _p.c.generation == bindparam("generation"),
        _p.c.idx
        >= select(func.max(_before.c.idx))
        .where(
            _before.c.tenant_id == _TENANT,
            _before.c.generation == bindparam("generation"),
            _before.c.idx <= bindparam("first"),
        )
        .scalar_subquery(),
        _p.c.idx < bindparam("end"),
        _idx >= bindparam("first"),
        _idx < bindparam("end"),
    )
    .order_by(_p.c.idx, _e.c.n)
)
_GROW = Select(
    update(_g)
    .where(
        _g.c.tenant_id == _TENANT,
        _g.c.generation == bindparam("of"),
        _g.c.size == bindparam("old_size"),
        _g.c.root == bindparam("old_root"),
    )
    .values(size=bindparam("new_size"), root=bindparam("new_root"))
    .returning(_g.c.size)
)
_MARK = Select(
    update(_g)
    .where(_g.c.tenant_id == _TENANT, _g.c.generation == bindparam("of"), _g.c.published < bindparam("upto"))
    .values(published=bindparam("upto"))
    .returning(_g.c.published)
)
_INSERT_CHECKPOINT = Insert(tables.checkpoints)
_INSERT_ENTRY = Insert(tables.entries)

_waits = (
    select(func.max(_e.c.n))
    .where(_e.c.tenant_id == _w.c.tenant_id, _e.c.writer == _w.c.writer, _e.c.n >= _w.c.next)
    .scalar_subquery()
)
WRITERS_WAITING = Select(
    # A subquery for each writer, not a join: that scans all entries.
    select(
        _w.c.writer,
        case((_waits.is_not(None), literal_column("1", Integer)), else_=literal_column("0", Integer)),
    ).where(_w.c.tenant_id == _TENANT)
)
"""Of each writer without an end: its id, and 1 when it has entries without a place."""
UNPUBLISHED = Select(
    select(_g.c.size, _g.c.published, _c.c.note)
    .join_from(
        _g,
        _c,
        (_c.c.tenant_id == _g.c.tenant_id)
        & (_c.c.generation == _g.c.generation)
        & (_c.c.size == _g.c.published),
        isouter=True,
    )
    .where(
        _g.c.tenant_id == _TENANT,
        _g.c.generation
        == select(func.max(_last.c.generation)).where(_last.c.tenant_id == _TENANT).scalar_subquery(),
    )
)
"""Of the newest generation: size, published size, and the checkpoint of that."""
_newest_generation = select(func.max(_g.c.generation)).where(_g.c.tenant_id == _TENANT).scalar_subquery()
_LAST = Select(
    select(
        _e.c.n,
        _e.c.kind,
        select(func.count())
        .where(
            _p.c.tenant_id == _TENANT,
            _p.c.writer == bindparam("writer"),
            _p.c.generation == _newest_generation,
        )
        .scalar_subquery(),
        select(func.count())
        .where(_w.c.tenant_id == _TENANT, _w.c.writer == bindparam("writer"), _w.c.next <= _e.c.n)
        .scalar_subquery(),
    ).where(
        _e.c.tenant_id == _TENANT,
        _e.c.writer == bindparam("writer"),
        _e.c.n
        == select(func.max(_later.c.n))
        .where(_later.c.tenant_id == _TENANT, _later.c.writer == bindparam("writer"))
        .scalar_subquery(),
    )
)


class Turn(NamedTuple):
    """What a sequencer finds when it comes. Not `free`: another one is at it, and the rest is empty."""

    free: bool
    log: Log | None
    marks: Sequence[Row]
    vkeys: tuple[str, ...] = ()
    """Keys of this generation so far, newest first (`store.ledgerkeys`); none when the log names none yet."""


def turn(tx: Tx) -> Turn:
    """Take the tenant's log for this transaction, if nobody has it. One round trip, with BEGIN.

    Never waits: a process that was stopped with the lock in hand would hold up a lane of every other one.
    SQLite's single writer needs no lock.
    """
    if tx.connection.dialect.name == "sqlite":
        newest, marks, keys = tx.ask((NEWEST, {}), (WRITERS, {}), (_NAMED, {}))
    else:
        (free,), newest, marks, keys = tx.ask((_GROWING, {}), (NEWEST, {}), (WRITERS, {}), (_NAMED, {}))
        if free[0] != "t":
            return Turn(free=False, log=None, marks=[])
    found = Log(*newest[0]) if newest else None
    return Turn(free=True, log=found, marks=marks, vkeys=tuple(key for (key,) in keys))


def wait_for_turn(tx: Tx) -> None:
    """Take the tenant's log for this transaction, as `turn` does, and wait for it: not on the hot path."""
    if tx.connection.dialect.name == "postgresql":
        tx.ask((_GROWING_ALONE, {}))


def tree(tx: Tx, current: Log) -> Tree:
    """The log's right edge, ready to grow. One round trip.

    Tampered when its tiles do not make its root: whatever was signed on them would contradict what was.
    """
    wanted: list[tuple[int, int]] = []
    level, size = 0, current.size
    while size:
        if size % WIDTH:
            wanted.append((level, size // WIDTH))
        level, size = level + 1, size // WIDTH
    contents = tiles(tx, current.generation, wanted)
    edge = {level: data or b"" for (level, _), data in zip(wanted, contents, strict=True)}
    try:
        found = Tree.from_edge(current.size, edge)
    except Malformed:
        found = None
    if found is None or found.root() != current.root:
        raise Tampered(
            "The log's tiles in the database do not make its root; nothing was signed.",
            rule="tree-edge",
            remedy="Run 'tenure ledger repair'.",
        )
    return found


def grow(tx: Tx, old: Log, *, size: int, root: bytes, note: str, at: int) -> bool:
    """Advance the log by compare-and-set and keep the checkpoint; False when someone else did.

    One round trip, which takes along what was `put` before.
    """
    tx.put(_INSERT_CHECKPOINT, {"generation": old.generation, "size": size, "note": note, "at": at})
    tx.send()
    given = {"old_size": old.size, "old_root": old.root, "new_size": size, "new_root": root}
    return bool(tx.ask((_GROW, {"of": old.generation, **given}))[0])


def mark_published(tx: Tx, generation: int, size: int) -> bool:
    """Everything up to `size` is in the object tier and in the mirror; False when that was known."""
    return bool(tx.ask((_MARK, {"of": generation, "upto": size}))[0])


def lock_head(tx: Tx) -> Log | None:
    """Publish this tenant's head alone, until the transaction ends; where the log stands by then.

    One round trip. SQLite has one process.
    """
    heading: list[Question] = [(_HEADING, {})] if tx.connection.dialect.name == "postgresql" else []
    found = tx.ask(*heading, (NEWEST, {}))[-1]
    return Log(*found[0]) if found else None


def newest(tx: Tx) -> Log | None:
    """The generation that grows. One round trip."""
    found = tx.ask((NEWEST, {}))[0]
    return Log(*found[0]) if found else None


def checkpoint(tx: Tx, generation: int, size: int) -> tuple[str | None, list[LedgerKey]]:
    """The signed checkpoint of a size, and the keys up to it, newest first. One round trip."""
    found, keys = tx.ask(
        (_CHECKPOINT, {"generation": generation, "size": size}),
        (HISTORY_UPTO, {"generation": generation, "upto": size}),
    )
    return found[0][0] if found else None, [LedgerKey(*row) for row in keys]


def tiles(tx: Tx, generation: int, wanted: Sequence[tuple[int, int]]) -> list[bytes | None]:
    """The present contents of tiles, named (level, n), in order; None for one that is not there. One trip."""
    asked = ((_TILE, {"generation": generation, "level": level, "n": n}) for level, n in wanted)
    return [rows[0][0] if rows else None for rows in (tx.ask(*asked) if wanted else [])]


def bundles(tx: Tx, generation: int, wanted: Sequence[tuple[int, int]]) -> list[list[bytes]]:
    """Raw entries of ranges of places, each (first, count), in order. One round trip."""
    asked = (
        (_BODIES, {"generation": generation, "first": first, "end": first + count}) for first, count in wanted
    )
    return [[row[0] for row in rows] for rows in (tx.ask(*asked) if wanted else [])]


def end_writers(tx: Tx, writers: Sequence[str], *, at: int) -> int:
    """Say of writers whose process is gone that they wrote no more; how many had not said so themselves.

    The entry takes the writer's next number. Should the process live after all, whichever of the two commits
    that number second finds it taken and does nothing: neither is anything lost nor is there an entry after
    the end. A writer of which nothing is in this generation of the log, and nothing waits, ended with an
    earlier one (`log.leave_behind`): it is forgotten. One round trip, and the commit's.
    """
    ended = 0
    for writer, rows in zip(
        writers, tx.ask(*((_LAST, {"writer": writer}) for writer in writers)), strict=True
    ):
        if not rows or rows[0][1] == Kind.WRITER_END:
            continue
        last, _, here, waits = rows[0]
        if not (here or waits):
            tx.execute(delete(_w).where(_w.c.tenant_id == tx.tenant_id, _w.c.writer == writer))
            continue
        n = last + 1
        draft = EntryDraft(kind=Kind.WRITER_END, at=at, outcome="lost")
        tx.put(
            _INSERT_ENTRY,
            {"writer": writer, "n": n, "kind": draft.kind.value, "at": at, "body": draft.encode(writer, n)},
        )
        ended += 1
    return ended
