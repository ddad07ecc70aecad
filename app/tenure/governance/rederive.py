"""Derived records that went with a person: the application is asked to derive them again without the person.

A round, every few seconds, for each tenant in which something is open:

    1 settle   what has a live version again is done; what has none at its deadline is overdue; on record
    2 claim    one that is due, committed before anything is sent: no two processes ask at once
    3 ask      its scope's webhook, as declared now; the answer's status counts, its body is never read
    4 note     asked, on record; or again later, and later still

The erasure and its certificate never wait for any of it. Whoever rather asks than is asked: `page`.
"""

import asyncio
from functools import partial
from typing import Any, NamedTuple

import httpx
import structlog

from tenure import ids
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.governance.service import Seat, Service
from tenure.ids import CELL
from tenure.ledger.entry import EntryDraft, Kind
from tenure.ledger.rederivation import KIND, VERSION, issue_request
from tenure.lineage import people_behind
from tenure.model.principal import Credential
from tenure.outbound import NO_PROXY
from tenure.sequencer import Sequencer
from tenure.store import records
from tenure.store import rederivations as store
from tenure.store.records import Source
from tenure.store.rederivations import Rederivation
from tenure.tls import authorities

SCOPE = "tenure.rederivations"
STATES = store.STATES
TIMEOUT_S = 10.0
_CLAIM_S = 60
_FIRST_S, _MOST_S = 10, 3600
_CHUNK = 500
_AT_ONCE = 8
"""How many tenants are asked for at once, and how many questions one of them has in a round."""
_S = 1_000_000
_MEDIA = "application/vnd.dsse.envelope.v1+json"
_log = structlog.get_logger(__name__)


class _Question(NamedTuple):
    """What to send, and where to."""

    one: Rederivation
    webhook: str
    envelope: str


class Rederivations:
    """Asks applications, follows what comes of it, and lists it."""

    def __init__(self, service: Service, batcher: Batcher, sequencer: Sequencer) -> None:
        self._service = service
        self._batcher = batcher
        self._sequencer = sequencer

    async def page(
        self, credential: Credential, *, state: str | None = None, before: str | None = None, limit: int = 50
    ) -> dict[str, Any]:
        """What is to be derived again, newest first: `{"items":[…],"next"}`.

        An item is `{"id","shred","scope","record","version","version_id","state","attempts","deadline"}`.
        """

        def work(seat: Seat) -> dict[str, Any]:
            found = store.page(seat.desk.tx, state=state, after=before, limit=limit + 1)
            page = found[:limit]
            return {
                "items": [_shown(one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def run(self) -> None:
        """One round over all tenants. One that fails does not keep the others."""
        waiting = await self._batcher.submit(CELL, Solo(lambda desk: store.queue(desk.tx)))
        slots = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._tenant(tenant_id, slots) for tenant_id in waiting))

    async def _tenant(self, tenant_id: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                await self._batcher.submit(tenant_id, Solo(_settle))
                question = await self._batcher.submit(tenant_id, Solo(self._claim))
                if question is not None:
                    await self._ask(tenant_id, question)
            except Exception as failure:  # noqa: BLE001 - repeated in the next round
                _log.warning("asking to derive again failed", tenant=tenant_id, error=type(failure).__name__)

    async def _ask(self, tenant_id: str, question: _Question) -> None:
        async with httpx.AsyncClient(follow_redirects=False, mounts=NO_PROXY, verify=authorities()) as client:
            for left in reversed(range(_AT_ONCE)):
                taken = await _taken(client, question)
                note = partial(_note, one=question.one, taken=taken)
                await self._batcher.submit(tenant_id, Solo(note))
                following = await self._batcher.submit(tenant_id, Solo(self._claim)) if left else None
                if following is None:
                    return
                question = following

    def _claim(self, desk: Desk) -> _Question | None:
        """Step 2. Nothing to ask where the scope has no webhook any more: then only `page` tells of it."""
        scopes = desk.tenancy.policy.configuration.scopes
        webhooks = {name: spec.derived.webhook for name, spec in scopes.items() if spec.derived}
        where = [name for name, webhook in webhooks.items() if webhook]
        one = (
            store.claim(desk.tx, at=desk.now, scopes=where, until=desk.now + _CLAIM_S * _S) if where else None
        )
        if one is None:
            return None
        signer = self._sequencer.signer(desk.tx)
        request = {
            "v": VERSION,
            "kind": KIND,
            "id": one.id,
            "tenant": desk.tx.tenant_id,
            "origin": signer.name,
            "shred": one.shred_id,
            "scope": one.scope,
            "record": one.record_id,
            "version": one.version,
            "version_id": one.version_id,
            "sources": [
                source.version_id
                for source in records.sources(desk.tx, one.version_id)
                if _is_untouched(desk, source)
            ],
            "issued_at": ids.rfc3339(desk.now),
            "deadline": ids.rfc3339(one.deadline),
        }
        return _Question(one, webhooks[one.scope] or "", issue_request(request, signer))


def _is_untouched(desk: Desk, source: Source) -> bool:
    """Whether a source is there and nobody behind it was erased: from any other nothing can be derived."""
    keys = desk.tenancy.keys
    return source.state == "live" and not any(
        keys.is_withheld((leaf,)) or keys.state.is_punctured(leaf)
        for leaf in people_behind(source, keys.state)
    )


async def _taken(client: httpx.AsyncClient, question: _Question) -> bool:
    """Step 3: whether the application took the question (2xx). A redirect is no answer."""
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            client.stream(
                "POST", question.webhook, content=question.envelope, headers={"Content-Type": _MEDIA}
            ) as answer,
        ):
            return answer.is_success
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as failure:
        _log.warning("a webhook was not reached", rederivation=question.one.id, error=type(failure).__name__)
        return False


def _note(desk: Desk, *, one: Rederivation, taken: bool) -> None:
    """Step 4."""
    if not taken:
        store.postpone(desk.tx, one, until=desk.now + wait_s(one.attempts) * _S)
    elif store.move(desk.tx, one, store.ASKED):
        _record(desk, one, "asked")


def wait_s(attempts: int) -> int:
    """Seconds to wait after so many attempts: from 10 on twice as long each time, an hour at most."""
    return int(min(_FIRST_S * 2 ** min(attempts - 1, 16), _MOST_S))


def _settle(desk: Desk) -> None:
    """Step 1; with nothing open left the tenant leaves the queue."""
    tx = desk.tx
    for state, found in (
        (store.DONE, store.answered(tx, limit=_CHUNK)),
        (store.OVERDUE, store.late(tx, at=desk.now, limit=_CHUNK)),
    ):
        for one in found:
            if store.move(tx, one, state):
                _record(desk, one, state)
    store.dequeue(tx)


def _record(desk: Desk, one: Rederivation, state: str) -> None:
    data = {"shred": one.shred_id, "rederivation": one.id, "record": one.record_id, "version": one.version}
    draft = EntryDraft(kind=Kind.SHRED, at=desk.now, outcome=f"rederivation-{state}", data=data)
    desk.tx.append(draft)


def _shown(one: Rederivation) -> dict[str, Any]:
    return {
        "id": one.id,
        "shred": one.shred_id,
        "scope": one.scope,
        "record": one.record_id,
        "version": one.version,
        "version_id": one.version_id,
        "state": one.state,
        "attempts": one.attempts,
        "deadline": ids.rfc3339(one.deadline),
    }
