"""Data subjects and asking for their erasure: the protection officer's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.types import ASGIApp

from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import erasures as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential


@post(
    "/v1/subjects:lookup",
    operation_id="lookupSubject",
    status_code=200,
    responses=answers(200, shapes.Subjects, "Who is known by this reference"),
)
async def lookup_subject(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Find a person by reference."""
    data = await wire.received(request, wire.SubjectReference)
    return json_reply(200, await tenure_of(request).subjects.lookup(credential, data.ref))


@get(
    "/v1/subjects/{id:str}",
    operation_id="getSubject",
    responses=answers(200, shapes.Subject, "What is held"),
)
async def get_subject(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """What is held about a person: counts, never content."""
    return json_reply(200, await tenure_of(request).subjects.get(credential, id))


@post(
    "/v1/subjects/{id:str}/:shred",
    operation_id="shredSubject",
    status_code=202,
    responses=answers(202, shapes.Shred, "Under way"),
)
async def shred_subject(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
    at_once: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
    scan: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
) -> ASGIApp:
    """Erase a person: destroy the keys of everything about them, in every copy.

    With the next batch, or `at_once`. With `scan` the certificate waits for POST /v1/shreds/{id}:scan.
    """
    once = await read_once(request)
    asked = await tenure_of(request).subjects.shred(credential, id, once, at_once=at_once, scan=scan)
    return json_reply(202, asked)


@get(
    "/v1/subjects/{id:str}/impact",
    operation_id="previewShred",
    responses=answers(200, shapes.Impact, "What an erasure would do"),
)
async def preview_shred(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The dry run of an erasure: counts, holds that keep something; nothing is done."""
    return json_reply(200, await tenure_of(request).subjects.preview(credential, id))


HANDLERS: list[Any] = [lookup_subject, get_subject, shred_subject, preview_shred]
