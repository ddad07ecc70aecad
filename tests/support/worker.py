"""Another process that has jobs of the cell, one of them of many steps.

Started as `python worker.py FILE` with JSON: `url` of the database, `tag` of the process, `lease_s`,
`every_s`, `steps` of a run, `step_s`, and `how`: `steps` asks before each step, `confirm` also in a
transaction (and stops itself between the two). Each step is one line in the file `marks`, appended in one
write, with the run's number and the process; the progress of the work is how many steps are there. Lines on
the output, one JSON object each: `{"up"}`, `{"step"}`, and `{"ended": <outcome>}` of a run.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tenure.ids import CELL
from tenure.jobs.job import Job, Run
from tenure.jobs.runner import Runner
from tenure.jobs.tally import Tally
from tenure.store.database import Database
from tenure.store.session import Tx


def say(**what: Any) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


class Worker:
    """The job's verb. It goes on from where the marks end; a run is over when they are many enough."""

    def __init__(self, given: dict[str, Any], database: Database) -> None:
        self._given = given
        self._database = database
        self._marks = Path(given["marks"])

    async def verb(self, run: Run) -> dict[str, int]:
        done = 0
        self._mark(run, "begin")
        while self._count() % self._given["steps"] or not done:
            run.check()
            if self._given["how"] == "confirm" and done == 1:
                os.kill(os.getpid(), signal.SIGSTOP)  # between the question and the act
            if self._given["how"] == "confirm":
                await run.in_thread(self._database.write, CELL, lambda tx: self._confirmed(tx, run))
            else:
                self._mark(run, "step")
            done += 1
            say(step=done)
            await asyncio.sleep(self._given["step_s"])
        self._mark(run, "end")
        return {"steps": done}

    def _confirmed(self, tx: Tx, run: Run) -> None:
        run.confirm(tx)
        self._mark(run, "step")

    def _count(self) -> int:
        return sum(json.loads(line)["what"] == "step" for line in self._marks.read_text().splitlines())

    def _mark(self, run: Run, what: str) -> None:
        line = {"what": what, "run": run.number, "by": self._given["tag"]}
        with self._marks.open("ab", buffering=0) as marks:
            marks.write((json.dumps(line) + "\n").encode())


async def live(given: dict[str, Any]) -> None:
    database, tally = Database(given["url"]), Tally()
    worker = Worker(given, database)
    job = Job("retention", given["every_s"], worker.verb, single=True, describe="Steps")
    runner = Runner([job], database, given["tag"], tally, lease_s=given["lease_s"])
    told = 0
    say(up=True)
    while True:
        await runner.look()
        if tally.runs("retention") > told:
            told += 1
            say(ended=tally.last["retention"].result.outcome)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(live(json.loads(Path(sys.argv[1]).read_text())))
