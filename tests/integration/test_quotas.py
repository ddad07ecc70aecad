"""What a tenant stores is counted with the commit that stores it, on either database, and a quota holds."""

import asyncio

import pytest
from sqlalchemy import text

from support.cell import JOINT, NOTES, Cell
from support.databases import DATABASES
from tenure.errors import NotFound, QuotaExceeded, TenureError, Unavailable
from tenure.model.record import Draft, Segment
from tenure.store import migrate

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


def really(cell: Cell) -> dict[str, int]:
    """Counted from the rows themselves."""
    kept = [row for row in cell.stored().values() if row[2] is not None]
    return {"versions": len(kept), "bytes": sum(len(row[1] or b"") + len(row[2] or b"") for row in kept)}


async def counted(cell: Cell) -> dict[str, int]:
    """What the service says."""
    shown = await cell.tenure.limits.mine(cell.one["admin"])
    return dict(shown["stored"])


async def quota(cell: Cell, **limits: int) -> None:
    await cell.tenure.limits.declare(cell.operator, cell.one.id, limits)


@pytest.mark.databases(*DATABASES)
async def test_every_way_to_store_and_to_destroy_is_counted(cell: Cell) -> None:
    assert await counted(cell) == {"versions": 0, "bytes": 0}
    await cell.put("a", "one", "customer:1")
    await cell.put("a", "two" * 500, "customer:1")
    await cell.put("joint", "ours", "customer:1", "customer:2", scope=JOINT)
    await cell.put("note", "about nobody", scope=NOTES)
    parts = (Segment(b'"mine"', ("customer:1",)), Segment(b'"theirs"', ("customer:3",)))
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), "support.conversations", "parts", draft)
    await cell.put("gone", "x", "customer:4")
    await cell.tenure.gateway.delete(cell.one.ask(), "support.conversations", "gone")
    assert await counted(cell) == really(cell)
    assert really(cell)["versions"] == 6
    await cell.erase("customer:1")
    left = await counted(cell)
    assert left == really(cell)
    assert left["versions"] == 4, "two versions went, two with others in them stay"
    for other in ("customer:2", "customer:3", "customer:4"):
        await cell.erase(other)
    assert await counted(cell) == really(cell)


async def test_what_a_hold_wraps_anew_is_counted(cell: Cell) -> None:
    parts = (Segment(b'"mine"', ("customer:1",)), Segment(b'"theirs"', ("customer:3",)))
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), "support.conversations", "parts", draft)
    await cell.put("a", "one", "customer:1")
    person = await cell.person("customer:1")
    await cell.tenure.holds.place(cell.one["dpo"], "subject", person, "case 7")
    await cell.erase("customer:1")
    assert await counted(cell) == really(cell)


@pytest.mark.databases(*DATABASES)
async def test_writers_side_by_side_are_all_counted(cell: Cell) -> None:
    many = [cell.put(f"k{n}", n, f"customer:{n % 7}") for n in range(150)]
    await asyncio.gather(*many)
    assert await counted(cell) == really(cell)
    assert really(cell)["versions"] == 150


async def test_what_was_refused_is_not_counted(cell: Cell) -> None:
    async def attempt(n: int) -> None:
        with pytest.raises(TenureError):
            await cell.put(f"k{n}", n, "customer:1", categories=("unheard-of",))

    await asyncio.gather(*(attempt(n) for n in range(20)), cell.put("good", 1, "customer:1"))
    assert await counted(cell) == really(cell)
    assert really(cell)["versions"] == 1


async def test_a_quota_holds_within_a_batch_and_afterwards(cell: Cell) -> None:
    await quota(cell, stored_versions=10)
    found = await asyncio.gather(
        *(cell.put(f"k{n}", n, "customer:1") for n in range(40)), return_exceptions=True
    )
    done = [one for one in found if not isinstance(one, BaseException)]
    refused = [one for one in found if isinstance(one, QuotaExceeded)]
    assert len(done) + len(refused) == 40, found
    assert 10 <= len(done) <= 20, "no more than what a second lane had under way"
    assert await counted(cell) == really(cell)
    with pytest.raises(QuotaExceeded) as caught:
        await cell.put("more", 1, "customer:1")
    assert caught.value.limit == "stored_versions"
    with pytest.raises(NotFound):
        await cell.get("more")
    await cell.put("theirs", 1, "customer:1", tenant=cell.two)
    await cell.erase("customer:1")
    await cell.put("more", 1, "customer:2")


async def test_one_batch_does_not_pass_the_quota(embedded: Cell) -> None:
    """SQLite has one lane: nothing is written beside a batch."""
    async with embedded.opened():
        await quota(embedded, stored_versions=10)
        puts = [embedded.put(f"k{n}", n, "customer:1") for n in range(40)]
        found = await asyncio.gather(*puts, return_exceptions=True)
        assert sum(isinstance(one, QuotaExceeded) for one in found) == 30
        assert (await counted(embedded))["versions"] == 10


@pytest.mark.databases(*DATABASES)
async def test_it_is_counted_again_after_a_restart(place: Cell) -> None:
    async with place.opened():
        await place.put("a", "one", "customer:1")
        await quota(place, stored_versions=1)
    async with place.opened():
        await place.put("b", 1, "customer:1", tenant=place.two)
        with pytest.raises(QuotaExceeded):
            await place.put("b", 1, "customer:1")
        assert await counted(place) == really(place)


@pytest.mark.databases(*DATABASES)
async def test_the_migration_counts_what_is_there(place: Cell) -> None:
    async with place.opened():
        await place.put("a", "one", "customer:1")
        await place.put("a", "two", "customer:1")
        await place.put("b", "theirs", "customer:9", tenant=place.two)
        expected = really(place)
    owner = place.settings.migration_url or place.settings.database
    migrate.downgrade(owner, "0006")
    migrate.upgrade(owner, app_role=migrate.role_of(place.settings.database))
    async with place.opened():
        assert await counted(place) == expected
        shown = await place.tenure.limits.of_tenant(place.operator, place.two.id)
        assert shown["stored"]["versions"] == 1
    if place.dialect == "postgresql":
        forced = place.rows("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'versions'")
        assert forced == [(True,)]


async def test_who_leaves_takes_the_numbers_along(cell: Cell) -> None:
    await cell.put("a", "one", "customer:1")
    await quota(cell, stored_versions=9)
    await cell.tenure.tenants.shred(cell.operator, cell.one.id)
    await cell.tenure.shredder.run()
    for table in ("usage", "limits"):
        query = f"SELECT * FROM {table} WHERE CAST(tenant_id AS TEXT) = :t"
        assert cell.rows(query, t=cell.one.id) == []


async def test_a_tenants_numbers_are_its_own_in_the_database(scaled: Cell) -> None:
    async with scaled.opened():
        await scaled.put("a", 1, "customer:1")
        await quota(scaled, stored_versions=9)
        with scaled.tenure._database.connect() as connection:
            for table in ("usage", "limits"):
                assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
            connection.rollback()


async def test_in_process_callers_are_held_to_quotas_and_not_to_rates(cell: Cell) -> None:
    """Whoever calls in process is the service: a rate there would hold up nobody but itself."""
    await quota(cell, requests=1, burst_s=1, concurrent=1, stored_versions=50)
    await asyncio.gather(*(cell.put(f"k{n}", n, "customer:1") for n in range(30)))
    for n in range(30, 50):
        await cell.put(f"k{n}", n, "customer:1")
    with pytest.raises(QuotaExceeded):
        await cell.put("k50", 1, "customer:1")
    with pytest.raises(QuotaExceeded):
        await cell.put("k0", 1, "customer:1")


def test_a_quota_is_no_matter_of_waiting() -> None:
    assert not issubclass(QuotaExceeded, Unavailable)
