"""The shipped templates, applied together, do what their comments say."""

import pytest
from policy_samples import BUILTIN, MODEL, ROOT, TENANT, request

from tenure.cli.folder import manifest_files
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.policy.engine import Engine

TALKS, FINDINGS, CASES, AUDIENCE = (
    "support.conversations",
    "analytics.findings",
    "privacy.cases",
    "marketing.audience",
)


@pytest.fixture(scope="module")
def whole():
    found = Configuration.empty()
    for path in manifest_files(ROOT / "policies" / "templates"):
        found = found.with_manifests(parse_manifests(path.read_bytes()))
    return Engine(found, tenant=TENANT, model_text=MODEL, builtin_rules_text=BUILTIN)


@pytest.mark.parametrize(
    ("roles", "purpose", "action", "scope", "labels", "allowed"),
    [
        ("support-agent", "customer-support", "write", TALKS, "contact,health", True),
        ("support-agent", "newsletter", "read", TALKS, "contact", False),
        ("support-lead", "quality", "read", TALKS, "contact", True),
        ("support-lead", "quality", "read", TALKS, "contact,health", False),
        ("support-lead", "quality", "write", TALKS, "contact", False),
        ("newsletter-agent", "newsletter", "read", AUDIENCE, "contact", True),
        ("newsletter-agent", "newsletter", "write", AUDIENCE, "contact", False),
        ("newsletter-agent", "newsletter", "read", TALKS, "contact", False),
        ("analyst-agent", "analytics", "read", TALKS, "travel", True),
        ("analyst-agent", "analytics", "read", TALKS, "contact,travel", False),
        ("analyst-agent", "analytics", "read", TALKS, "personal", False),
        ("analyst-agent", "analytics", "write", FINDINGS, "travel", True),
        ("analyst-agent", "analytics", "write", TALKS, "travel", False),
        ("analyst-agent,support-agent", "analytics", "read", TALKS, "contact", False),
        ("dpo", "data-protection", "read", TALKS, "contact,health", True),
        ("dpo", "customer-support", "read", TALKS, "contact", False),
        ("dpo", "data-protection", "write", TALKS, "contact", False),
        ("dpo", "data-protection", "write", CASES, "contact", True),
        ("auditor", "customer-support", "read", TALKS, "contact", False),
        ("auditor,support-agent", "customer-support", "read", TALKS, "contact", False),
        ("auditor,dpo", "data-protection", "read", TALKS, "contact", False),
        ("incident-responder", "emergency", "read", TALKS, "health", True),
        ("incident-responder", "emergency", "write", TALKS, "health", False),
        ("incident-responder,support-agent", "emergency", "delete", TALKS, "contact", False),
        ("incident-responder", "customer-support", "read", TALKS, "contact", False),
        ("incident-responder", "emergency", "read", AUDIENCE, "contact", False),
        ("tenant-admin,operator", "customer-support", "read", TALKS, "contact", False),
    ],
)
def test_a_role_may_do_what_its_template_says(whole, roles, purpose, action, scope, labels, allowed):
    asked = request(
        roles=tuple(roles.split(",")),
        purpose=purpose,
        action=action,
        scope=scope,
        categories=tuple(labels.split(",")),
    )
    assert whole.decide(asked).allowed is allowed
