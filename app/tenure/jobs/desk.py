"""Jobs, for the cell's operator: how each went and when it is next; one of them now."""

import asyncio
import json
from typing import Any, Final

from tenure import ids
from tenure.errors import Conflict, NotFound, NotYet
from tenure.governance.service import Service
from tenure.ids import CELL
from tenure.jobs.due import due_at, is_running
from tenure.jobs.job import Job
from tenure.jobs.schedule import Schedule
from tenure.jobs.tally import Ran, Tally
from tenure.model.principal import Credential
from tenure.store import jobs as store
from tenure.store.database import Database
from tenure.store.jobs import Row

SCOPE: Final = "tenure.jobs"
_PATIENCE_S: Final = 20.0
_SECOND = 1_000_000


class Jobs:
    """Lists jobs, and runs one."""

    def __init__(
        self, service: Service, database: Database, schedule: Schedule, tally: Tally, tag: str
    ) -> None:
        self._service = service
        self._database = database
        self._schedule = schedule
        self.tally = tally
        self._tag = tag

    async def every(self, credential: Credential) -> dict[str, Any]:
        """All jobs of this process and how they went in the cell, by name: `{"items":[…]}`.

        An item is `{"name","describe","every_s","single","state","outcome","error","counts","duration_s",
        "started_at","finished_at","succeeded_at","next_at","runs","failures","process"}`; `state` is
        `running`, `waiting`, or `left` when the process that ran it is gone. One transaction.
        """
        rows = await self._service.run(credential, SCOPE, "read", lambda seat: store.every(seat.desk.tx))
        jobs = sorted(self._schedule.jobs.values(), key=lambda job: job.name)
        return {"items": [self._item(job, rows.get(job.name)) for job in jobs]}

    async def run(self, credential: Credential, name: str) -> dict[str, Any]:
        """Run a job now, due or not, by the same claim: `{"name","outcome","error","counts","duration_s"}`.

        Who asks while it is under way in this process waits for that run. Conflict while another process runs
        it, NotYet when it takes its time: it goes on while this process runs.
        """
        await self._service.run(credential, SCOPE, "write", lambda _: None)
        if name not in self._schedule.jobs:
            raise NotFound(
                "This process has no job of this name; nothing was begun.",
                field="name",
                rule="the name of a job",
                remedy="List them with 'tenure jobs'.",
            )
        running = await self._schedule.begin(name)
        if running is None:
            raise Conflict(
                "Another process of this cell runs this job, or did a moment ago; nothing was begun.",
                field="name",
                rule="one run at a time in the cell",
                remedy="Look again with 'tenure jobs'. From a process that is gone another takes over soon.",
            )
        await asyncio.wait({running}, timeout=_PATIENCE_S)
        if not running.done():
            raise NotYet(
                "The job is under way; it goes on while this process runs.",
                retry_after=5,
                remedy="Look with 'tenure jobs' how it went.",
            )
        result = running.result().result
        return {
            "name": name,
            "outcome": result.outcome,
            "error": result.error,
            "counts": dict(result.counts),
            "duration_s": result.duration_us / _SECOND,
        }

    async def standing(self) -> dict[str, tuple[int | None, int]]:
        """Job → (when it went well last, in microseconds, in any process; failures in a row), for metrics.

        One short transaction.
        """
        rows = await asyncio.to_thread(self._database.read, CELL, store.every)
        tally, found = self.tally, {}
        for name in self._schedule.jobs:
            row = rows.get(name)
            known = (tally.succeeded_at.get(name), row.succeeded_at if row else None)
            at = max((one for one in known if one is not None), default=None)
            found[name] = (at, max(tally.failures[name], row.failures if row else 0))
        return found

    def _item(self, job: Job, row: Row | None) -> dict[str, Any]:
        here = None if job.single else self.tally.last.get(job.name)
        found = _of_here(job, row, here, self.tally, self._tag) if here is not None else row
        next_at = due_at(found, job.every_us)
        state = "waiting"
        if found is not None and found.started_at is not None and found.finished_at is None:
            # SQLite's file has one process: whatever another one ran, it left.
            mine = self._database.dialect != "sqlite" or found.holder == self._tag
            state = "running" if mine and is_running(found) else "left"
        return {
            "name": job.name,
            "describe": job.describe,
            "every_s": job.every_s,
            "single": job.single,
            "state": state,
            "outcome": found.outcome if found else None,
            "error": found.error if found else None,
            "counts": json.loads(found.counts) if found else {},
            "duration_s": found.duration_us / _SECOND if found and found.duration_us is not None else None,
            "started_at": _time(found.started_at) if found else None,
            "finished_at": _time(found.finished_at) if found else None,
            "succeeded_at": _time(found.succeeded_at) if found else None,
            "next_at": _time(next_at) if next_at and state != "running" else None,
            "runs": found.runs if found else 0,
            "failures": found.failures if found else 0,
            "process": found.holder if found else None,
        }


def _of_here(job: Job, row: Row | None, ran: Ran, tally: Tally, tag: str) -> Row:
    """What this process knows of a job of its own: fresher than the row, which is written now and then."""
    result = ran.result
    return Row(
        name=job.name,
        every_us=job.every_us,
        runs=max(row.runs if row else 0, tally.runs(job.name)),
        failures=tally.failures[job.name],
        holder=tag,
        lease_until=0,
        started_at=ran.at - result.duration_us,
        finished_at=ran.at,
        succeeded_at=tally.succeeded_at.get(job.name, row.succeeded_at if row else None),
        outcome=result.outcome,
        error=result.error,
        duration_us=result.duration_us,
        counts=json.dumps(result.counts),
        at=ids.now(),
    )


def _time(at: int | None) -> str | None:
    return None if at is None else ids.rfc3339(at)
