"""The OpenAPI document: committed, complete, and true. No call fails inside, whatever it is sent."""

import json
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from litestar.routes import HTTPRoute
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import SCOPE, World
from tenure.http.openapi import document
from tenure.ids import is_id

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
REGENERATE = "the API changed; if that is meant: python -m tenure.http.openapi docs/openapi.json"

DOCUMENT = json.loads(document())
schema = schemathesis.openapi.from_dict(DOCUMENT)
PURPOSE = "customer-support"
CALLERS = {
    "createTenant": "operator",
    "openDecision": "agent",
    "sealDecision": "agent",
    "getRootStore": "operator",
    "rotateRootKey": "operator",
    "migrateRootKey": "operator",
}


def test_the_committed_copy_is_the_served_document(world: World) -> None:
    assert COMMITTED.read_bytes() == document(), REGENERATE
    served = world.call(None, "GET", "/schema/openapi.json")
    assert (served.status_code, served.content) == (200, document())
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_served_call_is_documented(world: World) -> None:
    served = {
        handler.operation_id
        for route in world.client.app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.operation_id
    }
    documented = [call["operationId"] for item in DOCUMENT["paths"].values() for call in item.values()]
    assert sorted(served) == sorted(documented)


def test_paths_are_documented_as_callers_write_them() -> None:
    assert "/v1/subjects/{id}:shred" in DOCUMENT["paths"]
    assert "/v1/scopes/{scope}/records/{key}" in DOCUMENT["paths"]
    assert not [path for path in DOCUMENT["paths"] if "/:" in path or "_name" in path]


def test_required_headers_are_documented() -> None:
    put = DOCUMENT["paths"]["/v1/scopes/{scope}/records/{key}"]["put"]
    named = {one["name"]: one["required"] for one in put["parameters"] if one["in"] == "header"}
    assert named == {
        "Tenure-Purpose": True,
        "Tenure-Decision": False,
        "If-Match": False,
        "If-None-Match": False,
        "Idempotency-Key": False,
        "Tenure-On-Behalf-Of": False,
    }


def who_may(operation: str, path: str) -> str:
    """A caller who gets past policy, so that the request itself is what is tried."""
    if operation in CALLERS:
        return CALLERS[operation]
    for part, who in (
        ("ledger", "auditor"),
        ("subjects", "dpo"),
        ("shreds", "dpo"),
        ("rederivations", "dpo"),
        ("certif", "dpo"),
        ("holds", "dpo"),
    ):
        if part in path:
            return who
    return "agent" if "record" in path or "decision" in path else "admin"


@pytest.fixture(scope="module", autouse=True)
def furnished(world: World) -> None:
    """Things that calls can find."""
    world.put("known", {"a": 1})
    found = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:1"})
    world.ids["subjects"] = found["items"][0]["id"]
    opened = world.ok("agent", "POST", "/v1/decisions", json={"purpose": "customer-support"})
    world.ids["decisions"] = opened["id"]
    world.ids["principals"] = world.ids["acme-lead"]


def lead_inside(world: World, case: schemathesis.Case) -> None:
    """Name what exists wherever the case has a name of the right shape: the rest of it gets further in."""
    operation, path = case.operation.definition.raw["operationId"], case.operation.path
    case.headers["Authorization"] = f"Bearer {world.keys[who_may(operation, path)]}"
    if case.headers.pop("Tenure-On-Behalf-Of", None) and operation == "getRecord":
        case.headers["Tenure-On-Behalf-Of"] = world.ids["acme-agent"]
    if case.headers.get("Tenure-Purpose"):
        case.headers["Tenure-Purpose"] = PURPOSE
        if case.headers.pop("Tenure-Decision", None) and operation != "putRecord":
            case.headers["Tenure-Decision"] = world.ids["decisions"]
    if "scope" in case.path_parameters:
        case.path_parameters["scope"] = SCOPE
        if operation == "getRecord":
            case.path_parameters["key"] = "known"
    if is_id(str(case.path_parameters.get("id"))) and path.split("/")[2] in world.ids:
        case.path_parameters["id"] = world.ids[path.split("/")[2]]
    if isinstance(case.body, dict):
        named = {"categories": ["contact"], "subjects": ["customer:2"], "scope": SCOPE, "purpose": PURPOSE}
        case.body.update({name: value for name, value in named.items() if case.body.get(name)})
        if operation == "putRecord":
            case.body.setdefault("subjects", ["customer:2"])
            case.body.pop("derived_from", None)


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_call_ever_fails_inside(world: World, case: schemathesis.Case) -> None:
    lead_inside(world, case)
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    response = world.client.request(
        str(sent.method), str(sent.url), headers=dict(sent.headers), content=sent.body or b""
    )
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    case.validate_response(response, checks=checks)
