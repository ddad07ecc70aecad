"""Limits and acting for somebody only ever take away: against a second evaluator that shares no code."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_samples import TENANT, engine, grant

from tenure.ids import moment
from tenure.model.limits import Limits, read_limits
from tenure.model.principal import Principal, PrincipalKind
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


LIMITS = st.builds(Limits, some(ROLES), some(PATTERNS), some(PURPOSES), some(ACTIONS))
HELD = st.lists(st.sampled_from(ROLES), max_size=3).map(lambda many: tuple(sorted(set(many))))


def reaches(pattern, scope):
    if scope.startswith("tenure.") and not pattern.startswith("tenure."):
        return False
    expression = re.escape(pattern).replace(r"\*\*", r".+").replace(r"\*", r"[^.]+")
    return re.fullmatch(expression, scope) is not None


def within(limits, scope, purpose, action):
    if limits is None:
        return True
    return (
        (limits.scopes is None or any(reaches(one, scope) for one in limits.scopes))
        and (limits.purposes is None or bool({purpose, ABOVE.get(purpose)} & set(limits.purposes)))
        and (limits.actions is None or action in limits.actions)
    )


def someone(roles, limits, behalf=None):
    left = roles if limits is None else limits.of_roles(roles)
    return Principal(TENANT, f"id-{roles}", "x", PrincipalKind.AGENT, left, limits=limits, behalf=behalf)


@settings(max_examples=400, deadline=None)
@given(
    HELD,
    st.none() | LIMITS,
    st.none() | HELD,
    st.sampled_from(SCOPES),
    st.lists(st.sampled_from(("contact", "travel", "health")), min_size=1, max_size=2, unique=True).map(
        tuple
    ),
    st.sampled_from(PURPOSES),
    st.sampled_from(ACTIONS),
)
def test_no_more_than_each_of_them_alone(roles, limits, behalf, scope, labels, purpose, action):
    other = None if behalf is None else someone(behalf, None)
    caller = someone(roles, limits, other)

    def alone(held, narrowed):
        left = held if narrowed is None or narrowed.roles is None else sorted({*held} & {*narrowed.roles})
        asked = Request(TENANT, tuple(left), scope, labels, purpose, action, NOW)
        return within(narrowed, scope, purpose, action) and ENGINE.decide(asked).allowed

    expected = alone(roles, limits) and (behalf is None or alone(behalf, None))
    verdict = rights.decide(ENGINE, caller, scope, labels, purpose, action, NOW)
    assert verdict.allowed == expected
    assert (verdict.reason == Reason.ALLOWED) == expected
    assert not expected or verdict.rules
    seen = rights.allowed_categories(ENGINE, caller, scope, purpose, action, NOW)
    assert seen.issuperset(labels) == expected, "what is listed is what may be read one by one"
    served = rights.decide_service(ENGINE, caller, scope, action)
    service = ENGINE.decide_service(caller.roles, scope, action).allowed
    also = behalf is None or ENGINE.decide_service(behalf, scope, action).allowed
    assert served.allowed == (service and also and within(limits, scope, "administration", action))


@given(LIMITS)
def test_limits_are_stored_as_they_are(limits):
    assert read_limits(limits.stored()) == limits


def test_limits_of_a_later_version_leave_nothing():
    narrow = read_limits('{"hours": ["9-17"], "roles": ["agent"]}')
    assert narrow is not None
    assert narrow.of_roles(("agent",)) == ()
    assert not narrow.permits("support.conversations", "service", "read", ENGINE.configuration.purposes)
    assert read_limits(None) is None


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
