"""Erasure: the eight steps, in this order (`02-keys.md`).

    1 intent    {op, leaves} in the database and in the mirrored journal; the people already read as 410
    2 create    a new root version, idempotent by op and state
    3 puncture  in memory; the new state staged in the database and copied to the mirror
    4 verify    from the mirror's copy alone: erased leaves do not derive, survivors do, nothing widened
    5 swap      the pointer by compare-and-set               ── the point of no return ──
    6 fence     this process holds no key of the old epoch
    7 destroy   every other root version, until the provider says so
    8 purge     ciphertext, indexes, references; then, and only then, the certificate

A crash anywhere is recovered by `resume`, which runs the same code from the recorded state: before 5 the
batch starts over at 2 (the root of the first attempt is found by its op), after 5 it only goes forward.
A certificate exists only when the provider reported `destroyed` and the old root refuses to unseal.
"""

import asyncio
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import KeyFailure, RootLost, Unavailable
from tenure.governance.certificates import Evidence, issue
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
from tenure.ids import CELL
from tenure.keyring import stored_state
from tenure.keys.blind import FIRST_FREE
from tenure.keys.ggm import PuncturedState, leaf_number
from tenure.keys.rootstore import Destruction
from tenure.keys.seal import header_leaves
from tenure.keys.state import (
    CellManifest,
    manifest_root_version,
    next_state,
    open_manifest,
    verify_narrowing,
)
from tenure.ledger.entry import EntryDraft, Kind
from tenure.sequencer import Sequencer
from tenure.store import keystate, records, shreds, subjects, tenants
from tenure.store.keystate import Pointer
from tenure.store.session import Tx
from tenure.store.shreds import DONE, Batch, Shred
from tenure.store.tenants import Epoch

SAMPLE = 32
_POLL_S = 1.0
_RACES = 20
"""How often the key state may move under a batch before it waits for its next turn."""
_log = structlog.get_logger(__name__)


class Shredder:
    """Runs batches of erasures, one at a time in this process."""

    def __init__(self, batcher: Batcher, ground: Ground, sequencer: Sequencer) -> None:
        self._batcher = batcher
        self._ground = ground
        self._sequencer = sequencer
        self._waiting: set[str] = set()
        self._busy = asyncio.Lock()

    def requested(self, tenant_id: str) -> None:
        """Someone of this tenant is to be erased with the next batch."""
        self._waiting.add(tenant_id)

    async def run(self) -> None:
        """Erase everyone who is waiting, in one batch over all tenants. Nothing to do: nothing is done."""
        async with self._busy:
            waiting, self._waiting = self._waiting, set()
            if not waiting:
                return
            try:
                # What an earlier run or process left unfinished comes first.
                for batch in await self._inside(CELL, lambda desk: shreds.batches(desk.tx)):
                    await self._complete(batch)
                batch = await self._inside(CELL, lambda desk: self._intent(desk, sorted(waiting)))
                if batch is not None:
                    await self._complete(batch)
            except BaseException:
                self._waiting |= waiting
                raise

    async def resume(self, tenant_ids: Iterable[str]) -> None:
        """After a start: finish unfinished batches, and gather requests that no batch has taken."""
        self._waiting |= set(tenant_ids)
        await self.run()

    async def rotate(self) -> None:
        """A batch with nobody in it: a new root version seals the key state, every older one is destroyed."""
        async with self._busy:
            try:
                for unfinished in await self._inside(CELL, lambda desk: shreds.batches(desk.tx)):
                    await self._complete(unfinished)
                batch = Batch(ids.new_id(), {}, "intent")
                await self._inside(CELL, lambda desk: shreds.open_batch(desk.tx, batch, at=desk.now))
                await self._complete(batch)
            except BaseException:
                self._waiting.add(CELL)  # the next run finishes it
                raise

    async def _complete(self, batch: Batch) -> None:
        plan = batch.plan
        if batch.state == "intent":
            self._ground.mirror.put_intent(batch.op_id, plan)
            staged = await self._advance(batch)
            self._ground.mirror.put_pointer(staged.pointer.seq, staged.pointer.digest)
        await self._fence(plan)
        fenced = ids.rfc3339(ids.now())
        await asyncio.to_thread(re_mirror, self._ground)
        destroyed = await self._destroy(batch.op_id)
        for tenant_id, erasures in plan.items():
            await self._inside(
                tenant_id, lambda desk: self._note(desk.tx, batch.op_id, "destroyed", {"fenced": fenced})
            )
            await self._inside(
                tenant_id, lambda desk, all_=erasures: self._purge(desk, batch.op_id, all_, destroyed)
            )
        await asyncio.to_thread(keep_certificates, self._ground, plan)
        await self._inside(CELL, lambda desk: self._close(desk.tx, batch))
        await asyncio.to_thread(self._ground.database.compact)

    async def _advance(self, batch: Batch) -> Staged:
        """Steps 2 to 5; over again when a new tenant moved the pointer meanwhile."""
        for attempt in range(_RACES):
            staged, old = await asyncio.to_thread(self._prepare, batch)
            try:
                await self._inside(CELL, partial(self._swap, batch=batch, staged=staged, old=old))
            except Unavailable:
                if attempt == _RACES - 1:
                    raise
                continue
            return staged
        raise AssertionError  # the loop returns or raises

    # ── 1 intent ─────────────────────────────────────────────────────────────────────────────────
    def _intent(self, desk: Desk, tenant_ids: list[str]) -> Batch | None:
        tx, op_id = desk.tx, ids.new_id()
        plan: dict[str, Any] = {}
        for tenant_id in tenant_ids:
            tx.as_tenant(tenant_id)
            for shred in shreds.in_state(tx, "requested"):
                person = subjects.get(tx, shred.subject_id)
                if person is None:
                    continue
                shreds.move(tx, _stepped(shred, "intent", op_id=op_id))
                plan.setdefault(tenant_id, []).append(
                    {"shred": shred.id, "subject": person.id, "leaf": person.leaf}
                )
        tx.as_tenant(CELL)
        if not plan:
            return None
        batch = Batch(op_id, plan, "intent")
        shreds.open_batch(tx, batch, at=desk.now)
        return batch

    # ── 2 create, 3 puncture, 4 verify ───────────────────────────────────────────────────────────
    def _prepare(self, batch: Batch) -> tuple[Staged, Pointer]:
        ground = self._ground
        live = ground.keyring.live()
        # Named for the state it will open: an attempt that lost the race for this seq gets another root.
        version = ground.roots.create(f"{batch.op_id}.{live.pointer.seq + 1}")
        before = {tenant_id: self._state(tenant_id, live.manifest) for tenant_id in batch.plan}
        leaves = {tenant_id: [one["leaf"] for one in all_] for tenant_id, all_ in batch.plan.items()}
        staged = seal_state(next_state(live.manifest, before, leaves), ground.roots, version)
        mirror_state(ground.mirror, staged)
        copy = ground.mirror.manifest(staged.pointer.seq, staged.pointer.digest)
        if copy is None:
            raise Unavailable("The mirror did not keep the new key state; nothing was erased yet.")
        mirrored = open_manifest(copy, ground.roots)
        for tenant_id, state in before.items():
            sample = ground.database.read(tenant_id, _some_leaves)
            new = mirrored_state(ground.mirror, mirrored, tenant_id)
            verify_narrowing(state, new, leaves[tenant_id], sample)
        return staged._replace(verified_at=ids.rfc3339(ids.now())), live.pointer

    def _state(self, tenant_id: str, manifest: CellManifest) -> PuncturedState:
        return self._ground.database.read(tenant_id, lambda tx: stored_state(tx, manifest.tenants[tenant_id]))

    # ── 5 swap ───────────────────────────────────────────────────────────────────────────────────
    def _swap(self, desk: Desk, *, batch: Batch, staged: Staged, old: Pointer) -> None:
        tx = desk.tx
        stage(tx, staged)
        swap(tx, old, staged)
        shreds.move_batch(tx, batch.op_id, "swapped")
        for tenant_id in batch.plan:
            tx.as_tenant(tenant_id)
            tenants.raise_epoch(tx, Epoch.KEYS)
            self._note(tx, batch.op_id, "punctured", {"verified": staged.verified_at})
        tx.as_tenant(CELL)

    def _note(self, tx: Tx, op_id: str, state: str, earlier: dict[str, str]) -> None:
        """Show every erasure of the batch in its new state, with the steps before it."""
        for shred in shreds.in_batch(tx, op_id):
            if shred.state != DONE:
                shreds.move(tx, _stepped(shred._replace(steps={**shred.steps, **earlier}), state))

    # ── 6 fence ──────────────────────────────────────────────────────────────────────────────────
    async def _fence(self, plan: dict[str, Any]) -> None:
        """Every transaction reads the key epoch first, so one of each tenant makes this process forget."""
        for tenant_id in plan:
            await self._inside(tenant_id, lambda desk: desk.tenancy.keys.erasing)

    # ── 7 destroy ────────────────────────────────────────────────────────────────────────────────
    async def _destroy(self, op_id: str) -> dict[int, Destruction]:
        """Destroy every root version but the live one; wait for the provider to say so.

        Newer ones too: whoever lost the race for the pointer left a root that opens the state before this.
        """
        ground = self._ground
        live = (await asyncio.to_thread(ground.keyring.live)).root_version
        destroyed: dict[int, Destruction] = {}
        for known in await asyncio.to_thread(ground.roots.list):
            if known.version == live:
                continue
            destroyed[known.version] = await self._until_destroyed(known.version, op_id)
        return destroyed

    async def _until_destroyed(self, version: int, op_id: str) -> Destruction:
        while True:
            done = await asyncio.to_thread(self._ground.roots.destroy, version, op_id)
            if done.state == "destroyed":
                await asyncio.to_thread(self._refuses, version)
                return done
            await asyncio.sleep(_POLL_S)

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

    # ── 8 purge, certificate ─────────────────────────────────────────────────────────────────────
    def _purge(
        self, desk: Desk, op_id: str, erasures: list[dict[str, Any]], destroyed: dict[int, Destruction]
    ) -> None:
        tx = desk.tx
        leaves = {one["leaf"] for one in erasures}
        signer = self._sequencer.signer(tx)
        for shred in shreds.in_batch(tx, op_id):
            if shred.state == DONE:
                continue
            purged, kept = _purge_versions(tx, shred, leaves, desk.tenancy.keys.state)
            records.unlink_subject(tx, shred.subject_id)
            subjects.set_state(
                tx, shred.subject_id, state="erased", ref_index=None, ref_header=None, sealed_ref=None
            )
            certificate_id = shred.certificate_id or ids.new_id()
            draft = EntryDraft(
                kind=Kind.PURGE,
                at=desk.now,
                outcome="ok",
                data={"shred": shred.id, "certificate": certificate_id, "versions": purged, "kept": kept},
            )
            entry = tx.append(draft)
            done = _stepped(shred, DONE, certificate_id=certificate_id)
            issued = ids.now()  # after the last step that the certificate names
            evidence = Evidence(
                tenant_id=tx.tenant_id,
                shred=done,
                certificate_id=certificate_id,
                entry=entry,
                purged=purged,
                kept=kept,
                capabilities=self._ground.roots.capabilities(),
                destroyed=destroyed,
                at=issued,
            )
            if shred.certificate_id is None:  # a replayed erasure keeps the certificate it was given
                shreds.keep_certificate(tx, certificate_id, shred.id, issue(signer, evidence), at=issued)
            shreds.move(tx, done)
        tenants.raise_epoch(tx, Epoch.KEYS)

    def _close(self, tx: Tx, batch: Batch) -> None:
        drop_dead(tx, self._ground.keyring.manifest())
        shreds.move_batch(tx, batch.op_id, DONE)

    async def _inside(self, tenant_id: str, work: Any) -> Any:  # noqa: ANN401
        return await self._batcher.submit(tenant_id, Solo(work))


def _purge_versions(tx: Tx, shred: Shred, leaves: set[int], state: PuncturedState) -> tuple[int, int]:
    """Purge what nothing opens any more: (purged, kept because other subjects still open it)."""
    purged = kept = 0
    for stored in records.of_subject(tx, shred.subject_id):
        if stored.header is None:
            continue
        slots = header_leaves(stored.header)
        if all(any(leaf in leaves or state.is_punctured(leaf) for leaf in slot) for slot in slots):
            records.purge(tx, stored.record_id, stored.version, shred.id)
            purged += 1
        else:
            kept += 1
    return purged, kept


def _some_leaves(tx: Tx) -> list[int]:
    """A sample of leaves that were handed out: indexes' and people's."""
    epoch, upto = tenants.leaf_sequence(tx)
    handed_out = [(0, FIRST_FREE), (epoch, max(upto, 1))]
    return [
        leaf_number(in_epoch, random.randrange(end))  # noqa: S311 - a spot check
        for in_epoch, end in handed_out
        for _ in range(SAMPLE)
    ]


def _stepped(shred: Shred, state: str, **changes: Any) -> Shred:  # noqa: ANN401
    steps = {**shred.steps, state: ids.rfc3339(ids.now())}
    return shred._replace(state=state, steps=steps, **changes)
