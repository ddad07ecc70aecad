"""A drill finds what a restore would meet: nothing of the erased, all of the others. Also failures."""

import asyncio
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cell import JOINT, Cell, crash
from support.databases import DATABASES
from support.elsewhere import fingerprint, take
from support.erasure import Failing, InjectedError
from support.postgres import APP, BACKUP, Server
from tenure import safekeeping
from tenure.errors import Conflict
from tenure.governance.backupset import MANIFEST, Backup, described, read_backup
from tenure.ids import CELL
from tenure.ledger.canonical import canonical
from tenure.safekeeping import Drill

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def _people(cell: Cell, *names: str) -> None:
    for name in names:
        await cell.put(name, f"about {name}", f"customer:{name}")


async def drill(cell: Cell, backup: Path | None = None, **how: Any) -> Drill:
    given = {"sample": 200, "folder": None, "scratch_url": "", **how}
    return await asyncio.to_thread(safekeeping.drill, cell.settings, backup, **given)


def checks(done: Drill) -> set[str]:
    return {failure["check"] for failure in done.report.document["failures"]}


def drilled(cell: Cell, tenant_id: str) -> list[dict[str, Any]]:
    found = cell.rows(
        "SELECT body FROM entries WHERE kind = 'drill' AND CAST(tenant_id AS TEXT) = :t ORDER BY at",
        t=tenant_id,
    )
    found.sort(key=lambda row: str(json.loads(bytes(row[0]))["at"]))  # several writers
    return [json.loads(bytes(row[0])) for row in found]


# ── what it shows ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_dump_from_before_the_erasure(place: Cell, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "gone", "stays", "other")
        await place.put("gone", "again about gone", "customer:gone")
        await place.put("theirs", "about them", "customer:t", tenant=place.two)
        await place.put("both", "about two", "customer:gone", "customer:stays", scope=JOINT)
        made = await take(place, tmp_path / "backup")
        await place.erase("customer:gone")
        await _people(place, "later")
        await place.audited()
        done = await drill(place, tmp_path / "backup")
        report = done.report.document
        assert done.report.ok, report["failures"]
        tenants = {one["tenant"]: one for one in report["tenants"]}
        mine = tenants[place.one.id]
        assert (mine["erased"], mine["refused"], mine["under_way"]) == (1, 2, 0)
        assert (mine["alive"], mine["compared"]) == (3, 3)
        assert (tenants[place.two.id]["erased"], tenants[place.two.id]["compared"]) == (0, 1)
        assert report["restored"]["erasures_replayed"] == 1
        assert report["restored"]["entries_lost"] > 0
        assert report["key_states"]["opened"] < report["key_states"]["tried"]
        assert report["backup"]["manifest_sha256"] == made.digest

        # Signed into the ledger while the cell serves, and the log is sound.
        [entry] = drilled(place, CELL)
        assert entry["outcome"] == "ok"
        assert entry["data"]["report"] == hashlib.sha256(canonical(report)).hexdigest()
        assert entry["data"]["backup"] == made.digest
        [counts] = drilled(place, place.one.id)
        assert counts["data"] == {
            "drill": report["id"], "erased": 1, "under_way": 0, "refused": 2, "compared": 3, "failed": 0,
        }  # fmt: skip
        placed = {one["kind"]: one["_at"] for one in place.entries() if one["kind"] == "drill"}
        assert placed["drill"][1] is not None, "it has its place"
        audited = await place.audited()
        assert audited.ok, audited.failures
        assert f"{entry['writer']}-{entry['n']}" == done.entries[CELL]


async def test_without_a_backup_it_takes_one_and_leaves_nothing(place: Cell, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        await place.erase("customer:gone")
    (tmp_path / "scratch").mkdir()
    before = fingerprint(place.settings.root_dir, without="/heads/")
    done = await drill(place, folder=tmp_path / "scratch")
    assert done.report.ok, done.report.document["failures"]
    assert done.report.document["backup"]["taken_for_this_drill"]
    assert list((tmp_path / "scratch").iterdir()) == []
    assert fingerprint(place.settings.root_dir, without="/heads/") == before, (
        "root and mirror are as they were"
    )
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        assert await place.value("stays") == "about stays"
        report = await place.audited()
        assert report.ok, report.failures


async def test_all_survivors_and_a_sample_of_them(embedded: Cell) -> None:
    async with embedded.opened():
        await _people(embedded, *(f"p{n}" for n in range(30)))
        for size, compared in ((None, 30), (7, 7)):
            done = await drill(embedded, sample=size)
            mine = next(one for one in done.report.document["tenants"] if one["tenant"] == embedded.one.id)
            assert (mine["alive"], mine["compared"]) == (30, compared)


async def test_an_erasure_under_way_is_no_failure(place: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    tenure = await place.crashing()
    await _people(place, "leaving", "stays")
    await place.request("customer:leaving")
    with monkeypatch.context() as patched:
        Failing("roots.create", 1, "before").into(tenure, patched)
        with pytest.raises(InjectedError):
            await tenure.shredder.run()
    await tenure.sequencer.run(place.one.id)
    done = await drill(place)
    await crash(tenure)
    assert done.report.ok, done.report.document["failures"]
    total = done.report.document["total"]
    assert (total["erased"], total["under_way"], total["compared"]) == (0, 1, 1)


async def test_an_erasure_in_the_middle_of_a_drill(embedded: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root key that the drill began with is destroyed under its hands: it looks again."""
    from tenure.governance import drill as drilling

    loop = asyncio.get_running_loop()
    async with embedded.opened():
        await _people(embedded, "gone", "stays")
        real, erased = drilling.recover, []

        def recover(*args: Any, **how: Any) -> Any:
            if not erased:
                erasing = asyncio.run_coroutine_threadsafe(embedded.erase("customer:gone"), loop)
                erased.append(erasing.result(30))
            return real(*args, **how)

        monkeypatch.setattr(drilling, "recover", recover)
        done = await drill(embedded)
        assert erased
        assert done.report.ok, done.report.document["failures"]
        assert done.report.document["total"]["erased"] == 1


async def test_what_a_hold_keeps_is_neither_back_nor_lost(place: Cell, tmp_path: Path) -> None:
    """Before the hold's copy of the key and after it: nobody reads it, and that is no failure."""
    async with place.opened() as tenure:
        written = await place.put("held", "evidence", "customer:gone")
        await _people(place, "gone", "stays")
        await take(place, tmp_path / "before")
        await tenure.holds.place(place.one["dpo"], "record", written.record, "case 7")
        await place.erase("customer:gone")
        for backup in (tmp_path / "before", None):
            done = await drill(place, backup)
            assert done.report.ok, done.report.document["failures"]
            total = done.report.document["total"]
            assert (total["erased"], total["compared"]) == (1, 1)


async def test_a_tenant_whose_keys_are_gone_and_whose_rows_are_not(
    embedded: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off between the point of no return and the purge: nothing can sign in its log any more."""
    tenure = await embedded.crashing()
    await _people(embedded, "one")
    await embedded.put("k", "theirs", "customer:1", tenant=embedded.two)
    await tenure.tenants.shred(embedded.operator, embedded.one.id)
    with monkeypatch.context() as patched:
        Failing("roots.destroy", 1, "after").into(tenure, patched)
        with pytest.raises(InjectedError):
            await tenure.shredder.run()
    done = await drill(embedded)
    await crash(tenure)
    assert done.report.ok, done.report.document["failures"]
    assert done.signed
    total = done.report.document["total"]
    assert (total["refused"], total["compared"]) == (1, 1)
    assert done.entries.keys() == {CELL, embedded.two.id}


@pytest.mark.databases(*DATABASES)
async def test_a_tenant_that_left_stays_gone_and_gets_no_entry(place: Cell, tmp_path: Path) -> None:
    async with place.opened() as tenure:
        await _people(place, "one", "two")
        await place.put("k", "theirs", "customer:1", tenant=place.two)
        await take(place, tmp_path / "backup")
        await tenure.tenants.shred(place.operator, place.one.id)
        await tenure.shredder.run()
        for backup, refused in ((tmp_path / "backup", 2), (None, 0)):
            done = await drill(place, backup)
            assert done.report.ok, done.report.document["failures"]
            assert done.signed
            total = done.report.document["total"]
            assert (total["refused"], total["compared"]) == (refused, 1)
            assert done.entries.keys() == {CELL, place.two.id}


# ── what it finds ──────────────────────────────────────────────────────────────────────────────────
async def test_a_root_key_that_was_kept_brings_the_person_back(place: Cell, tmp_path: Path) -> None:
    """Somebody backed the root store up. The drill says so, on the ledger too."""
    keys = place.settings.root_dir / "keys"
    async with place.opened():
        await _people(place, "gone", "stays")
        await take(place, tmp_path / "backup")
        shutil.copytree(keys, tmp_path / "kept")
        await place.erase("customer:gone")
    assert (await drill(place, tmp_path / "backup")).report.ok
    for key in (tmp_path / "kept").glob("*.key"):
        shutil.copy(key, keys)
        (keys / key.with_suffix(".destroyed").name).unlink()
    done = await drill(place, tmp_path / "backup")
    assert not done.report.ok
    assert checks(done) == {"erased-derivable", "erased-opens"}
    assert [entry["outcome"] for entry in drilled(place, CELL)] == ["ok", "failed"]
    assert [entry["outcome"] for entry in drilled(place, place.one.id)] == ["ok", "failed"]


async def test_a_damaged_survivor_is_lost(embedded: Cell, tmp_path: Path) -> None:
    async with embedded.opened():
        await _people(embedded, "one", "two")
        made = await take(embedded, tmp_path / "backup")
    with sqlite3.connect(tmp_path / "backup" / made.database) as connection:
        connection.execute("UPDATE versions SET content = randomblob(length(content)) WHERE rowid = 1")
    connection.close()
    _sign_anew(tmp_path / "backup", made)
    done = await drill(embedded, tmp_path / "backup")
    assert checks(done) == {"survivor-lost"}
    assert done.report.document["total"]["compared"] == 1


async def test_a_survivor_that_differs_is_found(embedded: Cell, tmp_path: Path) -> None:
    """The same number of the same record, but not the same: rolled back and written anew in the live cell."""
    async with embedded.opened():
        await embedded.put("k", "old", "customer:1")
        made = await take(embedded, tmp_path / "backup")
    with sqlite3.connect(tmp_path / "backup" / made.database) as connection:
        [(old, *_)] = connection.execute("SELECT record_id FROM versions").fetchall()
    connection.close()
    await _rewritten(embedded, old)
    done = await drill(embedded, tmp_path / "backup")
    assert checks(done) == {"survivor-differs"}


async def _rewritten(cell: Cell, record_id: str) -> None:
    """Seal another content under the keys that the version has: what only the cell itself could do."""
    from tenure.governance.ground import Ground
    from tenure.groundwork import ground_of
    from tenure.keys.seal import Binding
    from tenure.model.record import Draft
    from tenure.sealing import seal_version
    from tenure.store.session import Tx

    def work(ground: Ground) -> Any:
        def inside(tx: Tx) -> Any:
            keys = ground.keyring.tenant(tx)
            ((leaf, cohort),) = cell.rows("SELECT s.leaf, c.leaf FROM subjects s, cohorts c")
            binding = Binding(cell.one.id, "support.conversations", record_id, 1)
            draft = Draft(b'{"v":"new"}', ("customer:1",), ("contact",))
            return seal_version(keys, binding, "k", draft, [[[leaf]]], cohort)

        return ground.database.read(cell.one.id, inside)

    ground = ground_of(cell.settings)
    sealed = work(ground)
    ground.database.close()
    cell.change(
        "UPDATE versions SET header = :header, head = :head, content = :content",
        header=sealed.header,
        head=sealed.head,
        content=sealed.content,
    )


async def test_a_journal_that_forgot_is_found(place: Cell, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        await take(place, tmp_path / "backup")
        await place.erase("customer:gone")
    for file in (place.settings.root_dir / "mirror" / "journal").iterdir():
        file.unlink()
    done = await drill(place, tmp_path / "backup")
    assert checks(done) == {"journal-gap", "erased-active"}


async def test_a_changed_backup_fails_the_drill_on_record(embedded: Cell, tmp_path: Path) -> None:
    async with embedded.opened():
        made = await take(embedded, tmp_path / "backup")
    path = tmp_path / "backup" / made.database
    path.write_bytes(path.read_bytes()[:-1])
    done = await drill(embedded, tmp_path / "backup")
    assert checks(done) == {"backup-digest"}
    assert [entry["outcome"] for entry in drilled(embedded, CELL)] == ["failed"]


async def test_a_cell_that_was_restored_and_not_recovered_gets_no_entry(
    embedded: Cell, tmp_path: Path
) -> None:
    """An entry in a log that is behind its published head would fork it."""
    async with embedded.opened():
        await _people(embedded, "stays")
    shutil.copytree(embedded.settings.data_dir, tmp_path / "copy")
    async with embedded.opened():
        await _people(embedded, "later")
    shutil.rmtree(embedded.settings.data_dir)
    shutil.copytree(tmp_path / "copy", embedded.settings.data_dir)
    with pytest.raises(Conflict, match="no drill was made"):
        await drill(embedded)
    assert drilled(embedded, CELL) == []
    async with embedded.opened() as tenure:
        assert tenure.recovered.restored
        assert (await drill(embedded)).report.ok
        assert (await embedded.audited()).ok


# ── where it restores to ───────────────────────────────────────────────────────────────────────────
@pytest.fixture
def spare(postgres: Server) -> Iterator[str]:
    """An empty database that the backup role owns."""
    name = postgres.new()
    postgres.run(f"ALTER DATABASE {name} OWNER TO {BACKUP}")
    yield name
    postgres.drop(name)


def _scratches(cell: Cell) -> list[tuple[Any, ...]]:
    return cell.rows("SELECT datname FROM pg_database WHERE datname LIKE 'tenure_drill_%'")


async def test_the_scratch_database_is_closed_to_others_and_gone_afterwards(
    scaled: Cell, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.governance import drill as drilling

    seen: list[bool] = []
    real = drilling.recover

    def recover(*args: Any, **how: Any) -> Any:
        [(name,)] = _scratches(scaled)
        seen.append(scaled.rows("SELECT has_database_privilege(:r, :d, 'CONNECT')", r=APP, d=name)[0][0])
        return real(*args, **how)

    monkeypatch.setattr(drilling, "recover", recover)
    assert (await drill(scaled)).report.ok
    assert seen == [False]
    assert _scratches(scaled) == []


async def test_a_given_scratch_database_is_emptied(scaled: Cell, postgres: Server, spare: str) -> None:
    url = postgres.url(spare, BACKUP)
    for _ in range(2):
        assert (await drill(scaled, scratch_url=url)).report.ok
    with pytest.raises(Conflict, match="not empty"):
        await drill(scaled, scratch_url=scaled.settings.backup_url)
    async with scaled.opened():
        await _people(scaled, "stays")


async def test_a_role_that_may_not_make_databases_is_told(scaled: Cell, postgres: Server) -> None:
    postgres.run(f"ALTER ROLE {BACKUP} NOCREATEDB")
    try:
        with pytest.raises(Conflict) as refused:
            await drill(scaled)
    finally:
        postgres.run(f"ALTER ROLE {BACKUP} CREATEDB")
    assert "--scratch-url" in (refused.value.remedy or "")
    assert drilled(scaled, CELL) == []


def _sign_anew(folder: Path, made: Backup) -> None:
    files = tuple(described(folder, file.name) for file in made.files)
    (folder / MANIFEST).write_bytes(made._replace(files=files).encode())
    assert read_backup(folder).digest != made.digest


async def test_without_a_root_key_it_fails_and_cannot_be_signed(embedded: Cell) -> None:
    async with embedded.opened():
        await _people(embedded, "stays")
    for key in (embedded.settings.root_dir / "keys").glob("*.key"):
        key.unlink()
    done = await drill(embedded)
    assert checks(done) == {"root-lost"}
    assert not done.signed
    assert [entry["outcome"] for entry in drilled(embedded, CELL)] == ["failed"]
