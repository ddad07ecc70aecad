"""A tenant's Retention manifests, by what they apply to. Pure.

Which rules apply is worked out once for each set of labels that occurs in a scope. Accesses are only kept
while a rule that counts from them applies. So since the rules for some labels, and the tree of categories
that has a say in it, were last applied, all accesses are kept; of what was before nothing is known but that
it was before.
"""

from collections.abc import Mapping
from typing import NamedTuple

from tenure.model.configuration import Configuration
from tenure.model.lifetime import applying
from tenure.model.manifests import VOCABULARY_NAME
from tenure.model.names import ANY
from tenure.model.retention import RetentionSpec
from tenure.model.scope_rules import scope_match


class Kept(NamedTuple):
    """Since when accesses are kept of what is declared, in microseconds.

    `since`: of whatever was declared then; `applied`: (kind, name) of each manifest → when it was applied as
    it is now.
    """

    since: int
    applied: Mapping[tuple[str, str], int]


class Ruling(NamedTuple):
    """What applies to versions with the same labels in a scope.

    `events`: those that a rule begins with. `keeps_access`: whether a rule counts from the last access.
    `access_since`: all accesses to such versions are kept from then on; None when none are.
    """

    rules: Mapping[str, RetentionSpec]
    events: frozenset[str]
    keeps_access: bool
    access_since: int | None


class Rulebook:
    """The retention rules of one configuration. Made with it, and gone with it."""

    def __init__(self, configuration: Configuration, kept: Kept | None = None) -> None:
        """`kept`: left out of what is only being thought of."""
        self._configuration = configuration
        self._kept = kept
        self._of: dict[tuple[str, str], Ruling] = {}

    def of(self, scope: str, labels: str) -> Ruling:
        """Of versions in this scope with these labels: sorted categories, comma-joined."""
        found = self._of.get((scope, labels))
        if found is None:
            found = self._of[scope, labels] = self._ruling(scope, labels)
        return found

    def _ruling(self, scope: str, labels: str) -> Ruling:
        declared = self._configuration
        rules = applying(declared.retentions, declared.categories, scope, labels.split(","))
        by_access = [name for name, spec in rules.items() if spec.clock == "access"]
        since = None
        if by_access and self._kept is not None:
            applied = self._kept.applied
            tree = applied.get(("Vocabulary", VOCABULARY_NAME), 0)
            since = max(self._kept.since, tree, *(applied["Retention", name] for name in by_access))
        return Ruling(
            rules,
            frozenset(spec.event for spec in rules.values() if spec.event is not None),
            keeps_access=bool(by_access),
            access_since=since,
        )

    def events_in(self, scope: str) -> dict[str, tuple[str, ...]]:
        """Event → the categories, in this scope, of the rules that begin with it; sorted.

        An event of rules for nothing that the scope takes is none of its events.
        """
        spec = self._configuration.scopes.get(scope)
        tree = self._configuration.categories
        found: dict[str, set[str]] = {}
        for rule in self._configuration.retentions.values():
            if spec is None or rule.event is None:
                continue
            if not any(scope_match(scope, pattern) for pattern in rule.scopes):
                continue
            # Of two names one of which is below the other, the lower one is what both speak of.
            below = [one for one in spec.categories if tree.within_any(one, frozenset(rule.categories))]
            within = [one for one in rule.categories if tree.within_any(one, frozenset(spec.categories))]
            both = spec.categories if ANY in rule.categories else (*below, *within)
            if both:
                found.setdefault(rule.event, set()).update(both)
        return {event: tuple(sorted(categories)) for event, categories in sorted(found.items())}
