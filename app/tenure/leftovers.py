"""What nobody comes for: entries and heads that a process left, which ended before it had them published.

A log is woken by those who write in it. A process that was killed right after a commit wakes nobody, so all
logs are looked at once when a process starts, and once when another one has ended (`governance.replica`):
whatever waits in them is woken, and the dead process's writers are ended on record. Nothing here is repeated,
and nothing is asked while all is well.

Four round trips for 256 logs, some tens of microseconds of the server's time for each.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from tenure.ids import CELL
from tenure.ledger.quorum import Quorum
from tenure.sequencer import Sequencer
from tenure.store import sequencing, tenants
from tenure.store.database import Database

_STRIDE = 256
_RETRY_S = 5.0
_log = structlog.get_logger(__name__)


class Leftovers:
    """Looks around in all logs of the cell."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        tags: Callable[[], set[str]],
        quorum: Quorum | None = None,
    ) -> None:
        """`tags`: what the writers of processes that may be alive begin with, as of now."""
        self._database = database
        self._sequencer = sequencer
        self._tags = tags
        self._quorum = quorum
        self._wanted = asyncio.Event()
        self._looked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def look(self) -> None:
        """Look around soon. From any thread, once `serve` runs."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wanted.set)

    async def serve(self) -> None:
        """Look around now, and whenever `look` was called, until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._looked.clear()
            try:
                await self.look_around()
            except Exception as failure:  # noqa: BLE001 - whatever it is: the logs are still to be looked at
                _log.warning("looking for what waits failed, will be repeated", error=type(failure).__name__)
                self._loop.call_later(_RETRY_S, self._wanted.set)
            self._looked.set()

    async def settle(self) -> None:
        """Wait for the look that is under way: even a process that ends at once finishes what it found."""
        await self._looked.wait()

    async def look_around(self) -> None:
        """Wake every log in which something waits; end writers of processes that are gone."""
        tenant_ids = [CELL, *await asyncio.to_thread(self._database.read, CELL, tenants.all_ids)]
        writers: dict[str, list[str]] = {}
        for first in range(0, len(tenant_ids), _STRIDE):
            some = tenant_ids[first : first + _STRIDE]
            astir, open_writers = await asyncio.to_thread(self._look_at, some)
            writers |= open_writers
            for tenant_id in astir:
                self._sequencer.wake(tenant_id)
        # Asked after the writers: whoever has written anything by then is in it if it lives.
        tags = await asyncio.to_thread(self._tags)
        for tenant_id, every in writers.items():
            if gone := [one for one in every if one[:8] not in tags]:
                await self._sequencer.end_writers(tenant_id, gone)

    def _look_at(self, tenant_ids: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
        """Those of some tenants in whose log something waits, and writers without an end."""
        written = self._database.read_each(tenant_ids, sequencing.WRITERS_WAITING)
        heads = self._database.read_each(tenant_ids, sequencing.UNPUBLISHED)
        astir: list[str] = []
        writers: dict[str, list[str]] = {}
        for tenant_id, marks, head in zip(tenant_ids, written, heads, strict=True):
            waits = any(waiting for _, waiting in marks)
            for size, published, note in head:
                waits |= size > published
                waits |= (
                    self._quorum is not None
                    and self._quorum.watches(is_cell=tenant_id == CELL)
                    and note is not None
                    and not self._quorum.is_met(note)
                )
            if waits:
                astir.append(tenant_id)
            if marks:
                writers[tenant_id] = [writer for writer, _ in marks]
        return astir, writers
