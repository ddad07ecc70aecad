"""Principals and their API keys."""

from typing import Annotated, Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.http import shapes, wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import answers
from tenure.ids import is_id
from tenure.model.principal import Credential, PrincipalKind

_CURSOR = "principal"
_CREDENTIALS = "/v1/principals/{id:str}/credentials"


@post(
    "/v1/principals",
    operation_id="createPrincipal",
    status_code=201,
    responses=answers(201, shapes.NewPrincipalMade, "Created"),
)
async def create_principal(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Create a principal with its first API key, shown once."""
    data = await wire.received(request, wire.NewPrincipal)
    once = await read_once(request)
    kind = PrincipalKind(data.kind)
    return json_reply(
        201, await tenure_of(request).principals.create(credential, data.name, kind, data.roles, once)
    )


@get(
    "/v1/principals",
    operation_id="listPrincipals",
    responses=answers(200, shapes.PrincipalPage, "A page of principals"),
)
async def list_principals(
    request: Call,
    credential: NamedDependency[Credential],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List the tenant's principals."""
    after = "" if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if cursor is not None and not is_id(after):
        raise wire.bad_cursor()
    page = await tenure_of(request).principals.every(credential, after=after, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@post(
    _CREDENTIALS,
    operation_id="createCredential",
    status_code=201,
    responses=answers(201, shapes.NewCredential, "Created"),
)
async def create_credential(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Give a principal a further API key, shown once."""
    once = await read_once(request)
    made = await tenure_of(request).principals.add_credential(credential, id, once)
    return json_reply(201, made)


@get(
    _CREDENTIALS,
    operation_id="listCredentials",
    responses=answers(200, shapes.Credentials, "Its API keys, without secrets"),
)
async def list_credentials(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """List a principal's API keys."""
    return json_reply(200, await tenure_of(request).principals.credentials(credential, id))


@delete(_CREDENTIALS + "/{credential_id:str}", operation_id="revokeCredential")
async def revoke_credential(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential_id: FromPath[str],
    credential: NamedDependency[Credential],
) -> None:
    """Revoke an API key, for every process from its next request on."""
    await tenure_of(request).principals.revoke(credential, id, credential_id)


HANDLERS: list[Any] = [
    create_principal,
    list_principals,
    create_credential,
    list_credentials,
    revoke_credential,
]
