"""The register of processing from manifests alone: what they say, and what they leave open."""

from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.model.register import declared
from tenure.rendering.register import _cell

MANIFESTS = """
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec: {categories: {personal: {contact: {}}, health: {}}, purposes: {service: {support: {}}, marketing: {}}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: talks.web}
spec:
  description: Talks on the web
  controller: Acme Ltd
  processor: Cloud Ltd
  lawfulBasis: {support: contract}
  categories: [personal]
  subjects: required
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: notes}
spec: {description: Notes, controller: Acme Ltd, categories: [health], subjects: none}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: clerk}
spec: {description: Answers people}
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: work}
spec:
  roles: [clerk]
  scopes: ["talks.**"]
  categories: ["*"]
  purposes: [service]
  actions: [read]
  effect: allow
---
apiVersion: tenure/v1
kind: Grant
metadata: {name: never}
spec:
  {roles: ["*"], scopes: ["**"], categories: ["*"], purposes: [marketing], actions: ["*"], effect: deny}
---
apiVersion: tenure/v1
kind: Retention
metadata: {name: short}
spec: {scopes: ["talks.*"], categories: [personal], deleteAfter: 30d}
---
apiVersion: tenure/v1
kind: Retention
metadata: {name: tiers}
spec: {scopes: [notes], categories: ["*"], hotFor: 30d}
"""


def test_who_answers_for_it_is_what_the_controller_manifest_says() -> None:
    spec = {
        "name": "Acme Ltd",
        "contact": "privacy@acme.example",
        "dataProtectionOfficer": "dpo@acme.example",
    }
    manifest = {
        "apiVersion": "tenure/v1",
        "kind": "Controller",
        "metadata": {"name": "default"},
        "spec": spec,
    }
    found = declared(Configuration.empty().with_manifests(parse_manifests([manifest])))
    assert found["controller"] == {
        "name": "Acme Ltd",
        "contact": "privacy@acme.example",
        "representative": None,
        "data_protection_officer": "dpo@acme.example",
    }
    missing = " ".join(found["not_declared"])
    assert "representative" in missing
    assert "data protection officer" not in missing


def test_every_letter_has_what_the_manifests_say() -> None:
    found = declared(Configuration.empty().with_manifests(parse_manifests(MANIFESTS)))
    assert found["controllers"] == [
        {
            "controller": "Acme Ltd",
            "processors": ["Cloud Ltd"],
            "scopes": ["notes", "talks.web"],
            "contact": None,
        }
    ]
    purposes = {
        one["purpose"]: (one["within"], one["scopes"], one["lawful_bases"]) for one in found["purposes"]
    }
    assert purposes == {
        "service": (None, ["talks.web"], {"talks.web": None}),
        "support": ("service", ["talks.web"], {"talks.web": "contract"}),
        "marketing": (None, [], {}),
    }
    categories = {one["category"]: one["scopes"] for one in found["categories"]}
    assert categories == {"personal": ["talks.web"], "contact": ["talks.web"], "health": ["notes"]}
    notes, talks = found["scopes"]
    assert (notes["about"], talks["about"]) == ("no record is about people", "every record is about people")
    assert (notes["roles"], talks["roles"], talks["retention"]) == ([], ["clerk"], ["short"])
    assert [len(one["may"]) for one in found["internal"]] == [2]
    says = " ".join(found["erasure"][0]["says"])
    assert "Deleted after 30d, or up to 31 days later, with what was written about the same time." in says
    missing = " ".join(found["not_declared"])
    assert "When health in notes is erased" in missing
    assert "in talks.web is erased" not in missing
    assert "lawful basis of processing in notes" in missing
    assert "lawful basis of processing in talks.web" not in missing
    assert "lawful basis of service in talks.web" in missing


def test_the_ground_of_one_scope_is_none_of_another() -> None:
    both = MANIFESTS.replace("""scopes: ["talks.**"]""", """scopes: ["**"]""")
    found = declared(Configuration.empty().with_manifests(parse_manifests(both)))
    support = next(one for one in found["purposes"] if one["purpose"] == "support")
    assert support["scopes"] == ["notes", "talks.web"]
    assert support["lawful_bases"] == {"notes": None, "talks.web": "contract"}
    assert _cell("lawful_bases", support["lawful_bases"]) == "notes: not declared; talks.web: contract"
    assert "lawful basis of processing in notes" in " ".join(found["not_declared"])


def test_nothing_declared_is_said_to_be_nothing() -> None:
    found = declared(Configuration.empty())
    assert found["scopes"] == found["recipients"] == []
    assert found["transfers"] is None
    assert any("no scope is declared" in one for one in found["not_declared"])
