"""What has had its time is shredded with its cohort: on both databases, by the rules of the day it goes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from test_retention import declare, rule

from support.attic import Attic
from support.cell import JOINT, NOTES, SCOPE, Cell
from support.databases import DATABASES
from support.erasure import assert_certified
from support.oracle import Oracle
from support.tiering import objects, tier
from support.travel import Travel
from tenure import ids
from tenure.errors import Erased, Unavailable
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.jobs.evict import Evict
from tenure.jobs.job import Run
from tenure.ledger.certificate import verify_certificate
from tenure.model.record import Draft, Segment
from tenure.store import clock

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Travel]:
    return Travel.begun(monkeypatch)


async def evicted(cell: Cell) -> dict[str, int]:
    """Look what is over, and see it through."""
    tenure = cell.tenure
    found = await Evict(tenure.batcher, tenure._database, lambda: None).run(Run("evict"))
    await tenure.shredder.run()
    return found


async def findings(cell: Cell) -> list[Any]:
    """What an inspection of both tenants finds, once their logs are published."""
    for tenant in (cell.one, cell.two):
        await cell.tenure.sequencer.run(tenant.id)
    inspector = Inspector(Anchors(cell.tenure.shredder._ground), again_s=())
    return [
        one
        for tenant in (cell.one, cell.two)
        for step in inspector.tenant(tenant.id)
        for one in step.findings
    ]


async def gone(cell: Cell, key: str, **which: Any) -> Erased:
    with pytest.raises(Erased) as erased:
        await cell.get(key, **which)
    return erased.value


@pytest.mark.databases(*DATABASES)
async def test_what_has_had_its_time_is_shredded_and_the_rest_stays(cell: Cell, travel: Travel) -> None:
    await declare(cell, rule("talks", categories=["contact"], deleteAfter="10d"))
    old = await cell.put("talk", "the first", "customer:1")
    await cell.put("health", "the illness", "customer:1", categories=("health",))
    await cell.put("theirs", 1, "customer:1", tenant=cell.two)
    travel.on(days=9)
    assert await evicted(cell) == {"cohorts": 0, "versions": 0}
    await cell.put("talk", "the second", "customer:1")
    travel.on(days=2)
    assert await evicted(cell) == {"cohorts": 1, "versions": 1}
    error = await gone(cell, "talk", version=old.version)
    assert "had its time" in error.detail
    assert await cell.value("talk") == "the second", "what was written later has time left"
    assert await cell.value("health") == "the illness"
    assert await cell.value("theirs", tenant=cell.two) == 1
    assert cell.stored()[old.record, 1] == (None, None, None)
    state = await cell.erasure(error.shred or "")
    await assert_certified(cell, state)
    said = json.loads(await cell.certificate(state["certificate"]))
    assert said["payloadType"].endswith("erasure-certificate+json")
    report = verify_certificate(await cell.certificate(state["certificate"]), [await cell.verifier()])
    assert report.certificate["retention"]["rule"] == "talks"
    assert "data subject" not in report.certificate["proves"][0]
    (entry,) = [one for one in cell.entries() if one["kind"] == "retention.evict"]
    assert entry["data"]["versions"] == 1
    assert entry["data"]["shred"] == state["shred"]
    assert (await cell.audited()).ok
    await cell.put("talk", "the third", "customer:1")
    travel.on(days=11)
    assert (await evicted(cell))["versions"] == 2
    assert (await evicted(cell))["cohorts"] == 0, "once"
    assert await cell.erase("customer:1"), "what went before does not stand in the way of a person's erasure"
    assert await findings(cell) == []


async def test_no_old_copy_gives_it_back(place: Cell, travel: Travel) -> None:
    kept = Attic()
    keys = place.settings.root_dir / "keys"

    def opens() -> set[bytes]:
        return Oracle(kept, keys).reads("content")

    async with place.opened():
        await declare(place, rule("talks", categories=["contact"], deleteAfter="10d"))
        await place.put("talk", "had its time", "customer:1")
        await place.put("note", "so had this", scope=NOTES)
        await place.put("health", "stays", "customer:1", categories=("health",))
        kept.keep(place)
        assert json.dumps({"v": "had its time"}).encode() in opens(), "the control"
        travel.on(days=12)
        assert (await evicted(place))["versions"] == 2
        kept.keep(place)
    assert opens() == {json.dumps({"v": "stays"}).encode()}


async def test_floors_keep_and_what_a_hold_covers_is_kept_unreadable(cell: Cell, travel: Travel) -> None:
    await declare(
        cell,
        rule("all", deleteAfter="10d"),
        rule("law", categories=["health"], floor="100d", ground="§ 630f BGB"),
    )
    held = await cell.put("held", "for the court", "customer:1")
    await cell.put("free", "goes", "customer:2")
    await cell.put("floor", "by law", "customer:1", categories=("health",))
    parts = (Segment(b'"hers"', ("customer:1",)), Segment(b'"his"', ("customer:2",)))
    draft = Draft(b"", (), ("contact",), segments=parts)
    chat = await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "chat", draft)
    person = await cell.person("customer:1")
    hold = (await cell.tenure.holds.place(cell.one["dpo"], "subject", person, "case 7"))["id"]
    travel.on(days=12)
    assert (await evicted(cell))["versions"] == 3
    for key in ("held", "free", "chat"):
        await gone(cell, key)
    assert await cell.value("floor") == "by law"
    kept = cell.stored()
    assert kept[held.record, 1][2] is not None
    assert kept[chat.record, 1][2] is not None
    assert (await cell.tenure.holds.get(cell.one["dpo"], hold))["versions"] == 2
    released = await cell.tenure.holds.release(cell.one["dpo"], hold)
    await cell.tenure.shredder.run()
    await assert_certified(cell, await cell.erasure(released["shred"]))
    assert cell.stored()[held.record, 1] == (None, None, None)
    assert cell.stored()[chat.record, 1] == (None, None, None)
    travel.on(days=100)
    assert (await evicted(cell))["versions"] == 1, "a floor that has passed keeps nothing"


@pytest.mark.databases(*DATABASES)
async def test_its_own_end_and_what_was_derived(cell: Cell, travel: Travel) -> None:
    """`expires_at` is an end as any rule's; what was made from it has a time of its own."""
    soon = ids.now() + 3 * 24 * 3_600_000_000
    source = await cell.put("source", "short", "customer:1", expires_at=soon)
    await cell.put("made", "from it", scope=NOTES, derived_from=(source.version_id,))
    await cell.put("joint", "all of them", "customer:1", "customer:2", scope=JOINT, expires_at=soon)
    travel.on(days=3, hours=2)
    assert (await evicted(cell))["versions"] == 2
    assert await cell.value("made", scope=NOTES) == "from it"
    with pytest.raises(Erased, match="had its time"):
        await cell.put("late", "from what is gone", scope=NOTES, derived_from=(source.version_id,))
    await cell.erase("customer:1")
    await gone(cell, "made", scope=NOTES)


@pytest.mark.databases(*DATABASES)
async def test_between_the_request_and_the_batch_nobody_reads_it(cell: Cell, travel: Travel) -> None:
    await declare(cell, rule("all", deleteAfter="10d"))
    source = await cell.put("k", "going", "customer:1")
    travel.on(days=12)
    tenure = cell.tenure
    asked: list[bool] = []
    await Evict(tenure.batcher, tenure._database, lambda: asked.append(True)).run(Run("evict"))
    assert asked, "the next batch is woken"
    error = await gone(cell, "k")
    assert error.shred
    assert error.certificate is None
    with pytest.raises(Erased):
        await cell.put("late", "from what is going", scope=NOTES, derived_from=(source.version_id,))
    await tenure.shredder.run()
    assert (await gone(cell, "k")).certificate


async def test_a_tenant_that_fails_keeps_no_other_from_it(cell: Cell, travel: Travel) -> None:
    for tenant in (cell.one, cell.two):
        await cell.tenure.manifests.apply(
            tenant["admin"], json.dumps(rule("all", deleteAfter="10d")), dry_run=False
        )
        await cell.put("k", "going", "customer:1", tenant=tenant)
    cell.change("UPDATE cohorts SET anchor = '[]' WHERE CAST(tenant_id AS TEXT) = :t", t=cell.one.id)
    travel.on(days=12)
    with pytest.raises(Exception, match=r"."):
        await evicted(cell)
    await cell.tenure.shredder.run()
    await gone(cell, "k", tenant=cell.two)
    assert await cell.value("k") == "going"


async def test_a_process_whose_clock_is_off_ends_nothing(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    if cell.dialect == "sqlite":
        pytest.skip("its database has no clock of its own")
    await declare(cell, rule("all", deleteAfter="1h"))
    await cell.put("k", "stays", "customer:1")
    there = clock.read
    Travel.begun(monkeypatch).on(days=30)
    monkeypatch.setattr(clock, "read", there)
    with pytest.raises(Unavailable, match="off the database's"):
        await evicted(cell)
    assert await cell.value("k") == "stays"


@pytest.mark.databases(*DATABASES)
async def test_what_counts_from_an_event_goes_by_itself(cell: Cell, travel: Travel) -> None:
    left = rule("left", clock="event", event="customer.left", deleteAfter="10d")
    await declare(cell, left, rule("used", categories=["travel"], clock="access", deleteAfter="20d"))
    for name in ("goes", "stays"):
        await cell.put(name, name, f"customer:{name}")
        await cell.put(f"trip-{name}", name, f"customer:{name}", categories=("travel",))
    travel.on(days=1)
    await cell.tenure.events.post(cell.one.ask(), SCOPE, "customer.left", "customer:goes")
    travel.on(days=9)
    assert (await evicted(cell))["versions"] == 0
    await cell.get("trip-stays")
    travel.on(days=2)
    assert (await evicted(cell))["versions"] == 2
    for key in ("goes", "trip-goes"):
        await gone(cell, key)
    assert await cell.value("stays") == "stays", "nothing happened to them"
    travel.on(days=12)
    assert (await evicted(cell))["versions"] == 0, "it was read not so long ago"
    travel.on(days=9)
    assert (await evicted(cell))["versions"] == 1
    await gone(cell, "trip-stays")
    assert await cell.value("stays") == "stays"
    assert await findings(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_what_lies_in_a_pack_goes_like_anything_else(cell: Cell, travel: Travel) -> None:
    await declare(cell, rule("talks", hotFor="1d", coldFor="9d", deleteAfter="10d"))
    held = await cell.put("held", "for the court", "customer:1")
    await cell.put("goes", "its time comes", "customer:2")
    hold = await cell.tenure.holds.place(cell.one["dpo"], "record", held.record, "case 7")
    travel.on(days=2)
    assert (await tier(cell.tenure))["versions"] == 2
    before = {path: path.read_bytes() for path in objects(cell)}
    assert before
    assert await cell.value("goes") == "its time comes"
    travel.on(days=10)
    assert (await evicted(cell))["versions"] == 2
    for key in ("held", "goes"):
        assert (await gone(cell, key)).certificate
    assert {path: path.read_bytes() for path in objects(cell)} == before, "no pack is touched for it"
    await tier(cell.tenure)
    assert len(objects(cell)) == 1, "what is held keeps its pack; the other one is empty"
    assert await findings(cell) == []
    released = await cell.tenure.holds.release(cell.one["dpo"], hold["id"])
    await cell.tenure.shredder.run()
    await assert_certified(cell, await cell.erasure(released["shred"]))
    await tier(cell.tenure)
    assert objects(cell) == []
    assert await findings(cell) == []
