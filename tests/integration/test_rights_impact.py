"""The report on decisions, made before an erasure, against what their contexts show after it."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_derived import AGAIN, KEEP, KEPT, REDERIVE, declare, derive, scope

from support import airline
from support.cell import JOINT, NOTES, SCOPE, Cell
from support.contexts import assert_foretold, opened, told
from support.flown import Airline
from support.tiering import Later, stocked, tier
from tenure.cli.demo.dataset import DataSet
from tenure.crew import Desk as OpenDesk
from tenure.crew import Solo
from tenure.errors import Denied, NotFound
from tenure.listing import Query
from tenure.model.layers import DAY_US
from tenure.model.principal import Credential
from tenure.model.record import Draft, Segment
from tenure.model.thread import Bound, Channel, NewSnapshot
from tenure.rights.inventory import inventory
from tenure.store import subjects
from tenure.thawing import Thaw

pytestmark = pytest.mark.anyio


# ── the airline ────────────────────────────────────────────────────────────────────────────────────
async def _erase_two(cell: Cell, data: DataSet) -> None:
    lived = Airline(cell, data)
    await lived.live()
    before = await told(cell, lived.made)
    first, second = lived.often_with_others()
    after = await lived.foretold(first, before)
    # Of what was about both, nothing is left to go.
    assert await lived.foretold(second, after) != after


async def test_exactly_those_decisions_whose_context_differs(embedded: Cell, tmp_path: Path) -> None:
    """Of 200 in `test_requests_killed`; here two people one after the other."""
    data = airline.told(tmp_path / "airline", conversations=60, customers=14)
    async with embedded.opened():
        await _erase_two(embedded, data)


@pytest.mark.postgres
async def test_on_postgresql_too(scaled: Cell, tmp_path: Path) -> None:
    async with scaled.opened():
        await _erase_two(scaled, airline.told(tmp_path / "airline", conversations=24, customers=8))


# ── every way in which something goes ──────────────────────────────────────────────────────────────
GONE, STAYS, ENDS, EARLIER = "customer:gone", "customer:stays", "customer:ends", "customer:earlier"


class Desk:
    """Decisions by name, and what they are expected to show."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.names: dict[str, str] = {}
        self.made: dict[str, Credential] = {}

    async def begin(self, name: str, subject: str | None = None, who: str = "agent") -> Any:
        decision = await opened(self.cell, subject, who)
        self.names[decision], self.made[decision] = name, self.cell.one[who]
        return self.cell.one.ask(who, decision=decision)

    async def seal(self, ask: Any) -> None:
        await self.cell.tenure.decisions.seal(self.made[ask.decision], ask.decision, "done", None)


async def _written(cell: Cell) -> None:
    """Records about somebody who is to go, alone and with others, and what was made of them."""
    await declare(cell, scope(KEPT, KEEP), scope(AGAIN, REDERIVE))
    talk = (await cell.put("talk", "hers", GONE)).version_id
    await cell.put("talk", "hers, later", GONE)
    await cell.put("held", "evidence", GONE)
    await cell.put("his", "not hers", STAYS)
    await cell.put("both", "a booking", GONE, STAYS, scope=JOINT)
    await cell.put("either", "a row", GONE, STAYS)
    parts = (Segment(b'"hers"', (GONE,)), Segment(b'"his"', (STAYS,)), Segment(b'"ours"', (GONE, STAYS)))
    await cell.tenure.gateway.write(
        cell.one.ask(), SCOPE, "parts", Draft(b"", (), ("contact",), segments=parts)
    )
    for where in (NOTES, AGAIN, KEPT):
        await derive(cell, f"of {where}", "derived", talk, where=where)
    labelled = await cell.put("labelled", "of hers, about him", STAYS, derived_from=(talk,))
    await cell.put("beyond", "of that", STAYS, derived_from=(labelled.version_id,))
    ends = await cell.put("ends", "theirs", ENDS)
    await derive(cell, "of two", "kept, of both", talk, ends.version_id, where=KEPT)
    await cell.put("with ends", "a row", GONE, ENDS, scope=JOINT)
    await cell.put("with earlier", "another", GONE, EARLIER)
    await asyncio.gather(*(cell.put(f"many/{n}", n, STAYS) for n in range(69)))
    await cell.put("many/her", "one of many", GONE)
    said = {"talk": Channel(1, "text", (b"hello",))}
    bound = Bound(("contact",), (GONE,))
    await cell.tenure.threads.put(
        cell.one.ask(), SCOPE, "thread", "", bound, NewSnapshot("s1", None, said, run="r")
    )


READS = {
    "nothing of hers": [("his", SCOPE)],
    "her talk": [("talk", SCOPE)],
    "twice": [("talk", SCOPE), ("his", SCOPE), ("talk", SCOPE)],
    "held": [("held", SCOPE)],
    "both, where all must leave": [("both", JOINT)],
    "both, with the first": [("either", SCOPE)],
    "segments": [("parts", SCOPE)],
    "derived, goes": [(f"of {NOTES}", NOTES)],
    "derived, again": [(f"of {AGAIN}", AGAIN)],
    "derived, stays": [(f"of {KEPT}", KEPT)],
    "derived of two, stays": [("of two", KEPT)],
    "labelled": [("labelled", SCOPE)],
    "beyond": [("beyond", SCOPE)],
    "gone earlier": [("with earlier", SCOPE)],
    "one ends as well": [("with ends", JOINT), ("ends", SCOPE)],
}
USED = {*READS} - {"nothing of hers"} | {"old", "many", "listed", "wrote", "thread"}
UNCHANGED = {"gone earlier", "derived, stays", "derived of two, stays", "labelled", "beyond", "listed"}


async def _decided(cell: Cell) -> Desk:
    desk = Desk(cell)
    gateway = cell.tenure.gateway
    for name, places in READS.items():
        ask = await desk.begin(name, STAYS if name == "twice" else GONE if name == "her talk" else None)
        for key, where in places:
            await cell.get(key, scope=where, ask=ask)
        if name != "her talk":
            await desk.seal(ask)
    old = await desk.begin("old", who="clerk")
    await cell.get("talk", ask=old, version=1)
    await desk.seal(old)
    many = await desk.begin("many")
    found = await gateway.query(many, SCOPE, Query(prefix="many/", include_content=True, limit=100))
    assert len(found.items) == 70
    await desk.seal(many)
    listed = await desk.begin("listed")
    await gateway.query(listed, SCOPE, Query(subject=GONE))
    wrote = await desk.begin("wrote")
    await cell.put("written", "by a decision", GONE, ask=wrote)
    await desk.seal(wrote)
    thread = await desk.begin("thread")
    await cell.tenure.threads.get(thread, SCOPE, "thread")
    denied = await desk.begin("denied", who="clerk")
    await cell.put("sick", "hers", GONE, categories=("health",))
    with pytest.raises(Denied):
        await cell.get("sick", ask=denied)
    return desk


def group(scope: str, state: str, versions: int, label: str = "contact", **more: Any) -> dict[str, Any]:
    tier = "hot" if state == "live" else None
    return {
        "scope": scope,
        "categories": [label],
        "tier": tier,
        "state": state,
        "versions": versions,
        **more,
    }


def shared(scope: str, fate: str, people: int) -> dict[str, Any]:
    return {"scope": scope, "fate": fate, "records": people, "versions": people, "people": people}


INVENTORY = {
    "state": "active",
    "held": [
        group(SCOPE, "erased", 1),
        group(SCOPE, "live", 9),
        group(SCOPE, "live", 1, "health"),
        group(JOINT, "live", 2),
    ],
    "shared": [shared(SCOPE, "cut", 1), shared(SCOPE, "goes", 1), shared(JOINT, "stays", 2)],
    "derived": [
        group(AGAIN, "live", 1, rule="rederive"),
        group(KEPT, "live", 2, rule="keep"),
        group(NOTES, "live", 1, rule="shred"),
    ],
}


async def inventoried(cell: Cell, reference: str, *, later: int = 0) -> dict[str, Any]:
    """The inventory of a person, after so many days."""
    person = await cell.person(reference)

    def work(desk: OpenDesk) -> dict[str, Any]:
        found = subjects.get(desk.tx, person)
        assert found is not None
        return inventory(replace(desk, now=desk.now + later * DAY_US), found)

    return dict(await cell.tenure.batcher.submit(cell.one.id, Solo(work)))


async def test_each_way_in_which_a_context_changes_or_does_not(cell: Cell) -> None:
    await _written(cell)
    desk = await _decided(cell)
    tenant = cell.one
    assert cell.rows("SELECT count(*) FROM access_lists")[0][0], "the many are a list of their own"
    held = (await cell.get("held")).record
    await cell.tenure.holds.place(tenant["dpo"], "record", held, "case 7")
    await cell.erase(EARLIER)
    person = await cell.person(GONE)
    held_of_her = await inventoried(cell, GONE)
    await cell.request(ENDS)  # under way: what it takes is not this person's doing
    report = await cell.tenure.impacts.report(tenant.id, person)
    await cell.tenure.shredder.run()

    before = await told(cell, desk.made)
    await cell.erase(GONE)
    after = await told(cell, desk.made)
    different = assert_foretold(report, before, after)
    assert {desk.names[one] for one in different} == USED - UNCHANGED
    assert report["decisions"] == {
        "total": len(USED),
        "differ": len(USED - UNCHANGED),
        "others": 1,
        "unknown": 0,
    }
    assert report["agents"] == [
        {"principal": tenant.principals["agent"], "decisions": len(USED) - 1},
        {"principal": tenant.principals["clerk"], "decisions": 1},
    ]
    assert report["descendants"] == {"others": 2, "complete": True}
    shown = {desk.names[one["decision"]]: [line["shown"] for line in one["after"]] for one in report["items"]}
    assert shown["twice"] == ["withheld", "returned", "withheld"]
    assert shown["held"] == ["withheld"], "a hold keeps and shows nobody anything"
    assert shown["both, where all must leave"] == ["changed"]
    assert shown["segments"] == ["withheld", "returned", "withheld"]
    assert shown["one ends as well"] == ["withheld", "withheld"]
    assert sorted(shown["many"]) == ["returned"] * 69 + ["withheld"]
    assert [one["subject"] for one in report["items"] if desk.names[one["decision"]] == "her talk"] == [
        person
    ]
    assert held_of_her == INVENTORY | {"subject": person}
    text = json.dumps([report, held_of_her])
    assert not any(word in text for word in ("evidence", "talk", "customer:", "case 7")), (
        "ids and words of ours"
    )


async def test_what_lies_in_packs_is_foretold_without_being_fetched(
    embedded: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, later = embedded, Later(monkeypatch)
    async with cell.opened() as tenure:
        await stocked(cell, 2)
        parts = (Segment(b'"hers"', ("customer:0",)), Segment(b'"his"', ("customer:1",)))
        draft = Draft(b"", (), ("contact",), segments=parts)
        await tenure.gateway.write(cell.one.ask(), SCOPE, "parts", draft)
        made = {}
        for keys in (("k0", "k1"), ("k1",), ("parts",)):
            decision = await opened(cell)
            made[decision] = cell.one["agent"]
            for key in keys:
                await cell.get(key, ask=cell.one.ask(decision=decision))
        assert {one["tier"] for one in (await inventoried(cell, "customer:0"))["held"]} == {"hot"}
        later(48)
        assert (await tier(tenure))["versions"] == 3
        tiers = [(await inventoried(cell, "customer:0", later=days))["held"] for days in (0, 29, 40)]
        assert [[(one["tier"], one["versions"]) for one in held] for held in tiers] == [
            [("cold", 2)],
            [("cold", 2)],
            [("archived", 2)],
        ]
        with monkeypatch.context() as patch:
            patch.setattr(Thaw, "read", None)
            report = await tenure.impacts.report(cell.one.id, await cell.person("customer:0"))
        before = await told(cell, made)
        await cell.erase("customer:0")
        assert len(assert_foretold(report, before, await told(cell, made))) == 2


async def test_in_pages_and_of_whom_nobody_read(cell: Cell) -> None:
    await cell.put("talk", "hers", GONE)
    await cell.put("unread", "his", STAYS)
    made = []
    for _ in range(5):
        made.append(await opened(cell))
        await cell.get("talk", ask=cell.one.ask(decision=made[-1]))
    report = cell.tenure.impacts.report
    person = await cell.person(GONE)
    progress: list[int] = []
    found, after = [], None
    for expected in (2, 2, 1):
        part = await report(cell.one.id, person, after=after, limit=2, told=progress.append)
        assert len(part["items"]) == expected
        assert ("decisions" in part) is (after is None)
        found += part["items"]
        after = part.get("next")
    assert after is None
    assert [one["decision"] for one in found] == made
    assert progress[0] == 5
    whole = await report(cell.one.id, person)
    assert (whole["items"], whole["scanned"]) == (found, {"entries": 5, "decisions": 5})

    nobody = await report(cell.one.id, await cell.person(STAYS))
    assert nobody["decisions"] == {"total": 0, "differ": 0, "others": 0, "unknown": 0}
    assert (nobody["agents"], nobody["items"]) == ([], [])
    with pytest.raises(NotFound):
        await report(cell.two.id, person)


async def test_a_decision_that_nobody_can_tell_is_said_to_be_one(cell: Cell) -> None:
    """Its list of accesses went with a restored database: whether it used the person's data is not known."""
    await asyncio.gather(*(cell.put(f"many/{n}", n, STAYS) for n in range(70)))
    await cell.put("talk", "hers", GONE)
    decision = await opened(cell)
    ask = cell.one.ask(decision=decision)
    await cell.tenure.gateway.query(ask, SCOPE, Query(prefix="many/", include_content=True, limit=100))
    person = await cell.person(GONE)
    report = cell.tenure.impacts.report
    assert (await report(cell.one.id, person))["decisions"]["unknown"] == 0
    cell.change("DELETE FROM access_lists")
    counts = (await report(cell.one.id, person))["decisions"]
    assert counts == {"total": 0, "differ": 0, "others": 0, "unknown": 1}
