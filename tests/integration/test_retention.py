"""When a version goes, and why it is still here: asked for by who may read it, and on record."""

import json
from typing import Any

import pytest

from support.cell import JOINT, NOTES, SCOPE, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.access import Ask
from tenure.errors import Denied, Erased, Invalid, NotFound
from tenure.model.lifetime import HOUR_US, Due
from tenure.model.lifetime_words import BESIDE, LATER, words
from tenure.retention import Retained

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
DAY = 24 * HOUR_US


def rule(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"scopes": ["support.**"], "categories": "*", **spec}
    return {"apiVersion": "tenure/v1", "kind": "Retention", "metadata": {"name": name}, "spec": spec}


async def declare(cell: Cell, *rules: dict[str, Any]) -> None:
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(rules), dry_run=False)


async def explained(cell: Cell, key: str = "k", ask: Ask | None = None, **which: Any) -> Retained:
    return await cell.tenure.gateway.retention(ask or cell.one.ask(), which.pop("scope", SCOPE), key, **which)


@pytest.mark.databases(*DATABASES)
async def test_a_version_says_when_it_goes_and_by_which_rule(cell: Cell) -> None:
    await declare(
        cell,
        rule("talks", hotFor="30d", coldFor="60d", deleteAfter="365d"),
        rule("contacts", categories=["contact"], deleteAfter="100d"),
        rule("health-law", categories=["health"], floor="200d", ground="§ 630f BGB"),
    )
    written = await cell.put("k", 1, "customer:1")
    found = await explained(cell)
    assert (found.record, found.version) == (written.record, written.version)
    assert found.lifetime.cold == Due(written.created_at + 30 * DAY, "talks")
    assert found.lifetime.gone == Due(written.created_at + 100 * DAY, "contacts")
    assert found.lifetime.floor is None
    await cell.put("h", 1, "customer:1", categories=("contact", "health"))
    both = (await explained(cell, "h")).lifetime
    assert both.gone is not None
    assert (both.gone.rule, both.ceiling and both.ceiling.rule) == ("health-law", "contacts")
    assert "§ 630f BGB" in " ".join(words(both, found.now))


async def test_each_version_has_a_lifetime_of_its_own(cell: Cell) -> None:
    await declare(cell, rule("all", deleteAfter="10d"))
    first = await cell.put("k", 1, "customer:1")
    second = await cell.put("k", 2, "customer:1")
    old, new = await explained(cell, version=1), await explained(cell)
    assert old.lifetime.gone == Due(first.created_at + 10 * DAY, "all")
    assert new.lifetime.gone == Due(second.created_at + 10 * DAY, "all")
    past = await explained(cell, as_of=first.created_at)
    assert past.version == 1


async def test_a_hold_is_seen_and_named_to_who_may_know(cell: Cell) -> None:
    await declare(cell, rule("all", deleteAfter="10d"))
    await cell.put("k", 1, "customer:1")
    await cell.put("other", 1, "customer:2")
    await cell.put("note", 1, scope=NOTES)
    person = (await cell.tenure.subjects.lookup(cell.one["dpo"], "customer:1"))["items"][0]["id"]
    held = await cell.tenure.holds.place(cell.one["dpo"], "subject", person, "a case")
    scoped = await cell.tenure.holds.place(cell.one["dpo"], "scope", NOTES, "another")
    found = await explained(cell)
    assert (found.lifetime.gone, found.lifetime.holds) == (None, (held["id"],))
    assert found.lifetime.ceiling is not None
    assert not found.sees_holds, "an agent learns that it is held, and no more"
    assert (await explained(cell, "other")).lifetime.holds == ()
    assert (await explained(cell, "note", scope=NOTES)).lifetime.holds == (scoped["id"],)
    await cell.tenure.holds.release(cell.one["dpo"], held["id"])
    assert (await explained(cell)).lifetime.gone is not None


async def test_it_is_an_access_and_a_denial_is_one(cell: Cell) -> None:
    await cell.put("h", 1, "customer:1", categories=("health",))
    found = await explained(cell, "h")
    with pytest.raises(Denied) as refused:
        await explained(cell, "h", ask=cell.one.ask("clerk"))
    entries = {f"{one['writer']}-{one['n']}": one for one in cell.entries()}
    seen = [entries[found.entry], entries[refused.value.entry or ""]]
    assert [(one["outcome"], one["accesses"][0]["action"]) for one in seen] == [
        ("ok", "listed"),
        ("denied", "denied"),
    ]
    with pytest.raises(Invalid):
        await explained(cell, "h", ask=Ask(cell.one["agent"], "unheard"))


async def test_what_is_gone_is_explained_as_it_is_read(cell: Cell) -> None:
    await declare(cell, rule("all", deleteAfter="10d"))
    await cell.put("erased", 1, "customer:1")
    await cell.put("deleted", 1, "customer:2")
    await cell.erase("customer:1")
    await cell.tenure.gateway.delete(cell.one.ask(), SCOPE, "deleted")
    with pytest.raises(Erased):
        await explained(cell, "erased")
    for absent in ("deleted", "never"):
        with pytest.raises(NotFound):
            await explained(cell, absent)
    assert (await explained(cell, "deleted", version=1)).version == 1
    with pytest.raises(NotFound):
        await explained(cell, "deleted", ask=cell.two.ask())


async def test_a_version_of_several_people_is_held_for_any_of_them(cell: Cell) -> None:
    await cell.put("both", 1, "customer:1", "customer:2", scope=JOINT)
    person = (await cell.tenure.subjects.lookup(cell.one["dpo"], "customer:2"))["items"][0]["id"]
    held = await cell.tenure.holds.place(cell.one["dpo"], "subject", person, "a case")
    assert (await explained(cell, "both", scope=JOINT)).lifetime.holds == (held["id"],)


async def test_what_is_not_known_takes_nothing_away(cell: Cell) -> None:
    """An event that nobody told of: a rule that begins with it only waits."""
    left = rule("left", clock="event", event="customer-left", deleteAfter="1d", floor="1d", ground="x")
    await declare(cell, left)
    await cell.put("k", 1, "customer:1")
    found = await explained(cell)
    assert (found.lifetime.gone, found.lifetime.ceiling, found.lifetime.open) == (None, None, ("left",))
    told = " ".join(words(found.lifetime, found.now))
    assert "left keeps it without an end, for event customer-left" in told


async def test_its_own_term_is_a_rule_too(cell: Cell) -> None:
    at = ids.now() + DAY
    await cell.put("k", 1, "customer:1", expires_at=at)
    found = await explained(cell)
    assert found.lifetime.gone == Due(at, "expires_at")
    assert words(found.lifetime, found.now) == [
        f"It goes at {ids.rfc3339(at)}, or up to {LATER} later, {BESIDE}: its own expires_at."
    ]
