"""Between a version as people know it and a version as it lies in the database.

A version has two sealed parts under one key: the *head* (record key, subject references, metadata, lineage,
paths) and the *content*. Lists open heads only. In a version with segments, each of them is sealed in the
same way to people of its own, and all of them together are the content.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tenure.errors import Erased, Shredded, Tampered
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.seal import Binding, OpenedKey, founding_slots, header_leaves, open_key, seal
from tenure.keys.secret import Octets
from tenure.keys.segments import SealedSegment
from tenure.model.record import Draft
from tenure.quickjson import compact
from tenure.store import cohorts, shreds, subjects
from tenure.store.records import StoredVersion
from tenure.store.session import Tx

WITHDRAWN = ("erased", "held")
"""States of versions that nobody reads: gone, or only kept for a hold."""
GONE = (
    "This was erased, or is being erased: its key is destroyed with it. What was stored about that person can"
    " be neither read nor added to."
)
ANEW = (
    "Do not ask for it again: the certificate, once signed, says what was destroyed. Who comes back after"
    " that is a new person, with records and threads of their own."
)
HELD = "This was erased; a legal hold keeps it sealed, and it is given to nobody."
OVER = "This has had its time, or its thread was deleted; its key is destroyed and nobody can read it."
HEAD, CONTENT, REF, NOTE = "head", "content", "ref", "note"
SUBJECTS_SCOPE = "tenure.subjects"


Slots = Sequence[Sequence[int]]
"""Leaves that open something: all of any one slot."""


class Head(NamedTuple):
    """The opened head of a version. `slots`: of each segment, when it has any; their people are in them."""

    key: str
    subjects: tuple[str, ...]
    metadata: dict[str, Any]
    derived_from: tuple[str, ...]
    slots: tuple[Slots, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()


class SealedVersion(NamedTuple):
    """What is stored of a version, and the open keys of its parts for their commitments."""

    header: bytes
    head: bytes
    content: bytes
    opened: tuple[OpenedKey, ...]
    """Of each segment, or of the whole."""


def seal_version(
    keys: TenantKeyring, binding: Binding, key: str, draft: Draft, slots: Sequence[Slots], cohort: int | None
) -> SealedVersion:
    """Seal a version, each of its parts (`Draft.parts`) to slots of leaves of its own, with its cohort's."""
    head: dict[str, Any] = {
        "key": key,
        "subjects": draft.subjects,
        "categories": draft.categories,
        "metadata": draft.metadata,
        "derived_from": draft.derived_from,
        "expires_at": draft.expires_at,
    }
    if draft.paths:
        head["paths"] = draft.paths
    if not draft.segments:
        sealed, opened = seal(
            binding, _keyed(keys, slots[0], cohort), {HEAD: compact(head), CONTENT: draft.content}
        )
        return SealedVersion(sealed.header, sealed.parts[HEAD], sealed.parts[CONTENT], (opened,))
    head["segments"] = slots
    any_slot = list(dict.fromkeys(tuple(sorted(slot)) for one in slots for slot in one))
    sealed, whole = seal(binding, _keyed(keys, any_slot, cohort), {HEAD: compact(head)})
    whole.wipe()
    kept, each = [], []
    for place, (segment, its_slots) in enumerate(zip(draft.segments, slots, strict=True)):
        parts = {HEAD: compact({"subjects": segment.subjects}), CONTENT: segment.content}
        one, opened = seal(binding.segment(place), _keyed(keys, its_slots, cohort), parts)
        kept.append(SealedSegment(one.header, one.parts[HEAD], one.parts[CONTENT]))
        each.append(opened)
    return SealedVersion(sealed.header, sealed.parts[HEAD], segments.encode(kept), tuple(each))


def _keyed(keys: TenantKeyring, slots: Slots, cohort: int | None) -> list[Mapping[int, Octets]]:
    own = () if cohort is None else (cohort,)
    return [{leaf: keys.leaf_key(leaf) for leaf in (*slot, *own)} for slot in slots]


def unseal(tx: Tx, keys: TenantKeyring, stored: StoredVersion) -> OpenedKey:
    """The open key of a stored version, shared and not to be wiped.

    Erased when a key it needs is destroyed, Tampered when it is not as sealed.
    """
    if stored.state in WITHDRAWN or stored.header is None:
        raise withdrawn(tx, stored)
    try:
        return keys.open_version(binding_of(keys, stored), stored.header)
    except Shredded:
        raise _erased_with(tx, header_leaves(stored.header)) from None


def binding_of(keys: TenantKeyring, stored: StoredVersion) -> Binding:
    """What a stored version is sealed to."""
    return Binding(keys.tenant_id, stored.scope, stored.record_id, stored.version)


def _erased_with(tx: Tx, slots: Slots) -> Erased:
    """The 410 of whichever erasure took these slots: a person's, or of their cohort. Three statements."""
    leaves = [leaf for slot in slots for leaf in slot]
    owners = [one.shred_id for one in subjects.by_leaves(tx, leaves)]
    owners += [one.shred_id for one in cohorts.by_leaves(tx, leaves)]
    return erased(tx, next((one for one in owners if one), None))


def withdrawn(tx: Tx, stored: StoredVersion) -> Erased:
    """The 410 of a version that is `WITHDRAWN`. Of one that a hold keeps no key is destroyed: it says so."""
    return erased(tx, stored.shred_id, held=stored.state == "held")


def erased(tx: Tx, shred_id: str | None, *, held: bool = False) -> Erased:
    """The 410 of an erasure, with its certificate once there is one. One or no further statement."""
    shred = shreds.get(tx, shred_id) if shred_id else None
    certificate = shred.certificate_id if shred else None
    if shred is not None and shred.kind == shreds.Kind.COHORT and not held:
        return Erased(OVER, certificate=certificate, shred=shred_id)
    return Erased(HELD if held else GONE, certificate=certificate, shred=shred_id, remedy=ANEW)


def open_head(keys: TenantKeyring, opened: OpenedKey, stored: StoredVersion) -> Head:
    """Record key, subjects, metadata and lineage of an opened version. Tampered when its row was changed."""
    if stored.head is None:
        raise Tampered("A live version has no head.")
    head = json.loads(opened.open(HEAD, stored.head))
    # Labels and term lie beside the seal so that SQL can use them; the sealed ones are the true ones.
    if ",".join(head["categories"]) != stored.labels or head["expires_at"] != stored.expires_at:
        raise Tampered("A version's labels or term are not the sealed ones; nothing was returned.")
    slots = tuple(head.get("segments", ()))
    if (stored.segments or 0) != len(slots):
        raise Tampered("A version has not the segments that it was sealed with; nothing was returned.")
    people = _staying(keys, stored.header or b"", head["subjects"])
    paths = tuple(tuple(path) for path in head.get("paths", ()))
    return Head(head["key"], people, head["metadata"], tuple(head["derived_from"]), slots, paths)


def _staying(keys: TenantKeyring, header: bytes, people: Sequence[str]) -> tuple[str, ...]:
    """Of the people of a record that all must leave, each with a slot, those who are still here."""
    slots = founding_slots(header) if len(people) > 1 else ()
    if len(slots) != len(people):
        return tuple(people)
    return tuple(one for one, slot in zip(people, slots, strict=True) if not keys.is_gone(slot))


def open_content(opened: OpenedKey, stored: StoredVersion) -> bytes:
    """The canonical JSON content of an opened version that has no segments. Of a warm one (`thawing`)."""
    if stored.content is None:
        raise Tampered("A live version has no content.")
    return opened.open(CONTENT, stored.content)


class OpenedSegment(NamedTuple):
    """One segment: its key and what it says; or, erased, the certificate if there is one."""

    opened: OpenedKey | None
    subjects: tuple[str, ...] = ()
    content: bytes = b""
    certificate: str | None = None


def open_segments(
    tx: Tx, keys: TenantKeyring, stored: StoredVersion, head: Head, *, heads_only: bool = False
) -> list[OpenedSegment]:
    """The segments of an opened version, each in its place. Two statements more for each erased one.

    `heads_only`: whom they name and no content, which may lie in a pack. Tampered when one is missing whose
    people are here, or is not as sealed.
    """
    sealed = segments.decode(stored.content or b"")
    if len(sealed) != len(head.slots):
        raise Tampered("A version has not the segments that it was sealed with; nothing was returned.")
    return [
        _open_segment(tx, keys, binding_of(keys, stored).segment(place), slots, one, heads_only=heads_only)
        for place, (slots, one) in enumerate(zip(head.slots, sealed, strict=True))
    ]


def _open_segment(
    tx: Tx,
    keys: TenantKeyring,
    binding: Binding,
    slots: Slots,
    sealed: SealedSegment | None,
    *,
    heads_only: bool,
) -> OpenedSegment:
    opened = None
    if sealed is not None:
        with suppress(Shredded):
            opened = keys.open_version(binding, sealed.header)
    if sealed is None or opened is None:
        # The sealed head says whose it was: what only looks erased was tampered with.
        if not all(keys.is_gone(slot) for slot in slots):
            raise Tampered("A segment does not open although its people are here; nothing was returned.")
        return OpenedSegment(None, certificate=_erased_with(tx, slots).certificate)
    people = json.loads(opened.open(HEAD, sealed.head))["subjects"]
    content = b"" if heads_only else opened.open(CONTENT, sealed.content)
    return OpenedSegment(opened, _staying(keys, sealed.header, people), content)


class Note(NamedTuple):
    """A text that may name people, sealed: what is stored of it."""

    header: bytes
    text: bytes


def seal_note(keys: TenantKeyring, binding: Binding, leaf: int, text: str) -> Note:
    """Seal a text under a leaf of its own."""
    sealed, opened = seal(binding, [{leaf: keys.leaf_key(leaf)}], {NOTE: text.encode()})
    opened.wipe()
    return Note(sealed.header, sealed.parts[NOTE])


def open_note(keys: TenantKeyring, binding: Binding, note: Note) -> str:
    """The text. Tampered when it is not as sealed, Shredded when its leaf was destroyed."""
    opened = open_key(binding, note.header, keys.leaf_key)
    try:
        return opened.open(NOTE, note.text).decode()
    finally:
        opened.wipe()


def labels_of(stored: StoredVersion) -> tuple[str, ...]:
    """A stored version's own categories: what it is judged by."""
    return tuple(stored.labels.split(","))


def seal_reference(keys: TenantKeyring, subject_id: str, leaf: int, reference: str) -> tuple[bytes, bytes]:
    """(header, sealed reference) of a subject, under the subject's own leaf."""
    binding = Binding(keys.tenant_id, SUBJECTS_SCOPE, subject_id, 0)
    sealed, opened = seal(binding, [{leaf: keys.leaf_key(leaf)}], {REF: reference.encode()})
    opened.wipe()
    return sealed.header, sealed.parts[REF]
