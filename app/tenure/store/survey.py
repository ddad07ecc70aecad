"""Every sealed version of a tenant, and everybody who was erased: for drills."""

from typing import NamedTuple

from sqlalchemy import and_, case, or_, select

from tenure.keys import segments
from tenure.store import tables
from tenure.store.session import Tx

_v, _s = tables.versions, tables.subjects


class SealedHeader(NamedTuple):
    """The address and header of a version, or of a segment of one; nothing of its content."""

    record_id: str
    version: int
    scope: str
    header: bytes
    segment: int | None = None


class ErasedSubject(NamedTuple):
    """Somebody whose erasure is completed."""

    id: str
    leaf: int
    shred_id: str | None


def headers(tx: Tx, after: tuple[str, int] | None, limit: int) -> list[SealedHeader]:
    """A page of the versions that still have ciphertext, by record and number, each before its segments."""
    in_segments = case((_v.c.segments.is_not(None), _v.c.content))
    query = select(_v.c.record_id, _v.c.version, _v.c.scope, _v.c.header, in_segments).where(
        _v.c.tenant_id == tx.tenant_id, _v.c.header.is_not(None)
    )
    if after is not None:
        record_id, version = after
        query = query.where(
            or_(_v.c.record_id > record_id, and_(_v.c.record_id == record_id, _v.c.version > version))
        )
    rows = tx.execute(query.order_by(_v.c.record_id, _v.c.version).limit(limit))
    found: list[SealedHeader] = []
    for record_id, version, scope, header, content in rows:
        whole = SealedHeader(record_id, version, scope, bytes(header))
        places = segments.decode(bytes(content)) if content is not None else []
        parts = [whole._replace(header=one.header, segment=n) for n, one in enumerate(places) if one]
        found += [whole, *parts]
    return found


def erased(tx: Tx) -> list[ErasedSubject]:
    """Everybody whose erasure is completed."""
    rows = tx.execute(
        select(_s.c.id, _s.c.leaf, _s.c.shred_id).where(
            _s.c.tenant_id == tx.tenant_id, _s.c.state == "erased"
        )
    )
    return [ErasedSubject(*row) for row in rows]
