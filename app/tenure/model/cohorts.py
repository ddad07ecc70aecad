"""Cohorts: versions that go together share a leaf, the cohort's, and are shredded with it. Pure.

A version of a scope and a set of labels belongs to the cohort of the period in which it was written. The
period is short beside the shortest time that a rule gives such versions, so that none of them stays much
longer than it may, and one leaf serves many. What counts from an event or the last access belongs to a cohort
of its own person or record: nobody else's goes at that instant.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Self

from tenure.model.lifetime import HOUR_US, Clocks, Due, lifetime
from tenure.model.retention import RetentionSpec

_DAY: Final = 24
_PERIODS: Final = ((10 * _DAY, 1), (60 * _DAY, _DAY), (730 * _DAY, 7 * _DAY))
"""(rules shorter than so many hours, period in hours): a tenth of the time at most, but for the shortest."""
_LONGEST: Final = 30 * _DAY
MISSED_H: Final = 48
"""For so many hours the job that ends cohorts may fail before anything else is in a hurry."""
_spelled = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
Owner = Literal["nobody", "subject", "record"]


class Grouping(NamedTuple):
    """How versions of one scope and set of labels go together: a period in microseconds, and whose."""

    period: int
    owner: Owner

    @classmethod
    def of(cls, rules: Mapping[str, RetentionSpec]) -> Self:
        """By the rules that apply to such versions (`lifetime.applying`)."""
        clocks = {one.clock for one in rules.values()}
        owner: Owner = "record" if "access" in clocks else "subject" if "event" in clocks else "nobody"
        return cls(
            _period(min((one.delete_after for one in rules.values() if one.delete_after), default=None)),
            owner,
        )


def late_hours(rules: Mapping[str, RetentionSpec]) -> int:
    """By how many hours versions under these rules may outstay their time: a period, and missed runs."""
    return Grouping.of(rules).period // HOUR_US + MISSED_H


class Anchor(NamedTuple):
    """What the versions of one cohort have in common; instants in microseconds.

    They were written from `begins` and before `ends`. `expires`: their own `expires_at` is this or at most a
    period earlier. `owner`: the id of the person or of the record whose they are alone.
    """

    scope: str
    labels: str
    begins: int
    ends: int
    expires: int | None = None
    owner: str | None = None

    @property
    def name(self) -> str:
        """The one spelling, by which a cohort is found."""
        return _spelled(self)

    @classmethod
    def parse(cls, name: str) -> Self:
        """The anchor of a name. ValueError for what is none."""
        found = json.loads(name)
        if not isinstance(found, list) or len(found) != len(cls._fields):
            raise ValueError("not the name of a cohort")
        return cls(*found)

    def covers(self, scope: str, labels: str, written: int, expires_at: int | None) -> bool:
        """Whether a version may be of this cohort."""
        if (scope, labels) != (self.scope, self.labels) or not self.begins <= written < self.ends:
            return False
        if expires_at is None or self.expires is None:
            return expires_at is self.expires
        return expires_at <= self.expires


def anchor(
    grouping: Grouping,
    scope: str,
    labels: str,
    *,
    written: int,
    expires_at: int | None,
    people: Sequence[str],
    record: str,
) -> Anchor:
    """The anchor of a version that is being written. `people`: ids of those whom it is about."""
    begins = written - written % grouping.period
    expires = None
    if expires_at is not None:
        ahead = _period(max(expires_at - written, 0) // HOUR_US)
        expires = expires_at + -expires_at % ahead
    owner = None
    if grouping.owner == "subject" and len(people) == 1:
        owner = people[0]
    elif grouping.owner != "nobody":
        owner = record
    return Anchor(scope, labels, begins, begins + grouping.period, expires, owner)


def by_write(rules: Mapping[str, RetentionSpec]) -> bool:
    """Whether every clock begins with the write, so that a cohort's anchor says when all of it goes."""
    return all(spec.clock == "write" for spec in rules.values())


def cohort_gone(rules: Mapping[str, RetentionSpec], anchor: Anchor) -> Due | None:
    """When the last version of a cohort may go under rules `by_write`, and by which; None: not for now."""
    return lifetime(rules, Clocks(anchor.ends, expires_at=anchor.expires)).gone


def _period(hours: int | None) -> int:
    if hours is None:
        return _LONGEST * HOUR_US
    return next((period for under, period in _PERIODS if hours < under), _LONGEST) * HOUR_US
