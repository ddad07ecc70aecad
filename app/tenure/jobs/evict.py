"""The job that ends what has had its time, tenant by tenant (`governance.evictions`)."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog

from tenure.batcher import Batcher
from tenure.crew import Solo
from tenure.errors import TenureError
from tenure.governance.evictions import Looked, look
from tenure.ids import CELL
from tenure.jobs.job import Run
from tenure.store import tenants
from tenure.store.database import Database

_log = structlog.get_logger(__name__)


class Evict:
    """Asks for the erasure of every cohort that is over; `requested` wakes the next batch."""

    def __init__(self, batcher: Batcher, database: Database, requested: Callable[[], None]) -> None:
        self._batcher = batcher
        self._database = database
        self._requested = requested

    async def run(self, run: Run) -> dict[str, int]:
        """`{"cohorts","versions"}` that go. Safe to repeat. A transaction for each 500 cohorts of a tenant.

        A tenant that fails does not keep the others; then the run fails after them.
        """
        counts: Counter[str] = Counter(cohorts=0, versions=0)
        failed: TenureError | None = None
        for tenant_id in await run.in_thread(self._database.read, CELL, tenants.all_ids):
            try:
                await self._tenant(tenant_id, run, counts)
            except TenureError as failure:
                _log.warning("retention could not look at a tenant", tenant=tenant_id, error=failure.kind)
                failed = failure
        if failed is not None:
            raise failed
        return dict(counts)

    async def _tenant(self, tenant_id: str, run: Run, counts: Counter[str]) -> None:
        after: str | None = None
        while True:
            run.check()
            work = partial(look, after=after, confirm=run.confirm)
            looked: Looked = await self._batcher.submit(tenant_id, Solo(work))
            counts.update(cohorts=looked.cohorts, versions=looked.versions)
            if looked.cohorts:
                self._requested()
            if looked.last is None:
                return
            after = looked.last
