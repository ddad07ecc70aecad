"""What a tenant stores, in layers: versions of one scope, label set and tier that were written on one day.

A day is a UTC day, counted from 1970-01-01. What was written on a day is judged as if it was written at its
end, and what expires on a day as if at its end: nothing is said to go earlier than it does.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple

from tenure.model.lifetime import HOUR_US, Clocks, Lifetime, Tier, applying, lifetime
from tenure.model.retention import RetentionSpec
from tenure.model.vocabulary import Tree

DAY_US: Final = 24 * HOUR_US
STORED: Final[tuple[Tier, ...]] = ("hot", "cold", "archive")
"""Tiers in which something is stored, in the order in which it moves through them."""

Rules = Mapping[str, RetentionSpec]
RulesOf = Callable[[str, str], Rules]
"""(scope, labels) → the rules that apply there. `labels`: categories, sorted, comma-joined."""


class Layer(NamedTuple):
    """So many versions and bytes of ciphertext. `expires`: the day of their own `expires_at`, if any."""

    scope: str
    labels: str
    tier: Tier
    day: int
    expires: int | None
    versions: int
    bytes: int

    @property
    def term(self) -> int | None:
        """Their own `expires_at`, in days from the day of writing."""
        return None if self.expires is None else max(0, self.expires - self.day)


class Amount(NamedTuple):
    """Versions, and bytes of their ciphertext."""

    versions: int = 0
    bytes: int = 0

    def plus(self, other: "Layer | Amount") -> "Amount":
        """Both together."""
        return Amount(self.versions + other.versions, self.bytes + other.bytes)


NOTHING: Final = Amount()


class Ages(NamedTuple):
    """In how many whole days from the day of writing a version is cold, archived and gone; None: never."""

    cold: int | None
    archive: int | None
    gone: int | None

    def stages(self) -> dict[Tier, tuple[int, int | None]]:
        """Tier → from which day to before which it is there; None: no end. Empty ones are left out."""
        end = self.gone
        archive = _earlier(self.archive, end)
        cold = _earlier(self.cold, archive)
        found: dict[Tier, tuple[int, int | None]] = {"hot": (0, cold)}
        if cold is not None:
            found["cold"] = (cold, archive)
        if archive is not None:
            found["archive"] = (archive, end)
        return {tier: (first, last) for tier, (first, last) in found.items() if last is None or first < last}


def rules_of(retentions: Rules, tree: Tree) -> RulesOf:
    """The rules of a configuration, remembered by scope and labels."""

    @cache
    def found(scope: str, labels: str) -> Rules:
        return applying(retentions, tree, scope, labels.split(","))

    return found


def is_known(rules: Rules) -> bool:
    """Whether the day of writing is enough for these rules: none counts from an access or an event."""
    return all(one.clock == "write" for one in rules.values())


def course(rules: Rules, term: int | None) -> Lifetime:
    """The lifetime of what was written at instant 0 and expires by itself after `term` days."""
    return lifetime(rules, Clocks(0, expires_at=None if term is None else term * DAY_US))


def ages_of(rules: RulesOf) -> Callable[[str, str, int | None], Ages]:
    """(scope, labels, term) → in whole days, remembered. What is due within a day is due at its end."""

    @cache
    def ages(scope: str, labels: str, term: int | None) -> Ages:
        found = course(rules(scope, labels), term)
        dues = (found.cold, found.archive, found.gone)
        return Ages(*(None if due is None else -(-due.at // DAY_US) for due in dues))

    return ages


def _earlier(one: int | None, other: int | None) -> int | None:
    given = [each for each in (one, other) if each is not None]
    return min(given, default=None)
