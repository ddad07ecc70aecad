"""Object Lock on a real S3 server: logs and packs cannot be deleted, key state can, and all goes on."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from test_evictions import findings

from support.cell import Cell
from support.erasure import assert_certified
from support.rgw import Bucket, S3Server, started
from support.tiering import Later, packed, stocked, tier
from tenure.bootstrap import prepare
from tenure.cli.doctor import _locks
from tenure.cold import s3client
from tenure.cold.bucketrules import BucketRules
from tenure.cold.lifecycle import Configuration, Place, rules_for
from tenure.cold.objectlock import ObjectLock
from tenure.cold.packs import CLASS_TAG
from tenure.cold.s3 import open_bucket
from tenure.cold.storage import StorageClasses
from tenure.errors import Conflict, Unsupported
from tenure.groundwork import mirror_of

pytestmark = [pytest.mark.anyio, pytest.mark.s3]
PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server | str]:
    """One whose rules nobody else has used."""
    yield from started(tmp_path_factory.mktemp("s3"))


@pytest.fixture
def locking(bucket: Bucket) -> Iterator[Bucket]:
    """A bucket with Object Lock, beside one without. The server is others' too: the rules go at the end."""
    made = bucket.server.bucket(locks=True)
    yield made
    made.client.delete_bucket_lifecycle(Bucket=made.name)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


class State(NamedTuple):
    """A version of an object, and for how many days it is locked; None: it is not."""

    key: str
    id: str
    newest: bool
    days: int | None
    mode: str | None


def states(bucket: Bucket, below: str = "") -> list[State]:
    pages = bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name, Prefix=below)
    found = []
    for one in (one for page in pages for one in page.get("Versions", ())):
        about = bucket.client.head_object(Bucket=bucket.name, Key=one["Key"], VersionId=one["VersionId"])
        until = about.get("ObjectLockRetainUntilDate")
        days = None if until is None else round((until - datetime.now(UTC)) / timedelta(days=1))
        mode = about.get("ObjectLockMode")
        found.append(State(one["Key"], one["VersionId"], one["IsLatest"], days, mode))
    return found


def refused(bucket: Bucket, one: State) -> bool:
    """Whether neither the version can be deleted nor its lock shortened, by whoever owns the bucket."""
    named = {"Bucket": bucket.name, "Key": one.key, "VersionId": one.id}
    sooner = {"Mode": one.mode, "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
    codes = []
    for attempt in (
        lambda: bucket.client.delete_object(**named),
        lambda: bucket.client.put_object_retention(**named, Retention=sooner),
    ):
        try:
            attempt()
        except ClientError as failure:
            codes.append(failure.response["Error"]["Code"])
    return codes == ["AccessDenied", "AccessDenied"]


def expected(key: str) -> int | None:
    """Days of a lock of 400, of packs that live for 99 days."""
    if key.startswith("cell/packs/"):
        return 99
    evidence = key.startswith("cell/ledger/") and ("/tile/" in key or "/checkpoints/" in key)
    return 400 if evidence else None


def moved_in(cell: Cell, bucket: Bucket) -> Cell:
    """The prepared cell with objects and mirror in the bucket, side by side, and a lock."""
    files = cell.settings.root_dir / "mirror"
    places = {"objects_url": bucket.url("cell"), "mirror_url": bucket.url("mirror")}
    lock = {"object_lock": "compliance", "object_lock_days": 400, "s3_endpoint": bucket.server.endpoint}
    cell.settings = cell.settings.model_copy(update=places | lock)
    mirror = mirror_of(cell.settings)
    for path in sorted(files.rglob("*")):
        if path.is_file():
            mirror.put(path.relative_to(files).as_posix(), path.read_bytes())
    return cell


async def test_logs_and_packs_are_locked_key_state_is_not_and_erasing_goes_on(
    embedded: Cell, locking: Bucket, later: Later
) -> None:
    cell = moved_in(embedded, locking)
    async with cell.opened() as tenure:
        await stocked(cell, 4)
        later(25)
        assert (await tier(tenure))["versions"] == 4
        await tenure.sequencer.run(cell.one.id)
        there = states(locking)
        assert {one.key: one.days for one in there} == {one.key: expected(one.key) for one in there}
        kinds = {one.key.split("/")[1 if one.key.startswith("mirror/") else -1] for one in there}
        assert {"manifests", "shards", "heads", "checkpoint", "vkey"} <= kinds
        (first,) = states(locking, "cell/packs/")
        tile = next(one for one in there if "/tile/entries/" in one.key)
        assert refused(locking, first)
        assert refused(locking, tile)

        # Three of four are erased: the key is gone, whatever is locked, and the certificate says what stays.
        for n in (1, 2):
            await cell.erase(f"customer:{n}")
        said = await assert_certified(cell, await cell.erase("customer:3"))
        assert "only hidden until its lock is over" in said["stores"]["objects"]
        assert "400 days" in said["stores"]["objects"]
        assert (await tier(tenure))["compacted"] == 1
        later(60)
        assert (await tier(tenure))["removed"] == 1, "the one that was made anew, a day later"
        assert await cell.value("k0") == 0
        newest = [one for one in states(locking, "cell/packs/") if one.newest]
        assert ([one.days for one in newest], newest[0].key == first.key) == ([99], False)
        assert first.key not in set(locking.keys()), "for reads it is gone"
        assert [one.key for one in states(locking, first.key)] == [first.key], "for real it is not"

        # Nobody is left: the pack goes once, and no run finds anything to do again.
        await assert_certified(cell, await cell.erase("customer:0"))
        assert [(await tier(tenure))["removed"] for _ in range(2)] == [1, 0]
        assert packed(cell) == {}
        tenure.tiering._swept = None
        assert (await tier(tenure))["removed"] == 0, "what is hidden is not swept over and over"
        assert await findings(cell) == []

        # The rules take what was replaced, everywhere but in the mirror, and the plan says what is locked.
        plan = await tenure.lifecycle.apply(cell.operator)
        ends = {one["id"].partition("leftovers")[2] for one in plan["rules"] if "leftovers" in one["id"]}
        assert (plan["confirmed"], ends) == (True, {"", "-ledger", "-handover", "-probe"})
        assert len([one for one in plan["notes"] if "400 days" in one and "compliance" in one]) == 1
        assert not (await tenure.lifecycle.plan(cell.operator))["drift"]
        assert not [one for one in plan["rules"] if "mirror" in one["does"]]

        # A tenant goes with its log, which is handed over; the locked copy is out of sight until its day.
        asked = await tenure.tenants.shred(cell.operator, cell.one.id, ledger="hand-over")
        await tenure.shredder.run()
        assert (await tenure.erasures.state(cell.operator, asked["shred"]))["state"] == "completed"
        left = {"/".join(one.split("/")[:3]) for one in set(locking.keys())}
        assert f"cell/ledger/{cell.one.id}" not in left
        assert refused(locking, tile)
        handed = states(locking, f"cell/handover/{cell.one.id}/")
        assert handed
        assert {one.days for one in handed} == {None}
    for one in states(locking, "mirror/"):
        locking.client.delete_object(Bucket=locking.name, Key=one.key, VersionId=one.id)
    assert states(locking, "mirror/") == [], "nothing of the key state was locked"


def test_what_was_deleted_goes_for_real_when_its_lock_is_over(
    locking: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasts = 14.0
    began = time.monotonic()
    monkeypatch.setattr(ObjectLock, "until", lambda *_: datetime.now(UTC) + timedelta(seconds=lasts))
    endpoint, place = locking.server.endpoint, Place("cell/")
    objects = open_bucket(locking.name, place.prefix, endpoint, ObjectLock("compliance", 1))
    rules = rules_for(place, (), StorageClasses(), locking=True)
    BucketRules(locking.name, endpoint).write(Configuration(rules))
    tags = {CLASS_TAG: "keep"}
    names = ("packs/t/p", "ledger/t/1/tile/0/000")
    for name in names:
        assert objects.keep(name, b"sealed", tags=tags)
        objects.delete(name)
        assert objects.get(name) is None
        assert list(objects.names(name.partition("/")[0])) == []
    assert objects.keep(names[0], b"sealed again", tags=tags), "a name that is hidden is free"
    objects.delete(names[0])

    def bytes_left() -> int:
        found = locking.client.list_object_versions(Bucket=locking.name, Prefix="cell/")
        return sum(one["Size"] for one in found.get("Versions", ()))

    before, seen = 0, bytes_left()
    while seen:
        before = seen
        assert time.monotonic() < began + PATIENCE_S, "the bucket's rules never took it"
        time.sleep(1)
        seen = bytes_left()
    assert time.monotonic() - began > lasts, "it stayed while it was locked, although its days were over"
    assert before >= len(b"sealed")


async def test_a_bucket_that_cannot_lock_or_locks_everything_is_refused(
    embedded: Cell, bucket: Bucket, locking: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = {"object_lock": "governance", "object_lock_days": 30, "s3_endpoint": bucket.server.endpoint}
    right = embedded.settings

    async def error(**places: str) -> Conflict:
        embedded.settings = right.model_copy(update=lock | places)
        for attempt in (lambda: asyncio.to_thread(prepare, embedded.settings), embedded.crashing):
            with pytest.raises(Conflict) as wrong:
                await attempt()
        return wrong.value

    found = await error(objects_url=bucket.url("cell"))
    assert (found.field, found.rule) == ("TENURE_OBJECT_LOCK", "a bucket that was made with Object Lock")
    assert "Make a bucket with it" in (found.remedy or "")
    assert bucket.keys() == [], "nothing was written"
    with pytest.raises(Unsupported, match="does not lock objects"):
        open_bucket(bucket.name, "", bucket.server.endpoint, ObjectLock("governance", 1)).put(
            "ledger/t/1/rotations", b"x"
        )

    everything: dict[str, Any] = {"Mode": "GOVERNANCE", "Days": 1}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": everything}}
    locking.client.put_object_lock_configuration(Bucket=locking.name, ObjectLockConfiguration=configuration)
    assert (await error(objects_url=locking.url("cell"))).field == "TENURE_OBJECTS_URL"
    fine = bucket.server.bucket(locks=True)
    found = await error(objects_url=fine.url(), mirror_url=locking.url())
    assert (found.field, found.rule) == ("TENURE_MIRROR_URL", "a bucket without a default retention")

    embedded.settings = right.model_copy(update=lock | {"objects_url": fine.url()})
    assert [(one.check, one.state) for one in _locks(embedded.settings)] == [("object lock", "ok")]
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        found = await error(objects_url=fine.url())
        assert "s3:GetBucketObjectLockConfiguration" in (found.remedy or ""), "not told is not known"
        assert [one.state for one in _locks(embedded.settings)] == ["failed"]

    # A store that is away does not keep a cell from opening: what it cannot lock it does not take.
    embedded.settings = right.model_copy(
        update={**lock, "objects_url": fine.url(), "s3_endpoint": "http://127.0.0.1:9"}
    )
    monkeypatch.setattr(s3client, "_ATTEMPTS", 1)
    await asyncio.to_thread(prepare, embedded.settings)
