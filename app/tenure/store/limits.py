"""Declared limits of a tenant and of its credentials, and how much the tenant stores.

Storage is counted in rows that are summed up, a few for each tenant: a lane adds to one of them at the end of
its transaction (`Tx.add`). One row would be waited for by everyone who writes in the tenant at that moment,
in every process, for as long as a commit takes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import bindparam, delete, func, or_, select

from tenure.model.limits import NAMES, Limits, Usage
from tenure.store import tables
from tenure.store.records import Place, among
from tenure.store.session import Tx
from tenure.store.statements import Add, Insert, Select

SLOTS = 16
_l, _c, _u, _v = tables.limits, tables.credentials, tables.usage, tables.versions
_NUMBERS = tuple(_l.c[name] for name in NAMES)
_PUT = Insert(_l, replace=NAMES)
_ADD = Add(_u, amounts=("versions", "bytes"))

BY_SECRET = Select(
    select(*_NUMBERS)
    .join(_c, (_c.c.tenant_id == _l.c.tenant_id) & (_c.c.id == _l.c.id))
    .where(_c.c.tenant_id == bindparam("tenant_id"), _c.c.secret_hash == bindparam("secret_hash"))
)
BY_ID = Select(select(*_NUMBERS).where(_l.c.tenant_id == bindparam("tenant_id"), _l.c.id == bindparam("id")))
USAGE = Select(select(_u.c.versions, _u.c.bytes).where(_u.c.tenant_id == bindparam("tenant_id")))


def of(tx: Tx, owner_id: str) -> Limits:
    """What is declared of the tenant (by its own id) or of one of its credentials."""
    return found(tx.ask((BY_ID, {"id": owner_id}))[0]) or Limits()


def found(rows: Sequence[Sequence[int | None]]) -> Limits | None:
    """The limits in the answer to a select of them."""
    return Limits.of(rows[0]) if rows else None


def declare(tx: Tx, owner_id: str, limits: Limits) -> None:
    """In place of what was declared before."""
    if limits.declared():
        tx.put(_PUT, {"id": owner_id, **limits.shown()})
    else:
        tx.execute(delete(_l).where(_l.c.tenant_id == tx.tenant_id, _l.c.id == owner_id))


def used(rows: Sequence[Sequence[int]]) -> Usage:
    """The sum of the rows of `USAGE`: at most `SLOTS` of them."""
    return Usage(sum(row[0] for row in rows), sum(row[1] for row in rows))


def add(tx: Tx, *, versions: int, size: int) -> None:
    """Count versions with content, and bytes of ciphertext, that come (or go) with this transaction."""
    if not versions and not size:
        return
    slot = int(tx.writers.peek(tx.tenant_id)[0][-1], 16) if tx.writers is not None else 0
    tx.add(_ADD, {"slot": slot, "versions": versions, "bytes": size})


@contextmanager
def counted(tx: Tx, places: Sequence[Place]) -> Iterator[None]:
    """Count what is done to these versions inside. Two statements more."""
    before = _measured(tx, places)
    yield
    after = _measured(tx, places)
    add(tx, versions=after.versions - before.versions, size=after.bytes - before.bytes)


def _measured(tx: Tx, places: Sequence[Place]) -> Usage:
    if not places:
        return Usage()
    # What lies in a pack counts as before: a tier is no way around a quota.
    content = func.coalesce(func.length(_v.c.content), 0) + func.coalesce(_v.c.pack_length, 0)
    row = tx.execute(
        select(func.count(), func.sum(func.length(_v.c.head) + content)).where(
            _v.c.tenant_id == tx.tenant_id,
            among(_v, places),
            or_(_v.c.content.is_not(None), _v.c.pack_id.is_not(None)),
        )
    ).one()
    return Usage(row[0], int(row[1] or 0))
