"""The bare servers: Litestar, granian and asyncpg, a row and nothing else; with or without one audit INSERT.

    GET /rows/{key}      the row by primary key
    GET /audited/{key}   the same, and one audit row in the same statement
    PUT /rows/{key}      a new row and one audit row in one statement

Run as `python -m bench.bare PORT DATABASE_URL`.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from litestar import Litestar, Request, Response, get, put
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from bench import content

POOL = 16
_BACKLOG = 4096

SCHEMA = """
CREATE TABLE rows (
    key text PRIMARY KEY,
    body text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    key text NOT NULL,
    what text NOT NULL
);
"""
_READ = "SELECT key, body, updated_at FROM rows WHERE key = $1"
_READ_AUDITED = """
WITH seen AS (INSERT INTO audit (who, key, what) VALUES ($2, $1, 'read'))
SELECT key, body, updated_at FROM rows WHERE key = $1
"""
_WRITE = """
WITH seen AS (INSERT INTO audit (who, key, what) VALUES ($3, $1, 'write'))
INSERT INTO rows (key, body) VALUES ($1, $2) RETURNING key, updated_at
"""

_pool: asyncpg.Pool | None = None


async def fill(url: str) -> None:
    """Create the tables and the rows that are read."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SCHEMA)
        rows = [(f"k{number}", content.content(number)) for number in range(content.KEYS)]
        await connection.copy_records_to_table("rows", records=rows, columns=["key", "body"])
        await connection.execute("ANALYZE rows")
    finally:
        await connection.close()


@get("/rows/{key:str}")
async def read(key: FromPath[str]) -> Response[dict[str, Any]]:
    """One SELECT."""
    assert _pool is not None
    return _answer(await _pool.fetchrow(_READ, key))


@get("/audited/{key:str}")
async def read_audited(key: FromPath[str]) -> Response[dict[str, Any]]:
    """One SELECT that also inserts."""
    assert _pool is not None
    return _answer(await _pool.fetchrow(_READ_AUDITED, key, "bench"))


@put("/rows/{key:str}", status_code=201)
async def write(key: FromPath[str], request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """One INSERT that also inserts."""
    assert _pool is not None
    body = msgspec.json.decode(await request.body())
    text = msgspec.json.encode(body["content"]).decode()
    row = await _pool.fetchrow(_WRITE, key, text, "bench")
    assert row is not None
    return Response({"key": row["key"], "updated_at": row["updated_at"]}, status_code=201)


def _answer(row: asyncpg.Record | None) -> Response[dict[str, Any]]:
    if row is None:
        raise NotFoundException
    return Response(
        {"key": row["key"], "content": msgspec.Raw(row["body"].encode()), "updated_at": row["updated_at"]}
    )


@asynccontextmanager
async def _connected(_app: Litestar) -> AsyncIterator[None]:
    global _pool  # noqa: PLW0603 - one process, one pool; a dependency per request would be measured too
    _pool = await asyncpg.create_pool(sys.argv[2], min_size=POOL, max_size=POOL)
    try:
        yield
    finally:
        await _pool.close()


app = Litestar([read, read_audited, write], lifespan=[_connected], openapi_config=None)


async def serve(port: int) -> None:
    """Serve until terminated, as `tenure.main` does: embedded, one process, the same options."""
    server = Server(
        app,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
