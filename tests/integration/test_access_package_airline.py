"""An airline's customer asks what is held about them; a plain scan of the airline's files says the same."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support import flights
from support.cell import SUPPORT, Cell
from support.flights import CONVERSATIONS, CUSTOMERS, RESERVATIONS, Held
from support.packages import Opened, given
from tenure.cli.demo import airline
from tenure.cli.demo.cast import exact, policy
from tenure.cli.demo.dataset import DataSet, Item
from tenure.decisions import Opening
from tenure.model.record import Draft

pytestmark = pytest.mark.anyio

RECORDED = os.environ.get("TENURE_AIRLINE_DATA", "")
"""A folder with the recorded airline itself; without one, one that is made up."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(RECORDED) if RECORDED else flights.make(tmp_path / "airline")


def declared(shared: str) -> str:
    """The demonstration's policy, with a rule for reservations of several people."""
    about = "description: who flies where, with whom"
    return policy().replace(about, f"{about}\n  access: {{shared: {shared}}}")


async def furnished(cell: Cell, data: DataSet, shared: str) -> dict[int, str]:
    """Everything written and every decision made; their ids by the number of the conversation."""
    tenure, ask = cell.tenure, cell.one.ask()
    await tenure.manifests.apply(cell.one["admin"], declared(shared), dry_run=False)

    async def write(item: Item) -> None:
        draft = Draft(exact(item.content), item.subjects, tuple(sorted(item.categories)))
        await tenure.gateway.write(ask, item.scope, item.key, draft)

    items = list(data.everything())
    for first in range(0, len(items), 64):
        await asyncio.gather(*map(write, items[first : first + 64]))
    made = {}
    for number, told in enumerate(data.conversations, 1):
        opened = await tenure.decisions.open(cell.one["agent"], Opening(SUPPORT, subject=told.subject))
        made[number] = str(opened["id"])
        bound = cell.one.ask(decision=made[number])
        await asyncio.gather(*(tenure.gateway.read(bound, scope, key) for scope, key in told.reads))
        await tenure.decisions.seal(cell.one["agent"], made[number], told.outcome, None)
    return made


def check_records(got: Opened, held: Held, *, whole: set[str]) -> None:
    """Record by record: what is given, as it was written; what is not, with how many others."""
    found: dict[tuple[str, str], Any] = {}
    withheld: Counter[tuple[str, int]] = Counter()
    for one in got.data["versions"]:
        if one["given"] == "nothing":
            withheld[one["scope"], one["others"]] += 1
            assert one["why"] == "protects others"
            assert not {"content", "key", "metadata", "segments"} & set(one)
        else:
            found[one["scope"], one["key"]] = one["content"]
    expected = dict(held.alone)
    expected |= {place: content for place, (_, content) in held.shared.items() if place[0] in whole}
    assert found.keys() == expected.keys()
    for place, content in expected.items():
        assert exact(found[place]) == exact(content), place
    assert withheld == Counter(
        (place[0], others) for place, (others, _) in held.shared.items() if place[0] not in whole
    )


def check_others(got: Opened, folder: Path, me: str, held: Held, *, whole: set[str]) -> None:
    """No other customer's id or address stands anywhere but in what the rule gives."""
    users = json.loads((folder / "users.json").read_text("utf-8"))
    may = json.dumps(
        [*held.alone.values(), *(one for place, (_, one) in held.shared.items() if place[0] in whole)]
    )
    for text in (got.page, json.dumps(got.data)):
        assert "passenger:" not in text
        for key, user in users.items():
            for secret in (key, user["email"], f"customer:{key}"):
                assert key == me or secret in may or secret not in text


@pytest.mark.parametrize("shared", ["own-segments", "whole"])
async def test_a_second_reader_of_the_files_agrees(embedded: Cell, folder: Path, shared: str) -> None:
    data = airline.load(folder)
    me = data.erase.removeprefix("customer:")
    held = flights.scan(folder, me)
    assert held.alone, "the case is worth something"
    assert held.shared
    whole = {RESERVATIONS} if shared == "whole" else set()
    async with embedded.opened():
        made = await furnished(embedded, data, shared)
        got = await given(embedded, data.erase)
        check_records(got, held, whole=whole)
        check_others(got, folder, me, held, whole=whole)
        used = {one["decision"] for one in got.data["decisions"]}
        assert used == {made[number] for number in held.conversations}
        about = {one["decision"] for one in got.data["decisions"] if one["about_you"]}
        assert about == {
            made[n] for n, told in enumerate(data.conversations, 1) if told.subject == data.erase
        }
        assert {one["scope"] for one in got.data["places"]} == {CUSTOMERS, RESERVATIONS, CONVERSATIONS}
