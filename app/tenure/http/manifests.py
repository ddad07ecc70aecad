"""Manifests: apply, compare, show and describe what is declared."""

from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from tenure.errors import Invalid
from tenure.governance.whatif import MAX_DAYS
from tenure.http.auth import Call, read_once, tenure_of
from tenure.http.reply import Reply, json_reply
from tenure.http.shapes import manifests as shapes
from tenure.http.shapes.base import answers
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
    prune: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
    what_if_days: Annotated[int | None, QueryParameter(ge=1, le=MAX_DAYS)] = None,
) -> ASGIApp:
    """Validate manifests together, then apply them in one transaction.

    YAML or JSON, or `{"files": ["…"]}`: several texts, whose number an error names. With `prune`, what is not
    given is removed. A dry run with `what_if_days` tells which accesses of so many days would come out
    differently.
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
        answer = await tenure_of(request).what_if.apply(
            credential, await request.body(), what_if_days, prune=prune
        )
        return json_reply(200, answer)
    applied = await tenure_of(request).manifests.apply(
        credential, await request.body(), dry_run=dry_run, prune=prune, once=once
    )
    return json_reply(200, applied)


@post(
    "/v1/manifests:diff",
    operation_id="diffManifests",
    status_code=200,
    responses=answers(200, shapes.Differences, "What would change"),
)
async def diff_manifests(
    request: Call,
    credential: NamedDependency[Credential],
    prune: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
) -> ASGIApp:
    """Compare manifests with what is declared. Changes nothing; takes what an apply takes."""
    body = await request.body()
    return json_reply(200, await tenure_of(request).manifests.diff(credential, body, prune=prune))


@get(
    "/v1/manifests:schema",
    operation_id="getManifestSchema",
    responses=answers(200, shapes.ManifestSchema, "The schema", media="application/schema+json"),
)
async def get_schema(
    request: Call, credential: NamedDependency[Credential], kind: FromQuery[str | None] = None
) -> ASGIApp:
    """Get the JSON Schema (2020-12) of a kind, or of every manifest."""
    schema = await tenure_of(request).manifests.schema(credential, kind)
    return Reply(200, schema, b"application/schema+json")


@get(
    "/v1/manifests/{kind:str}/{name:str}/:describe",
    operation_id="describeManifest",
    responses=answers(200, shapes.Description, "The manifest in words"),
)
async def describe_manifest(
    request: Call, kind: FromPath[str], name: FromPath[str], credential: NamedDependency[Credential]
) -> ASGIApp:
    """One manifest in words, with its conditions, the grants that reach it, and who applied it."""
    return json_reply(200, await tenure_of(request).manifests.describe(credential, kind, name))


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


HANDLERS: list[Any] = [
    apply_manifests,
    diff_manifests,
    get_schema,
    list_manifests,
    get_manifest,
    describe_manifest,
]
