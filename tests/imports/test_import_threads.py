"""Threads of LangGraph's own savers, on real files and databases: everything comes along, and runs go on."""

import operator
import os
import signal
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from imports.conftest import Site
from imports.test_import_lines import KILLED
from support import nursery
from support.cell import SCOPE
from tenure.client.langgraph import TenureSaver
from tenure.errors import Conflict, Denied, Invalid, Unavailable
from tenure.imports.journal import Journal
from tenure.imports.labels import Labeller, Place
from tenure.imports.mapping import ThreadsMapping, read_mapping
from tenure.imports.report import Report
from tenure.imports.saved import Snapshot, open_saved, parents_first
from tenure.imports.sources import is_postgres, opened
from tenure.imports.threads import THREAD, import_threads

MAPPING = """
scope: support.threads
purpose: customer-support
categories: [contact]
subjects: {field: /metadata/user_id, template: "customer:{value}"}
"""
PLACE = Place("support.threads", ("contact",))


class State(TypedDict, total=False):
    messages: Annotated[list[Any], operator.add]
    parts: Annotated[list[int], operator.add]
    order: Any


@dataclass
class Order:
    """A class of the application."""

    number: int


def graph(saver: Any) -> Any:
    """A fan-out with Send, a subgraph with a namespace of its own, and an approval that somebody gives."""
    inner = StateGraph(State)
    inner.add_node("think", lambda _: {"messages": [AIMessage("thinking", id="a1")]})
    inner.add_node("ask", lambda _: {"messages": [AIMessage(str(interrupt("may I?")), id="a2")]})
    inner.add_edge(START, "think")
    inner.add_edge("think", "ask")
    outer = StateGraph(State)
    outer.add_node("begin", lambda _: {"order": {"n": 1}})
    outer.add_node("part", lambda state: {"parts": [state["n"]]})
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "begin")
    outer.add_conditional_edges("begin", lambda _: [Send("part", {"n": n}) for n in range(3)], ["part"])
    outer.add_edge("part", "inner")
    outer.add_edge("inner", END)
    return outer.compile(checkpointer=saver)


def forked(saver: Any, thread: str) -> None:
    """A thread that ended, went another way from a snapshot in its past, and was asked again."""
    asked(saver, thread)
    flow = graph(saver)
    flow.invoke(Command(resume="yes"), configured(thread))
    past = next(one for one in flow.get_state_history(configured(thread)) if one.next == ("inner",))
    flow.update_state(past.config, {"messages": [HumanMessage("another way", id="h2")]})
    flow.invoke({"messages": [HumanMessage("and again", id="h3")]}, configured(thread))


def configured(thread: str, user: Any = 42) -> Any:
    return {"configurable": {"thread_id": thread, "user_id": user}}


def asked(saver: Any, thread: str, user: Any = 42) -> None:
    graph(saver).invoke({"messages": [HumanMessage("hello", id="h1")]}, configured(thread, user))


@contextmanager
def theirs(source: str, serde: Any = None) -> Iterator[Any]:
    """The saver of an application, writing."""
    if is_postgres(source):
        with PostgresSaver.from_conn_string(source) as saver:
            saver.setup()
            if serde is not None:
                saver.serde = serde
            yield saver
    else:
        with SqliteSaver.from_conn_string(source) as saver:
            if serde is not None:
                saver.serde = serde
            yield saver


class Import:
    """`import_threads` with a journal, into savers by place."""

    def __init__(self, folder: Path, mapping: str = MAPPING) -> None:
        self.folder, self.savers = folder, dict[Place, Any]()
        self.mapping = mapping

    def __call__(self, source: str, saver: Any = None, *, dry_run: bool = False) -> Report:
        (self.folder / "m.yaml").write_text(self.mapping)
        mapping = read_mapping(self.folder / "m.yaml", ThreadsMapping)
        report = Report("checkpoints", "threads", dry_run)
        begin = Journal.dry if dry_run else Journal.begin
        into: Callable[[Place], Any] = lambda place: saver or self.savers.setdefault(place, InMemorySaver())  # noqa: E731 - one line
        with (
            begin(self.folder / "journal", ("test",), resume=True) as journal,
            opened(source) as database,
        ):
            labeller = Labeller(mapping, self.folder, table_by=THREAD)
            saved = open_saved(database, mapping.classes)
            import_threads(saved, labeller, journal, None if dry_run else into, report, lambda *_: None, 3)
        return report


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    return Import(tmp_path)


def everything(saver: Any, thread: str) -> list[Any]:
    """What a saver has of a thread, without what ours adds to metadata."""
    found = []
    for one in saver.list({"configurable": {"thread_id": thread}}):
        metadata = {name: part for name, part in one.metadata.items() if name not in ("purpose", "subject")}
        found.append((one.config, one.checkpoint, metadata, one.parent_config, one.pending_writes))
    return sorted(found, key=lambda each: str(each[0]))


def test_every_snapshot_and_pending_write_comes_along_and_the_run_goes_on(
    source: str, imported: Import
) -> None:
    with theirs(source) as saver:
        asked(saver, "one")
        asked(saver, "two", user=43)
        report = imported(source)
        assert (report.ok, report.counts["written"]) == (True, 2)
        here = imported.savers[PLACE]
        for thread in ("one", "two"):
            assert everything(here, thread) == everything(saver, thread)
        assert report.parts["snapshots"] == sum(len(everything(saver, thread)) for thread in ("one", "two"))
        assert any(one[0]["configurable"]["checkpoint_ns"] for one in everything(here, "one"))
        here_ends = graph(here).invoke(Command(resume="yes"), configured("one"))
        there_ends = graph(saver).invoke(Command(resume="yes"), configured("one"))
        assert here_ends == there_ends
        assert here_ends["messages"][-1].content == "yes"
        # What came since is taken the next time, but not into a thread that has gone its own way here.
        asked(saver, "three")
        graph(saver).invoke(Command(resume="yes"), configured("two", user=43))
        mine = everything(here, "one")
        again = imported(source)
        assert (again.counts["written"], again.counts["already there"]) == (2, 0)
        assert [(one.kind, one.field) for one in again.refusals] == [("conflict", "thread_id")]
        assert everything(here, "one") == mine
        assert everything(here, "two") == everything(saver, "two")


def test_into_a_cell_with_policy_seals_and_ledger_forks_and_all(source: str, site: Site) -> None:
    mapping = site.file("m.yaml", MAPPING.replace("support.threads", SCOPE))
    with theirs(source) as saver:
        forked(saver, "one")
        asked(saver, "two", user=43)
        dry = site.run("checkpoints", source, "--mapping", mapping, "--dry-run", who=None)
        told = site.run("checkpoints", source, "--mapping", mapping)
        assert (told["counts"]["written"], told["parts"]) == (2, dry["parts"])
        expected = {thread: everything(saver, thread) for thread in ("one", "two")}
        ends = graph(saver).invoke(Command(resume="at last"), configured("two", user=43))
    with site.client() as client:
        here = TenureSaver(client, scope=SCOPE, categories=["contact"])
        for thread in ("one", "two"):
            assert everything(here, thread) == expected[thread]
        mine = configured("two", user=43)
        mine["configurable"]["subject"] = "customer:43"
        assert graph(here).invoke(Command(resume="at last"), mine) == ends


def more_said(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(one for write in writes for one in write)]


class Deltas(TypedDict, total=False):
    said: Annotated[list[str], DeltaChannel(more_said, snapshot_frequency=3)]


def talking(saver: Any) -> Any:
    flow = StateGraph(Deltas)
    flow.add_node("answer", lambda state: {"said": [f"answer {len(state['said'])}"]})
    flow.add_edge(START, "answer")
    return flow.compile(checkpointer=saver)


def test_channels_that_are_kept_as_deltas_are_what_they_were(source: str, site: Site) -> None:
    mapping = site.file("m.yaml", MAPPING.replace("support.threads", SCOPE))
    with theirs(source) as saver:
        for n in range(5):
            talking(saver).invoke({"said": [f"question {n}"]}, configured("one"))
        past = [one.values for one in talking(saver).get_state_history(configured("one"))]
        site.run("checkpoints", source, "--mapping", mapping)
    with site.client() as client:
        here = talking(TenureSaver(client, scope=SCOPE, categories=["contact"]))
        assert [one.values for one in here.get_state_history(configured("one"))] == past
        mine = configured("one")
        mine["configurable"]["subject"] = "customer:42"
        assert len(here.invoke({"said": ["one more"]}, mine)["said"]) == 12


def test_killed_in_the_middle_of_a_thread_nothing_is_lost_or_doubled(site: Site, tmp_path: Path) -> None:
    source = str(tmp_path / "theirs.sqlite")
    mapping = site.file("m.yaml", MAPPING.replace("support.threads", SCOPE))
    with theirs(source) as saver:
        forked(saver, "one")
        asked(saver, "two")
        expected = {thread: everything(saver, thread) for thread in ("one", "two")}
    arguments = ["checkpoints", source, "--mapping", str(mapping), "--resume", "--at-once", "2"]
    for before in ("1", "0"):
        env = {**os.environ, **site.env, "AFTER": "7", "BEFORE": before}
        child = nursery.run(KILLED, "import", *arguments, env=env)
        assert child.returncode == -signal.SIGKILL, child.stdout
    assert site.run(*arguments)["ok"]
    with site.client() as client:
        here = TenureSaver(client, scope=SCOPE, categories=["contact"])
        for thread in ("one", "two"):
            assert everything(here, thread) == expected[thread]


def test_people_of_every_snapshot_are_bound_to_the_thread(source: str, tmp_path: Path) -> None:
    class Seen(InMemorySaver):
        bound: Any = None

        def put(self, config: Any, *rest: Any) -> Any:
            Seen.bound = config["configurable"]["subject"], config["configurable"]["purpose"]
            return super().put(config, *rest)

    with theirs(source) as saver:
        asked(saver, "one", user=42)
        graph(saver).invoke(Command(resume="yes"), configured("one", user=43))
        assert Import(tmp_path)(source, Seen()).ok
        assert Seen.bound == (["customer:42", "customer:43"], "customer-support")
        (tmp_path / "journal").unlink()
        (tmp_path / "people.csv").write_text("thread_id,subject\none,customer:7\n")
        table = MAPPING.replace('field: /metadata/user_id, template: "customer:{value}"', "table: people.csv")
        assert Import(tmp_path, table)(source, Seen()).ok
        assert Seen.bound[0] == ["customer:7"]
        asked(saver, "nobody's")
        report = Import(tmp_path, table)(source, Seen())
        (refusal,) = report.refusals
        assert (report.counts["already there"], refusal.field) == (1, "subjects[0]")
        assert refusal.place.startswith("thread 1 (")
        assert "nobody" not in refusal.place


class Dying(InMemorySaver):
    """Ends the process, as far as the import can tell, around the n-th call that writes."""

    left, before = 0, False

    def put(self, *given: Any) -> Any:
        return self._around(super().put, *given)

    def put_writes(self, *given: Any) -> Any:
        return self._around(super().put_writes, *given)

    def _around(self, call: Callable[..., Any], *given: Any) -> Any:
        self.left -= 1
        if self.left == 0 and self.before:
            raise KeyboardInterrupt
        answer = call(*given)
        if self.left == 0:
            raise KeyboardInterrupt
        return answer


@pytest.mark.parametrize("before", [True, False], ids=["before", "acknowledged"])
def test_ended_anywhere_and_run_again_it_is_as_if_it_had_not_been(tmp_path: Path, before: bool) -> None:
    source = str(tmp_path / "theirs.sqlite")
    with theirs(source) as saver:
        asked(saver, "one")
        asked(saver, "two")
        graph(saver).invoke(Command(resume="yes"), configured("two"))
        imported, here = Import(tmp_path), Dying()
        here.before, ended = before, 0
        for nth in range(1, 100):
            here.left = nth
            try:
                report = imported(source, here)
            except KeyboardInterrupt:
                ended += 1
            else:
                break
        assert ended > 4
        assert report.ok
        for thread in ("one", "two"):
            assert everything(here, thread) == everything(saver, thread)
        assert imported(source, here).counts["already there"] == 2


def test_a_dry_run_reads_and_counts_the_same_and_the_source_stays_as_it_is(
    source: str, imported: Import
) -> None:
    with theirs(source) as saver:
        asked(saver, "one")
        before = everything(saver, "one")
        dry = imported(source, dry_run=True)
        assert not (imported.folder / "journal").exists()
        real = imported(source)
        assert (dry.counts, dry.parts) == (real.counts, real.parts)
        assert everything(saver, "one") == before


def test_another_thread_of_that_name_is_left_alone(source: str, imported: Import) -> None:
    here = InMemorySaver()
    asked(here, "one")
    before = everything(here, "one")
    with theirs(source) as saver:
        asked(saver, "one")
        report = imported(source, here)
        assert [(one.kind, one.field) for one in report.refusals] == [("conflict", "thread_id")]
        assert everything(here, "one") == before
    # The same one again, without the journal that knows of it, is nothing new.
    asked(here, "lost")
    with theirs(source) as saver:
        saver.delete_thread("one")
        asked(saver, "two")
        imported(source, here)
        (imported.folder / "journal").unlink()
        again = imported(source, here)
        assert (again.counts["already there"], again.counts["refused"]) == (1, 0)
        assert everything(here, "two") == everything(saver, "two")


def test_classes_of_the_application_are_named_or_refused(source: str, imported: Import) -> None:
    with theirs(source) as saver:
        flow = StateGraph(State)
        flow.add_node("order", lambda _: {"order": Order(7)})
        flow.add_edge(START, "order")
        flow.compile(checkpointer=saver).invoke({}, configured("one"))
        report = imported(source)
        (refusal,) = report.refusals
        assert (refusal.field, report.counts["written"]) == ("classes", 0)
        assert f"{__name__}:Order" in refusal.why
        assert imported.savers == {}
        imported.mapping = f"{MAPPING}classes: ['{__name__}:Order']\n"
        assert imported(source).ok
        tuple_ = imported.savers[PLACE].get_tuple(configured("one"))
        assert tuple_.checkpoint["channel_values"]["order"] == Order(7)
        imported.mapping = f"{MAPPING}classes: ['nowhere:Order']\n"
        with pytest.raises(Invalid, match="classes\\[0\\]"):
            imported(source)


def test_what_was_encrypted_is_read_with_its_key_only(
    source: str, imported: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("Crypto", reason="LangGraph encrypts with pycryptodome")
    key = "sixteen byte key"
    with theirs(source, EncryptedSerializer.from_pycryptodome_aes(key=key.encode())) as saver:
        asked(saver, "one")
        assert [one.field for one in imported(source).refusals] == ["snapshot"]
        monkeypatch.setenv("LANGGRAPH_AES_KEY", key)
        assert imported(source).ok
        assert everything(imported.savers[PLACE], "one") == everything(saver, "one")


def test_whole_threads_are_left_out_by_their_newest_state(source: str, tmp_path: Path) -> None:
    skip = (
        "skip: [{field: /metadata/user_id, equals: 13}, {field: /values/messages/0/content, equals: hello}]\n"
    )
    with theirs(source) as saver:
        asked(saver, "one", user=13)
        asked(saver, "two", user=14)
        report = Import(tmp_path, MAPPING + skip)(source)
        assert (report.counts["skipped"], report.skipped) == (2, {"skip[0]": 1, "skip[1]": 1})


def test_files_of_older_versions_are_read_without_being_changed(tmp_path: Path) -> None:
    source = tmp_path / "theirs.sqlite"
    with theirs(str(source)) as saver:
        asked(saver, "one")
        expected = everything(saver, "one")
    with sqlite3.connect(source) as database:
        database.executescript("ALTER TABLE writes DROP COLUMN task_path; PRAGMA journal_mode = DELETE;")
    source.chmod(0o400)
    before = source.read_bytes()
    imported = Import(tmp_path)
    assert imported(str(source)).ok
    assert source.read_bytes() == before
    found = everything(imported.savers[PLACE], "one")
    assert [one[:4] for one in found] == [one[:4] for one in expected]
    assert all(sorted(map(str, a[4])) == sorted(map(str, b[4])) for a, b in zip(found, expected, strict=True))


def test_refusals_of_a_thread_do_not_keep_the_others_and_what_stops_all_is_raised(
    source: str, imported: Import
) -> None:
    class Choosy(InMemorySaver):
        refuses: Exception

        def put(self, config: Any, *rest: Any) -> Any:
            if config["configurable"]["thread_id"] == "b":
                raise self.refuses
            return super().put(config, *rest)

    here = Choosy()
    with theirs(source) as saver:
        for name in "abc":
            asked(saver, name)
        here.refuses = Denied("Policy said no.", entry="e")
        report = imported(source, here)
        assert (report.counts["written"], report.counts["refused"]) == (2, 1)
        assert (report.refusals[0].place[:8], report.refusals[0].kind) == ("thread 2", "denied")
        here.refuses = Unavailable("Not now.")
        with pytest.raises(Unavailable):
            imported(source, here)


@pytest.mark.parametrize(
    "given", ["none.sqlite", "text.txt", "empty.sqlite", "postgresql://nobody@127.0.0.1:1/x"]
)
def test_what_is_no_source_is_said_so(imported: Import, given: str) -> None:
    (imported.folder / "text.txt").write_text("no database at all, but long enough to be taken for one" * 9)
    sqlite3.connect(imported.folder / "empty.sqlite").close()
    source = given if is_postgres(given) else str(imported.folder / given)
    with pytest.raises(Invalid) as refused:
        imported(source)
    assert refused.value.field == "SOURCE"
    assert refused.value.remedy
    assert "nobody" not in refused.value.detail


def test_a_snapshot_never_comes_before_its_parent_whatever_ids_are_like() -> None:
    ids = [str(uuid.uuid4()) for _ in range(40)]
    chain = [Snapshot("", one, ids[n - 1] if n else None) for n, one in enumerate(ids)]
    fork = [Snapshot("", "0", ids[39]), Snapshot("sub", ids[3], None), Snapshot("", "1", "pruned long ago")]
    ordered = parents_first([*chain, *fork])
    assert sorted(ordered) == sorted([*chain, *fork])
    seen: set[tuple[str, str]] = set()
    for one in ordered:
        assert one.parent is None or one.parent == "pruned long ago" or (one.namespace, one.parent) in seen
        seen.add(one[:2])
    loop = [Snapshot("", "a", "b"), Snapshot("", "b", "a")]
    assert sorted(parents_first(loop)) == loop


def test_a_journal_is_one_processs_at_a_time(tmp_path: Path) -> None:
    with Journal.begin(tmp_path / "j", ("a",), resume=False) as first:
        first.add("x")
        with pytest.raises(Conflict, match="at work"):
            Journal.begin(tmp_path / "j", ("a",), resume=True)
    with Journal.begin(tmp_path / "j", ("a",), resume=True) as again:
        assert again.has("x")
        assert not again.has("y")
    assert [one.name for one in tmp_path.iterdir()] == ["j"]
