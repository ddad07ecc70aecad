"""When a job is due and when a claim is over, from the row alone."""

from typing import Any

import pytest

from tenure.jobs.due import Sightings, Spread, backoff_us, due_at, trouble
from tenure.jobs.job import GivenUp, Run, counted
from tenure.store.jobs import Row

S, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
AT = 1_800_000_000 * S


def row(**changes: Any) -> Row:
    """A daily job that went well an hour ago, read at AT."""
    fields: dict[str, Any] = {
        "name": "retention",
        "every_us": DAY,
        "runs": 7,
        "failures": 0,
        "holder": "abcdef01",
        "lease_until": 0,
        "started_at": AT - HOUR,
        "finished_at": AT - HOUR + 60 * S,
        "succeeded_at": AT - HOUR + 60 * S,
        "outcome": "ok",
        "error": None,
        "duration_us": 60 * S,
        "counts": "{}",
        "at": AT,
    }
    return Row(**{**fields, **changes})


UNFINISHED = {"finished_at": None, "outcome": None}


def test_what_never_ran_is_due() -> None:
    assert due_at(None, DAY) == 0
    assert due_at(row(started_at=None, finished_at=None, outcome=None, runs=0), DAY) == 0


def test_a_daily_job_is_due_a_day_after_its_last_start_however_long_it_took() -> None:
    assert due_at(row(), DAY) == AT - HOUR + DAY
    assert due_at(row(finished_at=AT - 1), DAY) == AT - HOUR + DAY


def test_after_a_month_it_is_due_once() -> None:
    long_ago = row(started_at=AT - 30 * DAY, finished_at=AT - 30 * DAY + S)
    assert due_at(long_ago, DAY) <= AT
    assert due_at(row(started_at=AT, finished_at=AT), DAY) == AT + DAY


def test_another_interval_counts_from_now_on() -> None:
    assert due_at(row(), HOUR) == AT
    assert due_at(row(), 2 * HOUR) == AT + HOUR


def test_what_was_stopped_goes_on_at_once() -> None:
    assert due_at(row(outcome="stopped"), DAY) <= AT
    assert due_at(row(outcome="stopped", failures=5), DAY) <= AT


def test_what_nobody_finished_goes_on_at_once_but_not_for_ever() -> None:
    left = row(started_at=AT - S, **UNFINISHED)
    assert due_at(left, DAY) <= AT
    again = left._replace(failures=1)
    assert due_at(again, DAY) == AT - S + 10 * S
    assert due_at(left._replace(failures=4), DAY) == AT - S + 80 * S


def test_after_failures_it_waits_twice_as_long_each_time_and_never_longer_than_a_quarter_of_an_hour() -> None:
    assert [backoff_us(n, DAY) // S for n in range(1, 9)] == [10, 20, 40, 80, 160, 320, 640, 900]
    assert [backoff_us(n, 2 * S) // S for n in (1, 2, 3)] == [2, 4, 8]
    assert backoff_us(10_000, DAY) == 900 * S
    failed = row(outcome="failed", failures=3)
    assert due_at(failed, DAY) == failed.finished_at + 40 * S  # type: ignore[operator]


@pytest.mark.parametrize(
    "state",
    [{}, {"outcome": "failed", "failures": 3}, {"outcome": "stopped"}, UNFINISHED],
    ids=["ok", "failed", "stopped", "left"],
)
def test_a_last_run_in_the_future_means_that_it_is_due_now(state: dict[str, Any]) -> None:
    moved = row(**{"started_at": AT + 300 * DAY, "finished_at": AT + 300 * DAY, **state})
    assert due_at(moved, DAY) <= AT


# ── claims ────────────────────────────────────────────────────────────────────────────────────────
def test_a_claim_is_over_when_its_lease_is() -> None:
    sightings = Sightings()
    assert not sightings.is_over(row(lease_until=AT + S, **UNFINISHED), 10, 0.0)
    assert sightings.is_over(row(lease_until=AT, **UNFINISHED), 10, 0.0)
    assert sightings.is_over(row(), 10, 0.0)


def test_a_claim_from_before_the_clock_was_set_back_is_over_after_a_lease_without_renewal() -> None:
    sightings = Sightings()
    far = row(lease_until=AT + DAY, **UNFINISHED)
    assert not sightings.is_over(far, 10, 100.0)
    assert not sightings.is_over(far, 10, 109.9)
    assert sightings.is_over(far, 10, 110.1)


def test_a_holder_that_renews_is_alive_whatever_the_clock_says() -> None:
    sightings = Sightings()
    for second in range(60):
        far = row(lease_until=AT + DAY + second * S, **UNFINISHED)
        assert not sightings.is_over(far, 10, float(second))
    assert not sightings.is_over(far._replace(runs=8), 10, 75.0), "another run has begun since"


def test_processes_come_apart_and_what_was_broken_off_waits_for_nobody() -> None:
    late = {Spread().us(row(), DAY) for _ in range(50)}
    assert len(late) > 10
    assert all(0 <= one <= 60 * S for one in late)
    assert all(Spread().us(row(), 10 * S) <= S for _ in range(50))
    mine = Spread()
    assert mine.us(row(), DAY) == mine.us(row(), DAY), "drawn once for a run"
    assert {mine.us(row(finished_at=AT - n), DAY) for n in range(20)} != {mine.us(row(), DAY)}
    for broken in (None, row(outcome="stopped"), row(**UNFINISHED), row(finished_at=AT + 1)):
        assert mine.us(broken, DAY) == 0
    failed = row(outcome="failed", failures=1)
    assert all(Spread().us(failed, DAY) <= S for _ in range(50)), "of the wait, not of the interval"


# ── what an operator is told ──────────────────────────────────────────────────────────────────────
def test_three_failures_in_a_row_are_trouble() -> None:
    assert trouble(row(outcome="failed", failures=2)) is None
    assert trouble(row(outcome="failed", failures=3)) == "failing"


def test_three_intervals_too_late_are_trouble() -> None:
    assert trouble(row(started_at=AT - 4 * DAY)) is None
    assert trouble(row(started_at=AT - 4 * DAY - 1)) == "overdue"
    running = row(started_at=AT - 5 * DAY, lease_until=AT + S, **UNFINISHED)
    assert trouble(running) is None, "it takes long, and it is at it"
    # Jobs of seconds are on record once a minute.
    assert trouble(row(every_us=S, started_at=AT - 100 * S)) is None
    assert trouble(row(every_us=S, started_at=AT - 182 * S)) == "overdue"


# ── runs and counts ───────────────────────────────────────────────────────────────────────────────
def test_a_run_that_may_not_go_on_ends_at_its_next_check() -> None:
    lasts = [True]
    run = Run("retention", 3, lasts=lambda: lasts[0])
    run.check()
    lasts[0] = False
    with pytest.raises(GivenUp):
        run.check()


def test_counts_are_names_of_ours_and_numbers() -> None:
    assert counted(None) == {}
    assert counted({"packed-versions": 3}) == {"packed-versions": 3}
    for bad in ({"customer:42": 1}, {"Ada": 1}, {"packed": "42"}, {"packed": 1.5}, {"packed": True}):
        with pytest.raises(ValueError, match="counts") as told:
            counted(bad)  # type: ignore[arg-type]
        assert "42" not in str(told.value)
