"""An embedded cell, `tenure import` run on it, and the source databases that LangGraph wrote."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tenure
from support.cell import SUPPORT, Cell
from support.postgres import Server
from tenure.cli.entry import app
from tenure.client import Client


class Site:
    """A cell that is closed between commands."""

    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell, self.folder = cell, folder
        self.env = {
            "TENURE_API_KEY": cell.one.keys["agent"],
            "TENURE_DATA_DIR": str(cell.settings.data_dir),
            "TENURE_ROOT_DIR": str(cell.settings.root_dir),
        }

    def file(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def lines(self, *documents: Any) -> Path:
        return self.file("talks.jsonl", "".join(f"{json.dumps(one)}\n" for one in documents))

    def run(self, *arguments: object, code: int = 0, who: str | None = "agent") -> Any:
        """What `tenure import … --json` answers."""
        env = dict(self.env)
        if who != "agent":
            env["TENURE_API_KEY"] = "" if who is None else self.cell.one.keys[who]
        given = ["import", *map(str, arguments), "--json"]
        found = CliRunner().invoke(app, given, env=env)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    @contextmanager
    def client(self, who: str = "agent") -> Iterator[Client]:
        settings = self.cell.settings.model_dump(exclude={"data_dir", "database_url"})
        folder, key = self.cell.settings.data_dir, self.cell.one.keys[who]
        with tenure.open(folder, key, purpose=SUPPORT, settings=settings) as client:
            yield client


@pytest.fixture
def site(embedded: Cell, tmp_path: Path) -> Site:
    folder = tmp_path / "work"
    folder.mkdir()
    return Site(embedded, folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where something of LangGraph's may keep its tables: a file's path, or a database's URL."""
    if request.param == "sqlite":
        yield str(tmp_path / "theirs.sqlite")
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"theirs_{secrets.token_hex(6)}"
    server.run(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.drop(name)
