"""A database that went back is brought up to its log's published head, from the published entries.

    1 heads      what somebody may have seen of this log: mirrored, offered to witnesses, in the object tier
    2 lock       one transaction under the log's lock; until its commit nothing has changed
    3 continue   the database's own tree, which must make its own root
    4 read       every published entry behind it, raw; each is hashed again
    5 judge      they must make the root that the tenant's ledger key signed, else nothing of it is kept
    6 put back   entries, places, writers' marks, tiles and checkpoints; the log has its published size again
    7 say so     a `restore` entry, which the sequencer places next, under the same origin
    8 commit     a crash before it leaves the database as it was: all of it again

Entries that the restored copy had committed and that stand in the published log get their place from it and
no other. What was committed after the copy and never published is lost with the database: no entry shows it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import structlog

from tenure import ids
from tenure.errors import Invalid, KeyFailure, Malformed, Tampered, Unverified
from tenure.governance.ground import Ground
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint
from tenure.ledger.entry import EntryDraft, Kind, parse_entry
from tenure.ledger.keychain import FILE, Step, follow
from tenure.ledger.note import Verifier
from tenure.ledger.tail import Growing, entries_from
from tenure.ledger.tree import tree_root
from tenure.publication import Shelf, archived
from tenure.store import ledgerkeys, log, sequencing
from tenure.store.log import Log, Returned
from tenure.store.session import Tx, Writers

_FLUSH = 4096
"""Entries that are held in memory before they are sent."""

_log = structlog.get_logger(__name__)


class Head(NamedTuple):
    """A signed head that somebody may have seen. They sort by age."""

    generation: int
    origin: str
    size: int
    root: bytes
    note: str


class Brought(NamedTuple):
    """A log that was brought up to its published head: how many entries it had forgotten."""

    tenant_id: str
    generation: int
    entries: int


# ── heads ──────────────────────────────────────────────────────────────────────────────────────────
def known_heads(ground: Ground, tenant_id: str, current: Log | None) -> list[Head]:
    """Step 1: the heads that somebody may have seen, oldest first. Three objects are read.

    What the mirror says counts whoever signed it: it ends a log, and brings up nothing by itself. Of the
    object tier, which others can write to, only a checkpoint counts that the log's own key signed.
    """
    remembered = (ground.mirror.head(tenant_id), ground.mirror.offered(tenant_id))
    found = {
        Head(
            int(one["generation"]),
            str(one["origin"]),
            int(one["size"]),
            bytes.fromhex(one["root"]),
            str(one["checkpoint"]),
        )
        for one in remembered
        if one is not None
    }
    if current is not None and (shown := _shown(ground, tenant_id, current)) is not None:
        found.add(shown)
    return sorted(found)


def _shown(ground: Ground, tenant_id: str, current: Log) -> Head | None:
    try:
        shelf = _shelf(ground, tenant_id, current)
    except KeyFailure:
        return None  # whether the keys open is not asked here
    raw = shelf.get("checkpoint")
    signed = shelf.signed(raw) if raw is not None else None
    if raw is None or signed is None:
        return None
    return Head(current.generation, current.origin, signed.size, signed.root, raw.decode())


def _shelf(ground: Ground, tenant_id: str, current: Log) -> Shelf:
    vkey = ground.keyring.signer(tenant_id, current.origin).vkey
    named = ground.database.read(tenant_id, partial(ledgerkeys.vkeys, generation=current.generation))
    earlier = tuple(one for one in named if one != vkey)
    return Shelf(ground.objects, ground.mirror, tenant_id, current.generation, vkey, earlier)


def names_lost_key(ground: Ground, tenant_id: str) -> bool:
    """Whether the log names a key that the live state has not: it was changed after the backup.

    Under that key the log cannot go on. It is brought up to the published change, or it ends, even where the
    change was never published: nobody could follow from its old key to the present one.
    """

    def named(tx: Tx) -> tuple[Log | None, str | None]:
        current = log.newest(tx)
        return current, ledgerkeys.newest(tx, current.generation) if current else None

    current, vkey = ground.database.read(tenant_id, named)
    try:
        return current is not None and vkey not in (
            None,
            ground.keyring.signer(tenant_id, current.origin).vkey,
        )
    except KeyFailure:
        return False  # whether the keys open is not asked here


def is_behind(ground: Ground, tenant_id: str) -> bool:
    """Whether a published head is not a part of this database's log, or the log names a key that is gone.

    What is published is read before what is in the database: another process of the cell may go on meanwhile.
    """
    heads = known_heads(ground, tenant_id, ground.database.read(tenant_id, log.newest))
    if names_lost_key(ground, tenant_id):
        return True

    def check(tx: Tx) -> bool:
        current = log.newest(tx)
        return any(
            current is None
            or current.generation < head.generation
            or (current.generation == head.generation and not _contains(tx, current, head.size, head.root))
            for head in heads
        )

    return ground.database.read(tenant_id, check)


def _contains(tx: Tx, current: Log, size: int, root: bytes) -> bool:
    """Whether the first `size` entries of this log make `root`. One round trip, and some more if not."""
    if current.size < size:
        return False
    note = log.checkpoint(tx, current.generation, size=size)
    if note is not None and _root(note) == root:
        return True  # whether the tiles are intact is another question
    try:
        made = tree_root(size, lambda level, n: log.tile(tx, current.generation, level, n) or b"")
    except Invalid:
        return False
    return made == root


def _root(note: str) -> bytes | None:
    try:
        return peek_checkpoint(note).root
    except Unverified:
        return None


# ── bringing up ────────────────────────────────────────────────────────────────────────────────────
def bring_up(ground: Ground, tenant_id: str) -> Brought | None:
    """Steps 1 to 8 of a log that is behind; None when what is published does not reach or does not fit.

    Unavailable when the object tier cannot be read: a log is not ended for that.
    """
    current = ground.database.read(tenant_id, log.newest)
    heads = known_heads(ground, tenant_id, current)
    if current is None or not heads or heads[-1].generation != current.generation:
        return None
    try:
        return ground.database.write(tenant_id, partial(_put_back, ground=ground, heads=heads))
    except (Unverified, Tampered, Malformed) as failure:
        size, reason = heads[-1].size, failure.rule
        _log.warning(
            "a log cannot be brought up to its published head", tenant=tenant_id, size=size, reason=reason
        )
    return None


def _put_back(tx: Tx, ground: Ground, heads: list[Head]) -> Brought:
    """Steps 2 to 7, to the newest of the heads. Unverified or Tampered when something does not fit."""
    sequencing.wait_for_turn(tx)
    old, head = log.newest(tx), heads[-1]
    if old is None or (old.generation, old.origin) != (head.generation, head.origin):
        raise Unverified("origin-mismatch", "The published head is of another log.")
    if _contains(tx, old, head.size, head.root):
        _check_key(tx, ground, old)
        return Brought(tx.tenant_id, old.generation, 0)  # another process of the cell was first
    if old.size >= head.size:
        raise Unverified("fork", "The database's log and the published one have different entries.")
    shelf = _shelf(ground, tx.tenant_id, old)
    if shelf.signed(head.note.encode()) != Checkpoint(head.origin, head.size, head.root):
        raise Unverified("bad-signature", "The published head was not signed by the log's key.")
    musts = {one.size: one.root for one in heads if one.generation == old.generation and one.size > old.size}
    steps = [step for step in _steps(shelf) if old.size < step.size <= head.size]
    kept = _kept(shelf, steps, old.size, head.size)
    growing = Growing(sequencing.tree(tx, old), (*musts, *kept))
    instants = _put_entries(tx, shelf, old, growing, head.size)
    if any(growing.roots.get(size) != root for size, root in musts.items()):
        raise Unverified("root-mismatch", "The published entries do not make the root that was signed.")
    _keep(tx, old, kept, growing, instants)
    if not sequencing.grow(tx, old, size=head.size, root=head.root, note=head.note, at=instants[head.size]):
        raise Unverified("rollback", "Another process advanced this log.")
    for step in steps:  # a checkpoint of another root is none of this log's, and the key stays unknown
        if growing.roots.get(step.size) == kept[step.size][1]:
            ledgerkeys.record(tx, old.generation, step.new.vkey, idx=step.place, size=step.size)
    _check_key(tx, ground, old)
    if shelf.shown() == Checkpoint(head.origin, head.size, head.root):
        sequencing.mark_published(tx, old.generation, head.size)  # else it is published again, from here
    _say(tx, old, head)
    return Brought(tx.tenant_id, old.generation, head.size - old.size)


def _kept(shelf: Shelf, steps: list[Step], above: int, upto: int) -> dict[int, tuple[str, bytes]]:
    """Size → (note, root) of the checkpoints that were kept, and of those that a change of key rests on."""
    changes = {step.size: (step.checkpoint, _root(step.checkpoint) or b"") for step in steps}
    return dict(_archived(shelf, above, upto)) | changes


def _keep(
    tx: Tx, old: Log, kept: dict[int, tuple[str, bytes]], growing: Growing, instants: dict[int, int]
) -> None:
    """Put back the checkpoints that fit; the head itself comes with the log's size."""
    for size, (note, root) in kept.items():
        if growing.roots.get(size) == root and size < growing.tree.size:
            log.keep_checkpoint(tx, old.generation, size, note, at=instants[size])


def _steps(shelf: Shelf) -> list[Step]:
    """The published changes of the log's key, from one that this database knows."""
    chain = (shelf.get(FILE) or b"").decode("utf-8", "replace")
    return follow(chain, [Verifier.parse(vkey) for vkey in shelf.earlier])


def _check_key(tx: Tx, ground: Ground, current: Log) -> None:
    """Unverified when the log, as it is now, names another key than the live one."""
    live = ground.keyring.signer(tx.tenant_id, current.origin).vkey
    if ledgerkeys.newest(tx, current.generation) not in (None, live):
        raise Unverified("key-retired", "The log names a key that was changed, and the change is not in it.")


def _put_entries(tx: Tx, shelf: Shelf, old: Log, growing: Growing, end: int) -> dict[int, int]:
    """Read, hash and put back every entry up to `end`; of each milestone the instant of its last entry."""
    instants: dict[int, int] = {}
    waiting: list[Returned] = []
    for bodies in entries_from(shelf.get, old.size, end):
        first = growing.tree.size
        found = [returned(body) for body in bodies]
        growing.grow(bodies)
        instants |= {size: found[size - first - 1].at for size in growing.roots if size > first}
        waiting += found
        if len(waiting) >= _FLUSH or growing.tree.size == end:
            log.put_back(tx, old.generation, growing.tree.size - len(waiting), waiting)
            for (level, n), data in growing.changed().items():
                log.put_tile(tx, old.generation, level, n, data)
            tx.flush()
            waiting.clear()
    return instants


def _archived(shelf: Shelf, above: int, below: int) -> Iterator[tuple[int, tuple[str, bytes]]]:
    """(size, (note, root)) of the kept checkpoints between two sizes that the log's key signed."""
    for size, raw in archived(shelf.objects, shelf.tenant_id, shelf.generation, above, below):
        signed = shelf.signed(raw)
        if signed is not None and signed.size == size:
            yield size, (raw.decode(), signed.root)


def returned(body: bytes) -> Returned:
    """A row of the database from a raw entry. Unverified when it is none."""
    entry: dict[str, Any] = parse_entry(body)
    return Returned(
        writer=entry["writer"],
        n=entry["n"],
        kind=entry["kind"],
        at=ids.parse_rfc3339(entry["at"]),
        principal_id=entry.get("principal"),
        decision_id=entry.get("decision"),
        breakglass_id=entry.get("data", {}).get("breakglass"),
        body=body,
    )


def _say(tx: Tx, old: Log, head: Head) -> None:
    """Step 7: a writer of this one transaction, ended in it."""
    tx.writers = Writers()
    data = {"from_size": old.size, "to_size": head.size, "to_root": head.root.hex()}
    tx.append(EntryDraft(kind=Kind.RESTORE, at=ids.now(), outcome="brought-up", data=data))
    tx.append(EntryDraft(kind=Kind.WRITER_END, at=ids.now(), outcome="ok"))
