"""Making a package, from nothing to `ready`. It may be killed at any point and called again.

    1 begin    the row, with a leaf and a folder of its own
    2 fetch    what lies in an archive is asked for; until it is there the package is `pending`. Any attempt
               but the first takes a fresh folder then, and removes the one before
    3 gather   page by page, each with its entry, into the spool; then what the entries say of its use
    4 write    the ZIP in pieces, sealed to {the package's leaf, the person's leaf}: either one kills it
    5 finish   the row, with the header that opens them: from here on there is a package

A crash before 5 leaves pieces that nothing opens, because what opens them was never stored; the next attempt
or the job removes them. Of two that build the same one, whoever began last finishes.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Final, NamedTuple, TypeVar, cast

from tenure import ids
from tenure.cold.objects import Objects
from tenure.crew import Desk
from tenure.errors import Conflict, Erased, NotYet
from tenure.governance.restoring import Restoring
from tenure.governance.service import Service
from tenure.ids import CELL, rfc3339
from tenure.keys.seal import OpenedKey, seal
from tenure.model.access_package import DAY_US, Content, Package, State
from tenure.rights.package import facts, pieces, steps
from tenure.rights.package.gather import Page, Person, Segments, happened, page, person
from tenure.rights.package.pieces import Sealing, Written
from tenure.rights.package.shape import FORMAT, belongs
from tenure.rights.package.spool import Spool
from tenure.rights.package.use import Use, decisions, recipients
from tenure.rights.package.zipped import write
from tenure.store import access_packages as store
from tenure.store import belongings, retrievals, subjects
from tenure.store.database import Database
from tenure.store.inspecting import Key
from tenure.store.records import Place
from tenure.store.retrievals import FAILED, READY, WAITING, Retrieval

_LARGE: Final = 256 << 20
_BEGINS_ANEW: Final = (State.BUILDING, State.PENDING)
R = TypeVar("R")
Json = dict[str, Any]


class Gathered(NamedTuple):
    """What was found, beside the versions in the spool."""

    segments: Segments
    labels: set[tuple[str, str]]
    versions: Counter[str]
    """By scope."""
    sources: Counter[str]


class Building:
    """Makes packages."""

    def __init__(self, service: Service, database: Database, objects: Objects, restoring: Restoring) -> None:
        self._service = service
        self._database = database
        self._objects = objects
        self._restoring = restoring

    async def build(
        self, tenant_id: str, request_id: str, subject_id: str, content: Content, days: int
    ) -> Package:
        """The package of a request: ready, or pending. One that is ready already, or over, stays as it is.

        Raises Erased when the person is being erased, Unavailable when the object store cannot be used.
        """
        begin = partial(_begin, request_id=request_id, subject_id=subject_id, content=content, days=days)
        package, fresh = await self._inside(tenant_id, begin)
        if State(package.state) not in _BEGINS_ANEW:
            return package
        try:
            return await self._built(tenant_id, package, days, fresh=fresh)
        except Erased:
            over = await self._inside(tenant_id, partial(_call_off, package_id=package.id))
            if over is not None:
                await asyncio.to_thread(pieces.drop, self._objects, tenant_id, over)
            raise

    async def _built(self, tenant_id: str, package: Package, days: int, *, fresh: bool) -> Package:
        """Steps 2 to 5."""
        package, here = await self._fetched(tenant_id, package)
        if not here:
            return package
        if not fresh:
            again = partial(_again, package_id=package.id, days=days)
            package, before = await self._inside(tenant_id, again)
            await asyncio.to_thread(pieces.drop, self._objects, tenant_id, before)
        whose: Person = await self._inside(tenant_id, partial(person, subject_id=package.subject_id))
        header, key = await self._inside(tenant_id, partial(_sealed_to, package=package, whose=whose))
        try:
            with Spool() as spool:
                gathered = await self._gather(tenant_id, package, whose, spool)
                about = await self._facts(tenant_id, package, whose, gathered)
                written = await asyncio.to_thread(self._write, tenant_id, package, key, about, spool)
        except NotYet:  # some of it went to the archive since; it was asked for
            return await self._inside(tenant_id, partial(_waiting, package_id=package.id, retrieval_id=None))
        finally:
            key.wipe()
        finish = partial(_finish, package=package, header=header, written=written)
        finished: Package = await self._inside(tenant_id, finish)
        if finished.folder != package.folder:  # another attempt was faster, or the person is gone
            await asyncio.to_thread(pieces.drop, self._objects, tenant_id, str(package.folder))
        return finished

    async def _inside(self, tenant_id: str, work: Callable[[Desk], R]) -> R:
        return cast("R", await self._service.inside(tenant_id, work))

    # ── 2 fetch ──────────────────────────────────────────────────────────────────────────────────
    async def _fetched(self, tenant_id: str, package: Package) -> tuple[Package, bool]:
        """Whether everything can be read now; asked for if an archive has it."""
        found = await self._inside(tenant_id, partial(_retrieval, package=package))
        if found is None:
            return package, True
        if found.state == WAITING:
            await self._restoring.begin(tenant_id, found)
            read = partial(retrievals.get, retrieval_id=found.id)
            found = await asyncio.to_thread(self._database.read, tenant_id, read) or found
        if found.state == READY:
            return package, True
        waiting = partial(_waiting, package_id=package.id, retrieval_id=found.id)
        return await self._inside(tenant_id, waiting), False

    # ── 3 gather ─────────────────────────────────────────────────────────────────────────────────
    async def _gather(self, tenant_id: str, package: Package, whose: Person, spool: Spool) -> Gathered:
        gathered = Gathered({}, set(), Counter(), Counter())
        until, after = ids.now(), cast("Place | None", None)
        while True:
            work = partial(page, package=package, whose=whose, until=until, after=after)
            found: Page = await self._inside(tenant_id, work)
            gathered.segments.update(found.segments)
            gathered.labels.update(found.labels)
            for item in found.items:
                gathered.versions[item["scope"]] += 1
                gathered.sources[item["written_by"]] += 1
                if belongs(cast("Content", package.content), item):
                    spool.add(item)
            if found.last is None:
                return gathered
            after = found.last

    async def _facts(self, tenant_id: str, package: Package, whose: Person, found: Gathered) -> Json:
        portable = package.content == "portability"
        common: Json = {
            "format": FORMAT,
            "content": package.content,
            "package": package.id,
            "request": package.request_id,
            "made_at": rfc3339(ids.now()),
            "expires_at": rfc3339(package.expires_at),
            "subject": {"reference": whose.reference, "known_since": rfc3339(whose.since)},
            "left_out": list(facts.PORTABLE if portable else facts.LEFT_OUT),
            **await self._inside(tenant_id, facts.controller),
        }
        if portable:
            return common
        use = Use(found.segments)
        after: Key | None = None
        while after := await asyncio.to_thread(
            self._database.read, tenant_id, partial(use.look, after=after)
        ):
            pass
        return common | await self._inside(tenant_id, partial(_told, whose=whose, found=found, use=use))

    # ── 4 write: blocking ────────────────────────────────────────────────────────────────────────
    def _write(self, tenant_id: str, package: Package, key: OpenedKey, about: Json, spool: Spool) -> Written:
        out = Sealing(self._objects, key, tenant_id, str(package.folder))
        readable = package.content == "access"
        write(cast("IO[bytes]", out), about, lambda: spool, readable=readable, large=spool.size > _LARGE)
        return out.finish()


# ── in transactions ────────────────────────────────────────────────────────────────────────────────
def _begin(
    desk: Desk, *, request_id: str, subject_id: str, content: Content, days: int
) -> tuple[Package, bool]:
    """The package of a request, and whether it is begun here."""
    found = store.of_request(desk.tx, request_id)
    if found is not None:
        return found, False
    person(desk, subject_id)  # Erased once an erasure of them began
    return steps.create(desk, request_id, subject_id, content, days), True


def _again(desk: Desk, *, package_id: str, days: int) -> tuple[Package, str]:
    """Another attempt, with a folder and a term of its own; and the folder of the one before."""
    found = steps.known(store.get(desk.tx, package_id, lock=True))
    if State(found.state) not in _BEGINS_ANEW:
        raise Conflict(
            "The package was made by another attempt, or ended; nothing was done.",
            field="package",
            rule="one attempt at a time",
            remedy="Look at the package again.",
        )
    until = desk.now + days * DAY_US
    again = steps.step(
        desk, found, "begun", state=State.BUILDING.value, folder=ids.new_id(), expires_at=until
    )
    return again, str(found.folder)


def _call_off(desk: Desk, *, package_id: str) -> str | None:
    """The person is being erased: there will be no package. The folder that it had."""
    found = steps.known(store.get(desk.tx, package_id, lock=True))
    if State(found.state) not in _BEGINS_ANEW:
        return None
    steps.end(desk, found)
    return found.folder


def _sealed_to(desk: Desk, *, package: Package, whose: Person) -> tuple[bytes, OpenedKey]:
    """A header of two leaves that both must live, and the key under it."""
    keys = desk.tenancy.keys
    slot = {leaf: keys.leaf_key(leaf) for leaf in (package.leaf, whose.mine.leaf)}
    made, key = seal(pieces.binding(desk.tx.tenant_id, package.id), [slot], {})
    return made.header, key


def _retrieval(desk: Desk, *, package: Package) -> Retrieval | None:
    """What was asked for, or is to be; None when nothing of it lies in the object store."""
    tx = desk.tx
    if package.retrieval_id is not None:
        found = retrievals.get(tx, package.retrieval_id)
        if found is not None and found.state != FAILED:
            return found
    packed = belongings.packs_of(tx, package.subject_id)
    if not packed:
        return None
    packs = [pack for pack, _ in packed]
    versions = sum(count for _, count in packed)
    new = Retrieval(ids.new_id(), CELL, WAITING, versions, packs, packs, desk.now)
    retrievals.create(tx, new)
    return new


def _waiting(desk: Desk, *, package_id: str, retrieval_id: str | None) -> Package:
    found = steps.known(store.get(desk.tx, package_id, lock=True))
    if found.state == State.PENDING and found.retrieval_id == retrieval_id:
        return found
    if State(found.state) not in _BEGINS_ANEW:
        return found
    return steps.step(desk, found, "waiting", state=State.PENDING.value, retrieval_id=retrieval_id)


def _finish(desk: Desk, *, package: Package, header: bytes, written: Written) -> Package:
    """Ready; unless a later attempt is under way, it ended meanwhile, or the person is being erased."""
    found = steps.known(store.get(desk.tx, package.id, lock=True))
    if found.folder != package.folder or State(found.state) not in _BEGINS_ANEW:
        return found
    now = subjects.get(desk.tx, package.subject_id)
    if now is None or now.state != "active":
        return steps.end(desk, found)
    return steps.step(
        desk,
        found,
        "built",
        state=State.READY.value,
        header=header,
        retrieval_id=None,
        **written._asdict(),
    )


def _told(desk: Desk, *, whose: Person, found: Gathered, use: Use) -> Json:
    used = {purpose for _, purpose in use.given}
    return {
        "places": facts.places(desk, found.labels, found.versions),
        "purposes": facts.purposes(desk, found.labels, used),
        "recipients": [*recipients(desk, use), *facts.disclosed_to(desk, found.labels)],
        "sources": [{"name": one, "versions": count} for one, count in sorted(found.sources.items())],
        "decisions": decisions(desk, use, whose.id),
        "events": happened(desk, whose.id),
    }
