"""The record of processing activities (GDPR Art. 30(1)), as far as manifests declare it.

Pure. What manifests cannot say is None, or named in `not_declared`: nothing is made up, and nobody reads a
silence as a "none".
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from tenure.model import wording
from tenure.model.configuration import Configuration
from tenure.model.manifests import Manifest
from tenure.model.names import ANY
from tenure.model.scope_rules import scope_match
from tenure.model.specs import GrantSpec, ScopeSpec

Json = dict[str, Any]

MEASURES: Final = (
    "Contents, record keys and references to people are encrypted (AES-256-GCM), under keys of these people.",
    "Destroying a person's keys makes every copy unreadable, in backups, too.",
    "Nobody reads or writes but by a grant for role, place, category of data and purpose.",
    "What no grant allows is denied, and a deny outweighs every allow.",
    "Every access and every refusal is in a signed log that only grows, before data is given out.",
    "Anybody with the log's key can verify it without the operator.",
    "What has had its time by a retention rule is erased by itself, with a certificate.",
    "Tenants have keys of their own; on PostgreSQL row-level security keeps them apart as well.",
    "Roles for emergencies are given by a second person, for minutes, and are reviewed afterwards.",
)
"""Art. 30(1)(g), 32(1): what this service does for every tenant. Not what an organisation does around it."""

_NO_CONTROLLER: Final = "Contact details of the controller (Art. 30(1)(a)): declare a Controller manifest."
_NO_REPRESENTATIVE: Final = "A joint controller and a representative in the Union, if there are any (a)."
_NO_OFFICER: Final = "Name and contact details of the data protection officer (Art. 30(1)(a))."
_ALWAYS_MISSING: Final = (
    "Who the categories of data subjects are: Tenure knows whether records are about people, not which (c).",
    "Transfers to third countries or international organisations, and their safeguards (Art. 30(1)(e)).",
    "Organisational measures, and measures of whoever runs the service: machines, staff, offices (g).",
)
_ABOUT: Final = {
    "required": "every record is about people",
    "optional": "records may be about people",
    "none": "no record is about people",
}


def declared(whole: Configuration) -> Json:
    """What the manifests say, under the letters of Art. 30(1). JSON.

    `{"scopes","controller","controllers","purposes","categories","recipients","internal","transfers","erasure","measures",
    "not_declared"}`, all lists but `transfers`, which is None.
    """
    scopes = [_scope(whole, name, spec) for name, spec in whole.scopes.items()]
    recipients = [
        {"name": name, **_shown(manifest)}
        for (kind, name), manifest in whole.manifests.items()
        if kind == "Recipient"
    ]
    return {
        "scopes": scopes,
        "controller": _controller(whole),
        "controllers": _controllers(whole),
        "purposes": _purposes(whole, scopes),
        "categories": [
            {
                "category": name,
                "within": whole.categories.parents[name] or None,
                "scopes": [one["scope"] for one in scopes if _takes(whole, one["categories"], name)],
            }
            for name in whole.categories
        ],
        "recipients": recipients,
        "internal": _internal(whole),
        "transfers": None,
        "erasure": _erasure(whole),
        "measures": list(MEASURES),
        "not_declared": [*_undeclared(whole), *_ALWAYS_MISSING, *_missing(whole, scopes, recipients)],
    }


def _controller(whole: Configuration) -> Json | None:
    """Who answers for the processing, as the Controller manifest says: Art. 30(1)(a)."""
    spec = whole.controller
    if spec is None:
        return None
    return {
        "name": spec.name,
        "contact": spec.contact,
        "representative": spec.representative,
        "data_protection_officer": spec.data_protection_officer,
    }


def _scope(whole: Configuration, name: str, spec: ScopeSpec) -> Json:
    grants = [one for one in _allows(whole) if _reaches(one, name)]
    return {
        "scope": name,
        "description": spec.description,
        "controller": spec.controller,
        "processor": spec.processor,
        "about": _ABOUT[spec.subjects],
        "categories": list(spec.categories),
        "purposes": sorted({purpose for one in grants for purpose in _named(one.purposes, whole.purposes)}),
        "lawful_bases": dict(sorted((spec.lawful_basis or {}).items())),
        "roles": sorted({role for one in grants for role in one.roles}),
        "retention": [
            rule
            for rule, retention in whole.retentions.items()
            if any(scope_match(name, one) for one in retention.scopes)
        ],
    }


def _undeclared(whole: Configuration) -> list[str]:
    spec = whole.controller
    return [
        *([] if spec is not None else [_NO_CONTROLLER]),
        *([] if spec is not None and spec.representative else [_NO_REPRESENTATIVE]),
        *([] if spec is not None and spec.data_protection_officer else [_NO_OFFICER]),
    ]


def _controllers(whole: Configuration) -> list[Json]:
    found: dict[str, Json] = {}
    for name, spec in whole.scopes.items():
        one = found.setdefault(
            spec.controller,
            {"controller": spec.controller, "processors": set(), "scopes": [], "contact": None},
        )
        one["scopes"].append(name)
        if spec.processor:
            one["processors"].add(spec.processor)
    return [{**one, "processors": sorted(one["processors"])} for _, one in sorted(found.items())]


def _purposes(whole: Configuration, scopes: list[Json]) -> list[Json]:
    return [
        {
            "purpose": name,
            "within": whole.purposes.parents[name] or None,
            "scopes": [
                one["scope"] for one in scopes if whole.purposes.within_any(name, frozenset(one["purposes"]))
            ],
            "lawful_bases": _bases(whole, scopes, name),
        }
        for name in whole.purposes
    ]


def _bases(whole: Configuration, scopes: list[Json], purpose: str) -> dict[str, str | None]:
    """Scope → the basis that it names for a purpose, or none: one scope's basis is no ground in another."""
    within = partial(whole.purposes.within_any, purpose)
    found = {one["scope"]: _basis(whole, one, purpose) for one in scopes}
    allowed = {one["scope"] for one in scopes if within(frozenset(one["purposes"]))}
    return {scope: basis for scope, basis in found.items() if basis is not None or scope in allowed}


def _basis(whole: Configuration, scope: Json, purpose: str) -> str | None:
    """The basis that a scope names for a purpose, or for the nearest one that this is part of."""
    named = scope["lawful_bases"]
    return next((named[one] for one in whole.purposes.upwards(purpose) if one in named), None)


def _internal(whole: Configuration) -> list[Json]:
    """Who within the organisation, by role: not recipients of Art. 4(9) by that alone."""
    return [
        {
            "role": name,
            "description": spec.description,
            "emergencies_only": spec.break_glass is not None,
            "may": [
                wording.sentence(grant, one)
                for grant, one in whole.grants.items()
                if {name, ANY} & {*one.roles}
            ],
        }
        for name, spec in whole.roles.items()
    ]


def _erasure(whole: Configuration) -> list[Json]:
    return [
        {
            "rule": name,
            "scopes": list(whole.retentions[name].scopes),
            "categories": list(whole.retentions[name].categories),
            "says": wording.words(manifest, whole),
        }
        for (kind, name), manifest in whole.manifests.items()
        if kind == "Retention"
    ]


def _missing(whole: Configuration, scopes: list[Json], recipients: list[Json]) -> list[str]:
    found = []
    if not scopes:
        found.append("Anything that is processed: no scope is declared.")
    if not recipients:
        found.append("Recipients outside the organisation (Art. 30(1)(d)): no manifest names one.")
    for name, spec in whole.scopes.items():
        left = [one for one in spec.categories if not _ends(whole, name, one)]
        if left:
            found.append(
                f"When {', '.join(left)} in {name} is erased (Art. 30(1)(f)): no retention rule says it."
            )
    found += [
        f"The lawful basis of processing in {one['scope']}: its scope names none."
        for one in scopes
        if not one["lawful_bases"]
    ]
    found += [
        f"The lawful basis of {', '.join(left)} in {one['scope']}: its scope names none for it."
        for one in scopes
        if one["lawful_bases"]
        and (left := [name for name in one["purposes"] if _basis(whole, one, name) is None])
    ]
    return found


def _ends(whole: Configuration, scope: str, category: str) -> bool:
    """Whether a rule says when data of the category, and of what is below it, is erased there."""
    return any(
        rule.delete_after is not None
        and any(scope_match(scope, pattern) for pattern in rule.scopes)
        and (ANY in rule.categories or whole.categories.within_any(category, frozenset(rule.categories)))
        for rule in whole.retentions.values()
    )


def _shown(manifest: Manifest) -> Json:
    spec = manifest.spec.canonical()
    return {
        "description": spec.get("description"),
        "scopes": spec.get("scopes", []),
        "categories": spec.get("categories", [ANY]),
    }


def _allows(whole: Configuration) -> list[GrantSpec]:
    return [one for one in whole.grants.values() if one.effect == "allow"]


def _reaches(grant: GrantSpec, scope: str) -> bool:
    return any(scope_match(scope, pattern) for pattern in grant.scopes)


def _named(names: Iterable[str], known: Iterable[str]) -> Iterable[str]:
    """The names themselves; all that are known for `*`."""
    return known if ANY in names else names


def _takes(whole: Configuration, taken: list[str], category: str) -> bool:
    return whole.categories.within_any(category, frozenset(taken))


def merged(found: Json, use: Mapping[str, Any]) -> Json:
    """With what was really done (`governance.register`)."""
    return {**found, "use": dict(use)}
