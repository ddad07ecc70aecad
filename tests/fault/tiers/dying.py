"""The process that runs the job while something is wrong, and is killed at a step."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fault.matrix.children import Ear, Say
from fault.tiers.faults import Fault
from fault.tiers.places import Shelf
from fault.tiers.scene import due, warm
from support.cell import Cell
from support.durable import Step, When
from tenure import ids
from tenure.cold.packs import FOLDER
from tenure.store import packs
from tenure.store.wire import SqliteWire

NAMING = "naming the file"
"""Half of a PUT: it is written and has not its name yet, or has two."""
_STEPS = {"give_up": "give up", "forget": "forget", "plan": "claim", "stored": "move"}
"""What a transaction of the job is called, by what it does to packs."""
_real_now = ids.now


def dying(cell: Cell, shelf: Shelf, fault: Fault, kill: tuple[Step, When] | None) -> Callable[..., Any]:
    """Run the job until it is through; killed at a step, or then. Says every step and all that it wrote."""

    async def act(say: Say, _ear: Ear) -> None:
        watch = _Watch(say, kill)
        with ExitStack() as stack:
            stack.enter_context(due())
            stack.enter_context(patch.object(ids, "now", lambda: _real_now() + fault.skew_us))
            async with cell.opened() as tenure:
                store = stack.enter_context(shelf.faulty(tenure, watch.store))
                stack.enter_context(watch.on())
                store.fault = fault
                await _tell(cell, say, "early")
                store.during = _during(asyncio.get_running_loop(), lambda: _tell(cell, say, "meanwhile"))
                say(run=await _run(cell))
                if fault.ends:
                    await _tell(cell, say, "between")
                    store.fault = None
                    say(run=await _run(cell))
                die()

    return act


def die() -> None:
    """As the kernel, or a machine that goes away, ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


async def _tell(cell: Cell, say: Say, key: str) -> None:
    await warm(cell, key)
    say(wrote=key)


async def _run(cell: Cell) -> dict[str, Any]:
    """The job, and how its operator sees it afterwards."""
    jobs, operator = cell.tenure.jobs, cell.operator
    await jobs.run(operator, "tier")
    (found,) = (one for one in (await jobs.every(operator))["items"] if one["name"] == "tier")
    return {name: found[name] for name in ("outcome", "error", "failures", "finished_at", "next_at")}


def _during(
    loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]
) -> Callable[[], None]:
    """Something on the event loop, waited for in a thread of the job."""
    return lambda: asyncio.run_coroutine_threadsafe(work(), loop).result(30)


class _Watch:
    """Sees every step of the job; kills this process at one."""

    def __init__(self, say: Say, kill: tuple[Step, When] | None) -> None:
        self._say = say
        self._kill = kill
        self._seen: Counter[str] = Counter()
        self._mine = threading.local()

    def store(self, name: str, when: str) -> None:
        """A call of the object store."""
        if when == "before":
            self._seen[name] += 1
        self._at(Step(name, self._seen[name]), "before" if when == "before" else "after")

    def on(self) -> ExitStack:
        """Watch transactions and files until the end."""
        stack = ExitStack()
        for function, name in _STEPS.items():
            stack.enter_context(patch.object(packs, function, self._named(getattr(packs, function), name)))
        stack.enter_context(patch.object(SqliteWire, "commit", self._commit(SqliteWire.commit)))
        stack.enter_context(patch.object(os, "link", self._link(os.link)))
        return stack

    def _at(self, step: Step, when: When) -> None:
        if when == "after":
            self._say(step=step)
        if (step, when) == self._kill:
            self._say(reached=True)
            die()

    def _named(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def named(*args: Any, **kw: Any) -> Any:
            self._mine.name = name
            return real(*args, **kw)

        return named

    def _commit(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def commit(wire: Any) -> None:
            name, self._mine.name = getattr(self._mine, "name", None), None
            if name is None:
                return real(wire)
            self._seen[name] += 1
            step = Step(name, self._seen[name])
            self._at(step, "before")
            real(wire)
            return self._at(step, "after")

        return commit

    def _link(self, real: Callable[..., None]) -> Callable[..., None]:
        def link(source: Any, there: Any, **kw: Any) -> None:
            if Path(there).parents[1].name != FOLDER:
                return real(source, there, **kw)
            self._seen[NAMING] += 1
            step = Step(NAMING, self._seen[NAMING])
            self._at(step, "before")
            real(source, there, **kw)
            return self._at(step, "after")

        return link
