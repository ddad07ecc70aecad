"""The whole table of what built-in roles may do, kept as a file that an auditor can read.

To write it anew after a deliberate change of policies/builtin.csv:

    TENURE_REWRITE_GOLDEN=1 .venv/bin/pytest tests/unit/policy/test_builtin_roles.py
"""

import os

from policy_samples import TENANT, VECTORS, engine, request

from tenure.ids import CELL
from tenure.model.names import BUILTIN_ROLES, CONTENT_ACTIONS, SERVICE_ACTIONS

GOLDEN = VECTORS / "builtin-roles.txt"
SCOPES = (
    "tenure.tenants",
    "tenure.rootstore",
    "tenure.jobs",
    "tenure.lifecycle",
    "tenure.storage",
    "tenure.principals",
    "tenure.manifests",
    "tenure.subjects",
    "tenure.shreds",
    "tenure.holds",
    "tenure.rederivations",
    "tenure.requests",
    "tenure.cases",
    "tenure.notices",
    "tenure.retrievals",
    "tenure.certificates",
    "tenure.ledger",
    "tenure.decisions",
    "tenure.policy",
    "tenure.evidence",
    "tenure.register",
    "tenure.breakglass",
)


def table():
    lines = ["What the built-in roles may do by themselves: yes, or - for denied."]
    for title, tenant in (("in a tenant", TENANT), ("in the cell", CELL)):
        one = engine(tenant=tenant)
        assert one.service_scopes == set(SCOPES)
        for role in BUILTIN_ROLES:
            lines += ["", f"{role}, {title}", _row("", SERVICE_ACTIONS)]
            for scope in SCOPES:
                answers = [one.decide_service((role,), scope, action).allowed for action in SERVICE_ACTIONS]
                lines.append(_row(scope, ["yes" if each else "-" for each in answers]))
    one = engine()
    lines += ["", "every built-in role, content of a tenant", _row("", CONTENT_ACTIONS)]
    for scope in one.configuration.scopes:
        answers = [
            one.decide(request(roles=BUILTIN_ROLES, scope=scope, action=action)).allowed
            for action in CONTENT_ACTIONS
        ]
        lines.append(_row(scope, ["yes" if each else "-" for each in answers]))
    return "\n".join(lines) + "\n"


def _row(first, cells):
    return (f"  {first:24}" + "".join(f"{cell:9}" for cell in cells)).rstrip()


def test_the_built_in_roles_do_exactly_what_the_golden_file_says():
    found = table()
    if os.environ.get("TENURE_REWRITE_GOLDEN"):
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8"), (
        "Built-in roles changed. If that is meant, write the file anew (see the top of this test), "
        "and review it."
    )
