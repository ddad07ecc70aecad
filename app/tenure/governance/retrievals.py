"""Getting contents out of an archive before they are needed: one request for many versions.

    1 find   under the caller's purpose and policy, as a list does: which packs have contents of these
             versions; the row, and the access, on record in the same transaction
    2 ask    outside of any: the archives, for what they have (`restoring`)

A crash after 1 leaves a row that waits: the job does 2. No content is released by any of it. Whoever reads
afterwards is asked for policy and put on record as ever.
"""

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from tenure import ids
from tenure.access import Ask, Caller, check_scope_name
from tenure.errors import Denied, Invalid, NotFound, Unavailable
from tenure.governance.restoring import Restoring
from tenure.governance.service import Once, Seat, Service
from tenure.ids import rfc3339
from tenure.ledger.entry import Kind
from tenure.listing import Query
from tenure.locating import locate
from tenure.model.identity import check_id
from tenure.model.principal import Credential
from tenure.policy import rights
from tenure.sealing import erased
from tenure.store import retrievals as store
from tenure.store import subjects
from tenure.store.database import Database
from tenure.store.records import LABELLED
from tenure.store.retrievals import READY, WAITING, Retrieval
from tenure.thawing import RETRY_S

SCOPE: Final = "tenure.retrievals"
MAX_PACKS: Final = 5_000
"""Of one person's."""
MAX_WAITING: Final = 1_000
"""Retrievals of one tenant that wait."""
_log = structlog.get_logger(__name__)


class Retrievals:
    """Ask for contents, and see whether they can be read."""

    def __init__(self, service: Service, database: Database, restoring: Restoring) -> None:
        self._service = service
        self._database = database
        self._restoring = restoring

    async def ask(self, ask: Ask, scope: str, wanted: Query, once: Once | None = None) -> dict[str, Any]:
        """For up to 1 000 versions that a list would show and the caller may read.

        As `get`, with `{"withheld","next","entry"}`; with the cursor `next` another retrieval goes on.

        Raises Denied (recorded), NotFound (the scope), Invalid, Malformed (the cursor), KeyReused, and
        Unavailable when too many wait.
        """
        check_scope_name(scope)
        if once is not None:  # it stands for the purpose, too, which is in no body
            once = once._replace(payload=once.payload + b"\n" + ask.purpose.encode())

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer, or an error that is kept on record
            new_id = ids.new_id()
            found = locate(Caller.at(seat.desk, ask), scope, wanted, retrieval=new_id)
            if isinstance(found, Denied):
                return found
            _keep(seat, new_id, found.versions, found.packs)
            return {"id": new_id, "withheld": found.withheld, "next": found.next, "entry": found.entry}

        made = await self._service.anyone(ask.credential, work, once=once, wants=ask.needs)
        return await self._begun(ask.credential.tenant_id, made)

    async def of_person(
        self, credential: Credential, subject_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """For a rights request, of everything live about a person, in any scope: as `ask`.

        Raises Denied (recorded), NotFound, Erased, KeyReused, Invalid when it lies in too many packs, and
        Unavailable when too many wait.
        """
        check_id(subject_id, "data subject")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            person = subjects.get(tx, subject_id)
            if person is None:
                raise NotFound(
                    "There is no such data subject; nothing was asked for.",
                    field="id",
                    rule="an id from POST /v1/subjects:lookup",
                )
            if person.state != "active":
                raise erased(tx, person.shred_id)
            lie = store.of_person(tx, subject_id, LABELLED, most=MAX_PACKS + 2)
            packs = [pack for pack, _ in lie if pack is not None]
            if len(packs) > MAX_PACKS:
                raise _too_many()
            new_id = ids.new_id()
            _keep(seat, new_id, sum(count for _, count in lie), packs)
            # Like an erasure's entries, it does not say whom it is about.
            entry = seat.record(Kind.ACCESS, service=SCOPE, action="write", retrieval=new_id)
            return {"id": new_id, "withheld": 0, "next": None, "entry": entry}

        made = await self._service.run(credential, SCOPE, "write", work, once=once)
        return await self._begun(credential.tenant_id, made)

    async def get(self, credential: Credential, retrieval_id: str) -> dict[str, Any]:
        """`{"id","state","versions","packs","ready","asked_at","until"?,"retry_after"?}`.

        `state` is `waiting`, `ready` or `failed`; `ready` of `packs` can be read. `until`: when the first of
        what was given out goes back. For whoever asked, and whoever may read retrievals; NotFound otherwise.
        """
        check_id(retrieval_id, "retrieval")

        def work(seat: Seat) -> Retrieval | None:
            found = store.get(seat.desk.tx, retrieval_id)
            if found is None or found.principal_id == seat.principal.id:
                return found
            engine = seat.desk.tenancy.policy.engine
            return found if rights.decide_service(engine, seat.principal, SCOPE, "read").allowed else None

        return _shown(await self._service.anyone(credential, work))

    async def _begun(self, tenant_id: str, made: dict[str, Any]) -> dict[str, Any]:
        """Step 2, unless it was done; and what came of it."""
        read = partial(store.get, retrieval_id=made["id"])
        found = await asyncio.to_thread(self._database.read, tenant_id, read)
        if found is not None and found.state == WAITING and found.missing == found.packs:
            try:
                await self._restoring.begin(tenant_id, found)
            except Unavailable as failure:
                _log.warning("an archive could not be asked, will be repeated", error=failure.kind)
            found = await asyncio.to_thread(self._database.read, tenant_id, read)
        return _shown(found) | {name: made[name] for name in ("withheld", "next", "entry")}


def _keep(seat: Seat, new_id: str, versions: int, packs: list[str]) -> None:
    tx, now = seat.desk.tx, seat.desk.now
    if packs and store.are_waiting(tx, most=MAX_WAITING) >= MAX_WAITING:
        raise Unavailable(
            f"{MAX_WAITING} retrievals of this tenant wait for an archive; nothing was asked for.",
            retry_after=RETRY_S,
            remedy="Ask again when some of them are ready.",
        )
    state, settled_at = (WAITING, None) if packs else (READY, now)
    store.create(tx, Retrieval(new_id, seat.principal.id, state, versions, packs, packs, now, settled_at))


def _shown(found: Retrieval | None) -> dict[str, Any]:
    if found is None:
        raise NotFound(
            "There is no such retrieval here, or no longer.",
            field="id",
            rule="an id from POST /v1/retrievals, as long as its copies stay",
            remedy="Ask anew: what can be read still is asked for no second time.",
        )
    shown = {
        "id": found.id,
        "state": found.state,
        "versions": found.versions,
        "packs": len(found.packs),
        "ready": len(found.packs) - len(found.missing),
        "asked_at": rfc3339(found.asked_at),
    }
    if found.until is not None:
        shown["until"] = rfc3339(found.until)
    return shown | ({"retry_after": RETRY_S} if found.state == WAITING else {})


def _too_many() -> Invalid:
    return Invalid(
        f"What is held about this person lies in more than {MAX_PACKS} packs; nothing was asked for.",
        field="id",
        rule=f"{MAX_PACKS} packs at most",
        remedy="Have those who may read the records ask for them, scope by scope: POST /v1/retrievals.",
    )
