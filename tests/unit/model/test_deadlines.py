"""The clock of a rights request, against dates that were worked out by hand from the regulations' text."""

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenure import ids
from tenure.errors import Conflict, Invalid, TenureError
from tenure.model.deadlines import (
    Clock,
    Deadlines,
    ExtensionReason,
    Pause,
    PauseReason,
    Regime,
    deadlines,
    extend,
    pause,
    resume,
)
from tenure.model.workdays import AtWeekend, Calendar

DAY = 86_400_000_000
BERLIN = Calendar("Europe/Berlin")
MOVED = Calendar("Europe/Berlin", "DE", AtWeekend.NEXT_WORKING_DAY)
BAVARIA = Calendar("Europe/Berlin", "DE-BY", AtWeekend.NEXT_WORKING_DAY)
FRANCE = Calendar("Europe/Paris", "FR", AtWeekend.NEXT_WORKING_DAY)
CALIFORNIA = Calendar("America/Los_Angeles", "US-CA")
FEDERAL = Calendar("America/Los_Angeles", "US")
IDENTITY, CLARIFICATION = PauseReason.IDENTITY, PauseReason.CLARIFICATION


def at(text: str, calendar: Calendar = BERLIN) -> int:
    """An instant: with its offset, or in the calendar's zone; noon if there is only a date."""
    when = datetime.fromisoformat(text if "T" in text else f"{text}T12:00")
    zoned = when if when.tzinfo else when.replace(tzinfo=ZoneInfo(calendar.timezone))
    return ids.parse_rfc3339(zoned.isoformat())


class Case(NamedTuple):
    why: str
    received: str
    due: str
    calendar: Calendar = BERLIN
    pauses: tuple[tuple[str, str], ...] = ()
    extended: str | None = None
    regime: Regime = Regime.GDPR
    ack: str | None = None


def computed(case: Case) -> Deadlines:
    """Through the moves, each when it happened."""
    clock = Clock(case.regime, at(case.received, case.calendar))
    moves = [(at(when, case.calendar), "extend") for when in (case.extended,) if when]
    for begun, ended in case.pauses:
        moves += [(at(begun, case.calendar), "pause"), (at(ended, case.calendar), "resume")]
    now = clock.received_at
    for now, what in sorted(moves, key=lambda move: move[0]):
        if what == "extend":
            clock = extend(clock, case.calendar, now, ExtensionReason.COMPLEXITY)
        else:
            clock = pause(clock, case.calendar, now, IDENTITY) if what == "pause" else resume(clock, now)
    return deadlines(clock, case.calendar, now)


MONTHS = (
    Case("EDPB 01/2022, 5.3: the same date", "2026-03-05", "2026-04-05"),
    Case("EDPB 01/2022, 5.3: 31 August, 30 September", "2026-08-31", "2026-09-30"),
    Case("February lacks the 31st: its last day", "2026-01-31", "2026-02-28"),
    Case("the same in a leap year", "2028-01-31", "2028-02-29"),
    Case("lacks the 30th, too", "2026-01-30", "2026-02-28"),
    Case("leap: still lacks the 30th", "2028-01-30", "2028-02-29"),
    Case("lacks the 29th", "2026-01-29", "2026-02-28"),
    Case("leap: has the 29th", "2028-01-29", "2028-02-29"),
    Case("has the 28th", "2026-01-28", "2026-02-28"),
    Case("leap: the 28th, not the last day", "2028-01-28", "2028-02-28"),
    Case("29 February: the same date in March", "2028-02-29", "2028-03-29"),
    Case("the last of February is the 28th, and so of March", "2026-02-28", "2026-03-28"),
    Case("31 March: April has 30", "2026-03-31", "2026-04-30"),
    Case("30 April: the 30th of May, not the 31st", "2026-04-30", "2026-05-30"),
    Case("31 May: June has 30", "2026-05-31", "2026-06-30"),
    Case("31 July: August has 31", "2026-07-31", "2026-08-31"),
    Case("31 October: November has 30", "2026-10-31", "2026-11-30"),
    Case("over the year's end", "2026-12-31", "2027-01-31"),
    Case("onto New Year's Day, kept", "2026-12-01", "2027-01-01"),
    Case("2100 is no leap year", "2100-01-31", "2100-02-28"),
    Case("2000 was one", "2000-01-31", "2000-02-29"),
)

DAY_LINES = (
    Case("23:30 is still that day", "2026-06-14T23:30", "2026-07-14"),
    Case("22:30 UTC is the next day in Berlin's summer", "2026-06-14T22:30Z", "2026-07-15"),
    Case("22:30 UTC is the same day in its winter", "2026-01-14T22:30Z", "2026-02-14"),
    Case("the first microsecond of a day", "2026-06-15T00:00:00", "2026-07-15"),
    Case("the last one", "2026-06-15T23:59:59.999999", "2026-07-15"),
    Case("03:00 UTC is the day before in California", "2026-06-15T03:00Z", "2026-07-14", CALIFORNIA),
    Case(
        "12:30 UTC is tomorrow in Auckland", "2026-06-14T12:30Z", "2026-07-15", Calendar("Pacific/Auckland")
    ),
    Case(
        "10:00 UTC is the 31st on Kiritimati",
        "2026-01-30T10:00Z",
        "2026-02-28",
        Calendar("Pacific/Kiritimati"),
    ),
    Case("the 31st in Berlin only, where the month is April", "2026-03-30T22:30Z", "2026-04-30"),
    Case("29 February in Berlin, 28 in UTC", "2028-02-28T23:30Z", "2028-03-29"),
)

WEEKENDS = (
    Case("14 February 2026 is a Saturday: Monday", "2026-01-14", "2026-02-16", MOVED),
    Case("a Sunday: Monday", "2026-01-15", "2026-02-16", MOVED),
    Case("a Monday stays", "2026-01-16", "2026-02-16", MOVED),
    Case("the same Saturday, kept", "2026-01-14", "2026-02-14"),
    Case("first the month's last day, then its Monday", "2026-01-31", "2026-03-02", MOVED),
    Case("Good Friday, the weekend, Easter Monday: Tuesday", "2026-03-03", "2026-04-07", MOVED),
    Case("Christmas on Friday, its second day on Saturday", "2026-11-25", "2026-12-28", MOVED),
    Case("New Year's Day on Friday: Monday", "2026-12-01", "2027-01-04", MOVED),
    Case("Epiphany is a holiday in Bavaria", "2026-12-06", "2027-01-07", BAVARIA),
    Case("and not in all of Germany", "2026-12-06", "2027-01-06", MOVED),
    Case("14 July in France", "2026-06-14", "2026-07-15", FRANCE),
    Case(
        "Friday and Saturday are the weekend: Sunday",
        "2026-01-13",
        "2026-02-15",
        Calendar("Asia/Riyadh", at_weekend=AtWeekend.NEXT_WORKING_DAY, weekend=frozenset({4, 5})),
    ),
    Case(
        "a holiday of the tenant's own",
        "2026-01-16",
        "2026-02-17",
        Calendar(
            "Europe/Berlin",
            "DE",
            at_weekend=AtWeekend.NEXT_WORKING_DAY,
            holidays=frozenset({date(2026, 2, 16)}),
        ),
    ),
)

EXTENSIONS = (
    Case(
        "three months from receipt, not two from 28 February",
        "2026-01-31",
        "2026-04-30",
        extended="2026-02-01",
    ),
    Case("told in the last second of the month", "2026-01-31", "2026-04-30", extended="2026-02-28T23:59:59"),
    Case("told on the day of receipt", "2026-03-10", "2026-06-10", extended="2026-03-10"),
    Case("over the year's end", "2026-10-15", "2027-01-15", extended="2026-11-01"),
    Case("into February", "2026-11-30", "2027-02-28", extended="2026-12-30"),
    Case("into a leap February", "2027-11-30", "2028-02-29", extended="2027-12-30"),
    Case("onto 1 May, a Friday: Monday", "2026-02-01", "2026-05-04", MOVED, extended="2026-02-20"),
    Case(
        "28 February moved to 2 March: told on 1 March",
        "2026-01-31",
        "2026-04-30",
        MOVED,
        extended="2026-03-01",
    ),
)

PAUSES = (
    Case("five midnights", "2026-03-10", "2026-04-15", pauses=(("2026-03-12", "2026-03-17"),)),
    Case("from the moment of receipt", "2026-03-10", "2026-04-12", pauses=(("2026-03-10", "2026-03-12"),)),
    Case("over the end of the month", "2026-03-30", "2026-05-06", pauses=(("2026-04-28", "2026-05-04"),)),
    Case(
        "over 28 February, where the month ended",
        "2026-01-31",
        "2026-03-10",
        pauses=(("2026-02-05", "2026-02-15"),),
    ),
    Case(
        "two: three days and one",
        "2026-03-10",
        "2026-04-14",
        pauses=(("2026-03-11", "2026-03-14"), ("2026-03-20", "2026-03-21")),
    ),
    Case(
        "resumed on the same day",
        "2026-03-10",
        "2026-04-10",
        pauses=(("2026-03-12T08:00", "2026-03-12T18:00"),),
    ),
    Case(
        "an hour over midnight is a day",
        "2026-03-10",
        "2026-04-11",
        pauses=(("2026-03-12T23:30", "2026-03-13T00:30"),),
    ),
    Case(
        "47 hours, one midnight more than whole days",
        "2026-03-10",
        "2026-04-12",
        pauses=(("2026-03-12T10:00", "2026-03-14T09:00"),),
    ),
    Case(
        "no day is counted twice",
        "2026-03-10",
        "2026-04-11",
        pauses=(("2026-03-12T10:00", "2026-03-13T09:00"), ("2026-03-13T10:00", "2026-03-13T17:00")),
    ),
    Case(
        "the night of 23 hours is one day",
        "2026-03-10",
        "2026-04-11",
        pauses=(("2026-03-28T23:30+01:00", "2026-03-29T23:30+02:00"),),
    ),
    Case(
        "on the last evening: what was left is left",
        "2026-03-10",
        "2026-04-12",
        pauses=(("2026-04-10T23:00", "2026-04-12T08:00"),),
    ),
    Case(
        "then an extension",
        "2026-03-10",
        "2026-06-15",
        pauses=(("2026-03-12", "2026-03-17"),),
        extended="2026-03-20",
    ),
    Case(
        "after an extension",
        "2026-03-10",
        "2026-06-15",
        pauses=(("2026-05-12", "2026-05-17"),),
        extended="2026-03-20",
    ),
    Case(
        "an extension while it is paused",
        "2026-03-10",
        "2026-06-15",
        pauses=(("2026-03-12", "2026-03-17"),),
        extended="2026-03-14",
    ),
    Case(
        "the month that an extension is told in was paused, too",
        "2026-03-10",
        "2026-06-15",
        pauses=(("2026-03-12", "2026-03-17"),),
        extended="2026-04-13",
    ),
    Case(
        "onto a Saturday, which moves",
        "2026-03-10",
        "2026-04-13",
        MOVED,
        pauses=(("2026-03-12", "2026-03-13"),),
    ),
    Case(
        "a Saturday that a pause leaves behind",
        "2026-01-14",
        "2026-02-17",
        MOVED,
        pauses=(("2026-01-20", "2026-01-23"),),
    ),
    Case("over the year's end", "2026-12-10", "2027-01-30", pauses=(("2026-12-20", "2027-01-09"),)),
)

CCPA = tuple(
    case._replace(regime=Regime.CCPA)
    for case in (
        Case(
            "Thanksgiving and the day after are no business days",
            "2026-11-20",
            "2027-01-04",
            CALIFORNIA,
            ack="2026-12-08",
        ),
        Case("Christmas and New Year's Day", "2026-12-21", "2027-02-04", CALIFORNIA, ack="2027-01-06"),
        Case("Cesar Chavez Day, of California", "2026-03-25", "2026-05-09", CALIFORNIA, ack="2026-04-09"),
        Case("which is none of the United States", "2026-03-25", "2026-05-09", FEDERAL, ack="2026-04-08"),
        Case(
            "received on a Saturday; Juneteenth on a Friday",
            "2026-06-06",
            "2026-07-21",
            CALIFORNIA,
            ack="2026-06-22",
        ),
        Case(
            "4 July on a Saturday: California works on the 3rd",
            "2026-07-02",
            "2026-08-16",
            CALIFORNIA,
            ack="2026-07-16",
        ),
        Case("4 July on a Sunday: the 5th is off", "2027-07-01", "2027-08-15", CALIFORNIA, ack="2027-07-16"),
        Case(
            "11 November on a Saturday: the 10th is off",
            "2028-11-06",
            "2028-12-21",
            CALIFORNIA,
            ack="2028-11-21",
        ),
        Case(
            "a day of observance is a business day", "2028-02-14", "2028-03-30", CALIFORNIA, ack="2028-02-29"
        ),
        Case(
            "Civ. Code § 9: Saturdays are business days",
            "2026-06-05",
            "2026-07-20",
            Calendar("America/Los_Angeles", weekend=frozenset({6})),
            ack="2026-06-17",
        ),
        Case("45 days over 29 February", "2028-02-01", "2028-03-17", CALIFORNIA, ack="2028-02-15"),
        Case("and over a February without", "2026-02-01", "2026-03-18", CALIFORNIA, ack="2026-02-13"),
        Case(
            "90 days over 29 February",
            "2028-01-15",
            "2028-04-14",
            CALIFORNIA,
            extended="2028-02-29",
            ack="2028-01-31",
        ),
        Case("45 days end on it", "2028-01-15", "2028-02-29", CALIFORNIA, ack="2028-01-31"),
        Case(
            "90 days without it",
            "2026-01-15",
            "2026-04-15",
            CALIFORNIA,
            extended="2026-03-01T23:59:59",
            ack="2026-01-30",
        ),
        Case(
            "90 days over the year's end",
            "2026-11-20",
            "2027-02-18",
            CALIFORNIA,
            extended="2026-11-21",
            ack="2026-12-08",
        ),
        Case(
            "05:00 UTC is the evening before", "2026-11-21T05:00Z", "2027-01-04", CALIFORNIA, ack="2026-12-08"
        ),
        Case(
            "a Sunday stays: calendar days",
            "2026-01-15",
            "2026-03-01",
            Calendar("America/Los_Angeles", "US-CA", AtWeekend.NEXT_WORKING_DAY),
            ack="2026-01-30",
        ),
        Case("to opt out: 15 business days", "2026-11-20", "2026-12-15", CALIFORNIA),
    )
)
CCPA = (*CCPA[:-1], CCPA[-1]._replace(regime=Regime.CCPA_OPT_OUT))
ALL = (*MONTHS, *DAY_LINES, *WEEKENDS, *EXTENSIONS, *PAUSES, *CCPA)


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.received}: {case.why}")
def test_a_request_is_due_when_the_text_says(case: Case) -> None:
    found = computed(case)
    assert case.calendar.day(found.due_at).isoformat() == case.due
    assert case.calendar.day(found.due_at + 1).isoformat() > case.due, "the last instant of that day"
    told = None if found.acknowledge_by is None else case.calendar.day(found.acknowledge_by).isoformat()
    assert told == case.ack
    assert found.extended is (case.extended is not None)


@pytest.mark.parametrize(
    ("why", "zone", "received", "due"),
    [
        ("winter", "Europe/Berlin", "2026-01-31", "2026-02-28T22:59:59.999999Z"),
        ("received in winter, due in summer", "Europe/Berlin", "2026-03-01", "2026-04-01T21:59:59.999999Z"),
        ("the day of 25 hours", "Europe/Berlin", "2026-09-25", "2026-10-25T22:59:59.999999Z"),
        ("the day of 23 hours", "America/New_York", "2026-02-08", "2026-03-09T03:59:59.999999Z"),
        ("the next day begins at 01:00", "Africa/Cairo", "2026-03-23", "2026-04-23T21:59:59.999999Z"),
        ("a day that never was", "Pacific/Apia", "2011-11-30", "2011-12-30T09:59:59.999999Z"),
        ("half an hour off", "Asia/Kolkata", "2026-06-14", "2026-07-14T18:29:59.999999Z"),
    ],
)
def test_the_due_instant_is_the_end_of_the_local_day(why: str, zone: str, received: str, due: str) -> None:
    calendar = Calendar(zone)
    clock = Clock(Regime.GDPR, at(received, calendar))
    assert ids.rfc3339(deadlines(clock, calendar, clock.received_at).due_at) == due, why


def test_overdue_is_after_the_last_instant() -> None:
    clock = Clock(Regime.GDPR, at("2026-03-10"))
    due = deadlines(clock, BERLIN, clock.received_at).due_at
    on_time, late = deadlines(clock, BERLIN, due), deadlines(clock, BERLIN, due + 1)
    assert (on_time.overdue, on_time.days_left) == (False, 0)
    assert (late.overdue, late.days_left) == (True, -1)


def test_a_paused_clock_stands_still() -> None:
    clock = pause(Clock(Regime.GDPR, at("2026-03-10")), BERLIN, at("2026-04-05"), CLARIFICATION)
    for now in ("2026-04-05", "2026-04-20", "2026-08-01"):
        found = deadlines(clock, BERLIN, at(now))
        assert (found.days_left, found.overdue, found.paused) == (5, False, True), now
    assert BERLIN.day(deadlines(clock, BERLIN, at("2026-04-20")).due_at) == date(2026, 4, 25)


RECEIVED = Clock(Regime.GDPR, at("2026-01-31"))
PAUSED = Clock(Regime.GDPR, at("2026-01-31"), ((at("2026-02-03"), None, "identity"),))  # type: ignore[arg-type]
EXTENDED = Clock(Regime.GDPR, at("2026-01-31"), (), at("2026-02-03"), ExtensionReason.NUMBER)
SOLD = Clock(Regime.CCPA, at("2026-01-15", CALIFORNIA))
OPTED_OUT = Clock(Regime.CCPA_OPT_OUT, at("2026-01-15", CALIFORNIA))
COMPLEX = ExtensionReason.COMPLEXITY


@pytest.mark.parametrize(
    ("why", "move", "error", "rule"),
    [
        (
            "extended one second late",
            lambda: extend(RECEIVED, BERLIN, at("2026-03-01T00:00:00"), COMPLEX),
            Conflict,
            "extension-late",
        ),
        (
            "extended a day late",
            lambda: extend(RECEIVED, BERLIN, at("2026-03-01"), COMPLEX),
            Conflict,
            "extension-late",
        ),
        ("extended twice", lambda: extend(EXTENDED, BERLIN, at("2026-02-04"), COMPLEX), Conflict, "extended"),
        (
            "extended for no reason of the law",
            lambda: extend(RECEIVED, BERLIN, at("2026-02-04"), "holiday"),
            Invalid,
            None,
        ),  # type: ignore[arg-type]
        (
            "the CCPA's 45 days are over",
            lambda: extend(SOLD, CALIFORNIA, at("2026-03-02T00:00", CALIFORNIA), COMPLEX),
            Conflict,
            "extension-late",
        ),
        (
            "an opt-out has no more time",
            lambda: extend(OPTED_OUT, CALIFORNIA, at("2026-01-16"), COMPLEX),
            Conflict,
            "extension-regime",
        ),
        (
            "paused while paused",
            lambda: pause(PAUSED, BERLIN, at("2026-02-04"), IDENTITY),
            Conflict,
            "paused",
        ),
        (
            "paused for another reason",
            lambda: pause(RECEIVED, BERLIN, at("2026-02-04"), "vacation"),
            Invalid,
            None,
        ),  # type: ignore[arg-type]
        (
            "paused when it was late",
            lambda: pause(RECEIVED, BERLIN, at("2026-03-01"), IDENTITY),
            Conflict,
            "over",
        ),
        (
            "§ 7021(b): regardless of verifying",
            lambda: pause(SOLD, CALIFORNIA, at("2026-01-16"), IDENTITY),
            Conflict,
            "pause-regime",
        ),
        ("resumed what runs", lambda: resume(RECEIVED, at("2026-02-04")), Conflict, "not-paused"),
        ("resumed before it was paused", lambda: resume(PAUSED, at("2026-02-02")), Invalid, None),
        (
            "received tomorrow",
            lambda: deadlines(RECEIVED, BERLIN, at("2026-01-30")),
            Invalid,
            "no later than now",
        ),
        (
            "paused tomorrow",
            lambda: deadlines(PAUSED, BERLIN, at("2026-02-01")),
            Invalid,
            "no later than now",
        ),
        (
            "extended tomorrow",
            lambda: deadlines(EXTENDED, BERLIN, at("2026-02-01")),
            Invalid,
            "no later than now",
        ),
        ("a regime of its own", lambda: Clock("pipeda", 0), Invalid, None),  # type: ignore[arg-type]
        ("extended without a reason", lambda: Clock(Regime.GDPR, 0, (), 1), Invalid, None),
        ("extended before it came", lambda: Clock(Regime.GDPR, 9, (), 1, COMPLEX), Invalid, None),
        ("paused before it came", lambda: Clock(Regime.GDPR, 9, (Pause(1, 2, IDENTITY),)), Invalid, None),
        (
            "an open pause, then another",
            lambda: Clock(Regime.GDPR, 0, (Pause(1, None, IDENTITY), Pause(2, 3, IDENTITY))),
            Invalid,
            None,
        ),
        (
            "pauses that overlap",
            lambda: Clock(Regime.GDPR, 0, (Pause(1, 5, IDENTITY), Pause(3, 7, IDENTITY))),
            Invalid,
            None,
        ),
        ("a pause under the CCPA", lambda: Clock(Regime.CCPA, 0, (Pause(1, 2, IDENTITY),)), Invalid, None),
        ("a zone that is none", lambda: Calendar("Europe/Atlantis"), Invalid, None),
        ("a zone that is a folder", lambda: Calendar("America"), Invalid, None),
        ("a zone out of the database", lambda: Calendar("../../etc/passwd"), Invalid, None),
        ("a country that is none", lambda: Calendar("UTC", "XX"), Invalid, None),
        ("a part that is none", lambda: Calendar("UTC", "DE-ZZ"), Invalid, None),
        ("no ISO code", lambda: Calendar("UTC", "Germany"), Invalid, None),
        ("nobody ever works", lambda: Calendar("UTC", weekend=frozenset(range(7))), Invalid, None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_is_refused(
    why: str, move: object, error: type[TenureError], rule: str | None
) -> None:
    with pytest.raises(error) as refused:
        move()  # type: ignore[operator]
    assert refused.value.field
    assert refused.value.rule
    assert refused.value.remedy
    assert rule in (None, refused.value.rule)


def test_a_refused_extension_was_allowed_an_instant_before() -> None:
    last = deadlines(RECEIVED, BERLIN, RECEIVED.received_at).extend_by
    assert last is not None
    assert deadlines(extend(RECEIVED, BERLIN, last, COMPLEX), BERLIN, last).extend_by is None
    with pytest.raises(Conflict):
        extend(RECEIVED, BERLIN, last + 1, COMPLEX)


# ── whatever the day ───────────────────────────────────────────────────────────────────────────────

calendars = st.builds(
    Calendar,
    st.sampled_from(("UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati", "Africa/Cairo")),
    st.sampled_from((None, "DE", "US-CA")),
    st.sampled_from(AtWeekend),
)
instants = st.integers(at("2020-01-01"), at("2040-01-01"))


@given(calendars, instants, st.sampled_from(Regime))
def test_there_are_at_least_28_days(calendar: Calendar, received: int, regime: Regime) -> None:
    found = deadlines(Clock(regime, received), calendar, received)
    least = 19 if regime is Regime.CCPA_OPT_OUT else 28
    assert found.days_left >= least
    assert found.due_at - received > (least * 24 - 1) * 3_600_000_000


@given(calendars, instants, st.integers(0, 400 * DAY), st.sampled_from(Regime))
def test_who_comes_later_is_due_no_earlier(calendar: Calendar, first: int, more: int, regime: Regime) -> None:
    def due(received: int) -> int:
        return deadlines(Clock(regime, received), calendar, received).due_at

    assert due(first) <= due(first + more)


@given(instants, st.integers(0, 27), st.integers(0, 400), st.sampled_from(("UTC", "Asia/Tokyo")))
def test_a_pause_of_n_days_moves_it_by_n(received: int, begun: int, length: int, zone: str) -> None:
    calendar = Calendar(zone)  # where every day has 24 hours: n days later is the same time of day
    clock = Clock(Regime.GDPR, received)
    before = deadlines(clock, calendar, received).due_at
    stopped = pause(clock, calendar, received + begun * DAY, IDENTITY)
    ended = received + (begun + length) * DAY
    after = deadlines(resume(stopped, ended), calendar, ended)
    assert after.due_at - before == length * DAY


@given(calendars, instants, st.integers(0, 27 * DAY), st.integers(0, 400 * DAY))
def test_what_was_left_is_left(calendar: Calendar, received: int, begun: int, length: int) -> None:
    assume(calendar.at_weekend is AtWeekend.KEEP)
    stopped = pause(Clock(Regime.GDPR, received), calendar, received + begun, IDENTITY)
    left = deadlines(stopped, calendar, received + begun).days_left
    going_on = resume(stopped, received + begun + length)
    assert deadlines(going_on, calendar, received + begun + length).days_left == left


@given(calendars, st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_day_ends_where_the_next_begins(calendar: Calendar, day: date) -> None:
    assert calendar.day(calendar.end(day)) == day
    assert calendar.day(calendar.end(day) + 1) == day + timedelta(days=1)
