"""The store under policy, keys and ledger: terms, erasure, who sees what, and a graph that remembers."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import PutOp
from test_store_alike import INDEX, embed

from support.agents import awaited, opened
from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.travel import Travel
from tenure.client import AsyncClient, langgraph_store
from tenure.client.items import record_key
from tenure.client.langgraph_store import TenureStore
from tenure.errors import Denied, Erased, Invalid
from tenure.store import tables

pytestmark = pytest.mark.anyio

ROOM = ("memories", "42")


def store_of(client: AsyncClient, **more: Any) -> TenureStore:
    return TenureStore(
        client, scope=SCOPE, categories=["contact"], **{"subjects": ["customer:1"], "index": INDEX, **more}
    )


def whose(namespace: tuple[str, ...], _key: str, value: Mapping[str, Any]) -> list[str]:
    """The people in a value, or the one that the namespace names."""
    return list(value.get("about", [f"customer:{namespace[-1]}"]))


# ── terms ──────────────────────────────────────────────────────────────────────────────────────────
async def test_a_term_ends_unless_somebody_reads(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    travel = Travel.begun(monkeypatch)
    monkeypatch.setattr(
        langgraph_store, "_now", lambda: datetime.now(UTC) + timedelta(microseconds=travel.ahead)
    )
    async with awaited(cell) as client:
        store = store_of(client, ttl={"default_ttl": 60.0, "refresh_on_read": True})
        for key in ("read", "searched", "peeked", "left"):
            await store.aput(ROOM, key, {"text": "car", "key": key})
        await store.aput(ROOM, "kept", {"text": "car"}, ttl=None)
        await store.aput(ROOM, "short", {"text": "car"}, ttl=30)
        travel.on(hours=0.05)
        await store.aget(ROOM, "read")
        assert await versions(client) == 6, "a twentieth of its term is over: nothing is written for that"
        travel.on(hours=0.6)
        assert await store.aget(ROOM, "short") is None
        first = await store.aget(ROOM, "read")
        found = await store.asearch(ROOM, filter={"key": "searched"})
        assert [one.key for one in found] == ["searched"]
        assert await store.aget(ROOM, "peeked", refresh_ttl=False) is not None
        assert await versions(client) == 7, "one has gone, two were renewed"
        travel.on(hours=0.6)
        assert {one.key for one in await store.asearch(ROOM, query="car")} == {"read", "searched", "kept"}
        again = await store.aget(ROOM, "read")
        assert again == first, "a new term is no update"
        await store.aput(ROOM, "read", {"text": "ship"})
        last = await store.aget(ROOM, "read")
        assert last is not None
        assert first is not None
        assert last.created_at - first.created_at < timedelta(seconds=1)
        assert last.updated_at > first.updated_at
        best = await store.asearch(ROOM, query="ship", limit=1)
        assert [one.score for one in best] == [pytest.approx(1)]
        travel.on(hours=2)
        assert [one.key for one in await store.asearch(ROOM)] == ["kept"]
        assert await store.alist_namespaces() == [ROOM]


async def versions(client: AsyncClient) -> int:
    """How many were written of all that is there."""
    page = await client.query(SCOPE, limit=200)
    return sum(one.version for one in page)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_who_may_not_write_reads_and_leaves_the_term(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    travel = Travel.begun(monkeypatch)
    monkeypatch.setattr(
        langgraph_store, "_now", lambda: datetime.now(UTC) + timedelta(microseconds=travel.ahead)
    )
    async with awaited(cell) as agent, awaited(cell, "marketer", "marketing") as marketer:
        await store_of(agent).aput(ROOM, "k", {"n": 1}, ttl=60)
        travel.on(hours=0.5)
        assert await store_of(marketer).aget(ROOM, "k") is not None
        with pytest.raises(Denied):
            await store_of(marketer).aput(ROOM, "k", {"n": 2})
        with pytest.raises(Denied):
            await store_of(marketer).adelete(ROOM, "k")
        travel.on(hours=0.6)
        assert await store_of(marketer).aget(ROOM, "k") is None


# ── erasure ────────────────────────────────────────────────────────────────────────────────────────
async def test_who_is_erased_leaves_nothing_behind(cell: Cell) -> None:
    async with awaited(cell) as client:
        store = store_of(client, subjects=whose)
        await store.aput(("people", "gone"), "Zanzibar-key", {"text": "apple Ouagadougou"})
        await store.aput(("people", "stays"), "k", {"text": "apple", "about": ["customer:stays"]})
        await store.aput(
            ("people", "stays"), "both", {"text": "apple", "about": ["customer:gone", "customer:stays"]}
        )
        await cell.request("customer:gone")
        with pytest.raises(Erased):
            await store.aput(("people", "stays"), "new", {"about": ["customer:gone", "customer:stays"]})
        assert await store.asearch((), filter={"text": "apple Ouagadougou"}) == []
        await cell.tenure.shredder.run()
        assert [one.key for one in await store.asearch(("people",), query="apple")] == ["k"]
        assert await store.asearch((), filter={"text": "apple Ouagadougou"}) == []
        assert await store.alist_namespaces() == [("people", "stays")]
        assert await store.aget(("people", "gone"), "Zanzibar-key") is None
        await store.adelete(("people", "gone"), "Zanzibar-key")
    assert at_rest(cell, b"Ouagadougou", b"Zanzibar") == []


def at_rest(cell: Cell, *needles: bytes) -> list[str]:
    """Where any of these stands: in files, and in the rows of every table."""
    folders = (cell.settings.data_dir, cell.settings.root_dir)
    kept = {str(one): one.read_bytes() for folder in folders for one in folder.rglob("*") if one.is_file()}
    for table in tables.metadata.sorted_tables:
        values = [one for row in cell.rows(f"SELECT * FROM {table.name}") for one in row]
        kept[table.name] = b"\n".join(
            bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode() for one in values
        )
    return [name for name, content in kept.items() if any(one in content for one in needles)]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nothing_lies_in_the_clear_before_either(cell: Cell) -> None:
    async with awaited(cell) as client:
        await store_of(client).aput(("Timbuktu",), "Zanzibar-key", {"text": "apple Ouagadougou"})
    assert at_rest(cell, b"Ouagadougou", b"Zanzibar", b"Timbuktu") == []


# ── policy, ledger, decisions ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_everybody_sees_what_policy_shows_them(cell: Cell) -> None:
    async with (
        awaited(cell) as agent,
        awaited(cell, "clerk") as clerk,
        awaited(cell, tenant=cell.two) as other,
    ):
        mine, theirs, foreign = store_of(agent), store_of(clerk), store_of(other)
        health = TenureStore(agent, scope=SCOPE, categories=["health"], subjects=["customer:1"])
        await mine.aput(ROOM, "open", {"text": "car"})
        await health.aput((*ROOM, "health"), "secret", {"text": "car"})
        await TenureStore(agent, scope=NOTES, categories=["contact"]).aput(ROOM, "note", {"text": "car"})
        assert {one.key for one in await mine.asearch(ROOM)} == {"open", "secret"}
        assert [one.key for one in await theirs.asearch(ROOM, query="car")] == ["open"]
        assert await theirs.alist_namespaces() == [ROOM]
        with pytest.raises(Denied):
            await theirs.aget((*ROOM, "health"), "secret")
        assert await foreign.asearch(()) == []
        assert await foreign.aget(ROOM, "open") is None


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_every_access_is_on_record_and_a_decisions_is_its_own(cell: Cell) -> None:
    async with awaited(cell) as client:
        await store_of(client).aput(ROOM, "k", {"text": "car"})
        async with client.decision(subject="customer:1") as inside:
            store = store_of(inside)
            assert len(await store.asearch(ROOM, query="car")) == 1
            await store.aput(ROOM, "conclusion", {"text": "ship"})
            decision = inside.bound.decision
            assert decision is not None
        seen = await client.context(decision)
        assert [one["content"]["value"] for one in seen.items] == [{"text": "car"}, {"text": "ship"}]
    kinds = [(one["kind"], one["outcome"]) for one in cell.entries() if one.get("decision") == decision]
    assert kinds[1:3] == [("access", "ok"), ("write", "ok")]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_other_records_in_the_scope_are_no_items(cell: Cell) -> None:
    async with awaited(cell) as client:
        store = store_of(client)
        await client.put(SCOPE, "talk", {"value": {}}, subjects=["customer:1"], categories=["contact"])
        await client.put(
            SCOPE, "k", {"value": {}}, subjects=["customer:1"], categories=["contact"], path=ROOM
        )
        await client.put(
            SCOPE, record_key(ROOM, "x"), [1], subjects=["customer:1"], categories=["contact"], path=ROOM
        )
        assert await store.asearch(()) == []
        assert await store.aget(ROOM, "x") is None
        await store.aput(ROOM, "k", {"n": 1})
        await store.aput(ROOM, "n" * 600, {"n": 2})
        async with client.decision() as inside:
            found = await store_of(inside).asearch(())
        assert [one.key for one in found] == ["k", "n" * 600]
        seen = await client.context(str(inside.bound.decision))
        assert "talk" not in {one["key"] for one in seen.items}, "of what is no item, nothing is read"


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_of_two_writers_the_last_one_wins(cell: Cell) -> None:
    async with awaited(cell) as client:
        store = store_of(client, index=None)
        await asyncio.gather(*(store.aput(ROOM, "k", {"n": n}) for n in range(8)))
        found = await store.aget(ROOM, "k")
        assert found is not None
        assert found.value["n"] in range(8)
        await store.abatch([PutOp(ROOM, "k", {"n": n}) for n in range(5)])
        assert [one.value for one in await store.asearch(ROOM)] == [{"n": 4}]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_awaited_embedding_function_and_a_client_that_cannot_block(cell: Cell) -> None:
    async def awaited_embed(texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(0)
        return embed(texts)

    async with awaited(cell) as client:
        store = store_of(client, index={**INDEX, "embed": awaited_embed})
        await store.aput(ROOM, "k", {"text": "apple"})
        assert (await store.asearch(ROOM, query="apple"))[0].score == pytest.approx(1)
        with pytest.raises(Invalid, match="blocking") as refused:
            store.get(ROOM, "k")
        assert refused.value.field == "client"


# ── in a graph ─────────────────────────────────────────────────────────────────────────────────────
class State(TypedDict):
    said: str
    recalled: list[str]


async def aremember(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    assert runtime.store is not None
    found = await runtime.store.asearch(ROOM, query=state["said"])
    await runtime.store.aput(ROOM, state["said"], {"text": state["said"]})
    return {"recalled": [one.key for one in found]}


def remember(state: State, runtime: Runtime[None]) -> dict[str, Any]:
    assert runtime.store is not None
    found = runtime.store.search(ROOM, query=state["said"])
    runtime.store.put(ROOM, state["said"], {"text": state["said"]})
    return {"recalled": [one.key for one in found]}


def graph_of(node: Any, store: TenureStore) -> Any:
    builder = StateGraph(State)
    builder.add_node("remember", node)
    builder.add_edge(START, "remember")
    builder.add_edge("remember", END)
    return builder.compile(store=store)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_graph_remembers(cell: Cell) -> None:
    async with awaited(cell) as client:
        graph = graph_of(aremember, store_of(client))
        await graph.ainvoke({"said": "apple", "recalled": []})
        await graph.ainvoke({"said": "car", "recalled": []})
        assert (await graph.ainvoke({"said": "apple car", "recalled": []}))["recalled"] == ["apple", "car"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_graph_remembers_with_a_client_that_blocks(place: Cell) -> None:
    with opened(place, purpose=None) as client:
        store = store_of(client, purpose=SUPPORT)  # type: ignore[arg-type]
        graph = graph_of(remember, store)
        graph.invoke({"said": "apple", "recalled": []})
        assert graph.invoke({"said": "apple car", "recalled": []})["recalled"] == ["apple"]
        agraph = graph_of(aremember, store)
        assert asyncio.run(agraph.ainvoke({"said": "car", "recalled": []}))["recalled"] == [
            "apple car",
            "apple",
        ]
