import hashlib
import json

import pytest

from tenure.errors import Invalid, NotFound
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests

BASE = """
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec:
  categories: {personal: {contact: {}, travel: {}}, special: {health: {}}}
  purposes: {service: {customer-support: {}}, marketing: {}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: talk}
spec:
  description: d
  controller: c
  categories: [personal]
  subjects: required
  lawfulBasis: {service: contract}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: know}
spec: {description: d, controller: c, categories: [travel], subjects: none}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: agent}
spec: {description: d}
"""


def base():
    return Configuration.empty().with_manifests(parse_manifests(BASE))


def manifest(kind, name, **spec):
    return parse_manifests(
        {"apiVersion": "tenure/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )


def test_nothing_is_declared_in_an_empty_configuration():
    empty = Configuration.empty()
    assert empty.to_manifests() == ()
    assert not empty.scopes
    assert len(empty.categories) == 0
    with pytest.raises(NotFound):
        empty.check_labels("talk", ["contact"], 1, "service")


def test_applying_the_same_again_changes_nothing():
    one = base()
    assert one.with_manifests(parse_manifests(BASE)) == one
    assert {change for *_, change in one.diff(one.with_manifests(parse_manifests(BASE)))} == {"unchanged"}


def test_a_diff_says_what_becomes_of_each_manifest():
    one = base()
    other = one.with_manifests(
        (*manifest("Role", "agent", description="other"), *manifest("Role", "new", description="d"))
    )
    assert one.diff(other) == [
        ("Role", "agent", "changed"),
        ("Role", "new", "created"),
        ("Scope", "know", "unchanged"),
        ("Scope", "talk", "unchanged"),
        ("Vocabulary", "default", "unchanged"),
    ]
    assert other.diff(one)[1] == ("Role", "new", "removed")


def test_a_refused_apply_leaves_the_configuration_as_it_was():
    one = base()
    before = one.digest()
    with pytest.raises(Invalid):
        one.with_manifests(
            manifest("Scope", "x", description="", controller="", categories=["no"], subjects="none")
        )
    assert one.digest() == before
    assert "x" not in one.scopes


def test_a_change_that_breaks_something_declared_before_names_that():
    smaller = manifest("Vocabulary", "default", categories={"personal": {}}, purposes={"service": {}})
    with pytest.raises(Invalid) as caught:
        base().with_manifests(smaller)
    assert caught.value.field == "Scope/know.spec.categories"
    assert caught.value.rule == "declared-category"


def test_lawful_bases_may_be_the_vocabularys_own():
    own = {"categories": {"personal": {}, "travel": {}}, "purposes": {"service": {}}}
    with pytest.raises(Invalid) as caught:
        base().with_manifests(manifest("Vocabulary", "default", **own, lawfulBases=["works-agreement"]))
    assert caught.value.field == "Scope/talk.spec.lawfulBasis.service"


def test_the_digest_is_that_of_the_canonical_json():
    one = base()
    text = json.dumps(
        [each.canonical() for each in one.to_manifests()], sort_keys=True, separators=(",", ":")
    )
    assert one.digest() == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("scope", "categories", "subjects", "purpose"),
    [
        ("talk", ["contact"], 1, "service"),
        ("talk", ["contact", "travel", "personal"], 3, "customer-support"),
        ("know", ["travel"], 0, "marketing"),
    ],
)
def test_labels_that_fit_the_scope_are_accepted(scope, categories, subjects, purpose):
    base().check_labels(scope, categories, subjects, purpose)


@pytest.mark.parametrize(
    ("scope", "categories", "subjects", "purpose", "field", "rule"),
    [
        ("talk", [], 1, "service", "categories", "category-given"),
        ("talk", ["unheard-of"], 1, "service", "categories", "declared-category"),
        ("talk", ["contact", "health"], 1, "service", "categories", "scope-category"),
        ("know", ["personal"], 0, "service", "categories", "scope-category"),
        ("talk", ["contact"], 0, "service", "subjects", "subjects-required"),
        ("know", ["travel"], 1, "service", "subjects", "subjects-none"),
        ("talk", ["contact"], 1, "unheard-of", "purpose", "declared-purpose"),
        ("talk", ["contact"], 1, "", "purpose", "declared-purpose"),
        ("talk", ["contact"], 1, "marketing", "purpose", "lawful-basis"),
    ],
)
def test_labels_that_do_not_fit_are_refused(scope, categories, subjects, purpose, field, rule):
    with pytest.raises(Invalid) as caught:
        base().check_labels(scope, categories, subjects, purpose)
    assert (caught.value.field, caught.value.rule) == (field, rule)
    assert f"`{scope}`" in caught.value.detail
    assert "Nothing was written." in caught.value.detail
    assert caught.value.remedy


@pytest.mark.parametrize("scope", ["unheard.of", "", "tenure.ledger", "talk.*", "a person's name"])
def test_an_undeclared_scope_is_not_found(scope):
    with pytest.raises(NotFound) as caught:
        base().check_labels(scope, ["contact"], 1, "service")
    assert caught.value.field == "scope"
    assert "person's" not in caught.value.detail


def test_a_tenant_never_has_more_manifests_than_can_be_read_back():
    roles = [
        {
            "apiVersion": "tenure/v1",
            "kind": "Role",
            "metadata": {"name": f"r{n}"},
            "spec": {"description": ""},
        }
        for n in range(2001)
    ]
    one = Configuration.empty().with_manifests(parse_manifests(roles[:2000]))
    assert parse_manifests(one.canonical()) == one.to_manifests()
    with pytest.raises(Invalid, match="2000"):
        one.with_manifests(parse_manifests(roles[2000:]))
