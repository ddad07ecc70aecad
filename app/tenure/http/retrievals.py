"""Getting contents out of an archive before they are needed."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.access import Ask
from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.paths import check_scope_name
from tenure.http.reply import json_reply
from tenure.http.shapes import retrievals as shapes
from tenure.http.shapes.base import answers
from tenure.http.turnstile import count_records
from tenure.listing import Query
from tenure.model.principal import Credential
from tenure.model.record import check_subject

_READY, _ASKED = "All of it can be read", "An archive was asked: hours"


@post(
    "/v1/retrievals",
    operation_id="retrieveRecords",
    status_code=202,
    responses=answers(200, shapes.Asked, _READY) | answers(202, shapes.Asked, _ASKED),
)
async def retrieve_records(request: Call, ask: NamedDependency[Ask]) -> ASGIApp:
    """Have what lies in an archive brought to where it can be read, of what the caller may list and read.

    Up to 1 000 versions at once; `next` leads on. Nothing of them is shown.
    """
    data = await wire.received(request, wire.RetrievalRequest)
    once = await read_once(request)
    if data.subject is not None:
        check_subject(data.subject)
    wanted = Query(
        subject=data.subject,
        prefix=data.prefix,
        keys=data.keys,
        categories=data.categories,
        since=data.since,
        until=data.until,
        as_of=data.as_of,
        include_content=True,
        cursor=data.cursor,
    )
    asked = await tenure_of(request).retrievals.ask(ask, check_scope_name(data.scope), wanted, once)
    count_records(request.scope, asked["versions"])
    return _reply(asked)


@post(
    "/v1/subjects/{id:str}/:retrieve",
    operation_id="retrieveSubject",
    status_code=202,
    responses=answers(200, shapes.Asked, _READY) | answers(202, shapes.Asked, _ASKED),
)
async def retrieve_subject(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """The same for everything about a person, for a rights request. Nothing of it is shown."""
    once = await read_once(request)
    return _reply(await tenure_of(request).retrievals.of_person(credential, id, once))


@get(
    "/v1/retrievals/{id:str}",
    operation_id="getRetrieval",
    responses=answers(200, shapes.Retrieval, "Settled") | answers(202, shapes.Retrieval, "Under way"),
)
async def get_retrieval(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """How far it is. For whoever asked, and whoever may see others' retrievals."""
    return _reply(await tenure_of(request).retrievals.get(credential, id))


def _reply(shown: dict[str, Any]) -> ASGIApp:
    if "retry_after" not in shown:
        return json_reply(200, shown)
    return json_reply(202, shown, (b"retry-after", b"%d" % shown["retry_after"]))


HANDLERS: list[Any] = [retrieve_records, retrieve_subject, get_retrieval]
