"""Agents at once: each runs a short graph again and again; two of them are on one thread.

`python crowd.py FILE` is one process with some of the agents, as `Share` in JSON; its standard output is a
`Report`. A run counts when it was acknowledged. Who loses a thread to another is told so by a Conflict, and
goes on from the newest snapshot: then the counter in the state is the number of runs that were acknowledged.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

import tenure
from tenure.client.langgraph import TenureSaver
from tenure.errors import Conflict

SHARED = "shared"
_PAUSE_S, _LONGEST_S = 0.1, 5.0
"""A loser waits for a random part of this, which doubles with each loss in a row."""
_PATIENCE_S = 60.0
"""Whoever was never acknowledged goes on when the time is over, for so long."""


class Counting(TypedDict, total=False):
    """A state that a lost update would show in: the counter has no reducer."""

    turn: str
    seen: int
    count: int


class Share(TypedDict):
    """What one process does."""

    target: str
    settings: dict[str, Any]
    api_key: str
    scope: str
    category: str
    purpose: str
    agents: list[int]
    seconds: float


class Report(TypedDict):
    """What came of it, by thread. `errors`: the classes of what is no Conflict."""

    runs: dict[str, int]
    lost: dict[str, int]
    errors: dict[str, int]
    longest_s: float


def graph_of(saver: TenureSaver) -> Any:  # noqa: ANN401 - a compiled graph of any state
    """Reads the counter in one step and writes it in the next, which is the last."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Counting)
    graph.add_node("look", lambda state: {"seen": state.get("count", 0)})
    graph.add_node("count", lambda state: {"count": state["seen"] + 1})
    graph.add_edge(START, "look")
    graph.add_edge("look", "count")
    graph.add_edge("count", END)
    return graph.compile(checkpointer=saver)


def thread_of(agent: int) -> str:
    """The first two agents have one thread."""
    return SHARED if agent < 2 else f"thread-{agent}"


def config_of(thread: str) -> dict[str, Any]:
    """A thread is about one person."""
    return {"configurable": {"thread_id": thread, "subject": f"customer:{thread}"}}


async def work(share: Share) -> Report:
    """All agents of a process, until the time is over and each was acknowledged once."""
    runs: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    longest = 0.0

    async def agent(graph: Any, number: int, until: float) -> None:  # noqa: ANN401 - see graph_of
        nonlocal longest
        thread, pause, turn, won = thread_of(number), _PAUSE_S, 0, 0
        chance = random.Random(number)  # noqa: S311 - no secret
        while (begin := time.monotonic()) < (until if won else until + _PATIENCE_S):
            turn += 1
            try:
                await graph.ainvoke({"turn": f"{number}/{turn}"}, config_of(thread), durability="sync")
            except Conflict:
                lost[thread] += 1
                await asyncio.sleep(chance.random() * pause)
                pause = min(pause * 2, _LONGEST_S)
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is counted
                errors[f"{type(failure).__name__}: {failure}"] += 1
            else:
                runs[f"{thread}#{number}" if thread == SHARED else thread] += 1
                won += 1
                longest, pause = max(longest, time.monotonic() - begin), _PAUSE_S

    more = {"settings": share["settings"]} if share["settings"] else {}
    async with tenure.open_async(share["target"], share["api_key"], **more) as client:
        saver = TenureSaver(
            client, scope=share["scope"], categories=[share["category"]], purpose=share["purpose"]
        )
        graph = graph_of(saver)
        until = time.monotonic() + share["seconds"]
        await asyncio.gather(*(agent(graph, number, until) for number in share["agents"]))
    return {"runs": dict(runs), "lost": dict(lost), "errors": dict(errors), "longest_s": longest}


async def counted(share: Share, threads: set[str]) -> dict[str, int]:
    """The counter in the newest state of each thread."""
    more = {"settings": share["settings"]} if share["settings"] else {}
    async with tenure.open_async(share["target"], share["api_key"], **more) as client:
        saver = TenureSaver(
            client, scope=share["scope"], categories=[share["category"]], purpose=share["purpose"]
        )
        graph = graph_of(saver)
        states = await asyncio.gather(*(graph.aget_state(config_of(thread)) for thread in threads))
    return {thread: state.values.get("count", 0) for thread, state in zip(threads, states, strict=True)}


def summed(reports: list[Report]) -> Report:
    """Of all processes; the runs of the shared thread stay apart by agent."""
    total: Report = {"runs": {}, "lost": {}, "errors": {}, "longest_s": 0.0}
    for one in reports:
        for name in ("runs", "lost", "errors"):
            total[name] = dict(Counter(total[name]) + Counter(one[name]))
        total["longest_s"] = max(total["longest_s"], one["longest_s"])
    return total


def acknowledged(report: Report) -> dict[str, int]:
    """Runs by thread."""
    found: Counter[str] = Counter()
    for name, runs in report["runs"].items():
        found[name.partition("#")[0]] += runs
    return dict(found)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(json.loads(Path(sys.argv[1]).read_text())))))
