"""Access packages: made for a rights request, handed out once to whoever has the link, and ended.

    build   for the saga, under no principal: `ready`, or `pending` while an archive gives out what it has
    link    for the officer: a secret that opens the package, shown once; a new one ends the one before
    fetch   for the person, who has no credential: the ZIP, a piece at a time
    end     when its term is over, its person erased, or the case called off: its key goes, and its pieces

A link works once. Whoever it was given to may begin again for a quarter of an hour (`AGAIN_US`): one
download that broke off must not need the officer. Every step is an entry of kind `package`.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

from tenure.cold.objects import Objects
from tenure.crew import Desk
from tenure.errors import Conflict, Erased, Expired, Invalid, NotFound, Shredded, Unauthenticated
from tenure.governance.restoring import Restoring
from tenure.governance.service import Seat, Service
from tenure.ids import rfc3339
from tenure.keys.seal import open_key
from tenure.model.access_package import (
    GIVEN,
    HOUR_US,
    LINK_HOURS,
    MAX_TERM_DAYS,
    TERM_DAYS,
    Content,
    Package,
    State,
)
from tenure.model.identity import check_id
from tenure.rights import acting
from tenure.rights.package import pieces, steps
from tenure.rights.package.build import Building
from tenure.rights.package.links import Link, new_link, parse_link
from tenure.store import access_packages as store
from tenure.store import rights as requests
from tenure.store import subjects
from tenure.store.database import Database
from tenure.tenancy import Tenancies
from tenure.thawing import RETRY_S

_NOBODYS: Final = "0" * 64
R = TypeVar("R")


class Download(NamedTuple):
    """A package that is being fetched: bytes of the ZIP in all, and its pieces as they come."""

    size: int
    pieces: AsyncIterator[bytes]


class Packages:
    """Make, hand out and end access packages."""

    def __init__(
        self,
        service: Service,
        database: Database,
        tenancies: Tenancies,
        objects: Objects,
        restoring: Restoring,
        requested: Callable[[], None],
    ) -> None:
        """`requested` wakes the next batch of erasures."""
        self._service = service
        self._database = database
        self._tenancies = tenancies
        self._objects = objects
        self._building = Building(service, database, objects, restoring)
        self._requested = requested

    # ── for the saga ─────────────────────────────────────────────────────────────────────────────
    async def build(
        self,
        tenant_id: str,
        request_id: str,
        subject_id: str,
        content: Content = "access",
        *,
        days: int = TERM_DAYS,
    ) -> dict[str, Any]:
        """Make the package of a request, once: `steps.shown`, with `retry_after` while it is pending.

        Killed at any point and called again it makes one package. Raises Erased when the person is being
        erased, Unavailable when a store cannot be used, Conflict when another process makes it just now.
        """
        for name, value in (("request", request_id), ("subject", subject_id)):
            check_id(value, name, name)
        if not 1 <= days <= MAX_TERM_DAYS:
            raise Invalid(
                "The package cannot be kept for so long; nothing was made.",
                field="days",
                rule=f"1 to {MAX_TERM_DAYS} days",
                remedy="Two weeks are enough for most; another package can be made at any time.",
            )
        made = await self._building.build(tenant_id, request_id, subject_id, content, days)
        waits = {"retry_after": RETRY_S} if made.state == State.PENDING else {}
        return steps.shown(made) | waits

    async def end(self, tenant_id: str, request_id: str) -> dict[str, Any] | None:
        """End the package of a request before its time; None when there is none. Safe to repeat."""

        def work(desk: Desk) -> tuple[Package, str | None] | None:
            found = store.of_request(desk.tx, request_id)
            if found is None or found.state == State.EXPIRED:
                return None if found is None else (found, None)
            return steps.end(desk, found), found.folder

        ended = await self._inside(tenant_id, work)
        if ended is None:
            return None
        await self._ended(tenant_id, ended[1])
        return steps.shown(ended[0])

    # ── for the officer: inside of a governance act ──────────────────────────────────────────────
    @staticmethod
    def link(seat: Seat, package_id: str, *, hours: int = LINK_HOURS) -> dict[str, Any]:
        """A link to a package that is ready: `{"package","token","until"}`. The token is shown once.

        The one that was given before opens nothing any more. Raises NotFound; Conflict unless it is ready;
        Expired when its term is over, Erased when its person was erased.
        """
        check_id(package_id, "package")
        if not 1 <= hours <= MAX_TERM_DAYS * 24:
            raise Invalid(
                "The link cannot be good for so long; none was made.",
                field="hours",
                rule=f"1 to {MAX_TERM_DAYS * 24} hours",
                remedy="Three days are enough for most; another link can be made at any time.",
            )
        desk = seat.desk
        found = steps.known(store.get(desk.tx, package_id, lock=True))
        if found.over(desk.now):
            raise _ended(desk, found)
        if found.state not in GIVEN:
            raise Conflict(
                f"The package is {found.state}; no link was made.",
                field="package",
                rule="a package that is ready",
                remedy="Ask again when it is.",
            )
        token, link = new_link(desk.tx.tenant_id, found.id)
        until = min(desk.now + hours * HOUR_US, found.expires_at)
        linked = {"link_index": link.kept(desk.tenancy.keys), "link_until": until, "link_used_at": None}
        steps.step(desk, found, "linked", by=seat.principal.id, **linked)
        return {"package": found.id, "token": token, "until": rfc3339(until)}

    @staticmethod
    def of_request(seat: Seat, request_id: str) -> dict[str, Any] | None:
        """The package of a request, as the officer sees it; None without one."""
        found = store.of_request(seat.desk.tx, request_id)
        return None if found is None else steps.shown(found)

    # ── for the person ───────────────────────────────────────────────────────────────────────────
    async def fetch(self, token: str) -> Download:
        """The ZIP, to whoever has the link. On record before the first byte leaves.

        Raises NotFound for what is no link, or none any more because another was given; Expired for one that
        was used or whose time is over; Erased when its person or it was erased. An unknown link takes as long
        whether there is such a package or not.
        """
        link = parse_link(token)
        if link is None:
            raise _unknown()
        try:
            found = await self._inside(link.tenant_id, partial(_fetched, link=link))
        except Unauthenticated:  # there is no such tenant
            raise _unknown() from None
        return Download(found.size, self._stream(link.tenant_id, found))

    async def _stream(self, tenant_id: str, package: Package) -> AsyncIterator[bytes]:
        """Piece by piece. Each is opened with the keys of its own moment: an erasure ends a download."""
        for number in range(package.pieces):
            yield await asyncio.to_thread(self._piece, tenant_id, package, number)

    def _piece(self, tenant_id: str, package: Package, number: int) -> bytes:
        sealed = pieces.get(self._objects, tenant_id, str(package.folder), number)
        last = number == package.pieces - 1
        return self._database.read(
            tenant_id,
            lambda tx: _opened(Desk.reading(tx, self._tenancies), package, sealed, number, last=last),
        )

    async def _inside(self, tenant_id: str, work: Callable[[Desk], R]) -> R:
        return cast("R", await self._service.inside(tenant_id, work))

    async def _ended(self, tenant_id: str, folder: str | None) -> None:
        if folder is not None:
            await asyncio.to_thread(pieces.drop, self._objects, tenant_id, folder)
        self._requested()


def _fetched(desk: Desk, *, link: Link) -> Package:
    """Whether the link opens its package now; then it is used, on record, once in its request's timeline."""
    found = store.get(desk.tx, link.package_id)
    index = link.kept(desk.tenancy.keys)
    kept = (found.link_index if found is not None else None) or _NOBODYS
    if not hmac.compare_digest(index, kept) or found is None:
        raise _unknown()
    # The request first, as whoever gives a link locks them: two that wait for one another never end.
    request = requests.get(desk.tx, found.request_id, lock=True)
    found = steps.known(store.get(desk.tx, link.package_id, lock=True))
    if not hmac.compare_digest(index, found.link_index or _NOBODYS):
        raise _unknown()
    if found.over(desk.now) or found.link_over(desk.now) or found.state not in GIVEN:
        raise _over()
    _opened(desk, found, None, 0, last=False)
    if request is not None and not found.fetches:
        acting.went_on(desk, request, "fetched-with-link")
    return steps.step(
        desk,
        found,
        "fetched",
        state=State.FETCHED.value,
        link_used_at=found.link_used_at or desk.now,
        fetched_at=found.fetched_at or desk.now,
        fetches=found.fetches + 1,
    )


def _opened(desk: Desk, package: Package, sealed: bytes | None, number: int, *, last: bool) -> bytes:
    """What a piece says; of none only whether there is a key. Raises Erased."""
    try:
        key = open_key(
            pieces.binding(desk.tx.tenant_id, package.id), package.header or b"", desk.tenancy.keys.leaf_key
        )
    except Shredded:
        raise Erased("The package was erased; its key is destroyed and nobody can read it.") from None
    try:
        return b"" if sealed is None else pieces.opened(key, sealed, number, last=last)
    finally:
        key.wipe()


def _unknown() -> NotFound:
    return NotFound(
        "There is no package under this link; nothing was given out.",
        field="token",
        rule="the newest link that was given",
        remedy="Copy the whole link. If it was replaced, use the one that was given last.",
    )


def _ended(desk: Desk, package: Package) -> Erased | Expired:
    """Why there is no link to a package that ended, for the officer."""
    person = subjects.get(desk.tx, package.subject_id)
    if person is None or person.state != "active":
        return Erased(
            "The person was erased, the package with them; no link was made: there is nothing left to give.",
            shred=None if person is None else person.shred_id,
        )
    return Expired(
        "The package ended: its time is over; no link was made.",
        rule="before the end of its term: `packageTerm` of the Controller manifest",
        remedy="Open another request: its package has what is held then.",
    )


def _over() -> Expired:
    return Expired(
        "The link was used, its time is over, or there is no package any more; nothing was given out.",
        rule="once, before its end, while there is a package",
        remedy="Ask the data protection officer: for a new link, or what became of the package.",
    )
