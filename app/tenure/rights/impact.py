"""Does erasing a person change how agents behave for others? Told before: what was decided with the data.

    total     decisions that used a version which goes with the person, or one that was derived from such
    differ    of these, those whose context shows something else after the erasure: exactly these
    others    of all, those that were about somebody else

By the ledger's entries alone (`rights.touched`), judged by headers, holds and rules of now
(`rights.foreseen`). Nothing is opened but where a restore may have put another version in a number's place.
Counts and ids leave, no content, no reference, no key.

A report is read in pages of transactions of their own: whoever writes meanwhile may or may not be in it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from tenure.crew import Desk
from tenure.errors import KeyFailure, NotFound
from tenure.ids import rfc3339
from tenure.rights.foreseen import Foresight, Manifests
from tenure.rights.touched import Others, Page, Touched, page
from tenure.store import subjects
from tenure.store.database import Database
from tenure.store.impact import AT_ONCE, Made, Sketch, of_person
from tenure.store.records import Place
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

ITEMS: Final = 200
"""Decisions that a report lists, unless it is asked for fewer or more."""
_ATTEMPTS: Final = 3
_T = TypeVar("_T")


class Progress(NamedTuple):
    """One page of a scan: what was found in it, and how far that is."""

    found: list[tuple[Touched, Manifests | None]]
    entries: int
    decisions: int


class Impacts:
    """Reports on decisions. Nothing here asks who may have one: that is whoever scopes a request."""

    def __init__(self, database: Database, tenancies: Tenancies) -> None:
        self._database = database
        self._tenancies = tenancies
        self._turn = asyncio.Semaphore(1)  # it computes for long: the threads of others stay free

    async def report(
        self,
        tenant_id: str,
        subject_id: str,
        *,
        after: str | None = None,
        limit: int = ITEMS,
        told: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """What an erasure would change for decisions; nothing is done.

        `{"subject","decisions":{"total","differ","others","unknown"},"agents":[{"principal","decisions"}],
        "descendants":{"others","complete"},"items":[{"decision","principal","subject","purpose","opened_at",
        "before":[…],"after":[…]}],"next"?,"scanned":{"entries","decisions"}}`.

        `items` are those that differ, by the age of the decision, with `foreseen.Manifest`s. `unknown` are
        decisions of which a list of accesses is lost, so that nobody can tell their context. `total`,
        `others` and `agents` count uses of `descendants` too, all of them if that is `complete`; `differ`
        never depends on these.

        With `after`, the `next` of a page before: the items that follow, without the counts. `told` is called
        with the number of entries that were looked at so far, in another thread.

        About eight round trips for each 200 decisions or 2 000 entries of the tenant's that are bound to
        decisions. Raises NotFound for an unknown person.
        """
        async with self._turn:
            return await asyncio.to_thread(self._report, tenant_id, subject_id, after, limit, told)

    def scan(self, tenant_id: str, subject_id: str, *, after: str | None = None) -> Iterator[Progress]:
        """The same page by page, in the order of the decisions' ids; for who is in a thread already."""
        others = self._others(tenant_id, subject_id)
        yield from self._scan(tenant_id, subject_id, others, after)

    # ── one report ───────────────────────────────────────────────────────────────────────────────
    def _report(
        self,
        tenant_id: str,
        subject_id: str,
        after: str | None,
        limit: int,
        told: Callable[[int], None] | None,
    ) -> dict[str, Any]:
        others = self._others(tenant_id, subject_id) if after is None else Others()
        counts: Counter[str] = Counter(total=0, differ=0, others=0, unknown=0)
        agents: Counter[str] = Counter()
        items: list[dict[str, Any]] = []
        more, entries, decisions = False, 0, 0
        for progress in self._scan(tenant_id, subject_id, others, after):
            entries += progress.entries
            decisions += progress.decisions
            for touched, manifests in progress.found:
                _count(counts, agents, touched, subject_id)
                if manifests is None:
                    continue
                counts["differ"] += 1
                if len(items) < limit:
                    items.append(_item(touched.made, manifests))
                else:
                    more = True
            if told is not None:
                told(entries)
            if more and after is not None:
                break
        report: dict[str, Any] = {"subject": subject_id}
        if after is None:
            report["decisions"] = dict(counts)
            report["agents"] = [
                {"principal": one, "decisions": count}
                for one, count in sorted(agents.items(), key=lambda pair: (-pair[1], pair[0]))
            ]
            report["descendants"] = {"others": len(others.places), "complete": others.complete}
        report["items"] = items
        if more and items:
            report["next"] = items[-1]["decision"]
        return report | {"scanned": {"entries": entries, "decisions": decisions}}

    # ── its pages ────────────────────────────────────────────────────────────────────────────────
    def _scan(self, tenant_id: str, subject_id: str, others: Others, after: str | None) -> Iterator[Progress]:
        while True:
            look = partial(_looked, subject_id=subject_id, others=others, after=after)
            found, judged = self._reading(tenant_id, look)
            yield Progress(judged, found.entries, found.decisions)
            if not found.full:
                return
            after = found.last

    def _others(self, tenant_id: str, subject_id: str) -> Others:
        """What was derived from what goes with the person, and does not: generation by generation."""
        others = Others()
        for derived in (False, True):
            for own in self._own(tenant_id, subject_id, derived=derived):
                parents = {one.version_id for one in own}
                while parents:
                    below = partial(_below, others=others, subject_id=subject_id, parents=parents)
                    parents = others.add(self._reading(tenant_id, below))
        return others

    def _own(self, tenant_id: str, subject_id: str, *, derived: bool) -> Iterator[list[Sketch]]:
        after: Place | None = None
        while True:
            look = partial(_some_own, subject_id=subject_id, derived=derived, after=after)
            yield (found := self._reading(tenant_id, look))
            if len(found) < AT_ONCE:
                return
            after = found[-1].place

    def _reading(self, tenant_id: str, work: Callable[[Desk], _T]) -> _T:
        """One read-only transaction; again when keys were given up for newer ones under way."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._database.reading(tenant_id) as tx:
                    desk = Desk.reading(tx, self._tenancies)
                    answer = work(desk)
                    if not desk.tenancy.keys.wiped:
                        return answer
            except KeyFailure:
                if attempt == _ATTEMPTS:
                    raise
        raise KeyFailure("Keys changed again and again; nothing was reported. Ask again.")


Judged = list[tuple[Touched, Manifests | None]]


def _looked(desk: Desk, *, subject_id: str, others: Others, after: str | None) -> tuple[Page, Judged]:
    person = _known(desk.tx, subject_id)
    found = page(desk.tx, person.id, others, after=after)
    foresight = Foresight(desk, person)
    return found, [(one, foresight.differs(one)) for one in found.found]


def _below(desk: Desk, *, others: Others, subject_id: str, parents: set[str]) -> dict[str, Place]:
    return others.below(desk.tx, subject_id, parents)


def _some_own(desk: Desk, *, subject_id: str, derived: bool, after: Place | None) -> list[Sketch]:
    person = _known(desk.tx, subject_id)
    return of_person(desk.tx, person.id, derived=derived, after=after, limit=AT_ONCE)


def _known(tx: Tx, subject_id: str) -> subjects.StoredSubject:
    person = subjects.get(tx, subject_id)
    if person is None:
        raise NotFound(
            "There is no such data subject.", field="id", rule="an id from POST /v1/subjects:lookup"
        )
    return person


def _count(counts: Counter[str], agents: Counter[str], touched: Touched, subject_id: str) -> None:
    if touched.seen is None:
        counts["unknown"] += 1
        return
    counts["total"] += 1
    counts["others"] += touched.made.subject_id not in (None, subject_id)
    agents[touched.made.principal_id] += 1


def _item(made: Made, manifests: Manifests) -> dict[str, Any]:
    return {
        "decision": made.id,
        "principal": made.principal_id,
        "subject": made.subject_id,
        "purpose": made.purpose,
        "opened_at": rfc3339(made.opened_at),
        "before": manifests.before,
        "after": manifests.after,
    }
