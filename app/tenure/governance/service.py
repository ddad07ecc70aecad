"""Service actions: who may govern. The same engine decides, on reserved scopes (`tenure.principals` …)."""

import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

from tenure.access import how_to_explain
from tenure.batcher import Batcher
from tenure.crew import Desk, Needs, Solo
from tenure.errors import Denied, KeyReused, TenureError
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.names import SERVICE_PURPOSE
from tenure.model.principal import Credential, Principal, named
from tenure.policy import rights
from tenure.policy.verdicts import Reason
from tenure.store import idempotency

_SHOWN_ONCE = ("api_key", "admin_key")

Work = Callable[["Seat"], Any]
R = TypeVar("R")


class Seat(NamedTuple):
    """An authorised principal at a desk, about to govern."""

    desk: Desk
    principal: Principal
    rules: tuple[str, ...]

    def record(self, kind: Kind, outcome: str = "ok", **data: Any) -> str:  # noqa: ANN401
        """Put a governance act on record: opaque values only."""
        return _record(self.desk, self.principal, kind, outcome, self.rules, data)


class Once(NamedTuple):
    """An idempotency key with a digest of the request it stands for."""

    key: str
    payload: bytes


class Service:
    """Runs one governance act: authenticate, decide, do it, record it, commit."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def run(
        self,
        credential: Credential,
        scope: str,
        action: str,
        work: Callable[["Seat"], R],
        *,
        once: Once | None = None,
    ) -> R:
        """One transaction of the credential's tenant.

        Raises Denied (recorded), KeyReused, and what `work` raises.

        With `once`, the JSON-able result of the first call is answered again to later ones; a result's
        `api_key` is shown once and never kept.
        """

        def act(desk: Desk) -> Any:  # noqa: ANN401
            principal = desk.principal(credential)
            engine = desk.tenancy.policy.engine
            verdict = rights.decide_service(engine, principal, scope, action)
            if not verdict.allowed:
                about: dict[str, Any] = {
                    "service": scope,
                    "action": action,
                    **named("roles", principal.roles),
                }
                if verdict.reason is Reason.BEYOND:
                    about["reason"] = verdict.reason.value
                entry = _record(desk, principal, Kind.ACCESS, "denied", verdict.rules, about)
                return Denied(
                    f"Policy denies this ({verdict.reason.value}); nothing was done.",
                    entry=entry,
                    rules=verdict.rules,
                    remedy=f"{rights.who_may(engine, scope, action, verdict.reason)} {how_to_explain(entry)}",
                )
            seat = Seat(desk, principal, verdict.rules)
            return work(seat) if once is None else _once(seat, once, work)

        return cast("R", await self._batcher.submit(credential.tenant_id, Solo(act)))

    async def anyone(
        self,
        credential: Credential,
        work: Callable[["Seat"], R],
        *,
        once: Once | None = None,
        wants: Callable[[Needs], None] | None = None,
    ) -> R:
        """The same for an act that no built-in rule gives to a role: `work` says who may do it.

        `wants`: what is to be looked up with the first round trip.

        An error that `work` returns instead of raising is raised after the commit, with its entry kept.
        """

        def act(desk: Desk) -> Any:  # noqa: ANN401
            seat = Seat(desk, desk.principal(credential), ())
            return work(seat) if once is None else _once(seat, once, work)

        return cast("R", await self._batcher.submit(credential.tenant_id, Solo(act, wants)))

    async def inside(self, tenant_id: str, work: Callable[[Desk], Any]) -> Any:  # noqa: ANN401
        """The service's own work, under no principal."""
        return await self._batcher.submit(tenant_id, Solo(work))


def _once(seat: Seat, once: Once, work: Work) -> Any:  # noqa: ANN401
    keys = seat.desk.tenancy.keys
    key_hash = idempotency.key_hash(keys, seat.principal.id, once.key)
    payload = hashlib.sha256(once.payload).hexdigest()
    if seat.principal.acts_for is not None:
        payload += f" for {seat.principal.acts_for}"
    payload_hash = idempotency.payload_hash(keys, payload)
    question = (idempotency.FIRST_USES, {"principals": [seat.principal.id], "keys": [key_hash]})
    for _, _, first_payload, result in seat.desk.tx.ask(question)[0]:
        if first_payload != payload_hash:
            raise KeyReused(
                "This idempotency key was first used with another request; nothing was done.",
                field="Idempotency-Key",
                rule="one key, one request",
                remedy="Use a fresh key for a new request.",
            )
        return json.loads(result)
    result = work(seat)
    if isinstance(result, TenureError):
        return result  # nothing was done that could be repeated
    kept = {name: value for name, value in result.items() if name not in _SHOWN_ONCE}
    seat.desk.tx.put(
        idempotency.INSERT,
        {
            "principal_id": seat.principal.id,
            "key_hash": key_hash,
            "payload_hash": payload_hash,
            "result": json.dumps(kept),
            "created_at": seat.desk.now,
        },
    )
    return result


def _record(
    desk: Desk, principal: Principal, kind: Kind, outcome: str, rules: tuple[str, ...], data: dict[str, Any]
) -> str:
    draft = EntryDraft(
        kind=kind,
        at=desk.now,
        nonce=secrets.token_bytes(16),
        principal=principal.id,
        on_behalf_of=principal.acts_for,
        policy=desk.tenancy.policy.digest,
        purpose=SERVICE_PURPOSE,
        outcome=outcome,
        rules=rules,
        data=principal.marked(data),
    )
    return desk.tx.append(draft)
