"""Between a version as people know it and a version as it lies in the database.

A version has two sealed parts under one key: the *head* (record key, subject references, metadata, lineage)
and the *content*. Lists open heads only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tenure.errors import Erased, Shredded, Tampered
from tenure.keyring import TenantKeyring
from tenure.keys.seal import Binding, OpenedKey, header_leaves, seal
from tenure.keys.secret import Octets
from tenure.model.record import Draft, Version
from tenure.store import shreds, subjects
from tenure.store.records import StoredVersion
from tenure.store.session import Tx

WITHDRAWN = ("erased", "held")
"""States of versions that nobody reads: gone, or only kept for a hold."""
HEAD, CONTENT, REF = "head", "content", "ref"
SUBJECTS_SCOPE = "tenure.subjects"


class Head(NamedTuple):
    """The opened head of a version."""

    key: str
    subjects: tuple[str, ...]
    metadata: dict[str, Any]
    derived_from: tuple[str, ...]


class SealedVersion(NamedTuple):
    """What is stored of a version, and its open key for the commitment."""

    header: bytes
    head: bytes
    content: bytes
    opened: OpenedKey


def seal_version(
    keys: TenantKeyring, binding: Binding, key: str, draft: Draft, slots: Sequence[Sequence[int]]
) -> SealedVersion:
    """Seal a version to its slots of leaves: all leaves of any one slot open it."""
    head = json.dumps(
        {
            "key": key,
            "subjects": draft.subjects,
            "categories": draft.categories,
            "metadata": draft.metadata,
            "derived_from": draft.derived_from,
            "expires_at": draft.expires_at,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    leaves: list[Mapping[int, Octets]] = [{leaf: keys.leaf_key(leaf) for leaf in slot} for slot in slots]
    sealed, opened = seal(binding, leaves, {HEAD: head, CONTENT: draft.content})
    return SealedVersion(sealed.header, sealed.parts[HEAD], sealed.parts[CONTENT], opened)


def unseal(tx: Tx, keys: TenantKeyring, stored: StoredVersion) -> OpenedKey:
    """The open key of a stored version, shared and not to be wiped.

    Erased when a key it needs is destroyed, Tampered when it is not as sealed.
    """
    if stored.state in WITHDRAWN or stored.header is None:
        raise erased(tx, stored.shred_id)
    binding = Binding(keys.tenant_id, stored.scope, stored.record_id, stored.version)
    try:
        return keys.open_version(binding, stored.header)
    except Shredded:
        gone = [leaf for slot in header_leaves(stored.header) for leaf in slot]
        owners = subjects.by_leaves(tx, gone)
        shred_id = next((owner.shred_id for owner in owners if owner.shred_id), None)
        raise erased(tx, shred_id) from None


def erased(tx: Tx, shred_id: str | None) -> Erased:
    """The 410 of an erasure, with its certificate once there is one. One or no further statement."""
    shred = shreds.get(tx, shred_id) if shred_id else None
    return Erased(
        "This was erased; its key is destroyed and nothing can be read or written here for that person.",
        certificate=shred.certificate_id if shred else None,
        shred=shred_id,
    )


def open_head(opened: OpenedKey, stored: StoredVersion) -> Head:
    """Record key, subjects, metadata and lineage of an opened version. Tampered when its row was changed."""
    if stored.head is None:
        raise Tampered("A live version has no head.")
    head = json.loads(opened.open(HEAD, stored.head))
    # Labels and term lie beside the seal so that SQL can use them; the sealed ones are the true ones.
    if ",".join(head["categories"]) != stored.labels or head["expires_at"] != stored.expires_at:
        raise Tampered("A version's labels or term are not the sealed ones; nothing was returned.")
    return Head(head["key"], tuple(head["subjects"]), head["metadata"], tuple(head["derived_from"]))


def open_content(opened: OpenedKey, stored: StoredVersion) -> bytes:
    """The canonical JSON content of an opened version."""
    if stored.content is None:
        raise Tampered("A live version has no content.")
    return opened.open(CONTENT, stored.content)


def as_version(
    stored: StoredVersion, head: Head, *, content: bytes | None, entry: str, promise: bytes | None
) -> Version:
    """An opened version as its reader gets it. `entry` is the access's or, in lists, the version's own."""
    return Version(
        record=stored.record_id,
        version=stored.version,
        version_id=stored.version_id,
        scope=stored.scope,
        key=head.key,
        created_at=stored.created_at,
        entry=entry,
        commitment=promise.hex() if promise else None,
        content=content,
        subjects=head.subjects,
        categories=labels_of(stored),
        metadata=head.metadata,
        derived_from=head.derived_from,
        expires_at=stored.expires_at,
    )


def labels_of(stored: StoredVersion) -> tuple[str, ...]:
    """A stored version's own categories: what it is judged by."""
    return tuple(stored.labels.split(","))


def seal_reference(keys: TenantKeyring, subject_id: str, leaf: int, reference: str) -> tuple[bytes, bytes]:
    """(header, sealed reference) of a subject, under the subject's own leaf."""
    binding = Binding(keys.tenant_id, SUBJECTS_SCOPE, subject_id, 0)
    sealed, opened = seal(binding, [{leaf: keys.leaf_key(leaf)}], {REF: reference.encode()})
    opened.wipe()
    return sealed.header, sealed.parts[REF]
