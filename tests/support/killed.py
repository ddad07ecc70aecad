"""A process that changes a log's key and is killed with SIGKILL at a given point.

Started as `python killed.py FILE` with JSON: `settings`, `api_key`, and `point`: `module:Name.of.function`,
`when` (before, after), `name` (the end of the first argument, for functions that are called for other
things; `TENANT` in it stands for the tenant's id).
"""

import asyncio
import functools
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tenure.bootstrap import open_tenure
from tenure.model.apikey import parse_api_key
from tenure.settings import Settings


def arm(point: str, when: str, name: str) -> None:
    """Have this process killed before or after a function is called."""
    module, _, path = point.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, last = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    real = getattr(holder, last)

    @functools.wraps(real)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        here = not name or any(isinstance(one, str) and one.endswith(name) for one in args[:2])
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = real(*args, **kwargs)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(holder, last, deadly)


async def main(given: dict[str, Any]) -> None:
    async with open_tenure(Settings(**given["settings"])) as tenure:
        admin = parse_api_key(given["api_key"])
        await tenure.sequencer.run(admin.tenant_id)
        arm(given["point"], given["when"], given["name"].replace("TENANT", admin.tenant_id))
        await tenure.ledger_keys.rotate(admin)


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
