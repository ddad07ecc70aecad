"""One record about two people, Anna and Ben, after a real erasure of either or both: what is left to read."""

import json
from base64 import b64decode
from dataclasses import dataclass

import pytest

from support.attic import Attic
from support.cell import JOINT, NOTES, SCOPE, SUPPORT, Cell
from support.databases import DATABASES
from support.erasure import assert_certified
from support.oracle import Oracle
from tenure.access import Ask
from tenure.decisions import Opening
from tenure.errors import Erased, Invalid, Tampered
from tenure.keys import segments as stored_segments
from tenure.ledger.canonical import canonical
from tenure.ledger.commitment import commitment
from tenure.listing import Query
from tenure.model.record import Draft, Segment, Version
from tenure.writing import Condition

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

ANNA, BEN = "customer:anna", "customer:ben"
GONE = None
HERS, HIS, THEIRS, NOBODYS = "what anna said", "what ben said", "what both said", "office hours"


def part(value: str, *subjects: str) -> Segment:
    return Segment(json.dumps(value).encode(), subjects)


@dataclass(frozen=True)
class Case:
    """How a record is written, and what is read of it afterwards; None: all of it answers 410."""

    scope: str
    draft: Draft
    without_anna: list[str | None] | None
    without_ben: list[str | None] | None
    without_both: list[str | None] | None = None


def whole(*subjects: str) -> Draft:
    return Draft(json.dumps(THEIRS).encode(), subjects, ("contact",))


def parts(*given: Segment) -> Draft:
    return Draft(b"", (), ("contact",), segments=given)


CASES = {
    "any": Case(SCOPE, whole(ANNA, BEN), None, None),
    "all": Case(JOINT, whole(ANNA, BEN), [THEIRS], [THEIRS]),
    "segments": Case(SCOPE, parts(part(HERS, ANNA), part(HIS, BEN)), [GONE, HIS], [HERS, GONE]),
    "segments, one of both": Case(
        SCOPE,
        parts(part(HERS, ANNA), part(HIS, BEN), part(THEIRS, ANNA, BEN)),
        [GONE, HIS, GONE],
        [HERS, GONE, GONE],
    ),
    "segments, one of both, where all must leave": Case(
        JOINT, parts(part(HERS, ANNA), part(THEIRS, ANNA, BEN)), [GONE, THEIRS], [HERS, THEIRS]
    ),
    "segments, one about nobody": Case(
        NOTES,
        parts(part(HERS, ANNA), part(NOBODYS), part(HIS, BEN)),
        [GONE, NOBODYS, HIS],
        [HERS, NOBODYS, GONE],
        [GONE, NOBODYS, GONE],
    ),
}


async def write(cell: Cell, case: Case, ask: Ask | None = None) -> None:
    await cell.tenure.gateway.write(ask or cell.one.ask(), case.scope, "k", case.draft)


def said(found: Version) -> list[str | None]:
    """The values of a version, in their places."""
    contents = [one.content for one in found.segments] if found.segments else [found.content]
    return [None if content is None else json.loads(content) for content in contents]


@pytest.mark.parametrize("leaving", [(ANNA,), (BEN,), (ANNA, BEN), (BEN, ANNA)], ids="+".join)
@pytest.mark.parametrize("name", CASES)
async def test_what_is_left(cell: Cell, name: str, leaving: tuple[str, ...]) -> None:
    case = CASES[name]
    await write(cell, case)
    written = [json.loads(one.content) for one in case.draft.parts]
    assert said(await cell.get("k", scope=case.scope)) == written
    attic = Attic()
    attic.keep(cell)
    contents = {one.content for one in case.draft.parts}
    assert Oracle(attic, cell.settings.root_dir / "keys").reads("content") == contents, (
        "the search finds what is there"
    )

    for person in leaving:
        state = await cell.erase(person)
        certified = await assert_certified(cell, state)
    left = {(ANNA,): case.without_anna, (BEN,): case.without_ben}.get(leaving, case.without_both)
    if left is None:
        with pytest.raises(Erased) as gone:
            await cell.get("k", scope=case.scope)
        assert gone.value.certificate
    else:
        found = await cell.get("k", scope=case.scope)
        assert said(found) == left
        assert not set(found.subjects) & set(leaving)
        cut = certified["stores"]["database"]["segments_purged_from_kept_versions"]
        assert cut == (left.count(GONE) if len(leaving) == 1 else 1)

    # An old copy of everything stored, and every key that is alive, give no more than the service does.
    attic.keep(cell)
    readable = {json.dumps(value).encode() for value in left or () if value is not GONE}
    assert Oracle(attic, cell.settings.root_dir / "keys").reads("content") == readable
    assert len(ciphertexts(cell)) == len(readable), "ciphertext is purged"


def ciphertexts(cell: Cell) -> list[bytes]:
    """Every sealed content and segment in the database as it is now."""
    found: list[bytes] = []
    for content, parts in cell.rows("SELECT content, segments FROM versions WHERE content IS NOT NULL"):
        whole = bytes(content)
        found += [one.content for one in stored_segments.decode(whole) if one] if parts else [whole]
    return found


@pytest.mark.databases(*DATABASES)
async def test_an_erased_segment_keeps_its_place_and_names_the_certificate(cell: Cell) -> None:
    await write(cell, CASES["segments"])
    before = await cell.get("k")
    state = await cell.erase(ANNA)
    hers, his = (await cell.get("k")).segments
    assert (hers.erased, hers.certificate, hers.subjects) == (True, state["certificate"], ())
    assert (his.subjects, his.content) == ((BEN,), before.segments[1].content)
    page = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(subject=BEN, include_content=True))
    assert [said(one) for one in page.items] == [[GONE, HIS]]
    heads = await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(limit=5))
    assert [(one.subjects, one.segments) for one in heads.items] == [((BEN,), ())]


@pytest.mark.databases(*DATABASES)
async def test_the_dry_run_and_a_second_version(cell: Cell) -> None:
    await write(cell, CASES["segments"])
    await cell.tenure.gateway.write(
        cell.one.ask(), SCOPE, "k", parts(part(HIS, BEN)), condition=Condition(if_match=1)
    )
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], await cell.person(ANNA))
    assert {name: preview[name] for name in ("versions", "erased", "shared", "segments", "held")} == {
        "versions": 1,
        "erased": 0,
        "shared": 1,
        "segments": 1,
        "held": 0,
    }
    await cell.erase(ANNA)
    assert said(await cell.get("k", version=1)) == [GONE, HIS]
    assert said(await cell.get("k")) == [HIS]


@pytest.mark.parametrize("by", ["subject", "record"])
@pytest.mark.databases(*DATABASES)
async def test_a_hold_keeps_a_segment_that_nobody_reads(cell: Cell, by: str) -> None:
    written = await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", CASES["segments"].draft)
    target = await cell.person(ANNA) if by == "subject" else written.record
    hold = (await cell.tenure.holds.place(cell.one["dpo"], by, target, "case 7"))["id"]
    certified = await assert_certified(cell, await cell.erase(ANNA))
    assert certified["stores"]["database"] == {
        "versions_purged": 0,
        "versions_kept_for_others": 1,
        "versions_kept_for_holds": 1,
        "segments_purged_from_kept_versions": 0,
    }
    assert certified["holds"] == {hold: "case 7"}
    assert said(await cell.get("k")) == [GONE, HIS]
    attic = Attic()
    attic.keep(cell)
    assert json.dumps(HERS).encode() in Oracle(attic, cell.settings.root_dir / "keys").reads("content")

    released = await cell.tenure.holds.release(cell.one["dpo"], hold)
    await cell.tenure.shredder.run()
    certified = await assert_certified(cell, await cell.erasure(released["shred"]))
    assert certified["stores"]["database"]["segments_purged_from_kept_versions"] == 1
    attic.keep(cell)
    assert Oracle(attic, cell.settings.root_dir / "keys").reads("content") == {json.dumps(HIS).encode()}
    assert said(await cell.get("k")) == [GONE, HIS]


async def test_a_decision_saw_segments_and_proves_each(cell: Cell) -> None:
    await write(cell, CASES["segments"])
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    ask = cell.one.ask(decision=opened["id"])
    seen = await cell.get("k", ask=ask)
    await cell.tenure.decisions.seal(cell.one["agent"], opened["id"], "answered", None)
    shown = await cell.tenure.decisions.get(cell.one["agent"], opened["id"])
    assert [(one["segment"], one["commitment"]) for one in shown["accesses"]] == [
        (place, one.commitment) for place, one in enumerate(seen.segments)
    ]
    openings = await cell.tenure.decisions.openings(cell.one.ask(), opened["id"])
    for item, one in zip(openings["items"], seen.segments, strict=True):
        assert _opens(item) == one.commitment
    await cell.erase(ANNA)
    context = await cell.tenure.decisions.context(cell.one.ask(), opened["id"])
    assert [(one["segment"], one.get("content")) for one in context["items"]] == [(0, None), (1, HIS)]
    assert (await cell.audited()).ok


async def test_hers_cannot_be_guessed_from_the_ledger_by_who_reads_his(cell: Cell) -> None:
    """The commitment to an erased segment is not salted by a key that outlives it."""
    await write(cell, CASES["segments"])
    opened = await cell.tenure.decisions.open(cell.one["agent"], Opening(SUPPORT))
    hers = (await cell.get("k", ask=cell.one.ask(decision=opened["id"]))).segments[0].commitment
    await cell.erase(ANNA)
    openings = await cell.tenure.decisions.openings(cell.one.ask(), opened["id"])
    his = openings["items"][1]
    assert "salt" not in openings["items"][0]
    assert _opens({**his, "content": HERS}) != hers


@pytest.mark.parametrize("how", ["emptied", "swapped", "dropped", "undeclared"])
async def test_a_segment_that_only_looks_erased_is_tampering(cell: Cell, how: str) -> None:
    await write(cell, CASES["segments"])
    ((content,),) = cell.rows("SELECT content FROM versions WHERE segments = 2")
    hers, his = stored_segments.decode(bytes(content))
    changed = {
        "emptied": [None, his],
        "swapped": [his, hers],
        "dropped": [hers],
        "undeclared": [hers, his],
    }[how]
    cell.change(
        "UPDATE versions SET content = :content, segments = :segments WHERE segments = 2",
        content=stored_segments.encode(changed),
        segments=None if how == "undeclared" else 2,
    )
    with pytest.raises(Tampered):
        await cell.get("k")


@pytest.mark.databases(*DATABASES)
async def test_people_of_all_segments_are_counted_and_asked_for(cell: Cell) -> None:
    many = [part("x", *(f"customer:{n}-{m}" for m in range(33))) for n in range(2)]
    with pytest.raises(Invalid) as wrong:
        await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", parts(*many))
    assert wrong.value.field == "segments"
    with pytest.raises(Invalid) as wrong:
        await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", parts(part("x", ANNA), part("y", "anna")))
    assert wrong.value.field == "segments[1].subjects[0]"
    with pytest.raises(Invalid) as wrong:  # the scope wants somebody in each
        await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", parts(part("x", ANNA), part("y")))
    assert wrong.value.field == "subjects"
    with pytest.raises(Invalid) as wrong:
        await cell.tenure.gateway.write(
            cell.one.ask(), SCOPE, "k", Draft(b"1", (), ("contact",), segments=(part("x", ANNA),))
        )
    assert wrong.value.field == "segments"
    assert cell.rows("SELECT 1 FROM versions") == []


@pytest.mark.databases(*DATABASES)
async def test_nothing_is_written_about_somebody_who_is_being_erased(cell: Cell) -> None:
    await cell.put("other", 1, ANNA)
    await cell.request(ANNA)
    with pytest.raises(Erased):
        await write(cell, CASES["segments"])


@pytest.mark.databases(*DATABASES)
async def test_a_repeated_write_is_answered_with_its_commitments(cell: Cell) -> None:
    draft, ask = CASES["segments"].draft, cell.one.ask()
    first = await cell.tenure.gateway.write(ask, SCOPE, "k", draft, idempotency_key="once")
    again = await cell.tenure.gateway.write(ask, SCOPE, "k", draft, idempotency_key="once")
    assert again == first
    assert len(first.commitments) == 2
    assert first.commitment is None


def _opens(item: dict) -> str:
    """The commitment that an opening gives."""
    return commitment(
        b64decode(item["salt"]),
        tenant=item["tenant"],
        decision=item["decision"],
        record=item["record"],
        version=item["version"],
        content=canonical(item["content"]),
    ).hex()


async def test_a_summary_of_a_talk_goes_with_whoever_is_in_it(cell: Cell) -> None:
    """And once her segment is gone, what is made of the rest is his alone."""
    talk = await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", CASES["segments"].draft)
    await cell.put("of both", 1, scope=NOTES, derived_from=(talk.version_id,))
    await cell.erase(ANNA)
    with pytest.raises(Erased):
        await cell.get("of both", scope=NOTES)
    await cell.put("of the rest", 1, scope=NOTES, derived_from=(talk.version_id,))
    assert await cell.value("of the rest", scope=NOTES) == 1
    await cell.erase(BEN)
    with pytest.raises(Erased):
        await cell.get("of the rest", scope=NOTES)


async def test_a_segment_about_nobody_has_no_sources(cell: Cell) -> None:
    talk = await cell.tenure.gateway.write(cell.one.ask(), SCOPE, "k", CASES["segments"].draft)
    draft = Draft(
        b"",
        (),
        ("contact",),
        derived_from=(talk.version_id,),
        segments=(part("x", BEN), part("summary of anna's")),
    )
    with pytest.raises(Invalid) as wrong:
        await cell.tenure.gateway.write(cell.one.ask(), NOTES, "summary", draft)
    assert wrong.value.field == "segments[1].subjects"
