"""Access packages at rest."""

from typing import Final

from sqlalchemy import bindparam, delete, exists, insert, select, update

from tenure.model.access_package import OPEN, Package, State
from tenure.store import tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_t, _s = tables.access_packages, tables.tenant_state
_COLUMNS: Final = [_t.c[name] for name in Package._fields]

ANY: Final = Select(
    select(_s.c.policy_epoch).where(
        _s.c.tenant_id == bindparam("tenant_id"), exists().where(_t.c.tenant_id == _s.c.tenant_id)
    )
)
"""A row if the tenant has a package."""


def create(tx: Tx, new: Package) -> None:
    """A new package."""
    tx.execute(insert(_t).values(tenant_id=tx.tenant_id, **new._asdict()))


def get(tx: Tx, package_id: str, *, lock: bool = False) -> Package | None:
    """One package; with `lock` nobody else changes it until this transaction ends."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id, _t.c.id == package_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return Package(*row) if row else None


def of_request(tx: Tx, request_id: str) -> Package | None:
    """The package of a rights request. It is locked until the transaction ends."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id, _t.c.request_id == request_id)
    row = tx.execute(query.with_for_update()).one_or_none()
    return Package(*row) if row else None


def move(tx: Tx, old: Package, new: Package) -> bool:
    """Store a step; False when somebody else's came first."""
    here = (_t.c.tenant_id == tx.tenant_id, _t.c.id == old.id, _t.c.entry == old.entry)
    changed = {name: value for name, value in new._asdict().items() if value != getattr(old, name)}
    return tx.execute(update(_t).where(*here).values(**changed)).rowcount == 1


def open_ones(tx: Tx, *, after: str, limit: int) -> list[Package]:
    """Packages that did not end, by id, behind one ('': from the first)."""
    query = select(*_COLUMNS).where(_t.c.tenant_id == tx.tenant_id, _t.c.state.in_(OPEN))
    if after:
        query = query.where(_t.c.id > after)
    return [Package(*row) for row in tx.execute(query.order_by(_t.c.id).limit(limit))]


def folders(tx: Tx) -> set[str]:
    """The folders that packages have their pieces in."""
    query = select(_t.c.folder).where(_t.c.tenant_id == tx.tenant_id, _t.c.folder.is_not(None))
    return {str(one) for one in tx.execute(query).scalars()}


def forget(tx: Tx, request_id: str) -> None:
    """Drop the row of a package that ended, with the case that it belongs to."""
    tx.execute(
        delete(_t).where(
            _t.c.tenant_id == tx.tenant_id, _t.c.request_id == request_id, _t.c.state.not_in(OPEN)
        )
    )


def unfetched(tx: Tx, subject_id: str, now: int) -> list[Package]:
    """Packages of a person that are there or being made, and that nobody fetched, by id."""
    waiting = [state for state in OPEN if state != State.FETCHED.value]
    query = select(*_COLUMNS).where(
        _t.c.tenant_id == tx.tenant_id,
        _t.c.subject_id == subject_id,
        _t.c.state.in_(waiting),
        _t.c.expires_at > now,
    )
    return [Package(*row) for row in tx.execute(query.order_by(_t.c.id))]


def of_subject(tx: Tx, subject_id: str) -> list[str]:
    """For which rights requests there are packages of a person that nobody ended."""
    query = select(_t.c.request_id).where(
        _t.c.tenant_id == tx.tenant_id, _t.c.subject_id == subject_id, _t.c.state != State.EXPIRED.value
    )
    return list(tx.execute(query).scalars())
