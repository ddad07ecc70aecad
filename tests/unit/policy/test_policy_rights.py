"""A reach and acting for somebody only ever take away: against a second evaluator that shares no code."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_samples import TENANT, engine, grant

from tenure.ids import moment
from tenure.model.principal import Principal, PrincipalKind
from tenure.model.reach import Reach, read_reach
from tenure.policy import rights
from tenure.policy.verdicts import Reason, Request

NOW = moment(1_800_000_000_000_000)
ENGINE = engine(
    grant("work", roles=["agent"], purposes=["service"], actions=["read", "write", "list"]),
    grant("learn", roles=["trainee"], categories=["contact"], actions=["read", "list"]),
    grant("no-travel", roles=["trainee"], categories=["travel"], effect="deny"),
)
ROLES = ("agent", "auditor", "dpo", "trainee")
SCOPES = ("support.archive.old", "support.conversations", "tenure.ledger", "tenure.subjects")
PATTERNS = (*SCOPES, "support.*", "support.**", "**", "support.archive.*", "tenure.**")
PURPOSES = ("customer-support", "marketing", "quality", "service", "administration")
ABOVE = {"customer-support": "service", "quality": "service"}
ACTIONS = ("delete", "list", "read", "write", "shred")


def some(values):
    return st.none() | st.lists(st.sampled_from(values), max_size=3).map(
        lambda many: tuple(sorted(set(many)))
    )


REACHES = st.builds(Reach, some(ROLES), some(PATTERNS), some(PURPOSES), some(ACTIONS))
HELD = st.lists(st.sampled_from(ROLES), max_size=3).map(lambda many: tuple(sorted(set(many))))


def reaches(pattern, scope):
    if scope.startswith("tenure.") and not pattern.startswith("tenure."):
        return False
    expression = re.escape(pattern).replace(r"\*\*", r".+").replace(r"\*", r"[^.]+")
    return re.fullmatch(expression, scope) is not None


def within(reach, scope, purpose, action):
    if reach is None:
        return True
    return (
        (reach.scopes is None or any(reaches(one, scope) for one in reach.scopes))
        and (reach.purposes is None or bool({purpose, ABOVE.get(purpose)} & set(reach.purposes)))
        and (reach.actions is None or action in reach.actions)
    )


def someone(roles, reach, behalf=None):
    left = roles if reach is None else reach.of_roles(roles)
    return Principal(TENANT, f"id-{roles}", "x", PrincipalKind.AGENT, left, reach=reach, behalf=behalf)


@settings(max_examples=150, deadline=None)
@given(
    HELD,
    st.none() | REACHES,
    st.none() | HELD,
    st.sampled_from(SCOPES),
    st.lists(st.sampled_from(("contact", "travel", "health")), min_size=1, max_size=2, unique=True).map(
        tuple
    ),
    st.sampled_from(PURPOSES),
    st.sampled_from(ACTIONS),
)
def test_no_more_than_each_of_them_alone(roles, reach, behalf, scope, labels, purpose, action):
    other = None if behalf is None else someone(behalf, None)
    caller = someone(roles, reach, other)

    def alone(held, narrowed):
        left = held if narrowed is None or narrowed.roles is None else sorted({*held} & {*narrowed.roles})
        asked = Request(TENANT, tuple(left), scope, labels, purpose, action, NOW)
        return within(narrowed, scope, purpose, action) and ENGINE.decide(asked).allowed

    expected = alone(roles, reach) and (behalf is None or alone(behalf, None))
    verdict = rights.decide(ENGINE, caller, scope, labels, purpose, action, NOW)
    assert verdict.allowed == expected
    assert (verdict.reason == Reason.ALLOWED) == expected
    assert not expected or verdict.rules
    seen = rights.allowed_categories(ENGINE, caller, scope, purpose, action, NOW)
    assert seen.issuperset(labels) == expected, "what is listed is what may be read one by one"
    served = rights.decide_service(ENGINE, caller, scope, action)
    service = ENGINE.decide_service(caller.roles, scope, action).allowed
    also = behalf is None or ENGINE.decide_service(behalf, scope, action).allowed
    assert served.allowed == (service and also and within(reach, scope, "administration", action))


@given(REACHES)
def test_reach_are_stored_as_they_are(reach):
    assert read_reach(reach.stored()) == reach


def test_reach_of_a_later_version_leave_nothing():
    narrow = read_reach('{"hours": ["9-17"], "roles": ["agent"]}')
    assert narrow is not None
    assert narrow.of_roles(("agent",)) == ()
    assert not narrow.permits("support.conversations", "service", "read", ENGINE.configuration.purposes)
    assert read_reach(None) is None


def test_the_rules_of_both_are_named():
    caller = someone(("agent",), None, someone(("trainee",), None))
    verdict = rights.decide(
        ENGINE, caller, "support.conversations", ("contact",), "customer-support", "read", NOW
    )
    assert [rule.partition("#")[0] for rule in verdict.rules] == ["grant/work", "grant/learn"]
    denied = rights.decide(
        ENGINE, caller, "support.conversations", ("travel",), "customer-support", "read", NOW
    )
    assert denied.reason == Reason.DENY_RULE


def test_who_is_denied_a_service_act_learns_which_built_in_role_may():
    def said(scope, action, reason=Reason.NO_RULE):
        return rights.who_may(ENGINE, scope, action, reason)

    assert said("tenure.subjects", "shred") == "Ask for the built-in role dpo."
    assert said("tenure.register", "read") == "Ask for the built-in role auditor or dpo or tenant-admin."
    assert "operator in the cell itself" in said("tenure.lifecycle", "read")
    assert said("tenure.subjects", "delete") == "No built-in role allows this."
    assert "credential" in said("tenure.subjects", "shred", Reason.BEYOND)
