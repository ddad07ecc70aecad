"""Which decisions used what is about a person, or what was derived from it.

Nothing leads from a version to who read it but the entries themselves: an index would be another row in every
commit of an access, and a second truth beside the ledger, which whoever deletes a row of it makes incomplete.
So all of a tenant's decisions are gone through, in the order of their ids, a page to a read-only transaction:

    1 decisions behind the last one, and how many entries are bound to each (by the index alone)
    2 their entries, some thousand at once, and the separate lists of accesses that these name
    3 the records that they name: which of these have versions of the person
    4 only of decisions that name one: each access, version by version

Linear in the entries that are bound to decisions: some 20 s of one processor for a million of them, in pages
of milliseconds. Memory is that of a page or of the largest decision, as sealing it took.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tenure.errors import Conflict
from tenure.ledger.entry import Access, Action
from tenure.reconstruction import bound_accesses
from tenure.store import impact as store
from tenure.store import log
from tenure.store.impact import Made
from tenure.store.records import Place
from tenure.store.session import Tx

DECISIONS: Final = 200
"""Decisions of a page."""
ENTRIES: Final = 2_000
"""Entries that are fetched together, unless a decision alone has more."""
LISTS: Final = 50
"""Separate lists of accesses that are fetched together."""
MOST: Final = 100_000
"""How many versions about others that descend from a person's are kept in mind at most."""
USED: Final = frozenset({Action.RETURNED, Action.LISTED, Action.WRITTEN})
"""What a decision did with what it used. Not what it was refused, or what was gone."""
_RECORD: Final = re.compile(rb'"record":"([0-9a-f-]{36})"')
_LIST: Final = re.compile(rb'"accesses_sha256":"([0-9a-f]{64})"')

Entries = Sequence[tuple[str, bytes]]
"""(kind, raw entry)."""


class Seen(NamedTuple):
    """One access of a decision, and its instant in microseconds."""

    at: int
    access: Access

    @property
    def place(self) -> Place:
        """The version."""
        return self.access.record, self.access.version


class Touched(NamedTuple):
    """A decision that used something of the person. `own`: of its versions, those that go with the person.

    `seen`: None when a long list of its accesses is lost, so that nobody can tell what it saw.
    """

    made: Made
    seen: tuple[Seen, ...] | None
    own: Mapping[Place, bool]


@dataclass(slots=True)
class Page:
    """One transaction's worth: how many entries were looked at, up to which decision, and what was found."""

    last: str | None
    full: bool
    """Whether there may be more behind it."""
    decisions: int
    entries: int = 0
    found: list[Touched] = field(default_factory=list)


@dataclass(slots=True)
class Others:
    """Versions that do not go with a person and were derived from what does, in however many steps."""

    places: set[Place] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    complete: bool = True
    """Whether these are all."""

    def below(self, tx: Tx, subject_id: str, parents: Collection[str]) -> dict[str, Place]:
        """What was derived from these versions in one step, and is not here yet: id → place."""
        found = store.children(tx, parents)
        theirs = store.links(tx, subject_id, set(found.values()))
        return {one: at for one, at in found.items() if at not in theirs and at not in self.places}

    def add(self, found: Mapping[str, Place]) -> set[str]:
        """They are here from now on, as far as there is room; the ids of those whose own are to be found."""
        if len(self.places) + len(found) > MOST:
            self.complete = False
            return set()
        self.places.update(found.values())
        self.records.update(record for record, _ in found.values())
        return set(found)


def page(tx: Tx, subject_id: str, others: Others, *, after: str | None) -> Page:
    """The decisions behind one."""
    made = store.decisions(tx, after=after, limit=DECISIONS)
    if not made:
        return Page(after, full=False, decisions=0)
    counts = store.entry_counts(tx, [one.id for one in made])
    answer = Page(made[-1].id, full=len(made) == DECISIONS, decisions=len(made))
    for some in _together(made, counts):
        bound = store.entries(tx, [one.id for one in some])
        answer.entries += sum(map(len, bound.values()))
        named, lost = _named(tx, bound)
        mine = store.records_of(tx, subject_id, set().union(*named.values())) | others.records
        for one in some:
            if one.id in lost or not named[one.id].isdisjoint(mine):
                touched = _touched(tx, one, bound[one.id], subject_id, others)
                answer.found += [touched] if touched is not None else []
    return answer


def _together(made: Sequence[Made], counts: Mapping[str, int]) -> Iterator[list[Made]]:
    some: list[Made] = []
    entries = 0
    for one in made:
        if some and entries + counts.get(one.id, 0) > ENTRIES:
            yield some
            some, entries = [], 0
        some.append(one)
        entries += counts.get(one.id, 0)
    yield some


def _named(tx: Tx, bound: Mapping[str, Entries]) -> tuple[dict[str, set[str]], set[str]]:
    """Decision → the records that its entries name; and the decisions of which a list is lost.

    Entries are canonical JSON, so they need no parsing for it.
    """
    named: dict[str, set[str]] = {}
    separate: dict[str, set[str]] = {}
    for decision, entries in bound.items():
        whole = b"\n".join(body for _, body in entries)
        named[decision] = {one.decode() for one in _RECORD.findall(whole)}
        for digest in _LIST.findall(whole):
            separate.setdefault(digest.decode(), set()).add(decision)
    lost: set[str] = set()
    digests = sorted(separate)
    for first in range(0, len(digests), LISTS):
        some = digests[first : first + LISTS]
        kept = log.access_lists_of(tx, some)
        for digest in some:
            if digest not in kept:
                lost |= separate[digest]
                continue
            records = {one.decode() for one in _RECORD.findall(bytes(kept[digest]))}
            for decision in separate[digest]:
                named[decision] |= records
    return named, lost


def _touched(tx: Tx, made: Made, entries: Entries, subject_id: str, others: Others) -> Touched | None:
    try:
        told = bound_accesses(tx, entries)
        seen = tuple(Seen(at, access) for at, accesses in told for access in accesses)
    except Conflict:
        return Touched(made, None, {})
    own = store.links(tx, subject_id, {one.place for one in seen})
    used = any(one.access.action in USED and (one.place in own or one.place in others.places) for one in seen)
    return Touched(made, seen, own) if used else None
