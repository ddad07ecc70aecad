"""Entries → places → tree → signed checkpoint → published.

Operations commit their entries without a place (`batcher`). One sequencer per tenant at a time then runs:

  1  lock          a transaction under the tenant's advisory lock (SQLite: the single writer)
  2  take          committed entries without a place, each writer's in its order
  3  integrate     contiguous places, leaf hashes, tiles; root and checkpoint, signed
  4  swap          the log's (size, root) by compare-and-set, with places, tiles and checkpoint
  5  commit        a crash before it leaves entries waiting, after it an unpublished checkpoint
  6  publish       bundles and tiles, then the checkpoint, to the object tier; idempotent. In between,
                   witnesses are asked to cosign it, for a short time; it is published with what came
  7  mirror        the head, where a restore of the data does not reach
  8  mark          published up to here; a crash in 6 or 7 is repeated from the database. Where witnesses
                   are missing to the quorum, the newest checkpoint is offered and published again later

A checkpoint leaves the service only after 5, so two different trees of one size are never signed.
Receipts are given for published sizes only.
"""

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.files import FileObjects
from tenure.cold.mirror import Mirror
from tenure.crew import Solo
from tenure.errors import TenureError, Unauthenticated
from tenure.keyring import Keyring
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.cosignature import merge
from tenure.ledger.merkle import HASH_SIZE, leaf_hash
from tenure.ledger.note import Signer, sign_note
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, encode_bundle
from tenure.ledger.tree import Tree, consistency
from tenure.store import log
from tenure.store.database import Database
from tenure.store.log import Log
from tenure.store.session import Tx
from tenure.witnesses import AGAIN_S, Witnesses

MAX_TAKE = 1024
GATHER_S = 0.1
"""How long committed entries may wait for company before they get their place."""

_log = structlog.get_logger(__name__)


class Head(NamedTuple):
    """A signed head of one generation."""

    generation: int
    origin: str
    size: int
    root: bytes
    note: str


class Shelves(NamedTuple):
    """Where published things go."""

    objects: FileObjects
    mirror: Mirror


@dataclass(slots=True)
class Tally:
    """Plain counters of this process, for metrics. Seconds are from the commit to the published receipt."""

    placed: int = 0
    published: int = 0
    failed: int = 0
    lag_s: float = 0.0
    lags: int = 0
    last_at: int | None = None
    """When something was published last, in microseconds since the epoch."""


class Sequencer:
    """Integrates and publishes the logs of this cell."""

    def __init__(
        self,
        batcher: Batcher,
        database: Database,
        keyring: Keyring,
        shelves: "Shelves",
        witnesses: Witnesses | None = None,
    ) -> None:
        self._batcher = batcher
        self._database = database
        self._keyring = keyring
        self.objects, self._mirror = shelves
        self._witnesses = witnesses
        self._offering: set[str] = set()
        self.tally = Tally()
        self._since: dict[str, float] = {}
        self._trees: dict[str, tuple[int, bytes, Tree]] = {}
        self._heads = threading.Lock()
        self._dirty: set[str] = set()
        self._wake: asyncio.Event | None = None
        self._stopping = False

    # ── one tenant ───────────────────────────────────────────────────────────────────────────────
    async def run(self, tenant_id: str) -> Head | None:
        """Steps 1 to 8 until nothing waits; the newest head, or None when there is no log."""
        while True:
            taken, head = await self._batcher.submit(tenant_id, Solo(lambda desk: self._integrate(desk.tx)))
            self.tally.placed += taken
            if head is None or taken < MAX_TAKE:
                break
        if head is not None:
            await self.publish(tenant_id)
        return head  # type: ignore[no-any-return]

    def _integrate(self, tx: Tx) -> tuple[int, Head | None]:
        log.lock(tx)
        old = log.newest(tx)
        if old is None:
            return 0, None
        waiting = log.pending(tx, MAX_TAKE)
        if not waiting:
            note = log.checkpoint(tx, old.generation, size=old.size) or ""
            return 0, Head(old.generation, old.origin, old.size, old.root, note)
        tree = self._tree(tx, old)
        writes = tree.append(leaf_hash(entry.body) for entry in waiting)
        root = tree.root()
        note = sign_note(
            Checkpoint(old.origin, tree.size, root).body, [self._keyring.signer(tx.tenant_id, old.origin)]
        )
        log.place(tx, old.generation, old.size, waiting)
        for write in writes:
            log.put_tile(tx, old.generation, write.level, write.n, write.data)
        if not log.grow(tx, old, size=tree.size, root=root, note=note, at=ids.now()):
            self._trees.pop(tx.tenant_id, None)
            raise TenureError("Another sequencer advanced this log under the lock; nothing was signed.")
        self._trees[tx.tenant_id] = (old.generation, root, tree)
        return len(waiting), Head(old.generation, old.origin, tree.size, root, note)

    async def publish(self, tenant_id: str) -> None:
        """Steps 6 to 8 for everything not yet published; safe to repeat and to run twice at once."""
        found = await asyncio.to_thread(self._put, tenant_id)
        if found is not None:
            current, note = found
            await self._batcher.submit(tenant_id, Solo(lambda desk: self._mark(desk.tx, current, note)))
            self.tally.published += 1
            self.tally.last_at = ids.now()
            self._offer_again(tenant_id, note)

    def _put(self, tenant_id: str) -> tuple[Log, str] | None:
        """Steps 6 and 7, in a thread: what is published now, or None when there was nothing to do."""
        fresh = self._database.read(tenant_id, _unpublished)
        if fresh is None and self._witnesses is not None:
            fresh = self._database.read(tenant_id, self._incomplete)
        if fresh is None:
            return None
        current, note, files = fresh
        base = published_name(tenant_id, current.generation)
        for name, data in files:
            self.objects.put(f"{base}/{name}", data)
        note = self._cosigned(tenant_id, current, note)
        with self._heads:
            self._put_head(tenant_id, base, current, note)
        return current, note

    def _mark(self, tx: Tx, current: Log, note: str) -> None:
        """Step 8. Receipts carry the checkpoint as it was published."""
        if self._witnesses is not None:
            log.keep_cosigned(tx, current.generation, current.size, note)
        log.mark_published(tx, current.generation, current.size)

    def _incomplete(self, tx: Tx) -> tuple[Log, str, list[tuple[str, bytes]]] | None:
        """The published head, where witnesses are missing to the quorum."""
        current = log.newest(tx)
        if self._witnesses is None or current is None or current.published != current.size:
            return None
        note = log.checkpoint(tx, current.generation, size=current.size)
        if note is None or self._witnesses.quorum.is_met(note):
            return None
        return current, note, []

    def _cosigned(self, tenant_id: str, current: Log, note: str) -> str:
        """The checkpoint with the cosignatures that came in time."""
        if self._witnesses is None:
            return note

        def prove(old: int, new: int) -> list[bytes]:
            def from_tiles(tx: Tx) -> list[bytes]:
                return consistency(
                    old, new, lambda level, n: log.tile(tx, current.generation, level, n) or b""
                )

            return self._database.read(tenant_id, from_tiles)

        return self._witnesses.cosign(note, prove)

    def _offer_again(self, tenant_id: str, note: str) -> None:
        """Come back to a checkpoint that is short of witnesses; once at a time for each log."""
        if self._witnesses is None or self._witnesses.quorum.is_met(note) or tenant_id in self._offering:
            return

        def again() -> None:
            self._offering.discard(tenant_id)
            self.wake(tenant_id)

        self._offering.add(tenant_id)
        asyncio.get_running_loop().call_later(AGAIN_S, again)

    def _put_head(self, tenant_id: str, base: str, current: Log, note: str) -> None:
        """Checkpoint and mirrored head, unless a newer one is there: published heads only grow.

        A head that is there already is mirrored all the same: a crash may have come between the two.
        """
        there = self.objects.get(f"{base}/checkpoint")
        size = int(there.splitlines()[1]) if there is not None else -1
        if size > current.size:
            return
        if there is not None and size == current.size:
            note = merge(there.decode(), note)
        if note.encode() != there:
            vkey = self._keyring.signer(tenant_id, current.origin).vkey
            self.objects.put(f"{base}/vkey", f"{vkey}\n".encode())
            self.objects.put(f"{base}/checkpoint", note.encode())
        head = {
            "generation": current.generation,
            "origin": current.origin,
            "size": current.size,
            "root": current.root.hex(),
            "checkpoint": note,
        }
        if self._mirror.head(tenant_id) != head:
            self._mirror.put_head(tenant_id, head)

    def signer(self, tx: Tx) -> Signer:
        """The key that signs the newest generation of the transaction's tenant."""
        current = log.newest(tx)
        if current is None:
            raise TenureError("This tenant has no log.")
        return self._keyring.signer(tx.tenant_id, current.origin)

    def _tree(self, tx: Tx, old: Log) -> Tree:
        cached = self._trees.get(tx.tenant_id)
        if cached is not None and cached[:2] == (old.generation, old.root) and cached[2].size == old.size:
            return cached[2].copy()
        edge: dict[int, bytes] = {}
        level, size = 0, old.size
        while size:
            if size % WIDTH:
                edge[level] = log.tile(tx, old.generation, level, size // WIDTH) or b""
            level, size = level + 1, size // WIDTH
        return Tree.from_edge(old.size, edge)

    # ── all tenants of this process ──────────────────────────────────────────────────────────────
    def wake(self, tenant_id: str) -> None:
        """Entries of this tenant were committed. Called on the event loop."""
        self._dirty.add(tenant_id)
        self._since.setdefault(tenant_id, time.monotonic())
        if self._wake is not None:
            self._wake.set()

    async def serve(self) -> None:
        """Sequence whatever is woken, until stopped. A failing tenant is tried again, alone."""
        self._wake = asyncio.Event()
        if self._dirty:
            self._wake.set()
        while not self._stopping:
            await self._wake.wait()
            if not self._stopping:
                await asyncio.sleep(GATHER_S)
            self._wake.clear()
            dirty, self._dirty = self._dirty, set()
            for tenant_id in dirty:
                await self._attempt(tenant_id)

    def stop(self) -> None:
        """Let `serve` finish what is woken now and return."""
        self._stopping = True
        if self._wake is not None:
            self._wake.set()

    async def _attempt(self, tenant_id: str) -> None:
        since = self._since.pop(tenant_id, None)
        try:
            await self.run(tenant_id)
            if since is not None:
                self.tally.lag_s += time.monotonic() - since
                self.tally.lags += 1
        except Unauthenticated:
            return  # the tenant is gone, and its signing key with it
        except Exception as failure:  # noqa: BLE001 - one tenant's trouble must not stop the others
            self.tally.failed += 1
            _log.warning(
                "sequencing failed, will be repeated", tenant=tenant_id, error=type(failure).__name__
            )
            asyncio.get_running_loop().call_later(1.0, self.wake, tenant_id)


def published_logs(tenant_id: str) -> str:
    """Where a tenant's logs lie in the object tier, a folder for each generation."""
    return f"ledger/{tenant_id}"


def published_name(tenant_id: str, generation: int) -> str:
    """Where a log lies in the object tier."""
    return f"{published_logs(tenant_id)}/{generation}"


def origin_of(prefix: str, tenant_id: str, generation: int) -> str:
    """A log's origin line: schema-less, opaque, new for every generation (C2SP tlog-checkpoint)."""
    return f"{prefix}/{tenant_id}/{generation}"


def _unpublished(tx: Tx) -> tuple[Log, str, list[tuple[str, bytes]]] | None:
    """The log, its checkpoint, and the bundles and tiles that changed since the last published size."""
    current = log.newest(tx)
    if current is None or current.published == current.size:
        return None
    note = log.checkpoint(tx, current.generation, size=current.size)
    if note is None:
        raise TenureError("The checkpoint of the log's size is missing from the database.")
    found: list[tuple[str, bytes]] = []
    level, old, new = 0, current.published, current.size
    while new:
        for n in range(old // WIDTH, -(-new // WIDTH)):
            width = min(WIDTH, new - n * WIDTH)
            if level == 0:
                bodies = log.bodies(tx, current.generation, n * WIDTH, width)
                found.append((TileId(ENTRIES, n, width).path, encode_bundle(bodies)))
            data = log.tile(tx, current.generation, level, n)
            if data is None:
                raise TenureError("A tile that the log's size implies is missing from the database.")
            found.append((TileId(level, n, width).path, data[: width * HASH_SIZE]))
        level, old, new = level + 1, old // WIDTH, new // WIDTH
    return current, note, found
