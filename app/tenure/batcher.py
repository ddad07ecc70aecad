"""Group commit: concurrent operations of one tenant share one transaction.

    submit ──► the tenant's queue ──► a free lane ──► one batch:
      1  ask        everything the batch's operations need, in one round trip with BEGIN
      2  perform    each operation in turn: decide, open or seal, collect changes and its entry
      3  commit     all changes and entries with COMMIT, the second round trip
      4  answer     each caller gets its own outcome, only now

A crash before 3 leaves nothing; a crash after it leaves everything but the answers. Nobody waits for
a timer: a lane takes what is waiting the moment it is free. A lane is one thread with one connection
and its own writers (see `store.session.Writers`), so numbers within a writer commit in order.
"""

import asyncio
import contextlib
import queue
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from tenure.errors import TenureError, Unavailable
from tenure.ledger.entry import EntryDraft
from tenure.store.database import Database
from tenure.store.session import Tx, Writers
from tenure.thawing import Cold, Thawed, Where

MAX_BATCH = 128
MAX_WAITING = 1024
"""Operations one tenant may have waiting in this process before the next is told to come back."""

_THAWS = 4
"""How often an operation is performed at most while what it reads moves between packs."""
_RETRIES = 12
"""With fresh reads each time: of two that write the same row one always gets on."""
_log = structlog.get_logger(__name__)


class Operation(Protocol):
    """One caller's unit of work inside a batch."""

    solo: bool
    """Runs in a transaction of its own, with statements of its own."""
    thawed: Thawed | None
    """What was fetched out of packs for it."""


class Lease(Protocol):
    """This process's right to hand out what it opened (`governance.replica`)."""

    def lasts(self) -> bool:
        """Whether other processes still count on this one."""


class Crew(Protocol):
    """Performs a batch inside a transaction: the gateway's side of the bargain."""

    def perform(self, tx: Tx, operations: Sequence[Any]) -> list[Any]:
        """Outcomes in order. An outcome that is an exception is raised to that caller, after commit."""


@dataclass(slots=True)
class Plain:
    """A transaction of the cell's own, in its turn like any other, of which no crew has to know.

    Nobody asked for it, so it is done however much is waiting: it may be what that waits for.
    """

    work: Callable[[Tx], Any]
    solo: bool = True
    thawed: Thawed | None = None


@dataclass(slots=True)
class _Job:
    operation: Operation
    future: asyncio.Future[Any]


@dataclass(slots=True)
class _Queue:
    jobs: deque[_Job] = field(default_factory=deque)
    running: int = 0
    called: bool = False


SIZES = (1, 2, 4, 8, 16, 32, 64, MAX_BATCH)
"""Upper bounds of the sizes of batches that are counted together."""


@dataclass(slots=True)
class Tally:
    """Plain counters, added to once for each batch, on the event loop; whoever asks reads them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Operations by outcome: `ok`, the kind of the error, or `cold`: performed again after a fetch."""
    sizes: Counter[int] = field(default_factory=Counter)
    """Batches by the smallest of `SIZES` that holds them."""
    operations: int = 0

    def add(self, outcomes: Sequence[Any]) -> None:
        """A batch is answered."""
        self.operations += len(outcomes)
        self.sizes[SIZES[bisect_left(SIZES, len(outcomes))]] += 1
        for outcome in outcomes:
            if isinstance(outcome, Cold):
                self.outcomes["cold"] += 1
                continue
            failed = isinstance(outcome, Exception)
            self.outcomes[getattr(outcome, "kind", "error") if failed else "ok"] += 1


class Lane(threading.Thread):
    """One thread, one connection, one writer per tenant. Takes batches, gives outcomes."""

    def __init__(
        self, name: str, database: Database, crew: Crew, done: Callable[..., None], tag: str
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._database = database
        self._crew = crew
        self._done = done
        self._connection: Connection | None = None
        self._writers = Writers(tag)
        self._appended: Counter[str] = Counter()
        self.entries = 0
        """Ledger entries that this lane committed."""
        self.farewell: Callable[[], EntryDraft] | None = None
        self.inbox: queue.SimpleQueue[tuple[str, list[_Job]] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Work until told to stop with None; then close the connection."""
        while (batch := self.inbox.get()) is not None:
            tenant_id, jobs = batch
            self._appended = Counter()
            outcomes = self._batch(tenant_id, [job.operation for job in jobs])
            self._done(self, tenant_id, jobs, outcomes, self._appended)
        if self.farewell is not None:
            self._end(self.farewell)
        self._disconnect()

    def _end(self, farewell: Callable[[], EntryDraft]) -> None:
        """A writer's end is an entry: later, a missing tail can be told from a finished one."""
        for tenant_id in self._writers.started():
            with contextlib.suppress(Exception):  # the next start's writers are new ones in any case
                tx = Tx(
                    self._connect(), self._database.wire(self._connect()), tenant_id, writers=self._writers
                )
                tx.append(farewell())
                tx.commit()

    def _batch(self, tenant_id: str, operations: Sequence[Operation]) -> list[Any]:
        try:
            return self._transaction(tenant_id, operations)
        except Exception as failure:  # noqa: BLE001 - the lane must outlive any one batch
            if self._database.is_lost(failure) or (
                len(operations) == 1 and not self._database.is_clash(failure)
            ):
                return [_outcome(failure)] * len(operations)
        # Nothing was committed: another process wrote the same record or person first, or one operation
        # broke. Alone, with fresh reads, each gets the answer it deserves and none suffers for another.
        return [self._alone(tenant_id, operation) for operation in operations]

    def _alone(self, tenant_id: str, operation: Operation) -> Any:  # noqa: ANN401
        for _ in range(_RETRIES):
            try:
                return self._transaction(tenant_id, [operation])[0]
            except Exception as failure:  # noqa: BLE001
                if not self._database.is_clash(failure):
                    return _outcome(failure)
        return Unavailable("Others keep writing the same record first; nothing was written.")

    def _transaction(self, tenant_id: str, operations: Sequence[Operation]) -> list[Any]:
        connection = self._connect()
        tx: Tx | None = None
        try:
            tx = Tx(connection, self._database.wire(connection), tenant_id, writers=self._writers)
            first = operations[0]
            outcomes = [first.work(tx)] if isinstance(first, Plain) else self._crew.perform(tx, operations)
            tx.commit()
            self._appended.update(tx.appended)
            self.entries += sum(tx.appended.values())
        except BaseException as failure:
            if tx is not None:
                try:
                    tx.rollback()
                except Exception:  # noqa: BLE001 - a dead connection: the server rolls back
                    self._disconnect()
            if self._database.is_lost(failure):
                self._disconnect()
                self._writers.drop()
            elif self._database.is_ended(failure):
                # Another process believed this one to be dead and ended its writer. Nothing was lost.
                self._writers.drop(tenant_id)
            raise
        return outcomes

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.invalidate()
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None


class Batcher:
    """Queues per tenant on the event loop, lanes beneath. One per process."""

    def __init__(
        self,
        database: Database,
        crew: Crew,
        *,
        lanes: int,
        lanes_per_tenant: int,
        lease: Lease,
        max_waiting: int = MAX_WAITING,
        tag: str = "",
    ) -> None:
        """`tag`: see `store.session.Writers`."""
        self._per_tenant = lanes_per_tenant
        self._lease = lease
        self._max_waiting = max_waiting
        self._committed: Callable[[str, int], None] = lambda _tenant_id, _count: None
        self._admit: Callable[[str], None] = lambda _tenant_id: None
        self._fetch: Callable[[Iterable[Where]], Awaitable[Thawed]] | None = None
        self.tally = Tally()
        self._queues: dict[str, _Queue] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._drained: asyncio.Event | None = None
        self._lanes = [Lane(f"tenure-lane-{n}", database, crew, self._done, tag) for n in range(lanes)]
        self._idle = list(self._lanes)
        for lane in self._lanes:
            lane.start()

    @property
    def waiting(self) -> int:
        """Operations of all tenants that wait for a lane."""
        return sum(len(queue_.jobs) for queue_ in self._queues.values())

    @property
    def entries(self) -> int:
        """Ledger entries that were committed here."""
        return sum(lane.entries for lane in self._lanes)

    def on_commit(self, committed: Callable[[str, int], None]) -> None:
        """Be told, on the event loop, of every tenant whose log has new entries, and of how many."""
        self._committed = committed

    def admit_with(self, admit: Callable[[str], None]) -> None:
        """Ask this, on the event loop, before an operation is queued: it may raise Unavailable."""
        self._admit = admit

    def thaw_with(self, fetch: Callable[[Iterable[Where]], Awaitable[Thawed]]) -> None:
        """Have contents that lie in packs fetched by this, on the event loop."""
        self._fetch = fetch

    async def submit(self, tenant_id: str, operation: Operation) -> Any:  # noqa: ANN401
        """Perform an operation in the next batch of its tenant; again once what it found cold was fetched.

        Returns its outcome once it is durable. Raises what the operation raised, or Unavailable when
        too much is waiting or the database cannot be reached.
        """
        for _ in range(_THAWS):
            try:
                return await self._queued(tenant_id, operation)
            except Cold as cold:
                if self._fetch is None:
                    raise
                # The lane is free by now, and its transaction left nothing behind.
                operation.thawed = {**(operation.thawed or {}), **await self._fetch(cold.wanted)}
        raise Unavailable("What was asked for keeps moving between packs; nothing was returned.")

    def _queued(self, tenant_id: str, operation: Operation) -> asyncio.Future[Any]:
        if self._closed:
            raise Unavailable("The service is shutting down; nothing was done.")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiting = self._queues.get(tenant_id)
        if not isinstance(operation, Plain):
            self._admit(tenant_id)
            if waiting is not None and len(waiting.jobs) >= self._max_waiting:
                raise Unavailable(
                    f"{self._max_waiting} operations of this tenant wait for the database; nothing was done.",
                    remedy="Try again after retry_after seconds, with fewer requests at once.",
                )
        if waiting is None:
            waiting = self._queues[tenant_id] = _Queue()
        job = _Job(operation, self._loop.create_future())
        waiting.jobs.append(job)
        if not waiting.called:
            # At the end of this turn of the loop: requests that arrived together go together.
            waiting.called = True
            self._loop.call_soon(self._call, tenant_id, waiting)
        return job.future

    async def close(self, farewell: Callable[[], EntryDraft]) -> None:
        """Finish what is queued, let every writer end on record with `farewell`, stop the lanes."""
        self._closed = True
        if self._queues:
            self._drained = asyncio.Event()
            await self._drained.wait()
        for lane in self._lanes:
            lane.farewell = farewell
            lane.inbox.put(None)
        for lane in self._lanes:
            await asyncio.to_thread(lane.join)

    def _call(self, tenant_id: str, waiting: _Queue) -> None:
        waiting.called = False
        self._start(tenant_id, waiting)

    def _start(self, tenant_id: str, waiting: _Queue) -> None:
        if not self._idle or waiting.running >= self._per_tenant or not waiting.jobs:
            return
        waiting.running += 1
        self._idle.pop().inbox.put((tenant_id, _take(waiting.jobs)))

    def _done(
        self, lane: Lane, tenant_id: str, jobs: list[_Job], outcomes: list[Any], appended: Counter[str]
    ) -> None:
        """Called in the lane's thread: hand over to the loop, once per batch."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._answer, lane, tenant_id, jobs, outcomes, appended)

    def _answer(
        self, lane: Lane, tenant_id: str, jobs: list[_Job], outcomes: list[Any], appended: Counter[str]
    ) -> None:
        if not self._lease.lasts():
            # This process was paused: meanwhile an erasure may have gone on without it. What was done is
            # done and on record; what was opened is not handed out.
            outcomes = [_lapsed() for _ in outcomes]
        self.tally.add(outcomes)
        self._idle.append(lane)
        self._queues[tenant_id].running -= 1
        # Whose turn is it? The tenant that waited longest: queues are kept in that order.
        queue_ = self._queues.pop(tenant_id)
        if queue_.jobs or queue_.running:
            self._queues[tenant_id] = queue_
        for other, waiting in list(self._queues.items()):
            if not self._idle:
                break
            self._start(other, waiting)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.future.done():  # the caller went away; what was done stays done
                continue
            if isinstance(outcome, Exception):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        for written, count in appended.items():
            self._committed(written, count)
        if self._drained is not None and not self._queues:
            self._drained.set()


def _lapsed() -> Unavailable:
    return Unavailable(
        "This process was cut off for a while; what it had opened was not handed out.",
        remedy="Repeat the request; a write with its Idempotency-Key.",
    )


def _take(jobs: deque[_Job]) -> list[_Job]:
    """The next batch: one solo operation, or what is waiting up to the next solo one."""
    batch = [jobs.popleft()]
    while not batch[0].operation.solo and jobs and not jobs[0].operation.solo and len(batch) < MAX_BATCH:
        batch.append(jobs.popleft())
    return batch


def _outcome(failure: Exception) -> Exception:
    """What callers are told when a whole batch failed: nothing about the database's insides."""
    if isinstance(failure, TenureError):
        return failure
    with contextlib.suppress(Exception):  # an application's own log may fail; a lane that dies answers nobody
        _log.error("batch failed", error=type(failure).__name__)
    return Unavailable("The transaction failed; if it was a write, repeat it with the same Idempotency-Key.")
