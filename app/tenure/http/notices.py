"""Notices to recipients of what became of somebody's data: which wait, which were given up; sent again."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.notices import STATES
from tenure.http import wire
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import notices as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id
from tenure.model.principal import Credential

_CURSOR = "notice"


@get("/v1/notices", operation_id="listNotices", responses=answers(200, shapes.NoticePage, "Newest first"))
async def list_notices(
    request: Call,
    credential: NamedDependency[Credential],
    only: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": list(STATES)})] = None,
    about: Annotated[str | None, QueryParameter(name="request")] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List notices, without what they say: all, those in a state, those of a rights request."""
    before = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if before is not None and not is_id(before):
        raise wire.bad_cursor()
    if only is not None and only not in STATES:
        raise wire.wrong_member("state", f"one of {', '.join(STATES)}")
    if about is not None and not is_id(about):
        raise wire.wrong_member("request", "the id of a rights request")
    page = await tenure_of(request).notices.page(
        credential, state=only, request_id=about, before=before, limit=limit
    )
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


@post(
    "/v1/notices/{id:str}/:resend",
    operation_id="resendNotice",
    status_code=200,
    responses=answers(200, shapes.Notice, "Queued again"),
)
async def resend_notice(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Have a dead notice tried again, under the same `webhook-id`."""
    once = await read_once(request)
    return json_reply(200, await tenure_of(request).notices.resend(credential, id, once))


HANDLERS: list[Any] = [list_notices, resend_notice]
