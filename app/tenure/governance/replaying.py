"""A decision's accesses, judged once more: should it have seen that, under other rules or today's?

Each access is judged by the labels of its own version, for its purpose, at its instant, with the roles that
the principal had then. Nothing is opened, so what was erased since is judged like the rest. Replaying is an
act, and on record before its answer is given.
"""

import asyncio
import json
from collections import Counter
from typing import Any

from tenure import ids
from tenure.crew import Desk
from tenure.errors import NotFound
from tenure.governance.asked import judge
from tenure.governance.evaluating import MAX_ENTRIES, Engines, Put, first_of, questions_of
from tenure.governance.explaining import ACTION, SCOPE
from tenure.governance.pastroles import PastRoles, Roles, weakest
from tenure.governance.service import Seat, Service
from tenure.ledger.entry import Kind
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Verdict
from tenure.store import decisions, log
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

NOT_REPRODUCED = "not-reproduced"
"""The rules of then do not give what was recorded: roles are not known, or something was changed."""
LOST = "bundle-lost"
MAX_ACCESSES = 5_000
"""After so many accesses no further entry is judged: some seconds of one thread."""


class Replaying:
    """Replays, for administrators and auditors."""

    def __init__(self, service: Service, database: Database, tenancies: Tenancies) -> None:
        self._service = service
        self._database = database
        self._tenancies = tenancies
        self._turn = asyncio.Semaphore(1)  # it computes for long: the threads of others stay free

    async def replay(self, credential: Credential, decision_id: str, policy: str) -> dict[str, Any]:
        """Judge a decision's accesses under `current` or a digest, what differs first.

        `{"decision","policy","entry","roles","summary","items"}`, each item with `then` and `now`. NotFound
        for a decision or a bundle that is not there. Of a decision beyond `MAX_ENTRIES` or `MAX_ACCESSES` the
        first are judged, and `summary` says that it is not `complete`. A transaction to put it on record, and
        a read-only one of five round trips and one for each bundle that the accesses were decided under.
        """
        check_id(decision_id, "decision")

        def on_record(seat: Seat) -> tuple[str, str]:
            tx, present = seat.desk.tx, seat.desk.tenancy.policy
            if decisions.get(tx, decision_id) is None:
                raise NotFound("There is no such decision.", field="id", rule="a decision's id")
            digest, _ = Engines(tx, present.digest, present.engine).named(policy)
            return digest, seat.record(Kind.POLICY_REPLAY, decision=decision_id, bundle=digest)

        digest, entry = await self._service.run(credential, SCOPE, ACTION, on_record)
        async with self._turn:
            judged = await asyncio.to_thread(
                self._database.read, credential.tenant_id, lambda tx: self._judged(tx, decision_id, digest)
            )
        return {"decision": decision_id, "policy": digest, "entry": entry, **judged}

    def _judged(self, tx: Tx, decision_id: str, digest: str) -> dict[str, Any]:
        present = Desk.reading(tx, self._tenancies).tenancy.policy
        engines = Engines(tx, present.digest, present.engine)
        _, engine = engines.named(digest)
        bodies = log.of_decision(tx, decision_id, limit=MAX_ENTRIES + 1)
        entries = first_of([json.loads(body) for _, body in bodies[:MAX_ENTRIES]], MAX_ACCESSES)
        found = questions_of(tx, entries)
        past = PastRoles()
        items = []
        sources = set()
        for put in found.puts:
            roles = past.of(tx, put.asked)
            sources.add(roles.source)
            items.append(_item(put, roles, engines.under(put.policy), engine))
        items.sort(key=lambda one: not one["different"])  # stable: otherwise as they happened
        counts = Counter(one["different"] for one in items)
        return {
            "roles": weakest(sources).value,
            "summary": {
                "accesses": len(items),
                "same": counts[None],
                "now_denied": counts["now-denied"],
                "now_allowed": counts["now-allowed"],
                "not_reproduced": sum(one["then"]["reason"] == NOT_REPRODUCED for one in items),
                "unknown": found.unknown,
                "complete": len(bodies) == len(entries),
            },
            "items": items,
        }


def _item(put: Put, roles: Roles, then: Engine | None, now: Engine) -> dict[str, Any]:
    asked = put.asked
    before = None if then is None else judge(then, asked, roles.names)
    after = judge(now, asked, roles.names)
    recorded = _then(put, before)
    allowed = recorded["allowed"]
    different = None
    if allowed is not None and allowed != after.allowed:
        different = "now-allowed" if after.allowed else "now-denied"
    return {
        "different": different,
        "entry": put.entry,
        "at": ids.rfc3339(asked.at),
        "record": asked.record,
        "version": asked.version,
        "scope": asked.scope,
        "categories": list(asked.categories),
        "purpose": asked.purpose,
        "action": asked.action,
        "roles": list(roles.names),
        "roles_from": roles.source.value,
        "then": recorded,
        "now": {"allowed": after.allowed, "rules": list(after.rules), "reason": after.reason.value},
    }


def _then(put: Put, judged: Verdict | None) -> dict[str, Any]:
    """What was recorded, with the rules for this very access where the rules of then give the same."""
    recorded = put.asked.allowed
    about = {"policy": put.policy}
    if judged is not None and recorded in (None, judged.allowed):
        return about | {"allowed": judged.allowed, "rules": list(judged.rules), "reason": judged.reason.value}
    reason = LOST if judged is None else NOT_REPRODUCED
    return about | {"allowed": recorded, "rules": list(put.rules), "reason": reason}
