"""Holds: what they cover is kept although the person is erased, and nobody reads it."""

import asyncio

import pytest

from support.cell import JOINT, NOTES, SCOPE, Cell
from support.databases import DATABASES
from support.erasure import assert_certified, assert_erased, kept_by
from tenure.errors import Conflict, Erased, NotFound
from tenure.listing import Query

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def place(cell: Cell, by: str, target: str) -> str:
    placed = await cell.tenure.holds.place(cell.one["dpo"], by, target, "case 7")
    return str(placed["id"])


@pytest.mark.parametrize("by", ["subject", "scope", "record"])
@pytest.mark.databases(*DATABASES)
async def test_what_is_held_stays_and_the_certificate_says_so(cell: Cell, by: str) -> None:
    written = await cell.put("held", "evidence", "customer:1")
    await cell.put("other", "x", "customer:1", scope=NOTES)
    await cell.put("stays", "y", "customer:2")
    person = await cell.person("customer:1")
    target = {"subject": person, "scope": SCOPE, "record": written.record}[by]
    hold = await place(cell, by, target)
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], person)
    held = 2 if by == "subject" else 1
    assert (preview["versions"], preview["erased"], preview["held"]) == (2, 2, held)
    assert [one["id"] for one in preview["holds"]] == [hold]

    state = await cell.erase("customer:1")
    certified = await assert_certified(cell, state)
    assert certified["stores"]["database"]["versions_kept_for_holds"] == held
    assert certified["stores"]["database"]["versions_purged"] == 2 - held
    assert certified["holds"] == {hold: "case 7"}
    await assert_erased(cell, "held", certificate=state["certificate"])
    assert await cell.value("stays") == "y"
    assert b'{"v": "evidence"}' in kept_by(cell, hold)
    assert (await cell.tenure.holds.get(cell.one["dpo"], hold))["versions"] == held


@pytest.mark.databases(*DATABASES)
async def test_released_it_is_erased_with_a_certificate_of_its_own(cell: Cell) -> None:
    await cell.put("held", "evidence", "customer:1")
    hold = await place(cell, "scope", SCOPE)
    first = await cell.erase("customer:1")
    released = await cell.tenure.holds.release(cell.one["dpo"], hold)
    assert await cell.tenure.holds.release(cell.one["dpo"], hold) == released, "asking twice is asking once"
    await cell.tenure.shredder.run()
    state = await cell.erasure(released["shred"])
    certified = await assert_certified(cell, state)
    assert certified["hold"] == hold
    assert certified["stores"]["database"]["versions_purged"] == 1
    assert (await cell.tenure.holds.get(cell.one["dpo"], hold))["state"] == "released"
    assert [parts for parts in cell.stored().values() if any(parts)] == []
    with pytest.raises(Erased) as gone:
        await cell.get("held")
    assert gone.value.certificate in (first["certificate"], state["certificate"])


async def test_a_hold_that_kept_nothing_takes_nothing_with_it(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    hold = await place(cell, "scope", SCOPE)
    await cell.tenure.holds.release(cell.one["dpo"], hold)
    await cell.tenure.shredder.run()
    assert await cell.value("k") == 1


@pytest.mark.databases(*DATABASES)
async def test_two_holds_keep_until_the_last_is_released(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    holds = [await place(cell, "scope", SCOPE), await place(cell, "subject", await cell.person("customer:1"))]
    await cell.erase("customer:1")
    for hold, left in zip(holds, (1, 0), strict=True):
        await cell.tenure.holds.release(cell.one["dpo"], hold)
        await cell.tenure.shredder.run()
        assert len([parts for parts in cell.stored().values() if any(parts)]) == left


async def test_who_stays_still_reads_what_all_must_leave(cell: Cell) -> None:
    await cell.put("trip", 1, "customer:1", "customer:2", scope=JOINT)
    hold = await place(cell, "subject", await cell.person("customer:1"))
    await cell.erase("customer:1")
    assert await cell.value("trip", scope=JOINT) == 1, "the other is there, and was not held"
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], await cell.person("customer:2"))
    assert (preview["erased"], preview["shared"]) == (1, 0), "a hold lets nobody read on"
    await cell.erase("customer:2")
    with pytest.raises(Erased):
        await cell.get("trip", scope=JOINT)
    assert kept_by(cell, hold) == [b'{"v": 1}'], "nothing but the hold keeps it now"


async def test_held_versions_are_in_no_list(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await place(cell, "scope", SCOPE)
    await cell.erase("customer:1")
    page = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(limit=50))
    assert page.items == []


async def test_a_hold_is_placed_on_what_is_there_and_in_time(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    person = await cell.person("customer:1")
    dpo = cell.one["dpo"]
    nobody = "00000000-0000-7000-8000-000000000000"
    for by, target in (("subject", nobody), ("record", nobody), ("scope", "support.nowhere")):
        with pytest.raises(NotFound):
            await cell.tenure.holds.place(dpo, by, target, "case")
    await cell.request("customer:1")
    with pytest.raises(Conflict):
        await cell.tenure.holds.place(dpo, "subject", person, "case")
    assert (await cell.tenure.holds.every(dpo))["items"] == []


async def test_a_thousand_versions_are_held_in_chunks(embedded: Cell) -> None:
    async with embedded.opened():
        for first in range(0, 1100, 100):
            await asyncio.gather(*(embedded.put(f"k{n}", n, "customer:1") for n in range(first, first + 100)))
        hold = await place(embedded, "scope", SCOPE)
        certified = await assert_certified(embedded, await embedded.erase("customer:1"))
        assert certified["stores"]["database"]["versions_kept_for_holds"] == 1100
        assert (await embedded.tenure.holds.get(embedded.one["dpo"], hold))["versions"] == 1100
