"""The dry run of a rights request: what is held, what would happen, and to whom. Nothing is done.

1 whose    under policy: the request, and who is known by its reference
2 look     in read-only transactions, in pages: inventory, holds, others, derived records, decisions
3 keep     with the request, on record; it then waits for a second person
"""

import asyncio
import json
from functools import partial
from typing import Any, Final, NamedTuple

from tenure import ids
from tenure.crew import Desk
from tenure.governance.impact import impact
from tenure.governance.service import Once, Seat, Service
from tenure.model.principal import Credential
from tenure.model.rightsrequest import Kind, State
from tenure.rights import acting, freshness, showing
from tenure.rights.case import SCOPE, Correction, opened
from tenure.rights.correcting import target
from tenure.rights.finding import sought
from tenure.rights.impact import Impacts
from tenure.rights.inventory import inventory
from tenure.store import access_packages, decisions, subjects
from tenure.store.database import Database
from tenure.store.session import Tx
from tenure.tenancy import Tenancies

MOST_NAMED: Final = 10_000
"""Decisions that a dry run names at most; it says whether there are more."""
_PAGE: Final = 1000


class _Asked(NamedTuple):
    kind: Kind
    subject_id: str | None
    corrections: tuple[Correction, ...]


class Scoping:
    """Looks before anything is done."""

    def __init__(self, service: Service, database: Database, tenancies: Tenancies, impacts: Impacts) -> None:
        self._service = service
        self._database = database
        self._tenancies = tenancies
        self._impacts = impacts

    async def scope(
        self, credential: Credential, request_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """The dry run; the request then waits for `approval`. May be repeated until it is approved."""

        def whose(seat: Seat) -> _Asked:
            request = acting.found(seat.desk, request_id)
            acting.require(request, State.SCOPING, State.APPROVAL, verb="scoped")
            acting.require_running_clock(request, verb="scoped")
            person = sought(seat.desk, request)
            case = opened(seat.desk.tenancy.keys, request)
            return _Asked(Kind(request.kind), None if person is None else person.id, case.corrections)

        asked = await self._service.run(credential, SCOPE, "write", whose)
        kind, subject_id = asked.kind, asked.subject_id
        found = await asyncio.to_thread(self._look, credential.tenant_id, asked)
        if subject_id is not None and kind.right is Kind.ERASURE:
            found["decisions"] = await self._decisions(credential.tenant_id, subject_id)

        def keep(seat: Seat) -> dict[str, Any]:
            request = acting.found(seat.desk, request_id, lock=True)
            acting.require(request, State.SCOPING, State.APPROVAL, verb="scoped")
            acting.require_running_clock(request, verb="scoped")
            new = acting.moved(
                seat,
                request,
                "scoped",
                state=State.APPROVAL.value,
                subject_id=subject_id,
                scope=json.dumps({"at": ids.rfc3339(seat.desk.now), **found}),
            )
            return showing.whole(seat.desk, new)

        return await self._service.run(credential, SCOPE, "write", keep, once=once)

    async def _decisions(self, tenant_id: str, subject_id: str) -> dict[str, Any]:
        """Which decisions would show something else: all their ids, and of the first how they would."""
        report = await self._impacts.report(tenant_id, subject_id)
        first, differ = report, [one["decision"] for one in report["items"]]
        while "next" in report and len(differ) < MOST_NAMED:
            report = await self._impacts.report(tenant_id, subject_id, after=report["next"], limit=_PAGE)
            differ += [one["decision"] for one in report["items"]]
        named = {"differ": differ, "complete": "next" not in report}
        return {name: value for name, value in first.items() if name not in ("subject", "next")} | named

    def _look(self, tenant_id: str, asked: _Asked) -> dict[str, Any]:
        """In a thread, in read-only transactions."""
        read, subject_id = self._database.read, asked.subject_id
        found: dict[str, Any] = {"known": subject_id is not None}
        if subject_id is not None:
            found |= read(tenant_id, partial(self._inventory, subject_id=subject_id))
            if asked.kind.right is Kind.ERASURE:
                found["impact"] = read(tenant_id, partial(self._impact, subject_id=subject_id))
                found["unfetched"] = read(tenant_id, partial(_unfetched, subject_id=subject_id))
            if asked.kind is Kind.DECISION_REVIEW:
                found["decisions"] = read(tenant_id, partial(_about, subject_id=subject_id))
        if asked.corrections:
            found["corrections"] = read(tenant_id, partial(self._targets, asked=asked))
        return found

    def _inventory(self, tx: Tx, subject_id: str) -> dict[str, Any]:
        desk = Desk.reading(tx, self._tenancies)
        person = subjects.get(tx, subject_id)
        as_of = freshness.mark(tx, subject_id)
        return {} if person is None else {**inventory(desk, person), "as_of": as_of}

    def _targets(self, tx: Tx, asked: _Asked) -> list[dict[str, Any]]:
        """What each correction would come upon, in their order: keys stay in the case."""
        desk = Desk.reading(tx, self._tenancies)
        return [target(desk, asked.subject_id, one).said() for one in asked.corrections]

    def _impact(self, tx: Tx, subject_id: str) -> dict[str, Any]:
        desk = Desk.reading(tx, self._tenancies)
        person = subjects.get(tx, subject_id)
        return {} if person is None else impact(desk, person)


def _about(tx: Tx, subject_id: str) -> dict[str, Any]:
    """The decisions about a person: their ids, newest first."""
    named = decisions.about(tx, subject_id, MOST_NAMED + 1)
    return {"about": named[:MOST_NAMED], "complete": len(named) <= MOST_NAMED}


def _unfetched(tx: Tx, *, subject_id: str) -> list[dict[str, Any]]:
    """Access packages that the person did not fetch yet and that would end with them."""
    waiting = access_packages.unfetched(tx, subject_id, ids.now())
    return [
        {
            "package": one.id,
            "request": one.request_id,
            "state": one.state,
            "expires_at": ids.rfc3339(one.expires_at),
        }
        for one in waiting
    ]
