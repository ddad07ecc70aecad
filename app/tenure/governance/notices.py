"""Notices to recipients (GDPR Art. 19): whoever was given somebody's data is told what became of it.

    enqueue   in the transaction of whoever executes a rights request; once for each recipient and event
    run       a round of sending (`governance.delivery`): in order, signed, again and again, then given up
    resend    a notice that was given up, by the officer

A notice names the person as the recipient knows them. So its text is sealed under the leaf of the rights
request, opened only to be sent, and forgotten when the recipient has it. Entries name opaque ids and the
recipient's declared name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tenure import ids, rowseals
from tenure.batcher import Batcher
from tenure.crew import Desk, Solo
from tenure.errors import Conflict, Invalid, NotFound, Shredded, TenureError
from tenure.governance.delivery import SCOPE, Delivery, opened, sealed_to
from tenure.governance.service import Once, Seat, Service
from tenure.ids import CELL
from tenure.ledger.canonical import canonical
from tenure.ledger.entry import EntryDraft, Kind
from tenure.model.identity import check_id
from tenure.model.names import is_label
from tenure.model.notices import GIVE_UP_US, Event, Notice, State, cloud_event
from tenure.model.principal import Credential
from tenure.sealing import seal_note
from tenure.sequencer import Sequencer
from tenure.store import log
from tenure.store import notices as store

STATES: Final = tuple(state.value for state in State)
MAX_TEXT: Final = 16 << 10
"""Bytes of one notice: Standard Webhooks recommends less than 20 kB."""
_REQUIRED, _OPTIONAL = {"reference", "scopes"}, {"certificate"}


def recipients_of(desk: Desk, scopes: Iterable[str], categories: Iterable[str]) -> list[str]:
    """Who must be told of data with these categories in these scopes, by the manifests in force; sorted.

    No round trip. A recipient of one of the scopes and one of the categories is told, whichever go together.
    """
    configuration = desk.tenancy.policy.configuration
    where, what = tuple(scopes), tuple(categories)
    return sorted(
        name
        for name, spec in configuration.recipients.items()
        if spec.receives(where, what, configuration.categories)
    )


def enqueue(
    desk: Desk,
    *,
    request_id: str,
    leaf: int,
    event: str,
    recipient_name: str,
    data: Mapping[str, Any],
) -> Notice:
    """Have a recipient told of an event, after this transaction; the one there was, if it is not the first.

    `data` is `{"reference","scopes","certificate"?}`: the person as the recipient knows them, names of
    scopes, an id. `leaf` is the rights request's. The recipient need not be declared any more: the notice
    then waits to be given up, for people to see. Raises `Invalid` naming a wrong member, `Shredded` when the
    leaf is gone.
    """
    _check(event, recipient_name, data)
    tx, now = desk.tx, desk.now
    store.lock(tx, begin=True)
    if (before := store.about(tx, request_id, recipient_name, event)) is not None:
        store.count(tx)
        return before
    current = log.newest(tx)
    if current is None:
        raise TenureError("This tenant has no log; nothing was done.")
    new = Notice(
        id=ids.new_id(),
        request_id=request_id,
        recipient=recipient_name,
        event=event,
        seq=store.next_seq(tx, recipient_name),
        state=State.QUEUED.value,
        leaf=leaf,
        header=None,
        body=None,
        created_at=now,
        give_up_at=now + GIVE_UP_US,
        settled_at=None,
        attempts=0,
        next_at=now,
        result=None,
        entry="",
    )
    text = canonical(cloud_event(new, current.origin, dict(data))).decode()
    if len(text.encode()) > MAX_TEXT:
        raise _invalid("data", f"at most {MAX_TEXT} bytes in all")
    sealed = seal_note(desk.tenancy.keys, sealed_to(desk, new), leaf, text)
    new = new._replace(header=sealed.header, body=sealed.text)
    new = new._replace(entry=record(desk, new))
    store.create(tx, new)
    store.count(tx)
    return new


def record(desk: Desk, new: Notice, seat: Seat | None = None) -> str:
    """Put a notice's state on record, with its whole row under a seal; the entry's id."""
    data: dict[str, Any] = {
        "notice": new.id,
        "request": new.request_id,
        "recipient": new.recipient,
        "event": new.event,
        "attempts": new.attempts,
        **({} if new.result is None else {"result": new.result}),
        "row": rowseals.of_notice(desk.tenancy.keys, new),
    }
    if seat is not None:
        return seat.record(Kind.NOTICE, new.state, **data)
    return desk.tx.append(EntryDraft(kind=Kind.NOTICE, at=desk.now, outcome=new.state, data=data))


class Notices:
    """Lists notices, has them sent, and sent again."""

    def __init__(self, service: Service, batcher: Batcher, sequencer: Sequencer) -> None:
        self._service = service
        self._batcher = batcher
        self._delivery = Delivery(batcher, sequencer, record)

    async def run(self) -> None:
        """One round of sending over all tenants. One that fails does not keep the others."""
        await self._delivery.run()

    async def page(
        self,
        credential: Credential,
        *,
        state: str | None = None,
        request_id: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> dict[str, Any]:
        """Notices without their texts, newest first: `{"items":[…],"next"}`, of a state and a rights request.

        An item is `{"id","request","recipient","event","state","attempts","result","created_at","next_at",
        "give_up_at","settled_at"}`; `result` is what came of the last attempt, `next_at` is of queued ones.
        """

        def work(seat: Seat) -> dict[str, Any]:
            found = store.page(
                seat.desk.tx, state=state, request_id=request_id, after=before, limit=limit + 1
            )
            page = found[:limit]
            return {
                "items": [_shown(one) for one in page],
                "next": page[-1].id if len(found) > limit else None,
            }

        return await self._service.run(credential, SCOPE, "read", work)

    async def resend(
        self, credential: Credential, notice_id: str, once: Once | None = None
    ) -> dict[str, Any]:
        """Have a dead notice tried again, under the same `webhook-id`: the notice, `queued`.

        Raises Conflict for one that is not dead, or whose text nobody can read any more.
        """
        check_id(notice_id, "notice")

        def work(seat: Seat) -> dict[str, Any]:
            tx = seat.desk.tx
            store.lock(tx, begin=True)
            found = store.get(tx, notice_id)
            if found is None:
                raise NotFound(
                    "There is no such notice; nothing was done.",
                    field="id",
                    rule="an id from GET /v1/notices",
                    remedy="Check the id.",
                )
            _check_dead(seat.desk, found)
            again = found.again(seat.desk.now)
            again = again._replace(entry=record(seat.desk, again, seat))
            store.move(tx, again)
            store.count(tx)
            return _shown(again)

        return await self._service.run(credential, SCOPE, "write", work, once=once)

    async def waiting(self) -> tuple[int, int | None, int]:
        """(how many wait in the whole cell, since when the oldest does, how many are dead). For metrics."""
        rows = await self._batcher.submit(CELL, Solo(lambda desk: store.waiting(desk.tx)))
        oldest = (one.oldest_at for one in rows if one.oldest_at is not None)
        return sum(one.waiting for one in rows), min(oldest, default=None), sum(one.dead for one in rows)


def _check(event: str, recipient: str, data: Mapping[str, Any]) -> None:
    if event not in set(Event):
        raise _invalid("event", f"one of {', '.join(Event)}")
    if not is_label(recipient):
        raise _invalid("recipient_name", "the name of a Recipient manifest")
    if not set(data) >= _REQUIRED or not set(data) <= _REQUIRED | _OPTIONAL:
        raise _invalid("data", "reference and scopes, and perhaps certificate")
    if not isinstance(data["reference"], str) or not data["reference"]:
        raise _invalid("data.reference", "text that is not empty")


def _invalid(field: str, rule: str) -> Invalid:
    return Invalid(
        f"The notice's {field} is not of its form; nobody is told.",
        field=field,
        rule=rule,
        remedy="Correct it and ask again.",
    )


def _check_dead(desk: Desk, found: Notice) -> None:
    if found.state != State.DEAD.value:
        raise Conflict(
            f"The notice is {found.state}, not dead; nothing was changed.",
            field="id",
            rule="a notice that is dead",
            remedy="A queued one is tried by itself; one that was sent is with its recipient.",
        )
    try:
        opened(desk, found)
    except Shredded:
        raise Conflict(
            "The key of the notice's request is destroyed: nobody can read the notice; nothing was changed.",
            field="id",
            rule="a notice whose rights request is kept",
            remedy="Tell the recipient in another way.",
        ) from None


def _shown(one: Notice) -> dict[str, Any]:
    return {
        "id": one.id,
        "request": one.request_id,
        "recipient": one.recipient,
        "event": one.event,
        "state": one.state,
        "attempts": one.attempts,
        "result": one.result,
        "created_at": ids.rfc3339(one.created_at),
        "next_at": ids.rfc3339(one.next_at) if one.state == State.QUEUED.value else None,
        "give_up_at": ids.rfc3339(one.give_up_at),
        "settled_at": None if one.settled_at is None else ids.rfc3339(one.settled_at),
    }
