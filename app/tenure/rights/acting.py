"""Steps of a rights request on record: the row, its entry, and when the cell is to look at it again."""

from typing import Any

from tenure import ids, rowseals
from tenure.crew import Desk
from tenure.errors import Conflict, NotFound
from tenure.governance.service import Seat
from tenure.ledger.entry import EntryDraft
from tenure.ledger.entry import Kind as Act
from tenure.model.identity import check_id
from tenure.model.lifetime import HOUR_US
from tenure.model.rightsrequest import CLOSED, RUNNING, RightsRequest, State
from tenure.rights.clock import calendar_of, due_of
from tenure.store import rights as store


def found(desk: Desk, request_id: str, *, lock: bool = False) -> RightsRequest:
    """The request. NotFound when there is none of this tenant."""
    check_id(request_id, "rights request")
    request = store.get(desk.tx, request_id, lock=lock)
    if request is None:
        raise NotFound(
            "There is no such rights request; nothing was done.",
            field="id",
            rule="an id from POST /v1/requests",
            remedy="List them with GET /v1/requests.",
        )
    return request


def require(request: RightsRequest, *states: State, verb: str) -> None:
    """Conflict unless it is in one of these states."""
    if State(request.state) in states:
        return
    wanted = " or ".join(states)
    raise Conflict(
        f"The request is {request.state}: it cannot be {verb}; nothing was changed.",
        field="id",
        rule=f"a request that is {wanted}",
        remedy="See what comes next with GET /v1/requests/{id}.",
    )


def require_running_clock(request: RightsRequest, *, verb: str) -> None:
    """Conflict while its clock is paused."""
    if request.is_paused:
        raise Conflict(
            f"The request is paused: it cannot be {verb}; nothing was changed.",
            field="id",
            rule="a request whose clock runs",
            remedy="Resume it first: POST /v1/requests/{id}:resume.",
        )


def opened(seat: Seat, new: RightsRequest) -> None:
    """Put a new request on record."""
    row = rowseals.of_request(seat.desk.tenancy.keys, new)
    entry = seat.record(
        Act.REQUEST_OPEN, "received", request=new.id, step=1, type=new.kind, state=new.state, row=row
    )
    store.create(seat.desk.tx, new, entry)
    again(seat.desk, new)


def moved(seat: Seat, old: RightsRequest, step: str, **changes: Any) -> RightsRequest:  # noqa: ANN401 - columns
    """Somebody's step: on record, and stored. Conflict when somebody else's came first."""
    new = old.moved(step, at=ids.rfc3339(seat.desk.now), by=seat.principal.id, **changes)
    entry = seat.record(_kind(new), step, **_data(seat.desk, new))
    _store(seat.desk, old, new, entry)
    return new


def went_on(desk: Desk, old: RightsRequest, step: str, **changes: Any) -> RightsRequest:  # noqa: ANN401 - columns
    """A step of the service itself, under no principal."""
    new = old.moved(step, at=ids.rfc3339(desk.now), by=None, **changes)
    entry = desk.tx.append(EntryDraft(_kind(new), desk.now, step, data=_data(desk, new)))
    _store(desk, old, new, entry)
    return new


def _kind(new: RightsRequest) -> Act:
    return Act.REQUEST_CLOSE if State(new.state) in CLOSED else Act.REQUEST_CHANGE


def _data(desk: Desk, new: RightsRequest) -> dict[str, Any]:
    row = rowseals.of_request(desk.tenancy.keys, new)
    data: dict[str, Any] = {"request": new.id, "step": new.step, "state": new.state, "row": row}
    if new.ground is not None:
        data["ground"] = new.ground
    if new.certificate_id is not None:
        data["certificate"] = new.certificate_id
    return data


def _store(desk: Desk, old: RightsRequest, new: RightsRequest, entry: str) -> None:
    if not store.move(desk.tx, old, new, entry):
        raise Conflict(
            "Somebody else's step came first; nothing was changed.",
            field="id",
            rule="one step at a time",
            remedy="See it with GET /v1/requests/{id}, and decide anew.",
        )
    again(desk, new)


def again(desk: Desk, request: RightsRequest, *, not_before: int = 0) -> None:
    """Keep when it is to be looked at next, and until when it is to be answered."""
    due_at = look_again(desk, request)
    waits = State(request.state) not in CLOSED and not request.is_paused
    later = None if due_at is None else max(due_at, not_before)
    store.enqueue(desk.tx, request.id, later, request.due_at if waits else None)


def look_again(desk: Desk, request: RightsRequest) -> int | None:
    """When something is to be done about it by itself; None: never again."""
    rules = desk.tenancy.policy.configuration.requests
    state = State(request.state)
    if state in RUNNING:
        return max(request.execute_at or 0, desk.now) if state is State.COOLING_OFF else desk.now
    if state in CLOSED:
        if request.sealed is None or request.closed_at is None:
            return None
        return request.closed_at + rules.keep_cases * HOUR_US
    if request.is_paused:
        return None  # its deadline moves with every day
    due = due_of(request, calendar_of(desk.tenancy.policy.configuration), desk.now).due_at
    urgent = due - rules.remind_before * HOUR_US
    if "reminded" not in request.told and urgent > request.received_at:
        return urgent
    return None if "overdue" in request.told else due + 1
