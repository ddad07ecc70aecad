"""A run that will be refused does not begin: no node has run when the refusal is raised.

By default LangGraph stores while nodes are at work already, so what only storing can tell comes late; with
`durability="sync"` it comes before the first node.
"""

from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from support.agents import awaited
from support.cell import SCOPE, SUPPORT, Cell
from tenure.client import AsyncClient
from tenure.client.langgraph import TenureSaver
from tenure.errors import Conflict, Erased, Invalid, NotFound

pytestmark = pytest.mark.anyio


class State(TypedDict, total=False):
    n: int


def graph_of(client: AsyncClient, ran: list[str], **more: Any) -> Any:
    """Three nodes in a row, each of which says that it ran."""
    graph = StateGraph(State)
    before = START
    for name in "abc":

        def node(state: State, name: str = name) -> State:
            ran.append(name)
            return {"n": state.get("n", 0) + 1}

        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    return graph.compile(
        checkpointer=TenureSaver(client, **{"scope": SCOPE, "categories": ["contact"], **more})
    )


def config_of(thread: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": thread, **more}}


async def test_an_erased_persons_thread_is_refused_at_once(cell: Cell) -> None:
    ran: list[str] = []
    config = config_of("t", subject="customer:1")
    async with awaited(cell) as client:
        graph = graph_of(client, ran)
        await graph.ainvoke({"n": 0}, config)
        assert ran == ["a", "b", "c"]
        ran.clear()
        await cell.request("customer:1")
        with pytest.raises(Erased):  # from the request on
            await graph.ainvoke({"n": 0}, config)
        await cell.tenure.shredder.run()
        for given in (config, config_of("t"), config_of("t", subject="customer:2")):
            with pytest.raises(Erased) as gone:
                await graph.ainvoke({"n": 0}, given)
            assert gone.value.certificate
        assert ran == []
        assert [one async for one in graph.aget_state_history(config)] == []
        await graph.ainvoke({"n": 0}, config_of("another", subject="customer:1"))
        assert ran == ["a", "b", "c"], "who comes back is a new person"


async def test_what_the_call_names_and_is_not_there_is_refused_at_once(cell: Cell) -> None:
    ran: list[str] = []
    config = config_of("t", subject="customer:1")
    async with awaited(cell) as client:
        with pytest.raises(NotFound) as none:
            await graph_of(client, ran, scope="support.unknown").ainvoke({"n": 0}, config)
        assert none.value.field == "scope"
        elsewhere = client.within("01890000-0000-7000-8000-000000000000")
        with pytest.raises(NotFound):
            await graph_of(elsewhere, ran).ainvoke({"n": 0}, config)
    assert ran == []


async def test_stored_first_everything_is_refused_at_once(cell: Cell) -> None:
    ran: list[str] = []
    async with awaited(cell, purpose=SUPPORT) as client:
        await graph_of(client, ran).ainvoke({"n": 0}, config_of("t", subject="customer:1"))
        ran.clear()
        tries = (
            ({}, config_of("new"), Invalid),
            ({"categories": ["unheard"]}, config_of("new", subject="customer:1"), Invalid),
            ({}, config_of("t", subject="customer:2"), Conflict),
        )
        for more, config, refusal in tries:
            with pytest.raises(refusal):
                await graph_of(client, ran, **more).ainvoke({"n": 0}, config, durability="sync")
    assert ran == []
