"""Data subjects and their erasure: the protection officer's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http import shapes, wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import Reply, json_reply
from tenure.http.shapes import answers
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
) -> ASGIApp:
    """Erase a person: destroy the keys of everything about them, in every copy."""
    once = await read_once(request)
    asked = await tenure_of(request).subjects.shred(credential, id, once)
    return json_reply(202, asked)


@get("/v1/shreds/{id:str}", operation_id="getShred", responses=answers(200, shapes.Shred, "The erasure"))
async def get_shred(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """How far an erasure is."""
    return json_reply(200, await tenure_of(request).subjects.shred_state(credential, id))


@get(
    "/v1/certificates/{id:str}",
    operation_id="getCertificate",
    responses=answers(200, shapes.Envelope, "A DSSE envelope"),
)
async def get_certificate(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The signed certificate of an erasure; verifies offline."""
    envelope = await tenure_of(request).subjects.certificate(credential, id)
    return Reply(200, envelope.encode())


HANDLERS: list[Any] = [lookup_subject, get_subject, shred_subject, get_shred, get_certificate]
