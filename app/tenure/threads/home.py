"""Where a thread lives: its root, its generation, its people, its leaf."""

import secrets
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from tenure import filing, ids, quota
from tenure.access import Ask, Caller
from tenure.cohorts import grouping, known_leaf, leaf_of
from tenure.crew import Desk, Needs
from tenure.errors import Conflict, Denied, Erased, Stale
from tenure.keys.seal import header_leaves
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.cohorts import anchor
from tenure.model.record import Draft
from tenure.model.thread import (
    Bound,
    made_at,
    root_key,
    run_path,
    snapshots_key,
    thread_path,
)
from tenure.restraints import Restraint
from tenure.sealing import WITHDRAWN, Head, Slots, erased, labels_of, open_head, unseal
from tenure.store import subjects
from tenure.store.records import CURRENT, StoredVersion
from tenure.store.subjects import StoredSubject
from tenure.tenancy import Tenancy
from tenure.thawing import Thawed
from tenure.withholding import objected
from tenure.writing import Place, put_version, scope_leaf, slots_of, subject_of

_MOST_HOMES: Final = 1_024


class Own(NamedTuple):
    """The cohort that is a generation's own, and ends with it: its anchor's name, and of which period."""

    name: str
    begins: int
    ends: int

    def covers(self, written: int) -> bool:
        """Whether what is written at an instant belongs to it."""
        return self.begins <= written < self.ends


class Home(NamedTuple):
    """A living generation of a thread."""

    root: StoredVersion
    generation: int
    people: tuple[str, ...]
    """Ids of those whom it is about."""
    slots: Slots
    own: Own
    """At the desk's instant."""
    fresh: bool = False
    """Whether it begins now: nothing of it can be stored yet."""


@dataclass(slots=True)
class OnThread:
    """An operation on one namespace of one thread. `generation`: the one that is guessed at first."""

    ask: Ask
    scope: str
    thread: str
    namespace: str
    solo: bool = False
    thawed: Thawed | None = field(default=None, init=False)

    def root_index(self, tenancy: Tenancy) -> str:
        """The blind index of the thread's root."""
        return tenancy.keys.known_index("record", self.scope, root_key(self.thread))

    def index(self, tenancy: Tenancy, generation: int) -> str:
        """The blind index of the record with this namespace's snapshots."""
        key = snapshots_key(self.thread, generation, self.namespace)
        return tenancy.keys.known_index("record", self.scope, key)

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """The root and the namespace's newest snapshot, of the generation that was met last."""
        self.ask.needs(needs)
        root = self.root_index(tenancy)
        needs.records += [root, self.index(tenancy, tenancy.generations.get(root, 1))]

    def newest(self, desk: Desk, generation: int) -> StoredVersion | None:
        """The newest snapshot. A round trip more when the thread's generation was not the one guessed."""
        return lookup(desk, self.index(desk.tenancy, generation))


def lookup(desk: Desk, index: str) -> StoredVersion | None:
    """A record with its current version: as found with the batch, or asked for now."""
    guessed = desk.found.records.get(index)
    if guessed is not None or index in desk.found.asked:
        return guessed
    rows = desk.tx.ask((CURRENT, {"keys": [index]}))[0]
    desk.found.asked.add(index)
    if not rows:
        return None
    stored = StoredVersion(*rows[0])
    desk.found.records[index] = stored
    return stored


def remember(desk: Desk, root: StoredVersion) -> None:
    """Guess this generation next time."""
    if root.latest != desk.tenancy.generations.get(root.key_index, 1):
        desk.tenancy.generations[root.key_index] = root.latest


@dataclass(slots=True)
class Writing(OnThread):
    """An operation that stores something in a thread, or begins one."""

    bound: Bound = field(kw_only=True)

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """What `OnThread` needs, its people or the scope's leaf, and how much is stored."""
        OnThread.needs(self, tenancy, needs)
        needs.threads.append(self.root_index(tenancy))
        needs.subjects += [tenancy.keys.known_index("subject", one) for one in self.bound.people]
        if not self.bound.people:
            needs.scopes.append(self.scope)
        needs.usage |= quota.applies(tenancy)

    def allowed(self, desk: Desk, nonce: bytes) -> Caller | Denied | Erased:
        """Steps 1 and 2: who asks, whether labels and people fit the scope, whether policy allows it."""
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        root = desk.found.records.get(self.root_index(desk.tenancy))
        if self.bound.subjects is None:
            self.bound = Bound(self.bound.categories, _begun_with(desk, root))
        policy = desk.tenancy.policy.configuration
        policy.check_labels(self.scope, self.bound.categories, len(self.bound.people), self.ask.purpose)
        replaced = labels_of(root) if root is not None else ()
        verdict = caller.decide("write", self.scope, tuple(sorted({*self.bound.categories, *replaced})))
        if not verdict.allowed:
            touched = [] if root is None else [Access(root.record_id, root.version, Action.DENIED)]
            return caller.refuse(Kind.WRITE, verdict, *touched, nonce=nonce)
        gone = self._erasing(desk, root)
        if gone is not None:
            caller.record(Kind.WRITE, "erased", nonce=nonce)
            return gone
        if objected(caller, self._leaves(desk)):
            return caller.withhold(Kind.WRITE, Restraint.OBJECTED, nonce=nonce)
        return caller

    def home(self, caller: Caller, *, begins: bool, snapshot: str) -> Home:
        """The thread's generation as it is bound; begun if it may be.

        Raises Stale when it was deleted and this does not `begin` it anew, Conflict when it is bound
        otherwise. A round trip more for people who are new, one for all of a batch.
        """
        desk = caller.desk
        root = desk.found.records.get(self.root_index(desk.tenancy))
        if root is not None and root.state == "live" and (home := self._living(desk, root)) is not None:
            return home
        if root is not None and not (begins and _after(snapshot, root.created_at)):
            raise Stale(
                "This thread was deleted; nothing was stored.",
                field="thread",
                rule="what was begun before a thread was deleted does not bring it back",
                remedy="Begin anew: with a new snapshot that has no parent.",
            )
        return self.generation(caller, root)

    def _living(self, desk: Desk, root: StoredVersion) -> Home | None:
        """The generation of this root, as long as it is not over; as it was met last, if nothing has changed.

        Raises Conflict when it is bound otherwise.
        """
        people, leaves = self._people(desk)
        known, made_of = desk.tenancy.homes, (root, self.bound.categories, people, leaves)
        before = known.get(root.key_index)
        if before is not None and before[0] == made_of and before[1].own.covers(desk.now):
            return before[1]  # type: ignore[no-any-return]  # as it is kept below
        own = self._own(desk, root, desk.now)
        if _over(desk, own):
            return None
        remember(desk, root)
        if root.labels != ",".join(self.bound.categories) or _bound_to(desk, root) != set(leaves):
            raise Conflict(
                "This thread is bound to other people or categories; nothing was stored.",
                field="subjects",
                rule="a thread keeps the people and categories that it was begun with",
                remedy="Use another thread, or bind this call as the thread is.",
            )
        home = Home(root, root.latest, people, self._slots(desk, leaves), own)
        if len(known) >= _MOST_HOMES:
            known.clear()
        known[root.key_index] = made_of, home
        return home

    def generation(self, caller: Caller, old: StoredVersion | None) -> Home:
        """A new generation, after the one whose root this is. Its root has an entry of its own.

        It is in no cohort: a thread does not lose what is new because it was begun long ago.
        """
        desk, nonce = caller.desk, secrets.token_bytes(16)
        people, leaves = self._people(desk)
        slots = self._slots(desk, leaves)
        number = 1 if old is None else old.latest + 1
        draft = Draft(b"{}", self.bound.people, self.bound.categories, metadata={"thread": self.thread})
        place = Place(
            self.scope,
            root_key(self.thread),
            self.root_index(desk.tenancy),
            old,
            ids.new_id() if old is None else old.record_id,
            number,
            desk.now if old is None else max(desk.now, old.created_at + 1),
        )
        root, _ = put_version(caller, draft, place, [slots], None, people, nonce=nonce)
        remember(desk, root)
        return Home(root, number, people, slots, self._own(desk, root, desk.now), fresh=True)

    def ways(self, home: Home, run: str | None = None) -> tuple[tuple[str, ...], ...]:
        """Where a record of the thread is filed: with its generation, and with a run."""
        own = thread_path(self.thread, home.generation)
        return (own,) if run is None else (own, run_path(run))

    def put(
        self,
        caller: Caller,
        home: Home,
        draft: Draft,
        place: Place,
        nonce: bytes,
        version_id: str | None = None,
        cohort: tuple[int, bool] | None = None,
    ) -> StoredVersion:
        """Store a version in the thread, under its people and its leaf. `cohort`: where that is known.

        The record is filed under the draft's paths, and with its generation if a cohort begins with it: so
        that the generation's end finds all of its cohorts.
        """
        desk = caller.desk
        quota.check(desk, len(draft.content))
        leaf, begun = cohort or self.cohort(desk, home, place.created_at)
        if begun and not draft.paths:
            draft = replace(draft, paths=self.ways(home))
        new, _ = put_version(
            caller, draft, place, [home.slots], leaf, home.people, nonce=nonce, version_id=version_id
        )
        filing.file(desk, self.scope, new.record_id, *draft.paths)
        return new

    def cohort(self, desk: Desk, home: Home, written: int) -> tuple[int, bool]:
        """The leaf of the generation's own cohort, which ends with it; and whether it is begun here."""
        own = home.own
        if not own.covers(written):
            own = self._own(desk, home.root, written)
        return leaf_of(desk, own.name, fresh=home.fresh)

    def _own(self, desk: Desk, root: StoredVersion, written: int) -> Own:
        group = grouping(desk.tenancy, self.scope, root.labels)._replace(owner="record")
        owner = root.version_id
        found = anchor(
            group, self.scope, root.labels, written=written, expires_at=None, people=(), record=owner
        )
        return Own(found.name, found.begins, found.ends)

    def _people(self, desk: Desk) -> tuple[tuple[str, ...], list[int]]:
        """(ids of those whom it is about, leaves that it is sealed to)."""
        people = [self._person(desk, one) for one in self.bound.people]
        leaves = [one.leaf for one in people] or [scope_leaf(desk, self.scope)]
        return tuple(one.id for one in people), leaves

    def _person(self, desk: Desk, reference: str) -> StoredSubject:
        known = desk.found.subjects.get(desk.tenancy.keys.known_index("subject", reference))
        return subject_of(desk, reference) if known is None else known

    def _slots(self, desk: Desk, leaves: list[int]) -> Slots:
        return slots_of(desk, self.scope, leaves) if self.bound.people else [leaves]

    def _leaves(self, desk: Desk) -> list[int]:
        """Of the people it is bound to who are known."""
        indexes = (desk.tenancy.keys.known_index("subject", one) for one in self.bound.people)
        found = (desk.found.subjects.get(index) for index in indexes)
        return [person.leaf for person in found if person is not None]

    def _erasing(self, desk: Desk, root: StoredVersion | None) -> Erased | None:
        if root is not None and root.state in WITHDRAWN:
            return erased(desk.tx, root.shred_id)
        for reference in self.bound.people:
            person = desk.found.subjects.get(desk.tenancy.keys.known_index("subject", reference))
            if person is not None and person.state != "active":
                return erased(desk.tx, person.shred_id)
        return None


def _begun_with(desk: Desk, root: StoredVersion | None) -> tuple[str, ...]:
    """Whom a thread was begun with, met for this batch. A round trip; none when there is nobody."""
    if root is None or root.state != "live":
        return ()
    head = opened_head(desk, root)
    missing = [desk.tenancy.keys.known_index("subject", one) for one in head.subjects]
    missing = [one for one in missing if one not in desk.found.subjects]
    if missing:
        rows = desk.tx.ask((subjects.BY_REF, {"refs": missing}))[0]
        desk.found.subjects.update((row[0], StoredSubject(*row)) for row in rows)
    return head.subjects


def opened_head(desk: Desk, stored: StoredVersion) -> Head:
    """The opened head of a version. Erased when its key is destroyed."""
    return open_head(desk.tenancy.keys, unseal(desk.tx, desk.tenancy.keys, stored), stored)


def _over(desk: Desk, own: Own) -> bool:
    """Whether a generation is over although its root lives: a backup brought that back, without keys."""
    leaf = known_leaf(desk, own.name)
    return leaf is not None and desk.tenancy.keys.is_gone((leaf,))


def _bound_to(desk: Desk, root: StoredVersion) -> set[int]:
    """The leaves of those whom a thread is about, but for who has left."""
    slots = header_leaves(root.header or b"")
    return {leaf for slot in slots if not desk.tenancy.keys.is_gone(slot) for leaf in slot}


def _after(snapshot: str, deleted: int) -> bool:
    """Whether an id may have been made after an instant: one that does not say when may."""
    made = made_at(snapshot)
    return made is None or made > deleted
