"""Entries → places → tree → signed checkpoint → published.

Operations commit their entries without a place (`batcher`). One sequencer per tenant at a time then runs:

  1  lock          a transaction under the tenant's advisory lock (SQLite: the single writer); who finds it
                   taken waits for nothing and comes back
  2  take          committed entries without a place, each writer's in its order
  3  integrate     contiguous places, leaf hashes, tiles; root and checkpoint, signed
  4  swap          the log's (size, root) by compare-and-set, with places, tiles and checkpoint
  5  commit        a crash before it leaves entries waiting, after it an unpublished checkpoint
  6  publish       bundles and tiles, then the checkpoint, to the object tier; idempotent. In between,
                   witnesses are asked to cosign it, for a short time; it is published with what came
  7  mirror        the head, where a restore of the data does not reach
  8  mark          published up to here, and waiting for the cell's log (`governance.celllog`); a crash in
                   6 or 7 is repeated from the database. Where witnesses are missing to
                   the quorum, the newest checkpoint is offered and published again later

A checkpoint leaves the service only after 5, so two different trees of one size are never signed.
Receipts are given for published sizes only.

Logs are woken by their commits, and nothing looks at a log that nobody wrote in. Woken ones are integrated
side by side, a few at a time, so that lanes are left for operations; 6 to 8 run behind that (`publisher`).
"""

import asyncio
import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from tenure import ids
from tenure.backlog import MAX_BACKLOG, Backlog
from tenure.batcher import Batcher, Plain
from tenure.cold.objects import Objects
from tenure.errors import TenureError, Unauthenticated
from tenure.handed import Grown
from tenure.keyring import Keyring
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.merkle import leaf_hash
from tenure.ledger.note import Signer, sign_note
from tenure.ledger.tree import Tree
from tenure.publisher import Publisher, Shelves, Tally
from tenure.store import ledgerkeys, log, sequencing
from tenure.store.database import Database
from tenure.store.log import Log, Pending
from tenure.store.session import Tx
from tenure.witnesses import Witnesses

__all__ = ["Head", "Sequencer", "Shelves", "origin_of"]

MAX_TAKE = 1024
MAX_TREES = 512
"""Right edges that are kept between turns, some kilobytes each; others are read again. One round trip."""
GATHER_S = 0.1
"""How long committed entries wait for company before they get their place: longer where rounds are dear
(`pace`)."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 30.0

_log = structlog.get_logger(__name__)


class Head(NamedTuple):
    """Where the newest generation of a log stands."""

    generation: int
    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, current: Log) -> "Head":
        """Where this log stands."""
        return cls(*current[:4])


class _Turn(NamedTuple):
    """What one transaction did. Not `free`: another process was at it."""

    free: bool
    taken: int = 0
    head: Head | None = None
    published: int = 0


class Sequencer:
    """Integrates the logs of this cell, and has them published."""

    def __init__(
        self,
        batcher: Batcher,
        database: Database,
        keyring: Keyring,
        shelves: Shelves,
        witnesses: Witnesses | None = None,
        *,
        at_once: int = 1,
        max_backlog: int = MAX_BACKLOG,
    ) -> None:
        """`at_once`: how many logs are integrated side by side, at most."""
        self._batcher = batcher
        self._keyring = keyring
        self._at_once = at_once
        self.backlog = Backlog(max_backlog)
        self.publisher = Publisher(batcher, database, keyring, shelves, witnesses, self.backlog)
        self._trees: OrderedDict[str, tuple[int, bytes, Tree]] = OrderedDict()
        self._keeping = threading.Lock()
        self._woken: set[str] = set()
        self._due: set[str] = set()
        self._under_way: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._wake: asyncio.Event | None = None
        self._stop = asyncio.Event()

    # ── one tenant ───────────────────────────────────────────────────────────────────────────────
    async def run(self, tenant_id: str) -> Head | None:
        """Steps 1 to 8 until nothing waits; the newest head, or None when there is no log."""
        head = await self.integrate(tenant_id)
        if head is not None:
            await self.publisher.publish(tenant_id)
        return head

    async def integrate(self, tenant_id: str) -> Head | None:
        """Steps 1 to 5 until nothing waits; the newest head, or None when there is no log."""
        while True:
            waiting = self.backlog.of(tenant_id).unplaced  # of these all are committed by now
            turn: _Turn = await self._batcher.submit(tenant_id, Plain(self._integrate))
            if not turn.free:
                await asyncio.sleep(GATHER_S)
                continue
            if turn.head is None:
                return None
            self.tally.placed += turn.taken
            more = turn.taken == MAX_TAKE
            placed = min(waiting, turn.taken) if more else waiting
            self.backlog.placed(tenant_id, placed, size=turn.head.size, published=turn.published)
            if not more:
                return turn.head

    def _integrate(self, tx: Tx) -> _Turn:
        """Three round trips and the commit's when something waits; one more without a tree."""
        free, old, marks, vkeys = sequencing.turn(tx)
        if not tx.exists:
            raise Unauthenticated("There is no such tenant; nothing was sequenced.")
        if not free or old is None:
            return _Turn(free)
        waiting = log.waiting(tx, marks, MAX_TAKE)
        if not waiting:
            return _Turn(free, 0, Head.of(old), old.published)
        signer = self._signer_of(tx, old, vkeys)
        grown = self._grow(tx, old, waiting, [signer], vkeys)
        tenant_id = tx.tenant_id
        tx.after_commit(lambda: self.publisher.handed.give(tenant_id, grown))
        return _Turn(free, len(waiting), Head.of(grown.log), old.published)

    def _grow(
        self,
        tx: Tx,
        old: Log,
        waiting: Sequence[Pending],
        signers: Sequence[Signer],
        vkeys: tuple[str, ...],
    ) -> Grown:
        """Steps 3 and 4, under the lock. `vkeys` are the log's so far, if it names any."""
        tree = self._tree(tx, old)
        bodies = [entry.body for entry in waiting]
        writes = tree.append(map(leaf_hash, bodies))
        root = tree.root()
        note = sign_note(Checkpoint(old.origin, tree.size, root).body, signers)
        log.place(tx, old.generation, old.size, waiting)
        for write in writes:
            log.put_tile(tx, old.generation, write.level, write.n, write.data)
        if not sequencing.grow(tx, old, size=tree.size, root=root, note=note, at=ids.now()):
            raise TenureError("Another sequencer advanced this log under the lock; nothing was signed.")
        tenant_id = tx.tenant_id
        tx.after_commit(lambda: self._keep_tree(tenant_id, old.generation, root, tree))
        tiles = {(write.level, write.n): write.data for write in writes}
        return Grown(
            old._replace(size=tree.size, root=root),
            note,
            vkeys or (signers[0].vkey,),
            old.size,
            bodies,
            tiles,
        )

    def hand_over(self, tx: Tx, entry: str, to: Signer) -> tuple[int, int]:
        """Steps 1 to 4 until `entry` (`<writer>-<n>`) has its place: that, and its checkpoint's size.

        The key so far signs that checkpoint, and `to`, which signs from then on (`governance.ledgerkeys`). Of
        a transaction that took the lock, waiting for it.
        """
        while True:
            tx.flush()
            _, old, marks, vkeys = sequencing.turn(tx)
            waiting = log.waiting(tx, marks, MAX_TAKE)
            if old is None or not waiting:
                raise TenureError("The entry that names the new key is not there; nothing was signed.")
            place = next((n for n, one in enumerate(waiting) if f"{one.writer}-{one.n}" == entry), None)
            mine = self._signer_of(tx, old, vkeys)
            # Not handed to the publisher: with a changed key, more is to be published than what has grown.
            grown = self._grow(tx, old, waiting, [mine] if place is None else [mine, to], vkeys)
            if place is not None:
                return old.size + place, grown.log.size

    async def publish(self, tenant_id: str) -> None:
        """Steps 6 to 8 for everything not yet published; safe to repeat and to run twice at once."""
        await self.publisher.publish(tenant_id)

    def signer(self, tx: Tx) -> Signer:
        """The key that signs the newest generation of the transaction's tenant."""
        current = log.newest(tx)
        if current is None:
            raise TenureError("This tenant has no log.")
        return self._signer_of(tx, current, ledgerkeys.vkeys(tx, current.generation))

    def _signer_of(self, tx: Tx, current: Log, vkeys: Sequence[str]) -> Signer:
        """The key that the log names first; one that was rotated away signs nothing.

        Where something is to be signed, `vkeys` were read under the log's lock. A log that names none yet
        names it from now on.
        """
        named = vkeys[0] if vkeys else None
        signer = self._keyring.signer(tx.tenant_id, current.origin, named)
        if named is None:
            ledgerkeys.record(tx, current.generation, signer.vkey)
        return signer

    def _tree(self, tx: Tx, old: Log) -> Tree:
        cached = self._trees.get(tx.tenant_id)
        if cached is not None and cached[:2] == (old.generation, old.root) and cached[2].size == old.size:
            return cached[2].copy()
        return sequencing.tree(tx, old)

    def _keep_tree(self, tenant_id: str, generation: int, root: bytes, tree: Tree) -> None:
        with self._keeping:
            self._trees[tenant_id] = (generation, root, tree)
            self._trees.move_to_end(tenant_id)
            while len(self._trees) > MAX_TREES:
                self._trees.popitem(last=False)

    # ── all tenants of this process ──────────────────────────────────────────────────────────────
    @property
    def tally(self) -> Tally:
        """What this process placed and published."""
        return self.publisher.tally

    @property
    def objects(self) -> Objects:
        """The object tier that logs are published to."""
        return self.publisher.objects

    def committed(self, tenant_id: str, count: int) -> None:
        """So many entries of this tenant were committed. Called on the event loop."""
        self.backlog.committed(tenant_id, count)
        self.publisher.committed(tenant_id)
        self.wake(tenant_id)

    async def end_writers(self, tenant_id: str, writers: Sequence[str]) -> None:
        """End the writers of processes that are gone, on record, and have that sequenced."""

        def work(tx: Tx) -> int:
            return sequencing.end_writers(tx, writers, at=ids.now()) if tx.exists else 0

        if await self._batcher.submit(tenant_id, Plain(work)):
            self.wake(tenant_id)

    def wake(self, tenant_id: str) -> None:
        """Entries of this tenant may be waiting. Called on the event loop."""
        self._woken.add(tenant_id)
        if self._wake is not None:
            self._wake.set()

    async def serve(self) -> None:
        """Sequence whatever is woken, until stopped. A failing tenant is tried again, alone."""
        self._wake = asyncio.Event()
        if self._woken:
            self._wake.set()
        turns = asyncio.Semaphore(self._at_once)
        async with asyncio.TaskGroup() as tasks:
            while not self._stop.is_set():
                await self._wake.wait()
                await self._company(GATHER_S)
                self._wake.clear()
                woken, self._woken = self._woken, set()
                self._due |= woken
                for tenant_id in woken - self._under_way:
                    self._under_way.add(tenant_id)
                    tasks.create_task(self._attend(tenant_id, turns))
        await self.publisher.finish()

    def stop(self) -> None:
        """Let `serve` finish what is woken now and return."""
        self._stop.set()
        if self._wake is not None:
            self._wake.set()

    def close(self) -> None:
        """Give the threads back. After `serve` returned, nothing is under way in them."""
        self.publisher.close()

    async def _company(self, wait_s: float) -> None:
        """Let more entries come. Who stops waits for none."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), wait_s)

    async def _attend(self, tenant_id: str, turns: asyncio.Semaphore) -> None:
        """Integrate a tenant's log as often as it is due, and have it published."""
        try:
            while tenant_id in self._due:
                if (wait_s := self.publisher.pace.wait_s(tenant_id)) > 0:
                    await self._company(wait_s)
                async with turns:
                    self._due.discard(tenant_id)
                    await self._attempt(tenant_id)
        finally:
            self._under_way.discard(tenant_id)

    async def _attempt(self, tenant_id: str) -> None:
        try:
            await self.integrate(tenant_id)
        except Unauthenticated:
            # The tenant is gone, and its signing key with it.
            self.backlog.forget(tenant_id)
            self.publisher.handed.forget(tenant_id)
            self._failures.pop(tenant_id, None)
        except Exception as failure:  # noqa: BLE001 - one tenant's trouble must not stop the others
            self.tally.failed += 1
            wait = min(_FIRST_RETRY_S * 2 ** self._failures[tenant_id], _LONGEST_RETRY_S)
            self._failures[tenant_id] += 1
            _log.warning(
                "sequencing failed, will be repeated", tenant=tenant_id, error=type(failure).__name__
            )
            asyncio.get_running_loop().call_later(wait, self.wake, tenant_id)
        else:
            self._failures.pop(tenant_id, None)
            self.publisher.soon(tenant_id)


def origin_of(prefix: str, tenant_id: str, generation: int) -> str:
    """A log's origin line: schema-less, opaque, new for every generation (C2SP tlog-checkpoint)."""
    return f"{prefix}/{tenant_id}/{generation}"
