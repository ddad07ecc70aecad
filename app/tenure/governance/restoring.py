"""What archives were asked for: has it come, must it be asked for again, who is to be told.

A look at one retrieval, right after it was asked for and then by the job `retrieve`:

    1 look   where each pack that is missing lies: one HEAD for each
    2 ask    for those that the archive has and gives nobody: never asked for, lost, or come and gone again.
             Once nothing is missing, all of its packs are looked at once more: the first may be gone again
    3 note   in one transaction, while it still waits: what is missing; when nothing is, or too late, it is
             settled, with `tier.restored` in the tenant's ledger

A crash before 3 leaves it as it was: the next look finds what was asked for on its way, and asks for nothing
twice. A pack that is no more, because its people were erased or its time was over, is not waited for.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.objects import RESTORED_DAYS, Objects, Standing
from tenure.cold.pack import Front
from tenure.cold.packs import name_of
from tenure.crew import Desk, Solo
from tenure.errors import TenureError, Unavailable
from tenure.governance.packclasses import KEEP
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.layers import DAY_US
from tenure.store import retrievals, tenants
from tenure.store.database import Database
from tenure.store.retrievals import FAILED, READY, WAITING, Retrieval
from tenure.store.session import Tx
from tenure.turn import GivenUp, Turn

GIVE_UP_US: Final = 7 * DAY_US
"""What did not come by then does not come: archives take two days at most."""
KEPT_US: Final = (RESTORED_DAYS + 1) * DAY_US
"""How long one that is settled can still be looked at: as long as its copies, which go at midnight."""
AT_FIRST: Final = 500
"""Packs that are looked at while whoever asks waits; the job takes the rest."""
_AT_ONCE: Final = 8
_PAGE, _STRIDE = 100, 500
_log = structlog.get_logger(__name__)

Seen = dict[str, Standing | None]
"""Pack → where it was in this look."""


class Looked(NamedTuple):
    """Of a retrieval: the packs that cannot be read yet; when the first of those given out goes back."""

    missing: list[str]
    until: int | None


class Restoring:
    """Looks after retrievals until they are settled."""

    def __init__(self, batcher: Batcher, database: Database, objects: Objects) -> None:
        self._batcher = batcher
        self._database = database
        self._objects = objects
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tenure-retrieve")

    def close(self) -> None:
        """Begin no further request."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def begin(self, tenant_id: str, new: Retrieval) -> None:
        """The first look. When everything can be read already, nobody is told of it but whoever asked.

        Raises Unavailable when the object store cannot be used: the job goes on with it.
        """
        looked = await asyncio.to_thread(self._look, tenant_id, new, {}, AT_FIRST)
        state = WAITING if looked.missing else READY
        work = partial(_note, one=new, looked=looked, state=state, tell=False)
        await self._batcher.submit(tenant_id, Solo(work))

    async def run(self, turn: Turn) -> Mapping[str, int]:
        """The job: how many became ready, failed, still wait, and were forgotten.

        When the object store cannot be used the run ends: Unavailable. Any other failure is one tenant's; the
        others' go on, and it is raised at the end.
        """
        counts: Counter[str] = Counter(ready=0, failed=0, waiting=0, forgotten=0)
        failed: TenureError | None = None
        for tenant_id in await turn.in_thread(self._concerned):
            turn.check()
            try:
                await self._tenant(turn, tenant_id, counts)
            except Unavailable:
                raise
            except TenureError as failure:
                _log.error("a tenant's retrievals could not go on", tenant=tenant_id, error=failure.kind)
                failed = failure
        if failed is not None:
            raise failed
        return counts

    async def _tenant(self, turn: Turn, tenant_id: str, counts: Counter[str]) -> None:
        seen: Seen = {}  # whoever else asked for the same pack
        after = ""
        while True:
            page = partial(retrievals.waiting, after=after, limit=_PAGE)
            found = await turn.in_thread(self._database.read, tenant_id, page)
            for one in found:
                turn.check()
                counts[await self._go_on(turn, tenant_id, one, seen)] += 1
            if len(found) < _PAGE:
                break
            after = found[-1].id
        before = ids.now() - KEPT_US
        stale = partial(retrievals.is_any_settled, before=before)
        if await turn.in_thread(self._database.read, tenant_id, stale):
            counts["forgotten"] += await self._write(
                turn, tenant_id, lambda desk: retrievals.forget(desk.tx, before=before)
            )

    async def _go_on(self, turn: Turn, tenant_id: str, one: Retrieval, seen: Seen) -> str:
        """The state that it has now."""
        if ids.now() - one.asked_at > GIVE_UP_US:
            looked, state = Looked(one.missing, None), FAILED
        else:
            looked = await turn.in_thread(self._look, tenant_id, one, seen, len(one.packs))
            state = WAITING if looked.missing else READY
        work = partial(_note, one=one, looked=looked, state=state, tell=True)
        await self._write(turn, tenant_id, work)
        return state

    async def _write(self, turn: Turn, tenant_id: str, work: Callable[[Desk], int]) -> int:
        """Something in a transaction that commits only while the run is the last one."""

        def confirmed(desk: Desk) -> int | GivenUp:
            try:
                turn.confirm(desk.tx)
            except GivenUp as over:
                return over  # nothing was done; raised to the run after the commit
            return work(desk)

        return int(await self._batcher.submit(tenant_id, Solo(confirmed)))

    def _concerned(self) -> list[str]:
        """Tenants that have retrievals. Two round trips for each 500 tenants."""
        found = []
        all_ids = self._database.read(CELL, tenants.all_ids)
        for first in range(0, len(all_ids), _STRIDE):
            some = all_ids[first : first + _STRIDE]
            rows = self._database.read_each(some, retrievals.ANY)
            found += [tenant_id for tenant_id, has in zip(some, rows, strict=True) if has]
        return found

    # ── 1 look, 2 ask: blocking ──────────────────────────────────────────────────────────────────
    def _look(self, tenant_id: str, one: Retrieval, seen: Seen, most: int) -> Looked:
        """One request for each pack not seen yet, of `most` at most; one more for what is asked for."""
        missing = self._missing(tenant_id, one.missing[:most], seen) + one.missing[most:]
        if not missing and len(one.missing) < len(one.packs):
            missing = self._missing(tenant_id, one.packs, seen)
        ends = [there.until for pack in one.packs if (there := seen.get(pack)) and there.until is not None]
        return Looked(missing, min(ends, default=None))

    def _missing(self, tenant_id: str, packs: Sequence[str], seen: Seen) -> list[str]:
        unseen = [pack for pack in packs if pack not in seen]
        names = [name_of(Front(tenant_id, pack, KEEP.name)) for pack in unseen]
        seen.update(zip(unseen, self._threads.map(self._asked, names), strict=True))
        return [pack for pack in packs if (there := seen[pack]) is not None and there.place != "here"]

    def _asked(self, name: str) -> Standing | None:
        """Where an object is; asked for if an archive has it."""
        there = self._objects.state(name)
        if there is not None and there.place == "archived":
            self._objects.restore(name)
            # A crash from here on leaves it on its way: the next look finds it `coming`.
        return there


def _note(desk: Desk, *, one: Retrieval, looked: Looked, state: str, tell: bool) -> int:
    """1 if it was still waiting. `tell`: put on record that it is settled."""
    tx: Tx = desk.tx
    until = looked.until if state == READY else None
    noted = retrievals.note(tx, one.id, missing=looked.missing, state=state, at=desk.now, until=until)
    if noted and tell and state != WAITING:
        data = {
            "retrieval": one.id,
            "versions": one.versions,
            "packs": len(one.packs),
            "missing": len(looked.missing),
        }
        outcome = "ok" if state == READY else "failed"
        tx.append(EntryDraft(kind=Kind.TIER_RESTORED, at=desk.now, outcome=outcome, data=data))
    return int(noted)
