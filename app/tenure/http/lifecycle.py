"""The lifecycle rules of the cell's bucket: the platform operator's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import lifecycle as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential


@get(
    "/v1/lifecycle",
    operation_id="getLifecycle",
    responses=answers(200, shapes.LifecyclePlan, "The rules as they are and as they should be"),
)
async def get_lifecycle(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The bucket's lifecycle rules beside what tenants' Retention manifests ask for. Changes nothing."""
    return json_reply(200, await tenure_of(request).lifecycle.plan(credential))


@post(
    "/v1/lifecycle:apply",
    operation_id="applyLifecycle",
    status_code=200,
    responses=answers(200, shapes.LifecycleApplied, "What was done"),
)
async def apply_lifecycle(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Put this cell's rules as they should be; others' stay. With `seen`, only if nothing changed since."""
    data = wire.LifecycleApply()
    if await request.body():
        data = await wire.received(request, wire.LifecycleApply)
    return json_reply(200, await tenure_of(request).lifecycle.apply(credential, data.seen))


HANDLERS: list[Any] = [get_lifecycle, apply_lifecycle]
