import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import casbin
import pytest
from policy_samples import BUILTIN, MODEL, NOW, TENANT, engine, grant, request

from tenure.errors import Invalid
from tenure.ids import CELL, moment, rfc3339
from tenure.model.configuration import Configuration
from tenure.policy.engine import CACHE_SIZE, Engine
from tenure.policy.explain import explain
from tenure.policy.verdicts import Reason, Verdict

MINUTE = 60_000_000


def test_a_grant_allows_what_it_says_and_names_its_rule():
    verdict = engine(grant("works", actions=["read", "write"])).decide(request())
    assert verdict == Verdict(allowed=True, rules=("grant/works#1",), reason=Reason.ALLOWED, expires=None)


@pytest.mark.parametrize(
    "other",
    [
        {"action": "write"},
        {"purpose": "marketing"},
        {"purpose": "service"},
        {"roles": ("trainee",)},
        {"roles": ("dpo", "auditor", "tenant-admin", "operator")},
        {"roles": ("never-declared",)},
    ],
)
def test_what_no_grant_says_is_denied(other):
    assert engine(grant("works")).decide(request(**other)) == Verdict(
        allowed=False, rules=(), reason=Reason.NO_RULE
    )


def test_every_category_of_a_record_must_be_allowed():
    only_contact = engine(grant("works", categories=["contact"]))
    assert only_contact.decide(request(categories=("contact",))).allowed
    assert only_contact.decide(request(categories=("contact", "travel"))).reason is Reason.NO_RULE
    both = engine(grant("works", categories=["contact"]), grant("more", categories=["travel"]))
    verdict = both.decide(request(categories=("contact", "travel")))
    assert verdict.allowed
    assert set(verdict.rules) == {"grant/works#1", "grant/more#1"}


def test_a_deny_on_one_category_denies_the_record():
    mixed = engine(grant("works"), grant("no-health", categories=["special"], effect="deny"))
    assert mixed.decide(request(categories=("contact",))).allowed
    verdict = mixed.decide(request(categories=("contact", "health")))
    assert verdict == Verdict(allowed=False, rules=("grant/no-health#1",), reason=Reason.DENY_RULE)


def test_a_deny_for_one_role_outweighs_an_allow_for_another_in_any_order():
    both = engine(grant("works"), grant("learns", roles=["trainee"], effect="deny"))
    assert both.decide(request(roles=("agent",))).allowed
    for roles in (("agent", "trainee"), ("trainee", "agent")):
        assert both.decide(request(roles=roles)).reason is Reason.DENY_RULE


def test_allows_of_several_roles_add_up():
    split = engine(
        grant("works", categories=["contact"]), grant("learns", roles=["trainee"], categories=["travel"])
    )
    assert not split.decide(request(categories=("contact", "travel"))).allowed
    assert split.decide(request(roles=("agent", "trainee"), categories=("contact", "travel"))).allowed


def test_a_grant_covers_what_is_below_it_and_not_what_is_above():
    one = engine(grant("works", categories=["personal"], purposes=["service"]))
    assert one.decide(request(categories=("travel",))).allowed
    assert one.decide(request(categories=("personal",))).allowed
    narrow = engine(grant("works", categories=["contact"]))
    assert not narrow.decide(request(categories=("personal",))).allowed


def test_a_deny_on_a_leaf_also_denies_the_broader_label():
    one = engine(
        grant("works", purposes=["*"]),
        grant("no-health", categories=["health"], purposes=["quality"], effect="deny"),
    )
    assert one.decide(request(categories=("special",), purpose="quality")).reason is Reason.DENY_RULE
    assert one.decide(request(categories=("special",), purpose="service")).reason is Reason.DENY_RULE
    assert one.decide(request(categories=("special",), purpose="marketing")).allowed
    assert one.decide(request(categories=("personal",), purpose="service")).allowed


def test_a_deny_far_down_a_deep_tree_is_not_lost():
    # Casbin's own role manager stops after ten levels, silently.
    def tree(level):
        return {f"c{level}": tree(level + 1) if level < 23 else {}}

    deep = [
        {
            "apiVersion": "tenure/v1",
            "kind": "Vocabulary",
            "metadata": {"name": "default"},
            "spec": {"categories": tree(0), "purposes": {"service": {}}},
        },
        {
            "apiVersion": "tenure/v1",
            "kind": "Scope",
            "metadata": {"name": "s"},
            "spec": {"description": "", "controller": "", "categories": ["c0"], "subjects": "none"},
        },
        {
            "apiVersion": "tenure/v1",
            "kind": "Role",
            "metadata": {"name": "agent"},
            "spec": {"description": ""},
        },
        grant("all", scopes=["**"], purposes=["*"]),
        grant("not", scopes=["s"], purposes=["*"], categories=["c0"], effect="deny"),
    ]
    from tenure.model.manifests import parse_manifests

    whole = Configuration.empty().with_manifests(parse_manifests(deep))
    one = Engine(whole, tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)
    verdict = one.decide(request(scope="s", categories=("c23",), purpose="service"))
    assert verdict.reason is Reason.DENY_RULE


def test_a_time_limit_opens_closes_and_says_when():
    one = engine(grant("works", notBefore=rfc3339(NOW), notAfter=rfc3339(NOW + MINUTE)))
    before = one.decide(request(now=NOW - 1))
    first = one.decide(request(now=NOW))
    last = one.decide(request(now=NOW + MINUTE - 1))
    after = one.decide(request(now=NOW + MINUTE))
    assert [each.allowed for each in (before, first, last, after)] == [False, True, True, False]
    assert before.expires == moment(NOW)
    assert first.expires == last.expires == moment(NOW + MINUTE)
    assert after.expires is None


def test_the_cache_does_not_outlive_a_time_limit_nor_leak_into_the_past():
    one = engine(grant("works"), grant("freeze", effect="deny", notBefore=rfc3339(NOW + MINUTE)))
    for now, allowed in ((NOW, True), (NOW + MINUTE, False), (NOW, True), (NOW + 2 * MINUTE, False)):
        assert one.decide(request(now=now)).allowed is allowed


def test_expiry_ignores_limits_of_rules_that_could_not_matter():
    later = rfc3339(NOW + MINUTE)
    one = engine(
        grant("works"),
        grant("other-role", roles=["trainee"], notAfter=later),
        grant("other-purpose", purposes=["marketing"], notAfter=later),
    )
    assert one.decide(request()).expires is None
    assert one.decide(request(purpose="marketing")).expires == moment(NOW + MINUTE)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tenant": ""}, Reason.EMPTY_FIELD),
        ({"tenant": CELL}, Reason.WRONG_TENANT),
        ({"tenant": "*"}, Reason.WRONG_TENANT),
        ({"roles": ()}, Reason.EMPTY_FIELD),
        ({"roles": ("",)}, Reason.EMPTY_FIELD),
        ({"roles": ("agent", "")}, Reason.EMPTY_FIELD),
        ({"roles": "agent"}, Reason.MALFORMED),
        ({"roles": ["agent"]}, Reason.FAILURE),
        ({"roles": None}, Reason.FAILURE),
        ({"scope": ""}, Reason.EMPTY_FIELD),
        ({"scope": "support"}, Reason.UNKNOWN_SCOPE),
        ({"scope": "support.**"}, Reason.UNKNOWN_SCOPE),
        ({"scope": "tenure.unheard-of"}, Reason.UNKNOWN_SCOPE),
        ({"scope": None}, Reason.MALFORMED),
        ({"categories": ()}, Reason.EMPTY_FIELD),
        ({"categories": ("contact", "")}, Reason.EMPTY_FIELD),
        ({"categories": ("contact", "unheard-of")}, Reason.UNKNOWN_CATEGORY),
        ({"categories": ("*",)}, Reason.UNKNOWN_CATEGORY),
        ({"categories": "contact"}, Reason.MALFORMED),
        ({"categories": (1,)}, Reason.MALFORMED),
        ({"purpose": ""}, Reason.EMPTY_FIELD),
        ({"purpose": "unheard-of"}, Reason.UNKNOWN_PURPOSE),
        ({"purpose": "*"}, Reason.UNKNOWN_PURPOSE),
        ({"action": ""}, Reason.EMPTY_FIELD),
        ({"action": "shred"}, Reason.UNKNOWN_ACTION),
        ({"action": "*"}, Reason.UNKNOWN_ACTION),
        ({"now": None}, Reason.FAILURE),
        ({"now": 1.5}, Reason.FAILURE),
        ({"now": datetime(2027, 1, 1)}, Reason.MALFORMED),  # noqa: DTZ001
    ],
)
def test_whatever_is_not_a_sound_question_is_denied(fields, reason):
    verdict = engine(grant("works", purposes=["*"], actions=["*"])).decide(request(**fields))
    assert verdict == Verdict(allowed=False, rules=(), reason=reason)


def test_something_that_is_not_a_request_is_denied():
    assert engine().decide(None).reason is Reason.FAILURE


def test_no_rules_at_all_deny_even_a_blank_request():
    bare = Engine(Configuration.empty(), tenant=TENANT, model_text=MODEL, builtin_rules_text="")
    blank = request(roles=("",), scope="", categories=("",), purpose="", action="", now=0)
    assert not bare.decide(blank).allowed
    assert bare.decide(request()).reason is Reason.NO_POLICY


def test_casbin_itself_would_allow_a_blank_request_of_an_empty_policy():
    # The corner that the checks before Casbin are for: if this ever fails, they may be relaxed.
    raw = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    raw.add_function("scopeMatch", lambda *_: True)
    raw.add_function("live", lambda *_: True)
    assert raw.enforce("", "", "", "", "", "", "") is True


def test_a_disabled_enforcer_denies():
    one = engine(grant("works"))
    one.enforcer._casbin.enable_enforce(False)
    assert one.decide(request()).reason is Reason.FAILURE


def test_a_failure_inside_casbin_denies_and_is_not_remembered():
    one = engine(grant("works"))
    whole = one.enforcer._casbin

    class Broken:
        def enforce_ex(self, *_values):
            raise RuntimeError("broken")

    one.enforcer._casbin = Broken()
    assert one.decide(request()) == Verdict(allowed=False, rules=(), reason=Reason.FAILURE)
    assert one.readable(("agent",), "customer-support", "read", now=moment(NOW)).by_scope() == {}
    one.enforcer._casbin = whole
    assert one.decide(request()).allowed


def test_casbin_logs_no_request_whatever_the_process_does_with_logging(caplog):
    one = engine(grant("works"))
    for name in ("casbin", "casbin.enforcer", "casbin.policy", "casbin.role"):
        logging.getLogger(name).disabled = False
    caplog.set_level(logging.DEBUG)
    one.decide(request())
    one.decide(request(action="write"))
    assert caplog.records == []


def test_many_threads_get_the_same_answers():
    one = engine(
        grant("works"),
        grant("no-health", categories=["health"], effect="deny"),
        grant("w", actions=["write"]),
    )
    asked = [
        request(categories=categories, action=action, roles=roles)
        for categories in (("contact",), ("contact", "health"), ("travel",), ("special",))
        for action in ("read", "write", "list")
        for roles in (("agent",), ("trainee",), ("agent", "trainee"))
    ]
    expected = [one.decide(each) for each in asked]
    fresh = engine(
        grant("works"),
        grant("no-health", categories=["health"], effect="deny"),
        grant("w", actions=["write"]),
    )
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fresh.decide, asked * 20)) == expected * 20


def test_the_cache_is_bounded_and_asking_for_nonsense_does_not_grow_casbin():
    one = engine(grant("works"))
    assert one._verdict.cache_parameters()["maxsize"] == CACHE_SIZE
    before = dict(one.enforcer._casbin.rm_map["g2"]._above)
    for number in range(50):
        one.decide(request(categories=(f"x{number}",), roles=(f"r{number}",)))
        one.decide(request(roles=(f"r{number}",)))
    assert one.enforcer._casbin.rm_map["g2"]._above == before


def test_no_grant_of_a_tenant_reaches_the_service():
    wide = {"scopes": ["**"], "categories": ["*"], "purposes": ["*"], "actions": ["*"]}
    one = engine(grant("everything", **wide), grant("nothing", **wide, effect="deny", roles=["*"]))
    assert one.decide_service(("agent",), "tenure.manifests", "write").reason is Reason.NO_RULE
    assert one.decide_service(("tenant-admin",), "tenure.manifests", "write").allowed


def test_a_grant_may_give_a_built_in_role_content_explicitly():
    one = engine(grant("dpo-reads", roles=["dpo"]))
    assert one.decide(request(roles=("dpo",))).allowed
    assert not one.decide(request(roles=("auditor",))).allowed


def test_an_operator_is_one_in_the_cell_only():
    for tenant, allowed in ((CELL, True), (TENANT, False)):
        one = engine(tenant=tenant)
        assert one.decide_service(("operator",), "tenure.tenants", "write").allowed is allowed


def test_service_verdicts_name_the_built_in_rule():
    assert engine().decide_service(("dpo",), "tenure.shreds", "shred").rules == (
        "builtin/dpo-executes-shreds",
    )


def test_readable_gives_the_allowed_categories_of_each_scope():
    one = engine(
        grant("lists", actions=["list"], categories=["personal"]),
        grant(
            "not-travel", actions=["list"], scopes=["support.archive.*"], categories=["travel"], effect="deny"
        ),
    )
    seen = one.readable(("agent",), "customer-support", now=moment(NOW))
    assert seen.allows("support.conversations") == {"personal", "contact", "travel"}
    assert seen.allows("support.archive.old") == {"contact"}
    assert seen.allows("unheard.of") == frozenset()
    assert set(seen.by_scope()) == {"support.conversations", "support.archive.old"}
    assert one.readable(("trainee",), "customer-support", now=moment(NOW)).by_scope() == {}
    assert (
        one.readable(("agent",), "customer-support", now=None).allows("support.conversations") == frozenset()
    )
    for roles, scope, now, some in (
        (("agent",), "support.conversations", moment(NOW), True),
        (("trainee",), "support.conversations", moment(NOW), False),
        (("agent",), "unheard.of", moment(NOW), False),
        (("agent",), "support.conversations", None, False),
        (("agent",), "support.conversations", datetime(2027, 1, 1), False),  # noqa: DTZ001
        (["agent"], "support.conversations", moment(NOW), False),
    ):
        assert one.allows_any(roles, scope, "customer-support", "list", now) is some


@pytest.mark.parametrize(
    "line",
    [
        "cell, operator, tenure.tenants, read",
        "every, operator, tenure.tenants, read, x",
        "cell, agent, tenure.tenants, read, x",
        "tenant, dpo, support.conversations, read, x",
        "tenant, dpo, tenure.**, read, x",
        "tenant, dpo, tenure.ledger, fly, x",
        "tenant, dpo, tenure.ledger, *, x",
        "tenant, dpo, tenure.ledger, read, X y",
    ],
)
def test_a_built_in_rule_that_is_not_understood_stops_the_engine(line):
    with pytest.raises(Invalid, match="Line 2 of the built-in rules") as caught:
        engine(builtin=f"# fine\n{line}\n")
    assert caught.value.remedy


def test_an_engine_needs_a_tenant():
    with pytest.raises(ValueError, match="tenant"):
        engine(tenant="")


def test_engines_are_made_and_explained_in_several_threads_at_once():
    """Python's parser fails when it runs in two at once: an apply beside another tenant's was a 503."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            made = pool.map(lambda n: explain(engine(grant(f"works-{n}")), request()).allowed, range(400))
            assert all(made)
    finally:
        sys.setswitchinterval(before)
