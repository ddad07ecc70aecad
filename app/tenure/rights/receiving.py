"""Taking in a rights request: what was asked for, by whom, and how it was established who asks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tenure import ids
from tenure.crew import Desk
from tenure.errors import Invalid
from tenure.governance import ownleaves
from tenure.governance.service import Seat
from tenure.model.deadlines import Clock, PauseReason, deadlines
from tenure.model.names import shown
from tenure.model.record import check_json, check_key, check_subject
from tenure.model.rightsrequest import Kind, Method, RightsRequest, State
from tenure.rights import acting
from tenure.rights.case import SCOPE, Case, Correction, opened, sealed
from tenure.rights.clock import calendar_of, clock_of, regime_of, text_of
from tenure.rights.deciding import resumed

MAX_TEXT: Final = 8000
MAX_CORRECTIONS: Final = 100
MAX_NOTES: Final = 200


class NewRequest(NamedTuple):
    """What was asked for. `received_at` in microseconds; None: now."""

    kind: Kind
    reference: str
    received_at: int | None = None
    details: str | None = None
    purposes: tuple[str, ...] = ()
    corrections: tuple[Mapping[str, Any], ...] = ()


def receive(seat: Seat, new: NewRequest) -> RightsRequest:
    """A new request, `received`. Raises Invalid naming what is missing or cannot be meant."""
    desk = seat.desk
    case = Case(
        new.reference,
        new.details,
        _purposes(desk, new.kind, new.purposes),
        _corrections(desk, new.kind, new.corrections),
    )
    check_subject(new.reference, "reference")
    if new.details is not None:
        check_text(new.details, "details")
    received_at = desk.now if new.received_at is None else new.received_at
    clock = Clock(regime_of(new.kind), received_at)
    due = deadlines(clock, calendar_of(desk.tenancy.policy.configuration), desk.now)
    request_id = ids.new_id()
    leaf = ownleaves.begin(desk, SCOPE, request_id)
    note = sealed(desk.tenancy.keys, request_id, leaf, case)
    line = {"at": ids.rfc3339(desk.now), "step": "received", "by": seat.principal.id}
    request = RightsRequest(
        id=request_id,
        kind=new.kind.value,
        state=State.RECEIVED.value,
        subject_id=None,
        opened_by=seat.principal.id,
        opened_at=desk.now,
        received_at=received_at,
        due_at=due.due_at,
        clock=text_of(clock),
        timeline=json.dumps([line]),
        leaf=leaf,
        header=note.header,
        sealed=note.text,
    )
    acting.opened(seat, request)
    return request


def identify(seat: Seat, request_id: str, method: Method) -> RightsRequest:
    """It is established who asks: from now on the request can be scoped. A pause for that ends with it."""
    request = acting.found(seat.desk, request_id, lock=True)
    acting.require(request, State.RECEIVED, verb="identified")
    if request.is_paused and clock_of(request).pauses[-1].reason is PauseReason.IDENTITY:
        request = resumed(seat, request)
    return acting.moved(seat, request, "identified", state=State.SCOPING.value, said={"method": method.value})


def write_down(seat: Seat, request_id: str, text: str) -> RightsRequest:
    """Keep a note with the case: sealed, and in no entry."""
    check_text(text, "note")
    desk = seat.desk
    request = acting.found(desk, request_id, lock=True)
    case = opened(desk.tenancy.keys, request)
    if len(case.notes) >= MAX_NOTES:
        raise Invalid(
            "The case has as many notes as it may; nothing was kept.",
            field="note",
            rule=f"{MAX_NOTES} notes",
            remedy="Keep the rest in your own files.",
        )
    note = sealed(
        desk.tenancy.keys, request.id, request.leaf, case._replace(notes=(*case.notes, text.strip()))
    )
    return acting.moved(seat, request, "noted", header=note.header, sealed=note.text)


def check_text(text: str, field: str) -> None:
    """Raise Invalid for what is empty or too long."""
    if not text.strip() or len(text) > MAX_TEXT:
        raise Invalid(
            f"The {field} are empty or too long; nothing was done.",
            field=field,
            rule=f"1 to {MAX_TEXT} characters",
            remedy="Say it in a few sentences. The text is sealed, and in no entry.",
        )


def _purposes(desk: Desk, kind: Kind, given: Sequence[str]) -> tuple[str, ...]:
    if bool(given) != kind.needs_purposes:
        raise Invalid(
            f"Purposes do not belong to a request of this type, or are missing: {kind.value}.",
            field="purposes",
            rule="given for objection, consent-withdrawal and opt-out, and for nothing else",
            remedy="Name the purposes for which the person's data is not to be used any more.",
        )
    known = desk.tenancy.policy.configuration.purposes
    unknown = next((one for one in given if one not in known), None)
    if unknown is not None:
        raise Invalid(
            f"Purpose {shown(unknown)} is not declared; nothing was done.",
            field="purposes",
            rule="purposes of the tenant's Vocabulary manifest",
            remedy="Name declared purposes.",
        )
    return tuple(sorted(set(given)))


def _corrections(desk: Desk, kind: Kind, given: Sequence[Mapping[str, Any]]) -> tuple[Correction, ...]:
    if bool(given) != (kind.right is Kind.RECTIFICATION) or len(given) > MAX_CORRECTIONS:
        raise Invalid(
            f"Corrections do not belong to a request of this type, or are missing: {kind.value}.",
            field="corrections",
            rule=f"1 to {MAX_CORRECTIONS}, for rectification and correct, and for nothing else",
            remedy='Say what each record is to say from now on: {"scope","key","content"}.',
        )
    scopes = desk.tenancy.policy.configuration.scopes
    for place, one in enumerate(given):
        check_key(one["key"])
        check_json(one["content"], f"corrections[{place}].content")
        if one["scope"] not in scopes:
            raise Invalid(
                "There is no such scope; nothing was done.",
                field=f"corrections[{place}].scope",
                rule="a declared Scope manifest",
                remedy="Name the scope in which the record is.",
            )
    corrections = tuple(Correction(one["scope"], one["key"], one["content"]) for one in given)
    if len({one[:2] for one in corrections}) < len(corrections):
        raise Invalid(
            "A record is to be corrected twice; nothing was done.",
            field="corrections",
            rule="each record once",
            remedy="Say once what it is to say.",
        )
    return corrections
