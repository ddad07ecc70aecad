"""What happened to a person, told by the application: an event that rules of retention begin with.

Whoever may write to a scope what such a rule is about may tell it of an event there. It is judged like that
write, before anybody is looked up: who may not learns nothing of whom there is (ADR 3).
"""

import secrets
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from tenure import rowseals
from tenure.access import Ask, Caller, check_scope_name
from tenure.errors import Denied, Erased, Invalid, NotFound
from tenure.governance.service import Once, Seat, Service
from tenure.ids import rfc3339
from tenure.ledger.entry import Kind
from tenure.model.names import is_scope, shown
from tenure.model.principal import named
from tenure.model.record import check_subject
from tenure.sealing import erased
from tenure.store import events as store
from tenure.store import subjects
from tenure.store.events import Event
from tenure.store.subjects import StoredSubject

OK, UNCHANGED = "ok", "unchanged"


class Events:
    """Tell of events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def post(
        self,
        ask: Ask,
        scope: str,
        event: str,
        reference: str,
        at: int | None = None,
        once: Once | None = None,
    ) -> dict[str, Any]:
        """An event of a person in a scope: `{"scope","event","at","changed","entry"}`. Five round trips.

        `at` in microseconds; left out: now. The latest instant of an event is kept, and answered. An earlier
        one changes nothing (`changed`), and is on record all the same.

        Raises Denied (recorded), NotFound (the scope; a person whom nobody knows, recorded), Erased (a person
        being erased, recorded), Invalid (an event that no rule for this scope begins with; the time; what a
        write there would be refused for), KeyReused.
        """
        check_scope_name(scope)
        check_subject(reference)
        if once is not None:
            once = _with_purpose(once, ask)

        def work(seat: Seat) -> Any:  # noqa: ANN401 - an answer, or an error that is kept on record
            caller = Caller.at(seat.desk, ask)
            about = _allowed(caller, scope, event)
            if isinstance(about, Denied):
                return about
            return _tell(caller, scope, event, about, reference, seat.desk.now if at is None else at)

        answer = await self._service.anyone(ask.credential, work, once=once, wants=ask.needs)
        return cast("dict[str, Any]", answer)


def _with_purpose(once: Once, ask: Ask) -> Once:
    """An idempotency key stands for the purpose, too, which is in no body."""
    return once._replace(payload=once.payload + b"\n" + ask.purpose.encode())


def _allowed(caller: Caller, scope: str, event: str) -> tuple[str, ...] | Denied:
    """The categories of the rules that begin with the event, if the caller may write them to the scope."""
    caller.check_scope(scope)
    policy = caller.desk.tenancy.policy
    known = policy.rulebook.events_in(scope)
    about = known.get(event)
    nonce = secrets.token_bytes(16)
    if about is None:
        if not caller.sees_any("write", scope):
            everything = tuple(policy.configuration.scopes[scope].categories)
            return caller.refuse(Kind.EVENT, caller.decide("write", scope, everything), nonce=nonce)
        _no_such_event(scope, event, known)
    policy.configuration.check_labels(scope, about, 1, caller.ask.purpose)
    verdict = caller.decide("write", scope, about)
    return about if verdict.allowed else caller.refuse(Kind.EVENT, verdict, nonce=nonce)


def _tell(
    caller: Caller, scope: str, name: str, about: tuple[str, ...], reference: str, at: int
) -> dict[str, Any] | NotFound | Erased:
    desk = caller.desk
    _check_time(at, desk.now)
    nonce = secrets.token_bytes(16)
    data: dict[str, Any] = {"scope": scope, "event": name, **named("categories", about)}
    index = desk.tenancy.keys.blind_index("subject", reference)
    found = [StoredSubject(*row) for row in desk.tx.ask((subjects.BY_REF, {"refs": [index]}))[0]]
    if not found:
        caller.record(Kind.EVENT, "not-found", nonce=nonce, data=data)
        return NotFound(
            "Nobody is known by this reference; nothing was kept.",
            field="subject",
            rule="a person about whom something was written",
            remedy="Correct the reference; nobody waits for the event of a person of whom nothing is kept.",
        )
    person = found[0]
    if person.state != "active":
        caller.record(Kind.EVENT, "erased", nonce=nonce, data=data)
        return erased(desk.tx, person.shred_id)
    subjects.lock(desk.tx, person.id)  # who tells of the same event meanwhile waits, and sees this one
    before = store.get(desk.tx, person.id, scope, name)
    if before is not None and before.at >= at:
        entry = caller.record(Kind.EVENT, UNCHANGED, nonce=nonce, data=data)
        return _answer(before._replace(entry=entry), changed=False)
    new = Event(person.id, scope, name, at, "")
    data["row"] = rowseals.of_event(desk.tenancy.keys, new)
    new = new._replace(entry=caller.record(Kind.EVENT, OK, nonce=nonce, data=data))
    desk.tx.put(store.KEEP, new._asdict())
    return _answer(new, changed=True)


def _answer(kept: Event, *, changed: bool) -> dict[str, Any]:
    return {
        "scope": kept.scope,
        "event": kept.name,
        "at": rfc3339(kept.at),
        "changed": changed,
        "entry": kept.entry,
    }


def _check_time(at: int, now: int) -> None:
    if not 0 <= at <= now:
        raise Invalid(
            "The time of the event is in the future or before 1970; nothing was kept.",
            field="at",
            rule="an instant from 1970 until now",
            remedy="Tell of an event once it has happened; leave `at` out for now.",
        )


def _no_such_event(scope: str, event: str, known: Mapping[str, object]) -> NoReturn:
    there = f"There are: {', '.join(known)}." if known else "There is none for this scope."
    named_ = shown(event) if is_scope(event) else "a value"
    raise Invalid(
        f"No rule for scope {shown(scope)} begins with event {named_}; nothing was kept. {there}",
        field="event",
        rule="the `event` of a Retention manifest that is about the scope",
        remedy="Correct the name, or have the administrator declare a Retention manifest with it.",
    )
