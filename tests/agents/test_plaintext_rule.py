"""Nothing of a thread lies in the clear, and a row that was copied or forged gives nothing away.

LangGraph's `EncryptedSerializer` seals values of channels and writes only: threads, namespaces, names of
channels and metadata are found in its tables (`test_control_…`).
"""

import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from support.canaries import at_rest, canary, sightings
from support.cell import NOTES, Cell, Tenant
from support.postgres import Server
from support.savers import SUBJECT, opened, told
from tenure.errors import Tampered
from tenure.ledger.canonical import canonical

pytestmark = pytest.mark.anyio

NAMES = (
    "value",
    "small",
    "said",
    "key",
    "inner",
    "thread",
    "namespace",
    "metadata",
    "told",
    "asked",
    "person",
)


def canaries() -> dict[str, str]:
    """One for each thing that a graph's run has; nodes, channels and metadata have names without accents."""
    return {name: canary(name).replace("é", "").replace("-", "_") for name in NAMES}


async def run(saver: Any, texts: dict[str, str]) -> None:
    """A run with a subgraph in a namespace, which ends where it asks for an approval: writes stay pending."""
    channel, node = texts["key"], texts["namespace"]
    state = TypedDict("State", {channel: str, "said": Annotated[list[Any], operator.add]}, total=False)  # type: ignore[misc]

    def speak(_: Any) -> dict[str, Any]:
        return {channel: texts["small"], "said": [texts["said"], {texts["inner"]: texts["value"]}]}

    inner: StateGraph[Any, Any, Any, Any] = StateGraph(state)
    inner.add_node("speak", speak)
    inner.add_edge(START, "speak")
    inner.add_edge("speak", END)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(state)
    graph.add_node(node, inner.compile())
    graph.add_node("ask", lambda _: {"said": [interrupt(texts["asked"])]})
    graph.add_node("beside", lambda _: {channel: texts["value"]})
    graph.add_edge(START, node)
    graph.add_edge(node, "ask")
    graph.add_edge(node, "beside")
    graph.add_edge("ask", END)
    config: Any = {
        "configurable": {"thread_id": texts["thread"], "subject": f"customer:{texts['person']}"},
        "metadata": {texts["metadata"]: texts["told"]},
    }
    compiled = graph.compile(checkpointer=saver)
    await compiled.ainvoke({channel: texts["value"], "said": []}, config, durability="sync")
    found = await compiled.aget_state(config)
    assert found.values["said"][0] == texts["said"]
    assert found.interrupts[0].value == texts["asked"]
    assert found.metadata is not None
    assert found.metadata[texts["metadata"]] == texts["told"]  # type: ignore[literal-required]


def dumped(cell: Cell, folder: Path) -> Path:
    """Every value of every table in a file of its own folder: what the database's own files may compress."""
    folder.mkdir()
    listed = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    if cell.dialect == "sqlite":
        listed = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    for (table,) in cell.rows(listed):
        values = (
            value for row in cell.rows(f'SELECT * FROM "{table}"') for value in row if value is not None
        )
        raw = (bytes(one) if isinstance(one, bytes | memoryview) else str(one).encode() for one in values)
        (folder / table).write_bytes(b"\n".join(raw))
    return folder


@pytest.fixture
def folders(place: Cell, _server: Server | None) -> Callable[[], list[Path]]:
    """Where everything lies, as it is on disk now."""
    return lambda: at_rest(place, _server)


async def test_nothing_at_rest_is_in_the_clear(
    place: Cell, folders: Callable[[], list[Path]], tmp_path: Path
) -> None:
    texts = canaries()
    async with opened(told(place)) as saver:
        await run(saver, texts)
        assert sightings([*folders(), dumped(place, tmp_path / "dump")], texts) == []
    assert sightings([place.settings.data_dir, place.settings.root_dir], texts) == [], "published, and closed"


async def test_control_the_official_encryption_leaves_much_in_the_clear(tmp_path: Path) -> None:
    class Cipher(CipherProtocol):
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            nonce = os.urandom(12)
            return "gcm", nonce + key.encrypt(nonce, plaintext, None)

        def decrypt(self, _ciphername: str, ciphertext: bytes) -> bytes:
            return key.decrypt(ciphertext[:12], ciphertext[12:], None)

    key, texts, place = AESGCM(AESGCM.generate_key(256)), canaries(), tmp_path / "theirs"
    place.mkdir()
    async with AsyncSqliteSaver.from_conn_string(str(place / "theirs.db")) as saver:
        saver.serde = EncryptedSerializer(Cipher())
        await run(saver, texts)
    found = {name for name, _, _ in sightings([place], texts)}
    assert {"thread", "namespace", "metadata", "told", "key"} <= found
    assert not found & {"said", "inner"}, "values of channels are sealed there, too"


# ── rows that are not where they belong: what refuses them is above the store, so one database will do ─
class Talk(TypedDict):
    said: Annotated[list[str], operator.add]


def asking(saver: Any) -> Any:
    """A graph that waits for an approval, with another node's writes pending beside it."""
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Talk)
    graph.add_node("ask", lambda _: {"said": [interrupt("May I?")]})
    graph.add_node("beside", lambda _: {"said": ["done"]})
    graph.add_edge(START, "ask")
    graph.add_edge(START, "beside")
    return graph.compile(checkpointer=saver)


def config_of(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


Row = tuple[str, int]
Sealed = tuple[bytes | None, ...]


class Victim:
    """A thread and the rows that it is in: of its root first, then of snapshots and pending writes."""

    def __init__(self, cell: Cell, tenant: Tenant, thread: str) -> None:
        self.cell, self.tenant, self.thread = cell, tenant, thread
        self.rows: dict[Row, Sealed] = {}

    async def fill(self, saver: Any) -> "Victim":
        before = self.cell.stored(self.tenant)
        await asking(saver).ainvoke({"said": [self.thread]}, config_of(self.thread), durability="sync")
        now = self.cell.stored(self.tenant)
        self.rows = {row: now[row] for row in sorted(now) if row not in before}
        return self

    @property
    def told(self) -> list[Row]:
        """The rows that say something: all but the root's."""
        return list(self.rows)[1:]

    def lay(self, row: Row, sealed: Sealed) -> None:
        """Other sealed columns in one of its rows."""
        touched = self.cell.change(
            "UPDATE versions SET header = :header, head = :head, content = :content"
            " WHERE version = :v AND CAST(record_id AS TEXT) = :r AND CAST(tenant_id AS TEXT) = :t",
            **dict(zip(("header", "head", "content"), sealed, strict=True)),
            v=row[1],
            r=row[0],
            t=self.tenant.id,
        )
        assert touched == 1

    async def loaded(self, saver: Any) -> list[Any]:
        """All that a saver that remembers nothing gives out of it."""
        fresh = type(saver)(saver._client, scope=NOTES, categories=["contact"], subjects=[SUBJECT])
        newest = await fresh.aget_tuple(config_of(self.thread))
        return [newest, [one async for one in fresh.alist(config_of(self.thread))]]

    async def refused(self, saver: Any, row: Row, sealed: Sealed) -> None:
        """With other columns there, what reads the row fails; with its own, nothing is missing."""
        self.lay(row, sealed)
        try:
            with pytest.raises(Tampered):
                await self.loaded(saver)
        finally:
            self.lay(row, self.rows[row])


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_row_copied_to_another_thread_does_not_open(place: Cell) -> None:
    async with opened(told(place)) as saver:
        mine = await Victim(place, place.one, "thread-1").fill(saver)
        other = await Victim(place, place.one, "thread-2").fill(saver)
        before = await other.loaded(saver)
        assert [row[1] for row in mine.told] == [row[1] for row in other.told] == [1, 2, 1, 2]
        for row, copied in zip(other.told, mine.told, strict=True):
            await other.refused(saver, row, mine.rows[copied])
        other.lay(next(iter(other.rows)), next(iter(mine.rows.values())))
        assert await other.loaded(saver) == before, "of the root nothing is given out"


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_older_row_of_the_same_thread_does_not_open_in_place_of_the_newest(place: Cell) -> None:
    async with opened(told(place)) as saver:
        mine = await Victim(place, place.one, "thread-1").fill(saver)
        first, second = mine.told[:2]
        assert first[0] == second[0]
        await mine.refused(saver, second, mine.rows[first])


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_record_under_another_threads_name_does_not_open(place: Cell) -> None:
    async with opened(told(place)) as saver:
        mine = await Victim(place, place.one, "thread-1").fill(saver)
        other = await Victim(place, place.one, "thread-2").fill(saver)
        for record, with_ in {(one[0], two[0]) for one, two in zip(mine.told, other.told, strict=True)}:
            by_id = "SELECT key_index FROM records WHERE CAST(id AS TEXT) = :r"
            named = [(place.rows(by_id, r=one)[0][0], two) for one, two in ((record, with_), (with_, record))]
            change = "UPDATE records SET key_index = :k WHERE CAST(id AS TEXT) = :r"
            place.change(change, k="aside", r=record)
            for name, one in named:
                place.change(change, k=name, r=one)
            with pytest.raises(Tampered):
                await other.loaded(saver)
            place.change(change, k="aside", r=record)
            for name, one in zip((named[1][0], named[0][0]), (with_, record), strict=True):
                place.change(change, k=name, r=one)
        assert await other.loaded(saver)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_row_copied_to_another_tenant_does_not_open(place: Cell) -> None:
    async with opened(told(place)) as saver:
        mine = await Victim(place, place.one, "thread-1").fill(saver)
    async with opened(told(place, place.two)) as saver:
        other = await Victim(place, place.two, "thread-1").fill(saver)
        for row, copied in zip(other.told, mine.told, strict=True):
            await other.refused(saver, row, mine.rows[copied])


async def test_a_forged_plaintext_row_is_refused(place: Cell) -> None:
    head = canonical({"key": "k", "metadata": {"thread": "thread-1", "namespace": "", "id": "forged"}})
    content = canonical({"state": {}, "parts": []})
    async with opened(told(place)) as saver:
        mine = await Victim(place, place.one, "thread-1").fill(saver)
        for row in mine.told:
            header = mine.rows[row][0]
            for forged in (
                (header, head, content),
                (header, mine.rows[row][1], content),
                (b"{}", head, content),
            ):
                await mine.refused(saver, row, forged)
        assert await mine.loaded(saver)
