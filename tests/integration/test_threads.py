"""Threads on both databases: what is stored is loaded, who comes second is told, what is deleted stays so."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest
import yaml
from uuid_utils import uuid7

from support.cell import MANIFESTS, NOTES, SCOPE, Cell
from support.databases import DATABASES
from tenure.errors import Conflict, Denied, Erased, Invalid, NotFound, Stale, Tampered
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.keys.seal import header_leaves
from tenure.model.thread import Bound, Channel, NewSnapshot, NewWrites, Reuse, Snapshot, Stored, Write
from tenure.threads.pages import Wanted
from tenure.threads.putting import PutWrites

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

ADA = "customer:ada"
BOUND = Bound(("contact",), (ADA,))


def new_id() -> str:
    """Ids that say when they were made, as LangGraph's do."""
    return str(uuid7())


async def put(
    cell: Cell,
    thread: str,
    values: Mapping[str, Any] | None = None,
    *,
    parent: str | None = None,
    latest: tuple[str, ...] | None = None,
    namespace: str = "",
    bound: Bound = BOUND,
    scope: str = SCOPE,
    who: str = "agent",
    **more: Any,
) -> Stored:
    channels = {name: _channel(value) for name, value in (values or {}).items()}
    more.setdefault("id", new_id())
    new = NewSnapshot(parent=parent, latest=latest, channels=channels, **more)
    return await cell.tenure.threads.put(cell.one.ask(who), scope, thread, namespace, bound, new)


def _channel(value: Any) -> Channel:
    return value if isinstance(value, Channel) else Channel(1, "text", (str(value).encode(),))


async def get(cell: Cell, thread: str, snapshot: str | None = None, *, scope: str = SCOPE) -> Snapshot:
    return await cell.tenure.threads.get(cell.one.ask(), scope, thread, "", snapshot)


async def write(cell: Cell, thread: str, snapshot: str, task: str, *writes: Write, path: str = "") -> Stored:
    new = NewWrites(snapshot, task, writes, path)
    return await cell.tenure.threads.put_writes(cell.one.ask(), SCOPE, thread, "", BOUND, new)


def values(found: Snapshot) -> dict[str, str]:
    return {name: one.value.decode() for name, one in found.channels.items()}


async def unhealthy(cell: Cell) -> list[Any]:
    """What an inspection of everything that is stored finds."""
    await cell.tenure.sequencer.run(cell.one.id)
    inspector = Inspector(Anchors(cell.tenure.shredder._ground), again_s=())
    return [one for step in inspector.tenant(cell.one.id) for one in step.findings]


@pytest.mark.databases(*DATABASES)
async def test_values_that_did_not_change_are_the_parents_and_slices_make_a_whole(cell: Cell) -> None:
    first = await put(cell, "t", {"talk": "one,", "kept": "K"}, metadata={"step": 0}, state={"v": 1})
    grown = Channel(2, "text", (b"[", Reuse(1, 0, 4), b"two"))
    second = await put(cell, "t", {"talk": grown, "kept": Channel(1)}, parent=first.id, latest=(first.id,))
    third = await put(
        cell,
        "t",
        {"talk": Channel(3, "text", (Reuse(2, 1, 7),)), "kept": Channel(1), "new": "N"},
        parent=second.id,
    )
    found = await get(cell, "t")
    assert (found.id, found.parent, found.latest) == (third.id, second.id, third.id)
    assert values(found) == {"talk": "one,two", "kept": "K", "new": "N"}
    assert found.channels["talk"].pieces == 2
    assert second.pieces == {"talk": 3}
    old = await get(cell, "t", first.id)
    assert (values(old), old.metadata, old.state) == ({"talk": "one,", "kept": "K"}, {"step": 0}, {"v": 1})
    assert (old.parent, old.latest) == (None, third.id)
    assert values(await get(cell, "t", second.id)) == {"talk": "[one,two", "kept": "K"}
    assert await unhealthy(cell) == []


async def test_slices_that_the_parent_has_not_are_refused(cell: Cell) -> None:
    first = await put(cell, "t", {"talk": "one"})
    for wrong in (Reuse(2, 0, 1), Reuse(1, 0, 4), Reuse(1, 2, 2), Reuse(1, 0, -1)):
        with pytest.raises(Invalid) as refused:
            await put(cell, "t", {"talk": Channel(3, "text", (wrong,))}, parent=first.id)
        assert str(refused.value.field).startswith("channels.pieces")
    with pytest.raises(Invalid):
        await put(cell, "t", {"other": Channel(3, "text", (Reuse(1, 0, 1),))}, parent=first.id)
    assert (await get(cell, "t")).id == first.id


@pytest.mark.databases(*DATABASES)
async def test_of_two_runners_one_wins_and_the_other_is_told(cell: Cell) -> None:
    first = await put(cell, "t", latest=())
    both = await asyncio.gather(
        *(put(cell, "t", parent=first.id, latest=(first.id,), metadata={"n": n}) for n in range(8)),
        return_exceptions=True,
    )
    (won,) = [one for one in both if isinstance(one, Stored)]
    assert all(isinstance(one, Stale) and one.field == "latest" for one in both if one is not won)
    assert (await get(cell, "t")).id == won.id
    with pytest.raises(Stale):
        await put(cell, "t", latest=())
    fork = await put(cell, "t", parent=first.id, latest=(first.id, won.id))
    assert (await get(cell, "t")).parent == first.id
    with pytest.raises(Stale) as gone:
        await put(cell, "t", parent=new_id())
    assert gone.value.field == "parent"
    assert (await get(cell, "t")).id == fork.id


@pytest.mark.databases(*DATABASES)
async def test_storing_the_same_again_is_no_harm(cell: Cell) -> None:
    one = new_id()
    first = await put(cell, "t", {"a": "1"}, id=one, latest=())
    again = await put(cell, "t", {"a": "1"}, id=one, latest=())
    assert (again.id, again.version, again.entry) == (first.id, first.version, first.entry)


@pytest.mark.databases(*DATABASES)
async def test_writes_wait_in_order_the_first_of_a_task_counts_and_special_ones_the_last(cell: Cell) -> None:
    early = new_id()
    first = await put(cell, "t")
    await write(cell, "t", early, "before", Write(0, "c", "text", b"came first"))
    await put(cell, "t", id=early, parent=first.id)
    await write(
        cell, "t", early, "b", Write(0, "c", "text", b"b0"), Write(-1, "e", "text", b"old"), path="~2"
    )
    await write(
        cell, "t", early, "b", Write(0, "c", "text", b"late"), Write(-1, "e", "text", b"new"), path="~2"
    )
    await write(cell, "t", early, "a", Write(1, "c", "text", b"a1"), Write(0, "c", "text", b"a0"), path="~1")
    found = await get(cell, "t")
    assert [(one.task, one.idx, one.value) for one in found.writes] == [
        ("before", 0, b"came first"),
        ("a", 0, b"a0"),
        ("a", 1, b"a1"),
        ("b", -1, b"new"),
        ("b", 0, b"b0"),
    ]
    assert (await get(cell, "t", first.id)).writes == ()
    assert await unhealthy(cell) == []


async def test_a_thread_keeps_its_people_and_categories(cell: Cell) -> None:
    first = await put(cell, "t")
    for other in (Bound(("contact",), ("customer:bob",)), Bound(("travel",), (ADA,))):
        with pytest.raises(Conflict):
            await put(cell, "t", parent=first.id, bound=other)
    again = await put(cell, "t", parent=first.id, bound=Bound(("contact",)))
    assert (await get(cell, "t")).id == again.id, "whoever is not named again is who it was begun with"
    with pytest.raises(Invalid):
        await put(cell, "nobody's", bound=Bound(("contact",)))
    alone = await put(cell, "nobody's", bound=Bound(("contact",)), scope=NOTES)
    assert (await get(cell, "nobody's", scope=NOTES)).id == alone.id
    with pytest.raises(NotFound):
        await get(cell, "nobody's")
    assert not cell.rows("SELECT 1 FROM subjects WHERE ref_index IS NULL")


async def test_policy_decides_on_every_call_and_every_denial_is_on_record(cell: Cell) -> None:
    health = Bound(("health",), (ADA,))
    first = await put(cell, "t", {"a": "1"}, bound=health)
    threads, ask = cell.tenure.threads, cell.one.ask("clerk")
    before = len(cell.entries())
    tried = (
        put(cell, "t", bound=health, who="clerk"),
        threads.put_writes(ask, SCOPE, "t", "", health, NewWrites(first.id, "a", ())),
        threads.get(ask, SCOPE, "t"),
        threads.page(ask, SCOPE, Wanted("t")),
        threads.delete(ask, SCOPE, "t"),
        threads.copy(ask, SCOPE, "t", "u"),
        threads.prune(ask, SCOPE, "t"),
    )
    for one in tried:
        with pytest.raises(Denied) as denied:
            await one
        assert denied.value.entry is not None
    assert [one["outcome"] for one in cell.entries()[before:]] == ["denied"] * len(tried)
    with pytest.raises(Denied):
        await threads.delete_run(cell.one.ask("auditor"), SCOPE, "r1")
    listed = await threads.page(ask, SCOPE, Wanted())
    assert listed.items == []
    assert (await get(cell, "t")).id == first.id


async def test_each_call_is_one_entry_that_commits_to_what_was_seen(cell: Cell) -> None:
    first = await put(cell, "t", {"a": "1"})
    before = len(cell.entries())
    second = await put(cell, "t", {"a": Channel(2, "text", (Reuse(1, 0, 1), b"2"))}, parent=first.id)
    await write(cell, "t", second.id, "task", Write(0, "a", "text", b"3"))
    await get(cell, "t")
    kinds = [(one["kind"], len(one["accesses"])) for one in cell.entries()[before:]]
    assert kinds == [("write", 1), ("write", 1), ("access", 3)]
    assert all(one["commitment"] for entry in cell.entries()[before:] for one in entry["accesses"])
    assert (await cell.audited()).ok


@pytest.mark.databases(*DATABASES)
async def test_pages_lead_on_newest_first_of_one_or_all(cell: Cell) -> None:
    parent, made = None, []
    for n in range(7):
        parent = (await put(cell, "t", {"n": n}, parent=parent, metadata={"odd": n % 2})).id
        made.append(parent)
    child = (await put(cell, "t", {"n": "c"}, namespace="child")).id
    other = (await put(cell, "u", {"n": "u"})).id
    ask, threads = cell.one.ask(), cell.tenure.threads
    seen: list[str] = []
    after = None
    while True:
        page = await threads.page(ask, SCOPE, Wanted("t", "", limit=3, after=after))
        seen += [one.id for one in page.items]
        after = page.next
        if after is None:
            break
    assert seen == made[::-1]
    everywhere = await threads.page(ask, SCOPE, Wanted("t"))
    assert [one.id for one in everywhere.items] == [child, *made[::-1]]
    assert [one.id for one in (await threads.page(ask, SCOPE, Wanted())).items] == [other, child, *made[::-1]]
    odd = await threads.page(ask, SCOPE, Wanted("t", metadata={"odd": 1}, before=made[5]))
    assert [values(one) for one in odd.items] == [{"n": "3"}, {"n": "1"}]
    assert (await threads.page(ask, NOTES, Wanted())).items == []


@pytest.mark.databases(*DATABASES)
async def test_an_erased_person_takes_the_thread_along_and_late_writes_do_not_bring_it_back(
    cell: Cell,
) -> None:
    first = await put(cell, "t", {"a": "1"})
    await write(cell, "t", first.id, "task", Write(0, "a", "text", b"2"))
    state = await cell.erase(ADA)
    assert state["state"] == "completed"
    for one in (
        get(cell, "t"),
        put(cell, "t", parent=first.id),
        put(cell, "t"),
        write(cell, "t", first.id, "late", Write(0, "a", "text", b"3")),
    ):
        with pytest.raises(Erased):
            await one
    assert (await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted("t"))).items == []
    assert not [one for one in cell.stored().values() if any(one)]
    assert await unhealthy(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_a_deleted_thread_is_shredded_and_only_a_new_beginning_begins_it_anew(cell: Cell) -> None:
    early = new_id()
    first = await put(cell, "t", {"a": "secret"})
    await write(cell, "t", first.id, "task", Write(0, "a", "text", b"2"))
    kept = await put(cell, "other", {"a": "stays"})
    assert await cell.tenure.threads.delete(cell.one.ask(), SCOPE, "t")
    with pytest.raises(NotFound):
        await get(cell, "t")
    for late in (
        put(cell, "t", parent=first.id, latest=(first.id,)),
        put(cell, "t", id=early),
        write(cell, "t", first.id, "late", Write(0, "a", "text", b"3")),
        write(cell, "t", new_id(), "late", Write(0, "a", "text", b"3")),
    ):
        with pytest.raises(Stale):
            await late
    assert not await cell.tenure.threads.delete(cell.one.ask(), SCOPE, "t")
    await cell.tenure.shredder.run()
    living = cell.rows("SELECT count(*) FROM versions WHERE state = 'live' AND cohort IS NOT NULL")
    assert living == [(1,)], "only the other thread's"
    assert await unhealthy(cell) == []
    again = await put(cell, "t", {"a": "new"}, latest=())
    assert (await get(cell, "t")).id == again.id
    assert [one.id for one in (await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted("t"))).items] == [
        again.id
    ]
    assert (await get(cell, "other")).id == kept.id
    assert await unhealthy(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_pruning_keeps_the_newest_whole_and_shreds_the_rest(cell: Cell) -> None:
    first = await put(cell, "t", {"talk": "one,", "old": "O"}, run="r1", metadata={"run_id": "r1"})
    grown = Channel(2, "text", (Reuse(1, 0, 4), b"two"))
    second = await put(cell, "t", {"talk": grown, "old": Channel(1)}, parent=first.id, run="r2")
    child = await put(cell, "t", {"n": "c"}, namespace="child")
    await write(cell, "t", second.id, "task", Write(0, "a", "text", b"2"))
    before = await get(cell, "t")
    assert await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t") == 1
    after = await get(cell, "t")
    assert values(after) == {"talk": "one,two", "old": "O"}
    assert (after.id, after.writes, after.created_at) == (second.id, before.writes, before.created_at)
    await cell.tenure.shredder.run()
    assert (await get(cell, "t")).id == second.id
    with pytest.raises(NotFound):
        await get(cell, "t", first.id)
    seen = (await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted("t"))).items
    assert {one.id for one in seen} == {second.id, child.id}
    third = await put(cell, "t", {"talk": Channel(3, "text", (Reuse(2, 0, 7), b"!"))}, parent=second.id)
    assert values(await get(cell, "t", third.id)) == {"talk": "one,two!"}
    assert await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t") == 1
    assert await unhealthy(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_pruning_keeps_what_a_delta_channel_is_built_upon(cell: Cell) -> None:
    first = await put(cell, "t", {"d": "whole"})
    delta = {"counters_since_delta_snapshot": {"d": [1, 1]}}
    second = await put(cell, "t", {}, parent=first.id, metadata=delta)
    third = await put(cell, "t", {}, parent=second.id, metadata=delta)
    assert await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t") == 0
    assert (await get(cell, "t", first.id)).id == first.id
    fourth = await put(cell, "t", {"d": Channel(9, "text", (b"whole again",))}, parent=third.id)
    assert await cell.tenure.threads.prune(cell.one.ask(), SCOPE, "t") == 3
    assert (await get(cell, "t")).id == fourth.id


@pytest.mark.databases(*DATABASES)
async def test_a_copy_is_whole_and_its_own(cell: Cell) -> None:
    first = await put(cell, "t", {"talk": "one,"})
    second = await put(cell, "t", {"talk": Channel(2, "text", (Reuse(1, 0, 4), b"2"))}, parent=first.id)
    await write(cell, "t", second.id, "task", Write(0, "a", "text", b"2"))
    assert await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u") == 2
    with pytest.raises(Conflict):
        await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u")
    mine, theirs = await get(cell, "t"), await get(cell, "u")
    assert theirs == replace(mine, thread="u", entry=theirs.entry)
    assert await cell.tenure.threads.delete(cell.one.ask(), SCOPE, "t")
    await cell.tenure.shredder.run()
    assert values(await get(cell, "u")) == {"talk": "one,2"}
    assert await unhealthy(cell) == []
    await cell.erase(ADA)
    with pytest.raises(Erased):
        await get(cell, "u")


@pytest.mark.databases(*DATABASES)
async def test_a_run_is_deleted_wherever_it_stored_something(cell: Cell) -> None:
    made = {}
    for thread in ("t", "u"):
        one = await put(cell, thread, {"a": "1"}, run="r1", metadata={"run_id": "r1"})
        two = await put(cell, thread, {"a": Channel(1)}, parent=one.id, run="r2", metadata={"run_id": "r2"})
        made[thread] = one.id, two.id
    only = await put(cell, "v", run="r1", metadata={"run_id": "r1"})
    assert await cell.tenure.threads.delete_run(cell.one.ask(), SCOPE, "r1") == 3
    await cell.tenure.shredder.run()
    for thread, (gone, stays) in made.items():
        assert values(await get(cell, thread, stays)) == {"a": "1"}
        with pytest.raises(NotFound):
            await get(cell, thread, gone)
    with pytest.raises(NotFound):
        await get(cell, "v", only.id)
    assert await cell.tenure.threads.delete_run(cell.one.ask(), SCOPE, "nobody's") == 0
    assert await unhealthy(cell) == []


async def test_rows_that_were_moved_or_forged_are_refused(cell: Cell) -> None:
    mine = await put(cell, "mine", {"a": "1"})
    await put(cell, "theirs", {"a": "2"})
    await put(cell, "theirs", {"a": "3"})
    where = "FROM versions WHERE cohort IS NOT NULL"
    found = cell.rows(f"SELECT CAST(record_id AS TEXT), version, header, head, content {where}")
    (one,) = [row for row in found if [other[0] for other in found].count(row[0]) == 1]
    other, number = next((row[0], row[1]) for row in found if row[0] != one[0] and row[1] == 2)
    at = "WHERE CAST(record_id AS TEXT) = :record AND version = :number"
    for forged in (one[2:], (one[2], one[3], b'{"state":{},"parts":[]}'), (b"", b"{}", b"{}")):
        cell.change(
            f"UPDATE versions SET header = :header, head = :head, content = :content {at}",
            header=forged[0],
            head=forged[1],
            content=forged[2],
            record=other,
            number=number,
        )
        with pytest.raises(Tampered):
            await get(cell, "theirs")
    cell.change(f"UPDATE records SET key_index = 'x' || key_index WHERE CAST(id AS TEXT) = '{other}'")
    cell.change(
        "UPDATE records SET key_index = (SELECT substr(key_index, 2) FROM records WHERE key_index LIKE 'x%')"
        f" WHERE CAST(id AS TEXT) = '{one[0]}'"
    )
    with pytest.raises(Tampered):
        await get(cell, "theirs")
    assert mine.id


async def test_names_are_checked_before_anything_is_done(cell: Cell) -> None:
    for wrong in ("", "a\x1fb", "x" * 1025, "\ud800"):
        with pytest.raises(Invalid):
            await put(cell, wrong)
        with pytest.raises(Invalid):
            await put(cell, "t", id=wrong)
    assert not cell.rows("SELECT 1 FROM records")


@pytest.mark.databases(*DATABASES)
async def test_what_tasks_wrote_goes_along_with_the_next_snapshot_of_the_same_batch(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await put(cell, "t", {"a": "1"})
    await write(cell, "t", first.id, "early", Write(0, "a", "text", b"0"), path="~0")
    before = len(cell.entries())
    asking = create_autospec(PutWrites.needs, side_effect=PutWrites.needs)
    monkeypatch.setattr(PutWrites, "needs", asking)
    one, two, second = await asyncio.gather(
        write(
            cell, "t", first.id, "one", Write(0, "a", "text", b"1"), Write(-1, "e", "text", b"old"), path="~1"
        ),
        write(cell, "t", first.id, "two", Write(0, "a", "text", b"2"), path="~2"),
        put(cell, "t", {"a": Channel(1)}, parent=first.id, latest=(first.id,)),
    )
    assert one.entry == two.entry == second.entry, "a step is one entry"
    assert len(cell.entries()) == before + 1
    assert not asking.called, "it has all it needs with that snapshot"
    await write(cell, "t", first.id, "one", Write(0, "a", "text", b"late"), Write(-1, "e", "text", b"new"))
    expected = [
        ("early", 0, b"0"),
        ("one", -1, b"new"),
        ("one", 0, b"1"),
        ("two", 0, b"2"),
    ]

    async def pending(thread: str) -> list[tuple[str, int, bytes]]:
        found = await get(cell, thread, first.id)
        listed = (
            await cell.tenure.threads.page(cell.one.ask(), SCOPE, Wanted(thread, before=second.id))
        ).items
        assert listed[-1].writes == found.writes
        return sorted((one.task, one.idx, one.value) for one in found.writes)

    assert await pending("t") == expected
    assert (await get(cell, "t")).writes == ()
    await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u")
    assert await pending("u") == expected
    assert await unhealthy(cell) == []


@pytest.mark.databases(*DATABASES)
async def test_what_is_written_to_a_snapshot_in_its_own_batch_is_stored_with_it(cell: Cell) -> None:
    """As LangGraph stores a run's input."""
    before = await put(cell, "t")
    entries = len(cell.entries())
    name = new_id()
    sent: dict[str, Any] = {"id": name, "parent": before.id, "latest": (before.id,)}
    first, mine = await asyncio.gather(
        put(cell, "t", {"a": "x"}, **sent),
        write(cell, "t", name, "input", Write(0, "a", "text", b"1"), Write(-1, "e", "text", b"old")),
    )
    assert mine.entry == first.entry
    assert len(cell.entries()) == entries + 1
    await write(cell, "t", name, "input", Write(0, "a", "text", b"late"), Write(-1, "e", "text", b"new"))
    await cell.tenure.threads.copy(cell.one.ask(), SCOPE, "t", "u")
    for thread in ("t", "u"):
        found = sorted((one.task, one.idx, one.value) for one in (await get(cell, thread, name)).writes)
        assert found == [("input", -1, b"new"), ("input", 0, b"1")]
    again, too = await asyncio.gather(
        put(cell, "t", {"a": "x"}, **sent), write(cell, "t", name, "other", Write(0, "a", "text", b"2"))
    )
    assert (again.entry, again.version) == (first.entry, first.version), "it was stored before"
    assert too.entry != again.entry
    assert {one.task for one in (await get(cell, "t", name)).writes} == {"input", "other"}
    assert await unhealthy(cell) == []


async def test_what_cannot_go_along_is_stored_alone(cell: Cell) -> None:
    first = await put(cell, "t")
    second = await put(cell, "t", parent=first.id)
    written, lost = await asyncio.gather(
        write(cell, "t", first.id, "a", Write(0, "a", "text", b"1")),
        put(cell, "t", parent=first.id, latest=(first.id,)),
        return_exceptions=True,
    )
    assert isinstance(lost, Stale)
    assert isinstance(written, Stored)
    forked = await asyncio.gather(
        write(cell, "t", first.id, "b", Write(0, "a", "text", b"2")),
        put(cell, "t", parent=first.id, latest=(second.id,)),
    )
    assert forked[0].entry != forked[1].entry
    assert [one.task for one in (await get(cell, "t", first.id)).writes] == ["a", "b"]
    assert (await get(cell, "t", second.id)).writes == ()


async def test_what_is_remembered_of_a_thread_ends_with_the_rules_and_with_any_erasure(cell: Cell) -> None:
    bound = Bound(("contact",), (ADA, "customer:bob"))
    parent = await put(cell, "t", bound=bound)
    slots = []
    (scope,) = (one for one in yaml.safe_load_all(MANIFESTS) if one["metadata"]["name"] == SCOPE)
    for rules in ({"description": "As before"}, {"jointErasure": "all", "ground": "a contract of both"}):
        changed = {**scope, "spec": {**scope["spec"], **rules}}
        await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(changed), dry_run=False)
        for _ in range(2):
            parent = await put(cell, "t", parent=parent.id, bound=bound)
        ((header,),) = cell.rows("SELECT header FROM versions WHERE entry = :entry", entry=parent.entry)
        slots.append(len(header_leaves(header)))
    assert slots == [1, 2]
    tenancies = cell.tenure.decisions._tenancies
    await cell.put("k", 1, "customer:else")
    for ended in ("here", "elsewhere", "unasked"):
        known = tenancies.cached(cell.one.id)
        assert known is not None
        assert known.homes
        assert ("subject", ADA) in known.keys._indexes
        if ended == "here":
            await cell.erase("customer:else")
        elif ended == "elsewhere":
            other = replace(known, epochs=replace(known.epochs, keys=-1))
            tenancies._tenancies[cell.one.id] = other
            await get(cell, "t")
        else:
            tenancies.forget_keys(known.keys.seq + 1)
        now = tenancies.cached(cell.one.id)
        assert now is not None
        assert not now.homes
        assert not known.keys._indexes
        for _ in range(2):
            parent = await put(cell, "t", parent=parent.id, bound=bound)
