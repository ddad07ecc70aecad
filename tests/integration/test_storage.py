"""How much is stored: counted once a day by a job, told by scope and tier, and looked at ahead."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, Cell
from tenure import ids
from tenure.errors import Denied, Invalid
from tenure.governance import counting
from tenure.governance.storage import span_of
from tenure.model.apikey import parse_api_key
from tenure.model.layers import DAY_US

pytestmark = pytest.mark.anyio


@pytest.fixture
async def small(embedded: Cell) -> AsyncIterator[Cell]:
    """An opened cell on SQLite only: for what is not in SQL."""
    async with embedded.opened():
        yield embedded


def rule(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"scopes": ["support.**"], "categories": ["contact"], **spec}
    return {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": name}, "spec": spec}


async def count(cell: Cell) -> dict[str, int]:
    return dict((await cell.tenure.jobs.run(cell.operator, "storage"))["counts"])


async def write(cell: Cell) -> None:
    """Two talks and a note in one tenant, a talk in the other."""
    for key in ("a", "b"):
        await cell.put(key, "x" * 100, "customer:1")
    await cell.put("n", 1, scope=NOTES, categories=("travel",))
    await cell.put("a", 1, "customer:1", tenant=cell.two)


def age(cell: Cell, days: int, scope: str = SCOPE) -> None:
    """Versions of a scope were written so many days earlier."""
    cell.change(
        "UPDATE versions SET created_at = created_at - :by WHERE scope = :scope",
        by=days * DAY_US,
        scope=scope,
    )


def stored(cell: Cell, tenant: Any = None) -> int:
    return sum(len(head or b"") + len(content or b"") for _, head, content in cell.stored(tenant).values())


async def test_the_job_counts_each_tenant_once_a_day(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PAGE", 2)
    await write(cell)
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "b")
    await cell.put("gone", 1, "customer:9")
    await cell.erase("customer:9")
    age(cell, 1)
    assert await count(cell) == {"tenants": 2, "versions": 4}
    admin = cell.one["admin"]
    found = await cell.tenure.storage.mine(admin, span_of(None, None))
    rows = {(one["scope"], one["tier"]): (one["versions"], one["bytes"]) for one in found["items"]}
    assert {key: versions for key, (versions, _) in rows.items()} == {(SCOPE, "hot"): 2, (NOTES, "hot"): 1}
    assert sum(size for _, size in rows.values()) == stored(cell) == found["tiers"][2]["bytes"]
    assert [one["tier"] for one in found["tiers"]] == ["archive", "cold", "hot"]
    assert found["tiers"][2]["written_versions"] == 2, "the talks are of yesterday"
    today, day = ids.rfc3339(ids.now())[:10], found["days"][-1]
    assert (day["day"], day["items"]) == (today, found["items"])
    assert len(found["gaps"]) == 29

    # The rest of the day it has nothing to do; what was written since is seen by who counts afresh.
    await cell.put("later", 1, "customer:1")
    assert await count(cell) == {"tenants": 0, "versions": 0}
    assert (await cell.tenure.storage.mine(admin))["tiers"] == found["tiers"]
    fresh = await cell.tenure.storage.mine(admin, afresh=True)
    assert (fresh["tiers"][2]["versions"], fresh["complete"]) == (4, True)

    # The next day it counts again, and the day before stays.
    cell.change(
        "UPDATE storage_layers SET at = at - :by",
        "UPDATE storage_samples SET day = day - 1, at = at - :by",
        by=DAY_US,
    )
    assert (await count(cell))["tenants"] == 2
    days = (await cell.tenure.storage.mine(admin, span_of(None, None)))["days"]
    assert [one["tiers"][2]["versions"] for one in days] == [3, 4]


async def test_the_operator_sees_sums_and_one_tenant_at_a_time(cell: Cell) -> None:
    await write(cell)
    assert (await cell.tenure.storage.mine(cell.operator))["at"] is None
    await count(cell)
    whole = await cell.tenure.storage.mine(cell.operator)
    assert (whole["tiers"][2]["versions"], whole["items"]) == (4, [])
    assert whole["tiers"][2]["bytes"] == stored(cell) + stored(cell, cell.two)
    assert (await cell.tenure.storage.standing())["hot"] == whole["tiers"][2]["bytes"]
    # Killed between the last tenant and the cell: the next run has nobody left, and says the sums.
    cell.change("DELETE FROM storage_samples WHERE CAST(tenant_id AS TEXT) = :cell", cell=ids.CELL)
    assert (await count(cell))["tenants"] == 0
    assert (await cell.tenure.storage.mine(cell.operator))["tiers"] == whole["tiers"]
    with pytest.raises(Invalid):
        await cell.tenure.storage.ahead(cell.operator, 1)
    one = await cell.tenure.storage.of_tenant(cell.operator, cell.two.id)
    assert [(row["scope"], row["versions"]) for row in one["items"]] == [(SCOPE, 1)]
    with pytest.raises(Denied):
        await cell.tenure.storage.of_tenant(cell.one["admin"], cell.two.id)
    with pytest.raises(Denied):
        await cell.tenure.storage.mine(cell.one["agent"])


async def test_prices_are_the_operators_or_there_are_none(embedded: Cell) -> None:
    table = json.dumps({"currency": "EUR", "tiers": {"hot": {"gb_month": 73000000}}})
    async with embedded.opened(prices=table) as tenure:
        await embedded.put("a", 1, "customer:1")
        found = await tenure.storage.mine(embedded.one["dpo"], span_of(None, None), afresh=True)
        size = stored(embedded)
        assert found["tiers"][2]["month"] == f"{size * 0.073:.6f}"
        assert "month" not in found["tiers"][0]
        ahead = await tenure.storage.ahead(embedded.one["dpo"], 1)
        # Tomorrow there is twice as much; a byte costs 0.0024 a day.
        assert ahead["current"]["cost"] == f"{2 * size * 0.0024:.6f}"
        assert ahead["prices"]["currency"] == "EUR"
    async with embedded.opened() as tenure:
        bare = await tenure.storage.mine(embedded.one["dpo"], afresh=True)
    assert "month" not in bare["tiers"][2]
    assert "TENURE_PRICES" in bare["notes"][0]


async def test_ahead_under_todays_rules_and_proposed_ones(small: Cell) -> None:
    cell = small
    await write(cell)
    age(cell, 1)
    size = stored(cell)
    text = json.dumps([rule("short", categories="*", deleteAfter="3d")])
    found = await cell.tenure.storage.ahead(cell.one["admin"], 10, text)
    now, other = found["current"]["points"], found["proposed"]["points"]
    assert (now[0]["hot"], other[0]["hot"]) == (size, size)
    assert now[10]["hot"] > 3 * other[10]["hot"] > 0
    assert [one["hot"] for one in other[4:]] == [other[10]["hot"]] * 7
    with pytest.raises(Denied):
        await cell.tenure.storage.ahead(cell.one["dpo"], 10, text)


async def test_a_preview_says_what_would_go_and_changes_nothing(cell: Cell) -> None:
    await write(cell)
    age(cell, 40)
    await cell.tenure.holds.place(cell.one["dpo"], "scope", SCOPE, "a case")
    admin = cell.one["admin"]
    before = cell.stored()
    rules = [rule("short", hotFor="10d", coldFor="20d", deleteAfter="30d"), rule("all", deleteAfter="60d")]
    found = await cell.tenure.previewing.preview(admin, json.dumps(rules), 24 * 30)
    [move] = found["moves"]
    assert {name: move[name] for name in ("scope", "categories", "rule", "from", "to")} == {
        "scope": SCOPE,
        "categories": ["contact"],
        "rule": "short",
        "from": "hot",
        "to": "gone",
    }
    assert move["now"] == move["later"] == {"versions": 2, "bytes": found["touched"]["bytes"]}
    assert found["holds"] == 1
    assert "Holds are active (1)" in found["notes"][0]
    assert [one["change"] for one in found["changes"]] == ["created", "created"]
    assert cell.stored() == before
    assert await cell.tenure.manifests.every(admin, "Retention") == []
    assert [one["data"]["bundle"] for one in cell.entries() if one["kind"] == "retention.preview"] == [
        found["policy"]
    ]


async def test_a_preview_wants_what_an_apply_wants(small: Cell) -> None:
    cell = small
    wrong = json.dumps([rule("short", deleteAfter="1 month")])
    with pytest.raises(Invalid) as refused:
        await cell.tenure.previewing.preview(cell.one["admin"], wrong)
    assert refused.value.field == "manifests[0].spec.deleteAfter"
    role = {
        "apiVersion": "tenure/v1",
        "kind": "Role",
        "metadata": {"name": "x"},
        "spec": {"description": "x"},
    }
    with pytest.raises(Invalid) as refused:
        await cell.tenure.previewing.preview(cell.one["admin"], json.dumps(role))
    assert refused.value.field == "Role/x"
    with pytest.raises(Denied):
        await cell.tenure.previewing.preview(cell.one["dpo"], json.dumps(rule("short", deleteAfter="1d")))
    assert not [one for one in cell.entries() if one["kind"] == "retention.preview"]


async def test_a_large_tenant_is_told_from_the_last_count(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "AT_ONCE", 2)
    monkeypatch.setattr(counting, "PAGE", 1)
    text = json.dumps(rule("short", deleteAfter="1d"))
    async with embedded.opened() as tenure:
        for n in range(3):
            await embedded.put(f"k{n}", 1, "customer:1")
        partial = await tenure.previewing.preview(embedded.one["admin"], text)
        assert (partial["complete"], partial["touched"]["versions"]) == (False, 2)
        await count(embedded)
        await embedded.put("k3", 1, "customer:1")
        whole = await tenure.previewing.preview(embedded.one["admin"], text)
        assert (whole["complete"], whole["touched"]["versions"]) == (True, 3)


async def test_who_leaves_leaves_no_count_behind(embedded: Cell) -> None:
    async with embedded.opened() as tenure:
        await write(embedded)
        await count(embedded)
        await tenure.tenants.shred(embedded.operator, embedded.one.id)
        await tenure.shredder.run()
        for table in ("storage_samples", "storage_layers"):
            left = embedded.rows(f"SELECT DISTINCT CAST(tenant_id AS TEXT) FROM {table}")
            assert (embedded.one.id,) not in left
            assert (embedded.two.id,) in left


@pytest.mark.parametrize(
    "prices", ['{"currency": "EUR", "tiers": {"warm": {}}}', "/nowhere/prices.json", "{"]
)
async def test_wrong_prices_open_nothing(embedded: Cell, prices: str) -> None:
    with pytest.raises(Invalid) as refused:
        async with embedded.opened(prices=prices):
            pass
    assert refused.value.field == "TENURE_PRICES"
    async with embedded.opened():
        assert parse_api_key(embedded.operator_key)
