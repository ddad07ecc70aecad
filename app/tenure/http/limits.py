"""Limits: the operator's of tenants, the administrator's of API keys."""

from typing import Any

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import callers as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential

_TENANT = "/v1/tenants/{id:str}/limits"
_CREDENTIAL = "/v1/principals/{id:str}/credentials/{credential_id:str}/limits"


@put(
    _TENANT,
    operation_id="setTenantLimits",
    status_code=200,
    responses=answers(200, shapes.TenantRates, "As they are now"),
)
async def set_tenant_limits(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Say what a tenant may take and store, in place of what was said before."""
    data = await wire.received(request, wire.TenantLimits)
    once = await read_once(request)
    given = data.model_dump()
    return json_reply(200, await tenure_of(request).limits.declare(credential, id, given, once))


@get(
    _TENANT,
    operation_id="getTenantLimits",
    responses=answers(200, shapes.TenantStanding, "Its limits, and what it stores"),
)
async def get_tenant_limits(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """What a tenant may take and store, and how much it stores."""
    return json_reply(200, await tenure_of(request).limits.of_tenant(credential, id))


@put(
    _CREDENTIAL,
    operation_id="setCredentialLimits",
    status_code=200,
    responses=answers(200, shapes.CredentialRates, "As they are now"),
)
async def set_credential_limits(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential_id: FromPath[str],
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Say what an API key may take, within what its tenant may."""
    data = await wire.received(request, wire.CredentialLimits)
    once = await read_once(request)
    given = data.model_dump()
    made = await tenure_of(request).limits.narrow(credential, id, credential_id, given, once)
    return json_reply(200, made)


@get(
    _CREDENTIAL,
    operation_id="getCredentialLimits",
    responses=answers(200, shapes.CredentialRates, "Its limits"),
)
async def get_credential_limits(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential_id: FromPath[str],
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """What an API key may take."""
    return json_reply(200, await tenure_of(request).limits.of_credential(credential, id, credential_id))


@get(
    "/v1/limits",
    operation_id="getLimits",
    responses=answers(200, shapes.OwnStanding, "The caller's tenant"),
)
async def get_limits(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """What the caller's tenant may take and store, and how much it stores."""
    return json_reply(200, await tenure_of(request).limits.mine(credential))


@get(
    "/v1/limits/refusals",
    operation_id="listRefusals",
    responses=answers(200, shapes.Refusals, "Tenants that were over a limit lately"),
)
async def list_refusals(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Which tenants this process refused in the last quarter of an hour."""
    return json_reply(200, await tenure_of(request).limits.refused(credential))


HANDLERS: list[Any] = [
    set_tenant_limits,
    get_tenant_limits,
    set_credential_limits,
    get_credential_limits,
    get_limits,
    list_refusals,
]
