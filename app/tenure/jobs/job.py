"""What a job is, and one run of it as its verb sees it.

A verb is idempotent and resumable: it may be stopped after any step, and the next run goes on from what is
in the database. Between two steps it asks `Run.check`; in a transaction that must not happen twice,
`Run.confirm`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar

from tenure.ids import CELL
from tenure.store import jobs as store
from tenure.store.session import Tx
from tenure.turn import GivenUp as GivenUp  # noqa: PLC0414 - where whoever runs jobs looks for it

R = TypeVar("R")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class Run:
    """One run. `number` is 0 for jobs that every process has for itself: they claim nothing."""

    def __init__(self, name: str, number: int = 0, *, lasts: Callable[[], bool] = lambda: True) -> None:
        self.name = name
        self.number = number
        self._lasts = lasts

    def check(self) -> None:
        """Between two steps: GivenUp when this process must not go on. No round trip; any thread."""
        if not self._lasts():
            raise GivenUp

    def confirm(self, tx: Tx) -> None:
        """The same inside a transaction, whoever's: it then commits before anybody takes over, or never.

        Three round trips when the transaction is a tenant's, one when it is the cell's.
        """
        self.check()
        if not self.number:
            return
        tenant_id = tx.tenant_id
        if tenant_id != CELL:
            tx.as_tenant(CELL)
        mine = store.holds(tx, self.name, self.number)
        if tenant_id != CELL:
            tx.as_tenant(tenant_id)
        if not mine:
            raise GivenUp

    async def in_thread(self, work: Callable[..., R], *args: object) -> R:
        """Run blocking work. A stop waits for its end: the claim is never given back under a thread."""
        task = asyncio.ensure_future(asyncio.to_thread(work, *args))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # what it met on the way out is nobody's business
            raise


Verb = Callable[[Run], Awaitable[Mapping[str, int] | None]]


class Job(NamedTuple):
    """Something that happens by itself.

    `verb` does it, and may answer with counts: names of ours, numbers, nothing about anybody. `single`: one
    run at a time in the whole cell, when it is due by its row; otherwise every process calls it in its own
    intervals, and it guards itself. `describe` is one sentence for people.
    """

    name: str
    every_s: float
    verb: Verb
    single: bool
    describe: str

    @property
    def every_us(self) -> int:
        """The interval in microseconds."""
        return int(self.every_s * 1_000_000)


def counted(counts: Mapping[str, int] | None) -> dict[str, int]:
    """Counts as they may be kept: ValueError for anything that is not a name of ours with a number."""
    found = dict(counts or {})
    for name, value in found.items():
        if not _NAME.fullmatch(name) or type(value) is not int:
            raise ValueError("a job counts what is no number, or under what is no name")
    return found
