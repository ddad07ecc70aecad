"""Stores that went through something rare: no alarm about what is as it should be, one about what is not."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from test_bring_up import Copies, copies
from test_cell_on_s3 import on_s3
from test_witnessed import Pair

from support.cell import Cell, crash
from support.databases import DATABASES
from support.erasure import InjectedError
from support.lived import Undone, rounds
from support.tsa import Tsa, needed
from tenure import publisher, witnesses
from tenure.decisions import Opening
from tenure.governance import celllog
from tenure.groundwork import ground_of
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.inspector import Inspector
from tenure.inspection.view import Anchors
from tenure.ledger.checkpoint import peek_checkpoint
from tenure.ledger.note import Signer, sign_note
from tenure.ledger.timestamp import request
from tenure.stamping import believed
from tenure.store import tables

__all__ = ["copies", "on_s3"]
pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture(autouse=True)
def _when_the_test_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)
    monkeypatch.setattr(publisher, "AGAIN_S", 3600)
    monkeypatch.setattr(witnesses, "_FIRST_REST_S", 0.0)


async def found(cell: Cell) -> list[str]:
    """What is found in the whole cell each time that one looks: a log may be in the middle of a step."""
    return [one.line() for one in await asyncio.to_thread(_found, cell)]


def _found(cell: Cell) -> list[Finding]:
    ground = ground_of(cell.settings)
    try:
        authorities = believed(cell.settings.tsa_certs)
        inspector = Inspector(Anchors(ground, authorities), again_s=(0.2, 0.5))
        return [finding for step in inspector.cell() for finding in step.findings]
    finally:
        ground.database.close()


async def busy(cell: Cell, name: str) -> None:
    """Something of everything that a lost database forgets."""
    tenure, tenant = cell.tenure, cell.one
    await cell.put(name, "words", f"customer:{name}")
    await cell.put("same", name, "customer:same")
    opened = await tenure.decisions.open(tenant["agent"], Opening("customer-support"))
    bound = tenant.ask(decision=opened["id"])
    await asyncio.gather(*(cell.get(name, ask=bound) for _ in range(66)))
    await tenure.decisions.seal(tenant["agent"], opened["id"], "answered", None)
    await tenure.holds.place(tenant["dpo"], "record", (await cell.get(name)).record, f"litigation {name}")
    await cell.put("theirs", name, "customer:1", tenant=cell.two)
    await rounds(cell)


@pytest.mark.databases(*DATABASES)
async def test_a_log_that_was_brought_up_over_a_change_of_its_key(place: Cell, copies: Copies) -> None:
    """The log has what the database forgot; the keys that signed meanwhile are those that the log names."""
    async with place.opened() as tenure:
        await busy(place, "before")
        left = await tenure.decisions.open(place.one["agent"], Opening("customer-support"))
        await rounds(place)
    copy = copies.take()
    async with place.opened() as tenure:
        await tenure.ledger_keys.rotate(place.one["admin"])
        await tenure.decisions.seal(place.one["agent"], left["id"], "answered", None)
        await busy(place, "lost")
        await tenure.ledger_keys.rotate(place.operator)
        await place.erase("customer:lost")
        await tenure.ledger_keys.rotate(place.one["admin"])
        await rounds(place)
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert place.one.id in {one.tenant_id for one in tenure.recovered.brought}
        assert await found(place) == []
        await busy(place, "afterwards")
        await tenure.decisions.seal(place.one["agent"], left["id"], "refused", None)
        await tenure.ledger_keys.rotate(place.one["admin"])
        await rounds(place)
    assert await found(place) == []
    with Undone(place, "ledger_keys"):
        place.change("DELETE FROM ledger_keys WHERE idx > 0 AND CAST(tenant_id AS TEXT) = :t", t=place.one.id)
        assert any("ledger-key" in line for line in await found(place))


async def test_a_log_that_ended_and_whose_key_changed_unseen(
    embedded: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change was never published: the log ended under its old key, the next one has another."""
    place = embedded
    async with place.opened():
        await busy(place, "before")
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    async with place.opened() as tenure:
        await tenure.ledger_keys.rotate(place.one["admin"])
        await busy(place, "lost")
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:
        assert place.one.id in {one.tenant_id for one in tenure.recovered.lost}
        await busy(place, "afterwards")
        assert await found(place) == []
        await tenure.ledger_keys.rotate(place.one["admin"])
        await rounds(place)
    assert await found(place) == []


@pytest.fixture
async def rotated(place: Cell) -> AsyncIterator[tuple[Cell, Signer]]:
    """A cell whose key was changed, and the old one in the hands of a thief."""
    async with place.opened() as tenure:
        await busy(place, "before")
        await place.erase("customer:before")
        origin = (await place.verifier()).name
        keys = tenure.sequencer._keyring.manifest().tenants[place.one.id]
        thief = Signer(origin, bytes(keys.ledger_seed))
        await tenure.ledger_keys.rotate(place.one["admin"])
        await place.put("after", 1, "customer:1")
        await rounds(place)
        yield place, thief


async def test_an_old_key_signs_nothing_beyond_its_end(rotated: tuple[Cell, Signer]) -> None:
    """Who has a key that was replaced can sign nothing that the inspection believes, and denies nothing."""
    place, thief = rotated
    assert await found(place) == []
    table = tables.checkpoints
    mine = (table.c.tenant_id == place.one.id, table.c.generation == 1)
    with Undone(place, "checkpoints"):
        with place.raw() as connection:
            query = select(table.c.size, table.c.note).where(*mine).order_by(table.c.size.desc())
            size, note = connection.execute(query.limit(1)).one()
            forged = sign_note(peek_checkpoint(note).body, [thief])
            here = update(table).where(*mine, table.c.size == size)
            connection.execute(here.values(note=forged))
        checks = {line.partition(": ")[0] for line in await found(place)}
        assert {"checkpoint", "audit:key-retired"} <= checks
    assert await found(place) == []


async def test_a_strangers_key_is_none_whoever_signs_with_it(rotated: tuple[Cell, Signer]) -> None:
    """Not even where he signs all again that the key before had signed."""
    place, _ = rotated
    keys, table = tables.ledger_keys, tables.checkpoints
    stranger = Signer((await place.verifier()).name, bytes(range(32)))
    with Undone(place, "ledger_keys", "checkpoints"):
        with place.raw() as connection:
            first = (keys.c.tenant_id == place.one.id, keys.c.idx == 0)
            assert connection.execute(update(keys).where(*first).values(vkey=stranger.vkey)).rowcount == 1
            own = table.c.tenant_id == place.one.id
            for size, note in connection.execute(select(table.c.size, table.c.note).where(own)).all():
                lines = note + stranger.signature_line(peek_checkpoint(note).body)
                connection.execute(update(table).where(own, table.c.size == size).values(note=lines))
        lines = await found(place)
        assert any(line.startswith("ledger-key") for line in lines), lines
    assert await found(place) == []


async def test_a_writer_that_others_ended(scaled: Cell) -> None:
    dying = await scaled.crashing()
    await scaled.put("k", 1, "customer:1")
    await dying.sequencer.run(scaled.one.id)
    writer = scaled.entries()[-1]["writer"]
    await crash(dying)
    async with scaled.opened() as tenure:
        await tenure.sequencer.end_writers(scaled.one.id, [writer])
        await rounds(scaled)
        assert await found(scaled) == []
    assert await found(scaled) == []


async def test_heads_that_witnesses_saw_and_nobody_else(
    place: Cell, copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that was offered and not published is a part of the log; one that is not, is a rollback."""
    (tmp_path / "witnesses").mkdir()
    pair = Pair(tmp_path / "witnesses")
    await pair.know(place)
    with pair.up(0, 1):
        async with place.opened(**pair.name(2)):
            await busy(place, "one")
        assert await found(place) == []
        copy = copies.take()
        dying = await place.crashing(**pair.name(2))

        def killed(*_: object) -> str:
            raise InjectedError

        await place.put("two", 1, "customer:1")
        with monkeypatch.context() as patch:
            patch.setattr(publisher, "put_head", killed)
            with pytest.raises(InjectedError):
                await dying.sequencer.run(place.one.id)
            await crash(dying)  # while it is broken: it would try again after a second
        assert dying.witnesses is not None
        dying.witnesses.close()
        assert await found(place) == []
        copies.put_back(copy)
        lines = await found(place)
        # Another log may have been offered meanwhile: the dying process ran for as long as this took.
        mine = [line for line in lines if f"tenant {place.one.id}: rollback" in line]
        assert [line.partition(": ")[0] for line in mine] == ["offered"], lines
        async with place.opened(**pair.name(2)):
            await rounds(place)
        assert await found(place) == []


@pytest.mark.parametrize("ledger", ["keep", "hand-over"])
async def test_a_tenant_that_left(cell: Cell, ledger: str) -> None:
    """Its checkpoints stay in the cell's log, whether or not its ledger is here to compare them with."""
    await busy(cell, "before")
    await cell.tenure.ledger_keys.rotate(cell.one["admin"])
    await rounds(cell)
    await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger=ledger)
    await cell.tenure.shredder.run()
    await cell.tenure.cell_log.round()
    await cell.tenure.sequencer.run(CELL)
    assert await found(cell) == []
    assert cell.rows("SELECT count(*) FROM cell_checkpoints WHERE CAST(id AS TEXT) = :t", t=cell.one.id)[0][0]


@pytest.mark.s3
async def test_with_objects_and_mirror_in_a_bucket(on_s3: Cell) -> None:
    async with on_s3.opened() as tenure:
        await busy(on_s3, "before")
        await tenure.ledger_keys.rotate(on_s3.one["admin"])
        await rounds(on_s3)
        assert await found(on_s3) == []
    ground = ground_of(on_s3.settings)
    name = f"ledger/{on_s3.one.id}/1/rotations"
    try:
        chain = ground.objects.get(name) or b""
        ground.objects.put(name, chain[: len(chain) // 2])
        assert any("rotations" in line for line in await found(on_s3))
        ground.objects.put(name, chain)
    finally:
        ground.database.close()
    assert await found(on_s3) == []


async def test_the_cells_rows_in_another_tenants_hands(cell: Cell) -> None:
    """A queue or an opening that is moved out of the cell's rows is found there, and missed here."""
    await busy(cell, "before")
    await busy(cell, "again")
    assert await found(cell) == []
    await cell.put("waits", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    for name in ("cell_queue", "cell_checkpoints"):
        table = tables.metadata.tables[name]
        with Undone(cell, name):
            with cell.raw() as connection:
                moved = update(table).where(table.c.id == cell.one.id).values(tenant_id=cell.two.id)
                assert connection.execute(moved).rowcount
            lines = await found(cell)
            assert any("it is not the cell's" in line and name in line for line in lines), lines
    assert await found(cell) == []


async def test_time_stamps(place: Cell, tmp_path: Path) -> None:
    """Over another text, by another authority, of another time, gone: found, without the setting, too."""
    needed()
    tsa, other = Tsa(tmp_path / "tsa"), Tsa(tmp_path / "other")
    with tsa.up() as url:
        async with place.opened(tsa_url=url, tsa_certs=str(tsa.root)) as tenure:
            await busy(place, "one")
            assert await tenure.timestamps.run()
            await busy(place, "two")
            assert await tenure.timestamps.run() is None, "not again so soon"
    table = tables.timestamps
    [(size, note)] = place.rows(
        "SELECT t.size, c.note FROM timestamps t JOIN checkpoints c ON c.tenant_id = t.tenant_id"
        " AND c.generation = t.generation AND c.size = t.size"
    )
    shown = place.published().parents[1] / CELL / "1" / "timestamps" / f"{size}.tsr"
    real, forged = shown.read_bytes(), other.reply(request(peek_checkpoint(note).body))
    elsewhere = tsa.reply(request("another text"))
    for certificates in (str(tsa.root), ""):
        place.settings = place.settings.model_copy(update={"tsa_certs": certificates})
        assert await found(place) == []
        for values, public in (
            ({"at": table.c.at - 7_200_000_000}, real),
            ({"response": elsewhere}, elsewhere),
            ({"response": forged}, real if not certificates else forged),
            ({"size": size - 1}, real),
            (None, real),
        ):
            with Undone(place, "timestamps"):
                shown.write_bytes(public)
                with place.raw() as connection:
                    connection.execute(delete(table) if values is None else update(table).values(values))
                lines = await found(place)
                assert any(line.startswith("time-stamp") for line in lines), (values, lines)
            shown.write_bytes(real)
    assert await found(place) == []
