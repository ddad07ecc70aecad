"""Records under paths: found at every depth, never beside it, and by nobody who may not see them."""

import re
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from support.cell import NOTES, SCOPE, Cell, Tenant
from support.databases import DATABASES
from support.statements import recording
from tenure.errors import Denied, Invalid, KeyReused
from tenure.listing import Query

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

Path = tuple[str, ...]


async def keys(
    cell: Cell, *path: str, scope: str = SCOPE, who: str = "agent", tenant: Tenant | None = None, **how: Any
) -> list[str]:
    """The keys of what is under a path, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        wanted = Query(path=path, cursor=cursor, **how)
        page = await cell.tenure.gateway.query((tenant or cell.one).ask(who), scope, wanted)
        found += [one.key for one in page.items]
        if (cursor := page.next) is None:
            return found


@pytest.mark.databases(*DATABASES)
async def test_found_at_every_depth_and_never_beside_it(cell: Cell) -> None:
    filed: dict[str, Path] = {
        "a": ("users", "42", "memories"),
        "b": ("users", "42"),
        "c": ("users", "4"),
        "d": ("users-2", "42"),
        "e": ("users",),
        "f": ("us", "ers"),
        "g": ("users42",),
    }
    for key, path in filed.items():
        await cell.put(key, key, "customer:1", paths=(path,))
    await cell.put("h", "h", "customer:1")
    assert await keys(cell, "users") == ["a", "b", "c", "e"]
    assert await keys(cell, "users", "42") == ["a", "b"]
    assert await keys(cell, "users", "42", "memories") == ["a"]
    assert await keys(cell, "users-2") == ["d"]
    assert await keys(cell, "us") == ["f"]
    assert await keys(cell, "users", limit=1) == ["a", "b", "c", "e"], "page by page"
    for nothing in [("user",), ("users", "42", "mem"), ("users", "42", "memories", "x"), ("42",), ("*",)]:
        assert await keys(cell, *nothing) == []
    assert (await cell.get("a")).path == filed["a"]
    assert (await cell.get("h")).path == ()


@pytest.mark.databases(*DATABASES)
async def test_another_scope_another_tenant_and_other_filters(cell: Cell) -> None:
    under = {"paths": (("users", "1"),)}
    await cell.put("mine", 1, "customer:1", **under)
    await cell.put("note", 1, "customer:1", scope=NOTES, **under)
    await cell.put("theirs", 1, "customer:1", tenant=cell.two, **under)
    await cell.put("other", 1, "customer:2", **under)
    assert await keys(cell, "users") == ["mine", "other"]
    assert await keys(cell, "users", scope=NOTES) == ["note"]
    assert await keys(cell, "users", tenant=cell.two) == ["theirs"]
    assert await keys(cell, "users", subject="customer:2") == ["other"]
    assert await keys(cell, "users", prefix="m") == ["mine"]
    indexes = cell.rows("SELECT path_index FROM record_paths")
    assert len(set(indexes)) == 6, "two beginnings in each of three places, none alike; of two records shared"


@pytest.mark.databases(*DATABASES)
async def test_what_is_filed_elsewhere_is_no_longer_found_but_in_the_past(cell: Cell) -> None:
    first = await cell.put("k", 1, "customer:1", paths=(("old",), ("both",)))
    second = await cell.put("k", 2, "customer:1", paths=(("new",), ("both",)))
    assert await keys(cell, "old") == []
    assert await keys(cell, "new") == ["k"]
    assert await keys(cell, "old", as_of=first.created_at) == ["k"]
    assert await keys(cell, "new", as_of=first.created_at) == []
    assert await keys(cell, "both", as_of=second.created_at) == ["k"]
    await cell.put("k", 3, "customer:1")
    assert await keys(cell, "both") == []
    await cell.put("k", 4, "customer:1", paths=(("new",),))
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "k")
    assert await keys(cell, "new") == []


async def test_policy_shows_and_counts_as_in_any_list(cell: Cell) -> None:
    await cell.put("contact", 1, "customer:1", paths=(("users", "1"),))
    await cell.put("health", 1, "customer:1", categories=("health",), paths=(("users", "1"),))
    await cell.put("elsewhere", 1, "customer:1", categories=("health",), paths=(("users-2", "1"),))
    page = await cell.tenure.gateway.query(cell.one.ask("clerk"), SCOPE, Query(path=("users",)))
    assert ([one.key for one in page.items], page.withheld) == (["contact"], 1)
    with pytest.raises(Denied):
        await cell.tenure.gateway.query(cell.one.ask(purpose="marketing"), SCOPE, Query(path=("users",)))


@pytest.mark.databases(*DATABASES)
async def test_an_erased_persons_are_never_found(cell: Cell) -> None:
    await cell.put("hers", 1, "customer:1", paths=(("users", "1"),))
    await cell.put("his", 1, "customer:2", paths=(("users", "1"),))
    await cell.request("customer:1")
    assert await keys(cell, "users", include_content=True) == ["his"], "from the request on"
    await cell.tenure.shredder.run()
    assert await keys(cell, "users") == ["his"]


@pytest.mark.databases(*DATABASES)
async def test_still_found_when_everybody_else_in_the_bucket_got_a_new_index(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", paths=(("users", "1"),))
    await cell.put("other", 1, "customer:2", paths=(("users", "2"),))
    await cell.erase("customer:2")
    assert await keys(cell, "users", subject="customer:1") == ["k"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_repeated_write_is_one_and_another_path_is_another_request(cell: Cell) -> None:
    first = await cell.put("k", 1, "customer:1", paths=(("a",),), idempotency_key="once")
    assert await cell.put("k", 1, "customer:1", paths=(("a",),), idempotency_key="once") == first
    with pytest.raises(KeyReused):
        await cell.put("k", 1, "customer:1", paths=(("b",),), idempotency_key="once")
    await cell.put("k", 2, "customer:1", paths=(("a",), ("a", "x")))
    assert await keys(cell, "a") == ["k"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_bad_paths_are_refused_and_nothing_is_written(cell: Cell) -> None:
    bad: list[tuple[Path, ...]] = [
        ((),),
        (("",),),
        (("a", ""),),
        (("x" * 257,),),
        (("a",) * 17,),
        (("a\x00",),),
        (("a\nb",),),
        (("\ud800",),),
        tuple((str(n),) for n in range(9)),
    ]
    for paths in bad:
        with pytest.raises(Invalid) as refused:
            await cell.put("k", 1, "customer:1", paths=paths)
        assert refused.value.field.startswith("path")
        assert refused.value.remedy
    assert cell.rows("SELECT count(*) FROM records") == [(0,)]
    assert cell.rows("SELECT count(*) FROM record_paths") == [(0,)]
    longest = tuple(str(n) * 128 for n in range(10, 26))
    await cell.put("k", 1, "customer:1", paths=(longest,))
    assert await keys(cell, *longest) == ["k"]
    with pytest.raises(Invalid):
        await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(path=("a",) * 17))


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_search_looks_at_nothing_but_what_is_filed_there(place: Cell) -> None:
    """By the index of paths first, whatever the size of the scope."""
    with recording() as lines:
        async with place.opened():
            await place.put("k", 1, "customer:1", paths=(("users", "1"),))
            assert await keys(place, "users", "1") == ["k"]
    [page] = {line.sql for line in lines if "FROM record" in line.sql and "record_paths" in line.sql}
    plan = [str(row[-1]) for row in place.rows("EXPLAIN QUERY PLAN " + page.replace(":", "\\:"))]
    assert plan[0].startswith("SEARCH record_paths USING")
    assert "path_index=?" in plan[0]
    assert all(step.startswith(("SEARCH", "USE TEMP")) for step in plan)


@pytest.mark.parametrize("database_kind", [pytest.param("postgresql", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("then", [{}, {"as_of": 1}])
async def test_nor_does_postgresql_before_it_has_statistics(cell: Cell, then: dict[str, int]) -> None:
    """By itself it would take any index of the tenant's then, and go through all versions for each record."""
    seen: list[tuple[str, Any]] = []

    def look(*given: Any) -> None:
        seen.append((given[2], given[3]))

    await cell.put("k", 1, "customer:1", paths=(("users", "1"),))
    event.listen(Engine, "before_cursor_execute", look)
    try:
        await keys(cell, "users", "1", **then)
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    [(page, given)] = [one for one in seen if "FROM record_paths" in one[0]]
    large = "UPDATE pg_class SET reltuples = 100000, relpages = 1 WHERE relname = :name"
    for name in ("record_paths", "records", "versions"):
        # PostgreSQL may have looked by itself meanwhile, or into what this database is a copy of.
        cell.change("DELETE FROM pg_statistic WHERE starelid = CAST(:name AS regclass)", name=name)
        assert cell.change(large, name=name) == 1
    with cell.raw() as connection:
        plan = "\n".join(str(row[0]) for row in connection.exec_driver_sql("EXPLAIN " + page, given))
    used = set(re.findall(r"(?:using|Index Scan on) (\w+)", plan))
    assert used == {"pk_record_paths", "pk_records", "pk_versions"}, plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_nothing_of_a_path_lies_in_the_clear(place: Cell) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1", paths=(("Zanzibar-users", "Ouagadougou"),))
    files = [one for one in place.settings.data_dir.rglob("*") if one.is_file()]
    assert files
    for one in files:
        kept = one.read_bytes()
        assert b"Zanzibar" not in kept
        assert b"Ouagadougou" not in kept
