"""What is said of the data besides itself: whose it is, why and for how long it is kept, what is left out."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tenure.crew import Desk
from tenure.model.manifests import Manifest
from tenure.model.scope_rules import scope_match
from tenure.model.wording import words

Json = dict[str, Any]
Labels = Iterable[tuple[str, str]]
"""(scope, labels): which kinds of data there are, where."""

LEFT_OUT: Final = (
    (
        "Parts of records that are about other people, under the rule that each place states: Article 15(4) "
        "of the GDPR protects their rights. That there is such a record, its kind and its date are told."
    ),
    (
        "The outcome of a decision that used your data and does not name you as the person that it is about: "
        "it may be about somebody else."
    ),
    "References, names and identifiers by which other people are known here, beside the records themselves.",
    "What was erased, and what nobody reads any more and only a legal obligation or claim keeps.",
    (
        "The names of employees who read or wrote your data: they acted for the controller and are shown as "
        "staff."
    ),
    (
        "Legal holds and the proofs that this service keeps of its own work: they hold numbers and times, "
        "and nothing about you that is not in here."
    ),
    (
        "Texts that mention you in records that were not filed under you: nobody can find those by your "
        "reference."
    ),
    (
        "What other systems of the controller hold, what the controller tells you itself (transfers to third "
        "countries, the logic of automated decisions), and copies that recipients made."
    ),
)
PORTABLE: Final = (
    (
        "What was derived from your data: Article 20 of the GDPR is about what you provided. An access "
        "request (Article 15) gives you all of it."
    ),
    "Earlier versions, and what was deleted.",
    *LEFT_OUT[:1],
    *LEFT_OUT[2:4],
)
SHARED: Final = {
    "none": "Of records that are about other people, too, you are told only that they are there.",
    "own-segments": "Of records that are about other people, too, you are given the parts about you alone.",
    "named-segments": "Of records that are about other people, too, you are given the parts that name you.",
    "whole": "Records that are about you and other people are given to you as they are.",
}


def controller(desk: Desk) -> Json:
    """Who answers for the processing and how they are reached (Art. 15(1)), as declared; else nothing."""
    spec = desk.tenancy.policy.configuration.controller
    if spec is None:
        return {}
    said = {
        "name": spec.name,
        "contact": spec.contact,
        "representative": spec.representative,
        "data_protection_officer": spec.data_protection_officer,
    }
    return {"controller": {name: value for name, value in said.items() if value is not None}}


def places(desk: Desk, labels: Labels, counts: Mapping[str, int]) -> list[Json]:
    """Each scope that holds something: what it is, whose, why, for how long. `counts`: of versions."""
    found: dict[str, list[str]] = {}
    for scope, one in sorted(labels):
        found.setdefault(scope, []).append(one)
    return [_place(desk, scope, some, counts.get(scope, 0)) for scope, some in found.items()]


def _place(desk: Desk, scope: str, labels: list[str], count: int) -> Json:
    spec = desk.tenancy.policy.configuration.scopes.get(scope)
    categories = sorted({one for some in labels for one in some.split(",")})
    place: Json = {"scope": scope, "categories": categories, "versions": count}
    place["retention"] = _retention(desk, scope, labels)
    if spec is None:
        return place | {"shared": SHARED["own-segments"]}
    place |= {"description": spec.description, "controller": spec.controller}
    if spec.processor is not None:
        place["processor"] = spec.processor
    if spec.lawful_basis is not None:
        place["lawful_basis"] = dict(spec.lawful_basis)
    return place | {"shared": SHARED[spec.on_access.shared]}


def _retention(desk: Desk, scope: str, labels: list[str]) -> list[Json]:
    """For how long it is kept, by the rules of today, in sentences."""
    policy = desk.tenancy.policy
    rules = {name for one in labels for name in policy.rulebook.of(scope, one).rules}
    if not rules:
        return [{"says": ["No rule says for how long it is kept, beside what each record says itself."]}]
    manifests = policy.configuration.manifests
    return [
        {"rule": name, "says": words(manifests["Retention", name], policy.configuration)}
        for name in sorted(rules)
    ]


def purposes(desk: Desk, labels: Labels, used: Iterable[str]) -> list[Json]:
    """What the data is kept for, as declared with a lawful basis, and what it was used for."""
    scopes = desk.tenancy.policy.configuration.scopes
    found: dict[str, Json] = {one: {"purpose": one, "used": True, "lawful_basis": {}} for one in used if one}
    for scope in sorted({scope for scope, _ in labels}):
        spec = scopes.get(scope)
        for purpose, basis in (spec.lawful_basis or {}).items() if spec else ():
            one = found.setdefault(purpose, {"purpose": purpose, "used": False, "lawful_basis": {}})
            one["lawful_basis"][scope] = basis
    return [found[name] for name in sorted(found)]


def disclosed_to(desk: Desk, labels: Labels) -> list[Json]:
    """Recipients outside that are declared (`Recipient` manifests) to receive what is held here."""
    here = list(labels)
    found: list[Json] = []
    for (kind, name), manifest in sorted(desk.tenancy.policy.configuration.manifests.items()):
        if kind == "Recipient" and _receives(desk, manifest, here):
            about = getattr(manifest.spec, "description", None) or ""
            found.append({"name": name, "kind": "recipient", "description": about, "purposes": []})
    return found


def _receives(desk: Desk, manifest: Manifest, labels: list[tuple[str, str]]) -> bool:
    tree = desk.tenancy.policy.configuration.categories
    patterns: Iterable[str] = getattr(manifest.spec, "scopes", ())
    named = frozenset(getattr(manifest.spec, "categories", ()))
    return any(
        scope_match(scope, pattern)
        and ("*" in named or any(tree.within_any(category, named) for category in one.split(",")))
        for scope, one in labels
        for pattern in patterns
    )
