"""A database put back alone: its log is brought up to the published head and goes on, the same log."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from test_inspection import inspected

from foreign import goverifier
from support import nursery
from support.cell import Cell, crash
from support.databases import DATABASES
from support.erasure import assert_certified, assert_erased
from support.postgres import OWNER, Server
from tenure.cli.embedded import Cell as Served
from tenure.client.evidence import collect
from tenure.client.source import DirSource
from tenure.client.trust import trust
from tenure.decisions import Opening
from tenure.errors import Unavailable
from tenure.ledger.audit import audit
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.pack import WHOLE
from tenure.ledger.tile import TileId

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


class Copies:
    """Copies of the database alone: of the file, or with `pg_dump`. Objects and mirror stay as they are."""

    def __init__(self, cell: Cell, server: Server | None, folder: Path) -> None:
        self._cell = cell
        self._server = server
        self._folder = folder
        self._made = 0

    def take(self) -> Path:
        self._made += 1
        copy = self._folder / f"copy{self._made}"
        if self._server is None:
            with closing(sqlite3.connect(self._cell.settings.database.removeprefix("sqlite:///"))) as live:
                live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(self._cell.settings.data_dir / "tenure.db", copy)
        else:
            self._run("pg_dump", "--format=custom", f"--file={copy}", self._cell.admin_url)
        return copy

    def put_back(self, copy: Path) -> None:
        if self._server is None:
            for left in self._cell.settings.data_dir.glob("tenure.db*"):
                left.unlink()
            shutil.copyfile(copy, self._cell.settings.data_dir / "tenure.db")
        else:
            name = str(make_url(self._cell.admin_url).database)
            self._server.drop(name)
            self._server.run(f"CREATE DATABASE {name} OWNER {OWNER}")
            self._run("pg_restore", f"--dbname={self._cell.admin_url}", str(copy))

    def _run(self, program: str, *arguments: str) -> None:
        tools = Path(self._cell.settings.pg_bin or Path(shutil.which("pg_dump") or "").parent)
        subprocess.run([tools / program, *arguments], check=True, capture_output=True)


@pytest.fixture
def copies(place: Cell, _server: Server | None, tmp_path: Path) -> Copies:
    return Copies(place, _server, tmp_path)


async def _people(cell: Cell, *names: str) -> None:
    for name in names:
        await cell.put(name, f"about {name}", f"customer:{name}")


async def _published(cell: Cell) -> str:
    """Publish what waits; the checkpoint."""
    for tenant in (cell.one, cell.two):
        await cell.tenure.sequencer.run(tenant.id)
    return (cell.published() / "checkpoint").read_text()


def _size(checkpoint: str) -> int:
    return int(checkpoint.splitlines()[1])


async def _goes_on(cell: Cell, *earlier: str) -> None:
    """One log, one generation; it extends what was published, and nothing stands in it twice."""
    report = await cell.audited(earlier=earlier)
    assert report.ok, report.failures
    assert report.earlier == tuple(_size(one) for one in earlier)
    assert cell.published().name == "1"
    places = sorted(entry["_at"] for entry in cell.entries() if entry["_at"][0] is not None)
    assert places == [(1, n) for n in range(len(places))]
    assert len(places) >= report.entries


def _restores(cell: Cell) -> list[dict[str, Any]]:
    return [entry for entry in cell.entries() if entry["kind"] == "restore"]


@pytest.mark.databases(*DATABASES)
async def test_the_log_goes_on_under_the_same_origin(place: Cell, copies: Copies, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "one")
        first = await _published(place)
    copy = copies.take()
    async with place.opened():
        await _people(place, "two", "three")
        second = await _published(place)
        await place.get("two")
        third = await _published(place)
        vkey = (await place.tenure.ledger.key(place.one["auditor"]))["vkey"]
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert not tenure.recovered.lost
        brought = {one.tenant_id: one for one in tenure.recovered.brought}[place.one.id]
        assert brought.entries == _size(third) - _size(first)
        await _goes_on(place, first, second, third)
        (said,) = _restores(place)
        assert (said["outcome"], said["data"]["to_size"]) == ("brought-up", _size(third))
        await _people(place, "four")
        final = await _published(place)
        await _goes_on(place, first, second, third, final)
    async with place.opened() as tenure:
        assert not tenure.recovered.restored, "found once, dealt with"
    binary = goverifier.build(tmp_path)
    for number, text in enumerate((first, second, third, final)):
        (tmp_path / f"earlier{number}").write_text(text)
    earlier = [tmp_path / f"earlier{number}" for number in range(4)]
    passed, said_by_go = goverifier.run(binary, str(place.published()), vkey, earlier)
    assert passed, said_by_go


async def test_published_checkpoints_between_come_back(place: Cell, copies: Copies) -> None:
    async with place.opened():
        await _people(place, "one")
        await _published(place)
    copy = copies.take()
    async with place.opened():
        for name in ("two", "three", "four"):
            await _people(place, name)
            await _published(place)
    before = set(place.rows("SELECT CAST(tenant_id AS TEXT), size, note, at FROM checkpoints"))
    copies.put_back(copy)
    async with place.opened():
        after = set(place.rows("SELECT CAST(tenant_id AS TEXT), size, note, at FROM checkpoints"))
        assert {row[:3] for row in before} <= {row[:3] for row in after}


@pytest.mark.databases(*DATABASES)
async def test_more_entries_than_a_tile(place: Cell, copies: Copies) -> None:
    async with place.opened():
        await _people(place, "one")
        first = await _published(place)
    copy = copies.take()
    async with place.opened():
        for burst in (200, 100, 300):
            await asyncio.gather(*(place.get("one") for _ in range(burst)))
            last = await _published(place)
    copies.put_back(copy)
    async with place.opened():
        await _goes_on(place, first, last)
        for path in (TileId(0, 0).path, TileId(0, 1).path, TileId(1, 0, 2).path):
            served = await place.tenure.ledger.tile(place.one["auditor"], path)
            assert served == (place.published() / path).read_bytes()


@pytest.mark.databases(*DATABASES)
async def test_entries_that_waited_in_the_copy_are_placed_once(place: Cell, copies: Copies) -> None:
    tenure = await place.crashing()
    await _people(place, "placed")
    await tenure.sequencer.run(place.one.id)
    tenure.sequencer.stop()
    await asyncio.gather(tenure._sequencing)  # type: ignore[arg-type]
    await _people(place, "waiting1", "waiting2")
    await crash(tenure)
    copy = copies.take()
    async with place.opened():
        await _people(place, "later")
        last = await _published(place)
    copies.put_back(copy)
    async with place.opened() as opened:
        assert opened.recovered.brought
        await _people(place, "after")
        await _goes_on(place, last)
        assert await place.value("waiting2") == "about waiting2"


async def test_a_writer_whose_last_entries_are_lost_leaves_no_gap(place: Cell, copies: Copies) -> None:
    """It was killed with entries that nobody had published; the copy is older than what was published."""
    tenure = await place.crashing()
    await _people(place, "one")
    await tenure.sequencer.run(place.one.id)
    copy_before = copies.take()
    await _people(place, "two")
    await tenure.sequencer.run(place.one.id)
    published = (place.published() / "checkpoint").read_text()
    tenure.sequencer.stop()
    await asyncio.gather(tenure._sequencing)  # type: ignore[arg-type]
    await _people(place, "three")
    await crash(tenure)
    copies.put_back(copy_before)
    async with place.opened() as opened:
        assert opened.recovered.brought
        await _goes_on(place, published)
        # It is ended on record, as any writer whose process is gone; on PostgreSQL when its lease is over.
        (lost,) = {entry["writer"] for entry in place.entries() if entry["_at"] == (1, _size(published) - 1)}
        for _ in range(100):
            its = [entry["kind"] for entry in place.entries() if entry["writer"] == lost]
            if its[-1] == "writer.end":
                break
            await asyncio.sleep(0.3)
        else:
            pytest.fail(f"the writer was not ended: {its}")
        await _goes_on(place, published)


@pytest.mark.databases(*DATABASES)
async def test_erasures_since_the_copy_are_done_again(place: Cell, copies: Copies) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
    copy = copies.take()
    async with place.opened():
        state = await place.erase("customer:gone")
        last = await _published(place)
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert tenure.recovered.replayed == 1
        await assert_erased(place, "gone", certificate=state["certificate"])
        assert await place.value("stays") == "about stays"
        await _goes_on(place, last)
        await assert_certified(place, await place.erase("customer:stays"))


@pytest.mark.databases(*DATABASES)
async def test_a_certificate_that_was_lost_with_the_database_is_named_in_evidence(
    place: Cell, copies: Copies, tmp_path: Path
) -> None:
    """Who came and was erased after the copy: no database knows them, and the log has their purge."""
    async with place.opened():
        await _people(place, "stays", "gone")
    copy = copies.take()
    async with place.opened():
        await _people(place, "guest")
        lost = await place.erase("customer:guest")
        again = await place.erase("customer:gone")
        await _published(place)
    copies.put_back(copy)
    async with place.opened():
        await _published(place)
        keys = trust([(await place.verifier()).vkey])
        async with Served(place.tenure).connect(place.one.keys["auditor"]) as connection:
            report = await collect(connection, WHOLE, keys, tmp_path / "pack")
    assert report.ok, report.failures
    assert report.counts["certificates"] == 1
    (said,) = [text for text in report.not_checked if "may be lost with it" in text]
    assert lost["certificate"] in said
    assert (tmp_path / "pack" / "certificates" / f"{again['certificate']}.json").is_file()


async def test_receipts_of_before_and_after(place: Cell, copies: Copies) -> None:
    from tenure.ledger.receipt import verify_receipt

    async with place.opened():
        await _people(place, "stays")
        opened = await place.tenure.decisions.open(place.one["agent"], Opening("customer-support"))
        await place.get("stays", ask=place.one.ask(decision=opened["id"]))
        await place.tenure.decisions.seal(place.one["agent"], opened["id"], "done", None)
    copy = copies.take()
    async with place.opened():
        await _people(place, "later")
        await _published(place)
        key = await place.verifier()
    copies.put_back(copy)
    async with place.opened():
        receipt = await place.tenure.decisions.receipt(place.one["agent"], opened["id"])
        assert verify_receipt(receipt, [key]).ok


async def test_what_the_log_proves_and_the_database_forgot_is_shown_as_lost(
    place: Cell, copies: Copies
) -> None:
    """A decision goes on over a restore; one of its versions is gone, another was written again since."""
    async with place.opened():
        await _people(place, "old")
        opened = await place.tenure.decisions.open(place.one["agent"], Opening("customer-support"))
        bound = place.one.ask(decision=opened["id"])
        await place.get("old", ask=bound)
    copy = copies.take()
    async with place.opened():
        await place.put("old", "newer", "customer:old")
        await place.get("old", ask=bound)
        await place.put("gone", "for good", "customer:gone")
        await place.get("gone", ask=bound)
        before = await place.tenure.decisions.context(place.one.ask(), opened["id"])
        assert [item["state"] for item in before["items"]] == ["live"] * 3
        await _published(place)
    copies.put_back(copy)
    async with place.opened():
        await place.put("old", "something else", "customer:old")
        assert (await place.get("old")).version == 2
        await place.tenure.decisions.seal(place.one["agent"], opened["id"], "done", None)
        for read in (place.tenure.decisions.context, place.tenure.decisions.openings):
            items = (await read(place.one.ask(), opened["id"]))["items"]
            assert [item["state"] for item in items] == ["live", "lost", "lost"]
            assert "something else" not in json.dumps(items)
        foretold = await place.tenure.impacts.report(place.one.id, await place.person("customer:old"))
        (item,) = foretold["items"]
        assert [line["shown"] for line in item["before"]] == ["returned", "lost", "lost"]
        assert [line["shown"] for line in item["after"]] == ["withheld", "lost", "lost"]
        assert (await place.audited()).ok


async def test_nothing_of_it_is_taken_for_tampering(place: Cell, copies: Copies) -> None:
    """Entries without their rows, a version written twice, an erasure done twice: a restore explains them."""
    async with place.opened():
        await _people(place, "old", "gone", "stays")
        opened = await place.tenure.decisions.open(place.one["agent"], Opening("customer-support"))
    copy = copies.take()
    async with place.opened():
        await place.put("old", "newer", "customer:old")
        await place.put("later", "forgotten", "customer:later")
        await place.tenure.decisions.seal(place.one["agent"], opened["id"], "done", None)
        await place.tenure.decisions.open(place.one["agent"], Opening("customer-support"))
        await place.erase("customer:gone")
        await _published(place)
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert tenure.recovered.brought
        await place.put("old", "something else", "customer:old")
        await place.put("later", "again", "customer:later")
        await place.tenure.decisions.seal(place.one["agent"], opened["id"], "again", None)
        await _published(place)
        found = await asyncio.to_thread(inspected, place)
        assert not found, [(one.check, one.detail) for one in found]


async def test_twice(place: Cell, copies: Copies) -> None:
    async with place.opened():
        await _people(place, "one")
        first = await _published(place)
    copy = copies.take()
    async with place.opened():
        await _people(place, "two")
        second = await _published(place)
    copies.put_back(copy)
    async with place.opened():
        await _people(place, "three")
        third = await _published(place)
    copies.put_back(copy)
    async with place.opened():
        await _goes_on(place, first, second, third)
        assert len(_restores(place)) == 2, "the first one is in the log, too"


# ── the head that counts ───────────────────────────────────────────────────────────────────────────
async def test_a_published_checkpoint_that_the_mirror_has_not_counts(place: Cell, copies: Copies) -> None:
    """Killed between the two, then the database put back: whoever has the checkpoint must not see a fork."""
    async with place.opened():
        await _people(place, "one")
        await _published(place)
    copy = copies.take()
    mirrored = place.settings.root_dir / "mirror" / "heads" / place.one.id
    old = mirrored.read_bytes()
    async with place.opened():
        await _people(place, "two")
    last = (place.published() / "checkpoint").read_text()
    mirrored.write_bytes(old)
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert place.one.id in {one.tenant_id for one in tenure.recovered.brought}
        await _goes_on(place, last)


async def test_a_checkpoint_that_a_stranger_put_there_ends_nothing(place: Cell, copies: Copies) -> None:
    async with place.opened():
        await _people(place, "one")
        good = await _published(place)
        origin = good.splitlines()[0]
    from tenure.ledger.note import Signer

    shown = place.published() / "checkpoint"
    shown.write_text(sign_checkpoint(Checkpoint(origin, 9_999, bytes(32)), [Signer(origin, bytes(32))]))
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        await _people(place, "two")
        await _goes_on(place, good)


async def test_what_a_lost_database_had_begun_to_publish_gives_way(place: Cell, copies: Copies) -> None:
    """Bundles of entries that only the lost database had, without a checkpoint: promised to nobody."""
    async with place.opened():
        await _people(place, "one")
    last = (place.published() / "checkpoint").read_text()
    for name in (f"tile/entries/000.p/{_size(last) + 1}", f"tile/0/000.p/{_size(last) + 1}"):
        (place.published() / name).write_bytes(b"something else")
    async with place.opened() as tenure:
        await tenure.sequencer.run(place.one.id)
        await _people(place, "two")
        await _goes_on(place, last)


# ── what is published does not reach ───────────────────────────────────────────────────────────────
def _lose_bundle(folder: Path, size: int, _key: Any) -> None:
    (folder / TileId(-1, 0, size).path).unlink()


def _change_entry(folder: Path, size: int, _key: Any) -> None:
    """Still an entry as it should be, of the same length."""
    path = folder / TileId(-1, 0, size).path
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b'"nonce":"') + 9
    raw[at] = ord("A") if raw[at] != ord("A") else ord("B")
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [_lose_bundle, _change_entry])
async def test_a_tail_that_is_not_whole_is_a_loss(
    place: Cell, copies: Copies, damage: Callable[[Path, int, Any], None]
) -> None:
    async with place.opened():
        await _people(place, "one")
        await _published(place)
    old = (place.published() / "checkpoint").read_text()
    copy = copies.take()
    async with place.opened():
        await _people(place, "two")
    last = (place.published() / "checkpoint").read_text()
    damage(place.published(), _size(last), None)
    copies.put_back(copy)
    async with place.opened() as tenure:
        lost = {one.tenant_id: one for one in tenure.recovered.lost}[place.one.id]
        assert lost.entries == _size(last) - _size(old)
        report = await place.audited()
        assert report.ok, report.failures
        assert place.published().name == "2"
        opening = next(one for one in place.entries() if one["_at"] == (2, 0))
        assert opening["data"]["previous_size"] == _size(last)


async def test_a_mirrored_head_that_the_logs_key_did_not_sign_brings_up_nothing(
    place: Cell, copies: Copies
) -> None:
    async with place.opened():
        await _people(place, "one")
    copy = copies.take()
    async with place.opened():
        await _people(place, "two")
    mirrored = place.settings.root_dir / "mirror" / "heads" / place.one.id
    head = json.loads(mirrored.read_bytes())
    head["checkpoint"] = head["checkpoint"][:-8] + "AAAAAAA\n"
    mirrored.write_text(json.dumps(head))
    (place.published() / "checkpoint").unlink()
    copies.put_back(copy)
    async with place.opened() as tenure:
        assert place.one.id in {one.tenant_id for one in tenure.recovered.lost}


async def test_objects_that_cannot_be_read_end_nothing(
    place: Cell, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.opened():
        await _people(place, "one")
    copy = copies.take()
    async with place.opened():
        await _people(place, "two")
    last = (place.published() / "checkpoint").read_text()
    copies.put_back(copy)
    real = Path.read_bytes

    def refused(path: Path) -> bytes:
        if "entries" in path.parts:
            raise PermissionError
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refused)
        with pytest.raises(Unavailable):
            await place.crashing()
    async with place.opened() as tenure:
        assert tenure.recovered.brought
        await _goes_on(place, last)


# ── killed ─────────────────────────────────────────────────────────────────────────────────────────
KILLED = """
import os, signal, sys
from tenure.store import log, sequencing
from tenure.store.session import Tx
from tenure.governance import catchup
when, nth = sys.argv.pop(1), int(sys.argv.pop(1))
owner, name = {"put_back": (log, "put_back"), "put_tile": (log, "put_tile"), "grow": (sequencing, "grow"),
               "say": (catchup, "_say"), "flush": (Tx, "flush"), "commit": (Tx, "commit")}[when]
real, seen = getattr(owner, name), 0
bringing = catchup.bring_up
def begin(*a, **k):
    setattr(owner, name, dying)
    return bringing(*a, **k)
def dying(*a, **k):
    global seen
    done = real(*a, **k)
    seen += 1
    if seen == nth: os.kill(os.getpid(), signal.SIGKILL)
    return done
from tenure.governance import recovery
recovery.bring_up = begin
from tenure.cli.entry import main
main()
"""


@pytest.mark.parametrize(
    ("when", "nth"),
    [("put_back", 1), ("put_tile", 1), ("flush", 4), ("grow", 1), ("say", 1), ("commit", 2)],
)
@pytest.mark.databases(*DATABASES)
async def test_killed_while_it_is_brought_up(place: Cell, copies: Copies, when: str, nth: int) -> None:
    async with place.opened():
        await _people(place, "one")
    copy = copies.take()
    async with place.opened():
        await asyncio.gather(*(place.get("one") for _ in range(30)))
    last = (place.published() / "checkpoint").read_text()
    copies.put_back(copy)
    names = ("data_dir", "root_dir", "database_url", "migration_url")
    settings = {f"TENURE_{name.upper()}": str(getattr(place.settings, name)) for name in names}
    done = await asyncio.to_thread(
        nursery.run,
        *(KILLED, when, str(nth), "doctor"),
        env={**os.environ, **settings},
    )
    assert done.returncode == -signal.SIGKILL, done.stdout.decode()
    async with place.opened():
        await _goes_on(place, last)
        assert sum(entry["data"]["to_size"] == _size(last) for entry in _restores(place)) == 1


async def test_the_whole_data_directory_went_back(place: Cell, copies: Copies, tmp_path: Path) -> None:
    async with place.opened():
        await _people(place, "one")
    first = (place.published() / "checkpoint").read_text()
    copy = copies.take()
    objects = place.settings.data_dir / "objects"
    shutil.copytree(objects, tmp_path / "objects")
    async with place.opened():
        await _people(place, "two")
    last = (place.published() / "checkpoint").read_text()
    copies.put_back(copy)
    shutil.rmtree(objects)
    shutil.copytree(tmp_path / "objects", objects)
    async with place.opened() as tenure:
        assert not tenure.recovered.brought
        lost = {one.tenant_id: one for one in tenure.recovered.lost}[place.one.id]
        assert (lost.generation, lost.entries) == (2, _size(last) - _size(first))
        report = await place.audited()
        assert report.ok, report.failures
        key = await place.verifier()
        opening = next(one for one in place.entries() if one["_at"] == (2, 0))["data"]
        assert (opening["previous_size"], opening["previous_origin"]) == (
            _size(last),
            last.splitlines()[0],
        )
        assert key.name == opening["origin"]
    binary = goverifier.build(tmp_path)
    vkey = (place.published() / "vkey").read_text()
    passed, said = goverifier.run(binary, str(place.published()), vkey)
    assert passed, said
    old = DirSource(place.published(generation=1))
    from tenure.ledger.note import Verifier

    assert audit(old, [Verifier.parse(old.vkey() or "")]).ok, "what is left of the old log still verifies"
