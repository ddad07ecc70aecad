"""The rules between manifests: whatever one names, another declares.

One function per kind, each raising the first broken rule as `Invalid`.
"""

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from tenure.model.agents import AgentSpec, NeedSpec
from tenure.model.documents import Path
from tenure.model.manifests import COUNT_MAX, Manifest, field_path, invalid
from tenure.model.names import ANY, BUILTIN_ROLES, shown
from tenure.model.recipients import RecipientSpec
from tenure.model.retention import RetentionSpec
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
                    source=manifest.source,
                    owner=f"Grant {manifest.name}",
                )
        elif isinstance(manifest.spec, RetentionSpec | RecipientSpec):
            _reach(whole, manifest, manifest.spec, places[key])
        elif isinstance(manifest.spec, AgentSpec):
            for number, need in enumerate(manifest.spec.needs):
                _need(whole, manifest, need, (number, places[key]))


def size(grant: GrantSpec) -> int:
    """How many rules a grant expands to."""
    found = len(grant.roles) * len(grant.scopes) * len(grant.categories)
    return found * len(grant.purposes) * len(grant.actions)


def _scope(whole: "Configuration", manifest: Manifest, spec: ScopeSpec, place: str) -> None:
    at: Path = ("spec", "categories")
    _declared(manifest, place, at, spec.categories, whole.categories, "category")
    for purpose, ground in (spec.lawful_basis or {}).items():
        at = ("spec", "lawfulBasis", purpose)
        if purpose not in whole.purposes:
            raise _undeclared(manifest, place, at, "purpose", purpose)
        if ground not in whole.lawful_bases:
            raise _undeclared(manifest, place, at, "lawful basis", ground)


def _role(whole: "Configuration", manifest: Manifest, spec: RoleSpec, place: str) -> None:
    """Whoever approves has the role of their own: an elevation never opens the way to the next."""
    if spec.break_glass is None:
        return
    named = spec.break_glass.approver_roles
    at: Path = ("spec", "breakGlass", "approverRoles")
    _declared(manifest, place, at, named, {*whole.roles, *BUILTIN_ROLES}, "role")
    for name in named:
        if name in whole.emergency_roles:
            raise invalid(
                field_path(place, at),
                f"role {shown(name)} is for emergencies itself",
                rule="own-role",
                remedy="Name roles that people have of their own.",
                source=manifest.source,
                at=at,
                owner=f"{manifest.kind} {manifest.name}",
            )


def _grant(whole: "Configuration", manifest: Manifest, spec: GrantSpec, place: str) -> None:
    _declared(manifest, place, ("spec", "roles"), spec.roles, {*whole.roles, *BUILTIN_ROLES}, "role")
    _declared(manifest, place, ("spec", "categories"), spec.categories, whole.categories, "category")
    _declared(manifest, place, ("spec", "purposes"), spec.purposes, whole.purposes, "purpose")
    _declared(manifest, place, ("spec", "scopes"), _exact(spec.scopes), whole.scopes, "scope")


def _reach(
    whole: "Configuration", manifest: Manifest, spec: RetentionSpec | RecipientSpec, place: str
) -> None:
    _declared(manifest, place, ("spec", "categories"), spec.categories, whole.categories, "category")
    _declared(manifest, place, ("spec", "scopes"), _exact(spec.scopes), whole.scopes, "scope")


def _need(whole: "Configuration", manifest: Manifest, need: NeedSpec, where: tuple[int, str]) -> None:
    """A need must be one that can be filled. Needs are sorted: they are found again by their name."""
    place = where[1]
    at: Path = ("spec", "needs", _number_of(manifest, need, where[0]))
    scopes = [need.scope] if need.summaries is None else [need.scope, need.summaries]
    for field, scope in zip(("scope", "summaries"), scopes, strict=False):
        _declared(manifest, place, (*at, field), [scope], whole.scopes, "scope")
    _declared(manifest, place, (*at, "purpose"), [need.purpose], whole.purposes, "purpose")
    _declared(manifest, place, (*at, "categories"), need.categories, whole.categories, "category")
    scope_spec = whole.scopes[need.scope]
    listed = frozenset(scope_spec.categories)
    for category in need.categories:
        held = category == ANY or any(
            whole.categories.is_within(one, category) or whole.categories.is_within(category, one)
            for one in listed
        )
        if not held:
            raise _unfillable(
                manifest, place, (*at, "categories"), f"scope {shown(need.scope)} takes no {shown(category)}"
            )
    if need.subject == "bound" and scope_spec.subjects == "none":
        raise _unfillable(
            manifest, place, (*at, "subject"), f"scope {shown(need.scope)} takes no records about persons"
        )


def _number_of(manifest: Manifest, need: NeedSpec, sorted_number: int) -> int:
    """The place of a need as it was written."""
    written = manifest.source.value
    if not isinstance(written, dict):
        return sorted_number
    names = [one["name"] for one in written["spec"]["needs"]]
    return names.index(need.name)


def _exact(patterns: Iterable[str]) -> list[str]:
    return [pattern if is_exact(pattern) else ANY for pattern in patterns]


def _declared(
    manifest: Manifest, place: str, at: Path, named: Iterable[str], known: Container[str], what: str
) -> None:
    for name in named:
        if name != ANY and name not in known:
            raise _undeclared(manifest, place, at, what, name)


_DECLARED_IN = {
    "role": "a Role manifest",
    "scope": "a Scope manifest",
    "category": "the Vocabulary's `categories`",
    "purpose": "the Vocabulary's `purposes`",
    "lawful basis": "the Vocabulary's `lawfulBases`",
}


def _undeclared(manifest: Manifest, place: str, at: Path, what: str, name: str) -> Exception:
    return invalid(
        field_path(place, at),
        f"{what} {shown(name)} is not declared",
        rule=f"declared-{what.replace(' ', '-')}",
        remedy=f"Correct the name, or declare it in {_DECLARED_IN[what]}.",
        source=manifest.source,
        at=_item(manifest, at, name),
        owner=f"{manifest.kind} {manifest.name}",
    )


def _unfillable(manifest: Manifest, place: str, at: Path, what: str) -> Exception:
    return invalid(
        field_path(place, at),
        f"the need can never be filled: {what}",
        rule="need-possible",
        remedy="Ask for what the scope takes, or change the Scope manifest.",
        source=manifest.source,
        at=at,
        owner=f"{manifest.kind} {manifest.name}",
    )


def _item(manifest: Manifest, at: Path, name: str) -> Path:
    """The very item of a list: lists are sorted when read, so its number is that in the text."""
    value: Any = manifest.source.value
    for step in at:
        if not isinstance(value, dict | list):
            return at
        value = value.get(step) if isinstance(value, dict) else value[cast("int", step)]
    return (*at, value.index(name)) if isinstance(value, list) and name in value else at
