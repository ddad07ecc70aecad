"""`tenure ledger repair`, as an operator runs it beside a server, or after a warning."""

import asyncio
import json
import time
from pathlib import Path

from test_cli_keeping import run
from test_http_server import serving

from support.cell import Cell
from tenure.ledger.checkpoint import peek_checkpoint


async def _written(cell: Cell) -> None:
    async with cell.opened():
        await cell.put("k", 1, "customer:1")
        await cell.audited()


def _until_published(cell: Cell) -> None:
    """What the process before left waiting is published by the next, soon after its start."""
    for _ in range(600):
        head = peek_checkpoint((cell.published() / "checkpoint").read_text())
        if head.size == len(cell.entries()):
            return
        time.sleep(0.05)
    raise AssertionError("something still waits")


def test_nothing_to_do_is_a_yes(embedded: Cell) -> None:
    asyncio.run(_written(embedded))
    found = run(embedded, "ledger", "repair", "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["ok"]
    assert {one["tenant"] for one in answer["logs"]} >= {embedded.one.id, embedded.two.id}


def test_beside_a_server_a_lost_object_comes_back(embedded: Cell, tmp_path: Path) -> None:
    asyncio.run(_written(embedded))
    lost = embedded.published() / "vkey"
    before = lost.read_bytes()
    with serving(tmp_path, tmp_path / "log"):
        _until_published(embedded)  # by which it would come back by itself
        lost.unlink()
        found = run(embedded, "ledger", "repair", "--tenant", embedded.one.id)
        assert found.exit_code == 1, found.output
        assert "vkey: was not in the object tier: put back" in found.stdout
        assert lost.read_bytes() == before
        assert run(embedded, "ledger", "repair").exit_code == 0


def test_what_cannot_be_mended_is_said(embedded: Cell) -> None:
    asyncio.run(_written(embedded))
    embedded.change(
        "UPDATE entries SET body = :b WHERE CAST(tenant_id AS TEXT) = :t", b=b"{}", t=embedded.one.id
    )
    bundle = next((embedded.published() / "tile" / "entries").rglob("*.p/*"))
    for path in bundle.parent.iterdir():
        path.write_bytes(b"")
    found = run(embedded, "ledger", "repair")
    assert found.exit_code == 1
    assert "NOT WHOLE" in found.stdout
    assert "CANNOT BE MENDED" in found.stdout
