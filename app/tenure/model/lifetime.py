"""How long a version is kept and where, by the Retention manifests that apply to it. Pure.

    ceilings   hotFor, coldFor, archiveFor and deleteAfter of each rule, and the version's own `expires_at`:
               of several the earliest instant counts
    floors     of several the latest instant counts; it outweighs every ceiling
    holds      outweigh both: while one covers a version, it does not go

A rule's clock begins with the write, the last access or an event, and never before the write: what is
written after its event counts from its writing. Before its event, and while the last access is not known, a
rule's ceilings do not run; its floor runs all the same and has no end, so that nothing is lost for want of a
message.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from tenure.model.names import ANY
from tenure.model.retention import RetentionSpec
from tenure.model.scope_rules import scope_match
from tenure.model.vocabulary import Tree

Tier = Literal["hot", "cold", "archive", "gone"]
Clock = Literal["write", "access", "event"]
HOUR_US: Final = 3_600_000_000
EXPIRES_AT: Final = "expires_at"
"""The rule that a version carries itself."""


class Clocks(NamedTuple):
    """When something happened to a version or to its people: microseconds since 1970.

    `accessed`: of its record, no earlier than it was; None when that is not known. `events`: each name that
    happened for everybody whom the version is about, and the latest time it did (`together`).
    """

    written: int
    accessed: int | None = None
    events: Mapping[str, int] = {}
    expires_at: int | None = None


class Due(NamedTuple):
    """An instant, and the rule that set it: the name of a Retention manifest, or `expires_at`."""

    at: int
    rule: str


class Course(NamedTuple):
    """What one rule says of one version; None: it does not say.

    `began`: None while that is not known. `counted_from`: what it then began with, the rule's clock or a
    later write.
    """

    rule: str
    spec: RetentionSpec
    began: int | None
    counted_from: Clock | None
    cold: int | None
    archive: int | None
    gone: int | None
    floor: int | None

    @property
    def is_open(self) -> bool:
        """Whether its floor has no end yet."""
        return self.spec.floor is not None and self.floor is None


class Lifetime(NamedTuple):
    """When a version moves or goes, and by which rules. `gone`: None when nothing says so, or may.

    `ceiling` is the earliest end that a rule sets, `floor` the latest instant up to which one forbids it,
    `open` the rules whose floor has no end yet, `holds` whose holds cover it.
    """

    cold: Due | None
    archive: Due | None
    gone: Due | None
    ceiling: Due | None
    floor: Due | None
    open: tuple[str, ...]
    holds: tuple[str, ...]
    courses: tuple[Course, ...]

    def tier(self, now: int) -> Tier:
        """Where the version belongs at an instant."""
        due: dict[Tier, Due | None] = {"gone": self.gone, "archive": self.archive, "cold": self.cold}
        return next((tier for tier, one in due.items() if one is not None and one.at <= now), "hot")


def applying(
    retentions: Mapping[str, RetentionSpec], tree: Tree, scope: str, categories: Sequence[str]
) -> dict[str, RetentionSpec]:
    """The rules for versions with these labels, by name: one category that a rule names is enough."""
    return {
        name: spec
        for name, spec in sorted(retentions.items())
        if any(scope_match(scope, pattern) for pattern in spec.scopes)
        and (
            ANY in spec.categories
            or any(tree.within_any(one, frozenset(spec.categories)) for one in categories)
        )
    }


def together(people: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Events that happened for each of these people, with the latest time of each. Of nobody: none.

    So what several people share waits for the last of them, and for whoever is not told of for ever.
    """
    whose = list(people)
    if not whose:
        return {}
    names = frozenset(whose[0]).intersection(*whose[1:])
    return {name: max(one[name] for one in whose) for name in names}


def lifetime(rules: Mapping[str, RetentionSpec], clocks: Clocks, holds: Sequence[str] = ()) -> Lifetime:
    """What rules that apply (`applying`) make of a version."""
    courses = tuple(_course(name, spec, clocks) for name, spec in sorted(rules.items()))
    ends = [Due(one.gone, one.rule) for one in courses if one.gone is not None]
    if clocks.expires_at is not None:
        ends.append(Due(clocks.expires_at, EXPIRES_AT))
    ceiling = min(ends, default=None)
    floor = max((Due(one.floor, one.rule) for one in courses if one.floor is not None), default=None)
    open_ = tuple(one.rule for one in courses if one.is_open)
    gone = ceiling
    if ceiling is not None and floor is not None and floor.at > ceiling.at:
        gone = floor
    if open_ or holds:
        gone = None
    return Lifetime(
        cold=min((Due(one.cold, one.rule) for one in courses if one.cold is not None), default=None),
        archive=min((Due(one.archive, one.rule) for one in courses if one.archive is not None), default=None),
        gone=gone,
        ceiling=ceiling,
        floor=floor,
        open=open_,
        holds=tuple(holds),
        courses=courses,
    )


def _course(rule: str, spec: RetentionSpec, clocks: Clocks) -> Course:
    started = _started(spec, clocks)
    began = None if started is None else max(clocks.written, started)
    later_write = started is not None and started <= clocks.written

    def after(*hours: int | None) -> int | None:
        return None if began is None else began + sum(one or 0 for one in hours) * HOUR_US

    # The stages follow one another; one that is left out takes no time, unless nothing comes after it.
    stages = (spec.hot_for, spec.cold_for, spec.archive_for)
    cold = after(spec.hot_for) if any(one is not None for one in stages) else None
    archive = after(spec.hot_for, spec.cold_for) if spec.cold_for or spec.archive_for else None
    return Course(
        rule,
        spec,
        began,
        counted_from=None if began is None else "write" if later_write else spec.clock,
        cold=cold,
        archive=archive,
        gone=after(spec.delete_after) if spec.delete_after is not None else None,
        floor=after(spec.floor) if spec.floor is not None else None,
    )


def _started(spec: RetentionSpec, clocks: Clocks) -> int | None:
    if spec.clock == "event":
        return clocks.events.get(spec.event or "")
    return clocks.accessed if spec.clock == "access" else clocks.written
