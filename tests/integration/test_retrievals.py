"""Contents are got out of an archive before they are needed: many at once, and whoever asked can see it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from support import packages
from support.cell import SCOPE, Cell, crash
from support.tiering import Later, as_promised, declare, moody, rule, tier
from tenure import ids, locating
from tenure.cold.objects import RESTORED_DAYS
from tenure.errors import Denied, Erased, Malformed, NotFound
from tenure.governance import restoring
from tenure.jobs.job import Run
from tenure.listing import Query
from tenure.model.layers import DAY_US
from tenure.store import retrievals

pytestmark = pytest.mark.anyio
BUCKET = "cold"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    return Later(monkeypatch)


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto, whose archive gives out what it is asked for at the second look."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 2})
        yield client


def packs(archive: Any) -> list[str]:
    """Names of the packs, oldest first."""
    return [one["Key"] for one in archive.list_objects_v2(Bucket=BUCKET, Prefix="cell/packs/")["Contents"]]


def put_away(archive: Any, *keys: str) -> None:
    for key in keys:
        archive.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{key}", StorageClass="GLACIER")


async def waves(cell: Cell, later: Later, *waves: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Records by key, of each wave in a pack of its own, about `customer:` and the key."""
    await declare(cell, rule("talks", hotFor="1d", coldFor="30d", archiveFor="60d", deleteAfter="91d"))
    later(25)
    written = {}
    for wave in waves:
        for key, categories in wave.items():
            written[key] = await cell.put(key, key, f"customer:{key}", categories=categories)
        await tier(cell.tenure)
    return written


async def retrieve(cell: Cell, who: str = "agent", **selector: Any) -> dict[str, Any]:
    wanted = Query(include_content=True, **selector)
    return await cell.tenure.retrievals.ask(cell.one.ask(who), SCOPE, wanted)


async def job(cell: Cell) -> dict[str, int]:
    return {name: n for name, n in (await cell.tenure._restoring.run(Run("retrieve"))).items() if n}


def told(cell: Cell) -> list[tuple[str, dict[str, Any]]]:
    return [(one["outcome"], one["data"]) for one in cell.entries() if one["kind"] == "tier.restored"]


def parts(answer: dict[str, Any]) -> tuple[str, int, int, int]:
    return answer["state"], answer["versions"], answer["packs"], answer["ready"]


CONTACT, HEALTH = ("contact",), ("health",)


async def test_many_packs_are_asked_for_once_and_read_when_all_are_there(
    place: Cell, later: Later, archive: Any
) -> None:
    cell = place
    async with cell.opened(objects_url=f"s3://{BUCKET}/cell"):
        wave = {"c": CONTACT, "h": HEALTH}
        written = await waves(cell, later, {"a": CONTACT, "b": CONTACT}, wave, {"s": HEALTH})
        await cell.put("warm", 1, "customer:a")
        first, mixed, secret = packs(archive)
        put_away(archive, first, mixed, secret)
        store = moody(cell.tenure)
        with pytest.raises(Denied):
            await retrieve(cell, "marketer")
        assert not store.calls, "who may not read it causes no request"
        asked = await retrieve(cell, "clerk")
        assert (parts(asked), asked["withheld"]) == (("waiting", 4, 2, 0), 2)
        assert (store.calls["restore"], asked["retry_after"]) == (2, 1800)
        assert "Restore" not in archive.head_object(Bucket=BUCKET, Key=secret), "nobody asked who may read it"
        again = await retrieve(cell, "clerk", prefix="a")
        assert (parts(again), store.calls["restore"]) == (("waiting", 1, 1, 0), 2), "it is on its way already"

        get = cell.tenure.retrievals.get
        (entry,) = [one for one in cell.entries() if one.get("data") == {"retrieval": asked["id"]}]
        assert {one["action"] for one in entry["accesses"]} == {"listed"}
        assert len(entry["accesses"]) == 4
        for who in (cell.one["agent"], cell.one["auditor"], cell.two["clerk"], cell.two["dpo"]):
            with pytest.raises(NotFound):
                await get(who, asked["id"])
        assert await get(cell.one["dpo"], asked["id"]) == await get(cell.one["clerk"], asked["id"])

        seen = [await job(cell), await job(cell)]
        assert sum(one.get("ready", 0) for one in seen) == 2
        assert store.calls["restore"] == 2, "each was asked for once"
        data = {"retrieval": asked["id"], "versions": 4, "packs": 2, "missing": 0}
        assert ("ok", data) in told(cell)
        assert len(told(cell)) == 2
        ready = await get(cell.one["clerk"], asked["id"])
        assert (parts(ready), "retry_after" in ready) == (("ready", 4, 2, 2), False)
        assert ids.parse_rfc3339(ready["until"]) > ids.now()
        for key in ("a", "b", "c"):
            found = await cell.get(key, ask=cell.one.ask("clerk"))
            assert (found.content, found.tier) == (b'{"v": "%s"}' % key.encode(), "cold")
            assert as_promised(cell, written[key], found.content)
        assert await job(cell) == {}
        assert len(told(cell)) == 2, "told once"


async def test_what_a_killed_process_asked_for_is_asked_for_by_nobody_again(
    embedded: Cell, later: Later, archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = embedded
    tenure = await cell.crashing(objects_url=f"s3://{BUCKET}/cell")
    await waves(cell, later, {"a": CONTACT}, {"b": CONTACT})
    put_away(archive, *packs(archive))
    store = moody(tenure)
    with monkeypatch.context() as dies:
        dies.setattr(retrievals, "note", lambda *_, **__: 1 // 0)
        assert parts(await retrieve(cell)) == ("waiting", 2, 2, 0)
    assert store.calls["restore"] == 2
    await crash(tenure)
    async with cell.opened(objects_url=f"s3://{BUCKET}/cell"):
        store = moody(cell.tenure)
        assert await job(cell) == {"waiting": 1}
        await asyncio.gather(*(job(cell) for _ in range(4)))  # of processes that do not know of each other
        assert store.calls["restore"] == 0
        assert [(outcome, one["packs"]) for outcome, one in told(cell)] == [("ok", 2)]


async def test_what_got_lost_or_went_back_is_asked_for_again(
    embedded: Cell, later: Later, archive: Any
) -> None:
    cell = embedded
    async with cell.opened(objects_url=f"s3://{BUCKET}/cell"):
        await waves(cell, later, {"a": CONTACT}, {"b": CONTACT})
        first, second = packs(archive)
        put_away(archive, first, second)
        store = moody(cell.tenure)
        store.mood["restore"] = "nothing"
        one = await retrieve(cell, keys=("a",))
        store.mood["state"] = "before"
        two = await retrieve(cell, keys=("b",))
        assert (parts(two), store.calls["restore"]) == (("waiting", 1, 1, 0), 1), "the store was away"
        assert await job(cell) == {"waiting": 2}
        assert store.calls["restore"] == 3, "one got lost, one was never asked for"
        assert parts(await retrieve(cell)) == ("waiting", 2, 2, 0)
        put_away(archive, second)
        assert await job(cell) == {"ready": 1, "waiting": 2}
        assert store.calls["restore"] == 4
        put_away(archive, first)  # as if its days were over
        assert (await cell.tenure.retrievals.get(cell.one["agent"], one["id"]))["state"] == "ready"
        assert [await job(cell), await job(cell)] == [{"waiting": 2}, {"ready": 1, "waiting": 1}]
        assert store.calls["restore"] == 5, "the last came, the first went meanwhile"
        while (await job(cell)).get("waiting"):
            pass
        assert [one["packs"] for _, one in told(cell)] == [1, 1, 2]
        assert await cell.value("a") == "a"


async def test_who_is_erased_meanwhile_is_not_waited_for_and_what_never_comes_not_for_ever(
    embedded: Cell, later: Later, archive: Any
) -> None:
    cell = embedded
    async with cell.opened(objects_url=f"s3://{BUCKET}/cell"):
        await waves(cell, later, {"a": CONTACT}, {"b": CONTACT})
        put_away(archive, *packs(archive))
        store = moody(cell.tenure)
        asked = await retrieve(cell, prefix="a")
        assert parts(asked) == ("waiting", 1, 1, 0)
        await cell.erase("customer:a")
        assert (await tier(cell.tenure))["removed"] == 1
        assert await job(cell) == {"ready": 1}
        assert parts(await retrieve(cell, prefix="a")) == ("ready", 0, 0, 0)
        late = await retrieve(cell, prefix="b")
        cell.change(
            "UPDATE retrievals SET asked_at = asked_at - :age WHERE id = :id",
            age=restoring.GIVE_UP_US + 1,
            id=late["id"],
        )
        calls = store.calls.copy()
        assert await job(cell) == {"failed": 1}
        assert store.calls == calls
        assert [outcome for outcome, _ in told(cell)] == ["ok", "failed"]
        assert told(cell)[1][1]["missing"] == 1


async def test_in_files_all_is_ready_at_once(
    cell: Cell, later: Later, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"k{n}" for n in range(5)]
    await waves(cell, later, dict.fromkeys(names[:4], CONTACT), {"k4": HEALTH})
    store = moody(cell.tenure)
    assert parts(await retrieve(cell)) == ("ready", 5, 2, 2)
    assert (store.calls["state"], store.calls["restore"]) == (2, 0), "nothing is asked for"
    assert parts(await retrieve(cell, keys=("k4", "k1", "other"))) == ("ready", 2, 2, 2)
    assert parts(await retrieve(cell, keys=("other",))) == ("ready", 0, 0, 0)
    assert parts(await retrieve(cell, subject="customer:k2")) == ("ready", 1, 1, 1)
    assert parts(await retrieve(cell, subject="customer:stranger")) == ("ready", 0, 0, 0)
    assert parts(await retrieve(cell, categories=HEALTH)) == ("ready", 1, 1, 1)

    monkeypatch.setattr(locating, "MAX_LOCATED", 3)
    page = await retrieve(cell, "clerk")
    assert (page["versions"], page["withheld"]) == (3, 1)
    rest = await retrieve(cell, "clerk", cursor=page["next"])
    assert (rest["versions"], rest["withheld"], rest["next"]) == (1, 1, None)
    with pytest.raises(Malformed):
        await retrieve(cell, "clerk", cursor=page["next"], keys=("k1",))

    person = await cell.person("customer:k4")
    of_person = cell.tenure.retrievals.of_person
    assert parts(await of_person(cell.one["dpo"], person)) == ("ready", 1, 1, 1)
    with pytest.raises(Denied):
        await of_person(cell.one["agent"], person)
    with pytest.raises(NotFound):
        await of_person(cell.two["dpo"], person)
    await cell.request("customer:k4")
    with pytest.raises(Erased):
        await of_person(cell.one["dpo"], person)
    assert parts(await retrieve(cell, keys=("k4",))) == ("ready", 0, 0, 0), "gone from the moment of asking"

    assert told(cell) == [], "whoever asked knows it"
    kept = cell.rows("SELECT count(*) FROM retrievals")[0][0]
    assert await job(cell) == {}
    cell.change("UPDATE retrievals SET settled_at = settled_at - :age", age=(RESTORED_DAYS + 1) * DAY_US)
    assert await job(cell) == {"forgotten": kept}


async def test_an_access_package_waits_for_what_an_archive_has(
    embedded: Cell, later: Later, archive: Any
) -> None:
    cell, request = embedded, ids.new_id()
    async with cell.opened(objects_url=f"s3://{BUCKET}/cell"):
        await waves(cell, later, {"a": CONTACT}, {"b": CONTACT})
        put_away(archive, *packs(archive))
        for _ in range(2):
            made = await packages.build(cell, "customer:a", request)
            assert (made["state"], made["retry_after"]) == ("pending", 1800)
        steps = [one["outcome"] for one in cell.entries() if one["kind"] == "package"]
        assert steps == ["begun", "waiting"], "asking again changes nothing"
        while not (await job(cell)).get("ready"):
            pass
        made = await packages.build(cell, "customer:a", request)
        assert made["state"] == "ready"
        got = await packages.fetch(cell, await packages.link(cell, made["package"]))
        assert [one["content"] for one in got.data["versions"]] == [{"v": "a"}]
