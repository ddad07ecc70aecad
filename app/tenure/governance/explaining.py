"""Why policy says what it says: to a question, to an entry, to a decision. For administrators and auditors.

An entry is explained under the rules that it was decided by and under today's. Reading this makes no entry,
like reading the ledger: there is nothing in it but rules, ids and labels.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tenure import ids
from tenure.crew import Desk
from tenure.errors import Denied, Invalid, NotFound
from tenure.governance.asked import Asked, governed
from tenure.governance.evaluating import MAX_ENTRIES, Engines, Put, questions_of
from tenure.governance.pastroles import PastRoles, Source
from tenure.governance.service import Service
from tenure.model.identity import check_id
from tenure.model.principal import Credential, Principal
from tenure.policy import rights
from tenure.policy.engine import Engine
from tenure.policy.explain import explain
from tenure.policy.wording import rules_named, words
from tenure.store import decisions, log, principals
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

SCOPE, ACTION = "tenure.policy", "explain"
MAX_ITEMS = 100
"""Most questions that one answer explains."""
MAX_RULES = 200_000
"""After so many rules were looked at, counted for each category, no further question is explained; of a
question that is asked alone the caller takes away categories instead."""

GIVEN = "given"
_ENTRY = re.compile(r"([0-9a-f]{16})-(0|[1-9][0-9]{0,14})")


class Question(NamedTuple):
    """What might be asked: by a principal (name or id) or by roles; `at` in microseconds, None for now."""

    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    principal: str | None = None
    roles: tuple[str, ...] | None = None
    at: int | None = None


class About(NamedTuple):
    """What is to be explained; exactly one of these. Of a decision its first `MAX_ENTRIES` entries."""

    entry: str | None = None
    decision: str | None = None
    question: Question | None = None


class Explaining:
    """Explanations: `{"items","unknown","left_out","complete"}`.

    Each item `{"entry","recorded","kept_back","question","then","now"}`. `kept_back`: why something was
    denied that policy allowed, `restricted` or `objected`; nothing says for whom. `complete`: false for a
    decision of more than `MAX_ENTRIES` entries, of which the first are explained.
    """

    def __init__(self, service: Service, database: Database, tenancies: Tenancies) -> None:
        self._service = service
        self._database = database
        self._tenancies = tenancies
        self._turn = asyncio.Semaphore(1)  # it computes for long: the threads of others stay free

    async def explain(self, credential: Credential, about: About) -> dict[str, Any]:
        """Explain it. About five round trips, in a read-only transaction.

        `then` is None for a question, and where the bundle of then is not kept any more. NotFound for an
        unknown entry, decision or principal; Invalid for an entry that asked nothing of policy, or
        of both parties' roles.
        """
        try:
            async with self._turn:
                return await asyncio.to_thread(
                    self._database.read, credential.tenant_id, lambda tx: self._told(tx, credential, about)
                )
        except Denied:
            # Again where it can be put on record: that transaction could only read.
            await self._service.run(credential, SCOPE, ACTION, lambda _seat: None)
            raise

    def _told(self, tx: Tx, credential: Credential, about: About) -> dict[str, Any]:
        desk = Desk.reading(tx, self._tenancies)
        policy = desk.tenancy.policy
        if not rights.decide_service(policy.engine, desk.principal(credential), SCOPE, ACTION).allowed:
            raise Denied("Policy denies this; nothing was read.")
        roles = PastRoles()
        if about.question is not None:
            return self._of_question(desk, about.question, roles)
        engines = Engines(tx, policy.digest, policy.engine)
        bodies = _bodies(tx, about)
        found = questions_of(tx, [json.loads(body) for body in bodies[:MAX_ENTRIES]])
        if about.entry is not None and not found.puts and not found.unknown:
            found.puts.append(_of_governance(json.loads(bodies[0]), about.entry, engines))
        once = {(one.entry, one.asked.about): one for one in found.puts}
        # Denials first: they are what somebody asks about.
        wanted = sorted(once.values(), key=lambda one: recorded(one.asked) is not False)
        items: list[dict[str, Any]] = []
        looked = 0
        for one in wanted[:MAX_ITEMS]:
            if looked > MAX_RULES:
                break
            looked += len(policy.engine.rules) * max(1, len(one.asked.categories))
            then = engines.under(one.policy)
            had = roles.of(tx, one.asked)
            items.append(
                {
                    "entry": one.entry,
                    "recorded": recorded(one.asked),
                    "kept_back": one.asked.kept_back,
                    "question": shown(one.asked, had.names, had.source.value),
                    "then": None if then is None else told(then, one.policy, one.asked, had.names),
                    "now": told(policy.engine, policy.digest, one.asked, had.names),
                }
            )
        return {
            "items": items,
            "unknown": found.unknown,
            "left_out": len(wanted) - len(items),
            "complete": len(bodies) <= MAX_ENTRIES,
        }

    def _of_question(self, desk: Desk, question: Question, past: PastRoles) -> dict[str, Any]:
        at = desk.now if question.at is None else question.at
        who, names, source = None, question.roles or (), GIVEN
        if question.principal is not None:
            found = _principal(desk.tx, question.principal)
            who, names, source = found.id, found.roles, Source.PRESENT.value
            if question.at is not None:
                names, source = past.at(desk.tx, who, at)
        asked = Asked(
            at=at,
            principal=who,
            roles=None,
            scope=question.scope,
            categories=question.categories,
            purpose=question.purpose,
            action=question.action,
            allowed=None,
        )
        policy = desk.tenancy.policy
        most = MAX_RULES // max(1, len(policy.engine.rules))
        if len(asked.categories) > max(1, most):
            raise Invalid(
                "The question is about too many categories at once; nothing was evaluated.",
                field="categories",
                rule=f"at most {max(1, most)}, under as many rules as are in force",
                remedy="Ask about some of them, and then about the others.",
            )
        item = {
            "entry": None,
            "recorded": None,
            "kept_back": None,
            "question": shown(asked, names, source),
            "then": None,
            "now": told(policy.engine, policy.digest, asked, names),
        }
        return {"items": [item], "unknown": 0, "left_out": 0, "complete": True}


def recorded(asked: Asked) -> bool | None:
    """Whether the ledger says that it was allowed in the end; None where it does not say."""
    return asked.allowed if asked.kept_back is None else False


def told(engine: Engine, digest: str, asked: Asked, roles: tuple[str, ...]) -> dict[str, Any]:
    """One explanation under one bundle.

    `{"policy","allowed","reason","failed","categories","rules","why"}`: `categories` as `explain` gives them,
    `rules` what each named rule is, `why` sentences.
    """
    request = asked.request(engine, roles)
    found = explain(engine, request)
    return {
        "policy": digest,
        **found.as_json(),
        "rules": rules_named(engine, found),
        "why": words(engine, request, found),
    }


def shown(asked: Asked, roles: tuple[str, ...], source: str) -> dict[str, Any]:
    """A question as it is told; `categories` is empty for "whatever there is in the scope"."""
    return {
        "at": ids.rfc3339(asked.at),
        "principal": asked.principal,
        "roles": list(roles),
        "roles_from": source,
        "scope": asked.scope,
        "categories": list(asked.categories),
        "purpose": asked.purpose,
        "action": asked.action,
    }


def _bodies(tx: Tx, about: About) -> Sequence[bytes]:
    if about.decision is not None:
        check_id(about.decision, "decision", "decision")
        if decisions.get(tx, about.decision) is None:
            raise NotFound("There is no such decision.", field="decision", rule="a decision's id")
        return [body for _, body in log.of_decision(tx, about.decision, limit=MAX_ENTRIES + 1)]
    parts = _ENTRY.fullmatch(about.entry or "")
    placed = log.entry(tx, parts[1], int(parts[2])) if parts else None
    if placed is None:
        raise NotFound(
            "There is no such entry.",
            field="entry",
            rule="an entry's id, as a problem document or the ledger names it",
        )
    return [bytes(placed.body)]


def _of_governance(entry: dict[str, Any], entry_id: str, engines: Engines) -> Put:
    """What an act of governance asked of the built-in rules. Raises Invalid for what asked nothing."""
    policy = entry.get("policy", "")
    engine = engines.under(policy) or engines.under(engines.present)
    asked = None if engine is None else governed(entry, engine)
    if asked is not None:
        return Put(entry_id, policy, tuple(entry["rules"]), asked)
    kind = entry["kind"]
    if "principal" not in entry:
        why = f"The service itself made this entry (`{kind}`): no rule was asked."
    elif "on_behalf_of" in entry:
        why = f"This act (`{kind}`) was done on somebody's behalf: it rested on the roles of both."
    else:
        why = f"This entry (`{kind}`) names no built-in rule: what allowed it is said by what it is about."
    raise Invalid(
        f"{why} Nothing was evaluated.",
        field="entry",
        rule="an access, the denial of one, or an act that a built-in rule allowed",
        remedy="Ask by who and what: tenure policy explain --principal NAME --scope SCOPE --category CATEGORY"
        " --purpose PURPOSE --action ACTION. Roles of an earlier time are in `principal.change` entries.",
    )


def _principal(tx: Tx, name: str) -> Principal:
    found = principals.get(tx, name) if ids.is_id(name) else principals.by_name(tx, name)
    if found is None:
        raise NotFound(
            "There is no such principal; nothing was evaluated.",
            field="principal",
            rule="a principal's name or id",
            remedy="See 'tenure principal list', or ask about roles.",
        )
    return found
