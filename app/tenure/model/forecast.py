"""How much will be stored, day by day, if as much is written as lately and the rules stay as given. Pure.

    rates       from layers of today: how much was written a day, by scope, labels and own term
    forecast    what is there moves on by its rules, and every day the same is added

A rate is taken over whole days that can still be seen: not before the first version of the tenant, and not
what a rule of today has taken away meanwhile. People who were erased are missing in it. Not foreseen are
holds, erasures, and clocks that begin with an access or an event: they count as not begun.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from tenure.model.layers import STORED, Amount, Layer, RulesOf, ages_of, is_known
from tenure.model.lifetime import Tier

WINDOW: Final = 28
"""Over how many days before today rates are taken, at most: whole weeks."""


class Rate(NamedTuple):
    """What was written of a kind within `days` whole days. `term`: when it expires by itself, in days."""

    scope: str
    labels: str
    term: int | None
    amount: Amount
    days: int


class Point(NamedTuple):
    """Bytes by tier at the end of a day; of the first one, as they are now."""

    day: int
    hot: int
    cold: int
    archive: int

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.hot + self.cold + self.archive


def rates(layers: Sequence[Layer], rules: RulesOf, today: int, window: int = WINDOW) -> list[Rate]:
    """What is written a day, by `rules` of today. A tenant of today alone: today counts as a whole day."""
    first, ages = min((one.day for one in layers), default=today), ages_of(rules)
    kinds: dict[tuple[str, str, int | None], list[Layer]] = defaultdict(list)
    for one in layers:
        kinds[one.scope, one.labels, one.term].append(one)
    found = []
    for (scope, labels, term), mine in sorted(kinds.items(), key=lambda one: (one[0][:2], one[0][2] or 0)):
        gone = ages(scope, labels, term).gone
        seen = min(window, today - first, window if gone is None else gone - 1)
        days = range(today - seen, today) if seen > 0 else range(today, today + 1)
        amount = Amount()
        for one in mine:
            if one.day in days:
                amount = amount.plus(one)
        if amount.versions:
            found.append(Rate(scope, labels, term, amount, len(days)))
    return found


def forecast(
    layers: Iterable[Layer], written: Iterable[Rate], rules: RulesOf, today: int, days: int
) -> list[Point]:
    """From today to so many days later: `days` + 1 points, in order."""
    ages = ages_of(rules)
    now: dict[Tier, int] = dict.fromkeys(STORED, 0)
    # How the stock of today changes: bytes that come to a tier (or leave it) on a day.
    steps = {tier: [0] * (days + 2) for tier in STORED}
    for one in layers:
        now[one.tier] += one.bytes
        age = today - one.day
        for tier, (begin, end) in ages(one.scope, one.labels, one.term).stages().items():
            first = max(1, begin - age)
            last = days + 1 if end is None else min(days + 1, end - age)
            if first < last:
                steps[tier][first] += one.bytes
                steps[tier][last] -= one.bytes
    added = {tier: [0.0] * (days + 1) for tier in STORED}
    for rate in written:
        for tier, (begin, end) in ages(rate.scope, rate.labels, rate.term).stages().items():
            for day in range(begin + 1, days + 1):
                so_many = (day if end is None else min(day, end)) - begin
                added[tier][day] += so_many * rate.amount.bytes / rate.days
    stock = dict.fromkeys(STORED, 0)
    points = [Point(today, now["hot"], now["cold"], now["archive"])]
    for day in range(1, days + 1):
        for tier in STORED:
            stock[tier] += steps[tier][day]
        points.append(Point(today + day, *(stock[tier] + round(added[tier][day]) for tier in STORED)))
    return points


def unforeseen(layers: Iterable[Layer], rules: RulesOf) -> Amount:
    """What is under rules that count from an access or an event."""
    found = Amount()
    for one in layers:
        if not is_known(rules(one.scope, one.labels)):
            found = found.plus(one)
    return found
