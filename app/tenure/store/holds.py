"""Legal holds, and the versions that each of them still keeps."""

from typing import Any, NamedTuple, Protocol

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update

from tenure.store import tables
from tenure.store.erasing import Headed, headers_by
from tenure.store.records import StoredVersion, base
from tenure.store.session import Tx
from tenure.store.statements import Select

_h, _k = tables.holds, tables.held_versions
ACTIVE, RELEASING, RELEASED = "active", "releasing", "released"
_LEAVES = Select(
    select(_h.c.leaf).where(
        _h.c.tenant_id == bindparam("tenant_id"), _h.c.state != literal_column(f"'{RELEASED}'")
    )
)


class Located(Protocol):
    """Something that a hold may cover: a version, by the scope and the record that it is of."""

    @property
    def scope(self) -> str:
        """The scope's name."""
        ...

    @property
    def record_id(self) -> str:
        """The record's id."""
        ...


class Hold(NamedTuple):
    """A hold on everything about a subject, in a scope, or of a record. `leaf` opens what it keeps."""

    id: str
    kind: str
    target: str
    ground: str
    leaf: int
    state: str
    placed_by: str
    placed_at: int
    released_at: int | None

    def may_cover(self, subject_id: str) -> bool:
        """Whether anything of this person may be held."""
        return self.kind != "subject" or self.target == subject_id

    def covers(self, subject_id: str, stored: Located) -> bool:
        """Whether a version of this person is held."""
        return (
            self.target
            == {"subject": subject_id, "scope": stored.scope, "record": stored.record_id}[self.kind]
        )


def create(tx: Tx, hold: Hold) -> None:
    """A new hold."""
    tx.execute(insert(_h).values(tenant_id=tx.tenant_id, **hold._asdict()))


def get(tx: Tx, hold_id: str) -> Hold | None:
    """One hold."""
    found = _select(tx, _h.c.id == hold_id)
    return found[0] if found else None


def every(tx: Tx) -> list[Hold]:
    """All holds of the tenant, oldest first."""
    return _select(tx)


def on_scope(tx: Tx, scope: str) -> bool:
    """Whether a hold on this scope is not released yet."""
    return bool(_select(tx, _h.c.kind == "scope", _h.c.target == scope, _h.c.state != RELEASED))


def active(tx: Tx) -> list[Hold]:
    """Holds that keep what is erased from now on."""
    return _select(tx, _h.c.state == ACTIVE)


def leaves(tx: Tx) -> list[int]:
    """The leaves of all holds that were not released: a hold keeps, it never lets anybody read."""
    return [leaf for (leaf,) in tx.look((_LEAVES, {}))[0]]


def move(tx: Tx, hold_id: str, **values: Any) -> None:  # noqa: ANN401
    """Store a hold's new state."""
    tx.execute(update(_h).where(_h.c.tenant_id == tx.tenant_id, _h.c.id == hold_id).values(**values))


def keep(tx: Tx, hold_id: str, record_id: str, version: int) -> None:
    """A version is kept by a hold; idempotent."""
    here = (_k.c.tenant_id == tx.tenant_id, _k.c.hold_id == hold_id)
    which = (_k.c.record_id == record_id, _k.c.version == version)
    tx.execute(delete(_k).where(*here, *which))
    tx.execute(
        insert(_k).values(tenant_id=tx.tenant_id, hold_id=hold_id, record_id=record_id, version=version)
    )


def kept(tx: Tx, hold_id: str) -> int:
    """How many versions a hold keeps."""
    counted = select(func.count()).where(_k.c.tenant_id == tx.tenant_id, _k.c.hold_id == hold_id)
    return int(tx.execute(counted).scalar_one())


def versions(tx: Tx, hold_id: str, *, limit: int) -> list[StoredVersion]:
    """Some of the versions that a hold keeps, locked as `erasing.of_subject` does it."""
    query = base(tx, _k, _k.c.hold_id == hold_id).limit(limit).with_for_update(of=tables.versions)
    return [StoredVersion(*row) for row in tx.execute(query)]


def headers(tx: Tx, *, limit: int, after: tuple[str, int] | None) -> list[Headed]:
    """Headers of everything that is kept by holds, by record and number."""
    return headers_by(tx, _k, limit=limit, after=after)


def keeping(tx: Tx, shred_id: str) -> list[Hold]:
    """The holds that keep something of what an erasure took away."""
    _v = tables.versions
    mine = select(_k.c.hold_id).join(
        _v,
        (_v.c.tenant_id == _k.c.tenant_id)
        & (_v.c.record_id == _k.c.record_id)
        & (_v.c.version == _k.c.version),
    )
    return _select(tx, _h.c.id.in_(mine.where(_k.c.tenant_id == tx.tenant_id, _v.c.shred_id == shred_id)))


def let_go(tx: Tx, hold_id: str, pairs: list[tuple[str, int]]) -> None:
    """A hold keeps these versions no longer."""
    if pairs:
        statement = delete(_k).where(
            _k.c.tenant_id == tx.tenant_id,
            _k.c.hold_id == hold_id,
            _k.c.record_id == bindparam("record"),
            _k.c.version == bindparam("number"),
        )
        tx.execute(statement, [{"record": record_id, "number": version} for record_id, version in pairs])


def _select(tx: Tx, *conditions: Any) -> list[Hold]:  # noqa: ANN401
    columns = [_h.c[name] for name in Hold._fields]
    rows = tx.execute(select(*columns).where(_h.c.tenant_id == tx.tenant_id, *conditions).order_by(_h.c.id))
    return [Hold(*row) for row in rows]
