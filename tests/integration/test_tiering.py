"""Contents move from the database to packs when their rules say so, and read as before from there."""

import json
from base64 import b64decode
from typing import Any

import pytest

from support.cell import SCOPE, Cell
from support.tiering import Later, declare, hot, moody, objects, packed, rule, stocked, tier
from tenure.decisions import Opening
from tenure.errors import Erased
from tenure.listing import Query
from tenure.model.record import Draft, Segment

pytestmark = pytest.mark.anyio


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


async def test_what_is_due_goes_to_a_pack_and_reads_as_before(cell: Cell, later: Later) -> None:
    await stocked(cell)
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening("customer-support"))
    bound = cell.one.ask(decision=decision["id"])
    before = await cell.get("k1", ask=bound)
    assert (before.tier, await tier(cell.tenure)) == (
        "hot",
        {"packs": 0, "versions": 0, "bytes": 0, "removed": 0, "kept": 0, "compacted": 0},
    ), "an hour is not a day"
    later(25)
    moved = await tier(cell.tenure)
    assert (moved["packs"], moved["versions"], hot(cell)) == (1, 3, 0)
    assert [path.parent.name for path in objects(cell)] == [cell.one.id]
    after = await cell.get("k1", ask=bound)
    assert (after.content, after.subjects, after.tier) == (before.content, before.subjects, "cold")
    assert (await cell.get("k1", version=1)).content == before.content
    told = await cell.tenure.decisions.context(cell.one.ask(), decision["id"])
    assert [(one["state"], one["content"]) for one in told["items"]] == [("live", {"v": 1})] * 2, (
        "the commitment of the first access, made from the row, holds for what the pack has"
    )
    listed = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(include_content=True, limit=2))
    assert [one.tier for one in listed.items] == ["cold", "cold"]
    assert listed.next is not None
    rest = await cell.tenure.gateway.query(
        cell.one.ask(), SCOPE, Query(include_content=True, limit=2, cursor=listed.next)
    )
    values = [json.loads(one.content or b"")["v"] for one in (*listed.items, *rest.items)]
    assert (sorted(values), rest.next) == ([0, 1, 2], None)
    assert (await tier(cell.tenure))["packs"] == 0
    moves = [one for one in cell.entries() if one["kind"] == "tier.move"]
    assert [(one["outcome"], one["data"]["class"], one["data"]["versions"]) for one in moves] == [
        ("ok", "a30-x99", 3)
    ]
    assert (await cell.audited()).ok


async def test_a_record_goes_on_while_its_past_is_cold(cell: Cell, later: Later) -> None:
    await stocked(cell, 1)
    later(25)
    await tier(cell.tenure)
    await cell.put("k0", "new", "customer:0")
    assert (await cell.get("k0")).tier == "hot"
    old = await cell.get("k0", version=1)
    assert (old.tier, json.loads(old.content or b"")) == ("cold", {"v": 0})
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k0")
    assert (await cell.get("k0", version=1)).tier == "cold"


async def test_one_of_a_pack_is_erased_without_touching_it(cell: Cell, later: Later) -> None:
    await stocked(cell)
    usage = "SELECT sum(versions), sum(bytes) FROM usage"
    before = cell.rows(usage)[0]
    later(25)
    await tier(cell.tenure)
    (path,) = objects(cell)
    content, stamp = path.read_bytes(), path.stat().st_mtime_ns
    store = moody(cell.tenure)
    state = await cell.erase("customer:1")
    assert state["state"] == "completed"
    assert not store.calls, "no object is read, written or listed for an erasure"
    said = peek(await cell.certificate(state["certificate"]))["stores"]["objects"]
    assert "ciphertext of 1 of the versions" in said, "a certificate says what is still there"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, stamp)
    with pytest.raises(Erased):
        await cell.get("k1")
    assert await cell.value("k2") == 2
    assert list(packed(cell).values()) == [(2, "stored")]
    after = cell.rows(usage)[0]
    assert (before[0], after[0]) == (3, 2), "what lies in packs is counted as what is stored"
    for n in (0, 2):
        await cell.erase(f"customer:{n}")
    assert cell.rows(usage)[0] == (0, 0)
    assert (await tier(cell.tenure))["removed"] == 1
    assert (objects(cell), packed(cell)) == ([], {}), "of a pack that nobody is in any more nothing stays"


def peek(envelope: str) -> dict[str, Any]:
    """What a certificate says."""
    return json.loads(b64decode(json.loads(envelope)["payload"]))  # type: ignore[no-any-return]


async def test_segments_leave_their_contents_behind_and_keep_their_headers(cell: Cell, later: Later) -> None:
    await declare(cell, rule("talks", hotFor="1d", deleteAfter="30d"))
    parts = tuple(Segment(json.dumps({"v": n}).encode(), (f"customer:{n}",)) for n in range(3))
    await cell.tenure.gateway.write(
        cell.one.ask(), SCOPE, "seg", Draft(b"", (), ("contact",), segments=parts)
    )
    before = await cell.get("seg")
    later(25)
    held = await cell.tenure.holds.place(
        cell.one["dpo"], "subject", await cell.person("customer:2"), "a case"
    )
    assert (await tier(cell.tenure))["versions"] == 1
    listed = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query())
    assert set(listed.items[0].subjects) == {"customer:0", "customer:1", "customer:2"}
    cold = await cell.get("seg")
    assert [one.content for one in cold.segments] == [one.content for one in before.segments]
    for n in (1, 2):
        await cell.erase(f"customer:{n}")
    left = (await cell.get("seg")).segments
    assert [(one.erased, one.content) for one in left] == [
        (False, before.segments[0].content),
        (True, None),
        (True, None),
    ]
    await cell.tenure.holds.release(cell.one["dpo"], held["id"])
    await cell.tenure.shredder.run()
    assert (await cell.get("seg")).segments[0].content == before.segments[0].content


async def test_a_mostly_dead_pack_is_made_anew_and_stays_a_day_for_backups(cell: Cell, later: Later) -> None:
    await stocked(cell, 4)
    later(25)
    await tier(cell.tenure)
    (old,) = objects(cell)
    usage = "SELECT sum(versions), sum(bytes) FROM usage"
    for n in (0, 1, 3):
        await cell.erase(f"customer:{n}")
    before, stored = await cell.get("k2"), cell.rows(usage)
    later(0)
    moved = await tier(cell.tenure)
    assert (moved["compacted"], moved["removed"], len(objects(cell))) == (1, 0, 2)
    assert packed(cell)[old.name] == (0, "replaced")
    new = next(path for path in objects(cell) if path != old)
    assert new.stat().st_size < old.stat().st_size / 2
    old.rename(old.with_suffix(".away"))
    after = await cell.get("k2")
    assert (after.content, after.tier, cell.rows(usage)) == (before.content, "cold", stored)
    old.with_suffix(".away").rename(old)
    assert (await tier(cell.tenure))["removed"] == 0
    later(25)
    moved = await tier(cell.tenure)
    assert (moved["compacted"], moved["removed"], objects(cell)) == (0, 1, [new])
    assert await cell.value("k2") == 2
