"""Sending notices: a round, every few seconds, for each tenant in which one is due.

    1 claim   each recipient's oldest queued one that is due, signed with the key in force; committed before
              anything is sent: no two processes send it at once
    2 send    to the recipient's webhook, as declared now; the answer's status counts, its body is never read
    3 note    taken; or again later, and later still; or given up. On record, and with the same commit the
              recipient's next one is claimed

A process that dies between 2 and 3 leaves a claim that runs out: the notice is sent again under the same
`webhook-id`, by which receivers of Standard Webhooks know it. While a recipient's oldest waits, its later
ones wait, too; the other recipients' go on beside it.
"""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import httpx
import structlog

from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Shredded, Tampered
from tenure.governance.rederive import wait_s
from tenure.ids import CELL
from tenure.keys.seal import Binding
from tenure.ledger.webhook import headers
from tenure.model.notices import Notice, type_of
from tenure.outbound import NoAnswer, asking, post
from tenure.sealing import Note, open_note
from tenure.sequencer import Sequencer
from tenure.store import notices as store

SCOPE: Final = "tenure.notices"
TIMEOUT_S: Final = 15.0
"""Standard Webhooks, "Request timeouts": 15 to 30 s."""
_CLAIM_S: Final = 60
_AT_ONCE: Final = 8
"""How many tenants are served at once, and how many recipients of one of them in a round."""
_LONG_S: Final = 10.0
"""How long a recipient may be served in one round: whoever was not due when it began waits for the next."""
_MOST: Final = 100
"""Notices that are given up unsent in one transaction."""
_S: Final = 1_000_000
_GONE: Final = 410
_SUCCESS: Final = 2  # 2xx, RFC 9110 §15.3
_MEDIA: Final = "application/cloudevents+json"
GONE, NO_ANSWER, UNDECLARED, UNREADABLE = "gone", "no-answer", "undeclared", "unreadable"
"""Results beside `http-<status>`. No answer: not reached, or too late."""
_HOPELESS: Final = {GONE, UNREADABLE}

_log = structlog.get_logger(__name__)


class _Letter(NamedTuple):
    """A claimed notice, ready to be sent."""

    one: Notice
    webhook: str
    headers: dict[str, str]
    body: bytes


class Delivery:
    """Sends what is due. `record` puts a notice's new state on record."""

    def __init__(self, batcher: Batcher, sequencer: Sequencer, record: Callable[[Desk, Notice], str]) -> None:
        self._batcher = batcher
        self._sequencer = sequencer
        self._record = record

    async def run(self) -> None:
        """One round over all tenants. One that fails does not keep the others."""
        due = await self._batcher.submit(CELL, Solo(lambda desk: store.queue(desk.tx, desk.now)))
        slots = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._tenant(tenant_id, slots) for tenant_id in due))

    async def _tenant(self, tenant_id: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            try:
                letters: list[_Letter] = await self._batcher.submit(tenant_id, Solo(self._claim))
                async with asking(TIMEOUT_S) as client, asyncio.TaskGroup() as tasks:
                    for letter in letters:
                        tasks.create_task(self._recipient(tenant_id, client, letter))
            except Exception as failure:  # noqa: BLE001 - repeated in the next round
                _log.warning("sending notices failed", tenant=tenant_id, error=type(failure).__name__)

    async def _recipient(self, tenant_id: str, client: httpx.AsyncClient, first: _Letter) -> None:
        """One recipient's notices, one after the other."""
        letter: _Letter | None = first
        until = time.monotonic() + _LONG_S
        while letter is not None:
            result = await _sent(client, letter)
            more = time.monotonic() < until
            note = partial(self._note, claimed=letter.one, result=result, more=more)
            letter = await self._batcher.submit(tenant_id, Solo(note))

    # ── 1 claim ──────────────────────────────────────────────────────────────────────────────────
    def _claim(self, desk: Desk) -> list[_Letter]:
        if not store.lock(desk.tx):
            return []
        recipients = store.due(desk.tx, desk.now, limit=_AT_ONCE)
        found = [letter for name in recipients if (letter := self._next(desk, name)) is not None]
        store.count(desk.tx)
        return found

    def _next(self, desk: Desk, recipient: str) -> _Letter | None:
        """The recipient's oldest, if it is due: what cannot be sent at all is settled here."""
        spec = desk.tenancy.policy.configuration.recipients.get(recipient)
        for _ in range(_MOST):
            one = store.head(desk.tx, recipient)
            if one is None or one.next_at > desk.now:
                return None
            one = one._replace(attempts=one.attempts + 1, next_at=desk.now + _CLAIM_S * _S)
            body = None if spec is None else _body(desk, one)
            if spec is not None and body is not None:
                store.move(desk.tx, one)
                signer = self._sequencer.signer(desk.tx)
                return _Letter(one, spec.webhook, headers(one.id, desk.now // _S, body, signer), body)
            self._settle(desk, one, UNDECLARED if spec is None else UNREADABLE)
        return None

    # ── 3 note ───────────────────────────────────────────────────────────────────────────────────
    def _note(self, desk: Desk, *, claimed: Notice, result: str | None, more: bool) -> _Letter | None:
        """`result` of an attempt, None: taken. The recipient's next one, claimed, if there may be `more`."""
        if not store.lock(desk.tx):
            return None  # the tenant has left
        one = store.get(desk.tx, claimed.id)
        # Whoever took this long has lost the claim: another process's attempt counts.
        if one is not None and (one.state, one.next_at) == (claimed.state, claimed.next_at):
            self._settle(desk, one, result)
        letter = self._next(desk, claimed.recipient) if more else None
        store.count(desk.tx)
        return letter

    def _settle(self, desk: Desk, one: Notice, result: str | None) -> None:
        """What came of an attempt: it is taken, given up, or due again."""
        if result is None:
            settled = one.taken("taken", desk.now)
        elif result in _HOPELESS or desk.now >= one.give_up_at:
            settled = one.given_up(result, desk.now)
        else:
            # The last attempt is made when the time is over, not before.
            next_at = min(desk.now + wait_s(one.attempts) * _S, one.give_up_at)
            store.move(desk.tx, one._replace(next_at=next_at, result=result))
            return
        store.move(desk.tx, settled._replace(entry=self._record(desk, settled)))


# ── 2 send ─────────────────────────────────────────────────────────────────────────────────────────
async def _sent(client: httpx.AsyncClient, letter: _Letter) -> str | None:
    """None when the recipient has it (2xx), else why not. A redirect is no answer."""
    try:
        status = await post(
            client,
            letter.webhook,
            letter.body,
            {"Content-Type": _MEDIA, **letter.headers},
            within_s=TIMEOUT_S,
        )
    except NoAnswer:
        return NO_ANSWER
    if status // 100 == _SUCCESS:
        return None
    return GONE if status == _GONE else f"http-{status}"


# ── what is sealed ─────────────────────────────────────────────────────────────────────────────────
def sealed_to(desk: Desk, one: Notice) -> Binding:
    """What a notice's text is sealed to."""
    return Binding(desk.tenancy.keys.tenant_id, SCOPE, one.id, 0)


def opened(desk: Desk, one: Notice) -> bytes:
    """A notice's text, which must be about what its row says. Shredded with its request; Tampered."""
    if one.header is None or one.body is None:
        raise Shredded("The notice's text is gone.")
    text = open_note(desk.tenancy.keys, sealed_to(desk, one), Note(one.header, one.body))
    event = json.loads(text)
    said = (event["subject"], event["recipient"], event["type"], int(event["sequence"]))
    if said != (one.request_id, one.recipient, type_of(one.event), one.seq):
        raise Tampered("A notice is not about what its row says; it is not sent.")
    return text.encode()


def _body(desk: Desk, one: Notice) -> bytes | None:
    """The text to send; None when it cannot be read, or is not what was sealed: then nobody gets it."""
    try:
        return opened(desk, one)
    except (Shredded, Tampered) as failure:
        _log.error("a notice cannot be sent", notice=one.id, error=failure.kind)
        return None
