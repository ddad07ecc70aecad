"""Erasures under way, and their certificates."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.papers import json_of, paper_reply, wanted
from tenure.http.reply import JSON, json_reply
from tenure.http.shapes import erasures as shapes
from tenure.http.shapes.base import answers
from tenure.http.shapes.ledger import Envelope
from tenure.ids import is_id
from tenure.model.principal import Credential
from tenure.rendering.certificates import certificate_paper

_CURSOR = "shred"


@get("/v1/shreds", operation_id="listShreds", responses=answers(200, shapes.ShredPage, "Newest first"))
async def list_shreds(
    request: Call,
    credential: NamedDependency[Credential],
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List erasures, under way and done."""
    before = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if before is not None and not is_id(before):
        raise wire.bad_cursor()
    page = await tenure_of(request).erasures.page(credential, before=before, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@get("/v1/shreds/{id:str}", operation_id="getShred", responses=answers(200, shapes.Shred, "The erasure"))
async def get_shred(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """How far an erasure is, and what it waits for."""
    return json_reply(200, await tenure_of(request).erasures.state(credential, id))


@get(
    "/v1/certificates/{id:str}",
    operation_id="getCertificate",
    responses=answers(200, Envelope, "A DSSE envelope"),
)
async def get_certificate(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The signed certificate of an erasure; verifies offline. As a page or a PDF for who accepts that."""
    envelope = await tenure_of(request).erasures.certificate(credential, id)
    kind = wanted(request)
    if kind == JSON.decode():
        return json_of(envelope.encode())
    return await paper_reply(kind, certificate_paper(envelope), f"certificate-{id}")


@post(
    "/v1/shreds/{id:str}/:scan",
    operation_id="scanForResidue",
    status_code=200,
    responses=answers(200, shapes.Scan, "What was found"),
)
async def scan_for_residue(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Search everything of the tenant for values of the erased person: text that names no subject.

    An erasure that waits for a search is certified by one that finds nothing, or whose findings are accepted.
    """
    data = await wire.received(request, wire.NewScan)
    found = await tenure_of(request).residue.scan(credential, id, data.values, accept=data.accept)
    return json_reply(200, found)


HANDLERS: list[Any] = [list_shreds, get_shred, scan_for_residue, get_certificate]
