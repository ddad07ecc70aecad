"""THE request flow. Start reading here.

    read    1 authenticate   2 decide on the record's own labels   3 open
            4 append the entry   5 commit   6 release plaintext
    write   1 authenticate   2 check labels, decide   3 preconditions   4 seal
            5 append the entry   6 commit   7 answer with version and entry

Steps up to the commit happen in one transaction of the tenant, shared with concurrent requests (`batcher`):
two database round trips with warm caches, whatever the number of requests in the batch. A denial is
appended and committed like any other outcome and only then raised: raising earlier would roll back its own
evidence. Plaintext exists in memory before the commit and leaves this module only after it.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tenure import ids, lineage, listing
from tenure.access import Ask, Caller, check_scope_name
from tenure.batcher import Batcher
from tenure.crew import Desk, Needs, Solo
from tenure.errors import Denied, Erased, KeyReused, NotFound, Stale, Tampered
from tenure.keys.ggm import leaf_number
from tenure.keys.seal import Binding
from tenure.ledger.entry import Access, Action, Kind
from tenure.listing import History, Page, Query
from tenure.model.record import (
    Draft,
    Version,
    Written,
    check_key,
    check_people,
    check_subject,
)
from tenure.release import as_version, release
from tenure.sealing import (
    WITHDRAWN,
    erased,
    labels_of,
    open_head,
    seal_reference,
    seal_version,
    unseal,
)
from tenure.store import idempotency, records, subjects, tenants
from tenure.store.database import Clash
from tenure.store.records import StoredVersion
from tenure.store.subjects import StoredSubject
from tenure.tenancy import Tenancy


class Gateway:
    """Governed access to records, for every surface."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def read(
        self, ask: Ask, scope: str, key: str, *, version: int | None = None, as_of: int | None = None
    ) -> Version:
        """The current, a numbered, or a past version. Two round trips (three for a past one).

        Raises Denied (recorded), NotFound, Erased, Invalid, Unavailable.
        """
        check_address(scope, key)
        operation = Read(ask, scope, key, version=version, as_of=as_of)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def write(
        self,
        ask: Ask,
        scope: str,
        key: str,
        draft: Draft,
        *,
        condition: "Condition | None" = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Store a new version. Two round trips (more when it names a person for the first time).

        Raises Denied (recorded), NotFound (scope), Erased (a person being erased), Stale, KeyReused, Invalid.
        """
        check_address(scope, key)
        check_people(draft)
        lineage.check_ids(draft.derived_from)
        draft = replace(draft, categories=tuple(sorted(set(draft.categories))))
        operation = Write(ask, scope, key, draft, condition or Condition(), idempotency_key)
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def delete(
        self, ask: Ask, scope: str, key: str, *, condition: "Condition | None" = None
    ) -> Written:
        """Store a tombstone version: the record reads as absent, its history stays. Two round trips.

        Raises Denied (recorded), NotFound, Erased, Stale. It destroys nothing; erasure does.
        """
        check_address(scope, key)
        operation = Delete(ask, scope, key, condition or Condition())
        return await self._batcher.submit(ask.credential.tenant_id, operation)  # type: ignore[no-any-return]

    async def query(self, ask: Ask, scope: str, wanted: Query) -> Page:
        """A page of what this caller may list.

        Raises Denied (recorded), NotFound (scope), Malformed (cursor).
        """
        check_scope_name(scope)
        if wanted.subject is not None:
            check_subject(wanted.subject)
        return await self._alone(ask, lambda desk: listing.query(desk, ask, scope, wanted))  # type: ignore[no-any-return]

    async def history(
        self, ask: Ask, scope: str, key: str, *, before: int | None = None, limit: int = 50
    ) -> History:
        """A record's versions, newest first, without content. Raises Denied (recorded), NotFound (scope)."""
        check_address(scope, key)
        return await self._alone(  # type: ignore[no-any-return]
            ask, lambda desk: listing.history(desk, ask, scope, key, before=before, limit=limit)
        )

    async def _alone(self, ask: Ask, work: Callable[[Desk], Any]) -> Any:  # noqa: ANN401
        return await self._batcher.submit(ask.credential.tenant_id, Solo(work, ask.needs))


@dataclass(frozen=True, slots=True)
class Condition:
    """`If-Match: "<version>"` and `If-None-Match: *` (RFC 9110 §13.1)."""

    if_match: int | None = None
    if_absent: bool = False

    def check(self, stored: StoredVersion | None, now: int) -> None:
        """Raise Stale unless the record is as the caller believes."""
        current = stored.version if stored is not None and is_current(stored, now) else None
        if self.if_absent and current is not None:
            raise Stale(
                f"The record exists, at version {current}; nothing was written.",
                field="If-None-Match",
                rule="no current version",
                remedy=f'Send If-Match: "{current}" to replace it.',
            )
        if self.if_match is not None and self.if_match != current:
            raise Stale(
                f"The record is at {f'version {current}' if current else 'no version'}; nothing was written.",
                field="If-Match",
                rule="the current version",
                remedy="Read the record again and decide anew.",
            )


def is_current(stored: StoredVersion, now: int) -> bool:
    """Whether a version reads as present: not deleted, erased or expired."""
    return stored.state == "live" and (stored.expires_at is None or stored.expires_at > now)


@dataclass(slots=True)
class _OnRecord:
    """An operation on one record found by scope and key."""

    ask: Ask
    scope: str
    key: str
    _index: tuple[Tenancy, str] | None = field(default=None, init=False)

    def index(self, tenancy: Tenancy) -> str:
        if self._index is None or self._index[0] is not tenancy:
            self._index = tenancy, tenancy.keys.blind_index("record", self.scope, self.key)
        return self._index[1]

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        self.ask.needs(needs)
        needs.records.append(self.index(tenancy))


@dataclass(slots=True)
class Read(_OnRecord):
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
            return _absent(caller, "read", self.scope, nonce=nonce)
        verdict = caller.decide("read", stored.scope, labels_of(stored))
        if not verdict.allowed:
            access = Access(record=stored.record_id, version=stored.version, action=Action.DENIED)
            return caller.refuse(Kind.ACCESS, verdict, access, nonce=nonce)
        return hand_out(caller, stored, nonce=nonce, key=self.key)

    def _find(self, desk: Desk) -> StoredVersion | None:
        index = self.index(desk.tenancy)
        if self.version is not None:
            return records.at_version(desk.tx, index, self.version)
        if self.as_of is not None:
            return records.as_of(desk.tx, index, self.as_of)
        return desk.found.records.get(index)


def hand_out(caller: Caller, stored: StoredVersion, *, nonce: bytes, key: str) -> Version | NotFound | Erased:
    """Open an allowed version and put that on record: steps 3 and 4 of a read."""
    desk = caller.desk
    if stored.state not in WITHDRAWN and not is_current(stored, desk.now):
        caller.record(Kind.ACCESS, "not-found", nonce=nonce)
        return _not_found()
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
    return as_version(
        stored, head, released, entry=caller.record(Kind.ACCESS, "ok", *released.accesses, nonce=nonce)
    )


@dataclass(slots=True)
class Write(_OnRecord):
    """One write in a batch."""

    draft: Draft
    condition: Condition
    idempotency_key: str | None = None
    solo: bool = False

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """The record, its people or its scope's leaf, its sources, and the key's first use."""
        _OnRecord.needs(self, tenancy, needs)
        needs.subjects += [tenancy.keys.blind_index("subject", ref) for ref in self.draft.people]
        if not all(part.subjects for part in self.draft.parts):
            needs.scopes.append(self.scope)
        needs.versions += self.draft.derived_from
        principal = tenancy.known.get(self.ask.credential.secret_hash)
        if self.idempotency_key is not None and principal is not None:
            needs.first_uses.append((principal.id, self._key_hash(tenancy, principal.id)))

    def perform(self, desk: Desk) -> Written | Denied | Erased:
        """Steps 1 to 5; the batch commits."""
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        policy = desk.tenancy.policy.configuration
        for part in self.draft.parts:
            policy.check_labels(self.scope, self.draft.categories, len(part.subjects), self.ask.purpose)
        nonce = secrets.token_bytes(16)
        index = self.index(desk.tenancy)
        stored = desk.found.records.get(index)
        # What is replaced is judged by its own labels too: nobody overwrites what they may not write.
        replaced = labels_of(stored) if stored is not None else ()
        verdict = caller.decide("write", self.scope, tuple(sorted({*self.draft.categories, *replaced})))
        if not verdict.allowed:
            touched = (
                [Access(record=stored.record_id, version=stored.version, action=Action.DENIED)]
                if stored
                else []
            )
            return caller.refuse(Kind.WRITE, verdict, *touched, nonce=nonce)
        if (first := self._first_use(desk, caller)) is not None:
            return first
        self.condition.check(stored, desk.now)
        lineage.check_known(desk, self.draft)
        if (gone := self._erasing(desk)) is not None:
            caller.record(Kind.WRITE, "erased", nonce=nonce)
            return gone
        return self._store(caller, index, stored, nonce)

    def _store(
        self,
        caller: Caller,
        index: str,
        stored: StoredVersion | None,
        nonce: bytes,
    ) -> Written:
        desk, draft = caller.desk, self.draft
        record_id = stored.record_id if stored else ids.new_id()
        number = stored.latest + 1 if stored else 1
        binding = Binding(desk.tx.tenant_id, self.scope, record_id, number)
        slots = [self._slots(desk, part.subjects) for part in draft.parts]
        sealed = seal_version(desk.tenancy.keys, binding, self.key, draft, slots)
        promises = []
        for opened, part in zip(sealed.opened, draft.parts, strict=True):
            promises.append(caller.promise(opened, part.content, record_id, number, nonce=nonce))
            opened.wipe()
        accesses = [
            Access(record_id, number, Action.WRITTEN, commitment=promise, segment=place)
            for place, promise in enumerate(promises)
            if draft.segments
        ] or [Access(record_id, number, Action.WRITTEN, commitment=promises[0])]
        new = StoredVersion(
            key_index=index,
            record_id=record_id,
            latest=number,
            version=number,
            version_id=ids.new_id(),
            scope=self.scope,
            labels=",".join(draft.categories),
            state="live",
            created_at=max(desk.now, stored.created_at + 1) if stored else desk.now,
            expires_at=draft.expires_at,
            entry=caller.record(Kind.WRITE, "ok", *accesses, nonce=nonce),
            header=sealed.header,
            head=sealed.head,
            content=sealed.content,
            shred_id=None,
            segments=len(draft.segments) or None,
        )
        store_version(desk, new, caller.principal.id, first=stored is None)
        desk.tx.put(
            records.INSERT_SUBJECT_LINK,
            *(
                {
                    "subject_id": subject_of(desk, one).id,
                    "record_id": record_id,
                    "version": number,
                    "derived": records.LABELLED,
                }
                for one in draft.people
            ),
        )
        desk.tx.put(
            records.INSERT_DERIVED_LINK,
            *(
                {"leaf": leaf, "record_id": record_id, "version": number, "derived": records.DERIVED}
                for leaf in self._behind(desk)
            ),
        )
        desk.tx.put(
            records.INSERT_LINEAGE,
            *({"parent_id": source, "child_id": new.version_id} for source in set(draft.derived_from)),
        )
        written = Written(
            record=record_id,
            version=number,
            version_id=new.version_id,
            scope=self.scope,
            key=self.key,
            created_at=new.created_at,
            entry=new.entry,
            commitment=None if draft.segments else promises[0].hex(),
            commitments=tuple(promise.hex() for promise in promises) if draft.segments else (),
        )
        self._remember(desk, caller, written)
        return written

    def _slots(self, desk: Desk, people: tuple[str, ...]) -> list[list[int]]:
        """Leaves that open a part: all of one slot. *any*: one slot of all it names; *all*: a slot each.

        What names nobody is sealed to everybody behind its sources, so that it goes with the first of them.
        """
        if not people:
            return [self._behind(desk) or [self._scope_leaf(desk)]]
        leaves = [subject_of(desk, reference).leaf for reference in people]
        spec = desk.tenancy.policy.configuration.scopes[self.scope]
        return [[leaf] for leaf in leaves] if spec.joint_erasure == "all" else [leaves]

    def _behind(self, desk: Desk) -> list[int]:
        """Leaves of the people behind the sources of what names nobody."""
        return [] if self.draft.people else lineage.living(desk, self.draft)

    def _erasing(self, desk: Desk) -> Erased | None:
        """The 410 if anybody the version is about, or whom it would be derived from, is being erased."""
        for reference in self.draft.people:
            person = desk.found.subjects.get(desk.tenancy.keys.blind_index("subject", reference))
            if person is not None and person.state != "active":
                return erased(desk.tx, person.shred_id)
        return lineage.gone(desk, self.scope, self.draft)

    def _scope_leaf(self, desk: Desk) -> int:
        leaf = desk.found.scopes.get(self.scope)
        if leaf is None:
            leaf = leaf_number(*tenants.take_leaves(desk.tx, 1))
            desk.found.add(desk.found.scopes, self.scope, leaf)
            desk.tx.put(subjects.INSERT_SCOPE_LEAF, {"scope": self.scope, "leaf": leaf})
        return leaf

    def _key_hash(self, tenancy: Tenancy, principal_id: str) -> str:
        return idempotency.key_hash(tenancy.keys, principal_id, self.idempotency_key or "")

    def _payload_hash(self, desk: Desk) -> str:
        parts = [(hashlib.sha256(part.content).hexdigest(), part.subjects) for part in self.draft.parts]
        facts = {**asdict(self.draft), "content": None, "segments": parts}
        whole = [self.scope, self.key, self.ask.purpose, asdict(self.condition), facts]
        return idempotency.payload_hash(desk.tenancy.keys, json.dumps(whole, sort_keys=True))

    def _first_use(self, desk: Desk, caller: Caller) -> Written | None:
        """What this idempotency key already did, or None when it is new."""
        if self.idempotency_key is None:
            return None
        use = (caller.principal.id, self._key_hash(desk.tenancy, caller.principal.id))
        if use not in desk.found.first_uses:
            # The principal was not known yet when the batch asked.
            question = (idempotency.FIRST_USES, {"principals": [use[0]], "keys": [use[1]]})
            desk.found.first_uses.update(
                {(row[0], row[1]): (row[2], row[3]) for row in desk.tx.ask(question)[0]}
            )
        first = desk.found.first_uses.get(use)
        if first is None:
            return None
        if first[0] != self._payload_hash(desk):
            raise KeyReused(
                "This idempotency key was first used with another request; nothing was written.",
                field="Idempotency-Key",
                rule="one key, one request",
                remedy="Use a fresh key for a new request.",
            )
        kept = json.loads(first[1])
        return Written(scope=self.scope, key=self.key, **{**kept, "commitments": tuple(kept["commitments"])})

    def _remember(self, desk: Desk, caller: Caller, written: Written) -> None:
        if self.idempotency_key is None:
            return
        use = (caller.principal.id, self._key_hash(desk.tenancy, caller.principal.id))
        result: dict[str, Any] = {
            name: value for name, value in asdict(written).items() if name not in ("scope", "key")
        }
        first = self._payload_hash(desk), json.dumps(result)
        desk.found.add(desk.found.first_uses, use, first)
        desk.tx.put(
            idempotency.INSERT,
            {
                "principal_id": use[0],
                "key_hash": use[1],
                "payload_hash": first[0],
                "result": first[1],
                "created_at": desk.now,
            },
        )


@dataclass(slots=True)
class Delete(_OnRecord):
    """One delete in a batch."""

    condition: Condition
    solo: bool = False

    def perform(self, desk: Desk) -> Written | Denied | NotFound:
        """A tombstone version under the labels of what it hides."""
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        nonce = secrets.token_bytes(16)
        stored = desk.found.records.get(self.index(desk.tenancy))
        if stored is None:
            return _absent(caller, "delete", self.scope, nonce=nonce)
        verdict = caller.decide("delete", self.scope, labels_of(stored))
        if not verdict.allowed:
            access = Access(record=stored.record_id, version=stored.version, action=Action.DENIED)
            return caller.refuse(Kind.DELETE, verdict, access, nonce=nonce)
        if stored.state in WITHDRAWN:
            raise erased(desk.tx, stored.shred_id)
        self.condition.check(stored, desk.now)
        if not is_current(stored, desk.now):
            return _not_found()
        access = Access(record=stored.record_id, version=stored.latest + 1, action=Action.DELETED)
        new = stored._replace(
            latest=stored.latest + 1,
            version=stored.latest + 1,
            version_id=ids.new_id(),
            state="deleted",
            created_at=max(desk.now, stored.created_at + 1),
            expires_at=None,
            entry=caller.record(Kind.DELETE, "ok", access, nonce=nonce),
            header=None,
            head=None,
            content=None,
            segments=None,
        )
        store_version(desk, new, caller.principal.id, first=False)
        return Written(
            record=new.record_id,
            version=new.version,
            version_id=new.version_id,
            scope=self.scope,
            key=self.key,
            created_at=new.created_at,
            entry=new.entry,
            commitment=None,
        )


def check_address(scope: str, key: str) -> None:
    """A record's address must be one that can exist at all."""
    check_scope_name(scope)
    check_key(key)


def subject_of(desk: Desk, reference: str) -> StoredSubject:
    """A person by reference, as found with the batch; met for the first time: a fresh leaf of their own."""
    index = desk.tenancy.keys.blind_index("subject", reference)
    person = desk.found.subjects.get(index)
    if person is not None:
        return person
    leaf = leaf_number(*tenants.take_leaves(desk.tx, 1))
    if tenants.key_epoch(desk.tx) != desk.tenancy.epochs.keys:
        raise Clash  # the index of this person's bucket moved meanwhile: they may be known by another
    person = StoredSubject(index, ids.new_id(), leaf, "active", None)
    header, part = seal_reference(desk.tenancy.keys, person.id, leaf, reference)
    desk.tx.put(
        subjects.INSERT,
        {
            **person._asdict(),
            "bucket": desk.tenancy.keys.bucket(reference),
            "ref_header": header,
            "sealed_ref": part,
            "created_at": desk.now,
        },
    )
    desk.found.add(desk.found.subjects, index, person)
    return person


def store_version(desk: Desk, new: StoredVersion, principal_id: str, *, first: bool) -> None:
    """Collect the rows of a new version and let the rest of the batch see it."""
    if first:
        desk.tx.put(
            records.INSERT_RECORD,
            {
                "id": new.record_id,
                "scope": new.scope,
                "key_index": new.key_index,
                "latest": new.latest,
                "labels": new.labels,
                "state": new.state,
                "updated_at": new.created_at,
            },
        )
    else:
        moved = {"id": new.record_id, "latest": new.latest, "labels": new.labels, "state": new.state}
        desk.tx.put(records.MOVE_RECORD, {**moved, "updated_at": new.created_at})
    desk.tx.put(
        records.INSERT_VERSION,
        {
            "record_id": new.record_id,
            "version": new.version,
            "id": new.version_id,
            "scope": new.scope,
            "labels": new.labels,
            "state": new.state,
            "created_at": new.created_at,
            "expires_at": new.expires_at,
            "principal_id": principal_id,
            "entry": new.entry,
            "header": new.header,
            "head": new.head,
            "content": new.content,
            "segments": new.segments,
        },
    )
    if (new.scope, new.labels) not in desk.tenancy.label_sets:
        desk.tx.put(records.INSERT_LABELS, {"scope": new.scope, "labels": new.labels})
        desk.tx.after_commit(lambda: desk.tenancy.label_sets.add((new.scope, new.labels)))
    desk.found.add(desk.found.records, new.key_index, new)


def _absent(caller: Caller, action: str, scope: str, *, nonce: bytes) -> NotFound | Denied:
    """No such record: said only to who may see something in this scope, else it is a denial like any."""
    visible = caller.visible(action, scope)
    if not visible:
        categories = tuple(caller.desk.tenancy.policy.configuration.scopes[scope].categories)
        return caller.refuse(Kind.ACCESS, caller.decide(action, scope, categories), nonce=nonce)
    caller.record(Kind.ACCESS, "not-found", nonce=nonce)
    return _not_found()


def _not_found() -> NotFound:
    return NotFound("There is no such record here now.", field="key", rule="an existing record")
