"""Records and their versions: sealed parts under their keys, clear columns against the entry that wrote them.

A version that can be opened is opened here, and nothing of it is kept or shown: its commitment is made again
from its content and compared with the one in the ledger. One that was erased has its entry left to be
compared with, whose keyed digest (`rowseals`) covers the clear columns.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from tenure import filing, ids, rowseals
from tenure.errors import Shredded, Tampered
from tenure.inspection.findings import Finding
from tenure.inspection.subjectlimits import marks
from tenure.inspection.view import View, differing, each, guarded
from tenure.keys import segments
from tenure.keys.seal import Binding, OpenedKey, added_leaves, founding_slots, header_leaves, open_key
from tenure.ledger.base64 import from_base64, to_base64
from tenure.ledger.commitment import commitment
from tenure.ledger.entry import Kind
from tenure.model.cohorts import Anchor
from tenure.sealing import CONTENT, HEAD
from tenure.store import inspecting, packs, tables
from tenure.store.inspecting import Row
from tenure.store.paths import Filed
from tenure.store.records import StoredVersion

_V = tables.versions
_DIGEST = 32
_BORN = {Kind.WRITE: "written", Kind.DELETE: "deleted"}


class _Around(NamedTuple):
    """What belongs to a page of versions, by version: one statement for each kind."""

    records: dict[str, Row]
    links: dict[tuple[str, int], list[Row]]
    parents: dict[str, set[str]]
    held: set[tuple[str, int]]
    people: dict[int, Row]
    scopes: dict[str, int]
    cohorts: dict[int, Row]
    holds: dict[int, str]
    shreds: dict[str, Row]
    packs: dict[str, Row]
    labels: set[tuple[str, str]]


def versions(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each version: its entry, its seal, what its head says, its commitment, its links."""
    view.want(row["entry"] for row in page)
    around = _around(view, page)
    for row in page:
        key = (row["record_id"], row["version"])
        yield from guarded(view, "version", _V, key, _by_entry(view, row))
        yield from guarded(view, "version", _V, key, _beside(view, row, around))
        yield from guarded(view, "version-seal", _V, key, _sealed(view, row, around))
        yield from guarded(view, "version-mark", _V, key, marks(view, row))


# ── by its entry ───────────────────────────────────────────────────────────────────────────────────
def _by_entry(view: View, row: Row) -> Iterator[Finding]:
    key = (row["record_id"], row["version"])
    entry = view.entry(row["entry"])
    if entry is None or entry["kind"] not in _BORN or entry["outcome"] != "ok":
        yield view.finding("version-entry", _V, key, "entry", "the ledger has no such write")
        return
    mine = [
        one
        for one in view.accesses(entry)
        if (one["record"], one["version"], one["action"]) == (*key, _BORN[entry["kind"]])
    ]
    if not mine:
        yield view.finding("version-entry", _V, key, "entry", "this entry wrote another version")
        return
    yield from differing(view, "version", _V, row, principal_id=entry.get("principal"))
    if row["created_at"] > ids.parse_rfc3339(entry["at"]) and row["version"] == 1:
        yield view.finding("version", _V, key, "created_at", "it is later than the entry that wrote it")
    born_deleted = entry["kind"] == Kind.DELETE
    if born_deleted != (row["state"] == "deleted"):
        yield view.finding("version", _V, key, "state", "its entry says otherwise")
    seal = entry.get("data", {}).get("row")
    if seal is not None and view.keys is not None and seal != rowseals.of_version(view.keys, _stored(row)):
        detail = "id, record, number, scope, labels, time, term or segments are not as written"
        yield view.finding("version-row", _V, key, "", detail)


def _stored(row: Row) -> StoredVersion:
    named = {name: row[name] for name in StoredVersion._fields if name in row}
    return StoredVersion(**{**named, "key_index": "", "latest": 0, "version_id": row["id"]})


# ── by the rows beside it ──────────────────────────────────────────────────────────────────────────
def _around(view: View, page: Sequence[Row]) -> _Around:
    tx = view.tx
    record_ids = {row["record_id"] for row in page}
    links: dict[tuple[str, int], list[Row]] = {}
    linked = tables.version_subjects
    for link in inspecting.where(tx, linked, record_id=record_ids):
        links.setdefault((link["record_id"], link["version"]), []).append(link)
    parents: dict[str, set[str]] = {}
    for line in inspecting.where(tx, tables.lineage, child_id=[row["id"] for row in page]):
        parents.setdefault(line["child_id"], set()).add(line["parent_id"])
    kept = tables.held_versions
    held = inspecting.where(tx, kept, record_id=record_ids)
    leaves = {leaf for row in page for leaf in _leaves(row)}
    holds = tables.holds
    return _Around(
        records={row["id"]: row for row in inspecting.where(tx, tables.records, id=record_ids)},
        links=links,
        parents=parents,
        held={(row["record_id"], row["version"]) for row in held},
        people={row["leaf"]: row for row in inspecting.where(tx, tables.subjects, leaf=leaves)},
        scopes={row["scope"]: row["leaf"] for row in inspecting.where(tx, tables.scope_leaves)},
        cohorts={
            row["leaf"]: row
            for row in inspecting.where(tx, tables.cohorts, leaf={row["cohort"] for row in page})
        },
        holds={row["leaf"]: row["id"] for row in inspecting.where(tx, holds, but={"state": ["released"]})},
        shreds={
            row["id"]: row
            for row in inspecting.where(tx, tables.shreds, id={row["shred_id"] for row in page})
        },
        packs={
            row["id"]: row for row in inspecting.where(tx, tables.packs, id={row["pack_id"] for row in page})
        },
        labels={(row["scope"], row["labels"]) for row in inspecting.where(tx, tables.label_sets)},
    )


def _leaves(row: Row) -> set[int]:
    """Every leaf in a version's header and in those of its segments; none when these are no headers."""
    found: set[int] = set()
    with suppress(Tampered):
        if row["header"] is not None:
            found |= {leaf for slot in header_leaves(bytes(row["header"])) for leaf in slot}
        if row["segments"] and row["content"] is not None:
            for one in segments.decode(bytes(row["content"])):
                found |= {leaf for slot in header_leaves(one.header) for leaf in slot} if one else set()
    return found


def _beside(view: View, row: Row, around: _Around) -> Iterator[Finding]:
    key = (row["record_id"], row["version"])
    record = around.records.get(row["record_id"])
    if record is None:
        yield view.finding("records-missing", "records", (row["record_id"],), "", "it has versions")
    elif record["scope"] != row["scope"]:
        yield view.finding("version", _V, key, "scope", "its record is in another scope")
    if (row["scope"], row["labels"]) not in around.labels:
        detail = "these labels were never used in this scope"
        yield view.finding("version", "label_sets", (row["scope"], row["labels"]), "labels", detail)
    yield from _packed(view, row, around)
    parts = [*(row[name] is not None for name in ("header", "head")), _has_content(row)]
    state, shred = row["state"], row["shred_id"]
    expected = {"live": [True] * 3, "held": [True] * 3, "deleted": [False] * 3, "erased": [False] * 3}
    if parts != expected.get(state):
        yield view.finding("version", _V, key, "state", "its sealed parts are not those of this state")
    if shred is not None and shred not in around.shreds:
        yield view.finding("version", _V, key, "shred_id", "there is no such erasure")
    if shred is None and state in ("erased", "held"):
        yield view.finding("version", _V, key, "shred_id", "no erasure is named")
    if shred is not None and state == "deleted":
        yield view.finding("version", _V, key, "shred_id", "a tombstone is not erased")
    if state == "erased" and shred is not None:
        view.purged[shred] += 1
    yield from _in_cohort(view, row, around)
    if state == "held" and key not in around.held:
        yield view.finding("version", _V, key, "state", "no hold keeps it")


def _in_cohort(view: View, row: Row, around: _Around) -> Iterator[Finding]:
    key, leaf = (row["record_id"], row["version"]), row["cohort"]
    if leaf is None:
        return
    cohort = around.cohorts.get(leaf)
    if cohort is None:
        yield view.finding("version", _V, key, "cohort", "there is no such cohort")
    elif not Anchor.parse(cohort["anchor"]).covers(
        row["scope"], row["labels"], row["created_at"], row["expires_at"]
    ):
        yield view.finding("version", _V, key, "cohort", "it was not written in the period of this cohort")


def _has_content(row: Row) -> bool:
    """Whether it has a content, in its row or in a pack; of one with segments these are in the row always."""
    return row["content"] is not None or (row["pack_id"] is not None and row["segments"] is None)


def _packed(view: View, row: Row, around: _Around) -> Iterator[Finding]:
    """Where its content lies, by the rows alone: what the pack itself has is compared whenever it is read."""
    key = (row["record_id"], row["version"])
    place = [row[name] is not None for name in packs.PLACE]
    if any(place) != all(place):
        yield view.finding("version", _V, key, "pack_id", "its place in a pack is not whole")
    if not all(place):
        return
    if row["content"] is not None and row["segments"] is None:
        yield view.finding("version", _V, key, "content", "it is in the database and in a pack")
    pack = around.packs.get(row["pack_id"])
    if pack is None or pack["state"] != packs.STORED:
        yield view.finding("version", _V, key, "pack_id", "there is no such pack")
    elif row["pack_offset"] < 1 or row["pack_length"] < 1 or len(row["pack_sha256"]) != _DIGEST:
        yield view.finding("version", _V, key, "pack_offset", "this is no place in a pack")
    elif row["pack_offset"] + row["pack_length"] > pack["size"]:
        yield view.finding("version", _V, key, "pack_offset", "its pack ends before it")


# ── under its keys ─────────────────────────────────────────────────────────────────────────────────
def _sealed(view: View, row: Row, around: _Around) -> Iterator[Finding]:
    key = (row["record_id"], row["version"])
    if row["header"] is None or row["head"] is None or not _has_content(row) or view.keys is None:
        return
    header = bytes(row["header"])
    ways = [slot for slot in header_leaves(header) if not any(map(view.is_punctured, slot))]
    by_holds = bool(ways) and all(not around.holds.keys().isdisjoint(slot) for slot in ways)
    if not view.erasing:
        if not ways:
            yield view.finding("version", _V, key, "state", "nothing opens it, and no erasure is under way")
        elif by_holds != (row["state"] == "held"):
            yield view.finding("version", _V, key, "state", "only holds open what is held, and nothing else")
    named = {slot[0] for slot in added_leaves(header)} & around.holds.keys()
    if named and key not in around.held and not view.erasing:
        yield view.finding("version", "held_versions", key, "", "its header has a hold's slot")
    binding = Binding(view.tenant_id, row["scope"], row["record_id"], row["version"])
    try:
        opened = open_key(binding, header, view.leaf_key)
    except Shredded:
        return
    try:
        head = json.loads(opened.open(HEAD, bytes(row["head"])))
        people = list(head["subjects"])
        if row["segments"]:
            people += yield from _segments(view, row, binding, head)
        elif row["pack_id"] is None:
            content = opened.open(CONTENT, bytes(row["content"]))
            yield from _committed(view, row, opened, content, None)
    finally:
        opened.wipe()
    yield from _by_head(view, row, head, around)
    yield from _linked(view, row, around, about=bool(people))


def _segments(view: View, row: Row, binding: Binding, head: dict[str, Any]) -> Any:  # noqa: ANN401 - a generator of findings that returns references
    """Open each segment; whom they name."""
    key = (row["record_id"], row["version"])
    people: list[str] = []
    found = segments.decode(bytes(row["content"]))
    if len(found) != len(head.get("segments", ())):
        yield view.finding("version-seal", _V, key, "content", "it has not the segments it was sealed with")
        return people
    for place, (one, slots) in enumerate(zip(found, head["segments"], strict=True)):
        gone = all(any(map(view.is_punctured, slot)) for slot in slots)
        if one is None:
            if not gone:
                yield view.finding("version-seal", _V, key, "content", f"segment {place} is missing")
            continue
        try:
            opened = open_key(binding.segment(place), one.header, view.leaf_key)
        except Shredded:
            continue
        try:
            people += json.loads(opened.open(HEAD, one.head))["subjects"]
            if row["pack_id"] is None:
                yield from _committed(view, row, opened, opened.open(CONTENT, one.content), place)
        finally:
            opened.wipe()
    return people


def _committed(
    view: View, row: Row, opened: OpenedKey, content: bytes, place: int | None
) -> Iterator[Finding]:
    """The commitment, made again from the content, is the one in the entry that wrote it."""
    entry = view.entry(row["entry"])
    if entry is None:
        return  # reported already
    record, version = row["record_id"], row["version"]
    made = commitment(
        opened.opening_salt(from_base64(entry["nonce"]), record, version),
        tenant=view.tenant_id,
        decision=entry.get("decision"),
        record=record,
        version=version,
        content=content,
    )
    promised = {
        one.get("commitment")
        for one in view.accesses(entry)
        if (one["record"], one["version"], one.get("segment")) == (record, version, place)
    }
    if promised != {to_base64(made)}:
        yield view.finding("commitment", _V, (record, version), "content", "the ledger promised another")


def _by_head(view: View, row: Row, head: dict[str, Any], around: _Around) -> Iterator[Finding]:
    yield from differing(
        view,
        "version-head",
        _V,
        row,
        labels=",".join(head["categories"]),
        expires_at=head["expires_at"],
        segments=len(head.get("segments", ())) or None,
    )
    key = (row["record_id"], row["version"])
    record = around.records.get(row["record_id"])
    if view.keys is not None and record is not None:
        index = view.keys.blind_index("record", row["scope"], head["key"])
        yield from differing(view, "record-index", tables.records, record, key_index=index)
    if around.parents.get(row["id"], set()) != set(head["derived_from"]):
        detail = "its sealed head names other sources"
        yield view.finding("version-head", "lineage", key, "parent_id", detail)
    yield from _filed(view, row, head)


def _filed(view: View, row: Row, head: dict[str, Any]) -> Iterator[Finding]:
    """It is found under each beginning of its paths."""
    if view.keys is None:
        return
    keys, record_id = view.keys, row["record_id"]
    named = [filing.filed(keys, row["scope"], record_id, path) for path in head.get("paths", ())]
    wanted = {one.path_index for path in named for one in path}
    if not wanted:
        return
    rows = inspecting.where(view.tx, tables.record_paths, path_index=wanted, record_id=record_id)
    for index in sorted(wanted - {one["path_index"] for one in rows}):
        detail = "a record that is filed there is not found there"
        yield view.finding("paths", tables.record_paths, (index, record_id), "", detail)


def _linked(view: View, row: Row, around: _Around, *, about: bool) -> Iterator[Finding]:
    """The people whose leaves it was sealed to are linked to it, until they are erased."""
    key = (row["record_id"], row["version"])
    slots = founding_slots(bytes(row["header"]))
    cohort = around.cohorts.get(row["cohort"])
    if row["cohort"] is not None and not all(row["cohort"] in slot for slot in slots):
        yield view.finding("version", _V, key, "cohort", "it is not sealed to the leaf of this cohort")
    founding = {leaf for slot in slots for leaf in slot} - {row["cohort"]}
    expected, excused = set(), set()
    for leaf in founding:
        person = around.people.get(leaf)
        if person is None:
            if around.scopes.get(row["scope"]) != leaf:
                detail = "it is sealed to a leaf that is nobody's"
                yield view.finding("version-links", "scope_leaves", (row["scope"],), "leaf", detail)
        elif person["state"] == "active":
            expected.add(person["id"])
        else:
            excused.add(person["id"])
    named = {around.people[leaf]["shred_id"] for leaf in founding & around.people.keys()}
    named |= {None if cohort is None else cohort["shred_id"]}
    if row["shred_id"] not in named | {None}:
        yield view.finding("version", _V, key, "shred_id", "nobody whom it is about was erased by it")
    links = {link["subject_id"]: link["derived"] for link in around.links.get(key, ())}
    wrong = (expected ^ links.keys()) - (excused if view.erasing else set())
    for subject_id in sorted(wrong):
        detail = "linked, and not sealed to" if subject_id in links else "sealed to, and not linked"
        yield view.finding("version-links", "version_subjects", (subject_id, *key), "", detail)
    for subject_id in sorted(expected & links.keys()):
        if links[subject_id] != (0 if about else 1):
            detail = "its sealed head says otherwise"
            yield view.finding("version-links", "version_subjects", (subject_id, *key), "derived", detail)


# ── records, links, lineage, paths, label sets ─────────────────────────────────────────────────────
def records(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """A record shows its latest version, and has all of them."""
    table = tables.records
    counts = inspecting.version_counts(view.tx, [row["id"] for row in page])
    view.want(row["accessed_entry"] for row in page)
    last = inspecting.versions(view.tx, [(one, newest) for one, (_, newest) in counts.items()])
    for row in page:
        key = (row["id"],)
        if row["id"] not in counts:
            yield view.finding("record", table, key, "id", "it has no version")
            continue
        count, newest = counts[row["id"]]
        if count != newest:
            yield view.finding("record", table, key, "", f"it has {count} versions, the newest is {newest}")
        shown = last[row["id"], newest]
        yield from differing(
            view,
            "record",
            table,
            row,
            latest=newest,
            scope=shown["scope"],
            labels=shown["labels"],
            state=shown["state"],
            updated_at=shown["created_at"],
        )
        yield from guarded(view, "record-access", table, key, _accessed(view, row))


def _accessed(view: View, row: Row) -> Iterator[Finding]:
    """Its last access, as far as it is kept, is what the entry that it names says."""
    key, at, named = (row["id"],), row["accessed_at"], row["accessed_entry"]
    if at is None and named is None:
        return
    entry = view.entry(named)
    seen = [] if entry is None or at is None else view.accesses(entry)
    if entry is None or not any(one["record"] == row["id"] and one["action"] == "returned" for one in seen):
        yield view.finding(
            "record-access", tables.records, key, "accessed_entry", "no entry says that access"
        )
    elif not view.happened(entry, at):
        yield view.finding("record-access", tables.records, key, "accessed_at", "its entry says another time")


def links(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """A link leads from a person to a version, both of which are here."""
    table = tables.version_subjects
    there = inspecting.versions(view.tx, [(row["record_id"], row["version"]) for row in page])
    subjects = inspecting.known_ids(view.tx, tables.subjects.c.id, {row["subject_id"] for row in page})
    for row in page:
        key = (row["subject_id"], row["record_id"], row["version"])
        if (row["record_id"], row["version"]) not in there:
            yield view.finding("version-links", table, key, "record_id", "there is no such version")
        elif there[row["record_id"], row["version"]]["state"] == "deleted":
            yield view.finding("version-links", table, key, "version", "a tombstone is about nobody")
        if row["subject_id"] not in subjects:
            yield view.finding("version-links", table, key, "subject_id", "there is no such person")
        if row["derived"] not in (0, 1):
            yield view.finding("version-links", table, key, "derived", "it is 0 or 1")


def lineage(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Both ends of a line are versions that are here."""
    wanted = {row[name] for row in page for name in ("parent_id", "child_id")}
    there = inspecting.known_ids(view.tx, _V.c.id, wanted)
    for row in page:
        for column in ("parent_id", "child_id"):
            if row[column] not in there:
                key = (row["parent_id"], row["child_id"])
                yield view.finding("lineage", tables.lineage, key, column, "there is no such version")


def paths(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """What is filed is a record that is here, and each row is as it was made."""
    table = tables.record_paths
    there = inspecting.known_ids(view.tx, tables.records.c.id, {row["record_id"] for row in page})
    for row in page:
        key = (row["path_index"], row["record_id"])
        if row["record_id"] not in there:
            yield view.finding("paths", table, key, "record_id", "there is no such record")
        if view.keys is not None and row["seal"] != rowseals.of_filed(view.keys, Filed(**row)):
            yield view.finding("paths", table, key, "seal", "index or record are not as they were filed")


@each("label-set", tables.label_sets)
def label_sets(view: View, row: Row) -> Iterator[Finding]:
    """A set of labels was used by a version, and versions stay."""
    if not inspecting.in_use(view.tx, row["scope"], row["labels"]):
        key = (row["scope"], row["labels"])
        yield view.finding("label-set", tables.label_sets, key, "labels", "no version has these labels")
