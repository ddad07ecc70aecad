"""What is stored, what it costs, and what another retention would do."""

import json
from typing import Annotated, Any, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.governance.previewing import WITHIN
from tenure.governance.storage import MAX_AHEAD, Span, span_of
from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import storage as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential

_YEAR = 365


@get(
    "/v1/storage",
    operation_id="getStorage",
    responses=answers(200, shapes.Storage, "What is stored, as it was counted last"),
)
async def get_storage(
    request: Call,
    credential: NamedDependency[Credential],
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    by: FromQuery[Literal["day"] | None] = None,
    now: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
) -> ASGIApp:
    """What the caller's tenant stores by scope and tier; for the operator, all tenants together by tier.

    As the day's count has it, or counted `now`. With `since`, `until` or `by=day`: each day of them.
    """
    span = _span(since, until, by)
    return json_reply(200, await tenure_of(request).storage.mine(credential, span, afresh=now))


@get(
    "/v1/tenants/{id:str}/storage",
    operation_id="getTenantStorage",
    responses=answers(200, shapes.Storage, "What it stores, as it was counted last"),
)
async def get_tenant_storage(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    by: FromQuery[Literal["day"] | None] = None,
) -> ASGIApp:
    """What a tenant stores by scope and tier, for the operator."""
    span = _span(since, until, by)
    return json_reply(200, await tenure_of(request).storage.of_tenant(credential, id, span))


@get(
    "/v1/storage:forecast",
    operation_id="forecastStorage",
    responses=answers(200, shapes.Forecast, "Day by day"),
)
async def forecast_storage(
    request: Call,
    credential: NamedDependency[Credential],
    days: Annotated[int, QueryParameter(ge=1, le=MAX_AHEAD)] = _YEAR,
) -> ASGIApp:
    """What will be stored if as much is written as lately, under the retention that holds."""
    return json_reply(200, await tenure_of(request).storage.ahead(credential, days))


@post(
    "/v1/storage:forecast",
    operation_id="forecastProposed",
    status_code=200,
    responses=answers(200, shapes.Forecast, "Day by day, under both"),
)
async def forecast_proposed(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The same, and beside it under proposed Retention manifests. Changes nothing."""
    data = await wire.received(request, wire.ForecastProposal)
    return json_reply(200, await tenure_of(request).storage.ahead(credential, data.days, _text(data)))


@post(
    "/v1/retention:preview",
    operation_id="previewRetention",
    status_code=200,
    responses=answers(200, shapes.RetentionPreview, "What would be different"),
)
async def preview_retention(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """What proposed Retention manifests would move and take away, now and within a time. Changes nothing."""
    data = await wire.received(request, wire.RetentionProposal)
    within = WITHIN if data.within is None else data.within
    return json_reply(200, await tenure_of(request).previewing.preview(credential, _text(data), within))


def _text(data: wire.Proposed) -> str:
    """The manifests as an apply takes them."""
    return json.dumps(data.manifests if data.files is None else {"files": data.files})


def _span(since: str | None, until: str | None, by: str | None) -> Span | None:
    if since is None and until is None and by is None:
        return None
    return span_of(
        *(
            None if one is None else wire.query_day(one, name)
            for one, name in ((since, "since"), (until, "until"))
        )
    )


HANDLERS: list[Any] = [
    get_storage,
    get_tenant_storage,
    forecast_storage,
    forecast_proposed,
    preview_retention,
]
