"""Graphs killed in every node and right after every acknowledged put: what was finished is not run again.

Each graph runs in a chain of processes. Each of them goes on where the one before died, and dies at the first
point at which none has died; the last one has none left. There are two chains: calls that are under way at
once may be committed together, and who dies when the first is acknowledged does not see the others be.
"""

import asyncio
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from support import graphs, mortal, nursery, savers
from support.cell import BRIEF_S, Cell

CHAINS = ("node", "writes"), ("put",)
WHERE = [
    *(("sqlite", graph) for graph in graphs.GRAPHS),
    *(pytest.param("postgresql", graph, marks=pytest.mark.postgres) for graph in ("subgraphs", "approval")),
]
"""Every graph on one database; on the other one those with most to lose: namespaces, and an answer."""
MOST = 80
"""Processes in a chain: no graph has as many points."""


class Quiet:
    """The diary of an undisturbed run: who ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def begin(self, who: str, _task: str) -> None:
        self.ran.append(who)

    def end(self, who: str, _task: str) -> None:
        pass


class Undisturbed:
    """What a run shows that nobody kills, with nothing stored but in memory."""

    def __init__(self, name: str) -> None:
        self.points: set[str] = set()
        quiet = Quiet()
        graph = graphs.GRAPHS[name](quiet).compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "t"}}

        async def run() -> Any:
            return [await graphs.carry_on(graph, config), await graphs.history(graph, config)]

        self.final = json.loads(json.dumps(asyncio.run(run())))
        self.nodes = set(quiet.ran)


def chain(given: savers.Told, graph: str, deadly: Sequence[str], folder: Path) -> list[list[str]]:
    """The diary's lines after the thread's end."""
    diary, told = folder / "diary", folder / "told.json"
    wanted = {"saver": given, "graph": graph, "thread": "thread-1", "deadly": deadly, "diary": str(diary)}
    told.write_text(json.dumps(wanted))
    for died in range(MOST):
        ended = nursery.run(Path(mortal.__file__), str(told), knows=savers.KNOWN)
        lines = [line.split(" ", 2) for line in diary.read_text().splitlines()] if diary.exists() else []
        if ended.returncode == 0:
            return lines
        said = ended.stdout.decode()[-3000:]
        assert ended.returncode == -signal.SIGKILL, said
        assert sum(line[0] == "died" for line in lines) == died + 1, said
    raise AssertionError(f"not at its end after {MOST} processes: {lines}")


def shows(lines: list[list[str]], graph: str, deadly: Sequence[str]) -> None:
    """Nothing that was kept ran again; the end is an undisturbed run's; no point was left out."""
    wanted = Undisturbed(graph)
    kept: set[str] = set()
    ended: dict[str, str] = {}
    for word, one, *rest in lines:
        if word == "begin":
            assert one not in kept, f"{one} ran again"
        elif word == "end":
            ended[rest[0]] = one
        elif word == "kept" and one in ended:
            kept.add(ended[one])
        elif (word, one) == ("kept-all", "top"):
            kept.update(ended.values())
        elif word == "died":
            ended = {}
    final = json.loads(next(" ".join(line[1:]) for line in lines if line[0] == "final"))
    assert final == wanted.final
    died = {line[1] for line in lines if line[0] == "died"}
    if "node" in deadly:
        assert {f"node/{who}" for who in wanted.nodes} <= died
        assert any(point.startswith("writes/") for point in died)
    if "put" in deadly:
        assert {f"put/top/{step}" for _, step, _ in wanted.final[1]} <= died


@pytest.mark.parametrize("deadly", CHAINS, ids=["in nodes and after writes", "after puts"])
@pytest.mark.parametrize(("database_kind", "graph"), WHERE, indirect=["database_kind"])
def test_a_graph_killed_everywhere(place: Cell, graph: str, deadly: Sequence[str], tmp_path: Path) -> None:
    lines = chain(savers.told(place, replica_lease_s=BRIEF_S), graph, deadly, tmp_path)
    shows(lines, graph, deadly)


def test_control_a_saver_of_langgraphs_own_shows_the_same(tmp_path: Path) -> None:
    deadly = ["node", "put", "writes"]
    given = savers.official(str(tmp_path / "theirs.db"))
    shows(chain(given, "subgraphs", deadly, tmp_path), "subgraphs", deadly)
