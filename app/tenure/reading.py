"""Reads in a batch: the current, a numbered or a past version of one record."""

import secrets
from dataclasses import dataclass, field

from tenure import clocks
from tenure.access import Ask, Caller
from tenure.crew import Desk, Needs
from tenure.errors import Denied, Erased, NotFound, Tampered
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.record import Version
from tenure.release import as_version, release
from tenure.sealing import WITHDRAWN, labels_of, open_head, unseal
from tenure.store import records
from tenure.store.records import StoredVersion
from tenure.tenancy import Tenancy
from tenure.thawing import Thawed
from tenure.withholding import kept_back


def is_current(stored: StoredVersion, now: int) -> bool:
    """Whether a version reads as present: not deleted, erased or expired."""
    return stored.state == "live" and (stored.expires_at is None or stored.expires_at > now)


@dataclass(slots=True)
class OnRecord:
    """An operation on one record found by scope and key."""

    ask: Ask
    scope: str
    key: str
    _index: tuple[Tenancy, str] | None = field(default=None, init=False)
    thawed: Thawed | None = field(default=None, init=False)

    def index(self, tenancy: Tenancy) -> str:
        """The blind index under which the record is found."""
        if self._index is None or self._index[0] is not tenancy:
            self._index = tenancy, tenancy.keys.blind_index("record", self.scope, self.key)
        return self._index[1]

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """The record, and what every access needs."""
        self.ask.needs(needs)
        needs.records.append(self.index(tenancy))


@dataclass(slots=True)
class Read(OnRecord):
    """One read in a batch."""

    version: int | None = None
    as_of: int | None = None
    solo: bool = False

    def perform(self, desk: Desk) -> Version | Denied | NotFound | Erased:
        """Steps 1 to 4; the batch commits."""
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        nonce = secrets.token_bytes(16)
        stored = self._find(desk)
        if stored is None:
            return absent(caller, "read", self.scope, nonce=nonce)
        verdict = caller.decide("read", stored.scope, labels_of(stored))
        if not verdict.allowed:
            access = Access(record=stored.record_id, version=stored.version, action=Action.DENIED)
            return caller.refuse(Kind.ACCESS, verdict, access, nonce=nonce)
        return self.answer(caller, stored, nonce)

    def answer(
        self, caller: Caller, stored: StoredVersion, nonce: bytes
    ) -> Version | Denied | NotFound | Erased:
        """What is answered of a version that the caller may read."""
        return hand_out(caller, stored, nonce=nonce, key=self.key)

    def _find(self, desk: Desk) -> StoredVersion | None:
        index = self.index(desk.tenancy)
        if self.version is not None:
            return records.at_version(desk.tx, index, self.version)
        if self.as_of is not None:
            return records.as_of(desk.tx, index, self.as_of)
        return desk.found.records.get(index)


def hand_out(
    caller: Caller, stored: StoredVersion, *, nonce: bytes, key: str
) -> Version | Denied | NotFound | Erased:
    """Open an allowed version and put that on record: steps 3 and 4 of a read."""
    desk = caller.desk
    if stored.state not in WITHDRAWN and not is_current(stored, desk.now):
        caller.record(Kind.ACCESS, "not-found", nonce=nonce)
        return not_found()
    if stored.state not in WITHDRAWN and (kept := withheld(caller, stored, nonce=nonce)) is not None:
        return kept
    try:
        opened = unseal(desk.tx, desk.tenancy.keys, stored)
    except Erased as gone:
        caller.record(
            Kind.ACCESS,
            "erased",
            Access(record=stored.record_id, version=stored.version, action=Action.WITHHELD),
            nonce=nonce,
        )
        return gone
    head = open_head(desk.tenancy.keys, opened, stored)
    if head.key != key:
        raise Tampered("The index of this record leads to another record; nothing was returned.")
    released = release(caller, stored, opened, head, nonce=nonce)
    entry = caller.record(Kind.ACCESS, "ok", *released.accesses, nonce=nonce, data=released.data)
    clocks.accessed(desk, stored, released.accesses, entry)
    return as_version(stored, head, released, entry=entry)


def withheld(caller: Caller, stored: StoredVersion, *, nonce: bytes) -> Denied | None:
    """The 403 of a version that policy allows and a person's right does not; on record."""
    why = kept_back(caller, stored)
    if why is None:
        return None
    access = Access(record=stored.record_id, version=stored.version, action=Action.DENIED)
    return caller.withhold(Kind.ACCESS, why, access, nonce=nonce)


def absent(caller: Caller, action: str, scope: str, *, nonce: bytes) -> NotFound | Denied:
    """No such record: said only to who may see something in this scope, else it is a denial like any."""
    if not caller.sees_any(action, scope):
        categories = tuple(caller.desk.tenancy.policy.configuration.scopes[scope].categories)
        return caller.refuse(Kind.ACCESS, caller.decide(action, scope, categories), nonce=nonce)
    caller.record(Kind.ACCESS, "not-found", nonce=nonce)
    return not_found()


def not_found() -> NotFound:
    """The error of a record that is not there, or not any more."""
    return NotFound("There is no such record here now.", field="key", rule="an existing record")
