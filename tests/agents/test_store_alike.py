"""The store beside LangGraph's own in-memory one: the same operations, the same results; both databases."""

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchItem,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from support.agents import opened
from support.cell import SCOPE, Cell, Stock
from support.postgres import Server
from support.serving import served
from tenure.client import Client, rounds
from tenure.client.langgraph_store import TenureStore
from tenure.errors import Invalid

WORDS = ("apple", "pear", "plum", "car", "train", "ship")


def embed(texts: list[str]) -> list[list[float]]:
    """How often each word is in a text: near enough to meaning."""
    return [[float(len(re.findall(word, text))) for word in WORDS] for text in texts]


INDEX: Any = {"dims": len(WORDS), "embed": embed, "fields": ["text", "notes[*]"]}


def store_of(client: Client, **more: Any) -> TenureStore:
    return TenureStore(
        client, scope=SCOPE, categories=["contact"], **{"subjects": ["customer:1"], "index": INDEX, **more}
    )


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def client(
    request: pytest.FixtureRequest, _stock: Stock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    server: Server | None = None
    if request.param == "postgresql":
        found = request.getfixturevalue("_postgres")
        if isinstance(found, str):
            pytest.skip(found)
        server = found
    cell: Cell = _stock.copy(request.param, tmp_path_factory.mktemp("store"), server)
    with opened(cell) as made:
        yield made


def plain(result: Any) -> Any:
    """What two stores must agree on: not instants, and of scores only what 32 bits have."""
    if result is None or isinstance(result, tuple):
        return result
    if isinstance(result, list):
        return [plain(one) for one in result]
    score = result.score if isinstance(result, SearchItem) else None
    return (result.namespace, result.key, result.value, None if score is None else round(score, 5))


def by_name(result: Any) -> Any:
    """Without the order, where nobody promises one."""
    found = plain(result)
    return sorted(found, key=repr) if isinstance(found, list) else found


# ── anything ───────────────────────────────────────────────────────────────────────────────────────
labels = st.sampled_from(["users", "users-2", "1", "12", "é b", "x" * 200])
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
keys = st.sampled_from(["k", "k2", "", "a/b?c#d%", 'q"],["', "line\nbreak\x00", "n" * 600])
values = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["apple pear", "car", "ship train ship", "nothing"]),
        "n": st.sampled_from([1, 2, 10, 2.5, -1]),
        "notes": st.lists(st.sampled_from(["plum", "car car"]), max_size=2, unique=True),
        "deep": st.just({"a": {"b": [1, None, True]}}),
    },
)
filters = st.sampled_from(
    [
        None,
        {"n": 2},
        {"n": {"$gte": 2, "$lt": 10}},
        {"n": {"$ne": 1}},
        {"text": {"$eq": "car"}},
        {"deep": {"a": {"b": [1, None, True]}}},
        {"deep": {"a": {"b": [1]}}},
    ]
)


def made(kind: Any, *parts: Any) -> Any:
    """Named tuples, of these parts and no others."""
    return st.tuples(*parts).map(lambda given: kind(*given))


pattern = st.lists(st.one_of(labels, st.just("*")), min_size=1, max_size=2).map(tuple)
conditions = st.lists(made(MatchCondition, st.sampled_from(["prefix", "suffix"]), pattern), max_size=2).map(
    tuple
)
queries = st.sampled_from([None, "apple", "car ship"])
operations = st.one_of(
    made(PutOp, namespaces, keys, values, st.sampled_from([None, None, False, ["text"]])),
    made(PutOp, namespaces, keys, st.one_of(st.none(), values)),
    made(GetOp, namespaces, keys),
    made(SearchOp, namespaces, filters, st.just(200), st.just(0), queries),
    made(ListNamespacesOp, conditions, st.sampled_from([None, 1, 2]), st.sampled_from([1, 100])),
)
rooms = itertools.count()


def moved(op: Op, room: str) -> Op:
    """The same in a room of its own, where nothing is left of other examples."""
    if isinstance(op, ListNamespacesOp):
        mine = MatchCondition("prefix", (room,))
        given = [
            MatchCondition(one.match_type, (room, *one.path)) if one.match_type == "prefix" else one
            for one in op.match_conditions or ()
        ]
        return op._replace(match_conditions=(mine, *given))
    if isinstance(op, SearchOp):
        return op._replace(namespace_prefix=(room, *op.namespace_prefix))
    return op._replace(namespace=(room, *op.namespace))


def comparable(op: Op) -> bool:
    """LangGraph's own raises for a number that is compared with what is none; ours finds no match."""
    return not (isinstance(op, SearchOp) and op.filter and "$gte" in str(op.filter))


def tidy(theirs: InMemoryStore, coming: list[Op]) -> None:
    """It keeps the names of namespaces in which there is nothing, even of those that were only asked for.

    And vectors of texts that the item has no more.
    """
    for op in coming:
        if isinstance(op, PutOp):
            theirs._vectors[op.namespace].pop(op.key, None)
    for namespace in [name for name, items in theirs._data.items() if not items]:
        del theirs._data[namespace]


def steps_of(ops: list[Op]) -> list[list[Op]]:
    """In one batch, but for what theirs cannot do there.

    A namespace that is asked for is listed, and a text that two items have in common fails.
    """
    lists = [op for op in ops if isinstance(op, ListNamespacesOp)]
    puts = [op for op in ops if isinstance(op, PutOp)]
    rest = [op for op in ops if not isinstance(op, ListNamespacesOp | PutOp)]
    if len([op for op in puts if op.value]) > 1:
        return [[op] for op in (*lists, *rest, *puts)]
    return [[*lists, *rest, *puts]]


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(batches=st.lists(st.lists(operations, min_size=1, max_size=5), min_size=1, max_size=5))
@example(
    batches=[
        [PutOp(("a",), "k", {"n": 1}), PutOp(("a", "b"), "k", {"n": 2}), PutOp(("a",), "k", {"n": 3})],
        [PutOp(("a",), "k", None), GetOp(("a",), "k"), SearchOp(("a",), limit=200)],
        [GetOp(("a",), "k"), ListNamespacesOp()],
    ]
)
def test_the_same_results_for_the_same_operations(client: Client, batches: list[list[Op]]) -> None:
    room = f"room-{next(rooms)}"
    ours, theirs = store_of(client), InMemoryStore(index=INDEX)
    for batch in batches:
        for step in steps_of([moved(op, room) for op in batch if comparable(op)]):
            tidy(theirs, step)
            expected = theirs.batch(step)
            tidy(theirs, [])
            assert list(map(by_name, ours.batch(step))) == list(map(by_name, expected))


# ── one thing at a time ────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def room() -> str:
    return f"room-{next(rooms)}"


def test_an_item_has_its_times_and_an_update_keeps_the_first(client: Client, room: str) -> None:
    store = store_of(client)
    store.put((room,), "k", {"n": 1})
    first = store.get((room,), "k")
    assert first is not None
    assert first.created_at == first.updated_at
    assert first.created_at.utcoffset() == timedelta(0)
    store.put((room,), "k", {"n": 2})
    second = store.get((room,), "k")
    assert second is not None
    assert abs(second.created_at - first.created_at) < timedelta(seconds=1)
    assert first.updated_at < second.updated_at
    assert second.created_at <= second.updated_at
    assert (second.value, second.namespace, second.key) == ({"n": 2}, (room,), "k")


def test_a_sibling_is_never_found(client: Client, room: str) -> None:
    store = store_of(client)
    for name in ("users", "users-2", "user", "users.2".replace(".", "_")):
        store.put((room, name), "k", {"name": name})
    assert [one.value["name"] for one in store.search((room, "users"))] == ["users"]
    assert store.search((room, "use")) == []
    assert store.list_namespaces(prefix=(room, "users")) == [(room, "users")]
    for forged in ((room, "users.2"), ("langgraph", "x"), ("",), ()):
        with pytest.raises((InvalidNamespaceError, Invalid)):
            store.put(forged, "k", {})
        with pytest.raises((InvalidNamespaceError, Invalid)):
            store.batch([PutOp((*forged, ""), "k", {})])


def test_pages_of_a_search(client: Client, room: str) -> None:
    store = store_of(client, index=None)
    store.batch([PutOp((room, str(n % 3)), f"k{n}", {"n": n, "odd": n % 2}) for n in range(25)])
    assert len(store.search((room,))) == 10
    pages = [
        [one.value["n"] for one in store.search((room,), offset=at, limit=7)] for at in (0, 7, 14, 21, 28)
    ]
    assert sorted(n for page in pages for n in page) == list(range(25))
    assert [len(page) for page in pages] == [7, 7, 7, 4, 0]
    odd = [one.value["n"] for one in store.search((room,), filter={"odd": 1}, offset=3, limit=5)]
    assert odd == [7, 9, 11, 13, 15], "oldest first"
    assert [one.score for one in store.search((room,), query="anything", limit=2)] == [None, None]


def test_more_than_a_page_of_the_service(client: Client, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PAGE", 20)
    store = store_of(client, index=None)
    store.batch([PutOp((room, f"{n:03}"), "k", {"n": n}) for n in range(43)])
    assert len(store.search((room,), limit=1000)) == 43
    assert len(store.list_namespaces(prefix=(room,), limit=1000)) == 43
    assert store.search((room,), filter={"n": {"$gt": 41}})[0].value == {"n": 42}


def test_search_by_meaning(client: Client, room: str) -> None:
    store = store_of(client)
    store.put((room, "a"), "fruit", {"text": "apple pear plum"})
    store.put((room, "b"), "ways", {"text": "car train ship"})
    store.put((room, "b"), "both", {"text": "car", "notes": ["apple", "nothing"]})
    store.put((room, "c"), "unseen", {"text": "apple"}, index=False)
    store.put((room, "c"), "title", {"title": "apple apple", "text": "ship"}, index=["title"])
    found = store.search((room,), query="apple")
    assert [one.key for one in found] == ["both", "title", "fruit", "ways", "unseen"]
    assert [one.score for one in found] == [
        pytest.approx(1.0),
        pytest.approx(1.0),
        pytest.approx(3**-0.5),
        pytest.approx(0.0),
        None,
    ]
    assert [one.key for one in store.search((room,), query="apple", offset=1, limit=2)] == ["title", "fruit"]
    assert [one.key for one in store.search((room, "b"), query="apple", limit=1)] == ["both"]
    narrowed = store.search((room,), query="apple", filter={"text": {"$ne": "car"}}, limit=1)
    assert [one.key for one in narrowed] == ["title"]
    store.put((room, "b"), "both", {"text": "ship"})
    assert store.search((room,), query="apple")[0].key == "title", "an item's vectors go with its value"


def test_numbers_are_compared_as_numbers_and_nothing_else_is(client: Client, room: str) -> None:
    store = store_of(client, index=None)
    for key, n in [
        ("nine", 9),
        ("ten", 10),
        ("text", "many"),
        ("none", None),
        ("digits", "11"),
        ("half", 9.5),
    ]:
        store.put((room,), key, {"n": n})
    store.put((room,), "without", {})
    assert {one.key for one in store.search((room,), filter={"n": {"$gt": 9}})} == {"ten", "digits", "half"}
    assert {one.key for one in store.search((room,), filter={"n": {"$lte": 9.5}})} == {"nine", "half"}
    assert {one.key for one in store.search((room,), filter={"n": {"$eq": None}})} == {"none", "without"}
    with pytest.raises(Invalid) as refused:
        store.search((room,), filter={"n": {"$in": [9]}})
    assert (refused.value.field, refused.value.remedy is not None) == ("filter", True)


def test_bad_input_is_refused_by_name_and_nothing_is_written(client: Client, room: str) -> None:
    store = store_of(client)
    wrong = store_of(client, index={**INDEX, "embed": lambda texts: [[1.0] for _ in texts]})
    for put, field in [
        (lambda: store.put((room,) * 17, "k", {"text": "car"}), "path"),
        (lambda: store.put((room, "x" * 257), "k", {"text": "car"}), "path[1]"),
        (lambda: store.put((room,), "k", {"n": 2**60}), "content"),
        (lambda: wrong.put((room,), "k", {"text": "car"}), "index.embed"),
        (lambda: store.put((room,), "k", {}, ttl=1e12), "ttl"),
        (lambda: store.put((room,), "k", {}, ttl=float("nan")), "ttl"),
        (lambda: store.put((room,), "k", {}, ttl=0), "ttl"),
        (lambda: store.batch(["put"]), "ops"),  # type: ignore[list-item]
    ]:
        with pytest.raises(Invalid) as refused:
            put()
        assert refused.value.field == field
        assert refused.value.remedy
    assert store.search((room,)) == []


def test_over_http(embedded: Cell, tmp_path: Path) -> None:
    with ExitStack() as stack:
        given = embedded.settings.model_dump(include={"data_dir", "root_dir", "shred_interval_s"})
        _, http = stack.enter_context(served(given, tmp_path / "log"))
        key = embedded.one.keys["agent"]
        store = store_of(stack.enter_context(Client(str(http.base_url), key)), purpose="customer-support")
        store.put(("users", "é /?"), 'k"/../%', {"text": "apple"}, ttl=60)
        found = store.get(("users", "é /?"), 'k"/../%')
        assert found is not None
        assert found.value == {"text": "apple"}
        assert [one.key for one in store.search(("users",), query="apple")] == ['k"/../%']
        assert store.list_namespaces() == [("users", "é /?")]
        store.delete(("users", "é /?"), 'k"/../%')
        assert store.search(("users",)) == []
    assert "é" not in (tmp_path / "log").read_text()
