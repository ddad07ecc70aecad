"""`tenure selftest`: everything that can be corrupted is noticed; and it says so when something is not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from support.cell import Cell
from support.elsewhere import fingerprint
from support.lived import live
from support.tsa import Tsa, needed
from tenure.cli.entry import app
from tenure.cold.files import FileObjects
from tenure.cold.veil import Veil
from tenure.errors import KeyFailure
from tenure.governance import celllog
from tenure.groundwork import ground_of
from tenure.inspection.sections import SECTIONS
from tenure.safekeeping import opening_only, readable
from tenure.selftest.bench import Bench
from tenure.selftest.copying import selftest
from tenure.selftest.fields import TABLES
from tenure.selftest.run import Selftest
from tenure.store import tables
from tenure.store.dump import FILES, dump, load, scratch

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lived(place: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell that was ended properly, with a published checkpoint that waits for the cell's log."""
    needed()
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)
    tsa = Tsa(tmp_path / "tsa")
    with tsa.up() as url:
        async with place.opened(tsa_url=url, tsa_certs=str(tsa.root)):
            await live(place)
    place.settings = place.settings.model_copy(update={"tsa_certs": str(tsa.root)})
    return place


@contextmanager
def bench(cell: Cell, folder: Path) -> Iterator[Bench]:
    """A copy of a cell to be corrupted."""
    ground = opening_only(ground_of(cell.settings))
    ground.database.close()
    source = readable(cell.settings)
    kept = folder / FILES[source.dialect]
    dump(source, kept)
    objects = Veil(ground.objects)
    with scratch(source, folder, "") as target:
        load(kept, target, again=False)
        made = Bench(ground, objects, target.url)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.timeout(900)  # less than a minute of computing; a machine may be busy
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=False)
async def test_everything_that_is_corrupted_is_noticed(lived: Cell) -> None:
    """Every table of ledger, records, certificates and keys has a row here; the live store is not touched."""
    before = fingerprint(lived.settings.data_dir, lived.settings.root_dir, without="tenure.db-")
    outcome = selftest(lived.settings, rows=1, seed=11)
    assert [one.line() for one in outcome.dirty] == []
    assert outcome.missed == []
    assert outcome.ok
    assert {one.table for one in outcome.tried} == {*TABLES, "ledger"}
    assert not [text for text in outcome.not_tried if "no rows" in text or "scene" in text]
    assert fingerprint(lived.settings.data_dir, lived.settings.root_dir, without="tenure.db-") == before
    exempt = {(one.table, one.column) for one in outcome.tried if one.exempt}
    assert exempt <= {(one, other) for one, other in ALLOWED}, "what is not covered may only shrink"


ALLOWED = {
    ("principals", "name"),
    ("checkpoints", "at"),
    ("checkpoints", "row"),
    ("checkpoints", "tenant_id"),
    ("cell_checkpoints", "row"),
    ("cell_queue", "row"),
    ("entries", "row"),
    ("events", "row"),
    ("key_batches", "created_at"),
    ("key_manifests", "row"),
    ("key_manifests", "tenant_id"),
    ("leaf_sequences", "next"),
    ("lineage", "row"),
    ("notices", "attempts"),
    ("notices", "next_at"),
    ("notices", "result"),
    ("notices", "row"),
    ("policy_bundles", "created_at"),
    ("policy_bundles", "row"),
    ("policy_bundles", "tenant_id"),
    ("record_paths", "row"),  # of what was shredded
    ("records", "key_index"),
    ("ledger_keys", "row"),
    ("subjects", "created_at"),
    ("subjects", "row"),  # of somebody about whom nothing is left
    ("subjects", "tenant_id"),
    ("timestamps", "at"),
    ("version_subjects", "row"),
}


@pytest.mark.parametrize("database_kind", [pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_on_a_scratch_database(lived: Cell, tmp_path: Path) -> None:
    """The same on PostgreSQL, for some tables and all scenes: what its types refuse counts as noticed."""
    with bench(lived, tmp_path) as made:
        names = (
            *("writers", "versions", "certificates", "key_pointer", "leaf_sequences"),
            *("ledger_keys", "cell_queue", "cell_checkpoints", "timestamps"),
        )
        outcome = Selftest(made, rows=1, seed=3, names=names).run()
    assert [one.line() for one in outcome.dirty] == []
    assert outcome.missed == []
    assert {one.table for one in outcome.tried} == {*names, "ledger"}


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("names", "without", "column"),
    [
        (("leaf_sequences",), "leaf sequences", "epoch"),
        (("certificates",), "certificates", "created_at"),
    ],
)
async def test_the_selftest_can_fail(
    lived: Cell, tmp_path: Path, names: tuple[str, ...], without: str, column: str
) -> None:
    """With a check taken out, what only that check sees is reported as unnoticed."""
    sections = [one for one in SECTIONS if one.name != without]
    with bench(lived, tmp_path) as made:
        outcome = Selftest(made, rows=1, seed=5, names=names, sections=sections, scenes=()).run()
    assert column in {one.column for one in outcome.missed}
    assert not outcome.ok
    assert {one.table for one in outcome.missed} == set(names)


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nothing_is_corrupted_where_the_copy_is_not_clean(lived: Cell) -> None:
    """A failure means something only where the untouched copy passes."""
    with lived.raw() as connection:
        connection.execute(update(tables.holds).values(ground="another"))
    outcome = selftest(lived.settings, seed=1)
    assert (outcome.ok, outcome.tried) == (False, [])
    assert {one.table for one in outcome.dirty} == {"holds"}


def test_as_a_command(embedded: Cell) -> None:
    """Of a cell in which nothing happened: what has no rows is named, and so is what is not checked."""
    names = ("data_dir", "root_dir")
    env = {f"TENURE_{name.upper()}": str(getattr(embedded.settings, name)) for name in names}
    found = CliRunner().invoke(app, ["selftest", "--seed", "4", "--json"], env=env)
    report: dict[str, Any] = json.loads(found.stdout)
    assert (found.exit_code, report["ok"], report["unnoticed"]) == (0, True, [])
    assert report["tried"] == report["noticed"] + report["not_covered"]
    assert "table versions: it has no rows here" in report["not_tried"]
    assert report["not_checked"]


def test_a_veil_is_only_looked_through(tmp_path: Path) -> None:
    base = FileObjects(tmp_path / "base")
    base.put("a/one", b"1")
    base.put("a/two", b"2")
    veil = Veil(base)
    veil.show("a/one", None)
    veil.show("a/three", b"3")
    assert (veil.get("a/one"), veil.get("a/two"), veil.get("a/three")) == (None, b"2", b"3")
    assert list(veil.names("a")) == ["a/three", "a/two"]
    for write in (lambda: veil.put("a/two", b""), lambda: veil.delete("a/two")):
        with pytest.raises(KeyFailure):
            write()
    veil.lift()
    assert list(veil.names("")) == ["a/one", "a/two"]
