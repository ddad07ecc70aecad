"""Publishing runs behind sequencing: whoever is slow there holds up only that log, and not its commits."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cell import Cell, Tenant, crash
from support.databases import DATABASES
from tenure import publisher, sequencer
from tenure.cold.files import FileObjects
from tenure.errors import TenureError, Unavailable
from tenure.handed import Grown
from tenure.ledger.tile import expected_bundles, expected_tiles
from tenure.pace import LONGEST_S
from tenure.publisher import Ready, changed_files
from tenure.store import log

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def until(true: Callable[[], Any]) -> None:
    """Wait until it is so; what runs in the background takes its moment."""
    for _ in range(400):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")


def size(cell: Cell, tenant: Tenant) -> int:
    """How many entries are published."""
    return int((cell.published(tenant) / "checkpoint").read_text().splitlines()[1])


def placed(cell: Cell, tenant: Tenant) -> int:
    """How many entries have their place."""
    current = cell.tenure._database.read(tenant.id, log.newest)
    assert current is not None
    return current.size


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 256), (255, 257), (256, 257), (5, 5), (700, 70_000)])
def test_what_has_changed_is_what_the_larger_log_has_more(old: int, new: int) -> None:
    before = {*expected_tiles(old), *expected_bundles(old)}
    after = {*expected_tiles(new), *expected_bundles(new)}
    assert set(changed_files(old, new)) == after - before


async def test_a_stalled_object_tier_holds_up_nobody_else(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    heads: list[str] = []
    real = FileObjects.put

    def put(objects: FileObjects, name: str, data: bytes) -> None:
        if name.startswith(f"ledger/{cell.one.id}"):
            assert go_on.wait(60)
            heads.extend([name] * name.endswith("/checkpoint"))
        real(objects, name, data)

    await until(lambda: size(cell, cell.one) == placed(cell, cell.one))
    before = size(cell, cell.one)
    monkeypatch.setattr(FileObjects, "put", put)
    try:
        for n in range(5):
            await cell.put(f"k{n}", n, "customer:1")
            await cell.put(f"k{n}", n, "customer:1", tenant=cell.two)
            await until(lambda: size(cell, cell.two) == placed(cell, cell.two) == len(cell.entries(cell.two)))
            await until(lambda: placed(cell, cell.one) == len(cell.entries()))
        assert size(cell, cell.one) == before
    finally:
        go_on.set()
    await until(lambda: size(cell, cell.one) == len(cell.entries()))
    assert len(heads) <= 2, "what came meanwhile is published together"
    report = await cell.audited()
    assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_log_that_falls_too_far_behind_is_refused_and_recovers(
    place: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True
    real = FileObjects.put
    monkeypatch.setattr(publisher, "_FIRST_RETRY_S", 0.05)
    monkeypatch.setattr(publisher, "_LONGEST_RETRY_S", 0.1)

    def put(objects: FileObjects, name: str, data: bytes) -> None:
        if broken and name.startswith(f"ledger/{place.one.id}"):
            raise Unavailable("The object store cannot be written.")
        real(objects, name, data)

    async with place.opened(max_backlog=20) as tenure:
        backlog = tenure.sequencer.backlog
        await place.put("k", 1, "customer:1")
        await until(lambda: size(place, place.one) == len(place.entries()))
        monkeypatch.setattr(FileObjects, "put", put)
        acknowledged = 0
        with pytest.raises(Unavailable, match="wait for publication") as refused:  # noqa: PT012 - it is a loop
            for _ in range(200):
                await place.get("k")
                acknowledged += 1
                await asyncio.sleep(0.02)
        assert 10 <= acknowledged < 200, "some may be counted twice while they get their places"
        assert "object store" in (refused.value.remedy or "")
        await place.put("k", 1, "customer:1", tenant=place.two)
        broken = False
        await until(lambda: size(place, place.one) == len(place.entries()) and not len(backlog))
        await place.get("k")
        report = await place.audited()
        assert report.ok, report.failures
        assert report.kinds["access"] == acknowledged + 1


async def test_what_a_killed_process_left_is_taken_up_without_a_write(scaled: Cell) -> None:
    """It committed, and died before it sequenced; nobody writes in that log again."""
    dying = await scaled.crashing()
    dying.sequencer.stop()  # it commits, and does no more
    assert dying._sequencing is not None
    await dying._sequencing
    async with scaled.opened():
        written = await dying.gateway.write(*_a_write(scaled))
        await until(lambda: size(scaled, scaled.one) == placed(scaled, scaled.one))
        assert written.entry not in _in(scaled, scaled.published())
        await crash(dying)
        await until(lambda: written.entry in _in(scaled, scaled.published()))
        writer = written.entry.partition("-")[0]
        await until(lambda: _ended(scaled, writer) == ["lost"])
        report = await scaled.audited()
        assert report.ok, report.failures
        assert scaled.rows("SELECT count(*) FROM writers WHERE writer = :w", w=writer) == [(0,)]


@pytest.mark.databases(*DATABASES)
async def test_a_process_that_was_believed_dead_goes_on_as_another_writer(cell: Cell) -> None:
    first = await cell.put("k", 1, "customer:1")
    writer = first.entry.partition("-")[0]
    await cell.tenure.sequencer.end_writers(cell.one.id, [writer])
    await cell.tenure.sequencer.end_writers(cell.one.id, [writer])
    entries = [(await cell.put("k", n, "customer:1")).entry for n in range(5)]
    assert all(not entry.startswith(writer) for entry in entries)
    assert _ended(cell, writer) == ["lost"]
    report = await cell.audited()
    assert report.ok, report.failures


async def test_a_start_wakes_only_what_waits(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place.opened() as tenure:
        await place.put("k", 1, "customer:1")
        await tenure.sequencer.run(place.one.id)
    async with place.opened() as tenure:  # the ends of the writers before
        await until(
            lambda: all(size(place, one) == len(place.entries(one)) for one in (place.one, place.two))
        )
    woken: list[str] = []
    monkeypatch.setattr(sequencer.Sequencer, "wake", lambda _self, tenant_id: woken.append(tenant_id))
    async with place.opened() as tenure:
        await tenure._leftovers.look_around()
        assert woken == []
        tenure._batcher.on_commit(lambda _tenant_id, _count: None)
        await place.put("k", 1, "customer:1", tenant=place.two)
        await tenure._leftovers.look_around()
        assert woken == [place.two.id]


async def test_no_more_edges_are_kept_than_allowed(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "MAX_TREES", 1)
    for n in range(3):
        for tenant in (cell.one, cell.two):
            await cell.put(f"k{n}", n, "customer:1", tenant=tenant)
            await cell.tenure.sequencer.run(tenant.id)
    assert len(cell.tenure.sequencer._trees) == 1
    for tenant in (cell.one, cell.two):
        report = await cell.audited(tenant)
        assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_round_reads_nothing_back_that_was_placed_here(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cell.put("k", 0, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    await until(lambda: size(cell, cell.one) == len(cell.entries()))

    def read_back(*_given: Any, **_named: Any) -> None:
        raise AssertionError("the round was handed what it needs")

    with monkeypatch.context() as patched:
        patched.setattr(publisher, "_stored", read_back)
        for n in range(3):
            await cell.put("k", n, "customer:1")
            await until(lambda: size(cell, cell.one) == len(cell.entries()))
    report = await cell.audited()
    assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_head_that_the_database_has_not_is_never_published(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was handed over is no more than a copy: the database went back, or has another log by now."""
    await cell.put("k", 1, "customer:1")
    head = await cell.tenure.sequencer.run(cell.one.id)
    assert head is not None
    await until(lambda: size(cell, cell.one) == placed(cell, cell.one) == len(cell.entries()))
    before, current = size(cell, cell.one), cell.tenure._database.read(cell.one.id, log.newest)
    assert current is not None
    ours = cell.tenure.sequencer.publisher
    for wrong in (
        current._replace(size=current.size + 1, root=bytes(32)),
        current._replace(root=bytes(32)),
        current._replace(generation=2),
    ):
        grown = Grown(wrong._replace(published=wrong.size), "note", ("key",), wrong.size, [], {})
        with monkeypatch.context() as patched:
            patched.setattr(ours.handed, "take", lambda _tenant_id, grown=grown: grown)
            with pytest.raises(TenureError, match="another log"):
                await ours.publish(cell.one.id)
        await ours.publish(cell.one.id)  # from the database, after a doubt
    await cell.put("k", 2, "customer:1")
    await until(lambda: size(cell, cell.one) == len(cell.entries()) > before)
    report = await cell.audited()
    assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_head_that_was_overtaken_is_put_in_doubt_only(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer one may be signed with a key that this one does not know, and then looks like nobody's."""
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    await until(lambda: size(cell, cell.one) == len(cell.entries()))
    current = cell.tenure._database.read(cell.one.id, log.newest)
    assert current is not None
    overtaken = Ready(current._replace(size=current.size - 1, root=bytes(32)), "note", ("key",))
    ours, put = cell.tenure.sequencer.publisher, list[int]()
    monkeypatch.setattr(publisher, "put_head", lambda _shelf, head, note: [put.append(head.size), note][1])
    assert ours._put_head(cell.one.id, overtaken, "note") == "note"
    assert put == []
    ours._failures[cell.one.id] = 1
    ours._put_head(cell.one.id, overtaken, "note")
    assert put == [current.size - 1]


@pytest.mark.parametrize("known", [True, False], ids=["published here", "as after a start"])
async def test_a_checkpoint_that_somebody_else_put_there_is_none(cell: Cell, known: bool) -> None:
    """A process recognises its own; whatever differs from it by one byte is looked at."""
    shown = cell.published() / "checkpoint"
    for n in range(4):
        await cell.put("k", n, "customer:1")
        await cell.tenure.sequencer.run(cell.one.id)
        await until(lambda: size(cell, cell.one) == len(cell.entries()))
        ahead = shown.read_text().replace(f"\n{size(cell, cell.one)}\n", "\n1000000\n")
        shown.write_text(["", "no checkpoint", ahead, shown.read_text()][n])
        if not known:
            cell.tenure.sequencer.publisher.handed.forget(cell.one.id)
    await cell.put("k", 5, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    report = await cell.audited()
    assert report.ok, report.failures
    assert report.entries == len(cell.entries())


async def test_a_log_waits_its_pace_for_company_unless_the_service_stops(place: Cell) -> None:
    async with place.opened() as tenure:
        pace = tenure.sequencer.publisher.pace
        await place.put("k", 1, "customer:1")
        await until(lambda: size(place, place.one) == len(place.entries()))
        begun = time.monotonic()
        pace.took(place.one.id, begun, 1.0)
        await place.put("k", 2, "customer:1")
        await until(lambda: size(place, place.one) == len(place.entries()))
        assert time.monotonic() - begun > LONGEST_S - 0.01
        await place.put("k", 3, "customer:1")
        many = len(place.entries())
        pace.took(place.one.id, time.monotonic() + 3600, 1.0)
    assert size(place, place.one) == many, "it did not wait an hour"


def _a_write(cell: Cell) -> tuple[Any, ...]:
    from tenure.model.record import Draft

    return cell.one.ask(), "support.conversations", "k", Draft(b"{}", ("customer:1",), ("contact",))


def _in(cell: Cell, folder: Path) -> set[str]:
    """Entries below the published size."""
    upto = int((folder / "checkpoint").read_text().splitlines()[1])
    entries = cell.entries()
    return {
        f"{one['writer']}-{one['n']}" for one in entries if one["_at"][1] is not None and one["_at"][1] < upto
    }


def _ended(cell: Cell, writer: str) -> list[str]:
    found = cell.rows("SELECT body FROM entries WHERE writer = :w AND kind = 'writer.end'", w=writer)
    return [json.loads(bytes(body))["outcome"] for (body,) in found]
