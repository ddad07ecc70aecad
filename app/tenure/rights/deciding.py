"""Decisions on a rights request: by a second person, or by the person who asked. And its clock.

Whoever opened a request never approves it, and nobody approves with a narrowed key or for somebody else: that
is refused, and on record.
"""

from typing import Any

from tenure import ids
from tenure.crew import Desk
from tenure.errors import Conflict, Denied, Invalid
from tenure.governance.service import Seat
from tenure.ledger.entry import Kind as Act
from tenure.model.deadlines import Clock, ExtensionReason, PauseReason, extend, pause, resume
from tenure.model.lifetime import HOUR_US
from tenure.model.principal import PrincipalKind
from tenure.model.rightsrequest import STOPPABLE, Ground, Kind, RightsRequest, State, fits
from tenure.model.workdays import Calendar
from tenure.rights import acting
from tenure.rights.case import SCOPE
from tenure.rights.clock import calendar_of, clock_of, due_of, text_of
from tenure.rights.freshness import require_fresh


def approve(seat: Seat, request_id: str) -> RightsRequest | Denied:
    """Have it carried out, after the time in which it can still be withdrawn. By a second person.

    Returns a Denied that is on record for whoever opened it.
    """
    desk = seat.desk
    request = acting.found(desk, request_id, lock=True)
    if (refusal := no_second_person(seat, request)) is not None:
        return refusal
    acting.require(request, State.APPROVAL, verb="approved")
    acting.require_running_clock(request, verb="approved")
    require_fresh(desk, request)
    hours = desk.tenancy.policy.configuration.requests.cooling_off
    state = State.EXECUTING if hours is None else State.COOLING_OFF
    return acting.moved(
        seat,
        request,
        "approved",
        state=state.value,
        decided_by=seat.principal.id,
        decided_at=desk.now,
        execute_at=desk.now + (hours or 0) * HOUR_US,
    )


def refuse(seat: Seat, request_id: str, ground: Ground) -> RightsRequest | Denied:
    """Turn it down on a ground of the law, by a second person. The requester is to be told: Art. 12(4)."""
    request = acting.found(seat.desk, request_id, lock=True)
    if (refusal := no_second_person(seat, request)) is not None:
        return refusal
    acting.require(request, *STOPPABLE, verb="refused")
    if not fits(ground, Kind(request.kind)):
        raise Invalid(
            "The law does not refuse a request of this type on this ground; nothing was done.",
            field="ground",
            rule="a ground of the right that is asked for",
            remedy="Choose another ground, or carry the request out.",
        )
    return acting.moved(
        seat,
        request,
        "refused",
        state=State.REFUSED.value,
        decided_by=seat.principal.id,
        decided_at=seat.desk.now,
        closed_at=seat.desk.now,
        ground=ground.value,
    )


def withdraw(seat: Seat, request_id: str) -> RightsRequest:
    """The person takes it back. Only before anything was done."""
    request = acting.found(seat.desk, request_id, lock=True)
    acting.require(request, *STOPPABLE, verb="withdrawn")
    return acting.moved(seat, request, "withdrawn", state=State.WITHDRAWN.value, closed_at=seat.desk.now)


def no_second_person(seat: Seat, request: RightsRequest) -> Denied | None:
    """The refusal, on record, for who may not decide on this request."""
    who = seat.principal
    if who.id == request.opened_by:
        said = "Nobody decides on a request that they opened themselves."
    elif who.kind is not PrincipalKind.PERSON or who.reach is not None or who.behalf is not None:
        said = "Only a person decides, with a key of their own that nothing narrows."
    else:
        return None
    entry = seat.record(
        Act.ACCESS, "denied", service=SCOPE, action="decide", request=request.id, reason="four-eyes"
    )
    return Denied(
        f"{said} Nothing was done.",
        entry=entry,
        rules=("four-eyes",),
        remedy="Have another data protection officer decide.",
    )


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────
def stop_clock(seat: Seat, request_id: str, reason: PauseReason) -> RightsRequest:
    """Pause: until it is known who asks, or what for."""
    request = _undecided(seat.desk, request_id, "paused")
    if reason is PauseReason.IDENTITY and State(request.state) is not State.RECEIVED:
        raise Conflict(
            "It is established who asks: the clock does not stop for that. Nothing was changed.",
            field="reason",
            rule="identity: only until the request is identified",
            remedy="Pause for clarification if it is not clear what is asked for; else answer.",
        )
    clock = pause(clock_of(request), _calendar(seat.desk), seat.desk.now, reason)
    return _ticked(seat, request, "paused", clock, reason=reason.value)


def start_clock(seat: Seat, request_id: str) -> RightsRequest:
    """Go on: the deadline moves by the days of the pause."""
    return resumed(seat, _undecided(seat.desk, request_id, "resumed"))


def resumed(seat: Seat, request: RightsRequest) -> RightsRequest:
    """The same, of a request that is at hand."""
    return _ticked(seat, request, "resumed", resume(clock_of(request), seat.desk.now))


def extend_clock(seat: Seat, request_id: str, reason: ExtensionReason) -> RightsRequest:
    """Take the further time that the law gives, as the requester is told in these days."""
    request = _undecided(seat.desk, request_id, "extended")
    clock = extend(clock_of(request), _calendar(seat.desk), seat.desk.now, reason)
    return _ticked(seat, request, "extended", clock, reason=reason.value)


def acknowledge(seat: Seat, request_id: str) -> RightsRequest:
    """The requester was told that it came in: 11 CCR § 7021(a)."""
    request = _undecided(seat.desk, request_id, "acknowledged")
    return acting.moved(seat, request, "acknowledged")


def _undecided(desk: Desk, request_id: str, verb: str) -> RightsRequest:
    request = acting.found(desk, request_id, lock=True)
    acting.require(request, *STOPPABLE, verb=verb)
    return request


def _ticked(seat: Seat, request: RightsRequest, step: str, clock: Clock, **said: Any) -> RightsRequest:  # noqa: ANN401 - JSON
    ticking = request._replace(clock=text_of(clock))
    due = due_of(ticking, _calendar(seat.desk), seat.desk.now).due_at
    said["due_at"] = ids.rfc3339(due)
    return acting.moved(seat, request, step, clock=ticking.clock, due_at=due, said=said)


def _calendar(desk: Desk) -> Calendar:
    return calendar_of(desk.tenancy.policy.configuration)
