"""Explaining and replaying over HTTP: from a denial's problem document to its explanation, and bad input."""

from typing import Any

import pytest

from conftest import SCOPE, World, record

QUESTION = {
    "roles": ["support-lead"],
    "scope": SCOPE,
    "categories": ["health"],
    "purpose": "quality",
    "action": "read",
}


def explain(world: World, who: str = "admin", **body: Any) -> Any:
    return world.call(who, "POST", "/v1/policy:explain", json=body)


def test_a_denials_own_document_leads_to_its_explanation(world: World) -> None:
    world.put("talk", 1)
    denied = world.call("lead", "GET", record("talk")).json()
    assert denied["remedy"].endswith(f"tenure policy explain --entry {denied['entry']}")
    (one,) = explain(world, "auditor", entry=denied["entry"]).json()["items"]
    assert (one["then"]["allowed"], one["question"]["roles"]) == (False, ["support-lead"])
    nearest = one["then"]["categories"][0]["nearest"]
    assert nearest == {"rule": "grant/support-lead-reads#2", "failed": ["purpose"]}
    assert one["then"]["rules"][nearest["rule"]]["description"].startswith("the lead reads")
    assert nearest["rule"] not in str(denied), "the denied caller is not told"


def test_a_question_is_explained(world: World) -> None:
    (one,) = explain(world, **QUESTION).json()["items"]
    assert one["now"]["categories"][0]["denies"] == ["grant/nobody-reads-health-for-quality#1"]
    (same,) = explain(world, **{**QUESTION, "at": "2026-01-01T00:00:00Z"}).json()["items"]
    assert same["now"] == one["now"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "entry"),
        ({"entry": None}, "entry"),
        ({"entry": "x", "decision": "y"}, "entry"),
        ({"entry": "x", **QUESTION}, "entry"),
        ({"roles": ["a"]}, "scope"),
        ({**QUESTION, "principal": "lead"}, "principal"),
        ({name: value for name, value in QUESTION.items() if name != "roles"}, "principal"),
        ({**QUESTION, "categories": []}, "categories"),
        ({name: value for name, value in QUESTION.items() if name != "purpose"}, "purpose"),
        ({name: value for name, value in QUESTION.items() if name != "action"}, "action"),
        ({**QUESTION, "at": "yesterday"}, "at"),
        ({**QUESTION, "verb": "read"}, "verb"),
    ],
)
def test_what_is_no_question_is_refused_by_name(world: World, body: dict[str, Any], field: str) -> None:
    answer = explain(world, **body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_decision_is_replayed(world: World) -> None:
    world.put("seen", 1)
    opened = world.ok("agent", "POST", "/v1/decisions", json={"purpose": "customer-support"})
    world.ok("agent", "GET", record("seen"), headers={"Tenure-Decision": opened["id"]})
    path = f"/v1/decisions/{opened['id']}:replay"
    found = world.ok("auditor", "POST", path, json={"policy": "current"})
    assert found["summary"]["same"] == 1
    again = world.ok("admin", "POST", path, json={"policy": found["items"][0]["then"]["policy"]})
    assert again["items"] == found["items"]
    wrong = world.call("auditor", "POST", path, json={"policy": "yesterday's"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "policy")
