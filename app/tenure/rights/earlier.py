"""What somebody asked for before: sought by their reference in every case that is kept.

There is no index of references. Whoever was erased is found by none of the indexes of people, and one under a
key that lives on would confirm from an old backup who asked, after the leaf of the case was destroyed. So the
cases are opened and compared, in pages of read-only transactions; nothing of them leaves.
"""

import asyncio
from functools import partial
from typing import Any, Final

from tenure.crew import Desk
from tenure.errors import Erased, Tampered
from tenure.governance.service import Seat, Service
from tenure.model.principal import Credential
from tenure.rights import showing
from tenure.rights.case import CASES, opened
from tenure.rights.finding import by_reference
from tenure.store import rights as store
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

MOST: Final = 100
"""Requests that an answer names."""
_PAGE: Final = 500


class Earlier:
    """Looks through the cases of a tenant."""

    def __init__(self, service: Service, database: Database, tenancies: Tenancies) -> None:
        self._service = service
        self._database = database
        self._tenancies = tenancies

    async def find(self, credential: Credential, reference: str) -> dict[str, Any]:
        """Requests under a reference: `{"items","complete","not_searched"}`, newest first, at most `MOST`.

        `not_searched`: requests whose case cannot be opened any more; those of whoever is known are found all
        the same. Reads every case once.
        """

        def whose(seat: Seat) -> str | None:
            person = by_reference(seat.desk, reference)
            return None if person is None else person.id

        subject_id = await self._service.run(credential, CASES, "read", whose)
        search = partial(self._search, credential.tenant_id, reference, subject_id)
        found, not_searched = await asyncio.to_thread(search)

        def show(seat: Seat) -> dict[str, Any]:
            named = (store.get(seat.desk.tx, one) for one in found[:MOST])
            items = [showing.shown(seat.desk, one) for one in named if one is not None]
            return {"items": items, "complete": len(found) <= MOST, "not_searched": not_searched}

        return await self._service.run(credential, CASES, "read", show)

    def _search(self, tenant_id: str, reference: str, subject_id: str | None) -> tuple[list[str], int]:
        """(ids of the requests, newest first; how many could not be looked into)."""
        found: list[str] = []
        not_searched = 0
        after: str | None = None
        while some := self._database.read(tenant_id, partial(self._page, after=after)):
            after = some[-1][0]
            for request_id, about, under in some:
                if under == reference or (about is not None and about == subject_id):
                    found.append(request_id)
                elif under is None:
                    not_searched += 1
        return found, not_searched

    def _page(self, tx: Tx, *, after: str | None) -> list[tuple[str, str | None, str | None]]:
        """(id, the person's id, the reference in its case) of some requests."""
        keys = Desk.reading(tx, self._tenancies).tenancy.keys
        found = []
        for one in store.cases(tx, after=after, limit=_PAGE):
            try:
                under = opened(keys, one).reference
            except (Erased, Tampered):  # it has had its time, or `doctor` says what is wrong with it
                under = None
            found.append((one.id, one.subject_id, under))
        return found
