"""An explanation in words: every condition of the model has its own, and every rule can be looked up."""

import pytest
from policy_samples import NOW, engine, grant, request

from tenure.ids import rfc3339
from tenure.policy.explain import explain
from tenure.policy.verdicts import Reason
from tenure.policy.wording import rules_named, words


def told(one, asked):
    found = explain(one, asked)
    return words(one, asked, found), rules_named(one, found)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"roles": ["trainee"]}, "it is for role trainee, and the roles are agent"),
        (
            {"scopes": ["support.archive.*"]},
            "its scopes are support.archive.*, and support.conversations is not",
        ),
        ({"categories": ["travel"]}, "it is for category travel and what is below it, and contact is not"),
        (
            {"purposes": ["marketing"]},
            "it is for purpose marketing and what is below it, and customer-support",
        ),
        ({"actions": ["write"]}, "it is for action write, and the question is about read"),
        ({"notAfter": rfc3339(NOW)}, f"it does not hold at {rfc3339(NOW)}"),
    ],
)
def test_a_miss_says_what_the_rule_wants_and_what_was_asked(spec, said):
    why, rules = told(engine(grant("works", description="for work", **spec)), request())
    assert why[0].startswith("Category `contact`: no rule allows it. The nearest is grant/works#1: ")
    assert why[1].startswith("grant/works#1 does not fit: ")
    assert said in why[1]
    (rule,) = rules.values()
    assert (rule["grant"], rule["row"], rule["rows"], rule["description"]) == ("works", 1, 1, "for work")


def test_a_rule_of_the_cell_alone_says_so():
    one = engine(grant("works"))
    asked = request(roles=("operator",), scope="tenure.tenants", categories=("service",))
    why, rules = told(one, asked._replace(purpose="administration", action="read"))
    assert why[1] == "builtin/operator-reads-tenants does not fit: it holds in the cell only."
    assert rules["builtin/operator-reads-tenants"]["builtin"] == "operator-reads-tenants"


def test_a_rule_is_said_whole():
    limits = {"notBefore": rfc3339(NOW), "notAfter": rfc3339(NOW + 1_000_000)}
    one = engine(grant("a", purposes=["*"], categories=["special"], actions=["*"], **limits))
    (sentence,), _ = told(one, request(categories=("health",)))
    assert sentence == (
        "Category `health`: allowed by grant/a#1: role agent may every action special in support.**"
        f" for every purpose from {rfc3339(NOW)} until just before {rfc3339(NOW + 1_000_000)}."
    )


def test_the_row_of_a_grant_is_the_one_that_spoke():
    one = engine(grant("a", categories=["contact", "health", "travel"], actions=["list", "read"]))
    _, rules = told(one, request(categories=("travel",)))
    ((name, rule),) = rules.items()
    assert (name, rule["row"], rule["rows"], rule["category"], rule["action"]) == (
        "grant/a#6",
        6,
        6,
        "travel",
        "read",
    )


@pytest.mark.parametrize("reason", [one for one in Reason if one not in ("allowed", "deny-rule", "no-rule")])
def test_what_no_rule_could_help_has_a_sentence(reason):
    from tenure.policy.explain import Explanation

    one = engine(grant("works"))
    found = Explanation(allowed=False, reason=reason, failed=(), categories=())
    (sentence,) = words(one, request(), found)
    assert sentence.endswith(".")
    assert "{" not in sentence
