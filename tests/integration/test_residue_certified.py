"""What a certificate says of residue; and that a purge which took too little gives none."""

import json
from typing import Any

import pytest

from support.cell import NOTES, Cell
from support.databases import DATABASES
from support.erasure import assert_certified, assert_erased, certificates
from tenure.errors import Denied, Invalid, NotFound, TooLarge

pytestmark = [pytest.mark.anyio, pytest.mark.databases("sqlite")]

NAME = "Ada Augusta Lovelace"

TABLES = {"versions": "UPDATE", "version_subjects": "DELETE", "subjects": "UPDATE"}


def hinder(cell: Cell, table: str, when: str) -> None:
    """A trigger that makes some changes do nothing, and says nothing."""
    change = TABLES[table]
    if cell.dialect == "sqlite":
        cell.change(
            f"CREATE TRIGGER hinder BEFORE {change} ON {table} WHEN {when} BEGIN SELECT RAISE(IGNORE); END"
        )
    else:
        cell.change(
            "CREATE FUNCTION hinder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            f"CREATE TRIGGER hinder BEFORE {change} ON {table} FOR EACH ROW WHEN ({when})"
            " EXECUTE FUNCTION hinder()",
        )


def help_again(cell: Cell, table: str) -> None:
    if cell.dialect == "sqlite":
        cell.change("DROP TRIGGER hinder")
    else:
        cell.change(f"DROP TRIGGER hinder ON {table}", "DROP FUNCTION hinder()")


@pytest.mark.parametrize(
    ("table", "when"),
    [
        ("versions", "NEW.state = 'erased'"),
        ("versions", "NEW.state = 'erased' AND NEW.version = 2"),
        ("version_subjects", "OLD.version = 1"),
        ("subjects", "NEW.state = 'erased'"),
    ],
)
@pytest.mark.databases(*DATABASES)
async def test_a_purge_that_took_too_little_is_not_certified(cell: Cell, table: str, when: str) -> None:
    await cell.put("k", "one", "customer:1")
    await cell.put("k", "two", "customer:1")
    hinder(cell, table, when)
    shred = await cell.request("customer:1")
    await cell.tenure.shredder.run()
    state = await cell.erasure(shred)
    assert state["state"] == "incomplete"
    assert "certificate" not in state
    assert "no certificate" in state["waits_for"]
    assert certificates(cell) == []
    assert [one for one in cell.entries() if one["kind"] == "purge"] == []
    await assert_erased(cell, "k", certificate=None)

    if "= 2" in when:  # which does not hinder others
        await cell.put("k2", "other people are erased meanwhile", "customer:2")
        await assert_certified(cell, await cell.erase("customer:2"))

    help_again(cell, table)
    cell.tenure.shredder._asked.clear()  # a minute later
    await cell.tenure.shredder.run()
    certified = await assert_certified(cell, await cell.erasure(shred))
    assert certified["stores"]["database"]["versions_purged"] == 2
    assert certified["residue"] == {
        "read_back": {"links": 0, "references": 0, "events": 0},
        "searched_for_values": "not asked for",
    }
    assert [one["outcome"] for one in cell.entries() if one["kind"] == "purge"].count("ok") >= 1


async def awaiting(cell: Cell) -> str:
    """An erasure that waits for a search; somebody else's record mentions the person."""
    await cell.put("hers", NAME, "customer:ada")
    await cell.put("his", f"asked about {NAME.lower()} twice", "customer:ben")
    person = await cell.person("customer:ada")
    asked = await cell.tenure.subjects.shred(cell.one["dpo"], person, scan=True)
    await cell.tenure.shredder.run()
    return str(asked["shred"])


async def test_a_certificate_waits_for_the_search_that_was_asked_for(cell: Cell) -> None:
    shred = await awaiting(cell)
    state = await cell.erasure(shred)
    assert (state["state"], certificates(cell)) == ("awaiting-scan", [])
    await assert_erased(cell, "hers", certificate=None)

    found = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME, "ada@example.org"])
    assert (found["attached"], found["state"], found["residue"]["verdict"]) == (
        False,
        "awaiting-scan",
        "residue",
    )
    his = await cell.get("his")
    assert [(one["record"], one["version"], one["value"]) for one in found["found"]] == [(his.record, 1, 1)]
    assert found["residue"]["looked_at"]["versions"] == 1, "only what can still be opened"
    assert found["residue"]["values_found"] == 1

    await cell.put("his", "asked about somebody twice", "customer:ben")
    still = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME])
    assert still["residue"]["verdict"] == "residue", "old versions are searched too"
    await cell.erase("customer:ben")
    clean = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME, "customer:ada"])
    assert (clean["attached"], clean["state"], clean["found"]) == (True, "completed", [])
    certified = await assert_certified(cell, await cell.erasure(shred))
    searched = certified["residue"]["searched_for_values"]
    assert (searched["verdict"], searched["values"], searched["accepted"]) == ("clean", 2, False)
    assert "in other words than were searched for" in certified["does_not_prove"][0]
    await assert_erased(cell, "hers", certificate=clean["certificate"])

    again = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME])
    assert (again["attached"], again["certificate"]) == (False, clean["certificate"])
    assert (await cell.audited()).ok


async def test_what_was_found_is_accepted_and_certified_as_found(cell: Cell) -> None:
    shred = await awaiting(cell)
    found = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME], accept=True)
    assert found["attached"]
    certified = await assert_certified(cell, await cell.erasure(shred))
    searched = certified["residue"]["searched_for_values"]
    assert (searched["verdict"], searched["findings"], searched["accepted"]) == ("residue", 1, True)
    outcomes = [one["outcome"] for one in cell.entries() if one["outcome"].startswith("residue-")]
    assert outcomes == ["residue-residue"]


async def test_values_stay_nowhere(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    shred = await awaiting(cell)
    secret = "Zephyrine Quixotica"
    found = await cell.tenure.residue.scan(cell.one["dpo"], shred, [secret])
    assert found["residue"]["verdict"] == "clean"
    assert secret not in json.dumps(found)
    again = await cell.tenure.residue.scan(cell.one["dpo"], shred, [secret])
    assert again["residue"]["verdict"] == "clean", "the search left no trace of it"
    assert secret not in "".join(capsys.readouterr())


@pytest.mark.databases(*DATABASES)
async def test_plain_columns_and_published_objects_are_searched(cell: Cell) -> None:
    shred = await awaiting(cell)
    cell.change("UPDATE principals SET name = :name WHERE name = 'clerk'", name=NAME)
    found = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME])
    assert {"table": "principals", "column": "name"} in [
        {name: one[name] for name in ("table", "column")} for one in found["found"] if "table" in one
    ]
    await cell.tenure.sequencer.run(cell.one.id)
    tile = next(path for path in cell.published().rglob("*") if path.is_file())
    tile.with_name("stray").write_text(NAME)
    found = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME])
    assert [one for one in found["found"] if "object" in one]
    assert found["residue"]["looked_at"]["objects"] > 0


async def test_values_that_cannot_be_searched_for(cell: Cell, subtests: pytest.Subtests) -> None:
    shred = await awaiting(cell)
    tried: list[list[str]] = [[], ["abc"], ["x" * 1025]]
    for values in tried:
        with subtests.test(values=[value[:20] for value in values]):
            with pytest.raises((Invalid, TooLarge)) as wrong:
                await cell.tenure.residue.scan(cell.one["dpo"], shred, values)
            assert wrong.value.field == "values"
    assert (await cell.erasure(shred))["state"] == "awaiting-scan"


async def test_only_the_officer_searches(cell: Cell) -> None:
    shred = await awaiting(cell)
    for who in ("agent", "auditor"):
        with pytest.raises(Denied):
            await cell.tenure.residue.scan(cell.one[who], shred, [NAME])
    with pytest.raises(NotFound):
        await cell.tenure.residue.scan(cell.two["dpo"], shred, [NAME])
    with pytest.raises(NotFound):
        await cell.tenure.residue.scan(cell.one["dpo"], "no id", [NAME])


@pytest.mark.databases(*DATABASES)
async def test_a_search_before_the_erasure_finds_what_is_unlabelled(cell: Cell) -> None:
    """Notes about nobody in particular are where people hide."""
    await cell.put("note", f"call {NAME} back", scope=NOTES)
    await cell.put("hers", 1, "customer:ada")
    shred = await cell.request("customer:ada")
    found: dict[str, Any] = await cell.tenure.residue.scan(cell.one["dpo"], shred, [NAME])
    assert [one["scope"] for one in found["found"]] == [NOTES]
    assert found["state"] == "requested"
