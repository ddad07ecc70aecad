"""Thirty agents at once, two of them on one thread: no update is lost, who loses is told by a Conflict."""

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from support import nursery, savers
from support.cell import NOTES, SUPPORT, Cell

PROGRAM = Path(__file__).parents[2] / "bench" / "crowd.py"
AGENTS, SECONDS = 30, 2.5


def test_in_one_process(embedded: Cell, tmp_path: Path) -> None:
    _nothing_is_lost(embedded, 1, tmp_path)


@pytest.mark.postgres
def test_in_three_processes(scaled: Cell, tmp_path: Path) -> None:
    _nothing_is_lost(scaled, 3, tmp_path)


def _nothing_is_lost(cell: Cell, processes: int, folder: Path) -> None:
    crowd: Any = runpy.run_path(str(PROGRAM))
    share: dict[str, Any] = {**savers.told(cell), "scope": NOTES, "category": "contact", "purpose": SUPPORT}
    share["seconds"] = SECONDS
    running = []
    for number in range(processes):
        given, out = folder / f"share-{number}.json", (folder / f"report-{number}").open("w+b")
        given.write_text(json.dumps(share | {"agents": list(range(number, AGENTS, processes))}))
        child = nursery.start(
            PROGRAM, str(given), stdout=out.fileno(), stderr=out.fileno(), knows=savers.KNOWN
        )
        running.append((child, out))
    reports = []
    for child, out in running:
        ended = child.wait()
        out.seek(0)
        said = out.read().decode()
        out.close()
        assert ended == 0, said[-3000:]
        reports.append(json.loads(said.splitlines()[-1]))
    total = crowd["summed"](reports)
    assert total["errors"] == {}
    runs = crowd["acknowledged"](total)
    assert len(runs) == AGENTS - 1, "every thread got on"
    assert asyncio.run(crowd["counted"](share, set(runs))) == runs
    assert {name for name in total["runs"] if "#" in name} == {"shared#0", "shared#1"}, "both got on"
    assert set(total["lost"]) == {"shared"}, "nobody loses a thread that is theirs alone"
