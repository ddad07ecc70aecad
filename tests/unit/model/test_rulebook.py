"""Which rules apply, which events a scope has, and from when on accesses are kept."""

import pytest

from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.rulebook import Kept, Rulebook

TREE = {"personal": {"contact": {}, "travel": {}}, "special": {"health": {}}}


def manifest(kind, name, **spec):
    return {"apiVersion": "tenure/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def scope(name, *categories):
    said = {"description": "d", "controller": "c", "subjects": "optional", "categories": list(categories)}
    return manifest("Scope", name, **said)


def rule(name, categories, *scopes, **said):
    said = {"deleteAfter": "1d", **said}
    return manifest("Retention", name, scopes=list(scopes) or ["**"], categories=categories, **said)


def book(*rules, kept=None):
    base = [
        manifest("Vocabulary", "default", categories=TREE, purposes={"p": {}}),
        scope("talks", "contact", "travel"),
        scope("care", "special"),
    ]
    return Rulebook(Configuration.empty().with_manifests(parse_manifests([*base, *rules])), kept)


@pytest.mark.parametrize(
    ("categories", "talks", "care"),
    [
        (["personal"], ("contact", "travel"), None),
        (["contact"], ("contact",), None),
        (["health"], None, ("health",)),
        ("*", ("contact", "travel"), ("special",)),
    ],
)
def test_an_event_is_about_what_rule_and_scope_both_speak_of(categories, talks, care):
    found = book(rule("left", categories, clock="event", event="customer.left"))
    for where, about in (("talks", talks), ("care", care)):
        assert found.events_in(where) == ({} if about is None else {"customer.left": about})


def test_a_scope_has_the_events_of_the_rules_for_it_and_no_others():
    found = book(
        rule("a", ["contact"], "talks", clock="event", event="left"),
        rule("b", ["travel"], "talks", clock="event", event="left"),
        rule("c", "*", "care", clock="event", event="healed"),
        rule("d", "*", clock="access"),
    )
    assert found.events_in("talks") == {"left": ("contact", "travel")}
    assert found.events_in("nowhere") == {}
    assert found.of("talks", "contact").events == {"left"}
    assert set(found.of("talks", "contact").rules) == {"a", "d"}


def test_accesses_are_kept_since_the_newest_of_the_rules_for_them_and_of_the_tree():
    rules = (
        rule("old", ["contact"], clock="access"),
        rule("new", ["personal"], clock="access"),
        rule("plain", "*"),
    )
    applied = {("Retention", "old"): 5, ("Retention", "new"): 7, ("Vocabulary", "default"): 6}
    found = book(*rules, kept=Kept(0, applied))
    assert found.of("talks", "contact")[2:] == (True, 7)
    assert found.of("care", "health")[2:] == (False, None)
    assert book(*rules[:1], kept=Kept(0, applied)).of("talks", "contact,travel")[2:] == (True, 6)
    assert book(*rules, kept=Kept(9, applied)).of("talks", "contact")[2:] == (True, 9)
    thought_of = book(*rules)
    assert thought_of.of("talks", "contact")[2:] == (True, None), "what is not in force keeps nothing"
