"""Principals and their credentials."""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from tenure.model.limits import Limits
from tenure.model.principal import Principal, PrincipalKind
from tenure.store import limits, tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_p, _c = tables.principals, tables.credentials

BY_SECRET = Select(
    select(_p.c.id, _p.c.name, _p.c.kind, _p.c.roles)
    .join(_c, (_c.c.tenant_id == _p.c.tenant_id) & (_c.c.principal_id == _p.c.id))
    .where(
        _c.c.tenant_id == bindparam("tenant_id"),
        _c.c.secret_hash == bindparam("secret_hash"),
        _c.c.revoked_at.is_(None),
    )
)


def by_secret(tx: Tx, secret_hash: str) -> tuple[Principal | None, Limits | None]:
    """Who holds this live credential, and what is declared of it. One round trip."""
    given = {"secret_hash": secret_hash}
    rows, narrowed = tx.ask((BY_SECRET, given), (limits.BY_SECRET, given))
    return (_principal(tx.tenant_id, rows[0]) if rows else None), limits.found(narrowed)


def create(tx: Tx, principal: Principal, *, at: int) -> None:
    """A new principal. IntegrityError when the name is taken."""
    tx.execute(
        insert(_p).values(
            tenant_id=tx.tenant_id,
            id=principal.id,
            name=principal.name,
            kind=principal.kind.value,
            roles=json.dumps(principal.roles),
            created_at=at,
        )
    )


def every(tx: Tx, *, after: str, limit: int) -> list[Principal]:
    """Principals by id, a page at a time."""
    rows = tx.execute(
        select(_p.c.id, _p.c.name, _p.c.kind, _p.c.roles)
        .where(_p.c.tenant_id == tx.tenant_id, *([_p.c.id > after] if after else []))
        .order_by(_p.c.id)
        .limit(limit)
    )
    return [_principal(tx.tenant_id, row) for row in rows]


def get(tx: Tx, principal_id: str) -> Principal | None:
    """One principal."""
    row = tx.execute(
        select(_p.c.id, _p.c.name, _p.c.kind, _p.c.roles).where(
            _p.c.tenant_id == tx.tenant_id, _p.c.id == principal_id
        )
    ).one_or_none()
    return _principal(tx.tenant_id, row) if row else None


def by_name(tx: Tx, name: str) -> Principal | None:
    """One principal by its name."""
    row = tx.execute(
        select(_p.c.id, _p.c.name, _p.c.kind, _p.c.roles).where(
            _p.c.tenant_id == tx.tenant_id, _p.c.name == name
        )
    ).one_or_none()
    return _principal(tx.tenant_id, row) if row else None


def held_roles(tx: Tx, roles: Collection[str]) -> set[str]:
    """Which of these roles some principal has. Reads the tenant's principals once: for rare acts only."""
    rows = tx.execute(select(_p.c.roles).where(_p.c.tenant_id == tx.tenant_id).distinct()).scalars()
    return {role for row in rows for role in json.loads(row)} & set(roles)


def add_credential(tx: Tx, credential_id: str, principal_id: str, secret_hash: str, *, at: int) -> None:
    """A further way for a principal to authenticate."""
    tx.execute(
        insert(_c).values(
            tenant_id=tx.tenant_id,
            id=credential_id,
            principal_id=principal_id,
            secret_hash=secret_hash,
            created_at=at,
        )
    )


def revoke_all(tx: Tx, *, at: int) -> None:
    """Make every key of the transaction's tenant unusable."""
    tx.execute(
        update(_c).where(_c.c.tenant_id == tx.tenant_id, _c.c.revoked_at.is_(None)).values(revoked_at=at)
    )


def revoke(tx: Tx, principal_id: str, credential_id: str, *, at: int) -> bool:
    """Make a credential unusable; False when there is no such live one."""
    done = tx.execute(
        update(_c)
        .where(
            _c.c.tenant_id == tx.tenant_id,
            _c.c.id == credential_id,
            _c.c.principal_id == principal_id,
            _c.c.revoked_at.is_(None),
        )
        .values(revoked_at=at)
    )
    return done.rowcount == 1


def credentials(tx: Tx, principal_id: str) -> list[dict[str, Any]]:
    """A principal's credentials without their secrets."""
    rows = tx.execute(
        select(_c.c.id, _c.c.created_at, _c.c.revoked_at)
        .where(_c.c.tenant_id == tx.tenant_id, _c.c.principal_id == principal_id)
        .order_by(_c.c.id)
    )
    return [dict(row._mapping) for row in rows]


def _principal(tenant_id: str, row: Any) -> Principal:  # noqa: ANN401
    return Principal(
        tenant_id=tenant_id,
        id=row[0],
        name=row[1],
        kind=PrincipalKind(row[2]),
        roles=tuple(sorted(json.loads(row[3]))),
    )
