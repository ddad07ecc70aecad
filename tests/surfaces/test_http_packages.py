"""What a person does with a link: opens a page, fetches a ZIP, once. No credential, and nothing in a URL."""

import io
import json
import re
import zipfile
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from conftest import World
from support.packages import VALIDATOR
from tenure import ids
from tenure.model.apikey import parse_api_key
from tenure.rights.package.links import new_link

pytestmark = pytest.mark.anyio

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def limits() -> dict[str, int]:
    """Attempts without a credential: ten a second of one address."""
    return {"limit_strangers": 10}


@pytest.fixture(scope="module")
def ready(world: World) -> tuple[str, str]:
    """A package and its link, as the officer's desk makes them."""
    assert world.put("mine", "my address", subject="customer:77").status_code == 201
    person = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:77"})["items"][0]["id"]
    tenure = world.client.app.state.tenure
    key = parse_api_key(world.keys["dpo"])

    async def made() -> tuple[str, str]:
        package = (await tenure.packages.build(key.tenant_id, ids.new_id(), person))["package"]
        return package, await linked(tenure, key, package)

    with world.client.portal() as portal:
        found: tuple[str, str] = portal.call(made)
    return found


async def linked(tenure: Any, key: Any, package: str) -> str:
    """A link, by the officer."""

    def work(seat: Any) -> dict[str, Any]:
        return dict(tenure.packages.link(seat, package))

    return str((await tenure.packages._service.run(key, "tenure.subjects", "read", work))["token"])


def test_the_page_sends_the_token_in_a_body_and_runs_nothing_else(world: World) -> None:
    answer = world.client.get("/v1/packages")
    assert (answer.status_code, answer.headers["referrer-policy"]) == (200, "no-referrer")
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    (script,) = re.findall("<script>(.*)</script>", answer.text)
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "location.hash" in script, "what stands behind # is never sent in a URL"
    assert re.findall('(?:src|href)="', answer.text) == []
    assert '<form method="post" action="/v1/packages:fetch"' in answer.text


def test_once_by_json_and_again_by_the_page(world: World, ready: tuple[str, str]) -> None:
    answer = world.client.post("/v1/packages:fetch", json={"token": ready[1]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert (answer.headers["cache-control"], int(answer.headers["content-length"])) == (
        "no-store",
        len(answer.content),
    )
    again = world.client.post("/v1/packages:fetch", content=f"token={ready[1]}", headers=FORM)
    assert again.content == answer.content
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        data = json.loads(archive.read("data.json"))
    VALIDATOR.validate(data)
    assert [one["content"] for one in data["versions"]] == ["my address"]
    for name in answer.headers.values():
        assert "77" not in name


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "tnp_nothing"}, 404),
        ({"token": new_link(ids.new_id(), ids.new_id())[0]}, 404),
        ({"token": ""}, 422),
        ({"token": "x" * 129}, 422),
        ({}, 422),
        ({"token": "tnp_x", "more": 1}, 422),
    ],
)
def test_what_opens_nothing(world: World, body: dict[str, str], status: int) -> None:
    answer = world.client.post("/v1/packages:fetch", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "tnp_" not in answer.text


def test_used_and_over_is_gone(world: World, ready: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = ids.now
    monkeypatch.setattr(ids, "now", lambda: now() + 15 * 24 * 3_600_000_000)
    answer = world.client.post("/v1/packages:fetch", json={"token": ready[1]})
    assert answer.status_code == 410
    assert answer.json()["type"] == "urn:tenure:problem:expired"


def test_guessing_is_limited_like_any_unknown_credential(world: World) -> None:
    statuses = {
        world.client.post("/v1/packages:fetch", json={"token": f"tnp_{n}"}).status_code for n in range(150)
    }
    assert statuses == {404, 429}
