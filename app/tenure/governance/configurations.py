"""How a tenant's configuration becomes another one, a numbered generation each time; history; the way back.

A generation names its policy bundle, and a bundle holds whole manifests: nothing more is needed to go back.
"""

from typing import Any, NamedTuple

from tenure import ids, rowseals
from tenure.errors import Conflict, NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ledger.entry import Kind
from tenure.model.configuration import Change, Configuration
from tenure.model.days_off import check_holidays
from tenure.model.principal import Credential
from tenure.policy.bundle import load_bundle
from tenure.store import configurations as store
from tenure.store import holds, issuers, manifests, principals, records, tenants
from tenure.store.configurations import Generation
from tenure.store.session import Tx
from tenure.store.tenants import Epoch
from tenure.tenancy import Policy, policy_of

SCOPE = "tenure.manifests"
MAX_PAGE = 200

_Changes = list[tuple[str, str, Change]]


class Became(NamedTuple):
    """What going from one configuration to another does. `entry`: None if nothing was changed."""

    changes: _Changes
    policy: Policy
    generation: int
    entry: str | None

    @property
    def moved(self) -> _Changes:
        """What is not as before."""
        return [one for one in self.changes if one[2] != "unchanged"]


class Configurations:
    """History of the tenant's configuration, and rollback."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def history(self, credential: Credential, *, before: int | None, limit: int) -> dict[str, Any]:
        """`{"items","next"}`, newest first: what changed, when, by whom. One round trip."""

        def work(seat: Seat) -> dict[str, Any]:
            found = store.page(seat.desk.tx, before=before, limit=limit + 1)
            page = found[:limit]
            more = len(found) > limit
            return {"items": [_shown(one) for one in page], "next": page[-1].generation if more else None}

        return await self._service.run(credential, SCOPE, "read", work)

    async def rollback(
        self, credential: Credential, generation: int, *, dry_run: bool, once: Once | None = None
    ) -> dict[str, Any]:
        """Bring back what an earlier generation declared, as a new generation; answers as an apply does.

        Raises NotFound for no such generation, Conflict when something that is in use would go, Invalid when
        its manifests do not fit the rules of this version, Tampered when its bundle is not what it was.
        """

        def work(seat: Seat) -> dict[str, Any]:
            earlier = store.get(seat.desk.tx, generation)
            body = None if earlier is None else manifests.bundle(seat.desk.tx, earlier.digest)
            if earlier is None or body is None:
                raise NotFound(
                    "There is no such generation of the configuration; nothing was changed.",
                    field="generation",
                    rule="a generation of the history",
                    remedy="See 'tenure history', or GET /v1/manifests:history.",
                )
            new = load_bundle(body, earlier.digest).configuration
            check_holidays(new.to_manifests(), given=False)
            became = become(seat, new, dry_run=dry_run, restored=generation)
            return answer(became, became.moved, dry_run=dry_run)

        return await self._service.run(credential, SCOPE, "write", work, once=once)


def become(seat: Seat, new: Configuration, *, dry_run: bool, restored: int | None = None) -> Became:
    """Make a valid configuration the tenant's. What does not differ changes nothing and is not recorded.

    Round trips beyond the transaction's own: none for a question; for a change five, two for each manifest
    that changes, and one or two for each Scope that goes. Raises Conflict when something in use would go.
    """
    tx = seat.desk.tx
    old = seat.desk.tenancy.policy.configuration
    policy = policy_of(tx.tenant_id, new)
    became = Became(old.diff(new), policy, 0, None)
    if dry_run or not became.moved:
        check_unused(tx, became.moved)
        return became._replace(generation=store.newest(tx))
    # From here on nobody else changes it: `old` is what is replaced, and nobody is given a role that goes.
    tenants.raise_under_policy(tx, Epoch.POLICY, seat.desk.tenancy.epochs.policy)
    check_unused(tx, became.moved)
    number = store.newest(tx) + 1
    _write(seat, new, became.moved, number)
    manifests.keep_bundle(tx, policy.digest, policy.body, at=seat.desk.now)
    made = Generation(
        generation=number,
        at=seat.desk.now,
        principal_id=seat.principal.id,
        entry="",
        digest=policy.digest,
        changes=[list(one) for one in became.moved],
        restored=restored,
    )
    back: dict[str, Any] = {} if restored is None else {"restored": restored}
    entry = seat.record(
        Kind.POLICY_CHANGE,
        bundle=policy.digest,
        changed=len(became.moved),
        generation=number,
        row=rowseals.of_configuration(seat.desk.tenancy.keys, made),
        **back,
    )
    store.add(tx, made._replace(entry=entry))
    return became._replace(generation=number, entry=entry)


def answer(became: Became, shown: _Changes, *, dry_run: bool) -> dict[str, Any]:
    """What callers are told: `{"changes","policy","generation","dry_run","entry"}`."""
    return {
        "changes": [{"kind": kind, "name": name, "change": change} for kind, name, change in shown],
        "policy": became.policy.digest,
        "generation": became.generation,
        "dry_run": dry_run,
        "entry": became.entry,
    }


def check_unused(tx: Tx, changes: _Changes) -> None:
    """Refuse to remove a Role that is given to anybody, and a Scope with records or a hold."""
    gone = [(kind, name) for kind, name, change in changes if change == "removed"]
    roles = [name for kind, name in gone if kind == "Role"]
    for role in sorted(principals.held_roles(tx, roles)) if roles else ():
        raise _in_use(
            "Role", role, "principals have this role", "Keep it: without grants a role may do nothing."
        )
    for issuer in issuers.every(tx) if roles else ():
        for role in sorted(issuer.given_roles & set(roles)):
            raise _in_use(
                "Role", role, f"the issuer {issuer.name} gives it", "Keep it, or replace the issuer first."
            )
    for scope in (name for kind, name in gone if kind == "Scope"):
        if records.any_in(tx, scope):
            why = "records were written to this scope, and nobody could reach them any more"
            raise _in_use(
                "Scope", scope, why, "Keep it. Erased records count: they answer with a certificate."
            )
        if holds.on_scope(tx, scope):
            raise _in_use("Scope", scope, "a hold is on this scope", "Keep it, or release the hold first.")


def _write(seat: Seat, new: Configuration, moved: _Changes, number: int) -> None:
    tx = seat.desk.tx
    generations = {(row["kind"], row["name"]): row["generation"] for row in manifests.every(tx)}
    for kind, name, change in moved:
        if change == "removed":
            manifests.remove(tx, kind, name)
            continue
        manifests.put(
            tx,
            kind,
            name,
            new.manifests[kind, name].canonical()["spec"],
            generation=generations.get((kind, name), 0) + 1,
            at=seat.desk.now,
            applied_in=number,
        )


def _in_use(kind: str, name: str, why: str, remedy: str) -> Conflict:
    return Conflict(
        f"{kind} {name} would be removed, but {why}. Nothing was changed. {remedy}",
        field=f"{kind}/{name}",
        rule=f"{kind.lower()}-in-use",
        remedy=remedy,
    )


def _shown(one: Generation) -> dict[str, Any]:
    return {
        "generation": one.generation,
        "at": ids.rfc3339(one.at),
        "principal": one.principal_id,
        "entry": one.entry,
        "policy": one.digest,
        "changes": [{"kind": kind, "name": name, "change": change} for kind, name, change in one.changes],
        "restored": one.restored,
    }
