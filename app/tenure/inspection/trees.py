"""A tenant's logs as trees: the same audit that strangers make, over what the database would publish.

The heads that were seen outside the database, published and mirrored, must be prefixes of it.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from tenure.errors import Malformed, Unverified
from tenure.inspection.celllog import waits_or_taken
from tenure.inspection.findings import Finding
from tenure.inspection.view import Anchors, Pass, View, viewed
from tenure.ledger.audit import AuditReport, audit_in_steps
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint
from tenure.ledger.entry import Kind, parse_entry
from tenure.ledger.keychain import FILE
from tenure.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from tenure.ledger.tile import ENTRIES, TileId, encode_bundle
from tenure.ledger.tree import tree_root
from tenure.publication import published_name
from tenure.store import inspecting, log, tables
from tenure.store.database import Database
from tenure.store.inspecting import Row
from tenure.store.session import Tx

_LOGS = tables.logs


class DatabaseSource:
    """The log of one generation as its rows would be published at a size: a source for an audit."""

    def __init__(self, database: Database, tenant_id: str, generation: int, size: int) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._generation = generation
        self._size = size

    def __call__(self, path: str) -> bytes | None:
        """What is published under a path (tlog-tiles), or None. One statement each."""
        return self._database.read(self._tenant_id, partial(self._read, path=path))

    def _read(self, tx: Tx, path: str) -> bytes | None:
        if path == FILE:
            return None  # every proven key is given to the audit as it is
        if path == "checkpoint":
            note = log.checkpoint(tx, self._generation, size=self._size)
            return None if note is None else note.encode()
        tile = TileId.parse(path)
        if tile.level == ENTRIES:
            bodies = log.bodies(tx, self._generation, tile.n * 256, tile.width)
            try:
                return encode_bundle([bytes(body) for body in bodies]) if bodies else None
            except Malformed:
                return b""
        data = log.tile(tx, self._generation, tile.level, tile.n)
        return None if data is None else bytes(data[: tile.width * HASH_SIZE])


def logs(anchors: Anchors, over: Pass) -> Iterator[list[Finding]]:
    """Every generation as a tree, a bundle at a time; the findings of each at its end."""
    for row in anchors.ground.database.read(over.tenant_id, lambda tx: inspecting.where(tx, _LOGS)):
        if row["size"]:
            yield from _audited(anchors, over, row)


def _audited(anchors: Anchors, over: Pass, row: Row) -> Iterator[list[Finding]]:
    with viewed(anchors, over) as view:
        keys = view.log_keys(row["generation"], row["origin"])
        # A longer one may have come since the row was read; whether it went back is for `heads`.
        earlier = [note for note in _outside(view, row) if _size(note) <= row["size"]]
    if not keys:
        yield []
        return
    source = DatabaseSource(anchors.ground.database, over.tenant_id, row["generation"], row["size"])
    work = audit_in_steps(source, keys, earlier=earlier)
    while True:
        try:
            next(work)
        except StopIteration as finished:
            report: AuditReport = finished.value
            break
        yield []
    with viewed(anchors, over) as view:
        # A tenant's ledger that was handed over meanwhile is no finding.
        still = inspecting.where(view.tx, _LOGS, generation=row["generation"])
        # A key that was changed just while it was looked up is none either: the next pass knows it.
        known = view.log_keys(row["generation"], row["origin"]) == keys
        yield list(_reported(view, row, report)) if still and known else []


def _reported(view: View, row: Row, report: AuditReport) -> Iterator[Finding]:
    for failure in report.failures:
        place = () if failure.index is None else (failure.index,)
        table = "tiles" if failure.check.startswith("tile") else "entries" if place else "logs"
        yield view.finding(f"audit:{failure.check}", table, (row["generation"], *place), "", failure.detail)


# ── the rows of `logs`, and the heads outside ──────────────────────────────────────────────────────
def heads(view: View) -> Iterator[Finding]:
    """Each log's row against its places, its checkpoint, its first entry, and the heads outside."""
    rows = inspecting.where(view.tx, _LOGS)
    if not rows:
        mirrored = view.anchors.ground.mirror.head(view.tenant_id)
        if inspecting.count(view.tx, tables.entries) or (
            not view.handed_over and (view.lives or mirrored is not None)
        ):
            yield view.finding("log-missing", _LOGS, (), "", "there is no log: nothing here is proven")
        return
    for row in rows:
        yield from _row(view, row)
    newest = rows[-1]
    yield from _mirrored(view, newest)
    yield from _offered(view, newest)
    yield from waits_or_taken(view, newest)
    known = {row["generation"] for row in rows}
    for name in ("places", "checkpoints", "tiles", "ledger_keys"):
        table = tables.metadata.tables[name]
        for stray in inspecting.where(view.tx, table, limit=20, but={"generation": known}):
            detail = "there is no log of this generation"
            yield view.finding("log", table, inspecting.key_of(table, stray), "generation", detail)


def _row(view: View, row: Row) -> Iterator[Finding]:
    tx, generation, key = view.tx, row["generation"], (row["generation"],)
    placed = inspecting.placed(tx, generation)
    if row["size"] != placed:
        yield view.finding("log", _LOGS, key, "size", f"its places end at {placed}")
    note = log.checkpoint(tx, generation, newest_upto=None)
    if note is None and (row["size"] or row["root"] != EMPTY_ROOT):
        yield view.finding("log", "checkpoints", key, "", "the checkpoint of its size is not here")
    if note is None and not inspecting.count(tx, tables.entries):
        yield view.finding("empty", _LOGS, key, "", "the log has no entries: it proves nothing")
    if note is not None:
        try:
            head = peek_checkpoint(note)
        except Unverified as failure:
            yield view.finding("log", "checkpoints", (*key, row["size"]), "note", failure.detail)
        else:
            for column, value in (("size", head.size), ("root", head.root), ("origin", head.origin)):
                if row[column] != value:
                    yield view.finding("log", _LOGS, key, column, "its newest checkpoint says another")
    yield from _published(view, row)
    yield from _first(view, row)
    yield from _shelved(view, row)


def _published(view: View, row: Row) -> Iterator[Finding]:
    """As far as it says it is published there is a checkpoint."""
    tx, generation, key, published = view.tx, row["generation"], (row["generation"],), row["published"]
    if not 0 <= published <= row["size"]:
        yield view.finding("log", _LOGS, key, "published", "it is not between 0 and its size")
    elif published and log.checkpoint(tx, generation, size=published) is None:
        yield view.finding("log", _LOGS, key, "published", "there is no checkpoint of this size")


def _first(view: View, row: Row) -> Iterator[Finding]:
    """The first entry opens this log; of one that has no place yet, an entry that waits does."""
    bodies = log.bodies(view.tx, row["generation"], 0, 1) or inspecting.acts(view.tx, Kind.LOG_OPEN)
    opened = set()
    for body in bodies:
        with suppress(Unverified):  # the section on entries says so
            entry = parse_entry(bytes(body))
            data: dict[str, Any] = entry.get("data", {})
            if entry["kind"] == Kind.LOG_OPEN:
                opened.add((data.get("origin"), data.get("generation")))
    if (row["origin"], row["generation"]) not in opened:
        detail = "its first entry opens another log"
        yield view.finding("log", _LOGS, (row["generation"],), "origin", detail)


def _shelved(view: View, row: Row) -> Iterator[Finding]:
    """The published checkpoint: no newer than the log, no older than the log says it is."""
    name = f"{published_name(view.tenant_id, row['generation'])}/checkpoint"
    there = view.anchors.ground.objects.get(name)
    key = (row["generation"],)
    if there is None:
        if row["published"]:
            detail = "nothing is published, and the log says that something is"
            yield view.finding("published", _LOGS, key, "published", detail)
        return
    try:
        head = peek_checkpoint(there.decode("utf-8", "replace"))
    except Unverified as failure:
        yield view.finding("published", "objects", key, "checkpoint", failure.detail)
        return
    ended = _ended(view, row)
    if ended is not None and row["published"] <= head.size and _said_lost(ended, row, head):
        return
    yield from _prefix(view, row, "published", head.size, head.root)
    if head.size != row["published"] and head.size <= row["size"]:
        detail = f"the published checkpoint has {head.size} entries"
        yield view.finding("published", _LOGS, key, "published", detail)


def _ended(view: View, row: Row) -> dict[str, Any] | None:
    """What the first entry of the next generation says of this one; None of the newest."""
    for body in log.bodies(view.tx, row["generation"] + 1, 0, 1):
        with suppress(Unverified):  # the section on entries says so
            entry = parse_entry(bytes(body))
            if entry["kind"] == Kind.LOG_OPEN:
                return dict(entry.get("data", {}))
    return None


def _said_lost(data: dict[str, Any], row: Row, head: Checkpoint) -> bool:
    """Whether the log itself names this head as the end of a generation that was not continued."""
    named = (data.get("previous_origin"), data.get("previous_size"), data.get("previous_root"))
    return named == (row["origin"], head.size, head.root.hex())


def _mirrored(view: View, newest: Row) -> Iterator[Finding]:
    """The mirrored head is one that the newest generation extends."""
    head = view.anchors.ground.mirror.head(view.tenant_id)
    key = (newest["generation"],)
    if head is None:
        if newest["published"]:
            detail = "the mirror does not know its head"
            yield view.finding("mirrored", "mirror", key, "head", detail)
        return
    if int(head["generation"]) > newest["generation"]:
        detail = "rollback: the mirror knows a newer generation"
        yield view.finding("mirrored", _LOGS, key, "generation", detail)
    elif int(head["generation"]) == newest["generation"]:
        yield from _prefix(view, newest, "mirrored", int(head["size"]), bytes.fromhex(head["root"]))
        if int(head["size"]) < newest["published"]:
            yield view.finding("mirrored", _LOGS, key, "published", "the mirrored head has fewer entries")


def _offered(view: View, newest: Row) -> Iterator[Finding]:
    """A head that was shown to witnesses is a part of the log, whether or not it was published since."""
    head = view.anchors.ground.mirror.offered(view.tenant_id)
    if head is None or int(head["generation"]) < newest["generation"]:
        return
    if int(head["generation"]) > newest["generation"]:
        detail = "rollback: witnesses were shown a newer generation"
        yield view.finding("offered", _LOGS, (newest["generation"],), "generation", detail)
        return
    yield from _prefix(view, newest, "offered", int(head["size"]), bytes.fromhex(head["root"]))


def _prefix(view: View, row: Row, check: str, size: int, root: bytes) -> Iterator[Finding]:
    key = (row["generation"],)
    if size > row["size"]:
        detail = f"rollback: {check} is a head of {size} entries"
        yield view.finding(check, _LOGS, key, "size", detail)
        return
    generation = row["generation"]
    made = tree_root(size, lambda level, n: log.tile(view.tx, generation, level, n) or b"") if size else root
    if made != root:
        yield view.finding(check, _LOGS, key, "root", f"fork: the {check} head of {size} entries differs")


def _outside(view: View, row: Row) -> Iterator[str]:
    """Checkpoints of this log that lie outside the database."""
    there = view.anchors.ground.objects.get(f"{published_name(view.tenant_id, row['generation'])}/checkpoint")
    if there is not None:
        yield there.decode("utf-8", "replace")
    head = view.anchors.ground.mirror.head(view.tenant_id)
    if head is not None and int(head["generation"]) == row["generation"]:
        yield str(head["checkpoint"])


def _size(note: str) -> int:
    """What a checkpoint says of its size; 0 for what is none, so that the audit says so."""
    try:
        return peek_checkpoint(note).size
    except Unverified:
        return 0
