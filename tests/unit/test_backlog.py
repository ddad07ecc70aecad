"""What waits of each log is counted without asking anybody, and too much of it refuses new operations."""

import pytest

from tenure.backlog import Backlog
from tenure.errors import Unavailable


def test_a_log_that_does_not_get_its_places_is_refused_until_it_does() -> None:
    backlog = Backlog(10)
    backlog.committed("a", 9)
    backlog.admit("a")
    backlog.committed("a", 1)
    with pytest.raises(Unavailable) as refused:
        backlog.admit("a")
    assert "10 committed ledger entries" in refused.value.detail
    assert "their place" in refused.value.detail
    assert "database" in (refused.value.remedy or "")
    backlog.admit("b")
    backlog.placed("a", 10, size=30, published=25)
    backlog.admit("a")


def test_a_log_that_is_not_published_is_refused_until_it_is() -> None:
    backlog = Backlog(10)
    backlog.placed("a", 0, size=110, published=100)
    with pytest.raises(Unavailable, match="publication"):
        backlog.admit("a")
    backlog.published("a", 101)
    backlog.admit("a")
    backlog.committed("a", 1)
    with pytest.raises(Unavailable):
        backlog.admit("a")


def test_what_was_committed_under_way_still_counts() -> None:
    backlog = Backlog(10)
    backlog.committed("a", 4)
    known = backlog.of("a").unplaced
    backlog.committed("a", 3)
    backlog.placed("a", known, size=4, published=4)
    assert backlog.of("a").unplaced == 3


def test_nothing_is_kept_of_a_log_in_which_nothing_waits() -> None:
    backlog = Backlog(10)
    for name in map(str, range(100)):
        backlog.committed(name, 2)
        backlog.placed(name, 2, size=7, published=5)
        backlog.published(name, 7)
    backlog.committed("gone", 2)
    backlog.forget("gone")
    assert len(backlog) == 0
