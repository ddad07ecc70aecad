"""The register of processing activities (GDPR Art. 30), as JSON, as a page or as a PDF."""

from typing import Annotated, Any

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ASGIApp

from tenure.governance.register import MAX_DAYS
from tenure.http.auth import Call, tenure_of
from tenure.http.papers import json_of, paper_reply, wanted
from tenure.http.reply import JSON, encode
from tenure.http.shapes import register as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential
from tenure.rendering.register import register_paper


@get(
    "/v1/register",
    operation_id="getRegister",
    responses=answers(200, shapes.Register, "What is declared, and what was done"),
)
async def get_register(
    request: Call,
    credential: NamedDependency[Credential],
    days: Annotated[int, QueryParameter(ge=1, le=MAX_DAYS)] = 30,
) -> ASGIApp:
    """The record of processing activities from manifests, and who used what for what in the last days.

    As a page or a PDF for who accepts that. Use is of the newest entries of the log, from `since` on.
    """
    found = await tenure_of(request).register.get(credential, days)
    kind = wanted(request)
    if kind == JSON.decode():
        return json_of(encode(found))
    return await paper_reply(kind, register_paper(found), "register")


HANDLERS: list[Any] = [get_register]
