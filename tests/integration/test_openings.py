"""Openings: what exactly an agent saw, shown to somebody who has the receipt, and gone with the person."""

import json
from typing import Any

import pytest

from support.cell import NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from tenure.decisions import Opening
from tenure.errors import NotFound
from tenure.ledger.canonical import canonical
from tenure.ledger.opening import verify_openings
from tenure.ledger.receipt import ReceiptReport, verify_receipt
from tenure.listing import Query
from tenure.model.record import Draft, Segment
from tenure.reconstruction import Chosen

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]


async def put(cell: Cell, key: str, content: Any, subject: str, *, scope: str = SCOPE) -> None:
    """As the HTTP API stores it: canonical."""
    draft = Draft(canonical(content), (subject,), ("contact",))
    await cell.tenure.gateway.write(cell.one.ask(), scope, key, draft)


async def decided(cell: Cell) -> tuple[str, list[str]]:
    """A sealed decision that read three records; the entries of its reads."""
    for n in range(3):
        await put(cell, f"k{n}", {"said": f"words {n}", "é": [1.5, n]}, f"customer:{n}")
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    ask = cell.one.ask(decision=opened["id"])
    entries = [(await cell.get(f"k{n}", ask=ask)).entry for n in range(3)]
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    await cell.tenure.sequencer.run(cell.one.id)
    return str(opened["id"]), entries


async def receipt_of(cell: Cell, decision: str) -> ReceiptReport:
    text = await cell.tenure.decisions.receipt(cell.one["auditor"], decision)
    report = verify_receipt(text, [await cell.verifier()])
    assert report.ok, report.failures
    return report


def checks(openings: Any, receipt: ReceiptReport) -> list[str]:
    report = verify_openings(json.dumps(openings), receipt)
    return [failure.check for failure in report.failures]


@pytest.mark.databases(*DATABASES)
async def test_chosen_accesses_show_what_was_seen_and_only_they_are_on_record(cell: Cell) -> None:
    decision, entries = await decided(cell)
    receipt = await receipt_of(cell, decision)
    openings = await cell.tenure.decisions.openings(
        cell.one.ask(), decision, Chosen(frozenset({entries[1]}), frozenset())
    )
    report = verify_openings(json.dumps(openings), receipt)
    assert report.ok, report.failures
    assert [one.content["said"] for one in report.seen] == ["words 1"]
    assert any("2 commitments" in text for text in report.not_checked)
    last = max(cell.entries(), key=lambda entry: entry["at"])
    assert [one["record"] for one in last["accesses"]] == [openings["items"][0]["record"]]

    by_record = Chosen(frozenset(), frozenset({one["record"] for one in openings["items"]}))
    again = await cell.tenure.decisions.openings(cell.one.ask(), decision, by_record)
    assert [one["salt"] for one in again["items"]] == [one["salt"] for one in openings["items"]]
    whole = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    assert len(verify_openings(json.dumps(whole), receipt).seen) == 3
    for nothing in (Chosen(frozenset({"0011-1"}), frozenset()), Chosen(frozenset(), frozenset({"x"}))):
        with pytest.raises(NotFound):
            await cell.tenure.decisions.openings(cell.one.ask(), decision, nothing)


async def test_what_a_restored_database_lost_is_told_as_lost(cell: Cell) -> None:
    decision, entries = await decided(cell)
    receipt = await receipt_of(cell, decision)
    openings = await cell.tenure.decisions.openings(
        cell.one.ask(), decision, Chosen(frozenset({entries[0]}), frozenset())
    )
    about = {name: openings["items"][0][name] for name in ("record", "version")}
    report = verify_openings(json.dumps(openings | {"items": [about | {"state": "lost"}]}), receipt)
    assert report.ok, report.failures
    assert report.seen[0].lost
    assert report.seen[0].content is None
    assert any("3 commitments" in text for text in report.not_checked)


async def test_each_change_to_openings_has_a_name(cell: Cell) -> None:
    decision, _ = await decided(cell)
    receipt = await receipt_of(cell, decision)
    openings = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    assert checks(openings, receipt) == []

    def with_item(**members: Any) -> list[str]:
        first, *rest = openings["items"]
        return checks({**openings, "items": [{**first, **members}, *rest]}, receipt)

    first, second, _third = openings["items"]
    assert with_item(content={"v": "other"}) == ["opening-mismatch"]
    assert with_item(salt=second["salt"]) == ["opening-mismatch"]
    assert with_item(tenant=cell.two.id) == ["opening-mismatch"]
    assert with_item(version=2) == ["opening-unknown"]
    assert with_item(segment=0) == ["opening-unknown"]
    assert with_item(entry_nonce=second["entry_nonce"]) == ["opening-unknown"]
    assert with_item(record=second["record"]) == ["opening-unknown"]
    assert with_item(salt="AAAA") == ["openings-format"]
    assert with_item(record="x") == ["openings-format"]
    assert with_item(content=2**60) == ["openings-format"]
    assert checks({**openings, "decision": first["record"]}, receipt) == ["openings-decision"]
    assert checks({**openings, "items": 3}, receipt) == ["openings-format"]
    assert checks([], receipt) == ["openings-format"]
    text = (await cell.tenure.decisions.receipt(cell.one["agent"], decision)).replace("index ", "index 1")
    broken = verify_receipt(text, [await cell.verifier()])
    assert checks(openings, broken) == ["openings-receipt"]


async def test_after_the_erasure_openings_are_gone_and_the_receipt_still_verifies(cell: Cell) -> None:
    decision, _ = await decided(cell)
    before = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    await cell.erase("customer:1")
    receipt = await receipt_of(cell, decision)
    openings = await cell.tenure.decisions.openings(cell.one.ask(), decision)
    report = verify_openings(json.dumps(openings), receipt)
    assert report.ok, report.failures
    assert [one.erased for one in report.seen] == [False, True, False]
    gone = openings["items"][1]
    assert "salt" not in gone
    assert "content" not in gone
    assert gone["certificate"]
    assert before["items"][1]["salt"] not in json.dumps(openings)
    assert (await cell.audited()).ok


async def test_segments_and_long_lists_open_too(cell: Cell) -> None:
    parts = (Segment(b'"of one"', ("customer:1",)), Segment(b'"of two"', ("customer:2",)))
    for n in range(70):
        await put(cell, f"k{n}", n, "customer:1", scope=NOTES)
    draft = Draft(b"", (), ("contact",), segments=parts)
    await cell.tenure.gateway.write(cell.one.ask(), NOTES, "parts", draft)
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    ask = cell.one.ask(decision=opened["id"])
    await cell.get("parts", scope=NOTES, ask=ask)
    await cell.tenure.gateway.query(ask, NOTES, Query(limit=80, include_content=True))
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "done", None)
    await cell.tenure.sequencer.run(cell.one.id)
    receipt = await receipt_of(cell, opened["id"])
    openings = await cell.tenure.decisions.openings(cell.one.ask(), opened["id"])
    report = verify_openings(json.dumps(openings), receipt)
    assert report.ok, report.failures
    assert len(report.seen) == 2 + 70 + 2
    assert [one.content for one in report.seen[:2]] == ["of one", "of two"]
    await cell.erase("customer:1")
    openings = await cell.tenure.decisions.openings(cell.one.ask(), opened["id"])
    report = verify_openings(json.dumps(openings), receipt)
    assert report.ok, report.failures
    assert [one.content for one in report.seen if not one.erased] == ["of two", "of two"]
