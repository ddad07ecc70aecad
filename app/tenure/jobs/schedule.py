"""When things happen by themselves. Each trigger calls one verb; the verbs are idempotent and resumable.

Jobs that every process has for itself have a trigger each. For those that run once in the cell there is one,
which looks whether any of them is due (`runner`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from tenure.jobs.attempt import attempt
from tenure.jobs.job import Job, Run
from tenure.jobs.reports import Reports
from tenure.jobs.runner import Runner
from tenure.jobs.tally import Ran, Tally
from tenure.store.jobs import STOPPED

SHRED = "shred"
_LOOK = "look"
_CLOCK_S = 1.0
_log = structlog.get_logger(__name__)


class Schedule:
    """APScheduler in this process, one run of a job at a time."""

    def __init__(
        self,
        jobs: Sequence[Job],
        runner: Runner,
        tally: Tally,
        reports: Reports,
        *,
        at_once: bool,
        looks: bool,
    ) -> None:
        """`at_once`: an erasure begins when it is asked for. `looks`: jobs of the cell are run here, too."""
        self.jobs = {job.name: job for job in jobs}
        self._runner = runner
        self._tally = tally
        self._reports = reports
        self._at_once = at_once
        self._looks = looks and any(job.single for job in jobs)
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._intervals: dict[str, float] = {}
        self._ahead = _ahead()
        self._watch: asyncio.TimerHandle | None = None
        self._now: set[asyncio.Task[Ran]] = set()
        self._here: dict[str, asyncio.Task[Ran]] = {}

    def requested(self, *, now: bool = False) -> None:
        """An erasure was asked for: it waits for the next batch, or begins one `now` or at interval 0."""
        if now or self._at_once:
            task = asyncio.get_running_loop().create_task(self._run_here(self.jobs[SHRED]))
            self._now.add(task)
            task.add_done_callback(self._now.discard)

    def start(self) -> None:
        """Begin. Called on the event loop."""
        for job in self.jobs.values():
            if not job.single:
                self._every(job.every_s, self._triggered(job), job.name)
        if self._looks:
            self._every(self._runner.look_s, self._look, _LOOK)
        self._scheduler.start()
        self._mind_the_clock()

    def stop(self) -> None:
        """Begin nothing more, and give up what runs."""
        if self._watch is not None:
            self._watch.cancel()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._here.values():
            task.cancel()
        self._runner.stop()

    async def ended(self) -> None:
        """After `stop`: until the cell's jobs that ran here have ended."""
        await self._runner.ended()

    async def begin(self, name: str) -> asyncio.Task[Ran] | None:
        """Run a job now; the run under way here if there is one. None while another process runs it."""
        job = self.jobs[name]
        return await self._runner.begin(name) if job.single else self._begin_here(job)

    def _every(self, seconds: float, verb: Callable[[], Awaitable[None]], name: str) -> None:
        self._intervals[name] = seconds
        self._scheduler.add_job(verb, "interval", seconds=seconds, max_instances=1, coalesce=True, id=name)

    def _mind_the_clock(self) -> None:
        """APScheduler waits for a time of day: when the clock is set back, it would wait as much longer."""
        ahead = _ahead()
        if ahead < self._ahead - _CLOCK_S:
            for name, seconds in self._intervals.items():
                self._scheduler.reschedule_job(name, trigger="interval", seconds=seconds)
        self._ahead = ahead
        self._watch = asyncio.get_running_loop().call_later(_CLOCK_S, self._mind_the_clock)

    async def _look(self) -> None:
        try:
            await self._runner.look()
        except asyncio.CancelledError:
            return
        except Exception as failure:  # noqa: BLE001 - the next look is for what this one could not see
            _log.warning("it could not be seen which jobs are due", error=type(failure).__name__)

    # ── what every process has for itself ────────────────────────────────────────────────────────
    def _triggered(self, job: Job) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.wait({self._begin_here(job)})

        return run

    def _begin_here(self, job: Job) -> asyncio.Task[Ran]:
        if (running := self._here.get(job.name)) is not None:
            return running
        task = asyncio.get_running_loop().create_task(self._run_here(job))
        self._here[job.name] = task
        task.add_done_callback(lambda _: self._here.pop(job.name, None))
        return task

    async def _run_here(self, job: Job) -> Ran:
        ran = await attempt(job, Run(job.name))
        self._tally.note(job.name, ran)
        if ran.result.outcome != STOPPED:
            await self._reports.tell(job, ran)
        return ran


def _ahead() -> float:
    """How far the time of day is from a clock that nobody sets; only its changes mean anything."""
    return time.time() - time.monotonic()
