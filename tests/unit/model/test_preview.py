"""What a change of retention would move and take away: now, and in some time."""

from tenure.model.layers import DAY_US, Amount, Layer, rules_of
from tenure.model.preview import Move, preview
from tenure.model.retention import RetentionSpec
from tenure.model.vocabulary import Tree

TREE = Tree.of({"personal": {"contact": {}, "travel": {}}})
TODAY = 20_000
NOW = TODAY * DAY_US
OLD, NEW = TODAY - 100, TODAY - 3


def rules(**named):
    specs = {
        name: RetentionSpec.model_validate({"scopes": ["support.*"], "categories": ["contact"], **said})
        for name, said in named.items()
    }
    return rules_of(specs, TREE)


def layer(day, *, scope="support.talks", labels="contact", expires=None):
    return Layer(scope, labels, "hot", day, expires, 2, 50)


LAYERS = [layer(OLD), layer(NEW), layer(OLD, labels="travel"), layer(OLD, scope="other.talks")]


def seen(before, after, layers=LAYERS, within=30):
    return preview(layers, before, after, now=NOW, within=within * DAY_US)


def test_a_shorter_end_takes_some_at_once_and_some_later():
    found = seen(rules(), rules(short={"deleteAfter": "30d"}))
    move = Move("support.talks", "contact", "short", "hot", "gone")
    assert found.moves == {move: {"now": Amount(2, 50), "within": Amount(4, 100)}}
    assert found.touched == Amount(4, 100), "other categories and scopes are not touched"
    assert found.proposed["now"]["gone"] == Amount(2, 50)
    assert found.current["within"]["hot"] == Amount(4, 100)


def test_nothing_is_said_to_go_before_the_day_of_writing_is_over():
    found = seen(rules(), rules(short={"deleteAfter": "3d"}), [layer(NEW)], within=1)
    [move] = found.moves.values()
    assert (move["now"], move["within"]) == (Amount(), Amount(2, 50))


def test_what_would_stay_longer_is_told_under_the_rule_that_took_it():
    found = seen(rules(short={"deleteAfter": "50d"}), rules(short={"hotFor": "1d", "deleteAfter": "500d"}))
    assert found.moves[Move("support.talks", "contact", "short", "gone", "cold")]["now"] == Amount(2, 50)
    assert found.moves[Move("support.talks", "contact", "short", "hot", "cold")]["now"] == Amount(2, 50)


def test_a_floor_keeps_what_a_shorter_end_would_take():
    law = {"law": {"floor": "1000d", "ground": "a law"}}
    found = seen(rules(**law), rules(**law, short={"deleteAfter": "1d"}))
    assert found.moves == {}
    assert found.touched == Amount(4, 100)


def test_what_its_own_term_takes_anyhow_is_no_difference():
    found = seen(rules(), rules(short={"deleteAfter": "30d"}), [layer(OLD, expires=TODAY - 5)])
    assert found.moves == {}


def test_other_clocks_are_unknown():
    found = seen(rules(), rules(left={"clock": "access", "deleteAfter": "1d"}))
    assert (found.moves, found.unknown) == ({}, Amount(4, 100))


def test_rules_that_do_not_change_touch_nothing():
    same = {"short": {"deleteAfter": "30d"}}
    assert seen(rules(**same), rules(**same)).touched == Amount()
