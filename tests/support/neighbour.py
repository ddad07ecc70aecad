"""Another process of a cell: reads when told to, and may be stopped in the middle of it.

Started as `python neighbour.py SETTINGS`. It opens the cell and reads, so that every key is cached. A line
`read` makes it read and say what came of it, `{"value"}` or
`{"refused": <kind>}`. `stop` makes it stop itself
(SIGSTOP) inside its next read, with the plaintext open and nothing committed; `stop-late` after the commit,
before the answer is handed out. `shred` runs a batch of erasures; after `stop-swap` it stops before its swap,
with the new key state made.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tenure import reading
from tenure.access import Ask
from tenure.batcher import Lane
from tenure.bootstrap import Tenure, open_tenure
from tenure.errors import TenureError
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings


def say(**what: Any) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def stop_once(owner: Any, name: str) -> None:
    """Let the next call of a function stop this process, once it is done."""
    real = getattr(owner, name)

    def stopping(*args: Any, **kw: Any) -> Any:
        setattr(owner, name, real)
        done = real(*args, **kw)
        os.kill(os.getpid(), signal.SIGSTOP)
        return done

    setattr(owner, name, stopping)


async def read(tenure: Tenure, given: dict[str, Any]) -> None:
    ask = Ask(parse_api_key(given["agent"]), "customer-support")
    try:
        found = await tenure.gateway.read(ask, given["scope"], given["key"])
    except TenureError as refusal:
        say(refused=refusal.kind)
    else:
        say(value=json.loads(found.content or b"null")["v"])


async def shred(tenure: Tenure) -> None:
    try:
        say(ran=await tenure.shredder.run())
    except TenureError as refusal:
        say(refused=refusal.kind)


async def live(given: dict[str, Any]) -> None:
    async with open_tenure(Settings(**given["settings"])) as tenure:
        await read(tenure, given)
        loop = asyncio.get_running_loop()
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if line == "read":
                await read(tenure, given)
            elif line == "stop":
                stop_once(reading, "release")
            elif line == "stop-late":
                stop_once(Lane, "_batch")
            elif line == "stop-swap":
                stop_once(tenure.shredder, "_prepare")
            elif line == "shred":
                await shred(tenure)


if __name__ == "__main__":
    asyncio.run(live(json.loads(Path(sys.argv[1]).read_text())))
