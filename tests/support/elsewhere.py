"""A second, empty place beside a cell's own root: where a restore goes, and what must hold there."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from support.cell import Cell, blank
from support.postgres import Server
from tenure import safekeeping
from tenure.governance.backupset import Backup


class Elsewhere:
    """Makes empty places; drops their databases afterwards."""

    def __init__(self, cell: Cell, server: Server | None, folder: Path) -> None:
        self._cell = cell
        self._server = server
        self._folder = folder
        self._made: list[str] = []

    def new(self, name: str = "elsewhere") -> Cell:
        """The same cell, root and callers, on an empty data directory and database."""
        settings, admin_url = blank(self._cell.dialect, self._folder / name, self._server)
        if self._server is not None:
            self._made.append(str(make_url(admin_url).database))
        settings = settings.model_copy(update={"root_dir": self._cell.settings.root_dir})
        return replace(self._cell, settings=settings, admin_url=admin_url, _tenure=None)

    def drop(self) -> None:
        for name in self._made:
            if self._server is not None:
                self._server.drop(name)


@pytest.fixture
def elsewhere(place: Cell, _server: Server | None, tmp_path: Path) -> Iterator[Elsewhere]:
    made = Elsewhere(place, _server, tmp_path)
    yield made
    made.drop()


async def take(cell: Cell, folder: Path) -> Backup:
    """A backup, as the command takes it."""
    return await asyncio.to_thread(safekeeping.backup, cell.settings, folder)


async def put_back(folder: Path, cell: Cell) -> dict[str, Any]:
    """A restore, as the command does it."""
    return await asyncio.to_thread(safekeeping.restore, cell.settings, folder)


def fingerprint(*folders: Path, without: str = "") -> dict[str, str]:
    """Path → digest of every file below, to see what was changed; not of paths with `without` in them."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (without and without in str(path))
    }
