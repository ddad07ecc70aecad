"""Start-up: is this database where it was left? A restore is detected, not declared.

    1 compare   key pointer, journal of erasures and every log's head with what the mirror remembers
    2 adopt     behind: the newest mirrored key state that a live root opens becomes the live one
    3 epoch     a new leaf epoch begins, recorded in the mirror, before any leaf is handed out
    4 journal   erasures that the database has forgotten are put back as batches under way, with the headers
                that they had re-wrapped
    5 logs      a log that is behind its published head is brought up to it from the published entries;
                where these do not reach, it ends, and a new generation names head and loss
    6 re-mirror whatever the mirror lacks (it may have been lost) is copied there again

Only then is anything served; `Shredder.resume` afterwards finishes what 4 put back. Every step is safe to
repeat: a crash in between finds the same differences again, or fewer.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import structlog

from tenure import ids
from tenure.cold.mirror import Mirror
from tenure.errors import RootLost
from tenure.governance import rekey, rewrapped
from tenure.governance.catchup import Brought, Head, bring_up, known_heads, names_lost_key
from tenure.governance.catchup import is_behind as is_log_behind
from tenure.governance.ground import Ground, re_mirror, re_mirror_history
from tenure.governance.keychange import Mirrored, newest_mirrored
from tenure.governance.plan import Erasure, Plan
from tenure.ids import CELL
from tenure.keyring import stored_state
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.ledger.merkle import EMPTY_ROOT
from tenure.ledger.note import Signer
from tenure.sequencer import origin_of
from tenure.store import cohorts, holds, keystate, ledgerkeys, log, shreds, subjects, tenants
from tenure.store.keystate import Pointer, SealedShard
from tenure.store.log import Log
from tenure.store.session import Tx, Writers
from tenure.store.shreds import AWAITING, Batch, Kind, Shred
from tenure.store.tenants import Epoch

_LOOKS = 8
"""Logs that are compared with their published heads at once."""
_log = structlog.get_logger(__name__)


class Lost(NamedTuple):
    """A log that was behind its published head: the generation that begins, and entries that are missing."""

    tenant_id: str
    generation: int
    entries: int


class Recovered(NamedTuple):
    """What start-up found: the cell's tenants, and whether the database had been restored.

    If it had: the leaf epoch that began, how many erasures it had forgotten, what its logs lost, and which of
    them were brought up to their published head instead.
    """

    tenant_ids: list[str]
    restored: bool
    leaf_epoch: int = 0
    replayed: int = 0
    lost: tuple[Lost, ...] = ()
    brought: tuple[Brought, ...] = ()


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
    return any(is_log_behind(ground, one) for one in tenant_ids if one in living)


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
    behind = _behind(ground, [one for one in tenant_ids if one in living])
    restored = declared or bool(mirrored or forgotten or behind)
    epoch, settled = 0, []
    if restored:
        _log.warning("the database was restored to an older state", logs_behind=len(behind))
        stored_epoch = ground.database.read(CELL, tenants.leaf_sequence)[0]
        epoch = max(ground.mirror.leaf_epoch(), stored_epoch) + 1
        ground.mirror.put_restore(epoch, {"at": ids.rfc3339(ids.now())})
        for tenant_id in tenant_ids:
            ground.database.write(tenant_id, partial(tenants.begin_leaf_epoch, epoch=epoch))
            ground.database.write(tenant_id, partial(tenants.forget_accesses, at=ids.now()))
        ground.database.write(CELL, partial(_mend_buckets, ground=ground))
        for op_id, plan in _unfinished(ground, forgotten).items():
            for tenant_id in plan.keys() & living:
                rewrapped.put_back(ground, op_id, tenant_id)
        for op_id, plan in forgotten.items():
            ground.database.write(CELL, partial(_put_back, ground=ground, op_id=op_id, plan=plan))
        settled = [bring_up(ground, one) or _new_generation(ground, one) for one in behind]
    re_mirror(ground)
    if lacked := re_mirror_history(ground):
        rewrapped.keep_again(ground, max(lacked), [one for one in tenant_ids if one in living])
    replayed = sum(len(mine["erasures"]) for plan in forgotten.values() for mine in plan.values())
    lost = tuple(one for one in settled if isinstance(one, Lost))
    brought = tuple(one for one in settled if isinstance(one, Brought))
    return Recovered(tenant_ids, restored, epoch, replayed, lost, brought)


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


_KNOWN: Mapping[Kind, Callable[[Tx, str], object | None]] = {
    Kind.SUBJECT: subjects.get,
    Kind.HOLD: holds.get,
    Kind.COHORT: cohorts.get,
    Kind.TENANT: tenants.get,
}


def _erasing_again(tx: Tx, mirror: Mirror, op_id: str, one: Erasure, now: int) -> bool:
    """Mark a target as being erased again; False when this database never knew it."""
    known = _KNOWN[Kind(one["kind"])]
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
    elif one["kind"] == Kind.COHORT:
        cohorts.move(tx, one["target"], state=cohorts.ENDING, shred_id=shred.id)
    return True


# ── logs ───────────────────────────────────────────────────────────────────────────────────────────
def _behind(ground: Ground, tenant_ids: list[str]) -> list[str]:
    """Tenants whose log is behind a published head. Several looks at once: an object store is slow."""
    with ThreadPoolExecutor(_LOOKS) as pool:
        found = pool.map(partial(is_log_behind, ground), tenant_ids)
        return [one for one, behind in zip(tenant_ids, found, strict=True) if behind]


def _new_generation(ground: Ground, tenant_id: str) -> Lost:
    """End a log that was restored and open the next one: its first entry names what was lost."""
    key_lost = names_lost_key(ground, tenant_id)
    found = ground.database.read(tenant_id, log.newest)
    heads = known_heads(ground, tenant_id, found)
    head = heads[-1] if heads else _own_head(found)

    def work(tx: Tx) -> Lost:
        current = log.newest(tx)
        have = current.size if current and current.generation == head.generation else 0
        generation = head.generation + 1
        origin = origin_of(ground.origin_prefix, tenant_id, generation)
        # What waited when the copy was made was placed in the log that went on from there.
        log.leave_behind(tx)
        log.open_log(tx, generation, origin, EMPTY_ROOT)
        seed = ground.keyring.manifest().tenants[tenant_id].ledger_seed
        ledgerkeys.record(tx, generation, Signer(origin, seed).vkey)
        tx.writers = Writers()
        # Under a lost key, what has its place here and was never published never will be.
        lost = max(head.size - have, have - head.size if key_lost else 0)
        data = {
            "origin": origin,
            "generation": generation,
            "previous_origin": head.origin,
            "previous_size": head.size,
            "previous_root": head.root.hex(),
            "lost": lost,
        }
        tx.append(EntryDraft(kind=Act.LOG_OPEN, at=ids.now(), outcome="restored", data=data))
        tx.append(EntryDraft(kind=Act.RESTORE, at=ids.now(), outcome="detected"))
        tx.append(EntryDraft(kind=Act.WRITER_END, at=ids.now(), outcome="ok"))
        return Lost(tenant_id, generation, lost)

    return ground.database.write(tenant_id, work)


def _own_head(current: Log | None) -> Head:
    """What the database has of a log that was never published."""
    assert current is not None  # noqa: S101 - only a log that is there can be behind
    return Head(current.generation, current.origin, current.size, current.root, "")
