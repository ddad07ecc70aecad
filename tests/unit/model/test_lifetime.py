"""How long a version is kept, and where: the earliest ceiling, the latest floor, holds above both."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.model.lifetime import EXPIRES_AT, HOUR_US, Clocks, Due, applying, lifetime, together
from tenure.model.lifetime_words import words
from tenure.model.retention import RetentionSpec
from tenure.model.vocabulary import Tree

DAY = 24 * HOUR_US
TREE = Tree.of({"personal": {"contact": {}, "travel": {}}, "special": {"health": {}}})


def rule(**said):
    return RetentionSpec.model_validate({"scopes": ["support.**"], "categories": ["contact"], **said})


def of(clocks=None, holds=(), **rules):
    return lifetime(rules, clocks or Clocks(0), holds)


def test_stages_follow_one_another_from_the_write():
    found = of(Clocks(DAY), notes=rule(hotFor="10d", coldFor="20d", archiveFor="30d", deleteAfter="90d"))
    assert (found.cold, found.archive, found.gone) == (
        Due(11 * DAY, "notes"),
        Due(31 * DAY, "notes"),
        Due(91 * DAY, "notes"),
    )
    ends = [0, 11 * DAY - 1, 11 * DAY, 31 * DAY - 1, 31 * DAY, 91 * DAY - 1, 91 * DAY]
    assert [found.tier(at) for at in ends] == ["hot", "hot", "cold", "cold", "archive", "archive", "gone"]


def test_what_no_rule_is_about_stays():
    found = of()
    assert (found.cold, found.archive, found.gone, found.tier(10**18)) == (None, None, None, "hot")


def test_the_earliest_ceiling_counts_and_names_its_rule():
    found = of(
        long=rule(deleteAfter="90d"), short=rule(deleteAfter="30d", hotFor="7d"), tiers=rule(hotFor="9d")
    )
    assert found.gone == found.ceiling == Due(30 * DAY, "short")
    assert found.cold == Due(7 * DAY, "short")
    own = of(Clocks(0, expires_at=5 * DAY), short=rule(deleteAfter="30d"))
    assert own.gone == Due(5 * DAY, EXPIRES_AT)


def test_a_floor_outweighs_every_ceiling_and_the_longest_one_counts():
    law, tax = rule(floor="60d", ground="x"), rule(floor="80d", ground="y")
    found = of(Clocks(0, expires_at=DAY), short=rule(deleteAfter="30d"), law=law, tax=tax)
    assert found.gone == found.floor == Due(80 * DAY, "tax")
    assert found.ceiling == Due(DAY, EXPIRES_AT)
    assert of(law=law).gone is None, "a floor alone takes nothing away"
    assert of(law=law, long=rule(deleteAfter="90d")).gone == Due(90 * DAY, "long")


def test_a_hold_outweighs_all():
    found = of(Clocks(0), ["hold-1"], short=rule(deleteAfter="30d", hotFor="1d"))
    assert (found.gone, found.holds, found.ceiling) == (None, ("hold-1",), Due(30 * DAY, "short"))
    assert found.cold == Due(DAY, "short"), "it may lie elsewhere meanwhile"


def test_an_event_starts_the_clock_and_nothing_else_does():
    left = rule(clock="event", event="customer-left", deleteAfter="30d", hotFor="1d")
    waiting = of(Clocks(5), left=left)
    assert (waiting.cold, waiting.gone, waiting.courses[0].began) == (None, None, None)
    assert of(Clocks(5, events={"another": 7}), left=left).gone is None
    assert of(Clocks(5, events={"customer-left": 7}), left=left).gone == Due(7 + 30 * DAY, "left")


def test_a_floor_whose_event_is_awaited_has_no_end():
    law = rule(clock="event", event="contract-ended", floor="1d", ground="x")
    found = of(Clocks(0, expires_at=1), law=law, short=rule(deleteAfter="1d"))
    assert (found.gone, found.open) == (None, ("law",))
    ended = of(Clocks(0, events={"contract-ended": 3 * DAY}), law=law, short=rule(deleteAfter="1d"))
    assert (ended.gone, ended.open) == (Due(4 * DAY, "law"), ())


def test_the_last_access_starts_the_clock_anew():
    used = rule(clock="access", deleteAfter="30d")
    assert of(Clocks(0), used=used).gone is None, "an access that nobody kept may have been a moment ago"
    assert of(Clocks(0, accessed=20 * DAY), used=used).gone == Due(50 * DAY, "used")
    assert of(Clocks(9, accessed=3), used=used).gone == Due(9 + 30 * DAY, "used"), "never before the write"


def test_what_is_written_after_its_event_counts_from_its_writing():
    left = rule(clock="event", event="customer.churned", deleteAfter="30d")
    found = of(Clocks(9 * DAY, events={"customer.churned": 2 * DAY}), left=left)
    assert found.gone == Due(39 * DAY, "left")
    assert "30d from the write, after event customer.churned, at 1970-01-10" in words(found, 0)[0]
    before = of(Clocks(0, events={"customer.churned": 2 * DAY}), left=left)
    assert "30d from event customer.churned at 1970-01-03" in words(before, 0)[0]
    used = of(Clocks(0, accessed=2 * DAY), used=rule(clock="access", deleteAfter="30d"))
    assert "30d from the last access, 1970-01-03T00:00:00.000000Z at the latest" in words(used, 0)[0]
    assert [one.courses[0].counted_from for one in (found, before, used, of(Clocks(0), left=left))] == [
        *("write", "event", "access", None)
    ]


events = st.dictionaries(st.sampled_from("abc"), st.integers(0, 10**9))


@given(st.lists(events, max_size=4), st.integers(0, 10**9))
def test_what_several_share_waits_for_the_last_of_them(people, written):
    """And for ever, if one of them was never told of; of nobody nothing happens."""
    left = rule(clock="event", event="a", deleteAfter="1h")
    alone = [of(Clocks(written, events=together([one])), left=left).gone for one in people]
    found = of(Clocks(written, events=together(people)), left=left).gone
    if not people or None in alone:
        assert found is None
    else:
        assert found == max(alone)


@pytest.mark.parametrize(
    ("scope", "categories", "names"),
    [
        ("support.chat", ["contact"], ["all", "contact", "personal"]),
        ("support.chat", ["travel", "health"], ["all", "personal"]),
        ("support.chat", ["health"], ["all"]),
        ("billing", ["contact"], []),
    ],
)
def test_a_rule_applies_to_its_scopes_and_to_what_is_below_its_categories(scope, categories, names):
    rules = {
        "all": rule(categories="*", hotFor="1d"),
        "contact": rule(categories=["contact"], hotFor="1d"),
        "personal": rule(categories=["personal"], hotFor="1d"),
        "elsewhere": rule(scopes=["claims"], categories="*", hotFor="1d"),
    }
    assert list(applying(rules, TREE, scope, categories)) == names


hours = st.none() | st.integers(1, 2000)


@st.composite
def rules(draw):
    clock = draw(st.sampled_from(["write", "access", "event"]))
    stages = {name: draw(hours) for name in ("hotFor", "coldFor", "archiveFor")}
    said = {name: f"{value}h" for name, value in stages.items() if value}
    floor = draw(hours)
    least = max(sum(value or 0 for value in stages.values()), floor or 0)
    if draw(st.booleans()):
        said["deleteAfter"] = f"{least + draw(st.integers(1, 500))}h"
    if floor:
        said |= {"floor": f"{floor}h", "ground": "x"}
    said.setdefault("hotFor", "1h") if not said else None
    event = {"event": draw(st.sampled_from(["a", "b"]))} if clock == "event" else {}
    return rule(clock=clock, **event, **said)


clocks = st.builds(
    Clocks,
    written=st.integers(0, 10**6),
    accessed=st.none() | st.integers(0, 10**9),
    events=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 10**9)),
    expires_at=st.none() | st.integers(0, 10**12),
)


@given(
    st.dictionaries(st.sampled_from("uvwxyz"), rules(), max_size=4),
    clocks,
    st.lists(st.just("h"), max_size=1),
)
def test_it_never_goes_before_what_forbids_it_nor_stays_beyond_what_ends_it(given_rules, ticks, holds):
    found = lifetime(given_rules, ticks, holds)
    began = {
        name: (None if one.event not in ticks.events else max(ticks.written, ticks.events[one.event]))
        if one.event
        else (None if ticks.accessed is None else max(ticks.written, ticks.accessed))
        if one.clock == "access"
        else ticks.written
        for name, one in given_rules.items()
    }
    ends = [
        began[n] + one.delete_after * HOUR_US
        for n, one in given_rules.items()
        if one.delete_after and began[n] is not None
    ]
    ends += [] if ticks.expires_at is None else [ticks.expires_at]
    floors = [
        None if began[n] is None else began[n] + one.floor * HOUR_US
        for n, one in given_rules.items()
        if one.floor
    ]
    if holds or None in floors or not ends:
        assert found.gone is None
    else:
        assert found.gone.at == max([min(ends), *floors])
    assert found.gone is None or found.tier(found.gone.at) == "gone"
    if found.cold and found.archive:
        assert found.cold.at <= found.archive.at
