"""People, holds, and the leaves that open what is theirs.

A person who is here is found through an index that only their sealed reference makes; a person who is gone
has a punctured leaf and nothing else.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tenure import ids, rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.view import SETTLED, View, differing, each, guarded
from tenure.keys import blind, segments
from tenure.keys.ggm import leaf_number
from tenure.keys.seal import Binding, added_leaves, header_leaves, open_key
from tenure.ledger.entry import Kind
from tenure.sealing import REF, SUBJECTS_SCOPE
from tenure.store import inspecting, tables
from tenure.store.events import Event
from tenure.store.holds import Hold
from tenure.store.inspecting import Row

_S, _H, _E = tables.subjects, tables.holds, tables.events
_STATES = "active", "erasing", "erased"
NEAR_US = 60_000_000
"""How far an instant may be from the time in the row's own id."""


# ── people ─────────────────────────────────────────────────────────────────────────────────────────
def subjects(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each person: found under their index, opened by their leaf; or gone with it."""
    named = {row["shred_id"] for row in page} - {None}
    erasures = {row["id"]: row for row in inspecting.where(view.tx, tables.shreds, id=named)}
    for row in page:
        key = (row["id"],)
        yield from guarded(view, "subject", _S, key, _subject(view, row, erasures))


def _subject(view: View, row: Row, erasures: dict[str, Row]) -> Iterator[Finding]:
    key = (row["id"],)
    gone = row["state"] == "erased"
    sealed = [row[name] is not None for name in ("ref_index", "bucket", "ref_header", "sealed_ref")]
    if row["state"] not in _STATES:
        yield view.finding("subject", _S, key, "state", "there is no such state")
    if sealed != [not gone] * 4:
        yield view.finding("subject", _S, key, "state", "its reference is not as in this state")
    if (row["shred_id"] is None) != (row["state"] == "active"):
        yield view.finding("subject", _S, key, "shred_id", "an erasure is named where there is one")
    if row["shred_id"] is not None:
        yield from _erased(view, row, erasures.get(row["shred_id"]))
    if abs(row["created_at"] - _born(row["id"])) > NEAR_US:
        yield view.finding("subject", _S, key, "created_at", "it is far from the time in the id")
    yield from below_sequence(view, "subjects", key, row["leaf"])
    if view.keys is None:
        return
    if view.is_punctured(row["leaf"]) != gone and not view.erasing:
        yield view.finding("subject", _S, key, "leaf", "its key lives just when the person is here")
    elif all(sealed) and not view.is_punctured(row["leaf"]):
        yield from _reference(view, row)


def _erased(view: View, row: Row, erasure: Row | None) -> Iterator[Finding]:
    key = (row["id"],)
    if erasure is None or (erasure["kind"], erasure["target_id"]) != ("subject", row["id"]):
        yield view.finding("subject", _S, key, "shred_id", "it is not an erasure of this person")
    elif erasure["state"] in SETTLED and row["state"] != "erased":
        yield view.finding("subject", _S, key, "state", "their erasure is done")


def _reference(view: View, row: Row) -> Iterator[Finding]:
    key, header = (row["id"],), bytes(row["ref_header"])
    if header_leaves(header) != ((row["leaf"],),):
        yield view.finding("subject", _S, key, "leaf", "its reference is sealed to another leaf")
    opened = open_key(Binding(view.tenant_id, SUBJECTS_SCOPE, row["id"], 0), header, view.leaf_key)
    try:
        reference = opened.open(REF, bytes(row["sealed_ref"])).decode()
    finally:
        opened.wipe()
    keys = view.keys
    if keys is None:
        return
    bucket = keys.bucket(reference)
    index = blind.blind_index(view.leaf_key(keys.bucket_leaf(bucket)), "subject", reference.encode()).hex()
    yield from differing(view, "subject-index", _S, row, bucket=bucket, ref_index=index)


def _born(row_id: str) -> int:
    """The instant in a UUIDv7, in microseconds (RFC 9562 §5.7)."""
    return int(row_id.replace("-", "")[:12], 16) * 1000


def below_sequence(view: View, table: str, key: inspecting.Key, leaf: int) -> Iterator[Finding]:
    """A leaf that was handed out is below the tenant's sequence."""
    sequence = inspecting.where(view.tx, tables.leaf_sequences)
    if sequence and not 0 <= leaf < leaf_number(sequence[0]["epoch"], sequence[0]["next"]):
        yield view.finding("leaf", table, key, "leaf", "this leaf was never handed out")


# ── what happened to them ──────────────────────────────────────────────────────────────────────────
def events(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each event is of somebody who is here, and is what the entry that it names says."""
    view.want(row["entry"] for row in page)
    people = {row["subject_id"] for row in page}
    here = inspecting.where(view.tx, _S, id=people, but={"state": ["erased"]})
    there = {row["id"] for row in here}
    for row in page:
        key = inspecting.key_of(_E, row)
        if row["subject_id"] not in there and not view.erasing:
            yield view.finding("event", _E, key, "subject_id", "there is no such person, or not any more")
        yield from guarded(view, "event", _E, key, _event(view, row))


def _event(view: View, row: Row) -> Iterator[Finding]:
    key = inspecting.key_of(_E, row)
    entry = view.entry(row["entry"])
    if entry is None or (entry["kind"], entry["outcome"]) != (Kind.EVENT, "ok"):
        yield view.finding("event", _E, key, "entry", "the ledger does not know that it was told")
        return
    data = entry["data"]
    yield from differing(view, "event", _E, row, scope=data["scope"], name=data["event"])
    if not 0 <= row["at"] <= ids.parse_rfc3339(entry["at"]):
        yield view.finding("event", _E, key, "at", "it is later than the entry that tells it")
    if view.keys is not None and data["row"] != rowseals.of_event(view.keys, Event(**row)):
        yield view.finding("event-row", _E, key, "", "person, scope, name or time are not as told")


# ── where leaves come from ─────────────────────────────────────────────────────────────────────────
@each("leaf-sequence", tables.leaf_sequences)
def leaf_sequences(view: View, row: Row) -> Iterator[Finding]:
    """Above every leaf in use, and in the mirror's epoch."""
    table = tables.leaf_sequences
    yield from differing(view, "leaf-sequence", table, row, epoch=view.anchors.ground.mirror.leaf_epoch())
    first = blind.FIRST_FREE if not row["epoch"] else 0
    if row["next"] < first or inspecting.highest_leaf(view.tx) >= leaf_number(row["epoch"], row["next"]):
        yield view.finding("leaf-sequence", table, (), "next", "leaves behind it are in use")


def bucket_leaves(view: View) -> Iterator[Finding]:
    """A bucket's leaf is the one that the last erasure in it, or a restore, moved it to. At most 4096."""
    if not view.lives:
        return
    table = tables.bucket_leaves
    planned = _planned(view)
    here = {row["bucket"]: row["leaf"] for row in inspecting.where(view.tx, table)}
    for bucket, leaf in planned.items():
        # After a restore buckets move once more, to leaves of the new epoch.
        if here.get(bucket) != leaf and here.get(bucket, 0) >> 32 <= leaf >> 32:
            yield view.finding("bucket", table, (bucket,), "leaf", "an erasure moved it to another leaf")
    for bucket, leaf in here.items():
        if bucket not in planned and leaf >> 32 == 0:
            yield view.finding("bucket", table, (bucket,), "bucket", "nothing moved this bucket")
        if view.keys is not None and view.is_punctured(leaf):
            yield view.finding("bucket", table, (bucket,), "leaf", "its key was destroyed")
        yield from below_sequence(view, "bucket_leaves", (bucket,), leaf)


def _planned(view: View) -> dict[int, int]:
    """Bucket → its leaf after the last batch that moved it and came to the swap."""
    found: dict[int, int] = {}
    for batch in view.plans(fresh=True):
        mine = batch.plan.get(view.tenant_id)
        if mine is not None and batch.state != "intent":
            found.update({bucket: leaf for bucket, _, leaf in mine["buckets"]})
    return found


@each("scope-leaf", tables.scope_leaves)
def scope_leaves(view: View, row: Row) -> Iterator[Finding]:
    """A scope's leaf is alive and nobody else's. That versions are sealed to it is for their section."""
    table, key = tables.scope_leaves, (row["scope"],)
    yield from below_sequence(view, "scope_leaves", key, row["leaf"])
    if view.keys is not None and view.is_punctured(row["leaf"]):
        yield view.finding("scope-leaf", table, key, "leaf", "its key was destroyed")
    for other in inspecting.LEAVES:
        if other is not table and inspecting.known_ids(view.tx, other.c.leaf, [row["leaf"]]):
            yield view.finding("scope-leaf", table, key, "leaf", f"it is also in {other.name}")
    kept = tables.records
    if not inspecting.where(view.tx, kept, limit=1, scope=row["scope"]):
        yield view.finding("scope-leaf", table, key, "scope", "there is no record in this scope")


# ── holds ──────────────────────────────────────────────────────────────────────────────────────────
def holds(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each hold as the ledger says it was placed, and as its release says it ended."""
    placed = view.asked(Kind.HOLD_PLACE, [row["id"] for row in page])
    table = tables.shreds
    released = {row["target_id"]: row for row in inspecting.where(view.tx, table, kind="hold")}
    for row in page:
        found = _hold(view, row, placed.get(row["id"]), released.get(row["id"]))
        yield from guarded(view, "hold", _H, (row["id"],), found)


def _hold(view: View, row: Row, entry: dict[str, Any] | None, release: Row | None) -> Iterator[Finding]:
    key = (row["id"],)
    if entry is None:
        if not view.restored:  # a restore puts holds back that the copy had forgotten
            yield view.finding("hold", _H, key, "id", "the ledger does not know that it was placed")
        return
    data = entry["data"]
    yield from differing(view, "hold", _H, row, placed_by=entry["principal"], kind=data["by"])
    if not view.happened(entry, row["placed_at"]):
        yield view.finding("hold", _H, key, "placed_at", "its entry says another time")
    hold = Hold(**{name: row[name] for name in Hold._fields})
    if "row" in data and view.keys is not None and data["row"] != rowseals.of_hold(view.keys, hold):
        detail = "kind, target, ground, leaf, time or by whom are not as placed"
        yield view.finding("hold-row", _H, key, "", detail)
    yield from below_sequence(view, "holds", key, row["leaf"])
    ended = None if release is None else json.loads(release["findings"]).get("entry")
    state = "active" if release is None else "releasing" if ended is None else "released"
    yield from differing(view, "hold", _H, row, state=state)
    end = None if ended is None else view.entry(ended)
    if (row["released_at"] is None) != (ended is None):
        yield view.finding("hold", _H, key, "released_at", "it is set when the hold is released")
    elif end is not None and not view.happened(end, row["released_at"]):
        yield view.finding("hold", _H, key, "released_at", "its entry says another time")
    if view.keys is not None and view.is_punctured(row["leaf"]) != (state == "released") and not view.erasing:
        yield view.finding("hold", _H, key, "leaf", "its key lives just until it is released")


def held_versions(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """What a hold keeps is here, and has a slot of the hold's leaf."""
    table = tables.held_versions
    there = inspecting.versions(view.tx, [(row["record_id"], row["version"]) for row in page])
    leaves = {row["id"]: row["leaf"] for row in inspecting.where(view.tx, _H)}
    for row in page:
        key = (row["hold_id"], row["record_id"], row["version"])
        found = there.get((row["record_id"], row["version"]))
        if row["hold_id"] not in leaves:
            yield view.finding("held", table, key, "hold_id", "there is no such hold")
        elif found is None or found["header"] is None:
            yield view.finding("held", table, key, "record_id", "there is no such version, or nothing of it")
        else:
            yield from guarded(view, "held", table, key, _slot(view, row, found, leaves[row["hold_id"]]))


def _slot(view: View, row: Row, found: Row, leaf: int) -> Iterator[Finding]:
    headers = [bytes(found["header"])]
    if found["segments"]:
        headers += [one.header for one in segments.decode(bytes(found["content"])) if one]
    if not any((leaf,) in added_leaves(header) for header in headers):
        key = (row["hold_id"], row["record_id"], row["version"])
        yield view.finding("held", tables.held_versions, key, "version", "it has no slot of this hold")
