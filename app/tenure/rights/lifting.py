"""The end of a restriction or an objection, decided by a second person. Recipients are told: Art. 18(3)."""

from tenure.errors import Conflict, Denied
from tenure.governance import subjectlimits
from tenure.governance.service import Seat
from tenure.model.notices import Event
from tenure.model.rightsrequest import Kind, RightsRequest, State
from tenure.rights import acting
from tenure.rights.deciding import no_second_person
from tenure.rights.finding import person_of
from tenure.rights.telling import enqueued

_LIFTED = frozenset({Kind.RESTRICTION, Kind.OBJECTION, Kind.CONSENT_WITHDRAWAL})


def lift(seat: Seat, request_id: str) -> RightsRequest | Denied:
    """What this request forbids is allowed again; what others forbid stays. Conflict without anything."""
    request = acting.found(seat.desk, request_id, lock=True)
    if (refusal := no_second_person(seat, request)) is not None:
        return refusal
    acting.require(request, State.COMPLETED, State.PARTIAL, verb="lifted")
    person = person_of(seat.desk, request) if Kind(request.kind).right in _LIFTED else None
    lifted = []
    if person is not None:
        lifted += subjectlimits.lift_restriction(seat, person, request.id, of=request.id)
        lifted += subjectlimits.lift_objection(seat, person, request.id, of=request.id)
    if not lifted:
        raise Conflict(
            "This request forbids nothing now; nothing was changed.",
            field="id",
            rule="a restriction, an objection or a withdrawn consent in force",
            remedy="See what holds for the person with GET /v1/subjects/{id}.",
        )
    if Kind(request.kind) is Kind.RESTRICTION:
        enqueued(seat.desk, request, Event.RESTRICTION_LIFTED)
    return acting.moved(seat, request, "lifted")
