"""The ASGI application: every call over one cell."""

import contextlib
from collections.abc import AsyncIterator, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from tenure.http import problems, routes
from tenure.http.paths import settle
from tenure.http.reply import JSON, Reply
from tenure.http.turnstile import Turnstile, networks

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure


class Surface(Litestar):
    """Litestar, with paths settled before they are routed, behind a turnstile."""

    turnstile: Turnstile
    here: set[int] | None
    """Which handlers are registered, if they are when they are asked for; None when all of them are."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        """Serve one request."""
        if scope["type"] == ScopeType.HTTP:
            settle(cast("MutableMapping[str, Any]", scope))
            if self.here is not None:
                self._bring_in(scope["path"], self.here)
            await self.turnstile.serve(super().__call__, scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def _bring_in(self, path: str, here: set[int]) -> None:
        """Register all that may answer at a path: whoever is routed there is routed as among all calls."""
        for handler in routes.handlers_at(path):
            if id(handler) not in here:
                here.add(id(handler))
                self.register(handler)


def create_app(tenure: "Tenure", *, at_once: bool = True) -> Surface:
    """The application over a cell. It starts the cell, and then closes it, unless that is done outside.

    `at_once`: every call is read and registered now, as a server wants it. Without, each when it is asked
    for: most commands make one or two of a hundred.
    """

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
        [*(routes.handlers() if at_once else ()), get_openapi],
        dependencies=routes.dependencies(),
        exception_handlers=problems.HANDLERS,
        lifespan=[running],
        logging_config=None,
        openapi_config=None,
        request_max_body_size=tenure.settings.max_body_bytes,
        state=State({"tenure": tenure}),
    )
    surface.here = None if at_once else set()
    surface.turnstile = Turnstile(
        tenure.gate, tenure.knows, tenure.tokens.owner, networks(tenure.settings.trusted_proxies)
    )
    return surface


@get("/schema/openapi.json")
async def get_openapi() -> ASGIApp:
    """The OpenAPI document."""
    from tenure.http import openapi  # noqa: PLC0415 - takes a while to import, and is rarely asked for

    return Reply(200, openapi.document(), JSON, cache=b"public, max-age=300")
