"""Real graphs whose nodes keep a diary, and what carries a thread of one to its end, however often it died.

Every node's run is told to a `Diary` before and after: (name, argument), which no two runs of an undisturbed
graph have in common, and the task that it belongs to. What a graph needs from outside is an approval.
"""

import itertools
import operator
from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

APPROVAL = "approved"
WORKED = 4
"""How many pieces of work the map-reduce graph sends out."""


class State(TypedDict, total=False):
    """What is carried from node to node: both grow."""

    said: Annotated[list[str], operator.add]
    total: Annotated[int, operator.add]


class Piece(TypedDict):
    """What `Send` gives to one piece of work."""

    number: int


class Diary(Protocol):
    """Where nodes say that they run."""

    def begin(self, who: str, task: str, /) -> None:
        """A node begins."""

    def end(self, who: str, task: str, /) -> None:
        """It came to its end: what it returns is not stored yet."""


Graph = StateGraph[Any, Any, Any, Any]
Running = CompiledStateGraph[Any, Any, Any, Any]


def _node(diary: Diary, name: str, does: Callable[[Any], dict[str, Any]] | None = None) -> Any:
    def run(state: Any, config: RunnableConfig) -> dict[str, Any]:
        number = state.get("number")
        who = name if number is None else f"{name}({number})"
        task = config["metadata"]["langgraph_checkpoint_ns"].rpartition(":")[2]
        diary.begin(who, task)
        made = does(state) if does else {}
        made = {"said": [who], "total": 1, **made}
        diary.end(who, task)
        return made

    return run


def _chain(graph: Graph, *steps: Any) -> None:
    """Edges from each step to the next; a step may be several nodes side by side, joined behind."""
    for one, other in itertools.pairwise(steps):
        if isinstance(one, list):
            graph.add_edge(one, other)
        else:
            for each in other if isinstance(other, list) else [other]:
                graph.add_edge(one, each)


def fan_out(diary: Diary) -> Graph:
    """One node, three beside each other, one that waits for them."""
    graph: Graph = StateGraph(State)
    for name in ("plan", "left", "middle", "right"):
        graph.add_node(name, _node(diary, name))
    graph.add_node("join", _node(diary, "join", lambda state: {"total": state["total"] * 10}))
    _chain(graph, START, "plan", ["left", "middle", "right"], "join", END)
    return graph


def map_reduce(diary: Diary) -> Graph:
    """`Send` to one node several times, with an argument each, and a sum."""
    graph: Graph = StateGraph(State)
    graph.add_node("split", _node(diary, "split"))
    graph.add_node("work", _node(diary, "work", lambda piece: {"total": piece["number"] ** 2}))
    graph.add_node("reduce", _node(diary, "reduce", lambda state: {"said": [str(state["total"])]}))
    graph.add_edge(START, "split")
    graph.add_conditional_edges(
        "split", lambda _: [Send("work", {"number": number}) for number in range(WORKED)], ["work"]
    )
    graph.add_edge("work", "reduce")
    graph.add_edge("reduce", END)
    return graph


def subgraphs(diary: Diary) -> Graph:
    """Two graphs as nodes: one in the namespace of its task, one in a namespace of its own that remembers."""
    inner: Graph = StateGraph(State)
    inner.add_node("first", _node(diary, "first"))
    inner.add_node("second", _node(diary, "second"))
    _chain(inner, START, "first", "second", END)
    keeper: Graph = StateGraph(State)
    keeper.add_node("kept", _node(diary, "kept"))
    _chain(keeper, START, "kept", END)
    outer: Graph = StateGraph(State)
    outer.add_node("before", _node(diary, "before"))
    outer.add_node("child", inner.compile())
    outer.add_node("keeper", keeper.compile(checkpointer=True))
    outer.add_node("after", _node(diary, "after"))
    _chain(outer, START, "before", "child", "keeper", "after", END)
    return outer


def approval(diary: Diary) -> Graph:
    """A node that waits for an approval, beside one that does not, and one behind both."""

    def approved(_: Any) -> dict[str, Any]:
        return {"said": [f"it is {interrupt('May I?')}"]}

    graph: Graph = StateGraph(State)
    graph.add_node("draft", _node(diary, "draft"))
    graph.add_node("check", _node(diary, "check"))
    graph.add_node("ask", _node(diary, "ask", approved))
    graph.add_node("publish", _node(diary, "publish"))
    _chain(graph, START, "draft", ["check", "ask"], "publish", END)
    return graph


GRAPHS: dict[str, Callable[[Diary], Graph]] = {
    one.__name__: one for one in (fan_out, map_reduce, subgraphs, approval)
}
FIRST: State = {"said": ["hello"], "total": 0}


async def carry_on(graph: Running, config: RunnableConfig, first: Any = FIRST) -> dict[str, Any]:
    """The final state: begins where nothing is stored, goes on where something is, approves what is asked."""
    while True:
        state = await graph.aget_state(config)
        open_tasks = [task for task in state.tasks if task.result is None]
        if not state.config["configurable"].get("checkpoint_id") or state.created_at is None:
            given: Any = first
        elif not state.tasks:
            return dict(state.values)
        elif any(task.interrupts for task in open_tasks):
            given = Command(resume=APPROVAL)
        else:
            given = None
        await graph.ainvoke(given, config, durability="sync")


async def history(graph: Running, config: RunnableConfig) -> list[tuple[str, int, tuple[str, ...]]]:
    """(source, step, what is next) of every saved state, the newest first."""
    return [
        (one.metadata["source"], one.metadata["step"], one.next)
        async for one in graph.aget_state_history(config)
        if one.metadata is not None
    ]
