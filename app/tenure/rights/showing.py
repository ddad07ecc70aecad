"""A rights request as it is shown: its clock as of now, what comes next, and never who asked."""

from typing import Any

from tenure import ids
from tenure.crew import Desk
from tenure.model.access_package import MAX_TERM_DAYS
from tenure.model.lifetime import HOUR_US
from tenure.model.rightsrequest import CLOSED, DAY_US, Kind, RightsRequest, State
from tenure.rights.clock import calendar_of, due_of, regime_of
from tenure.rights.progress import WAITS
from tenure.store import access_packages, holds, shreds
from tenure.store.shreds import Kind as Erasing

_NEXT = {
    State.RECEIVED: "Establish who asks: POST /v1/requests/{id}:identify.",
    State.SCOPING: "Have it looked at what is held and what would happen: POST /v1/requests/{id}:scope.",
    State.APPROVAL: "A second person approves or refuses:"
    " POST /v1/requests/{id}:approve or POST /v1/requests/{id}:refuse.",
    State.COOLING_OFF: "It is carried out when its time has come, and can be withdrawn until then.",
    State.EXECUTING: "It is being carried out.",
    State.VERIFYING: "It is being looked whether anything is left.",
    State.NOTIFYING: "Recipients are being told.",
}


def shown(desk: Desk, request: RightsRequest) -> dict[str, Any]:
    """The short form: state, clock, and what comes next."""
    configuration = desk.tenancy.policy.configuration
    kind, state = Kind(request.kind), State(request.state)
    closed = state in CLOSED
    as_of = request.closed_at if closed and request.closed_at is not None else desk.now
    due = due_of(request, calendar_of(configuration), max(as_of, request.received_at))
    urgent = due.due_at - configuration.requests.remind_before * HOUR_US
    return {
        "id": request.id,
        "type": kind.value,
        "state": state.value,
        "regime": regime_of(kind).value,
        "subject": request.subject_id,
        "received_at": ids.rfc3339(request.received_at),
        "due_at": ids.rfc3339(due.due_at),
        "days_left": due.days_left,
        "acknowledge_by": instant(due.acknowledge_by),
        "extend_by": None if closed else instant(due.extend_by),
        "extended": due.extended,
        "paused": due.paused,
        "urgent": not closed and not due.paused and as_of >= urgent,
        "overdue": due.overdue,
        "opened_by": request.opened_by,
        "decided_by": request.decided_by,
        "decided_at": instant(request.decided_at),
        "execute_at": instant(request.execute_at),
        "closed_at": instant(request.closed_at),
        "ground": request.ground,
        "certificate": request.certificate_id,
        "next": _to_give(desk, request) if closed else _next(request, state),
    }


def whole(desk: Desk, request: RightsRequest) -> dict[str, Any]:
    """With its timeline, what the dry run found, and what each step of the execution did."""
    return {
        **shown(desk, request),
        "timeline": request.lines,
        "scope": request.dry_run or None,
        "progress": request.steps,
        "held": _held(desk, request),
    }


def instant(at: int | None) -> str | None:
    """RFC 3339, or nothing."""
    return None if at is None else ids.rfc3339(at)


def _next(request: RightsRequest, state: State) -> str | None:
    if request.is_paused:
        return "The clock stands still: POST /v1/requests/{id}:resume once it is known what was open."
    waits = next((found[WAITS] for found in request.steps.values() if WAITS in found), None)
    return waits or _NEXT.get(state)


def _to_give(desk: Desk, request: RightsRequest) -> str | None:
    """What is still to be done about a package: it was made, and the person does not have it yet."""
    package_id = request.steps.get("package", {}).get("package")
    if package_id is None or (request.closed_at or 0) + MAX_TERM_DAYS * DAY_US < desk.now:
        return None  # no package is kept for so long
    package = access_packages.get(desk.tx, package_id)
    if package is None or package.fetches:
        return None
    if package.over(desk.now):
        return "The package ended, and nobody had fetched it: if the person still asks, open another request."
    give = f"POST /v1/requests/{{id}}:link, until {ids.rfc3339(package.expires_at)}."
    if package.link_until is None:
        return f"Give the person a link to the package: {give}"
    if package.link_over(desk.now):
        return f"The link is over and nobody fetched the package. Give the person another: {give}"
    return f"The person fetches the package: the link is good until {ids.rfc3339(package.link_until)}."


def _held(desk: Desk, request: RightsRequest) -> list[dict[str, Any]]:
    """Of each hold that kept something from an erasure: whether it still does, and how its release ended."""
    return [_hold(desk, one) for one in sorted(request.steps.get("keys", {}).get("holds", {}))]


def _hold(desk: Desk, hold_id: str) -> dict[str, Any]:
    hold = holds.get(desk.tx, hold_id)
    shred = shreds.of_target(desk.tx, Erasing.HOLD, hold_id)
    return {
        "hold": hold_id,
        "state": holds.RELEASED if hold is None else hold.state,
        "released_at": None if hold is None else instant(hold.released_at),
        "certificate": None if shred is None else shred.certificate_id,
    }
