"""Legal holds: the protection officer's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import erasures as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential


@post("/v1/holds", operation_id="placeHold", status_code=201, responses=answers(201, shapes.Hold, "Placed"))
async def place_hold(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Keep what is erased from now on, unreadable, until the hold is released."""
    data = await wire.received(request, wire.NewHold)
    once = await read_once(request)
    placed = await tenure_of(request).holds.place(credential, data.by, data.target, data.ground, once)
    return json_reply(201, placed)


@get("/v1/holds", operation_id="listHolds", responses=answers(200, shapes.Holds, "All holds"))
async def list_holds(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """List the tenant's holds, released ones too."""
    return json_reply(200, await tenure_of(request).holds.every(credential))


@get("/v1/holds/{id:str}", operation_id="getHold", responses=answers(200, shapes.Hold, "The hold"))
async def get_hold(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """One hold, and how much only it keeps."""
    return json_reply(200, await tenure_of(request).holds.get(credential, id))


@post(
    "/v1/holds/{id:str}/:release",
    operation_id="releaseHold",
    status_code=202,
    responses=answers(202, shapes.HoldReleased, "Under way"),
)
async def release_hold(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """End a hold: what only it kept is erased for good, with a certificate."""
    once = await read_once(request)
    return json_reply(202, await tenure_of(request).holds.release(credential, id, once))


HANDLERS: list[Any] = [place_hold, list_holds, get_hold, release_hold]
