"""Storing: a snapshot, compared with the newest one; and what a task wrote, pending on a snapshot."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tenure import ids
from tenure.access import Caller
from tenure.crew import Desk, Needs
from tenure.errors import Denied, Erased, Stale
from tenure.model.record import Draft
from tenure.model.thread import (
    NewSnapshot,
    NewWrites,
    Scalar,
    Slice,
    Stored,
    place,
    snapshots_key,
    writes_key,
)
from tenure.quickjson import canonical
from tenure.store import records
from tenure.store.records import StoredVersion
from tenure.tenancy import Tenancy
from tenure.threads.home import Home, Writing, lookup
from tenure.threads.reading import Facts, facts_of, opened, snapshot_id
from tenure.threads.staying import stay
from tenure.writing import Place

_MOST_HEADS: Final = 512


@dataclass(slots=True)
class PutSnapshot(Writing):
    """One snapshot in a batch."""

    new: NewSnapshot = field(kw_only=True)
    along: list[NewWrites] = field(default_factory=list, init=False)
    """What tasks wrote to the parent in the same batch: stored with it, if the parent is the newest."""
    own: list[NewWrites] = field(default_factory=list, init=False)
    """What tasks wrote to this one in the same batch: as a run's input is."""

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """What `Writing` needs. Nothing goes along yet: this may be another attempt."""
        self.along, self.own = [], []
        Writing.needs(self, tenancy, needs)

    def take_along(self, writes: "PutWrites") -> None:
        """Take along what a task wrote to the parent, or to this one."""
        (self.own if writes.new.snapshot == self.new.id else self.along).append(writes.new)

    def perform(self, desk: Desk) -> Stored | Denied | Erased:
        """Decide, compare, seal, put on record; the batch commits."""
        nonce = secrets.token_bytes(16)
        caller = self.allowed(desk, nonce)
        if not isinstance(caller, Caller):
            return caller
        new = self.new
        home = self.home(caller, begins=new.parent is None, snapshot=new.id)
        key = snapshots_key(self.thread, home.generation, self.namespace)
        newest = self.newest(desk, home.generation)
        latest = living(desk, newest, key)
        if newest is not None and latest is not None and latest.id == new.id:
            self.along, self.own = [], []
            return Stored(new.id, newest.version, newest.entry, {})  # it was stored by this very call before
        self._compare(latest)
        if newest is not None and self._may_be_there(latest) and by_id(desk, newest.record_id, new.id):
            raise Stale(
                "This snapshot was stored before, and others after it; nothing was stored.",
                field="id",
                rule="an id that the namespace has not had",
                remedy="Load the newest snapshot and go on from there.",
            )
        parent = self._parent(desk, newest, latest, key)
        if parent is not latest:
            self.along = []  # they are looked for in the version after their snapshot's
        return self._store(caller, home, newest, parent, key, nonce)

    def _compare(self, latest: Facts | None) -> None:
        """Raise Stale unless the newest snapshot is one that the caller knows of."""
        expected, found = self.new.latest, None if latest is None else latest.id
        if expected is not None and (found not in expected if found else expected):
            raise Stale(
                "Another runner has stored a snapshot of this thread meanwhile; nothing was stored.",
                field="latest",
                rule="the newest snapshot is the one that this one follows",
                remedy="Load the newest snapshot and go on from there.",
            )

    def _may_be_there(self, latest: Facts | None) -> bool:
        """Whether the id may be an older snapshot's: not, where ids ascend and this follows the newest."""
        new = self.new
        ascends = latest is not None and latest.id < new.id
        return not ascends or new.latest is None or latest is None or new.parent != latest.id

    def _parent(
        self, desk: Desk, newest: StoredVersion | None, latest: Facts | None, key: str
    ) -> Facts | None:
        """The parent's facts. A round trip more when it is not the newest."""
        if self.new.parent is None:
            return None
        if latest is not None and latest.id == self.new.parent:
            return latest
        stored = None if newest is None else by_id(desk, newest.record_id, self.new.parent)
        if stored is None or stored.state != "live":
            raise Stale(
                "The parent of this snapshot is not there; nothing was stored.",
                field="parent",
                rule="a snapshot of the same namespace that was not deleted",
                remedy="Load the newest snapshot and go on from there.",
            )
        return facts_of(opened(desk, stored, key), stored.cohort)

    def _store(
        self,
        caller: Caller,
        home: Home,
        newest: StoredVersion | None,
        parent: Facts | None,
        key: str,
        nonce: bytes,
    ) -> Stored:
        desk, new = caller.desk, self.new
        record = ids.new_id() if newest is None else newest.record_id
        number = 1 if newest is None else newest.latest + 1
        at = desk.now if newest is None else max(desk.now, newest.created_at + 1)
        channels, parts = placed(new, number, parent)
        cohort = None
        if newest is not None and parent is not None:
            cohort = self.cohort(desk, home, at)
            if parent.cohort != cohort[0]:
                stay(desk, newest.key_index, key, number, channels, parts)
        files = newest is None or (new.run is not None and (parent is None or new.run != parent.run))
        stored = self.put(
            caller,
            home,
            Draft(
                canonical({"state": new.state, "parts": parts, **self._carried()}),
                self.bound.people,
                self.bound.categories,
                metadata={
                    "thread": self.thread,
                    "namespace": self.namespace,
                    "id": new.id,
                    "parent": new.parent,
                    "metadata": new.metadata,
                    "channels": channels,
                    **({} if new.run is None else {"run": new.run}),
                    **({"carried": len(self.along)} if self.along else {}),
                },
                paths=self.ways(home, new.run) if files else (),
            ),
            Place(
                self.scope,
                key,
                self.index(desk.tenancy, home.generation) if newest is None else newest.key_index,
                newest,
                record,
                number,
                at,
            ),
            nonce,
            snapshot_id(desk.tenancy.keys, record, new.id),
            cohort,
        )
        told = (self.thread, self.namespace, new.id, new.parent, new.metadata, channels)
        facts = Facts(*told, self.bound.people, len(self.along), new.run, stored.cohort)
        _remember(desk, stored, key, facts)
        made = {name: len(one[2]) for name, one in channels.items() if new.channels[name].pieces is not None}
        return Stored(new.id, number, stored.entry, made)

    def _carried(self) -> dict[str, Any]:
        both = {"writes": self.along, "own": self.own}
        return {name: [said(one) for one in writes] for name, writes in both.items() if writes}


def placed(
    new: NewSnapshot, number: int, parent: Facts | None
) -> tuple[dict[str, tuple[Scalar, str, list[Slice]]], list[dict[str, str]]]:
    """(channels as a head has them, parts as a content has them) of a snapshot that becomes a version."""
    before: Mapping[str, tuple[Scalar, str, list[Slice]]] = {} if parent is None else parent.channels
    channels: dict[str, tuple[Scalar, str, list[Slice]]] = {}
    parts: list[bytes] = []
    names: list[str] = []
    for name, channel in new.channels.items():
        kept = before.get(name)
        if channel.pieces is not None:
            older = None if kept is None else (kept[0], kept[2])
            channels[name] = (channel.version, channel.type, place(channel.pieces, number, parts, older))
            names += [name] * (len(parts) - len(names))
        elif kept is not None and kept[0] == channel.version:
            channels[name] = kept[0], kept[1], [*kept[2]]  # the parent's stay as they are
    encoded = (base64.b64encode(one).decode() for one in parts)
    return channels, [{"channel": name, "base64": one} for name, one in zip(names, encoded, strict=True)]


def living(desk: Desk, newest: StoredVersion | None, key: str) -> Facts | None:
    """The facts of the newest snapshot; None when it has had its time, or there never was one."""
    if newest is None or newest.state != "live":
        return None
    known = desk.tenancy.heads.get(newest.place)
    if known is not None and known[0] == newest.head and known[1][0] == key:
        return known[1][1]  # type: ignore[no-any-return]  # as `_remember` keeps it
    return sealed_facts(desk, newest, key)


def sealed_facts(desk: Desk, stored: StoredVersion | None, key: str) -> Facts | None:
    """As `living`, opened anew: what is kept of a writer's own objects is handed to no reader."""
    if stored is None or stored.state != "live":
        return None
    try:
        return facts_of(opened(desk, stored, key), stored.cohort)
    except Erased:
        return None


def _remember(desk: Desk, stored: StoredVersion, key: str, facts: Facts) -> None:
    """Keep what a snapshot says that is stored now: the next one of its thread asks for it."""
    heads, head = desk.tenancy.heads, stored.head or b""

    def keep() -> None:
        if len(heads) >= _MOST_HEADS:
            heads.clear()
        heads.pop((stored.record_id, stored.version - 1), None)
        heads[stored.place] = head, (key, facts)

    desk.tx.after_commit(keep)


def by_id(desk: Desk, record: str, snapshot: str) -> StoredVersion | None:
    """A snapshot by its own id. One round trip."""
    wanted = snapshot_id(desk.tenancy.keys, record, snapshot)
    rows = desk.tx.ask((records.BY_ID, {"ids": [wanted]}))[0]
    return StoredVersion(*rows[0]) if rows else None


@dataclass(slots=True)
class PutWrites(Writing):
    """What one task wrote, in a batch."""

    new: NewWrites = field(kw_only=True)

    def writes_index(self, tenancy: Tenancy, generation: int) -> str:
        """The blind index of the record with the snapshot's pending writes."""
        key = writes_key(self.thread, generation, self.namespace, self.new.snapshot)
        return tenancy.keys.known_index("record", self.scope, key)

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """The writes of the snapshot instead of the newest snapshot."""
        Writing.needs(self, tenancy, needs)
        generation = tenancy.generations.get(self.root_index(tenancy), 1)
        needs.records[-1] = self.writes_index(tenancy, generation)

    def carried_by(self, other: object, *, later: bool) -> bool:
        """Whether an operation of the batch stores this snapshot, or, `later`, the next: it takes this along.

        It is of the same thread, people and decision, so that this needs nothing of its own. Done alone after
        all, it looks its record up then.
        """
        if not isinstance(other, PutSnapshot):
            return False
        if self.new.snapshot != (other.new.parent if later else other.new.id):
            return False
        mine, its = ((one.ask, one.scope, one.thread, one.namespace, one.bound) for one in (self, other))
        return mine == its

    def carried(self, other: object, outcome: object) -> Stored | None:
        """The outcome of having been taken along; None: it was not."""
        if not isinstance(other, PutSnapshot) or not isinstance(outcome, Stored):
            return None
        if not any(one is self.new for one in (*other.along, *other.own)):
            return None
        return Stored(self.new.snapshot, outcome.version, outcome.entry, {})

    def perform(self, desk: Desk) -> Stored | Denied | Erased:
        """Decide, seal, put on record; the batch commits. The snapshot may come later."""
        nonce, new = secrets.token_bytes(16), self.new
        caller = self.allowed(desk, nonce)
        if not isinstance(caller, Caller):
            return caller
        home = self.home(caller, begins=False, snapshot=new.snapshot)
        index = self.writes_index(desk.tenancy, home.generation)
        before = lookup(desk, index)
        number = 1 if before is None else before.latest + 1
        stored = self.put(
            caller,
            home,
            Draft(
                canonical(said(new)),
                self.bound.people,
                self.bound.categories,
                metadata={"thread": self.thread, "namespace": self.namespace, "snapshot": new.snapshot},
            ),
            Place(
                self.scope,
                writes_key(self.thread, home.generation, self.namespace, new.snapshot),
                index,
                before,
                ids.new_id() if before is None else before.record_id,
                number,
                desk.now if before is None else max(desk.now, before.created_at + 1),
            ),
            nonce,
        )
        return Stored(new.snapshot, number, stored.entry, {})


def said(new: NewWrites) -> dict[str, Any]:
    """What a task wrote, as a content says it."""
    return {
        "task": new.task,
        "path": new.path,
        "writes": [
            [one.idx, one.channel, one.type, base64.b64encode(one.value).decode()] for one in new.writes
        ],
    }
