"""Principals and their API keys."""

from typing import Annotated, Any

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.principals import NewKey
from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import callers as shapes
from tenure.http.shapes.base import answers
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


@patch(
    "/v1/principals/{id:str}",
    operation_id="changePrincipal",
    responses=answers(200, shapes.Principal, "The principal as it is now"),
)
async def change_principal(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Give a principal other roles, switch it off or on again; from the next transaction on."""
    data = await wire.received(request, wire.PrincipalChange)
    if not data.model_fields_set:
        raise wire.wrong_member("roles", "roles, disabled, or both")
    changed = await tenure_of(request).principals.change(
        credential, id, roles=data.roles, disabled=data.disabled
    )
    return json_reply(200, changed)


@post(
    _CREDENTIALS,
    operation_id="createCredential",
    status_code=201,
    responses=answers(201, shapes.MadeCredential, "Created"),
)
async def create_credential(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Give a principal a further API key, shown once; one that ends, or is narrower than the principal."""
    once = await read_once(request)
    data = await wire.received(request, wire.NewCredential) if await request.body() else wire.NewCredential()
    reach = None if data.reach is None else data.reach.model_dump()
    made = await tenure_of(request).principals.add_credential(
        credential, id, once, new=NewKey(data.expires_at, reach)
    )
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
    change_principal,
    create_credential,
    list_credentials,
    revoke_credential,
]
