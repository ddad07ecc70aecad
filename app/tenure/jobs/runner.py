"""Jobs that run once in the cell: looked for in the database, claimed by one process, run here.

    1 look      at every job's row; what is due, and claimed by nobody, is next
    2 claim     by compare-and-set on the row as it was seen            ── of several processes one gets it ──
    3 run       the verb, while a thread renews the claim; a claim that is gone ends the run
    4 finish    outcome, counts and the claim's end, in one transaction

A crash before 2 is committed leaves nothing; after it a claim that runs out, and the next run begins at once.
After a stop the row says `stopped`, and the next run begins at once as well.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from tenure.ids import CELL
from tenure.jobs.attempt import attempt
from tenure.jobs.claim import Claim
from tenure.jobs.due import Sightings, Spread, due_at
from tenure.jobs.job import Job, Run
from tenure.jobs.tally import Ran, Tally
from tenure.store import jobs as store
from tenure.store.database import Database
from tenure.store.jobs import Row

LOOK_S: Final = 5.0
"""How often rows are looked at, at least: from a dead process another takes over in this and a lease."""
LOST: Final = "lost"
"""The outcome here of a run that was taken over from; its row is another run's by then."""
_FOREVER_S = 100 * 365 * 86_400.0
_PATIENCE_S = 10.0
_SECOND = 1_000_000
_log = structlog.get_logger(__name__)


class Runner:
    """Claims and runs jobs that are `single`. On the event loop; the database is asked in threads."""

    def __init__(
        self, jobs: Sequence[Job], database: Database, tag: str, tally: Tally, *, lease_s: float
    ) -> None:
        """`tag` names this process in rows (`Replica.tag`)."""
        self._jobs = {job.name: job for job in jobs}
        self._database = database
        self._tag = tag
        self._tally = tally
        # SQLite's file has one process (`bootstrap`): what another one claimed is over, what this has is not.
        self._alone = database.dialect == "sqlite"
        self._lease_s = _FOREVER_S if self._alone else lease_s
        self._sightings = Sightings()
        self._spread = Spread()
        self._claiming = asyncio.Lock()
        self._running: dict[str, asyncio.Task[Ran]] = {}
        self._stopping = False

    @property
    def look_s(self) -> float:
        """How often to call `look`."""
        return min([LOOK_S, *(job.every_s for job in self._jobs.values())])

    async def look(self) -> None:
        """Begin every job that is due and that nobody runs. One short transaction when none is."""
        await asyncio.shield(self._look())  # a claim that was committed has its run

    async def begin(self, name: str) -> asyncio.Task[Ran] | None:
        """Begin a job now, due or not; the run that is under way here if there is one.

        None while another process runs it, or may do so.
        """
        return await asyncio.shield(self._begin_now(name))

    def stop(self) -> None:
        """Begin nothing more, and give up what runs. Called on the event loop."""
        self._stopping = True
        for task in self._running.values():
            # After its first step: a run that never began could not say that it was stopped.
            asyncio.get_running_loop().call_soon(task.cancel)

    async def ended(self) -> None:
        """After `stop`: until every run has ended and said so. Of those that take long the claims run out."""
        async with self._claiming:
            left = list(self._running.values())
        if left:
            await asyncio.wait(left, timeout=_PATIENCE_S)

    # ── 1 look ───────────────────────────────────────────────────────────────────────────────────
    async def _look(self) -> None:
        async with self._claiming:
            rows = await self._rows()
            for job in self._jobs.values():
                row = rows.get(job.name)
                if job.name not in self._running and self._is_free(row) and self._is_due(job, row):
                    await self._begin(job, row)

    async def _begin_now(self, name: str) -> asyncio.Task[Ran] | None:
        async with self._claiming:
            if (running := self._running.get(name)) is not None:
                return running
            row = (await self._rows()).get(name)
            return await self._begin(self._jobs[name], row) if self._is_free(row) else None

    async def _rows(self) -> dict[str, Row]:
        return await asyncio.to_thread(self._database.read, CELL, store.every)

    def _is_free(self, row: Row | None) -> bool:
        if row is None or (self._alone and row.holder != self._tag):
            return True
        return self._sightings.is_over(row, self._lease_s, time.monotonic())

    def _is_due(self, job: Job, row: Row | None) -> bool:
        return row is None or due_at(row, job.every_us) + self._spread.us(row, job.every_us) <= row.at

    # ── 2 claim ──────────────────────────────────────────────────────────────────────────────────
    async def _begin(self, job: Job, row: Row | None) -> asyncio.Task[Ran] | None:
        if self._stopping:
            return None
        began = time.monotonic()
        lease_us = int(self._lease_s * _SECOND)
        claiming = partial(
            store.claim, name=job.name, holder=self._tag, seen=row, every_us=job.every_us, lease_us=lease_us
        )
        number = await asyncio.to_thread(self._database.write, CELL, claiming)
        if number is None:
            return None
        if row is not None and row.started_at is not None and row.finished_at is None:
            _log.warning("a job goes on that its process left", job=job.name, process=row.holder)
        task = asyncio.create_task(self._run(job, number, began))
        self._running[job.name] = task
        task.add_done_callback(lambda _: self._running.pop(job.name, None))
        return task

    # ── 3 run, 4 finish ──────────────────────────────────────────────────────────────────────────
    async def _run(self, job: Job, number: int, began: float) -> Ran:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        claim = Claim(
            self._database,
            job.name,
            number,
            lease_s=self._lease_s,
            began=began,
            lost=partial(loop.call_soon_threadsafe, task.cancel),
        )
        if not self._alone:
            claim.start()
        run = Run(job.name, number, lasts=lambda: not self._stopping and claim.lasts())
        if self._stopping:  # while it was claimed
            task.cancel()
        try:
            finishing = asyncio.ensure_future(self._finish(job, number, await attempt(job, run), claim))
            while not finishing.done():
                with suppress(asyncio.CancelledError):  # what is over is said, whoever stops meanwhile
                    await asyncio.shield(finishing)
        finally:
            claim.end()
        ran = finishing.result()
        self._tally.note(job.name, ran)
        return ran

    async def _finish(self, job: Job, number: int, ran: Ran, claim: Claim) -> Ran:
        await asyncio.to_thread(claim.end)
        try:
            said = await asyncio.to_thread(
                self._database.write,
                CELL,
                partial(store.finish, name=job.name, number=number, result=ran.result),
            )
        except Exception as failure:  # noqa: BLE001 - the claim runs out, and the next run begins at once
            _log.error("how a job went was not kept", job=job.name, error=type(failure).__name__)
            return ran
        if said:
            return ran
        _log.warning("a job was taken over from this process", job=job.name)
        return ran._replace(result=ran.result._replace(outcome=LOST))
