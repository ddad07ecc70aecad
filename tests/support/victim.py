"""A process to be killed: opens a cell, works, and says on its standard output what was acknowledged.

Started as `python victim.py SETTINGS`, it imports everything once and then, for every line on its standard
input, forks a child that works until it is killed. Lines on the output, one JSON object each:
`{"pid"}` a child began, `{"key","version","value","entry"}` a write, `{"shred"}` a request for erasure,
`{"gone"}` the child ended.
"""

import asyncio
import gc
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import tenure.store.pipeline  # noqa: F401 - and psycopg: a child would import it by itself
from tenure.access import Ask
from tenure.bootstrap import Tenure, open_tenure
from tenure.errors import TenureError
from tenure.model.apikey import parse_api_key
from tenure.model.record import Draft
from tenure.settings import Settings

SCOPE, WORKERS = "support.conversations", 8


def say(**what: Any) -> None:
    """One line, in one write: what was said before a kill is whole."""
    os.write(1, (json.dumps(what) + "\n").encode())


async def work(tenure: Tenure, ask: Ask, round_: int, worker: int) -> None:
    """Write for ever, to keys of its own and to one that all share; read now and then."""
    n = 0
    while True:
        n += 1
        key = "shared" if n % 4 == 0 else f"r{round_}-w{worker}-{n % 7}"
        value = f"{round_}/{worker}/{n}"
        draft = Draft(json.dumps({"v": value}).encode(), (f"customer:{worker}",), ("contact",))
        try:
            written = await tenure.gateway.write(ask, SCOPE, key, draft)
        except TenureError:
            continue
        say(key=key, version=written.version, value=value, entry=written.entry)
        if n % 3 == 0:
            await tenure.gateway.read(ask, SCOPE, key)


async def forget(tenure: Tenure, ask: Ask, dpo: str, round_: int) -> None:
    """Erase somebody new, again and again."""
    who = parse_api_key(dpo)
    n = 0
    while True:
        n += 1
        person = f"customer:leaving-{round_}-{n}"
        await tenure.gateway.write(ask, SCOPE, f"leaving-{round_}-{n}", Draft(b"{}", (person,), ("contact",)))
        found = await tenure.subjects.lookup(who, person)
        asked = await tenure.subjects.shred(who, found["items"][0]["id"])
        say(shred=asked["shred"], key=f"leaving-{round_}-{n}")
        await asyncio.sleep(0.05)


async def live(given: dict[str, Any], round_: int) -> None:
    """Work until killed."""
    settings = Settings(**{**given["settings"], "shred_interval_s": 0.0})
    ask = Ask(parse_api_key(given["agent"]), "customer-support")
    async with open_tenure(settings) as tenure, asyncio.TaskGroup() as group:
        for worker in range(WORKERS):
            group.create_task(work(tenure, ask, round_, worker))
        if random.Random(round_).random() < given["forgetting"]:
            group.create_task(forget(tenure, ask, given["dpo"], round_))


def main() -> None:
    """Fork for every line, so that nothing is imported twice."""
    given = json.loads(Path(sys.argv[1]).read_text())
    gc.freeze()  # a child looks through what it made itself
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(live(given, int(line)))
            os._exit(0)
        say(pid=child)
        os.waitpid(child, 0)
        say(gone=child)


if __name__ == "__main__":
    main()
