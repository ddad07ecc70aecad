"""A dry run that looks back: which recorded accesses would have come out differently."""

import json
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure import ids
from tenure.errors import Denied, Invalid
from tenure.governance import whatif

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

NO_HEALTH = """
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
CLERKS_HEALTH = """
apiVersion: tenure/v1
kind: Grant
metadata: {name: clerks-health}
spec:
  roles: [clerk]
  scopes: [support.conversations]
  categories: [health]
  purposes: [customer-support]
  actions: [read]
  effect: allow
"""


async def look_back(cell: Cell, text: str, days: int = 1, who: str = "admin") -> dict[str, Any]:
    await cell.tenure.sequencer.run(cell.one.id)
    answer = await cell.tenure.what_if.apply(cell.one[who], text, days)
    assert answer["dry_run"] is True
    assert answer["entry"] is None
    return json.loads(json.dumps(answer["what_if"]))  # type: ignore[no-any-return]


async def denied(cell: Cell, key: str, who: str = "clerk") -> str:
    with pytest.raises(Denied) as refused:
        await cell.get(key, ask=cell.one.ask(who))
    return refused.value.entry or ""


async def age(cell: Cell, days: int) -> None:
    """What is in the log so far was long ago; the entries say so themselves."""
    await cell.tenure.sequencer.run(cell.one.id)
    for body in cell.rows("SELECT body FROM entries WHERE CAST(tenant_id AS TEXT) = :t", t=cell.one.id):
        entry = json.loads(bytes(body[0]))
        at = ids.parse_rfc3339(entry["at"]) - days * 86_400_000_000
        old = bytes(body[0]).replace(entry["at"].encode(), ids.rfc3339(at).encode())
        cell.change(
            "UPDATE entries SET body = :b, at = :at WHERE writer = :w AND n = :n",
            b=old,
            at=at,
            w=entry["writer"],
            n=entry["n"],
        )


@pytest.mark.databases(*DATABASES)
async def test_it_counts_what_would_change_with_examples(cell: Cell) -> None:
    await cell.put("health", 1, "customer:1", categories=("health",))
    await cell.put("plain", 1, "customer:1")
    reads = [(await cell.get("health")).entry for _ in range(5)]
    await cell.get("plain")
    refused = await denied(cell, "health")
    found = await look_back(cell, NO_HEALTH + "---" + CLERKS_HEALTH.replace("health]", "contact]"))
    (group,) = found["groups"]
    assert group["examples"] == [reads[4], reads[3], reads[2]]
    assert (group["count"], group["was"], group["now"], group["becomes"]) == (5, True, True, False)
    assert (group["roles"], group["scope"], group["categories"], group["purpose"], group["action"]) == (
        ["support-agent"],
        SCOPE,
        ["health"],
        SUPPORT,
        "read",
    )
    assert group["rules"] == ["grant/no-health#1"]
    assert group["first_at"] < group["last_at"]
    assert (found["denied"], found["allowed"], found["unknown"]) == (5, 0, 0)
    assert (found["first"], found["stopped"], found["entries"]) == (0, None, found["end"])
    other = await look_back(cell, CLERKS_HEALTH)
    (group,) = other["groups"]
    assert (group["examples"], group["roles"], group["becomes"]) == ([refused], ["clerk"], True)
    assert (other["denied"], other["allowed"]) == (0, 1)


async def test_nothing_changes_and_nothing_is_on_record(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    await cell.get("k")
    before = len(cell.entries())
    assert (await look_back(cell, NO_HEALTH))["denied"] == 1
    assert len(cell.entries()) == before
    assert (await cell.get("k")).version == 1
    assert (await look_back(cell, CLERKS_HEALTH))["groups"] == []


async def test_what_changed_already_is_told_apart(cell: Cell) -> None:
    """`now` says that it is not this apply that makes the difference."""
    await cell.put("k", 1, "customer:1", categories=("health",))
    await cell.get("k")
    await cell.tenure.manifests.apply(cell.one["admin"], NO_HEALTH, dry_run=False)
    (group,) = (await look_back(cell, CLERKS_HEALTH))["groups"]
    assert (group["was"], group["now"], group["becomes"]) == (True, False, False)


@pytest.mark.databases(*DATABASES)
async def test_only_so_many_days_are_looked_at(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1", categories=("health",))
    await cell.get("k")
    await age(cell, 3)
    await cell.get("k")
    assert (await look_back(cell, NO_HEALTH, 2))["denied"] == 1
    assert (await look_back(cell, NO_HEALTH, 4))["denied"] == 2


async def test_it_stops_where_it_says(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatif, "PAGE", 4)
    monkeypatch.setattr(whatif, "MAX_ENTRIES", 8)
    await cell.put("k", 1, "customer:1", categories=("health",))
    for _ in range(20):
        await cell.get("k")
    found = await look_back(cell, NO_HEALTH)
    assert (found["entries"], found["end"] - found["first"], found["stopped"]) == (8, 8, whatif.LIMIT)
    assert found["denied"] == 8
    monkeypatch.setattr(whatif, "MAX_ENTRIES", 1000)
    found = await look_back(cell, NO_HEALTH)
    assert (found["first"], found["stopped"], found["denied"]) == (0, None, 20)
    await age(cell, 3)
    for _ in range(2):
        await cell.get("k")
    found = await look_back(cell, NO_HEALTH)
    assert (found["denied"], found["stopped"]) == (2, None)
    assert found["first"] > 0, "it stops where the days are over"


@pytest.mark.databases(*DATABASES)
async def test_the_erased_count_by_their_labels(cell: Cell) -> None:
    await cell.put("k", "secret", "customer:1", categories=("health",))
    await cell.get("k")
    await cell.erase("customer:1")
    found = await look_back(cell, NO_HEALTH)
    assert found["denied"] == 1
    assert "secret" not in json.dumps(found)


async def test_misses_are_judged_as_whatever_is_in_the_scope(cell: Cell) -> None:
    """A denial where nothing was: with the new rule there is something to be seen in the scope."""
    refused = await denied(cell, "none", "marketer")
    text = CLERKS_HEALTH.replace("[clerk]", "[marketer]")
    (group,) = (await look_back(cell, text))["groups"]
    assert (group["categories"], group["becomes"], group["examples"]) == ([], True, [refused])
    with pytest.raises(Denied):
        await cell.get("none", scope=NOTES, ask=cell.one.ask("marketer"))
    assert len((await look_back(cell, text))["groups"]) == 1


async def test_wrong_manifests_and_wrong_callers_are_refused(cell: Cell) -> None:
    with pytest.raises(Invalid):
        await look_back(cell, NO_HEALTH.replace("effect: deny", "effect: perhaps"))
    for who in ("agent", "auditor"):
        with pytest.raises(Denied):
            await look_back(cell, NO_HEALTH, who=who)
