"""Populations of a working cell, on both databases: complete, page by page, and the same for everybody."""

import json
from collections import Counter

import pytest

from support.cell import NOTES, Cell
from support.databases import DATABASES
from tenure.errors import Denied, Invalid, Malformed
from tenure.governance.populations import PAGE, Wanted
from tenure.ledger.note import Verifier
from tenure.ledger.population import PopulationCheck, PopulationReport
from tenure.ledger.selection import Selection
from tenure.listing import Query
from tenure.model.principal import Credential

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]
ALL = Selection()


async def fetched(
    cell: Cell, wanted: Wanted, who: Credential | None = None
) -> tuple[PopulationReport, list[bytes]]:
    check = PopulationCheck([await cell.verifier()], asked=wanted.selection)
    pages: list[bytes] = []
    cursor = None
    while True:
        page = await cell.tenure.populations.page(who or cell.one["auditor"], wanted, cursor=cursor)
        pages.append(page)
        assert check.see(page), check.failures
        cursor = json.loads(page)["next"]
        if cursor is None:
            return check.finish(), pages


@pytest.mark.databases(*DATABASES)
async def test_every_kind_is_found_whole_over_several_pages(cell: Cell) -> None:
    for n in range(3):
        await cell.put(f"k{n}", n, f"customer:{n}")
    for _ in range(PAGE // 8 + 8):
        await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query(limit=1))
        for _ in range(8):
            await cell.get("k1")
    with pytest.raises(Denied):
        await cell.get("k1", ask=cell.one.ask("marketer"))
    await cell.erase("customer:2")
    await cell.tenure.sequencer.run(cell.one.id)
    kinds = Counter(entry["kind"] for entry in cell.entries())

    report, pages = await fetched(cell, Wanted(ALL))
    assert report.ok
    assert len(pages) > 1
    assert Counter(one.entry["kind"] for one in report.found) == kinds
    for kind, count in kinds.items():
        report, _ = await fetched(cell, Wanted(Selection(kind=kind)))
        assert len(report.found) == count
    report, _ = await fetched(cell, Wanted(Selection(action="denied")))
    assert [one.entry["principal"] for one in report.found] == [cell.one.principals["marketer"]]
    agent = cell.one.principals["agent"]
    report, _ = await fetched(cell, Wanted(Selection(kind="write", principal=agent), first=4, end=PAGE + 9))
    expected = [e for e in cell.entries() if e["kind"] == "write" and 4 <= e["_at"][1] < PAGE + 9]
    assert len(report.found) == len(expected)


async def test_the_head_of_the_first_page_holds_for_all_of_them(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    for _ in range(PAGE + 20):
        await cell.get("k")
    await cell.tenure.sequencer.run(cell.one.id)
    auditor, wanted = cell.one["auditor"], Wanted(ALL)
    first = await cell.tenure.populations.page(auditor, wanted, cursor=None)
    await cell.get("k")
    await cell.tenure.sequencer.run(cell.one.id)
    second = await cell.tenure.populations.page(auditor, wanted, cursor=json.loads(first)["next"])
    assert json.loads(second)["checkpoint"] == json.loads(first)["checkpoint"]
    check = PopulationCheck([await cell.verifier()])
    assert check.see(first)
    assert check.see(second)
    assert check.finish().ok


async def test_a_filter_on_actions_brings_the_separate_lists(cell: Cell) -> None:
    for n in range(80):
        await cell.put(f"k{n}", n, "customer:1", scope=NOTES)
    await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query(limit=80, include_content=True))
    await cell.tenure.sequencer.run(cell.one.id)
    report, pages = await fetched(cell, Wanted(Selection(action="returned")))
    assert [one.entry["accesses_count"] for one in report.found] == [80]
    assert len(json.loads(pages[-1])["lists"]) == 1
    report, pages = await fetched(cell, Wanted(Selection(kind="access")))
    assert json.loads(pages[-1])["lists"] == {}


async def test_lists_that_are_too_long_for_a_page_go_into_the_next(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.governance.populations.MAX_LISTS", 1)
    for n in range(70):
        await cell.put(f"k{n}", n, "customer:1", scope=NOTES)
    for _ in range(3):
        await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query(limit=70, include_content=True))
    await cell.tenure.sequencer.run(cell.one.id)
    report, pages = await fetched(cell, Wanted(Selection(action="returned")))
    assert len(report.found) == 3
    assert [len(json.loads(page)["lists"]) for page in pages] == [0, 1, 1, 1]


async def test_ranges_and_cursors_that_are_none_are_refused(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    await cell.tenure.sequencer.run(cell.one.id)
    auditor, page = cell.one["auditor"], cell.tenure.populations.page
    for wanted, field in ((Wanted(ALL, 3, 3), "first"), (Wanted(ALL, 0, 10_000), "end")):
        with pytest.raises(Invalid) as refused:
            await page(auditor, wanted, cursor=None)
        assert refused.value.field == field
    for cursor in ("", "x", "1.3", "2.3.0", "1.99999.0", "1.3.3", "1.3.99", "1.3.-1"):
        with pytest.raises(Malformed):
            await page(auditor, Wanted(ALL), cursor=cursor)


async def test_a_population_is_of_the_callers_own_log_and_for_who_may_read_it(cell: Cell) -> None:
    await cell.put("k", 1, "customer:1")
    for tenant in (cell.one, cell.two):
        await cell.tenure.sequencer.run(tenant.id)
    mine = await cell.tenure.populations.page(cell.one["auditor"], Wanted(ALL), cursor=None)
    theirs = await cell.tenure.populations.page(cell.two["auditor"], Wanted(ALL), cursor=None)
    assert not PopulationCheck([await cell.verifier(cell.two)]).see(mine)
    assert PopulationCheck([await cell.verifier(cell.two)]).see(theirs)
    with pytest.raises(Denied):
        await cell.tenure.populations.page(cell.one["agent"], Wanted(ALL), cursor=None)
    assert isinstance(await cell.verifier(), Verifier)
