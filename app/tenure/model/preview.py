"""What another retention would move and take away, compared with today's. Pure: layers and rules in.

Looked at is what lies under rules that change. What counts from an access or an event is `unknown`: a layer
does not say when that was.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, NamedTuple

from tenure.model.layers import DAY_US, NOTHING, STORED, Amount, Layer, RulesOf, course, is_known
from tenure.model.lifetime import Lifetime, Tier

When = Literal["now", "within"]
_ORDER: Final[tuple[Tier, ...]] = (*STORED, "gone")


class Move(NamedTuple):
    """Versions that the rules of today have in one tier and the proposed ones in another.

    `rule`: the proposed rule that moves them; of what stays longer, today's rule that would move them.
    """

    scope: str
    labels: str
    rule: str
    was: Tier
    becomes: Tier


@dataclass(slots=True)
class Preview:
    """What would be different: at once, and at the end of the time that was asked about."""

    moves: dict[Move, dict[When, Amount]] = field(default_factory=dict)
    touched: Amount = NOTHING
    """Under rules that change."""
    unknown: Amount = NOTHING
    """Of these, what cannot be told from the day of writing."""
    current: dict[When, dict[Tier, Amount]] = field(default_factory=dict)
    proposed: dict[When, dict[Tier, Amount]] = field(default_factory=dict)
    """What is touched and known, by tier."""


def preview(
    layers: Iterable[Layer], current: RulesOf, proposed: RulesOf, *, now: int, within: int
) -> Preview:
    """Compare them at `now` and at `now + within` (microseconds)."""
    instants: dict[When, int] = {"now": now, "within": now + within}
    seen = Preview()
    tiers: dict[tuple[bool, When], dict[Tier, Amount]] = defaultdict(lambda: defaultdict(Amount))

    @cache  # one for each kind of version, not for each layer
    def lifetimes(scope: str, labels: str, term: int | None) -> tuple[Lifetime, Lifetime]:
        return course(current(scope, labels), term), course(proposed(scope, labels), term)

    for one in layers:
        old, new = current(one.scope, one.labels), proposed(one.scope, one.labels)
        if old == new:
            continue
        seen.touched = seen.touched.plus(one)
        if not is_known(old) or not is_known(new):
            seen.unknown = seen.unknown.plus(one)
            continue
        before, after = lifetimes(one.scope, one.labels, one.term)
        for when, instant in instants.items():
            age = instant - (one.day + 1) * DAY_US
            was, becomes = before.tier(age), after.tier(age)
            tiers[False, when][was] = tiers[False, when][was].plus(one)
            tiers[True, when][becomes] = tiers[True, when][becomes].plus(one)
            if was != becomes:
                move = Move(one.scope, one.labels, _rule(before, after, was, becomes), was, becomes)
                amounts = seen.moves.setdefault(move, {"now": Amount(), "within": Amount()})
                amounts[when] = amounts[when].plus(one)
    for when in instants:
        seen.current[when] = {tier: tiers[False, when][tier] for tier in _ORDER}
        seen.proposed[when] = {tier: tiers[True, when][tier] for tier in _ORDER}
    return seen


def _rule(before: Lifetime, after: Lifetime, was: Tier, becomes: Tier) -> str:
    further = _ORDER.index(becomes) > _ORDER.index(was)
    found, tier = (after, becomes) if further else (before, was)
    due = {"cold": found.cold, "archive": found.archive, "gone": found.gone}[tier]
    assert due is not None  # noqa: S101 - a tier beyond hot is reached by a rule
    return due.rule
