"""The cell's log: tenants' checkpoints on their way into it, what opens them there, and its time stamps.

All of these rows are the cell's. What they say of a tenant is compared with that tenant's own log.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from tenure.errors import Invalid, TenureError, Unverified
from tenure.ids import CELL
from tenure.inspection.findings import Finding
from tenure.inspection.view import SKEW_US, View, each, guarded
from tenure.ledger.cellproof import DATA, SALT_BYTES, commit
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint
from tenure.ledger.entry import Kind
from tenure.ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from tenure.ledger.timestamp import read_stamp, stamped_at
from tenure.ledger.tree import tree_root
from tenure.publication import published_name
from tenure.store import inspecting, log, tables
from tenure.store.inspecting import Row
from tenure.store.session import Tx

_QUEUE, _TAKEN, _STAMPS = tables.cell_queue, tables.cell_checkpoints, tables.timestamps


class Theirs(NamedTuple):
    """A tenant's log of one generation: its row, and the checkpoint that its tiles make at a size."""

    log: Row | None
    checkpoint: Checkpoint | None
    kept: bool
    """Whether that very checkpoint is kept, signed: receipts show it."""


# ── the queue ──────────────────────────────────────────────────────────────────────────────────────
@each("cell-queue", _QUEUE)
def queue(view: View, row: Row) -> Iterator[Finding]:
    """What waits for the cell's log is a published checkpoint of the tenant that it names."""
    key = (row["id"],)
    if view.tenant_id != CELL:
        yield view.finding("cell-queue", _QUEUE, key, "tenant_id", "it is not the cell's")
        return
    [theirs] = _theirs(view, row["id"], [row])
    if theirs.log is None:
        if not _left(view, row["id"]):
            yield view.finding("cell-queue", _QUEUE, key, "id", "there is no such log")
        return
    made = theirs.checkpoint
    if row["origin"] != theirs.log["origin"]:
        yield view.finding("cell-queue", _QUEUE, key, "origin", "it is of another log")
    if not 0 < row["size"] <= theirs.log["published"]:
        yield view.finding("cell-queue", _QUEUE, key, "size", "a checkpoint of this size is not published")
    elif made is None or bytes(row["root"]) != made.root:
        yield view.finding("cell-queue", _QUEUE, key, "root", "the log has another root at this size")


# ── what was taken in ──────────────────────────────────────────────────────────────────────────────
def taken(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Salt, place and path open the tenant's checkpoint in the entry of its round."""
    if view.tenant_id != CELL:
        for row in page:
            key = inspecting.key_of(_TAKEN, row)
            yield view.finding("cell-checkpoint", _TAKEN, key, "tenant_id", "it is not the cell's")
        return
    view.want(f"{row['writer']}-{row['n']}" for row in page)
    for tenant_id, rows in groupby(page, key=itemgetter("id")):
        mine = list(rows)
        for row, theirs in zip(mine, _theirs(view, tenant_id, mine), strict=True):
            key = inspecting.key_of(_TAKEN, row)
            yield from guarded(view, "cell-checkpoint", _TAKEN, key, _taken(view, row, theirs))


def _taken(view: View, row: Row, theirs: Theirs) -> Iterator[Finding]:
    key = inspecting.key_of(_TAKEN, row)
    root = _round(view.entry(f"{row['writer']}-{row['n']}"))
    path, salt = bytes(row["path"]), bytes(row["salt"])
    if root is None:
        yield view.finding("cell-checkpoint", _TAKEN, key, "n", "there is no such round of the cell's log")
    elif len(salt) != SALT_BYTES or len(path) % HASH_SIZE:
        yield view.finding("cell-checkpoint", _TAKEN, key, "salt", "it (or the path) has not its length")
    elif theirs.log is None:
        if not _left(view, row["id"]):
            yield view.finding("cell-checkpoint", _TAKEN, key, "id", "there is no such log")
    elif not 0 < row["size"] <= theirs.log["published"] or theirs.checkpoint is None:
        yield view.finding("cell-checkpoint", _TAKEN, key, "size", "no checkpoint of this size was published")
    else:
        hashes = [path[at : at + HASH_SIZE] for at in range(0, len(path), HASH_SIZE)]
        leaf = leaf_hash(commit(salt, theirs.checkpoint))
        if not verify_inclusion(leaf, row["place"], 1 << len(hashes), hashes, root):
            detail = "it does not open the checkpoint in the round that it names"
            yield view.finding("cell-checkpoint", _TAKEN, key, "", detail)
        elif not theirs.kept:
            detail = "it was taken into the cell's log, and is not kept"
            yield Finding("cell-checkpoint", row["id"], "checkpoints", f"{key[1]}/{key[2]}", "", detail)


def rounds(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Of a page of the cell's entries: every round has what opens it, at places from 0 on.

    A round that came back into a restored database may lack all of that; never a part of it.
    """
    held = [row for row in page if row["kind"] == Kind.TENANT_CHECKPOINT]
    if view.tenant_id != CELL or not held:
        return
    writers, numbers = {row["writer"] for row in held}, {row["n"] for row in held}
    found: dict[inspecting.EntryId, list[Row]] = {}
    for row in inspecting.where(view.tx, _TAKEN, writer=writers, n=numbers):
        found.setdefault((row["writer"], row["n"]), []).append(row)
    for entry in held:
        key = (entry["writer"], entry["n"])
        mine = found.get(key, [])
        if mine or not view.is_put_back(*key):
            yield from _whole(view, key, mine)


def _whole(view: View, key: inspecting.EntryId, mine: Sequence[Row]) -> Iterator[Finding]:
    heights = {len(row["path"]) // HASH_SIZE for row in mine}
    if sorted(row["place"] for row in mine) != list(range(len(mine))) or not is_whole(len(mine), heights):
        detail = "what opens this round of the cell's log is not whole"
        yield view.finding("cell-round", _TAKEN, key, "", detail)


def is_whole(count: int, heights: Collection[int]) -> bool:
    """Whether so many openings can be all of a round whose paths have these lengths.

    A tree of some height was made for more than half of its places. Where one less would do as well, nobody
    can tell that the last one is gone.
    """
    return len(heights) == 1 and count > (1 << max(heights)) // 2


def waits_or_taken(view: View, newest: Row) -> Iterator[Finding]:
    """A tenant's published checkpoint, or a newer one, is in the cell's log or on its way there.

    Not asked of a log of which nothing ever was: it may be of before there was a cell's log. Nor of a
    database that was put back: what was published meanwhile is not queued again.
    """
    if view.tenant_id == CELL or not newest["published"] or not view.lives or view.restored:
        return
    cell = view.anchors.ground.database.read(CELL, partial(_standing, tenant_id=view.tenant_id))
    waits, taken_ = cell
    at = (newest["generation"], newest["published"])
    if taken_ and max([*waits, *taken_]) < at:
        detail = "its published checkpoint is neither in the cell's log nor on its way there"
        yield view.finding("cell-queue", _QUEUE, (view.tenant_id,), "", detail)


def _standing(tx: Tx, tenant_id: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(generation, size) of what waits, asked first, and of the newest that were taken."""
    return (
        [(row["generation"], row["size"]) for row in inspecting.where(tx, _QUEUE, id=tenant_id)],
        inspecting.newest_taken(tx, tenant_id),
    )


def _round(entry: dict[str, Any] | None) -> bytes | None:
    """The batch's root of a round's entry; None when it is none."""
    if entry is None or entry["kind"] != Kind.TENANT_CHECKPOINT:
        return None
    return bytes.fromhex(entry["data"][DATA])


# ── time stamps ────────────────────────────────────────────────────────────────────────────────────
@each("time-stamp", _STAMPS)
def stamps(view: View, row: Row) -> Iterator[Finding]:
    """The response is over the checkpoint of its size, by an authority that is believed if one is named."""
    key = (row["generation"], row["size"])
    theirs = _of_log(view.tx, row["generation"], row["size"])
    if theirs.checkpoint is None or theirs.log is None or not 0 < row["size"] <= theirs.log["published"]:
        yield view.finding("time-stamp", _STAMPS, key, "size", "no checkpoint of this size was published")
        return
    response = bytes(row["response"])
    at: int | None = None
    try:
        at = read_stamp(response, theirs.checkpoint.body)
        if view.anchors.authorities:
            stamped_at(response, [theirs.checkpoint.body], view.anchors.authorities)
    except Invalid:
        pass  # the library is not installed here: only the published copy is compared
    except Unverified as failure:
        yield view.finding("time-stamp", _STAMPS, key, "response", failure.detail)
        return
    if at is not None and not abs(row["at"] - at) <= SKEW_US:
        yield view.finding("time-stamp", _STAMPS, key, "at", "it is far from the time in the response")
    shown = view.anchors.ground.objects.get(f"{_stamps_name(view, row['generation'])}/{row['size']}.tsr")
    if shown is not None and shown != response:
        yield view.finding("time-stamp", _STAMPS, key, "response", "another response was published")


def stamps_shown(view: View) -> Iterator[Finding]:
    """Every published time stamp is on record. A database that was put back may lack some."""
    if view.restored:
        return
    for row in inspecting.where(view.tx, tables.logs):
        generation = row["generation"]
        mine = inspecting.where(view.tx, _STAMPS, generation=generation)
        known = {one["size"] for one in mine}
        for name in view.anchors.ground.objects.names(_stamps_name(view, generation)):
            size = name.rpartition("/")[2].removesuffix(".tsr")
            if name.endswith(".tsr") and size.isdecimal() and int(size) not in known:
                detail = "a time stamp was published, and is not here"
                yield view.finding("time-stamp", _STAMPS, (generation, int(size)), "", detail)


def _stamps_name(view: View, generation: int) -> str:
    return f"{published_name(view.tenant_id, generation)}/timestamps"


# ── a tenant's own log ─────────────────────────────────────────────────────────────────────────────
def _theirs(view: View, tenant_id: str, rows: Sequence[Row]) -> list[Theirs]:
    """What rows of the cell's are about, from the tenant's own rows, in one transaction."""

    def look(tx: Tx) -> list[Theirs]:
        return [_of_log(tx, row["generation"], row["size"]) for row in rows]

    return view.anchors.ground.database.read(tenant_id, look)


def _of_log(tx: Tx, generation: int, size: int) -> Theirs:
    rows = inspecting.where(tx, tables.logs, generation=generation)
    if not rows or not 0 < size <= rows[0]["size"]:
        return Theirs(rows[0] if rows else None, None, kept=False)
    try:
        root = tree_root(size, lambda level, n: log.tile(tx, generation, level, n) or b"")
    except TenureError:
        return Theirs(rows[0], None, kept=False)  # a tile is missing, which its own section says
    made = Checkpoint(rows[0]["origin"], size, root)
    note = log.checkpoint(tx, generation, size=size)
    try:
        kept = note is not None and peek_checkpoint(note) == made
    except Unverified:
        kept = False
    return Theirs(rows[0], made, kept)


def _left(view: View, tenant_id: str) -> bool:
    """Whether there was such a tenant, that left and took its ledger along."""
    table = tables.shreds
    return bool(inspecting.where(view.tx, table, limit=1, kind="tenant", target_id=tenant_id))
