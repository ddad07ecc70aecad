"""What applications are to derive again without an erased person: for those who rather ask than are asked."""

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.rederive import STATES
from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import erasures as shapes
from tenure.http.shapes.base import answers
from tenure.ids import is_id
from tenure.model.principal import Credential

_CURSOR = "rederivation"


@get(
    "/v1/rederivations",
    operation_id="listRederivations",
    responses=answers(200, shapes.RederivationPage, "Newest first"),
)
async def list_rederivations(
    request: Call,
    credential: NamedDependency[Credential],
    only: Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": list(STATES)})] = None,
    cursor: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=wire.MAX_PAGE)] = wire.DEFAULT_PAGE,
) -> ASGIApp:
    """List what is to be derived again, was, or is overdue."""
    before = None if cursor is None else wire.from_cursor(_CURSOR, cursor)
    if before is not None and not is_id(before):
        raise wire.bad_cursor()
    if only is not None and only not in STATES:
        raise wire.wrong_member("state", f"one of {', '.join(STATES)}")
    page = await tenure_of(request).rederivations.page(credential, state=only, before=before, limit=limit)
    following = None if page["next"] is None else wire.to_cursor(_CURSOR, page["next"])
    return json_reply(200, {**page, "next": following})


HANDLERS: list[Any] = [list_rederivations]
