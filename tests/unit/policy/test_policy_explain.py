import json

import pytest
from policy_samples import NOW, engine, grant, request

from tenure.ids import CELL, rfc3339
from tenure.policy.explain import Nearest, explain
from tenure.policy.verdicts import Reason


@pytest.mark.parametrize(
    ("spec", "failed"),
    [
        ({"roles": ["trainee"]}, ("role",)),
        ({"scopes": ["support.archive.*"]}, ("scope",)),
        ({"categories": ["travel"]}, ("category",)),
        ({"purposes": ["marketing"]}, ("purpose",)),
        ({"actions": ["write"]}, ("action",)),
        ({"notAfter": rfc3339(NOW)}, ("time",)),
        ({"notBefore": rfc3339(NOW + 1)}, ("time",)),
        ({"notAfter": rfc3339(NOW), "actions": ["write"]}, ("time", "action")),
    ],
)
def test_a_denial_names_the_nearest_rule_and_what_it_fails(spec, failed):
    told = explain(engine(grant("works", **spec)), request())
    assert told.reason is Reason.NO_RULE
    assert told.categories[0].nearest == Nearest("grant/works#1", failed)


def test_the_nearest_rule_is_the_one_that_fails_least_and_is_easiest_to_put_right():
    one = engine(
        grant("far", roles=["trainee"], actions=["write"]),
        grant("other-role", roles=["trainee"]),
        grant("over", notAfter=rfc3339(NOW)),
        grant("no", effect="deny", roles=["trainee"]),
    )
    assert explain(one, request()).categories[0].nearest == Nearest("grant/over#1", ("time",))


def test_every_matched_rule_is_named_per_category():
    one = engine(
        grant("wide"),
        grant("contact", categories=["contact"]),
        grant("no-health", categories=["special"], effect="deny"),
        grant("none-at-all", categories=["health"], effect="deny"),
    )
    told = explain(one, request(categories=("contact", "health")))
    assert told.allowed is False
    assert told.reason is Reason.DENY_RULE
    contact, health = told.categories
    assert (contact.allowed, set(contact.allows), contact.denies) == (
        True,
        {"grant/wide#1", "grant/contact#1"},
        (),
    )
    assert (health.allowed, health.allows) == (False, ("grant/wide#1",))
    assert set(health.denies) == {"grant/no-health#1", "grant/none-at-all#1"}
    assert health.nearest is None


@pytest.mark.parametrize(
    ("fields", "reason", "failed"),
    [
        ({"tenant": CELL}, "wrong-tenant", ["tenant"]),
        ({"scope": "unheard.of"}, "unknown-scope", ["scope"]),
        ({"categories": ("unheard-of",)}, "unknown-category", ["category"]),
        ({"purpose": "unheard-of"}, "unknown-purpose", ["purpose"]),
        ({"action": "shred"}, "unknown-action", ["action"]),
        ({"roles": ()}, "empty-field", []),
        ({"now": None}, "failure", []),
    ],
)
def test_what_no_rule_could_help_is_said_without_rules(fields, reason, failed):
    told = explain(engine(grant("works")), request(**fields)).as_json()
    assert told == {"allowed": False, "reason": reason, "failed": failed, "categories": []}


def test_an_explanation_is_json():
    told = explain(engine(grant("works", actions=["write"])), request())
    assert json.loads(json.dumps(told.as_json())) == {
        "allowed": False,
        "reason": "no-rule",
        "failed": [],
        "categories": [
            {
                "category": "contact",
                "allowed": False,
                "allows": [],
                "denies": [],
                "nearest": {"rule": "grant/works#1", "failed": ["action"]},
            }
        ],
    }
