"""Every tenant's checkpoints in the cell's log: provable for the tenant, telling nothing to anybody else."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from integration.test_ledger_live import _decide
from integration.test_witnessed import Pair, heads
from support.cell import Cell, crash
from support.databases import DATABASES
from tenure import publisher, witnesses
from tenure.cli.doctor import _cosigned
from tenure.cli.entry import app
from tenure.client.source import DirSource
from tenure.errors import NotYet
from tenure.governance import celllog
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.cellproof import check
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.cosignature import cosigned_by
from tenure.ledger.note import Verifier
from tenure.ledger.receipt import parse_receipt, verify_receipt
from tenure.store import celllog as store
from tenure.store import log

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture(autouse=True)
def _when_the_test_says(monkeypatch):
    """Rounds are held by the tests, and witnesses are asked again at once."""
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)
    monkeypatch.setattr(witnesses, "_FIRST_REST_S", 0.0)
    monkeypatch.setattr(witnesses, "_LONGEST_REST_S", 0.0)
    monkeypatch.setattr(witnesses, "_REFUSED_REST_S", 0.0)
    monkeypatch.setattr(publisher, "AGAIN_S", 3600)


@pytest.fixture
def pair(tmp_path):
    (tmp_path / "witnesses").mkdir()
    return Pair(tmp_path / "witnesses")


def cell_folder(cell: Cell):
    return cell.published().parents[1] / CELL / "1"


def cell_vkey(cell: Cell) -> str:
    return (cell_folder(cell) / "vkey").read_text().strip()


def cell_entries(cell: Cell):
    rows = cell.rows(
        "SELECT body FROM entries WHERE CAST(tenant_id AS TEXT) = :t AND kind = 'tenant.checkpoint'", t=CELL
    )
    return [json.loads(bytes(row[0])) for row in rows]


async def held(cell: Cell) -> int:
    """A round, and the cell's log published."""
    taken = await cell.tenure.cell_log.round()
    await cell.tenure.sequencer.run(CELL)
    return taken


@pytest.mark.databases(*DATABASES)
async def test_a_receipt_shows_its_checkpoint_in_the_cells_log(cell: Cell) -> None:
    decision, key = await _decide(cell)
    agent = cell.one["agent"]
    assert parse_receipt(await cell.tenure.decisions.receipt(agent, decision)).cell is None
    with pytest.raises(NotYet):
        await cell.tenure.decisions.receipt(agent, decision, cell=True)
    await held(cell)
    receipt = await cell.tenure.decisions.receipt(agent, decision, cell=True)
    report = verify_receipt(receipt, [key], [Verifier.parse(cell_vkey(cell))])
    assert report.ok, report.failures
    assert report.cell is not None
    assert report.cell.signed
    assert report.cell.origin.endswith(f"/{CELL}/1")
    assert audit(DirSource(cell_folder(cell)), [Verifier.parse(cell_vkey(cell))]).ok


async def test_the_newest_provable_checkpoint_is_given_when_a_newer_one_is_not_there_yet(cell: Cell) -> None:
    decision, key = await _decide(cell)
    await held(cell)
    first = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    await cell.put("later", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    again = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    assert parse_receipt(again).checkpoint == parse_receipt(first).checkpoint
    await cell.tenure.cell_log.round()
    unpublished = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    assert parse_receipt(unpublished).checkpoint == parse_receipt(first).checkpoint
    await cell.tenure.sequencer.run(CELL)
    newest = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    assert parse_receipt(newest).checkpoint == (cell.published() / "checkpoint").read_text()
    assert verify_receipt(newest, [key], [Verifier.parse(cell_vkey(cell))]).ok


async def test_a_round_is_one_entry_and_names_nobody(cell: Cell) -> None:
    for n in range(3):
        await cell.put(f"k{n}", n, "customer:1")
        await cell.tenure.sequencer.run(cell.one.id)
    await cell.put("k", 1, "customer:1", ask=cell.two.ask())
    await cell.tenure.sequencer.run(cell.two.id)
    before = len(cell_entries(cell))
    assert await held(cell) == 2, "of each tenant its newest"
    assert await held(cell) == 0, "idle tenants cost nothing"
    entries = cell_entries(cell)
    assert len(entries) == before + 1
    assert set(entries[-1]) == {"v", "kind", "at", "writer", "n", "nonce", "outcome", "data"}
    assert set(entries[-1]["data"]) == {"checkpoints"}
    everything = b"".join(path.read_bytes() for path in cell_folder(cell).rglob("*") if path.is_file())
    for tenant in (cell.one, cell.two):
        folder = cell.published(tenant)
        root = (folder / "checkpoint").read_text().splitlines()[2].encode()
        assert root not in everything
        assert b"/" + tenant.id.encode() + b"/" not in everything
    salts = cell.rows("SELECT salt FROM cell_checkpoints")
    assert len({bytes(row[0]) for row in salts}) == len(salts)


@pytest.mark.databases(*DATABASES)
async def test_what_was_published_before_a_crash_goes_in_after_it(place: Cell) -> None:
    tenure = await place.crashing()
    try:
        await place.put("k", 1, "customer:1")
        await tenure.sequencer.run(place.one.id)
    finally:
        await crash(tenure)
    async with place.opened():
        assert await held(place) >= 1
        size = place.tenure._database.read(place.one.id, log.newest).published
        assert (size,) in place.rows(
            "SELECT size FROM cell_checkpoints WHERE CAST(id AS TEXT) = :t", t=place.one.id
        )


async def test_witnesses_of_the_cell_alone_make_the_quorum_of_a_receipt(
    place: Cell, pair: Pair, tmp_path
) -> None:
    async with place.opened() as tenure:
        await tenure.sequencer.run(CELL)
        await place.put("k", 0, "customer:1")
        await tenure.sequencer.run(place.one.id)
    for witness in pair.places:
        witness.trust(cell_vkey(place))
    with pair.up(0, 1):
        named = pair.name(2)
        pair.file.write_text(json.dumps({"logs": "cell", **json.loads(pair.file.read_text())}))
        async with place.opened(**named) as tenure:
            decision, key = await _decide(place)
            await held(place)
            receipt = await tenure.decisions.receipt(place.one["agent"], decision, cell=True)
            assert cosigned_by(parse_receipt(receipt).checkpoint, pair.keys) == ()
            assert cosigned_by((cell_folder(place) / "checkpoint").read_text(), pair.keys) == tuple(pair.keys)
            assert not tenure.witnesses.counts["witness.test/one", "refused"], "tenants' logs are not offered"
    told = list(_cosigned(str(pair.file), heads(place)))
    assert [one.state for one in told] == ["ok"]
    (tmp_path / "receipt").write_text(receipt)
    flags = [flag for one in pair.places for flag in ("--witness", one.vkey)]
    verify = ["verify", str(tmp_path / "receipt"), "--vkey", key.vkey, *flags, "--quorum", "2"]
    found = CliRunner().invoke(app, [*verify, "--cell-vkey", cell_vkey(place)])
    assert found.exit_code == 0, found.output
    assert "cell witness: witness.test/two" in found.output
    assert "another past of this log" in found.output
    without = CliRunner().invoke(app, verify)
    assert without.exit_code == 1, "whoever does not know the cell's key cannot count its witnesses"


@pytest.mark.databases(*DATABASES)
async def test_a_thousand_tenants_make_one_entry(cell: Cell) -> None:
    """Many at once, as after a restart: the queue is written as publishers write it."""
    await held(cell)
    many = [f"{n:08x}-0000-7000-8000-000000000000" for n in range(1, 1001)]

    def published(tx):
        for tenant_id in many:
            tx.as_tenant(tenant_id)
            origin = f"tenure.test/{tenant_id}/1"
            for size in (1, 2):
                store.enqueue(tx, log.Log(1, origin, size, size.to_bytes(32), size))
        tx.as_tenant(CELL)

    cell.tenure._database.write(CELL, published)
    before = len(cell_entries(cell))
    assert await held(cell) >= 1000, "those, and who else was published meanwhile"
    assert len(cell_entries(cell)) == before + 1
    for tenant_id in (many[0], many[499], many[-1]):
        size, proof = cell.tenure._database.read(
            CELL, lambda tx, tenant_id=tenant_id: store.newest_proof(tx, tenant_id, 1, above=0, upto=None)
        )
        assert size == 2, "of two before a round the newer"
        report, failures = check(
            proof,
            Checkpoint(f"tenure.test/{tenant_id}/1", 2, (2).to_bytes(32)),
            [Verifier.parse(cell_vkey(cell))],
        )
        assert not failures
        assert report is not None
        assert len(proof.batch) == 10


async def test_two_processes_hold_rounds_and_nothing_is_taken_twice(scaled: Cell) -> None:
    async with scaled.opened() as one, scaled.opened() as two:
        await scaled.put("k", 1, "customer:1")
        await scaled.put("k", 1, "customer:1", ask=scaled.two.ask())
        for tenant in (scaled.one, scaled.two):
            await one.sequencer.run(tenant.id)
        taken = await asyncio.gather(one.cell_log.round(), two.cell_log.round())
        assert sum(taken) == len(scaled.rows("SELECT 1 FROM cell_checkpoints"))
        assert scaled.rows("SELECT 1 FROM cell_queue") == []


async def test_by_itself_a_round_follows_a_publication(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celllog, "GATHER_S", 0.01)
    async with place.opened():
        decision, key = await _decide(place)
        for _ in range(1000):
            try:
                receipt = await place.tenure.decisions.receipt(place.one["agent"], decision, cell=True)
                break
            except NotYet:
                await asyncio.sleep(0.02)
        assert verify_receipt(receipt, [key], [Verifier.parse(cell_vkey(place))]).cell
