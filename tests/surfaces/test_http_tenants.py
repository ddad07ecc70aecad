"""Offboarding over HTTP: what becomes of the ledger is said in the body, which may be left out."""

from uuid import uuid4

import pytest

from conftest import World
from tenure.client.source import DirSource
from tenure.ledger.audit import audit
from tenure.ledger.note import Verifier


@pytest.mark.parametrize("body", [None, {}, {"ledger": "keep"}, {"ledger": "hand-over"}])
def test_a_tenant_leaves_with_or_without_its_ledger(world: World, body: dict[str, str] | None) -> None:
    made = world.ok("operator", "POST", "/v1/tenants", json={"name": f"leaves-{uuid4().hex[:8]}"})
    world.keys["leaving"] = made["admin_key"]
    world.published("leaving")
    vkey = world.ok("leaving", "GET", "/v1/ledger/key")["vkey"]
    asked = world.ok("operator", "POST", f"/v1/tenants/{made['id']}:shred", json=body)
    done = world.until("operator", f"/v1/shreds/{asked['shred']}", lambda one: "certificate" in one)
    assert done["ledger"] == (body or {}).get("ledger", "keep")
    if done["ledger"] == "hand-over":
        folder = world.data_dir / "objects" / done["handed_over"]
        assert audit(DirSource(folder / "ledger" / "1"), [Verifier.parse(vkey)]).ok


@pytest.mark.parametrize("body", [{"ledger": "burn"}, {"ledger": None}, {"ledgers": "keep"}, [], "keep"])
def test_a_wrong_choice_is_refused_and_nothing_is_done(world: World, body: object) -> None:
    made = world.ok("operator", "POST", "/v1/tenants", json={"name": f"stays-{uuid4().hex[:8]}"})
    answer = world.call("operator", "POST", f"/v1/tenants/{made['id']}:shred", json=body)
    assert answer.status_code == 422
    assert answer.json()["field"]
    world.keys["staying"] = made["admin_key"]
    assert world.call("staying", "GET", "/v1/principals").status_code == 200
