"""What an import did, and what it refused and why. Never what anything holds: reports are passed on."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from tenure.errors import TenureError

MOST_REFUSALS: Final = 10_000
"""So many are told of one by one; the others are counted."""


class Outcome(StrEnum):
    """What became of a line, a thread or an item."""

    WRITTEN = "written"
    """Of a dry run: it would be written, as far as can be told without asking the service."""
    THERE = "already there"
    SKIPPED = "skipped"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something was not taken. `place` says where it is without saying what or whose it is."""

    place: str
    kind: str
    why: str
    field: str | None = None
    rule: str | None = None
    remedy: str | None = None

    @classmethod
    def of(cls, place: str, failure: TenureError) -> "Refusal":
        """From the error that refused it."""
        return cls(place, failure.kind, failure.detail, failure.field, failure.rule, failure.remedy)

    @property
    def alike(self) -> tuple[str, str | None, str | None]:
        """What refusals of one cause have in common."""
        return self.kind, self.field, self.rule


@dataclass(slots=True)
class Report:
    """Counts by outcome of `unit`s: lines, threads or items. `parts` counts what these were made of."""

    source: str
    unit: str
    dry_run: bool
    counts: Counter[Outcome] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    """By rule: its place in the mapping, such as `skip[0]`."""
    refusals: list[Refusal] = field(default_factory=list)
    stopped: Refusal | None = None
    """What ended the import before its end; the rest was not looked at."""

    @property
    def ok(self) -> bool:
        """Whether everything was taken that was not skipped."""
        return self.stopped is None and not self.counts[Outcome.REFUSED]

    def refuse(self, refusal: Refusal) -> None:
        """Count it, and keep why."""
        self.counts[Outcome.REFUSED] += 1
        if len(self.refusals) < MOST_REFUSALS:
            self.refusals.append(refusal)

    def as_json(self) -> dict[str, Any]:
        """For `--json` and `--report`."""
        return {
            "source": self.source,
            "dry_run": self.dry_run,
            "ok": self.ok,
            "unit": self.unit,
            "counts": {one.value.replace(" ", "_"): self.counts[one] for one in Outcome},
            "parts": dict(self.parts),
            "skipped": dict(self.skipped),
            "refusals": [_members(one) for one in self.refusals],
            "refusals_left_out": self.counts[Outcome.REFUSED] - len(self.refusals),
            **({} if self.stopped is None else {"stopped": _members(self.stopped)}),
        }


def _members(refusal: Refusal) -> dict[str, str]:
    named = {
        "place": refusal.place,
        "kind": refusal.kind,
        "field": refusal.field,
        "rule": refusal.rule,
        "why": refusal.why,
        "remedy": refusal.remedy,
    }
    return {name: value for name, value in named.items() if value is not None}
