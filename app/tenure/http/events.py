"""What happened to people, told by the application."""

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.types import ASGIApp

from tenure.access import Ask
from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.paths import check_scope_name
from tenure.http.reply import json_reply
from tenure.http.shapes import retention as shapes
from tenure.http.shapes.base import answers


@post(
    "/v1/events",
    operation_id="postEvent",
    status_code=200,
    responses=answers(200, shapes.EventKept, "The event as it is kept"),
)
async def post_event(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Tell of an event of a person, which rules of retention begin with.

    The latest time of an event in a scope is kept; an earlier one changes nothing.
    """
    data = await wire.received(request, wire.NewEvent)
    once = await read_once(request)
    scope = check_scope_name(data.scope)
    told = await tenure_of(request).events.post(ask, scope, data.event, data.subject, data.at, once)
    return json_reply(200, told)


HANDLERS: list[Any] = [post_event]
