"""An elevation's state at an instant: what the clock does is never stored, and no step outlives its time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.model.breakglass import HOUR_US, MINUTE_US, REQUEST_US, Elevation, State

ASKED = Elevation("e", "p", "rescuer", 5, "requested", 1000, 7, b"h", b"r")
APPROVED = ASKED.approved("q", 24, 2000)


def test_a_request_lapses() -> None:
    assert ASKED.at(1000 + REQUEST_US - 1) is State.REQUESTED
    assert ASKED.at(1000 + REQUEST_US) is State.LAPSED
    assert not ASKED.overdue(1 << 60)


def test_its_box_is_half_open_from_the_approval() -> None:
    assert APPROVED.ends_at == 2000 + 5 * MINUTE_US
    assert APPROVED.at(APPROVED.ends_at - 1) is State.ACTIVE
    assert APPROVED.at(APPROVED.ends_at) is State.ENDED


def test_without_an_end_it_is_over() -> None:
    """A row that somebody emptied opens nothing."""
    assert APPROVED._replace(ends_at=None).at(0) is State.ENDED


def test_the_review_is_due_after_the_end() -> None:
    due = 2000 + 5 * MINUTE_US + 24 * HOUR_US
    assert not APPROVED.overdue(due - 1)
    assert APPROVED.overdue(due)
    early = APPROVED.ended("p", 3000)
    assert (early.at(3000), early.review_due) == (State.ENDED, 3000 + 24 * HOUR_US)
    assert early.overdue(3000 + 24 * HOUR_US)
    assert not early.reviewed("q", "justified", 4000).overdue(due)
    assert not ASKED.refused("q", 2000).overdue(due)


@pytest.mark.parametrize("state", ["refused", "ended", "reviewed"])
@given(now=st.integers(0, 1 << 60))
def test_what_is_decided_stays_so(state: str, now: int) -> None:
    assert APPROVED._replace(state=state).at(now).value == state


@given(
    minutes=st.integers(1, 1440), hours=st.integers(1, 720), start=st.integers(0, 1 << 50), at=st.integers()
)
def test_nothing_is_active_outside_its_box(minutes: int, hours: int, start: int, at: int) -> None:
    one = ASKED._replace(minutes=minutes).approved("q", hours, start)
    assert (one.at(at) is State.ACTIVE) == (at < start + minutes * MINUTE_US)
    assert one.overdue(at) == (at >= start + minutes * MINUTE_US + hours * HOUR_US)
