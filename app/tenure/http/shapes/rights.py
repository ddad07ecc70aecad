"""Rights requests, as they are answered."""

from typing import Any, Literal

from tenure.http.shapes.base import Shape, Time
from tenure.model.deadlines import Regime
from tenure.model.rightsrequest import Ground, Kind, State


class RightsRequest(Shape):
    """A rights request and its clock as of now. `next`: what is to be done, and by whom."""

    id: str
    type: Kind
    state: State
    regime: Regime
    subject: str | None
    received_at: Time
    due_at: Time
    days_left: int
    acknowledge_by: Time | None
    extend_by: Time | None
    extended: bool
    paused: bool
    urgent: bool
    overdue: bool
    opened_by: str
    decided_by: str | None
    decided_at: Time | None
    execute_at: Time | None
    closed_at: Time | None
    ground: Ground | None
    certificate: str | None
    next: str | None


class RightsRequestPage(Shape):
    """Rights requests, newest first."""

    items: list[RightsRequest]
    next: str | None


class RightsRequests(Shape):
    """Rights requests of one person, newest first. `not_searched`: so many cases have had their time."""

    items: list[RightsRequest]
    complete: bool
    not_searched: int


class RequestStep(Shape):
    """Something that was done about a request. `by`: a principal, or null for the service itself."""

    at: Time
    step: str
    by: str | None


class RequestHold(Shape):
    """A hold that kept something from an erasure. `certificate`: of what its release erased."""

    hold: str
    state: Literal["active", "releasing", "released"]
    released_at: Time | None
    certificate: str | None


class RightsRequestWhole(RightsRequest):
    """A rights request with its timeline, what the dry run found, what each step did, and what holds kept."""

    timeline: list[RequestStep]
    scope: dict[str, Any] | None
    progress: dict[str, Any]
    held: list[RequestHold]


class RequestLink(Shape):
    """What opens an access package, once. The person puts the token into the page at /v1/packages."""

    package: str
    token: str
    until: Time


class CaseCorrection(Shape):
    """What a record is to say from now on."""

    scope: str
    key: str
    content: Any


class RequestCase(Shape):
    """Who asked, and in which words. Opening it is on record."""

    reference: str
    details: str | None
    purposes: list[str]
    corrections: list[CaseCorrection]
    notes: list[str]
