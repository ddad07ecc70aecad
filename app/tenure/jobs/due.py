"""When a job is due, and when a claim is over. Pure: rows and clocks in, answers out.

All from the row, so that a restart does not run a daily job again, and a month off the air runs it once.
"""

import random
from typing import Literal

from tenure.store.jobs import FAILED, STOPPED, Row

_SECOND = 1_000_000
_FIRST_US, _MOST_US = 10 * _SECOND, 900 * _SECOND
_SPREAD, _SPREAD_MOST_US = 0.1, 60 * _SECOND
_COARSE_US = 60 * _SECOND
"""Jobs of seconds are reported once a minute (`reports`)."""
MANY = 3
"""So many failures in a row, or intervals too late, are told to the operator."""


def backoff_us(failures: int, every_us: int) -> int:
    """How long to wait after so many failures: 10 s (or the interval), then twice as long, to 15 minutes."""
    return min(min(every_us, _FIRST_US) << min(failures - 1, 16), _MOST_US)


def due_at(row: Row | None, every_us: int) -> int:
    """When the next run is due, by the database's clock; 0 when the job never ran.

    From the start of the last one, so that its length shifts nothing. What was stopped goes on at once; so
    does what nobody finished, once: a job that takes its process down with it must not do so for ever. A last
    run in the future means that the clock was set back: it is due now.
    """
    if row is None or row.started_at is None:
        return 0
    if row.finished_at is None:
        last, wait = row.started_at, backoff_us(row.failures, every_us) if row.failures else 0
    elif row.outcome == STOPPED:
        last, wait = row.finished_at, 0
    elif row.outcome == FAILED:
        last, wait = row.finished_at, backoff_us(row.failures, every_us)
    else:
        last, wait = row.started_at, every_us
    return row.at if last > row.at else last + wait


def is_running(row: Row) -> bool:
    """Whether a process has a claim that has not run out by the database's clock."""
    return row.lease_until > row.at


def trouble(row: Row) -> Literal["failing", "overdue"] | None:
    """What an operator should hear of a job in a cell that is served."""
    if row.failures >= MANY:
        return "failing"
    late_us = row.at - due_at(row, row.every_us)
    if not is_running(row) and late_us > MANY * max(row.every_us, _COARSE_US):
        return "overdue"
    return None


class Sightings:
    """Claims that reach further than any renewal does: the database's clock was set back since.

    By that clock they would last for as long as it was set back. They are over when they were seen unchanged
    for a whole lease by this process's own clock: a holder that lives renews five times in one.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, float]] = {}

    def is_over(self, row: Row, lease_s: float, monotonic: float) -> bool:
        """Whether nobody has a claim on this job. `monotonic`: this process's clock, in seconds."""
        if row.lease_until <= row.at + lease_s * _SECOND:
            self._seen.pop(row.name, None)
            return not is_running(row)
        known = self._seen.get(row.name)
        if known is None or known[:2] != (row.runs, row.lease_until):
            self._seen[row.name] = (row.runs, row.lease_until, monotonic)
            return False
        return monotonic - known[2] > lease_s


class Spread:
    """By how much this process comes later than a job is due, so that not all ask at once; drawn once a run.

    What was broken off waits for nobody, nor does what is due because the clock was set back.
    """

    def __init__(self) -> None:
        self._drawn: dict[str, tuple[int | None, int]] = {}

    def us(self, row: Row | None, every_us: int) -> int:
        """Microseconds: up to a tenth of the wait, a minute at most."""
        if row is None or row.finished_at is None or row.outcome == STOPPED or row.finished_at > row.at:
            return 0
        known = self._drawn.get(row.name)
        if known is None or known[0] != row.finished_at:
            wait_us = backoff_us(row.failures, every_us) if row.outcome == FAILED else every_us
            late = random.uniform(0, min(wait_us * _SPREAD, _SPREAD_MOST_US))  # noqa: S311 - no secret
            known = self._drawn[row.name] = (row.finished_at, int(late))
        return known[1]
