"""Principals and their credentials."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update

from tenure.model.limits import Limits
from tenure.model.principal import Principal, PrincipalKind
from tenure.model.reach import Reach, read_reach
from tenure.store import limits, tables
from tenure.store.session import Tx
from tenure.store.statements import Select

_p, _c, _i, _s = tables.principals, tables.credentials, tables.identities, tables.issuers

_COLUMNS = (_p.c.id, _p.c.name, _p.c.kind, _p.c.roles, _p.c.disabled_at)
_LIVE = _p.c.disabled_at.is_(None)

BY_SECRET = Select(
    select(*_COLUMNS, _c.c.expires_at, _c.c.reach)
    .join(_c, (_c.c.tenant_id == _p.c.tenant_id) & (_c.c.principal_id == _p.c.id))
    .where(
        _c.c.tenant_id == bindparam("tenant_id"),
        _c.c.secret_hash == bindparam("secret_hash"),
        _c.c.revoked_at.is_(None),
        _LIVE,
    )
)
BY_IDENTITY = Select(
    select(*_COLUMNS)
    .join(_i, (_i.c.tenant_id == _p.c.tenant_id) & (_i.c.principal_id == _p.c.id))
    .join(_s, _s.c.tenant_id == _p.c.tenant_id)
    .where(
        _i.c.tenant_id == bindparam("tenant_id"),
        _i.c.subject_index == bindparam("subject_index"),
        _s.c.id == bindparam("issuer_id"),  # the token's own configuration is still in force
        _LIVE,
    )
)
BY_ID = Select(
    select(*_COLUMNS).where(_p.c.tenant_id == bindparam("tenant_id"), _p.c.id == bindparam("id"), _LIVE)
)


class Held(NamedTuple):
    """Who holds a live credential, until when (microseconds), narrowed to what, and at what rates."""

    principal: Principal
    expires_at: int | None
    reach: Reach | None
    limits: Limits | None


def by_secret(tx: Tx, secret_hash: str) -> Held | None:
    """Who holds this credential. It may have expired: the caller has the clock. One round trip."""
    given = {"secret_hash": secret_hash}
    rows, declared = tx.ask((BY_SECRET, given), (limits.BY_SECRET, given))
    if not rows:
        return None
    *principal, expires_at, reach = rows[0]
    return Held(_principal(tx.tenant_id, principal), expires_at, read_reach(reach), limits.found(declared))


def by_identity(tx: Tx, issuer_id: str, subject_index: str) -> Principal | None:
    """Who a subject of an issuer is, as long as that configuration of the issuer is in force."""
    rows = tx.ask((BY_IDENTITY, {"issuer_id": issuer_id, "subject_index": subject_index}))[0]
    return _principal(tx.tenant_id, rows[0]) if rows else None


def live(tx: Tx, principal_id: str) -> Principal | None:
    """One principal that is not disabled."""
    rows = tx.ask((BY_ID, {"id": principal_id}))[0]
    return _principal(tx.tenant_id, rows[0]) if rows else None


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


def change(tx: Tx, principal: Principal) -> None:
    """Store its roles and whether it is disabled."""
    tx.execute(
        update(_p)
        .where(_p.c.tenant_id == tx.tenant_id, _p.c.id == principal.id)
        .values(roles=json.dumps(principal.roles), disabled_at=principal.disabled_at)
    )


def every(tx: Tx, *, after: str, limit: int) -> list[Principal]:
    """Principals by id, a page at a time."""
    rows = tx.execute(
        select(*_COLUMNS)
        .where(_p.c.tenant_id == tx.tenant_id, *([_p.c.id > after] if after else []))
        .order_by(_p.c.id)
        .limit(limit)
    )
    return [_principal(tx.tenant_id, row) for row in rows]


def get(tx: Tx, principal_id: str, *, lock: bool = False) -> Principal | None:
    """One principal; with `lock`, nobody else changes it until this transaction ends."""
    query = select(*_COLUMNS).where(_p.c.tenant_id == tx.tenant_id, _p.c.id == principal_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return _principal(tx.tenant_id, row) if row else None


def names(tx: Tx, principal_ids: Collection[str]) -> dict[str, str]:
    """Id → name of these agents and services. People are left out: their names are theirs. One statement."""
    query = select(_p.c.id, _p.c.name).where(
        _p.c.tenant_id == tx.tenant_id,
        _p.c.id.in_(list(principal_ids)),
        _p.c.kind != PrincipalKind.PERSON.value,
    )
    return {row.id: row.name for row in tx.execute(query)}


def by_name(tx: Tx, name: str) -> Principal | None:
    """One principal by its name."""
    row = tx.execute(select(*_COLUMNS).where(_p.c.tenant_id == tx.tenant_id, _p.c.name == name)).one_or_none()
    return _principal(tx.tenant_id, row) if row else None


def held_roles(tx: Tx, roles: Collection[str]) -> set[str]:
    """Which of these roles some principal has. Reads the tenant's principals once: for rare acts only."""
    rows = tx.execute(select(_p.c.roles).where(_p.c.tenant_id == tx.tenant_id).distinct()).scalars()
    return {role for row in rows for role in json.loads(row)} & set(roles)


def add_credential(
    tx: Tx,
    credential_id: str,
    principal_id: str,
    secret_hash: str,
    *,
    at: int,
    expires_at: int | None = None,
    reach: Reach | None = None,
) -> None:
    """A further way for a principal to authenticate."""
    tx.execute(
        insert(_c).values(
            tenant_id=tx.tenant_id,
            id=credential_id,
            principal_id=principal_id,
            secret_hash=secret_hash,
            created_at=at,
            expires_at=expires_at,
            reach=None if reach is None else reach.stored(),
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
    """A principal's credentials without their secrets; `reach` as `Reach`."""
    rows = tx.execute(
        select(_c.c.id, _c.c.created_at, _c.c.revoked_at, _c.c.expires_at, _c.c.reach)
        .where(_c.c.tenant_id == tx.tenant_id, _c.c.principal_id == principal_id)
        .order_by(_c.c.id)
    )
    return [{**row._mapping, "reach": read_reach(row.reach)} for row in rows]


def _principal(tenant_id: str, row: Any) -> Principal:  # noqa: ANN401
    return Principal(
        tenant_id=tenant_id,
        id=row[0],
        name=row[1],
        kind=PrincipalKind(row[2]),
        roles=tuple(sorted(json.loads(row[3]))),
        disabled_at=row[4],
    )
