"""The rules between manifests: whatever one names, another declares.

One function per kind, each raising the first broken rule as `Invalid`.
"""

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING

from tenure.model.manifests import COUNT_MAX, Manifest, field_path, invalid
from tenure.model.names import ANY, BUILTIN_ROLES, shown
from tenure.model.scope_rules import is_exact
from tenure.model.specs import GrantSpec, RoleSpec, ScopeSpec

if TYPE_CHECKING:
    from tenure.model.configuration import Configuration

RULES_MAX = 10_000
"""Casbin reads every rule for every uncached decision, at some 10 µs a rule."""


def check(whole: "Configuration", places: Mapping[tuple[str, str], str]) -> None:
    """Check the whole set. `places` says how to name each manifest in an error."""
    if len(whole.manifests) > COUNT_MAX:
        # What is stored is read back through the same limit as what is applied.
        raise invalid(
            "manifests",
            f"the tenant would have more than {COUNT_MAX} manifests",
            rule="count",
            remedy="Use patterns and lists instead of many alike.",
        )
    rules = 0
    for key, manifest in whole.manifests.items():
        if isinstance(manifest.spec, ScopeSpec):
            _scope(whole, manifest, manifest.spec, places[key])
        elif isinstance(manifest.spec, RoleSpec):
            _role(whole, manifest, manifest.spec, places[key])
        elif isinstance(manifest.spec, GrantSpec):
            _grant(whole, manifest, manifest.spec, places[key])
            rules += size(manifest.spec)
            if rules > RULES_MAX:
                raise invalid(
                    f"{places[key]}.spec",
                    f"the grants make more than {RULES_MAX} rules together",
                    rule="rule-count",
                    remedy="Use patterns and `*` instead of long lists.",
                    line=manifest.line,
                    owner=f"Grant {manifest.name}",
                )


def size(grant: GrantSpec) -> int:
    """How many rules a grant expands to."""
    found = len(grant.roles) * len(grant.scopes) * len(grant.categories)
    return found * len(grant.purposes) * len(grant.actions)


def _scope(whole: "Configuration", manifest: Manifest, spec: ScopeSpec, place: str) -> None:
    _declared(manifest, place, "categories", spec.categories, whole.categories, "category")
    basis = spec.lawful_basis or {}
    for purpose, ground in basis.items():
        at = field_path(place, ("spec", "lawfulBasis", purpose))
        if purpose not in whole.purposes:
            raise _undeclared(manifest, at, "purpose", purpose, "the Vocabulary's `purposes`")
        if ground not in whole.lawful_bases:
            raise _undeclared(manifest, at, "lawful basis", ground, "the Vocabulary's `lawfulBases`")


def _role(whole: "Configuration", manifest: Manifest, spec: RoleSpec, place: str) -> None:
    """Whoever approves has the role of their own: an elevation never opens the way to the next."""
    if spec.break_glass is None:
        return
    named, at = spec.break_glass.approver_roles, "breakGlass.approverRoles"
    _declared(manifest, place, at, named, {*whole.roles, *BUILTIN_ROLES}, "role")
    for name in named:
        if name in whole.emergency_roles:
            raise invalid(
                field_path(place, ("spec", "breakGlass", "approverRoles")),
                f"role {shown(name)} is for emergencies itself",
                rule="own-role",
                remedy="Name roles that people have of their own.",
                line=manifest.line,
                owner=f"{manifest.kind} {manifest.name}",
            )


def _grant(whole: "Configuration", manifest: Manifest, spec: GrantSpec, place: str) -> None:
    _declared(manifest, place, "roles", spec.roles, {*whole.roles, *BUILTIN_ROLES}, "role")
    _declared(manifest, place, "categories", spec.categories, whole.categories, "category")
    _declared(manifest, place, "purposes", spec.purposes, whole.purposes, "purpose")
    exact = [pattern if is_exact(pattern) else ANY for pattern in spec.scopes]
    _declared(manifest, place, "scopes", exact, whole.scopes, "scope")


def _declared(
    manifest: Manifest, place: str, at: str, named: Iterable[str], known: Container[str], what: str
) -> None:
    for name in named:
        if name != ANY and name not in known:
            where = {"role": "a Role manifest", "scope": "a Scope manifest"}.get(
                what, f"the Vocabulary's `{at}`"
            )
            raise _undeclared(manifest, field_path(place, ("spec", at)), what, name, where)


def _undeclared(manifest: Manifest, at: str, what: str, name: str, where: str) -> Exception:
    return invalid(
        at,
        f"{what} {shown(name)} is not declared",
        rule=f"declared-{what.replace(' ', '-')}",
        remedy=f"Correct the name, or declare it in {where}.",
        line=manifest.line,
        owner=f"{manifest.kind} {manifest.name}",
    )
