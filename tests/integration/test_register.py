"""The register of processing: as declared, and as it was really used; nothing is made up."""

import pytest

from support.cell import SCOPE, Cell
from support.lived import rounds
from tenure.errors import Denied
from tenure.governance import register
from tenure.listing import Query
from tenure.rendering.html import html_page
from tenure.rendering.register import register_paper

pytestmark = pytest.mark.anyio


async def used(cell: Cell) -> None:
    """30 writes, two reads, a denial, a person's read, and a list with contents: too long for its entry."""
    for n in range(30):
        await cell.put(f"k{n}", 1, "customer:1")
    for key in ("k0", "k1"):
        await cell.get(key)
    with pytest.raises(Denied):
        await cell.get("k0", ask=cell.one.ask("auditor"))
    await cell.get("k0", ask=cell.one.ask("clerk"))
    await cell.tenure.gateway.query(cell.one.ask(), SCOPE, Query(include_content=True, limit=50))
    await rounds(cell)


async def test_what_was_done_is_told_as_far_as_it_was_looked_at(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await used(cell)
    for who in ("dpo", "auditor", "admin"):
        found = await cell.tenure.register.get(cell.one[who], 30)
        uses = {
            (one["name"], one["purpose"], one["scope"], one["category"], one["action"]): one["times"]
            for one in found["use"]["items"]
        }
        assert uses == {
            (None, "customer-support", SCOPE, "contact", "read"): 1,  # a person
            ("agent", "customer-support", SCOPE, "contact", "read"): 32,
            ("agent", "customer-support", SCOPE, "contact", "write"): 30,
        }
        assert found["use"]["complete"]
    with pytest.raises(Denied):
        await cell.tenure.register.get(cell.one["agent"], 30)
    assert (await cell.tenure.register.get(cell.two["dpo"], 30))["use"]["items"] == [], "another tenant"
    for name, most, told in (("ENTRIES", 2, 31), ("LISTS", 10, 33), ("VERSIONS", 5, 15)):
        with monkeypatch.context() as less:
            less.setattr(register, name, most)
            found = await cell.tenure.register.get(cell.one["dpo"], 30)
        assert not found["use"]["complete"], name
        assert sum(one["times"] for one in found["use"]["items"]) <= told, name
        assert any("from the newest entries" in note for note in found["notes"]), name


async def test_what_nobody_declared_is_said_to_be_missing(cell: Cell) -> None:
    found = await cell.tenure.register.get(cell.one["dpo"], 30)
    missing = " ".join(found["not_declared"])
    assert found["transfers"] is None
    assert [one["contact"] for one in found["controllers"]] == [None] * len(found["controllers"])
    for part in ("data protection officer", "Transfers", "Recipients", f"in {SCOPE} is erased"):
        assert part in missing
    page = html_page(register_paper(found))
    for letter in "abcdefg":
        assert f'<h2 id="{letter}">({letter}) ' in page
    assert page.count("not declared") >= 4
    assert "customer:1" not in page
