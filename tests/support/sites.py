"""A prepared cell as its client's user has it: opened in this process, or served over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import tenure
from support.cell import SUPPORT, Cell
from support.serving import served
from tenure.client import AsyncClient, Client


def target(cell: Cell) -> tuple[str, dict[str, Any]]:
    """What `tenure.open` is given, and the settings that go with it."""
    settings = cell.settings
    more = settings.model_dump(exclude={"data_dir", "database_url"} if not settings.database_url else None)
    return (settings.database_url or str(settings.data_dir)), more


@contextmanager
def client_of(cell: Cell, where: str, who: str = "agent", purpose: str | None = SUPPORT) -> Iterator[Client]:
    """A client that blocks, `in process` or `over HTTP`."""
    key = cell.one.keys[who]
    if where == "in process":
        place, settings = target(cell)
        with tenure.open(place, key, purpose=purpose, settings=settings) as client:
            yield client
        return
    with served_at(cell) as url, Client(url, key, purpose=purpose) as client:
        yield client


@asynccontextmanager
async def async_client_of(
    cell: Cell, where: str, who: str = "agent", purpose: str | None = SUPPORT
) -> AsyncIterator[AsyncClient]:
    """The same, awaited."""
    key = cell.one.keys[who]
    if where == "in process":
        place, settings = target(cell)
        async with tenure.open_async(place, key, purpose=purpose, settings=settings) as client:
            yield client
        return
    with ExitStack() as stack:
        url = await asyncio.to_thread(stack.enter_context, served_at(cell))
        async with AsyncClient(url, key, purpose=purpose) as client:
            yield client


@contextmanager
def served_at(cell: Cell) -> Iterator[str]:
    """The address of the cell, served by a process of its own."""
    given = cell.settings.model_dump(include={"data_dir", "root_dir", "database_url", "shred_interval_s"})
    with served(given, cell.settings.data_dir.parent / "log") as (_, http):
        yield str(http.base_url)
