"""A backup taken while the cell serves, put into an empty place: complete, without the root, else refused."""

import asyncio
import json
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import nursery
from support.cell import Cell, crash
from support.databases import DATABASES
from support.elsewhere import Elsewhere, elsewhere, fingerprint, put_back, take
from support.erasure import InjectedError, assert_certified, assert_erased
from support.postgres import APP, OWNER, Server
from tenure import safekeeping
from tenure.client.source import DirSource
from tenure.errors import Conflict, Invalid, NotFound, RootLost, Tampered, Unauthenticated
from tenure.governance import restore as restoring
from tenure.governance.backupset import MANIFEST, UNFINISHED, read_backup
from tenure.ledger.audit import audit

__all__ = ["elsewhere"]
pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def _people(cell: Cell, *names: str) -> None:
    for name in names:
        await cell.put(name, f"about {name}", f"customer:{name}")


def leaves(cell: Cell) -> set[int]:
    return {row[0] for row in cell.rows("SELECT leaf FROM subjects")}


# ── all of it ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_taken_while_serving_and_restored_after_an_erasure(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        await place.put("theirs", "about them", "customer:t", tenant=place.two)
        before = place.stored() | place.stored(place.two)
        writing = asyncio.create_task(_people(place, *(f"meanwhile{n}" for n in range(20))))
        made = await take(place, tmp_path / "backup")
        await writing
        state = await place.erase("customer:gone")
        await _people(place, "later")
        given = leaves(place)
        await place.audited()
    assert (made.census.revision,) in place.rows("SELECT version_num FROM alembic_version")

    there = elsewhere.new()
    done = await put_back(tmp_path / "backup", there)
    assert done["backup"] == made.digest
    assert (done["erasures_replayed"], done["erasures_unfinished"], done["leaf_epoch"]) == (1, 0, 1)
    assert done["entries_lost"] > 0
    async with there.opened() as tenure:
        assert not tenure.recovered.restored, "the restore has dealt with it"
        await assert_erased(there, "gone", certificate=state["certificate"])
        assert await there.value("stays") == "about stays"
        assert await there.value("theirs", tenant=there.two) == "about them"
        with pytest.raises(NotFound):
            await there.get("later")
        survivors = {
            key: parts for key, parts in (there.stored() | there.stored(there.two)).items() if any(parts)
        }
        ours = {key: parts for key, parts in survivors.items() if key in before}
        assert len(ours) == 2
        assert ours.items() <= before.items(), "byte for byte"
        await _people(there, "fresh")
        assert {leaf >> 32 for leaf in leaves(there) - given} == {1}
        report = await there.audited()
        assert report.ok, report.failures
        assert there.published().name == "2"
        assert sum(ledger["lost"] for ledger in done["ledgers"]) == done["entries_lost"]
        await assert_certified(there, await there.erase("customer:stays"))


@pytest.mark.databases(*DATABASES)
async def test_beside_objects_that_went_on_no_log_is_lost(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The object tier outlived the database: the new place names it, and the log is taken back from it."""
    async with place.opened():
        await _people(place, "stays")
        await take(place, tmp_path / "backup")
        await _people(place, "later")
        await place.audited()
    last = (place.published() / "checkpoint").read_text()
    there = elsewhere.new()
    objects = place.settings.data_dir / "objects"
    there.settings = there.settings.model_copy(update={"objects_url": f"file://{objects}"})
    done = await put_back(tmp_path / "backup", there)
    assert (done["entries_lost"], done["ledgers"]) == (0, [])
    assert {one["tenant"] for one in done["brought_up"]} >= {place.one.id}
    async with there.opened():
        assert await there.value("stays") == "about stays"
        await there.tenure.sequencer.run(there.one.id)
        report = audit(DirSource(place.published()), [await there.verifier()], earlier=[last])
        assert report.ok, report.failures
        assert place.published().name == "1"


async def test_objects_of_another_cell_are_not_taken_for_its_own(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with place.opened():
        await place.audited()
        await take(place, tmp_path / "backup")
    objects = place.settings.data_dir / "objects"
    shown = place.published() / "checkpoint"
    shown.write_text(shown.read_text().replace("tenure.localhost", "other.localhost"))
    there = elsewhere.new()
    there.settings = there.settings.model_copy(update={"objects_url": f"file://{objects}"})
    before = fingerprint(objects)
    with pytest.raises(Conflict) as refused:
        await put_back(tmp_path / "backup", there)
    assert refused.value.field == "TENURE_OBJECTS_URL"
    assert fingerprint(objects) == before


async def test_leaves_that_no_published_entry_shows_are_not_handed_out_again(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Nothing in the mirror says that the database is older; whoever restores it does."""
    tenure = await place.crashing()
    await _people(place, "stays")
    await tenure.sequencer.run(place.one.id)
    tenure.sequencer.stop()
    await asyncio.gather(tenure._sequencing)
    await take(place, tmp_path / "backup")
    await _people(place, "unpublished")
    given = leaves(place)
    await crash(tenure)

    there = elsewhere.new()
    done = await put_back(tmp_path / "backup", there)
    assert (done["leaf_epoch"], done["ledgers"]) == (1, [])
    async with there.opened():
        await _people(there, "fresh")
        assert not (leaves(there) - {min(given)}) & given
        assert await there.value("stays") == "about stays"


async def test_a_backup_of_before_a_batch_of_before_another(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Two erasures, two root keys ago."""
    async with place.opened():
        await _people(place, "first", "second", "stays")
        await take(place, tmp_path / "backup")
        states = [await place.erase(f"customer:{name}") for name in ("first", "second")]
    there = elsewhere.new()
    done = await put_back(tmp_path / "backup", there)
    assert done["erasures_replayed"] == 2
    async with there.opened():
        for name, state in zip(("first", "second"), states, strict=True):
            await assert_erased(there, name, certificate=state["certificate"])
        assert await there.value("stays") == "about stays"


async def test_a_tenant_that_left_does_not_come_back(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with place.opened() as tenure:
        await _people(place, "one")
        await place.put("k", "theirs", "customer:1", tenant=place.two)
        await take(place, tmp_path / "backup")
        await tenure.tenants.shred(place.operator, place.one.id)
        await tenure.shredder.run()
    there = elsewhere.new()
    done = await put_back(tmp_path / "backup", there)
    assert (done["erasures_replayed"], done["erasures_unfinished"]) == (1, 0)
    async with there.opened():
        with pytest.raises(Unauthenticated):
            await there.get("one")
        assert not any(any(parts) for parts in there.stored().values())
        assert await there.value("k", tenant=there.two) == "theirs"
        assert (await safekept(there)).report.ok


async def safekept(cell: Cell) -> safekeeping.Drill:
    """A drill of the cell as it is now."""
    return await asyncio.to_thread(
        safekeeping.drill, cell.settings, None, sample=200, folder=None, scratch_url=""
    )


# ── what is in it ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_nothing_of_the_root_and_nothing_personal_is_in_it(place: Cell, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "anna.muster")
        await take(place, tmp_path / "backup")
    key = next((place.settings.root_dir / "keys").glob("root-*.key")).read_bytes()[-32:]
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "backup").parts[0] for path in files} == {
        "manifest.json",
        "objects",
        "database.sqlite" if place.dialect == "sqlite" else "database.pgdump",
    }
    for path in files:
        data = path.read_bytes()
        for secret in (key, key.hex().encode(), b"anna", b"muster"):
            assert secret not in data, path.name
        assert "anna" not in str(path.relative_to(tmp_path))
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    for path in (tmp_path / "backup", *(path for path in (tmp_path / "backup").rglob("*") if path.is_dir())):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


async def test_the_manifest_says_where_in_history_the_copy_is(place: Cell, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "somebody")
        await place.audited()
        size = place.rows("SELECT size FROM logs WHERE CAST(tenant_id AS TEXT) = :t", t=place.one.id)[0][0]
        await take(place, tmp_path / "backup")
    manifest = json.loads((tmp_path / "backup" / MANIFEST).read_bytes())
    assert manifest["format"] == "tenure/backup/v1"
    assert manifest["dialect"] == place.dialect
    mirrored = json.loads((place.settings.root_dir / "mirror" / "pointer").read_bytes())
    assert manifest["keys"] == mirrored
    log = next(one for one in manifest["logs"] if one["tenant_id"] == place.one.id)
    assert log["size"] >= size
    assert len(manifest["logs"]) == 3


# ── refused ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("inside", ["data/backup", "root/backup", "root/mirror/backup", "data", "root"])
async def test_refuses_a_destination_in_the_cells_own_folders(
    embedded: Cell, tmp_path: Path, inside: str
) -> None:
    before = fingerprint(tmp_path)
    with pytest.raises(Conflict, match="nothing was copied"):
        await take(embedded, tmp_path / inside)
    assert fingerprint(tmp_path) == before


async def test_refuses_objects_that_hold_the_root(embedded: Cell, tmp_path: Path) -> None:
    embedded.settings = embedded.settings.model_copy(update={"objects_url": f"file://{tmp_path}"})
    with pytest.raises(Conflict, match="bring erased people back"):
        await take(embedded, tmp_path.parent / f"{tmp_path.name}-backup")


async def test_refuses_to_write_over_anything(embedded: Cell, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "file").touch()
    with pytest.raises(Invalid) as refused:
        await take(embedded, tmp_path / "backup")
    assert refused.value.field == "DESTINATION"


async def test_no_database_is_no_backup(embedded: Cell, tmp_path: Path) -> None:
    (embedded.settings.data_dir / "tenure.db").unlink()
    with pytest.raises(NotFound):
        await take(embedded, tmp_path / "backup")
    with pytest.raises(Invalid, match="never finished"):
        read_backup(tmp_path / "backup")


@pytest.mark.parametrize("damage", ["flip", "cut", "missing"])
@pytest.mark.parametrize("which", ["database", "object"])
@pytest.mark.databases(*DATABASES)
async def test_a_changed_backup_restores_nothing(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path, which: str, damage: str
) -> None:
    async with place.opened():
        await place.audited()
        made = await take(place, tmp_path / "backup")
    name = made.database if which == "database" else made.files[-1].name
    _damage(tmp_path / "backup" / name, damage)
    there = elsewhere.new()
    before = fingerprint(place.settings.root_dir)
    with pytest.raises(Tampered) as refused:
        await put_back(tmp_path / "backup", there)
    assert (refused.value.rule, refused.value.field) == ("backup-digest", name)
    assert {path.name for path in there.settings.data_dir.glob("*")} <= {"lock"}
    assert fingerprint(place.settings.root_dir) == before


def _damage(path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
        return
    if damage == "flip":
        data[len(data) // 2] ^= 1
    else:
        del data[-1]
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "objects/../../outside", "other"])
async def test_a_manifest_that_reaches_outside_is_none(embedded: Cell, tmp_path: Path, name: str) -> None:
    await take(embedded, tmp_path / "backup")
    path = tmp_path / "backup" / MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["files"].append({"name": name, "size": 0, "sha256": "00" * 32})
    path.write_text(json.dumps(manifest))
    with pytest.raises(Invalid, match="cannot be read"):
        read_backup(tmp_path / "backup")


async def test_a_later_schema_is_refused(embedded: Cell, tmp_path: Path) -> None:
    await take(embedded, tmp_path / "backup")
    path = tmp_path / "backup" / MANIFEST
    path.write_text(re.sub('"schema": "[0-9]+"', '"schema": "9999"', path.read_text()))
    settings = embedded.settings.model_copy(update={"data_dir": tmp_path / "new"})
    with pytest.raises(Invalid, match="schema"):
        await asyncio.to_thread(safekeeping.restore, settings, tmp_path / "backup")


@pytest.mark.databases(*DATABASES)
async def test_never_overwrites(place: Cell, elsewhere: Elsewhere, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "stays")
        await take(place, tmp_path / "backup")
    before = fingerprint(place.settings.data_dir)
    with pytest.raises(Conflict, match="nothing was restored"):
        await put_back(tmp_path / "backup", place)
    assert fingerprint(place.settings.data_dir) == before
    there = elsewhere.new()
    there.settings = there.settings.model_copy(update={"database_url": place.settings.database})
    if place.dialect == "postgresql":  # an empty folder, a database in use
        there.settings = there.settings.model_copy(update={"migration_url": place.settings.migration_url})
        with pytest.raises(Conflict) as refused:
            await put_back(tmp_path / "backup", there)
        assert refused.value.field == "TENURE_DATABASE_URL"
    async with place.opened():
        assert await place.value("stays") == "about stays"


async def test_beside_another_cells_root_nothing_is_restored(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with place.opened():
        await take(place, tmp_path / "backup")
    there = elsewhere.new()
    there.settings = there.settings.model_copy(update={"root_dir": tmp_path / "none"})
    with pytest.raises(RootLost):
        await put_back(tmp_path / "backup", there)
    stranger = elsewhere.new("stranger")
    stranger.settings = stranger.settings.model_copy(update={"root_dir": tmp_path / "stranger" / "root"})
    from support.cell import furnish

    await asyncio.to_thread(lambda: asyncio.run(furnish(stranger.settings, stranger.admin_url)))
    there.settings = there.settings.model_copy(update={"root_dir": stranger.settings.root_dir})
    before = fingerprint(stranger.settings.root_dir)
    with pytest.raises(Conflict, match="another cell"):
        await put_back(tmp_path / "backup", there)
    assert fingerprint(stranger.settings.root_dir) == before


# ── killed ─────────────────────────────────────────────────────────────────────────────────────────
KILLED = """
import os, signal, sys
from tenure.governance import {module}
def killed(*_a, **_k): os.kill(os.getpid(), signal.SIGKILL)
{module}.{step} = killed
from tenure.cli.entry import main
sys.argv = ["tenure", *sys.argv[1:]]
main()
"""


def _killed(cell: Cell, module: str, step: str, *arguments: str) -> None:
    names = ("data_dir", "root_dir", "database_url", "migration_url", "backup_url", "pg_bin")
    settings = {f"TENURE_{name.upper()}": str(getattr(cell.settings, name)) for name in names}
    code = KILLED.format(module=module, step=step)
    done = nursery.run(code, *arguments, env={**os.environ, **settings})
    assert done.returncode == -signal.SIGKILL, done.stdout.decode()


@pytest.mark.parametrize("step", ["dump", "_copy_objects", "described"])
@pytest.mark.databases(*DATABASES)
async def test_a_killed_backup_says_so(place: Cell, elsewhere: Elsewhere, tmp_path: Path, step: str) -> None:
    async with place.opened():
        await place.audited()
    await asyncio.to_thread(_killed, place, "backup", step, "backup", str(tmp_path / "backup"))
    assert (tmp_path / "backup" / UNFINISHED).exists()
    with pytest.raises(Invalid) as refused:
        await put_back(tmp_path / "backup", elsewhere.new())
    assert "never finished" in refused.value.detail
    with pytest.raises(Invalid):
        await take(place, tmp_path / "backup")


@pytest.mark.parametrize("step", ["_put_objects", "load", "recover"])
@pytest.mark.databases(*DATABASES)
async def test_a_killed_restore_is_repeated(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path, step: str
) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        await take(place, tmp_path / "backup")
        state = await place.erase("customer:gone")
    there = elsewhere.new()
    await asyncio.to_thread(_killed, there, "restore", step, "restore", str(tmp_path / "backup"))
    with pytest.raises(Conflict, match="not finished"):
        await there.crashing()
    await put_back(tmp_path / "backup", there)
    async with there.opened():
        await assert_erased(there, "gone", certificate=state["certificate"])
        assert await there.value("stays") == "about stays"


@pytest.mark.databases(*DATABASES)
async def test_broken_off_after_recovery_is_repeated(
    place: Cell, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is there and recovered, the mark still stands: all of it again, under the next epoch."""
    async with place.opened():
        await _people(place, "stays")
        await take(place, tmp_path / "backup")
        await _people(place, "later")
        await place.tenure.sequencer.run(place.one.id)
    there = elsewhere.new()
    real = restoring.recover

    def recover(*args: Any, **how: Any) -> None:
        real(*args, **how)
        raise InjectedError

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "recover", recover)
        with pytest.raises(InjectedError):
            await put_back(tmp_path / "backup", there)
    shutil.copytree(tmp_path / "backup", tmp_path / "other")
    (tmp_path / "other" / MANIFEST).write_bytes((tmp_path / "backup" / MANIFEST).read_bytes() + b" ")
    with pytest.raises(Conflict, match="another backup"):
        await put_back(tmp_path / "other", there)
    done = await put_back(tmp_path / "backup", there)
    assert done["leaf_epoch"] == 2
    async with there.opened():
        assert await there.value("stays") == "about stays"
        assert (await there.audited()).ok


# ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("role", [OWNER, APP])
async def test_a_role_that_sees_less_than_all_dumps_nothing(
    scaled: Cell, postgres: Server, tmp_path: Path, role: str
) -> None:
    """Row-level security is forced on the owner too: a dump without rows must not pass for a backup."""
    url = scaled.settings.migration_url if role == OWNER else scaled.settings.database_url
    scaled.settings = scaled.settings.model_copy(update={"backup_url": url})
    with pytest.raises(Conflict) as refused:
        await take(scaled, tmp_path / "backup")
    assert refused.value.field == "TENURE_BACKUP_URL"


async def test_missing_programs_are_named(scaled: Cell, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    scaled.settings = scaled.settings.model_copy(update={"pg_bin": str(tmp_path / "empty")})
    with pytest.raises(Invalid) as refused:
        await take(scaled, tmp_path / "backup")
    assert refused.value.field == "TENURE_PG_BIN"
    assert "pg_dump" in refused.value.detail


async def test_no_secret_is_on_a_command_line(scaled: Cell, elsewhere_of: Any, tmp_path: Path) -> None:
    real = scaled.settings.pg_bin or str(Path(shutil.which("pg_dump") or "").parent)
    (tmp_path / "bin").mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/calls\nexec {real}/{name} "$@"\n')
        script.chmod(0o755)
    scaled.settings = scaled.settings.model_copy(update={"pg_bin": str(tmp_path / "bin")})
    await take(scaled, tmp_path / "backup")
    there = elsewhere_of(scaled)
    there.settings = there.settings.model_copy(update={"pg_bin": str(tmp_path / "bin")})
    await put_back(tmp_path / "backup", there)
    calls = (tmp_path / "calls").read_text()
    assert calls.count("pg_dump") == 1
    assert calls.count("pg_restore") == 1
    assert "only-for-tests" not in calls
    assert "tenure_owner" not in calls


@pytest.fixture
def elsewhere_of(postgres: Server, tmp_path: Path) -> Any:
    made: list[Elsewhere] = []

    def new(cell: Cell) -> Cell:
        made.append(Elsewhere(cell, postgres, tmp_path))
        return made[-1].new()

    yield new
    for one in made:
        one.drop()


async def test_a_plain_dump_put_into_a_new_database(
    scaled: Cell, postgres: Server, elsewhere_of: Any, tmp_path: Path
) -> None:
    """No command of ours: `pg_dump` before, the erasure, `pg_restore` into another database, start."""
    tools = Path(scaled.settings.pg_bin or Path(shutil.which("pg_dump") or "").parent)

    def run(program: str, *arguments: str) -> None:
        subprocess.run([tools / program, *arguments], check=True, capture_output=True)

    async with scaled.opened():
        await _people(scaled, "gone", "stays")
        before = scaled.stored()
        run("pg_dump", "--format=custom", f"--file={tmp_path / 'dump'}", scaled.admin_url)
        shutil.copytree(scaled.settings.data_dir / "objects", tmp_path / "objects")
        state = await scaled.erase("customer:gone")
        await _people(scaled, "later")
    there = elsewhere_of(scaled)
    run("pg_restore", f"--dbname={there.admin_url}", str(tmp_path / "dump"))
    there.settings.data_dir.mkdir(parents=True)
    shutil.copytree(tmp_path / "objects", there.settings.data_dir / "objects")
    async with there.opened() as tenure:
        assert tenure.recovered.restored
        await assert_erased(there, "gone", certificate=state["certificate"])
        assert await there.value("stays") == "about stays"
        survivors = {key: parts for key, parts in there.stored().items() if any(parts)}
        assert len(survivors) == 1
        assert survivors.items() <= before.items(), "byte for byte"
        assert (await there.audited()).ok
    done = await safekept(there)
    assert done.report.ok, done.report.document["failures"]
    total = done.report.document["total"]
    assert (total["erased"], total["compared"]) == (1, 1)


async def test_row_level_security_is_as_it_was_and_the_service_owns_nothing(
    scaled: Cell, elsewhere_of: Any, tmp_path: Path
) -> None:
    async with scaled.opened():
        await _people(scaled, "stays")
        await take(scaled, tmp_path / "backup")
    there = elsewhere_of(scaled)
    await put_back(tmp_path / "backup", there)
    sql = (
        "SELECT relname, relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname"
    )
    assert there.rows(sql) == scaled.rows(sql)
    policies = "SELECT tablename, policyname, qual FROM pg_policies ORDER BY tablename"
    assert there.rows(policies) == scaled.rows(policies)
