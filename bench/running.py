"""What `python -m bench agents` measures: one step's calls of a saver, a ten-node graph, a conversation."""

import asyncio
import itertools
import random
import string
from collections.abc import Awaitable, Callable
from operator import add
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.base import CheckpointMetadata, create_checkpoint, empty_checkpoint
from langgraph.graph import END, START, StateGraph

from bench.savers import Saver

NODES = 10
TURNS, TURN_BYTES = 100, 1024
Operation = Callable[[], Awaitable[object]]


class Small(TypedDict, total=False):
    """The state of the ten-node graph."""

    topic: str
    steps: int


class Talk(TypedDict, total=False):
    """A conversation that grows."""

    messages: Annotated[list[dict[str, str]], add]


def config_of(thread: str) -> Any:  # noqa: ANN401 - LangGraph's config
    """Subjects are as many as in the other benchmarks; savers that know none ignore it."""
    return {"configurable": {"thread_id": thread, "subject": f"customer:{hash(thread) % 500}"}}


def _threads(tag: str) -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"{tag}-{next(numbers)}"


def step(saver: Saver) -> Operation:
    """put + put_writes + get_tuple: a saver's share of one step, on threads that go on.

    As many threads as are in flight: each call takes one and puts it back.
    """
    name = _threads(uuid4().hex[:8])
    free: list[tuple[Any, Any, int]] = []

    async def once() -> None:
        if free:
            config, checkpoint, number = free.pop()
        else:
            thread = config_of(name())["configurable"]
            config = {"configurable": {**thread, "checkpoint_ns": ""}}
            checkpoint, number = empty_checkpoint(), -1
        checkpoint = create_checkpoint(checkpoint, None, number)
        version = saver.get_next_version(checkpoint["channel_versions"].get("steps"), None)
        checkpoint["channel_values"] = {"topic": "refund", "steps": number}
        versions = {"topic": "1" if isinstance(version, str) else 1, "steps": version}
        new = versions if number < 0 else {"steps": version}
        checkpoint["channel_versions"] = versions
        metadata: CheckpointMetadata = {
            "source": "input" if number < 0 else "loop",
            "step": number,
            "parents": {},
        }
        stored = await saver.aput(config, checkpoint, metadata, new)
        where = {"configurable": {**config["configurable"], **stored["configurable"]}}
        await saver.aput_writes(where, [("steps", number), ("branch:to:next", None)], str(uuid4()))  # type: ignore[arg-type]
        latest = {**where["configurable"]}
        del latest["checkpoint_id"]
        found = await saver.aget_tuple({"configurable": latest})
        assert found is not None
        assert len(found.pending_writes or ()) == 2
        free.append((where, checkpoint, number + 1))

    return once


def ten_nodes(saver: Saver | None) -> Operation:
    """A run of ten nodes in a row on a new thread, each step durable before the next."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Small)
    names = [f"node{number}" for number in range(NODES)]

    async def node(state: Small) -> Small:
        return {"steps": state["steps"] + 1}

    for one in names:
        graph.add_node(one, node)
    for one, other in itertools.pairwise([START, *names, END]):
        graph.add_edge(one, other)
    compiled = graph.compile(checkpointer=saver)
    name = _threads(uuid4().hex[:8])

    async def once() -> None:
        how: dict[str, Any] = {} if saver is None else {"durability": "sync"}
        found = await compiled.ainvoke({"topic": "refund", "steps": 0}, config_of(name()), **how)
        assert found["steps"] == NODES

    return once


async def conversation(saver: Saver, thread: str) -> None:
    """Turns of one thread: a message of 1 kB of text that does not compress, and a short answer."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Talk)
    graph.add_node("answer", lambda _: {"messages": [{"role": "agent", "text": "Noted."}]})
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    compiled = graph.compile(checkpointer=saver)
    chance = random.Random(7)  # noqa: S311 - the same text for everyone
    for _ in range(TURNS):
        text = "".join(chance.choices(string.ascii_letters + string.digits + " .", k=TURN_BYTES))
        given = {"messages": [{"role": "customer", "text": text}]}
        found = await compiled.ainvoke(given, config_of(thread), durability="sync")
    assert len(found["messages"]) == 2 * TURNS
    await asyncio.sleep(0)
