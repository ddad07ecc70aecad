"""Copying, pruning, deleting runs: what stays is sealed anew, with its own instants; the old keys go.

    copy          a first generation of another thread
    prune         a new generation with the newest snapshot of each namespace
    delete a run  a new generation without the snapshots of a run

Only deleting keys deletes for good, and a generation's snapshots share theirs: so what stays moves.
"""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence

from tenure import filing, ids
from tenure.access import Ask, Caller
from tenure.crew import Desk
from tenure.errors import Conflict, Denied, Erased
from tenure.ledger.canonical import canonical
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.record import Draft
from tenure.model.thread import Slice, root_key, run_path, snapshots_key, writes_key
from tenure.sealing import WITHDRAWN, Head, erased, labels_of
from tenure.store import paths, records, subjects
from tenure.store import threads as store
from tenure.store.records import EVERY, StoredVersion
from tenure.store.subjects import StoredSubject
from tenure.thawing import require
from tenure.threads.ending import Thread, delete_found
from tenure.threads.home import Home, Writing, lookup, opened_head
from tenure.threads.reading import Body, Facts, Reader, carries, facts_of, snapshot_id
from tenure.writing import Place

Keep = Callable[[Facts], bool]
_Row = tuple[StoredVersion, Head, Facts]


def copy(desk: Desk, ask: Ask, scope: str, source: str, target: str) -> int | Denied:
    """Copy every snapshot and pending write to a thread that is not there yet. How many snapshots."""
    found = Thread.find(desk, ask, scope, source, "read")
    if found is None or isinstance(found, Denied):
        return found or 0
    there = lookup(desk, desk.tenancy.keys.blind_index("record", scope, root_key(target)))
    # What is copied is written: under its own labels, and those of what it replaces.
    labels = {*labels_of(found.root), *(() if there is None else labels_of(there))}
    verdict = found.caller.decide("write", scope, tuple(sorted(labels)))
    if not verdict.allowed:
        touched = [] if there is None else [Access(there.record_id, there.version, Action.DENIED)]
        return found.caller.refuse(Kind.WRITE, verdict, *touched, nonce=secrets.token_bytes(16))
    bound = found.bound
    desk.tenancy.policy.configuration.check_labels(scope, bound.categories, len(bound.people), ask.purpose)
    if there is not None and there.state in WITHDRAWN:
        raise erased(desk.tx, there.shred_id)
    if there is not None and there.state == "live":
        raise Conflict(
            "The thread to copy to is there already; nothing was copied.",
            field="target",
            rule="a thread that is not there",
            remedy="Delete it first, or copy to another.",
        )
    rows = _snapshots(desk, found)
    return _Rewriter(found, target).rewrite(rows, lambda _: True) if rows else 0


def prune(desk: Desk, ask: Ask, scope: str, thread: str) -> int | Denied:
    """Keep the newest snapshot of each namespace, and what it is built upon. How many went."""
    found = Thread.find(desk, ask, scope, thread, "delete")
    if found is None or isinstance(found, Denied):
        return found or 0
    rows = _snapshots(desk, found)
    kept = _newest([facts for _, _, facts in rows])
    return _shrink(found, rows, lambda one: (one.namespace, one.id) in kept)


def delete_run(desk: Desk, ask: Ask, scope: str, run: str) -> int | Denied:
    """Delete the snapshots of a run, with their pending writes, in every thread. How many went."""
    caller, gone = Caller.at(desk, ask), 0
    caller.check_scope(scope)
    if not caller.sees_any("delete", scope):
        labels = tuple(desk.tenancy.policy.configuration.scopes[scope].categories)
        verdict = caller.decide("delete", scope, labels)
        return caller.refuse(Kind.DELETE, verdict, nonce=secrets.token_bytes(16))
    filed = paths.under(desk.tx, filing.index_of(desk.tenancy.keys, scope, run_path(run)))
    threads = []
    for thread in sorted(_threads(desk, filed)):
        found = Thread.find(desk, ask, scope, thread, "delete")
        if isinstance(found, Denied):
            return found  # before anything is deleted: all of the run goes, or nothing
        if found is not None:
            threads.append(found)
    for found in threads:
        gone += _shrink(found, _snapshots(desk, found), lambda one: one.run != run)
    return gone


def _shrink(found: Thread, rows: Sequence[_Row], keep: Keep) -> int:
    """A new generation with what is kept, if anything goes; the old one ends. How many went."""
    kept = sum(keep(facts) for _, _, facts in rows)
    if kept == len(rows):
        return 0
    if kept:
        found.end()
        _Rewriter(found, found.thread).rewrite(rows, keep)
    else:
        delete_found(found)
    return len(rows) - kept


def _newest(facts: Sequence[Facts]) -> set[tuple[str, str]]:
    """The newest snapshot of each namespace, and its ancestors up to where its delta channels have values."""
    by_id = {(one.namespace, one.id): one for one in facts}
    kept: set[tuple[str, str]] = set()
    for newest in {one.namespace: one for one in facts}.values():
        here: Facts | None = newest
        counters = newest.metadata.get("counters_since_delta_snapshot")
        wanting = set(counters) if isinstance(counters, Mapping) else set()
        while here is not None:
            kept.add((here.namespace, here.id))
            wanting -= here.channels.keys()
            here = by_id.get((here.namespace, here.parent or "")) if wanting else None
    return kept


def _snapshots(desk: Desk, found: Thread) -> list[_Row]:
    """Every snapshot of a thread's generation that has not had its time, by record and number."""
    every = store.everything(desk.tx, found.path_index())
    rows = ((one, head) for one in every if (head := _head(desk, one)) is not None)
    return [(one, head, facts_of(head)) for one, head in rows if "channels" in head.metadata]


def _head(desk: Desk, stored: StoredVersion) -> Head | None:
    """The opened head; None when its key is destroyed."""
    try:
        return opened_head(desk, stored)
    except Erased:
        return None


def _threads(desk: Desk, record_ids: Sequence[str]) -> set[str]:
    """The threads whose snapshots these records have, as far as they can be opened."""
    found = set()
    for stored in records.newest(desk.tx, record_ids):
        if stored.state == "live" and (head := _head(desk, stored)) is not None:
            found.add(head.metadata["thread"])
    return found


class _Rewriter:
    """Moves snapshots into a generation of their own."""

    def __init__(self, found: Thread, target: str) -> None:
        self._found = found
        self._caller = found.caller
        self._nonce = secrets.token_bytes(16)
        self._reader = Reader(found.caller, self._nonce)
        self._writing = Writing(found.ask, found.scope, target, "", bound=found.bound)

    def rewrite(self, rows: Sequence[_Row], keep: Keep) -> int:
        """Those that are kept, each with an entry of its own; of a copy one for having read it. How many."""
        desk = self._caller.desk
        # Others have stored while this waited for them: it is after them.
        desk.now = max([desk.now, *(stored.created_at for stored, _, _ in rows)])
        self._meet(desk)
        written = [row for row in rows if keep(row[2])]
        require(desk.tx.tenant_id, [stored for stored, _, _ in rows], desk.thawed)
        root = lookup(desk, self._writing.root_index(desk.tenancy))
        home = self._writing.generation(self._caller, root)
        for record in dict.fromkeys(stored.record_id for stored, _, _ in rows):
            every = {row[0].version: row for row in rows if row[0].record_id == record}
            self._namespace(home, every, [row for row in written if row[0].record_id == record])
        if self._found.thread != self._writing.thread:
            # Whoever copies has read it; of what is only sealed anew, nobody is given anything.
            self._caller.record(Kind.ACCESS, "ok", *self._reader.accesses, nonce=self._nonce)
        return len(written)

    def _meet(self, desk: Desk) -> None:
        """Whom the thread is about, or the leaf of its scope: what a batch would have asked for."""
        keys, bound = desk.tenancy.keys, self._writing.bound
        refs = [keys.blind_index("subject", one) for one in bound.people]
        people, leaves = desk.tx.ask(
            (subjects.BY_REF, {"refs": refs}), (subjects.SCOPE_LEAVES, {"scopes": [self._writing.scope]})
        )
        desk.found.subjects.update((row[0], StoredSubject(*row)) for row in people)
        desk.found.scopes.update(leaves)

    def _namespace(self, home: Home, every: dict[int, _Row], written: Sequence[_Row]) -> None:
        """One namespace: parts of what goes move into the first snapshot that needs them."""
        bodies: dict[int, Body] = {}
        moved: dict[tuple[int, int, int], tuple[int, int]] = {}
        before: StoredVersion | None = None
        record = ids.new_id()

        def body(number: int) -> Body:
            if number not in bodies:
                stored, head, _ = every[number]
                bodies[number] = self._reader.body(stored, head)
            return bodies[number]

        for number, (stored, head, facts) in enumerate(written, 1):
            key = snapshots_key(self._writing.thread, home.generation, facts.namespace)
            place = self._place(key, record, before, stored.created_at)
            cohort = self._writing.cohort(self._caller.desk, home, place.created_at)
            parts: list[dict[str, str]] = []
            channels: dict[str, tuple[object, str, list[Slice]]] = {}
            for name, (version, kind, slices) in facts.channels.items():
                lies: list[Slice] = []
                for of, part, at, size in slices:
                    here = cohort[0], of, part  # what another cohort has may go before this
                    if here not in moved:
                        moved[here] = number, len(parts)
                        encoded = base64.b64encode(body(of).parts[part]).decode()
                        parts.append({"channel": name, "base64": encoded})
                    lies.append([*moved[here], at, size])
                channels[name] = version, kind, lies
            content = canonical({"state": body(stored.version).state, "parts": parts})
            told = {**head.metadata, "thread": self._writing.thread, "channels": channels}
            told.pop("carried", None)  # it is stored beside, with what else is pending
            version_id = snapshot_id(self._caller.desk.tenancy.keys, record, facts.id)
            new = self._put(
                home, content, told, place, (version_id, cohort, self._writing.ways(home, facts.run))
            )
            after = every.get(stored.version + 1)
            along = after[0] if after and carries(after[2], facts) else None
            self._writes(home, facts, stored, along, body)
            before = new

    def _writes(
        self,
        home: Home,
        facts: Facts,
        stored: StoredVersion,
        after: StoredVersion | None,
        body: Callable[[int], Body],
    ) -> None:
        """What is pending on a snapshot: with it, in a record of its own, and in the version `after` it."""
        desk = self._caller.desk
        old = writes_key(self._found.thread, self._found.root.latest, facts.namespace, facts.id)
        index = desk.tenancy.keys.blind_index("record", self._found.scope, old)
        rows = [StoredVersion(*row) for row in desk.tx.ask((EVERY, {"keys": [index]}))[0]]
        living = [one for one in rows if one.state == "live"]
        require(desk.tx.tenant_id, living, desk.thawed)
        heads = ((one, head) for one in living if (head := _head(desk, one)) is not None)
        said: list[tuple[int, object]] = [(stored.created_at, one) for one in body(stored.version).own]
        said += ((one.created_at, self._reader.json(one, head)) for one, head in heads)
        if after is not None:
            said += ((after.created_at, one) for one in body(after.version).writes)
        key = writes_key(self._writing.thread, home.generation, facts.namespace, facts.id)
        told: dict[str, object] = {
            "thread": self._writing.thread,
            "namespace": facts.namespace,
            "snapshot": facts.id,
        }
        record, before = ids.new_id(), None
        for at, one in sorted(said, key=lambda pair: pair[0]):
            place = self._place(key, record, before, at)
            before = self._put(home, canonical(one), told, place)

    def _place(self, key: str, record: str, before: StoredVersion | None, at: int) -> Place:
        """After the version before it, at the instant at which it was written first."""
        index = self._caller.desk.tenancy.keys.blind_index("record", self._writing.scope, key)
        number = 1 if before is None else before.version + 1
        # Another process may have been ahead by a hair; no version is of later than its entry.
        at = min(at, self._caller.desk.now) if before is None else max(at, before.created_at + 1)
        return Place(self._writing.scope, key, index, before, record, number, at)

    def _put(
        self,
        home: Home,
        content: bytes,
        told: dict[str, object],
        place: Place,
        how: tuple[str | None, tuple[int, bool] | None, tuple[tuple[str, ...], ...]] = (None, None, ()),
    ) -> StoredVersion:
        """`how`: the version's id, its cohort, and where it is filed, where these are known."""
        version_id, cohort, ways = how
        bound = self._writing.bound
        draft = Draft(content, bound.people, bound.categories, metadata=told, paths=ways)
        nonce = secrets.token_bytes(16)
        return self._writing.put(self._caller, home, draft, place, nonce, version_id, cohort)
