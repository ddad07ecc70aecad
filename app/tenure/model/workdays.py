"""Local days and working days: where a day begins, and which days nobody works on.

A day is the tenant's: of its IANA time zone, from its first instant to the first of the next day, which in
some zones is not at 00:00 and in most is not always 24 hours later. Time zones come from `zoneinfo`, public
holidays from the `holidays` package, which is read when a region is first asked for: it is large.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tenure.errors import Invalid
from tenure.ids import moment

_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6
_WEEK: Final = frozenset(range(7))
_ONE: Final = timedelta(days=1)
_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?\Z")
_EPOCH: Final = moment(0)
_ANY_YEAR: Final = 2026
"""What knows a region in one year knows it in every year."""


class AtWeekend(StrEnum):
    """What becomes of a period that ends on a day on which nobody works."""

    KEEP = "keep"
    """It ends there: never later than what any authority allows."""
    NEXT_WORKING_DAY = "next_working_day"
    """It ends with the next working day."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """A tenant's days. Raises `Invalid` naming the member that cannot be used.

    `timezone`: an IANA name. `region`: whose public holidays, `DE`, `DE-BY`, `US-CA` (ISO 3166-1, 3166-2);
    None: none but those of `holidays`, which are more days off. `weekend`: days of the week, 0 is Monday.
    """

    timezone: str = "UTC"
    region: str | None = None
    at_weekend: AtWeekend = AtWeekend.KEEP
    weekend: frozenset[int] = frozenset({_SATURDAY, _SUNDAY})
    holidays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        _zone(self.timezone)
        if self.region is not None:
            _public(self.region, _ANY_YEAR)
        if not self.weekend < _WEEK:
            raise Invalid(
                "A week needs a working day. Nothing was changed.",
                field="weekend",
                rule="days of the week from 0 (Monday) to 6 (Sunday), six at most",
                remedy="Write [5, 6] for Saturday and Sunday.",
            )

    def day(self, at: int) -> date:
        """The local day of an instant (microseconds)."""
        return moment(at).astimezone(_zone(self.timezone)).date()

    def end(self, day: date) -> int:
        """The last microsecond of a local day. Round trip: `day(end(d)) == d`, where the day exists."""
        after = day + _ONE
        # `fold` 0: the first of two midnights; of a midnight that is skipped, the instant of the skip.
        first = datetime(after.year, after.month, after.day, tzinfo=_zone(self.timezone))
        since = first - _EPOCH
        return (since.days * 86_400 + since.seconds) * 1_000_000 - 1

    def works(self, day: date) -> bool:
        """Whether it is a working day."""
        if day.weekday() in self.weekend or day in self.holidays:
            return False
        return self.region is None or day not in _public(self.region, day.year)

    def working_day(self, day: date) -> date:
        """The day, or the first working day after it."""
        while not self.works(day):
            day += _ONE
        return day

    def after(self, day: date, working_days: int) -> date:
        """The last of so many working days. The day itself is not counted."""
        for _ in range(working_days):
            day = self.working_day(day + _ONE)
        return day


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "There is no time zone of that name. Nothing was changed.",
            field="timezone",
            rule="a name of the IANA time zone database",
            remedy="Write it like Europe/Berlin or America/Los_Angeles.",
        ) from None


@lru_cache(maxsize=256)
def knows(region: str) -> bool:
    """Whether the public holidays of a region (ISO 3166) can be counted."""
    try:
        _public(region, _ANY_YEAR)
    except Invalid:
        return False
    return True


@lru_cache(maxsize=256)
def _public(region: str, year: int) -> frozenset[date]:
    """The public holidays of a region in a year, with the days on which they are made up for."""
    from holidays import country_holidays  # noqa: PLC0415 - 0.2 s, and only where a region is set

    country, _, part = region.partition("-")
    try:
        if not _REGION.match(region):
            raise NotImplementedError  # noqa: TRY301 - the package's own word for a region that it lacks
        found = country_holidays(country, subdiv=part or None, years=year)
    except NotImplementedError:
        raise Invalid(
            "The public holidays of that region are not known. Nothing was changed.",
            field="region",
            rule="a country (ISO 3166-1), or a part of one (ISO 3166-2), that the package `holidays` knows",
            remedy="Write it like DE, DE-BY or US-CA; or leave it out.",
        ) from None
    return frozenset(day for day in found if any(_is_off(region, day, name) for name in found.get_list(day)))


def _is_off(region: str, day: date, name: str) -> bool:
    """Whether the package's holiday is one. In doubt a day is a working day: nothing is answered late then.

    For California the package follows the federal rule that a holiday on a Saturday is made up for on Friday;
    there only Veterans Day is (Gov. Code § 6701). And a day of observance (§ 6700 lacks it) is no holiday.
    """
    if region != "US-CA":
        return True
    made_up_for = name.endswith("(observed)") and day.weekday() == _FRIDAY
    return name != "Susan B. Anthony Day" and (not made_up_for or name.startswith("Veterans Day"))
