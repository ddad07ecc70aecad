"""Principals and their API keys: the tenant administrator's verbs."""

from typing import Any

from tenure import ids
from tenure.errors import Conflict, Invalid, NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ledger.entry import Kind
from tenure.model import names
from tenure.model.apikey import new_api_key
from tenure.model.identity import check_id
from tenure.model.principal import Credential, Principal, PrincipalKind
from tenure.store import principals as store
from tenure.store import tenants
from tenure.store.tenants import Epoch

SCOPE = "tenure.principals"
MAX_PAGE = 200


class Principals:
    """Create principals, list them, give and revoke credentials."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(
        self,
        credential: Credential,
        name: str,
        kind: PrincipalKind,
        roles: tuple[str, ...],
        once: Once | None = None,
    ) -> dict[str, Any]:
        """A new principal with its first API key: `{"id","name","kind","roles","api_key"}`."""

        def work(seat: Seat) -> dict[str, Any]:
            self._check_roles(seat, roles)
            if store.by_name(seat.desk.tx, name) is not None:
                raise Conflict(
                    "A principal of this name exists; nothing was created.",
                    field="name",
                    rule="unique in the tenant",
                    remedy="Choose another name, or add a credential to the existing principal.",
                )
            principal = Principal(seat.desk.tx.tenant_id, ids.new_id(), name, kind, tuple(sorted(set(roles))))
            _, key = add_principal(seat.desk.tx, principal, at=seat.desk.now)
            tenants.raise_epoch(seat.desk.tx, Epoch.PRINCIPAL)
            seat.record(
                Kind.PRINCIPAL_CHANGE, principal=principal.id, change="created", roles=list(principal.roles)
            )
            return {**_shown(principal), "api_key": key}

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def every(self, credential: Credential, *, after: str, limit: int) -> dict[str, Any]:
        """A page of principals: `{"items","next"}`."""

        def work(seat: Seat) -> dict[str, Any]:
            found = store.every(seat.desk.tx, after=after, limit=limit + 1)
            page = found[:limit]
            return {
                "items": [_shown(one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def add_credential(
        self, credential: Credential, principal_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """A further API key: `{"id","api_key"}`; shown once."""
        check_id(principal_id, "principal")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            if store.get(tx, principal_id) is None:
                raise _no_principal()
            key, secret_hash = new_api_key(tx.tenant_id)
            credential_id = ids.new_id()
            store.add_credential(tx, credential_id, principal_id, secret_hash, at=seat.desk.now)
            seat.record(
                Kind.PRINCIPAL_CHANGE,
                principal=principal_id,
                change="credential-added",
                credential=credential_id,
            )
            return {"id": credential_id, "api_key": key}

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def credentials(self, credential: Credential, principal_id: str) -> dict[str, Any]:
        """A principal's credentials without their secrets: `{"items":[{"id","created_at","revoked_at"}]}`."""
        check_id(principal_id, "principal")

        def work(seat: Seat) -> dict[str, Any]:
            if store.get(seat.desk.tx, principal_id) is None:
                raise _no_principal()
            rows = store.credentials(seat.desk.tx, principal_id)
            return {
                "items": [
                    {
                        "id": row["id"],
                        "created_at": ids.rfc3339(row["created_at"]),
                        "revoked_at": ids.rfc3339(row["revoked_at"]) if row["revoked_at"] else None,
                    }
                    for row in rows
                ]
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def revoke(self, credential: Credential, principal_id: str, credential_id: str) -> None:
        """Make an API key unusable, in every process from the next request on."""
        check_id(principal_id, "principal")
        check_id(credential_id, "credential", "credential_id")

        def work(seat: Seat) -> None:
            tx = seat.desk.tx
            if not store.revoke(tx, principal_id, credential_id, at=seat.desk.now):
                raise NotFound("There is no such live credential of this principal; nothing was changed.")
            tenants.raise_epoch(tx, Epoch.PRINCIPAL)
            seat.record(
                Kind.PRINCIPAL_CHANGE,
                principal=principal_id,
                change="credential-revoked",
                credential=credential_id,
            )

        await self._service.run(credential, SCOPE, "write", work)

    def _check_roles(self, seat: Seat, roles: tuple[str, ...]) -> None:
        declared = seat.desk.tenancy.policy.configuration.roles
        for place, role in enumerate(roles):
            if role in seat.desk.tenancy.policy.configuration.emergency_roles:
                raise Invalid(
                    "The role is for emergencies and nobody's own; nothing was created.",
                    field=f"roles[{place}]",
                    rule="a role without breakGlass",
                    remedy="Leave it out. Whoever needs it asks for it: tenure breakglass request.",
                )
            if role == names.OPERATOR or (role not in declared and role not in names.BUILTIN_ROLES):
                raise Invalid(
                    "The role is not declared in this tenant; nothing was created.",
                    field=f"roles[{place}]",
                    rule="a Role manifest, or tenant-admin, dpo, auditor",
                    remedy="Apply a Role manifest first, or use a declared role.",
                )


def add_principal(tx: Any, principal: Principal, *, at: int) -> tuple[str, str]:  # noqa: ANN401
    """Store a principal with a first credential: (credential id, API key)."""
    key, secret_hash = new_api_key(principal.tenant_id)
    credential_id = ids.new_id()
    store.create(tx, principal, at=at)
    store.add_credential(tx, credential_id, principal.id, secret_hash, at=at)
    return credential_id, key


def _shown(principal: Principal) -> dict[str, Any]:
    return {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind.value,
        "roles": list(principal.roles),
    }


def _no_principal() -> NotFound:
    return NotFound("There is no such principal; nothing was changed.", field="id")
