"""When things happen by themselves. Each trigger calls one verb; the verbs are idempotent and resumable."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from tenure.governance.rederive import Rederivations
from tenure.governance.shred import Shredder
from tenure.inspection.patrol import Patrol

_log = structlog.get_logger(__name__)


class Schedule:
    """APScheduler in this process, one run of a job at a time."""

    def __init__(
        self,
        shredder: Shredder,
        shred_interval_s: float,
        rederivations: Rederivations,
        rederive_interval_s: float,
        patrol: Patrol,
        inspect_interval_s: float,
    ) -> None:
        self._shredder = shredder
        self._interval = shred_interval_s
        self._rederivations = rederivations
        self._rederive_interval = rederive_interval_s
        self._patrol = patrol
        self._inspect_interval = inspect_interval_s
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._now: set[asyncio.Task[None]] = set()

    def requested(self, *, now: bool = False) -> None:
        """An erasure was asked for: it waits for the next batch, or begins one `now` or at interval 0."""
        if now or self._interval == 0:
            task = asyncio.get_running_loop().create_task(self._shred())
            self._now.add(task)
            task.add_done_callback(self._now.discard)

    def every(self, seconds: float, verb: Callable[[], Awaitable[None]], name: str) -> None:
        """Call a verb, which raises nothing, in intervals: the first after one of them."""
        self._scheduler.add_job(verb, "interval", seconds=seconds, max_instances=1, coalesce=True, id=name)

    def start(self) -> None:
        """Begin. Called on the event loop."""
        # At interval 0 this repeats what failed; otherwise it is the batch.
        self.every(self._interval or 5, self._shred, "shred")
        self.every(self._rederive_interval, self._rederive, "rederive")
        if self._inspect_interval:
            self.every(self._inspect_interval, self._inspect, "inspect")
        self._scheduler.start()

    def stop(self) -> None:
        """Begin nothing more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _shred(self) -> None:
        await _attempt(asyncio.shield(self._shredder.run()), "erasure batch failed, will be repeated")

    async def _inspect(self) -> None:
        await _attempt(asyncio.to_thread(self._patrol.run), "inspecting failed, will be begun anew")

    async def _rederive(self) -> None:
        await _attempt(self._rederivations.run(), "asking to derive again failed, will be repeated")


async def _attempt(run: Awaitable[object], failed: str) -> None:
    """Wait for a run; the next interval is for what it could not do. A stop gives it up without a word."""
    try:
        await run
    except asyncio.CancelledError:
        _log.info("stopped while a job ran")
    except Exception as failure:  # noqa: BLE001 - see above
        _log.error(failed, error=type(failure).__name__)
