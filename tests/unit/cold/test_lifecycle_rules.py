"""A bucket's rules: others' survive whatever we do, ours become what they should be, drift is seen."""

import copy
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.cold.classes import RetentionClass
from tenure.cold.lifecycle import (
    MAX_RULES,
    Configuration,
    Place,
    changes,
    drifted,
    merge,
    normal,
    reaching,
    rules_for,
    words,
)
from tenure.cold.storage import StorageClasses
from tenure.errors import Invalid

HERE, BESIDE = Place("cell/objects/"), Place("other/objects/")
STORAGE = StorageClasses("STANDARD_IA", "GLACIER")

DAYS = st.integers(1, 3650)
CLASSES = st.frozensets(
    st.builds(
        lambda a, x: RetentionClass.of_hours(a and a * 24, x and x * 24), st.none() | DAYS, st.none() | DAYS
    ),
    max_size=8,
)
TAGS = st.lists(
    st.fixed_dictionaries({"Key": st.sampled_from("abc"), "Value": st.text(max_size=3)}),
    min_size=1,
    max_size=3,
)
PREFIX = st.sampled_from(["", "logs/", "cell/", "cell/objects/packs/", "x"])
FILTERS = st.one_of(
    st.builds(lambda one: {"Filter": {"Prefix": one}}, PREFIX),
    st.builds(lambda one: {"Prefix": one}, PREFIX),
    st.builds(lambda one: {"Filter": {"Tag": one[0]}}, TAGS),
    st.builds(lambda one, tags: {"Filter": {"And": {"Prefix": one, "Tags": tags}}}, PREFIX, TAGS),
    st.builds(lambda one: {"Filter": {"ObjectSizeGreaterThan": one}}, st.integers(0, 9)),
)
ACTS = st.fixed_dictionaries(
    {},
    optional={
        "Expiration": st.builds(lambda days: {"Days": days}, DAYS)
        | st.just({"Date": datetime(2031, 1, 1, tzinfo=UTC)}),
        "Transitions": st.lists(st.builds(lambda days: {"Days": days, "StorageClass": "GLACIER"}, DAYS)),
        "NoncurrentVersionExpiration": st.builds(lambda days: {"NoncurrentDays": days}, DAYS),
        "AbortIncompleteMultipartUpload": st.builds(lambda days: {"DaysAfterInitiation": days}, DAYS),
    },
)
IDS = st.sampled_from(
    ["", "archive", "tenure-logs", "tenure-0badc0de-a90", f"{BESIDE.stem}leftovers", "tenure-"]
)
FOREIGN = st.lists(
    st.builds(
        lambda name, state, where, acts: {**({"ID": name} if name else {}), "Status": state, **where, **acts},
        IDS,
        st.sampled_from(["Enabled", "Disabled"]),
        FILTERS,
        ACTS,
    ),
    max_size=6,
)


def foreign_of(have, place=HERE):
    return [rule for rule in have.rules if not place.owns(rule)]


def as_served(have: Configuration, seed: int) -> Configuration:
    """What servers may make of what was put; Ceph RGW gives bare conditions, and rules by their ids."""
    chance = random.Random(seed)
    rules = []
    for rule in copy.deepcopy(list(have.rules)):
        where = rule.get("Filter", {})
        if "And" in where and chance.random() < 0.5:  # bare conditions, as RGW gives them
            rule["Filter"] = {"Prefix": where["And"]["Prefix"], "Tag": where["And"]["Tags"][0]}
        elif list(where) == ["Prefix"] and chance.random() < 0.5:
            rule["Prefix"] = rule.pop("Filter")["Prefix"]
        elif list(where) == ["Prefix"] and chance.random() < 0.5:
            rule["Filter"] = {"And": {"Prefix": where["Prefix"], "Tags": []}}
        if "Days" in rule.get("Expiration", {}) and chance.random() < 0.5:
            rule["Expiration"]["ExpiredObjectDeleteMarker"] = False
        if chance.random() < 0.5:
            rule.setdefault("Transitions", [])
            rule.setdefault("NoncurrentVersionTransitions", [])
        chance.shuffle(rule.get("Transitions", []))
        rules.append(rule)
    chance.shuffle(rules)
    return Configuration(tuple(rules), have.minimum)


@given(FOREIGN, CLASSES, CLASSES)
def test_merging_twice_is_merging_once(foreign, before, now):
    wanted = rules_for(HERE, now, STORAGE)
    old = merge(Configuration(tuple(foreign)), HERE, rules_for(HERE, before, STORAGE))
    once = merge(old, HERE, wanted)
    assert merge(once, HERE, wanted) == once
    assert not drifted(once, HERE, wanted)
    assert {str(rule["ID"]) for rule in once.rules if HERE.owns(rule)} == {rule["ID"] for rule in wanted}


@given(FOREIGN, st.lists(st.tuples(CLASSES, st.sampled_from([HERE, BESIDE])), max_size=5))
def test_others_rules_survive_any_sequence_as_they_are_and_in_order(foreign, sequence):
    kept = copy.deepcopy(foreign)
    theirs = [rule for rule in kept if not BESIDE.owns(rule)]
    have = Configuration(tuple(foreign), "varies_by_storage_class")
    for classes, place in sequence:
        have = merge(have, place, rules_for(place, classes, STORAGE))
    assert [rule for rule in have.rules if not HERE.owns(rule) and not BESIDE.owns(rule)] == theirs
    assert have.minimum == "varies_by_storage_class"


@given(CLASSES, CLASSES, FOREIGN)
def test_two_cells_in_one_bucket_leave_each_other_alone(mine, theirs, foreign):
    theirs_wanted = rules_for(BESIDE, theirs, STORAGE)
    have = merge(Configuration(tuple(foreign)), BESIDE, theirs_wanted)
    after = merge(have, HERE, rules_for(HERE, mine, STORAGE))
    assert not drifted(after, BESIDE, theirs_wanted)
    assert foreign_of(after) == list(have.rules)


@given(FOREIGN, CLASSES, st.integers())
def test_what_a_server_makes_of_the_rules_is_no_drift(foreign, classes, seed):
    wanted = rules_for(HERE, classes, STORAGE)
    served = as_served(merge(Configuration(tuple(foreign)), HERE, wanted), seed)
    assert not drifted(served, HERE, wanted)
    again = merge(served, HERE, wanted)
    assert again == served, "and nothing of it is put in other words"


TAMPERED = [
    lambda rule: rule.update(Status="Disabled"),
    lambda rule: rule["Expiration"].update(Days=1),
    lambda rule: rule.pop("Expiration"),
    lambda rule: rule["Transitions"].pop(),
    lambda rule: rule["Transitions"][0].update(StorageClass="DEEP_ARCHIVE"),
    lambda rule: rule["Filter"]["And"].update(Prefix=""),
    lambda rule: rule["Filter"]["And"]["Tags"][0].update(Value="keep"),
    lambda rule: rule["Filter"]["And"].update(Tags=[]),
    lambda rule: rule["Filter"]["And"].update(ObjectSizeGreaterThan=1),
    lambda rule: rule.update(NoncurrentVersionExpiration={"NoncurrentDays": 1}),
    lambda rule: rule.update(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0}),
]


@pytest.mark.parametrize("tamper", TAMPERED)
def test_every_change_to_a_rule_of_ours_is_drift_and_is_mended(tamper):
    wanted = rules_for(HERE, [RetentionClass(90, 365)], STORAGE)
    rules = copy.deepcopy(list(wanted))
    tamper(rules[0])
    have = Configuration(tuple(rules))
    assert drifted(have, HERE, wanted)
    assert [one.change for one in changes(have, HERE, wanted)] == ["changed", "unchanged"]
    assert merge(have, HERE, wanted).rules == wanted


def test_missing_and_left_over_rules_are_drift():
    wanted = rules_for(HERE, [RetentionClass(90, 365)], STORAGE)
    old = rules_for(HERE, [RetentionClass(None, 30)], STORAGE)
    theirs = {"ID": "theirs", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
    have = Configuration((theirs, *old))
    assert {one.id.removeprefix(HERE.stem): one.change for one in changes(have, HERE, wanted)} == {
        "theirs": "foreign", "x30": "removed", "leftovers": "unchanged", "a90-x365": "added"
    }  # fmt: skip
    assert merge(have, HERE, wanted).rules == (theirs, old[1], wanted[0])
    assert not drifted(Configuration((theirs, *wanted)), HERE, wanted)


def test_the_rules_of_a_class_and_of_what_is_left_over():
    rule, rest = rules_for(HERE, [RetentionClass(90, 365), RetentionClass(90, 365)], STORAGE)
    assert rule == {
        "ID": f"{HERE.stem}a90-x365",
        "Status": "Enabled",
        "Filter": {
            "And": {
                "Prefix": "cell/objects/packs/",
                "Tags": [{"Key": "tenure-class", "Value": "a90-x365"}],
            }
        },
        "Transitions": [
            {"Days": 30, "StorageClass": "STANDARD_IA"},
            {"Days": 90, "StorageClass": "GLACIER"},
        ],
        "Expiration": {"Days": 365},
    }
    # A filter with a tag is refused by S3 for delete markers and for uploads.
    assert rest["Filter"] == {"Prefix": "cell/objects/packs/"}
    assert rest["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rest["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert HERE.stem.startswith("tenure-")
    assert HERE.stem != BESIDE.stem


def test_a_class_with_nothing_ahead_of_it_needs_no_rule():
    nowhere = StorageClasses("", "")
    assert [rule["ID"] for rule in rules_for(HERE, [RetentionClass(), RetentionClass(90)], nowhere)] == [
        f"{HERE.stem}leftovers"
    ]


# ── the limit ────────────────────────────────────────────────────────────────────────────────────────
def test_more_rules_than_a_bucket_takes_is_an_error_that_says_what_to_do():
    theirs = tuple(
        {"ID": f"theirs-{n}", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}} for n in range(99)
    )
    fits = rules_for(HERE, [RetentionClass(None, n + 1) for n in range(900)], STORAGE)
    assert len(merge(Configuration(theirs), HERE, fits).rules) == MAX_RULES
    wanted = rules_for(HERE, [RetentionClass(None, n + 1) for n in range(901)], STORAGE)
    with pytest.raises(Invalid) as refused:
        merge(Configuration(theirs), HERE, wanted)
    assert refused.value.rule == "at most 1000 rules in a bucket"
    assert "902 of this cell and 99 others" in refused.value.detail
    assert "Retention manifests" in refused.value.remedy


# ── others' rules that reach here ────────────────────────────────────────────────────────────────────
GONE = {"Expiration": {"Days": 30}}


@pytest.mark.parametrize(
    ("reaches", "rule"),
    [
        (True, {"Filter": {}, **GONE}),
        (True, {"Filter": {"Prefix": ""}, **GONE}),
        (True, {"Prefix": "cell/", **GONE}),
        (True, {"Filter": {"Prefix": "cell/objects/ledger/"}, **GONE}),
        (True, {"Filter": {"Prefix": "cell/"}, "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]}),
        (True, {"Filter": {"Tag": {"Key": "tenure-class", "Value": "keep"}}, **GONE}),
        (True, {"Filter": {"ObjectSizeGreaterThan": 9}, **GONE}),
        (False, {"Filter": {"Prefix": "logs/"}, **GONE}),
        (False, {"Filter": {"Prefix": "cell/objectsX"}, **GONE}),
        (False, {"Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}, **GONE}),
        (False, {"Filter": {}, "Status": "Disabled", **GONE}),
        (False, {"Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}),
        (False, {"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}),
    ],
)
def test_others_rules_that_may_touch_what_is_here_are_found(reaches, rule):
    rule = {"ID": "theirs", "Status": "Enabled", **rule}
    ours = rules_for(HERE, [RetentionClass(1, 2)], STORAGE)
    assert reaching(Configuration((*ours, rule)), HERE) == ([rule] if reaches else [])


# ── one spelling, digests, words ─────────────────────────────────────────────────────────────────────
def test_no_days_are_days():
    """0 is a number of days and not nothing: dropped, two different rules would look alike."""
    move = {"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 0}}
    assert normal(move) != normal({**move, "Expiration": {}})


@given(FOREIGN, st.integers())
def test_a_digest_is_of_the_rules_not_of_their_order(rules, seed):
    have = Configuration(tuple(rules))
    mixed = list(rules)
    random.Random(seed).shuffle(mixed)
    assert Configuration(tuple(mixed)).digest == have.digest
    assert have._replace(minimum="varies_by_storage_class").digest != have.digest
    more = {"ID": "more", "Status": "Enabled", "Filter": {}}
    assert Configuration((*rules, more)).digest != have.digest


@given(FOREIGN)
def test_any_rule_has_words(rules):
    assert all(words(rule) for rule in rules)


def test_rules_in_words():
    rule, rest = rules_for(HERE, [RetentionClass(90, 365)], STORAGE)
    assert words(rule) == (
        "below cell/objects/packs/, tagged tenure-class=a90-x365: on day 30 to STANDARD_IA, on day 90 to"
        " GLACIER, on day 365 gone"
    )
    assert "earlier versions gone on day 1" in words(rest)
    dated = {"Status": "Disabled", "Prefix": "", "Expiration": {"Date": datetime(2031, 1, 1, tzinfo=UTC)}}
    assert words(dated) == "switched off: everywhere: on 2031-01-01 gone"
