"""Least privilege at the gateway: judged by the record's own labels, on record, in force at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell, Tenant
from support.databases import DATABASES
from tenure.access import Ask
from tenure.decisions import Opening
from tenure.errors import Denied, Invalid, Malformed, NotFound, TenureError, Unauthenticated, Unavailable
from tenure.listing import Page, Query
from tenure.model.apikey import new_api_key, parse_api_key
from tenure.model.principal import PrincipalKind

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

DENY_HEALTH = """
apiVersion: tenure/v1
kind: Grant
metadata: {name: no-health}
spec:
  roles: ["*"]
  scopes: ["support.**"]
  categories: [health]
  purposes: ["*"]
  actions: [read]
  effect: deny
"""
DENY_ALL = DENY_HEALTH.replace("[health]", '["*"]').replace("[read]", '["*"]')


def accesses(cell: Cell, entry: str) -> tuple[str, list[tuple[int, str]]]:
    """(outcome, (version, action) of each access) of an entry."""
    writer, _, n = entry.rpartition("-")
    found = next(one for one in cell.entries() if (one["writer"], one["n"]) == (writer, int(n)))
    return found["outcome"], [(one["version"], one["action"]) for one in found.get("accesses", [])]


# ── denial ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_denied_read_is_on_record_before_it_is_raised(cell: Cell) -> None:
    await cell.put("k", "secret", "customer:1")
    with pytest.raises(Denied) as denied:
        await cell.get("k", ask=cell.one.ask("marketer"))
    assert accesses(cell, denied.value.entry or "") == ("denied", [(1, "denied")])
    assert "secret" not in str(denied.value)


async def test_a_denied_write_and_delete_change_nothing(cell: Cell) -> None:
    await cell.put("k", "mine", "customer:1")
    marketer = cell.one.ask("marketer")
    with pytest.raises(Denied) as write:
        await cell.put("k", "theirs", "customer:1", ask=marketer)
    with pytest.raises(Denied) as delete:
        await cell.tenure.gateway.delete(marketer, SCOPE, "k")
    assert accesses(cell, write.value.entry or "")[0] == "denied"
    assert accesses(cell, delete.value.entry or "")[0] == "denied"
    assert (await cell.get("k")).version == 1
    with pytest.raises(Denied):
        await cell.put("new", "theirs", "customer:9", ask=marketer)
    found = await cell.tenure.subjects.lookup(cell.one["dpo"], "customer:9")
    assert found["items"] == [], "a denied write makes no person known"


async def test_who_sees_nothing_learns_nothing(cell: Cell) -> None:
    """The same answer whether the record is there or not."""
    await cell.put("there", 1, "customer:1")
    marketer = cell.one.ask("marketer")
    for key in ("there", "not-there"):
        with pytest.raises(Denied):
            await cell.get(key, ask=marketer)
    with pytest.raises(NotFound):
        await cell.get("not-there")


@pytest.mark.databases(*DATABASES)
async def test_another_tenant_has_nothing_of_it(cell: Cell) -> None:
    written = await cell.put("k", "theirs", "customer:1")
    with pytest.raises(NotFound):
        await cell.get("k", tenant=cell.two)
    page = await cell.tenure.gateway.query(cell.two.ask(), SCOPE, Query())
    assert page == Page([], None, 0, page.entry)
    assert (await cell.tenure.subjects.lookup(cell.two["dpo"], "customer:1"))["items"] == []
    person = await cell.person("customer:1")
    for act in (cell.tenure.subjects.get, cell.tenure.subjects.shred):
        with pytest.raises(NotFound):
            await act(cell.two["dpo"], person)
    with pytest.raises(Invalid):
        await cell.put("k", 1, "customer:1", tenant=cell.two, derived_from=(written.version_id,))
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    with pytest.raises(NotFound):
        await cell.put("k", 1, "customer:1", ask=cell.two.ask(decision=decision["id"]))
    with pytest.raises(NotFound):
        await cell.tenure.decisions.get(cell.two["auditor"], decision["id"])


async def test_a_key_of_one_tenant_opens_no_other(cell: Cell) -> None:
    forged = Ask(cell.one["agent"].__class__(cell.two.id, cell.one["agent"].secret_hash), SUPPORT)
    with pytest.raises(Unauthenticated):
        await cell.get("k", ask=forged)
    unknown = parse_api_key(new_api_key("00000000-0000-7000-8000-000000000001")[0])
    with pytest.raises(Unauthenticated):
        await cell.get("k", ask=Ask(unknown, SUPPORT))


# ── labels ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_record_is_judged_by_its_own_labels(cell: Cell) -> None:
    await cell.put("plain", 1, "customer:1", scope=NOTES, categories=("contact",))
    await cell.put("both", 2, "customer:1", scope=NOTES, categories=("contact", "health"))
    clerk = cell.one.ask("clerk")
    assert await cell.value("plain", scope=NOTES, ask=clerk) == 1
    with pytest.raises(Denied):
        await cell.get("both", scope=NOTES, ask=clerk)


async def test_each_version_is_judged_by_the_labels_it_had(cell: Cell) -> None:
    await cell.put("k", "ill", "customer:1", scope=NOTES, categories=("health",))
    await cell.put("k", "well", "customer:1", scope=NOTES, categories=("contact",))
    clerk = cell.one.ask("clerk")
    assert await cell.value("k", scope=NOTES, ask=clerk) == "well"
    with pytest.raises(Denied):
        await cell.get("k", scope=NOTES, ask=clerk, version=1)
    history = await cell.tenure.gateway.history(clerk, NOTES, "k")
    assert ([line.version for line in history.items], history.withheld) == ([2], 1)


async def test_nobody_overwrites_or_deletes_what_they_may_not_write(cell: Cell) -> None:
    await cell.put("k", "ill", "customer:1", scope=NOTES, categories=("health",))
    clerk = cell.one.ask("clerk")
    with pytest.raises(Denied):
        await cell.put("k", "well", "customer:1", scope=NOTES, ask=clerk)
    with pytest.raises(Denied):
        await cell.tenure.gateway.delete(clerk, NOTES, "k")
    assert await cell.value("k", scope=NOTES) == "ill"


# ── lists ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_list_withholds_and_counts(cell: Cell) -> None:
    for n in range(5):
        await cell.put(f"plain{n}", n, "customer:1", scope=NOTES)
    for n in range(3):
        await cell.put(f"ill{n}", n, "customer:1", scope=NOTES, categories=("health",))
    mine = await _list(cell, Query(include_content=True), "clerk")
    assert sorted(item.key for item in mine.items) == [f"plain{n}" for n in range(5)]
    assert mine.withheld == 3
    assert (await _list(cell, Query())).withheld == 0
    with pytest.raises(Denied):
        await cell.tenure.gateway.query(cell.one.ask("marketer"), NOTES, Query())


async def test_listing_without_reading_shows_no_content(cell: Cell) -> None:
    listing_only = """
apiVersion: tenure/v1
kind: Role
metadata: {name: indexer}
spec: {description: Lists}
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: indexers-list}
spec:
  roles: [indexer]
  scopes: [support.notes]
  categories: [contact]
  purposes: [customer-support]
  actions: [list]
  effect: allow
"""
    await cell.tenure.manifests.apply(cell.one["admin"], listing_only, dry_run=False)
    made = await cell.tenure.principals.create(cell.one["admin"], "ix", PrincipalKind.SERVICE, ("indexer",))
    await cell.put("k", 1, "customer:1", scope=NOTES)
    ask = Ask(parse_api_key(made["api_key"]), SUPPORT)
    listed = await cell.tenure.gateway.query(ask, NOTES, Query())
    assert [(item.key, item.content) for item in listed.items] == [("k", None)]
    with_content = await cell.tenure.gateway.query(ask, NOTES, Query(include_content=True))
    assert (with_content.items, with_content.withheld) == ([], 1)


async def _list(cell: Cell, wanted: Query, who: str = "agent", scope: str = NOTES) -> Page:
    return await cell.tenure.gateway.query(cell.one.ask(who), scope, wanted)


@pytest.mark.databases(*DATABASES)
async def test_filters(cell: Cell) -> None:
    a = await cell.put("a/1", 1, "customer:1", scope=NOTES)
    b = await cell.put("a/2", 2, "customer:2", scope=NOTES, categories=("travel",))
    await cell.put("b/1", 3, "customer:1", "customer:2", scope=NOTES)
    await cell.put("a/1", 4, "customer:1", scope=NOTES)

    async def keys(**wanted: object) -> list[str]:
        return sorted(item.key for item in (await _list(cell, Query(**wanted))).items)  # type: ignore[arg-type]

    assert await keys() == ["a/1", "a/2", "b/1"]
    assert await keys(subject="customer:1") == ["a/1", "b/1"]
    assert await keys(subject="customer:nobody") == []
    assert await keys(prefix="a/") == ["a/1", "a/2"]
    assert await keys(categories=("travel",)) == ["a/2"]
    assert await keys(as_of=a.created_at) == ["a/1"]
    assert await keys(since=b.created_at, until=b.created_at + 1) == ["a/2"]
    await cell.tenure.gateway.delete(cell.one.ask(), NOTES, "a/2")
    assert await keys() == ["a/1", "b/1"]
    assert await keys(as_of=b.created_at) == ["a/1", "a/2"]


async def test_a_category_filter_names_a_declared_category(cell: Cell) -> None:
    with pytest.raises(Invalid):
        await _list(cell, Query(categories=("nonsense",)))


@pytest.mark.databases(*DATABASES)
async def test_pages_hold_everything_once(cell: Cell, subtests: pytest.Subtests) -> None:
    await asyncio.gather(*(cell.put(f"k{n:02}", n, "customer:1", scope=NOTES) for n in range(23)))
    for prefix in (None, "k"):
        with subtests.test(prefix=prefix):
            seen: list[str] = []
            cursor = None
            for _ in range(30):
                page = await _list(cell, Query(limit=5, cursor=cursor, prefix=prefix))
                assert len(page.items) <= 5
                seen += [item.key for item in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert sorted(seen) == [f"k{n:02}" for n in range(23)]


async def test_a_cursor_serves_only_the_query_it_came_from(cell: Cell) -> None:
    for tenant in (cell.one, cell.two):
        await asyncio.gather(
            *(cell.put(f"k{n}", n, "customer:1", scope=NOTES, tenant=tenant) for n in range(5))
        )
    cursor = (await _list(cell, Query(limit=2))).next
    assert cursor is not None
    assert len((await _list(cell, Query(limit=3, cursor=cursor))).items) == 3
    query, mine, theirs = cell.tenure.gateway.query, cell.one.ask(), cell.two.ask()
    for ask, scope, wanted in (
        (mine, NOTES, Query(limit=2, cursor=cursor, subject="customer:1")),
        (mine, SCOPE, Query(limit=2, cursor=cursor)),
        (theirs, NOTES, Query(limit=2, cursor=cursor)),
    ):
        with pytest.raises(Malformed):
            await query(ask, scope, wanted)


async def test_a_forged_cursor_is_refused(cell: Cell, subtests: pytest.Subtests) -> None:
    await cell.put("k", 1, "customer:1", scope=NOTES)
    for cursor in ("", "nonsense", "Li4u", "bnVsbC5udWxs", "é", "A" * 5000, "\ud800"):
        with subtests.test(cursor=cursor[:20]):
            with pytest.raises(Malformed) as refused:
                await _list(cell, Query(cursor=cursor))
            assert refused.value.field == "cursor"


@pytest.mark.databases(*DATABASES)
async def test_a_list_of_a_hundred_is_one_entry_with_its_list_apart(cell: Cell) -> None:
    await asyncio.gather(*(cell.put(f"k{n}", n, "customer:1", scope=NOTES) for n in range(100)))
    before = len(cell.entries())
    page = await _list(cell, Query(limit=100, include_content=True))
    assert len(page.items) == 100
    fresh = [one for one in cell.entries() if one.get("accesses_count") == 100]
    assert len(fresh) == 1
    assert len(cell.entries()) == before + 1
    kept = cell.rows("SELECT digest FROM access_lists")
    assert (fresh[0]["accesses_sha256"],) in kept
    assert (await cell.audited()).ok


# ── epochs ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_policy_change_holds_with_the_next_request(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    assert await cell.value("k") == 1
    await cell.tenure.manifests.apply(cell.one["admin"], DENY_HEALTH, dry_run=True)
    assert await cell.value("k") == 1
    applied = await cell.tenure.manifests.apply(cell.one["admin"], DENY_HEALTH, dry_run=False)
    with pytest.raises(Denied) as denied:
        await cell.get("k")
    writer, _, n = (denied.value.entry or "").rpartition("-")
    entry = next(one for one in cell.entries() if (one["writer"], one["n"]) == (writer, int(n)))
    assert entry["policy"] == applied["policy"]
    await cell.put("k", 1, "customer:1", categories=("health",), tenant=cell.two)
    assert await cell.value("k", tenant=cell.two) == 1, "another tenant's policy is its own"


@pytest.mark.databases(*DATABASES)
async def test_a_revoked_credential_is_refused_with_the_next_request(cell: Cell) -> None:
    admin, agent = cell.one["admin"], cell.one.principals["agent"]
    spare = parse_api_key((await cell.tenure.principals.add_credential(admin, agent))["api_key"])
    await cell.put("k", 1, "customer:1")
    assert await cell.value("k", ask=Ask(spare, SUPPORT)) == 1
    listed = (await cell.tenure.principals.credentials(admin, agent))["items"]
    await cell.tenure.principals.revoke(admin, agent, listed[0]["id"])
    with pytest.raises(Unauthenticated):
        await cell.get("k")
    assert await cell.value("k", ask=Ask(spare, SUPPORT)) == 1
    with pytest.raises(NotFound):
        await cell.tenure.principals.revoke(admin, agent, listed[0]["id"])


# ── no entry, no plaintext ────────────────────────────────────────────────────────────────────────
_BREAK = {
    "sqlite": (
        "CREATE TRIGGER no_entries BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no'); END",
        "DROP TRIGGER no_entries",
    ),
    "postgresql": ("REVOKE INSERT ON entries FROM tenure_app", "GRANT INSERT ON entries TO tenure_app"),
}


@pytest.mark.databases(*DATABASES)
async def test_what_cannot_be_recorded_is_not_done(cell: Cell) -> None:
    await cell.put("k", "plaintext", "customer:1")
    decision = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    await cell.get("k", ask=cell.one.ask(decision=decision["id"]))
    broken, mended = _BREAK[cell.dialect]
    ask, before = cell.one.ask(), len(cell.entries())
    cell.change(broken)
    try:
        results = await asyncio.gather(
            cell.get("k"),
            cell.get("k", version=1),
            cell.get("k", ask=cell.one.ask("marketer")),
            cell.put("k", "new", "customer:1"),
            cell.put("k2", "new", "customer:2"),
            cell.tenure.gateway.delete(ask, SCOPE, "k"),
            cell.tenure.gateway.query(ask, SCOPE, Query(include_content=True)),
            cell.tenure.gateway.history(ask, SCOPE, "k"),
            cell.tenure.decisions.context(ask, decision["id"]),
            cell.tenure.decisions.openings(ask, decision["id"]),
            return_exceptions=True,
        )
    finally:
        cell.change(mended)
    assert [type(result) for result in results] == [Unavailable] * len(results)
    assert all("plaintext" not in str(result) for result in results)
    assert len(cell.entries()) == before
    assert (await cell.get("k")).version == 1
    assert await cell.value("k") == "plaintext"
    assert (await cell.audited()).ok, "numbers that were not used are not missed"


# ── governance ────────────────────────────────────────────────────────────────────────────────────
async def test_each_governing_act_needs_its_role_and_its_denial_is_on_record(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    person = await cell.person("customer:1")
    t, one = cell.tenure, cell.one
    acts: list[Callable[[], Awaitable[Any]]] = [
        lambda: t.subjects.shred(one["admin"], person),
        lambda: t.subjects.lookup(one["agent"], "customer:1"),
        lambda: t.subjects.get(one["auditor"], person),
        lambda: t.manifests.apply(one["agent"], DENY_ALL, dry_run=False),
        lambda: t.principals.create(one["dpo"], "x", PrincipalKind.AGENT, ("support-agent",)),
        lambda: t.principals.every(one["auditor"], after="", limit=10),
        lambda: t.tenants.create(one["admin"], "another"),
    ]
    for act in acts:
        with pytest.raises(Denied) as denied:
            await act()
        assert accesses(cell, denied.value.entry or "")[0] == "denied"
    with pytest.raises(Denied):
        await t.ledger.checkpoint(one["agent"])
    assert await cell.value("k") == 1


async def test_no_tenant_gives_out_the_operators_role(cell: Cell) -> None:
    for role in ("operator", "not-declared"):
        with pytest.raises(Invalid):
            await cell.tenure.principals.create(cell.one["admin"], "x", PrincipalKind.PERSON, (role,))


@pytest.mark.databases(*DATABASES)
async def test_repeating_a_governing_act_does_it_once(cell: Cell) -> None:
    from tenure.governance.service import Once

    once = Once("first", b"payload")
    create = cell.tenure.principals.create
    made = await create(cell.one["admin"], "x", PrincipalKind.AGENT, ("clerk",), once)
    again = await create(cell.one["admin"], "x", PrincipalKind.AGENT, ("clerk",), once)
    assert again["id"] == made["id"]
    assert "api_key" not in again, "an API key is shown once"
    assert made["api_key"] not in str(cell.rows("SELECT result FROM idempotency"))
    with pytest.raises(TenureError, match="first used with another"):
        await create(cell.one["admin"], "y", PrincipalKind.AGENT, ("clerk",), Once("first", b"other"))


async def test_making_a_tenant_can_be_repeated(cell: Cell) -> None:
    from tenure.governance.service import Once

    once = Once("new-tenant", b"payload")
    made = await cell.tenure.tenants.create(cell.operator, "third", once)
    again = await cell.tenure.tenants.create(cell.operator, "third", once)
    assert again["id"] == made["id"]
    assert "admin_key" not in again
    assert len(cell.rows("SELECT id FROM tenants")) == 3


@pytest.mark.databases(*DATABASES)
async def test_tenants_made_at_the_same_moment_all_work(cell: Cell) -> None:
    made = await asyncio.gather(*(cell.tenure.tenants.create(cell.operator, f"t{n}") for n in range(4)))
    for one in made:
        fresh = Tenant(one["id"], {"admin": one["admin_key"]}, {})
        created = await cell.tenure.principals.create(fresh["admin"], "p", PrincipalKind.PERSON, ("auditor",))
        assert (await cell.tenure.ledger.key(parse_api_key(created["api_key"])))["origin"].endswith("/1")
