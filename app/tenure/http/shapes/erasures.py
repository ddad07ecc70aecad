"""Subjects, erasures, what they reach, and holds."""

from typing import Any, Literal

from pydantic import Field

from tenure.http.shapes.base import Shape, Time


class SubjectFound(Shape):
    """A data subject."""

    id: str
    state: str


class Subjects(Shape):
    """Who is known by a reference."""

    items: list[SubjectFound]


class Holding(Shape):
    """How much is held in one place."""

    scope: str
    categories: list[str]
    state: str
    versions: int


class Happened(Shape):
    """An event of a person, by its latest time in a scope."""

    scope: str
    event: str
    at: Time


class Objection(Shape):
    """A purpose that a person objects to, with those below it."""

    purpose: str
    since: Time


class Subject(Shape):
    """What is held about a person, without content; and events that retention may count from.

    `restricted_since`: nobody is given any of it for as long; `objections`: not for these purposes.
    """

    id: str
    state: str
    shred: str | None
    held: list[Holding]
    events: list[Happened]
    restricted_since: Time | None
    objections: list[Objection]


class Shred(Shape):
    """An erasure; `certificate` is there once it is signed.

    `rederivations`, of a single one: how many in each state, when something is to be derived again.
    """

    shred: str
    state: str
    certificate: str = ""
    rederivations: dict[str, int] = Field(default_factory=dict)


class Rederivation(Shape):
    """A record to be derived again: its current version went with a person, or is stale.

    With the cause `rectification` `shred` is the id of the rights request.
    """

    id: str
    shred: str
    cause: Literal["erasure", "rectification"]
    scope: str
    record: str
    version: int
    version_id: str
    state: Literal["pending", "asked", "done", "overdue"]
    attempts: int
    deadline: Time


class RederivationPage(Shape):
    """What is to be derived again, newest first."""

    items: list[Rederivation]
    next: str | None


class DerivedInScope(Shape):
    """Derived versions in one scope, and its rule for them."""

    scope: str
    rule: Literal["shred", "rederive", "keep"]
    versions: int


class DerivedImpact(Shape):
    """Versions derived from a person's that name nobody, by rule; `labelled` ones name others and stay."""

    shred: int
    rederive: int
    keep: int
    labelled: int
    scopes: list[DerivedInScope]


class Scan(Shred):
    """A search for given values: the summary that a certificate may carry, and where something was found."""

    attached: bool
    residue: dict[str, Any]
    found: list[dict[str, Any]]
    values_salt: str


class Impact(Shape):
    """What an erasure would do to the versions about a person. `segments` go from versions that stay."""

    subject: str
    versions: int
    erased: int
    shared: int
    segments: int
    held: int
    holds: list[dict[str, str]]
    derived: DerivedImpact


class ShredPage(Shape):
    """Erasures, newest first."""

    items: list[Shred]
    next: str | None


class Hold(Shape):
    """A legal hold; `versions` are kept by it although they were erased."""

    id: str
    by: Literal["subject", "scope", "record"]
    target: str
    ground: str
    state: Literal["active", "releasing", "released"]
    placed_at: str
    released_at: str | None
    versions: int


class Holds(Shape):
    """All holds of a tenant."""

    items: list[Hold]


class HoldReleased(Shred):
    """A hold that ends, and the erasure that ends it."""

    hold: str
