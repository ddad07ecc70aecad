"""The OpenAPI document: committed and complete. That it is true is in `test_http_fuzz`."""

import json
import re
from pathlib import Path

from litestar.routes import HTTPRoute

from conftest import World
from tenure.http.openapi import document

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
REGENERATE = "the API changed; if that is meant: python -m tenure.http.openapi docs/openapi.json"

DOCUMENT = json.loads(document())


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


def test_every_schema_that_is_referred_to_is_there() -> None:
    """A body and an answer of one name are both spelled with their modules: nothing refers to them then."""
    text = document().decode()
    known = set(json.loads(text)["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= known
    assert not {name for name in known if "__" in name}
