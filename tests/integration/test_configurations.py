"""Generations of a tenant's configuration, on both databases: what makes one, what stays, the way back."""

import asyncio
import json
from typing import Any

import pytest

from support.cell import JOINT, MANIFESTS, NOTES, SCOPE, Cell
from support.databases import DATABASES
from tenure.errors import Conflict, Invalid, KeyFailure, NotFound
from tenure.governance.service import Once
from tenure.model.documents import read_documents
from tenure.model.issuer import Issuer, Provision
from tenure.model.principal import PrincipalKind

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
BASE: list[dict[str, Any]] = [one.value for one in read_documents(MANIFESTS)]


def role(name: str, description: str = "x") -> dict[str, Any]:
    spec = {"description": description}
    return {"apiVersion": "tenure/v1", "kind": "Role", "metadata": {"name": name}, "spec": spec}


def without(kind: str, *names: str) -> list[dict[str, Any]]:
    return [one for one in BASE if one["kind"] != kind or one["metadata"]["name"] not in names]


async def apply(cell: Cell, manifests: Any, **how: Any) -> dict[str, Any]:
    text = json.dumps(manifests)
    return await cell.tenure.manifests.apply(cell.one["admin"], text, **{"dry_run": False, **how})


async def history(cell: Cell, who: str = "admin") -> list[dict[str, Any]]:
    page = await cell.tenure.configurations.history(cell.one[who], before=None, limit=200)
    return list(page["items"])


async def names(cell: Cell, kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in await cell.tenure.manifests.every(cell.one["admin"], kind)}


@pytest.mark.databases(*DATABASES)
async def test_a_generation_is_made_by_a_change_and_by_nothing_else(cell: Cell) -> None:
    [first] = await history(cell)
    before = len(cell.entries())
    assert (await apply(cell, BASE))["entry"] is None
    await apply(cell, role("visitor"), dry_run=True)
    await cell.tenure.manifests.diff(cell.one["admin"], json.dumps(role("visitor")))
    assert len(cell.entries()) == before
    assert await history(cell) == [first]

    applied = await apply(cell, role("visitor"))
    assert applied["generation"] == first["generation"] + 1
    [newest, _] = await history(cell)
    assert newest["changes"] == [{"kind": "Role", "name": "visitor", "change": "created"}]
    entry = next(one for one in cell.entries() if f"{one['writer']}-{one['n']}" == newest["entry"])
    assert entry["kind"] == "policy.change"
    assert entry["principal"] == newest["principal"]
    assert entry["data"]["bundle"] == newest["policy"] == applied["policy"]
    assert (entry["data"]["generation"], entry["data"]["changed"]) == (newest["generation"], 1)
    other = await cell.tenure.configurations.history(cell.two["admin"], before=None, limit=9)
    assert newest["entry"] not in json.dumps(other)


@pytest.mark.databases(*DATABASES)
async def test_applies_at_once_are_one_after_the_other_and_none_is_lost(cell: Cell) -> None:
    wanted = [f"role-{number}" for number in range(8)]
    applied = await asyncio.gather(*(apply(cell, role(name)) for name in wanted))
    assert sorted(one["generation"] for one in applied) == list(range(2, 10))
    assert set(wanted) <= await names(cell, "Role")
    # Each is the one before and its own change: the last one holds all of them.
    back = await cell.tenure.configurations.rollback(cell.one["admin"], 9, dry_run=False)
    assert back["changes"] == []
    assert [one["generation"] for one in await history(cell)] == list(range(9, 0, -1))


async def test_what_is_in_use_stays(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.put("gone", 1, "customer:2", scope=JOINT)
    await cell.erase("customer:2")
    hold = await cell.tenure.holds.place(cell.one["dpo"], "scope", NOTES, "a case")
    before = await history(cell)
    for scope, why in ((SCOPE, "records"), (JOINT, "records"), (NOTES, "hold")):
        keep = [one for one in without("Scope", scope) if one["metadata"]["name"] != "marketers-mail"]
        with pytest.raises(Conflict, match=why) as refused:
            await apply(cell, keep, prune=True)
        assert (refused.value.field, refused.value.rule) == (f"Scope/{scope}", "scope-in-use")
    grants = {"agents-work", "marketers-mail", "clerks-contact"}
    bare = [one for one in without("Role", "clerk") if one["metadata"]["name"] not in grants]
    with pytest.raises(Conflict, match="principals") as refused:
        await apply(cell, bare, prune=True, dry_run=True)
    assert refused.value.field == "Role/clerk"
    assert await history(cell) == before
    await cell.tenure.holds.release(cell.one["dpo"], hold["id"])
    await cell.tenure.shredder.run()
    done = await apply(cell, without("Scope", NOTES), prune=True)
    assert {"kind": "Scope", "name": NOTES, "change": "removed"} in done["changes"]
    assert await names(cell, "Scope") == {SCOPE, JOINT}
    assert await cell.value("k") == 1


async def test_a_role_that_an_issuer_gives_stays(cell: Cell) -> None:
    await apply(cell, [role("lent"), role("first"), role("free")])
    issuer = Issuer(
        id="",
        name="main",
        url="https://issuer.example",
        audience=f"https://tenure.example/{cell.one.id}",
        role_claim=("groups",),
        roles={"nurses": ("lent",)},
        provision=Provision(PrincipalKind.AGENT, ("first",)),
    )
    made = await cell.tenure.issuers.create(cell.one["admin"], issuer, subjects={})
    for name in ("lent", "first"):
        kept = [one for one in ("lent", "first") if one != name]
        for dry_run in (True, False):
            with pytest.raises(Conflict, match="issuer main") as refused:
                await apply(cell, [*BASE, *map(role, kept)], prune=True, dry_run=dry_run)
            assert refused.value.field == f"Role/{name}"
    await cell.tenure.issuers.remove(cell.one["admin"], made["id"])
    await apply(cell, BASE, prune=True)
    assert not {"lent", "first", "free"} & await names(cell, "Role")


@pytest.mark.databases(*DATABASES)
async def test_nobody_is_given_a_role_while_it_goes(cell: Cell) -> None:
    """Whichever comes first, there is no principal with a role that is not declared."""
    for number in range(12):
        name = f"brief-{number}"
        await apply(cell, role(name))
        given, gone = await asyncio.gather(
            cell.tenure.principals.create(cell.one["admin"], name, PrincipalKind.AGENT, (name,)),
            apply(cell, [*BASE, *(role(f"brief-{n}") for n in range(number))], prune=True),
            return_exceptions=True,
        )
        assert isinstance(given, Invalid) is isinstance(gone, dict), (given, gone)
        assert isinstance(gone, Conflict) is isinstance(given, dict), (given, gone)
        if isinstance(gone, dict):
            await apply(cell, role(name))  # so that the next round keeps the same


@pytest.mark.databases(*DATABASES)
async def test_no_issuer_gives_a_role_while_it_goes(cell: Cell) -> None:
    """As above; who configures an issuer looks at the cell's rows between, in the same transaction."""
    await apply(cell, role("brief"))
    audience = f"https://tenure.example/{cell.one.id}"
    for number in range(12):
        provision = Provision(PrincipalKind.AGENT, ("brief",))
        issuer = Issuer("", f"main-{number}", "https://issuer.example", audience, provision=provision)
        given, gone = await asyncio.gather(
            cell.tenure.issuers.create(cell.one["admin"], issuer, subjects={}),
            apply(cell, BASE, prune=True),
            return_exceptions=True,
        )
        assert isinstance(given, Invalid) is isinstance(gone, dict), (given, gone)
        assert isinstance(gone, Conflict) is isinstance(given, dict), (given, gone)
        if isinstance(given, dict):
            await cell.tenure.issuers.remove(cell.one["admin"], given["id"])
        await apply(cell, role("brief"))


@pytest.mark.databases(*DATABASES)
async def test_the_way_back_is_a_new_generation_and_goes_no_further_than_it_may(cell: Cell) -> None:
    admin = cell.one["admin"]
    scope = {**BASE[1], "metadata": {"name": "support.later"}}
    await apply(cell, scope)
    once = Once("a-key", b"payload")
    back = await cell.tenure.configurations.rollback(admin, 1, dry_run=False, once=once)
    again = await cell.tenure.configurations.rollback(admin, 1, dry_run=False, once=once)
    assert back == again
    assert (await history(cell))[0]["restored"] == 1
    assert back["policy"] == (await history(cell))[-1]["policy"]
    await apply(cell, scope)
    await cell.put("k", 1, "customer:1", scope="support.later")
    with pytest.raises(Conflict, match=r"support\.later"):
        await cell.tenure.configurations.rollback(admin, 1, dry_run=False)
    with pytest.raises(NotFound):
        await cell.tenure.configurations.rollback(admin, 5, dry_run=False)
    with pytest.raises(NotFound):
        await cell.tenure.configurations.rollback(cell.two["admin"], 4, dry_run=False)
    assert await cell.value("k", scope="support.later") == 1


async def test_a_bundle_that_was_changed_does_not_come_back(cell: Cell) -> None:
    await apply(cell, role("visitor"))
    [_, first] = await history(cell)
    changed = cell.change("UPDATE policy_bundles SET body = :b WHERE digest = :d", b=b"{}", d=first["policy"])
    assert changed >= 1
    with pytest.raises(KeyFailure):
        await cell.tenure.configurations.rollback(cell.one["admin"], 1, dry_run=False)
    assert "visitor" in await names(cell, "Role")
    assert len(await history(cell)) == 2


async def test_what_was_applied_before_generations_were_counted_says_so(cell: Cell) -> None:
    cell.change("UPDATE manifests SET applied_in = NULL", "DELETE FROM configurations")
    found = await cell.tenure.manifests.describe(cell.one["admin"], "role", "clerk")
    assert found["applied"] is None
    assert await history(cell) == []
    assert (await apply(cell, BASE))["generation"] == 0
    assert (await apply(cell, role("clerk", "other")))["generation"] == 1
    found = await cell.tenure.manifests.describe(cell.one["admin"], "role", "clerk")
    assert (found["applied"]["generation"], found["applied"]["name"]) == (1, "tenant-admin")
