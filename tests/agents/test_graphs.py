"""Real graphs, over HTTP and in process: what they come to, and their history, is as with one in memory."""

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from support.cell import NOTES, Cell
from support.graphs import GRAPHS, carry_on, history
from support.sites import async_client_of
from tenure.client.langgraph import TenureSaver

pytestmark = pytest.mark.anyio


class Nobody:
    """A diary that nobody keeps."""

    def begin(self, who: str, task: str, /) -> None: ...
    def end(self, who: str, task: str, /) -> None: ...


async def come_to(saver: Any) -> dict[str, Any]:
    """(final state, history) by graph."""
    found = {}
    for name, build in GRAPHS.items():
        graph = build(Nobody()).compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": name, "subject": "customer:42"}}
        found[name] = (await carry_on(graph, config), await history(graph, config))
    return found


@pytest.mark.parametrize("where", ["in process", "over HTTP"])
async def test_graphs_come_to_the_same(embedded: Cell, where: str) -> None:
    wanted = await come_to(InMemorySaver())
    async with async_client_of(embedded, where) as client:
        assert await come_to(TenureSaver(client, scope=NOTES, categories=["contact"])) == wanted
