"""An old backup put back: nobody erased comes back, everybody else does, and the log says what was lost."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from test_derived import AGAIN, KEEP, KEPT, REDERIVE, declare, derive, scope

from support.attic import Attic
from support.cell import NOTES, SCOPE, SUPPORT, Cell, Tenant, crash
from support.databases import DATABASES
from support.erasure import (
    Failing,
    InjectedError,
    assert_certified,
    assert_erased,
    kept_by,
    root_versions,
)
from support.oracle import Oracle
from support.postgres import OWNER, Server
from support.travel import Travel
from tenure import ids
from tenure.client.source import DirSource
from tenure.decisions import Opening
from tenure.errors import Erased, NotFound, RootLost, Tampered
from tenure.jobs.evict import Evict
from tenure.jobs.job import Run
from tenure.ledger.audit import audit
from tenure.ledger.receipt import verify_receipt
from tenure.listing import Query
from tenure.model.apikey import parse_api_key
from tenure.model.record import Draft, Segment

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


class Backup:
    """The whole data directory and the database, as any backup would take and put them back."""

    def __init__(self, cell: Cell, server: Server | None, folder: Path) -> None:
        self._cell = cell
        self._server = server
        self._folder = folder
        self._database = str(make_url(cell.admin_url).database)
        shutil.copytree(cell.settings.data_dir, folder)
        if server is not None:
            server.quiet(self._database)
            server.run(f"CREATE DATABASE {self._name} TEMPLATE {self._database}")

    @property
    def _name(self) -> str:
        return f"{self._database}_{self._folder.name}"

    def put_back(self) -> None:
        shutil.rmtree(self._cell.settings.data_dir)
        shutil.copytree(self._folder, self._cell.settings.data_dir)
        if self._server is not None:
            self._server.drop(self._database)
            self._server.run(f"CREATE DATABASE {self._database} TEMPLATE {self._name} OWNER {OWNER}")

    def drop(self) -> None:
        if self._server is not None:
            self._server.drop(self._name)


class Backups:
    """Takes backups of one cell and tidies them up."""

    def __init__(self, cell: Cell, server: Server | None, folder: Path) -> None:
        self._made: list[Backup] = []
        self._given = cell, server, folder

    def take(self) -> Backup:
        cell, server, folder = self._given
        self._made.append(Backup(cell, server, folder / f"backup{len(self._made)}"))
        return self._made[-1]

    def drop(self) -> None:
        for one in self._made:
            one.drop()


@pytest.fixture
def backups(place: Cell, _server: Server | None, tmp_path: Path) -> Iterator[Backups]:
    made = Backups(place, _server, tmp_path)
    yield made
    made.drop()


def leaves(cell: Cell) -> list[int]:
    found = cell.rows("SELECT leaf FROM subjects UNION ALL SELECT leaf FROM scope_leaves")
    return sorted(row[0] for row in found)


async def _people(cell: Cell, *names: str, tenant: Tenant | None = None) -> None:
    for name in names:
        filed = (("people", name),)
        await cell.put(name, f"about {name}", f"customer:{name}", tenant=tenant, paths=filed)


@pytest.mark.databases(*DATABASES)
async def test_a_backup_from_before_the_erasure(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        await _people(place, "theirs", tenant=place.two)
        before = place.stored()
    backup = backups.take()
    async with place.opened():
        state = await place.erase("customer:gone")
        envelope = await place.certificate(state["certificate"])
        await _people(place, "later")
        lost = leaves(place)
        await place.tenure.sequencer.run(place.one.id)
        old_head = json.loads((place.settings.root_dir / "mirror" / "heads" / place.one.id).read_text())
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await assert_erased(place, "gone", certificate=state["certificate"])
        assert await place.certificate(state["certificate"]) == envelope
        assert await place.value("stays") == "about stays"
        under = await tenure.gateway.query(place.one.ask(), SCOPE, Query(path=("people",)))
        assert [one.key for one in under.items] == ["stays"]
        assert await place.value("theirs", tenant=place.two) == "about theirs"
        assert (await place.tenure.subjects.lookup(place.one["dpo"], "customer:gone"))["items"] == []
        with pytest.raises(NotFound):
            await place.get("later")
        survivors = {key: parts for key, parts in place.stored().items() if any(parts)}
        assert survivors.items() <= before.items()
        assert len(survivors) == 1

        # Whoever is met now gets a leaf that no lost state can have used.
        await _people(place, "fresh", "gone", "later")
        fresh = set(leaves(place)) - set(lost)
        assert len(fresh) == 3
        assert {leaf >> 32 for leaf in fresh} == {1}

        # The log went on under a new origin and says what is missing.
        report = await place.audited()
        assert (place.published().name, old_head["origin"].rpartition("/")[2]) == ("2", "1")
        assert report.ok, report.failures
        first = min((one for one in place.entries() if one["_at"][0] == 2), key=lambda one: one["_at"])
        assert first["kind"] == "log.open"
        assert first["data"]["previous_origin"] == old_head["origin"]
        assert first["data"]["previous_size"] == old_head["size"]
        assert first["data"]["previous_root"] == old_head["root"]
        assert 0 < first["data"]["lost"] < old_head["size"]
        assert root_versions(place)["key"] != [1]
        await assert_certified(place, await place.erase("customer:stays"))
    async with place.opened() as tenure:
        assert not tenure.recovered.restored, "found once, dealt with"
        await assert_erased(place, "stays", certificate=(await _last(place)))


async def _last(cell: Cell) -> str:
    found = cell.rows(
        "SELECT CAST(certificate_id AS TEXT) FROM shreds WHERE state = 'completed' ORDER BY requested_at DESC"
    )
    return str(found[0][0])


async def test_a_restore_without_any_erasure_is_noticed(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "one")
    backup = backups.take()
    async with place.opened():
        await _people(place, "two")
        given = leaves(place)
        await place.tenure.sequencer.run(place.one.id)
        lost_until = ids.now()
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        since = place.rows("SELECT access_since FROM tenant_state")
        assert min(since) > (lost_until,), "what was read until now is forgotten, and nothing goes by that"
        assert await place.value("one") == "about one"
        await _people(place, "three")
        fresh = set(leaves(place)) - set(given)
        assert [leaf >> 32 for leaf in fresh] == [1]
        report = await place.audited()
        assert report.ok, report.failures
        assert any("lost" in note for note in report.notes)


@pytest.mark.databases(*DATABASES)
async def test_restored_twice(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "a", "b", "stays")
    backup = backups.take()
    seen: set[int] = set()
    for round_, name in enumerate(("a", "b"), 1):
        async with place.opened():
            await _people(place, f"new{round_}")
            seen |= set(leaves(place))
            await assert_certified(place, await place.erase(f"customer:{name}"))
            await place.tenure.sequencer.run(place.one.id)
        backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        for name in ("a", "b"):
            found = await place.tenure.subjects.lookup(place.one["dpo"], f"customer:{name}")
            assert found["items"] == []
            with pytest.raises(Exception, match="erased"):
                await place.get(name)
        assert await place.value("stays") == "about stays"
        await _people(place, "new3")
        fresh = set(leaves(place)) - seen
        assert [leaf >> 32 for leaf in fresh] == [2]
        report = await place.audited()
        assert place.published().name == "3"
        assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_newer_backup_after_an_older_one(place: Cell, backups: Backups) -> None:
    """Forward again: the newer backup's own log generation is not the newest any more."""
    async with place.opened():
        await _people(place, "stays")
    old = backups.take()
    async with place.opened():
        await _people(place, "between")
        await place.tenure.sequencer.run(place.one.id)
    new = backups.take()
    old.put_back()
    async with place.opened():
        await _people(place, "side")
        await place.tenure.sequencer.run(place.one.id)
    new.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert await place.value("between") == "about between"
        await _people(place, "after")
        assert len(leaves(place)) == len(set(leaves(place)))
        report = await place.audited()
        assert place.published().name == "3"
        assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_backup_taken_while_entries_waited_for_their_place(place: Cell, backups: Backups) -> None:
    """They get it in the new generation, and their writers' counters still make sense there."""
    tenure = await place.crashing()
    await _people(place, "placed")
    await tenure.sequencer.run(place.one.id)
    tenure.sequencer.stop()
    await asyncio.sleep(0.1)
    await _people(place, "waiting")
    await crash(tenure)
    backup = backups.take()
    async with place.opened():
        await _people(place, "later")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert await place.value("waiting") == "about waiting"
        report = await place.audited()
        assert report.ok, report.failures


@pytest.mark.databases(*DATABASES)
async def test_a_backup_taken_in_the_middle_of_an_erasure(
    place: Cell, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is in the backup as begun; by now it is done, and its root key was itself destroyed."""
    tenure = await place.crashing()
    await _people(place, "first", "second", "stays")
    await place.request("customer:first")
    with monkeypatch.context() as patched:
        Failing("roots.create", 1, "before").into(tenure, patched)
        with pytest.raises(InjectedError):
            await tenure.shredder.run()
    await crash(tenure)
    backup = backups.take()
    async with place.opened():
        await assert_certified(place, await place.erase("customer:second"))
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        for name in ("first", "second"):
            with pytest.raises(Exception, match="erased"):
                await place.get(name)
        assert await place.value("stays") == "about stays"
        states = place.rows("SELECT state FROM shreds")
        assert set(states) == {("completed",)}
        await assert_certified(place, await place.erase("customer:stays"))


@pytest.mark.databases(*DATABASES)
async def test_a_backup_from_between_request_and_batch(place: Cell, backups: Backups) -> None:
    tenure = await place.crashing()
    await _people(place, "gone", "stays")
    shred = await place.request("customer:gone")
    await tenure.sequencer.run(place.one.id)
    await crash(tenure)
    backup = backups.take()
    async with place.opened():
        state = await place.erasure(shred)
        assert state["state"] == "completed", "a start gathers what waits"
    backup.put_back()
    async with place.opened():
        await assert_erased(place, "gone", certificate=state["certificate"])
        assert await place.value("stays") == "about stays"


async def test_what_was_derived_goes_again_and_is_asked_for_again(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await declare(place, scope(AGAIN, REDERIVE))
        source = (await place.put("talk", 1, "customer:gone")).version_id
        first = await derive(place, "summary", 2, source)
        await derive(place, "again", 3, first, where=AGAIN)
    backup = backups.take()
    async with place.opened():
        state = await place.erase("customer:gone")
    backup.put_back()
    async with place.opened() as tenure:
        for key, where in (("summary", NOTES), ("again", AGAIN)):
            with pytest.raises(Erased) as gone:
                await place.get(key, scope=where)
            assert gone.value.certificate == state["certificate"]
        (asked,) = (await tenure.rederivations.page(place.one["dpo"], state="pending"))["items"]
        assert asked["shred"] == state["shred"]
        assert not [parts for parts in place.stored().values() if any(parts)]


async def test_a_tenant_made_after_the_backup_is_lost_and_harms_nobody(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "stays")
    backup = backups.take()
    async with place.opened():
        made = await place.tenure.tenants.create(place.operator, "third")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert await place.value("stays") == "about stays"
        assert len(place.rows("SELECT id FROM tenants")) == 2
        with pytest.raises(Exception, match="unknown"):
            await tenure.manifests.every(parse_api_key(made["admin_key"]))
        await assert_certified(place, await place.erase("customer:stays"))


async def test_an_old_receipt_is_still_given_and_verifies(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
        opened = await place.tenure.decisions.open(place.one["agent"], Opening(SUPPORT))
        await place.get("stays", ask=place.one.ask(decision=opened["id"]))
        await place.tenure.decisions.seal(place.one["agent"], opened["id"], "done", None)
        await place.tenure.sequencer.run(place.one.id)
        old_key = await place.verifier()
    backup = backups.take()
    async with place.opened():
        await place.erase("customer:gone")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened():
        receipt = await place.tenure.decisions.receipt(place.one["agent"], opened["id"])
        assert verify_receipt(receipt, [old_key]).ok
        context = await place.tenure.decisions.context(place.one.ask(), opened["id"])
        assert context["items"][0]["content"] == {"v": "about stays"}
    assert audit(DirSource(place.published(generation=1)), [old_key]).ok


# ── the mirror ────────────────────────────────────────────────────────────────────────────────────
async def test_a_lost_mirror_is_made_again_and_a_later_erasure_works(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _people(place, "first", "second", "stays")
        first = await place.erase("customer:first")
    shutil.rmtree(place.settings.root_dir / "mirror")
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        assert await place.value("stays") == "about stays"
    backup = backups.take()
    async with place.opened():
        second = await place.erase("customer:second")
        await assert_certified(place, second)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await assert_erased(place, "first", certificate=first["certificate"])
        await assert_erased(place, "second", certificate=second["certificate"])
        assert await place.value("stays") == "about stays"


async def test_a_mirror_made_again_still_knows_the_erasures(place: Cell, backups: Backups) -> None:
    """Erased, then the mirror lost, then restored from before the erasure: still known as erased."""
    async with place.opened():
        await _people(place, "gone", "stays")
    backup = backups.take()
    async with place.opened():
        state = await place.erase("customer:gone")
    shutil.rmtree(place.settings.root_dir / "mirror")
    async with place.opened():
        pass
    backup.put_back()
    async with place.opened():
        assert await place.value("stays") == "about stays"
        await assert_erased(place, "gone", certificate=state["certificate"])
        await place.put("gone", "again", "customer:gone")
        assert await place.value("gone") == "again"


async def test_a_mirror_made_again_does_not_count_epochs_anew(place: Cell, backups: Backups) -> None:
    """Leaves of the first restore's epoch are in use; a second restore must not hand them out again."""
    async with place.opened():
        await _people(place, "stays")
    backup = backups.take()
    async with place.opened():
        await _people(place, "lost")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened():
        await _people(place, "epoch-one")
        assert max(leaf >> 32 for leaf in leaves(place)) == 1
    second = backups.take()
    shutil.rmtree(place.settings.root_dir / "mirror")
    async with place.opened():
        await _people(place, "more")
        given = leaves(place)
        await place.tenure.sequencer.run(place.one.id)
    second.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await _people(place, "fresh")
        assert [leaf >> 32 for leaf in set(leaves(place)) - set(given)] == [2]
        assert await place.value("epoch-one") == "about epoch-one"


async def test_the_pointer_in_the_mirror_never_goes_back(place: Cell) -> None:
    """Two key changes may finish in either order; the newest live state is what a restore adopts."""
    async with place.opened() as tenure:
        mirror = tenure.shredder._ground.mirror
        await _people(place, "gone")
        older = mirror.pointer()
        await place.erase("customer:gone")
        newest = mirror.pointer()
        assert older is not None
        assert newest is not None
        mirror.put_pointer(*older)
        assert mirror.pointer() == newest


async def test_database_and_mirror_rolled_back_together_open_for_nobody(
    place: Cell, backups: Backups
) -> None:
    async with place.opened():
        await _people(place, "gone", "stays")
    backup = backups.take()
    mirror = place.settings.root_dir / "mirror"
    shutil.copytree(mirror, place.settings.root_dir.parent / "old-mirror")
    async with place.opened():
        await place.erase("customer:gone")
    backup.put_back()
    shutil.rmtree(mirror)
    shutil.copytree(place.settings.root_dir.parent / "old-mirror", mirror)
    with pytest.raises(RootLost):
        async with place.opened():
            pass


@pytest.mark.databases(*DATABASES)
async def test_a_crash_while_recovering_is_recovered(
    place: Cell, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.governance import recovery

    async with place.opened():
        await _people(place, "gone", "stays")
    backup = backups.take()
    async with place.opened():
        state = await place.erase("customer:gone")
        await _people(place, "lost")
        given = leaves(place)
    for step in ("_adopt", "_put_back", "_new_generation", "re_mirror"):
        backup.put_back()
        real = getattr(recovery, step)

        def failing(*args: object, real: object = real, **kw: object) -> None:
            real(*args, **kw)  # type: ignore[operator]
            raise InjectedError

        with monkeypatch.context() as patched:
            patched.setattr(recovery, step, failing)
            with pytest.raises(InjectedError):
                await place.crashing()
        async with place.opened():
            await assert_erased(place, "gone", certificate=state["certificate"])
            assert await place.value("stays") == "about stays"
            await _people(place, f"fresh{step}")
            fresh = set(leaves(place)) - set(given)
            assert len(fresh) == 1, step
            given += fresh
            report = await place.audited()
            assert report.ok, (step, report.failures)


async def _held(place: Cell, key: str, customer: str) -> str:
    """Somebody with one record, and a hold on them; its id."""
    await place.put(key, "evidence", customer)
    person = await place.person(customer)
    return str((await place.tenure.holds.place(place.one["dpo"], "subject", person, "case 7"))["id"])


@pytest.mark.parametrize("placed", ["before", "after"])
@pytest.mark.databases(*DATABASES)
async def test_what_a_hold_keeps_outlives_a_restore(place: Cell, backups: Backups, placed: str) -> None:
    """The backup's headers have no leaf left that lives; the mirror has those that the batch had made."""
    async with place.opened():
        await place.put("stays", 1, "customer:stays")
        hold = await _held(place, "kept", "customer:held") if placed == "before" else ""
        await place.put("kept", "evidence", "customer:held")
    backup = backups.take()
    async with place.opened():
        hold = hold or await _held(place, "kept", "customer:held")
        state = await place.erase("customer:held")
        at_erasure = kept_by(place, hold)
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await assert_erased(place, "kept", certificate=state["certificate"])
        # What was written after the backup is lost, as everything else is.
        expected = at_erasure[: 2 if placed == "before" else 1]
        assert kept_by(place, hold) == expected
        shown = await tenure.holds.get(place.one["dpo"], hold)
        assert (shown["state"], shown["ground"], shown["versions"]) == ("active", "case 7", len(expected))
        page = await tenure.gateway.query(place.one.ask(), SCOPE, Query(limit=50))
        assert [item.key for item in page.items] == ["stays"]

        released = await tenure.holds.release(place.one["dpo"], hold)
        await tenure.shredder.run()
        certified = await assert_certified(place, await place.erasure(released["shred"]))
        assert certified["stores"]["database"]["versions_purged"] == len(expected)
        assert len([parts for parts in place.stored().values() if any(parts)]) == 1


async def test_what_a_scope_keeps_outlives_a_restore(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await declare(place, scope(KEPT, KEEP))
        talk = await place.put("talk", "hers", "customer:gone")
        both = await place.put("both", "theirs", "customer:gone", "customer:stays")
        await derive(place, "nobody's", 1, talk.version_id, where=KEPT)
        await derive(place, "other's", 2, both.version_id, where=KEPT)
    backup = backups.take()
    async with place.opened():
        state = await place.erase("customer:gone")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await assert_erased(place, "talk", "both", certificate=state["certificate"])
        assert [await place.value(key, scope=KEPT) for key in ("nobody's", "other's")] == [1, 2]
        await declare(place, scope(KEPT, None))
        await place.erase("customer:stays")
        assert await place.value("nobody's", scope=KEPT) == 1
        with pytest.raises(Erased):
            await place.get("other's", scope=KEPT)


async def test_a_held_segment_outlives_a_restore(place: Cell, backups: Backups) -> None:
    words = [Segment(json.dumps(name).encode(), (f"customer:{name}",)) for name in ("gone", "stays")]
    async with place.opened():
        await place.tenure.gateway.write(
            place.one.ask(), SCOPE, "talk", Draft(b"", (), ("contact",), segments=tuple(words))
        )
        hold = await _held(place, "other", "customer:gone")
    backup = backups.take()
    async with place.opened():
        await place.erase("customer:gone")
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    attic = Attic()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert [one.content for one in (await place.get("talk")).segments] == [None, words[1].content]
        await asyncio.to_thread(attic.keep, place)
        reads = Oracle(attic, place.settings.root_dir / "keys").reads("content")
        assert words[0].content in reads, "kept for the hold"
        await tenure.holds.release(place.one["dpo"], hold)
        await tenure.shredder.run()
        await asyncio.to_thread(attic.keep, place)
        reads = Oracle(attic, place.settings.root_dir / "keys").reads("content")
        assert reads == {words[1].content}


async def test_a_hold_that_was_released_keeps_nothing_after_a_restore(place: Cell, backups: Backups) -> None:
    async with place.opened():
        hold = await _held(place, "kept", "customer:held")
    backup = backups.take()
    async with place.opened():
        await place.erase("customer:held")
        await place.tenure.holds.release(place.one["dpo"], hold)
        await place.tenure.shredder.run()
        await place.tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert (await tenure.holds.get(place.one["dpo"], hold))["state"] == "released"
        assert [parts for parts in place.stored().values() if any(parts)] == []


async def test_a_mirror_that_was_lost_gets_the_headers_again(place: Cell, backups: Backups) -> None:
    async with place.opened():
        hold = await _held(place, "kept", "customer:held")
        await declare(place, scope(KEPT, KEEP))
        source = (await place.get("kept")).version_id
        await derive(place, "derived", 1, source, where=KEPT)
    backup = backups.take()
    async with place.opened():
        await place.erase("customer:held")
    shutil.rmtree(place.settings.root_dir / "mirror")
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        await place.put("later", 1, "customer:later")
        await tenure.sequencer.run(place.one.id)
    backup.put_back()
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert b'{"v": "evidence"}' in kept_by(place, hold)
        assert await place.value("derived", scope=KEPT) == 1


async def test_a_header_of_another_version_is_not_put_back(place: Cell, backups: Backups) -> None:
    async with place.opened():
        await _held(place, "kept", "customer:held")
    backup = backups.take()
    async with place.opened():
        await place.put("other", 1, "customer:held")
        await place.erase("customer:held")
    backup.put_back()
    found = (place.settings.root_dir / "mirror" / "rewrapped").rglob("*")
    (path,) = [one for one in found if one.is_file()]
    content = json.loads(path.read_text())
    headers = [one[2] for one in content["versions"]]
    for one, header in zip(content["versions"], reversed(headers), strict=True):
        one[2] = header
    path.write_text(json.dumps(content))
    with pytest.raises(Tampered):
        async with place.opened():
            pass


async def test_a_restored_batch_that_was_under_way_keeps_what_is_held(
    place: Cell, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is from between intent and re-wrapping: the database knows the batch, not the slots."""
    async with place.opened():
        hold = await _held(place, "kept", "customer:held")
        await place.request("customer:held")
        with monkeypatch.context() as patched:
            Failing("mirror.put_intent", 1, "before").into(place.tenure, patched)
            with pytest.raises(InjectedError):
                await place.tenure.shredder.run()
    backup = backups.take()
    async with place.opened():
        await place.tenure.shredder.run()
        await place.tenure.sequencer.run(place.one.id)
        assert len(kept_by(place, hold)) == 1
    backup.put_back()
    async with place.opened():
        await place.tenure.shredder.run()
        assert kept_by(place, hold) == [b'{"v": "evidence"}']


@pytest.mark.databases(*DATABASES)
async def test_what_had_its_time_has_it_after_a_restore(
    place: Cell, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cohorts that ended since the copy end again, and what a hold kept of them finds its slot."""
    travel = Travel.begun(monkeypatch)
    async with place.opened() as tenure:
        brief = {"scopes": ["support.**"], "categories": "*", "deleteAfter": "10d"}
        manifest = {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": "r"}, "spec": brief}
        await tenure.manifests.apply(place.one["admin"], json.dumps(manifest), dry_run=False)
        await _people(place, "goes", "held")
        held = (await place.get("held")).record
        hold = await tenure.holds.place(place.one["dpo"], "record", held, "case 7")
    backup = backups.take()
    travel.on(days=12)
    async with place.opened() as tenure:
        await _people(place, "later")
        await Evict(tenure.batcher, tenure._database, lambda: None).run(Run("evict"))
        await tenure.shredder.run()
        with pytest.raises(Erased) as erased:
            await place.get("goes")
    backup.put_back()
    async with place.opened() as tenure:
        for name in ("goes", "held"):
            with pytest.raises(Erased) as again:
                await place.get(name)
            assert again.value.certificate == erased.value.certificate
        kept = {record for (record, _), parts in place.stored().items() if any(parts)}
        assert kept == {held}
        assert place.rows("SELECT count(*) FROM cohorts WHERE state <> 'open' AND shred_id IS NULL") == [(0,)]
        assert place.rows("SELECT count(*) FROM cohorts WHERE state = 'over'") == [(1,)]
        await _people(place, "fresh")
        released = await tenure.holds.release(place.one["dpo"], hold["id"])
        await tenure.shredder.run()
        await assert_certified(place, await place.erasure(released["shred"]))
        assert place.stored()[held, 1] == (None, None, None)
        assert await place.value("fresh") == "about fresh"
