"""The root store: the platform operator's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.types import ASGIApp

from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import callers as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential


@get(
    "/v1/rootstore",
    operation_id="getRootStore",
    responses=answers(200, shapes.RootStore, "Where the root key is, and whether it works"),
)
async def get_root_store(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """The root store, its guarantee and its versions. Opens the live key state to see that it works."""
    return json_reply(200, await tenure_of(request).root_keys.status(credential))


@post(
    "/v1/rootstore:rotate",
    operation_id="rotateRootKey",
    status_code=200,
    responses=answers(200, shapes.RootStore, "Rotated"),
)
async def rotate_root_key(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """A new root version; every older one is destroyed. Nobody is erased, no data is encrypted anew."""
    return json_reply(200, await tenure_of(request).root_keys.rotate(credential))


@post(
    "/v1/rootstore:migrate",
    operation_id="migrateRootKey",
    status_code=200,
    responses=answers(200, shapes.RootStore, "Moved"),
)
async def migrate_root_key(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """A rotation in a hand-over: afterwards the previous root store holds no live version."""
    return json_reply(200, await tenure_of(request).root_keys.rotate(credential, moving=True))


HANDLERS: list[Any] = [get_root_store, rotate_root_key, migrate_root_key]
