"""`tenure doctor` looks at every stored row, beside a server too, and names what was changed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from test_cli_keeping import run
from test_http_server import serving

from support.cell import Cell
from support.lived import Undone, live
from tenure.inspection.inspector import NOT_CHECKED
from tenure.store import tables


async def _live(cell: Cell) -> None:
    async with cell.opened():
        await live(cell)


def rows_of(cell: Cell, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code, and what it says of stored rows."""
    found = run(cell, "doctor", *arguments, "--json")
    checks = json.loads(found.stdout)["checks"]
    return found.exit_code, [one for one in checks if one["check"] == "stored rows"]


EDITS = {
    "entries": {"kind": "access"},
    "tiles": {"data": bytes(32)},
    "versions": {"labels": "health"},
    "key_shards": {"blob": b"another"},
    "certificates": {"created_at": 1},
}


def test_each_kind_of_edit_is_named(place: Cell) -> None:
    asyncio.run(_live(place))
    assert rows_of(place) == (
        0,
        [
            {
                "check": "stored rows",
                "state": "ok",
                "detail": "as ledger, keys and mirror say they were written",
                "remedy": "",
            }
        ],
    )
    # What is looked at is the same on both databases; how rows come back is seen with two of them.
    names = EDITS if place.dialect == "sqlite" else ("entries", "versions")
    for name in names:
        values = EDITS[name]
        table = tables.metadata.tables[name]
        with Undone(place, name):
            with place.raw() as connection:
                connection.execute(update(table).where(table.c.tenant_id == place.one.id).values(values))
            code, found = rows_of(place)
        assert code == 1
        assert any(f" {name}" in one["detail"] and one["state"] == "failed" for one in found), name
        assert all("operations.md" in one["remedy"] for one in found)
    code, [said] = rows_of(place, "--quick")
    assert (code, said["state"]) == (0, "warning"), "what was left out is said"


def test_beside_a_server_that_has_the_store(embedded: Cell, tmp_path: Path) -> None:
    asyncio.run(_live(embedded))
    with embedded.raw() as connection:
        holds = tables.holds
        connection.execute(update(holds).where(holds.c.state == "active").values(ground="another"))
    with serving(tmp_path, tmp_path / "log"):
        code, found = rows_of(embedded)
    assert code == 1
    assert {one["state"] for one in found} == {"failed"}
    assert "holds" in found[0]["detail"]


@pytest.mark.parametrize("arguments", [("doctor",), ("doctor", "--quick")])
def test_what_is_not_looked_at_is_said(embedded: Cell, arguments: tuple[str, ...]) -> None:
    found = run(embedded, *arguments)
    assert found.exit_code == 0, found.output
    assert ("not checked" in found.output) or ("not looked at" in found.output)


def test_nothing_that_was_not_checked_is_called_ok(embedded: Cell) -> None:
    checks = json.loads(run(embedded, "doctor", "--json").stdout)["checks"]
    said = [one for one in checks if one["detail"] in NOT_CHECKED]
    assert len(said) == len(NOT_CHECKED)
    assert {one["state"] for one in said} == {"not checked"}
