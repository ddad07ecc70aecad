"""`tenure.open`: the same client, wherever the cell is: behind an address, or in this very process.

In process there is no network and no server: the public API is called where it is. Nothing is less governed
for that: the same credentials, policy and ledger (docs/client.md).
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx

from tenure.client.bearer import key_of
from tenure.client.calls import Direct
from tenure.client.clients import AsyncClient, Client
from tenure.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from tenure.bootstrap import Tenure
    from tenure.settings import Settings

R = TypeVar("R")
BASE: Final = "http://tenure.localhost"
FILE: Final = "tenure.db"
"""The name of an embedded store's database in its folder."""


def open_client(target: str | Path, api_key: str, **more: Any) -> Client:  # noqa: ANN401 - of `Client`
    """A client that blocks. `more`: as `Client`'s; `settings`: of a cell in this process (`cell_settings`).

    A cell in this process ends with the client. Raises as `open_tenure` does, such as Conflict when another
    process has the embedded store, and Unauthenticated for what is no key at all.
    """
    api_key = key_of(api_key)  # before a cell is opened for nothing
    settings = cell_settings(target, more.pop("settings", {}))
    if settings is None:
        return Client(str(target), api_key, **more)
    cell = _InProcess(settings)
    client = Client(BASE, api_key, transport=cell, **more)
    client.direct = cell.direct(api_key)
    return client


@asynccontextmanager
async def open_async(
    target: str | Path,
    api_key: str,
    **more: Any,  # noqa: ANN401 - of `AsyncClient`
) -> AsyncIterator[AsyncClient]:
    """The same for a running event loop: a cell in this process runs in it, until the block ends."""
    api_key = key_of(api_key)
    settings = cell_settings(target, more.pop("settings", {}))
    async with AsyncExitStack() as stack:
        if settings is None:
            client = AsyncClient(str(target), api_key, **more)
        else:
            tenure, transport = await _cell(stack, settings)
            client = AsyncClient(BASE, api_key, transport=transport, **more)
            client.direct = _direct(tenure, api_key)
        yield await stack.enter_async_context(client)


def cell_settings(target: str | Path, changes: Mapping[str, Any]) -> "Settings | None":
    """The settings of a cell to run here; None for the address of a service.

        https://… or http://…                a service
        postgresql://user@host/database      a cell on that database
        a folder, or tenure.db in it         the embedded store there; sqlite:///… is the same

    Whatever the target does not say is as the environment has it (`TENURE_…`), or as `changes` say.
    """
    text = str(target)
    scheme, _, rest = text.partition("://")
    if rest and scheme in ("http", "https"):
        if changes:
            raise _wrong("settings", "of a cell in this process only: a service has its own")
        return None
    try:
        from tenure.settings import Settings  # noqa: PLC0415 - not in the bare install
    except ImportError:
        raise Unsupported(
            "A cell does not run in this process: only the client is installed. Nothing was opened.",
            field="target",
            rule="https://… with the client alone",
            remedy="Install the service: pip install 'tenure[server]', with postgres for PostgreSQL.",
        ) from None
    if rest and scheme in ("postgresql", "postgres"):
        return Settings(**{"database_url": text.replace("postgres://", "postgresql://", 1), **changes})
    if rest and scheme != "sqlite":
        raise _wrong("target", "https://…, postgresql://…, or the folder of an embedded store")
    folder = Path(rest.removeprefix("/") if rest else text)
    folder = folder.parent if folder.name == FILE else folder
    if not (folder / FILE).is_file():
        raise Invalid(
            "There is no embedded store in that folder; nothing was opened.",
            field="target",
            rule=f"a folder with {FILE}, as `tenure init` makes it",
            remedy="Make one with `tenure init`, or correct the path.",
        )
    return Settings(**{"data_dir": folder, "database_url": "", **changes})


class _InProcess(httpx.BaseTransport):
    """Requests to a cell that runs in a thread of its own."""

    def __init__(self, settings: "Settings") -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tenure-cell", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        try:
            self._tenure, self._app = self._run(_cell(self._stack, settings))
        except BaseException:
            self._end()
            raise

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Asked and answered on the cell's own loop."""
        return self._run(self._answered(request))

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        response = await self._app.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

    def direct(self, api_key: str) -> Direct:
        """What asks the cell without HTTP, and waits for its answer."""
        ask = _direct(self._tenure, api_key)
        return lambda step, bound: self._run(ask(step, bound))

    def close(self) -> None:
        """Publish what is committed, and end the cell."""
        if self._thread.is_alive():
            self._run(self._stack.aclose())
            self._end()

    def _run(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cell(stack: AsyncExitStack, settings: "Settings") -> "tuple[Tenure, httpx.ASGITransport]":
    """A cell on the running loop, open until the stack ends."""
    from tenure.bootstrap import open_tenure  # noqa: PLC0415 - not in the bare install

    tenure = await stack.enter_async_context(open_tenure(settings))
    return tenure, httpx.ASGITransport(_api(tenure))


def _api(tenure: "Tenure") -> Any:  # noqa: ANN401 - an ASGI application
    """The public API, put together when it is first asked: that takes longer than all else about opening."""
    made: list[Any] = []

    async def answer(*asked: Any) -> None:  # noqa: ANN401 - ASGI's scope, receive and send
        if not made:
            from tenure.http.app import create_app  # noqa: PLC0415 - not in the bare install

            made.append(create_app(tenure))
        await made[0](*asked)

    return answer


def _direct(tenure: "Tenure", api_key: str) -> Direct:
    """Threads of a cell without HTTP: the same credentials, limits, policy and ledger."""
    from tenure.http.direct import asker  # noqa: PLC0415 - not in the bare install

    return asker(tenure, api_key)


def _wrong(field: str, rule: str) -> Invalid:
    return Invalid(
        "This cannot be opened; nothing was.",
        field=field,
        rule=rule,
        remedy="Give an address, a database's URL or a folder.",
    )
