"""The clock of a stored rights request: between its columns and `model.deadlines`."""

import json

from tenure.model.configuration import Configuration
from tenure.model.deadlines import Clock, Deadlines, Pause, PauseReason, Regime, deadlines
from tenure.model.rightsrequest import Kind, RightsRequest
from tenure.model.workdays import AtWeekend, Calendar, knows


def regime_of(kind: Kind) -> Regime:
    """Whose law says how long."""
    if kind is Kind.OPT_OUT:
        return Regime.CCPA_OPT_OUT
    return Regime.CCPA if kind.is_ccpa else Regime.GDPR


def calendar_of(configuration: Configuration) -> Calendar:
    """The tenant's days, as its Controller manifest declares them.

    A region that was declared and is not known (any more) has no holidays: periods end no later for that, and
    the desk goes on.
    """
    rules = configuration.requests
    late = AtWeekend.KEEP if rules.weekends == "keep" else AtWeekend.NEXT_WORKING_DAY
    region = rules.holidays if rules.holidays is not None and knows(rules.holidays) else None
    return Calendar(timezone=rules.time_zone, region=region, at_weekend=late)


def clock_of(request: RightsRequest) -> Clock:
    """What happened to its clock."""
    kept = json.loads(request.clock)
    pauses = tuple(Pause(since, until, PauseReason(reason)) for since, until, reason in kept["pauses"])
    return Clock(
        regime_of(Kind(request.kind)),
        request.received_at,
        pauses,
        kept["extended_at"],
        kept["extension"],
    )


def text_of(clock: Clock) -> str:
    """The clock as its column holds it."""
    kept = {"pauses": clock.pauses, "extended_at": clock.extended_at, "extension": clock.extension}
    return json.dumps(kept)


def due_of(request: RightsRequest, calendar: Calendar, now: int) -> Deadlines:
    """Until when it is to be answered."""
    return deadlines(clock_of(request), calendar, now)
