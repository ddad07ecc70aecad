"""A manifest in words: every kind has some, and no reader believes that what is only kept is in force."""

from pathlib import Path

import pytest

from tenure.ids import parse_rfc3339
from tenure.model import wording
from tenure.model.configuration import Configuration
from tenure.model.manifests import NOT_ENFORCED, SPECS, parse_manifests
from unit.model.test_kinds_to_come import AGENT, BASE, RECIPIENT, RETENTION, manifest

TEMPLATES = Path(__file__).parents[3] / "policies" / "templates"
NOW = parse_rfc3339("2027-06-01T00:00:00Z")
GRANT = {
    "roles": ["*"],
    "scopes": ["support.*"],
    "categories": ["contact"],
    "purposes": "*",
    "actions": ["read", "list"],
    "effect": "deny",
    "notBefore": "2027-01-01T00:00:00Z",
    "notAfter": "2028-01-01T00:00:00Z",
}
WHOLE = Configuration.empty().with_manifests(
    parse_manifests(
        [
            *BASE,
            manifest("Role", {"description": "a role"}),
            manifest("Grant", GRANT),
            manifest("Retention", RETENTION),
            manifest("Recipient", RECIPIENT),
            manifest("Agent", AGENT),
        ]
    )
)


def standing(kind, now=NOW, name="it"):
    found = wording.conditions(WHOLE.manifests[kind, name], WHOLE, now)
    return {one.type: (one.status, one.reason) for one in found}


@pytest.mark.parametrize("kind", SPECS)
def test_every_kind_has_words(kind):
    names = [name for its, name in WHOLE.manifests if its == kind]
    for name in names:
        assert all(line.strip() for line in wording.words(WHOLE.manifests[kind, name], WHOLE))
        assert wording.words(WHOLE.manifests[kind, name], WHOLE)


def test_what_is_only_kept_is_not_enforced():
    for kind in NOT_ENFORCED:
        assert standing(kind) == {"Enforced": ("False", "NotInThisVersion")}
    assert {"Agent"} == NOT_ENFORCED


def test_a_recipient_is_told():
    assert standing("Recipient") == {"Enforced": ("True", "InForce")}


def test_a_grant_is_in_force_in_its_time():
    assert standing("Grant", parse_rfc3339("2026-12-31T23:59:59Z")) == {"Enforced": ("False", "NotYet")}
    assert standing("Grant", parse_rfc3339("2027-01-01T00:00:00Z")) == {"Enforced": ("True", "InForce")}
    assert standing("Grant", parse_rfc3339("2028-01-01T00:00:00Z")) == {"Enforced": ("False", "Expired")}


def test_a_role_and_a_scope_say_whether_anything_is_allowed():
    assert standing("Role")["Granted"] == ("False", "NoGrant"), "a deny allows nothing"
    assert standing("Scope", name="support.talk")["Granted"] == ("False", "NoGrant")
    assert wording.reaching(WHOLE.manifests["Role", "it"], WHOLE) == ["it"], "`*` names every role"
    whole = Configuration.empty().with_manifests(parse_manifests((TEMPLATES / "support.yaml").read_bytes()))
    agent = whole.manifests["Role", "support-agent"]
    assert {one.type: one.status for one in wording.conditions(agent, whole, NOW)}["Granted"] == "True"


def test_sentences():
    assert wording.sentence("it", WHOLE.grants["it"]) == (
        "it: every role may never list, read contact in support.* for any purpose"
        " from 2027-01-01T00:00:00.000000Z until 2028-01-01T00:00:00.000000Z."
    )
    assert "It is given contact of support.**." in wording.words(WHOLE.manifests["Recipient", "it"], WHOLE)
    assert "Kept for at least 1d: tax law" in wording.words(WHOLE.manifests["Retention", "it"], WHOLE)
    assert (
        "talks: must have contact from support.talk for support of the last 30d, of the person served,"
        " 600 tokens at most; else summary, older-version."
    ) in wording.words(WHOLE.manifests["Agent", "it"], WHOLE)
