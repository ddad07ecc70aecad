"""Writes in a batch: a new version, or the tombstone that hides a record."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from tenure import cohorts, filing, ids, leaves, lineage, quota, rowseals
from tenure.access import Caller
from tenure.crew import Desk, Needs
from tenure.errors import Denied, Erased, KeyReused, NotFound, Stale
from tenure.keys.seal import Binding
from tenure.ledger.entry import Access, Action, Kind
from tenure.model.record import Draft, Written
from tenure.reading import OnRecord, absent, is_current, not_found
from tenure.restraints import Restraint
from tenure.sealing import WITHDRAWN, Slots, erased, labels_of, seal_reference, seal_version, withdrawn
from tenure.store import idempotency, records, subjects
from tenure.store.records import StoredVersion
from tenure.store.subjects import StoredSubject
from tenure.tenancy import Tenancy
from tenure.withholding import objected


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


@dataclass(slots=True)
class Write(OnRecord):
    """One write in a batch."""

    draft: Draft
    condition: Condition
    idempotency_key: str | None = None
    solo: bool = False

    def needs(self, tenancy: Tenancy, needs: Needs) -> None:
        """The record, its people or its scope's leaf, its sources, and the key's first use."""
        OnRecord.needs(self, tenancy, needs)
        needs.subjects += [tenancy.keys.known_index("subject", ref) for ref in self.draft.people]
        if not all(part.subjects for part in self.draft.parts):
            needs.scopes.append(self.scope)
        needs.cohorts += cohorts.foreseen(
            tenancy, self.scope, self._labels, written=ids.now(), expires_at=self.draft.expires_at
        )
        needs.versions += self.draft.derived_from
        needs.usage |= quota.applies(tenancy)
        known = tenancy.known.get(self.ask.credential)
        if self.idempotency_key is not None and known is not None:
            needs.first_uses.append((known.principal.id, self._key_hash(tenancy, known.principal.id)))

    def perform(self, desk: Desk) -> Written | Denied | Erased:
        """Steps 1 to 5; the batch commits."""
        caller = Caller.at(desk, self.ask)
        caller.check_scope(self.scope)
        policy = desk.tenancy.policy.configuration
        for people in {len(part.subjects) for part in self.draft.parts}:
            policy.check_labels(self.scope, self.draft.categories, people, self.ask.purpose)
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
        if objected(caller, self._leaves(desk)):
            return caller.withhold(Kind.WRITE, Restraint.OBJECTED, nonce=nonce)
        quota.check(desk, sum(len(part.content) for part in self.draft.parts))
        return self.store(caller, index, stored, nonce)

    @property
    def _labels(self) -> str:
        return ",".join(self.draft.categories)

    def store(
        self,
        caller: Caller,
        index: str,
        stored: StoredVersion | None,
        nonce: bytes,
    ) -> Written:
        """Steps 4 and 5, of what was decided on: the new version after `stored`, on record."""
        desk, draft = caller.desk, self.draft
        record_id = stored.record_id if stored else ids.new_id()
        number = stored.latest + 1 if stored else 1
        created_at = max(desk.now, stored.created_at + 1) if stored else desk.now
        people = {reference: subject_of(desk, reference) for reference in draft.people}
        behind = [] if people else lineage.living(desk, draft)
        slots = [
            self._slots(desk, [people[reference].leaf for reference in part.subjects], behind)
            for part in draft.parts
        ]
        cohort = cohorts.cohort_of(
            desk,
            self.scope,
            self._labels,
            written=created_at,
            expires_at=draft.expires_at,
            people=[one.id for one in people.values()],
            record=record_id,
        )
        sources = [desk.found.versions[source] for source in draft.derived_from]
        new, promises = put_version(
            caller,
            draft,
            Place(self.scope, self.key, index, stored, record_id, number, created_at),
            slots,
            cohort,
            [one.id for one in people.values()],
            nonce=nonce,
            stale=any(source.restricted_since or source.stale_since for source in sources),
        )
        desk.tx.put(
            records.INSERT_DERIVED_LINK,
            *(
                {"leaf": leaf, "record_id": record_id, "version": number, "derived": records.DERIVED}
                for leaf in behind
            ),
        )
        desk.tx.put(
            records.INSERT_LINEAGE,
            *({"parent_id": source, "child_id": new.version_id} for source in set(draft.derived_from)),
        )
        filing.file(desk, self.scope, record_id, *draft.paths)
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

    def _slots(self, desk: Desk, leaves: list[int], behind: list[int]) -> list[list[int]]:
        """Slots of what names somebody; what does not is sealed to everybody `behind` its sources.

        So it goes with the first of them.
        """
        if not leaves:
            return [behind or [scope_leaf(desk, self.scope)]]
        return slots_of(desk, self.scope, leaves)

    def _erasing(self, desk: Desk) -> Erased | None:
        """The 410 if anybody the version is about, or whom it would be derived from, is being erased."""
        for reference in self.draft.people:
            person = desk.found.subjects.get(desk.tenancy.keys.known_index("subject", reference))
            if person is not None and person.state != "active":
                return erased(desk.tx, person.shred_id)
        return lineage.gone(desk, self.scope, self.draft)

    def _leaves(self, desk: Desk) -> list[int]:
        """Of the people it is about who are known."""
        indexes = (desk.tenancy.keys.known_index("subject", one) for one in self.draft.people)
        found = (desk.found.subjects.get(index) for index in indexes)
        return [person.leaf for person in found if person is not None]

    def _key_hash(self, tenancy: Tenancy, principal_id: str) -> str:
        return idempotency.key_hash(tenancy.keys, principal_id, self.idempotency_key or "")

    def _payload_hash(self, desk: Desk, caller: Caller) -> str:
        parts = [(hashlib.sha256(part.content).hexdigest(), part.subjects) for part in self.draft.parts]
        facts = {**asdict(self.draft), "content": None, "segments": parts}
        if not self.draft.paths:
            del facts["paths"]  # what was first sent to a service that knew of no paths may be sent again
        whole: list[Any] = [self.scope, self.key, self.ask.purpose, asdict(self.condition), facts]
        if caller.principal.acts_for is not None:
            whole.append(caller.principal.acts_for)
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
        if first[0] != self._payload_hash(desk, caller):
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
        first = self._payload_hash(desk, caller), json.dumps(result)
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
class Delete(OnRecord):
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
            return absent(caller, "delete", self.scope, nonce=nonce)
        verdict = caller.decide("delete", self.scope, labels_of(stored))
        if not verdict.allowed:
            access = Access(record=stored.record_id, version=stored.version, action=Action.DENIED)
            return caller.refuse(Kind.DELETE, verdict, access, nonce=nonce)
        if stored.state in WITHDRAWN:
            raise withdrawn(desk.tx, stored)
        self.condition.check(stored, desk.now)
        if not is_current(stored, desk.now):
            return not_found()
        new = bury(caller, stored, nonce=nonce)
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


def bury(caller: Caller, stored: StoredVersion, *, nonce: bytes) -> StoredVersion:
    """A tombstone after a record's newest version, on record."""
    desk = caller.desk
    access = Access(record=stored.record_id, version=stored.latest + 1, action=Action.DELETED)
    new = stored._replace(
        latest=stored.latest + 1,
        version=stored.latest + 1,
        version_id=ids.new_id(),
        state="deleted",
        created_at=max(desk.now, stored.created_at + 1),
        expires_at=None,
        header=None,
        head=None,
        content=None,
        segments=None,
        shred_id=None,
        cohort=None,
        restricted_since=None,
        stale_since=None,
    )
    row = {"row": rowseals.of_version(desk.tenancy.keys, new)}
    new = new._replace(entry=caller.record(Kind.DELETE, "ok", access, nonce=nonce, data=row))
    store_version(desk, new, caller.principal.id, first=False)
    return new


def subject_of(desk: Desk, reference: str) -> StoredSubject:
    """A person by reference, as found with the batch; met for the first time: a fresh leaf of their own."""
    index = desk.tenancy.keys.known_index("subject", reference)
    person = desk.found.subjects.get(index)
    if person is not None:
        return person
    leaf = leaves.of_somebody(desk)
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


class Place(NamedTuple):
    """Where a new version goes: its record, under which key and index, after `stored` if there is one."""

    scope: str
    key: str
    key_index: str
    stored: StoredVersion | None
    record: str
    number: int
    created_at: int


def put_version(
    caller: Caller,
    draft: Draft,
    place: Place,
    slots: Sequence[Slots],
    cohort: int | None,
    people: Sequence[str],
    *,
    nonce: bytes,
    version_id: str | None = None,
    stale: bool = False,
) -> tuple[StoredVersion, list[bytes]]:
    """Seal a version, put it on record, collect its rows: it as stored, and the commitments to its parts.

    `slots`: of each part. `people`: ids of those whom it names. `version_id`: unless a fresh one will do.
    `stale`: from the beginning, as something that it was derived from is corrected or stale itself.
    """
    desk, record_id, number = caller.desk, place.record, place.number
    binding = Binding(desk.tx.tenant_id, place.scope, record_id, number)
    sealed = seal_version(desk.tenancy.keys, binding, place.key, draft, slots, cohort)
    promises = []
    for opened, part in zip(sealed.opened, draft.parts, strict=True):
        promises.append(caller.promise(opened, part.content, record_id, number, nonce=nonce))
        opened.wipe()
    accesses = [
        Access(record_id, number, Action.WRITTEN, commitment=promise, segment=which)
        for which, promise in enumerate(promises)
        if draft.segments
    ] or [Access(record_id, number, Action.WRITTEN, commitment=promises[0])]
    new = StoredVersion(
        key_index=place.key_index,
        record_id=record_id,
        latest=number,
        version=number,
        version_id=version_id or ids.new_id(),
        scope=place.scope,
        labels=",".join(draft.categories),
        state="live",
        created_at=place.created_at,
        expires_at=draft.expires_at,
        entry="",
        header=sealed.header,
        head=sealed.head,
        content=sealed.content,
        shred_id=None,
        segments=len(draft.segments) or None,
        cohort=cohort,
        accessed_at=place.stored.accessed_at if place.stored else None,
        stale_since=place.created_at if stale else None,
    )
    row: dict[str, Any] = {"row": rowseals.of_version(desk.tenancy.keys, new)}
    if stale:
        row["stale"] = True
    new = new._replace(entry=caller.record(Kind.WRITE, "ok", *accesses, nonce=nonce, data=row))
    store_version(desk, new, caller.principal.id, first=place.stored is None)
    desk.tx.put(
        records.INSERT_SUBJECT_LINK,
        *(
            {"subject_id": one, "record_id": record_id, "version": number, "derived": records.LABELLED}
            for one in people
        ),
    )
    return new, promises


def scope_leaf(desk: Desk, scope: str) -> int:
    """The leaf of what is about nobody in a scope. A round trip more for the first such version."""
    leaf = desk.found.scopes.get(scope)
    if leaf is None:
        leaf = leaves.of_something(desk)
        desk.found.add(desk.found.scopes, scope, leaf)
        desk.tx.put(subjects.INSERT_SCOPE_LEAF, {"scope": scope, "leaf": leaf})
    return leaf


def slots_of(desk: Desk, scope: str, leaves: list[int]) -> list[list[int]]:
    """Leaves that open a part: all of one slot. *any*: one slot of all it names; *all*: a slot each."""
    spec = desk.tenancy.policy.configuration.scopes[scope]
    return [[leaf] for leaf in leaves] if spec.joint_erasure == "all" else [leaves]


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
            "cohort": new.cohort,
            "stale_since": new.stale_since,
        },
    )
    if (new.scope, new.labels) not in desk.tenancy.label_sets:
        desk.tx.put(records.INSERT_LABELS, {"scope": new.scope, "labels": new.labels})
        desk.tx.after_commit(lambda: desk.tenancy.label_sets.add((new.scope, new.labels)))
    quota.count(desk, new)
    desk.found.add(desk.found.records, new.key_index, new)
