"""Shared by the policy tests: the shipped files and a small tenant."""

from pathlib import Path

from tenure.ids import moment
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Request

ROOT = Path(__file__).parents[3]
MODEL = (ROOT / "policies/model.conf").read_text("utf-8")
BUILTIN = (ROOT / "policies/builtin.csv").read_text("utf-8")
VECTORS = ROOT / "tests/vectors/policy"
TENANT = "0198c0de-0000-7000-8000-000000000001"
NOW = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z

VOCABULARY = """
apiVersion: tenure/v1
kind: Vocabulary
metadata: {name: default}
spec:
  categories: {personal: {contact: {}, travel: {}}, special: {health: {}}}
  purposes: {service: {customer-support: {}, quality: {}}, marketing: {}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.conversations}
spec:
  description: what was said
  controller: acme-airlines
  lawfulBasis: {service: contract}
  categories: [contact, travel, health]
  subjects: required
---
apiVersion: tenure/v1
kind: Scope
metadata: {name: support.archive.old}
spec: {description: older, controller: acme, categories: [personal], subjects: optional}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: agent}
spec: {description: works}
---
apiVersion: tenure/v1
kind: Role
metadata: {name: trainee}
spec: {description: learns}
"""


def grant(name, **spec):
    whole = {
        "roles": ["agent"],
        "scopes": ["support.**"],
        "categories": ["*"],
        "purposes": ["customer-support"],
        "actions": ["read"],
        "effect": "allow",
        **spec,
    }
    return {"apiVersion": "tenure/v1", "kind": "Grant", "metadata": {"name": name}, "spec": whole}


def configuration(*grants):
    base = Configuration.empty().with_manifests(parse_manifests(VOCABULARY))
    return base.with_manifests(parse_manifests(list(grants)))


def engine(*grants, tenant=TENANT, model=MODEL, builtin=BUILTIN):
    return Engine(configuration(*grants), tenant=tenant, model_text=model, builtin_rules_text=builtin)


def request(**fields):
    whole = {
        "tenant": TENANT,
        "roles": ("agent",),
        "scope": "support.conversations",
        "categories": ("contact",),
        "purpose": "customer-support",
        "action": "read",
        "now": NOW,
        **fields,
    }
    if type(whole["now"]) is int:
        whole["now"] = moment(whole["now"])
    return Request(**whole)
