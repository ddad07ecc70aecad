"""Clients of a cell in this process, as agents have them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx

import tenure
from support.cell import SUPPORT, Cell, Tenant
from tenure.client import AsyncClient, Client
from tenure.http.app import create_app


@contextmanager
def opened(cell: Cell, who: str = "agent", purpose: str | None = SUPPORT) -> Iterator[Client]:
    """A client that blocks, with the cell in a thread of its own."""
    settings = cell.settings.model_dump(exclude={"data_dir", "database_url"})
    target = str(cell.settings.data_dir)
    if cell.dialect == "postgresql":
        target, settings["data_dir"] = cell.settings.database_url, cell.settings.data_dir
    with tenure.open(target, cell.one.keys[who], purpose=purpose, settings=settings) as client:
        yield client


def another(client: Client, cell: Cell, who: str, purpose: str | None = SUPPORT) -> Client:
    """Somebody else's, on the same cell."""
    return Client(
        "http://tenure.localhost", cell.one.keys[who], purpose=purpose, transport=client._http._transport
    )


@asynccontextmanager
async def awaited(
    cell: Cell, who: str = "agent", purpose: str | None = SUPPORT, tenant: Tenant | None = None
) -> AsyncIterator[AsyncClient]:
    """A client that is awaited, of a cell that is open on this loop."""
    transport = httpx.ASGITransport(create_app(cell.tenure))  # type: ignore[arg-type]
    key = (tenant or cell.one).keys[who]
    async with AsyncClient("http://tenure.localhost", key, purpose=purpose, transport=transport) as client:
        yield client
