"""Signed heads → the object tier, witnesses and the mirror: steps 6 to 8 of `sequencer`.

One log is published by one round at a time, many logs side by side. Whoever asks while a round is under way
shares the next one, which takes all sizes that came meanwhile together: a slow object tier or witness makes
rounds longer and fewer, and holds up neither commits, nor sequencing, nor other tenants.

    6a  files     bundles and tiles, idempotent: a partial one has a name of its own for every width, and
                  none is ever removed, so what a published checkpoint needs stays (C2SP tlog-tiles,
                  "Partial Tiles"). What this process has just placed was handed over (`handed`), all
                  else is read
    6b  cosign    witnesses are asked, for a short time
    6c  head      the checkpoint, unless a newer one is there; one process at a time
    7   mirror    the same head
    8   mark      published up to here, with the cosignatures. On PostgreSQL in the transaction that kept
                  others from 6c and 7; SQLite's one writer is a lane's, and waits for no object
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import structlog

from tenure import ids
from tenure.backlog import Backlog
from tenure.batcher import Batcher, Plain
from tenure.cold.mirror import Mirror
from tenure.cold.objects import Objects
from tenure.errors import TenureError, Unauthenticated
from tenure.handed import Grown, Handed
from tenure.ids import CELL
from tenure.keyring import Keyring
from tenure.ledger.keychain import FILE
from tenure.ledger.merkle import HASH_SIZE
from tenure.ledger.tile import ENTRIES, WIDTH, TileId, encode_bundle
from tenure.ledger.tree import consistency
from tenure.pace import Pace
from tenure.publication import Shelf, head_of, put_files, put_head
from tenure.store import celllog, ledgerkeys, log, sequencing
from tenure.store.database import Database
from tenure.store.log import Log
from tenure.store.session import Tx
from tenure.witnesses import AGAIN_S, Witnesses

PUTTING = 8
"""Threads that write objects: so many logs are published side by side."""
ASKING = 16
"""Threads that wait for witnesses."""
_STRIDE = 16
"""Files that are read from the database together, each at most 256 entries."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 30.0

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Shelves(NamedTuple):
    """Where published things go."""

    objects: Objects
    mirror: Mirror


class Ready(NamedTuple):
    """A head with all that it needs in place, and what goes with it."""

    log: Log
    note: str
    vkeys: tuple[str, ...]
    """Keys that signed this generation up to this size, newest first."""
    chain: str = ""
    """The proofs of a key that was changed since the published size."""
    shown: str = ""
    """The checkpoint that this process published last, if it knows."""


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


class Publisher:
    """Publishes the logs of this cell. One per process; its methods are called on the event loop."""

    def __init__(
        self,
        batcher: Batcher,
        database: Database,
        keyring: Keyring,
        shelves: Shelves,
        witnesses: Witnesses | None,
        backlog: Backlog,
    ) -> None:
        self._batcher = batcher
        self._database = database
        self._keyring = keyring
        self.objects, self._mirror = shelves
        self._witnesses = witnesses
        self._backlog = backlog
        self.handed = Handed()
        self.pace = Pace()
        self.tally = Tally()
        self._since: dict[str, float] = {}
        self._putting = ThreadPoolExecutor(PUTTING, thread_name_prefix="publish")
        self._asking = ThreadPoolExecutor(ASKING, thread_name_prefix="cosign")
        self._now: dict[str, asyncio.Task[None]] = {}
        self._next: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: Counter[str] = Counter()
        self._published: Callable[[], None] = lambda: None
        self._later: set[str] = set()
        self._short: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None

    def committed(self, tenant_id: str) -> None:
        """Entries were committed, that will be published."""
        self._since.setdefault(tenant_id, time.monotonic())

    def on_published(self, published: Callable[[], None]) -> None:
        """Be told, on the event loop, that a checkpoint was published and marked so."""
        self._published = published

    # ── rounds ───────────────────────────────────────────────────────────────────────────────────
    async def publish(self, tenant_id: str) -> None:
        """Publish whatever has its place by now. Safe to repeat, here and in other processes."""
        following = self._next.get(tenant_id)
        if following is None:
            following = self._next[tenant_id] = self._begin(self._after(tenant_id))
        await asyncio.shield(following)

    def soon(self, tenant_id: str) -> None:
        """The same in the background. What fails is repeated, later each time, until it does not."""
        if tenant_id not in self._next and tenant_id not in self._later:
            self._begin(self._attempt(tenant_id))

    async def finish(self) -> None:
        """Wait for every round that was asked for."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """Give up what is under way, as a crash would, and the threads."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._putting.shutdown(cancel_futures=True)
        self._asking.shutdown(cancel_futures=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever waits for the round has it too

    async def _after(self, tenant_id: str) -> None:
        if (before := self._now.get(tenant_id)) is not None:
            await asyncio.wait([before])
        this = self._now[tenant_id] = self._next.pop(tenant_id)
        try:
            await self._round(tenant_id)
        except Unauthenticated:
            self._failures.pop(tenant_id, None)
            self.handed.forget(tenant_id)
            raise
        except Exception:
            self._failures[tenant_id] += 1
            raise
        else:
            self._failures.pop(tenant_id, None)
        finally:
            if self._now.get(tenant_id) is this:
                del self._now[tenant_id]

    async def _attempt(self, tenant_id: str) -> None:
        try:
            await self.publish(tenant_id)
        except Unauthenticated:
            return  # the tenant is gone, and its signing key with it
        except Exception as failure:  # noqa: BLE001 - one tenant's trouble must not stop the others
            wait = min(_FIRST_RETRY_S * 2 ** (self._failures[tenant_id] - 1), _LONGEST_RETRY_S)
            _log.warning(
                "publishing failed, will be repeated", tenant=tenant_id, error=type(failure).__name__
            )
            self._later.add(tenant_id)
            asyncio.get_running_loop().call_later(wait, self._again, tenant_id)

    def _again(self, tenant_id: str) -> None:
        self._later.discard(tenant_id)
        self.soon(tenant_id)

    async def _round(self, tenant_id: str) -> None:
        """Steps 6 to 8. A crash anywhere in it is repeated from the database."""
        since = self._since.pop(tenant_id, None)
        published = await self._published_head(tenant_id)
        if published is None:
            return
        current, note = published
        if not self._marks_at_once:
            await self._batcher.submit(tenant_id, Plain(lambda tx: self._mark(tx, current, note)))
        self.handed.published(tenant_id, current.generation, current.size, note)
        self._backlog.published(tenant_id, current.size)
        self._count(since)
        self._published()
        if self._watched(tenant_id) and self._witnesses and not self._witnesses.quorum.is_met(note):
            self._come_back(tenant_id)

    async def _published_head(self, tenant_id: str) -> tuple[Log, str] | None:
        """Steps 6 and 7, in one thread unless witnesses are waited for."""
        if not self._watched(tenant_id):
            begun = time.monotonic()
            published, cpu_s = await self._threaded(self._putting, self._put_all, tenant_id)
            self.pace.took(tenant_id, begun, cpu_s)
            return published
        ready = await self._threaded(self._putting, self._put_files, tenant_id)
        if ready is None:
            return None
        note = await self._threaded(self._asking, self._cosigned, tenant_id, ready.log, ready.note)
        return ready.log, await self._threaded(self._putting, self._put_head, tenant_id, ready, note)

    def _put_all(self, tenant_id: str) -> tuple[tuple[Log, str] | None, float]:
        """Together with what it took of the processor, in seconds."""
        begun = time.thread_time()
        ready = self._put_files(tenant_id)
        published = ready and (ready.log, self._put_head(tenant_id, ready, ready.note))
        return published, time.thread_time() - begun

    def _count(self, since: float | None) -> None:
        self.tally.published += 1
        self.tally.last_at = ids.now()
        if since is not None:
            self.tally.lag_s += time.monotonic() - since
            self.tally.lags += 1

    async def _threaded(self, threads: ThreadPoolExecutor, work: Callable[..., T], *given: Any) -> T:  # noqa: ANN401 - passed on
        return await asyncio.get_running_loop().run_in_executor(threads, work, *given)

    # ── 6a: bundles and tiles ────────────────────────────────────────────────────────────────────
    def _put_files(self, tenant_id: str) -> Ready | None:
        """The head to publish, with all that it needs in place; None when there is nothing to do.

        No round trip for what was handed over, else two, and one for each sixteen files.
        """
        doubt = self._failures[tenant_id] > 0
        grown = None if doubt else self.handed.take(tenant_id)
        if grown is not None:
            ready: Ready | None = Ready(grown.log, grown.note, grown.vkeys, shown=grown.shown)
        else:
            ready = self._database.read(tenant_id, partial(self._ready, doubt=doubt))
        if ready is None:
            return None
        current, shelf = ready.log, self._shelf(tenant_id, ready)
        names = changed_files(current.published, current.size)
        while some := list(islice(names, _STRIDE)):
            # What has its place stays as it is, so these need not be of one transaction.
            part = grown or self._database.read(tenant_id, partial(_stored, ready=ready, names=some))
            put_files(shelf, ((name.path, _content(part, name)) for name in some))
            if grown is None and part.bodies and not ready.chain:
                self.handed.give(tenant_id, part)
        if ready.chain:
            # Only where a restored database would adopt the new key: the pointer first.
            self._mirror_pointer()
            self.objects.put(f"{shelf.base}/{FILE}", ready.chain.encode())
        return ready

    def _mirror_pointer(self) -> None:
        live = self._keyring.live().pointer
        named = self._mirror.pointer()
        if named is None or named[0] < live.seq:
            self._mirror.put_pointer(live.seq, live.digest)

    def _watched(self, tenant_id: str) -> bool:
        """Whether witnesses are asked for this log."""
        return self._witnesses is not None and self._witnesses.quorum.watches(is_cell=tenant_id == CELL)

    def _ready(self, tx: Tx, *, doubt: bool) -> Ready | None:
        """The newest head where something is to be done about it, with the proofs of a key just changed.

        `doubt`: the last round failed. Its head may have come after a newer one of another process, if it was
        cut off for long in the middle of putting it; so it is put again even where it is published.
        """
        current = sequencing.newest(tx)
        if current is None:
            return None
        watched = self._watched(tx.tenant_id)
        if current.published == current.size and not watched and not doubt:
            return None
        note, keys = sequencing.checkpoint(tx, current.generation, current.size)
        vkeys = tuple(key.vkey for key in keys)
        if current.published < current.size:
            if note is None:
                raise TenureError("The checkpoint of the log's size is missing from the database.")
            changed = keys and keys[0].size > current.published
            chain = ledgerkeys.rotations(tx, current.generation, current.size) if changed else ""
            return Ready(current, note, vkeys, chain)
        short = watched and self._witnesses and note and not self._witnesses.quorum.is_met(note)
        if note is None or not (doubt or short):
            return None
        return Ready(current, note, vkeys)

    # ── 6b: witnesses ────────────────────────────────────────────────────────────────────────────
    def _cosigned(self, tenant_id: str, current: Log, note: str) -> str:
        """The checkpoint with the cosignatures that came in time."""
        if self._witnesses is None:
            return note
        # A witness that saw it refuses every other head of this size, for ever: a restore must know of it.
        head = head_of(current, note)
        if self._mirror.offered(tenant_id) != head:
            self._mirror.put_offered(tenant_id, head)

        def prove(old: int, new: int) -> list[bytes]:
            def from_tiles(tx: Tx) -> list[bytes]:
                return consistency(
                    old, new, lambda level, n: log.tile(tx, current.generation, level, n) or b""
                )

            return self._database.read(tenant_id, from_tiles)

        return self._witnesses.cosign(note, prove)

    def _come_back(self, tenant_id: str) -> None:
        """The checkpoint is short of witnesses: offer it again with all others that are, on one timer."""
        self._short.add(tenant_id)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._offer_again)

    def _offer_again(self) -> None:
        self._timer = None
        short, self._short = self._short, set()
        for tenant_id in short:
            if self._witnesses is not None and self._witnesses.any_awake():
                self.soon(tenant_id)
            else:
                self._come_back(tenant_id)

    # ── 6c, 7, 8: the head ───────────────────────────────────────────────────────────────────────
    def _put_head(self, tenant_id: str, ready: Ready, note: str) -> str:
        """Checkpoint and mirrored head, unless a newer one is there: published heads only grow.

        One process at a time: two that look and then put might put the smaller one last. Nothing is put that
        is not, or no longer, what the database has of this log.
        """

        def alone(tx: Tx) -> str:
            now = sequencing.lock_head(tx)
            if now is None or not _has(now, ready.log):
                raise TenureError("The database has another log than the head is of; it was not published.")
            if now.published > ready.log.size and not self._failures[tenant_id]:
                return note  # another process was faster, perhaps under a key that this head does not know
            put = put_head(self._shelf(tenant_id, ready), ready.log, note)
            if self._marks_at_once:
                self._mark(tx, ready.log, put)
            return put

        run = self._database.write if self._marks_at_once else self._database.read
        return run(tenant_id, alone)

    @property
    def _marks_at_once(self) -> bool:
        """Whether 8 is in one transaction with 6c and 7."""
        return self._database.dialect != "sqlite"

    def _shelf(self, tenant_id: str, ready: Ready) -> Shelf:
        """The key is the one in force at this size; earlier ones have signed before."""
        current = ready.log
        vkeys = ready.vkeys or (self._keyring.signer(tenant_id, current.origin).vkey,)
        first, earlier = vkeys[0], vkeys[1:]
        return Shelf(
            self.objects, self._mirror, tenant_id, current.generation, first, earlier, ready.shown.encode()
        )

    def _mark(self, tx: Tx, current: Log, note: str) -> None:
        """Receipts carry the checkpoint as it was published. One round trip, and the commit's."""
        if self._witnesses is not None:
            log.keep_cosigned(tx, current.generation, current.size, note)
        if sequencing.mark_published(tx, current.generation, current.size):
            celllog.enqueue(tx, current)


def changed_files(old: int, new: int) -> Iterator[TileId]:
    """Bundles and tiles that a log of `new` entries has and one of `old` entries had not."""
    level = 0
    while old < new:
        for n in range(old // WIDTH, -(-new // WIDTH)):
            width = min(WIDTH, new - n * WIDTH)
            if level == 0:
                yield TileId(ENTRIES, n, width)
            yield TileId(level, n, width)
        level, old, new = level + 1, old // WIDTH, new // WIDTH


def _has(now: Log, head: Log) -> bool:
    """Whether a log has a head, or has grown beyond it."""
    if now.generation != head.generation:
        return False
    return now.size > head.size or (now.size, now.root) == (head.size, head.root)


def _stored(tx: Tx, ready: Ready, names: list[TileId]) -> Grown:
    """What these files hold, as the database has it. Two round trips."""
    current, hashed = ready.log, [(one.level, one.n) for one in names if one.level != ENTRIES]
    ranges = [(one.n * WIDTH, one.width) for one in names if one.level == ENTRIES]
    tiles = zip(hashed, sequencing.tiles(tx, current.generation, hashed), strict=True)
    bundles = sequencing.bundles(tx, current.generation, ranges)
    if [width for _, width in ranges] != [len(bodies) for bodies in bundles]:
        raise _missing("Entries")
    first = ranges[0][0] if ranges else current.size
    bodies = [body for bundle in bundles for body in bundle]
    there = {name: data for name, data in tiles if data is not None}
    return Grown(current, ready.note, ready.vkeys, first, bodies, there)


def _content(part: Grown, name: TileId) -> bytes:
    """A file: the entries of a bundle, or the hashes of a tile, all that its name says."""
    if name.level == ENTRIES:
        at = name.n * WIDTH - part.first
        bodies = part.bodies[at : at + name.width]
        if len(bodies) != name.width:
            raise _missing("Entries")
        return encode_bundle(bodies)
    tile = part.tiles.get((name.level, name.n), b"")
    if len(tile) < name.width * HASH_SIZE:
        raise _missing("Hashes")
    return tile[: name.width * HASH_SIZE]


def _missing(what: str) -> TenureError:
    return TenureError(f"{what} that the log's size implies are missing from the database.")
