"""Rules as Casbin reads them: from the tenant's grants and from the built-in file.

A grant is one readable sentence; Casbin wants one row for each combination of its lists. Row k of grant
`g` is `grant/g#k`, k from 1, in the order of the grant's canonical (sorted) lists, so a rule id in the
ledger can be looked up again in the bundle of its digest.
"""

import csv
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from tenure.errors import Invalid
from tenure.ids import CELL
from tenure.model import names
from tenure.model.configuration import Configuration

_COLUMNS = 5


class Rule(NamedTuple):
    """One row as Casbin takes it, its fields in the order of the model's `policy_definition`."""

    tenant: str
    role: str
    scope: str
    category: str
    purpose: str
    action: str
    effect: str
    name: str
    not_before: int | None = None
    not_after: int | None = None


def grant_rules(configuration: Configuration, tenant: str) -> Iterator[Rule]:
    """Expand every grant of the configuration."""
    for name, grant in configuration.grants.items():
        rows = product(grant.roles, grant.scopes, grant.categories, grant.purposes, grant.actions)
        for number, (role, scope, category, purpose, action) in enumerate(rows, start=1):
            rule_id = f"grant/{name}#{number}"
            limits = (grant.not_before, grant.not_after)
            yield Rule(tenant, role, scope, category, purpose, action, grant.effect, rule_id, *limits)


def builtin_rules(text: str, tenant: str) -> Iterator[Rule]:
    """Read `policies/builtin.csv`. Raises `Invalid` for a row that is not one of its forms.

    Strict, because this file gives power over the service: an unknown word is refused, not skipped.
    """
    for where, role, scope, action, name in _builtin_rows(text):
        yield Rule(
            CELL if where == "cell" else tenant,
            role,
            scope,
            names.SERVICE_CATEGORY,
            names.SERVICE_PURPOSE,
            action,
            "allow",
            f"builtin/{name}",
        )


@lru_cache(maxsize=2)
def _builtin_rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Where, role, scope, action, name of each row. One file for all tenants: it is read once."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = tuple(part.strip() for part in next(csv.reader([line])))
        if len(row) != _COLUMNS:
            raise _bad_row(number, f"it has {len(row)} columns, not {_COLUMNS}")
        where, role, scope, action, name = row
        if where not in {"cell", "tenant"}:
            raise _bad_row(number, "its first column is neither `cell` nor `tenant`")
        if role not in names.BUILTIN_ROLES:
            raise _bad_row(number, "its role is not built in")
        if not names.is_scope(scope) or not names.is_reserved_scope(scope):
            raise _bad_row(number, "its scope is not one under `tenure`")
        if action not in names.SERVICE_ACTIONS:
            raise _bad_row(number, "its action is not a service action")
        if not names.is_label(name):
            raise _bad_row(number, "its last column is not a name")
        rows.append(row)
    return tuple(rows)


def _bad_row(number: int, what: str) -> Invalid:
    return Invalid(
        f"Line {number} of the built-in rules cannot be used: {what}. No engine was built. "
        "Restore the shipped file.",
        field="builtin.csv",
        rule="builtin-rules",
        remedy="Restore the shipped policies/builtin.csv.",
    )
