"""What is refused, and that each refusal says where, which rule, and what to do."""

import copy

import pytest

from tenure.errors import Invalid, Malformed
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests

API = "tenure/v1"
GOOD = {
    "vocabulary": {
        "apiVersion": API,
        "kind": "Vocabulary",
        "metadata": {"name": "default"},
        "spec": {
            "categories": {"personal": {"contact": {}}, "special": {}},
            "purposes": {"support": {"chat": {}}, "marketing": {}},
        },
    },
    "scope": {
        "apiVersion": API,
        "kind": "Scope",
        "metadata": {"name": "support.talk"},
        "spec": {
            "description": "d",
            "controller": "c",
            "lawfulBasis": {"support": "contract"},
            "categories": ["contact"],
            "subjects": "required",
        },
    },
    "role": {"apiVersion": API, "kind": "Role", "metadata": {"name": "agent"}, "spec": {"description": "d"}},
    "grant": {
        "apiVersion": API,
        "kind": "Grant",
        "metadata": {"name": "works"},
        "spec": {
            "roles": ["agent"],
            "scopes": ["support.*"],
            "categories": ["contact"],
            "purposes": ["support"],
            "actions": ["read"],
            "effect": "allow",
        },
    },
}
PLACE = {"vocabulary": 0, "scope": 1, "role": 2, "grant": 3}
GONE = object()
DEEP = {"c0": {}}
for _level in range(1, 25):
    DEEP = {f"c{_level}": DEEP}

GLASS = {"maxMinutes": 60, "approverRoles": ["dpo"], "reviewWithinHours": 24}
REDERIVE = {"onErasure": "rederive", "webhook": "https://a.example/again", "withinHours": 72}

# manifest, path to change, new value, field of the error (after manifests[i].), rule
CASES = [
    ("role", "apiVersion", GONE, "apiVersion", "required"),
    ("role", "apiVersion", "tenure/v2", "apiVersion", "api-version"),
    ("role", "apiVersion", 1, "apiVersion", "api-version"),
    ("role", "kind", GONE, "kind", "required"),
    ("role", "kind", "Pod", "kind", "kind"),
    ("role", "kind", "role", "kind", "kind"),
    ("role", "kind", ["Role"], "kind", "kind"),
    ("role", "metadata", GONE, "metadata", "required"),
    ("role", "metadata", "agent", "metadata", "mapping"),
    ("role", "metadata", {}, "metadata.name", "required"),
    ("role", "metadata.labels", {}, "metadata.labels", "unknown-field"),
    ("role", "metadata.name", 7, "metadata.name", "text"),
    ("role", "metadata.name", "", "metadata.name", "name"),
    ("role", "metadata.name", "Agent", "metadata.name", "name"),
    ("role", "metadata.name", "a.b", "metadata.name", "name"),
    ("role", "metadata.name", "-a", "metadata.name", "name"),
    ("role", "metadata.name", "a" * 64, "metadata.name", "name"),
    ("role", "metadata.name", "agent\n", "metadata.name", "name"),
    ("role", "metadata.name", "agé", "metadata.name", "name"),
    ("role", "metadata.name", "dpo", "metadata.name", "reserved"),
    ("role", "metadata.name", "operator", "metadata.name", "reserved"),
    ("role", "status", {}, "status", "unknown-field"),
    ("role", "a b\x00", {}, "?", "unknown-field"),
    ("role", "spec", GONE, "spec", "required"),
    ("role", "spec", [], "spec", "mapping"),
    ("role", "spec.description", GONE, "spec.description", "required"),
    ("role", "spec.description", 5, "spec.description", "text"),
    ("role", "spec.description", "x" * 2001, "spec.description", "size"),
    ("role", "spec.description", "a\x00b", "spec.description", "printable"),
    ("role", "spec.description", "\ud800", "spec.description", "printable"),
    ("role", "spec.permissions", [], "spec.permissions", "unknown-field"),
    ("role", "spec.breakGlass", {}, "spec.breakGlass.maxMinutes", "required"),
    ("role", "spec.break_glass", {}, "spec.break_glass", "unknown-field"),
    ("role", "spec.breakGlass", {**GLASS, "maxMinutes": 0}, "spec.breakGlass.maxMinutes", "minutes"),
    ("role", "spec.breakGlass", {**GLASS, "maxMinutes": 1441}, "spec.breakGlass.maxMinutes", "minutes"),
    ("role", "spec.breakGlass", {**GLASS, "maxMinutes": True}, "spec.breakGlass.maxMinutes", "minutes"),
    (
        "role",
        "spec.breakGlass",
        {**GLASS, "reviewWithinHours": 0.5},
        "spec.breakGlass.reviewWithinHours",
        "hours",
    ),
    ("role", "spec.breakGlass", {**GLASS, "approverRoles": []}, "spec.breakGlass.approverRoles", "not-empty"),
    (
        "role",
        "spec.breakGlass",
        {**GLASS, "approverRoles": ["*"]},
        "spec.breakGlass.approverRoles[0]",
        "name",
    ),
    (
        "role",
        "spec.breakGlass",
        {**GLASS, "approverRoles": ["nobody"]},
        "spec.breakGlass.approverRoles",
        "declared-role",
    ),
    (
        "role",
        "spec.breakGlass",
        {**GLASS, "approverRoles": ["agent"]},
        "spec.breakGlass.approverRoles",
        "own-role",
    ),
    ("vocabulary", "metadata.name", "other", "metadata.name", "one-vocabulary"),
    ("vocabulary", "spec.categories", ["contact"], "spec.categories", "tree"),
    ("vocabulary", "spec.categories", {"a": "b"}, "spec.categories", "tree"),
    ("vocabulary", "spec.categories", {"A": {}}, "spec.categories", "name"),
    ("vocabulary", "spec.categories", {"a": {"b.c": {}}}, "spec.categories", "name"),
    ("vocabulary", "spec.categories", {1: {}}, "spec.categories", "name"),
    ("vocabulary", "spec.categories", {"*": {}}, "spec.categories", "name"),
    ("vocabulary", "spec.categories", {"a": {"b": {}}, "b": {}}, "spec.categories", "unique"),
    ("vocabulary", "spec.categories", {f"c{n}": {} for n in range(1001)}, "spec.categories", "size"),
    ("vocabulary", "spec.categories", DEEP, "spec.categories", "depth"),
    ("vocabulary", "spec.purposes", GONE, "spec.purposes", "required"),
    ("vocabulary", "spec.lawfulBases", [], "spec.lawfulBases", "not-empty"),
    ("scope", "metadata.name", "tenure.ledger", "metadata.name", "reserved"),
    ("scope", "metadata.name", "tenure", "metadata.name", "reserved"),
    ("scope", "metadata.name", "a..b", "metadata.name", "name"),
    ("scope", "metadata.name", "support.*", "metadata.name", "name"),
    ("scope", "metadata.name", ".".join(["a" * 60] * 4), "metadata.name", "name"),
    ("scope", "spec.subjects", GONE, "spec.subjects", "required"),
    ("scope", "spec.subjects", "maybe", "spec.subjects", "choice"),
    ("scope", "spec.categories", [], "spec.categories", "not-empty"),
    ("scope", "spec.categories", "contact", "spec.categories", "list"),
    ("scope", "spec.categories", ["contact", "contact"], "spec.categories", "unique"),
    ("scope", "spec.categories", ["*"], "spec.categories[0]", "name"),
    ("scope", "spec.categories", ["unheard-of"], "spec.categories", "declared-category"),
    ("scope", "spec.lawful_basis", {}, "spec.lawful_basis", "unknown-field"),
    ("scope", "spec.lawfulBasis", ["contract"], "spec.lawfulBasis", "mapping"),
    (
        "scope",
        "spec.lawfulBasis",
        {"unheard-of": "contract"},
        "spec.lawfulBasis.unheard-of",
        "declared-purpose",
    ),
    ("scope", "spec.lawfulBasis", {"support": "whim"}, "spec.lawfulBasis.support", "declared-lawful-basis"),
    ("scope", "spec.jointErasure", "some", "spec.jointErasure", "choice"),
    ("scope", "spec.jointErasure", "all", "spec", "joint-erasure-ground"),
    ("scope", "spec.ground", "because", "spec", "joint-erasure-ground"),
    ("scope", "spec.derived", "keep", "spec.derived", "mapping"),
    ("scope", "spec.derived", {"onErasure": "forget"}, "spec.derived.onErasure", "choice"),
    ("scope", "spec.derived", {"on_erasure": "keep"}, "spec.derived.on_erasure", "unknown-field"),
    ("scope", "spec.derived", {"onErasure": "keep"}, "spec.derived", "derived-ground"),
    ("scope", "spec.derived", {"onErasure": "keep", "ground": " "}, "spec.derived", "derived-ground"),
    ("scope", "spec.derived", {"onErasure": "shred", "ground": "x"}, "spec.derived", "derived-ground"),
    ("scope", "spec.derived", REDERIVE | {"ground": "x"}, "spec.derived", "derived-ground"),
    ("scope", "spec.derived", {"onErasure": "rederive"}, "spec.derived", "derived-webhook"),
    ("scope", "spec.derived", {"onErasure": "rederive", "withinHours": 1}, "spec.derived", "derived-webhook"),
    (
        "scope",
        "spec.derived",
        {"onErasure": "rederive", "webhook": "https://a.example"},
        "spec.derived",
        "derived-webhook",
    ),
    ("scope", "spec.derived", {"webhook": "https://a.example"}, "spec.derived", "derived-webhook"),
    *(
        ("scope", "spec.derived", REDERIVE | {"withinHours": hours}, "spec.derived.withinHours", "hours")
        for hours in (0, 721, 1.5, "72", True, -1)
    ),
    *(
        ("scope", "spec.derived", REDERIVE | {"webhook": webhook}, "spec.derived.webhook", "webhook")
        for webhook in (
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https:///x",
            "http://a.example",
            "http://localhost.a.example",
            "https://user:secret@a.example",
            "https://a.example/#x",
            "https://a.example:99999",
            "https://a.example/x y",
            "https://[::1",
            "https://ä.example",
        )
    ),
    ("scope", "spec.derived", REDERIVE | {"webhook": 3}, "spec.derived.webhook", "text"),
    ("grant", "spec.roles", ["unheard-of"], "spec.roles", "declared-role"),
    ("grant", "spec.roles", [], "spec.roles", "not-empty"),
    ("grant", "spec.roles", ["*"], "spec", "named-roles"),
    ("grant", "spec.roles", ["agent", "*"], "spec.roles", "wildcard-alone"),
    ("grant", "spec.roles", [3], "spec.roles[0]", "text"),
    ("grant", "spec.scopes", ["*"], "spec.scopes[0]", "scope-pattern"),
    ("grant", "spec.scopes", ["support.*.x"], "spec.scopes[0]", "scope-pattern"),
    ("grant", "spec.scopes", ["support.***"], "spec.scopes[0]", "scope-pattern"),
    ("grant", "spec.scopes", [".**"], "spec.scopes[0]", "scope-pattern"),
    ("grant", "spec.scopes", ["sup*"], "spec.scopes[0]", "scope-pattern"),
    ("grant", "spec.scopes", ["tenure.**"], "spec.scopes[0]", "reserved"),
    ("grant", "spec.scopes", ["tenure.ledger"], "spec.scopes[0]", "reserved"),
    ("grant", "spec.scopes", ["support.unheard-of"], "spec.scopes", "declared-scope"),
    ("grant", "spec.categories", ["unheard-of"], "spec.categories", "declared-category"),
    ("grant", "spec.purposes", ["support", "unheard-of"], "spec.purposes", "declared-purpose"),
    ("grant", "spec.purposes", GONE, "spec.purposes", "required"),
    ("grant", "spec.actions", ["shred"], "spec.actions[0]", "action"),
    ("grant", "spec.actions", ["Read"], "spec.actions[0]", "action"),
    ("grant", "spec.effect", "Deny", "spec.effect", "choice"),
    ("grant", "spec.effect", GONE, "spec.effect", "required"),
    ("grant", "spec.notBefore", "2027-01-31", "spec.notBefore", "rfc3339"),
    ("grant", "spec.notBefore", "2027-01-31T00:00:00", "spec.notBefore", "rfc3339"),
    ("grant", "spec.notBefore", "2027-02-30T00:00:00Z", "spec.notBefore", "rfc3339"),
    ("grant", "spec.notBefore", "1969-12-31T23:59:59Z", "spec.notBefore", "rfc3339"),
    ("grant", "spec.notBefore", "1970-01-01T00:00:00+01:00", "spec.notBefore", "rfc3339"),
    ("grant", "spec.notAfter", "9999-12-31T23:59:59-01:00", "spec.notAfter", "rfc3339"),
    ("grant", "spec.notAfter", "20270131T000000Z", "spec.notAfter", "rfc3339"),
    ("grant", "spec.notAfter", 1_800_000_000, "spec.notAfter", "rfc3339"),
    ("grant", "spec.notafter", "2027-01-31T00:00:00Z", "spec.notafter", "unknown-field"),
]


def changed(manifest, path, value):
    whole = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    place = whole[manifest]
    for step in above:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return list(whole.values())


def apply(text):
    return Configuration.empty().with_manifests(parse_manifests(text))


def assert_says_what_to_do(problem):
    assert problem.field
    assert problem.rule
    assert problem.remedy
    assert "Nothing was applied." in problem.detail
    assert len(problem.detail) < 600


def test_the_unchanged_set_is_accepted():
    assert set(apply(list(GOOD.values())).grants) == {"works"}


@pytest.mark.parametrize(("manifest", "path", "value", "field", "rule"), CASES)
def test_a_broken_rule_is_refused_by_name(manifest, path, value, field, rule):
    with pytest.raises(Invalid) as caught:
        apply(changed(manifest, path, value))
    assert (caught.value.field, caught.value.rule) == (f"manifests[{PLACE[manifest]}].{field}", rule)
    assert_says_what_to_do(caught.value)


def test_times_in_the_wrong_order_are_refused():
    whole = copy.deepcopy(GOOD)
    whole["grant"]["spec"] |= {"notBefore": "2027-01-01T00:00:00Z", "notAfter": "2027-01-01T01:00:00+01:00"}
    with pytest.raises(Invalid) as caught:
        apply(list(whole.values()))
    assert caught.value.rule == "time-order"


def test_a_manifest_given_twice_is_refused_unless_it_is_the_same():
    apply([*GOOD.values(), GOOD["role"]])
    other = copy.deepcopy(GOOD["role"])
    other["spec"]["description"] = "something else"
    with pytest.raises(Invalid) as caught:
        apply([*GOOD.values(), other])
    assert (caught.value.field, caught.value.rule) == ("manifests[4].metadata.name", "unique")


def test_grants_that_expand_to_too_many_rules_are_refused():
    roles = [{**GOOD["role"], "metadata": {"name": f"r{n}"}} for n in range(120)]
    wide = copy.deepcopy(GOOD["grant"])
    wide["spec"] |= {
        "roles": [f"r{n}" for n in range(120)],
        "scopes": [f"s{n}.*" for n in range(100)],
    }
    with pytest.raises(Invalid) as caught:
        apply([*GOOD.values(), *roles, {**wide, "metadata": {"name": "wide"}}])
    assert caught.value.rule == "rule-count"


TEXTS = [
    ("a: 1\n\tb: 2\n", "yaml", "line 2"),
    ("a: [1, 2\nb: 3\n", "yaml", "line 2"),
    ("a: 'x", "yaml", "YAML"),
    ("a: \x00", "yaml", "YAML"),
    ("%BAD\n", "yaml", "YAML"),
    (b"\xff\xfe\x00", "encoding", "UTF-8"),
    ("a: &x 1\nb: *x\n", "aliases", "Line 2"),
    ("a:\n  <<: {b: 1}\n", "merge-keys", "Line 2"),
    ("a: 1\nb: 2\na: 3\n", "unique-keys", "Line 3"),
    ('{"a": 1, "a": 2}', "unique-keys", "twice"),
    ("a: !!python/object/apply:os.system [x]\n", "tags", "Line 1"),
    ("a: !x y\n", "tags", "Line 1"),
    ("1: x\n", "text-keys", "Line 1"),
    ("null: x\n", "text-keys", "Line 1"),
    ("? [a]\n: b\n", "text-keys", "Line 1"),
    ('{"a": ' + "9" * 5000 + "}", "required", "apiVersion"),
]


@pytest.mark.parametrize(("text", "rule", "says"), TEXTS)
def test_text_that_is_not_plain_yaml_is_refused(text, rule, says):
    with pytest.raises(Invalid, match=says) as caught:
        parse_manifests(text)
    assert caught.value.rule == rule
    assert_says_what_to_do(caught.value)
    assert isinstance(caught.value, Malformed) == (rule in {"yaml", "encoding"})


@pytest.mark.parametrize("text", ["just words", "3", "true", "- x\n", "'quoted'", [1], [None], [[]]])
def test_a_document_that_is_no_mapping_is_refused(text):
    with pytest.raises(Invalid) as caught:
        parse_manifests(text)
    assert (caught.value.field, caught.value.rule) == ("manifests[0]", "mapping")


def test_a_yaml_error_names_the_line_of_the_field():
    text = (
        "apiVersion: tenure/v1\nkind: Role\nmetadata: {name: a}\nspec: {description: x}\n---\n"
        "apiVersion: tenure/v1\nkind: Scope\nmetadata: {name: a}\nspec:\n  description: x\n  controller: y\n"
        "  categories:\n    - fine\n    - Not Fine\n  subjects: none\n"
    )
    with pytest.raises(Invalid, match="line 14") as caught:
        parse_manifests(text)
    assert caught.value.field == "manifests[1].spec.categories[1]"


def test_a_rule_between_manifests_names_the_line_of_the_name():
    text = (
        "\n\napiVersion: tenure/v1\nkind: Scope\nmetadata: {name: a}\n"
        "spec: {description: x, controller: y, categories: [z], subjects: none}\n"
    )
    with pytest.raises(Invalid, match=r"manifests\[0\]\.spec\.categories \(Scope a, line 6\)"):
        apply(text)


def test_an_error_does_not_repeat_a_value_that_is_not_shaped_like_a_name():
    secret = "Jane Doe, jane@example.com"
    for path, value in (
        ("metadata.name", secret),
        ("kind", secret),
        ("spec.roles", [secret]),
        ("spec.scopes", [secret]),
        ("spec.actions", [secret]),
        (f"spec.{secret.split('.', maxsplit=1)[0]}", 1),
    ):
        with pytest.raises(Invalid) as caught:
            apply(changed("grant", path, value))
        assert "Jane" not in f"{caught.value} {caught.value.field} {caught.value.remedy}"
