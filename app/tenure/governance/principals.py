"""Principals and their API keys: the tenant administrator's verbs."""

from dataclasses import replace
from typing import Any, NamedTuple

from tenure import ids
from tenure.errors import Conflict, Invalid, NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ledger.entry import Kind
from tenure.model import names
from tenure.model.apikey import config_of, new_api_key
from tenure.model.identity import check_id
from tenure.model.principal import Credential, Principal, PrincipalKind
from tenure.model.reach import checked_reach
from tenure.store import principals as store
from tenure.store import tenants
from tenure.store.session import Tx
from tenure.store.tenants import Epoch

SCOPE = "tenure.principals"
MAX_PAGE = 200


class NewKey(NamedTuple):
    """An API key to make. `reach` by part (`model.reach`); `expires_at` in microseconds; None: no end."""

    expires_at: int | None = None
    reach: dict[str, tuple[str, ...] | None] | None = None


class Principals:
    """Create principals, list and change them, give and revoke credentials."""

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
        """A new principal with its first API key: `{"id","name","kind","roles","disabled_at","api_key"}`."""

        def work(seat: Seat) -> dict[str, Any]:
            check_unnarrowed(seat)
            check_roles(seat, roles)
            if store.by_name(seat.desk.tx, name) is not None:
                raise Conflict(
                    "A principal of this name exists; nothing was created.",
                    field="name",
                    rule="unique in the tenant",
                    remedy="Choose another name, or add a credential to the existing principal.",
                )
            principal = Principal(seat.desk.tx.tenant_id, ids.new_id(), name, kind, tuple(sorted(set(roles))))
            said, key = add_principal(seat.desk.tx, principal, at=seat.desk.now)
            tenants.raise_under_policy(seat.desk.tx, Epoch.PRINCIPAL, seat.desk.tenancy.epochs.policy)
            seat.record(Kind.PRINCIPAL_CHANGE, change="created", **said)
            return {**_shown(principal), "api_key": key}

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def change(
        self,
        credential: Credential,
        principal_id: str,
        *,
        roles: tuple[str, ...] | None = None,
        disabled: bool | None = None,
    ) -> dict[str, Any]:
        """Give a principal other roles, switch it off or on again; the principal as it is then.

        In every process from its next transaction on: also for requests that are waiting for theirs. One
        entry for each change. Conflict for who would shut itself out.
        """
        check_id(principal_id, "principal")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            check_unnarrowed(seat)
            old = store.get(tx, principal_id, lock=True)
            if old is None:
                raise _no_principal()
            new = old if roles is None else replace(old, roles=tuple(sorted(set(roles))))
            if roles is not None:
                check_roles(seat, roles, kept=old.roles)
            if disabled is not None and disabled != (old.disabled_at is not None):
                new = replace(new, disabled_at=seat.desk.now if disabled else None)
            if new == old:
                return _shown(old)
            _check_not_shut_out(seat, new)
            store.change(tx, new)
            tenants.raise_under_policy(tx, Epoch.PRINCIPAL, seat.desk.tenancy.epochs.policy)
            if new.roles != old.roles:
                seat.record(
                    Kind.PRINCIPAL_CHANGE, principal=principal_id, change="roles", roles=list(new.roles)
                )
            if new.disabled_at != old.disabled_at:
                what = "enabled" if new.disabled_at is None else "disabled"
                seat.record(Kind.PRINCIPAL_CHANGE, principal=principal_id, change=what)
            return _shown(new)

        return await self._service.run(credential, SCOPE, "write", work)

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
        self,
        credential: Credential,
        principal_id: str,
        once: Once | None = None,
        *,
        new: NewKey | None = None,
    ) -> dict[str, Any]:
        """A further API key: `{"id","expires_at","reach","api_key"}`; the key is shown once.

        Invalid for a reach that names what the principal does not have. A reach never widens: the principal's
        roles as they are at each use are narrowed by them.
        """
        check_id(principal_id, "principal")
        wanted = new or NewKey()

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            check_unnarrowed(seat)
            principal = store.get(tx, principal_id)
            if principal is None:
                raise _no_principal()
            purposes = seat.desk.tenancy.policy.configuration.purposes
            reach = (
                None
                if wanted.reach is None
                else checked_reach(wanted.reach, roles=principal.roles, purposes=purposes)
            )
            key, secret_hash = new_api_key(tx.tenant_id)
            credential_id = ids.new_id()
            store.add_credential(
                tx,
                credential_id,
                principal_id,
                secret_hash,
                at=seat.desk.now,
                expires_at=wanted.expires_at,
                reach=reach,
            )
            facts: dict[str, Any] = {"config": config_of(secret_hash, wanted.expires_at, reach)}
            if reach is not None:
                facts["narrowed"] = True
            if wanted.expires_at is not None:
                facts["expires_at"] = ids.rfc3339(wanted.expires_at)
            seat.record(
                Kind.PRINCIPAL_CHANGE,
                principal=principal_id,
                change="credential-added",
                credential=credential_id,
                **facts,
            )
            return {
                "id": credential_id,
                "expires_at": _instant(wanted.expires_at),
                "reach": reach and reach.as_json(),
                "api_key": key,
            }

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def credentials(self, credential: Credential, principal_id: str) -> dict[str, Any]:
        """A principal's credentials without secrets: `{"items":[{"id","created_at","revoked_at",…}]}`."""
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
                        "revoked_at": _instant(row["revoked_at"]),
                        "expires_at": _instant(row["expires_at"]),
                        "reach": row["reach"] and row["reach"].as_json(),
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


def check_unnarrowed(seat: Seat) -> None:
    """Whoever holds less than its principal's rights hands out none: it could give itself the rest."""
    if seat.principal.reach is not None or seat.principal.behalf is not None:
        raise Conflict(
            "A narrowed credential, or one that acts for somebody, gives no rights; nothing was changed.",
            field="Authorization",
            rule="a credential that is not narrowed, on nobody's behalf",
            remedy="Use an API key of an administrator that is not narrowed.",
        )


def check_roles(
    seat: Seat, roles: tuple[str, ...], field: str = "roles", *, kept: tuple[str, ...] = ()
) -> None:
    """Invalid for a role that is not declared and none of the `kept` ones, or is not a tenant's to give."""
    configuration = seat.desk.tenancy.policy.configuration
    for place, role in enumerate(roles):
        if role in configuration.emergency_roles:
            raise Invalid(
                "The role is for emergencies and nobody's own; nothing was changed.",
                field=f"{field}[{place}]",
                rule="a role without breakGlass",
                remedy="Leave it out. Whoever needs it asks for it: tenure breakglass request.",
            )
        known = role in configuration.roles or role in names.BUILTIN_ROLES
        if role not in kept and (role == names.OPERATOR or not known):
            raise Invalid(
                "The role is not declared in this tenant; nothing was changed.",
                field=f"{field}[{place}]",
                rule="a Role manifest, or tenant-admin, dpo, auditor",
                remedy="Apply a Role manifest first, or use a declared role.",
            )


def add_principal(tx: Tx, principal: Principal, *, at: int) -> tuple[dict[str, Any], str]:
    """Store a principal with a first credential: (what an entry says of both, API key)."""
    key, secret_hash = new_api_key(principal.tenant_id)
    credential_id = ids.new_id()
    store.create(tx, principal, at=at)
    store.add_credential(tx, credential_id, principal.id, secret_hash, at=at)
    said = {**principal.standing, "credential": credential_id, "config": config_of(secret_hash, None, None)}
    return said, key


def _check_not_shut_out(seat: Seat, new: Principal) -> None:
    """Somebody must be left who can undo it."""
    lost = set(seat.principal.roles) & {names.TENANT_ADMIN, names.OPERATOR} - set(new.roles)
    if new.id == seat.principal.id and (lost or new.disabled_at is not None):
        raise Conflict(
            "You would shut yourself out; nothing was changed.",
            field="id",
            rule="another administrator's principal",
            remedy="Let another administrator do it.",
        )


def _instant(at: int | None) -> str | None:
    return None if at is None else ids.rfc3339(at)


def _shown(principal: Principal) -> dict[str, Any]:
    return {
        "id": principal.id,
        "name": principal.name,
        "kind": principal.kind.value,
        "roles": list(principal.roles),
        "disabled_at": _instant(principal.disabled_at),
    }


def _no_principal() -> NotFound:
    return NotFound("There is no such principal; nothing was changed.", field="id")
