"""What was derived from a person goes with the person, by its scope's rule; no old copy gives it back."""

import asyncio
import json
from typing import Any

import pytest

from support.attic import Attic
from support.cell import NOTES, Cell
from support.databases import DATABASES
from support.erasure import Failing, InjectedError, assert_certified
from support.oracle import Oracle
from tenure.errors import Erased, Invalid
from tenure.keys.seal import header_leaves
from tenure.listing import Query
from tenure.store.pipeline import Pipeline
from tenure.store.session import Tx

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

KEPT, AGAIN = "support.kept", "support.again"
KEEP = {"onErasure": "keep", "ground": "The book of complaints must be kept"}
REDERIVE = {"onErasure": "rederive", "webhook": "https://agents.example/again", "withinHours": 72}


def scope(name: str, rule: dict[str, Any] | None, *, subjects: str = "optional") -> dict[str, Any]:
    spec = {"description": "Derived", "controller": "acme", "categories": ["contact"], "subjects": subjects}
    spec |= {} if rule is None else {"derived": rule}
    return {"apiVersion": "tenure/v1", "kind": "Scope", "metadata": {"name": name}, "spec": spec}


async def declare(cell: Cell, *scopes: dict[str, Any]) -> None:
    await cell.tenure.manifests.apply(cell.one["admin"], json.dumps(scopes), dry_run=False)


async def derive(cell: Cell, key: str, value: Any, *sources: str, where: str = NOTES) -> str:
    return (await cell.put(key, value, scope=where, derived_from=sources)).version_id


def stored(*values: Any) -> set[bytes]:
    return {json.dumps({"v": value}).encode() for value in values}


def links(cell: Cell) -> list[int]:
    """Whether each link to a person is a label's (0) or lineage's (1)."""
    return sorted(row[0] for row in cell.rows("SELECT derived FROM version_subjects"))


def sealed_to(cell: Cell) -> set[tuple[int, ...]]:
    """The slots of everything that is stored."""
    return {slot for header, *_ in cell.stored().values() if header for slot in header_leaves(header)}


async def everything_read(cell: Cell, attic: Attic) -> set[bytes]:
    """What all that was ever stored gives to whoever has every live root key."""
    await asyncio.to_thread(attic.keep, cell)
    return Oracle(attic, cell.settings.root_dir / "keys").reads("content")


async def chain(cell: Cell, where: str = NOTES) -> None:
    """A talk, a summary of it, and a summary of the summary; and the same of somebody else."""
    for who in ("gone", "stays"):
        talk = (await cell.put(f"talk {who}", f"{who} talked", f"customer:{who}")).version_id
        first = await derive(cell, f"summary {who}", f"{who} summed up", talk, where=where)
        await derive(cell, f"digest {who}", f"{who} digested", first, where=where)


GONE = ("gone talked", "gone summed up", "gone digested")
STAYS = ("stays talked", "stays summed up", "stays digested")


# ── shred, the default ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.databases(*DATABASES)
async def test_a_chain_of_summaries_goes_with_the_person_in_every_copy(cell: Cell) -> None:
    attic = Attic()
    await chain(cell)
    assert await everything_read(cell, attic) == stored(*GONE, *STAYS), "the control: all of it opens before"
    assert links(cell) == [0, 0, 1, 1, 1, 1]
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], await cell.person("customer:gone"))
    assert (preview["versions"], preview["erased"]) == (1, 1), "derived ones are counted apart"
    assert preview["derived"] == {
        "shred": 2,
        "rederive": 0,
        "keep": 0,
        "labelled": 0,
        "scopes": [{"scope": NOTES, "rule": "shred", "versions": 2}],
    }

    state = await cell.erase("customer:gone")
    certified = await assert_certified(cell, state)
    assert certified["derived"] == {"shredded": 2, "rederivation_asked": 0, "kept": []}
    assert certified["stores"]["database"]["versions_purged"] == 3
    for key in ("summary gone", "digest gone"):
        with pytest.raises(Erased) as gone:
            await cell.get(key, scope=NOTES)
        assert gone.value.certificate == state["certificate"]
    assert await everything_read(cell, attic) == stored(*STAYS), "and of every old copy too"
    assert await cell.value("digest stays", scope=NOTES) == "stays digested"
    assert links(cell) == [0, 1, 1]
    assert (await cell.audited()).ok


async def test_a_summary_of_two_people_goes_with_the_first(cell: Cell) -> None:
    attic = Attic()
    sources = [(await cell.put(who, who, f"customer:{who}")).version_id for who in ("one", "two", "three")]
    await derive(cell, "both", "of one and two", *sources[:2])
    await derive(cell, "other", "of three", sources[2])
    assert stored("of one and two") < await everything_read(cell, attic)
    await cell.erase("customer:one")
    assert await everything_read(cell, attic) == stored("two", "three", "of three")
    state = await cell.erase("customer:two")
    certified = await assert_certified(cell, state)
    assert certified["derived"]["shredded"] == 0, "it went before"
    assert await everything_read(cell, attic) == stored("three", "of three")


async def test_of_a_source_that_names_two_people_either_takes_the_summary(cell: Cell) -> None:
    source = await cell.put("trip", 1, "customer:1", "customer:2", scope="support.joint")
    await derive(cell, "summary", 2, source.version_id)
    await cell.erase("customer:2")
    assert await cell.value("trip", scope="support.joint") == 1, "the one who stays has the booking"
    with pytest.raises(Erased):
        await cell.get("summary", scope=NOTES)
    with pytest.raises(Erased):  # what was derived from it would have gone with the person
        await derive(cell, "late", 3, source.version_id)
    await declare(cell, scope(KEPT, KEEP))
    await derive(cell, "late", 3, source.version_id, where=KEPT)
    state = await cell.erase("customer:1")
    assert (await assert_certified(cell, state))["derived"]["kept"] == [
        {"scope": KEPT, "ground": KEEP["ground"], "versions": 1}
    ]


async def test_what_is_derived_from_nobodys_data_is_nobodys(cell: Cell) -> None:
    source = await derive(cell, "facts", "opening hours")
    await derive(cell, "summary", "always open", source)
    assert links(cell) == []
    assert len(sealed_to(cell)) == 1, "both to the scope"
    await declare(cell, scope(KEPT, None))
    talk = await cell.put("talk", 1, "customer:1", scope=KEPT)
    await derive(cell, "elsewhere", "always open", source, where=KEPT)
    await derive(cell, "mixed", "they ask when it is open", source, talk.version_id, where=KEPT)
    # Each with its cohort beside it.
    assert all(len(slot) == 2 for slot in sealed_to(cell)), "no scope's leaf is taken for a person's"
    assert len(sealed_to(cell)) == 3, "this scope, the other one, the person"
    assert links(cell) == [0, 1]
    await cell.erase("customer:1")
    assert await cell.value("summary", scope=NOTES) == "always open"


async def test_a_version_that_names_people_is_theirs(cell: Cell) -> None:
    source = await cell.put("talk", 1, "customer:gone")
    await cell.put("reply", "about both", "customer:stays", derived_from=(source.version_id,))
    reply = await cell.get("reply")
    await derive(cell, "summary", "of the reply", reply.version_id)
    person = await cell.person("customer:gone")
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], person)
    assert preview["derived"] == {"shred": 0, "rederive": 0, "keep": 0, "labelled": 1, "scopes": []}
    await cell.erase("customer:gone")
    assert await cell.value("reply") == "about both"
    assert await cell.value("summary", scope=NOTES) == "of the reply"
    await cell.erase("customer:stays")
    with pytest.raises(Erased):
        await cell.get("summary", scope=NOTES)


async def test_derived_versions_are_not_listed_as_the_persons(cell: Cell) -> None:
    source = await cell.put("talk", 1, "customer:1", scope=NOTES)
    await derive(cell, "summary", 2, source.version_id)
    page = await cell.tenure.gateway.query(cell.one.ask(), NOTES, Query(subject="customer:1"))
    assert [item.key for item in page.items] == ["talk"]
    shown = await cell.tenure.subjects.get(cell.one["dpo"], await cell.person("customer:1"))
    assert [one["versions"] for one in shown["held"]] == [1]


async def test_nothing_is_derived_from_who_is_being_erased(cell: Cell) -> None:
    source = await cell.put("talk", 1, "customer:1")
    summary = await derive(cell, "summary", 2, source.version_id)
    shred = await cell.request("customer:1")
    for version in (source.version_id, summary):
        with pytest.raises(Erased) as gone:
            await derive(cell, "late", 3, version)
        assert (gone.value.shred, gone.value.certificate) == (shred, None)
    await cell.tenure.shredder.run()
    certificate = (await cell.erasure(shred))["certificate"]
    for version in (source.version_id, summary):
        for people in ((), ("customer:2",)):
            with pytest.raises(Erased) as gone:
                await cell.put("late", 3, *people, scope=NOTES, derived_from=(version,))
            assert gone.value.certificate == certificate
    assert [entry["outcome"] for entry in cell.entries() if entry["kind"] == "write"].count("erased") == 6


async def test_too_many_people_behind_one_version_are_refused(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.lineage.MAX_BEHIND", 2)
    sources = [(await cell.put(f"k{n}", n, f"customer:{n}")).version_id for n in range(3)]
    with pytest.raises(Invalid) as refused:
        await derive(cell, "summary", 1, *sources)
    assert refused.value.field == "derived_from"
    first = await derive(cell, "part", 1, *sources[:2])
    with pytest.raises(Invalid):  # nor in two steps
        await derive(cell, "summary", 1, first, sources[2])


async def test_a_hold_keeps_what_was_derived_too(cell: Cell) -> None:
    source = await cell.put("talk", "evidence", "customer:1")
    await derive(cell, "summary", "of evidence", source.version_id)
    person = await cell.person("customer:1")
    hold = (await cell.tenure.holds.place(cell.one["dpo"], "scope", NOTES, "case 7"))["id"]
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], person)
    assert [one["id"] for one in preview["holds"]] == [hold]
    certified = await assert_certified(cell, await cell.erase("customer:1"))
    assert certified["derived"] == {"shredded": 0, "rederivation_asked": 0, "kept": []}
    assert certified["stores"]["database"]["versions_kept_for_holds"] == 1
    with pytest.raises(Erased):
        await cell.get("summary", scope=NOTES)
    await cell.tenure.holds.release(cell.one["dpo"], hold)
    await cell.tenure.shredder.run()
    assert [parts for parts in cell.stored().values() if any(parts)] == []


# ── keep ───────────────────────────────────────────────────────────────────────────────────────────
async def test_what_is_kept_reads_on_byte_for_byte_and_the_certificate_says_why(cell: Cell) -> None:
    attic = Attic()
    await declare(cell, scope(KEPT, KEEP))
    await chain(cell, KEPT)
    before = {key: await cell.get(key, scope=KEPT) for key in ("summary gone", "digest gone")}
    assert stored(*GONE) < await everything_read(cell, attic)
    certified = await assert_certified(cell, await cell.erase("customer:gone"))
    assert certified["derived"]["kept"] == [{"scope": KEPT, "ground": KEEP["ground"], "versions": 2}]
    assert certified["derived"]["shredded"] == 0
    for key, was in before.items():
        now = await cell.get(key, scope=KEPT)
        assert (now.content, now.version_id, now.derived_from) == (
            was.content,
            was.version_id,
            was.derived_from,
        )
    assert await everything_read(cell, attic) == stored(*GONE[1:], *STAYS)
    await derive(cell, "more", "from what was kept", before["digest gone"].version_id, where=KEPT)


async def test_kept_for_whoever_stays_and_shredded_with_them_when_the_rule_has_changed(cell: Cell) -> None:
    attic = Attic()
    await declare(cell, scope(KEPT, KEEP))
    sources = [(await cell.put(who, who, f"customer:{who}")).version_id for who in ("one", "two")]
    await derive(cell, "both", "of one and two", *sources, where=KEPT)
    await cell.erase("customer:one")
    assert await everything_read(cell, attic) == stored("two", "of one and two")
    await declare(cell, scope(KEPT, None))
    certified = await assert_certified(cell, await cell.erase("customer:two"))
    assert certified["derived"] == {"shredded": 1, "rederivation_asked": 0, "kept": []}
    assert await everything_read(cell, attic) == set()


async def test_two_erased_in_one_batch_leave_what_is_kept_to_the_scope(cell: Cell) -> None:
    attic = Attic()
    await declare(cell, scope(KEPT, KEEP))
    sources = [(await cell.put(who, who, f"customer:{who}")).version_id for who in ("one", "two")]
    await derive(cell, "both", "of one and two", *sources, where=KEPT)
    shreds = [await cell.request(f"customer:{who}") for who in ("one", "two")]
    await cell.tenure.shredder.run()
    for shred in shreds:
        certified = await assert_certified(cell, await cell.erasure(shred))
        assert [one["versions"] for one in certified["derived"]["kept"]] == [1]
    assert await cell.value("both", scope=KEPT) == "of one and two"
    assert await everything_read(cell, attic) == stored("of one and two")


@pytest.mark.parametrize(("written", "erased", "reads"), [(KEEP, None, False), (None, KEEP, True)])
async def test_the_rule_at_the_time_of_the_erasure_decides(
    cell: Cell, written: dict[str, Any] | None, erased: dict[str, Any] | None, reads: bool
) -> None:
    attic = Attic()
    await declare(cell, scope(KEPT, written))
    source = await cell.put("talk", "talk", "customer:1")
    await derive(cell, "summary", "summary", source.version_id, where=KEPT)
    await asyncio.to_thread(attic.keep, cell)
    await declare(cell, scope(KEPT, erased))
    await cell.erase("customer:1")
    assert await everything_read(cell, attic) == (stored("summary") if reads else set())


@pytest.mark.databases(*DATABASES)
async def test_a_rule_that_changes_in_the_middle_of_an_erasure_changes_nothing(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await declare(cell, scope(KEPT, KEEP))
    source = await cell.put("talk", "talk", "customer:1")
    await derive(cell, "summary", "summary", source.version_id, where=KEPT)
    shredder = cell.tenure.shredder
    fence = shredder._fence

    async def change(batch: Any) -> None:
        await declare(cell, scope(KEPT, None))
        await fence(batch)

    monkeypatch.setattr(shredder, "_fence", change)
    certified = await assert_certified(cell, await cell.erase("customer:1"))
    assert certified["derived"]["kept"] == [{"scope": KEPT, "ground": KEEP["ground"], "versions": 1}]
    assert await cell.value("summary", scope=KEPT) == "summary"


@pytest.mark.parametrize("method", ["_advance", "_fence"])
@pytest.mark.databases(*DATABASES)
async def test_keeping_is_safe_to_repeat(cell: Cell, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    await declare(cell, scope(KEPT, KEEP))
    source = await cell.put("talk", "talk", "customer:1")
    written = await cell.put("summary", "summary", scope=KEPT, derived_from=(source.version_id,))
    shred = await cell.request("customer:1")
    with monkeypatch.context() as patch:
        Failing(f"shredder.{method}", 1, "before").into(cell.tenure, patch)
        with pytest.raises(InjectedError):
            await cell.tenure.shredder.run()
    await cell.tenure.shredder.run()
    certified = await assert_certified(cell, await cell.erasure(shred))
    assert certified["derived"]["kept"] == [{"scope": KEPT, "ground": KEEP["ground"], "versions": 1}]
    assert len(header_leaves(cell.stored()[written.record, 1][0] or b"")) == 2
    assert await cell.value("summary", scope=KEPT) == "summary"


async def test_headers_do_not_grow_with_the_erasures(cell: Cell) -> None:
    await declare(cell, scope(KEPT, KEEP))
    people = [f"customer:{n}" for n in range(5)]
    sources = [(await cell.put(who, 1, who)).version_id for who in people]
    written = await cell.put("all", "of five", scope=KEPT, derived_from=tuple(sources))
    sizes = []
    for who in people:
        await cell.erase(who)
        sizes.append(len(cell.stored()[written.record, 1][0] or b""))
        assert await cell.value("all", scope=KEPT) == "of five"
    assert sizes[1:] == sorted(sizes[1:], reverse=True), "the slot before, and the one it replaces"


@pytest.mark.databases(*DATABASES)
async def test_hundreds_of_versions_are_judged_in_chunks(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("purge.CHUNK", "rewrap._CHUNK", "impact._CHUNK"):
        monkeypatch.setattr(f"tenure.governance.{place}", 3)
    await declare(cell, scope(KEPT, KEEP))
    for n in range(4):
        source = (await cell.put(f"talk{n}", n, "customer:1")).version_id
        await derive(cell, f"kept{n}", n, source, where=KEPT)
        await derive(cell, f"summary{n}", n, source)
    preview = await cell.tenure.subjects.preview(cell.one["dpo"], await cell.person("customer:1"))
    assert (preview["versions"], preview["derived"]["shred"], preview["derived"]["keep"]) == (4, 4, 4)
    certified = await assert_certified(cell, await cell.erase("customer:1"))
    assert certified["stores"]["database"]["versions_purged"] == 8
    assert certified["derived"]["shredded"] == 4
    assert [one["versions"] for one in certified["derived"]["kept"]] == [4]
    assert [await cell.value(f"kept{n}", scope=KEPT) for n in range(4)] == [0, 1, 2, 3]


async def test_a_derived_write_takes_no_round_trip_more(
    scaled: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two: its question, and its commit with all that it stores. The sequencer's own are not counted."""
    async with scaled.opened():
        sources = [(await scaled.put(f"k{n}", n, f"customer:{n}")).version_id for n in range(3)]
        await derive(scaled, "warm", 0, *sources)
        trips: list[str] = []
        run, execute = Pipeline.run, Tx.execute

        def counted(self: Pipeline, statements: Any) -> Any:
            sql = b"".join(one.sql for one in statements).decode()
            trips.extend(["question"] if "scope_leaves" in sql else [])
            trips.extend(["commit"] if "INSERT INTO lineage" in sql else [])
            return run(self, statements)

        def alone(self: Tx, statement: Any, params: Any = None) -> Any:
            asks = ("subjects.leaf IN", "version_subjects", "lineage")
            trips.extend(["more"] if any(one in str(statement) for one in asks) else [])
            return execute(self, statement, params)

        monkeypatch.setattr(Pipeline, "run", counted)
        monkeypatch.setattr(Tx, "execute", alone)
        await derive(scaled, "summary", 1, *sources)
    assert trips == ["question", "commit"]


async def test_as_many_people_as_may_be_behind_one_version(embedded: Cell) -> None:
    async with embedded.opened():
        crowds = [[f"customer:{n}x{m}" for m in range(32)] for n in range(32)]
        sources = [(await embedded.put(str(n), n, *crowd)).version_id for n, crowd in enumerate(crowds)]
        more = (await embedded.put("more", 1, "customer:more")).version_id
        with pytest.raises(Invalid):
            await derive(embedded, "summary", 1, *sources, more)
        await derive(embedded, "summary", 1, *sources)
        assert len(links(embedded)) == 2 * 1024 + 1
        assert await embedded.value("summary", scope=NOTES) == 1
        await embedded.erase("customer:31x31")
        with pytest.raises(Erased):
            await embedded.get("summary", scope=NOTES)
