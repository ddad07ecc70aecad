"""Tenants: the platform operator's call."""

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import callers as shapes
from tenure.http.shapes.base import answers
from tenure.http.shapes.erasures import Shred
from tenure.model.principal import Credential


@post(
    "/v1/tenants",
    operation_id="createTenant",
    status_code=201,
    responses=answers(201, shapes.Tenant, "Created"),
)
async def create_tenant(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Create a tenant with its keys, its ledger and its first administrator."""
    data = await wire.received(request, wire.NewTenant)
    once = await read_once(request)
    return json_reply(201, await tenure_of(request).tenants.create(credential, data.name, once))


@post(
    "/v1/tenants/{id:str}/:shred",
    operation_id="shredTenant",
    status_code=202,
    responses=answers(202, Shred, "Under way"),
)
async def shred_tenant(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Offboard a tenant: destroy its keys and everything it stored. Its ledger stays, or is handed over."""
    how = await wire.received(request, wire.Leaving) if await request.body() else wire.Leaving()
    once = await read_once(request)
    asked = await tenure_of(request).tenants.shred(credential, id, once, ledger=how.ledger)
    return json_reply(202, asked)


HANDLERS: list[Any] = [create_tenant, shred_tenant]
