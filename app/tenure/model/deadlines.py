"""The clock of a rights request: until when it must be answered. It is apart from the request's state.

Everything here is computed from instants (microseconds) and the tenant's `Calendar`; nothing asks what time
it is. A due instant is the last microsecond of a local day: a request is overdue after it.

**GDPR** (Art. 12(3)): one month from receipt, or three where the controller says so, with a reason, within
the first.
 - Months count as in Regulation (EEC, Euratom) 1182/71, Art. 3: the day of receipt is not counted (3(1)); a
   period ends with the last hour of the same date, or of the month's last day where it lacks that date
   (3(2)(c)). EDPB Guidelines 01/2022 (right of access), section 5.3, count so: 31 August, 30 September.
 - A last day on which nobody works: 3(4) moves it to the end of the next working day, and the EDPB agrees.
   The tenant decides (`Calendar.at_weekend`); it is kept unless told otherwise, for who is early is on time.
 - "That period may be extended by two further months": the month becomes three months *from receipt*, one
   period (so the UK's ICO, too: "three months from the original start date"). Received on 31 January: 30
   April. Two months counted from 28 February would end on the 28th.
 - A pause stops the clock: while the requester's identity is in doubt, or until they say what they ask for
   (Art. 12(6), Recital 63). Authorities differ. The EDPB (section 5.3) lets the period be *suspended* for
   both, if the controller asked without undue delay. The ICO lets it *begin* when the identity is
   established, which ends later. Here both suspend it: the earlier of the two.
 - What a pause adds: as many days as local midnights passed in it. It is counted like any period of 1182/71:
   the day on which it begins is not in it, the day on which it ends is. So the days that were left when it
   began are left when it ends; one that begins and ends on one day adds none, and no hour is counted twice.
 - An extension is told within the month as it was paused. Who wants to be sure tells it within the month of
   receipt: Art. 12(3) does not speak of pauses.

**CCPA** (Cal. Civ. Code § 1798.130(a)(2), 11 CCR § 7021): to know, delete and correct. Receipt is confirmed
within 10 business days; the answer comes within 45 calendar days of receipt, 90 in total where the consumer
is told why within the first 45. The day of receipt is not counted (Civ. Code § 10). Verifying the consumer
stops nothing (§ 7021(b)), so there are no pauses. § 10 would move a last day that is a holiday; as the
regulation counts calendar days, this never does. To opt out of sale or to limit use: 15 business days (11 CCR
§§ 7026(f), 7027(g)), without more. "Business day" is not defined: Monday to Friday but the holidays of the
tenant's region. Civ. Code § 9 leaves only Sundays and holidays out; a tenant may set such a weekend.
"""

import calendar as months
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from tenure.errors import Conflict, Invalid
from tenure.model.workdays import AtWeekend, Calendar


class Regime(StrEnum):
    """Whose law says how long."""

    GDPR = "gdpr"
    CCPA = "ccpa"
    CCPA_OPT_OUT = "ccpa-opt-out"
    """To opt out of sale or sharing, and to limit the use of sensitive information."""


class PauseReason(StrEnum):
    """Why a clock may stand still. Nothing else stops it."""

    IDENTITY = "identity"
    CLARIFICATION = "clarification"


class ExtensionReason(StrEnum):
    """Why an answer may take longer (Art. 12(3); Civ. Code § 1798.145(h)(1))."""

    COMPLEXITY = "complexity"
    NUMBER = "number_of_requests"


class Pause(NamedTuple):
    """The clock stood still in [since, until); None: it still does."""

    since: int
    until: int | None
    reason: PauseReason


class _Terms(NamedTuple):
    """A regime's periods: local days from the day of receipt. None: it has none."""

    answer: Callable[[Calendar, date], date]
    extended: Callable[[Calendar, date], date] | None = None
    acknowledge: Callable[[Calendar, date], date] | None = None
    pauses: bool = False
    moves: bool = False
    """Whether a last day on which nobody works may move (`Calendar.at_weekend`)."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What happened to a request's clock, in order. Raises `Invalid` for what cannot have happened.

    Reasons and regimes may be given as text. `extension` is the reason of `extended_at`.
    """

    regime: Regime
    received_at: int
    pauses: tuple[Pause, ...] = ()
    extended_at: int | None = None
    extension: ExtensionReason | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "regime", _one_of(Regime, self.regime, "regime"))
        pauses = tuple(
            Pause(since, until, _one_of(PauseReason, why, "reason")) for since, until, why in self.pauses
        )
        object.__setattr__(self, "pauses", pauses)
        if (self.extended_at is None) != (self.extension is None):
            raise Invalid(
                "An extension needs both its time and its reason. Nothing was changed.",
                field="extension",
                rule="extended_at and extension stand together",
                remedy="Give both or neither.",
            )
        if self.extension is not None:
            object.__setattr__(self, "extension", _one_of(ExtensionReason, self.extension, "reason"))
        terms = _TERMS[self.regime]
        if (pauses and not terms.pauses) or (self.extended_at is not None and terms.extended is None):
            raise _out_of_order("The law of this clock has no pauses, or no extension.")
        told = [self.received_at]
        for place, pause in enumerate(pauses):
            told += [pause.since] if pause.until is None else [pause.since, pause.until]
            if pause.until is None and place + 1 < len(pauses):
                raise _out_of_order("Only the last pause may be open.")
        if told != sorted(told) or (self.extended_at or self.received_at) < self.received_at:
            raise _out_of_order("Receipt, pauses and extension do not follow one another.")

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return bool(self.pauses) and self.pauses[-1].until is None


class Deadlines(NamedTuple):
    """Until when, as of an instant. While the clock is paused: as if it went on at that instant.

    `acknowledge_by`: None where the law asks for none. `extend_by`: until when an extension may be told; None
    where there is no (further) one. `days_left`: local days until the last one, 0 on it, negative after it.
    """

    acknowledge_by: int | None
    due_at: int
    extend_by: int | None
    extended: bool
    paused: bool
    overdue: bool
    days_left: int


def deadlines(clock: Clock, calendar: Calendar, now: int) -> Deadlines:
    """Until when this request is to be answered. Raises `Invalid` for a clock that knows the future."""
    last = clock.pauses[-1] if clock.pauses else None
    newest = max(clock.received_at, clock.extended_at or 0, *((last.since, last.until or 0) if last else ()))
    if newest > now:
        raise Invalid(
            "That is in the future. Nothing was changed.",
            field="received_at" if newest == clock.received_at else "at",
            rule="no later than now",
            remedy="Say when it happened; check the time zone.",
        )
    terms, received = _TERMS[clock.regime], calendar.day(clock.received_at)
    extended = clock.extended_at is not None and terms.extended is not None
    due = _last_day(clock, calendar, now, extended=extended)
    can_extend = terms.extended is not None and not extended
    return Deadlines(
        acknowledge_by=terms.acknowledge and calendar.end(terms.acknowledge(calendar, received)),
        due_at=calendar.end(due),
        extend_by=calendar.end(due) if can_extend else None,
        extended=extended,
        paused=clock.paused,
        overdue=now > calendar.end(due),
        days_left=(due - calendar.day(now)).days,
    )


def pause(clock: Clock, calendar: Calendar, at: int, reason: PauseReason) -> Clock:
    """Stop the clock. Raises `Conflict` where it may not be stopped, `Invalid` for another reason."""
    reason = _one_of(PauseReason, reason, "reason")
    if not _TERMS[clock.regime].pauses:
        raise _refused(
            "The CCPA's clock does not stop.", "pause-regime", "Answer in time; deny what cannot be verified."
        )
    if clock.paused:
        raise _refused("The clock is paused already.", "paused", "Resume it first.")
    if deadlines(clock, calendar, at).overdue:
        raise _refused("The time to answer is over.", "over", "Answer now: a pause cannot undo the delay.")
    return replace(clock, pauses=(*clock.pauses, Pause(at, None, reason)))


def resume(clock: Clock, at: int) -> Clock:
    """Let the clock go on. Raises `Conflict` if it is not paused."""
    if not clock.paused:
        raise _refused("The clock is not paused.", "not-paused", "There is nothing to resume.")
    return replace(clock, pauses=(*clock.pauses[:-1], clock.pauses[-1]._replace(until=at)))


def extend(clock: Clock, calendar: Calendar, at: int, reason: ExtensionReason) -> Clock:
    """Extend the period, as the requester is told at this instant. Raises `Conflict` where that cannot be."""
    reason = _one_of(ExtensionReason, reason, "reason")
    if clock.extended_at is not None:
        raise _refused("The period is extended already.", "extended", "It can be extended once.")
    told_by = deadlines(clock, calendar, at).extend_by
    if told_by is None:
        raise _refused("This period cannot be extended.", "extension-regime", "Answer in time.")
    if at > told_by:
        raise _refused(
            "The first period is over.", "extension-late", "It had to be told within that period: answer now."
        )
    return replace(clock, extended_at=at, extension=reason)


def _last_day(clock: Clock, calendar: Calendar, now: int, *, extended: bool) -> date:
    """1 the period, 2 what pauses add, 3 a last day on which nobody works."""
    terms = _TERMS[clock.regime]
    period = terms.extended if extended and terms.extended else terms.answer
    last = period(calendar, calendar.day(clock.received_at))
    for since, until, _ in clock.pauses:
        last += calendar.day(now if until is None else until) - calendar.day(since)
    if terms.moves and calendar.at_weekend is AtWeekend.NEXT_WORKING_DAY:
        return calendar.working_day(last)
    return last


def _months(count: int) -> Callable[[Calendar, date], date]:
    def period(_: Calendar, day: date) -> date:
        years, month = divmod(day.month - 1 + count, 12)
        year, month = day.year + years, month + 1
        return date(year, month, min(day.day, months.monthrange(year, month)[1]))

    return period


def _days(count: int) -> Callable[[Calendar, date], date]:
    return lambda _, day: day + timedelta(days=count)


def _working_days(count: int) -> Callable[[Calendar, date], date]:
    return lambda calendar, day: calendar.after(day, count)


_TERMS: Final = {
    Regime.GDPR: _Terms(_months(1), _months(3), pauses=True, moves=True),
    Regime.CCPA: _Terms(_days(45), _days(90), acknowledge=_working_days(10)),
    Regime.CCPA_OPT_OUT: _Terms(_working_days(15)),
}

_Word = TypeVar("_Word", bound=StrEnum)


def _one_of(kind: type[_Word], word: str, field: str) -> _Word:
    try:
        return kind(word)
    except ValueError:
        known = ", ".join(kind)
        raise Invalid(
            f"That {field} is none that the law knows. Nothing was changed.",
            field=field,
            rule=f"one of {known}",
            remedy=f"Choose one of {known}.",
        ) from None


def _out_of_order(what: str) -> Invalid:
    return Invalid(
        f"{what} Nothing was changed.",
        field="clock",
        rule="receipt first, then pauses one after another, the last one open or not",
        remedy="Give each instant as it happened.",
    )


def _refused(what: str, rule: str, remedy: str) -> Conflict:
    return Conflict(f"{what} Nothing was changed.", field="clock", rule=rule, remedy=remedy)
