"""Threads under attack: narrower rights, retention, repeated ids, people who leave, things done at once."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_evictions import evicted
from test_quotas import counted, quota, really
from test_restore import Backups
from test_retention import declare, rule
from test_threads import ADA, BOUND, get, new_id, put, unhealthy, values, write

from support.cell import JOINT, SCOPE, Cell
from support.databases import DATABASES
from support.erasure import assert_certified
from support.postgres import Server
from support.tiering import Later, hot, tier
from support.travel import Travel
from tenure.errors import Conflict, Denied, Erased, Invalid, NotFound, QuotaExceeded, Stale, TooLarge
from tenure.governance.explaining import About
from tenure.jobs.evict import Evict
from tenure.jobs.job import Run
from tenure.model.thread import Bound, Channel, NewWrites, Reuse, Write
from tenure.threads.pages import Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

HEALTH = Bound(("health",), (ADA,))
NARROW = """
apiVersion: tenure/v1
kind: Grant
metadata: {name: clerks-look}
spec:
  roles: [clerk]
  scopes: [support.conversations]
  categories: [health]
  purposes: [customer-support]
  actions: [read]
  effect: allow
"""


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Travel]:
    return Travel.begun(monkeypatch)


@pytest.fixture
def backups(place: Cell, _server: Server | None, tmp_path: Path) -> Iterator[Backups]:
    made = Backups(place, _server, tmp_path)
    yield made
    made.drop()


async def test_who_may_only_read_labels_copies_nothing_that_has_them(cell: Cell) -> None:
    await put(cell, "t", {"a": "1"}, bound=HEALTH)
    await cell.tenure.manifests.apply(cell.one["admin"], NARROW, dry_run=False)
    assert values(await cell.tenure.threads.get(cell.one.ask("clerk"), SCOPE, "t")) == {"a": "1"}
    with pytest.raises(Denied):
        await cell.tenure.threads.copy(cell.one.ask("clerk"), SCOPE, "t", "u")
    with pytest.raises(NotFound):
        await get(cell, "u")


async def test_a_run_in_threads_of_other_labels_is_deleted_whole_or_not_at_all(cell: Cell) -> None:
    for thread, bound in (("a", BOUND), ("b", HEALTH), ("c", BOUND)):
        await put(cell, thread, {"a": "1"}, bound=bound, run="r")
    with pytest.raises(Denied):
        await cell.tenure.threads.delete_run(cell.one.ask("clerk"), SCOPE, "r")
    for thread in "abc":
        assert values(await get(cell, thread)) == {"a": "1"}
    assert await cell.tenure.threads.delete_run(cell.one.ask(), SCOPE, "r") == 3


async def test_every_denial_can_be_explained(cell: Cell) -> None:
    first = await put(cell, "t", bound=HEALTH)
    threads, ask = cell.tenure.threads, cell.one.ask("clerk")
    tried = (
        threads.put_writes(ask, SCOPE, "t", "", HEALTH, NewWrites(first.id, "a", ())),
        threads.get(ask, SCOPE, "t"),
        threads.page(ask, SCOPE, Wanted("t")),
        threads.delete(ask, SCOPE, "t"),
        threads.copy(ask, SCOPE, "t", "u"),
        threads.prune(ask, SCOPE, "t"),
    )
    for one in tried:
        with pytest.raises(Denied) as denied:
            await one
        told = await cell.tenure.explaining.explain(cell.one["auditor"], About(entry=denied.value.entry))
        (item,) = told["items"]
        assert item["question"]["categories"] == ["health"], one
        assert item["recorded"] is False


async def test_an_id_that_is_taken_is_refused_and_never_lost(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "1"})
    second = await put(cell, "t", {"a": "2"}, parent=first.id)
    with pytest.raises(Stale):
        await put(cell, "t", {"a": "3"}, id=first.id, parent=second.id, latest=(second.id,))
    with pytest.raises(Stale):
        await put(cell, "t", {"a": "3"}, id=first.id)
    assert (await get(cell, "t")).id == second.id


async def test_a_slice_before_the_value_is_refused(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "0123456789"})
    second = await put(cell, "t", {"a": Channel(2, "text", (Reuse(1, 5, 5),))}, parent=first.id)
    for wrong in (Reuse(2, -5, 5), Reuse(2, -1, 1)):
        with pytest.raises(Invalid):
            await put(cell, "t", {"a": Channel(3, "text", (wrong,))}, parent=second.id)


@pytest.mark.databases(*DATABASES)
async def test_a_run_is_found_by_what_it_was_stored_with(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "1"}, run="mine")
    second = await put(cell, "t", {"a": "2"}, parent=first.id, run="other")
    assert await cell.tenure.threads.delete_run(cell.one.ask(), SCOPE, "mine") == 1
    assert (await get(cell, "t")).id == second.id
    with pytest.raises(NotFound):
        await get(cell, "t", first.id)
    assert await cell.tenure.threads.delete_run(cell.one.ask(), SCOPE, "other") == 1


async def test_those_who_stay_go_on_with_a_thread_of_several(cell: Cell) -> None:
    both = Bound(("contact",), (ADA, "customer:bob"))
    first = await put(cell, "t", {"a": "1"}, bound=both, scope=JOINT)
    await cell.erase("customer:bob")
    assert values(await get(cell, "t", scope=JOINT)) == {"a": "1"}
    for bound in (BOUND, Bound(("contact",))):
        first = await put(cell, "t", {"a": Channel(1)}, parent=first.id, bound=bound, scope=JOINT)
        assert values(await get(cell, "t", scope=JOINT)) == {"a": "1"}
    with pytest.raises(Conflict):
        await put(cell, "t", parent=first.id, bound=both, scope=JOINT)
    assert await unhealthy(cell) == []


async def test_nothing_is_copied_to_the_name_of_an_erased_thread(cell: Cell) -> None:
    await put(cell, "t", {"a": "1"})
    await cell.erase(ADA)
    await put(cell, "mine", {"a": "2"}, bound=Bound(("contact",), ("customer:bob",)))
    with pytest.raises(Erased):
        await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "mine", "t")
    with pytest.raises(Erased):
        await get(cell, "t")


# ── retention ──────────────────────────────────────────────────────────────────────────────────────
async def test_what_is_new_stays_whole_when_what_it_was_built_upon_has_had_its_time(
    cell: Cell, travel: Travel
) -> None:
    await declare(cell, rule("talks", categories=["contact"], deleteAfter="20d"))
    first = await put(cell, "t", {"talk": "one,", "kept": "K"})
    travel.on(days=15)
    grown = Channel(2, "text", (Reuse(1, 0, 4), b"two"))
    second = await put(cell, "t", {"talk": grown, "kept": Channel(1)}, parent=first.id)
    third = await put(cell, "t", {"talk": Channel(2), "kept": Channel(1)}, parent=second.id)
    travel.on(days=7)
    assert (await evicted(cell))["versions"] == 1
    assert values(await get(cell, "t")) == {"talk": "one,two", "kept": "K"}
    with pytest.raises((NotFound, Erased)):
        await get(cell, "t", first.id)
    listed = await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted("t"))
    assert [one.id for one in listed.items] == [third.id, second.id]
    assert (await cell.audited()).ok
    travel.on(days=20)
    assert (await evicted(cell))["versions"] == 2
    with pytest.raises(NotFound):
        await get(cell, "t")
    again = await put(cell, "t", {"talk": "new"}, latest=())
    assert (await get(cell, "t")).id == again.id
    assert await unhealthy(cell) == []


async def test_a_pruned_thread_outlives_what_it_was_built_upon(cell: Cell, travel: Travel) -> None:
    first = await put(cell, "t", {"talk": "one,"}, namespace="child")
    await put(cell, "t", {"a": "1"})
    second = await put(
        cell,
        "t",
        {"talk": Channel(2, "text", (Reuse(1, 0, 4), b"2"))},
        parent=first.id,
        namespace="child",
        metadata={"counters_since_delta_snapshot": {"other": [1, 1]}},
    )
    travel.on(days=5)
    await put(cell, "t", {"talk": Channel(2)}, parent=second.id, namespace="child")
    await declare(cell, rule("talks", categories=["contact"], deleteAfter="20d"))
    await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u")
    travel.on(days=17)
    await evicted(cell)
    found = await cell.tenure.threads.get(cell.one.ask(), SCOPE, "u", "child")
    assert values(found) == {"talk": "one,2"}


@pytest.mark.databases(*DATABASES)
async def test_pending_writes_that_have_had_their_time_do_not_hide_their_snapshot(
    cell: Cell, travel: Travel
) -> None:
    await declare(cell, rule("talks", categories=["contact"], deleteAfter="20d"))
    first, early = await put(cell, "t", {"a": "1"}), new_id()
    await write(cell, "t", early, "task", Write(0, "a", "text", b"2"))
    travel.on(days=15)
    await put(cell, "t", {"a": "2"}, id=early, parent=first.id)
    travel.on(days=7)
    await Evict(cell.tenure.batcher, cell.tenure._database, lambda: None).run(Run("evict"))
    found = await get(cell, "t")
    assert (found.id, found.writes) == (early, ())
    assert await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t") == 0
    assert await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u") == 1


# ── at once ────────────────────────────────────────────────────────────────────────────────────────
async def grown(cell: Cell, thread: str, parent: str | None, sure: list[str], steps: int) -> None:
    """Snapshot after snapshot, each upon the one before; what was acknowledged is in `sure`."""
    for n in range(steps):
        expected = () if parent is None else (parent,)
        stored = await put(cell, thread, {"n": n}, parent=parent, latest=expected)
        sure.append(stored.id)
        parent = stored.id
        await write(cell, thread, parent, "task", Write(0, "a", "text", b"w"))


@pytest.mark.databases(*DATABASES)
async def test_pruning_meanwhile_loses_nothing_that_was_acknowledged(cell: Cell) -> None:
    sure: list[str] = []
    running = asyncio.create_task(grown(cell, "t", None, sure, 12))
    while not running.done():
        await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t")
    await running
    found = await get(cell, "t")
    assert (found.id, values(found)) == (sure[-1], {"n": "11"})
    assert [one.value for one in found.writes] == [b"w"]
    await cell.tenure.shredder.run()
    assert (await get(cell, "t")).writes == found.writes
    assert await unhealthy(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_what_is_acknowledged_while_its_thread_is_deleted_is_never_read_again(
    cell: Cell, travel: Travel
) -> None:
    threads, ask = cell.tenure.threads, cell.one.ask()
    for n in range(6):
        thread = f"t{n}"
        first = await put(cell, thread, {"a": "1"})
        travel.on(days=31)  # so that another cohort begins just now
        await asyncio.gather(
            put(cell, thread, {"a": "2"}, parent=first.id),
            threads.delete(ask, SCOPE, thread),
            write(cell, thread, first.id, "task", Write(0, "a", "text", b"w")),
            return_exceptions=True,
        )
        with pytest.raises(NotFound):
            await get(cell, thread)
    assert (await threads.page(ask, SCOPE, Wanted())).items == []
    await cell.tenure.shredder.run()
    assert cell.rows("SELECT count(*) FROM versions WHERE state = 'live' AND cohort IS NOT NULL") == [(0,)]
    assert await unhealthy(cell) == []


# ── in process, where no body is checked by its shape ──────────────────────────────────────────────
DEEP: list[object] = []
for _ in range(100):
    DEEP = [DEEP]
WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        ("metadata", {"metadata": {"a": one}})
        for one in (float("nan"), b"bytes", {1, 2}, 2**60, "\ud800", DEEP, "x" * (64 << 10))
    ),
    ("metadata", {"metadata": {1: "a"}}),
    ("snapshot.state", {"state": {"a": float("inf")}}),
    ("snapshot.state", {"state": {"a": object()}}),
    *(
        ("channels.version", {"values": {"a": Channel(one, "text", (b"1",))}})
        for one in (float("nan"), None, True, 2**60, "\ud800", [1])
    ),
    ("channels.type", {"values": {"a": Channel(1, 5, (b"1",))}}),  # type: ignore[arg-type]
    ("channels.type", {"values": {"a": Channel(1, "\ud800", (b"1",))}}),
    ("channels.pieces", {"values": {"a": Channel(1, "text", ("text",))}}),  # type: ignore[arg-type]
    ("channels.pieces", {"values": {"a": Channel(1, "text", (Reuse(1, 0.5, 1),))}}),  # type: ignore[arg-type]
    ("channels", {"values": {5: Channel(1, "text", (b"1",))}}),
    ("categories", {"bound": Bound((), (ADA,))}),
    ("categories", {"bound": Bound(("nonsense",), (ADA,))}),
    ("categories", {"bound": Bound((5,), (ADA,))}),  # type: ignore[arg-type]
    ("subjects[1]", {"bound": Bound(("contact",), (ADA, "nobody"))}),
    ("subjects[0]", {"bound": Bound(("contact",), (5,))}),  # type: ignore[arg-type]
    ("subjects", {"bound": Bound(("contact",), tuple(f"customer:{n}" for n in range(100)))}),
    ("latest", {"latest": (5,)}),
    ("run", {"run": 5}),
    ("namespace", {"namespace": 5}),
)
WRONG_WRITES: tuple[tuple[str, Any], ...] = (
    ("writes.idx", Write(2**60, "a", "text", b"1")),
    ("writes.idx", Write("0", "a", "text", b"1")),  # type: ignore[arg-type]
    ("writes.channel", Write(0, 5, "text", b"1")),  # type: ignore[arg-type]
    ("writes.channel", Write(0, "a\x00", "text", b"1")),
    ("writes.type", Write(0, "a", 5, b"1")),  # type: ignore[arg-type]
    ("writes.value", Write(0, "a", "text", "text")),  # type: ignore[arg-type]
)


async def test_what_cannot_be_stored_is_refused_by_name(embedded: Cell) -> None:
    async with embedded.opened():
        for field, wrong in WRONG:
            with pytest.raises((Invalid, TooLarge)) as refused:
                await put(embedded, "t", **wrong)
            assert refused.value.field == field, wrong
        for field, one in WRONG_WRITES:
            with pytest.raises((Invalid, TooLarge)) as refused:
                await write(embedded, "t", "s", "task", one)
            assert refused.value.field == field, one
        assert not embedded.rows("SELECT 1 FROM records")


async def test_of_one_call_the_first_or_last_write_counts_too(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "1"})
    doubled = [
        Write(0, "a", "t", b"first"),
        Write(0, "a", "t", b"2"),
        Write(-1, "e", "t", b"1"),
        Write(-1, "e", "t", b"last"),
    ]
    await asyncio.gather(
        write(cell, "t", first.id, "x", *doubled),
        write(cell, "t", first.id, "x", Write(0, "a", "t", b"3"), Write(-1, "e", "t", b"very last")),
        put(cell, "t", {"a": Channel(1)}, parent=first.id, latest=(first.id,)),
    )
    found = await get(cell, "t", first.id)
    assert [(one.idx, one.value) for one in found.writes] == [(-1, b"very last"), (0, b"first")]


async def test_pruning_reads_no_sense_into_anybodys_metadata(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "1"})
    for odd in (5, [{}], "text", {"a": {}}):
        first = await put(cell, "t", {}, parent=first.id, metadata={"counters_since_delta_snapshot": odd})
        await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t")
    assert (await get(cell, "t")).id == first.id


# ── backups, holds ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_backup_does_not_bring_a_deleted_thread_back(place: Cell, backups: Backups) -> None:
    async with place.opened():
        first = await put(place, "t", {"a": "secret"})
        kept = await put(place, "other", {"a": "stays"})
    backup = backups.take()
    async with place.opened() as tenure:
        assert await tenure.threads.delete(place.one.ask(), SCOPE, "t")
        await tenure.shredder.run()
        await tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        with pytest.raises((NotFound, Erased)):
            await get(place, "t")
        with pytest.raises((NotFound, Erased)):
            await get(place, "t", first.id)
        for late in (
            put(place, "t", {"a": "late"}, parent=first.id, latest=(first.id,)),
            write(place, "t", first.id, "late", Write(0, "a", "text", b"3")),
        ):
            with pytest.raises((Stale, Erased)):
                await late
        assert values(await get(place, "other")) == {"a": "stays"}
        listed = await tenure.threads.page(place.one.ask(), SCOPE, Wanted())
        assert [one.id for one in listed.items] == [kept.id]
        again = await put(place, "t", {"a": "anew"}, latest=())
        assert (await get(place, "t")).id == again.id
        assert await tenure.threads.prune(place.one.ask(), SCOPE, "t") == 0
        assert await tenure.threads.copy(place.one.ask(), SCOPE, "t", "u") == 1
        assert await tenure.threads.delete(place.one.ask(), SCOPE, "t")
        assert await unhealthy(place) == []


@pytest.mark.parametrize("by", ["subject", "scope"])
@pytest.mark.databases(*DATABASES)
async def test_a_held_thread_is_kept_and_nobody_reads_it(cell: Cell, by: str) -> None:
    first = await put(cell, "t", {"a": "evidence"})
    await write(cell, "t", first.id, "task", Write(0, "a", "text", b"2"))
    target = {"subject": await cell.person(ADA), "scope": SCOPE}[by]
    hold = await cell.tenure.holds.place(cell.one["dpo"], by, target, "case 7")
    assert await cell.tenure.threads.delete(cell.one.ask(), SCOPE, "t")
    await cell.tenure.shredder.run()
    with pytest.raises(NotFound):
        await get(cell, "t")
    (shred,) = cell.rows("SELECT CAST(id AS TEXT) FROM shreds WHERE kind = 'cohort'")
    state = await cell.erasure(shred[0])
    certified = await assert_certified(cell, state)
    assert certified["stores"]["database"]["versions_kept_for_holds"] == 2
    assert "retention" not in certified
    assert "retention" not in json.dumps(certified).lower(), "no rule was the reason"
    again = await put(cell, "t", {"a": "anew"}, latest=())
    assert (await get(cell, "t")).id == again.id
    await cell.tenure.holds.release(cell.one["dpo"], str(hold["id"]))
    await cell.tenure.shredder.run()
    assert (await get(cell, "t")).id == again.id
    assert await unhealthy(cell) == []


# ── tiers ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_what_lies_in_packs_is_loaded_listed_grown_copied_and_pruned(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, threads, ask = Later(monkeypatch), cell.tenure.threads, cell.one.ask()
    await declare(cell, rule("talks", hotFor="1d", coldFor="90d", deleteAfter="91d"))
    first = await put(cell, "t", {"talk": "one,", "kept": "K"})
    await write(cell, "t", first.id, "task", Write(0, "a", "text", b"w"))
    second = await put(cell, "t", {"talk": Channel(2, "text", (Reuse(1, 0, 4), b"2"))}, parent=first.id)
    later(30)
    assert (await tier(cell.tenure))["versions"] >= 3
    assert hot(cell) <= 1, "the root's at most"
    assert values(await get(cell, "t")) == {"talk": "one,2"}
    old = await get(cell, "t", first.id)
    assert (values(old), [one.value for one in old.writes]) == ({"talk": "one,", "kept": "K"}, [b"w"])
    assert [one.id for one in (await threads.page(ask, SCOPE, Wanted("t"))).items] == [second.id, first.id]
    third = await put(cell, "t", {"talk": Channel(3, "text", (Reuse(2, 0, 5), b",3"))}, parent=second.id)
    assert values(await get(cell, "t", third.id)) == {"talk": "one,2,3"}
    assert await threads.copy(ask, SCOPE, "t", "u") == 3
    assert await threads.prune(ask, SCOPE, "t") == 2
    await cell.tenure.shredder.run()
    for thread in "tu":
        assert values(await get(cell, thread)) == {"talk": "one,2,3"}
    assert await threads.delete(ask, SCOPE, "t")
    await cell.tenure.shredder.run()
    assert await unhealthy(cell) == []


async def test_growing_upon_what_lies_in_a_pack_of_another_period(
    cell: Cell, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(cell, rule("talks", hotFor="1d", coldFor="19d", deleteAfter="20d"))
    first = await put(cell, "t", {"talk": "one,"})
    Later(monkeypatch)(30)
    await tier(cell.tenure)
    travel.on(days=15)
    await put(cell, "t", {"talk": Channel(2, "text", (Reuse(1, 0, 4), b"2"))}, parent=first.id)
    travel.on(days=7)
    await evicted(cell)
    assert values(await get(cell, "t")) == {"talk": "one,2"}


async def test_what_is_read_is_what_was_stored_and_no_ones_object(cell: Cell) -> None:
    told: dict[str, Any] = {"parents": {"a": "1"}}
    first = await put(cell, "t", {"a": "1"}, metadata=told)
    told["parents"]["a"] = "changed by its writer"
    (await get(cell, "t")).metadata["parents"]["a"] = "changed by its reader"
    assert (await get(cell, "t", first.id)).metadata == {"parents": {"a": "1"}}
    second = await put(cell, "t", {"a": Channel(1)}, parent=first.id, metadata={"step": 2})
    assert (await get(cell, "t")).id == second.id


@pytest.mark.databases(*DATABASES)
async def test_a_quota_holds_for_threads_and_counts_them_right(cell: Cell) -> None:
    threads, ask = cell.tenure.threads, cell.one.ask()
    first = await put(cell, "t", {"a": "1"})
    second = await put(cell, "t", {"a": Channel(1)}, parent=first.id)
    await write(cell, "t", second.id, "task", Write(0, "a", "text", b"w"))
    await threads.copy(ask, SCOPE, "t", "u")
    await threads.prune(ask, SCOPE, "t")
    await threads.delete(ask, SCOPE, "u")
    await cell.tenure.shredder.run()
    assert await counted(cell) == really(cell)
    await quota(cell, stored_bytes=really(cell)["bytes"] + 2000)
    for late in (
        put(cell, "new", {"a": "x" * 4000}),
        put(cell, "t", {"a": "x" * 4000}, parent=second.id),
        write(cell, "t", second.id, "task", Write(0, "a", "text", b"x" * 4000)),
        write(cell, "newer", "s", "task", Write(0, "a", "text", b"x" * 4000)),
    ):
        with pytest.raises(QuotaExceeded):
            await late
    assert await counted(cell) == really(cell)
    assert await unhealthy(cell) == []


async def test_who_may_delete_but_not_read_prunes_and_no_read_is_on_record(cell: Cell) -> None:
    only = NARROW.replace("clerks-look", "clerks-tidy").replace("[read]", "[delete]")
    await cell.tenure.manifests.apply(cell.one["admin"], only, dry_run=False)
    first = await put(cell, "t", {"a": "1"}, bound=HEALTH)
    await put(cell, "t", {"a": Channel(1)}, parent=first.id, bound=HEALTH)
    before = len(cell.entries())
    clerk = cell.one.ask("clerk")
    with pytest.raises(Denied):
        await cell.tenure.threads.get(clerk, SCOPE, "t")
    assert await cell.tenure.threads.prune(clerk, SCOPE, "t") == 1
    seen = [one for one in cell.entries()[before:] if one["kind"] == "access" and one["outcome"] == "ok"]
    assert seen == [], "nothing was returned to anybody"
    assert values(await get(cell, "t")) == {"a": "1"}
