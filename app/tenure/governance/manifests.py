"""Declared configuration: apply and show manifests."""

from collections.abc import Callable
from typing import Any

from tenure import ids
from tenure.errors import NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ledger.entry import Kind
from tenure.model.manifests import parse_manifests
from tenure.model.principal import Credential
from tenure.store import manifests as store
from tenure.store import tenants
from tenure.store.tenants import Epoch
from tenure.tenancy import Policy, policy_of

SCOPE = "tenure.manifests"


class Manifests:
    """The tenant administrator's declarations."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def apply(
        self,
        credential: Credential,
        text: str | bytes,
        *,
        dry_run: bool,
        once: Once | None = None,
        look: Callable[[Policy], None] = lambda _policy: None,
    ) -> dict[str, Any]:
        """Validate the whole set, then change it in one transaction. `look` sees the rules that would hold.

        `{"changes":[{"kind","name","change"}],"policy","generation","dry_run","entry"}`. Applying the same
        set again changes nothing and is not recorded. Raises Invalid with the manifest's field.
        """
        given = parse_manifests(text)

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            old = seat.desk.tenancy.policy.configuration
            new = old.with_manifests(given)
            changes = old.diff(new)
            named = {(one.kind, one.name) for one in given}
            moved = [(kind, name) for kind, name, change in changes if change != "unchanged"]
            policy = policy_of(tx.tenant_id, new)
            look(policy)
            entry = None
            if moved and not dry_run:
                generations = {(row["kind"], row["name"]): row["generation"] for row in store.every(tx)}
                for manifest in new.to_manifests():
                    place = (manifest.kind, manifest.name)
                    if place in moved:
                        generation = generations.get(place, 0) + 1
                        spec = manifest.canonical()["spec"]
                        store.put(tx, *place, spec, generation=generation, at=seat.desk.now)
                store.keep_bundle(tx, policy.digest, policy.body, at=seat.desk.now)
                tenants.raise_epoch(tx, Epoch.POLICY)
                entry = seat.record(Kind.POLICY_CHANGE, bundle=policy.digest, changed=len(moved))
            return {
                "changes": [
                    {"kind": kind, "name": name, "change": change}
                    for kind, name, change in changes
                    if (kind, name) in named
                ],
                "policy": policy.digest,
                "dry_run": dry_run,
                "entry": entry,
            }

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def every(
        self, credential: Credential, kind: str | None = None, name: str | None = None
    ) -> list[dict[str, Any]]:
        """Manifests as declared, with `metadata.generation` and `metadata.appliedAt`."""

        def work(seat: Seat) -> list[dict[str, Any]]:
            found = [
                _shown(row)
                for row in store.every(seat.desk.tx)
                if (kind is None or row["kind"].lower() == kind.lower()) and name in (None, row["name"])
            ]
            if name is not None and not found:
                raise NotFound("There is no such manifest.", field="name")
            return found

        return await self._service.run(credential, SCOPE, "read", work)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "tenure/v1",
        "kind": row["kind"],
        "metadata": {
            "name": row["name"],
            "generation": row["generation"],
            "appliedAt": ids.rfc3339(row["applied_at"]),
        },
        "spec": row["spec"],
    }
