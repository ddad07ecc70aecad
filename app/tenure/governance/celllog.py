"""The cell's log takes in every tenant's checkpoints, so that witnesses need to know only that one.

    1 queue   a tenant's published checkpoint, in the transaction that marks it as published (`sequencer`, 8)
    2 take    what waits, a row for each tenant, out of the queue
    3 commit  each under a fresh salt; one tree over all of them, its root in one entry of the cell's log
    4 keep    salt and path of each: what receipts carry

2 to 4 are one transaction: a crash leaves the queue as it was, or everything done. A tenant is in a round at
most once, with its newest checkpoint; one that published nothing costs nothing. Any process may hold a round.
"""

import asyncio
import secrets

import structlog

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.ids import CELL
from tenure.ledger.cellproof import SALT_BYTES, commit, entry_data, fold
from tenure.ledger.checkpoint import Checkpoint
from tenure.ledger.entry import EntryDraft, Kind
from tenure.store import celllog
from tenure.store.celllog import Taken

GATHER_S = 1.0
"""How long published checkpoints wait for company: a round a second at most."""
LOOK_S = 60.0
"""How often it is looked, unasked, whether a process that died left something in the queue: one query."""
MOST = 4096
"""Tenants in one entry; more make another at once."""

_log = structlog.get_logger(__name__)


class CellLog:
    """Holds rounds in this process."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """A tenant's checkpoint was published. Called on the event loop."""
        self._wake.set()

    async def round(self) -> int:
        """Steps 2 to 4 until nothing waits; how many checkpoints went in."""
        done = 0
        while True:
            count: int = await self._batcher.submit(CELL, Solo(_take_in))
            done += count
            if count < MOST:
                return done

    async def serve(self) -> None:
        """Hold a round when woken, until stopped. What failed is repeated with the next."""
        self.wake()  # an earlier process may have left something
        while not self._stopped.is_set():
            if await _within(LOOK_S, self._wake):
                await _within(GATHER_S, self._stopped)
            self._wake.clear()
            if not self._stopped.is_set():
                await self._attempt()

    def stop(self) -> None:
        """Hold no more rounds. What waits is in the database and goes in after the next start."""
        self._stopped.set()
        self._wake.set()

    async def _attempt(self) -> None:
        try:
            await self.round()
        except Exception as failure:  # noqa: BLE001 - tenants' logs go on without the cell's
            _log.warning("the cell's log took nothing in, will be repeated", error=type(failure).__name__)
            asyncio.get_running_loop().call_later(GATHER_S, self.wake)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happens within some seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _take_in(desk: Desk) -> int:
    waiting = celllog.take(desk.tx, MOST)
    if not waiting:
        return 0
    # In random order: places tell nothing about who publishes when.
    secrets.SystemRandom().shuffle(waiting)
    salts = [secrets.token_bytes(SALT_BYTES) for _ in waiting]
    root, paths = fold(
        [
            commit(salt, Checkpoint(one.origin, one.size, one.root))
            for salt, one in zip(salts, waiting, strict=True)
        ]
    )
    draft = EntryDraft(Kind.TENANT_CHECKPOINT, desk.now, "ok", data=entry_data(root))
    entry = desk.tx.append(draft)
    celllog.keep(
        desk.tx,
        entry,
        [
            Taken(one.id, one.generation, one.size, salt, place, path)
            for place, (one, salt, path) in enumerate(zip(waiting, salts, paths, strict=True))
        ],
    )
    return len(waiting)
