"""Changing a log's key: who pinned the old one follows, nobody else signs, and no crash breaks the log."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.test_ledger_live import _decide
from integration.test_witnessed import Pair
from support import killed, nursery
from support.cell import BRIEF_S, Cell, crash
from support.databases import DATABASES
from tenure import publisher, witnesses
from tenure.cli.entry import app
from tenure.client.source import DirSource
from tenure.errors import Denied, KeyFailure, NotFound
from tenure.governance import celllog
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.base64 import from_base64
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tenure.ledger.cosignature import cosigned_by
from tenure.ledger.note import Signer, Verifier
from tenure.ledger.receipt import verify_receipt
from tenure.store import ledgerkeys, log

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


@pytest.fixture(autouse=True)
def _no_rounds(monkeypatch):
    """Receipts show the newest checkpoint: the cell's log takes none in meanwhile."""
    monkeypatch.setattr(celllog, "GATHER_S", 3600.0)


async def rotate(cell: Cell, tenant=None) -> Verifier:
    tenant = tenant or cell.one
    done = await cell.tenure.ledger_keys.rotate(tenant["admin"])
    return Verifier.parse(done["vkey"])


def audited(folder: Path, key: Verifier, **given):
    return audit(DirSource(folder), [key], **given)


def head(folder: Path) -> str:
    return (folder / "checkpoint").read_text()


@pytest.mark.databases(*DATABASES)
async def test_who_pinned_the_old_key_follows_to_the_present_one(cell: Cell, tmp_path: Path) -> None:
    decision, old = await _decide(cell)
    before = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    past = head(cell.published())
    middle = await rotate(cell)
    await cell.put("k", 1, "customer:1")
    new = await rotate(cell)
    await cell.put("k", 2, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    signed = open_checkpoint(head(cell.published()), [old, middle, new])
    assert [line.key_id for line in signed.signatures] == [new.key_id], "the old ones sign no more"
    assert (cell.published() / "vkey").read_text() == f"{new.vkey}\n"
    for pinned, steps in ((old, 2), (middle, 1), (new, 0)):
        report = audited(cell.published(), pinned)
        assert report.ok, report.failures
        assert len(report.rotations) == steps
    assert audited(cell.published(), old, earlier=[past]).earlier[0] == int(past.splitlines()[1])
    # The same from the server.
    reader, auditor = cell.tenure.ledger, cell.one["auditor"]
    shown = await reader.key(auditor)
    assert shown["vkey"] == new.vkey
    assert [one["vkey"] for one in shown["previous"]] == [middle.vkey, old.vkey]
    assert await cell.tenure.receipts.rotations(auditor) == (cell.published() / "rotations").read_text()
    indexes = [one["replaced_at"] for one in shown["previous"]]
    kinds = {entry["_at"][1]: entry["kind"] for entry in cell.entries()}
    assert [kinds[index] for index in indexes] == ["key.rotate", "key.rotate"]
    # What was given out before holds under the old key; what is given out now says what is needed.
    assert verify_receipt(before, [old]).ok
    after = await cell.tenure.decisions.receipt(cell.one["agent"], decision)
    refused = verify_receipt(after, [old])
    assert [one.check for one in refused.failures] == ["unknown-key"]
    assert "tenure audit" in refused.failures[0].detail
    (tmp_path / "receipt").write_text(after)
    verify = ["verify", str(tmp_path / "receipt"), "--vkey", old.vkey]
    assert CliRunner().invoke(app, verify).exit_code == 1
    chained = CliRunner().invoke(app, [*verify, "--chain", str(cell.published() / "rotations")])
    assert chained.exit_code == 0, chained.output
    printed = CliRunner().invoke(app, ["audit", str(cell.published()), "--vkey", old.vkey])
    assert printed.exit_code == 0, printed.output
    assert f"{old.key_id.hex()} was followed by {middle.key_id.hex()}" in printed.output


async def test_an_old_seed_signs_nothing_that_is_believed(cell: Cell) -> None:
    """A thief of the old seed who extends the log after the change is named by whoever pinned that key."""
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    origin = (await cell.verifier()).name
    seed = bytes(cell.tenure.sequencer._keyring.manifest().tenants[cell.one.id].ledger_seed)
    thief = Signer(origin, seed)
    await rotate(cell)
    await cell.put("k", 2, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    size, root = head(cell.published()).splitlines()[1:3]
    forged = sign_checkpoint(Checkpoint(origin, int(size), from_base64(root)), [thief])
    (cell.published() / "checkpoint").write_text(forged)
    report = audited(cell.published(), thief.verifier)
    assert [one.check for one in report.failures] == ["key-retired"]


async def test_a_process_with_yesterdays_keys_signs_nothing(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    keyring, origin = cell.tenure.sequencer._keyring, (await cell.verifier()).name
    old = keyring.signer(cell.one.id, origin)
    new = await rotate(cell)
    keyring._signers[origin] = old  # as another process still has it
    await cell.put("k", 2, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    assert open_checkpoint(head(cell.published()), [new]).signatures
    with pytest.raises(KeyFailure, match="nothing was signed"):
        keyring.signer(cell.one.id, origin, old.vkey)


async def test_two_processes_of_one_cell_go_on_with_the_new_key(scaled: Cell) -> None:
    async with scaled.opened() as one, scaled.opened() as two:
        await scaled.put("k", 1, "customer:1")
        await two.sequencer.run(scaled.one.id)
        old = await scaled.verifier()
        await one.ledger_keys.rotate(scaled.one["admin"])
        for n in range(3):
            await scaled.put("k", n, "customer:1")
            await two.sequencer.run(scaled.one.id)
            await one.sequencer.run(scaled.one.id)
        report = audited(scaled.published(), old)
        assert report.ok, report.failures
        assert len(report.rotations) == 1


@pytest.mark.databases(*DATABASES)
async def test_the_operator_changes_the_cells_own_key_and_a_tenants(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    await cell.tenure.sequencer.run(CELL)
    folder = cell.published().parents[1] / CELL / "1"
    cells, theirs = Verifier.parse((folder / "vkey").read_text()), await cell.verifier()
    done = await cell.tenure.ledger_keys.rotate(cell.operator)
    assert done["previous"] == cells.vkey
    assert (await cell.tenure.ledger.key(cell.one["auditor"]))["cell"]["vkey"] == done["vkey"]
    done = await cell.tenure.ledger_keys.rotate(cell.operator, cell.one.id)
    assert done["previous"] == theirs.vkey
    await cell.tenure.sequencer.run(CELL)
    for report in (audited(folder, cells), audited(cell.published(), theirs)):
        assert report.ok, report.failures
        assert len(report.rotations) == 1
    for who, of in (("admin", cell.two.id), ("admin", CELL)):
        with pytest.raises(NotFound):
            await cell.tenure.ledger_keys.rotate(cell.one[who], of)
    with pytest.raises(NotFound):
        await cell.tenure.ledger_keys.rotate(cell.operator, "00000000-0000-7000-8000-000000000000")
    for who in ("auditor", "agent", "dpo"):
        with pytest.raises(Denied):
            await cell.tenure.ledger_keys.rotate(cell.one[who])


@pytest.mark.databases(*DATABASES)
async def test_under_load_nothing_is_lost(cell: Cell) -> None:
    await cell.put("k", 0, "customer:1")
    old = await cell.verifier()
    writes = [asyncio.create_task(cell.put(f"k{n}", n, f"customer:{n % 5}")) for n in range(60)]
    await asyncio.gather(*writes[:5])
    await rotate(cell)
    await asyncio.gather(*writes)
    await cell.tenure.sequencer.run(cell.one.id)
    report = audited(cell.published(), old)
    assert report.ok, report.failures
    assert report.kinds["write"] >= 61


FILES, MIRROR, HERE = "tenure.cold.files", "tenure.cold.mirror", "tenure.governance.ledgerkeys"
POINTS = [
    (f"{HERE}:mirror_state", "before", "", False),
    (f"{HERE}:mirror_state", "after", "", False),
    (f"{HERE}:stage", "after", "", False),
    (f"{HERE}:swap", "after", "", False),
    (f"{MIRROR}:Mirror.put_pointer", "before", "", True),
    (f"{MIRROR}:Mirror.put_pointer", "after", "", True),
    (f"{FILES}:FileObjects.put", "before", "/rotations", True),
    (f"{FILES}:FileObjects.put", "after", "/rotations", True),
    (f"{FILES}:FileObjects.put", "after", "TENANT/1/vkey", True),
    (f"{FILES}:FileObjects.put", "after", "TENANT/1/checkpoint", True),
    (f"{MIRROR}:Mirror.put_head", "after", "TENANT", True),
]


@pytest.mark.parametrize(("point", "when", "name", "changed"), POINTS)
@pytest.mark.databases(*DATABASES)
async def test_killed_at_any_step_the_log_is_whole(place: Cell, tmp_path, point, when, name, changed) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    past = head(place.published())
    fields = ("data_dir", "root_dir", "database_url", "migration_url")
    settings = {one: str(getattr(place.settings, one)) for one in fields}
    settings["replica_lease_s"] = str(BRIEF_S)
    given = {"settings": settings, "api_key": place.one.keys["admin"]}
    (tmp_path / "killed.json").write_text(json.dumps({**given, "point": point, "when": when, "name": name}))
    ended = await asyncio.to_thread(nursery.run, Path(killed.__file__), str(tmp_path / "killed.json"))
    assert ended.returncode == -signal.SIGKILL, ended.stdout.decode()
    async with place.opened() as tenure:
        assert not tenure.recovered.restored
        await place.put("k", 2, "customer:1")
        await tenure.sequencer.run(place.one.id)
        report = audited(place.published(), old, earlier=[past])
        assert report.ok, report.failures
        assert len(report.rotations) == changed
        served = Verifier.parse((await tenure.ledger.key(place.one["auditor"]))["vkey"])
        assert (served != old) == changed
        assert audited(place.published(), served, earlier=[] if changed else [past]).ok
        await rotate(place)
        assert audited(place.published(), old, earlier=[past]).ok
    assert [path.name for path in place.published().parent.iterdir()] == ["1"], "one log, one tree"


async def test_a_restored_database_never_signs_with_the_old_seed(embedded: Cell, tmp_path: Path) -> None:
    place = embedded
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    async with place.opened():
        new = await rotate(place)
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        await place.put("k", 2, "customer:1")
        await tenure.sequencer.run(place.one.id)
        served = Verifier.parse((await tenure.ledger.key(place.one["auditor"]))["vkey"])
        assert served.public == new.public != old.public
        assert served.name.endswith("/2")
        assert audited(place.published(), served).ok
        # The generation that ended keeps its key on record, whatever happens to the next.
        await rotate(place)
        kept = tenure._database.read(place.one.id, lambda tx: ledgerkeys.newest(tx, 1))
        assert kept in (old.vkey, new.vkey)


async def test_restored_to_before_a_change_that_was_never_published_a_new_log_begins(
    embedded: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror has the new seed, the log's head is the old one: nobody could follow, so another begins."""
    place = embedded
    first = await place.crashing()
    await place.put("k", 1, "customer:1")
    await first.sequencer.run(place.one.id)
    old = await place.verifier()
    await crash(first)  # no writer says good-bye: the copy's log is exactly the mirrored head
    past = head(place.published())
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    tenure = await place.crashing()
    real = tenure.sequencer.publisher._put_files

    def unpublished(tenant_id):
        named = tenure._database.read(tenant_id, lambda tx: ledgerkeys.newest(tx, 1))
        if tenant_id == place.one.id and named != old.vkey:
            raise OSError("the object store is away")
        return real(tenant_id)

    monkeypatch.setattr(tenure.sequencer.publisher, "_put_files", unpublished)
    with pytest.raises(OSError, match="away"):
        await rotate(place)
    await crash(tenure)
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert place.one.id in {one.tenant_id for one in tenure.recovered.lost}
        assert head(place.published(generation=1)) == past, "the change was seen by nobody"
        await tenure.sequencer.run(place.one.id)
        current = tenure._database.read(place.one.id, log.newest)
        assert current.generation == 2
        served = Verifier.parse((await tenure.ledger.key(place.one["auditor"]))["vkey"])
        assert served.public != old.public
        assert audited(place.published(), served).ok


async def test_a_witness_takes_the_change_itself_and_must_be_told_for_what_follows(
    embedded: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witnesses, "_REFUSED_REST_S", 0.0)
    monkeypatch.setattr(publisher, "AGAIN_S", 3600)
    (tmp_path / "witnesses").mkdir()
    place, pair = embedded, Pair(tmp_path / "witnesses")
    await pair.know(place)
    with pair.up(0, 1):
        async with place.opened(**pair.name(1)) as tenure:
            await place.put("k", 1, "customer:1")
            await tenure.sequencer.run(place.one.id)
            new = await rotate(place)
            assert cosigned_by(head(place.published()), pair.keys) == tuple(pair.keys)
            await place.put("k", 2, "customer:1")
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(head(place.published()), pair.keys) == ()
            for witness in pair.places:
                witness.trust(new.vkey)
            await tenure.sequencer.run(place.one.id)
            assert cosigned_by(head(place.published()), pair.keys) == tuple(pair.keys)


async def test_a_tenant_that_leaves_takes_a_ledger_with_changed_keys_along(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    old = await cell.verifier()
    new = await rotate(cell)
    asked = await cell.tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over")
    await cell.tenure.shredder.run()
    state = await cell.tenure.erasures.state(cell.operator, asked["shred"])
    assert (state["state"], state["ledger"]) == ("completed", "hand-over")
    folder = cell.settings.data_dir / "objects" / "handover" / cell.one.id
    (handed,) = json.loads((folder / "logs.json").read_text())
    assert handed["vkey"] == new.vkey
    for key in (old, new):
        assert audited(folder / "ledger" / "1", key).ok


async def test_a_generation_that_ended_before_the_change_keeps_its_own_key(
    embedded: Cell, tmp_path: Path
) -> None:
    place = embedded
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        first = await place.verifier()
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    async with place.opened():
        await place.put("k", 2, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
    shutil.copytree(place.published(), tmp_path / "ended")
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:  # nothing that was published since is there: a generation begins
        await tenure.sequencer.run(place.one.id)
        shutil.copytree(tmp_path / "ended", place.published(generation=1), dirs_exist_ok=True)
        await rotate(place)
        asked = await tenure.tenants.shred(place.operator, place.one.id, ledger="hand-over")
        await tenure.shredder.run()
        state = await tenure.erasures.state(place.operator, asked["shred"])
        assert (state["state"], state["ledger"]) == ("completed", "hand-over")
    folder = place.settings.data_dir / "objects" / "handover" / place.one.id
    handed = json.loads((folder / "logs.json").read_text())
    assert [one["generation"] for one in handed] == [1, 2]
    assert handed[0]["vkey"] == first.vkey
    assert Verifier.parse(handed[1]["vkey"]).public != first.public


async def test_a_database_restored_to_before_a_published_change_is_brought_up_over_it(
    embedded: Cell, tmp_path: Path
) -> None:
    """The published entries are there, and the proofs of the changes: the same log goes on."""
    place = embedded
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    async with place.opened():
        await rotate(place)
        await place.put("k", 2, "customer:1")
        new = await rotate(place)
        await place.put("k", 3, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
    shutil.copytree(place.settings.data_dir / "objects", tmp_path / "objects")
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    shutil.rmtree(place.settings.data_dir / "objects")
    shutil.copytree(tmp_path / "objects", place.settings.data_dir / "objects")
    async with place.opened() as tenure:
        assert place.one.id in {one.tenant_id for one in tenure.recovered.brought}
        await place.put("k", 4, "customer:1")
        await tenure.sequencer.run(place.one.id)
        assert (await tenure.ledger.key(place.one["auditor"]))["vkey"] == new.vkey
        assert place.published().name == "1"
        report = audited(place.published(), old)
        assert report.ok, report.failures
        assert len(report.rotations) == 2
        assert len((await tenure.ledger.key(place.one["auditor"]))["previous"]) == 2
        await rotate(place)
        assert audited(place.published(), old).ok


async def test_a_change_that_another_process_published_is_adopted_after_a_restore(
    embedded: Cell, tmp_path: Path
) -> None:
    """Whoever changed the key was killed before the mirror knew; who publishes it says so first."""
    place = embedded
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    tenure = await place.crashing()
    keys, admin = tenure.ledger_keys, place.one["admin"]
    await keys._service.run(
        admin, "tenure.ledger", "write", lambda seat: keys._rotated(seat, place.one.id, [])
    )
    await tenure.sequencer.run(place.one.id)
    await crash(tenure)
    assert len(audited(place.published(), old).rotations) == 1
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:
        await tenure.sequencer.run(place.one.id)
        served = Verifier.parse((await tenure.ledger.key(place.one["auditor"]))["vkey"])
        assert served.public != old.public
        assert served.name.endswith("/2")
