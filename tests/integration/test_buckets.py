"""Blind-index buckets: after an erasure neither an old backup nor today's database confirms who was there."""

import asyncio
import sqlite3
from concurrent.futures import wait
from typing import Any

import pytest

from support.cell import Cell
from support.erasure import assert_certified
from tenure.errors import Shredded
from tenure.governance import rekey
from tenure.keyring import stored_state
from tenure.keys import blind
from tenure.keys.ggm import PuncturedState

pytestmark = pytest.mark.anyio


def live_state(cell: Cell) -> PuncturedState:
    ground = cell.tenure.shredder._ground
    keys = ground.keyring.manifest().tenants[cell.one.id]
    return ground.database.read(cell.one.id, lambda tx: stored_state(tx, keys))


def bucket_of(cell: Cell, reference: str) -> int:
    return blind.bucket_of(live_state(cell).derive(blind.SELECTOR_LEAF), reference.encode())


def neighbour(cell: Cell, reference: str) -> str:
    """Somebody else who is found through the same bucket."""
    wanted = bucket_of(cell, reference)
    selector = live_state(cell).derive(blind.SELECTOR_LEAF)
    return next(
        other
        for other in (f"customer:n{n}" for n in range(200_000))
        if blind.bucket_of(selector, other.encode()) == wanted
    )


async def test_an_old_backup_with_todays_keys_confirms_nobody(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    backup = {row[0] for row in cell.rows("SELECT ref_index FROM subjects")}
    leaf = blind.bucket_leaf(bucket_of(cell, "customer:1"))
    before = blind.blind_index(live_state(cell).derive(leaf), "subject", b"customer:1").hex()
    assert before in backup, "positive control: with the key, the backup does confirm"
    await cell.erase("customer:1")
    with pytest.raises(Shredded):
        live_state(cell).derive(leaf)
    bucket = bucket_of(cell, "customer:1")
    moved = cell.rows("SELECT leaf FROM bucket_leaves WHERE bucket = :b", b=bucket)[0][0]
    now = blind.blind_index(live_state(cell).derive(moved), "subject", b"customer:1").hex()
    assert now not in backup | {row[0] for row in cell.rows("SELECT ref_index FROM subjects")}


async def test_neighbours_are_found_before_and_after(cell: Cell) -> None:
    other = neighbour(cell, "customer:1")
    await cell.put("k", 1, "customer:1")
    await cell.put("n", "theirs", other)
    person = await cell.person(other)
    for reference in ("customer:1", neighbour(cell, other) if other == "customer:1" else other):
        assert await cell.person(reference)
    await cell.erase("customer:1")
    assert await cell.person(other) == person, "the same person, under another index"
    assert await cell.value("n") == "theirs"
    await cell.put("n2", "more", other)
    assert await cell.person(other) == person, "no second person"
    await cell.put("again", 1, "customer:1")
    assert await cell.person("customer:1") != person
    await assert_certified(cell, await cell.erase(other))


async def test_people_met_while_the_bucket_moves_are_met_once(cell: Cell) -> None:
    """Whoever writes about somebody new, at the moment of the swap, neither fails nor makes two of them."""
    reference = neighbour(cell, "customer:1")
    await cell.put("k", 1, "customer:1")
    await cell.request("customer:1")
    writing = [asyncio.create_task(cell.put(f"w{n}", n, reference)) for n in range(40)]
    await asyncio.gather(cell.tenure.shredder.run(), *writing)
    await cell.put("after", 1, reference)
    people = cell.rows("SELECT count(*) FROM subjects WHERE ref_index IS NOT NULL")
    assert people == [(1,)]
    for n in range(40):
        assert await cell.value(f"w{n}") == n


async def test_somebody_new_at_the_very_swap_is_met_once(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket has moved and the swap has not committed: who is written about now has looked already."""
    async with scaled.opened():
        reference = neighbour(scaled, "customer:1")
        await scaled.put("k", 1, "customer:1")
        await scaled.request("customer:1")
        loop, late = asyncio.get_running_loop(), []
        real = rekey.move_buckets

        def meanwhile(*args: Any) -> None:
            real(*args)
            if not late:
                late.append(asyncio.run_coroutine_threadsafe(scaled.put("new", 1, reference), loop))
                wait(late, timeout=1.0)  # it has to wait for this transaction

        monkeypatch.setattr(rekey, "move_buckets", meanwhile)
        await scaled.tenure.shredder.run()
        await asyncio.wrap_future(late[0])
        await scaled.put("again", 2, reference)
        assert scaled.rows("SELECT count(*) FROM subjects WHERE ref_index IS NOT NULL") == [(1,)]
        assert await scaled.value("new") == 1


async def test_a_restored_database_finds_neighbours_again(embedded: Cell) -> None:
    async with embedded.opened():
        other = neighbour(embedded, "customer:1")
        await embedded.put("k", 1, "customer:1")
        await embedded.put("n", "theirs", other)
        person = await embedded.person(other)
    database = embedded.settings.data_dir / "tenure.db"
    backup = embedded.settings.data_dir.parent / "backup.db"
    with sqlite3.connect(database) as live, sqlite3.connect(backup) as copy:
        live.backup(copy)
    async with embedded.opened():
        await embedded.erase("customer:1")
    for old in embedded.settings.data_dir.glob("tenure.db*"):
        old.unlink()
    backup.rename(database)
    async with embedded.opened() as tenure:
        assert tenure.recovered.restored
        assert await embedded.person(other) == person
        assert await embedded.value("n") == "theirs"
