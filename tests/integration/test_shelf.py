"""Published logs that lost or changed something: found, put back from the copy that fits, and said."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_bring_up import Copies, copies

from support.cell import Cell
from support.databases import DATABASES
from tenure import safekeeping
from tenure.client.source import DirSource
from tenure.errors import Conflict, Tampered
from tenure.governance.shelf import Mended, Part, mend
from tenure.ledger.audit import audit
from tenure.ledger.tile import ENTRIES, TileId

__all__ = ["copies"]
pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def _grown(cell: Cell, *bursts: int) -> int:
    """Publish at several sizes; the last one. Nothing is published behind the test's back afterwards."""
    await cell.put("k", 1, "customer:1")
    cell.tenure.sequencer.stop()
    await asyncio.gather(cell.tenure._sequencing)  # type: ignore[arg-type]
    for burst in bursts:
        await asyncio.gather(*(cell.get("k") for _ in range(burst)))
        await cell.tenure.sequencer.run(cell.one.id)
    return int((cell.published() / "checkpoint").read_text().splitlines()[1])


async def repaired(cell: Cell) -> Mended:
    """A whole pass over the first tenant's log; the other logs have nothing."""
    found = await asyncio.to_thread(safekeeping.repair, cell.settings, None)
    assert all(one.well for one in found if one.tenant_id != cell.one.id)
    (mine,) = [one for one in found if one.tenant_id == cell.one.id]
    return mine


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.databases(*DATABASES)
async def test_nothing_is_found_where_nothing_is_wrong(cell: Cell) -> None:
    await _grown(cell, 3, 250, 40, 2)
    before = _content(cell.published())
    found = await repaired(cell)
    assert found.well, found
    assert found.compared >= 6
    assert _content(cell.published()) == before


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-7] ^= 1
    path.write_bytes(raw)


OBJECTS = (
    *("tile/0/000", "tile/0/001.p/{part}", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/{part}"),
    *("checkpoint", "vkey", "checkpoints/{size:019d}"),
)


@pytest.mark.parametrize("damage", [Path.unlink, _flip, lambda path: path.write_bytes(b"")])
async def test_each_published_object(
    cell: Cell, subtests: pytest.Subtests, damage: Callable[[Path], Any]
) -> None:
    size = await _grown(cell, 3, 250, 40)
    before = _content(cell.published())
    for name in (name.format(size=size, part=size - 256) for name in OBJECTS):
        with subtests.test(name=name):
            damage(cell.published() / name)
            found = await repaired(cell)
            assert (found.missing + found.changed) == [name]
            assert bool(found.missing) == (damage is Path.unlink)
            assert not found.database
            assert not found.beyond
            assert _content(cell.published()) == before
            assert (await repaired(cell)).well
    assert (await cell.audited()).ok


@pytest.mark.databases(*DATABASES)
async def test_everything_lost_but_the_database(cell: Cell) -> None:
    await _grown(cell, 3, 250, 40)
    folder = cell.published()
    before = _content(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    found = await repaired(cell)
    assert "checkpoint" in found.missing
    whole = {name for name in before if not name.startswith("checkpoints/") and ".p/" not in name}
    assert whole <= _content(folder).keys()
    assert _content(folder).items() <= before.items()
    assert (await cell.audited()).ok


async def test_narrower_tiles_of_earlier_checkpoints_come_back(cell: Cell) -> None:
    await _grown(cell, 300)
    earlier = int((cell.published() / "checkpoint").read_text().splitlines()[1])
    await _grown(cell, 5)
    name = TileId(0, 1, earlier - 256).path
    (cell.published() / name).unlink()
    assert (await repaired(cell)).missing == [name]
    assert (cell.published() / name).exists()


# ── the database's copy ────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_damaged_tile_of_the_database_is_not_published(cell: Cell) -> None:
    size = await _grown(cell, 3, 250, 40)
    before = _content(cell.published())
    cell.change("UPDATE tiles SET data = :d WHERE CAST(tenant_id AS TEXT) = :t AND level = 0 AND n = 0",
                d=bytes(256 * 32), t=cell.one.id)  # fmt: skip
    found = await repaired(cell)
    assert found.database == ["tile/0/000"]
    assert not found.changed
    assert _content(cell.published()) == before
    assert (await repaired(cell)).well
    assert size


@pytest.mark.databases(*DATABASES)
async def test_an_edited_entry_of_the_database_comes_back_from_what_is_published(cell: Cell) -> None:
    await _grown(cell, 3, 250, 40)
    body = cell.rows("SELECT e.body FROM entries e JOIN places p ON p.tenant_id = e.tenant_id AND"
                     " p.writer = e.writer AND p.n = e.n WHERE CAST(e.tenant_id AS TEXT) = :t AND p.idx = 0",
                     t=cell.one.id)[0][0]  # fmt: skip
    edited = bytes(body).replace(b'"outcome":"', b'"outcome":"x')
    assert cell.change("UPDATE entries SET body = :e WHERE body = :b", e=edited, b=bytes(body)) == 1
    found = await repaired(cell)
    assert found.database == [TileId(ENTRIES, 0).path]
    assert not found.changed
    assert not cell.rows("SELECT 1 FROM entries WHERE body = :e", e=edited)
    assert (await repaired(cell)).well
    served = await cell.tenure.ledger.tile(cell.one["auditor"], "tile/entries/000")
    assert served == (cell.published() / "tile/entries/000").read_bytes()


@pytest.mark.databases(*DATABASES)
async def test_a_dropped_entry_and_its_place_come_back(cell: Cell) -> None:
    await _grown(cell, 3, 250, 40)
    mine = "WHERE CAST(tenant_id AS TEXT) = :t AND writer = (SELECT writer FROM places WHERE idx = 0 AND"
    mine += " CAST(tenant_id AS TEXT) = :t) AND n = 0"
    for table in ("entries", "places"):
        assert cell.change(f"DELETE FROM {table} {mine}", t=cell.one.id) == 1
    found = await repaired(cell)
    assert TileId(ENTRIES, 0).path in found.database
    assert not found.beyond
    assert (await repaired(cell)).well


async def test_both_copies_damaged_at_one_place_is_said_and_nothing_is_signed(cell: Cell) -> None:
    await _grown(cell, 3, 250, 40)
    checkpoint = (cell.published() / "checkpoint").read_bytes()
    _flip(cell.published() / "tile/entries/000")
    last = cell.rows("SELECT e.writer, e.n FROM entries e JOIN places p ON p.tenant_id = e.tenant_id AND"
                     " p.writer = e.writer AND e.n >= p.n AND e.n < p.n + p.count"
                     " WHERE CAST(e.tenant_id AS TEXT) = :t AND p.idx + e.n - p.n = 255",
                     t=cell.one.id)  # fmt: skip
    cell.change(
        "UPDATE entries SET body = :b WHERE writer = :w AND n = :n", b=b"{}", w=last[0][0], n=last[0][1]
    )
    found = await repaired(cell)
    assert found.beyond == [TileId(ENTRIES, 0).path]
    assert not found.well
    assert (cell.published() / "checkpoint").read_bytes() == checkpoint


async def test_nothing_is_signed_upon_a_damaged_edge(cell: Cell) -> None:
    size = await _grown(cell, 3)
    damaged = "UPDATE tiles SET data = :d WHERE CAST(tenant_id AS TEXT) = :t AND level = 0"
    cell.change(damaged, d=bytes(size * 32), t=cell.one.id)
    cell.tenure.sequencer._trees.clear()
    await cell.get("k")
    with pytest.raises(Tampered, match="do not make its root"):
        await cell.tenure.sequencer.run(cell.one.id)
    assert (await repaired(cell)).database == [TileId(0, 0, size).path]
    assert (await cell.audited()).ok


@pytest.mark.databases(*DATABASES)
async def test_an_edited_checkpoint_of_the_database(cell: Cell) -> None:
    size = await _grown(cell, 3)
    edited = "UPDATE checkpoints SET note = :n WHERE CAST(tenant_id AS TEXT) = :t AND size = :s"
    cell.change(edited, n="nothing signed", t=cell.one.id, s=size)
    assert (await repaired(cell)).database == ["checkpoint"]
    served = await cell.tenure.ledger.checkpoint(cell.one["auditor"])
    assert served == (cell.published() / "checkpoint").read_text()


# ── heads ──────────────────────────────────────────────────────────────────────────────────────────
async def test_a_newer_checkpoint_is_never_put_back_to_an_older_one(cell: Cell) -> None:
    """Published and not yet marked in the database."""
    await _grown(cell, 3)
    first = (cell.published() / "checkpoint").read_bytes()
    size = await _grown(cell, 5)
    cell.change("UPDATE logs SET published = published - 2 WHERE CAST(tenant_id AS TEXT) = :t", t=cell.one.id)
    found = await repaired(cell)
    assert found.well, found
    assert found.size == size
    cell.change("UPDATE logs SET published = size WHERE CAST(tenant_id AS TEXT) = :t", t=cell.one.id)
    (cell.published() / "checkpoint").write_bytes(first)
    assert (await repaired(cell)).changed == ["checkpoint"], "an older one is"
    assert (await cell.audited()).ok


async def test_a_lost_mirrored_head_comes_back(cell: Cell) -> None:
    await _grown(cell, 3)
    path = cell.settings.root_dir / "mirror" / "heads" / cell.one.id
    before = path.read_bytes()
    path.unlink()
    assert (await repaired(cell)).missing == ["mirrored head"]
    assert path.read_bytes() == before


@pytest.mark.databases(*DATABASES)
async def test_a_restored_database_is_not_taken_for_the_truth(place: Cell, copies: Copies) -> None:

    async with place.opened():
        await _grown(place, 3)
    copy = copies.take()
    async with place.opened():
        await _grown(place, 3)
    before = _content(place.published())
    copies.put_back(copy)
    with pytest.raises(Conflict):
        await repaired(place)
    assert _content(place.published()) == before


@pytest.mark.parametrize("damage", [Path.unlink, _flip])
async def test_proofs_of_a_change_of_key_come_back(cell: Cell, damage: Callable[[Path], Any]) -> None:
    await _grown(cell, 3)
    await cell.tenure.ledger_keys.rotate(cell.one["admin"])
    await cell.tenure.sequencer.run(cell.one.id)
    before = _content(cell.published())
    assert (await repaired(cell)).well
    damage(cell.published() / "rotations")
    found = await repaired(cell)
    assert (found.missing + found.changed) == ["rotations"]
    assert _content(cell.published()) == before


# ── in parts ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_log_is_compared_in_turns_and_what_is_missing_is_found_at_once(cell: Cell) -> None:
    await _grown(cell, 300, 300)
    ground = cell.tenure.shredder._ground
    _flip(cell.published() / "tile/entries/001")
    (cell.published() / "tile/0/001").unlink()
    (first,) = mend(ground, cell.one.id, Part(0, 1))
    assert (first.missing, first.changed, first.next) == (["tile/0/001"], [], 1)
    (second,) = mend(ground, cell.one.id, Part(first.next, 1))
    assert (second.changed, second.next) == (["tile/entries/001"], 2)
    (third,) = mend(ground, cell.one.id, Part(second.next, 1))
    assert (third.well, third.next) == (True, 0)
    assert audit(DirSource(cell.published()), [await cell.verifier()]).ok
