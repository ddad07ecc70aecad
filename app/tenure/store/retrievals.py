"""What archives were asked to give out: whose question it was, which packs, and which still cannot be read.

    waiting   some packs are still to come
    ready     all of them can be read, or are gone
    failed    some did not come in time

Ids and counts only: nothing says which records or people it was about.
"""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, insert, select, update

from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_r, _v, _s, _t = tables.retrievals, tables.versions, tables.version_subjects, tables.tenant_state
WAITING: Final = "waiting"
READY: Final = "ready"
FAILED: Final = "failed"

ANY: Final = Select(
    select(_t.c.policy_epoch).where(
        _t.c.tenant_id == bindparam("tenant_id"), exists().where(_r.c.tenant_id == _t.c.tenant_id)
    )
)
"""A row if the tenant has a retrieval."""


class Retrieval(NamedTuple):
    """One of them. Ids of packs, in order; instants in microseconds.

    `missing`: the packs that could not be read when it was looked last. `until`, of one that is ready: when
    the first of what an archive gave out goes back; None when nothing does.
    """

    id: str
    principal_id: str
    state: str
    versions: int
    packs: list[str]
    missing: list[str]
    asked_at: int
    settled_at: int | None = None
    until: int | None = None


def create(tx: Tx, new: Retrieval) -> None:
    """Write down what is to be asked for."""
    lists = {"packs": json.dumps(new.packs), "missing": json.dumps(new.missing)}
    tx.execute(insert(_r).values(tenant_id=tx.tenant_id, **{**new._asdict(), **lists}))


def get(tx: Tx, retrieval_id: str) -> Retrieval | None:
    """One of the tenant's."""
    query = select(*_COLUMNS).where(_r.c.tenant_id == tx.tenant_id, _r.c.id == retrieval_id)
    row = tx.execute(query).one_or_none()
    return _read(row) if row else None


def waiting(tx: Tx, *, after: str, limit: int) -> list[Retrieval]:
    """Those that wait, oldest first, behind an id ('': from the first). By index."""
    query = select(*_COLUMNS).where(_r.c.tenant_id == tx.tenant_id, _r.c.state == WAITING)
    if after:
        query = query.where(_r.c.id > after)
    return [_read(row) for row in tx.execute(query.order_by(_r.c.id).limit(limit))]


def are_waiting(tx: Tx, *, most: int) -> int:
    """How many wait, counted up to `most`."""
    some = select(_r.c.id).where(_r.c.tenant_id == tx.tenant_id, _r.c.state == WAITING).limit(most).subquery()
    return int(tx.execute(select(func.count()).select_from(some)).scalar_one())


def note(
    tx: Tx, retrieval_id: str, *, missing: Sequence[str], state: str, at: int, until: int | None = None
) -> bool:
    """What was seen of one that waits; False when it is settled already, or forgotten."""
    done = tx.execute(
        update(_r)
        .where(_r.c.tenant_id == tx.tenant_id, _r.c.id == retrieval_id, _r.c.state == WAITING)
        .values(
            missing=json.dumps(list(missing)),
            state=state,
            settled_at=None if state == WAITING else at,
            until=until,
        )
    )
    return done.rowcount == 1


def is_any_settled(tx: Tx, *, before: int) -> bool:
    """Whether `forget` would drop one."""
    return bool(tx.execute(select(exists().where(*_settled(tx, before)))).scalar_one())


def forget(tx: Tx, *, before: int) -> int:
    """Drop what was settled before an instant: how many."""
    return int(tx.execute(delete(_r).where(*_settled(tx, before))).rowcount)


def _settled(tx: Tx, before: int) -> tuple[ColumnElement[bool], ...]:
    return (_r.c.tenant_id == tx.tenant_id, _r.c.state.in_((READY, FAILED)), _r.c.settled_at < before)


def of_person(tx: Tx, subject_id: str, labelled: int, *, most: int) -> list[tuple[str | None, int]]:
    """Where the live versions about a person lie: (pack, how many); None is the database. `most` of them.

    Reads a row for each version about the person.
    """
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
            _s.c.derived == labelled,
            _v.c.state == "live",
            _v.c.header.is_not(None),
        )
        .group_by(_v.c.pack_id)
        .order_by(_v.c.pack_id)
        .limit(most)
    )
    return [(row[0], int(row[1])) for row in tx.execute(query)]


_COLUMNS: Final = [_r.c[name] for name in Retrieval._fields]


def _read(row: Sequence[object]) -> Retrieval:
    found = Retrieval(*row)  # type: ignore[arg-type]  # as it was put in
    return found._replace(packs=json.loads(str(found.packs)), missing=json.loads(str(found.missing)))
