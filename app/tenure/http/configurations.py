"""Generations of the tenant's configuration: history, and the way back."""

import re
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import manifests as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential

_CURSOR = "configuration"
_NUMBER = re.compile(r"[1-9][0-9]{0,14}")


@get(
    "/v1/manifests:history",
    operation_id="listConfigurations",
    responses=answers(200, shapes.ConfigurationPage, "Generations"),
)
async def list_configurations(
    request: Call,
    credential: NamedDependency[Credential],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List the generations of the configuration, newest first."""
    before = None if cursor is None else _before(cursor)
    page = await tenure_of(request).configurations.history(credential, before=before, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@post(
    "/v1/manifests:rollback",
    operation_id="rollbackManifests",
    status_code=200,
    responses=answers(200, shapes.Applied, "What was changed"),
)
async def rollback_manifests(
    request: Call,
    credential: NamedDependency[Credential],
    dry_run: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
) -> ASGIApp:
    """Bring back what an earlier generation declared, all of it, as a new generation."""
    data = await wire.received(request, wire.Rollback)
    once = await read_once(request)
    done = await tenure_of(request).configurations.rollback(
        credential, data.generation, dry_run=dry_run, once=once
    )
    return json_reply(200, done)


def _before(cursor: str) -> int:
    place = wire.from_cursor(_CURSOR, cursor)
    if not _NUMBER.fullmatch(place):
        raise wire.bad_cursor()
    return int(place)


HANDLERS: list[Any] = [list_configurations, rollback_manifests]
