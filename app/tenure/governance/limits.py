"""Limits: the operator says what a tenant may take and store, its administrator what a credential may."""

from collections.abc import Mapping
from time import monotonic
from typing import Any

from tenure import ids
from tenure.errors import Invalid, NotFound
from tenure.governance.principals import check_unnarrowed
from tenure.governance.service import Once, Seat, Service
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft, Kind
from tenure.limiting import Gate
from tenure.model.identity import check_id
from tenure.model.limits import MAX_BURST_S, MAX_LIMIT, NAMES, STORED, Limits, Usage
from tenure.model.principal import Credential
from tenure.store import limits as store
from tenure.store import principals, tenants
from tenure.store.session import Tx
from tenure.store.tenants import Epoch

_TENANTS = "tenure.tenants"
_PRINCIPALS = "tenure.principals"
_LATELY_S = 900
_SECOND = 1_000_000


class TenantLimits:
    """Declare and show limits. They hold in every process from the tenant's next transaction there on."""

    def __init__(self, service: Service, gate: Gate, default: Limits) -> None:
        """`default`: what holds where nothing is declared."""
        self._service = service
        self._gate = gate
        self._default = default

    async def declare(
        self,
        credential: Credential,
        tenant_id: str,
        given: Mapping[str, int | None],
        once: Once | None = None,
    ) -> dict[str, Any]:
        """A tenant's limits, in place of all that were declared before.

        `{"declared","limits"}`: what is declared, and what holds with it. On record in the cell's log and in
        the tenant's own. Raises Invalid, NotFound.
        """
        check_id(tenant_id, "tenant")
        new = _read(given)

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            _check_tenant(tx, tenant_id)
            seat.record(Kind.TENANT_LIMITS, tenant=tenant_id, **_facts(new))
            tx.as_tenant(tenant_id)
            store.declare(tx, tenant_id, new)
            tenants.raise_epoch(tx, Epoch.PRINCIPAL)
            data = new.declared()
            tx.append(EntryDraft(kind=Kind.TENANT_LIMITS, at=seat.desk.now, outcome="ok", data=data))
            tx.as_tenant(CELL)
            return self._shown(new)

        return await self._service.run(credential, _TENANTS, "write", work, once=once)

    async def of_tenant(self, credential: Credential, tenant_id: str) -> dict[str, Any]:
        """For the operator: `{"declared","limits","stored":{"versions","bytes"}}` of a tenant."""
        check_id(tenant_id, "tenant")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            _check_tenant(tx, tenant_id)
            tx.as_tenant(tenant_id)
            shown = {**self._shown(store.of(tx, tenant_id)), "stored": _stored(tx)}
            tx.as_tenant(CELL)
            return shown

        return await self._service.run(credential, _TENANTS, "read", work)

    async def mine(self, credential: Credential) -> dict[str, Any]:
        """For a tenant's administrator: the same of its own, and how many `processes` share the rates."""

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            shown = self._shown(store.of(tx, tx.tenant_id))
            return {**shown, "stored": _stored(tx), "processes": self._gate.share}

        return await self._service.run(credential, _PRINCIPALS, "read", work)

    async def narrow(
        self,
        credential: Credential,
        principal_id: str,
        credential_id: str,
        given: Mapping[str, int | None],
        once: Once | None = None,
    ) -> dict[str, Any]:
        """Limits of one API key, within its tenant's: `{"declared","limits"}`. Raises Invalid, NotFound."""
        _check_ids(principal_id, credential_id)
        new = _read(given)
        if new.stored_versions is not None or new.stored_bytes is not None:
            raise Invalid(
                "What is stored belongs to the tenant, not to a credential; nothing was changed.",
                field="stored_versions" if new.stored_versions is not None else "stored_bytes",
                rule="a quota of the tenant",
                remedy="Leave it out here; the operator sets the tenant's.",
            )

        def work(seat: Seat) -> dict[str, Any]:
            check_unnarrowed(seat)
            tx = seat.desk.tx
            _check_credential(tx, principal_id, credential_id)
            store.declare(tx, credential_id, new)
            tenants.raise_epoch(tx, Epoch.PRINCIPAL)
            facts = {"principal": principal_id, "credential": credential_id}
            seat.record(Kind.PRINCIPAL_CHANGE, change="credential-limits", **facts, **_facts(new))
            return self._within(seat, new)

        return await self._service.run(credential, _PRINCIPALS, "write", work, once=once)

    async def of_credential(
        self, credential: Credential, principal_id: str, credential_id: str
    ) -> dict[str, Any]:
        """What is declared of an API key, and what holds with its tenant's: `{"declared","limits"}`."""
        _check_ids(principal_id, credential_id)

        def work(seat: Seat) -> dict[str, Any]:
            _check_credential(seat.desk.tx, principal_id, credential_id)
            return self._within(seat, store.of(seat.desk.tx, credential_id))

        return await self._service.run(credential, _PRINCIPALS, "read", work)

    async def refused(self, credential: Credential) -> dict[str, Any]:
        """For the operator: tenants that this process refused in the last quarter of an hour.

        `{"items":[{"tenant","limit","count","at"}]}`, the latest first; `count` since the process began.
        """
        now, at = monotonic(), ids.now()

        def work(_seat: Seat) -> dict[str, Any]:
            return {
                "items": [
                    {
                        "tenant": one.tenant_id,
                        "limit": one.limit,
                        "count": one.times,
                        "at": ids.rfc3339(at - int((now - one.at) * _SECOND)),
                    }
                    for one in self._gate.refused_since(now - _LATELY_S)
                ]
            }

        return await self._service.run(credential, _TENANTS, "read", work)

    def _shown(self, declared: Limits) -> dict[str, Any]:
        return {"declared": declared.shown(), "limits": declared.over(self._default).shown()}

    def _within(self, seat: Seat, declared: Limits) -> dict[str, Any]:
        may = declared.within(seat.desk.tenancy.limits).shown()
        return {
            name: {one: value for one, value in numbers.items() if one not in STORED}
            for name, numbers in (("declared", declared.shown()), ("limits", may))
        }


def _read(given: Mapping[str, int | None]) -> Limits:
    for name, value in given.items():
        lowest, most = (1, MAX_BURST_S) if name == "burst_s" else (0, MAX_LIMIT)
        if name not in NAMES or (value is not None and not lowest <= value <= most):
            raise Invalid(
                "A limit cannot be used; nothing was changed.",
                field=name if name in NAMES else "limits",
                rule=f"a whole number from {lowest} to {most}",
                remedy="0 means no limit; leave a limit out for what holds otherwise.",
            )
    return Limits.of(given)


def _facts(limits: Limits) -> dict[str, Any]:
    """For an entry."""
    return dict(limits.declared())


def _stored(tx: Tx) -> dict[str, int]:
    usage: Usage = store.used(tx.ask((store.USAGE, {}))[0])
    return {"versions": usage.versions, "bytes": usage.bytes}


def _check_tenant(tx: Tx, tenant_id: str) -> None:
    if tenant_id == CELL or tenants.get(tx, tenant_id) is None:
        raise NotFound("There is no such tenant; nothing was changed.", field="id")


def _check_ids(principal_id: str, credential_id: str) -> None:
    check_id(principal_id, "principal")
    check_id(credential_id, "credential", "credential_id")


def _check_credential(tx: Tx, principal_id: str, credential_id: str) -> None:
    if credential_id not in {one["id"] for one in principals.credentials(tx, principal_id)}:
        raise NotFound("There is no such credential of this principal; nothing was changed.")
