"""Events of people: who may tell of one, what is kept, what it makes of a lifetime, and that it goes."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import text

from support.cell import JOINT, NOTES, SCOPE, SUPPORT, Cell
from support.lived import Undone
from tenure import ids
from tenure.errors import Denied, Erased, Invalid, KeyReused, NotFound
from tenure.governance.service import Once
from tenure.groundwork import ground_of
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.model.lifetime import HOUR_US, Due
from tenure.model.record import Draft, Segment

pytestmark = pytest.mark.anyio
DAY = 24 * HOUR_US
sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])
LEFT = "customer.left"
WHO = "customer:1"


async def declare(cell: Cell, categories: Any = "*", **spec: Any) -> None:
    said = {"scopes": [SCOPE, JOINT, NOTES], "clock": "event", "event": LEFT, "deleteAfter": "30d", **spec}
    rule = {"kind": "Retention", "metadata": {"name": "left"}, "spec": {"categories": categories, **said}}
    await cell.tenure.manifests.apply(
        cell.one["admin"], json.dumps({"apiVersion": "tenure/v1", **rule}), dry_run=False
    )


async def tell(cell: Cell, who: str = WHO, scope: str = SCOPE, event: str = LEFT, **how: Any) -> Any:
    ask = how.pop("ask", None) or cell.one.ask(how.pop("by", "agent"))
    return await cell.tenure.events.post(ask, scope, event, who, **how)


async def gone(cell: Cell, key: str, scope: str = SCOPE) -> Due | None:
    return (await cell.tenure.gateway.retention(cell.one.ask(), scope, key)).lifetime.gone


def told(cell: Cell) -> list[dict[str, Any]]:
    return [one for one in cell.entries() if one["kind"] == "event"]


async def test_the_latest_of_an_event_is_kept_and_starts_the_clock(cell: Cell) -> None:
    await declare(cell)
    await cell.put("k", 1, WHO)
    assert await gone(cell, "k") is None
    early, late = ids.now() - 9 * DAY, ids.now() - DAY
    first = await tell(cell, at=early)
    assert (first["at"], first["changed"]) == (ids.rfc3339(early), True)
    second = await tell(cell, at=late)
    for again in (early, late):
        third = await tell(cell, at=again)
        assert (third["at"], third["changed"]) == (ids.rfc3339(late), False), "it happened later, as is known"
    kept = cell.rows("SELECT at, entry FROM events")
    assert kept == [(late, second["entry"])]
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")  # a tombstone is about nobody
    written = await cell.put("k", 2, WHO)
    assert await gone(cell, "k") == Due(written.created_at + 30 * DAY, "left"), (
        "written after it: from then on"
    )
    now = await tell(cell)
    assert await gone(cell, "k") == Due(ids.parse_rfc3339(now["at"]) + 30 * DAY, "left")
    await cell.put("n", 1, WHO, scope=NOTES)
    assert await gone(cell, "n", NOTES) is None, "it happened elsewhere"


@sqlite
async def test_it_is_on_record_without_the_person(cell: Cell) -> None:
    await declare(cell, ["contact"])
    await cell.put("k", 1, WHO)
    person = await cell.person(WHO)
    answers = [await tell(cell, at=9_000_000), await tell(cell, at=1)]
    entries = {f"{one['writer']}-{one['n']}": one for one in told(cell)}
    done, same = (entries[one["entry"]] for one in answers)
    assert (done["outcome"], same["outcome"], done["purpose"]) == ("ok", "unchanged", SUPPORT)
    assert {**done["data"], "row": ""} == {
        "scope": SCOPE,
        "event": LEFT,
        "categories": ["contact"],
        "row": "",
    }
    assert person not in json.dumps(done)
    assert "row" not in same["data"]
    shown = await cell.tenure.subjects.get(cell.one["dpo"], person)
    assert shown["events"] == [{"scope": SCOPE, "event": LEFT, "at": ids.rfc3339(9_000_000)}]


async def test_what_several_are_about_waits_for_all_of_them(cell: Cell) -> None:
    await declare(cell)
    await cell.put("both", 1, WHO, "customer:2", scope=JOINT)
    parts = (Segment(b"1", (WHO,)), Segment(b"2", ("customer:2",)))
    await cell.tenure.gateway.write(
        cell.one.ask(), NOTES, "parts", Draft(b"", (), ("contact",), segments=parts)
    )
    source = await cell.put("source", 1, WHO, scope=NOTES)
    await cell.put("derived", 1, scope=NOTES, derived_from=(source.version_id,))
    await cell.put("nobody", 1, scope=NOTES)
    for scope in (JOINT, NOTES):
        await tell(cell, scope=scope)
    assert [await gone(cell, key, NOTES) for key in ("parts", "nobody")] == [None, None]
    assert await gone(cell, "both", JOINT) is None
    assert await gone(cell, "derived", NOTES) is not None, "it is about whom its sources are about"
    last = [await tell(cell, "customer:2", scope=scope) for scope in (JOINT, NOTES)]
    due = [await gone(cell, "both", JOINT), await gone(cell, "parts", NOTES)]
    assert due == [Due(ids.parse_rfc3339(one["at"]) + 30 * DAY, "left") for one in last]
    await cell.erase(WHO)
    assert await gone(cell, "both", JOINT) == due[0], "and of who was erased nothing is awaited"


@pytest.mark.parametrize("database_kind", [pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_who_tells_of_the_same_meanwhile_is_waited_for(cell: Cell) -> None:
    """Another process is about to commit a later time: the earlier one must not take its place."""
    await declare(cell)
    await cell.put("k", 1, WHO)
    later = ids.now()
    row = {"t": cell.one.id, "s": await cell.person(WHO), "scope": SCOPE, "name": LEFT, "at": later}
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with cell.raw() as other:
        other.execute(text("SELECT 1 FROM subjects FOR NO KEY UPDATE"))
        other.execute(text("INSERT INTO events VALUES (:t, :s, :scope, :name, :at, 'theirs')"), row)
        telling = asyncio.create_task(tell(cell, at=later - DAY))
        for _ in range(1000):
            if cell.rows(waiting):
                break
            await asyncio.sleep(0.01)
    assert (await telling)["changed"] is False
    assert cell.rows("SELECT at FROM events") == [(later,)]


@sqlite
async def test_who_may_not_write_there_learns_of_nobody(cell: Cell) -> None:
    """The same answer for a known person, an unknown one, and an event that there is not (ADR 3)."""
    await declare(cell, ["contact", "health"])
    await cell.put("k", 1, WHO)
    refused = []
    for who, event in ((WHO, LEFT), ("customer:none", LEFT), (WHO, "customer.lfet")):
        with pytest.raises(Denied) as found:
            await tell(cell, who, event=event, ask=cell.one.ask("marketer", "marketing"))
        refused.append(found.value)
    assert len({(one.detail, one.rules) for one in refused}) == 1
    with pytest.raises(Denied) as narrow:  # the clerk may write contact data, and no health data
        await tell(cell, by="clerk")
    entries = {f"{one['writer']}-{one['n']}": one for one in told(cell)}
    denied = entries[narrow.value.entry or ""]
    assert (denied["outcome"], denied["data"]["action"], denied["data"]["categories"]) == (
        *("denied", "write"),
        ["contact", "health"],
    )
    assert cell.rows("SELECT 1 FROM events") == []
    await declare(cell, ["contact"])
    assert (await tell(cell, by="clerk"))["changed"]


@sqlite
async def test_what_cannot_be_is_refused_and_nothing_is_kept(cell: Cell) -> None:
    await declare(cell, scopes=[SCOPE, "support.joint"])
    await cell.put("k", 1, WHO)
    with pytest.raises(Invalid) as unheard:
        await tell(cell, event="customer.lfet")
    assert (unheard.value.field, "customer.left" in unheard.value.detail) == ("event", True)
    with pytest.raises(Invalid, match="none for this scope"):
        await tell(cell, scope=NOTES)
    for at in (ids.now() + DAY, -1):
        with pytest.raises(Invalid) as when:
            await tell(cell, at=at)
        assert when.value.field == "at"
    with pytest.raises(NotFound) as nobody:
        await tell(cell, "customer:none")
    assert nobody.value.field == "subject"
    with pytest.raises(NotFound):
        await tell(cell, ask=cell.two.ask(), scope="support.none")
    with pytest.raises(Invalid):  # the other tenant has no such rule
        await tell(cell, ask=cell.two.ask())
    assert [one["outcome"] for one in told(cell)] == ["not-found"]
    assert cell.rows("SELECT 1 FROM events") == []


@sqlite
async def test_a_repeated_request_tells_once(cell: Cell) -> None:
    await declare(cell)
    await cell.put("k", 1, WHO)
    first = await tell(cell, once=Once("once", b"it"))
    assert await tell(cell, once=Once("once", b"it")) == first
    with pytest.raises(KeyReused):
        await tell(cell, once=Once("once", b"another"))
    assert [one["outcome"] for one in told(cell)] == ["ok"]


async def test_events_go_with_the_person(cell: Cell) -> None:
    await declare(cell)
    for who in (WHO, "customer:2"):
        await cell.put(f"of {who}", 1, who)
        await tell(cell, who)
    other = await cell.person("customer:2")
    shred = await cell.request(WHO)
    with pytest.raises(Erased):
        await tell(cell)
    await cell.tenure.shredder.run()
    assert cell.rows("SELECT CAST(subject_id AS TEXT) FROM events") == [(other,)]
    state = await cell.erasure(shred)
    certificate = json.loads(await cell.certificate(state["certificate"]))
    assert certificate
    (found,) = cell.rows("SELECT findings FROM shreds")
    assert json.loads(found[0])["remnants"]["events"] == 0
    with pytest.raises(NotFound):
        await tell(cell)


@sqlite
async def test_whoever_edits_what_clocks_count_from_is_found(cell: Cell) -> None:
    await declare(cell)
    used = {"scopes": ["**"], "categories": "*", "clock": "access", "deleteAfter": "9d"}
    rule = {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": "used"}, "spec": used}
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(rule), dry_run=False)
    records = [(await cell.put(f"of {who}", 1, who)).record for who in (WHO, "customer:2")]
    others = [await cell.person("customer:2"), (await tell(cell, "customer:2"))["entry"]]
    await tell(cell)
    await cell.get(f"of {WHO}")
    assert [inspected(cell, name) for name in ("events", "records")] == [[], []]
    mine, here = "WHERE subject_id <> :a", f"WHERE id = '{records[0]}'"
    for table, change, column in (
        ("events", f"at = at - 1 {mine}", ""),
        ("events", f"at = at + 1000000000 {mine}", "at"),
        ("events", f"scope = 'support.notes' {mine}", "scope"),
        ("events", f"name = 'customer.lost' {mine}", "name"),
        ("events", f"entry = :b {mine}", ""),
        ("events", f"subject_id = '{ids.new_id()}' {mine}", "subject_id"),
        ("records", f"accessed_at = accessed_at - 1 {here}", "accessed_at"),
        ("records", f"accessed_at = NULL {here}", "accessed_entry"),
        ("records", f"accessed_entry = NULL {here}", "accessed_entry"),
        ("records", f"accessed_entry = :b {here}", "accessed_entry"),
    ):
        with Undone(cell, table):
            assert cell.change(f"UPDATE {table} SET {change}", a=others[0], b=others[1]) == 1
            assert column in {one.column for one in inspected(cell, table)}, change


def inspected(cell: Cell, table: str) -> list[Finding]:
    ground = ground_of(cell.settings)
    try:
        inspector = Inspector(Anchors(ground), again_s=())
        return [one for step in inspector.table(cell.one.id, table) for one in step.findings]
    finally:
        ground.database.close()
