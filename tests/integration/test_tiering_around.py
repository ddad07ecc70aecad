"""What else looks at contents finds those in packs: searches, inspections, drills; and real buckets."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from support.cell import Cell
from support.erasure import assert_certified
from support.rgw import Bucket
from support.tiering import Later, as_promised, hot, moody, objects, packed, stocked, tier
from tenure import safekeeping
from tenure.errors import Denied, Erased, NotYet, Unavailable
from tenure.governance.packclasses import declared_classes

pytestmark = pytest.mark.anyio


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


def inspected(cell: Cell) -> set[tuple[str, str]]:
    found = safekeeping.inspect(cell.settings, lambda *_: None)
    return {(one.check, one.column) for one in found}


async def test_searches_inspections_and_drills_see_what_is_in_packs(
    embedded: Cell, later: Later, tmp_path: Path
) -> None:
    cell = embedded
    async with cell.opened():
        await stocked(cell)
        await cell.put("note", "called Ada Lovelace back", "customer:8")
        later(25)
        await tier(cell.tenure)
        await cell.put("warm", "here", "customer:9")
        state = await cell.erase("customer:1")
        found = await cell.tenure.residue.scan(cell.one["dpo"], state["shred"], ["Ada Lovelace"])
        assert [one["version"] for one in found["found"]] == [1], "in an object of sealed bytes"
        assert not found["residue"]["incomplete"], found["residue"]
    assert inspected(cell) == set()
    done = await asyncio.to_thread(
        safekeeping.drill, cell.settings, None, sample=200, folder=tmp_path, scratch_url=""
    )
    assert done.report.document["failures"] == []
    assert done.report.document["total"]["compared"] == 4, "the cold ones byte for byte as in the live cell"
    where = "WHERE record_id = (SELECT min(record_id) FROM versions WHERE pack_id IS NOT NULL)"
    for change, column in (
        ("pack_length = pack_length + 100000", "pack_offset"),
        ("pack_id = id", "pack_id"),
    ):
        cell.change("CREATE TABLE kept AS SELECT * FROM versions", f"UPDATE versions SET {change} {where}")
        assert ("version", column) in inspected(cell)
        cell.change("DELETE FROM versions", "INSERT INTO versions SELECT * FROM kept", "DROP TABLE kept")
    (path,) = objects(cell)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    spoiled = await asyncio.to_thread(
        safekeeping.drill, cell.settings, None, sample=200, folder=tmp_path, scratch_url=""
    )
    assert {one["check"] for one in spoiled.report.document["failures"]} == {"live-unreadable"}


@pytest.mark.s3
async def test_in_a_real_bucket(embedded: Cell, bucket: Bucket, later: Later) -> None:
    cell = embedded
    places = {"objects_url": bucket.url("cell"), "s3_endpoint": bucket.server.endpoint}
    async with cell.opened(**places):
        await stocked(cell)
        later(25)
        moody(cell.tenure).mood["keep"] = "after"
        with pytest.raises(Unavailable):
            await tier(cell.tenure)
        assert (await tier(cell.tenure))["versions"] == 3
        assert (hot(cell), list(packed(cell).values())) == (0, [(3, "stored")])
        (key,) = [one for one in list(bucket.keys()) if one.startswith("cell/packs/")]
        before = bucket.get(key)

        def tags() -> dict[str, str]:
            found = bucket.client.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
            return {one["Key"]: one["Value"] for one in found}

        assert tags() == {"tenure-class": "a30-x99", "tenure-tenant": cell.one.id}
        assert {one.name for one in declared_classes(cell.tenure._database)} == {"a30-x99"}
        assert (await cell.erase("customer:1"))["state"] == "completed"
        assert [await cell.value(f"k{n}") for n in (0, 2)] == [0, 2]
        person = await cell.person("customer:0")
        await cell.tenure.holds.place(cell.one["dpo"], "subject", person, "a case")
        assert (await tier(cell.tenure))["kept"] == 1
        assert tags() == {"tenure-class": "keep", "tenure-tenant": cell.one.id}
        assert bucket.get(key) == before, "neither an erasure nor a hold rewrites it"
        assert await cell.value("k2") == 2


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto, which has the bucket `cold`: Ceph knows no restore.

    Its archive gives out what it is asked for at the second look.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="cold")
        state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})
        yield client


def put_away(archive: Any) -> dict[str, Any]:
    """Have the only pack go to the archive; what is asked about it from now on."""
    (key,) = [one["Key"] for one in packs_in(archive)]
    archive.copy_object(Bucket="cold", Key=key, CopySource=f"cold/{key}", StorageClass="GLACIER")
    return {"Bucket": "cold", "Key": key}


def packs_in(archive: Any) -> list[dict[str, Any]]:
    """As they are listed: names, ETags, instants, storage classes."""
    return list(archive.list_objects_v2(Bucket="cold", Prefix="cell/packs/")["Contents"])


async def test_what_an_archive_has_is_asked_for_and_read_later(
    embedded: Cell, later: Later, archive: Any, tmp_path: Path
) -> None:
    cell = embedded
    async with cell.opened(objects_url="s3://cold/cell"):
        await stocked(cell)
        before = await cell.get("k1")
        later(25)
        await tier(cell.tenure)
        pack = put_away(archive)
        with pytest.raises(Denied):
            await cell.get("k1", ask=cell.one.ask("marketer", "customer-support"))
        assert "Restore" not in archive.head_object(**pack), "not for who may not read it"
        settings = cell.settings.model_copy(update={"objects_url": "s3://cold/cell"})
        made = await asyncio.to_thread(safekeeping.backup, settings, tmp_path / "backup")
        assert not [one for one in made.files if "packs/" in one.name], "a backup does without it"
        with pytest.raises(NotYet) as told:
            await cell.get("k1")
        assert told.value.retry_after > 60
        assert 'ongoing-request="true"' in archive.head_object(**pack)["Restore"]
        after = await cell.get("k1")
        assert (after.content, after.tier) == (before.content, "cold")


async def test_who_lies_in_an_archive_is_erased_there_and_the_others_are_read_later(
    embedded: Cell, later: Later, archive: Any
) -> None:
    cell = embedded
    async with cell.opened(objects_url="s3://cold/cell"):
        await stocked(cell, 0)
        records = [await cell.put(f"k{n}", n, f"customer:{n}") for n in range(3)]
        later(25)
        await tier(cell.tenure)
        pack = put_away(archive)
        before, store = packs_in(archive), moody(cell.tenure)
        await assert_certified(cell, await cell.erase("customer:1"))
        with pytest.raises(Erased):
            await cell.get("k1")
        assert (packs_in(archive), dict(store.calls)) == (before, {}), "no object is read or written for it"
        assert "Restore" not in archive.head_object(**pack), "and no archive asked"
        with pytest.raises(NotYet):
            await cell.get("k0")
        assert 'ongoing-request="true"' in archive.head_object(**pack)["Restore"]
        for n in (0, 2):
            found = await cell.get(f"k{n}")
            assert (found.content, found.tier) == (f'{{"v": {n}}}'.encode(), "cold")
            assert as_promised(cell, records[n], found.content), "what the entry that wrote it committed to"
            assert not as_promised(cell, records[n], b"{}"), "the control"
        with pytest.raises(Erased):
            await cell.get("k1")
