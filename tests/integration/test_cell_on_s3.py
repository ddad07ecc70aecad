"""A cell whose objects and mirror lie in a bucket: everything that it does with files works there."""

import asyncio
import json
from pathlib import Path

import pytest
from test_bring_up import Copies, copies
from test_shelf import repaired

from foreign import goverifier
from support.cell import Cell
from support.databases import DATABASES
from support.elsewhere import Elsewhere, elsewhere, put_back, take
from support.erasure import assert_erased
from support.rgw import Bucket
from tenure import safekeeping
from tenure.errors import Conflict, Unavailable
from tenure.groundwork import mirror_of, objects_of
from tenure.ledger.audit import AuditReport, audit
from tenure.ledger.tile import ENTRIES, TileId
from tenure.settings import Settings

__all__ = ["copies", "elsewhere"]
pytestmark = [pytest.mark.anyio, pytest.mark.s3, pytest.mark.databases("sqlite")]


@pytest.fixture
def on_s3(place: Cell, bucket: Bucket) -> Cell:
    """The prepared cell, with its mirror moved into the bucket."""
    files = place.settings.root_dir / "mirror"
    places = {"objects_url": bucket.url("cell/objects"), "mirror_url": bucket.url("mirror")}
    place.settings = place.settings.model_copy(update=places | {"s3_endpoint": bucket.server.endpoint})
    moved = mirror_of(place.settings)
    for path in sorted(files.rglob("*")):
        if path.is_file():
            moved.put(path.relative_to(files).as_posix(), path.read_bytes())
    return place


def _base(cell: Cell, generation: int = 1) -> str:
    return f"ledger/{cell.one.id}/{generation}"


async def audited(cell: Cell, *earlier: str, generation: int = 1) -> AuditReport:
    """What a reader of the bucket finds under the pinned key."""
    await cell.tenure.sequencer.run(cell.one.id)
    objects, base = objects_of(cell.settings), _base(cell, generation)
    report = audit(lambda path: objects.get(f"{base}/{path}"), [await cell.verifier()], earlier=earlier)
    assert report.ok, report.failures
    return report


async def test_a_stranger_verifies_from_the_bucket(on_s3: Cell, bucket: Bucket, tmp_path: Path) -> None:
    before = sorted(on_s3.settings.data_dir.rglob("*"))
    async with on_s3.opened():
        await on_s3.put("gone", 1, "customer:gone")
        await asyncio.gather(*(on_s3.get("gone") for _ in range(300)))
        await audited(on_s3)
        first = bucket.get(f"cell/objects/{_base(on_s3)}/checkpoint")
        state = await on_s3.erase("customer:gone")
        await assert_erased(on_s3, "gone", certificate=state["certificate"])
        report = await audited(on_s3, first.decode())
        assert report.earlier
        vkey = (await on_s3.tenure.ledger.key(on_s3.one["auditor"]))["vkey"]
    added = set(on_s3.settings.data_dir.rglob("*")) - set(before)
    assert all(path.name.startswith("tenure.db") or path.name == "lock" for path in added), "nothing in files"
    (tmp_path / "first").write_bytes(first)
    url = f"{bucket.open_to_all()}/cell/objects/{_base(on_s3)}"
    passed, said = goverifier.run(goverifier.build(tmp_path), url, vkey, [tmp_path / "first"])
    assert passed, said


async def test_lost_and_changed_objects_come_back(on_s3: Cell, bucket: Bucket) -> None:
    async with on_s3.opened():
        await on_s3.put("k", 1, "customer:1")
        await asyncio.gather(*(on_s3.get("k") for _ in range(270)))
        report = await audited(on_s3)
        base = f"cell/objects/{_base(on_s3)}"
        bucket.delete(f"{base}/tile/0/000")
        bucket.put(f"{base}/tile/entries/000", b"something else")
        bucket.delete(f"{base}/checkpoint")
        found = await repaired(on_s3)
        assert sorted(found.missing) == ["checkpoint", "tile/0/000"]
        assert found.changed == [TileId(ENTRIES, 0).path]
        assert (await repaired(on_s3)).well
        assert report.checkpoint
        await audited(on_s3)


async def test_a_restored_database_is_brought_up(on_s3: Cell, bucket: Bucket, copies: Copies) -> None:
    async with on_s3.opened():
        await on_s3.put("one", 1, "customer:1")
    copy = copies.take()
    async with on_s3.opened():
        await on_s3.put("two", 2, "customer:2")
    last = bucket.get(f"cell/objects/{_base(on_s3)}/checkpoint").decode()
    copies.put_back(copy)
    async with on_s3.opened() as tenure:
        assert on_s3.one.id in {one.tenant_id for one in tenure.recovered.brought}
        assert not tenure.recovered.lost
        await audited(on_s3, last)


@pytest.mark.databases(*DATABASES)
async def test_backup_restore_and_drill(
    on_s3: Cell, bucket: Bucket, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    async with on_s3.opened():
        await on_s3.put("gone", 1, "customer:gone")
        await on_s3.put("stays", 2, "customer:stays")
        await audited(on_s3)
        made = await take(on_s3, tmp_path / "backup")
        assert any(file.name.endswith("/checkpoint") for file in made.files)
        assert not any("mirror" in file.name for file in made.files)
        state = await on_s3.erase("customer:gone")
    drill = await asyncio.to_thread(
        safekeeping.drill, on_s3.settings, tmp_path / "backup", sample=None, folder=None, scratch_url=""
    )
    assert drill.report.ok, drill.report.document["failures"]
    there = elsewhere.new()
    kept = {"mirror_url": on_s3.settings.mirror_url, "s3_endpoint": on_s3.settings.s3_endpoint}
    there.settings = there.settings.model_copy(
        update=kept | {"objects_url": on_s3.settings.objects_url + "/x"}
    )
    done = await put_back(tmp_path / "backup", there)
    assert done["erasures_replayed"] == 1
    async with there.opened():
        await assert_erased(there, "gone", certificate=state["certificate"])
        assert await there.value("stays") == 2


async def test_a_backup_refuses_a_bucket_that_holds_both(on_s3: Cell, bucket: Bucket, tmp_path: Path) -> None:
    on_s3.settings = on_s3.settings.model_copy(update={"objects_url": bucket.url()})
    with pytest.raises(Conflict, match="bring erased people back"):
        await take(on_s3, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_a_store_that_does_not_answer_ends_no_log(on_s3: Cell) -> None:
    async with on_s3.opened():
        await on_s3.put("one", 1, "customer:1")
    right: Settings = on_s3.settings
    on_s3.settings = right.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(Unavailable):
        await on_s3.crashing()
    on_s3.settings = right
    async with on_s3.opened() as tenure:
        assert not tenure.recovered.restored
        assert json.loads(mirror_of(right).get(f"heads/{on_s3.one.id}") or b"{}")["generation"] == 1
        await audited(on_s3)
