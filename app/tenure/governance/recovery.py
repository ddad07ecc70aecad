"""Start-up: is this database where it was left? A restore is detected, not declared.

    1 compare   key pointer, journal of erasures and every log's head with what the mirror remembers
    2 adopt     behind: the newest mirrored key state that a live root opens becomes the live one
    3 epoch     a new leaf epoch begins, recorded in the mirror, before any leaf is handed out
    4 journal   erasures that the database has forgotten are put back as batches under way, with the headers
                that they had re-wrapped
    5 logs      a log that is behind its published head ends; a new generation names head and loss
    6 re-mirror whatever the mirror lacks (it may have been lost) is copied there again

Only then is anything served; `Shredder.resume` afterwards finishes what 4 put back. Every step is safe to
repeat: a crash in between finds the same differences again, or fewer.
"""

from functools import partial
from typing import Any, NamedTuple

import structlog

from tenure import ids
from tenure.cold.mirror import Mirror
from tenure.errors import RootLost
from tenure.governance import rekey, rewrapped
from tenure.governance.ground import Ground, re_mirror, re_mirror_history
from tenure.governance.keychange import Mirrored, newest_mirrored
from tenure.governance.plan import Erasure, Plan
from tenure.ids import CELL
from tenure.keyring import stored_state
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.ledger.merkle import EMPTY_ROOT
from tenure.ledger.note import Signer
from tenure.ledger.tree import tree_root
from tenure.sequencer import origin_of
from tenure.store import holds, keystate, ledgerkeys, log, shreds, subjects, tenants
from tenure.store.keystate import Pointer, SealedShard
from tenure.store.log import Log
from tenure.store.session import Tx, Writers
from tenure.store.shreds import AWAITING, Batch, Kind, Shred
from tenure.store.tenants import Epoch

_log = structlog.get_logger(__name__)


class Lost(NamedTuple):
    """A log that was behind its published head: the generation that begins, and entries that are missing."""

    tenant_id: str
    generation: int
    entries: int


class Recovered(NamedTuple):
    """What start-up found: the cell's tenants, and whether the database had been restored.

    If it had: the leaf epoch that began, how many erasures it had forgotten, and what its logs lost.
    """

    tenant_ids: list[str]
    restored: bool
    leaf_epoch: int = 0
    replayed: int = 0
    lost: tuple[Lost, ...] = ()


def is_behind(ground: Ground) -> bool:
    """Whether this database is older than what the mirror remembers, so that the next start recovers it."""
    named = ground.mirror.pointer()  # the mirror first, as in `recover`
    found = ground.database.read(CELL, keystate.pointer)
    if found is None or (named is not None and named[0] > found.seq) or _forgotten(ground):
        return True
    tenant_ids = [CELL, *ground.database.read(CELL, tenants.all_ids)]
    try:
        living = set(ground.keyring.manifest().tenants)
    except RootLost:
        living = set(tenant_ids)  # whether the keys open is not asked here
    return any(_is_behind(ground, one) for one in tenant_ids if one in living)


def recover(ground: Ground, *, declared: bool = False) -> Recovered:
    """Bring a started cell to a state that may be served. RootLost when nothing opens any more.

    `declared`: whoever calls has just restored a backup, so a leaf epoch begins even where nothing shows it:
    leaves may have been handed out whose entries nobody had published yet.
    """
    # The mirror is read first, always: another process of the cell may go on meanwhile, and what it writes
    # reaches the mirror after the database.
    named = ground.mirror.pointer()
    found = ground.database.read(CELL, keystate.pointer)
    if found is None:
        raise RootLost("This cell was never initialised. Run 'tenure init' first.")
    mirrored = _ahead(ground, named, found)
    if mirrored is not None:
        ground.database.write(CELL, lambda tx: _adopt(tx, ground.mirror, mirrored))
    tenant_ids = [CELL, *ground.database.read(CELL, tenants.all_ids)]
    forgotten = _forgotten(ground)
    living = ground.keyring.manifest().tenants
    behind = [one for one in tenant_ids if one in living and _is_behind(ground, one)]
    restored = declared or bool(mirrored or forgotten or behind)
    epoch, lost = 0, []
    if restored:
        _log.warning("the database was restored to an older state", logs_behind=len(behind))
        stored_epoch = ground.database.read(CELL, tenants.leaf_sequence)[0]
        epoch = max(ground.mirror.leaf_epoch(), stored_epoch) + 1
        ground.mirror.put_restore(epoch, {"at": ids.rfc3339(ids.now())})
        for tenant_id in tenant_ids:
            ground.database.write(tenant_id, partial(tenants.begin_leaf_epoch, epoch=epoch))
        ground.database.write(CELL, partial(_mend_buckets, ground=ground))
        for op_id, plan in _unfinished(ground, forgotten).items():
            for tenant_id in plan.keys() & living:
                rewrapped.put_back(ground, op_id, tenant_id)
        for op_id, plan in forgotten.items():
            ground.database.write(CELL, partial(_put_back, ground=ground, op_id=op_id, plan=plan))
        lost = [_new_generation(ground, tenant_id) for tenant_id in behind]
    re_mirror(ground)
    if lacked := re_mirror_history(ground):
        rewrapped.keep_again(ground, max(lacked), [one for one in tenant_ids if one in living])
    replayed = sum(len(mine["erasures"]) for plan in forgotten.values() for mine in plan.values())
    return Recovered(tenant_ids, restored, epoch, replayed, tuple(lost))


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────
def _ahead(ground: Ground, named: tuple[int, bytes] | None, found: Pointer) -> Mirrored | None:
    """The mirrored state to adopt, or None when the database's own is the newest."""
    if named is None or named[0] <= found.seq:
        return None
    newest = newest_mirrored(ground.mirror, ground.roots)
    if newest is None:
        raise RootLost(
            "The database was restored to before an erasure and no live root key opens a mirrored key state.",
            remedy="Restore the newest root directory, with its mirror, beside this database.",
        )
    return newest if newest.pointer.seq > found.seq else None


def _adopt(tx: Tx, mirror: Mirror, mirrored: Mirrored) -> None:
    keystate.stage_manifest(tx, mirrored.pointer.seq, mirrored.pointer.digest, mirrored.blob)
    keystate.move_pointer(tx, keystate.pointer(tx), mirrored.pointer)
    for tenant_id, keys in mirrored.manifest.tenants.items():
        tx.as_tenant(tenant_id)
        for ref in keys.shards:
            blob = mirror.shard(tenant_id, ref)
            if blob is None:
                raise RootLost(
                    "The mirror lacks a shard of the key state that it names; nothing was adopted."
                )
            keystate.stage_shards(tx, [SealedShard(ref.depth, ref.prefix, ref.seq, blob)])
        tenants.raise_epoch(tx, Epoch.KEYS)
    tx.as_tenant(CELL)


def _mend_buckets(tx: Tx, ground: Ground) -> None:
    """Blind-index buckets whose key was punctured since the backup get one of the new leaf epoch."""
    for tenant_id, keys in ground.keyring.manifest().tenants.items():
        tx.as_tenant(tenant_id)
        if tx.exists:
            rekey.mend_buckets(tx, stored_state(tx, keys))
            tenants.raise_epoch(tx, Epoch.KEYS)
    tx.as_tenant(CELL)


# ── the journal ────────────────────────────────────────────────────────────────────────────────────
def _forgotten(ground: Ground) -> dict[str, Plan]:
    """Journalled batches that this database knows nothing of."""

    def known(tx: Tx) -> set[str]:
        return {one.op_id for finished in (False, True) for one in shreds.batches(tx, finished=finished)}

    journalled = ground.mirror.intents()
    have = ground.database.read(CELL, known)
    return {op_id: plan for op_id, plan in journalled.items() if op_id not in have}


def _unfinished(ground: Ground, forgotten: dict[str, Plan]) -> dict[str, Plan]:
    """Batches that will go on here, oldest first: forgotten ones, and those under way in the copy."""
    under_way = {one.op_id: one.plan for one in ground.database.read(CELL, shreds.batches)}
    return dict(sorted({**under_way, **forgotten}.items()))


def _put_back(tx: Tx, ground: Ground, op_id: str, plan: Plan) -> None:
    """A forgotten batch, back under way: already punctured leaves go straight to fence and purge."""
    live = ground.keyring.live()
    now = ids.now()
    kept: Plan = {}
    punctured = True
    for tenant_id, mine in plan.items():
        if tenant_id not in live.manifest.tenants:
            continue  # the tenant itself is gone
        tx.as_tenant(tenant_id)
        if not tx.exists:
            continue  # made after the backup: there is nothing of it to erase
        erasures = [one for one in mine["erasures"] if _erasing_again(tx, ground.mirror, op_id, one, now)]
        if erasures:
            kept[tenant_id] = {**mine, "erasures": erasures}
        state = stored_state(tx, live.manifest.tenants[tenant_id])
        punctured &= all(state.is_punctured(leaf) for one in erasures for leaf in one["leaves"])
        punctured &= not any(
            one["target"] in live.manifest.tenants for one in erasures if one["kind"] == Kind.TENANT
        )
        tenants.raise_epoch(tx, Epoch.KEYS)
    tx.as_tenant(CELL)
    shreds.open_batch(tx, Batch(op_id, kept, "swapped" if punctured else "intent"), at=now)


def _erasing_again(tx: Tx, mirror: Mirror, op_id: str, one: Erasure, now: int) -> bool:
    """Mark a target as being erased again; False when this database never knew it."""
    known = {Kind.SUBJECT: subjects.get, Kind.HOLD: holds.get, Kind.TENANT: tenants.get}[Kind(one["kind"])]
    if known(tx, one["target"]) is None:
        return False
    kept = mirror.certificate(one["shred"])
    shred = Shred(
        id=one["shred"],
        kind=one["kind"],
        target_id=one["target"],
        op_id=op_id,
        state="punctured",
        steps={"replayed": ids.rfc3339(now)},
        requested_by=CELL,
        requested_at=now,
        findings={"scan": AWAITING} if one.get("scan") and kept is None else {},
        certificate_id=kept[0] if kept else None,
    )
    if shreds.get(tx, shred.id) is None:
        shreds.create(tx, shred)
    else:
        shreds.move(tx, shred)
    if kept is not None and shreds.certificate(tx, kept[0]) is None:
        shreds.keep_certificate(tx, kept[0], shred.id, kept[1], at=now)
    if one["kind"] == Kind.SUBJECT:
        subjects.set_state(tx, one["target"], state="erasing", shred_id=shred.id)
    elif one["kind"] == Kind.HOLD:
        holds.move(tx, one["target"], state=holds.RELEASING)
    return True


# ── logs ───────────────────────────────────────────────────────────────────────────────────────────
def _is_behind(ground: Ground, tenant_id: str) -> bool:
    """Whether the published head is not a part of this database's log, or its key was rotated away since."""
    head = ground.mirror.head(tenant_id)
    if _names_lost_key(ground, tenant_id):
        return True
    if head is None:
        return False

    def check(tx: Tx) -> bool:
        current = log.newest(tx)
        if current is None or current.generation < int(head["generation"]):
            return True
        if current.generation > int(head["generation"]):
            return False
        if current.size < int(head["size"]):
            return True
        root = tree_root(head["size"], lambda level, n: log.tile(tx, current.generation, level, n) or b"")
        return root.hex() != str(head["root"])

    return ground.database.read(tenant_id, check)


def _names_lost_key(ground: Ground, tenant_id: str) -> bool:
    """Whether the log names a key that the live state has not: it was rotated after the backup.

    The log cannot go on then, not even where the checkpoint of that rotation was never published: nobody
    could follow from its old key to the present one.
    """
    try:
        seed = ground.keyring.manifest().tenants[tenant_id].ledger_seed
    except RootLost:
        return False  # nothing opens: that is said elsewhere

    def check(tx: Tx) -> bool:
        current = log.newest(tx)
        named = ledgerkeys.newest(tx, current.generation) if current else None
        return current is not None and named not in (None, Signer(current.origin, seed).vkey)

    return ground.database.read(tenant_id, check)


def _new_generation(ground: Ground, tenant_id: str) -> Lost:
    """End a log that was restored and open the next one: its first entry names what was lost."""
    mirrored = ground.mirror.head(tenant_id)
    key_lost = _names_lost_key(ground, tenant_id)

    def work(tx: Tx) -> Lost:
        current = log.newest(tx)
        head = mirrored or _own_head(current)
        have = current.size if current and current.generation == head["generation"] else 0
        generation = int(head["generation"]) + 1
        origin = origin_of(ground.origin_prefix, tenant_id, generation)
        # What waited when the copy was made was placed in the log that went on from there.
        log.leave_behind(tx)
        log.open_log(tx, generation, origin, EMPTY_ROOT)
        seed = ground.keyring.manifest().tenants[tenant_id].ledger_seed
        ledgerkeys.record(tx, generation, Signer(origin, seed).vkey)
        tx.writers = Writers()
        data = {
            "origin": origin,
            "generation": generation,
            "previous_origin": head["origin"],
            "previous_size": head["size"],
            "previous_root": head["root"],
            # Under a lost key, what has its place here and was never published never will be.
            "lost": max(int(head["size"]) - have, have - int(head["size"]) if key_lost else 0),
        }
        tx.append(EntryDraft(kind=Act.LOG_OPEN, at=ids.now(), outcome="restored", data=data))
        tx.append(EntryDraft(kind=Act.RESTORE, at=ids.now(), outcome="detected"))
        tx.append(EntryDraft(kind=Act.WRITER_END, at=ids.now(), outcome="ok"))
        return Lost(tenant_id, generation, int(data["lost"]))

    return ground.database.write(tenant_id, work)


def _own_head(current: Log | None) -> dict[str, Any]:
    """What the database has of a log that was never published."""
    assert current is not None  # noqa: S101 - only a log that is there can name a lost key
    root = current.root.hex()
    return {"generation": current.generation, "origin": current.origin, "size": current.size, "root": root}
