"""What goes together: no version is kept much longer than its own rule says, and none goes before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.model.cohorts import Anchor, Grouping, anchor, cohort_gone
from tenure.model.lifetime import HOUR_US, Clocks, lifetime
from tenure.model.retention import RetentionSpec

DAY = 24 * HOUR_US
NOW = 1_800_000_000_000_000


def rule(**spec: object) -> RetentionSpec:
    return RetentionSpec.model_validate({"scopes": ["a"], "categories": ["c"], **spec})


def anchored(group: Grouping, written: int = NOW, expires_at: int | None = None, *people: str) -> Anchor:
    return anchor(group, "a", "c", written=written, expires_at=expires_at, people=people, record="r")


instants = st.integers(NOW, NOW + 4000 * DAY)


@given(
    hours=st.integers(1, 30_000),
    floor=st.integers(0, 400),
    written=instants,
    own=st.none() | st.integers(1, 900),
)
def test_nothing_goes_before_its_time_nor_long_after(
    hours: int, floor: int, written: int, own: int | None
) -> None:
    spec = rule(deleteAfter=f"{hours + floor}h", **({"floor": f"{floor}h", "ground": "law"} if floor else {}))
    expires_at = None if own is None else written + own * HOUR_US
    group = Grouping.of({"r": spec})
    cohort = anchored(group, written, expires_at)
    assert cohort.covers("a", "c", written, expires_at)
    mine = lifetime({"r": spec}, Clocks(written, expires_at=expires_at)).gone
    whole = cohort_gone({"r": spec}, cohort)
    assert mine is not None
    assert whole is not None
    assert whole.at >= mine.at, "not before its own time"
    allowed = max(HOUR_US, group.period)
    late = whole.at - mine.at
    assert late <= allowed if own is None else late <= max(allowed, 30 * DAY)
    length = mine.at - written
    assert group.period <= max(HOUR_US, (hours + floor) * HOUR_US // 8), (
        "a part of the time, but for the shortest"
    )
    assert length > 0


@pytest.mark.parametrize(
    ("rules", "owner", "people", "whose"),
    [
        ({}, "nobody", ("s",), None),
        ({"r": {"deleteAfter": "9d"}}, "nobody", ("s",), None),
        ({"r": {"clock": "event", "event": "left", "deleteAfter": "9d"}}, "subject", ("s",), "s"),
        ({"r": {"clock": "event", "event": "left", "deleteAfter": "9d"}}, "subject", ("s", "t"), "r"),
        ({"r": {"clock": "access", "deleteAfter": "9d"}}, "record", ("s",), "r"),
    ],
)
def test_what_counts_for_itself_goes_by_itself(
    rules: dict[str, dict[str, object]], owner: str, people: tuple[str, ...], whose: str | None
) -> None:
    group = Grouping.of({name: rule(**spec) for name, spec in rules.items()})
    assert group.owner == owner
    assert anchored(group, NOW, None, *people).owner == whose


@given(written=instants, expires=st.none() | instants, owner=st.none() | st.text(max_size=9))
def test_a_name_is_read_back(written: int, expires: int | None, owner: str | None) -> None:
    made = Anchor("a.b", "c,d", written, written + HOUR_US, expires, owner)
    assert Anchor.parse(made.name) == made
    assert made.covers("a.b", "c,d", written, expires)
    assert not made.covers("a.b", "c,d", written + HOUR_US, expires)
    assert not made.covers("a.b", "c", written, expires)
    assert not made.covers("a.c", "c,d", written, expires)
    assert not made.covers("a.b", "c,d", written, None if expires is not None else NOW)


def test_one_leaf_serves_a_whole_period() -> None:
    group = Grouping.of({"r": rule(deleteAfter="30d")})
    names = {anchored(group, NOW - NOW % DAY + hour * HOUR_US).name for hour in range(24)}
    assert len(names) == 1
    assert anchored(group, NOW - NOW % DAY + DAY).name not in names


@pytest.mark.parametrize("name", ["", "[]", "{}", "7", '["a"]'])
def test_no_other_text_is_a_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Anchor.parse(name)
