"""One job, several processes, and what becomes of it when one of them is killed or paused in the middle."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import nursery
from support.cell import Cell
from tenure.ids import CELL
from tenure.store import jobs
from tenure.store.database import Database
from tenure.store.jobs import Row

SCRIPT = Path(__file__).parents[1] / "support" / "worker.py"
LEASE_S = 1.0
Start = Callable[..., "Worker"]


class Worker:
    """Another process with the same job."""

    def __init__(self, cell: Cell, folder: Path, tag: str, **given: Any) -> None:
        self.tag = tag
        file = folder / f"{tag}.json"
        defaults = {"lease_s": LEASE_S, "every_s": 0.2, "steps": 4, "step_s": 0.02, "how": "steps"}
        places = {"url": cell.settings.database, "tag": tag, "marks": str(folder / "marks")}
        file.write_text(json.dumps({**defaults, **places, **given}))
        heard, mouth = os.pipe()
        self._process = nursery.start(SCRIPT, str(file), stdout=mouth)
        os.close(mouth)
        self._heard = os.fdopen(heard)
        self.until("up")

    def until(self, what: str) -> Any:
        """Its next word about this."""
        while True:
            line = self._heard.readline()
            assert line, f"{self.tag} ended"
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if what in said:
                    return said[what]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def stopped(self) -> None:
        """Until it stands still."""
        while Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            time.sleep(0.02)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self._process.wait()
        self._heard.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers; all of them end with the test."""
    (tmp_path / "marks").touch()
    workers: list[Worker] = []

    def worker(cell: Cell, tag: str, **given: Any) -> Worker:
        workers.append(Worker(cell, tmp_path, tag, **given))
        return workers[-1]

    yield worker
    for one in workers:
        one.end()


def marks(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "marks").read_text().splitlines()]


def row(cell: Cell) -> Row:
    database = Database(cell.settings.database)
    try:
        return database.read(CELL, jobs.every)["retention"]
    finally:
        database.close()


def assert_never_two(found: list[dict[str, Any]]) -> None:
    """Once a later run has done something, no earlier one ever does."""
    newest = 0
    for one in found:
        assert one["run"] >= newest, found
        newest = one["run"]
    by = {one["run"]: {other["by"] for other in found if other["run"] == one["run"]} for one in found}
    assert all(len(who) == 1 for who in by.values()), by


def test_two_processes_and_never_two_runs_at_once(scaled: Cell, tmp_path: Path, start: Start) -> None:
    both = [start(scaled, tag) for tag in ("000000aa", "000000bb")]
    while row(scaled).runs < 12 if marks(tmp_path) else True:
        time.sleep(0.1)
    for one in both:
        one.end()
    found = marks(tmp_path)
    assert_never_two(found)
    ended = [one for one in found if one["what"] == "end"]
    assert len(ended) >= 11
    assert sum(one["what"] == "step" for one in found) >= 4 * len(ended), "whole runs"


def test_after_a_kill_in_the_middle_the_other_goes_on_where_it_stood(
    place: Cell, tmp_path: Path, start: Start
) -> None:
    first = start(place, "000000aa", steps=40, every_s=3600.0)
    while first.until("step") < 3:
        pass
    first.end()
    done = sum(one["what"] == "step" for one in marks(tmp_path))
    left = row(place)
    assert (left.holder, left.finished_at, left.runs) == ("000000aa", None, 1)
    second = start(place, "000000bb", steps=40, every_s=3600.0)
    assert second.until("ended") == "ok"
    found = marks(tmp_path)
    assert_never_two(found)
    assert sum(one["what"] == "step" for one in found) == 40, "nothing twice, nothing left out"
    assert sum(one["what"] == "step" and one["by"] == "000000bb" for one in found) == 40 - done
    ended = row(place)
    assert (ended.holder, ended.outcome, ended.runs, ended.failures) == ("000000bb", "ok", 2, 0)
    assert json.loads(ended.counts) == {"steps": 40 - done}


@pytest.mark.parametrize("how", ["steps", "confirm"])
def test_a_paused_process_does_not_go_on_when_it_wakes(
    scaled: Cell, tmp_path: Path, start: Start, how: str
) -> None:
    """With `confirm` it is paused between its question and its act: the transaction refuses it."""
    first = start(scaled, "000000aa", steps=400, step_s=0.05, every_s=3600.0, how=how)
    first.until("step")
    if how == "steps":
        first.signal(signal.SIGSTOP)
    first.stopped()
    before = len(marks(tmp_path))
    second = start(scaled, "000000bb", steps=400, every_s=3600.0)
    second.until("step")
    assert row(scaled).holder == "000000bb"
    first.signal(signal.SIGCONT)
    assert first.until("ended") == "lost"
    second.until("step")
    found = marks(tmp_path)
    assert_never_two(found)
    assert {one["by"] for one in found[before:]} == {"000000bb"}
    holder = row(scaled)
    assert (holder.holder, holder.runs) == ("000000bb", 2), "what it says of itself is not kept"


def test_a_pause_that_is_shorter_than_the_lease_costs_nothing(
    scaled: Cell, tmp_path: Path, start: Start
) -> None:
    first = start(scaled, "000000aa", steps=30, step_s=0.05, every_s=3600.0, lease_s=30.0)
    start(scaled, "000000bb", steps=30, every_s=3600.0, lease_s=30.0)
    first.until("step")
    first.signal(signal.SIGSTOP)
    first.stopped()
    time.sleep(0.5)
    first.signal(signal.SIGCONT)
    assert first.until("ended") == "ok"
    assert {one["by"] for one in marks(tmp_path)} == {"000000aa"}
