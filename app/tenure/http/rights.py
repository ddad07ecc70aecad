"""Rights requests: the data protection officer's desk."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.http import rightswire, wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import rights as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id
from tenure.model.principal import Credential
from tenure.model.rightsrequest import Kind, State
from tenure.rights.receiving import NewRequest
from tenure.rights.service import RightsRequests

_CURSOR = "requests"
_STATES, _TYPES = [state.value for state in State], [kind.value for kind in Kind]


def _desk(request: Call) -> RightsRequests:
    return tenure_of(request).requests


@post(
    "/v1/requests",
    operation_id="openRequest",
    status_code=201,
    responses=answers(201, shapes.RightsRequest, "Received; its clock runs"),
)
async def open_request(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Take in what a person asks for by law. Its clock runs from `received_at`."""
    data = await wire.received(request, rightswire.NewRightsRequest)
    once = await read_once(request)
    new = NewRequest(
        data.type,
        data.reference,
        data.received_at,
        data.details,
        data.purposes,
        tuple(one.model_dump() for one in data.corrections),
    )
    return json_reply(201, await _desk(request).open(credential, new, once))


@get(
    "/v1/requests",
    operation_id="listRequests",
    responses=answers(200, shapes.RightsRequestPage, "Newest first"),
)
async def list_requests(
    request: Call,
    credential: NamedDependency[Credential],
    only: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": _STATES})] = None,
    kind: Annotated[str | None, QueryParameter(name="type", schema_extra={"enum": _TYPES})] = None,
    overdue: FromQuery[bool] = False,  # noqa: FBT002 - a query's member
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List rights requests: in a state, of a type, or those whose time is over."""
    before = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if before is not None and not is_id(before):
        raise wire.bad_cursor()
    if only is not None and only not in _STATES:
        raise wire.wrong_member("state", f"one of {', '.join(_STATES)}")
    if kind is not None and kind not in _TYPES:
        raise wire.wrong_member("type", f"one of {', '.join(_TYPES)}")
    page = await _desk(request).page(
        credential,
        states=None if only is None else [State(only)],
        kind=None if kind is None else Kind(kind),
        overdue=overdue,
        before=before,
        limit=limit,
    )
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@post(
    "/v1/requests:find",
    operation_id="findRequests",
    status_code=200,
    responses=answers(200, shapes.RightsRequests, "Newest first"),
)
async def find_requests(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """List what somebody asked for before, by their reference: whether they are known, erased or neither."""
    data = await wire.received(request, rightswire.WhoAsked)
    return json_reply(200, await _desk(request).find(credential, data.reference))


@get(
    "/v1/requests/{id:str}",
    operation_id="getRequest",
    responses=answers(200, shapes.RightsRequestWhole, "The request"),
)
async def get_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """One request: clock, timeline, what the dry run found, what each step did. Says nothing of who asked."""
    return json_reply(200, await _desk(request).get(credential, id))


@get(
    "/v1/requests/{id:str}/case",
    operation_id="getRequestCase",
    responses=answers(200, shapes.RequestCase, "The case"),
)
async def get_request_case(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Who asked, and in which words. Looking is on record."""
    return json_reply(200, await _desk(request).case(credential, id))


@post(
    "/v1/requests/{id:str}/:identify",
    operation_id="identifyRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Identified"),
)
async def identify_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Say how it was established who asks."""
    data = await wire.received(request, rightswire.Identification)
    once = await read_once(request)
    return json_reply(200, await _desk(request).identify(credential, id, data.method, once))


@post(
    "/v1/requests/{id:str}/:scope",
    operation_id="scopeRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequestWhole, "What was found; it waits for approval"),
)
async def scope_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Look what is held and what would happen, before anything is done."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).scope(credential, id, once))


@post(
    "/v1/requests/{id:str}/:approve",
    operation_id="approveRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Approved"),
)
async def approve_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Have a request carried out. Never by whoever opened it."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).approve(credential, id, once))


@post(
    "/v1/requests/{id:str}/:refuse",
    operation_id="refuseRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Refused"),
)
async def refuse_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Turn a request down on a ground of the law. Never by whoever opened it."""
    data = await wire.received(request, rightswire.RequestRefusal)
    once = await read_once(request)
    return json_reply(200, await _desk(request).refuse(credential, id, data.ground, once))


@post(
    "/v1/requests/{id:str}/:withdraw",
    operation_id="withdrawRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Withdrawn"),
)
async def withdraw_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The person takes the request back, before anything is done."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).withdraw(credential, id, once))


@post(
    "/v1/requests/{id:str}/:acknowledge",
    operation_id="acknowledgeRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Noted"),
)
async def acknowledge_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Note that the person was told that the request came in."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).acknowledge(credential, id, once))


@post(
    "/v1/requests/{id:str}/:pause",
    operation_id="pauseRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "The clock stands still"),
)
async def pause_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Stop the clock, until it is known who asks or what for."""
    data = await wire.received(request, rightswire.PauseClock)
    once = await read_once(request)
    return json_reply(200, await _desk(request).pause(credential, id, data.reason, once))


@post(
    "/v1/requests/{id:str}/:resume",
    operation_id="resumeRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "The clock runs"),
)
async def resume_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Let the clock go on."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).resume(credential, id, once))


@post(
    "/v1/requests/{id:str}/:extend",
    operation_id="extendRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Extended"),
)
async def extend_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Take the further time that the law gives, as the person is told."""
    data = await wire.received(request, rightswire.ExtendClock)
    once = await read_once(request)
    return json_reply(200, await _desk(request).extend(credential, id, data.reason, once))


@post(
    "/v1/requests/{id:str}/:note",
    operation_id="noteRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Kept"),
)
async def note_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Keep a note with the case; it is sealed."""
    data = await wire.received(request, rightswire.CaseNote)
    once = await read_once(request)
    return json_reply(200, await _desk(request).note(credential, id, data.text, once))


@post(
    "/v1/requests/{id:str}/:conclude",
    operation_id="concludeRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "It goes on"),
)
async def conclude_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Say an officer's word on what a request waits for. Never by whoever opened it."""
    data = await wire.received(request, rightswire.Conclusion)
    once = await read_once(request)
    return json_reply(200, await _desk(request).conclude(credential, id, data.outcome, once))


@post(
    "/v1/requests/{id:str}/:lift",
    operation_id="liftRequest",
    status_code=200,
    responses=answers(200, shapes.RightsRequest, "Lifted"),
)
async def lift_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """End what a restriction or an objection forbids. Never by whoever opened it."""
    once = await read_once(request)
    return json_reply(200, await _desk(request).lift(credential, id, once))


@post(
    "/v1/requests/{id:str}/:link",
    operation_id="linkRequest",
    status_code=200,
    responses=answers(200, shapes.RequestLink, "A link; its token is shown once"),
)
async def link_request(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Make a link to the package of a request, for the person. The one made before opens nothing any more."""
    return json_reply(200, await _desk(request).link(credential, id))


HANDLERS: list[Any] = [
    open_request,
    list_requests,
    find_requests,
    get_request,
    get_request_case,
    identify_request,
    scope_request,
    approve_request,
    refuse_request,
    withdraw_request,
    acknowledge_request,
    pause_request,
    resume_request,
    extend_request,
    note_request,
    conclude_request,
    lift_request,
    link_request,
]
