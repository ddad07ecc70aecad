"""The last access to a record: kept by reads that hand out content, where a rule counts from it; daily."""

import json
from typing import Any

import pytest

from support.cell import JOINT, NOTES, SCOPE, Cell
from support.databases import DATABASES
from tenure import clocks, ids
from tenure.listing import Query
from tenure.model.lifetime import Due
from tenure.store import records

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
DAY = clocks.DAY_US


async def declare(cell: Cell, name: str = "used", **spec: Any) -> None:
    said = {
        "scopes": [SCOPE, JOINT],
        "categories": ["contact"],
        "clock": "access",
        "deleteAfter": "30d",
        **spec,
    }
    rule = {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": name}, "spec": said}
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(rule), dry_run=False)


def kept(cell: Cell, record: str) -> tuple[int | None, str | None]:
    ((at, entry),) = cell.rows(
        "SELECT accessed_at, accessed_entry FROM records WHERE CAST(id AS TEXT) = :r", r=record
    )
    return at, entry


def age(cell: Cell, by: int) -> None:
    """As if so much time had passed since what is kept, and since the rules were applied."""
    cell.change(
        "UPDATE manifests SET applied_at = applied_at - :b",
        "UPDATE tenant_state SET policy_epoch = policy_epoch + 1",
        "UPDATE records SET accessed_at = accessed_at - :b",
        b=by,
    )


async def end(cell: Cell, key: str, **which: Any) -> Due | None:
    return (await cell.tenure.gateway.retention(cell.one.ask(), SCOPE, key, **which)).lifetime.gone


@pytest.mark.databases(*DATABASES)
async def test_a_read_is_kept_once_a_day_and_puts_the_end_off(cell: Cell) -> None:
    await declare(cell)
    age(cell, 40 * DAY)
    written = await cell.put("k", 1, "customer:1")
    assert await end(cell, "k") == Due(written.created_at + 30 * DAY, "used")
    await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query())
    await cell.tenure.gateway.history(cell.one.ask(), SCOPE, "k")
    assert kept(cell, written.record) == (None, None), "told of, and not handed out"
    read = await cell.get("k")
    at, entry = kept(cell, written.record)
    assert at is not None
    assert (entry, ids.now() - at < DAY) == (read.entry, True)
    assert await end(cell, "k") == Due(at + 31 * DAY, "used"), "a day later than it says: the day it may lack"
    age(cell, DAY // 2)
    before = kept(cell, written.record)
    await cell.get("k")
    assert kept(cell, written.record) == before, "once a day"
    age(cell, DAY)
    page = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(include_content=True))
    assert kept(cell, written.record)[1] == page.entry
    age(cell, 2 * DAY)
    await cell.put("k", 2, "customer:1")
    old = await cell.get("k", version=1)
    assert kept(cell, written.record)[1] == old.entry, "of any version"


async def test_nothing_is_kept_where_no_rule_counts_from_it(cell: Cell) -> None:
    await declare(cell)
    other = await cell.put("n", 1, scope=NOTES)
    health = await cell.put("h", 1, "customer:1", categories=("health",))
    for key, scope in (("n", NOTES), ("h", SCOPE)):
        await cell.get(key, scope=scope)
    assert [kept(cell, one.record) for one in (other, health)] == [(None, None)] * 2


async def test_of_what_was_before_only_that_is_known(cell: Cell) -> None:
    """A rule by access counts from when it was applied, for all that was not read since."""
    written = await cell.put("k", 1, "customer:1")
    await cell.get("k")
    assert kept(cell, written.record) == (None, None)
    await declare(cell)
    assert await end(cell, "k") == Due(applied(cell) + 31 * DAY, "used")
    age(cell, 5 * DAY)
    await cell.get("k")
    # While the rule was away nobody kept anything: what is kept is no more than what is not.
    age(cell, 20 * DAY)
    await declare(cell, deleteAfter="60d")
    assert await end(cell, "k") == Due(applied(cell) + 61 * DAY, "used")
    # A database that is upgraded, or was put back, has forgotten what was read until then.
    age(cell, 20 * DAY)
    at = ids.now()
    cell.change("UPDATE tenant_state SET access_since = :at, policy_epoch = policy_epoch + 1", at=at)
    assert await end(cell, "k") == Due(at + 61 * DAY, "used")


def applied(cell: Cell) -> int:
    """When the rule was applied."""
    return int(cell.rows("SELECT applied_at FROM manifests WHERE name = 'used'")[0][0])


@pytest.mark.databases(*DATABASES)
async def test_each_of_many_has_clocks_of_its_own(cell: Cell) -> None:
    await declare(cell)
    await declare(cell, "left", clock="event", event="left")
    for n in range(3):
        await cell.put(f"k{n}", 1, f"customer:{n}")
    await cell.tenure.events.post(cell.one.ask(), SCOPE, "left", "customer:1", 7_000_000)
    read = await cell.get("k2")

    def look(desk: Any) -> Any:
        versions = [records.StoredVersion(*row) for row in desk.tx.execute(records.every(desk.tx))]
        return versions, clocks.clocks_of(desk.tx, desk.tenancy.policy.rulebook, versions)

    versions, found = await cell.tenure.subjects._service.inside(cell.one.id, look)
    assert len(found) == 3
    assert sorted(len(one.events) for one in found.values()) == [0, 0, 1]
    for one in versions:
        assert found[one.place].written == one.created_at
        since = one.accessed_at if one.record_id == read.record else applied(cell)
        assert found[one.place].accessed == (since or 0) + DAY
