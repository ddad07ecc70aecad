"""Records over HTTP: what a client stores is what it gets back, under conditions it can rely on."""

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from conftest import SCOPE, World, record

QUERY = f"/v1/scopes/{SCOPE}/records:query"
LISTED = {
    "record",
    "version",
    "version_id",
    "scope",
    "key",
    "created_at",
    "entry",
    "commitment",
    "subjects",
    "categories",
    "metadata",
    "derived_from",
    "expires_at",
    "tier",
}
CONTENTS = [
    None,
    True,
    0,
    -1.5,
    "",
    "Zürich 🛫 \u0000 \u2028 </script>",
    [],
    {"b": [1, {"c": None}], "a": "2", "": {}},
    2**53 - 1,
    1e300,
]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: json.dumps(content)[:20])
def test_content_comes_back_as_it_was_sent(world: World, content: Any) -> None:
    written = world.put("content", content).json()
    answer = world.call("agent", "GET", record("content"))

    assert answer.json()["content"] == content
    assert set(answer.json()) == {*LISTED, "content"}
    assert (answer.json()["version_id"], answer.json()["record"]) == (
        written["version_id"],
        written["record"],
    )
    # Reading is an access of its own: entry and commitment are the read's, not the write's.
    assert answer.json()["entry"] != written["entry"]


def test_segments_come_back_in_their_places_each_with_its_people(world: World) -> None:
    segments = [
        {"content": {"said": "hers"}, "subjects": ["customer:1"]},
        {"content": None, "subjects": ["customer:2", "customer:1"]},
    ]
    body = {"segments": segments, "categories": ["contact"]}
    written = world.ok("agent", "PUT", record("segments"), json=body)
    assert (written["commitment"], len(set(written["commitments"]))) == (None, 2)
    found = world.ok("agent", "GET", record("segments"))
    assert [{name: one[name] for name in ("content", "subjects")} for one in found["segments"]] == segments
    assert "content" not in found
    assert found["subjects"] == ["customer:1", "customer:2"]
    listed = world.ok("agent", "POST", QUERY, json={"subject": "customer:2", "include": ["content"]})["items"]
    assert [one["segments"][0]["content"] for one in listed] == [{"said": "hers"}]


def test_content_is_canonical_json_on_the_wire(world: World) -> None:
    labels = b'"subjects": ["customer:1"], "categories": ["contact"]'
    sent = b'{ "content": {"b": 1.0, "a":"\\u00e9"}, ' + labels + b" }"
    assert world.call("agent", "PUT", record("canonical"), content=sent).status_code == 201

    answer = world.call("agent", "GET", record("canonical"))

    parts = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])
    assert bytes(parts["content"]) == '{"a":"é","b":1}'.encode()


@pytest.mark.parametrize(
    "key",
    [
        "customer/42/notes",
        "a:shred",
        "versions",
        "a%2Fb",
        "a?b#c&d=e",
        "Grüße 漢字 🧳",
        "records:query",
        "a+b c",
        "..%2f",
        ":seal",
        "k" * 512,
    ],
)
def test_any_text_is_a_key_when_it_is_percent_encoded(world: World, key: str) -> None:
    path = record(quote(key, safe=""))
    assert world.put(quote(key, safe=""), key).status_code == 201

    assert world.ok("agent", "GET", path)["key"] == key
    assert world.ok("agent", "GET", path)["content"] == key
    assert len(world.ok("agent", "GET", f"{path}/versions")["items"]) == 1
    assert world.ok("agent", "POST", "/v1/records:get", json={"scope": SCOPE, "key": key})["content"] == key


def test_each_write_is_a_version_and_old_ones_stay_readable(world: World) -> None:
    first = world.put("versions-of", "one")
    second = world.put("versions-of", "two")

    assert (first.status_code, first.headers["etag"]) == (201, '"1"')
    assert (second.json()["version"], second.headers["etag"]) == (2, '"2"')
    now = world.call("agent", "GET", record("versions-of"))
    assert (now.json()["content"], now.headers["etag"]) == ("two", '"2"')
    assert world.ok("agent", "GET", record("versions-of?version=1"))["content"] == "one"
    at = first.json()["created_at"]
    assert world.ok("agent", "GET", record(f"versions-of?as_of={at}"))["content"] == "one"
    assert (
        world.ok("agent", "GET", record(f"versions-of?as_of={quote(second.json()['created_at'])}"))["version"]
        == 2
    )
    by_body = {"scope": SCOPE, "key": "versions-of", "version": 1}
    assert world.ok("agent", "POST", "/v1/records:get", json=by_body)["content"] == "one"
    lines = world.ok("agent", "GET", record("versions-of/versions"))
    assert [line["version"] for line in lines["items"]] == [2, 1]
    assert lines["items"][1]["version_id"] == first.json()["version_id"]


def test_history_is_paged(world: World) -> None:
    for content in range(5):
        world.put("paged", content)

    seen, path = [], record("paged/versions?limit=2")
    for _ in range(3):
        page = world.ok("agent", "GET", path)
        seen += [line["version"] for line in page["items"]]
        path = record(f"paged/versions?limit=2&cursor={quote(page['next'] or '')}")

    assert seen == [5, 4, 3, 2, 1]
    assert page["next"] is None


def test_a_write_can_insist_on_what_it_replaces(world: World) -> None:
    create = {"If-None-Match": "*"}
    assert world.put("guarded", 1, headers=create).status_code == 201
    refused = world.put("guarded", 2, headers=create)
    assert (refused.status_code, refused.json()["field"]) == (412, "If-None-Match")

    assert world.put("guarded", 2, headers={"If-Match": '"1"'}).headers["etag"] == '"2"'
    assert world.put("guarded", 3, headers={"If-Match": '"1"'}).status_code == 412
    assert world.call("agent", "DELETE", record("guarded"), headers={"If-Match": '"1"'}).status_code == 412
    assert world.ok("agent", "GET", record("guarded"))["content"] == 2


def test_a_deleted_record_reads_as_absent_and_keeps_its_history(world: World) -> None:
    world.put("leaving", "here")

    deleted = world.call("agent", "DELETE", record("leaving"))

    assert (deleted.status_code, deleted.json()["version"]) == (200, 2)
    assert world.call("agent", "GET", record("leaving")).status_code == 404
    assert world.ok("agent", "GET", record("leaving?version=1"))["content"] == "here"
    states = [line["state"] for line in world.ok("agent", "GET", record("leaving/versions"))["items"]]
    assert states[0] == "deleted"


def test_a_repeated_request_is_answered_again_and_not_done_again(world: World) -> None:
    once = {"Idempotency-Key": "a-key-of-the-client"}
    first = world.put("once", {"n": 1}, headers=once)

    again = world.put("once", {"n": 1}, headers=once)

    assert (again.status_code, again.json()) == (201, first.json())
    other = world.put("once", {"n": 2}, headers=once)
    assert (other.status_code, other.json()["type"]) == (422, "urn:tenure:problem:idempotency-key-reused")
    assert world.ok("agent", "GET", record("once"))["version"] == 1


def test_what_a_writer_says_about_a_record_comes_back(world: World) -> None:
    source = world.put("source", 1).json()["version_id"]
    more = {
        "derived_from": [source],
        "metadata": {"channel": "phone", "n": 1.5},
        "expires_at": "2999-01-01T01:00:00+01:00",
        "categories": ["travel", "contact"],
    }
    world.put("labelled", 1, json=more)

    found = world.ok("agent", "GET", record("labelled"))

    assert found["derived_from"] == [source]
    assert found["metadata"] == more["metadata"]
    assert found["expires_at"] == "2999-01-01T00:00:00.000000Z"
    assert found["categories"] == ["contact", "travel"]
    assert found["subjects"] == ["customer:1"]


def test_lists_show_what_matches(world: World) -> None:
    for key, subject in (("list/a", "customer:71"), ("list/b", "customer:71"), ("list/c", "customer:72")):
        world.put(quote(key, safe=""), key, subject=subject)

    def listed(**body: Any) -> list[str]:
        return [one["key"] for one in world.ok("agent", "POST", QUERY, json={"limit": 200, **body})["items"]]

    assert listed(subject="customer:71") == ["list/a", "list/b"]
    assert listed(prefix="list/") == ["list/a", "list/b", "list/c"]
    assert listed(subject="customer:nobody") == []
    assert listed(categories=["travel"], prefix="list/") == []
    assert listed(prefix="list/", until="2020-01-01T00:00:00Z") == []
    with_content = world.ok("agent", "POST", QUERY, json={"subject": "customer:72", "include": ["content"]})
    assert [one["content"] for one in with_content["items"]] == ["list/c"]
    without = world.ok("agent", "POST", QUERY, json={"subject": "customer:72"})
    assert set(without["items"][0]) == LISTED


def test_lists_are_paged_by_an_opaque_cursor(world: World) -> None:
    for n in range(5):
        world.put(f"page-{n}", n)
    body: dict[str, Any] = {"prefix": "page-", "limit": 2}

    seen, pages = [], 0
    while pages == 0 or body.get("cursor"):
        page = world.ok("agent", "POST", QUERY, json=body)
        seen += [one["key"] for one in page["items"]]
        pages += 1
        body["cursor"] = page["next"]

    assert (seen, pages) == ([f"page-{n}" for n in range(5)], 3)


def test_nothing_on_the_way_may_keep_a_record(world: World) -> None:
    world.put("private", 1)

    assert world.call("agent", "GET", record("private")).headers["cache-control"] == "no-store"


def test_when_it_goes_and_why(world: World) -> None:
    spec = {"scopes": ["support.**"], "categories": "*", "hotFor": "1d", "deleteAfter": "30d"}
    rule = {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": "brief"}, "spec": spec}
    world.ok("admin", "POST", "/v1/manifests:apply", json=rule)
    stored = world.put("lasting", 1).json()
    found = world.ok("agent", "GET", record("lasting?explain=retention"))
    assert (found["record"], found["version"], found["tier"]) == (stored["record"], 1, "hot")
    assert (found["gone_at"]["rule"], found["cold_at"]["rule"]) == ("brief", "brief")
    assert found["gone_at"]["at"][:10] > found["cold_at"]["at"][:10] > stored["created_at"][:10]
    assert (found["held"], found["holds"], found["enforced"]) == (False, [], True)
    assert found["why"][0].startswith(f"It goes at {found['gone_at']['at']}, or up to 31 days later")
    assert "rule brief, deleteAfter 30d" in found["why"][0]
    assert "content" not in found
    body = {"scope": SCOPE, "key": "lasting", "explain": "retention"}
    again = world.ok("agent", "POST", "/v1/records:get", json=body)
    assert {**again, "entry": ""} == {**found, "entry": ""}
    assert world.call("dpo", "GET", record("lasting?explain=retention")).status_code == 403
