"""Decisions, the ledger, an erasure and administration over HTTP, as those who need them use them."""

import hashlib
import time
from typing import Any

import httpx
import pytest

from conftest import SCOPE, World, record
from tenure.client.verify import verify_text
from tenure.ledger.note import Verifier

PURPOSE = {"purpose": "customer-support"}


def receipt_of(world: World, who: str, decision: str) -> httpx.Response:
    """Ask as the answer says, until it is published."""
    for _ in range(400):
        answer = world.call(who, "GET", f"/v1/decisions/{decision}/receipt")
        if answer.status_code != 202:
            return answer
        assert int(answer.headers["retry-after"]) >= 1
        time.sleep(0.01)
    raise AssertionError("never published")


@pytest.fixture(scope="module")
def decision(world: World) -> str:
    """A sealed decision that read one record."""
    world.put("read%20by%20it", "what it saw")
    opened = world.ok(
        "agent", "POST", "/v1/decisions", json={**PURPOSE, "subject": "customer:1", "model": "m-1"}
    )
    bound = {"Tenure-Decision": opened["id"]}
    world.ok("agent", "GET", record("read%20by%20it"), headers=bound)
    outcome = {"outcome": "refund-approved", "output": {"b": 1.0, "a": "é"}}
    sealed = world.ok("agent", "POST", f"/v1/decisions/{opened['id']}:seal", json=outcome)
    assert sealed["accesses"] == 1
    return str(opened["id"])


def test_a_sealed_decision_takes_no_more_accesses(world: World, decision: str) -> None:
    late = world.call("agent", "GET", record("read%20by%20it"), headers={"Tenure-Decision": decision})
    again = world.call("agent", "POST", f"/v1/decisions/{decision}:seal", json={"outcome": "other"})

    assert (late.status_code, late.json()["field"]) == (409, "Tenure-Decision")
    assert again.status_code == 409


def test_a_decision_shows_what_it_read_and_only_the_digest_of_its_output(world: World, decision: str) -> None:
    shown = world.ok("auditor", "GET", f"/v1/decisions/{decision}")

    assert (shown["state"], shown["outcome"], shown["model"]) == ("sealed", "refund-approved", "m-1")
    assert [one["action"] for one in shown["accesses"]] == ["returned"]
    # RFC 8785: members sorted, 1.0 written 1, é in UTF-8.
    assert shown["output_sha256"] == hashlib.sha256('{"a":"é","b":1}'.encode()).hexdigest()
    assert "what it saw" not in str(shown)


def test_its_context_is_reconstructed(world: World, decision: str) -> None:
    context = world.ok("agent", "GET", f"/v1/decisions/{decision}/context")
    openings = world.ok("agent", "GET", f"/v1/decisions/{decision}/openings")

    assert [(one["key"], one["content"]) for one in context["items"]] == [("read by it", "what it saw")]
    assert {"salt", "commitment", "entry_nonce"} <= set(openings["items"][0])


def test_single_accesses_of_it_are_opened(world: World, decision: str) -> None:
    path = f"/v1/decisions/{decision}/openings"
    shown = world.ok("auditor", "GET", f"/v1/decisions/{decision}")["accesses"][0]
    mine = f"/v1/ledger/entries?decision={decision}&kind=access"
    entry = world.until("auditor", mine, lambda page: page["items"])["items"][0]["id"]
    whole = world.ok("agent", "GET", path)

    for query in (
        f"entry={entry}",
        f"record={shown['record']}",
        f"entry={entry}&entry=x&record={shown['record']}",
    ):
        chosen = world.ok("agent", "GET", f"{path}?{query}")
        assert chosen["items"] == whole["items"]
        assert chosen["entry"] != whole["entry"], "each opening is an access of its own"
    for query in ("entry=x", "entry=", f"record={decision}", f"entry={entry}&record={decision}"):
        assert world.call("agent", "GET", f"{path}?{query}").status_code == 404, query


def test_a_population_of_it_is_proven_complete(world: World, decision: str) -> None:
    receipt_of(world, "agent", decision)
    vkey = world.ok("auditor", "GET", "/v1/ledger/key")["vkey"]
    page = world.call("auditor", "GET", f"/v1/ledger/populations?decision={decision}&to=2999-01-01T00:00:00Z")

    assert page.headers["content-type"] == "application/json"
    verified = verify_text(page.text, [Verifier.parse(vkey)])
    assert verified.kind == "population"
    assert verified.report.ok, verified.report.failures
    assert next(one.entry["kind"] for one in verified.report.found) == "decision.open"
    assert page.json()["filter"] == {"decision": decision, "to": "2999-01-01T00:00:00.000000Z"}
    for query, field in (
        ("kind=No%20kind", "kind"),
        ("principal=me", "principal"),
        ("action=seen", "action"),
        ("from=yesterday", "from"),
        ("first=9&end=3", "first"),
        ("end=99999999", "end"),
    ):
        refused = world.call("auditor", "GET", f"/v1/ledger/populations?{query}")
        assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text
    refused = world.call("auditor", "GET", "/v1/ledger/populations?cursor=mine")
    assert (refused.status_code, refused.json()["field"]) == (400, "cursor")


def test_its_receipt_verifies_with_the_published_key(world: World, decision: str) -> None:
    vkey = world.ok("auditor", "GET", "/v1/ledger/key")["vkey"]
    receipt = receipt_of(world, "agent", decision)

    assert receipt.headers["content-type"] == "text/plain; charset=utf-8"
    assert verify_text(receipt.text, [Verifier.parse(vkey)]).report.ok
    other = world.ok("other-auditor", "GET", "/v1/ledger/key")["vkey"]
    assert not verify_text(receipt.text, [Verifier.parse(other)]).report.ok


def test_an_open_decision_has_no_receipt(world: World) -> None:
    opened = world.ok("agent", "POST", "/v1/decisions", json=PURPOSE)

    assert world.call("agent", "GET", f"/v1/decisions/{opened['id']}/receipt").status_code == 409


def test_the_log_is_served_as_tiles(world: World, decision: str) -> None:
    size = world.published("auditor")
    checkpoint = world.call("auditor", "GET", "/v1/ledger/checkpoint")
    hashes = world.call("auditor", "GET", f"/v1/ledger/tile/0/000.p/{size}")
    entries = world.call("auditor", "GET", f"/v1/ledger/tile/entries/000.p/{size}")

    assert checkpoint.headers["content-type"] == "text/plain; charset=utf-8"
    assert checkpoint.headers["cache-control"] == "private, max-age=5"
    assert hashes.headers["content-type"] == "application/octet-stream"
    assert "immutable" in hashes.headers["cache-control"]
    # C2SP tlog-tiles: entries are length-prefixed; RFC 6962 §2.1: a leaf's hash is SHA-256 of 0x00 and it.
    first = entries.content[2 : 2 + int.from_bytes(entries.content[:2])]
    assert hashes.content[:32] == hashlib.sha256(b"\x00" + first).digest()
    assert len(hashes.content) == 32 * size
    assert world.call("auditor", "GET", f"/v1/ledger/tile/0/000.p/{size + 200}").status_code == 404


def test_entries_can_be_searched(world: World, decision: str) -> None:
    receipt_of(world, "agent", decision)

    def found(query: str) -> list[dict[str, Any]]:
        return [one["entry"] for one in world.ok("auditor", "GET", f"/v1/ledger/entries?{query}")["items"]]

    assert {one["decision"] for one in found(f"decision={decision}")} == {decision}
    assert {one["kind"] for one in found("kind=decision.seal")} == {"decision.seal"}
    assert {one["principal"] for one in found(f"principal={world.ids['acme-dpo']}")} <= {
        world.ids["acme-dpo"]
    }
    assert found("to=2020-01-01T00:00:00Z") == []
    assert len(found("limit=1")) == 1
    pages, cursor = 0, ""
    while pages == 0 or cursor:
        page = world.ok("auditor", "GET", f"/v1/ledger/entries?limit=3{cursor}")
        cursor = f"&cursor={page['next']}" if page["next"] else ""
        pages += 1
    assert pages > 1


def test_an_erased_person_is_gone_with_a_certificate(world: World) -> None:
    world.put("doomed", "secret", subject="customer:13")
    world.put("spared", "kept", subject="customer:14")
    found = world.ok("dpo", "POST", "/v1/subjects:lookup", json={"ref": "customer:13"})["items"]
    subject = world.ok("dpo", "GET", f"/v1/subjects/{found[0]['id']}")
    assert [one["versions"] for one in subject["held"]] == [1]

    asked = world.call("dpo", "POST", f"/v1/subjects/{subject['id']}:shred")

    assert asked.status_code == 202
    assert world.call("agent", "GET", record("doomed")).status_code == 410
    path = f"/v1/shreds/{asked.json()['shred']}"
    certificate = world.until("dpo", path, lambda shred: "certificate" in shred)["certificate"]
    gone = world.call("agent", "GET", record("doomed"))
    assert (gone.status_code, gone.json()["certificate"]) == (410, certificate)
    by_body = {"scope": SCOPE, "key": "doomed"}
    assert world.call("agent", "POST", "/v1/records:get", json=by_body).status_code == 410
    envelope = world.call("auditor", "GET", f"/v1/certificates/{certificate}").text
    vkey = world.ok("auditor", "GET", "/v1/ledger/key")["vkey"]
    assert verify_text(envelope, [Verifier.parse(vkey)]).report.ok
    papers(world, f"/v1/certificates/{certificate}", envelope, vkey)
    assert world.ok("agent", "GET", record("spared"))["content"] == "kept"


def papers(world: World, path: str, envelope: str, vkey: str) -> None:
    """The same certificate for who would rather read it; JSON for who says nothing, or nothing sensible."""
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for accept in ("*/*", "application/json", "image/png", "text/html;q=inf", "", "text/html;q=0.1, */*"):
        plain = world.call("auditor", "GET", path, headers={"Accept": accept})
        assert (plain.text, plain.headers["vary"]) == (envelope, "accept"), accept
    page = world.call("auditor", "GET", path, headers={"Accept": browser})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == "sandbox"
    assert verify_text(page.text, [Verifier.parse(vkey)]).report.ok
    printed = world.call("dpo", "GET", path, headers={"Accept": "application/pdf"})
    assert printed.headers["content-type"] == "application/pdf"
    assert envelope.encode() in printed.content
    assert world.call("agent", "GET", path, headers={"Accept": browser}).status_code == 403
    register = world.call("auditor", "GET", "/v1/register", headers={"Accept": browser})
    assert "(a) Controller, representative" in register.text


def test_a_repeated_governance_call_is_done_once_and_shows_its_key_once(world: World) -> None:
    body = {"name": "repeated", "kind": "agent", "roles": []}
    once = {"Idempotency-Key": "make-it-once"}
    first = world.ok("admin", "POST", "/v1/principals", json=body, headers=once)

    again = world.ok(
        "admin",
        "POST",
        "/v1/principals",
        content=b'{"kind":"agent", "roles":[],"name":"repeated"}',
        headers=once,
    )

    assert again["id"] == first["id"]
    assert "api_key" not in again
    other = world.call("admin", "POST", "/v1/principals", json={**body, "name": "else"}, headers=once)
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")


def test_principals_are_listed_in_pages_and_keys_can_be_revoked(world: World) -> None:
    names, cursor = set(), ""
    while not names or cursor:
        page = world.ok("admin", "GET", f"/v1/principals?limit=2{cursor}")
        names |= {one["name"] for one in page["items"]}
        cursor = f"&cursor={page['next']}" if page["next"] else ""
    assert {"agent", "lead", "dpo", "auditor", "tenant-admin"} <= names
    lead = f"/v1/principals/{world.ids['acme-lead']}/credentials"
    made = world.ok("admin", "POST", lead)
    world.keys["spare"] = made["api_key"]
    assert world.call("spare", "POST", "/v1/decisions", json=PURPOSE).status_code == 201

    assert world.call("admin", "DELETE", f"{lead}/{made['id']}").status_code == 204

    assert world.call("spare", "POST", "/v1/decisions", json=PURPOSE).status_code == 401
    revoked = [one["id"] for one in world.ok("admin", "GET", lead)["items"] if one["revoked_at"]]
    assert revoked == [made["id"]]


def test_manifests_are_shown_as_declared_and_a_dry_run_changes_nothing(world: World) -> None:
    role = {
        "apiVersion": "tenure/v1",
        "kind": "Role",
        "metadata": {"name": "visitor"},
        "spec": {"description": "x"},
    }

    planned = world.ok("admin", "POST", "/v1/manifests:apply?dry_run=true", json=role)
    assert (planned["dry_run"], planned["changes"][0]["name"]) == (True, "visitor")
    assert world.call("admin", "GET", "/v1/manifests/Role/visitor").status_code == 404

    world.ok("admin", "POST", "/v1/manifests:apply", json=role)
    shown = world.ok("admin", "GET", "/v1/manifests/role/visitor")
    assert (shown["kind"], shown["spec"]["description"]) == ("Role", "x")
    assert "visitor" in {
        one["metadata"]["name"] for one in world.ok("admin", "GET", "/v1/manifests/role")["items"]
    }
