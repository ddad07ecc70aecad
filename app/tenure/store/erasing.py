"""Versions as an erasure sees them: whose they are, their headers, and taking them away."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Table, and_, bindparam, case, func, select, tuple_, update
from sqlalchemy import Update as CoreUpdate

from tenure.store import limits, packs, tables
from tenure.store.records import (
    DERIVED,
    LABELLED,
    Place,
    StoredVersion,
    among,
    base,
    beyond,
    every,
    linked,
)
from tenure.store.session import Tx

_r, _v, _s, _d = tables.records, tables.versions, tables.version_subjects, tables.lineage

_HEADED = (
    _v.c.record_id,
    _v.c.version,
    _v.c.header,
    case((_v.c.segments.is_not(None), _v.c.content)),
)


def of_subject(
    tx: Tx,
    subject_id: str,
    *,
    limit: int,
    after: Place | None = None,
    derived: bool | None = None,
    lock: bool = False,
) -> list[StoredVersion]:
    """Versions that go with a subject, in every scope, by record and number.

    `derived`: only those that name nobody and were derived from the subject's; False: only those that name
    the subject; None: both. `lock`: as they are now, until the transaction ends, for who changes what it
    reads of them; a content may be on its way to a pack.
    """
    query = base(tx, _s, _s.c.subject_id == subject_id).order_by(_s.c.record_id, _s.c.version).limit(limit)
    if derived is not None:
        query = query.where(_s.c.derived == (DERIVED if derived else LABELLED))
    if after is not None:
        query = query.where(beyond(_s, after))
    if lock:
        query = query.with_for_update(of=_v)
    return [StoredVersion(*row) for row in tx.execute(query)]


def live(tx: Tx, *, limit: int, after: Place | None = None) -> list[StoredVersion]:
    """Versions that somebody may read, old ones too, in every scope, by record and number."""
    query = every(tx).where(_v.c.state == "live").order_by(_v.c.record_id, _v.c.version).limit(limit)
    if after is not None:
        query = query.where(beyond(_v, after))
    return [StoredVersion(*row) for row in tx.execute(query)]


def labelled_descendants(tx: Tx, subject_id: str, *, most: int) -> int:
    """How many live versions about others were derived from what goes with a subject; counted up to `most`.

    The first such version on each line of descent: what names its own people hides what is beneath it.
    """
    child = _v.alias("child")
    mine = select(_s.c.subject_id).where(
        _s.c.tenant_id == tx.tenant_id,
        _s.c.subject_id == subject_id,
        _s.c.record_id == child.c.record_id,
        _s.c.version == child.c.version,
    )
    # Whatever names nobody is linked to the subject itself, so what is not linked names others.
    found = (
        select(child.c.id)
        .select_from(_s)
        .join(_v, linked(_s))
        .join(_d, and_(_d.c.tenant_id == _v.c.tenant_id, _d.c.parent_id == _v.c.id))
        .join(child, and_(child.c.tenant_id == _d.c.tenant_id, child.c.id == _d.c.child_id))
        .where(
            _s.c.tenant_id == tx.tenant_id,
            _s.c.subject_id == subject_id,
            child.c.state == "live",
            ~mine.correlate(child).exists(),
        )
        .distinct()
        .limit(most)
    )
    return int(tx.execute(select(func.count()).select_from(found.subquery())).scalar_one())


class Headed(NamedTuple):
    """A version's place and header; of one in segments its content too, in which they have theirs."""

    record_id: str
    version: int
    header: bytes
    segments: bytes | None


class HeaderQuery(Protocol):
    """Headers of some versions, by record and number."""

    def __call__(self, tx: Tx, *, limit: int, after: Place | None) -> list[Headed]:
        """At most `limit` of them, after a place."""


def headers_of(tx: Tx, *, subject_id: str, limit: int, after: Place | None) -> list[Headed]:
    """Headers of the versions that go with a subject, by record and number. By index: a page costs a page."""
    query = (
        select(*_HEADED)
        .select_from(_s)
        .join(_v, linked(_s))
        .where(_s.c.tenant_id == tx.tenant_id, _s.c.subject_id == subject_id, _v.c.header.is_not(None))
        .order_by(_s.c.record_id, _s.c.version)
        .limit(limit)
    )
    if after is not None:
        query = query.where(beyond(_s, after))
    return [Headed(*row) for row in tx.execute(query)]


def headers_in(tx: Tx, *, scopes: Sequence[str], limit: int, after: Place | None) -> list[Headed]:
    """Headers of all versions in these scopes, by record and number. No index: reads the whole tenant."""
    return headed(tx, _v.c.scope.in_(scopes), limit=limit, after=after)


def headers_by(
    tx: Tx, link: Table, *conditions: ColumnElement[bool], limit: int, after: Place | None
) -> list[Headed]:
    """Headers of the versions that `link`, a table of (record, version), names under these conditions."""
    named = select(link.c.record_id, link.c.version).where(link.c.tenant_id == tx.tenant_id, *conditions)
    return headed(tx, tuple_(_v.c.record_id, _v.c.version).in_(named), limit=limit, after=after)


def headed(tx: Tx, which: ColumnElement[bool], *, limit: int, after: Place | None) -> list[Headed]:
    """Headers of the versions under a condition, by record and number."""
    query = (
        select(*_HEADED)
        .where(_v.c.tenant_id == tx.tenant_id, _v.c.header.is_not(None), which)
        .order_by(_v.c.record_id, _v.c.version)
        .limit(limit)
    )
    if after is not None:
        query = query.where(beyond(_v, after))
    return [Headed(*row) for row in tx.execute(query)]


def purge(tx: Tx, versions: Sequence[Place], shred_id: str) -> None:
    """Remove the ciphertext of versions for good; what stays says only that something was erased.

    What lies in a pack is dead from here on, and nothing says where it is; the pack is not touched.
    """
    with limits.counted(tx, versions):
        packs.let_go(tx, versions)
        parts: dict[str, Any] = dict.fromkeys(("header", "head", "content", *packs.PLACE))
        _withdraw(tx, versions, "erased", shred_id=shred_id, **parts)


def withhold(tx: Tx, versions: Sequence[Place], shred_id: str) -> None:
    """Take versions that only a hold keeps out of everybody's sight; their ciphertext stays."""
    _withdraw(tx, versions, "held", shred_id=shred_id)


def _withdraw(tx: Tx, versions: Sequence[Place], state: str, **values: Any) -> None:  # noqa: ANN401 - column values
    if versions:
        tx.execute(_at_each(tx).values(state=state, **values), _each(versions))
        here = (_r.c.tenant_id == tx.tenant_id, _r.c.id == bindparam("record"))
        current = update(_r).where(*here, _r.c.latest == bindparam("number"))
        tx.execute(current.values(state=state), _each(versions))


def rewrap(tx: Tx, stored: StoredVersion) -> None:
    """Store a version's header and segments with a slot more."""
    place = (stored.record_id, stored.version)
    rewrapped = _at_each(tx).values(header=stored.header, content=stored.content)
    with limits.counted(tx, [place] if stored.segments else []):
        tx.execute(rewrapped, _each([place]))


def name_shred(tx: Tx, versions: Sequence[Place], shred_id: str) -> None:
    """Note in versions that others still read which erasure a hold keeps a part of them from."""
    if versions:
        tx.execute(_at_each(tx).values(shred_id=shred_id), _each(versions))


def cut(tx: Tx, versions: Sequence[tuple[Place, bytes]]) -> None:
    """Store what is left of the contents of versions."""
    if versions:
        which = _each([place for place, _ in versions])
        lefts = [{**one, "left": left} for one, (_, left) in zip(which, versions, strict=True)]
        with limits.counted(tx, [place for place, _ in versions]):
            tx.execute(_at_each(tx).values(content=bindparam("left")), lefts)


def unlink(tx: Tx, versions: Sequence[Place]) -> None:
    """Forget who was in these versions."""
    if versions:
        tx.execute(_s.delete().where(_s.c.tenant_id == tx.tenant_id, among(_s, versions)))


def unlink_subject(tx: Tx, subject_id: str, versions: Sequence[Place]) -> None:
    """Forget that a subject was in these versions."""
    if versions:
        statement = _s.delete().where(
            _s.c.tenant_id == tx.tenant_id,
            _s.c.subject_id == subject_id,
            _s.c.record_id == bindparam("record"),
            _s.c.version == bindparam("number"),
        )
        tx.execute(statement, _each(versions))


def _at_each(tx: Tx) -> CoreUpdate:
    return update(_v).where(
        _v.c.tenant_id == tx.tenant_id,
        _v.c.record_id == bindparam("record"),
        _v.c.version == bindparam("number"),
    )


def _each(versions: Sequence[Place]) -> list[dict[str, Any]]:
    return [{"record": record_id, "number": number} for record_id, number in versions]
