"""Manifests, what an apply does, and the generations of a configuration."""

from typing import Any, Literal

from tenure.http.shapes.base import Shape, Time


class Change(Shape):
    """What an apply does to one manifest."""

    kind: str
    name: str
    change: str


class WhatIfGroup(Shape):
    """Accesses that would come out differently. `was`: as recorded; `now`: under the present rules."""

    roles: list[str]
    scope: str
    categories: list[str]
    purpose: str
    action: str
    was: bool
    now: bool
    becomes: bool
    rules: list[str]
    count: int
    first_at: Time
    last_at: Time
    examples: list[str]


class WhatIf(Shape):
    """What a dry run found in the ledger, from the newest entry backwards.

    `first` and `end`: the places that were looked at. `stopped`: why not all of the days were.
    """

    days: int
    entries: int
    first: int
    end: int
    stopped: Literal["limit", "generation"] | None
    accesses: int
    denied: int
    allowed: int
    unknown: int
    roles: Literal["recorded", "derived", "present"]
    groups: list[WhatIfGroup]
    groups_left_out: int


class Applied(Shape):
    """What an apply or a rollback did, or would do.

    `generation` is the one in force afterwards; `what_if` is there only if it was asked for.
    """

    changes: list[Change]
    policy: str
    generation: int
    dry_run: bool
    entry: str | None
    warnings: list[str] = []
    what_if: WhatIf | None = None


class Difference(Change):
    """What an apply would do to one manifest, as a unified diff."""

    diff: str


class Differences(Shape):
    """What an apply would change, and the digest of the policy that it would make."""

    changes: list[Difference]
    policy: str


class ConfigurationGeneration(Shape):
    """A generation of the tenant's configuration. `restored`: the one whose content came back."""

    generation: int
    at: Time
    principal: str
    entry: str
    policy: str
    changes: list[Change]
    restored: int | None


class ConfigurationPage(Shape):
    """Generations, newest first."""

    items: list[ConfigurationGeneration]
    next: str | None


class ManifestMeta(Shape):
    """Name and history of a manifest."""

    name: str
    generation: int
    appliedAt: Time  # noqa: N815 - Kubernetes' spelling


class Manifest(Shape):
    """A manifest as declared."""

    apiVersion: str  # noqa: N815 - Kubernetes' spelling
    kind: str
    metadata: ManifestMeta
    spec: dict[str, Any]


class Condition(Shape):
    """Whether something is so, why in one word, and what that means."""

    type: str
    status: Literal["True", "False"]
    reason: str
    message: str


class ReachingGrant(Shape):
    """A grant that reaches a scope or names a role."""

    name: str
    effect: Literal["allow", "deny"]
    words: str


class AppliedBy(Shape):
    """In which generation a manifest was last applied, when and by whom."""

    generation: int
    at: Time
    principal: str
    name: str | None
    entry: str


class Description(Manifest):
    """A manifest in words, and what is so about it."""

    words: list[str]
    conditions: list[Condition]
    grants: list[ReachingGrant]
    applied: AppliedBy | None


class ManifestSchema(Shape):
    """A JSON Schema (2020-12)."""


class Manifests(Shape):
    """Manifests of one kind."""

    items: list[Manifest]
