"""Policy while it changes: through the gateway, on both databases, with what caches hold from before."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from support.policies import manifest
from tenure import ids, tenancy
from tenure.bootstrap import open_tenure
from tenure.crew import Desk
from tenure.errors import Denied, Invalid, NotFound
from tenure.listing import Query
from tenure.reading import Read
from tenure.tenancy import Tenancies

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
HOUR = 3_600_000_000


def grant(name: str, **spec: Any) -> dict[str, Any]:
    whole = {
        "roles": ["marketer"],
        "scopes": ["support.**"],
        "categories": ["*"],
        "purposes": [SUPPORT],
        "actions": ["read", "list"],
        "effect": "allow",
    }
    return manifest("Grant", name, {**whole, **spec})


async def apply(cell: Cell, *manifests: Any) -> dict[str, Any]:
    return await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(list(manifests)), dry_run=False)


# ── a role is taken away while a request runs ─────────────────────────────────────────────────────
@dataclass(slots=True)
class Slow(Read):
    """A read that stands still in its transaction, after it has learnt who asks under which rules."""

    solo: bool = True
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def perform(self, desk: Desk) -> Any:
        desk.principal(self.ask.credential)
        self.begun.set()
        assert self.go_on.wait(60)
        return Read.perform(self, desk)


def take_roles(cell: Cell, who: str) -> None:
    """As another process would: one transaction with the epoch."""
    cell.change(
        "UPDATE principals SET roles = '[]' WHERE CAST(id AS TEXT) = :p",
        "UPDATE tenant_state SET principal_epoch = principal_epoch + 1 WHERE CAST(tenant_id AS TEXT) = :t",
        p=cell.one.principals[who],
        t=cell.one.id,
    )


@pytest.mark.databases(*DATABASES)
async def test_a_role_taken_away_while_a_request_runs(cell: Cell) -> None:
    """Whoever began before is answered under the rules of then; nobody who begins afterwards is."""
    await cell.put("k", "here", "customer:1")
    running = Slow(cell.one.ask(), SCOPE, "k")
    first = asyncio.create_task(cell.tenure.batcher.submit(cell.one.id, running))
    await asyncio.to_thread(running.begun.wait, 60)
    taking = asyncio.create_task(asyncio.to_thread(take_roles, cell, "agent"))
    if cell.dialect == "postgresql":
        await (
            taking
        )  # there the change commits, and another transaction goes by, while the first stands still
        with pytest.raises(Denied):
            await cell.get("k")
    running.go_on.set()
    assert (await first).version == 1
    await taking
    results = await asyncio.gather(cell.get("k"), cell.put("k", 2, "customer:1"), return_exceptions=True)
    assert [type(one) for one in results] == [Denied, Denied]
    outcomes = [one["outcome"] for one in cell.entries() if one.get("purpose") == SUPPORT]
    assert outcomes.count("denied") == (3 if cell.dialect == "postgresql" else 2)


@pytest.mark.databases(*DATABASES)
async def test_under_a_change_of_rules_every_entry_names_the_rules_it_was_decided_under(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    before = {one["policy"] for one in cell.entries() if one.get("purpose") == SUPPORT}
    reads = [asyncio.create_task(cell.get("k")) for _ in range(20)]
    applied = await apply(cell, grant("no", roles=["*"], effect="deny", actions=["read"]))
    reads += [asyncio.create_task(cell.get("k")) for _ in range(20)]
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert all(isinstance(one, Denied) for one in results[20:]), "the change was answered before they began"
    for one in cell.entries():
        if one["kind"] == "access" and one.get("purpose") == SUPPORT:
            assert {one["policy"]} == ({applied["policy"]} if one["outcome"] == "denied" else before)


async def test_a_change_by_one_process_holds_in_every_others_next_transaction(scaled: Cell) -> None:
    deny = grant("no", roles=["*"], effect="deny")
    async with AsyncExitStack() as stack:
        three = [await stack.enter_async_context(open_tenure(scaled.settings)) for _ in range(3)]
        scaled._tenure = three[0]
        await scaled.put("k", 1, "customer:1")
        ask = scaled.one.ask()
        for turn in range(3):
            await apply(scaled, {**deny, "spec": {**deny["spec"], "actions": ["delete"]}})
            for tenure in three:
                assert (await tenure.gateway.read(ask, SCOPE, "k")).version == 1
            applied = await apply(scaled, deny)
            for tenure in (three[1], three[2], three[0]):
                with pytest.raises(Denied):
                    await tenure.gateway.read(ask, SCOPE, "k")
            named = {one["policy"] for one in scaled.entries() if one["outcome"] == "denied"}
            assert applied["policy"] in named
            assert turn == 0 or len(named) == 1, "the same rules have the same digest"


# ── time limits ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_grant_that_ran_out_is_not_kept_by_any_cache(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cell.put("k", 1, "customer:1")
    end = ids.now() + HOUR
    await apply(cell, grant("short", notAfter=ids.rfc3339(end)))
    ask = cell.one.ask("marketer")
    for _ in range(2):
        assert (await cell.get("k", ask=ask)).version == 1
        assert len((await cell.tenure.gateway.query(ask, SCOPE, Query())).items) == 1
    monkeypatch.setattr(ids, "now", lambda: end)
    with pytest.raises(Denied):
        await cell.get("k", ask=ask)
    with pytest.raises(Denied):
        await cell.tenure.gateway.query(ask, SCOPE, Query())
    assert (await cell.get("k")).version == 1, "who has it without a limit keeps it"


# ── what is stored and loaded ─────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_deny_is_a_deny_after_a_restart(place: Cell) -> None:
    async with place.opened():
        await place.put("k", 1, "customer:1", scope=NOTES, categories=("health",))
        await apply(place, grant("no", roles=["*"], categories=["health"], effect="deny"))
    async with place.opened():
        with pytest.raises(Denied) as denied:
            await place.get("k", scope=NOTES)
        assert denied.value.rules == ("grant/no#2",)


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────
async def test_a_deny_on_a_leaf_holds_for_records_labelled_with_what_is_above(cell: Cell) -> None:
    scope = {"description": "", "controller": "acme", "categories": ["special", "personal"]}
    await apply(
        cell,
        manifest("Scope", NOTES, {**scope, "subjects": "optional"}),
        grant("no", roles=["*"], categories=["health"], effect="deny"),
    )
    await cell.put("broad", 1, "customer:1", scope=NOTES, categories=("special",))
    await cell.put("other", 2, "customer:1", scope=NOTES, categories=("personal",))
    with pytest.raises(Denied):
        await cell.get("broad", scope=NOTES)
    page = await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query())
    assert ([item.key for item in page.items], page.withheld) == (["other"], 1)


VOCABULARY = {
    "categories": {"personal": {"contact": {}, "journeys": {}}, "special": {"health": {}}},
    "purposes": {"service": {SUPPORT: {}}, "marketing": {}},
}


async def test_what_a_grant_names_cannot_be_taken_out_of_the_vocabulary(cell: Cell) -> None:
    await apply(cell, grant("travels", categories=["travel"]))
    without_purpose = {
        **VOCABULARY,
        "categories": {"personal": {"contact": {}, "travel": {}}, "special": {"health": {}}},
    }
    without_purpose["purposes"] = {"service": {SUPPORT: {}}}
    for vocabulary, names in ((VOCABULARY, "travel"), (without_purpose, "marketing")):
        with pytest.raises(Invalid) as refused:
            await apply(cell, manifest("Vocabulary", "default", vocabulary))
        assert names in str(refused.value)
        assert (refused.value.field or "").startswith(("Grant/", "Scope/"))
        assert refused.value.remedy
    await cell.put("k", 1, "customer:1", categories=("travel",))
    assert (await cell.get("k", ask=cell.one.ask("marketer"))).version == 1, "nothing was applied"


async def test_a_record_with_a_label_that_was_renamed_is_shown_to_nobody(cell: Cell) -> None:
    await cell.put("old", 1, "customer:1", scope=NOTES, categories=("travel",))
    await cell.put("both", 2, "customer:1", scope=NOTES, categories=("contact", "travel"))
    await cell.put("new", 3, "customer:1", scope=NOTES)
    scope = {"description": "", "controller": "acme", "categories": ["contact", "journeys"]}
    scopes = [manifest("Scope", name, {**scope, "subjects": "optional"}) for name in (NOTES, SCOPE)]
    await apply(cell, manifest("Vocabulary", "default", VOCABULARY), *scopes)
    for key in ("old", "both"):
        with pytest.raises(Denied) as denied:
            await cell.get(key, scope=NOTES)
        assert "unknown-category" in str(denied.value)
    page = await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query())
    assert ([item.key for item in page.items], page.withheld) == (["new"], 2)
    with pytest.raises(Denied):
        await cell.put("old", 4, "customer:1", scope=NOTES), "nobody overwrites what nobody may see"


# ── names that look like others ───────────────────────────────────────────────────────────────────
async def test_a_look_alike_scope_does_not_exist(cell: Cell, subtests: pytest.Subtests) -> None:
    await cell.put("k", 1, "customer:1", scope=NOTES)
    for scope in ("supp\u043ert.notes", "support\uff0enotes", "support.notes\u200b", "\uff53upport.notes"):
        with subtests.test(scope=scope):
            with pytest.raises(NotFound):
                await cell.get("k", scope=scope)
            with pytest.raises(NotFound):
                await cell.put("k", 1, "customer:1", scope=scope)
            with pytest.raises(NotFound):
                await cell.tenure.gateway.query(cell.one.ask(), scope, Query())


# ── a history shows, and fetches, what may be shown ───────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_history_pages_over_what_it_withholds(cell: Cell) -> None:
    labels = ["contact", "health", "contact", "health", "health", "contact", "contact", "health"]
    for number, label in enumerate(labels):
        await cell.put("k", number, "customer:1", scope=NOTES, categories=(label,))
    clerk, seen, withheld, before = cell.one.ask("agent"), [], 0, None
    await apply(cell, grant("no", roles=["*"], categories=["health"], effect="deny"))
    fetched = []
    for _ in range(5):
        page = await cell.tenure.gateway.history(clerk, NOTES, "k", before=before, limit=2)
        seen += [line.version for line in page.items]
        fetched.append(page.withheld)
        withheld, before = withheld + page.withheld, page.next
        if before is None:
            break
    assert seen == [7, 6, 3, 1]
    assert withheld == 4
    assert fetched == [1, 3]


# ── many tenants in one process ───────────────────────────────────────────────────────────────────
def tenancies(cell: Cell) -> Tenancies:
    return cell.tenure.decisions._tenancies


async def test_a_process_keeps_few_tenants_and_serves_all(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenancy, "MAX_TENANCIES", 1)
    for turn in range(3):
        for tenant in (cell.one, cell.two):
            await cell.put("k", turn, "customer:1", tenant=tenant)
            assert await cell.value("k", tenant=tenant) == turn
            assert len(tenancies(cell)) == 1
    await asyncio.gather(*(cell.get("k", tenant=tenant) for tenant in (cell.one, cell.two) * 10))
    await apply(cell, grant("no", roles=["*"], effect="deny"))
    assert await cell.value("k", tenant=cell.two) == 2
    with pytest.raises(Denied):
        await cell.get("k")
    assert len(tenancies(cell)) == 1


async def test_keys_of_a_tenant_that_had_to_go_are_wiped(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once when an erasure wants it, else after a grace for whoever works with them."""
    await cell.put("k", 1, "customer:1")
    keys = tenancies(cell)._tenancies[cell.one.id].keys
    monkeypatch.setattr(tenancy, "MAX_TENANCIES", 1)
    await cell.put("k", 1, "customer:1", tenant=cell.two)
    assert cell.one.id not in tenancies(cell)._tenancies
    tenancies(cell).forget_keys(keys.seq)
    assert not keys.wiped
    tenancies(cell).forget_keys(keys.seq + 1)
    assert keys.wiped
    again = tenancies(cell)
    assert await cell.value("k") == 1
    monkeypatch.setattr(tenancy, "GRACE_S", -1.0)
    keys = again._tenancies[cell.one.id].keys
    await cell.get("k", tenant=cell.two)
    again.forget_keys(keys.seq)
    assert keys.wiped
    assert all(left is not keys for _, left in again._leaving)
    assert await cell.value("k") == 1
