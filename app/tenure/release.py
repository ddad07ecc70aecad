"""What leaves the house of an opened version, and the accesses that its release is.

Every commitment is made here, so that nothing is released that is not on record.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tenure.access import Caller
from tenure.errors import Denied
from tenure.keys.seal import OpenedKey
from tenure.ledger.entry import Access, Action
from tenure.model.record import Shown, Version
from tenure.restraints import Restraint
from tenure.sealing import Head, OpenedSegment, labels_of, open_content, open_segments
from tenure.store.records import StoredVersion
from tenure.thawing import warm
from tenure.withholding import kept_back, segments_back


class Released(NamedTuple):
    """Content or segments, with the commitments to them; `accesses` go into the entry of the nonce."""

    content: bytes | None
    commitment: bytes | None
    segments: tuple[Shown, ...]
    accesses: tuple[Access, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everybody whom the released segments name."""
        return tuple(dict.fromkeys(one for segment in self.segments for one in segment.subjects))

    @property
    def data(self) -> Mapping[str, Any]:
        """For the entry: why segments were kept back which policy allows, if any were."""
        reasons = sorted({one.withheld for one in self.segments if one.withheld is not None})
        return {"withheld": reasons[-1]} if reasons else {}


def release(
    caller: Caller, stored: StoredVersion, opened: OpenedKey, head: Head, *, nonce: bytes
) -> Released:
    """Open the content of an opened version. Two statements more for each erased segment.

    Cold when it lies in a pack and was not fetched. Whoever calls this has asked `kept_back`.
    """
    if kept_back(caller, stored, as_seen=True) is not None:
        raise Denied("This is kept back for somebody whom it is about; nothing was returned.")
    stored = warm(caller.desk.tx.tenant_id, stored, caller.desk.thawed)
    if not head.slots:
        content = open_content(opened, stored)
        promise = caller.promise(opened, content, stored.record_id, stored.version, nonce=nonce)
        access = Access(stored.record_id, stored.version, Action.RETURNED, commitment=promise)
        return Released(content, promise, (), (access,))
    found = open_segments(caller.desk.tx, caller.desk.tenancy.keys, stored, head)
    back = segments_back(caller, stored)
    pairs = [
        _kept_back(stored, place, back[place])
        if place in back
        else release_segment(caller, stored, place, segment, nonce=nonce)
        for place, segment in enumerate(found)
    ]
    return Released(None, None, tuple(shown for shown, _ in pairs), tuple(access for _, access in pairs))


def _kept_back(stored: StoredVersion, place: int, why: Restraint) -> tuple[Shown, Access]:
    return Shown(withheld=why.value), Access(stored.record_id, stored.version, Action.WITHHELD, segment=place)


def release_segment(
    caller: Caller, stored: StoredVersion, place: int, segment: OpenedSegment, *, nonce: bytes
) -> tuple[Shown, Access]:
    """One segment as its reader gets it, with the access that this is."""
    record_id, version = stored.record_id, stored.version
    if segment.opened is None:
        gone = Shown(erased=True, certificate=segment.certificate)
        return gone, Access(record_id, version, Action.WITHHELD, segment=place)
    promise = caller.promise(segment.opened, segment.content, record_id, version, nonce=nonce)
    access = Access(record_id, version, Action.RETURNED, commitment=promise, segment=place)
    return Shown(segment.subjects, segment.content, promise.hex()), access


def as_version(stored: StoredVersion, head: Head, released: Released | None, *, entry: str) -> Version:
    """An opened version as its reader gets it. `entry` is the access's or, in lists, the version's own."""
    promise = released.commitment if released else None
    return Version(
        record=stored.record_id,
        version=stored.version,
        version_id=stored.version_id,
        scope=stored.scope,
        key=head.key,
        created_at=stored.created_at,
        entry=entry,
        commitment=promise.hex() if promise else None,
        content=released.content if released else None,
        subjects=head.subjects or (released.subjects if released else ()),
        categories=labels_of(stored),
        metadata=head.metadata,
        derived_from=head.derived_from,
        expires_at=stored.expires_at,
        tier=stored.tier,
        segments=released.segments if released else (),
        path=head.paths[0] if head.paths else (),
        stale_since=stored.stale_since,
    )
