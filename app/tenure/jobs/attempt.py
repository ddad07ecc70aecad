"""One run from beginning to end: nothing that a verb raises reaches anybody else."""

import asyncio
import time

import structlog

from tenure import ids
from tenure.errors import TenureError
from tenure.jobs.job import GivenUp, Job, Run, counted
from tenure.jobs.tally import Ran
from tenure.store.jobs import FAILED, OK, STOPPED, Result

_log = structlog.get_logger(__name__)


async def attempt(job: Job, run: Run) -> Ran:
    """Call the verb. A failure is told by its kind alone; a stop gives the run up without a word."""
    began = time.monotonic()
    outcome, error, counts = STOPPED, None, {}
    try:
        counts = counted(await job.verb(run))
        outcome = OK
    except (asyncio.CancelledError, GivenUp):
        _log.info("stopped while a job ran", job=job.name)
    except Exception as failure:  # noqa: BLE001 - the next run is for what this one could not do
        outcome, error = FAILED, kind_of(failure)
        _log.error("a job failed, will be repeated", job=job.name, error=error)
    length_us = int((time.monotonic() - began) * 1_000_000)
    return Ran(Result(outcome, error, length_us, counts), ids.now())


def kind_of(failure: Exception) -> str:
    """A failure's name: messages hold the values that it stumbled over."""
    return failure.kind if isinstance(failure, TenureError) else type(failure).__name__
