"""Changing a log's key: who pinned the old one follows, nobody else signs, and no crash breaks the log."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from integration.test_ledger_live import _decide
from support import killed
from support.cell import Cell, crash
from tenure.cli.entry import app
from tenure.client.source import DirSource
from tenure.errors import Denied, KeyFailure, NotFound
from tenure.ids import CELL
from tenure.ledger.audit import audit
from tenure.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tenure.ledger.note import Signer, Verifier
from tenure.ledger.receipt import verify_receipt
from tenure.store import ledgerkeys, log

pytestmark = pytest.mark.anyio
APP = Path(__file__).parents[2] / "app"


async def rotate(cell: Cell, tenant=None) -> Verifier:
    tenant = tenant or cell.one
    done = await cell.tenure.ledger_keys.rotate(tenant["admin"])
    return Verifier.parse(done["vkey"])


def audited(folder: Path, key: Verifier, **given):
    return audit(DirSource(folder), [key], **given)


def head(folder: Path) -> str:
    return (folder / "checkpoint").read_text()


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
    assert await reader.rotations(auditor) == (cell.published() / "rotations").read_text()
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
    from tenure.ledger.base64 import from_base64

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
async def test_killed_at_any_step_the_log_is_whole(place: Cell, tmp_path, point, when, name, changed) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    past = head(place.published())
    fields = ("data_dir", "root_dir", "database_url", "migration_url")
    settings = {one: str(getattr(place.settings, one)) for one in fields}
    settings["replica_lease_s"] = str(place.settings.replica_lease_s)
    given = {"settings": settings, "api_key": place.one.keys["admin"]}
    (tmp_path / "killed.json").write_text(json.dumps({**given, "point": point, "when": when, "name": name}))
    command = [sys.executable, str(killed.__file__), str(tmp_path / "killed.json")]
    environment = {**os.environ, "PYTHONPATH": str(APP)}
    ended = await asyncio.to_thread(
        subprocess.run, command, env=environment, check=False, stdout=subprocess.DEVNULL
    )
    assert ended.returncode == -signal.SIGKILL
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
    async with place.opened():
        await place.put("k", 1, "customer:1")
        await place.tenure.sequencer.run(place.one.id)
        old = await place.verifier()
    shutil.copytree(place.settings.data_dir, tmp_path / "copy")
    tenure = await place.crashing()
    real = tenure.sequencer._put

    def unpublished(tenant_id):
        named = tenure._database.read(tenant_id, lambda tx: ledgerkeys.newest(tx, 1))
        if tenant_id == place.one.id and named != old.vkey:
            raise OSError("the object store is away")
        return real(tenant_id)

    monkeypatch.setattr(tenure.sequencer, "_put", unpublished)
    with pytest.raises(OSError, match="away"):
        await rotate(place)
    await crash(tenure)
    shutil.rmtree(place.settings.data_dir)
    shutil.copytree(tmp_path / "copy", place.settings.data_dir)
    async with place.opened() as tenure:
        assert tenure.recovered.restored
        assert place.one.id in {one.tenant_id for one in tenure.recovered.lost}
        await tenure.sequencer.run(place.one.id)
        current = tenure._database.read(place.one.id, log.newest)
        assert current.generation == 2
        served = Verifier.parse((await tenure.ledger.key(place.one["auditor"]))["vkey"])
        assert served.public != old.public
        assert audited(place.published(), served).ok
