"""The airline's data in a cell, with decisions about its people."""

import asyncio
from collections import Counter
from typing import Any

from support.cell import Cell
from support.contexts import Items, assert_foretold, opened, told
from tenure.cli.demo.cast import policy
from tenure.cli.demo.dataset import DataSet, Item
from tenure.ledger.canonical import canonical
from tenure.model.principal import Credential, PrincipalKind
from tenure.model.record import Draft


class Airline:
    """The demonstration's data in a cell, with every conversation decided on by one of two agents."""

    def __init__(self, cell: Cell, data: DataSet) -> None:
        self.cell = cell
        self.data = data
        self.made: dict[str, Credential] = {}
        self.about: dict[str, str] = {}
        """Decision → whom it was about."""
        self._people = {item.place: item.subjects for item in data.everything()}
        self.read: dict[str, set[str]] = {}
        """Decision → everybody in what it read, by the files alone."""

    async def live(self) -> None:
        admin = self.cell.one["admin"]
        await self.cell.tenure.manifests.apply(admin, policy(), dry_run=False)
        await self.cell.tenure.principals.create(admin, "other", PrincipalKind.AGENT, ("support-agent",))
        await _some(self._write, self.data.everything())
        await _some(self._decide, enumerate(self.data.conversations))

    async def _write(self, item: Item) -> None:
        draft = Draft(canonical(item.content), item.subjects, item.categories)
        await self.cell.tenure.gateway.write(self.cell.one.ask(), item.scope, item.key, draft)

    async def _decide(self, numbered: tuple[int, Any]) -> None:
        number, talk = numbered
        decision = await opened(self.cell, talk.subject)
        self.made[decision], self.about[decision] = self.cell.one["agent"], talk.subject
        self.read[decision] = {one for place in talk.reads for one in self._people[place]}
        for place in talk.reads:
            await self.cell.get(place[1], scope=place[0], ask=self.cell.one.ask(decision=decision))
        if number % 5:  # some agent never came back to seal
            await self.cell.tenure.decisions.seal(self.cell.one["agent"], decision, "done", None)

    def often_with_others(self) -> tuple[str, str]:
        """Who is in most of what was read for other people, and who is most often read together with them."""
        counts = Counter(
            one for decision, people in self.read.items() for one in people - {self.about[decision]}
        )
        first = counts.most_common(1)[0][0]
        beside = Counter(one for people in self.read.values() if first in people for one in people - {first})
        return first, beside.most_common(1)[0][0]

    async def foretold(self, reference: str, before: dict[str, Items]) -> dict[str, Items]:
        """Report, erase, reconstruct, compare; what the contexts are now."""
        person = await self.cell.person(reference)
        report = await self.cell.tenure.impacts.report(self.cell.one.id, person)
        touched = {decision for decision, people in self.read.items() if reference in people}
        gone = {one for one in before if any(item["state"] == "erased" for item in before[one])}
        assert report["decisions"]["unknown"] == 0
        await self.cell.erase(reference)
        after = await told(self.cell, self.made)
        different = assert_foretold(report, before, after)
        assert different <= touched, "a second opinion: the files"
        assert touched - different <= gone, "what was gone before does not go again"
        if not gone:
            others = [one for one in touched if self.about[one] != reference]
            assert report["decisions"] == {
                "total": len(touched),
                "differ": len(touched),
                "others": len(others),
                "unknown": 0,
            }
            assert len(others) > 1, "other people's decisions are among them, or this shows little"
            principal = self.cell.one.principals["agent"]
            assert report["agents"] == [{"principal": principal, "decisions": len(touched)}]
        return after


async def _some(work: Any, things: Any, at_once: int = 32) -> None:
    waiting = iter(things)

    async def hand() -> None:
        for thing in waiting:
            await work(thing)

    await asyncio.gather(*(hand() for _ in range(at_once)))
