"""`tenure backup`, `tenure drill` and `tenure restore`, as cron and an operator run them beside a server."""

import asyncio
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_http_server import serving
from typer.testing import CliRunner

from support.cell import Cell
from support.postgres import Server
from tenure.cli.entry import app


def run(cell: Cell, *arguments: Any, **settings: Any) -> Any:
    """The command's result, with the cell's settings in the environment."""
    names = ("data_dir", "root_dir", "database_url", "migration_url", "backup_url", "pg_bin")
    env = {f"TENURE_{name.upper()}": str(getattr(cell.settings, name)) for name in names}
    env |= {f"TENURE_{name.upper()}": str(value) for name, value in settings.items()}
    found = CliRunner().invoke(app, [str(one) for one in arguments], env=env)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


async def _people(cell: Cell, *names: str) -> None:
    async with cell.opened():
        for name in names:
            await cell.put(name, f"about {name}", f"customer:{name}")


async def _erase(cell: Cell, name: str) -> None:
    async with cell.opened():
        await cell.erase(f"customer:{name}")


@pytest.fixture
def kept(embedded: Cell, tmp_path: Path) -> Path:
    """A backup of a cell from which somebody was erased afterwards."""
    asyncio.run(_people(embedded, "gone", "stays"))
    assert run(embedded, "backup", tmp_path / "backup").exit_code == 0
    asyncio.run(_erase(embedded, "gone"))
    return tmp_path / "backup"


def test_beside_a_server_that_has_the_store(embedded: Cell, tmp_path: Path) -> None:
    """Another process holds the lock and writes; a backup and a drill need neither it nor its end."""
    asyncio.run(_people(embedded, "gone", "stays"))
    asyncio.run(_erase(embedded, "gone"))
    with serving(tmp_path, tmp_path / "log") as client:
        found = run(embedded, "backup", tmp_path / "backup", "--json")
        assert found.exit_code == 0, found.output
        answer = json.loads(found.stdout)
        assert (
            answer["manifest_sha256"]
            == hashlib.sha256((tmp_path / "backup" / "manifest.json").read_bytes()).hexdigest()
        )
        out = tmp_path / "report.json"
        found = run(embedded, "drill", tmp_path / "backup", "--json", "--out", out)
        assert found.exit_code == 0, found.output
        answer = json.loads(found.stdout)
        assert answer["report"]["total"]["erased"] == 1
        assert answer["signed"]
        assert answer["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
        headers = {"Authorization": f"Bearer {embedded.one.keys['auditor']}"}
        page = client.get("/v1/ledger/entries", params={"kind": "drill"}, headers=headers).json()
        [entry] = page["items"]
        assert entry["id"] == answer["entries"][embedded.one.id]
        assert entry["entry"]["data"]["erased"] == 1
        assert run(embedded, "restore", tmp_path / "backup", "--json").exit_code == 1


def test_people_read_what_a_drill_found(embedded: Cell, kept: Path) -> None:
    found = run(embedded, "drill", kept)
    assert found.exit_code == 0, found.output
    assert found.stdout.splitlines()[-1] == "passed"
    assert "survivors equal, byte for byte" in found.stdout


def test_a_failed_drill_is_a_no(embedded: Cell, kept: Path) -> None:
    (kept / "database.sqlite").write_bytes(b"")
    found = run(embedded, "drill", kept)
    assert found.exit_code == 1
    assert "backup-digest" in found.stdout
    assert found.stdout.splitlines()[-1] == "FAILED"


def test_restore_says_what_happened(embedded: Cell, kept: Path, tmp_path: Path) -> None:
    found = run(embedded, "restore", kept, "--data-dir", tmp_path / "new", "--json")
    assert found.exit_code == 0, found.output
    done = json.loads(found.stdout)
    assert (done["erasures_replayed"], done["erasures_unfinished"], done["leaf_epoch"]) == (1, 0, 1)
    assert done["entries_lost"] > 0
    assert (tmp_path / "new" / "tenure.db").exists()
    shutil.rmtree(tmp_path / "new")
    found = run(embedded, "restore", kept, "--data-dir", tmp_path / "new")
    assert "erasures done again" in found.stdout
    assert run(embedded, "doctor", "--data-dir", tmp_path / "new").exit_code == 0


def test_restore_refuses_what_is_in_use(embedded: Cell, kept: Path) -> None:
    found = run(embedded, "restore", kept, "--json")
    assert found.exit_code == 1
    error = json.loads(found.stdout)["error"]
    assert (error["kind"], error["field"]) == ("conflict", "TENURE_DATA_DIR")
    assert "new place" in error["remedy"]


def test_doctor_finds_a_restore_that_was_broken_off(embedded: Cell, kept: Path) -> None:
    (embedded.settings.data_dir / "restoring").write_text(json.dumps({"backup": "x"}))
    found = run(embedded, "doctor", "--json")
    assert found.exit_code == 1
    opens = next(one for one in json.loads(found.stdout)["checks"] if one["check"] == "opens")
    assert "tenure restore" in opens["remedy"]


@pytest.mark.parametrize("arguments", [["backup"], ["restore"], ["drill", "--sample", "0"]])
def test_wrong_use(embedded: Cell, arguments: list[str]) -> None:
    assert run(embedded, *arguments).exit_code == 2


def test_on_postgres(scaled: Cell, postgres: Server, tmp_path: Path) -> None:
    asyncio.run(_people(scaled, "stays"))
    assert run(scaled, "backup", tmp_path / "backup").exit_code == 0
    found = run(scaled, "drill", tmp_path / "backup", "--all", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["report"]["total"]["compared"] == 1
    found = run(scaled, "backup", tmp_path / "other", "--json", backup_url=scaled.settings.database_url)
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"]["field"] == "TENURE_BACKUP_URL"
