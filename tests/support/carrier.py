"""Processes that carry rights requests on, one after the other, each killed with SIGKILL in the middle.

Started as `python carrier.py FILE` with JSON: `settings`, and `when`. Each process is killed right `after`
the first step of a request that it makes durable, or right `before` its second; the next one goes on. A line
of JSON for each: `{"died": name of the step}`, or `{"left": failures}` of the one that found nothing to do.
"""

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import tenure.store.pipeline  # noqa: F401 - and psycopg: a child would import it by itself
from support.durable import Step, When, witnessed
from tenure.bootstrap import open_tenure
from tenure.settings import Settings
from tenure.store import rights, tables

ROUNDS = 12
MOST = 100
"""Processes: beyond, something does not come to its end."""


def say(**what: Any) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


async def live(given: dict[str, Any]) -> None:
    steps = 0

    def witness(step: Step, when: When) -> None:
        nonlocal steps
        if tables.rights_requests.name not in step.name:
            return
        steps += when == "before"
        if (when, steps) == (given["when"], 1 if given["when"] == "after" else 2):
            say(died=step.name)
            os.kill(os.getpid(), signal.SIGKILL)

    # What waits is looked at again in a second: here at once.
    later, rights.due = rights.due, lambda tx, now, limit: later(tx, now + 3_600_000_000, limit)
    async with open_tenure(Settings(**given["settings"])) as tenure:
        failed = 0
        with witnessed(witness, tenure.settings.data_dir, tenure.settings.root_dir):
            for _ in range(ROUNDS):
                failed += (await tenure.rights.run())["failed"]
                await tenure.shredder.run()
                await tenure.notices.run()
        say(left=failed)


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    gc.freeze()  # a child looks through what it made itself
    for _ in range(MOST):
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(live(given))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            return


if __name__ == "__main__":
    main()
