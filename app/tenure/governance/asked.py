"""What an entry asked of policy, so that it can be asked again: of the same rules, of today's, of others.

Pure: the caller fetches entries, their lists of accesses and the labels of the versions that they name.
Labels outlive the content of what was erased, so nothing is opened for this.

    access   returned            read, by the version's labels
             listed              list, by the version's labels; in a history (which names no rule): read
             withheld            read; whether policy or an erasure withheld it, the entry does not say
             denied              what `data` says was asked, by the version's labels; if a restriction or
                                 an objection kept it back, policy had allowed it, and `kept_back` says so
             no access, denied   what `data` says; without categories: whatever there is in the scope
    write    written             write, by the labels of the version and of the one that it replaced
    delete   deleted             delete, by the version's labels
    event    no access           write, by the categories that `data` names

Acts of governance ask what the built-in rule says that they name (`governed`): explanations take these,
replays do not, because what comes with the service is no tenant's to change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tenure.ids import moment, parse_rfc3339
from tenure.ledger.entry import Action, Kind
from tenure.model.names import SERVICE_CATEGORY, SERVICE_PURPOSE
from tenure.policy.engine import Engine
from tenure.policy.verdicts import Reason, Request, Verdict
from tenure.restraints import Restraint

Place = tuple[str, int]
"""(record id, number) of a version."""
Labels = Mapping[Place, tuple[str, tuple[str, ...]]]
"""Scope and categories of versions."""
Entry = Mapping[str, Any]

ACCESSES = frozenset({Kind.ACCESS.value, Kind.WRITE.value, Kind.DELETE.value, Kind.EVENT.value})
_RESTRAINTS = frozenset(one.value for one in Restraint)
_OF_KIND = {Kind.ACCESS.value: "read", Kind.WRITE.value: "write", Kind.DELETE.value: "delete"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that was put to policy.

    `categories` is empty for "whatever there is in the scope". `roles` are the ones that the entry names, or
    None. `allowed` is what was recorded, or None where the entry does not say. `at` in microseconds.
    """

    at: int
    principal: str | None
    roles: tuple[str, ...] | None
    scope: str
    categories: tuple[str, ...]
    purpose: str
    action: str
    allowed: bool | None
    record: str | None = None
    version: int | None = None
    kept_back: str | None = None
    """Why it was denied although policy allowed it (`restraints.Restraint`)."""

    @property
    def about(self) -> tuple[object, ...]:
        """What is asked, whenever and of whichever version."""
        return (
            self.principal,
            self.roles,
            self.scope,
            self.categories,
            self.purpose,
            self.action,
            self.allowed,
            self.kept_back,
        )

    def request(self, engine: Engine, roles: tuple[str, ...]) -> Request:
        """The question as one to this engine."""
        categories = self.categories or _any_of(engine, self, roles)
        return Request(
            engine.tenant, roles, self.scope, categories, self.purpose, self.action, moment(self.at)
        )


def judge(engine: Engine, asked: Asked, roles: tuple[str, ...]) -> Verdict:
    """The engine's answer to what was asked."""
    return engine.decide(asked.request(engine, roles))


def places_of(entry: Entry, accesses: Iterable[Entry]) -> set[Place]:
    """The versions whose labels are needed."""
    found = {(one["record"], one["version"]) for one in accesses}
    if entry["kind"] == Kind.WRITE:
        found |= {(record, version - 1) for record, version in found if version > 1}
    return found


def questions(entry: Entry, accesses: Sequence[Entry], labels: Labels) -> tuple[list[Asked], int]:
    """What an entry asked, once for each version, and of how many versions that can no longer be known.

    Nothing for an entry that is no access, and for what policy was not asked about (a miss).
    """
    if entry["kind"] not in ACCESSES:
        return [], 0
    if "on_behalf_of" in entry or entry.get("data", {}).get("reason") == Reason.BEYOND:
        # It rested on more than roles: on somebody else's, or on what a key was narrowed to.
        return [], len(accesses) or 1
    if not accesses:
        return _without_access(entry)
    found: list[Asked] = []
    unknown = 0
    for record, version, action in dict.fromkeys(
        (one["record"], one["version"], one["action"]) for one in accesses
    ):
        one = _of_version(entry, (record, version), action, labels)
        if one is None:
            unknown += 1
        else:
            found.append(one)
    return found, unknown


def governed(entry: Entry, engine: Engine) -> Asked | None:
    """What an act of governance asked, by the built-in rule that allowed it; None if it names none.

    `data.roles` of such an entry are those that were given to somebody; the caller's were its own then.
    """
    named = frozenset(entry.get("rules", ()))
    rule = next(
        (one for one in engine.rules if one.name in named and one.scope in engine.service_scopes), None
    )
    if rule is None or "principal" not in entry or "on_behalf_of" in entry:
        return None
    asked = _asked(entry, rule.scope, (SERVICE_CATEGORY,), rule.action, allowed=True, service=True)
    return replace(asked, roles=None)


def _without_access(entry: Entry) -> tuple[list[Asked], int]:
    data = entry.get("data", {})
    if entry["kind"] == Kind.EVENT and "categories" in data:
        allowed = entry["outcome"] != "denied"
        return [_asked(entry, data["scope"], tuple(data["categories"]), "write", allowed=allowed)], 0
    if entry["outcome"] != "denied":
        return [], int(entry["kind"] == Kind.EVENT)
    if "service" in data and "action" in data:
        return [
            _asked(entry, data["service"], (SERVICE_CATEGORY,), data["action"], allowed=False, service=True)
        ], 0
    must_name = entry["kind"] in (Kind.WRITE, Kind.EVENT)
    if "scope" not in data or (must_name and "categories" not in data):
        return [], 1
    categories = tuple(data.get("categories", ()))
    return [_asked(entry, data["scope"], categories, data["action"], allowed=False)], 0


def _of_version(entry: Entry, place: Place, action: str, labels: Labels) -> Asked | None:
    stored = labels.get(place)
    if stored is None:
        return None
    scope, categories = stored
    data = entry.get("data", {})
    verb = data.get("action") or _OF_KIND[entry["kind"]]
    allowed: bool | None = True
    kept_back = data.get("reason") if data.get("reason") in _RESTRAINTS else None
    if action == Action.DENIED:
        allowed = kept_back is not None
        if entry["kind"] == Kind.WRITE:
            if "categories" not in data:
                return None
            categories = tuple(data["categories"])
    elif action == Action.WITHHELD:
        # Of a whole read only an erasure withholds; of a reconstruction policy may, too.
        allowed = True if entry["outcome"] == "erased" else None
    elif action == Action.LISTED:
        verb = "list" if entry.get("rules") else "read"
    elif action == Action.WRITTEN and place[1] > 1:
        before = labels.get((place[0], place[1] - 1))
        if before is None:
            return None
        categories = tuple(sorted({*categories, *before[1]}))
    asked = _asked(entry, scope, categories, verb, allowed=allowed, place=place)
    return replace(asked, kept_back=kept_back)


def _asked(
    entry: Entry,
    scope: str,
    categories: tuple[str, ...],
    action: str,
    *,
    allowed: bool | None,
    place: Place | None = None,
    service: bool = False,
) -> Asked:
    roles = entry.get("data", {}).get("roles")
    return Asked(
        at=parse_rfc3339(entry["at"]),
        principal=entry.get("principal"),
        roles=None if roles is None else tuple(sorted(roles)),
        scope=scope,
        categories=categories,
        purpose=SERVICE_PURPOSE if service else entry.get("purpose", ""),
        action=action,
        allowed=allowed,
        record=place[0] if place else None,
        version=place[1] if place else None,
    )


def _any_of(engine: Engine, asked: Asked, roles: tuple[str, ...]) -> tuple[str, ...]:
    """As the gateway asks when there is no version: one category that is allowed, else all of the scope's."""
    visible = engine.allowed_categories(roles, asked.scope, asked.purpose, asked.action, moment(asked.at))
    if visible:
        return (min(visible),)
    spec = engine.configuration.scopes.get(asked.scope)
    return tuple(spec.categories) if spec is not None else ("-",)  # the scope is what is unknown then
