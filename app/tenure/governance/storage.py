"""What is stored and what it costs, now, day by day, and in the days to come.

Told from what the job `storage` counted last, so that nothing here reads all of a tenant's versions; a count
afresh has an end. The operator sees the cell's sums and those of a tenant that it names.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from tenure import ids
from tenure.errors import Invalid, NotFound
from tenure.governance.counting import AT_ONCE, Counted, Counting
from tenure.governance.proposing import Proposing
from tenure.governance.service import Seat, Service
from tenure.ids import CELL
from tenure.model.configuration import Configuration
from tenure.model.forecast import WINDOW, Point, Rate, forecast, rates, unforeseen
from tenure.model.identity import check_id
from tenure.model.layers import DAY_US, STORED, RulesOf, rules_of
from tenure.model.prices import HOW, Prices, money
from tenure.model.principal import Credential
from tenure.store import requests, tenants
from tenure.store import storage as store
from tenure.store.database import Database
from tenure.store.requests import Requests
from tenure.store.session import Tx
from tenure.store.storage import ALL, Sample

SCOPE: Final = "tenure.storage"
MAX_SPAN: Final = 400
"""Days that one call shows."""
MAX_ROWS: Final = 20_000
MAX_AHEAD: Final = 1_830
"""Days that are foreseen: five years."""
_TENANTS: Final = "tenure.tenants"
_LAST: Final = 30
_NEVER: Final = "Nothing was counted yet: the job 'storage' does it once a day; ask with now=true."
_SOME: Final = f"There is more than is counted at once ({AT_ONCE} versions): the rest is missing here."
_CUT: Final = f"The oldest days are left out: {MAX_ROWS} rows are told at most. Ask for fewer days."
_AHEAD: Final = (
    f"As much is written as on the last days (at most {WINDOW}); holds and erasures are not foreseen."
)
_UNKNOWN: Final = (
    "Rules that count from an access or an event are taken as if that never happens: {versions} versions."
)
_UNPRICED: Final = "There is no gb_month price for: {tiers}. Costs leave it out."


class Span(NamedTuple):
    """Days, from the first until before the end."""

    first: int
    end: int


class Found(NamedTuple):
    """What was kept: of the newest count, day by day; requests of the last days together, and by day."""

    newest: list[Sample]
    days: list[Sample]
    asked: list[Requests]
    asked_days: list[Requests]


class Storage:
    """Shows what is stored."""

    def __init__(
        self,
        service: Service,
        database: Database,
        counting: Counting,
        proposing: Proposing,
        prices: Prices | None,
    ) -> None:
        self._service = service
        self._database = database
        self._counting = counting
        self._proposing = proposing
        self._prices = prices

    async def mine(
        self, credential: Credential, span: Span | None = None, *, afresh: bool = False
    ) -> dict[str, Any]:
        """The caller's tenant; for the operator, the cell. One transaction, unless counted `afresh`.

        `{"at","complete","tiers","items","requests","notes"}`, with `span` `days` and `gaps`, with prices
        `prices`. `items` are by scope and tier, `at` is when they were counted. `requests` are of the last
        days, by tier.
        """
        if afresh and credential.tenant_id == CELL:
            raise Invalid(
                "All tenants together are not counted afresh; nothing was done.",
                field="now",
                rule="of a tenant",
                remedy="Leave it out: 'tenure jobs run storage' counts who was not counted today.",
            )
        found = await self._service.run(credential, SCOPE, "read", lambda seat: _read(seat.desk.tx, span))
        counted = None
        if afresh:
            counted = await self._counting.layers(credential.tenant_id, afresh=True)
            found = found._replace(newest=store.summed(counted.day, counted.at, counted.layers))
        return self._shown(found, span, complete=counted is None or counted.complete)

    async def of_tenant(
        self, credential: Credential, tenant_id: str, span: Span | None = None
    ) -> dict[str, Any]:
        """For the operator: the same of a tenant, as it was counted last. Raises NotFound."""
        check_id(tenant_id, "tenant")

        def work(seat: Seat) -> Found:
            tx = seat.desk.tx
            if tenant_id == CELL or tenants.get(tx, tenant_id) is None:
                raise NotFound("There is no such tenant; nothing was done.", field="id")
            tx.as_tenant(tenant_id)
            found = _read(tx, span)
            tx.as_tenant(CELL)
            return found

        found = await self._service.run(credential, _TENANTS, "read", work)
        return self._shown(found, span, complete=True)

    async def ahead(self, credential: Credential, days: int, proposed: str | None = None) -> dict[str, Any]:
        """What will be stored in so many days, under the retention of today, and beside it under another.

        `{"at","complete","current":{"points","unknown"},"proposed"?,"requests","notes"}`; with prices
        `prices`, and `cost` of each. `requests` are those of the last days. `proposed`: the text of Retention
        manifests; needs the right to apply them, and raises what the apply would. It is on record then.
        """
        now, asked = await self._service.run(credential, SCOPE, "read", _standing)
        if credential.tenant_id == CELL:
            raise Invalid(
                "What is to come is told of one tenant, by its own rules; nothing was done.",
                field="tenant",
                rule="a tenant's own key",
                remedy="Its administrators and officers may ask.",
            )
        other = None
        if proposed is not None:
            proposal = await self._proposing.read(credential, proposed)
            await self._proposing.record(credential, proposal)
            other = proposal.configuration
        counted = await self._counting.layers(credential.tenant_id)
        found = await asyncio.to_thread(self._foreseen, counted, days, now, other)
        return {**found, "requests": self._requests(asked)}

    async def standing(self) -> dict[str, int]:
        """Bytes of all tenants by tier, as they were counted last: for metrics. One short transaction."""
        rows = await asyncio.to_thread(self._database.read, CELL, store.newest)
        return {one.tier: one.bytes for one in rows}

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────
    def _shown(self, found: Found, span: Span | None, *, complete: bool) -> dict[str, Any]:
        samples, days = found.newest, found.days
        notes = [] if samples else [_NEVER]
        notes += [] if complete else [_SOME]
        shown: dict[str, Any] = {"at": ids.rfc3339(samples[0].at) if samples else None, "complete": complete}
        shown |= self._rows(samples, month=True)
        shown["requests"] = self._requests(found.asked)
        if span is not None:
            by_day: dict[int, list[Sample]] = {}
            for one in days:
                by_day.setdefault(one.day, []).append(one)
            first = span.first
            if len(days) > MAX_ROWS:
                first = days[-1].day + 1  # of the oldest day not all is here
                notes.append(_CUT)
            seen = [day for day in range(first, span.end) if day in by_day]
            asked = {day: [one for one in found.asked_days if one.day == day] for day in seen}
            shown["days"] = [
                {
                    "day": _date(day),
                    **self._rows(by_day[day], month=False),
                    "requests": [self._asked(one) for one in asked[day]],
                }
                for day in seen
            ]
            ends = min(span.end, ids.now() // DAY_US + 1)
            shown["gaps"] = [_date(day) for day in range(first, ends) if day not in by_day]
        return {**shown, **self._table(notes)}

    def _rows(self, samples: Sequence[Sample], *, month: bool) -> dict[str, Any]:
        rows = [(one.scope, self._row(one, month=month)) for one in samples]
        return {
            "tiers": [row for scope, row in rows if scope == ALL],
            "items": [{"scope": scope, **row} for scope, row in rows if scope != ALL],
        }

    def _row(self, one: Sample, *, month: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"tier": one.tier, "versions": one.versions, "bytes": one.bytes}
        row |= {"written_versions": one.written_versions, "written_bytes": one.written_bytes}
        if self._prices is not None:
            price = (self._prices.month if month else self._prices.day)(one.tier, one.bytes)
            row |= {} if price is None else {"month" if month else "cost": money(price)}
        return row

    def _requests(self, asked: Sequence[Requests]) -> dict[str, Any]:
        since = _date(asked[0].day) if asked else None
        return {"since": since, "tiers": [self._asked(one) for one in asked]}

    def _asked(self, one: Requests) -> dict[str, Any]:
        numbers = {name: getattr(one, name) for name in ("puts", "gets", "restores", "retrieved")}
        cost = None if self._prices is None else self._prices.requests(one.tier, **numbers)
        return {"tier": one.tier, **numbers, **({} if cost is None else {"cost": money(cost)})}

    def _table(self, notes: list[str]) -> dict[str, Any]:
        if self._prices is None:
            return {"notes": [*notes, HOW]}
        return {"prices": self._prices.shown(), "notes": notes}

    def _foreseen(
        self, counted: Counted, days: int, now: Configuration, proposed: Configuration | None
    ) -> dict[str, Any]:
        current = rules_of(now.retentions, now.categories)
        written = rates(counted.layers, current, counted.day)
        courses = {"current": self._course(counted, written, current, days)}
        if proposed is not None:
            other = rules_of(proposed.retentions, proposed.categories)
            courses["proposed"] = self._course(counted, written, other, days)
        notes = [_AHEAD, *([] if counted.complete else [_SOME])]
        unknown = max(one["unknown"]["versions"] for one in courses.values())
        notes += [_UNKNOWN.format(versions=unknown)] if unknown else []
        if self._prices is not None:
            priced = {tier for tier, given in self._prices.tiers.items() if "gb_month" in given}
            points = [point for one in courses.values() for point in one["points"]]
            bare = [tier for tier in STORED if tier not in priced and any(point[tier] for point in points)]
            notes += [_UNPRICED.format(tiers=", ".join(bare))] if bare else []
        about = {"at": ids.rfc3339(counted.at), "complete": counted.complete}
        return {**about, **courses, **self._table(notes)}

    def _course(self, counted: Counted, written: list[Rate], rules: RulesOf, days: int) -> dict[str, Any]:
        points = forecast(counted.layers, written, rules, counted.day, days)
        found: dict[str, Any] = {
            "points": [
                {"day": _date(one.day), "hot": one.hot, "cold": one.cold, "archive": one.archive}
                for one in points
            ],
            "unknown": unforeseen(counted.layers, rules)._asdict(),
        }
        cost = self._cost(points[1:])
        return found if cost is None else {**found, "cost": money(cost)}

    def _cost(self, points: Sequence[Point]) -> Decimal | None:
        if self._prices is None:
            return None
        prices = self._prices
        each = (prices.day(tier, getattr(one, tier)) or Decimal(0) for one in points for tier in STORED)
        return sum(each, Decimal(0))


def span_of(first: int | None, end: int | None) -> Span:
    """The last days until the end (today included), if the first is not said. Raises Invalid."""
    end = ids.now() // DAY_US + 1 if end is None else end
    first = max(0, end - _LAST) if first is None else first
    if not 0 < end - first <= MAX_SPAN:
        raise Invalid(
            "The days that were asked for cannot be shown; nothing was done.",
            field="since",
            rule=f"before until, and {MAX_SPAN} days at most",
            remedy="Ask for fewer days at a time.",
        )
    return Span(first, end)


def _read(tx: Tx, span: Span | None) -> Found:
    if span is None:
        return Found(store.newest(tx), [], _lately(tx), [])
    days = store.between(tx, span.first, span.end, MAX_ROWS + 1)
    return Found(store.newest(tx), days, _lately(tx), requests.between(tx, span.first, span.end))


def _lately(tx: Tx) -> list[Requests]:
    """What was asked on the last days, today included, by tier."""
    end = ids.now() // DAY_US + 1
    return requests.summed(tx, end - _LAST, end)


def _standing(seat: Seat) -> tuple[Configuration, list[Requests]]:
    return seat.desk.tenancy.policy.configuration, _lately(seat.desk.tx)


def _date(day: int) -> str:
    return ids.rfc3339(day * DAY_US)[:10]
