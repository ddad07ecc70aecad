"""What was asked of the object store is counted by tenant, kept once, and told with its price."""

import json
from typing import Any

import pytest

from support.cell import Cell, Tenant
from support.tiering import Later, stocked, tier
from tenure import ids
from tenure.errors import Unavailable
from tenure.governance.storage import span_of
from tenure.model.layers import DAY_US
from tenure.store import requests

pytestmark = pytest.mark.anyio

PRICES = {
    "currency": "EUR",
    "tiers": {"cold": {"puts_1000": "5", "gets_1000": "0.4"}, "archive": {"gb_month": "1"}},
}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


async def kept(cell: Cell) -> dict[str, int]:
    """How many tenants and requests were written down now."""
    return dict((await cell.tenure.jobs.run(cell.operator, "requests"))["counts"])


async def asked(cell: Cell, tenant: Tenant | None = None) -> dict[str, dict[str, Any]]:
    """Tier → its row."""
    found = await cell.tenure.storage.mine((tenant or cell.one)["admin"])
    return {one.pop("tier"): one for one in found["requests"]["tiers"]}


async def test_requests_are_counted_where_they_are_made_and_kept_once(
    cell: Cell, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stocked(cell)
    later(25)
    size = (await tier(cell.tenure))["bytes"]
    await cell.put("warm", 1, "customer:9")
    assert await cell.value("warm") == 1
    assert await asked(cell) == {}, "nothing is written down by whoever reads"
    assert await kept(cell) == {"tenants": 1, "requests": 2}
    put = {"puts": 1, "gets": 1, "restores": 0, "retrieved": size}
    assert await asked(cell) == {"cold": put}, "put and read back; what is hot asks for nothing"
    assert await cell.value("k0") == 0
    assert await cell.value("k1") == 1

    # It cannot be written down: it is counted on, and nothing twice.
    with monkeypatch.context() as patch:
        patch.setattr(requests, "add", fails)
        ran = await cell.tenure.jobs.run(cell.operator, "requests")
        assert ran["outcome"] == "failed"
    await cell.value("k2")
    assert await kept(cell) == {"tenants": 1, "requests": 3}
    assert await kept(cell) == {"tenants": 0, "requests": 0}
    row = (await asked(cell))["cold"]
    assert (row["puts"], row["gets"]) == (1, 4)
    assert size < row["retrieved"] < 2 * size
    assert await asked(cell, cell.two) == {}

    # The operator sees all tenants together, and one; day by day they are where bytes are.
    whole = (await cell.tenure.storage.mine(cell.operator))["requests"]
    assert whole["tiers"] == [{"tier": "cold", **row}]
    assert (await cell.tenure.storage.of_tenant(cell.operator, cell.one.id))["requests"] == whole
    await cell.tenure.jobs.run(cell.operator, "storage")
    (day,) = (await cell.tenure.storage.mine(cell.one["dpo"], span_of(None, None)))["days"]
    assert day["requests"] == whole["tiers"]
    cell.change("UPDATE object_requests SET day = day - 29")
    assert await asked(cell) == {"cold": row}
    cell.change("UPDATE object_requests SET day = day - 1")
    assert await asked(cell) == {}, "of the last thirty days"

    # Who leaves leaves no count behind, and what was counted of them meanwhile goes nowhere.
    await cell.value("k0")
    await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    await cell.tenure.shredder.run()
    await kept(cell)
    left = cell.rows("SELECT DISTINCT CAST(tenant_id AS TEXT) FROM object_requests")
    assert left == [(ids.CELL,)]


def fails(*_: object) -> None:
    raise Unavailable("The database is away.")


async def test_the_end_of_a_process_writes_down_and_old_days_go(embedded: Cell, later: Later) -> None:
    async with embedded.opened():
        await stocked(embedded)
        later(25)
        await tier(embedded.tenure)
    embedded.change("UPDATE object_requests SET day = day - 2000")
    async with embedded.opened(prices=json.dumps(PRICES)) as tenure:
        assert await embedded.value("k0") == 0
        assert await kept(embedded) == {"tenants": 1, "requests": 1}
        row = (await asked(embedded))["cold"]
        assert (row["gets"], row["cost"]) == (1, "0.000400"), "by prices that are there, of that alone"
        ahead = await tenure.storage.ahead(embedded.one["dpo"], 1)
        assert ahead["requests"]["tiers"] == [{"tier": "cold", **row}]
        today = ids.now() // DAY_US
        days = "SELECT DISTINCT day FROM object_requests WHERE CAST(tenant_id AS TEXT) = :t"
        assert sorted(embedded.rows(days, t=embedded.one.id)) == [(today - 2000,), (today,)]
        await tenure.jobs.run(embedded.operator, "storage")
        assert embedded.rows(days, t=embedded.one.id) == [(today,)]


async def test_where_nothing_is_counted_nothing_is_kept(embedded: Cell, later: Later) -> None:
    async with embedded.opened(storage_interval_s=0):
        await stocked(embedded)
        later(25)
        await tier(embedded.tenure)
    assert embedded.rows("SELECT * FROM object_requests") == []
