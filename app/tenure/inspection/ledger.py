"""The ledger's rows: each against the entry's own bytes, and against the rows around it.

That the entries' bytes make the signed trees is for `inspection.trees`. Here: what lies beside the bytes,
where entries stand, which writers have what, and which rows must be there because an entry says so.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from tenure import ids
from tenure.errors import Unverified
from tenure.inspection.celllog import rounds
from tenure.inspection.findings import Finding
from tenure.inspection.logkeys import Chain, published_changes
from tenure.inspection.rights import noted_step
from tenure.inspection.subjectlimits import named
from tenure.inspection.view import SKEW_US, View, asked_for, differing, each, guarded
from tenure.ledger.canonical import parse_canonical
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.entry import Kind, parse_entry
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.tile import WIDTH
from tenure.ledger.tree import tree_root
from tenure.store import inspecting, log, tables
from tenure.store.inspecting import Row, Span


# ── entries ────────────────────────────────────────────────────────────────────────────────────────
def entries(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Columns, numbers without gaps, a place for each, and what each entry says exists."""
    table = tables.entries
    read: list[tuple[Row, dict[str, Any]]] = []
    for row in page:
        try:
            entry = parse_entry(bytes(row["body"]))
        except Unverified as failure:
            yield view.finding("entry", table, (row["writer"], row["n"]), "body", failure.detail)
            continue
        read.append((row, entry))
        yield from differing(
            view,
            "entry",
            table,
            row,
            writer=entry["writer"],
            n=entry["n"],
            kind=entry["kind"],
            at=ids.parse_rfc3339(entry["at"]),
            principal_id=entry.get("principal"),
            decision_id=entry.get("decision"),
            breakglass_id=entry.get("data", {}).get("breakglass"),
        )
    yield from _gaps(view, page)
    yield from _placed(view, page)
    yield from _keys_named(view, read)
    yield from rounds(view, page)
    yield from _named(view, read)


def _gaps(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Rows come by writer and number: the one before each must be there."""
    here = {(row["writer"], row["n"]) for row in page}
    before = {(writer, n - 1) for writer, n in here if n} - here
    there = inspecting.entries(view.tx, before)
    for writer, n in sorted(before - there.keys()):
        yield view.finding("entry-gap", tables.entries, (writer, n), "", "this writer's entry is not here")


def _placed(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    numbers: dict[str, list[int]] = {}
    for row in page:
        numbers.setdefault(row["writer"], []).append(row["n"])
    runs = inspecting.runs(view.tx, {one: (min(have), max(have)) for one, have in numbers.items()})
    marks = {
        row["writer"]: row["next"] for row in inspecting.where(view.tx, tables.writers, writer=set(numbers))
    }
    spans = inspecting.spans(view.tx, numbers.keys())
    opened = _reopened(view)
    for row in page:
        writer, n = row["writer"], row["n"]
        key = (writer, n)
        over = [run for run in runs if run["writer"] == writer and run["n"] <= n < run["n"] + run["count"]]
        if len(over) > 1:
            yield view.finding("entry-place", "places", key, "", "this entry stands in the log twice")
        if not over and not _waits(row, marks.get(writer), opened):
            yield view.finding("entry-place", "places", key, "", "this entry has no place and never gets one")
        span = spans.get(writer)
        open_ = span is not None and n == span.last and row["kind"] != Kind.WRITER_END
        if open_ and writer not in marks and not _ended_before(row, opened):
            detail = "this writer has not ended, and its mark is not here"
            yield view.finding("writer", "writers", (writer,), "", detail)


def _keys_named(view: View, read: Sequence[tuple[Row, dict[str, Any]]]) -> Iterator[Finding]:
    """A key that an entry puts in force is on record at its place."""
    keys = tables.ledger_keys
    for row, entry in read:
        if entry["kind"] != Kind.KEY_ROTATE or "public" not in entry.get("data", {}):
            continue
        placed = log.entry(view.tx, row["writer"], row["n"])
        if placed is None or placed.idx is None:
            continue
        at = (placed.generation, placed.idx)
        if not inspecting.where(view.tx, keys, generation=at[0], idx=at[1]):
            detail = "the log changed its key here, and the new one is not on record"
            yield view.finding("ledger-key", keys, at, "", detail)


def _waits(row: Row, mark: int | None, opened: int | None) -> bool:
    """Whether an entry without a place will get one, or was left behind by a generation that ended."""
    return (mark is not None and row["n"] >= mark) or _ended_before(row, opened)


def _ended_before(row: Row, opened: int | None) -> bool:
    """Whether it is of a generation that ended: writers end with it, and are forgotten without a word."""
    return opened is not None and bool(row["at"] <= opened)


def _reopened(view: View) -> int | None:
    """When the newest generation began, if there was one before: what waited then has no place."""
    newest = log.newest(view.tx)
    if newest is None or newest.generation == 1:
        return None
    bodies = log.bodies(view.tx, newest.generation, 0, 1)
    if not bodies:
        return ids.now()  # not sequenced yet: whatever waits was left behind
    try:
        return ids.parse_rfc3339(parse_entry(bodies[0])["at"])
    except Unverified:
        return None


def _named(view: View, read: Sequence[tuple[Row, dict[str, Any]]]) -> Iterator[Finding]:
    """What entries say was made must be there; what they commit to must be kept."""
    known = [one for row, entry in read for one in _makes(view, row, entry)]
    for table, column in sorted({(table, column) for table, column, _, _ in known}):
        wanted = {value: key for name, _, key, value in known if name == table}
        there = inspecting.known_ids(view.tx, tables.metadata.tables[table].c[column], wanted.keys())
        for value in sorted(wanted.keys() - there, key=str):
            detail = f"entry {wanted[value]} names it, and it is not here"
            if table == "certificates" and _awaited(view, value):
                continue
            yield view.finding(f"{table}-missing", table, (value,), "", detail)
    yield from _written(view, read)


def _makes(view: View, row: Row, entry: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """(table, column, entry, value) of each row that must be there because this entry says so."""
    key = f"{row['writer']}-{row['n']}"
    if (asked := asked_for(entry)) is not None and view.lives:
        view.over.asked[asked] = key
    named(view, entry, key)
    if view.is_put_back(row["writer"], row["n"]):
        return  # what it made is gone with a lost database
    if (digest := entry.get("accesses_sha256")) is not None:
        yield "access_lists", "digest", key, digest
    if view.lives:
        yield from _makes_alive(view, key, entry, asked)


def _makes_alive(
    view: View, key: str, entry: dict[str, Any], asked: str | None
) -> Iterator[tuple[str, str, str, Any]]:
    """The same of what goes with a tenant that leaves."""
    if entry["kind"] == Kind.DECISION_OPEN:
        yield "decisions", "id", key, entry.get("decision")
    if asked is not None:
        yield "holds" if entry["kind"] == Kind.HOLD_PLACE else "shreds", "id", key, asked
    if (entry["kind"], entry["outcome"]) == (Kind.SUBJECT_LIMIT, "set"):
        yield "subject_limits", "id", key, entry["data"]["limit"]
    if entry["kind"] == Kind.POLICY_CHANGE and "generation" in entry.get("data", {}):
        yield "configurations", "generation", key, entry["data"]["generation"]
    if (request := noted_step(view, entry)) is not None:
        yield "rights_requests", "id", key, request
    if (elevation := entry.get("data", {}).get("breakglass")) is not None:
        yield "breakglass", "id", key, elevation
    if entry["kind"] == Kind.PURGE and not view.erasing:
        yield "certificates", "id", key, entry.get("data", {}).get("certificate")


def _awaited(view: View, certificate_id: str) -> bool:
    """Whether an erasure that is done waits for a search before this certificate is signed."""
    table = tables.shreds
    waiting = inspecting.where(view.tx, table, state="awaiting-scan")
    return any(certificate_id in row["findings"] for row in waiting)


def _written(view: View, read: Sequence[tuple[Row, dict[str, Any]]]) -> Iterator[Finding]:
    """Every version that an entry says was written or deleted has its row."""
    if not view.lives:
        return
    written: dict[tuple[str, int], str] = {}
    for row, entry in read:
        if entry["kind"] not in (Kind.WRITE, Kind.DELETE) or entry["outcome"] != "ok":
            continue
        key = (row["writer"], row["n"])
        if view.is_put_back(*key):
            continue  # the version may be gone, and its number given again since
        try:
            accesses = view.accesses(entry)
        except Unverified as failure:
            yield view.finding("access-list", "access_lists", key, "body", failure.detail)
            continue
        for access in accesses:
            written[access["record"], access["version"]] = f"{row['writer']}-{row['n']}"
    there = inspecting.versions(view.tx, written.keys())
    for place, name in written.items():
        found = there.get(place)
        if found is None:
            yield view.finding("versions-missing", "versions", place, "", f"entry {name} wrote it")
        elif found["entry"] != name:
            yield view.finding("version-entry", "versions", place, "entry", f"entry {name} wrote it")


# ── places, writers ────────────────────────────────────────────────────────────────────────────────
def places(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Runs follow each other without a gap, from 0, each of entries that are here."""
    before = inspecting.run_before(view.tx, page[0]["generation"], page[0]["idx"])
    sizes = {row["generation"]: row["size"] for row in inspecting.where(view.tx, tables.logs)}
    for row in page:
        generation, idx = row["generation"], row["idx"]
        same = before is not None and before["generation"] == generation
        due = before["idx"] + before["count"] if before is not None and same else 0
        if idx != due:
            detail = f"the run before it ends at {due}"
            yield view.finding("place", tables.places, (generation, idx), "idx", detail)
        if row["count"] < 1 or row["n"] < 0:
            yield view.finding("place", tables.places, (generation, idx), "count", "a run has entries")
        if idx + row["count"] > sizes.get(generation, 0):
            detail = "it runs beyond the signed size of its log"
            yield view.finding("place", tables.places, (generation, idx), "count", detail)
        before = row
    # What is missing inside a run is a gap in its writer's numbers.
    ends = {(row["writer"], row["n"] + at) for row in page for at in (0, max(row["count"], 1) - 1)}
    for key in sorted(ends - inspecting.entries(view.tx, ends).keys()):
        yield view.finding("entry-missing", tables.entries, key, "", "it has a place, and is not here")


def writers(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """A writer's mark is where its places end, unless what waited was left behind by a new generation."""
    spans = inspecting.spans(view.tx, [row["writer"] for row in page])
    opened = _reopened(view)
    for row in page:
        key = (row["writer"],)
        span = spans.get(row["writer"])
        if span is None:
            yield view.finding("writer", tables.writers, key, "writer", "it has no entry")
        elif span.kind == Kind.WRITER_END and span.placed > span.last:
            yield view.finding("writer", tables.writers, key, "", "it has ended, and its end has its place")
        elif row["next"] != span.placed and not _left(view, row, span, opened):
            yield view.finding("writer", tables.writers, key, "next", f"its places end at {span.placed}")


def _left(view: View, row: Row, span: Span, opened: int | None) -> bool:
    """Whether everything behind its places was left by a generation that ended."""
    if opened is None or row["next"] != span.last + 1:
        return False
    last = inspecting.entries(view.tx, [(row["writer"], span.last)])
    return all(one["at"] <= opened for one in last.values())


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────
def ledger_keys(view: View) -> Iterator[Finding]:
    """Every key on record is proven, and its change published as far as the log is."""
    table = tables.ledger_keys
    logs = {row["generation"]: row for row in inspecting.where(view.tx, tables.logs)}
    rows: dict[int, list[Row]] = {}
    for row in inspecting.where(view.tx, table):
        rows.setdefault(row["generation"], []).append(row)
    for generation, mine in rows.items():
        if generation not in logs:
            detail = "there is no log of this generation"
            yield view.finding("ledger-key", table, (generation, mine[0]["idx"]), "generation", detail)
            continue
        proven = view.chains[generation]
        if (broken := proven.broken) is not None:
            yield view.finding("ledger-key", table, (generation, broken.idx), broken.column, broken.why)
            continue
        upto = logs[generation]["published"]
        changes = {(row["idx"], row["size"]) for row in mine if 0 < row["size"] <= upto}
        if changes:
            yield from _changes_shown(view, generation, proven, changes)


def _changes_shown(
    view: View, generation: int, proven: Chain, changes: set[tuple[int, int]]
) -> Iterator[Finding]:
    try:
        shown = published_changes(view.rotations(generation), proven)
    except Unverified as failure:
        yield view.finding("ledger-key", "objects", (generation,), "rotations", failure.detail)
        return
    for idx, _ in sorted(changes - shown):
        detail = "the published proofs do not show this change of the key"
        yield view.finding("ledger-key", "objects", (generation, idx), "rotations", detail)


# ── access lists, checkpoints, tiles, policy bundles ───────────────────────────────────────────────
@each("access-list", tables.access_lists)
def access_lists(view: View, row: Row) -> Iterator[Finding]:
    """A list is the one of its digest."""
    body = bytes(row["body"])
    if sha256(body).hexdigest() != row["digest"]:
        yield view.finding(
            "access-list", tables.access_lists, (row["digest"],), "body", "it has another digest"
        )
    parse_canonical(body)


@each("policy-bundle", tables.policy_bundles)
def policy_bundles(view: View, row: Row) -> Iterator[Finding]:
    """A bundle is the one of its digest."""
    if "sha256:" + sha256(bytes(row["body"])).hexdigest() != row["digest"]:
        yield view.finding(
            "policy-bundle", tables.policy_bundles, (row["digest"],), "body", "it has another digest"
        )


def checkpoints(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each kept checkpoint is signed and says what the tiles make at its size."""
    table = tables.checkpoints
    logs = {row["generation"]: row for row in inspecting.where(view.tx, tables.logs)}
    for row in page:
        key = (row["generation"], row["size"])
        current = logs.get(row["generation"])
        if current is None or row["size"] > current["size"]:
            yield view.finding("checkpoint", table, key, "size", "the log has not so many entries")
            continue
        yield from guarded(view, "checkpoint", table, key, _checkpoint(view, row, current["origin"]))


def _checkpoint(view: View, row: Row, origin: str) -> Iterator[Finding]:
    """Signed by the key that was in force at its size: one that was replaced signs nothing after that."""
    table, key = tables.checkpoints, (row["generation"], row["size"])
    yield from _instant(view, row)
    verifier = view.chains[row["generation"]].at(row["size"])
    if verifier is None:
        return  # no key is proven, which the section on those says; or nothing is left to prove one with
    try:
        signed = open_checkpoint(row["note"], [verifier]).checkpoint
    except Unverified as failure:
        yield view.finding("checkpoint", table, key, "note", f"{failure.check}: {failure.detail}")
        return
    if (signed.size, signed.origin) != (row["size"], origin):
        yield view.finding("checkpoint", table, key, "note", "it is of another size or log")
    elif tree_root(row["size"], _tiles(view, row["generation"])) != signed.root:
        yield view.finding("checkpoint", table, key, "note", "fork: the tiles make another root at its size")


def _instant(view: View, row: Row) -> Iterator[Finding]:
    """A checkpoint came after the last entry that it covers, by clocks that may differ."""
    bodies = log.bodies(view.tx, row["generation"], row["size"] - 1, 1)
    last = ids.parse_rfc3339(parse_entry(bodies[0])["at"]) if bodies else row["at"]
    if not last - SKEW_US <= row["at"] <= ids.now() + SKEW_US:
        key = (row["generation"], row["size"])
        yield view.finding("checkpoint", tables.checkpoints, key, "at", "it is far from its entries' time")


def _tiles(view: View, generation: int) -> Callable[[int, int], bytes]:
    return lambda level, n: log.tile(view.tx, generation, level, n) or b""


def tiles(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Only tiles that the log's size makes, each of its width. Their hashes are for `inspection.trees`."""
    sizes = {row["generation"]: row["size"] for row in inspecting.where(view.tx, tables.logs)}
    for row in page:
        key = (row["generation"], row["level"], row["n"])
        hashes = (sizes.get(row["generation"], 0) >> (8 * row["level"])) if 0 <= row["level"] < WIDTH else 0
        width = max(0, min(WIDTH, hashes - row["n"] * WIDTH)) if row["n"] >= 0 else 0
        if not width:
            yield view.finding("tile", tables.tiles, key, "n", "the log has no such tile")
        elif len(row["data"]) != width * HASH_SIZE:
            yield view.finding("tile", tables.tiles, key, "data", f"it has not its {width} hashes")
