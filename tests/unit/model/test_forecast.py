"""What will be stored: it grows by what is written, moves by the rules, and goes when they say."""

from hypothesis import given
from hypothesis import strategies as st

from tenure.model.forecast import forecast, rates, unforeseen
from tenure.model.layers import Amount, Layer, rules_of
from tenure.model.retention import RetentionSpec
from tenure.model.vocabulary import Tree

TREE = Tree.of({"personal": {"contact": {}, "travel": {}}})
TODAY = 20_000
DAYS = 60
SIZES = st.integers(0, 10**12)
BEFORE = st.integers(1, 40)


def rules(**named):
    specs = {
        name: RetentionSpec.model_validate({"scopes": ["**"], "categories": "*", **said})
        for name, said in named.items()
    }
    return rules_of(specs, TREE)


def layer(size, *, day=TODAY - 1, expires=None, labels="contact", tier="hot"):
    return Layer("support.talks", labels, tier, day, expires, 1, size)


def steady(size, days=30, **more):
    """The same written on each of so many days before today."""
    return [layer(size, day=TODAY - n, **more) for n in range(1, days + 1)]


def ahead(layers, by, *, seen=None, days=DAYS):
    return forecast(layers, rates(layers, seen or by, TODAY), by, TODAY, days)


@given(SIZES, st.integers(1, 30))
def test_without_rules_it_grows_by_what_is_written(size, days):
    points = ahead(steady(size, days), rules())
    assert [one.bytes for one in points] == [size * (days + n) for n in range(DAYS + 1)]
    assert all(one.hot == one.bytes for one in points)


@given(SIZES, st.integers(1, 40))
def test_deleted_after_some_days_it_stays_flat_from_then_on(size, after):
    points = ahead(steady(size), rules(short={"deleteAfter": f"{after}d"}), seen=rules())
    assert {one.bytes for one in points[after:] if one.day > TODAY} == {size * after}
    assert all(one.bytes <= size * (30 + DAYS) for one in points)


@given(st.lists(st.tuples(BEFORE, SIZES), max_size=12), st.integers(1, 40), st.integers(1, 40))
def test_a_move_changes_the_tier_and_not_the_sum(written, hot, cold):
    layers = [layer(size, day=TODAY - before) for before, size in written]
    kept = ahead(layers, rules())
    moved = ahead(layers, rules(tiers={"hotFor": f"{hot}d", "coldFor": f"{cold}d", "archiveFor": "1d"}))
    for one, other in zip(kept[1:], moved[1:], strict=True):
        assert abs(one.bytes - other.bytes) <= 2  # each tier is rounded by itself
        age_over = sum(size for before, size in written if before + one.day - TODAY >= hot + cold)
        assert other.archive >= age_over
        assert other.hot <= one.hot


@given(st.integers(1, 30), st.integers(1, 30), SIZES)
def test_a_floor_delays_the_end(after, more, size):
    ends = {"ends": {"deleteAfter": f"{after}d"}}
    law = {"law": {"floor": f"{after + more}d", "ground": "a law"}}
    both = ahead(steady(size), rules(**ends, **law), seen=rules())
    until_then = ahead(steady(size), rules(ends={"deleteAfter": f"{after + more}d"}), seen=rules())
    assert both == until_then


def test_its_own_term_ends_a_version_too():
    points = ahead([layer(10, expires=TODAY + 4)], rules())
    # Every day one more that lives for five days; the first one, a day old, goes in four.
    assert [one.bytes for one in points[:8]] == [10, 20, 30, 40, 40, 50, 50, 50]


def test_a_rate_is_taken_over_days_that_can_still_be_seen():
    """A rule has taken the rest: four whole days are left of thirty, and today does not count."""
    by = rules(short={"deleteAfter": "5d", "categories": ["contact"]})
    old = layer(1, day=TODAY - 30, labels="travel")
    [rate] = rates([*steady(10, 4), layer(3, day=TODAY), old], by, TODAY)
    assert (rate.amount, rate.days) == (Amount(4, 40), 4)
    [rate] = rates(steady(10, 30), rules(), TODAY)
    assert (rate.amount.bytes, rate.days) == (280, 28)
    [rate] = rates([layer(10, day=TODAY)], rules(), TODAY)
    assert (rate.amount.bytes, rate.days) == (10, 1), "of a tenant that began today, today is a day"
    assert rates([*steady(10, 2, labels="travel"), layer(9, day=TODAY)], rules(), TODAY)[0].labels == "travel"


def test_what_lies_where_it_should_not_is_put_right_from_tomorrow():
    points = ahead([layer(7, day=TODAY - 50)], rules(tiers={"hotFor": "10d"}))
    assert (points[0].hot, points[0].cold, points[1].hot, points[1].cold) == (7, 0, 0, 7)


def test_clocks_that_begin_with_an_event_are_said_to_be_unknown():
    by = rules(left={"clock": "event", "event": "left", "deleteAfter": "1d"})
    layers = steady(10, 3)
    assert unforeseen(layers, by) == Amount(3, 30)
    assert unforeseen(layers, rules()) == Amount()
    assert ahead(layers, by)[5].bytes == 80
