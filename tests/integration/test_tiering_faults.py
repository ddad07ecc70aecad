"""Whatever fails while contents move: nothing is lost, nothing is twice, and nobody else waits for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.cell import SCOPE, Cell
from support.moody import Method, Mood, Moody
from support.tiering import Later, declare, hot, moody, objects, packed, rule, stocked, tier
from tenure.errors import Denied, Tampered, TenureError, Unavailable
from tenure.governance import tiering
from tenure.jobs.job import GivenUp, Run
from tenure.model.record import Draft, Segment
from tenure.store import packs
from tenure.store.session import Tx

pytestmark = pytest.mark.anyio


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


@pytest.fixture
async def cell(embedded: Cell) -> AsyncIterator[Cell]:
    """On SQLite: what can go wrong here is not the database's."""
    async with embedded.opened():
        yield embedded


async def whole(cell: Cell, count: int = 3) -> bool:
    """Every record reads as it was written."""
    return [await cell.value(f"k{n}") for n in range(count)] == list(range(count))


def accesses(cell: Cell) -> int:
    return sum(one["kind"] == "access" for one in cell.entries())


@pytest.mark.parametrize(
    ("method", "mood"),
    [
        ("keep", "before"),
        ("keep", "after"),
        ("keep", "truncated"),
        ("keep", "other"),
        ("keep", "nothing"),
        ("get", "before"),
        ("get", "truncated"),
        ("delete", "after"),
    ],
)
async def test_a_store_that_fails_loses_and_doubles_nothing(
    cell: Cell, later: Later, method: Method, mood: Mood
) -> None:
    await stocked(cell)
    later(25)
    store = moody(cell.tenure)
    store.mood[method] = mood
    if method == "delete":  # the run before left something to be deleted
        store.mood["keep"] = "after"
        with pytest.raises(Unavailable):
            await tier(cell.tenure)
    with pytest.raises(TenureError):
        await tier(cell.tenure)
    assert hot(cell) == 3, "what is not surely stored stays where it is"
    assert await whole(cell)
    await cell.put("k3", 3, "customer:3")
    assert (await tier(cell.tenure))["versions"] == 4
    assert (hot(cell), list(packed(cell).values()), len(objects(cell))) == (0, [(4, "stored")], 1)
    assert await whole(cell, 4)


async def test_a_run_that_dies_around_the_move(
    cell: Cell, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stocked(cell)
    later(25)
    real = packs.move

    def dies(*given: Any) -> None:
        real(*given)
        raise ZeroDivisionError

    monkeypatch.setattr(packs, "move", dies)
    with pytest.raises(Unavailable):
        await tier(cell.tenure)
    assert (hot(cell), len(objects(cell))) == (3, 1), "put, and not moved"
    assert list(packed(cell).values()) == [(0, "writing")]
    monkeypatch.setattr(packs, "move", real)
    write = tiering.Tiering._write
    calls = 0

    async def answer_lost(self: tiering.Tiering, *given: Any) -> Any:
        nonlocal calls
        done = await write(self, *given)
        calls += 1
        if calls == 4:  # given up, forgotten, planned, moved
            raise Unavailable("lost")
        return done

    monkeypatch.setattr(tiering.Tiering, "_write", answer_lost)
    with pytest.raises(Unavailable):
        await tier(cell.tenure)
    assert (hot(cell), list(packed(cell).values()), len(objects(cell))) == (0, [(3, "stored")], 1)
    assert (await tier(cell.tenure))["packs"] == 0
    assert await whole(cell)


async def test_a_run_that_was_taken_over_from_moves_nothing(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)

    class Late(Run):
        """Another process runs the job by the time that the pack is put."""

        asked = 0

        def confirm(self, tx: Tx) -> None:  # noqa: ARG002 - whoever's it is
            self.asked += 1
            if self.asked == 2:
                raise GivenUp

    with pytest.raises(GivenUp):
        await cell.tenure.tiering.run(Late("tier"))
    assert (hot(cell), list(packed(cell).values())) == (3, [(0, "writing")])
    await tier(cell.tenure)
    assert (list(packed(cell).values()), len(objects(cell))) == ([(3, "stored")], 1)
    assert await whole(cell)


async def test_who_is_erased_while_a_pack_is_put_is_in_none(cell: Cell, later: Later) -> None:
    await stocked(cell)
    parts = tuple(Segment(b"1", (f"customer:{n}",)) for n in (1, 2))
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "seg", draft)
    later(25)
    store = moody(cell.tenure)
    store.mood["keep"] = "slow"
    run = asyncio.create_task(tier(cell.tenure))
    await asyncio.to_thread(store.waiting.wait, 30)
    state = await cell.erase("customer:1")
    assert state["state"] == "completed"
    store.gate.set()
    assert (await run)["versions"] == 3
    told = cell.rows("SELECT dead, members, state FROM packs ORDER BY id")
    assert told == [(2, 4, "stored"), (0, 1, "stored")], "what is left of the cut one is packed as it is now"
    assert (await cell.value("k0"), await cell.value("k2")) == (0, 2)
    assert [one.content for one in (await cell.get("seg")).segments] == [None, b"1"]


async def test_a_store_that_fails_while_a_pack_is_made_anew(cell: Cell, later: Later) -> None:
    await stocked(cell, 4)
    later(25)
    await tier(cell.tenure)
    for n in (0, 2, 3):
        await cell.erase(f"customer:{n}")
    later(0)
    store = moody(cell.tenure)
    moods: list[tuple[Method, Mood]] = [("get", "before"), ("get", "other"), ("keep", "after")]
    for method, mood in moods:
        store.mood[method] = mood
        with pytest.raises(TenureError):
            await tier(cell.tenure)
        assert await cell.value("k1") == 1
    assert (await tier(cell.tenure))["compacted"] == 1
    assert sorted(packed(cell).values()) == [(0, "replaced"), (1, "stored")]
    assert await cell.value("k1") == 1


async def test_without_the_store_the_cold_wait_and_nobody_else(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)
    await tier(cell.tenure)
    later(0)
    await cell.put("warm", "here", "customer:9")
    store = moody(cell.tenure)
    store.mood["get_range"] = "before"
    before = accesses(cell)
    with pytest.raises(Unavailable) as refused:
        await cell.get("k1")
    assert refused.value.retry_after
    assert accesses(cell) == before, "nothing was released"
    assert await cell.value("warm") == "here"
    assert store.calls == {"get_range": 1}
    assert await cell.value("k1") == 1
    assert accesses(cell) == before + 2, "one read is one access, however often it was performed"


async def test_what_the_store_gives_is_what_was_packed_or_nothing(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)
    await tier(cell.tenure)
    (path,) = objects(cell)
    packed_bytes = path.read_bytes()
    store = moody(cell.tenure)
    store.mood["get_range"] = "other"
    with pytest.raises(Tampered):
        await cell.get("k1")
    path.unlink()
    with pytest.raises(Tampered):
        await cell.get("k1")
    path.write_bytes(packed_bytes)
    assert await whole(cell)


async def test_who_may_not_read_it_costs_the_store_nothing(cell: Cell, later: Later) -> None:
    await stocked(cell)
    await cell.put("h", "secret", "customer:1", categories=("health",))
    later(25)
    await tier(cell.tenure)
    store = moody(cell.tenure)
    for ask in (cell.one.ask("marketer"), cell.one.ask("clerk")):
        with pytest.raises(Denied):
            await cell.get("h", ask=ask)
    with pytest.raises(TenureError):
        await cell.get("h", ask=cell.two.ask())
    assert not store.calls
    await cell.get("h")
    assert store.calls == {"get_range": 1}


async def test_what_must_stay_is_tagged_so_that_no_bucket_deletes_it(cell: Cell, later: Later) -> None:
    await stocked(cell)
    await declare(
        cell, rule("law", categories=["travel"], clock="event", event="left", floor="10d", ground="§")
    )
    await cell.put("floor", 1, "customer:7", categories=("travel",))
    dpo = cell.one["dpo"]
    await cell.tenure.holds.place(dpo, "subject", await cell.person("customer:0"), "a case")
    later(25)
    assert (await tier(cell.tenure))["packs"] == 2
    by_tag = dict(cell.rows("SELECT tag, members FROM packs"))
    assert by_tag == {"a30-x99": 2, "keep": 2}, "the held one, and the one whose floor has no end yet"
    assert (await tier(cell.tenure))["kept"] == 0
    await cell.tenure.holds.place(dpo, "subject", await cell.person("customer:1"), "another")
    store = moody(cell.tenure)
    assert (await tier(cell.tenure))["kept"] == 1
    assert store.calls["retag"] == 1
    assert cell.rows("SELECT DISTINCT tag FROM packs") == [("keep",)]
    store.calls.clear()
    await tier(cell.tenure)
    assert not store.calls["retag"]
    told = [one["outcome"] for one in cell.entries() if one["kind"] == "tier.move"]
    assert sorted(told) == ["kept", "ok", "ok"]


async def test_a_longer_rule_keeps_what_a_shorter_one_packed(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)
    await tier(cell.tenure)
    await declare(cell, rule("talks", hotFor="1d", deleteAfter="91d", description="the same length"))
    assert (await tier(cell.tenure))["kept"] == 0
    await declare(cell, rule("talks", hotFor="1d", deleteAfter="400d"))
    assert (await tier(cell.tenure))["kept"] == 1
    assert cell.rows("SELECT retention_class, tag FROM packs") == [("a30-x99", "keep")]


async def test_objects_that_no_row_names_go_after_a_day(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)
    await tier(cell.tenure)
    (path,) = objects(cell)
    young = path.with_name("ffffffff-ffff-7fff-bfff-ffffffffffff")
    old = path.with_name("00000000-0000-7000-8000-000000000000")
    for one in (young, old):
        one.write_bytes(b"left over")
    cell.tenure.tiering._swept = None
    assert (await tier(cell.tenure))["removed"] == 1
    assert objects(cell) == [path, young]


async def test_a_tenant_that_goes_takes_its_packs_along(cell: Cell, later: Later) -> None:
    await stocked(cell)
    later(25)
    await tier(cell.tenure)
    await cell.put("other", "stays", "customer:1")
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    store = Moody(cell.tenure.shredder._ground.objects)
    cell.tenure.shredder._ground = cell.tenure.shredder._ground._replace(objects=store)
    store.mood["delete"] = "before"
    await cell.tenure.shredder.run()
    state = await cell.tenure.erasures.state(cell.operator, asked["shred"])
    assert (state["state"], len(objects(cell))) == ("incomplete", 1), (
        "nothing is certified that is still there"
    )
    cell.tenure.shredder._asked.clear()
    await cell.tenure.shredder.run()
    state = await cell.tenure.erasures.state(cell.operator, asked["shred"])
    assert (state["state"], objects(cell)) == ("completed", [])
    assert cell.rows("SELECT count(*) FROM packs") == [(0,)]
