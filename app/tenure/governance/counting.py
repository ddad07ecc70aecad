"""Counting what is stored: by the job `storage` once a day, and afresh where somebody asks and it is little.

    1 tenants   those that were not counted on this UTC day
    2 count     a tenant's versions, a page to a read-only transaction
    3 keep      layers and the day's sums, in one transaction of the tenant
    4 cell      the sums of all tenants' newest days, as the cell's own

Killed anywhere, the next run goes on with the tenants that are left. A day on which nothing was counted stays
a gap: nobody can say afterwards what was there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple

from tenure import ids
from tenure.batcher import Batcher, Plain
from tenure.ids import CELL
from tenure.model.layers import DAY_US, STORED, Layer
from tenure.model.lifetime import Tier
from tenure.store import limits, storage, tenants
from tenure.store.database import Database
from tenure.store.records import Place
from tenure.store.session import Tx

PAGE: Final = 20_000
"""Versions that one transaction counts: some hundredths of a second."""
AT_ONCE: Final = 100_000
"""Versions that are counted afresh for a request, at most."""
InThread = Callable[..., Awaitable[Any]]
_STRIDE: Final = 500


class Counted(NamedTuple):
    """Layers of a tenant as of `at` (microseconds). `complete`: all of them."""

    layers: list[Layer]
    at: int
    complete: bool

    @property
    def day(self) -> int:
        """The UTC day of the count."""
        return self.at // DAY_US


class Counting:
    """Counts tenants' versions by scope, labels, tier and day of writing."""

    def __init__(self, batcher: Batcher, database: Database) -> None:
        self._batcher = batcher
        self._database = database
        self._turn = asyncio.Semaphore(1)  # of counts for requests, one at a time in a process

    async def run(self, check: Callable[[], None], in_thread: InThread) -> dict[str, int]:
        """The job: `{"tenants","versions"}` counted now. `check` is called between steps, and may end it.

        `in_thread` runs what blocks, and waits for its end whoever stops meanwhile.
        """
        tenant_ids = await in_thread(self._database.read, CELL, tenants.all_ids)
        today = ids.now() // DAY_US
        done = {"tenants": 0, "versions": 0}
        for first in range(0, len(tenant_ids), _STRIDE):
            some = tenant_ids[first : first + _STRIDE]
            rows = await in_thread(self._database.read_each, some, storage.COUNTED_AT)
            for tenant_id, row in zip(some, rows, strict=True):
                if row and row[0][0] // DAY_US >= today:
                    continue
                counted: Counted = await in_thread(self._count, tenant_id, None, check)
                await self._batcher.submit(tenant_id, Plain(partial(_keep, counted)))
                done["tenants"] += 1
                done["versions"] += sum(one.versions for one in counted.layers)
        check()
        whole = await in_thread(self._database.read, CELL, storage.newest)
        if done["tenants"] or not whole or whole[0].day < today:
            await self._keep_cells(tenant_ids, in_thread)
        return done

    async def layers(self, tenant_id: str, *, afresh: bool = False) -> Counted:
        """A tenant's layers: counted now if there are not too many, else as the job counted them last.

        `afresh`: now in any case, if not all of them. Two or three transactions, and one for each page.
        """
        kept, stored = await asyncio.to_thread(self._database.read, tenant_id, _known)
        if kept is not None and stored > AT_ONCE and not afresh:
            return kept
        async with self._turn:
            counted = await asyncio.to_thread(self._count, tenant_id, AT_ONCE, _go_on)
        return counted if counted.complete or afresh or kept is None else kept

    def _count(self, tenant_id: str, most: int | None, check: Callable[[], None]) -> Counted:
        """Page by page, `most` versions at most; stored ones and others."""
        at, seen = ids.now(), 0
        after: Place | None = None
        sums: dict[tuple[str, str, Tier, int, int | None], tuple[int, int]] = {}
        while most is None or seen < most:
            check()
            after, found = self._database.read(tenant_id, partial(_page, after))
            if after is None:
                return Counted(_sorted(sums), at, complete=True)
            seen += PAGE
            for one in found:
                versions, size = sums.get(one[:5], (0, 0))
                sums[one[:5]] = (versions + one.versions, size + one.bytes)
        return Counted(_sorted(sums), at, complete=False)

    async def _keep_cells(self, tenant_ids: list[str], in_thread: InThread) -> None:
        """What all tenants have together, by tier: nothing in it is any one tenant's."""
        at = ids.now()
        total: dict[Tier, list[int]] = {tier: [0, 0, 0, 0] for tier in STORED}
        for first in range(0, len(tenant_ids), _STRIDE):
            some = tenant_ids[first : first + _STRIDE]
            for rows in await in_thread(self._database.read_each, some, storage.TOTALS):
                for one in (storage.Sample(*row) for row in rows):
                    for place, number in enumerate(one[4:]):
                        total[one.tier][place] += number
        day = at // DAY_US
        samples = [storage.Sample(day, storage.ALL, tier, at, *sums) for tier, sums in sorted(total.items())]
        await self._batcher.submit(CELL, Plain(lambda tx: storage.keep_samples(tx, at, samples)))


def _known(tx: Tx) -> tuple[Counted | None, int]:
    """The last count that was kept, and how many versions there are by the counters of quotas."""
    usage = limits.used(tx.ask((limits.USAGE, {}))[0])
    kept = storage.kept_layers(tx)
    return (None if kept is None else Counted(kept[1], kept[0], complete=True)), usage.versions


def _page(after: Place | None, tx: Tx) -> tuple[Place | None, list[Layer]]:
    upto = storage.stride(tx, after, PAGE)
    return upto, ([] if upto is None else storage.layers(tx, after, upto))


def _keep(counted: Counted, tx: Tx) -> None:
    if tx.exists:  # not of a tenant that left meanwhile
        storage.keep(tx, counted.at, counted.layers, storage.summed(counted.day, counted.at, counted.layers))


def _sorted(sums: dict[tuple[str, str, Tier, int, int | None], tuple[int, int]]) -> list[Layer]:
    found = [Layer(*key, *numbers) for key, numbers in sums.items()]
    return sorted(found, key=lambda one: (one.scope, one.labels, one.tier, one.day, one.expires or 0))


def _go_on() -> None:
    """Nothing ends it."""
