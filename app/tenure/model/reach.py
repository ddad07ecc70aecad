"""What a credential narrows its principal to. It never widens: what is left out stays as the principal's."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenure.errors import Invalid
from tenure.model import names
from tenure.model.scope_rules import is_scope_pattern, scope_match
from tenure.model.vocabulary import Tree

MAX_NAMES = 64
"""Most names in each list."""

_FIELDS = ("roles", "scopes", "purposes", "actions")


@dataclass(frozen=True, slots=True)
class Reach:
    """Each part is sorted, or None where nothing is narrowed. An empty part leaves nothing.

    `scopes` are patterns as in grants; `purposes` hold for what is below them, too; `actions` are those of
    records and of the service.
    """

    roles: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    purposes: tuple[str, ...] | None = None
    actions: tuple[str, ...] | None = None

    def of_roles(self, roles: tuple[str, ...]) -> tuple[str, ...]:
        """Those of a principal's roles that are left, sorted."""
        return roles if self.roles is None else tuple(sorted(set(roles) & set(self.roles)))

    def permits(self, scope: str, purpose: str, action: str, purposes: Tree) -> bool:
        """Whether a question is within them. `purposes` is the tenant's tree."""
        return (
            (self.scopes is None or any(scope_match(scope, pattern) for pattern in self.scopes))
            and (self.actions is None or action in self.actions)
            and (
                self.purposes is None
                or purpose in self.purposes  # the service's own purpose is in no tenant's tree
                or any(above in self.purposes for above in purposes.upwards(purpose))
            )
        )

    def as_json(self) -> dict[str, list[str]]:
        """The parts that are narrowed."""
        parts = {name: getattr(self, name) for name in _FIELDS}
        return {name: list(part) for name, part in parts.items() if part is not None}

    def stored(self) -> str:
        """The text that `read_reach` reads."""
        return json.dumps(self.as_json(), sort_keys=True)


def read_reach(text: str | None) -> Reach | None:
    """A reach as it was stored. A part that this version does not know leaves nothing: fail closed."""
    if text is None:
        return None
    given: dict[str, Any] = json.loads(text)
    if set(given) - set(_FIELDS):
        return Reach((), (), (), ())
    return Reach(**{name: tuple(part) for name, part in given.items()})


def checked_reach(
    given: dict[str, tuple[str, ...] | None], *, roles: tuple[str, ...], purposes: Tree
) -> Reach:
    """A reach of a principal with these roles. Invalid for what could never narrow it: likely a slip."""
    actions = sorted({*names.CONTENT_ACTIONS, *names.SERVICE_ACTIONS})
    tests: dict[str, tuple[Callable[[str], bool], str]] = {
        "roles": (roles.__contains__, "one of the principal's own roles"),
        "scopes": (is_scope_pattern, "a scope pattern: a.b, a.*, a.** or **"),
        "purposes": (
            {*purposes, names.SERVICE_PURPOSE}.__contains__,
            "a purpose of the tenant's Vocabulary manifest, or administration",
        ),
        "actions": (actions.__contains__, f"one of {', '.join(actions)}"),
    }
    for name, (fits, rule) in tests.items():
        for place, one in enumerate(given.get(name) or ()):
            if not fits(one):
                raise Invalid(
                    "The reach names something that the principal does not have; nothing was created.",
                    field=f"reach.{name}[{place}]",
                    rule=rule,
                    remedy="Name what the key may still do; leave a list out to narrow nothing by it.",
                )
    return Reach(**{name: tuple(sorted(set(part))) for name, part in given.items() if part is not None})
