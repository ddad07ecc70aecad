"""When a version moves or goes, and why."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Due(Shape):
    """An instant, and the rule that set it: a Retention manifest, or `expires_at`."""

    at: Time
    rule: str


class Course(Shape):
    """What one rule says of the version. `began` is null while that is not known.

    `counted_from`: what it began with, the rule's clock or a write that came later.
    """

    rule: str
    clock: Literal["write", "access", "event"]
    event: str | None
    began: Time | None
    counted_from: Literal["write", "access", "event"] | None
    cold_at: Time | None
    archive_at: Time | None
    gone_at: Time | None
    floor_at: Time | None
    ground: str | None


class Retention(Shape):
    """The lifetime of a version as of now.

    `tier` is where it belongs by its rules, `lies` where its content is. `gone_at` is null when nothing says
    so, or while something forbids it: a hold, or a rule in `open`, whose floor has no end yet. `ceiling` is
    what the rules would end it at without that. `holds` names them to who may know. `enforced`: whether what
    the rules end is shredded, which is so for whatever has a cohort. It goes with the others of its cohort,
    at the first look after `shredded_after`; that is null for what counts from accesses or events. `why`, in
    sentences.
    """

    record: str
    version: int
    scope: str
    key: str
    tier: Literal["hot", "cold", "archive", "gone"]
    lies: Literal["hot", "cold"]
    cold_at: Due | None
    archive_at: Due | None
    gone_at: Due | None
    ceiling: Due | None
    floor: Due | None
    open: list[str]
    held: bool
    holds: list[str]
    rules: list[Course]
    enforced: bool
    shredded_after: Due | None
    why: list[str]
    entry: str


class EventKept(Shape):
    """An event as it is kept: `at` is the latest that was told of. `changed`: whether this one is that."""

    scope: str
    event: str
    at: Time
    changed: bool
    entry: str
