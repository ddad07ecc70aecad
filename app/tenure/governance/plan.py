"""What a batch of erasures will do, as it is kept in the database and in the mirrored journal: JSON."""

from typing import NotRequired, TypedDict


class Erasure(TypedDict):
    """One erasure: of a subject, of what a hold kept, of a tenant (`store.shreds.Kind`)."""

    shred: str
    kind: str
    target: str
    leaves: list[int]
    """What opens what is erased."""
    ledger: NotRequired[str]
    """Of a tenant: `hand-over`, when its ledger goes too."""


class TenantPlan(TypedDict):
    """A tenant's part of a batch."""

    erasures: list[Erasure]
    leaves: list[int]
    """Everything to puncture: of the erasures, and the old leaves of buckets."""
    buckets: list[tuple[int, int, int]]
    """(blind-index bucket, its leaf now, its leaf afterwards)."""


Plan = dict[str, TenantPlan]
"""By tenant. Empty: nobody is erased, only the root key is rotated."""
