"""What is held about a person, for scoping a request: where, of which kind, in which tier, and with whom.

`governance.impact` says how much of it an erasure takes; this says what it is, and what that means for the
other people in it. Counts and ids leave, no content, no reference.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tenure.cold.classes import RetentionClass
from tenure.crew import Desk
from tenure.governance.foretold import Sight
from tenure.keys import segments
from tenure.keys.seal import founding_leaves
from tenure.model.layers import DAY_US
from tenure.store import impact as store
from tenure.store import subjects
from tenure.store.impact import Count, Sketch
from tenure.store.records import DERIVED, LABELLED, Place
from tenure.store.subjects import StoredSubject

Fate = Literal["stays", "cut", "goes"]
STAYS: Final[Fate] = "stays"
"""Others read on; whom it names is one fewer."""
CUT: Final[Fate] = "cut"
"""Others read on what is theirs; segments of the person go."""
GOES: Final[Fate] = "goes"
"""It goes with the person, for the others too."""


@dataclass(slots=True)
class _Shared:
    records: set[str] = field(default_factory=set)
    versions: int = 0
    people: set[int] = field(default_factory=set)
    """Leaves."""


def inventory(desk: Desk, person: StoredSubject) -> dict[str, Any]:
    """Everything that goes with a person, and who else is in it.

    `{"subject","state","held":[{"scope","categories","tier","state","versions"}],
    "shared":[{"scope","fate","records","versions","people"}],
    "derived":[{"scope","categories","rule","tier","state","versions"}]}`. `tier` is `hot`, `cold`, `archived`
    (in a pack that by its class is in the archive by now), or None where nothing is stored any more. `shared`
    are readable versions that name other people as well, by what an erasure makes of them: `stays`, `cut`,
    `goes`; `people`: how many others there are in these. `derived` name nobody; `rule`: of their scope today.

    One statement, and one for each 500 versions that name the person, read without their contents.
    """
    scopes = desk.tenancy.policy.configuration.scopes
    held, derived = _held(desk, person, LABELLED), _held(desk, person, DERIVED)
    return {
        "subject": person.id,
        "state": person.state,
        "held": held,
        "shared": _shared(desk, person),
        "derived": [{**one, "rule": scopes[one["scope"]].on_derived.on_erasure} for one in derived],
    }


def _held(desk: Desk, person: StoredSubject, how: int) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for one in store.counted(desk.tx, person.id):
        if one.derived == how:
            counts[one.scope, one.labels, _tier(one, desk.now) or "", one.state] += one.versions
    return [
        {
            "scope": scope,
            "categories": labels.split(","),
            "tier": tier or None,
            "state": state,
            "versions": versions,
        }
        for (scope, labels, tier, state), versions in sorted(counts.items())
    ]


def _tier(one: Count, now: int) -> str | None:
    """No store is asked: a pack's class says when the bucket's rules move it."""
    if one.tag is not None and one.put_at is not None:
        days = RetentionClass.parse(one.tag).archive_after_days
        if days is not None and one.put_at + days * DAY_US <= now:
            return "archived"
    return one.tier


def _shared(desk: Desk, person: StoredSubject) -> list[dict[str, Any]]:
    before, without = Sight.before(desk, person.leaf), Sight.without(desk, person.leaf)
    scopes = list(desk.tenancy.policy.configuration.scopes)
    nobodys = {leaf for _, leaf in desk.tx.ask((subjects.SCOPE_LEAVES, {"scopes": scopes}))[0]}
    found: dict[tuple[str, Fate], _Shared] = {}
    after: Place | None = None
    while some := store.of_person(desk.tx, person.id, derived=False, after=after, limit=store.AT_ONCE):
        after = some[-1].place
        for one in some:
            if not one.readable or one.header is None or not before.survives(one.header):
                continue
            others = {leaf for leaf in _leaves(one) - nobodys - {person.leaf} if before.opens((leaf,))}
            if others:
                shared = found.setdefault((one.scope, _fate(one, before, without)), _Shared())
                shared.records.add(one.record_id)
                shared.versions += 1
                shared.people |= others
    return [
        {
            "scope": scope,
            "fate": fate,
            "records": len(shared.records),
            "versions": shared.versions,
            "people": len(shared.people),
        }
        for (scope, fate), shared in sorted(found.items())
    ]


def _leaves(one: Sketch) -> set[int]:
    """Of everybody whom a version, or a segment that is left of it, was sealed to."""
    headers = [one.header or b""]
    if one.segments:
        headers = [part.header for part in segments.decode(one.content or b"") if part is not None]
    return {leaf for header in headers for leaf in founding_leaves(header) if leaf != one.cohort}


def _fate(one: Sketch, before: Sight, without: Sight) -> Fate:
    if not without.survives(one.header or b""):
        return GOES
    return CUT if without.segments_lost(one, before) else STAYS
