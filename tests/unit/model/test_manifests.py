import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.cli.folder import manifest_files
from tenure.errors import Malformed, TooLarge
from tenure.model.configuration import Configuration
from tenure.model.documents import read_documents
from tenure.model.manifests import parse_manifests

TEMPLATES = manifest_files(Path(__file__).parents[3] / "policies/templates")

EXAMPLE = """\
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec:
  categories: {personal: {contact: {}, travel: {}}, special: {health: {}}}   # nested = tree
  purposes: {service: {customer-support: {}}, marketing: {}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.conversations}
spec:
  description: what customers and the support agent said
  controller: acme-airlines
  lawfulBasis: {customer-support: contract}
  categories: [contact, travel]
  subjects: required
  jointErasure: any
---
apiVersion: tenure/v1
kind: Role
metadata: {name: support-agent}
spec: {description: answers customers}
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: support-agent-works}
spec:
  roles: [support-agent]
  scopes: ["support.**"]
  categories: ["*"]
  purposes: [customer-support]
  actions: [read, write, list, delete]
  effect: allow
  notAfter: 2027-01-31T00:00:00+01:00
"""


def test_the_example_of_the_handbook_is_read():
    found = parse_manifests(EXAMPLE)
    assert [(each.kind, each.name, each.line) for each in found] == [
        ("Vocabulary", "default", 1),
        ("Scope", "support.conversations", 8),
        ("Role", "support-agent", 19),
        ("Grant", "support-agent-works", 24),
    ]
    assert found[3].canonical()["spec"]["notAfter"] == "2027-01-30T23:00:00.000000Z"
    assert found[1].canonical()["spec"]["lawfulBasis"] == {"customer-support": "contract"}
    Configuration.empty().with_manifests(found)


def test_yaml_json_a_list_and_parsed_values_mean_the_same():
    found = parse_manifests(EXAMPLE)
    values = [each.canonical() for each in found]
    assert parse_manifests(values) == found
    assert parse_manifests(json.dumps(values)) == found
    assert parse_manifests(json.dumps(values).encode()) == found
    assert parse_manifests(yaml.safe_dump(values)) == found
    assert parse_manifests(json.dumps(values[0])) == found[:1]
    assert parse_manifests(values[0]) == found[:1]
    assert parse_manifests("\ufeff".encode() + EXAMPLE.encode()) == found


def test_a_flow_style_yaml_mapping_is_not_taken_for_broken_json():
    (found,) = parse_manifests(
        "{apiVersion: tenure/v1, kind: Role, metadata: {name: a}, spec: {description: b}}"
    )
    assert (found.kind, found.name) == ("Role", "a")


@pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n", b"", "[]", []])
def test_nothing_declared_is_no_manifest(text):
    assert parse_manifests(text) == ()


def test_words_that_yaml_1_1_turns_into_booleans_stay_words():
    text = EXAMPLE.replace("travel: {}", "no: {}").replace("[contact, travel]", "[contact, no]")
    found = Configuration.empty().with_manifests(parse_manifests(text))
    assert "no" in found.categories


def test_an_unset_branch_of_a_tree_is_an_empty_one():
    text = EXAMPLE[: EXAMPLE.index("spec:")] + "spec:\n  purposes: {p: }\n  categories:\n    a:\n    b:\n"
    assert parse_manifests(text)[0].canonical()["spec"]["categories"] == {"a": {}, "b": {}}


def test_a_bare_star_is_a_list_of_one():
    text = EXAMPLE.replace('categories: ["*"]', 'categories: "*"').replace(
        "[read, write, list, delete]", '"*"'
    )
    spec = parse_manifests(text)[3].canonical()["spec"]
    assert (spec["categories"], spec["actions"]) == (["*"], ["*"])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_shipped_template_is_valid_alone(path):
    whole = Configuration.empty().with_manifests(parse_manifests(path.read_bytes()))
    assert whole.grants, "a template without a grant says nothing"
    # What a role that is declared may do is said in the same file.
    assert set(whole.roles) <= {role for spec in whole.grants.values() for role in spec.roles}


def test_the_shipped_templates_can_be_applied_together_in_any_order():
    assert [path.stem for path in TEMPLATES] == [
        "analytics",
        "auditor",
        "break-glass",
        "dpo",
        "marketing",
        "support",
    ]
    for order in (TEMPLATES, TEMPLATES[::-1]):
        whole = Configuration.empty()
        for path in order:
            whole = whole.with_manifests(parse_manifests(path.read_bytes()))
        assert {"support-agent", "newsletter-agent", "analyst-agent", "incident-responder"} <= set(
            whole.roles
        )


def test_too_much_is_refused_before_it_is_read():
    role = {"apiVersion": "tenure/v1", "kind": "Role", "metadata": {"name": "a"}, "spec": {"description": ""}}
    with pytest.raises(TooLarge, match="1 MiB"):
        parse_manifests("#" * (1024 * 1024 + 1))
    with pytest.raises(TooLarge, match="1 MiB"):
        parse_manifests("\N{SNOWMAN}" * (1024 * 400))
    with pytest.raises(TooLarge, match="2000"):
        parse_manifests([role] * 2001)
    assert len(parse_manifests([role] * 2000)) == 2000


@pytest.mark.parametrize("depth", [33, 1000, 200_000])
@pytest.mark.parametrize("kind", ["yaml", "json", "block"])
def test_depth_is_refused_not_followed(depth, kind):
    if kind == "json":
        text = "[" * depth + "]" * depth
    elif kind == "yaml":
        text = "a: " + "[" * depth
    else:
        text = "- " * depth + "x"
    with pytest.raises((TooLarge, Malformed)) as caught:
        parse_manifests(text)
    assert depth != 33 or isinstance(caught.value, TooLarge)


def test_the_deepest_accepted_document_is_as_deep_in_every_form():
    for text in ("[" * 32 + "]" * 32, "# yaml\n" + "[" * 32 + "]" * 32):
        assert len(read_documents(text)) == 1
        with pytest.raises(TooLarge):
            read_documents(text.replace("[]", "[[]]"))


def test_parsed_values_are_held_to_the_same_depth():
    value = {}
    for _ in range(5000):
        value = {"a": value}
    with pytest.raises(TooLarge, match="32 levels"):
        parse_manifests(value)


def test_an_alias_bomb_is_refused_at_its_first_alias():
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    with pytest.raises(Exception, match="Line 2 of the manifests uses an alias"):
        parse_manifests(bomb)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.sampled_from(["no", "on", "~", "1e3", "2026-01-01", "=", "<<"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(["<<", "yes", "1", "null"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.lists(plain, max_size=3))
def test_what_a_standard_yaml_writer_writes_is_read_back(values):
    text = yaml.safe_dump_all(values, explicit_start=True)
    assert [each.value for each in read_documents(text)] == [each for each in values if each is not None]


label = st.text("ab1", min_size=1, max_size=4) | st.sampled_from(["no", "a-b", "null", "1e3", "0x1", "1-2"])

DERIVED = [
    {"onErasure": "shred"},
    {"onErasure": "keep", "ground": "a duty to keep"},
    {"onErasure": "rederive", "webhook": "https://a.example:8443/x?y=z", "withinHours": 720},
    {"onErasure": "rederive", "webhook": "http://localhost/x", "withinHours": 1},
    {"onErasure": "rederive", "webhook": "http://[::1]:8080/x", "withinHours": 1},
]


def test_a_rule_for_derived_data_has_one_spelling():
    def digest(**more):
        spec = {"description": "d", "controller": "c", "categories": ["x1"], "subjects": "none", **more}
        scope = {"apiVersion": "tenure/v1", "kind": "Scope", "metadata": {"name": "xs"}, "spec": spec}
        vocabulary = {"categories": {"x1": {}}, "purposes": {"x2": {}}}
        both = [{**scope, "kind": "Vocabulary", "metadata": {"name": "default"}, "spec": vocabulary}, scope]
        return Configuration.empty().with_manifests(parse_manifests(both)).digest()

    assert digest() == digest(derived={}) == digest(derived={"onErasure": "shred"})
    assert len({digest(derived=rule) for rule in DERIVED}) == len(DERIVED)


EMERGENCY = {
    "breakGlass": {"maxMinutes": 1440, "approverRoles": ["tenant-admin", "dpo"], "reviewWithinHours": 720}
}


@st.composite
def whole_sets(draw):
    words = draw(st.lists(label, min_size=4, max_size=8, unique=True))
    categories = {words[0]: {words[1]: {}}, **{word: {} for word in words[2:]}}
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)
    scope = "x" + ".".join(draw(st.lists(label, min_size=1, max_size=3)))
    joint = draw(st.sampled_from([{}, {"jointErasure": "any"}, {"jointErasure": "all", "ground": "because"}]))
    derived = draw(st.sampled_from([{}, *({"derived": rule} for rule in DERIVED)]))
    return [
        {
            "apiVersion": "tenure/v1",
            "kind": "Vocabulary",
            "metadata": {"name": "default"},
            "spec": {"categories": categories, "purposes": {words[3]: {words[2]: {}}}},
        },
        {
            "apiVersion": "tenure/v1",
            "kind": "Scope",
            "metadata": {"name": scope},
            "spec": {
                "description": draw(text),
                "controller": draw(text),
                "categories": draw(st.lists(st.sampled_from(words), min_size=1, unique=True)),
                "subjects": draw(st.sampled_from(["required", "optional", "none"])),
                **joint,
                **derived,
            },
        },
        {
            "apiVersion": "tenure/v1",
            "kind": "Role",
            "metadata": {"name": "x" + draw(label)},
            "spec": {"description": draw(text), **draw(st.sampled_from([{}, EMERGENCY]))},
        },
        {
            "apiVersion": "tenure/v1",
            "kind": "Grant",
            "metadata": {"name": draw(label)},
            "spec": {
                "roles": ["*"],
                "scopes": draw(st.sampled_from([["**"], [scope], [scope + ".*", scope + ".**"]])),
                "categories": draw(
                    st.just(["*"]) | st.lists(st.sampled_from(words), min_size=1, unique=True)
                ),
                "purposes": [draw(st.sampled_from(words[2:4]))],
                "actions": draw(
                    st.lists(st.sampled_from(["read", "write", "list"]), min_size=1, unique=True)
                ),
                "effect": "deny",
                "notBefore": draw(st.datetimes().filter(lambda at: at.year >= 1970)).isoformat() + "Z",
            },
        },
    ]


@settings(max_examples=50, deadline=None)
@given(whole_sets())
def test_manifests_survive_yaml_json_and_their_canonical_form(values):
    found = parse_manifests(yaml.safe_dump_all(values))
    whole = Configuration.empty().with_manifests(found)
    again = [each.canonical() for each in whole.to_manifests()]
    assert set(whole.to_manifests()) == set(found)
    assert parse_manifests(yaml.safe_dump_all(again)) == whole.to_manifests()
    assert parse_manifests(json.dumps(again)) == whole.to_manifests()
    assert Configuration.empty().with_manifests(parse_manifests(again)).digest() == whole.digest()
