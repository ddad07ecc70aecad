"""What is told of jobs that every process has for itself, some of them every second.

A row for each run would be a commit for each. It is written when a job goes otherwise than it did, and when
it has failed often enough to be told; otherwise once a minute, the first time a minute after the start. Who
asks this very process is told what it knows (`desk`).
"""

import asyncio
import time
from functools import partial
from typing import Final

import structlog

from tenure.ids import CELL
from tenure.jobs.due import MANY
from tenure.jobs.job import Job
from tenure.jobs.tally import Ran, Tally
from tenure.store import jobs as store
from tenure.store.database import Database
from tenure.store.jobs import OK

EVERY_S: Final = 60.0
_log = structlog.get_logger(__name__)


class Reports:
    """Writes rows of jobs that are not `single`."""

    def __init__(self, database: Database, tag: str, tally: Tally) -> None:
        self._database = database
        self._tag = tag
        self._tally = tally
        self._told: dict[str, tuple[str, float, int]] = {}
        """Job → the outcome that the row has, when it was written, after how many runs."""
        self._began = time.monotonic()

    async def tell(self, job: Job, ran: Ran) -> None:
        """A run is over and in the tally. Usually nothing; else one short transaction, which may fail."""
        runs, failures = self._tally.runs(job.name), self._tally.failures[job.name]
        outcome, told_at, told_runs = self._told.get(job.name, (OK, self._began, 0))
        now = time.monotonic()
        if ran.result.outcome == outcome and failures != MANY and now - told_at < EVERY_S:
            return
        self._told[job.name] = (ran.result.outcome, now, runs)
        writing = partial(
            store.report,
            name=job.name,
            holder=self._tag,
            result=ran.result,
            every_us=job.every_us,
            runs=runs - told_runs,
            failures=failures,
        )
        try:
            await asyncio.to_thread(self._database.write, CELL, writing)
        except Exception as failure:  # noqa: BLE001 - it is told again in a minute
            _log.warning("how a job went was not kept", job=job.name, error=type(failure).__name__)
