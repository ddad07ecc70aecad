"""Moving contents from the database to packs: one run, tenant by tenant, pack by pack.

    1 tidy     packs that were left half done, are dead, or were replaced a day ago: object, then row
    2 judge    packs whose bucket would delete them earlier than today's rules and holds allow: tagged `keep`
    3 plan     the next pack's members, read and encoded              (`packing`)
    4 claim    its row, `writing`                    ── a crash after it leaves a row and perhaps an object:
    5 put      stored and read back, outside of any transaction         the next run's step 1 takes both ──
    6 move     in one transaction: the run is still the last one, the row still `writing`, each version still
               as packed → content out of the row, place into it, `tier.move` in the ledger
    7 compact  packs of which half is dead: the living into a new one, by steps 4 to 6
    8 sweep    once a day: objects that no row names, older than a day

Until 6 is committed every content is in its row, from then on it is in a pack that was read back: nothing is
lost and nothing is twice, wherever it stops. The object store's failures end the run; reads and writes of
what is in the database never ask for it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Final, NamedTuple, TypeVar, cast

import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.cold.objects import Archived, Objects
from tenure.cold.pack import Front
from tenure.cold.packs import FOLDER, PackRef, name_of, put_pack, read_pack, tags_of
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, TenureError, Unavailable
from tenure.governance import packing
from tenure.governance.packclasses import KEEP
from tenure.governance.packing import Due, Planned
from tenure.ids import CELL, is_id
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.store import holds, manifests, packs, tenants
from tenure.store.database import Database
from tenure.store.packs import StoredPack
from tenure.store.session import Tx
from tenure.tenancy import Policy, Tenancies
from tenure.turn import GivenUp, Turn

_DAY_S: Final = 86_400.0
_PAGE: Final = 500
_log = structlog.get_logger(__name__)
R = TypeVar("R")


class Pace(NamedTuple):
    """How large packs are, in bytes of content, and how many bytes are moved in a second; both at most."""

    pack_bytes: int = 8 << 20
    bytes_per_s: float = 50 << 20


class Tiering:
    """Moves what is due. One run at a time in the whole cell (`jobs.runner`)."""

    def __init__(
        self, batcher: Batcher, database: Database, tenancies: Tenancies, objects: Objects, pace: Pace
    ) -> None:
        self._batcher = batcher
        self._database = database
        self._tenancies = tenancies
        self._objects = objects
        self._pace = pace
        self._swept: float | None = None

    async def run(self, turn: Turn) -> Mapping[str, int]:
        """Everything that is due: how many packs, versions and bytes were moved, and packs removed.

        When the object store cannot be used the run ends: Unavailable. Any other failure is one tenant's; the
        others' go on, and it is raised at the end.
        """
        counts: Counter[str] = Counter(packs=0, versions=0, bytes=0, removed=0, kept=0, compacted=0)
        failed: TenureError | None = None
        for tenant_id in await turn.in_thread(self._concerned):
            turn.check()
            try:
                await self._tenant(turn, tenant_id, counts)
            except Unavailable:
                raise
            except TenureError as failure:
                _log.error("a tenant's contents could not be moved", tenant=tenant_id, error=failure.kind)
                failed = failure
        if self._swept is None or time.monotonic() - self._swept > _DAY_S:
            counts["removed"] += await turn.in_thread(self._sweep, turn)
            self._swept = time.monotonic()
        if failed is not None:
            raise failed
        return counts

    async def _tenant(self, turn: Turn, tenant_id: str, counts: Counter[str]) -> None:
        counts["removed"] += await self._tidy(turn, tenant_id)
        counts["kept"] += await self._judge(turn, tenant_id)
        for scope in await turn.in_thread(self._read, tenant_id, _due):
            while True:
                turn.check()
                work = partial(packing.next_pack, of_scope=scope, budget=self._pace.pack_bytes)
                planned: Planned | None = await turn.in_thread(
                    self._read, tenant_id, lambda tx, policy, work=work: work(tx, policy)
                )
                if planned is None:
                    break
                began = time.monotonic()
                moved = await self._store(turn, planned)
                if not moved:  # all of it went meanwhile: the next run looks again
                    break
                counts.update(packs=1, versions=moved, bytes=len(planned.packed.data))
                await self._rest(len(planned.packed.data), began)
        counts["compacted"] += await self._compact(turn, tenant_id)

    async def _rest(self, size: int, began: float) -> None:
        """So long that what was moved since was not moved faster than it may be."""
        await asyncio.sleep(max(size / self._pace.bytes_per_s - (time.monotonic() - began), 0))

    def _concerned(self) -> list[str]:
        """Tenants that have Retention manifests, or packs. Four round trips for each 500 tenants."""
        found = []
        all_ids = self._database.read(CELL, tenants.all_ids)
        for first in range(0, len(all_ids), _PAGE):
            some = all_ids[first : first + _PAGE]
            each = self._database.read_each(some, manifests.RETENTION)
            any_ = self._database.read_each(some, packs.ANY)
            found += [one for one, rules, has in zip(some, each, any_, strict=True) if rules or has]
        return found

    def _read(self, tenant_id: str, work: Callable[[Tx, Policy], R]) -> R:
        """Something in a read-only transaction, with the rules of today."""
        return self._database.read(tenant_id, lambda tx: work(tx, self._tenancies.current(tx).policy))

    async def _write(self, turn: Turn, tenant_id: str, work: Callable[[Desk], R]) -> R:
        """Something in a transaction that commits only while the run is the last one."""

        def confirmed(desk: Desk) -> R | GivenUp:
            try:
                turn.confirm(desk.tx)
            except GivenUp as over:
                return over  # nothing was done; raised to the run after the commit
            return work(desk)

        return cast("R", await self._batcher.submit(tenant_id, Solo(confirmed)))

    # ── 3 plan, 4 claim, 5 put, 6 move ───────────────────────────────────────────────────────────
    async def _store(self, turn: Turn, planned: Planned, *, replaces: StoredPack | None = None) -> int:
        """Put one pack and move its members there: how many."""
        tenant_id = planned.packed.front.tenant
        await self._write(turn, tenant_id, lambda desk: packs.plan(desk.tx, planned.row(packs.now(desk.tx))))
        # A crash from here on leaves a row, and perhaps an object: the next run takes both away.
        await turn.in_thread(put_pack, self._objects, planned.packed)
        work = partial(_move, planned=planned, replaces=replaces)
        return await self._write(turn, tenant_id, work)

    # ── 1 tidy ───────────────────────────────────────────────────────────────────────────────────
    async def _tidy(self, turn: Turn, tenant_id: str) -> int:
        left = await turn.in_thread(self._database.read, tenant_id, _leavings)
        if not left:
            return 0
        if any(one.state != packs.DEAD for one in left):
            # First, so that nobody who still has one of them in hand can move anything into it.
            await self._write(turn, tenant_id, _bury)
        for one in await turn.in_thread(
            self._database.read, tenant_id, lambda tx: packs.in_state(tx, packs.DEAD)
        ):
            turn.check()
            await turn.in_thread(self._objects.delete, name_of(_front(tenant_id, one)))
            # A crash here: the row is dead still, and deleting what is not there does nothing.
            await self._write(turn, tenant_id, partial(_forget, pack=one))
        return len(left)

    # ── 2 judge ──────────────────────────────────────────────────────────────────────────────────
    async def _judge(self, turn: Turn, tenant_id: str) -> int:
        kept = 0
        while True:
            turn.check()
            found = await turn.in_thread(self._read, tenant_id, _doubtful)
            for pack, judged, stays in found:
                tag = KEEP.name if stays else pack.tag
                if stays:
                    tags = tags_of(replace(_front(tenant_id, pack), retention_class=tag))
                    await turn.in_thread(self._objects.retag, name_of(_front(tenant_id, pack)), tags)
                work = partial(_judged, pack=pack, judged=judged, tag=tag)
                await self._write(turn, tenant_id, work)
                kept += stays
            if not found:
                return kept

    # ── 7 compact ────────────────────────────────────────────────────────────────────────────────
    async def _compact(self, turn: Turn, tenant_id: str) -> int:
        done = 0
        for old in await turn.in_thread(self._database.read, tenant_id, packs.mostly_dead):
            turn.check()
            began = time.monotonic()
            ref = PackRef(_front(tenant_id, old), old.size, old.members, old.sha256)
            try:
                members = await turn.in_thread(read_pack, self._objects, ref)
            except Archived:
                continue  # what an archive has is not fetched to save a part of it
            inmates = await turn.in_thread(
                self._database.read, tenant_id, partial(packs.inmates, pack_id=old.id)
            )
            planned = packing.remade(tenant_id, old, members, inmates)
            if planned is None:
                continue
            await self._store(turn, planned, replaces=old)
            done += 1
            await self._rest(old.size, began)
        return done

    # ── 8 sweep ──────────────────────────────────────────────────────────────────────────────────
    def _sweep(self, turn: Turn) -> int:
        """Delete objects that no row names: what is left of packs that were given up. One list of all."""
        before = ids.now() - int(_DAY_S * 1_000_000)
        addresses = (name.removeprefix(f"{FOLDER}/").partition("/") for name in self._objects.names(FOLDER))
        old = [(tenant_id, pack_id) for tenant_id, _, pack_id in addresses if _made_before(pack_id, before)]
        removed = 0
        for tenant_id, mine in groupby(old, key=lambda one: one[0]):
            mine_ids = [pack_id for _, pack_id in mine]
            for first in range(0, len(mine_ids), _PAGE):
                turn.check()
                some = mine_ids[first : first + _PAGE]
                known = self._database.read(tenant_id, partial(packs.known, ids=some))
                for pack_id in some:
                    if pack_id not in known:
                        self._objects.delete(name_of(Front(tenant_id, pack_id, KEEP.name)))
                        removed += 1
        return removed


def _leavings(tx: Tx) -> list[StoredPack]:
    before = packs.now(tx) - packing.DAY_US
    found = packs.in_state(tx, packs.WRITING, packs.DEAD, packs.REPLACED)
    return [one for one in found if one.replaced_at is None or one.replaced_at < before]


def _bury(desk: Desk) -> None:
    packs.give_up(desk.tx)
    packs.retire(desk.tx, before=packs.now(desk.tx) - packing.DAY_US)


def _due(tx: Tx, policy: Policy) -> list[list[Due]]:
    return packing.due(tx, policy.rulebook)


def _doubtful(tx: Tx, policy: Policy) -> list[tuple[StoredPack, str, bool]]:
    """Some packs whose tag was chosen under others than today's rules and holds; whether they must stay."""
    active = holds.active(tx)
    judged = packing.fingerprint(policy, active)
    found = packs.stored_unlike(tx, judged, KEEP.name, limit=20)
    return [(one, judged, packing.must_stay(tx, policy.rulebook, one, active)) for one in found]


def _move(desk: Desk, *, planned: Planned, replaces: StoredPack | None) -> int:
    tx, packed = desk.tx, planned.packed
    front = packed.front
    if replaces is None:
        moved = packing.still_as_packed(tx, planned)
        alive = {(one.record_id, one.version) for one in moved}
    else:
        offsets = {(one.record, one.number): one.offset for one in packed.places}
        alive = packs.repack(tx, replaces.id, front.pack, offsets)
    gone = [one.length for one in packed.places if (one.record, one.number) not in alive]
    if not packs.stored(tx, front.pack, dead=len(gone), dead_bytes=sum(gone)):
        raise Conflict("A pack was given up while it was put; nothing was moved into it.")
    if replaces is None:
        packs.move(tx, front.pack, moved)
    _record(desk, "ok", front.pack, packed.sha256, front.retention_class, len(alive))
    return len(alive)


def _forget(desk: Desk, *, pack: StoredPack) -> None:
    packs.forget(desk.tx, pack.id)
    if pack.put_at is not None:  # of one that never was named there is nothing to tell
        _record(desk, "removed", pack.id, pack.sha256, pack.tag, pack.members)


def _judged(desk: Desk, *, pack: StoredPack, judged: str, tag: str) -> None:
    packs.judge(desk.tx, pack.id, judged=judged, tag=tag)
    if tag != pack.tag:
        _record(desk, "kept", pack.id, pack.sha256, tag, pack.members - pack.dead)


def _record(desk: Desk, outcome: str, pack_id: str, digest: bytes, class_: str, versions: int) -> None:
    data = {"pack": pack_id, "sha256": digest.hex(), "class": class_, "versions": versions}
    desk.tx.append(EntryDraft(kind=Act.TIER_MOVE, at=desk.now, outcome=outcome, data=data))


def _front(tenant_id: str, pack: StoredPack) -> Front:
    return Front(tenant_id, pack.id, pack.retention_class)


def _made_before(pack_id: str, instant: int) -> bool:
    """By the id itself: UUIDv7 begins with milliseconds (RFC 9562 §5.7)."""
    return is_id(pack_id) and int(pack_id.replace("-", "")[:12], 16) * 1000 < instant
