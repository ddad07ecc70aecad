"""What a decision's context shows now, and what it will show when a person is erased: access by access.

What `GET /v1/decisions/{id}/context` answers is foretold without opening anything: the order of the checks
here is that of `reconstruction.opened_item`. Nothing but ids, numbers and these words leaves:

    returned   the content that the decision saw
    changed    that content, and fewer people whom it names: somebody of a record that all must leave is gone
    withheld   a tombstone
    lost       the log says that it was seen; what it was went with a database that was restored
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from tenure.crew import Desk
from tenure.governance.foretold import GONE, Shown, Sight
from tenure.reconstruction import is_what_was_seen
from tenure.rights.touched import Seen, Touched
from tenure.store import impact as store
from tenure.store import subjects
from tenure.store.impact import Sketch
from tenure.store.records import Place
from tenure.store.subjects import StoredSubject

RETURNED: Final = "returned"
CHANGED: Final = "changed"
WITHHELD: Final = "withheld"
LOST: Final = "lost"
SKEW_US: Final = 300_000_000
"""By how much clocks of two processes may differ where nothing better tells which version was seen."""

Manifest = list[dict[str, Any]]
"""`[{"record","version","segment"?,"shown"}]`, in the order of the accesses."""


class Manifests(NamedTuple):
    """What a decision's context shows of each access with content, before and after an erasure."""

    before: Manifest
    after: Manifest


class _View(NamedTuple):
    """A version, and what is read of each of its segments, or of the whole."""

    sketch: Sketch
    before: tuple[Shown, ...]
    after: tuple[Shown, ...]


class Foresight:
    """Compares for one person, in one transaction."""

    def __init__(self, desk: Desk, person: StoredSubject) -> None:
        """One statement, and one more for each person who is being erased, where a scope keeps."""
        self._desk = desk
        self._before = Sight.before(desk, person.leaf)
        self._after = Sight.without(desk, person.leaf)
        going = [one for one in subjects.erasing(desk.tx) if one != person.leaf]
        self._going = [one.id for one in subjects.by_leaves(desk.tx, going)] if going else []

    def differs(self, touched: Touched) -> Manifests | None:
        """Both manifests of a decision whose context an erasure changes; None for any other."""
        if touched.seen is None or not touched.own:
            return None
        seen = [one for one in touched.seen if one.access.commitment is not None]
        sketches = store.at(self._desk.tx, {one.place for one in seen})
        going = self._derived_from_going(sketches)
        views = {
            place: _View(
                sketch,
                self._before.shows(sketch, behind_going=place in going),
                self._after.shows(sketch, behind_going=place in going or touched.own.get(place, False)),
            )
            for place, sketch in sketches.items()
        }
        pairs = [self._compared(touched.made.id, one, views.get(one.place)) for one in seen]
        if all(before == after for before, after in pairs):
            return None
        return Manifests(
            _manifest(seen, (before for before, _ in pairs)), _manifest(seen, (after for _, after in pairs))
        )

    def _derived_from_going(self, sketches: Mapping[Place, Sketch]) -> set[Place]:
        """Of these versions, those that name nobody and descend from somebody else who is being erased."""
        kept = [place for place, one in sketches.items() if one.scope in self._before.keeping]
        if not kept:
            return set()
        tx = self._desk.tx
        return {
            place
            for going in self._going
            for place, derived in store.links(tx, going, kept).items()
            if derived
        }

    def _compared(self, decision: str, seen: Seen, view: _View | None) -> tuple[str, str]:
        if view is None:
            return LOST, LOST
        segment = seen.access.segment
        if not view.before:
            return WITHHELD, WITHHELD
        if (segment is not None) != bool(view.sketch.segments) or (segment or 0) >= len(view.before):
            return LOST, LOST
        before = view.before[segment or 0]
        if not before.opens:
            return WITHHELD, WITHHELD
        if not self._is_it(decision, seen, view.sketch):
            return LOST, LOST
        return RETURNED, _after(before, view.after[segment or 0] if view.after else GONE)

    def _is_it(self, decision: str, seen: Seen, sketch: Sketch) -> bool:
        """Whether the version is the one that was seen: another may bear its number after a restore."""
        if sketch.created_at <= seen.at:
            return True
        told = is_what_was_seen(self._desk.tx, self._desk.tenancy.keys, decision, seen.access)
        return sketch.created_at - seen.at <= SKEW_US if told is None else told


def _after(before: Shown, after: Shown) -> str:
    if not after.opens:
        return WITHHELD
    return CHANGED if after.people != before.people else RETURNED


def _manifest(seen: Iterable[Seen], shown: Iterable[str]) -> Manifest:
    return [
        {
            "record": one.access.record,
            "version": one.access.version,
            **({} if one.access.segment is None else {"segment": one.access.segment}),
            "shown": word,
        }
        for one, word in zip(seen, shown, strict=True)
    ]
