"""Issuers of access tokens: whose tokens this tenant takes."""

from types import MappingProxyType
from typing import Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import callers as shapes
from tenure.http.shapes.base import answers
from tenure.model.issuer import Issuer, Provision
from tenure.model.principal import Credential, PrincipalKind


@post(
    "/v1/issuers",
    operation_id="addIssuer",
    status_code=201,
    responses=answers(201, shapes.Issuer, "In force"),
)
async def add_issuer(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Take an issuer's access tokens for an audience; instead of the configuration that `replaces` names."""
    data = await wire.received(request, wire.NewIssuer)
    once = await read_once(request)
    made = await tenure_of(request).issuers.create(
        credential,
        _issuer(data),
        subjects=data.subjects,
        proof=data.proof,
        replaces=data.replaces,
        once=once,
    )
    return json_reply(201, made)


@get("/v1/issuers", operation_id="listIssuers", responses=answers(200, shapes.Issuers, "All of them"))
async def list_issuers(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """List the tenant's issuers. What they call people is not kept, so it is not shown."""
    return json_reply(200, await tenure_of(request).issuers.every(credential))


@delete("/v1/issuers/{id:str}", operation_id="removeIssuer")
async def remove_issuer(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> None:
    """Take none of an issuer's tokens any more, from the next transaction on."""
    await tenure_of(request).issuers.remove(credential, id)


def _issuer(data: wire.NewIssuer) -> Issuer:
    given = data.provision
    return Issuer(
        id="",
        name=data.name,
        url=data.issuer,
        audience=data.audience,
        algorithms=data.algorithms,
        types=data.types,
        clock_skew_s=data.clock_skew_s,
        subject_claim=data.subject_claim,
        role_claim=data.role_claim,
        roles=MappingProxyType(dict(data.roles)),
        required_claims=MappingProxyType(dict(data.required_claims)),
        required_scopes=data.required_scopes,
        provision=None if given is None else Provision(PrincipalKind(given.kind), given.roles),
        jwks_uri=data.jwks_uri,
    )


HANDLERS: list[Any] = [add_issuer, list_issuers, remove_issuer]
