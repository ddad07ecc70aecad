"""The ASGI application: every call over one cell."""

import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from tenure.http import openapi, problems, routes
from tenure.http.paths import settle
from tenure.http.reply import JSON, Reply
from tenure.http.turnstile import Turnstile, networks

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure


class Surface(Litestar):
    """Litestar, with paths settled before they are routed, behind a turnstile."""

    turnstile: Turnstile

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Serve one request."""
        if scope["type"] == ScopeType.HTTP:
            settle(cast("MutableMapping[str, Any]", scope))
            await self.turnstile.serve(super().__call__, scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def create_app(tenure: "Tenure") -> Surface:
    """The application over a cell. It starts the cell, and then closes it, unless that is done outside."""

    @contextlib.asynccontextmanager
    async def running(_app: Litestar) -> AsyncIterator[None]:
        if tenure.started:
            yield
            return
        await tenure.start()
        try:
            yield
        finally:
            await tenure.close()

    surface = Surface(
        [*routes.handlers(), get_openapi],
        dependencies=routes.dependencies(),
        exception_handlers=problems.HANDLERS,
        lifespan=[running],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=tenure.settings.max_body_bytes,
        state=State({"tenure": tenure}),
    )
    surface.turnstile = Turnstile(
        tenure.gate, tenure.knows, tenure.tokens.owner, networks(tenure.settings.trusted_proxies)
    )
    return surface


@get("/schema/openapi.json")
async def get_openapi() -> ASGIApp:
    """The OpenAPI document."""
    return Reply(200, openapi.document(), JSON, cache=b"public, max-age=300")
