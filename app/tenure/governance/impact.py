"""What an erasure would do, before anybody asks for it."""

from collections import Counter
from typing import Any

from tenure.crew import Desk
from tenure.governance import derived
from tenure.governance.foretold import Sight
from tenure.store import erasing, holds
from tenure.store.holds import Hold
from tenure.store.subjects import StoredSubject

_CHUNK = 500
MOST_LABELLED = 10_000
"""How many derived versions about others are counted at most."""


def impact(desk: Desk, person: StoredSubject) -> dict[str, Any]:
    """The dry run: counts and ids, never content. Reads all of the person's versions, in chunks."""
    covering = holds.active(desk.tx)
    before, without = Sight.before(desk, person.leaf), Sight.without(desk, person.leaf)
    counts = {"versions": 0, "erased": 0, "shared": 0, "segments": 0, "held": 0}
    used: set[str] = set()
    after: tuple[str, int] | None = None
    while found := erasing.of_subject(desk.tx, person.id, limit=_CHUNK, after=after, derived=False):
        after = (found[-1].record_id, found[-1].version)
        for stored in found:
            if stored.header is None:
                continue
            survives = without.survives(stored.header)
            going = without.segments_lost(stored, before) if survives else 0
            counts["versions"] += 1
            counts["shared" if survives else "erased"] += 1
            counts["segments"] += going
            if survives and not going:
                continue
            keeping = {hold.id for hold in covering if hold.covers(person.id, stored)}
            counts["held"] += bool(keeping)
            used |= keeping
    made, keeping_too = _derived(desk, person, covering)
    used |= keeping_too
    keepers = [{"id": one.id, "by": one.kind, "ground": one.ground} for one in covering if one.id in used]
    return {"subject": person.id, **counts, "holds": keepers, "derived": made}


def _derived(desk: Desk, person: StoredSubject, covering: list[Hold]) -> tuple[dict[str, Any], set[str]]:
    """What becomes of versions that name nobody and were derived from the person's, by today's rules.

    And the holds that keep something of it.
    """
    scopes = desk.tenancy.policy.configuration.scopes
    counts: Counter[str] = Counter()
    used: set[str] = set()
    after: tuple[str, int] | None = None
    while found := erasing.of_subject(desk.tx, person.id, limit=_CHUNK, after=after, derived=True):
        after = (found[-1].record_id, found[-1].version)
        for stored in found:
            if stored.header is not None:
                counts[stored.scope] += 1
                used |= {hold.id for hold in covering if hold.covers(person.id, stored)}
    rules = {scope: scopes[scope].on_derived.on_erasure for scope in counts}
    totals: Counter[str] = Counter({derived.SHRED: 0, derived.REDERIVE: 0, derived.KEEP: 0})
    for scope, count in counts.items():
        totals[rules[scope]] += count
    by_scope = [
        {"scope": scope, "rule": rules[scope], "versions": count} for scope, count in sorted(counts.items())
    ]
    labelled = erasing.labelled_descendants(desk.tx, person.id, most=MOST_LABELLED)
    return {**totals, "labelled": labelled, "scopes": by_scope}, used
