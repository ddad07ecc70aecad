"""A manifest in words, the conditions it is in, and the grants that reach it: what `describe` tells people.

Pure: the same manifests and instant give the same words.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tenure.ids import rfc3339
from tenure.model.agents import AgentSpec
from tenure.model.configuration import Configuration
from tenure.model.controller import ControllerSpec
from tenure.model.durations import duration
from tenure.model.lifetime_words import BESIDE, LATER
from tenure.model.manifests import NOT_ENFORCED, Manifest
from tenure.model.names import ANY
from tenure.model.recipients import RecipientSpec
from tenure.model.retention import RetentionSpec
from tenure.model.scope_rules import scope_match
from tenure.model.specs import AccessSpec, GrantSpec, RoleSpec, ScopeSpec, VocabularySpec
from tenure.model.vocabulary import Tree
from tenure.model.workdays import knows


class Condition(NamedTuple):
    """`status` is `True` or `False`, as words: what is so, why in one frozen word, and what that means."""

    type: str
    status: str
    reason: str
    message: str


def conditions(manifest: Manifest, whole: Configuration, now: int) -> list[Condition]:
    """Whether this version goes by the manifest at an instant in microseconds, and to what effect."""
    spec = manifest.spec
    if manifest.kind in NOT_ENFORCED:
        message = f"This version checks and keeps {manifest.kind} manifests. Nothing goes by them yet."
        return [Condition("Enforced", "False", "NotInThisVersion", message)]
    if isinstance(spec, GrantSpec) and spec.not_before is not None and now < spec.not_before:
        return [_not("Enforced", "NotYet", f"It holds from {rfc3339(spec.not_before)}.")]
    if isinstance(spec, GrantSpec) and spec.not_after is not None and now >= spec.not_after:
        return [_not("Enforced", "Expired", f"It held until {rfc3339(spec.not_after)}.")]
    if manifest.kind == "Retention":
        return [Condition("Enforced", "True", "InForce", "Whatever has had its time by it is shredded.")]
    if manifest.kind == "Recipient":
        message = "It is told when data that it is given is erased, rectified or restricted."
        return [Condition("Enforced", "True", "InForce", message)]
    found = [Condition("Enforced", "True", "InForce", "Every request is decided by it.")]
    if isinstance(spec, RoleSpec | ScopeSpec):
        allows = [name for name in reaching(manifest, whole) if whole.grants[name].effect == "allow"]
        if allows:
            found.append(
                Condition("Granted", "True", "AllowedBySome", f"{len(allows)} grants allow something.")
            )
        else:
            found.append(_not("Granted", "NoGrant", "No grant allows anything here: everything is denied."))
    return found


def reaching(manifest: Manifest, whole: Configuration) -> list[str]:
    """The grants, by name, that reach a scope or name a role; `*` names every role."""
    if manifest.kind == "Scope":
        return [
            name
            for name, grant in whole.grants.items()
            if any(scope_match(manifest.name, one) for one in grant.scopes)
        ]
    if manifest.kind == "Role":
        return [name for name, grant in whole.grants.items() if {manifest.name, ANY} & {*grant.roles}]
    return []


def words(manifest: Manifest, whole: Configuration) -> list[str]:
    """What the manifest says, a sentence each."""
    told = _TOLD.get(type(manifest.spec))
    if told is not None:
        return list(told(manifest.spec))
    spec = manifest.spec
    named = len(reaching(manifest, whole))
    return [*_about(getattr(spec, "description", None)), f"{named} grants name this role."]


def sentence(name: str, grant: GrantSpec) -> str:
    """A grant in one line."""
    who = "every role" if ANY in grant.roles else _list(grant.roles)
    verb = "may" if grant.effect == "allow" else "may never"
    what = "do anything with" if ANY in grant.actions else _list(grant.actions)
    return (
        f"{name}: {who} {verb} {what} {_any(grant.categories, 'category')} in {_list(grant.scopes)}"
        f" for {_any(grant.purposes, 'purpose')}{_when(grant)}."
    )


def _vocabulary(spec: VocabularySpec) -> Iterator[str]:
    categories, purposes = Tree.of(spec.categories), Tree.of(spec.purposes)
    yield f"{len(categories)} categories of data: {_list(categories)}."
    yield f"{len(purposes)} purposes: {_list(purposes)}."
    yield f"Lawful bases that scopes may name: {_list(spec.lawful_bases)}."


def _scope(spec: ScopeSpec) -> Iterator[str]:
    yield from _about(spec.description)
    kept = f", kept for it by {spec.processor}" if spec.processor else ""
    yield f"Controller: {spec.controller}{kept}."
    yield f"Takes {_list(spec.categories)}, each with what is below it."
    yield {
        "required": "Every record is about somebody.",
        "none": "No record is about anybody.",
        "optional": "Records may be about somebody.",
    }[spec.subjects]
    if spec.lawful_basis is not None:
        bases = _list(f"{one} ({why})" for one, why in spec.lawful_basis.items())
        yield f"Lawful basis: {bases}; nothing is written for another purpose."
    if spec.joint_erasure == "all":
        yield f"A record about several people goes with the last of them: {spec.ground}"
    else:
        yield "A record about several people goes with the first of them who is erased."
    yield {
        "shred": "What is derived from a person's records goes with the person.",
        "rederive": "What is derived from a person's records goes with the person, and is asked for again.",
        "keep": f"What is derived from a person's records stays: {spec.on_derived.ground}",
    }[spec.on_derived.on_erasure]
    yield shared(spec.on_access)


def shared(spec: AccessSpec) -> str:
    """What a person who asks is given of what is about others, too."""
    given = {
        "none": "that there are some",
        "own-segments": "the parts about them alone",
        "named-segments": "the parts that name them",
        "whole": "all of it",
    }[spec.shared]
    said = f"Who asks for what is held about them gets, of records about others, too: {given}."
    return said + (" Parts that name nobody are given as well." if spec.unnamed_segments else "")


def _grant(spec: GrantSpec) -> Iterator[str]:
    yield from _about(spec.description)
    yield sentence("It says", spec)
    if spec.effect == "deny":
        yield "A deny outweighs every allow."


def _retention(spec: RetentionSpec) -> Iterator[str]:
    yield from _about(spec.description)
    yield f"About {_any(spec.categories, 'category')} in {_list(spec.scopes)}."
    starts = {
        "write": "when it is written",
        "access": "with the last access",
        "event": f"with event {spec.event}",
    }
    yield f"The clock starts {starts[spec.clock]}."
    stages = {
        "in the database": spec.hot_for,
        "in the object store": spec.cold_for,
        "in its archive": spec.archive_for,
    }
    if any(stages.values()):
        yield f"Kept {_list(f'{where} for {duration(one)}' for where, one in stages.items() if one)}."
    if spec.delete_after is not None:
        yield f"Deleted after {duration(spec.delete_after)}, or up to {LATER} later, {BESIDE}."
    if spec.floor is not None:
        yield f"Kept for at least {duration(spec.floor)}: {spec.ground}"


def _recipient(spec: RecipientSpec) -> Iterator[str]:
    yield from _about(spec.description)
    yield f"It is given {_any(spec.categories, 'category')} of {_list(spec.scopes)}."
    yield f"Notices go to {spec.webhook}, signed with the ledger's key."


def _agent(spec: AgentSpec) -> Iterator[str]:
    yield from _about(spec.description)
    yield f"{spec.budget_tokens} tokens of context in all."
    for need in spec.needs:
        must = "must have" if need.required else "would like"
        within = f" of the last {duration(need.window)}" if need.window else ""
        most = f", {need.max_tokens} tokens at most" if need.max_tokens else ""
        instead = f"; else {_list(need.fallback)}" if need.fallback else ""
        whose = ", of the person served" if need.subject == "bound" else ""
        yield (
            f"{need.name}: {must} {_any(need.categories, 'category')} from {need.scope} for {need.purpose}"
            f"{within}{whose}{most}{instead}."
        )


def _controller(spec: ControllerSpec) -> Iterator[str]:
    yield f"Controller: {spec.name} ({spec.contact})."
    if spec.data_protection_officer is not None:
        yield f"Data protection officer: {spec.data_protection_officer}."
    rules = spec.on_requests
    holidays = ""
    if rules.holidays:
        unknown = "" if knows(rules.holidays) else ", which are not known: none count"
        holidays = f", by the holidays of {rules.holidays}{unknown}"
    yield f"Periods of rights requests are counted in {rules.time_zone}{holidays}."
    if rules.cooling_off is not None:
        yield f"An approved request can be withdrawn for {duration(rules.cooling_off)}."
    yield (
        f"Access packages are there for {duration(rules.package_term)}; closed cases are kept for"
        f" {duration(rules.keep_cases)}."
    )


_TOLD: Mapping[type, Callable[[Any], Iterator[str]]] = {
    VocabularySpec: _vocabulary,
    ScopeSpec: _scope,
    GrantSpec: _grant,
    RetentionSpec: _retention,
    RecipientSpec: _recipient,
    AgentSpec: _agent,
    ControllerSpec: _controller,
}
"""What is said of a manifest by its spec alone."""


def _about(description: str | None) -> Iterator[str]:
    if description:
        yield description


def _when(grant: GrantSpec) -> str:
    begins = f" from {rfc3339(grant.not_before)}" if grant.not_before is not None else ""
    return begins + (f" until {rfc3339(grant.not_after)}" if grant.not_after is not None else "")


def _any(names: tuple[str, ...], what: str) -> str:
    return f"any {what}" if ANY in names else _list(names)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _not(kind: str, reason: str, message: str) -> Condition:
    return Condition(kind, "False", reason, message)
