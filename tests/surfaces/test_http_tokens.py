"""Tokens, narrower keys and on whose behalf, over HTTP: what callers send, and what they are told."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import SCOPE, World, record
from support.issuer import Issuer
from support.issuer import issuer as running_issuer
from tenure.http import wire
from tenure.model.apikey import parse_api_key


@pytest.fixture(scope="module")
def issuer(world: World) -> Iterator[Issuer]:
    """Trusted by `acme`: its clients are agents there."""
    with running_issuer() as running:
        tenant = parse_api_key(world.keys["admin"]).tenant_id
        running.audience = f"https://tenure.example/{tenant}"
        body = {
            "name": "main",
            "issuer": running.url,
            "audience": running.audience,
            "provision": {"kind": "agent", "roles": ["support-agent"]},
        }
        world.ids["issuer"] = world.ok("admin", "POST", "/v1/issuers", json=body)["id"]
        world.put("known", 1)
        yield running


def as_bearer(world: World, token: str, path: str = record("known"), **headers: str) -> Any:
    world.keys["bearer"] = token
    return world.call("bearer", "GET", path, headers=headers)


def test_a_client_gets_a_token_and_reads_with_it(world: World, issuer: Issuer) -> None:
    answer = as_bearer(world, issuer.token("robot"))
    assert (answer.status_code, answer.json()["content"]) == (200, 1)
    assert as_bearer(world, issuer.token("robot"), "/v1/principals").status_code == 403
    listed = world.ok("admin", "GET", "/v1/issuers")["items"]
    assert [(one["id"], one["name"]) for one in listed] == [(world.ids["issuer"], "main")]


@pytest.mark.parametrize("spoilt", ["a.b.c", "..", "x" * 20_000 + ".b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_token(world: World, issuer: Issuer, spoilt: str) -> None:
    answer = as_bearer(world, spoilt)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    told = answer.json()
    assert (told["field"], bool(told["rule"]), bool(told["remedy"])) == ("Authorization", True, True)
    assert spoilt[:10] not in answer.text


def test_a_refusal_repeats_nothing_and_nothing_is_logged(
    world: World, issuer: Issuer, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = {"sub": "canary-subject", "email": "canary@example.org"}
    for changes in ({"exp": 5}, {"aud": "canary-audience"}, {"nbf": 9_000_000_000}):
        token = issuer.signed(**{**secrets, **changes})
        answer = as_bearer(world, token)
        assert answer.status_code == 401
        seen = answer.text + "".join(capfd.readouterr())
        assert "canary" not in seen
        assert token[:30] not in seen


def test_on_whose_behalf(world: World, issuer: Issuer) -> None:
    agent = world.ids["acme-agent"]
    answer = as_bearer(world, issuer.token("robot"), **{"Tenure-On-Behalf-Of": agent})
    assert answer.status_code == 200
    lead = world.ids["acme-lead"]
    refused = as_bearer(world, issuer.token("robot"), **{"Tenure-On-Behalf-Of": lead})
    assert refused.status_code == 403, "the lead may not for this purpose"
    for wrong, status in (("nobody", 400), (world.ids["other-agent"], 422), (issuer.url, 400)):
        answer = as_bearer(world, issuer.token("robot"), **{"Tenure-On-Behalf-Of": wrong})
        assert (answer.status_code, answer.json()["field"]) == (status, "Tenure-On-Behalf-Of")
        assert wrong not in answer.text
    world.published("auditor")
    page = world.until(
        "auditor", "/v1/ledger/entries?kind=access&limit=200", lambda page: agent in str(page["items"])
    )
    behalf = [one["entry"].get("on_behalf_of") for one in page["items"]]
    assert agent in behalf


def test_a_fresh_token_for_each_request_is_counted_for_its_tenant(world: World, issuer: Issuer) -> None:
    tenant = parse_api_key(world.keys["admin"]).tenant_id
    limits = f"/v1/tenants/{tenant}/limits"
    as_bearer(world, issuer.token("robot"))
    world.ok("operator", "PUT", limits, json={"requests": 1, "burst_s": 1})
    world.ok("admin", "GET", "/v1/limits")
    try:
        answers = [as_bearer(world, issuer.signed(sub="robot", jti=str(n))) for n in range(20)]
        refused = [one.json() for one in answers if one.status_code == 429]
        assert refused, [one.status_code for one in answers]
        assert {one["limit"] for one in refused} == {"requests"}
        assert {one.status_code for one in answers} <= {200, 429}
    finally:
        world.ok("operator", "PUT", limits, json={"requests": 0})
        world.ok("admin", "GET", "/v1/limits")


def test_the_same_key_for_somebody_else_is_another_request(world: World, issuer: Issuer) -> None:
    body = {"content": 2, "subjects": ["customer:1"], "categories": ["contact"]}
    colleague = {"name": "colleague", "kind": "agent", "roles": ["support-agent"]}
    other = world.ok("admin", "POST", "/v1/principals", json=colleague)["id"]
    headers = {"Idempotency-Key": "for-whom", "Tenure-On-Behalf-Of": other}
    first = world.call("agent", "PUT", record("whose"), json=body, headers=headers)
    assert first.status_code == 201
    again = world.call("agent", "PUT", record("whose"), json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    alone = {"Idempotency-Key": "for-whom"}
    answer = world.call("agent", "PUT", record("whose"), json=body, headers=alone)
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    deputy = {"name": "deputy", "kind": "person", "roles": ["dpo"]}
    behalf = {"Tenure-On-Behalf-Of": world.ok("admin", "POST", "/v1/principals", json=deputy)["id"]}
    subject = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:1"})["items"][0]["id"]
    hold = {"by": "subject", "target": subject, "ground": "a case"}
    assert world.call("dpo", "POST", "/v1/holds", json=hold, headers=alone).status_code == 201
    answer = world.call("dpo", "POST", "/v1/holds", json=hold, headers={**alone, **behalf})
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


def test_the_same_key_of_a_delegated_token_for_somebody_else_is_another_request(
    world: World, issuer: Issuer
) -> None:
    for who in ("jane", "joe", "robot"):
        as_bearer(world, issuer.signed(sub=who))
    body = {"content": 2, "subjects": ["customer:1"], "categories": ["contact"]}
    headers = {"Idempotency-Key": "in-whose-name"}

    def put(subject: str) -> Any:
        world.keys["bearer"] = issuer.signed(sub=subject, act={"sub": "robot"})
        return world.call("bearer", "PUT", record("in-whose-name"), json=body, headers=headers)

    assert [put("jane").status_code, put("jane").status_code] == [201, 201]
    answer = put("joe")
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


def test_who_is_over_a_limit_is_not_provisioned(world: World, issuer: Issuer) -> None:
    tenant = parse_api_key(world.keys["admin"]).tenant_id
    limits = f"/v1/tenants/{tenant}/limits"
    principals = len(world.ok("admin", "GET", "/v1/principals?limit=200")["items"])
    world.ok("operator", "PUT", limits, json={"requests": 1, "burst_s": 1})
    world.ok("admin", "GET", "/v1/limits")
    try:
        answers = [as_bearer(world, issuer.signed(sub=f"new-{n}")).status_code for n in range(10)]
    finally:
        world.ok("operator", "PUT", limits, json={"requests": 0})
        world.ok("admin", "GET", "/v1/limits")
    met = len(world.ok("admin", "GET", "/v1/principals?limit=200")["items"]) - principals
    assert met == 10 - answers.count(429)
    assert met < 10


def test_a_key_that_is_narrower_and_ends(world: World) -> None:
    path = f"/v1/principals/{world.ids['acme-agent']}/credentials"
    world.put("mine", 1)
    body = {"expires_at": "2100-01-01T00:00:00Z", "reach": {"actions": ["read"], "scopes": [SCOPE]}}
    made = world.ok("admin", "POST", path, json=body)
    assert made["reach"] == body["reach"]
    assert made["expires_at"].startswith("2100-01-01T00:00:00")
    world.keys["narrow"] = made["api_key"]
    assert world.call("narrow", "GET", record("mine")).status_code == 200
    answer = world.call("narrow", "DELETE", record("mine"))
    assert (answer.status_code, "credential-reach" in answer.text) == (403, True)
    listed = world.ok("admin", "GET", path)["items"]
    assert listed[-1]["reach"] == body["reach"]
    for wrong, field in (
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"reach": {"actions": "read"}}, "reach.actions"),
        ({"reach": {"actoins": ["read"]}}, "reach.actoins"),
        ({"reach": {"purposes": ["canary"]}}, "reach.purposes[0]"),
    ):
        answer = world.call("admin", "POST", path, json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert "canary" not in answer.text


def test_a_principal_changes(world: World) -> None:
    body = {"name": "temporary", "kind": "agent", "roles": ["support-agent"]}
    made = world.ok("admin", "POST", "/v1/principals", json=body)
    world.keys["temporary"] = made["api_key"]
    world.put("theirs", 1)
    path = f"/v1/principals/{made['id']}"
    assert world.call("temporary", "GET", record("theirs")).status_code == 200
    assert world.ok("admin", "PATCH", path, json={"roles": ["auditor"]})["roles"] == ["auditor"]
    assert world.call("temporary", "GET", record("theirs")).status_code == 403
    assert world.ok("admin", "PATCH", path, json={"disabled": True})["disabled_at"]
    assert world.call("temporary", "GET", record("theirs")).status_code == 401
    for wrong in ({}, {"roles": None, "disabled": None, "x": 1}, {"disabled": "yes"}, {"roles": ["nobody"]}):
        assert world.call("admin", "PATCH", path, json=wrong).status_code == 422


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"clock_skew_s": 121}, "clock_skew_s"),
        ({"clock_skew_s": True}, "clock_skew_s"),
        ({"types": ["jwt"]}, "types[0]"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"issuer": "ftp://x"}, "issuer"),
        ({"audience": "https://another.example"}, "proof"),
        ({"secret": "canary"}, "secret"),
        ({"provision": {"kind": "robot"}}, "provision.kind"),
    ],
    ids=repr,
)
def test_an_issuer_that_does_not_fit(world: World, changes: dict[str, Any], field: str) -> None:
    tenant = parse_api_key(world.keys["admin"]).tenant_id
    body = {"name": "wrong", "issuer": "https://issuer.example", "audience": tenant, **changes}
    answer = world.call("admin", "POST", "/v1/issuers", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "canary" not in answer.text


def test_the_example_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "identity.md").read_text("utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert wire.NewIssuer.model_validate_json(example).roles == {"tenure-dpo": ("dpo",)}


def test_without_its_issuer_a_token_is_nothing(world: World, issuer: Issuer) -> None:
    """Last: the issuer goes."""
    token = issuer.token("robot")
    assert as_bearer(world, token).status_code == 200
    assert world.call("admin", "DELETE", f"/v1/issuers/{world.ids['issuer']}").status_code == 204
    assert as_bearer(world, token).status_code == 401
