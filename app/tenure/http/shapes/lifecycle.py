"""The lifecycle rules of the cell's bucket."""

from typing import Literal

from tenure.http.shapes.base import Shape


class LifecycleRule(Shape):
    """One rule: what becomes of it, and what it does, in words."""

    id: str
    change: Literal["added", "changed", "removed", "unchanged", "foreign"]
    does: str


class LifecyclePlan(Shape):
    """The bucket's rules beside those that it should have. `seen`: a digest of the rules as they are.

    When objects lie in a folder there is no bucket, and there are no rules.
    """

    place: Literal["bucket", "folder"]
    bucket: str | None
    prefix: str | None
    drift: bool
    seen: str | None
    classes: list[str]
    rules: list[LifecycleRule]
    notes: list[str]


class LifecycleApplied(LifecyclePlan):
    """The plan, whether anything was put, and whether the bucket showed it afterwards."""

    applied: bool
    confirmed: bool
