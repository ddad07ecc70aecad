"""Loading: one snapshot with its values and pending writes; and pages of them, newest first."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure import clocks
from tenure.access import Caller
from tenure.crew import Desk
from tenure.errors import Denied, Erased, NotFound
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.thread import Pending, Snapshot, Value, snapshots_key, writes_key
from tenure.reading import absent, not_found, withheld
from tenure.sealing import WITHDRAWN, labels_of, unseal, withdrawn
from tenure.store import records
from tenure.store.records import StoredVersion
from tenure.thawing import require
from tenure.threads.home import OnThread, remember
from tenure.threads.putting import by_id, sealed_facts
from tenure.threads.reading import Body, Facts, Reader, carries, in_order, numbers, opened, together


@dataclass(slots=True)
class GetSnapshot(OnThread):
    """One snapshot, by its id or the newest, in a batch."""

    snapshot: str | None = field(kw_only=True, default=None)

    def perform(self, desk: Desk) -> Snapshot | Denied | NotFound | Erased:
        """Decide on the thread's labels, open, put on record; the batch commits.

        A round trip of its own for slices and pending writes; one more for a snapshot that is not the newest.
        """
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        nonce = secrets.token_bytes(16)
        root = desk.found.records.get(self.root_index(desk.tenancy))
        if root is None:
            return absent(caller, "read", self.scope, nonce=nonce)
        verdict = caller.decide("read", self.scope, labels_of(root))
        if not verdict.allowed:
            access = Access(root.record_id, root.version, Action.DENIED)
            return caller.refuse(Kind.ACCESS, verdict, access, nonce=nonce)
        remember(desk, root)
        if root.state == "live" and (kept := withheld(caller, root, nonce=nonce)) is not None:
            return kept
        found = self._find(desk, root) if root.state == "live" else None
        if found is not None:
            return Loader(caller, self.scope, root.latest, nonce).alone(*found)
        if (gone := _closed(desk, root)) is not None:
            access = Access(root.record_id, root.version, Action.WITHHELD)
            caller.record(Kind.ACCESS, "erased", access, nonce=nonce)
            return gone
        caller.record(Kind.ACCESS, "not-found", nonce=nonce)
        return not_found()

    def _find(self, desk: Desk, root: StoredVersion) -> tuple[StoredVersion, Facts, str] | None:
        """The snapshot with its facts, and the id of the newest."""
        key = snapshots_key(self.thread, root.latest, self.namespace)
        newest = self.newest(desk, root.latest)
        latest = sealed_facts(desk, newest, key)
        stored, facts = newest, latest
        if newest is not None and self.snapshot is not None and (facts is None or facts.id != self.snapshot):
            stored = by_id(desk, newest.record_id, self.snapshot)
            facts = sealed_facts(desk, stored, key)
        if stored is None or facts is None:
            return None
        if (stored.labels, facts.id) != (root.labels, self.snapshot or facts.id):
            return None
        return stored, facts, facts.id if latest is None else latest.id


def _closed(desk: Desk, root: StoredVersion) -> Erased | None:
    """The 410 of a root that nobody can open: from the request to erase its person on; None if deleted."""
    if root.state in WITHDRAWN:
        return withdrawn(desk.tx, root)
    if root.state != "live":
        return None
    try:
        unseal(desk.tx, desk.tenancy.keys, root)
    except Erased as gone:
        return gone
    return None


class Loader:
    """Puts snapshots together for one access: asks for what belongs to them at once, opens, records."""

    def __init__(self, caller: Caller, scope: str, generation: int | None, nonce: bytes) -> None:
        """`generation`: of the thread; None when each snapshot's own key says it."""
        self._caller = caller
        self._scope = scope
        self._generation = generation
        self._nonce = nonce

    def alone(self, stored: StoredVersion, facts: Facts, latest: str) -> Snapshot:
        """One snapshot, with an entry of its own."""
        found = self.load([(stored, facts, self._generation or 0)])
        entry = self._caller.record(Kind.ACCESS, "ok", *found.accesses, nonce=self._nonce)
        clocks.accessed(self._caller.desk, stored, found.accesses, entry)
        return found.snapshot(0, latest, entry)

    def load(self, wanted: Sequence[tuple[StoredVersion, Facts, int]]) -> "Loaded":
        """Several, each with its facts and generation. One round trip, however many; Cold for packs."""
        desk = self._caller.desk
        keys = desk.tenancy.keys
        writes = [
            writes_key(facts.thread, generation, facts.namespace, facts.id) for _, facts, generation in wanted
        ]
        indexes = [keys.blind_index("record", self._scope, key) for key in writes]
        needed: dict[str, set[int]] = {}
        for stored, facts, _ in wanted:
            # The version after a snapshot's may have what tasks wrote to it (`putting.PutSnapshot.along`).
            needed.setdefault(stored.key_index, set()).update(numbers(facts), [stored.version + 1])
        questions = [
            (records.NUMBERED, {"key_index": index, "numbers": sorted(some)})
            for index, some in needed.items()
        ]
        *parts, pending = desk.tx.ask(*questions, (records.EVERY, {"keys": indexes}))
        rows = {one.place: one for some in parts for one in map(StoredVersion._make, some)}
        rows |= {stored.place: stored for stored, _, _ in wanted}
        waiting = [one for one in map(StoredVersion._make, pending) if one.state == "live"]
        return self._open(wanted, rows, waiting, dict(zip(indexes, writes, strict=True)))

    def _open(
        self,
        wanted: Sequence[tuple[StoredVersion, Facts, int]],
        rows: dict[records.Place, StoredVersion],
        waiting: Sequence[StoredVersion],
        writes: dict[str, str],
    ) -> "Loaded":
        desk, reader = self._caller.desk, Reader(self._caller, self._nonce)
        heads = {
            stored.record_id: snapshots_key(facts.thread, generation, facts.namespace)
            for stored, facts, generation in wanted
        }
        after = {
            stored.place: row
            for stored, facts, _ in wanted
            if (row := rows.get((stored.record_id, stored.version + 1))) is not None
            and carries(sealed_facts(desk, row, heads[stored.record_id]), facts)
        }
        used = {(stored.record_id, one) for stored, facts, _ in wanted for one in numbers(facts)}
        used |= {stored.place for stored, _, _ in wanted} | {row.place for row in after.values()}
        require(desk.tx.tenant_id, [*(rows[one] for one in used if one in rows), *waiting], desk.thawed)
        bodies = {
            place: reader.body(row, opened(desk, row, heads[row.record_id]))
            for place, row in sorted(rows.items())
            if place in used
        }
        told: dict[str, list[tuple[int, Any]]] = {}
        for row in waiting:
            try:
                head = opened(desk, row, writes[row.key_index])
            except Erased:
                continue  # written long before their snapshot, they have had their time
            told.setdefault(head.key, []).append((row.created_at, reader.json(row, head)))
        loaded = []
        for stored, facts, generation in wanted:
            own = {number: body for (record, number), body in bodies.items() if record == stored.record_id}
            said = told.get(writes_key(facts.thread, generation, facts.namespace, facts.id), [])
            said = [*((stored.created_at, one) for one in own[stored.version].own), *said]
            if stored.place in after:
                row = after[stored.place]
                said = [*said, *((row.created_at, one) for one in bodies[row.place].writes)]
            loaded.append((stored, facts, own[stored.version], together(facts, own), in_order(said)))
        return Loaded(loaded, tuple(reader.accesses))


_Opened = tuple[StoredVersion, Facts, Body, Mapping[str, Value], tuple[Pending, ...]]


class Loaded:
    """Snapshots that were opened, and the accesses that this is."""

    def __init__(self, found: Sequence[_Opened], accesses: tuple[Access, ...]) -> None:
        self._found = found
        self.accesses = accesses

    def snapshot(self, place: int, latest: str, entry: str) -> Snapshot:
        """One of them, as its reader gets it."""
        stored, facts, body, values, writes = self._found[place]
        return Snapshot(
            thread=facts.thread,
            namespace=facts.namespace,
            id=facts.id,
            parent=facts.parent,
            created_at=stored.created_at,
            entry=entry,
            latest=latest,
            metadata=facts.metadata,
            state=body.state,
            channels=values,
            writes=writes,
        )
