"""Offboarding: a tenant's keys and rows go, its ledger stays, everybody else's is as before."""

import pytest

from support.cell import Cell
from tenure.client.source import DirSource
from tenure.errors import Denied, Erased, NotFound, Unauthenticated
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.certificate import verify_certificate
from tenure.ledger.note import Verifier
from tenure.store.tables import LEDGER, metadata

pytestmark = pytest.mark.anyio


async def offboard(cell: Cell) -> dict[str, str]:
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    assert await cell.tenure.tenants.shred(cell.operator, cell.one.id) == asked
    return asked


async def test_a_tenant_is_gone_and_its_ledger_stays(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
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


async def test_restarts_and_further_erasures_go_on(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", tenant=cell.two)
    await offboard(cell)
    await cell.tenure.shredder.run()
    state = await cell.erase("customer:1", cell.two)
    assert state["state"] == "completed"
    with pytest.raises(Erased):
        await cell.get("k", tenant=cell.two)
