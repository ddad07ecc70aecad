"""What a batch of erasures will do, as it is kept in the database and in the mirrored journal: JSON."""

from typing import NotRequired, TypedDict


class Erasure(TypedDict):
    """One erasure: of a subject, of what a hold kept, of a cohort, of a tenant (`store.shreds.Kind`)."""

    shred: str
    kind: str
    target: str
    leaves: list[int]
    """What opens what is erased."""
    scan: NotRequired[bool]
    """Its certificate waits for a search."""
    ledger: NotRequired[str]
    """Of a tenant: `hand-over`, when its ledger goes too."""


class Rule(TypedDict):
    """What a scope does with derived versions that name nobody (`model.specs.DerivedSpec`)."""

    on_erasure: str
    ground: str | None
    within_hours: int | None


class TenantPlan(TypedDict):
    """A tenant's part of a batch."""

    erasures: list[Erasure]
    leaves: list[int]
    """Everything to puncture: of the erasures, and the old leaves of buckets."""
    buckets: list[tuple[int, int, int]]
    """(blind-index bucket, its leaf now, its leaf afterwards)."""
    derived: dict[str, Rule]
    """By scope, as declared when the batch began; a scope that is not here shreds."""


Plan = dict[str, TenantPlan]
"""By tenant. Empty: nobody is erased, only the root key is rotated."""
