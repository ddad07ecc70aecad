"""The gateway without HTTP: tasks that each wait for their answer before they ask again."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles

from bench import cells, content
from bench.cells import Cell
from bench.samples import Sample
from tenure.bootstrap import Tenure

Operation = Callable[[], Awaitable[object]]
_DRAFTS = [cells.draft(number) for number in range(content.PEOPLE)]


def operations(tenure: Tenure, cell: Cell, tag: str) -> dict[str, Operation]:
    """read, write (new keys) and overwrite of one cell. `tag` sets the new keys of this use apart."""
    ask, gateway = cell.ask, tenure.gateway
    fresh = itertools.count()
    pick = random.Random(tag).randrange  # noqa: S311

    def read() -> Awaitable[object]:
        return gateway.read(ask, content.SCOPE, f"k{pick(content.KEYS)}")

    def write() -> Awaitable[object]:
        number = next(fresh)
        return gateway.write(ask, content.SCOPE, f"{tag}-{number}", _DRAFTS[number % len(_DRAFTS)])

    def overwrite() -> Awaitable[object]:
        number = pick(content.OVERWRITTEN)
        return gateway.write(ask, content.SCOPE, f"o{number}", _DRAFTS[number % len(_DRAFTS)])

    return {"read": read, "write": write, "overwrite": overwrite}


async def closed_loop(operation: Operation, *, in_flight: int, seconds: float) -> Sample:
    """Repeat an operation in `in_flight` tasks for a time."""
    taken: list[float] = []
    clock = time.perf_counter
    begin, used = clock(), time.process_time()
    end = begin + seconds

    async def task() -> None:
        now = clock()
        while now < end:
            await operation()
            then, now = now, clock()
            taken.append(now - then)

    await asyncio.gather(*(task() for _ in range(in_flight)))
    whole, used = clock() - begin, time.process_time() - used
    cuts = quantiles(taken, n=100) if len(taken) > 1 else taken * 99
    return Sample(len(taken) / whole, cuts[49] * 1e3, cuts[98] * 1e3, used / len(taken) * 1e6)
