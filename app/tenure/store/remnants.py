"""What is left of an erased subject, a released hold or a shredded tenant, asked of the store itself."""

from sqlalchemy import ColumnElement, func, or_, select

from tenure.store import cohorts, events, tables
from tenure.store.records import Place, among
from tenure.store.session import Tx
from tenure.store.shreds import Kind, Shred

_v, _s = tables.versions, tables.subjects


def remnants(tx: Tx, shred: Shred) -> dict[str, int]:
    """Kind of remnant → how many: all 0 when everything is purged. One to twenty statements, all by index."""
    match Kind(shred.kind):
        case Kind.SUBJECT:
            return _of_subject(tx, shred.target_id)
        case Kind.HOLD:
            return _of_hold(tx, shred.target_id)
        case Kind.COHORT:
            return {"versions": cohorts.count_of(tx, shred.target_id)}
        case Kind.TENANT:
            return _of_tenant(tx, shred.target_id, ledger=shred.findings.get("ledger") == "hand-over")


def sealed(tx: Tx, versions: list[Place]) -> int:
    """How many of these versions still have any ciphertext."""
    parts = (_v.c.header, _v.c.head, _v.c.content, _v.c.pack_id)
    left = or_(*(one.is_not(None) for one in parts))
    return _count(tx, _v.c.tenant_id == tx.tenant_id, among(_v, versions), left) if versions else 0


def _of_subject(tx: Tx, subject_id: str) -> dict[str, int]:
    links = tables.version_subjects
    named = or_(*(_s.c[name].is_not(None) for name in ("ref_index", "bucket", "ref_header", "sealed_ref")))
    return {
        "links": _count(tx, links.c.tenant_id == tx.tenant_id, links.c.subject_id == subject_id),
        "references": _count(tx, _s.c.tenant_id == tx.tenant_id, _s.c.id == subject_id, named),
        "events": events.left(tx, subject_id),
    }


def _of_hold(tx: Tx, hold_id: str) -> dict[str, int]:
    kept = tables.held_versions
    return {"links": _count(tx, kept.c.tenant_id == tx.tenant_id, kept.c.hold_id == hold_id)}


def _of_tenant(tx: Tx, tenant_id: str, *, ledger: bool) -> dict[str, int]:
    """Tables that still have a row of the tenant, those of its `ledger` if it went too. Cell transaction."""
    cell = tx.tenant_id
    listed = _count(tx, tables.tenants.c.tenant_id == cell, tables.tenants.c.id == tenant_id)
    tx.as_tenant(tenant_id)
    owned = [one for one in tables.metadata.sorted_tables if ledger or one.name not in tables.LEDGER]
    left = sum(
        tx.execute(select(table.c.tenant_id).where(table.c.tenant_id == tenant_id).limit(1)).first()
        is not None
        for table in owned
    )
    tx.as_tenant(cell)
    return {"tables": left, "names": listed}


def _count(tx: Tx, *conditions: ColumnElement[bool]) -> int:
    return int(tx.execute(select(func.count()).where(*conditions)).scalar_one())
