"""The whole valid set of a tenant's manifests, and the questions a write asks of it.

A `Configuration` exists only if every rule between its manifests holds, so nothing downstream checks
again. It is immutable: applying manifests gives another one.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, cast

import rfc8785

from tenure.errors import Invalid, NotFound
from tenure.model import references
from tenure.model.agents import AgentSpec
from tenure.model.controller import ControllerSpec, RequestsSpec
from tenure.model.manifests import CONTROLLER_NAME, VOCABULARY_NAME, Manifest, canonical, invalid
from tenure.model.names import shown
from tenure.model.recipients import RecipientSpec
from tenure.model.retention import RetentionSpec
from tenure.model.specs import GrantSpec, RoleSpec, ScopeSpec, VocabularySpec
from tenure.model.vocabulary import Tree

Change = Literal["created", "changed", "unchanged", "removed"]
_Key = tuple[str, str]


@dataclass(frozen=True)
class Configuration:
    """Everything a tenant has declared. Build it with `empty()` and `with_manifests`."""

    manifests: Mapping[_Key, Manifest] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def empty(cls) -> "Configuration":
        """Nothing declared: every content scope is unknown, so everything but the service is denied."""
        return cls()

    def with_manifests(self, manifests: Iterable[Manifest]) -> "Configuration":
        """Add or replace these manifests and check the whole set. Nothing is ever removed.

        The same manifest may come several times: files of a folder may share a vocabulary.

        Raises `Invalid` naming the manifest, the field, the rule and the remedy. `field` starts with
        `manifests[i]` for the i-th given one and with `Kind/name` for one that was there before.
        """
        merged = dict(self.manifests)
        places: dict[_Key, str] = {key: f"{key[0]}/{key[1]}" for key in merged}
        given: dict[_Key, int] = {}
        for index, manifest in enumerate(manifests):
            key = (manifest.kind, manifest.name)
            if key in given and merged[key] != manifest:
                raise invalid(
                    f"manifests[{index}].metadata.name",
                    f"{manifest.kind} {shown(manifest.name)} is given twice and differs"
                    f" (the first is manifests[{given[key]}]{_place(merged[key])})",
                    rule="unique",
                    remedy="Keep one of the two.",
                    source=manifest.source,
                    at=("metadata", "name"),
                )
            given.setdefault(key, index)
            merged[key] = manifest
            places[key] = f"manifests[{index}]"
        whole = Configuration(MappingProxyType(dict(sorted(merged.items()))))
        references.check(whole, places)
        return whole

    @cached_property
    def _vocabulary(self) -> VocabularySpec | None:
        found = self.manifests.get(("Vocabulary", VOCABULARY_NAME))
        return None if found is None else cast("VocabularySpec", found.spec)

    @cached_property
    def categories(self) -> Tree:
        """The category tree; empty without a vocabulary."""
        return Tree() if self._vocabulary is None else Tree.of(self._vocabulary.categories)

    @cached_property
    def purposes(self) -> Tree:
        """The purpose tree; empty without a vocabulary."""
        return Tree() if self._vocabulary is None else Tree.of(self._vocabulary.purposes)

    @cached_property
    def lawful_bases(self) -> frozenset[str]:
        """The lawful bases that scopes may name."""
        return frozenset() if self._vocabulary is None else frozenset(self._vocabulary.lawful_bases)

    @cached_property
    def scopes(self) -> Mapping[str, ScopeSpec]:
        """The declared scopes by name."""
        return cast("Mapping[str, ScopeSpec]", self._of("Scope"))

    @cached_property
    def roles(self) -> Mapping[str, RoleSpec]:
        """The declared roles by name, without the built-in ones."""
        return cast("Mapping[str, RoleSpec]", self._of("Role"))

    @cached_property
    def emergency_roles(self) -> frozenset[str]:
        """The declared roles that are nobody's own, only to be elevated to (`breakGlass`)."""
        return frozenset(name for name, role in self.roles.items() if role.break_glass is not None)

    @cached_property
    def grants(self) -> Mapping[str, GrantSpec]:
        """The declared grants by name."""
        return cast("Mapping[str, GrantSpec]", self._of("Grant"))

    @cached_property
    def retentions(self) -> Mapping[str, RetentionSpec]:
        """The declared retention rules by name. Nothing in this version goes by them."""
        return cast("Mapping[str, RetentionSpec]", self._of("Retention"))

    @cached_property
    def recipients(self) -> Mapping[str, RecipientSpec]:
        """Whom data is disclosed to, by name."""
        return cast("Mapping[str, RecipientSpec]", self._of("Recipient"))

    @cached_property
    def agents(self) -> Mapping[str, AgentSpec]:
        """What agents need, by name. Nothing in this version goes by it."""
        return cast("Mapping[str, AgentSpec]", self._of("Agent"))

    @cached_property
    def controller(self) -> ControllerSpec | None:
        """Who answers for the processing, if it was declared."""
        found = self.manifests.get(("Controller", CONTROLLER_NAME))
        return None if found is None else cast("ControllerSpec", found.spec)

    @property
    def requests(self) -> RequestsSpec:
        """How rights requests are handled, declared or not."""
        return RequestsSpec() if self.controller is None else self.controller.on_requests

    def only(self, keys: Iterable[_Key]) -> "Configuration":
        """The same with these manifests alone. Not checked: what is added to it checks the whole set."""
        kept = set(keys)
        return Configuration(
            MappingProxyType({key: one for key, one in self.manifests.items() if key in kept})
        )

    def to_manifests(self) -> tuple[Manifest, ...]:
        """All manifests, ordered by kind and name."""
        return tuple(self.manifests.values())

    def canonical(self) -> list[dict[str, Any]]:
        """The canonical forms of all manifests, ordered by kind and name."""
        return canonical(self.to_manifests())

    def digest(self) -> str:
        """`sha256:` and the hex digest of the canonical JSON (RFC 8785) of all manifests."""
        return "sha256:" + hashlib.sha256(rfc8785.dumps(cast("Any", self.canonical()))).hexdigest()

    def diff(self, other: "Configuration") -> list[tuple[str, str, Change]]:
        """What going from this configuration to `other` does to each manifest, by kind and name."""
        found: list[tuple[str, str, Change]] = []
        for key in sorted({*self.manifests, *other.manifests}):
            before, after = self.manifests.get(key), other.manifests.get(key)
            change: Change
            if before is None:
                change = "created"
            elif after is None:
                change = "removed"
            else:
                change = "unchanged" if before == after else "changed"
            found.append((*key, change))
        return found

    def check_labels(self, scope: str, categories: Iterable[str], subjects_count: int, purpose: str) -> None:
        """Check that a record with these labels may be written to `scope` at all.

        A category may be written if it or one above it is listed by the scope; a purpose has a lawful
        basis if it or one above it is. Raises `NotFound` (field `scope`) for an undeclared scope and
        `Invalid` (field `categories`, `subjects` or `purpose`) naming the manifest.
        """
        spec = self.scopes.get(scope)
        if spec is None:
            raise NotFound(
                f"Scope {shown(scope)} is not declared. Nothing was written. Declare it in a Scope manifest.",
                field="scope",
                rule="declared-scope",
                remedy="Use a declared scope, or apply a Scope manifest for this one.",
            )
        self._check_categories(scope, spec, tuple(categories))
        self._check_subjects(scope, spec, subjects_count)
        self._check_purpose(scope, spec, purpose)

    def _check_categories(self, scope: str, spec: ScopeSpec, categories: tuple[str, ...]) -> None:
        if not categories:
            raise _unfit(
                scope, "categories", "category-given", "the record has no category", "Give at least one."
            )
        listed = frozenset(spec.categories)
        for category in categories:
            if category not in self.categories:
                raise _unfit(
                    scope,
                    "categories",
                    "declared-category",
                    f"category {shown(category)} is not in Vocabulary {VOCABULARY_NAME}",
                    "Use a category of the vocabulary.",
                )
            if not self.categories.within_any(category, listed):
                raise _unfit(
                    scope,
                    "categories",
                    "scope-category",
                    f"category {shown(category)} is not one that the scope takes",
                    f"Use {', '.join(spec.categories)}, or list it in the scope's `categories`.",
                )

    def _check_subjects(self, scope: str, spec: ScopeSpec, count: int) -> None:
        if spec.subjects == "required" and count < 1:
            raise _unfit(
                scope,
                "subjects",
                "subjects-required",
                "the scope takes records about a person only, and no subject is given",
                "Name the subjects the record is about.",
            )
        if spec.subjects == "none" and count > 0:
            raise _unfit(
                scope,
                "subjects",
                "subjects-none",
                "the scope takes no records about persons, and a subject is given",
                "Leave the subjects out, or use a scope that takes them.",
            )

    def _check_purpose(self, scope: str, spec: ScopeSpec, purpose: str) -> None:
        if purpose not in self.purposes:
            raise _unfit(
                scope,
                "purpose",
                "declared-purpose",
                f"purpose {shown(purpose)} is not in Vocabulary {VOCABULARY_NAME}",
                "Name a purpose of the vocabulary.",
            )
        if spec.lawful_basis is not None and not self.purposes.within_any(
            purpose, frozenset(spec.lawful_basis)
        ):
            raise _unfit(
                scope,
                "purpose",
                "lawful-basis",
                f"the scope names no lawful basis for purpose {shown(purpose)}",
                "Use a purpose that the scope's `lawfulBasis` covers, or add one there.",
            )

    def _of(self, kind: str) -> Mapping[str, object]:
        return MappingProxyType(
            {name: each.spec for (its, name), each in self.manifests.items() if its == kind}
        )


def _place(manifest: Manifest) -> str:
    parts = [] if manifest.source.file is None else [f"file {manifest.source.file + 1}"]
    parts += [] if manifest.line is None else [f"line {manifest.line}"]
    return f", {', '.join(parts)}" if parts else ""


def _unfit(scope: str, at: str, rule: str, what: str, remedy: str) -> Invalid:
    return Invalid(
        f"Scope {shown(scope)}: {what}. Nothing was written. {remedy}", field=at, rule=rule, remedy=remedy
    )
