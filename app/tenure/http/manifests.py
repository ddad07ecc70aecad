"""Manifests: apply and show what is declared."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.errors import Invalid
from tenure.governance.whatif import MAX_DAYS
from tenure.http import shapes
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import answers
from tenure.model.principal import Credential


@post(
    "/v1/manifests:apply",
    operation_id="applyManifests",
    status_code=200,
    responses=answers(200, shapes.Applied, "What was changed"),
)
async def apply_manifests(
    request: Call,
    credential: NamedDependency[Credential],
    dry_run: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
    what_if_days: Annotated[int | None, QueryParameter(ge=1, le=MAX_DAYS)] = None,
) -> ASGIApp:
    """Validate manifests together, then apply them in one transaction. YAML or JSON.

    A dry run with `what_if_days` tells which accesses of so many days would come out differently.
    """
    once = await read_once(request, json=False)
    if what_if_days is not None:
        if not dry_run:
            raise Invalid(
                "What would be different is told by a dry run only; nothing was applied.",
                field="what_if_days",
                rule="with dry_run=true",
                remedy="Add dry_run=true, or leave what_if_days out.",
            )
        answer = await tenure_of(request).what_if.apply(credential, await request.body(), what_if_days)
        return json_reply(200, answer)
    applied = await tenure_of(request).manifests.apply(
        credential, await request.body(), dry_run=dry_run, once=once
    )
    return json_reply(200, applied)


@get(
    "/v1/manifests/{kind:str}",
    operation_id="listManifests",
    responses=answers(200, shapes.Manifests, "Manifests of one kind"),
)
async def list_manifests(
    request: Call, kind: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """Manifests of one kind, as declared."""
    return json_reply(200, {"items": await tenure_of(request).manifests.every(credential, kind)})


@get(
    "/v1/manifests/{kind:str}/{name:str}",
    operation_id="getManifest",
    responses=answers(200, shapes.Manifest, "The manifest"),
)
async def get_manifest(
    request: Call, kind: FromPath[str], name: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """One manifest, as declared."""
    return json_reply(200, (await tenure_of(request).manifests.every(credential, kind, name))[0])


HANDLERS: list[Any] = [apply_manifests, list_manifests, get_manifest]
