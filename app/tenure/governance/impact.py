"""What an erasure would do, before anybody asks for it."""

from typing import Any

from tenure.crew import Desk
from tenure.keys import segments
from tenure.keys.seal import header_leaves
from tenure.store import holds, records
from tenure.store.records import StoredVersion
from tenure.store.subjects import StoredSubject

_CHUNK = 500


def impact(desk: Desk, person: StoredSubject) -> dict[str, Any]:
    """The dry run: counts and ids, never content. Reads all of the person's versions, in chunks."""
    covering = holds.active(desk.tx)
    counts = {"versions": 0, "erased": 0, "shared": 0, "segments": 0, "held": 0}
    used: set[str] = set()
    after: tuple[str, int] | None = None
    while found := records.of_subject(desk.tx, person.id, limit=_CHUNK, after=after):
        after = (found[-1].record_id, found[-1].version)
        for stored in found:
            if stored.header is None:
                continue
            survives = _survives(desk, stored.header, person.leaf)
            going = _segments_going(desk, stored, person.leaf) if survives else 0
            counts["versions"] += 1
            counts["shared" if survives else "erased"] += 1
            counts["segments"] += going
            if survives and not going:
                continue
            keeping = {hold.id for hold in covering if hold.covers(person.id, stored)}
            counts["held"] += bool(keeping)
            used |= keeping
    keepers = [{"id": one.id, "by": one.kind, "ground": one.ground} for one in covering if one.id in used]
    return {"subject": person.id, **counts, "holds": keepers}


def _survives(desk: Desk, header: bytes, leaf: int) -> bool:
    """Whether some slot still lets somebody read without one person's leaf."""
    keys = desk.tenancy.keys
    return any(leaf not in slot and not keys.is_gone(slot) for slot in header_leaves(header))


def _segments_going(desk: Desk, stored: StoredVersion, leaf: int) -> int:
    """How many segments of a version that stays are readable now, and not without one person's leaf."""
    if not stored.segments:
        return 0
    keys = desk.tenancy.keys
    return sum(
        not _survives(desk, one.header, leaf)
        for one in segments.decode(stored.content or b"")
        if one is not None and not all(keys.is_gone(slot) for slot in header_leaves(one.header))
    )
