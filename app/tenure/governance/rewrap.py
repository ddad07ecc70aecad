"""Holds, before a puncture: what a hold covers gets one more slot, for the hold's own leaf.

Erasing the person then takes every other way to the data; the hold's leaf stays, and no key is ever given out
for it (`keyring`). It exists so that a court can be answered, not so that anybody reads on.
"""

import asyncio
from typing import Any

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Shredded
from tenure.governance.plan import Plan
from tenure.governance.replica import Fence
from tenure.keys.seal import Binding, header_leaves, open_key
from tenure.store import holds, records
from tenure.store.database import Database
from tenure.store.holds import Hold
from tenure.store.records import StoredVersion
from tenure.store.shreds import Kind

_CHUNK = 500
_POLL_S = 0.05
Place = tuple[str, int]


async def for_holds(batcher: Batcher, database: Database, plan: Plan) -> None:
    """Re-wrap everything of the batch's people that a hold covers. Safe to repeat; nothing without holds."""
    for tenant_id, mine in plan.items():
        people = [one["target"] for one in mine["erasures"] if one["kind"] == Kind.SUBJECT]
        covering: list[Hold] = await batcher.submit(tenant_id, Solo(lambda desk: holds.active(desk.tx)))
        if not people or not covering:
            continue
        # Writes that began before the intent may still be on their way in.
        fence = await asyncio.to_thread(Fence, database, 0)
        while any(await asyncio.to_thread(fence.waiting)):  # noqa: ASYNC110 - what is awaited is in the database
            await asyncio.sleep(_POLL_S)
        for person in people:
            after: Place | None = None
            while True:
                work = _Chunk(person, covering, after)
                after = await batcher.submit(tenant_id, Solo(work))
                if after is None:
                    break


class _Chunk:
    """Some of one person's versions; called with a desk, it returns where the next chunk begins after."""

    def __init__(self, person: str, covering: list[Hold], after: Place | None) -> None:
        self._person = person
        self._holds = covering
        self._after = after

    def __call__(self, desk: Desk) -> Any:  # noqa: ANN401
        found = records.of_subject(desk.tx, self._person, limit=_CHUNK, after=self._after)
        for stored in found:
            for hold in self._holds:
                if hold.covers(self._person, stored):
                    stored = self._keep(desk, hold, stored)  # noqa: PLW2901 - with one slot more
        return (found[-1].record_id, found[-1].version) if len(found) == _CHUNK else None

    @staticmethod
    def _keep(desk: Desk, hold: Hold, stored: StoredVersion) -> StoredVersion:
        if stored.header is None:
            return stored
        if (hold.leaf,) not in header_leaves(stored.header):
            # Not through the keyring: it gives out no key of somebody who is being erased.
            state = desk.tenancy.keys.state
            binding = Binding(desk.tx.tenant_id, stored.scope, stored.record_id, stored.version)
            try:
                opened = open_key(binding, stored.header, state.derive)
            except Shredded:
                return stored  # nothing opens it any more, so there is nothing to keep
            header = opened.add_slot(stored.header, {hold.leaf: state.derive(hold.leaf)})
            opened.wipe()
            records.rewrap(desk.tx, stored.record_id, stored.version, header)
            stored = stored._replace(header=header)
        holds.keep(desk.tx, hold.id, stored.record_id, stored.version)
        return stored
