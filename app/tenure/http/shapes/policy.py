"""Explanations and replays."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Nearest(Shape):
    """The allowing rule that fails the fewest conditions, and which ones."""

    rule: str
    failed: list[str]


class OfCategory(Shape):
    """What the rules say about one category."""

    category: str
    allowed: bool
    allows: list[str]
    denies: list[str]
    nearest: Nearest | None


class Rule(Shape):
    """A rule that an explanation names: a row of a grant, or a built-in one."""

    effect: Literal["allow", "deny"]
    role: str
    scope: str
    category: str
    purpose: str
    action: str
    not_before: Time | None
    not_after: Time | None


class Told(Shape):
    """An explanation under one bundle. `why` says it in sentences; `rules` what each named rule is."""

    policy: str
    allowed: bool
    reason: str
    failed: list[str]
    categories: list[OfCategory]
    rules: dict[str, Rule]
    why: list[str]


class Question(Shape):
    """What was asked. Without categories: whatever there is in the scope."""

    at: Time
    principal: str | None
    roles: list[str]
    roles_from: Literal["given", "recorded", "derived", "present"]
    scope: str
    categories: list[str]
    purpose: str
    action: str


class Explained(Shape):
    """A question under the rules that decided it and under today's. `recorded`: what the ledger says.

    `kept_back`: why it was denied although policy allowed it: a restriction of the processing, or an
    objection to the purpose, of somebody whom the version is about.
    """

    entry: str | None
    recorded: bool | None
    kept_back: Literal["restricted", "objected"] | None
    question: Question
    then: Told | None
    now: Told


class Explanations(Shape):
    """Explanations, denials first. `unknown`: accesses that can no longer be judged.

    `complete`: false for a decision of more entries than one answer looks at; these are of its first.
    """

    items: list[Explained]
    unknown: int
    left_out: int
    complete: bool


class Judged(Shape):
    """An answer with the rules that gave it."""

    allowed: bool | None
    rules: list[str]
    reason: str


class Replayed(Shape):
    """One access, then and now."""

    different: Literal["now-denied", "now-allowed"] | None
    entry: str
    at: Time
    record: str | None
    version: int | None
    scope: str
    categories: list[str]
    purpose: str
    action: str
    roles: list[str]
    roles_from: Literal["recorded", "derived", "present"]
    then: Judged
    now: Judged


class ReplaySummary(Shape):
    """Counts of accesses. `not_reproduced`: the rules of then do not give what was recorded.

    `complete`: false for a decision of more entries or accesses than one answer judges; these are its first.
    """

    accesses: int
    same: int
    now_denied: int
    now_allowed: int
    not_reproduced: int
    unknown: int
    complete: bool


class Replay(Shape):
    """A decision's accesses under other rules, what differs first. `roles`: how well they are known."""

    decision: str
    policy: str
    entry: str
    roles: Literal["recorded", "derived", "present"]
    summary: ReplaySummary
    items: list[Replayed]
