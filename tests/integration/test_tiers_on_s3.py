"""Records under three retention classes, from the database to the end, by a real bucket's own rules.

A day of the server is `DAY_S` seconds; the service's days are moved on by the test.
"""

import time
from collections.abc import AsyncIterator, Iterator

import pytest
from test_bucket_lifecycle import PREFIX, put_theirs, theirs_now, until, where
from test_evictions import evicted, findings, gone

from support.cell import NOTES, SCOPE, Cell
from support.erasure import assert_certified, kept_by
from support.rgw import DAY_S, Bucket, S3Server, started
from support.tiering import Later, as_promised, declare, rule, tier
from support.travel import Travel
from tenure.model.record import Written

pytestmark = [pytest.mark.anyio, pytest.mark.s3]

RULES = (
    rule("brief", categories=["contact"], hotFor="1d", deleteAfter="4d"),
    rule("staged", categories=["travel"], hotFor="1d", coldFor="3d", archiveFor="1d", deleteAfter="7d"),
    rule("archived", categories=["health"], hotFor="1d", coldFor="2d", archiveFor="90d"),
    rule("law", scopes=[NOTES], clock="event", event="customer.left", floor="30d", ground="§ 147 AO"),
)
CATEGORY = {"brief": "contact", "second": "contact", "staged": "travel", "archived": "health"}
"""Of each record its category; `held` and `floor` are `contact`, too."""
# A cohort of an hour, and two days in which the job may fail: the bucket deletes that much after the rules,
# rounded up to days.
CLASS = {"brief": "x6", "staged": "a3-x9", "archived": "a2", "held": "keep", "floor": "keep"}
DAYS = {
    "brief": {"STANDARD": 0, "COLD": 1, "gone": 6},
    "staged": {"STANDARD": 0, "COLD": 1, "FROZEN": 3, "gone": 9},
    "archived": {"STANDARD": 0, "COLD": 1, "FROZEN": 2},
    "held": {"STANDARD": 0, "COLD": 1},
    "floor": {"STANDARD": 0, "COLD": 1},
}
"""Storage class → the day, since the pack was put, on which the rules move it there."""
SCOPES = {"floor": NOTES}


@pytest.fixture(scope="module")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server | str]:
    """One whose rules nobody else has used."""
    yield from started(tmp_path_factory.mktemp("s3"))


@pytest.fixture
async def on_s3(embedded: Cell, bucket: Bucket) -> AsyncIterator[Cell]:
    """A running cell whose objects lie in the bucket. The server is others' too: the rules go at the end."""
    places = {"objects_url": bucket.url(PREFIX), "s3_endpoint": bucket.server.endpoint}
    async with embedded.opened(**places, cold_class="COLD", archive_class="FROZEN"):
        yield embedded
    bucket.client.delete_bucket_lifecycle(Bucket=bucket.name)


@pytest.fixture
def travel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Travel]:
    return Travel.begun(monkeypatch)


async def written(cell: Cell) -> dict[str, Written]:
    return {
        key: await cell.put(
            key,
            f"words of {key}",
            f"customer:{key}",
            scope=SCOPES.get(key, SCOPE),
            categories=(CATEGORY.get(key, "contact"),),
        )
        for key in (*CLASS, "second")
    }


async def reads(cell: Cell, records: dict[str, Written], *keys: str) -> set[str]:
    """The tiers of these records, which read as they were written and as the ledger has it."""
    tiers = set()
    for key in keys:
        found = await cell.get(key, scope=SCOPES.get(key, SCOPE))
        assert found.content == f'{{"v": "words of {key}"}}'.encode()
        assert as_promised(cell, records[key], found.content), key
        tiers.add(found.tier)
    return tiers


def packs_of(cell: Cell, records: dict[str, Written]) -> dict[str, str]:
    """Record → the name of the object that its content lies in."""
    query = "SELECT CAST(record_id AS TEXT), CAST(pack_id AS TEXT) FROM versions WHERE pack_id IS NOT NULL"
    packs = dict(cell.rows(query))
    return {key: f"{PREFIX}packs/{cell.one.id}/{packs[one.record]}" for key, one in records.items()}


def packs_in(bucket: Bucket) -> set[str]:
    return {one for one in where(bucket) if one.startswith(f"{PREFIX}packs/")}


async def test_records_go_through_the_tiers_each_on_its_day(
    on_s3: Cell, bucket: Bucket, travel: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, foreign = on_s3, put_theirs(bucket)
    await declare(cell, *RULES)
    records = await written(cell)
    hold = (
        await cell.tenure.holds.place(cell.one["dpo"], "subject", await cell.person("customer:held"), "c")
    )["id"]
    applied = await cell.tenure.lifecycle.apply(cell.operator)
    assert (applied["confirmed"], applied["classes"]) == (True, ["a2", "a3-x9", "keep", "x6"])

    # Hot, then cold objects: one for each class and scope.
    assert (await tier(cell.tenure))["packs"] == 0
    assert await reads(cell, records, *records) == {"hot"}
    Later(monkeypatch)(25)
    begun = time.monotonic()
    moved = await tier(cell.tenure)
    assert (moved["packs"], moved["versions"]) == (5, 6)
    objects = packs_of(cell, records)
    assert await reads(cell, records, *records) == {"cold"}
    assert packs_in(bucket) == set(objects.values())
    assert objects["second"] == objects["brief"]
    for key, class_ in CLASS.items():
        tags = bucket.client.get_object_tagging(Bucket=bucket.name, Key=objects[key])["TagSet"]
        assert {"Key": "tenure-class", "Value": class_} in tags, key

    # Then in the next storage classes, then gone: the bucket does that by itself.
    seen: dict[str, dict[str, float]] = {key: {} for key in DAYS}

    def settled() -> bool:
        now, at = where(bucket), time.monotonic() - begun
        states = {key: now.get(objects[key], "gone") for key in DAYS}
        for key, state in states.items():
            seen[key].setdefault(state, at)
        return all(state == list(DAYS[key])[-1] for key, state in states.items())

    await until(settled)
    for key, days in DAYS.items():
        found = seen[key]
        assert list(found) == [state for state in days if state in found], key
        # Not before its day; the server counts whole seconds.
        assert all(at >= days[state] * DAY_S - 1 for state, at in found.items()), (key, found)
    assert set(seen["staged"]) & {"COLD", "FROZEN"}, "it was elsewhere before it was gone"
    assert await reads(cell, records, "archived", "held", "floor") == {"cold"}
    assert theirs_now(bucket) == foreign
    assert not (await cell.tenure.lifecycle.plan(cell.operator))["drift"]

    # What the rules end is erased like any other, and what a hold or a law keeps stays.
    travel.on(days=8)
    assert (await evicted(cell))["versions"] == 4
    for key in ("brief", "second", "staged", "held"):
        await assert_certified(cell, await cell.erasure((await gone(cell, key)).shred or ""))
    assert (await tier(cell.tenure))["removed"] == 2, "the rows of packs in which nobody is any more"
    assert await reads(cell, records, "archived", "floor") == {"cold"}
    assert kept_by(cell, hold) == [b'{"v": "words of held"}'], "nobody reads it, and a court may"
    kept = {objects[key] for key in ("archived", "held", "floor")}
    assert packs_in(bucket) == kept
    assert theirs_now(bucket) == foreign
    assert await findings(cell) == []
