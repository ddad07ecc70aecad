"""Should that decision have seen it? Its accesses judged under other rules, as they were asked then."""

import json
from typing import Any

import pytest

from support.cell import SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.crew import Desk
from tenure.decisions import Opening
from tenure.errors import Denied, NotFound
from tenure.governance import replaying
from tenure.governance.explaining import About, Question
from tenure.governance.replaying import LOST, NOT_REPRODUCED
from tenure.governance.service import Service
from tenure.ledger.entry import EntryDraft, Kind
from tenure.listing import Query
from tenure.model.record import Draft, Segment

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

NO_HEALTH = """
apiVersion: tenure/v1
kind: Grant
metadata: {name: no-health}
spec:
  roles: ["*"]
  scopes: ["support.**"]
  categories: [health]
  purposes: ["*"]
  actions: ["*"]
  effect: deny
"""
CLERKS_HEALTH = """
apiVersion: tenure/v1
kind: Grant
metadata: {name: clerks-health}
spec:
  roles: [clerk]
  scopes: ["support.**"]
  categories: [health]
  purposes: [customer-support]
  actions: [read]
  effect: allow
"""


async def decide(cell: Cell, who: str = "agent") -> tuple[str, Any]:
    """An open decision, and how its accesses are asked for."""
    made = await cell.tenure.decisions.open(cell.one[who], Opening(SUPPORT))
    return made["id"], cell.one.ask(who, decision=made["id"])


async def replay(cell: Cell, decision: str, policy: str = "current", who: str = "auditor") -> dict[str, Any]:
    found = await cell.tenure.replaying.replay(cell.one[who], decision, policy)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


async def apply(cell: Cell, text: str) -> str:
    return str((await cell.tenure.manifests.apply(cell.one["admin"], text, dry_run=False))["policy"])


@pytest.mark.databases(*DATABASES)
async def test_what_would_come_out_differently_comes_first(cell: Cell) -> None:
    before = await apply(cell, CLERKS_HEALTH)
    await cell.put("plain", 1, "customer:1")
    await cell.put("health", 1, "customer:1", categories=("contact", "health"))
    decision, ask = await decide(cell)
    await cell.get("plain", ask=ask)
    await cell.get("health", ask=ask)
    assert (await replay(cell, decision))["summary"]["same"] == 2
    now = await apply(cell, NO_HEALTH)
    found = await replay(cell, decision)
    assert (found["policy"], found["roles"]) == (now, "derived")
    assert found["summary"] == {
        "accesses": 2,
        "same": 1,
        "now_denied": 1,
        "now_allowed": 0,
        "not_reproduced": 0,
        "unknown": 0,
        "complete": True,
    }
    first, second = found["items"]
    assert (first["different"], first["categories"]) == ("now-denied", ["contact", "health"])
    assert (first["then"]["allowed"], first["then"]["policy"]) == (True, before)
    assert first["then"]["rules"] == ["grant/agents-work#3"]
    assert first["now"] == {"allowed": False, "rules": ["grant/no-health#1"], "reason": "deny-rule"}
    assert (second["different"], second["categories"]) == (None, ["contact"])
    again = await replay(cell, decision, before)
    assert (again["policy"], again["summary"]["same"]) == (before, 2)


@pytest.mark.parametrize("limit", [("MAX_ENTRIES", 2), ("MAX_ACCESSES", 1)])
@pytest.mark.databases(*DATABASES)
async def test_of_a_decision_beyond_the_limit_the_first_accesses_are_judged(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, int]
) -> None:
    await cell.put("k", 1, "customer:1")
    decision, ask = await decide(cell)
    first = (await cell.get("k", ask=ask)).entry
    await cell.get("k", ask=ask)
    name, one_access = limit
    # The entry that opened the decision is one of its entries.
    monkeypatch.setattr(replaying, name, one_access)
    found = await replay(cell, decision)
    assert (found["summary"]["accesses"], found["summary"]["complete"]) == (1, False)
    assert [one["entry"] for one in found["items"]] == [first]
    monkeypatch.setattr(replaying, name, 3)
    assert (await replay(cell, decision))["summary"]["complete"]


async def test_a_denial_that_would_be_allowed_now(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    decision, ask = await decide(cell, "clerk")
    with pytest.raises(Denied):
        await cell.get("k", ask=ask)
    with pytest.raises(NotFound):
        await cell.get("nothing", ask=ask)
    await apply(cell, CLERKS_HEALTH)
    found = await replay(cell, decision)
    (one,) = found["items"]
    assert (one["different"], one["then"]["reason"], one["roles_from"]) == (
        "now-allowed",
        "no-rule",
        "recorded",
    )
    assert (one["record"] is not None, one["version"], found["summary"]["accesses"]) == (True, 1, 1)


@pytest.mark.databases(*DATABASES)
async def test_erased_records_are_judged_by_their_labels_and_never_opened(cell: Cell) -> None:
    await cell.put("k", "secret", "customer:1", categories=("health",))
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    await cell.erase("customer:1")
    await apply(cell, NO_HEALTH)
    found = await replay(cell, decision)
    (one,) = found["items"]
    assert (one["different"], one["categories"], one["action"]) == ("now-denied", ["health"], "read")
    assert "secret" not in json.dumps(found)


async def test_every_way_of_access_is_judged_as_what_it_was(cell: Cell) -> None:
    """Writes by the labels of both versions; lists, histories and deletes as such; segments once."""
    await cell.put("k", 1, "customer:1", categories=("health",))
    decision, ask = await decide(cell)
    await cell.put("k", 2, "customer:1", ask=ask)
    await cell.tenure.gateway.query(ask, SCOPE, Query())
    await cell.tenure.gateway.history(ask, SCOPE, "k", before=None, limit=10)
    parts = Draft(b"", (), ("travel",), segments=(Segment(b"1", ("customer:1",)), Segment(b"2", ())))
    await cell.tenure.gateway.write(ask, "support.notes", "parts", parts)
    await cell.get("parts", scope="support.notes", ask=ask)
    await cell.tenure.gateway.delete(ask, SCOPE, "k")
    found = await replay(cell, decision)
    asked = [(one["action"], one["version"], one["categories"]) for one in found["items"]]
    assert asked == [
        ("write", 2, ["contact", "health"]),
        ("list", 2, ["contact"]),
        ("read", 2, ["contact"]),
        ("read", 1, ["health"]),
        ("write", 1, ["travel"]),
        ("read", 1, ["travel"]),
        ("delete", 3, ["contact"]),
    ]
    assert found["summary"]["same"] == 7
    assert found["summary"]["not_reproduced"] == 0


async def test_what_policy_withheld_from_a_reconstruction_is_judged_too(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("contact", "health"))
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    await apply(cell, NO_HEALTH)
    other, asking = await decide(cell)
    assert (await cell.tenure.decisions.context(asking, decision))["withheld"] == 1
    (one,) = (await replay(cell, other))["items"]
    assert (one["then"]["allowed"], one["then"]["reason"], one["different"]) == (False, "deny-rule", None)


async def test_a_record_that_the_rules_of_then_do_not_give_is_pointed_at(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    # Somebody edits the labels of the version behind the service's back.
    cell.change("UPDATE versions SET labels = 'nonsense'")
    found = await replay(cell, decision)
    assert found["summary"]["not_reproduced"] == 1
    assert found["items"][0]["then"]["reason"] == NOT_REPRODUCED
    assert found["items"][0]["then"]["rules"] == ["grant/agents-work#3"], "as recorded"


@pytest.mark.databases(*DATABASES)
async def test_a_bundle_that_is_gone_is_said_to_be_gone(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    await apply(cell, NO_HEALTH)
    old = (await replay(cell, decision))["items"][0]["then"]["policy"]
    cell.change("DELETE FROM policy_bundles WHERE digest = :d", d=old)
    (one,) = (await replay(cell, decision))["items"]
    assert (one["then"]["reason"], one["then"]["allowed"], one["different"]) == (LOST, True, None)
    with pytest.raises(NotFound):
        await replay(cell, decision, old)


async def test_a_replay_is_on_record_and_for_those_who_may_explain(cell: Cell) -> None:
    decision, ask = await decide(cell)
    await cell.put("k", 1, "customer:1", ask=ask)
    found = await replay(cell, decision, who="admin")
    entry = next(one for one in cell.entries() if f"{one['writer']}-{one['n']}" == found["entry"])
    assert (entry["kind"], entry["outcome"]) == ("policy.replay", "ok")
    assert entry["data"] == {"decision": decision, "bundle": found["policy"]}
    assert "decision" not in entry, "it is about the decision and no part of it"
    for who in ("agent", "dpo"):
        with pytest.raises(Denied):
            await replay(cell, decision, who=who)
    assert (await cell.audited()).failures == ()


async def test_what_is_not_there_is_not_replayed(cell: Cell) -> None:
    decision, _ = await decide(cell)
    nowhere = "sha256:" + "0" * 64
    for which, policy in ((ids.new_id(), "current"), ("nonsense", "current"), (decision, nowhere)):
        with pytest.raises(NotFound):
            await replay(cell, which, policy)
    with pytest.raises(NotFound):
        await cell.tenure.replaying.replay(cell.two["auditor"], decision, "current")
    assert not [one for one in cell.entries() if one["kind"] == "policy.replay"]


@pytest.mark.databases(*DATABASES)
async def test_roles_are_those_of_the_time_of_the_access(cell: Cell) -> None:
    """What the ledger says of a principal outweighs what its row says now."""
    await cell.put("k", 1, "customer:1")
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    cell.change("UPDATE principals SET roles = '[\"clerk\"]' WHERE name = 'agent'")
    (one,) = (await replay(cell, decision))["items"]
    assert (one["roles"], one["roles_from"]) == (["support-agent"], "derived")
    cell.change("UPDATE entries SET kind = 'principal.other' WHERE kind = 'principal.change'")
    found = await replay(cell, decision)
    assert (found["roles"], found["items"][0]["roles"]) == ("present", ["clerk"])


async def test_roles_that_changed_are_those_of_each_instant(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    decision, ask = await decide(cell)
    await cell.get("k", ask=ask)
    who = cell.one.principals["agent"]

    def change(desk: Desk) -> str:
        data = {"principal": who, "change": "roles", "roles": ["marketer"]}
        return desk.tx.append(EntryDraft(kind=Kind.PRINCIPAL_CHANGE, at=desk.now, outcome="ok", data=data))

    await Service(cell.tenure.batcher).inside(cell.one.id, change)
    cell.change("UPDATE principals SET roles = '[\"clerk\"]' WHERE name = 'agent'")
    at = ids.now()
    (one,) = (await replay(cell, decision))["items"]
    assert (one["roles"], one["roles_from"]) == (["support-agent"], "derived")
    question = Question(SCOPE, ("contact",), SUPPORT, "read", principal="agent")
    for instant, roles, source in ((at, ["marketer"], "derived"), (None, ["clerk"], "present")):
        about = About(question=question._replace(at=instant))
        (told,) = (await cell.tenure.explaining.explain(cell.one["admin"], about))["items"]
        assert (told["question"]["roles"], told["question"]["roles_from"]) == (roles, source)
