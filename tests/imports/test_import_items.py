"""Items of LangGraph's own stores, on real files and databases."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore
from langgraph.store.postgres import PostgresStore
from langgraph.store.sqlite import SqliteStore

from imports.conftest import Site
from support.cell import NOTES, SCOPE
from tenure.errors import Invalid
from tenure.imports.items import import_items, open_stored
from tenure.imports.journal import Journal
from tenure.imports.labels import Labeller, Place
from tenure.imports.mapping import ItemsMapping, read_mapping
from tenure.imports.report import Report
from tenure.imports.sources import is_postgres, opened

MAPPING = """
scope: {field: /namespace/0, values: {users: support.memories, cases: support.cases}}
purpose: customer-support
categories: [contact]
subjects: {field: /namespace/1, template: "customer:{value}"}
"""
MANY = 230
"""More than two pages of the source, all with one time stamp."""


@contextmanager
def theirs(source: str) -> Iterator[Any]:
    """The store of an application, writing."""
    kind = PostgresStore if is_postgres(source) else SqliteStore
    with kind.from_conn_string(source) as store:
        store.setup()
        yield store


class Here(InMemoryStore):
    """Remembers whom each put was about, and for how long it was."""

    supports_ttl = True

    def __init__(self) -> None:
        super().__init__()
        self.about: dict[Any, Any] = {}
        self.whom: tuple[str, ...] = ()

    def put(self, namespace: Any, key: str, value: Any, index: Any = None, *, ttl: Any = None) -> None:
        self.about[namespace, key] = self.whom, ttl
        super().put(namespace, key, value, index)


class Import:
    """`import_items` with a journal, into stores by place."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stores, self.mapping = folder, dict[Place, Here](), MAPPING

    def __call__(self, source: str, *, dry_run: bool = False) -> Report:
        (self.folder / "m.yaml").write_text(self.mapping)
        mapping = read_mapping(self.folder / "m.yaml", ItemsMapping)
        report = Report("store", "items", dry_run)
        begin = Journal.dry if dry_run else Journal.begin

        def into(place: Place, whom: tuple[str, ...]) -> Here:
            store = self.stores.setdefault(place, Here())
            store.whom = whom
            return store

        given: Callable[..., Any] | None = None if dry_run else into
        with begin(self.folder / "j", ("t",), resume=True) as journal, opened(source) as database:
            labeller = Labeller(mapping, self.folder)
            import_items(open_stored(database), labeller, journal, given, report, lambda *_: None, 1)
        return report

    def store(self, scope: str) -> Here:
        return self.stores[Place(scope, ("contact",))]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    return Import(tmp_path)


def test_every_item_comes_along_however_many_share_an_instant(source: str, imported: Import) -> None:
    with theirs(source) as store:
        for n in range(MANY):
            store.put(("users", str(n % 7)), f"k{n}", {"n": n, "liked": ["tea", None, 1.5]})
        store.put(("users", "1", "deep"), "k", {"ü": {}})
        store.put(("users", "12"), "k1", {"a sibling": True})
        store.put(("cases", "9"), "k", {"open": False})
        store.put(("others", "9"), "k", {})
    dry = imported(source, dry_run=True)
    report = imported(source)
    assert (report.counts, report.unit) == (dry.counts, "items")
    assert (report.counts["written"], report.counts["refused"]) == (MANY + 3, 1)
    assert report.refusals[0].field == "scope"
    users = imported.store("support.memories")
    for n in range(MANY):
        found = users.get(("users", str(n % 7)), f"k{n}")
        assert found is not None
        assert found.value == {"n": n, "liked": ["tea", None, 1.5]}
    assert users.about[("users", "1", "deep"), "k"] == (("customer:1",), None)
    assert users.about[("users", "12"), "k1"][0] == ("customer:12",)
    assert imported.store("support.cases").get(("cases", "9"), "k").value == {"open": False}
    again = imported(source)
    assert (again.counts["already there"], again.counts["written"]) == (MANY + 3, 0)


def test_what_is_left_of_a_life_is_kept_and_what_is_over_stays_behind(source: str, imported: Import) -> None:
    with theirs(source) as store:
        store.put(("users", "1"), "long", {"n": 1}, ttl=600)
        store.put(("users", "1"), "over", {"n": 2}, ttl=-1)
        store.put(("users", "1"), "ever", {"n": 3})
    report = imported(source)
    assert (report.counts["written"], report.skipped) == (2, {"expired": 1})
    about = imported.store("support.memories").about
    assert 599 < about[("users", "1"), "long"][1] <= 600
    assert about[("users", "1"), "ever"][1] is None


def test_what_is_here_already_is_left_as_it_is(source: str, imported: Import) -> None:
    with theirs(source) as store:
        store.put(("users", "1"), "same", {"n": 1})
        store.put(("users", "1"), "other", {"n": 1})
    here = imported.stores.setdefault(Place("support.memories", ("contact",)), Here())
    here.put(("users", "1"), "same", {"n": 1})
    here.put(("users", "1"), "other", {"n": 2})
    report = imported(source)
    assert (report.counts["already there"], report.counts["refused"]) == (1, 1)
    assert (report.refusals[0].kind, report.refusals[0].field) == ("conflict", "key")
    assert here.get(("users", "1"), "other").value == {"n": 2}


def test_into_a_cell_with_policy_seals_and_ledger(source: str, site: Site) -> None:
    here = pytest.importorskip("tenure.client.langgraph_store", reason="the store comes beside this")
    text = MAPPING.replace("support.memories", SCOPE).replace("support.cases", NOTES)
    mapping = site.file("m.yaml", text + "skip: [{field: /key, equals: left out}]\n")
    with theirs(source) as store:
        for n in range(12):
            store.put(("users", str(n % 3)), f"k{n}", {"n": n})
        store.put(("cases", "9"), "k", {"open": False}, ttl=600)
        store.put(("users", "1"), "left out", {})
    told = site.run("store", source, "--mapping", mapping)
    assert told["counts"] == {"written": 13, "already_there": 0, "skipped": 1, "refused": 0}
    (site.folder / "m.store.journal").unlink()
    assert site.run("store", source, "--mapping", mapping)["counts"]["already_there"] == 13
    with site.client() as client:
        users = here.TenureStore(client, scope=SCOPE, categories=["contact"])
        assert {one.key: one.value["n"] for one in users.search(("users",), limit=50)} == {
            f"k{n}": n for n in range(12)
        }
        assert {one.subjects for one in client.query(SCOPE, subject="customer:2")} == {("customer:2",)}
        cases = here.TenureStore(client, scope=NOTES, categories=["contact"])
        assert cases.get(("cases", "9"), "k").value == {"open": False}


def test_a_source_without_a_store_is_said_so(tmp_path: Path, imported: Import) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as database:
        database.execute("CREATE TABLE store (prefix TEXT, key TEXT, value TEXT)")
    with pytest.raises(Invalid, match="source") as refused:
        imported(str(tmp_path / "x.sqlite"))
    assert "store" in str(refused.value.rule)
