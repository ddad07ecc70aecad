"""Every sealed version of a tenant, and everybody who was erased: for drills."""

from typing import NamedTuple

from sqlalchemy import and_, or_, select

from tenure.store import tables
from tenure.store.session import Tx

_v, _s = tables.versions, tables.subjects


class SealedHeader(NamedTuple):
    """A version's address and header; nothing of its content."""

    record_id: str
    version: int
    scope: str
    header: bytes


class ErasedSubject(NamedTuple):
    """Somebody whose erasure is completed."""

    id: str
    leaf: int
    shred_id: str | None


def headers(tx: Tx, after: tuple[str, int] | None, limit: int) -> list[SealedHeader]:
    """A page of the versions that still have ciphertext, by record and number."""
    query = select(_v.c.record_id, _v.c.version, _v.c.scope, _v.c.header).where(
        _v.c.tenant_id == tx.tenant_id, _v.c.header.is_not(None)
    )
    if after is not None:
        record_id, version = after
        query = query.where(
            or_(_v.c.record_id > record_id, and_(_v.c.record_id == record_id, _v.c.version > version))
        )
    rows = tx.execute(query.order_by(_v.c.record_id, _v.c.version).limit(limit))
    return [SealedHeader(row[0], row[1], row[2], bytes(row[3])) for row in rows]


def erased(tx: Tx) -> list[ErasedSubject]:
    """Everybody whose erasure is completed."""
    rows = tx.execute(
        select(_s.c.id, _s.c.leaf, _s.c.shred_id).where(
            _s.c.tenant_id == tx.tenant_id, _s.c.state == "erased"
        )
    )
    return [ErasedSubject(*row) for row in rows]
