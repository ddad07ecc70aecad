"""Traps that policy engines are known to fall into, each as a question with one right answer."""

import pytest
from policy_samples import BUILTIN, MODEL, NOW, TENANT, configuration, engine, grant, request

from tenure.errors import Invalid
from tenure.ids import moment, rfc3339
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.scope_rules import is_scope_pattern, scope_match
from tenure.policy.bundle import bundle, load_bundle
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Reason

SCOPE = "support.conversations"

# ── names that look like others ───────────────────────────────────────────────────────────────────
LOOKALIKES = {
    "Cyrillic o": "supp\u043ert.conversations",
    "full-width letter": "\uff53upport.conversations",
    "full-width dot": "support\uff0econversations",
    "one dot leader": "support\u2024conversations",
    "ideographic dot": "support\u3002conversations",
    "zero-width space": "support.\u200bconversations",
    "zero-width joiner": "support.conver\u200dsations",
    "soft hyphen": "sup\u00adport.conversations",
    "combining mark": "support.conversations\u0301",
    "long s, an s under NFKC": "\u017fupport.conversations",
    "upper case": "Support.Conversations",
    "trailing newline": "support.conversations\n",
    "trailing space": "support.conversations ",
    "null byte": "support.conversations\0",
}


@pytest.mark.parametrize("name", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_name_that_looks_like_a_scope_is_not_that_scope(name):
    wide = engine(grant("all", scopes=["**"], categories=["*"], purposes=["*"], actions=["*"]))
    assert wide.decide(request()).allowed
    assert wide.decide(request(scope=name)).reason is Reason.UNKNOWN_SCOPE
    assert wide.allowed_categories(("agent",), name, "customer-support", "read", moment(NOW)) == frozenset()
    assert not scope_match(name, SCOPE)
    assert not scope_match(SCOPE, name)
    assert not is_scope_pattern(name)
    assert not is_scope_pattern(f"{name}.**")


@pytest.mark.parametrize("name", LOOKALIKES.values(), ids=LOOKALIKES)
def test_no_manifest_declares_or_grants_a_look_alike(name):
    scope = {"description": "", "controller": "", "categories": ["contact"], "subjects": "none"}
    for kind, spec in (("Scope", scope), ("Role", {"description": ""})):
        given = {"apiVersion": "tenure/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        with pytest.raises(Invalid) as refused:
            parse_manifests([given])
        assert refused.value.field == "manifests[0].metadata.name"
        assert name.isascii() or name not in str(refused.value), "what may mislead is not repeated"
    for field in ("scopes", "categories", "purposes", "roles", "actions"):
        with pytest.raises(Invalid) as refused:
            parse_manifests([grant("g", **{field: [name]})])
        assert refused.value.field == f"manifests[0].spec.{field}[0]"


@pytest.mark.parametrize("name", ["cont\u0430ct", "\uff43ontact", "contact\u200b", "conta\u0441t", "Contact"])
def test_a_category_or_purpose_or_role_that_looks_like_another_is_unknown(name):
    wide = engine(grant("all", categories=["*"], purposes=["*"]))
    assert wide.decide(request(categories=(name,))).reason is Reason.UNKNOWN_CATEGORY
    assert wide.decide(request(purpose=name)).reason is Reason.UNKNOWN_PURPOSE
    assert not wide.decide(request(roles=(name,))).allowed
    with pytest.raises(Invalid):
        configuration(grant("g", categories=[name]))


# ── `**` at odd places ────────────────────────────────────────────────────────────────────────────
ODD = (
    "a.**.b",
    "***",
    "**.",
    ".**",
    "a.**b",
    "a.b**",
    "**.a",
    "**.**",
    "a.*.**",
    "a.**.*",
    "a.**.**",
    "a..**",
    "*",
    "*.a",
    "a*",
    "a.*b",
    "a.*.b",
    "a.",
    ".a",
    ".",
    "..",
    "",
    " **",
    "** ",
    "a.** ",
    "\uff0a\uff0a",
    "a.*\u200b*",
)


@pytest.mark.parametrize("pattern", ODD)
def test_a_star_at_an_odd_place_is_refused_and_would_reach_nothing(pattern):
    assert not is_scope_pattern(pattern)
    with pytest.raises(Invalid) as refused:
        parse_manifests([grant("g", scopes=[pattern])])
    assert refused.value.field == "manifests[0].spec.scopes[0]"
    assert refused.value.remedy
    for scope in ("a", "a.b", "a.x.b", "a.b.c", "b.a", "ab", "a.xb"):
        assert not scope_match(scope, pattern)


def test_what_a_star_reaches_ends_at_a_dot():
    assert [scope_match(scope, "a.**") for scope in ("a", "ab", "ab.c", "a.b", "a.b.c")] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert [scope_match(scope, "a.*") for scope in ("a", "ab", "a.b", "a.b.c")] == [False, False, True, False]
    assert not any(scope_match("tenure.ledger", pattern) for pattern in ("**", "*", "t.**", "tenur.**"))


# ── empty policies ────────────────────────────────────────────────────────────────────────────────
def test_a_tenant_that_declared_nothing_allows_nothing():
    bare = Engine(Configuration.empty(), tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)
    assert bare.decide(request()).reason is Reason.UNKNOWN_SCOPE
    assert bare.readable(("agent", "dpo"), "customer-support", now=moment(NOW)).by_scope() == {}


def test_scopes_and_roles_without_a_grant_allow_nothing():
    bare = engine()
    for action in ("read", "write", "list", "delete"):
        for roles in (("agent",), ("dpo", "tenant-admin", "operator", "auditor")):
            assert bare.decide(request(roles=roles, action=action)).reason is Reason.NO_RULE


def test_denies_alone_allow_nothing():
    one = engine(grant("no", roles=["trainee"], effect="deny"))
    assert one.decide(request(roles=("agent",))).reason is Reason.NO_RULE
    assert one.decide(request(roles=("trainee",))).reason is Reason.DENY_RULE


# ── denies ────────────────────────────────────────────────────────────────────────────────────────
def test_a_deny_survives_being_stored_and_loaded_with_all_that_limits_it():
    limited = {"notBefore": rfc3339(NOW), "notAfter": rfc3339(NOW + 10)}
    first = configuration(grant("all", categories=["*"]), grant("no", effect="deny", **limited))
    packed = bundle(first, MODEL, BUILTIN)
    for again in (load_bundle(packed.data).engine(TENANT), load_bundle(packed.data).engine(TENANT)):
        answers = [again.decide(request(now=now)).reason for now in (NOW - 1, NOW, NOW + 9, NOW + 10)]
        assert answers == [Reason.ALLOWED, Reason.DENY_RULE, Reason.DENY_RULE, Reason.ALLOWED]


def test_a_deny_at_the_bottom_of_a_deep_tree_reaches_the_top_and_no_neighbour():
    def tree(level):
        return {f"c{level}": {**(tree(level + 1) if level < 22 else {}), f"side{level}": {}}}

    manifests = [
        {
            "apiVersion": "tenure/v1",
            "kind": "Vocabulary",
            "metadata": {"name": "default"},
            "spec": {"categories": tree(0), "purposes": {"customer-support": {}}},
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
        grant("all", scopes=["**"]),
        grant("not", scopes=["s"], categories=["c22"], effect="deny"),
    ]
    whole = Configuration.empty().with_manifests(parse_manifests(manifests))
    one = Engine(whole, tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)
    allowed = one.allowed_categories(("agent",), "s", "customer-support", "read", moment(NOW))
    assert allowed == {f"side{level}" for level in range(22)}, "what is below the denied one goes with it"


# ── very many roles ───────────────────────────────────────────────────────────────────────────────
MANY = 1_500


def test_one_deny_among_very_many_roles_is_not_lost():
    names = [f"r{number}" for number in range(MANY)]
    roles = [
        {"apiVersion": "tenure/v1", "kind": "Role", "metadata": {"name": name}, "spec": {"description": ""}}
        for name in names
    ]
    manifests = [
        *roles,
        grant("some", roles=names[:900], actions=["read"]),
        grant("last", roles=[names[-1]], effect="deny"),
    ]
    whole = configuration().with_manifests(parse_manifests(manifests))
    one = Engine(whole, tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)
    assert one.decide(request(roles=tuple(names[:-1]))).allowed
    assert one.decide(request(roles=tuple(names))).rules == ("grant/last#1",)
    assert one.decide(request(roles=tuple(reversed(names)))).reason is Reason.DENY_RULE
    assert one.decide(request(roles=(names[899],))).allowed
    assert one.decide(request(roles=(names[900],))).reason is Reason.NO_RULE


# ── rules that are left out before Casbin is asked ────────────────────────────────────────────────
def test_only_rules_that_could_match_are_judged_and_all_that_could_are():
    one = engine(
        grant("a", roles=["agent", "trainee"], actions=["read", "write"]),
        grant("b", scopes=["**"], actions=["*"]),
        grant("c", roles=["*"], categories=["health"], purposes=["marketing"], effect="deny"),
        grant("d", scopes=["support.*"], notAfter=rfc3339(NOW)),
    )
    found = one.enforcer.candidates(one.values(request(), "contact"))
    assert [one.rules[place].name for place in found] == ["grant/a#1", "grant/b#1", "grant/c#1", "grant/d#1"]


def test_with_another_model_no_rule_is_left_out_that_it_might_match():
    """Bundles hold their model: an old one may judge roles, scopes and actions otherwise."""
    other = MODEL.replace('(p.act == "*" || r.act == p.act)', 'r.act != ""').replace(
        "scopeMatch(r.scope, p.scope)", 'r.scope != ""'
    )
    assert other.count('!= ""') == 2
    one = engine(grant("a", scopes=["support.archive.old"], actions=["write"]), model=other)
    assert one.decide(request(scope=SCOPE, action="read")).allowed
    assert not engine(grant("a", scopes=["support.archive.old"])).decide(request()).allowed
