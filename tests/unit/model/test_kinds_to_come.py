"""Retention, Recipient and Agent: what is refused, and that it is said where, why, and what to do."""

import copy

import pytest

from tenure.errors import Invalid
from tenure.model.configuration import Configuration
from tenure.model.durations import duration, parse_duration
from tenure.model.manifests import parse_manifests

API = "tenure/v1"
BASE = [
    {
        "apiVersion": API,
        "kind": "Vocabulary",
        "metadata": {"name": "default"},
        "spec": {
            "categories": {"personal": {"contact": {}, "travel": {}}, "special": {}},
            "purposes": {"support": {}},
        },
    },
    {
        "apiVersion": API,
        "kind": "Scope",
        "metadata": {"name": "support.talk"},
        "spec": {
            "description": "d",
            "controller": "c",
            "categories": ["contact"],
            "subjects": "required",
        },
    },
    {
        "apiVersion": API,
        "kind": "Scope",
        "metadata": {"name": "support.tips"},
        "spec": {"description": "d", "controller": "c", "categories": ["personal"], "subjects": "none"},
    },
]
RETENTION = {
    "scopes": ["support.**"],
    "categories": ["contact"],
    "clock": "event",
    "event": "customer.left",
    "hotFor": "4w",
    "coldFor": "60d",
    "deleteAfter": "365d",
    "floor": "24h",
    "ground": "tax law",
}
RECIPIENT = {
    "description": "d",
    "webhook": "https://partner.example/notices",
    "scopes": ["support.**"],
    "categories": ["contact"],
}
AGENT = {
    "description": "d",
    "budgetTokens": 1000,
    "needs": [
        {
            "name": "talks",
            "scope": "support.talk",
            "categories": ["contact"],
            "purpose": "support",
            "window": "30d",
            "maxTokens": 600,
            "required": True,
            "fallback": ["summary", "older-version"],
            "summaries": "support.tips",
            "next": ["tips"],
        },
        {
            "name": "tips",
            "scope": "support.tips",
            "categories": "*",
            "purpose": "support",
            "subject": "unbound",
        },
    ],
}
GOOD = {"Retention": RETENTION, "Recipient": RECIPIENT, "Agent": AGENT}
GONE = object()
CASES = [
    ("Retention", ("scopes",), ["support.nowhere"], "scopes", "declared-scope"),
    ("Retention", ("categories",), ["phone"], "categories", "declared-category"),
    ("Retention", ("clock",), "never", "clock", "choice"),
    ("Retention", ("event",), GONE, "", "retention-event"),
    ("Retention", ("event",), "Customer left", "event", "event-name"),
    ("Retention", ("event",), "customer..left", "event", "event-name"),
    ("Retention", ("clock",), "write", "", "retention-event"),
    ("Retention", ("hotFor",), "1y", "hotFor", "duration"),
    ("Retention", ("hotFor",), 30.0, "hotFor", "duration"),
    ("Retention", ("hotFor",), "0d", "hotFor", "duration"),
    ("Retention", ("hotFor",), "99999d", "hotFor", "duration"),
    ("Retention", ("hotFor",), "306d", "", "retention-order"),
    ("Retention", ("floor",), "366d", "", "retention-order"),
    ("Retention", ("ground",), GONE, "", "retention-floor"),
    ("Retention", ("ground",), "  ", "", "retention-floor"),
    ("Retention", ("floor",), GONE, "", "retention-floor"),
    ("Retention", ("evict",), "1d", "evict", "unknown-field"),
    ("Recipient", ("description",), GONE, "description", "required"),
    ("Recipient", ("webhook",), GONE, "webhook", "required"),
    ("Recipient", ("webhook",), "http://partner.example/notices", "webhook", "webhook"),
    ("Recipient", ("webhook",), "https://me:secret@partner.example/", "webhook", "webhook"),
    ("Recipient", ("secret",), "whsec_x", "secret", "unknown-field"),
    ("Recipient", ("scopes",), GONE, "scopes", "required"),
    ("Recipient", ("scopes",), ["support.nowhere"], "scopes", "declared-scope"),
    ("Recipient", ("categories",), ["phone"], "categories", "declared-category"),
    ("Agent", ("budgetTokens",), 599, "", "need-budget"),
    ("Agent", ("budgetTokens",), 1.5, "budgetTokens", "whole-number"),
    ("Agent", ("budgetTokens",), True, "budgetTokens", "whole-number"),
    ("Agent", ("needs",), [], "needs", "not-empty"),
    ("Agent", ("needs", 0, "scope"), "support.nowhere", "needs[0].scope", "declared-scope"),
    ("Agent", ("needs", 0, "scope"), "support.**", "needs[0].scope", "scope"),
    ("Agent", ("needs", 0, "scope"), "tenure.policy", "needs[0].scope", "scope"),
    ("Agent", ("needs", 0, "summaries"), "support.nowhere", "needs[0].summaries", "declared-scope"),
    ("Agent", ("needs", 0, "summaries"), GONE, "needs[0]", "need-summary"),
    ("Agent", ("needs", 0, "purpose"), "ads", "needs[0].purpose", "declared-purpose"),
    ("Agent", ("needs", 0, "categories"), ["phone"], "needs[0].categories", "declared-category"),
    ("Agent", ("needs", 0, "categories"), ["travel"], "needs[0].categories", "need-possible"),
    ("Agent", ("needs", 1, "subject"), "bound", "needs[1].subject", "need-possible"),
    ("Agent", ("needs", 0, "fallback"), ["summary", "omit"], "needs[0]", "need-required"),
    ("Agent", ("needs", 0, "fallback"), ["summary", "summary"], "needs[0].fallback", "unique"),
    ("Agent", ("needs", 0, "fallback"), ["give-up"], "needs[0].fallback[0]", "choice"),
    ("Agent", ("needs", 0, "next"), ["talks"], "", "need-next"),
    ("Agent", ("needs", 0, "next"), ["nothing"], "", "need-next"),
    ("Agent", ("needs", 0, "priority"), 1001, "needs[0].priority", "whole-number"),
    ("Agent", ("needs", 0, "required"), "yes", "needs[0].required", "choice"),
    ("Agent", ("needs", 1, "name"), "talks", "", "unique"),
]


def manifest(kind, spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "it"}, "spec": copy.deepcopy(spec)}


def read(*manifests):
    return Configuration.empty().with_manifests(parse_manifests([*BASE, *manifests]))


@pytest.mark.parametrize(("kind", "path", "value", "field", "rule"), CASES)
def test_is_refused(kind, path, value, field, rule):
    wrong = manifest(kind, GOOD[kind])
    holder = wrong["spec"]
    for step in path[:-1]:
        holder = holder[step]
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    with pytest.raises(Invalid) as refused:
        read(wrong)
    assert refused.value.field == "manifests[3].spec" + (f".{field}" if field else "")
    assert refused.value.rule == rule
    assert refused.value.remedy


def test_says_nothing_about_how_long_is_no_retention():
    with pytest.raises(Invalid) as refused:
        read(manifest("Retention", {"scopes": ["**"], "categories": "*"}))
    assert refused.value.rule == "retention-empty"


def test_two_spellings_are_one_manifest():
    other = copy.deepcopy(AGENT)
    other["needs"].reverse()
    assert read(manifest("Agent", other)).digest() == read(manifest("Agent", AGENT)).digest()
    weeks = {**RETENTION, "hotFor": "28d", "floor": "1d"}
    assert read(manifest("Retention", weeks)).digest() == read(manifest("Retention", RETENTION)).digest()
    other["needs"][1]["fallback"].reverse()
    assert read(manifest("Agent", other)).digest() != read(manifest("Agent", AGENT)).digest()


@pytest.mark.parametrize(
    ("scopes", "categories", "told"),
    [
        (["support.talk"], ["contact"], True),
        (["support.talk", "elsewhere"], ["special", "contact"], True),
        (["support.talk"], ["travel"], False),
        (["support.talk"], ["personal"], False),  # what is above it was not given
        (["elsewhere"], ["contact"], False),
        ([], ["contact"], False),
        (["support.talk"], [], False),
    ],
)
def test_who_is_given_what(scopes, categories, told):
    whole = read(manifest("Recipient", RECIPIENT))
    assert whole.recipients["it"].receives(scopes, categories, whole.categories) is told


def test_a_recipient_of_every_category_needs_not_say_so():
    every = {name: value for name, value in RECIPIENT.items() if name != "categories"}
    whole = read(manifest("Recipient", every))
    assert whole.digest() == read(manifest("Recipient", {**every, "categories": "*"})).digest()
    assert whole.recipients["it"].receives(["support.talk"], ["special"], whole.categories)


def test_the_line_of_a_need_is_that_of_the_text_whatever_its_order():
    text = """\
apiVersion: tenure/v1
kind: Agent
metadata: {name: it}
spec:
  description: d
  budgetTokens: 100
  needs:
  - {name: z, scope: support.tips, categories: "*", purpose: support, subject: unbound}
  - name: a
    scope: support.talk
    categories:
    - contact
    - phone
    purpose: support
"""
    with pytest.raises(Invalid) as refused:
        read().with_manifests(parse_manifests(text))
    assert (refused.value.field, refused.value.line) == ("manifests[0].spec.needs[1].categories", 13)


def test_lengths():
    assert [parse_duration(text) for text in ("1h", "2d", "1w", "36525d")] == [1, 48, 168, 876_600]
    assert [duration(hours) for hours in (1, 25, 24, 168)] == ["1h", "25h", "1d", "7d"]
    for text in ("", "d", "-1d", "1", "1m", "1 d", "01d", "1.5d", "36526d", "1D", None, 3):
        assert parse_duration(text) is None
