"""Packs, and which versions' contents lie in them.

    writing   planned and perhaps put; no version names it yet. A run that died left it: the next one drops it
    stored    put, read back, and named by versions
    dead      named by none any more: the object goes, then the row
    replaced  its living members are in another pack. A backup that is being made may still name it, so it is
              dead a day later

A version's content is in its row or in a pack, never in both: one transaction moves it (`move`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    LargeBinary,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from tenure.store import clock, limits, tables
from tenure.store.records import Place, among
from tenure.store.session import Tx
from tenure.store.statements import Select

_p, _v = tables.packs, tables.versions
WRITING: Final = "writing"
STORED: Final = "stored"
DEAD: Final = "dead"
REPLACED: Final = "replaced"
PLACE: Final = ("pack_id", "pack_offset", "pack_length", "pack_sha256")
"""Columns of a version: where in which pack its content lies, in bytes, and the SHA-256 of these bytes."""


_t = tables.tenant_state
ANY: Final = Select(
    select(_t.c.policy_epoch).where(
        _t.c.tenant_id == bindparam("tenant_id"), exists().where(_p.c.tenant_id == _t.c.tenant_id)
    )
)
"""A row if the tenant has a pack."""
TAGS: Final = Select(
    select(_p.c.tag)
    .where(_p.c.tenant_id == bindparam("tenant_id"), _p.c.state == literal_column(f"'{STORED}'"))
    .distinct()
)
"""Which tags the tenant's stored packs have."""


class StoredPack(NamedTuple):
    """A pack's row. Sizes in bytes, instants in microseconds."""

    id: str
    retention_class: str
    tag: str
    size: int
    members: int
    sha256: bytes
    dead: int
    dead_bytes: int
    state: str
    judged: str
    planned_at: int
    put_at: int | None
    replaced_at: int | None = None


class Candidate(NamedTuple):
    """A version whose content is in its row: what is known of it without reading that. `size` in bytes."""

    record_id: str
    version: int
    scope: str
    state: str
    header: bytes
    size: int

    @property
    def place(self) -> Place:
        """Which version it is."""
        return self.record_id, self.version


class Content(NamedTuple):
    """A version's content as it lies in its row. `segments`: how many it has, None when it is one."""

    record_id: str
    version: int
    segments: int | None
    content: bytes


class Moved(NamedTuple):
    """Where a content lies from now on, and what stays of it in the row."""

    record_id: str
    version: int
    offset: int
    length: int
    sha256: bytes
    left: bytes | None


class Inmate(NamedTuple):
    """A version whose content is in a pack: what its lifetime is made of."""

    record_id: str
    version: int
    scope: str
    labels: str
    state: str
    header: bytes
    created_at: int
    expires_at: int | None


def now(tx: Tx) -> int:
    """The present instant by the database's clock."""
    return clock.read(tx)


# ── what is to be packed ───────────────────────────────────────────────────────────────────────────
def label_sets(tx: Tx) -> list[tuple[str, str]]:
    """Every (scope, labels) that a version of the tenant ever had, in order."""
    table = tables.label_sets
    rows = tx.execute(
        select(table.c.scope, table.c.labels)
        .where(table.c.tenant_id == tx.tenant_id)
        .order_by(table.c.scope, table.c.labels)
    )
    return [(row[0], row[1]) for row in rows]


def candidates(tx: Tx, scope: str, labels: str, *, until: int, limit: int) -> list[Candidate]:
    """Versions written up to an instant whose content is in the database, oldest first. By index."""
    rows = tx.execute(
        select(_v.c.record_id, _v.c.version, _v.c.scope, _v.c.state, _v.c.header, func.length(_v.c.content))
        .where(
            _v.c.tenant_id == tx.tenant_id,
            _v.c.scope == scope,
            _v.c.labels == labels,
            _v.c.created_at <= until,
            _v.c.header.is_not(None),
            _v.c.pack_id.is_(None),
            _v.c.content.is_not(None),
        )
        .order_by(_v.c.created_at)
        .limit(limit)
    )
    return [Candidate(*row) for row in rows]


def contents(tx: Tx, places: Collection[Place], *, lock: bool = False) -> list[Content]:
    """Contents that are in the database. With `lock` nobody changes these versions before the end."""
    if not places:
        return []
    query = select(_v.c.record_id, _v.c.version, _v.c.segments, _v.c.content).where(
        _v.c.tenant_id == tx.tenant_id,
        among(_v, places),
        _v.c.header.is_not(None),
        _v.c.pack_id.is_(None),
        _v.c.content.is_not(None),
    )
    rows = tx.execute(query.with_for_update() if lock else query)
    return [Content(row[0], row[1], row[2], bytes(row[3])) for row in rows]


# ── packs ──────────────────────────────────────────────────────────────────────────────────────────
def plan(tx: Tx, pack: StoredPack) -> None:
    """Write down that a pack will be put."""
    tx.execute(insert(_p).values(tenant_id=tx.tenant_id, **pack._asdict()))


def in_state(tx: Tx, *states: str) -> list[StoredPack]:
    """Packs in some of these states, oldest first. By index."""
    return _select(tx, _p.c.state.in_(states))


def stored_unlike(tx: Tx, judged: str, keep: str, *, limit: int) -> list[StoredPack]:
    """Stored packs with another tag than `keep`, chosen under other rules or holds than `judged`."""
    return _select(tx, _p.c.state == STORED, _p.c.tag != keep, _p.c.judged != judged)[:limit]


def known(tx: Tx, ids: Collection[str]) -> set[str]:
    """Which of these ids are packs of the tenant."""
    query = select(_p.c.id).where(_p.c.tenant_id == tx.tenant_id, _p.c.id.in_(ids))
    return set(tx.execute(query).scalars())


def inmates(tx: Tx, pack_id: str) -> list[Inmate]:
    """The versions whose contents lie in a pack. By index."""
    columns = [_v.c[name] for name in Inmate._fields]
    rows = tx.execute(select(*columns).where(_v.c.tenant_id == tx.tenant_id, _v.c.pack_id == pack_id))
    return [Inmate(*row) for row in rows]


def stored(tx: Tx, pack_id: str, *, dead: int, dead_bytes: int) -> bool:
    """A planned pack is put, but for members that are gone by now; False when it was given up meanwhile."""
    done = tx.execute(
        update(_p)
        .where(_p.c.tenant_id == tx.tenant_id, _p.c.id == pack_id, _p.c.state == WRITING)
        .values(
            state=case((_p.c.members <= dead, DEAD), else_=STORED),
            dead=dead,
            dead_bytes=dead_bytes,
            put_at=clock.now(tx),
        )
    )
    return done.rowcount == 1


def move(tx: Tx, pack_id: str, moved: Sequence[Moved]) -> None:
    """Drop contents from their rows, and note where they lie now."""
    if not moved:
        return
    statement = (
        update(_v)
        .where(
            _v.c.tenant_id == tx.tenant_id,
            _v.c.record_id == bindparam("record"),
            _v.c.version == bindparam("number"),
        )
        .values(
            pack_id=pack_id,
            pack_offset=bindparam("at"),
            pack_length=bindparam("size"),
            pack_sha256=bindparam("digest"),
            content=bindparam("left", type_=LargeBinary),
        )
    )
    rows = [
        {
            "record": one.record_id,
            "number": one.version,
            "at": one.offset,
            "size": one.length,
            "digest": one.sha256,
            "left": one.left,
        }
        for one in moved
    ]
    with limits.counted(tx, [(one.record_id, one.version) for one in moved]):
        tx.execute(statement, rows)


def judge(tx: Tx, pack_id: str, *, judged: str, tag: str) -> None:
    """A pack's tag was looked at."""
    tx.execute(
        update(_p).where(_p.c.tenant_id == tx.tenant_id, _p.c.id == pack_id).values(judged=judged, tag=tag)
    )


def mostly_dead(tx: Tx) -> list[StoredPack]:
    """Stored packs of whose bytes half or more are dead. Looks at all stored packs of the tenant."""
    return _select(tx, _p.c.state == STORED, _p.c.dead_bytes * 2 >= _p.c.size)


def repack(tx: Tx, old: str, new: str, places: Mapping[Place, int]) -> set[Place]:
    """Let versions that are in one pack be in another, at these offsets; those that still were there."""
    query = select(_v.c.record_id, _v.c.version).where(
        _v.c.tenant_id == tx.tenant_id, among(_v, places), _v.c.pack_id == old
    )
    there = {(row[0], row[1]) for row in tx.execute(query.with_for_update())}
    statement = (
        update(_v)
        .where(
            _v.c.tenant_id == tx.tenant_id,
            _v.c.record_id == bindparam("record"),
            _v.c.version == bindparam("number"),
        )
        .values(pack_id=new, pack_offset=bindparam("at"))
    )
    if there:
        rows = [{"record": one[0], "number": one[1], "at": places[one]} for one in there]
        tx.execute(statement, rows)
    tx.execute(
        update(_p)
        .where(_p.c.tenant_id == tx.tenant_id, _p.c.id == old)
        .values(state=REPLACED, replaced_at=clock.now(tx))
    )
    return there


def retire(tx: Tx, *, before: int) -> None:
    """Packs that were replaced before an instant are dead."""
    mine = (_p.c.tenant_id == tx.tenant_id, _p.c.state == REPLACED, _p.c.replaced_at < before)
    tx.execute(update(_p).where(*mine).values(state=DEAD))


def give_up(tx: Tx) -> None:
    """Packs that a run left half done are dead: `stored` will say False to whoever still has one in hand."""
    tx.execute(update(_p).where(_p.c.tenant_id == tx.tenant_id, _p.c.state == WRITING).values(state=DEAD))


def forget(tx: Tx, pack_id: str) -> None:
    """A dead pack whose object is gone."""
    tx.execute(delete(_p).where(_p.c.tenant_id == tx.tenant_id, _p.c.id == pack_id, _p.c.state == DEAD))


def let_go(tx: Tx, versions: Collection[Place]) -> None:
    """Count these versions' contents as dead in their packs; before they lose their place in them.

    One statement more, and one for each pack.
    """
    if not versions:
        return
    # All are locked, and not only those in packs: some may be on their way into one at this moment.
    query = select(_v.c.pack_id, _v.c.pack_length).where(_v.c.tenant_id == tx.tenant_id, among(_v, versions))
    sizes: dict[str, list[int]] = {}
    for pack_id, size in tx.execute(query.with_for_update()):
        if pack_id is not None:
            sizes.setdefault(pack_id, []).append(size)
    for pack_id in sorted(sizes):  # whoever counts in several packs locks them in one order
        count, size = len(sizes[pack_id]), sum(sizes[pack_id])
        tx.execute(
            update(_p)
            .where(_p.c.tenant_id == tx.tenant_id, _p.c.id == pack_id)
            .values(
                dead=_p.c.dead + count,
                dead_bytes=_p.c.dead_bytes + size,
                state=case((_p.c.dead + count >= _p.c.members, DEAD), else_=_p.c.state),
            )
        )


def _select(tx: Tx, *conditions: object) -> list[StoredPack]:
    columns = [_p.c[name] for name in StoredPack._fields]
    rows = tx.execute(select(*columns).where(_p.c.tenant_id == tx.tenant_id, *conditions).order_by(_p.c.id))  # type: ignore[arg-type]
    return [StoredPack(*row) for row in rows]
