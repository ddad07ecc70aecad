"""Break-glass: roles for emergencies, asked for, approved, ended and reviewed."""

import re
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import breakglass as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id
from tenure.model.breakglass import State
from tenure.model.principal import Credential

_CURSOR, _ENTRIES = "breakglass", "breakglass-entries"
_STATES = [state.value for state in State]
_PLACE = re.compile(r"([0-9]{1,16})/([0-9a-f]{16})/([0-9]{1,16})")


@post(
    "/v1/breakglass",
    operation_id="requestElevation",
    status_code=201,
    responses=answers(201, shapes.Elevation, "Requested"),
)
async def request_elevation(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Ask for a role for emergencies. It counts once a second person approves it."""
    data = await wire.received(request, wire.NewElevation)
    once = await read_once(request)
    made = await tenure_of(request).breakglass.request(credential, data.role, data.minutes, data.reason, once)
    return json_reply(201, made)


@get(
    "/v1/breakglass",
    operation_id="listElevations",
    responses=answers(200, shapes.ElevationPage, "Newest first"),
)
async def list_elevations(
    request: Call,
    credential: NamedDependency[Credential],
    only: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": _STATES})] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List elevations: one's own, those that one may approve, or all for who governs them."""
    before = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if before is not None and not is_id(before):
        raise wire.bad_cursor()
    if only is not None and only not in _STATES:
        raise wire.wrong_member("state", f"one of {', '.join(_STATES)}")
    state = None if only is None else State(only)
    page = await tenure_of(request).breakglass.page(credential, state=state, before=before, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@get(
    "/v1/breakglass/{id:str}",
    operation_id="getElevation",
    responses=answers(200, shapes.ElevationWhole, "The elevation"),
)
async def get_elevation(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.MAX_PAGE,
) -> ASGIApp:
    """One elevation with its reason, and a page of the entries that were made under it or about it."""
    after = None if cursor is None else _place(wire.from_cursor(_ENTRIES, cursor))
    found = await tenure_of(request).breakglass.get(credential, id, after=after, limit=limit)
    place = found["next"]
    following = None if place is None else wire.to_cursor(_ENTRIES, "/".join(map(str, place)))
    return json_reply(200, {**found, "next": following})


@post(
    "/v1/breakglass/{id:str}/:approve",
    operation_id="approveElevation",
    status_code=200,
    responses=answers(200, shapes.Elevation, "Active"),
)
async def approve_elevation(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Let the role count for the requester, from now on and for the minutes asked for."""
    once = await read_once(request)
    return json_reply(200, await tenure_of(request).breakglass.approve(credential, id, once))


@post(
    "/v1/breakglass/{id:str}/:refuse",
    operation_id="refuseElevation",
    status_code=200,
    responses=answers(200, shapes.Elevation, "Refused"),
)
async def refuse_elevation(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Turn a request down."""
    once = await read_once(request)
    return json_reply(200, await tenure_of(request).breakglass.refuse(credential, id, once))


@post(
    "/v1/breakglass/{id:str}/:end",
    operation_id="endElevation",
    status_code=200,
    responses=answers(200, shapes.Elevation, "Ended"),
)
async def end_elevation(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """End an elevation before its time."""
    once = await read_once(request)
    return json_reply(200, await tenure_of(request).breakglass.end(credential, id, once))


@post(
    "/v1/breakglass/{id:str}/:review",
    operation_id="reviewElevation",
    status_code=200,
    responses=answers(200, shapes.Elevation, "Reviewed"),
)
async def review_elevation(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Say how the review of an elevation that is over came out."""
    data = await wire.received(request, wire.Review)
    once = await read_once(request)
    done = await tenure_of(request).breakglass.review(credential, id, data.outcome, data.note, once)
    return json_reply(200, done)


def _place(text: str) -> tuple[int, str, int]:
    """An entry's instant, writer and number."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise wire.bad_cursor()
    return int(found[1]), found[2], int(found[3])


HANDLERS: list[Any] = [
    request_elevation,
    list_elevations,
    get_elevation,
    approve_elevation,
    refuse_elevation,
    end_elevation,
    review_elevation,
]
