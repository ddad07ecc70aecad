"""Elevations to a role for emergencies."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Elevation(Shape):
    """A principal's elevation to a role for emergencies; `overdue`: it was not reviewed in time."""

    id: str
    state: Literal["requested", "lapsed", "refused", "active", "ended", "reviewed"]
    principal: str
    role: str
    minutes: int
    requested_at: Time
    decided_by: str | None
    decided_at: Time | None
    ends_at: Time | None
    ended_by: str | None
    ended_at: Time | None
    review_due: Time | None
    overdue: bool
    reviewed_by: str | None
    reviewed_at: Time | None
    outcome: str | None


class ElevationPage(Shape):
    """Elevations, newest first."""

    items: list[Elevation]
    next: str | None


class UnderElevation(Shape):
    """An entry that was made under an elevation, or about it."""

    entry: str
    at: Time
    kind: str
    outcome: str


class ElevationWhole(Elevation):
    """An elevation with its reason, the reviewer's note, and a page of the entries that name it."""

    reason: str | None
    note: str | None
    entries: list[UnderElevation]
    next: str | None
