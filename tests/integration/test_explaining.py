"""Why policy said no: an entry under the rules of then and of now, a decision, a question."""

import json
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.decisions import Opening
from tenure.errors import Denied, Invalid, NotFound
from tenure.governance import explaining
from tenure.governance.explaining import About, Question
from tenure.ledger.entry import Kind
from tenure.listing import Query
from tenure.model.principal import PrincipalKind

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

GRANT = """
apiVersion: tenure/v1
kind: Grant
metadata: {{name: {name}}}
spec:
  description: for tests
  roles: [{roles}]
  scopes: ["support.**"]
  categories: [{categories}]
  purposes: [customer-support]
  actions: [read, list]
  effect: {effect}
"""


def grant(name: str, roles: str, categories: str, effect: str = "allow") -> str:
    return GRANT.format(name=name, roles=roles, categories=categories, effect=effect)


async def apply(cell: Cell, text: str) -> dict[str, Any]:
    return await cell.tenure.manifests.apply(cell.one["admin"], text, dry_run=False)


async def told(cell: Cell, who: str = "admin", **about: Any) -> dict[str, Any]:
    """An explanation, as plain JSON."""
    found = await cell.tenure.explaining.explain(cell.one[who], About(**about))
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


async def denied(cell: Cell, key: str = "k", who: str = "clerk") -> str:
    """The entry of a denied read."""
    with pytest.raises(Denied) as refused:
        await cell.get(key, ask=cell.one.ask(who))
    assert refused.value.entry is not None
    return refused.value.entry


# ── an entry ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_denial_is_explained_by_its_entry_under_the_rules_of_then_and_now(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("contact", "health"))
    entry = await denied(cell)
    await apply(cell, grant("clerks-health", "clerk", "health"))
    (one,) = (await told(cell, entry=entry))["items"]
    assert (one["entry"], one["recorded"]) == (entry, False)
    assert one["question"] | {"at": ""} == {
        "at": "",
        "principal": cell.one.principals["clerk"],
        "roles": ["clerk"],
        "roles_from": "recorded",
        "scope": SCOPE,
        "categories": ["contact", "health"],
        "purpose": SUPPORT,
        "action": "read",
    }
    then, now = one["then"], one["now"]
    assert then["policy"] != now["policy"]
    assert (then["allowed"], then["reason"], now["allowed"]) == (False, "no-rule", True)
    contact, health = then["categories"]
    assert (contact["allowed"], contact["allows"]) == (True, ["grant/clerks-contact#3"])
    assert health["nearest"] == {"rule": "grant/clerks-contact#3", "failed": ["category"]}
    assert then["rules"]["grant/clerks-contact#3"]["grant"] == "clerks-contact"
    assert then["rules"]["grant/clerks-contact#3"]["row"] == 3
    assert "it is for category contact and what is below it, and health is not" in then["why"][-1]
    assert now["categories"][1]["allows"] == ["grant/clerks-health#2"]


async def test_a_deny_rule_is_named_beside_what_it_outweighs(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await apply(cell, grant("nobody", '"*"', "personal", "deny"))
    entry = await denied(cell, who="agent")
    (one,) = (await told(cell, "auditor", entry=entry))["items"]
    (category,) = one["then"]["categories"]
    assert category["denies"] == ["grant/nobody#2"]
    assert category["allows"] == ["grant/agents-work#3"]
    assert one["then"]["rules"]["grant/nobody#2"]["role"] == "*"
    assert "every role must not read personal in support.**" in one["then"]["why"][0]


async def test_denials_of_what_is_not_there_can_be_explained_too(cell: Cell) -> None:
    """No version says its labels: of a write the entry names them, of a read the scope's own count."""
    marketer = cell.one.ask("marketer")
    with pytest.raises(Denied) as write:
        await cell.put("new", 1, "customer:9", categories=("health", "travel"), ask=marketer)
    (one,) = (await told(cell, entry=write.value.entry))["items"]
    assert (one["question"]["action"], one["question"]["categories"]) == ("write", ["health", "travel"])
    for ask in (
        cell.get("none", ask=marketer),
        cell.tenure.gateway.delete(marketer, SCOPE, "none"),
        cell.tenure.gateway.query(marketer, NOTES, Query()),
    ):
        with pytest.raises(Denied) as refused:
            await ask
        (one,) = (await told(cell, entry=refused.value.entry))["items"]
        assert one["question"]["categories"] == []
        assert one["then"]["allowed"] is False
        assert [each["category"] for each in one["then"]["categories"]] == ["contact", "health", "travel"]


async def test_an_overwrite_is_explained_by_the_labels_of_both_versions(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    with pytest.raises(Denied) as refused:
        await cell.put("k", 2, "customer:1", categories=("contact",), ask=cell.one.ask("clerk"))
    (one,) = (await told(cell, entry=refused.value.entry))["items"]
    assert one["question"]["categories"] == ["contact", "health"]
    assert [each["allowed"] for each in one["then"]["categories"]] == [True, False]


async def test_a_denied_service_act_is_explained(cell: Cell) -> None:
    with pytest.raises(Denied) as refused:
        await cell.tenure.principals.every(cell.one["agent"], after="", limit=1)
    (one,) = (await told(cell, entry=refused.value.entry))["items"]
    assert (one["question"]["scope"], one["question"]["action"]) == ("tenure.principals", "read")
    (category,) = one["then"]["categories"]
    assert category["nearest"] == {"rule": "builtin/admin-reads-principals", "failed": ["role"]}
    assert one["then"]["rules"]["builtin/admin-reads-principals"]["builtin"] == "admin-reads-principals"


async def test_an_allowed_access_is_explained_with_roles_from_the_ledger(cell: Cell) -> None:
    entry = (await cell.put("k", 1, "customer:1")).entry
    (one,) = (await told(cell, entry=entry))["items"]
    assert (one["recorded"], one["question"]["roles_from"]) == (True, "derived")
    assert one["then"]["categories"][0]["allows"] == ["grant/agents-work#4"]


@pytest.mark.databases(*DATABASES)
async def test_the_entry_is_explained_after_the_person_is_gone(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    entry = await denied(cell)
    await cell.erase("customer:1")
    (one,) = (await told(cell, entry=entry))["items"]
    assert one["question"]["categories"] == ["health"]


@pytest.mark.databases(*DATABASES)
async def test_a_decision_is_explained_with_its_denials_first(cell: Cell) -> None:
    await cell.put("ok", 1, "customer:1")
    await cell.put("no", 1, "customer:1", categories=("health",))
    decision = (await cell.tenure.decisions.open(cell.one["clerk"], Opening(SUPPORT)))["id"]
    ask = cell.one.ask("clerk", decision=decision)
    await cell.get("ok", ask=ask)
    with pytest.raises(Denied):
        await cell.get("no", ask=ask)
    found = await told(cell, decision=decision)
    assert [one["recorded"] for one in found["items"]] == [False, True]
    assert (found["unknown"], found["left_out"]) == (0, 0)


async def test_one_answer_explains_no_more_than_its_limit(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = (await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT)))["id"]
    for key in "abc":
        await cell.put(key, 1, "customer:1", ask=cell.one.ask(decision=decision))
    for limit, value in (("MAX_ITEMS", 2), ("MAX_RULES", 0)):
        monkeypatch.setattr(explaining, limit, value)
        found = await told(cell, decision=decision)
        assert (len(found["items"]), found["left_out"]) == (value or 1, 3 - (value or 1))


@pytest.mark.databases(*DATABASES)
async def test_of_a_long_decision_the_first_entries_are_explained_and_it_is_said(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = (await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT)))["id"]
    for key in "abc":
        await cell.put(key, 1, "customer:1", ask=cell.one.ask(decision=decision))
    assert (await told(cell, decision=decision))["complete"]
    monkeypatch.setattr(explaining, "MAX_ENTRIES", 2)
    found = await told(cell, decision=decision)
    assert (len(found["items"]), found["complete"]) == (1, False)


def entry_of(cell: Cell, kind: Kind) -> str:
    """The id of the newest entry of a kind."""
    entry = [one for one in cell.entries() if one["kind"] == kind][-1]
    return f"{entry['writer']}-{entry['n']}"


async def test_an_act_of_governance_is_explained_by_the_built_in_rule_that_it_names(
    cell: Cell, subtests: pytest.Subtests
) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.erase("customer:1")
    await apply(cell, grant("more", "clerk", "travel"))
    await cell.tenure.principals.create(cell.one["admin"], "new", PrincipalKind.PERSON, ("auditor",))
    rows = (
        (Kind.SHRED, "dpo", "tenure.subjects", "shred", "dpo-shreds-subjects"),
        (Kind.POLICY_CHANGE, "tenant-admin", "tenure.manifests", "write", "admin-writes-manifests"),
        # Its `roles` are the new principal's, not the administrator's.
        (
            Kind.PRINCIPAL_CHANGE,
            "tenant-admin",
            "tenure.principals",
            "write",
            "admin-writes-principals",
        ),
    )
    for kind, role, scope, action, rule in rows:
        with subtests.test(kind=kind):
            (one,) = (await told(cell, entry=entry_of(cell, kind)))["items"]
            asked = one["question"]
            assert (one["recorded"], asked["scope"], asked["action"]) == (True, scope, action)
            assert asked["roles"] == [role]
            for verdict in (one["then"], one["now"]):
                assert verdict["allowed"]
                assert list(verdict["rules"]) == [f"builtin/{rule}"]


async def test_what_cannot_be_explained_is_refused(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.erase("customer:1")
    with pytest.raises(Invalid) as refused:
        await told(cell, entry=entry_of(cell, Kind.PURGE))
    assert "The service itself made this entry (`purge`)" in refused.value.detail
    assert "tenure policy explain --principal" in refused.value.remedy
    await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    with pytest.raises(Invalid) as refused:
        await told(cell, entry=entry_of(cell, Kind.DECISION_OPEN))
    assert "names no built-in rule" in refused.value.detail
    for about in (
        {"entry": "0000000000000000-1"},
        {"entry": "nonsense"},
        {"decision": ids.new_id()},
        {"decision": "nonsense"},
        {"question": Question(SCOPE, ("contact",), SUPPORT, "read", principal="nobody")},
    ):
        with pytest.raises(NotFound):
            await told(cell, **about)


# ── a question ────────────────────────────────────────────────────────────────────────────────────
async def test_a_question_is_answered_for_a_principal_by_name_and_for_roles(cell: Cell) -> None:
    by_name = Question(SCOPE, ("contact", "health"), SUPPORT, "read", principal="clerk")
    by_role = by_name._replace(principal=None, roles=("clerk",))
    (one,) = (await told(cell, question=by_name))["items"]
    (other,) = (await told(cell, question=by_role))["items"]
    assert (one["question"]["roles_from"], other["question"]["roles_from"]) == ("present", "given")
    assert one["now"] == other["now"]
    assert one["now"]["allowed"] is False
    assert one["then"] is None


async def test_a_question_about_too_much_at_once_is_refused(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(SCOPE, ("contact", "health"), SUPPORT, "read", roles=("clerk",))
    monkeypatch.setattr(explaining, "MAX_RULES", 0)
    with pytest.raises(Invalid) as refused:
        await told(cell, question=question)
    assert (refused.value.field, "at most 1" in refused.value.rule) == ("categories", True)
    assert (await told(cell, question=question._replace(categories=("contact",))))["items"]


async def test_a_question_about_what_is_not_declared_says_so(cell: Cell, subtests: pytest.Subtests) -> None:
    rows: list[tuple[dict[str, Any], str, str]] = [
        ({"scope": "un.heard"}, "unknown-scope", "un.heard"),
        ({"categories": ("unheard",)}, "unknown-category", "vocabulary"),
        ({"purpose": "unheard"}, "unknown-purpose", "unheard"),
        ({"action": "shred"}, "unknown-action", "shred"),
        ({"roles": ()}, "empty-field", "role"),
    ]
    for field, reason, word in rows:
        with subtests.test(field=field):
            question = Question(SCOPE, ("contact",), SUPPORT, "read", roles=("clerk",))._replace(**field)
            (one,) = (await told(cell, question=question))["items"]
            assert (one["now"]["allowed"], one["now"]["reason"]) == (False, reason)
            assert word in one["now"]["why"][0]


async def test_a_question_about_another_instant_is_judged_then(cell: Cell) -> None:
    limited = grant("visit", "marketer", "contact") + "  notAfter: 2027-01-01T00:00:00Z\n"
    await apply(cell, limited)
    question = Question(SCOPE, ("contact",), SUPPORT, "list", roles=("marketer",))
    for at, allowed in (("2026-12-31T23:59:59Z", True), ("2027-01-01T00:00:00Z", False)):
        asked = question._replace(at=ids.parse_rfc3339(at))
        (one,) = (await told(cell, question=asked))["items"]
        assert one["now"]["allowed"] is allowed
    assert one["now"]["categories"][0]["nearest"] == {"rule": "grant/visit#1", "failed": ["time"]}
    assert "does not hold at 2027-01-01T00:00:00" in one["now"]["why"][-1]


# ── who may ───────────────────────────────────────────────────────────────────────────────────────
async def test_only_administrators_and_auditors_are_told_and_a_refusal_is_on_record(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    entry = await denied(cell)
    for who in ("clerk", "dpo"):
        with pytest.raises(Denied) as refused:
            await told(cell, who, entry=entry)
        assert refused.value.entry is None or refused.value.entry != entry
    asked = [one["data"]["service"] for one in cell.entries() if "service" in one.get("data", {})]
    assert asked == ["tenure.policy", "tenure.policy"]


async def test_the_denied_caller_learns_how_it_can_be_explained_and_nothing_else(cell: Cell) -> None:
    await cell.put("there", 1, "customer:1")
    marketer = cell.one.ask("marketer")
    told_ = set()
    for key in ("there", "not-there"):
        with pytest.raises(Denied) as refused:
            await cell.get(key, ask=marketer)
        entry = refused.value.entry or ""
        assert f"tenure policy explain --entry {entry}" in (refused.value.remedy or "")
        told_.add((str(refused.value), (refused.value.remedy or "").replace(entry, ""), refused.value.rules))
    assert len(told_) == 1


@pytest.mark.databases(*DATABASES)
async def test_an_entry_of_another_tenant_does_not_exist(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    entry = await denied(cell)
    with pytest.raises(NotFound):
        await cell.tenure.explaining.explain(cell.two["admin"], About(entry=entry))
