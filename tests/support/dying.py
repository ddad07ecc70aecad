"""A process whose sequencer is killed at a given step.

Started as `python dying.py SETTINGS`. For every line on its standard input, `{"step": [name, nth], "when"}`,
it forks a child that opens the cell, has entries committed without sequencing them, then runs the sequencer
and is killed right before or after that step; without a step, at the end. Lines on the output, one JSON
object each: `{"entry"}` acknowledged, `{"step"}` reached, `{"killed"}` the step at which it dies,
`{"gone"}` the child ended.
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
from tenure import ids
from tenure.access import Ask
from tenure.batcher import Plain
from tenure.bootstrap import open_tenure
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings
from tenure.store.session import Tx

READS, AT_ONCE = 17, 240
"""Entries of accesses, each for itself, and of one transaction: a read of a record costs as much as ten.

Together more than a bundle holds: each run completes a tile and begins another one.
"""
BESIDES = ("replicas", "coordinator")
"""What the process makes durable beside its sequencer."""


def say(**what: Any) -> None:
    """One line, in one write: what was said before a kill is whole."""
    os.write(1, (json.dumps(what) + "\n").encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def many(tx: Tx) -> list[str]:
    """Entries of one transaction, which says nothing else."""
    return [tx.append(EntryDraft(Kind.EVENT, ids.now(), "ok")) for _ in range(AT_ONCE)]


async def live(given: dict[str, Any], kill: tuple[Step, When] | None) -> None:
    settings = Settings(**given["settings"])
    ask = Ask(parse_api_key(given["agent"]), "customer-support")
    async with open_tenure(settings) as tenure:
        assert tenure._looking is not None
        tenure._looking.cancel()  # nothing is sequenced but what is said here, and when
        tenure._batcher.on_commit(lambda _tenant_id, _count: None)
        reads = (tenure.gateway.read(ask, given["scope"], given["key"]) for _ in range(READS))
        for found in await asyncio.gather(*reads):
            say(entry=found.entry)
        for entry in await tenure._batcher.submit(given["tenant"], Plain(many)):
            say(entry=entry)

        def witness(step: Step, when: When) -> None:
            if any(table in step.name for table in BESIDES):
                return
            if when == "after":
                say(step=step)
            if (step, when) == kill:
                say(killed=step)
                die()

        with witnessed(witness, settings.data_dir, settings.root_dir):
            await tenure.sequencer.run(given["tenant"])
        die()


def main() -> None:
    """Fork for every line, so that nothing is imported twice."""
    given = json.loads(Path(sys.argv[1]).read_text())
    gc.freeze()  # a child looks through what it made itself
    for line in sys.stdin:
        wanted = json.loads(line)
        kill = (Step(*wanted["step"]), wanted["when"]) if "step" in wanted else None
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(live(given, kill))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        say(gone=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
