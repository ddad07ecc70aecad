"""Records, their history, and decisions with what they saw."""

from typing import Any, Literal

from tenure.http.shapes.base import Shape, Time


class Written(Shape):
    """A stored version, without content."""

    record: str
    version: int
    version_id: str
    scope: str
    key: str
    created_at: Time
    entry: str
    commitment: str | None
    commitments: list[str] = []


class Segment(Shape):
    """A part about some people only; of an erased one only that, and the certificate once it is signed.

    `withheld`: it is kept back, and why, as somebody whom it is about has that right.
    """

    subjects: list[str] = []
    content: Any = None
    commitment: str = ""
    erased: bool = False
    certificate: str | None = None
    withheld: Literal["restricted", "objected"] | None = None


class RecordHead(Written):
    """A version with its labels. `stale_since`: something that it was derived from was corrected then."""

    subjects: list[str]
    categories: list[str]
    metadata: dict[str, Any]
    derived_from: list[str]
    expires_at: Time | None
    tier: str
    path: list[str] = []
    stale_since: Time | None = None


class Record(RecordHead):
    """A version with its content, or with the segments that it was written in."""

    content: Any = None
    segments: list[Segment] = []


class RecordPage(Shape):
    """A page of records. `withheld` counts what matches but may not be shown; content only on request.

    What is kept back for somebody whom it is about is counted on the pages where it is met. `entry` is this
    access; each item names the entry of its own writing.
    """

    items: list[RecordHead]
    next: str | None
    withheld: int
    entry: str


class HistoryLine(Shape):
    """One version in a history. `restricted_since`: it was corrected then, and is not read any more."""

    version: int
    version_id: str
    state: str
    created_at: Time
    categories: list[str]
    entry: str
    restricted_since: Time | None = None
    stale_since: Time | None = None


class History(Shape):
    """Versions of a record, newest first. `entry` is this access."""

    items: list[HistoryLine]
    next: str | None
    withheld: int
    entry: str


class DecisionOpened(Shape):
    """A new decision."""

    id: str
    purpose: str
    opened_at: Time
    entry: str


class DecisionSealed(Shape):
    """A decision that takes no more accesses."""

    id: str
    outcome: str
    sealed_at: Time
    accesses: int
    entry: str


class Decision(Shape):
    """A decision and what it read, without content."""

    id: str
    principal: str
    purpose: str
    subject: str | None
    state: Literal["open", "sealed"]
    opened_at: Time
    sealed_at: Time | None
    outcome: str | None
    seal_entry: str | None
    accesses: list[dict[str, Any]]


class Reconstruction(Shape):
    """What a decision saw; erased versions are tombstones. `entry` is this access."""

    decision: str
    items: list[dict[str, Any]]
    withheld: int
    entry: str
