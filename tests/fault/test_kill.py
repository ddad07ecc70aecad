"""`kill -9` at any moment: what was acknowledged is there and in the ledger, what was begun is finished."""

import json
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from support import nursery, victim
from support.cell import BRIEF_S, Cell
from tenure.errors import Erased

pytestmark = pytest.mark.anyio

FIRST_LINES, MOST_LINES = 120, 60
"""The first victim dies after so many acknowledgements, by which all have written everywhere. The others die
after at most so many; how many is drawn."""


class Victim:
    """A process that forks workers on demand."""

    def __init__(self, tells: TextIO, hears: TextIO) -> None:
        self._tells, self._hears = tells, hears

    def round(self, number: int, lines: int) -> list[dict[str, Any]]:
        """Let a child work, kill it after some acknowledgements; all that it had said by then."""
        self._tells.write(f"{number}\n")
        said: list[dict[str, Any]] = []
        child = None
        while True:
            line = self._line()
            if "pid" in line:
                child = line["pid"]
            elif "gone" in line:
                return said
            else:
                said.append(line)
            if child is not None and len(said) == lines:
                os.kill(child, signal.SIGKILL)

    def _line(self) -> dict[str, Any]:
        line = self._hears.readline()
        assert line, "the victim's parent ended"
        if not line.startswith("{"):
            return self._line()  # a log line
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def victims(cell: Cell, folder: Path, forgetting: float) -> Iterator[Victim]:
    """Victims that work on a cell; `forgetting` of the rounds also erase people."""
    settings = {
        name: str(getattr(cell.settings, name))
        for name in ("data_dir", "root_dir", "database_url", "migration_url")
    }
    settings["replica_lease_s"] = str(BRIEF_S)
    given = {"settings": settings, "agent": cell.one.keys["agent"], "dpo": cell.one.keys["dpo"]}
    (folder / "victim.json").write_text(json.dumps(given | {"forgetting": forgetting}))
    with nursery.talking(Path(victim.__file__), str(folder / "victim.json")) as spoken:
        yield Victim(*spoken)


async def test_embedded_killed_ten_times(embedded: Cell, tmp_path: Path) -> None:
    await _killed(embedded, tmp_path, rounds=10)


async def test_on_postgresql_killed_four_times(scaled: Cell, tmp_path: Path) -> None:
    await _killed(scaled, tmp_path, rounds=4)


async def _killed(cell: Cell, folder: Path, *, rounds: int) -> None:
    """At other moments with every run.

    The log is audited once, when it holds all rounds: under every head that one of them left behind.
    """
    acknowledged: list[dict[str, Any]] = []
    checkpoints: list[str] = []
    with victims(cell, folder, forgetting=0.5) as process:
        for number in range(rounds):
            said = process.round(number, random.randint(1, MOST_LINES) if number else FIRST_LINES)
            assert said
            acknowledged += said
            async with cell.opened(shred_interval_s=0.0) as tenure:
                assert not tenure.recovered.restored
                await _holds(cell, said)
                await tenure.sequencer.run(cell.one.id)
                checkpoints.append((cell.published() / "checkpoint").read_text())
    async with cell.opened():
        await _holds(cell, acknowledged)
        report = await cell.audited(earlier=checkpoints)
        assert report.ok, report.failures
        places = sorted(entry["_at"][1] for entry in cell.entries())
        assert places == list(range(len(places))), "no index is skipped or doubled"
        found = cell.rows(
            "SELECT version FROM versions WHERE CAST(record_id AS TEXT) = :r ORDER BY version",
            r=(await cell.get("shared")).record,
        )
        numbers = [row[0] for row in found]
        assert numbers == list(range(1, len(numbers) + 1))


async def _holds(cell: Cell, said: list[dict[str, Any]]) -> None:
    """Acknowledged writes are readable with their bytes and in the ledger; erasures are completed."""
    recorded = {f"{entry['writer']}-{entry['n']}" for entry in cell.entries()}
    for one in said:
        if "shred" in one:
            state = await cell.erasure(one["shred"])
            assert state["state"] == "completed"
            assert state["certificate"]
            with pytest.raises(Erased):
                await cell.get(one["key"])
        else:
            assert one["entry"] in recorded
            assert await cell.value(one["key"], version=one["version"]) == one["value"]
