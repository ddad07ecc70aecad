"""Erasure: the eight steps, in this order (`02-keys.md`).

    1 intent    {op, leaves} in the database and in the mirrored journal; the people already read as 410
    2 create    a new root version, idempotent by op, state and term
    3 puncture  in memory; the new state copied to the mirror
    4 verify    from the mirror's copy alone: erased leaves do not derive, survivors do, nothing widened
    5 swap      the pointer by compare-and-set, with blind indexes re-keyed   ── the point of no return ──
    6 fence     no process holds a key of the old epoch, or may still answer from one
    7 destroy   every other root version, until the provider says so
    8 purge     ciphertext, indexes, references; then, once 7 is true, the certificate

A crash anywhere is recovered by `resume`, which runs the same code from the recorded state: before 5 the
batch starts over at 2, after 5 it only goes forward. A certificate exists only when the provider reported
`destroyed` and the old root refuses to unseal.

Any process may be asked for an erasure; one at a time erases, for a numbered *term* (`store.replicas`). One
that was paused and taken over from finds its term over at the swap; and it destroys no root of a later term.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.packs import drop_packs
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, KeyFailure, NotYet, RootLost, TenureError, Unavailable
from tenure.governance import handover, purge, rekey, rewrap, rewrapped
from tenure.governance.certificates import stated
from tenure.governance.ground import Ground, keep_certificates, re_mirror
from tenure.governance.keychange import (
    Staged,
    drop_dead,
    mirror_state,
    mirrored_state,
    seal_state,
    stage,
    swap,
)
from tenure.governance.plan import Plan, TenantPlan
from tenure.governance.replica import Fence, Replica, root_op, term_of
from tenure.ids import CELL
from tenure.keyring import Live, stored_state
from tenure.keys.ggm import PuncturedState
from tenure.keys.rootstore import Destruction
from tenure.keys.state import (
    CellManifest,
    NextState,
    manifest_root_version,
    next_state,
    open_manifest,
    verify_narrowing,
)
from tenure.sequencer import Sequencer
from tenure.store import keystate, replicas, shreds, tenants
from tenure.store.database import Clash
from tenure.store.keystate import Pointer
from tenure.store.shreds import DONE, Batch
from tenure.store.tenants import Epoch

_POLL_S = 0.05
_PATIENCE_S = 5.0
"""How long a batch waits in place for the provider to destroy a root version; later batches then go ahead."""
_ASK_AGAIN_S = 60.0
_RACES = 20
"""How often the key state may move under a batch before it waits for its next turn."""
R = TypeVar("R")
_log = structlog.get_logger(__name__)


class Shredder:
    """Runs batches of erasures, one at a time in the cell."""

    def __init__(
        self,
        batcher: Batcher,
        ground: Ground,
        sequencer: Sequencer,
        replica: Replica,
        *,
        batch_size: int,
        lock_days: int | None = None,
    ) -> None:
        """`lock_days`: for how long objects are locked in their bucket, for certificates; None: not."""
        self._batcher = batcher
        self._ground = ground
        self._sequencer = sequencer
        self._replica = replica
        self._size = batch_size
        self._lock_days = lock_days
        self._handover = handover.Handover(ground, sequencer.objects)
        self._busy = asyncio.Lock()
        self._asked: dict[str, float] = {}

    async def run(self) -> bool:
        """Erase everyone who waits, in batches over all tenants; False while another process erases.

        Nothing to do: one transaction, and nothing else is done.
        """
        async with self._busy:
            unfinished = await self._inside(CELL, _to_do)
            if unfinished is None:
                return True
            term = await self._term()
            if term is None:
                return False
            # What an earlier run or process left unfinished comes first.
            for batch in unfinished:
                await self._go_on(batch, term)
            while (taken := await self._inside(CELL, self._intent)) is not None:
                await self._go_on(taken, term)
            return True

    async def backlog(self) -> dict[str, int]:
        """Erasures in unfinished batches, by the batch's state; `waiting`: tenants in the queue."""
        return await self._inside(CELL, _backlog)

    async def rotate(self) -> None:
        """A batch with nobody in it: a new root version, and every older one destroyed.

        Raises Unavailable while another process erases, or while the provider has not destroyed the old ones.
        """
        async with self._busy:
            term = await self._term()
            if term is None:
                raise Unavailable("Another process of this cell is erasing; nothing was rotated.")
            for unfinished in await self._inside(CELL, lambda desk: shreds.batches(desk.tx)):
                await self._go_on(unfinished, term)
            batch = Batch(ids.new_id(), {}, "intent")
            await self._inside(CELL, lambda desk: shreds.open_batch(desk.tx, batch, at=desk.now))
            if not await self._complete(batch, term):
                raise NotYet(
                    "The new root version is live; the provider has not destroyed the old one yet.",
                    remedy="Look again with 'tenure rootstore status'.",
                )

    async def resume(self) -> None:
        """After a start: finish what an earlier process left, once its lease has run out."""
        until = time.monotonic() + self._replica.lease_s + 1
        while not await self.run() and time.monotonic() < until:  # noqa: ASYNC110 - what is awaited is in the database
            await asyncio.sleep(_POLL_S)

    async def _term(self) -> int | None:
        mine = await self._inside(CELL, lambda desk: replicas.term(desk.tx, self._replica.id))
        if mine is not None:
            return mine
        # A restored database has forgotten terms; the root store has not.
        known = await asyncio.to_thread(self._ground.roots.list)
        floor = max((term_of(one.op_id) for one in known), default=0)
        return await self._inside(
            CELL, lambda desk: replicas.coordinate(desk.tx, self._replica.id, floor=floor)
        )

    async def _go_on(self, batch: Batch, term: int) -> None:
        """Complete a batch, unless it waits for the provider and was asked about a moment ago."""
        now = time.monotonic()
        if self._asked.get(batch.op_id, now) > now:
            return
        if await self._complete(batch, term):
            self._asked.pop(batch.op_id, None)
        else:
            self._asked[batch.op_id] = time.monotonic() + _ASK_AGAIN_S

    async def _complete(self, batch: Batch, term: int) -> bool:
        """Steps 2 to 8; False when the provider has not destroyed yet, or a purge left something behind."""
        plan = batch.plan
        if batch.state == "intent":
            self._ground.mirror.put_intent(batch.op_id, plan)
            touched = await rewrap.before_puncture(self._batcher, self._ground.database, plan)
            await asyncio.to_thread(rewrapped.keep, self._ground, batch.op_id, touched)
            for tenant_id in _dropped(batch, self._ground.keyring.manifest()):
                await self._sequencer.run(tenant_id)  # its log can be signed for the last time
            for tenant_id in handover.leaving(plan):
                await asyncio.to_thread(self._handover.pin, tenant_id)
            staged = await self._advance(batch, term)
            self._ground.mirror.put_pointer(staged.pointer.seq, staged.pointer.digest)
        await self._fence(batch)
        await asyncio.to_thread(re_mirror, self._ground)
        destroyed = await self._destroy(batch, term)
        pending = any(one.state != "destroyed" for one in destroyed.values())
        await self._note(batch, "destroying" if pending else "destroyed")
        handed = await asyncio.to_thread(self._handed_over, plan)
        waiting = await asyncio.to_thread(self._packs_left, plan)
        whole = await purge.everything(self._batcher, batch, handed, waiting)
        for tenant_id in handed:
            await asyncio.to_thread(self._handover.drop_published, tenant_id)
        if pending:
            return False
        said = stated(self._ground.roots.capabilities(), destroyed, self._lock_days)
        await purge.certify(self._batcher, self._sequencer, batch, said)
        await asyncio.to_thread(keep_certificates, self._ground, plan)
        if not whole:
            return False
        await self._inside(CELL, lambda desk: self._close(desk, batch))
        await asyncio.to_thread(self._ground.database.compact)
        return True

    async def _advance(self, batch: Batch, term: int) -> Staged:
        """Steps 2 to 5; over again when a new tenant moved the pointer meanwhile."""
        for attempt in range(_RACES):
            staged, old = await asyncio.to_thread(self._prepare, batch, term)
            try:
                await self._inside(CELL, partial(self._swap, batch=batch, staged=staged, old=old, term=term))
            except Unavailable:
                if attempt == _RACES - 1:
                    raise
                continue
            except Conflict:
                # Taken over from. What was made here seals a state that is old by now: it goes at once.
                await asyncio.to_thread(self._ground.roots.destroy, staged.root_version, batch.op_id)
                raise
            return staged
        raise AssertionError  # the loop returns or raises

    # ── 1 intent ─────────────────────────────────────────────────────────────────────────────────
    def _intent(self, desk: Desk) -> Batch | None:
        tx, op_id = desk.tx, ids.new_id()
        plan: dict[str, TenantPlan] = {}
        room = self._size
        for tenant_id in shreds.queue(tx):
            shreds.dequeue(tx, tenant_id)
            tx.as_tenant(tenant_id)
            waiting = shreds.requested(tx, room)
            mine = rekey.planned(tx, waiting)
            for shred in waiting:
                shreds.move(tx, purge.stepped(shred, "intent", op_id=op_id))
            room -= len(waiting)
            if not room:
                shreds.enqueue(tx)  # there may be more
            tx.as_tenant(CELL)
            if mine["erasures"]:
                plan[tenant_id] = mine
            if not room:
                break
        if not plan:
            return None
        batch = Batch(op_id, plan, "intent")
        shreds.open_batch(tx, batch, at=desk.now)
        return batch

    # ── 2 create, 3 puncture, 4 verify ───────────────────────────────────────────────────────────
    def _prepare(self, batch: Batch, term: int) -> tuple[Staged, Pointer]:
        ground = self._ground
        live = ground.keyring.live()
        if not self._replica.lasts():
            raise Conflict("This process was cut off for a while; another may be erasing by now.")
        leaves = {tenant_id: mine["leaves"] for tenant_id, mine in batch.plan.items() if mine["leaves"]}
        before = {tenant_id: self._state(tenant_id, live.manifest) for tenant_id in leaves}
        new = next_state(live.manifest, before, leaves, dropped=_dropped(batch, live.manifest))
        staged = self._sealed(new, live, batch, term)
        mirror_state(ground.mirror, staged)
        copy = ground.mirror.manifest(staged.pointer.seq, staged.pointer.digest)
        if copy is None:
            raise Unavailable("The mirror did not keep the new key state; nothing was erased yet.")
        mirrored = open_manifest(copy, ground.roots)
        for tenant_id, state in before.items():
            sample = ground.database.read(tenant_id, purge.some_leaves)
            verify_narrowing(
                state, mirrored_state(ground.mirror, mirrored, tenant_id), leaves[tenant_id], sample
            )
            new.states[tenant_id].wipe()
            state.wipe()
        return staged._replace(verified_at=ids.rfc3339(ids.now())), live.pointer

    def _sealed(self, new: NextState, live: Live, batch: Batch, term: int) -> Staged:
        """The next state under a root version of its own.

        That is named for the state it will open, and for the term: whoever lost the race for this state, or
        was taken over from, never gets this root. An earlier attempt's may be destroyed: this process itself
        did that, with every root that was not live, to complete another batch.
        """
        roots = self._ground.roots
        for attempt in range(_RACES):
            op_id = root_op(batch.op_id, new.manifest.seq, attempt, term)
            version = roots.create(op_id, above=live.root_version)
            if version <= live.root_version:
                raise KeyFailure("The root store gave a version that is not newer than the live one.")
            try:
                return seal_state(new, roots, version)
            except RootLost:
                continue
        raise Unavailable("The root store kept losing the version that it made; nothing was erased yet.")

    def _state(self, tenant_id: str, manifest: CellManifest) -> PuncturedState:
        return self._ground.database.read(tenant_id, lambda tx: stored_state(tx, manifest.tenants[tenant_id]))

    # ── 5 swap ───────────────────────────────────────────────────────────────────────────────────
    def _swap(self, desk: Desk, *, batch: Batch, staged: Staged, old: Pointer, term: int) -> None:
        tx = desk.tx
        if replicas.term(tx, self._replica.id) != term:
            raise Conflict("Another process took over the erasures; this one stopped before the swap.")
        stage(tx, staged)
        swap(tx, old, staged)
        if not shreds.move_batch(tx, batch.op_id, "intent", "swapped"):
            raise Clash
        for tenant_id, mine in batch.plan.items():
            tx.as_tenant(tenant_id)
            rekey.move_buckets(tx, self._ground.keyring, mine["buckets"])
            tenants.raise_epoch(tx, Epoch.KEYS)
            for shred in shreds.in_batch(tx, batch.op_id):
                verified = shred._replace(steps={**shred.steps, "verified": staged.verified_at})
                shreds.move(tx, purge.stepped(verified, "punctured"))
        tx.as_tenant(CELL)

    async def _note(self, batch: Batch, state: str) -> None:
        """Show every erasure of the batch in a new state, once."""
        for tenant_id in batch.plan:
            await self._inside(tenant_id, lambda desk: purge.note(desk.tx, batch.op_id, state))

    # ── 6 fence ──────────────────────────────────────────────────────────────────────────────────
    async def _fence(self, batch: Batch) -> None:
        """Wait until every living process has acknowledged the new state and older transactions are over."""
        seq = await asyncio.to_thread(self._replica.beat)
        await asyncio.to_thread(self._replica.settle)
        fence = await asyncio.to_thread(Fence, self._ground.database, seq)
        noted, pause = False, _POLL_S
        while any(waiting := await asyncio.to_thread(fence.waiting)):
            if not noted:
                _log.info("erasure waits for processes", processes=waiting[0], transactions=waiting[1])
                await self._note(batch, "fencing")
                noted = True
            await asyncio.sleep(pause)
            # Most transactions are over in a moment; leases take seconds.
            pause = min(2 * pause, _POLL_S * 10)
        await self._note(batch, "fenced")

    # ── 7 destroy ────────────────────────────────────────────────────────────────────────────────
    async def _destroy(self, batch: Batch, term: int) -> dict[int, Destruction]:
        """Destroy every root version but the live one; each one's state, the last that the provider said.

        Newer ones too, of this term and earlier ones: whoever lost a race for the pointer left a root that
        opens the state before this, and can never make it live. Those of a later term are somebody else's:
        then this process was taken over from, and does not know the live one.
        """
        ground = self._ground
        live = (await asyncio.to_thread(ground.keyring.live)).root_version
        dead = [
            known.version
            for known in await asyncio.to_thread(ground.roots.list)
            if known.version < live or (known.version > live and term_of(known.op_id) <= term)
        ]
        return {version: await self._destroyed(version, batch) for version in dead}

    async def _destroyed(self, version: int, batch: Batch) -> Destruction:
        until = time.monotonic() + _PATIENCE_S
        while True:
            done = await asyncio.to_thread(self._ground.roots.destroy, version, batch.op_id)
            if done.state == "destroyed":
                await asyncio.to_thread(self._refuses, version)
                return done
            await self._note(batch, "destroying")
            if time.monotonic() >= until:
                return done
            await asyncio.sleep(_POLL_S * 10)

    def _refuses(self, version: int) -> None:
        """A provider that claims destruction while the key still opens old states gets no certificate."""
        ground = self._ground
        mirrored = (ground.mirror.objects.get(one.name) for one in ground.mirror.manifests())
        for blob in (*ground.database.read(CELL, keystate.manifests), *mirrored):
            if blob is None or manifest_root_version(blob) != version:
                continue
            try:
                open_manifest(blob, ground.roots)
            except RootLost:
                return
            raise KeyFailure(
                "The root store reports a version as destroyed that still works. No certificate."
            )

    # ── 8 purge, certificate: `governance.purge` ─────────────────────────────────────────────────
    def _handed_over(self, plan: Plan) -> purge.Handed:
        written = {tenant_id: self._handover.write(tenant_id) for tenant_id in handover.leaving(plan)}
        return {tenant_id: logs for tenant_id, logs in written.items() if logs is not None}

    def _packs_left(self, plan: Plan) -> set[str]:
        """Remove the packs of tenants that go; those whose packs cannot be removed now."""
        left = set()
        for tenant_id in _tenants(plan):
            try:
                drop_packs(self._ground.objects, tenant_id)
            except TenureError as failure:
                _log.error("a tenant's packs could not be removed", tenant=tenant_id, error=failure.kind)
                left.add(tenant_id)
        return left

    def _close(self, desk: Desk, batch: Batch) -> None:
        drop_dead(desk.tx, self._ground.keyring.manifest())
        shreds.move_batch(desk.tx, batch.op_id, "swapped", DONE)

    async def _inside(self, tenant_id: str, work: Callable[[Desk], R]) -> R:
        return cast("R", await self._batcher.submit(tenant_id, Solo(work)))


def _to_do(desk: Desk) -> list[Batch] | None:
    """Unfinished batches; None when there is nothing to do at all."""
    unfinished = shreds.batches(desk.tx)
    return unfinished if unfinished or shreds.queue(desk.tx) else None


def _backlog(desk: Desk) -> dict[str, int]:
    found = {"waiting": len(shreds.queue(desk.tx)), "intent": 0, "swapped": 0}
    for batch in shreds.batches(desk.tx):
        found[batch.state] = found.get(batch.state, 0) + sum(
            len(mine["erasures"]) for mine in batch.plan.values()
        )
    return found


def _dropped(batch: Batch, manifest: CellManifest) -> list[str]:
    """Tenants that the batch takes away and that still have keys."""
    return [tenant_id for tenant_id in _tenants(batch.plan) if tenant_id in manifest.tenants]


def _tenants(plan: Plan) -> list[str]:
    """Tenants that a batch takes away."""
    return [
        one["target"]
        for mine in plan.values()
        for one in mine["erasures"]
        if one["kind"] == shreds.Kind.TENANT
    ]
