"""LangChain's byte store, by LangChain's own tests, and its chat history, alone and in a chain."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_tests.integration_tests import BaseStoreAsyncTests, BaseStoreSyncTests

from support.agents import awaited, opened
from support.cell import SCOPE, SUPPORT, Cell, Stock
from tenure.client import AsyncClient, Client
from tenure.client.langchain import TenureByteStore, TenureChatMessageHistory
from tenure.errors import Denied, Erased, Invalid

pytestmark = pytest.mark.anyio


def bytes_of(client: Client | AsyncClient, **more: Any) -> TenureByteStore:
    return TenureByteStore(client, scope=SCOPE, categories=["contact"], subjects=["customer:1"], **more)


def history_of(
    client: Client | AsyncClient, session: str = "s-1", subject: str = "customer:1", **more: Any
) -> TenureChatMessageHistory:
    return TenureChatMessageHistory(
        client, session, scope=SCOPE, categories=["contact"], subject=subject, **more
    )


# ── by LangChain's own tests ───────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def client(_stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with opened(_stock.copy("sqlite", tmp_path_factory.mktemp("bytes"), None), purpose=None) as made:
        yield made


namespaces = itertools.count()


class TestBytesBlocking(BaseStoreSyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, client: Client) -> TenureByteStore:  # type: ignore[override]
        return bytes_of(client, purpose=SUPPORT, namespace=[f"test-{next(namespaces)}"])

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:  # type: ignore[override]
        return b"", b"\x00\xff", b"more"


class TestBytesAwaited(BaseStoreAsyncTests[bytes]):
    @pytest.fixture
    async def kv_store(self, client: Client) -> TenureByteStore:  # type: ignore[override]
        return bytes_of(client, purpose=SUPPORT, namespace=[f"test-{next(namespaces)}"])

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:  # type: ignore[override]
        return b"", b"\x00\xff", b"more"


# ── bytes ──────────────────────────────────────────────────────────────────────────────────────────
async def test_bytes_are_found_by_name_in_their_own_namespace(cell: Cell) -> None:
    async with awaited(cell) as client, awaited(cell, "clerk") as clerk:
        one, other = bytes_of(client), bytes_of(client, namespace=["bytes", "other"])
        names = ["doc/1", "doc/2", "é" * 300, "", "note"]
        await one.amset([(name, name.encode()) for name in names])
        await other.amset([("doc/1", b"another")])
        assert await one.amget([*names, "none"]) == [*(name.encode() for name in names), None]
        assert await other.amget(["doc/1", "note"]) == [b"another", None]
        assert sorted([key async for key in one.ayield_keys()]) == sorted(names)
        assert sorted([key async for key in one.ayield_keys(prefix="doc/")]) == ["doc/1", "doc/2"]
        assert [key async for key in other.ayield_keys()] == ["doc/1"]
        assert await bytes_of(clerk).amget(["note"]) == [b"note"]
        with pytest.raises(Denied):
            await bytes_of(client.for_purpose("marketing")).amget(["note"])
        await cell.erase("customer:1")
        assert [key async for key in one.ayield_keys()] == []
        assert await one.amget(names) == [None] * len(names)


# ── messages ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_messages_come_back_in_their_order(cell: Cell) -> None:
    async with awaited(cell) as client:
        history = history_of(client)
        said: list[BaseMessage] = [
            HumanMessage("Where is my refund?", additional_kwargs={"n": 1}),
            AIMessage(
                [{"type": "text", "text": "Vite !"}], tool_calls=[{"name": "f", "args": {}, "id": "1"}]
            ),
        ]
        await history.aadd_messages(said)
        for number in range(5):
            await history.aadd_messages([HumanMessage(f"and {number}")])
        await history.aadd_messages([])
        found = await history.aget_messages()
        assert found[:2] == said
        assert [one.content for one in found[2:]] == [f"and {number}" for number in range(5)]
        assert await history_of(client, "s-1-2").aget_messages() == []
        assert await history_of(client, "s").aget_messages() == []
        await history_of(client, "s-2").aadd_messages([HumanMessage("elsewhere")])
        await history.aclear()
        await history.aclear()
        assert await history.aget_messages() == []
        assert len(await history_of(client, "s-2").aget_messages()) == 1
        with pytest.raises(Invalid) as refused:
            await history_of(client, "s" * 257).aadd_messages([HumanMessage("no")])
        assert refused.value.field == "path[1]"


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_who_is_erased_said_nothing(cell: Cell) -> None:
    async with awaited(cell) as client:
        await history_of(client).aadd_messages([HumanMessage("mine")])
        await history_of(client, "s-2", "customer:2").aadd_messages([HumanMessage("theirs")])
        await cell.request("customer:1")
        with pytest.raises(Erased):
            await history_of(client).aadd_messages([HumanMessage("more")])
        await cell.tenure.shredder.run()
        assert await history_of(client).aget_messages() == []
        assert len(await history_of(client, "s-2", "customer:2").aget_messages()) == 1


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_chain_with_a_history(place: Cell) -> None:
    def answer(messages: list[BaseMessage]) -> AIMessage:
        return AIMessage(f"{len(messages)}: {messages[-1].content}")

    with opened(place) as client:

        def history(session: str) -> BaseChatMessageHistory:
            return history_of(client, session)

        chain = RunnableWithMessageHistory(RunnableLambda(answer), history)
        config: Any = {"configurable": {"session_id": "talk"}}
        assert chain.invoke([HumanMessage("hello")], config).content == "1: hello"
        assert chain.invoke([HumanMessage("again")], config).content == "3: again"
        assert asyncio.run(chain.ainvoke([HumanMessage("awaited")], config)).content == "5: awaited"
        assert [one.type for one in history("talk").messages] == ["human", "ai"] * 3
        history("talk").clear()
        assert history("talk").messages == []
        assert list(client.query(SCOPE, path=("chat",))) == []
