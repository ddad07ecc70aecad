"""The engine against a second evaluator, written straight from the rules of use and sharing no code.

Deny by default; a deny outweighs every allow; N categories need N allows; a rule for a name covers what
is below it; a deny also holds for what is above it; `a.*` is one level, `a.**` any depth; a limited rule
holds in [notBefore, notAfter).
"""

import re
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_samples import BUILTIN, MODEL, TENANT

from tenure.ids import moment, rfc3339
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.scope_rules import scope_match
from tenure.policy.bundle import bundle, load_bundle
from tenure.policy.engine import Engine
from tenure.policy.explain import explain
from tenure.policy.verdicts import Reason, Request

CATEGORIES = {"a": {"aa": {"aaa": {}}, "ab": {}}, "b": {"ba": {}}, "c": {}}
PURPOSES = {"p": {"pa": {"paa": {}}, "pb": {}}, "q": {}}
ABOVE = {"aa": "a", "aaa": "aa", "ab": "a", "ba": "b", "pa": "p", "paa": "pa", "pb": "p"}
ALL_CATEGORIES = ("a", "aa", "aaa", "ab", "b", "ba", "c")
ALL_PURPOSES = ("p", "pa", "paa", "pb", "q")
SCOPES = ("s", "s.t", "s.t.u", "s.v", "st", "w.t")
PATTERNS = (*SCOPES, "s.*", "s.**", "s.t.*", "s.t.**", "w.*", "**")
ROLES = ("r1", "r2", "r3", "dpo")
ACTIONS = ("read", "write", "list", "delete")
TIMES = (0, 10, 20, 30)
BASE = [
    {
        "apiVersion": "tenure/v1",
        "kind": "Vocabulary",
        "metadata": {"name": "default"},
        "spec": {"categories": CATEGORIES, "purposes": PURPOSES},
    },
    *(
        {
            "apiVersion": "tenure/v1",
            "kind": "Scope",
            "metadata": {"name": name},
            "spec": {
                "description": "",
                "controller": "",
                "categories": ["a", "b", "c"],
                "subjects": "optional",
            },
        }
        for name in SCOPES
    ),
    *(
        {"apiVersion": "tenure/v1", "kind": "Role", "metadata": {"name": name}, "spec": {"description": ""}}
        for name in ROLES
        if name != "dpo"
    ),
]
BASE_CONFIGURATION = Configuration.empty().with_manifests(parse_manifests(BASE))


def some(values):
    return st.one_of(st.just(["*"]), st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))


@st.composite
def grant_specs(draw):
    effect = draw(st.sampled_from(["allow", "allow", "allow", "deny"]))
    named = st.lists(st.sampled_from(ROLES), min_size=1, max_size=2, unique=True)
    found = {
        "roles": draw(some(ROLES) if effect == "deny" else named),
        "scopes": draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2, unique=True)),
        "categories": draw(some(ALL_CATEGORIES)),
        "purposes": draw(some(ALL_PURPOSES)),
        "actions": draw(some(ACTIONS)),
        "effect": effect,
    }
    begins, ends = sorted(draw(st.lists(st.sampled_from(TIMES), min_size=2, max_size=2, unique=True)))
    if draw(st.booleans()) and draw(st.booleans()):
        found["notBefore"] = rfc3339(begins)
    if draw(st.booleans()) and draw(st.booleans()):
        found["notAfter"] = rfc3339(ends)
    return found


@st.composite
def requests(draw):
    return Request(
        TENANT,
        tuple(draw(st.lists(st.sampled_from((*ROLES, "gone")), min_size=1, max_size=3))),
        draw(st.sampled_from(SCOPES)),
        tuple(draw(st.lists(st.sampled_from(ALL_CATEGORIES), min_size=1, max_size=3))),
        draw(st.sampled_from(ALL_PURPOSES)),
        draw(st.sampled_from(ACTIONS)),
        moment(draw(st.integers(-5, 35))),
    )


def engine_of(specs):
    manifests = [
        {"apiVersion": "tenure/v1", "kind": "Grant", "metadata": {"name": f"g{number}"}, "spec": spec}
        for number, spec in enumerate(specs)
    ]
    whole = BASE_CONFIGURATION.with_manifests(parse_manifests(manifests))
    return Engine(whole, tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)


def naive_below(name, other):
    return name == other or (name in ABOVE and naive_below(ABOVE[name], other))


def naive_scope(scope, pattern):
    if pattern == "**":
        return True
    form = re.escape(pattern).replace(r"\.\*\*", r"(\.[^.]+)+").replace(r"\.\*", r"\.[^.]+")
    return re.fullmatch(form, scope) is not None


def naive_covers(listed, name, *, deny):
    return any(one == "*" or naive_below(name, one) or (deny and naive_below(one, name)) for one in listed)


def naive_speaks(spec, asked, category):
    deny = spec["effect"] == "deny"
    return (
        (spec["roles"] == ["*"] or bool(set(spec["roles"]) & set(asked.roles)))
        and any(naive_scope(asked.scope, pattern) for pattern in spec["scopes"])
        and (spec["actions"] == ["*"] or asked.action in spec["actions"])
        and naive_covers(spec["categories"], category, deny=deny)
        and naive_covers(spec["purposes"], asked.purpose, deny=deny)
        and ("notBefore" not in spec or datetime.fromisoformat(spec["notBefore"]) <= asked.now)
        and ("notAfter" not in spec or asked.now < datetime.fromisoformat(spec["notAfter"]))
    )


def naive_reason(specs, asked):
    reasons = set()
    for category in asked.categories:
        effects = {spec["effect"] for spec in specs if naive_speaks(spec, asked, category)}
        reasons.add("deny-rule" if "deny" in effects else "allowed" if effects else "no-rule")
    return next(each for each in ("deny-rule", "no-rule", "allowed") if each in reasons)


@settings(max_examples=100, deadline=None)
@given(st.lists(grant_specs(), max_size=6), st.lists(requests(), min_size=1, max_size=6))
def test_decide_is_what_the_rules_of_use_say(specs, asked):
    one = engine_of(specs)
    for each in asked:
        assert one.decide(each).reason == naive_reason(specs, each)


@settings(max_examples=100, deadline=None)
@given(st.lists(grant_specs(), max_size=5), requests())
def test_an_explanation_agrees_with_the_decision_and_names_real_rules(specs, asked):
    one = engine_of(specs)
    verdict, told = one.decide(asked), explain(one, asked)
    assert (told.allowed, told.reason) == (verdict.allowed, verdict.reason)
    assert verdict.allowed == all(each.allowed for each in told.categories)
    spoken = {rule for each in told.categories for rule in (*each.allows, *each.denies)}
    assert set(verdict.rules) <= spoken
    assert (verdict.reason is Reason.DENY_RULE) == any(each.denies for each in told.categories)
    for each in told.categories:
        for side, effect in ((each.allows, "allow"), (each.denies, "deny")):
            names = {int(rule.removeprefix("grant/g").split("#")[0]) for rule in side}
            assert names == {
                number
                for number, spec in enumerate(specs)
                if spec["effect"] == effect and naive_speaks(spec, asked, each.category)
            }


@settings(max_examples=60, deadline=None)
@given(st.lists(grant_specs(), max_size=5), requests())
def test_readable_agrees_with_decide_for_every_label_set(specs, asked):
    one = engine_of(specs)
    seen = one.readable(asked.roles, asked.purpose, asked.action, now=asked.now)
    for scope in SCOPES:
        allowed = seen.allows(scope)
        record = asked._replace(scope=scope)
        assert one.decide(record).allowed == (set(asked.categories) <= allowed)
        assert allowed == {
            each for each in ALL_CATEGORIES if one.decide(record._replace(categories=(each,))).allowed
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(grant_specs(), max_size=5), requests())
def test_an_answer_holds_until_it_says_it_expires(specs, asked):
    one = engine_of(specs)
    verdict = one.decide(asked)
    until = moment(40) if verdict.expires is None else verdict.expires
    assert until > asked.now
    for now in map(moment, range(-5, 40)):
        if asked.now <= now < until:
            assert one.decide(asked._replace(now=now)).reason is verdict.reason


@settings(max_examples=40, deadline=None)
@given(st.lists(grant_specs(), max_size=4), st.lists(requests(), min_size=1, max_size=5))
def test_a_loaded_bundle_decides_the_same(specs, asked):
    one = engine_of(specs)
    packed = bundle(one.configuration, MODEL, BUILTIN)
    again = load_bundle(packed.data, packed.digest).engine(TENANT)
    assert [again.decide(each) for each in asked] == [one.decide(each) for each in asked]


_label = st.sampled_from(["a", "b", "ab", "tenure", "a-b"])
_scope = st.lists(_label, min_size=1, max_size=4).map(".".join)


@settings(max_examples=200)
@given(_scope, _scope, st.sampled_from(["", ".*", ".**"]))
def test_scope_patterns_match_as_a_second_implementation_does(scope, start, ending):
    reserved = [text.split(".")[0] == "tenure" for text in (scope, start)]
    expected = naive_scope(scope, start + ending) and (reserved[1] or not reserved[0])
    assert scope_match(scope, start + ending) == expected
    assert scope_match(scope, "**") == (not reserved[0])
    assert not scope_match("", start + ending)
    assert not scope_match("", "**")
    assert not scope_match(scope, "")
