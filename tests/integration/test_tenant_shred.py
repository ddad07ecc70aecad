"""Offboarding: a tenant's keys and rows go, its ledger stays, everybody else's is as before."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from support.cell import SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from support.erasure import Failing, InjectedError, When
from tenure.cli.entry import app
from tenure.client.source import DirSource
from tenure.decisions import Opening
from tenure.errors import Conflict, Denied, Erased, NotFound, Unauthenticated
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.certificate import verify_certificate
from tenure.ledger.note import Verifier
from tenure.listing import Query
from tenure.store.tables import LEDGER, metadata

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def offboard(cell: Cell) -> dict[str, str]:
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    assert await cell.tenure.tenants.shred(cell.operator, cell.one.id) == asked
    return asked


@pytest.mark.databases(*DATABASES)
async def test_a_tenant_is_gone_and_its_ledger_stays(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", paths=(("users", "1"),))
    await cell.put("k", "theirs", "customer:1", tenant=cell.two)
    verifier = await cell.verifier()
    asked = await offboard(cell)
    with pytest.raises(Unauthenticated):
        await cell.get("k")
    await cell.tenure.shredder.run()
    state = await cell.tenure.erasures.state(cell.operator, asked["shred"])
    assert (state["state"], state["tenant"]) == ("completed", cell.one.id)
    envelope = await cell.tenure.erasures.certificate(cell.operator, state["certificate"])
    log = cell.settings.data_dir / "objects" / "ledger" / CELL / "1"
    report = verify_certificate(envelope, [Verifier.parse((log / "vkey").read_text().strip())])
    assert report.ok, report.failures
    assert report.certificate["tenant"] == cell.one.id
    for table in metadata.sorted_tables:
        left = cell.rows(
            f"SELECT count(*) FROM {table.name} WHERE CAST(tenant_id AS TEXT) = :t", t=cell.one.id
        )[0][0]
        assert (left > 0) <= (table.name in LEDGER), table.name
    assert audit(DirSource(cell.published()), [verifier]).ok, "strangers can still check what was done"
    assert await cell.value("k", tenant=cell.two) == "theirs"
    with pytest.raises(Unauthenticated):
        await cell.get("k")
    manifest = cell.tenure.shredder._ground.keyring.manifest()
    assert cell.one.id not in manifest.tenants
    assert cell.two.id in manifest.tenants


async def test_only_the_operator_and_only_what_is_there(cell: Cell) -> None:
    for who in ("admin", "dpo", "agent"):
        with pytest.raises(Denied):
            await cell.tenure.tenants.shred(cell.two[who], cell.one.id)
    for unknown in ("00000000-0000-7000-8000-000000000000", "00000000-0000-0000-0000-000000000000", "acme"):
        with pytest.raises(NotFound):
            await cell.tenure.tenants.shred(cell.operator, unknown)


@pytest.mark.databases(*DATABASES)
async def test_restarts_and_further_erasures_go_on(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", tenant=cell.two)
    await offboard(cell)
    await cell.tenure.shredder.run()
    state = await cell.erase("customer:1", cell.two)
    assert state["state"] == "completed"
    with pytest.raises(Erased):
        await cell.get("k", tenant=cell.two)


def handed_over(cell: Cell) -> Path:
    return cell.settings.data_dir / "objects" / "handover" / cell.one.id


async def leave(cell: Cell) -> dict[str, Any]:
    """The tenant leaves with its ledger; the erasure's final state."""
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over")
    await cell.tenure.shredder.run()
    return await cell.tenure.erasures.state(cell.operator, asked["shred"])


def rows_left(cell: Cell) -> list[str]:
    """Tables that still have rows of the tenant."""
    query = "SELECT count(*) FROM {} WHERE CAST(tenant_id AS TEXT) = :t"
    tables = [table.name for table in metadata.sorted_tables]
    return [name for name in tables if cell.rows(query.format(name), t=cell.one.id)[0][0]]


@pytest.mark.databases(*DATABASES)
async def test_a_ledger_that_is_handed_over_verifies_when_the_tenant_is_gone(cell: Cell) -> None:
    for n in range(300):
        await cell.put(f"k{n}", n, "customer:1")
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT, None))
    ask = cell.one.ask(decision=opened["id"])
    await cell.tenure.gateway.query(ask, SCOPE, Query(limit=200, include_content=True))
    certificate = (await cell.erase("customer:1"))["certificate"]
    await cell.put("k", "theirs", "customer:1", tenant=cell.two)
    vkey = (await cell.verifier()).vkey

    state = await leave(cell)
    assert (state["state"], state["ledger"]) == ("completed", "hand-over")
    assert state["handed_over"] == f"handover/{cell.one.id}"
    assert rows_left(cell) == []
    assert not (cell.settings.data_dir / "objects" / "ledger" / cell.one.id).exists() or not any(
        path.is_file() for path in (cell.settings.data_dir / "objects" / "ledger" / cell.one.id).rglob("*")
    )

    folder = handed_over(cell)
    run = CliRunner().invoke
    audited = run(app, ["audit", str(folder / "ledger" / "1"), "--vkey", vkey])
    assert audited.exit_code == 0, audited.output
    verified = run(app, ["verify", str(folder / "certificates" / f"{certificate}.json"), "--vkey", vkey])
    assert verified.exit_code == 0, verified.output
    lists = list((folder / "access-lists").iterdir())
    assert lists
    assert all(path.stem == sha256(path.read_bytes()).hexdigest() for path in lists)
    readme = (folder / "README.txt").read_text()
    (log,) = json.loads((folder / "logs.json").read_text())
    assert vkey in readme
    assert log["origin"] in readme
    assert log["vkey"] == vkey

    # The operator's certificate says which log went.
    envelope = await cell.tenure.erasures.certificate(cell.operator, state["certificate"])
    operators = cell.settings.data_dir / "objects" / "ledger" / CELL / "1"
    report = verify_certificate(envelope, [Verifier.parse((operators / "vkey").read_text().strip())])
    assert report.ok, report.failures
    assert report.certificate["ledger_handed_over"] == [log]
    assert await cell.value("k", tenant=cell.two) == "theirs"
    assert (await cell.audited(cell.two)).ok


@pytest.mark.parametrize("harm", ["changed", "missing", "checkpoint"])
async def test_a_ledger_whose_copy_does_not_verify_is_kept(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Nobody's erasure waits for a broken log; nothing is deleted that is not proven to be elsewhere."""
    await cell.put("k", 1, "customer:1")
    handover = cell.tenure.shredder._handover
    real = handover._copied

    def harmed(*given: Any) -> Any:
        bundles = [path for path in (cell.published() / "tile" / "entries").rglob("*") if path.is_file()]
        victim = max(bundles, key=lambda path: path.stat().st_mtime_ns)
        if harm == "changed":
            victim.write_bytes(victim.read_bytes()[:-2] + b"!}")
        else:
            (cell.published() / "checkpoint" if harm == "checkpoint" else victim).unlink()
        return real(*given)

    monkeypatch.setattr(handover, "_copied", harmed)
    state = await leave(cell)
    assert (state["state"], state["ledger"]) == ("completed", "keep")
    assert "handed_over" not in state
    assert "entries" in rows_left(cell)
    assert not (handed_over(cell) / "logs.json").exists()


async def test_asked_the_other_way_it_is_a_conflict(cell: Cell) -> None:
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over")
    assert await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over") == asked
    with pytest.raises(Conflict) as other:
        await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    assert other.value.field == "ledger"


@pytest.mark.parametrize(("method", "call"), [("write", 1), ("drop_published", 1), ("pin", 1)])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.databases(*DATABASES)
async def test_a_crash_around_the_hand_over_loses_nothing(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, method: str, call: int, when: When
) -> None:
    await cell.put("k", 1, "customer:1")
    vkey = (await cell.verifier()).vkey
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over")
    with monkeypatch.context() as patched:
        Failing(f"handover.{method}", call, when).into(cell.tenure, patched)
        with pytest.raises(InjectedError):
            await cell.tenure.shredder.run()
    await cell.tenure.shredder.run()
    state = await cell.tenure.erasures.state(cell.operator, asked["shred"])
    assert (state["state"], state["ledger"]) == ("completed", "hand-over")
    assert rows_left(cell) == []
    assert audit(DirSource(handed_over(cell) / "ledger" / "1"), [Verifier.parse(vkey)]).ok
