"""Issuers of access tokens, whom their subjects are here, and which tenant they lead to."""

from sqlalchemy import delete, func, insert, select

from tenure.ids import CELL
from tenure.model.issuer import Issuer, read_issuer
from tenure.store import tables
from tenure.store.session import Tx

_s, _i, _c = tables.issuers, tables.identities, tables.issuer_claims
_COLUMNS = (_s.c.id, _s.c.name, _s.c.url, _s.c.audience, _s.c.spec)


def create(tx: Tx, issuer: Issuer, *, at: int) -> None:
    """A new configuration. IntegrityError when the name is taken."""
    tx.execute(
        insert(_s).values(
            tenant_id=tx.tenant_id,
            id=issuer.id,
            name=issuer.name,
            url=issuer.url,
            audience=issuer.audience,
            spec=issuer.stored(),
            created_at=at,
        )
    )


def every(tx: Tx) -> list[Issuer]:
    """The tenant's, by name. They are few."""
    rows = tx.execute(select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id).order_by(_s.c.name))
    return [read_issuer(*row) for row in rows]


def get(tx: Tx, issuer_id: str, *, lock: bool = False) -> Issuer | None:
    """One of the tenant's. With `lock` it stays until the transaction ends."""
    query = select(*_COLUMNS).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == issuer_id)
    row = tx.execute(query.with_for_update(read=True) if lock else query).one_or_none()
    return read_issuer(*row) if row else None


def count(tx: Tx) -> int:
    """How many the tenant has."""
    query = select(func.count()).select_from(_s).where(_s.c.tenant_id == tx.tenant_id)
    return int(tx.execute(query).scalar_one())


def remove(tx: Tx, issuer: Issuer) -> None:
    """Take no token of it any more, and let its claim go. Its subjects stay who they are."""
    tx.execute(delete(_s).where(_s.c.tenant_id == tx.tenant_id, _s.c.id == issuer.id))
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    tx.execute(delete(_c).where(_c.c.tenant_id == CELL, _c.c.claim == issuer.claim(), _c.c.id == tenant_id))
    tx.as_tenant(tenant_id)


def remove_all(tx: Tx) -> None:
    """Take no token at all for the transaction's tenant any more. Its claims go with `forget`."""
    tx.execute(delete(_s).where(_s.c.tenant_id == tx.tenant_id))


# ── which tenant: rows of the cell ─────────────────────────────────────────────────────────────────
def claim(tx: Tx, issuer: Issuer) -> bool:
    """Claim the pair of issuer and audience for the transaction's tenant; False when it is claimed."""
    tenant_id = tx.tenant_id
    tx.as_tenant(CELL)
    found = claimed(tx, [issuer.claim()])
    if not found:
        row = {"tenant_id": CELL, "claim": issuer.claim(), "id": tenant_id, "issuer_id": issuer.id}
        tx.execute(insert(_c).values(**row))
    tx.as_tenant(tenant_id)
    return not found


def claimed(tx: Tx, claims: list[str]) -> list[tuple[str, str]]:
    """(tenant, issuer's id) of those of the claims that somebody has. Cell transaction."""
    rows = tx.execute(select(_c.c.id, _c.c.issuer_id).where(_c.c.tenant_id == CELL, _c.c.claim.in_(claims)))
    return [(row[0], row[1]) for row in rows]


def forget(tx: Tx, tenant_id: str) -> None:
    """Let every claim of a tenant that leaves go. Cell transaction."""
    tx.execute(delete(_c).where(_c.c.tenant_id == CELL, _c.c.id == tenant_id))


# ── who their subjects are ─────────────────────────────────────────────────────────────────────────
def identity(tx: Tx, subject_index: str) -> str | None:
    """The id of the principal that a subject is."""
    return tx.execute(
        select(_i.c.principal_id).where(_i.c.tenant_id == tx.tenant_id, _i.c.subject_index == subject_index)
    ).scalar_one_or_none()


def identify(tx: Tx, subject_index: str, principal_id: str, *, at: int) -> None:
    """Say which principal a subject is, instead of what was said before."""
    tx.execute(delete(_i).where(_i.c.tenant_id == tx.tenant_id, _i.c.subject_index == subject_index))
    tx.execute(
        insert(_i).values(
            tenant_id=tx.tenant_id, subject_index=subject_index, principal_id=principal_id, created_at=at
        )
    )
