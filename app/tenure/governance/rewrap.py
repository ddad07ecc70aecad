"""Holds, before a puncture: what a hold covers gets one more slot, for the hold's own leaf.

Erasing the person then takes every other way to the data; the hold's leaf stays, and no key is ever given out
for it (`keyring`). It exists so that a court can be answered, not so that anybody reads on.
"""

import asyncio
from typing import Any

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import KeyFailure
from tenure.governance.plan import Plan
from tenure.governance.replica import Fence
from tenure.keyring import TenantKeyring
from tenure.keys import segments
from tenure.keys.seal import Binding, founding_leaves, header_leaves, open_key
from tenure.sealing import binding_of
from tenure.store import holds, records, subjects
from tenure.store.database import Database
from tenure.store.holds import Hold
from tenure.store.records import Place, StoredVersion
from tenure.store.shreds import Kind

_CHUNK = 500
_POLL_S = 0.05


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

    def _keep(self, desk: Desk, hold: Hold, stored: StoredVersion) -> StoredVersion:
        if stored.header is None:
            return stored
        # Not through the keyring: it gives out no key of somebody who is being erased.
        kept = with_slot(desk.tenancy.keys, stored, of=self._leaf(desk), more=hold.leaf)
        if kept != stored:
            records.rewrap(desk.tx, kept)
        holds.keep(desk.tx, hold.id, kept.record_id, kept.version)
        return kept

    def _leaf(self, desk: Desk) -> int:
        person = subjects.get(desk.tx, self._person)
        if person is None:
            raise KeyFailure("Somebody who is to be erased is not there; nothing was re-wrapped or erased.")
        return person.leaf


def with_slot(keys: TenantKeyring, stored: StoredVersion, *, of: int, more: int) -> StoredVersion:
    """A version that the leaf `more` opens as well; of its segments, those that `of` is needed for.

    The same version when it does already.
    """
    binding = binding_of(keys, stored)
    stored = stored._replace(header=_with_slot(keys, binding, stored.header or b"", more))
    if not stored.segments:
        return stored
    sealed = list(segments.decode(stored.content or b""))
    for place, one in enumerate(sealed):
        if one is not None and any(of in slot for slot in founding_leaves(one.header)):
            header = _with_slot(keys, binding.segment(place), one.header, more)
            sealed[place] = one._replace(header=header)
    return stored._replace(content=segments.encode(sealed))


def _with_slot(keys: TenantKeyring, binding: Binding, header: bytes, leaf: int) -> bytes:
    if (leaf,) in header_leaves(header):
        return header
    opened = open_key(binding, header, keys.state.derive)
    more = opened.add_slot(header, {leaf: keys.state.derive(leaf)})
    opened.wipe()
    return more
