"""Issuers of access tokens: the tenant administrator says whose tokens are taken, and whom they name.

No two tenants may have the same pair of issuer and audience, and nobody gets a pair by asking first: either
the audience names the tenant, which is nobody else's to name, or the administrator shows a token of that
issuer for that audience, which only who uses them can get (ADR 23).
"""

from dataclasses import replace
from typing import Any, Final

from tenure import ids
from tenure.errors import Conflict, Invalid, NotFound, TenureError
from tenure.governance.principals import SCOPE, check_roles, check_unnarrowed
from tenure.governance.service import Once, Seat, Service
from tenure.governance.tokens import Tokens
from tenure.ledger.entry import Kind
from tenure.model.identity import check_id
from tenure.model.issuer import Issuer, check_issuer
from tenure.model.principal import Credential
from tenure.store import issuers as store
from tenure.store import principals, tenants
from tenure.store.tenants import Epoch

MAX_ISSUERS: Final = 16
MAX_MAPPED: Final = 1_000


class Issuers:
    """Configure issuers, list them, remove them."""

    def __init__(self, service: Service, tokens: Tokens, *, local: bool) -> None:
        """`local`: whether issuers on this machine may be asked."""
        self._service = service
        self._tokens = tokens
        self._local = local

    async def create(
        self,
        credential: Credential,
        issuer: Issuer,
        *,
        subjects: dict[str, str],
        proof: str | None = None,
        replaces: str | None = None,
        once: Once | None = None,
    ) -> dict[str, Any]:
        """Take an issuer's tokens from the commit on; the configuration as it is kept.

        `subjects`: what the issuer calls somebody → id of the principal it is here; it is kept as a keyed
        index alone. `replaces`: the id of the configuration that ends in the same moment. Two transactions,
        and with `proof` a look at the issuer's keys between them: whoever may not do this asks nobody.
        """
        check_issuer(issuer, local=self._local)

        def asks(seat: Seat) -> None:
            _check(seat, issuer, subjects)
            _check_room(store.every(seat.desk.tx), issuer, replaces)

        await self._service.run(credential, SCOPE, "write", asks)
        if credential.tenant_id not in issuer.audience:
            await self._check_proof(credential.tenant_id, issuer, proof)
        new = replace(issuer, id=ids.new_id())

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            _check(seat, new, subjects)
            if replaces is not None:
                old = store.get(tx, replaces)
                if old is None:
                    raise _no_issuer("replaces")
                store.remove(tx, old)
            _check_room(store.every(tx), new, replaces)
            if not store.claim(tx, new):
                raise Conflict(
                    "This issuer and audience lead to a tenant already; nothing was changed.",
                    field="audience",
                    rule="one tenant for each pair of issuer and audience in the cell",
                    remedy="Use an audience with your tenant's id in it, or remove the other configuration.",
                )
            store.create(tx, new, at=seat.desk.now)
            for subject, principal_id in subjects.items():
                keys = seat.desk.tenancy.keys
                index = keys.blind_index("identity", new.url, new.subject_claim, subject)
                store.identify(tx, index, principal_id, at=seat.desk.now)
            tenants.raise_under_policy(tx, Epoch.PRINCIPAL, seat.desk.tenancy.epochs.policy)
            facts: dict[str, Any] = {} if replaces is None else {"replaces": replaces}
            if subjects:
                facts["principals"] = sorted(set(subjects.values()))
            seat.record(
                Kind.PRINCIPAL_CHANGE, change="issuer-added", issuer=new.id, config=new.digest(), **facts
            )
            return shown(new)

        made = await self._service.run(credential, SCOPE, "write", work, once=once)
        self._tokens.forget()
        return made

    async def every(self, credential: Credential) -> dict[str, Any]:
        """The tenant's issuers: `{"items":[…]}`."""

        def work(seat: Seat) -> dict[str, Any]:
            return {"items": [shown(one) for one in store.every(seat.desk.tx)]}

        return await self._service.run(credential, SCOPE, "read", work)

    async def remove(self, credential: Credential, issuer_id: str) -> None:
        """Take none of its tokens any more, in every process from the next transaction on."""
        check_id(issuer_id, "issuer")

        def work(seat: Seat) -> None:
            tx = seat.desk.tx
            check_unnarrowed(seat)
            old = store.get(tx, issuer_id)
            if old is None:
                raise _no_issuer("id")
            store.remove(tx, old)
            tenants.raise_epoch(tx, Epoch.PRINCIPAL)
            seat.record(Kind.PRINCIPAL_CHANGE, change="issuer-removed", issuer=issuer_id)

        await self._service.run(credential, SCOPE, "write", work)
        self._tokens.forget()

    async def _check_proof(self, tenant_id: str, issuer: Issuer, proof: str | None) -> None:
        try:
            if proof is None:
                raise _no_proof()
            # Under keys that the issuer itself publishes: with keys of the caller's own, it proves nothing.
            await self._tokens.prove(tenant_id, proof, replace(issuer, jwks_uri=None))
        except TenureError as failure:
            if failure.kind != "unauthenticated":
                raise
            raise _no_proof(failure.rule) from None


def shown(issuer: Issuer) -> dict[str, Any]:
    """As callers get it."""
    return {"id": issuer.id, **issuer.as_json()}


def _check(seat: Seat, issuer: Issuer, subjects: dict[str, str]) -> None:
    """What can only be said with the tenant at hand."""
    check_unnarrowed(seat)
    for value, roles in issuer.roles.items():
        check_roles(seat, roles, f"roles.{value}" if value.isidentifier() else "roles")
    if issuer.provision is not None:
        check_roles(seat, issuer.provision.roles, "provision.roles")
    for principal_id in set(subjects.values()):
        if not ids.is_id(principal_id) or principals.get(seat.desk.tx, principal_id) is None:
            raise Invalid(
                "A subject is mapped to nobody; nothing was changed.",
                field="subjects",
                rule="ids of the tenant's principals",
                remedy="Create the principal first, and name its id.",
            )


def _check_room(there: list[Issuer], new: Issuer, replaces: str | None) -> None:
    there = [one for one in there if one.id != replaces]
    if any(one.name == new.name for one in there):
        raise Conflict(
            "An issuer of this name is configured; nothing was changed.",
            field="name",
            rule="unique in the tenant",
            remedy="Choose another name, or name the old one's id in `replaces`.",
        )
    if len(there) >= MAX_ISSUERS:
        raise Conflict(
            "The tenant has as many issuers as it may; nothing was changed.",
            field="issuer",
            rule=f"at most {MAX_ISSUERS}",
            remedy="Remove one that is not used any more.",
        )


def _no_proof(rule: str | None = None) -> Invalid:
    return Invalid(
        "Nothing shows that this audience is yours; nothing was changed.",
        field="proof",
        rule=rule
        or "a current token of this issuer for this audience, or an audience with the tenant's id in it",
        remedy="Use an audience such as https://tenure.example/<tenant id>, or send a token as proof.",
    )


def _no_issuer(field: str) -> NotFound:
    return NotFound("There is no such issuer; nothing was changed.", field=field)
