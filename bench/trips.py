"""Round trips, counted on the wire: a relay between the service and PostgreSQL reads the client's messages.

A client waits for the server when it has sent Sync, Flush or a simple Query (PostgreSQL documentation,
"Frontend/Backend Protocol": Message Flow and Message Formats). Whatever the driver pipelines between two of
these costs no wait, so their number is the number of round trips.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_WAITS = frozenset(b"SHQ")
_STARTUP_HEAD = 4
_HEAD = 5


class Relay:
    """Passes bytes both ways and counts the messages that make a client wait."""

    def __init__(self, upstream: str) -> None:
        self.count = 0
        self._upstream = upstream

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection."""
        back_reader, back_writer = await asyncio.open_unix_connection(self._upstream)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await asyncio.gather(self._requests(reader, back_writer), _answers(back_reader, writer))
        for end in (writer, back_writer):
            end.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _message(reader, writer, _STARTUP_HEAD)
        while True:
            head = await _message(reader, writer, _HEAD)
            self.count += head[0] in _WAITS


async def _message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int) -> bytes:
    head = await reader.readexactly(size)
    writer.write(head + await reader.readexactly(int.from_bytes(head[-4:]) - 4))
    return head


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def relay(socket_folder: str, port: int, here: Path) -> AsyncIterator[Relay]:
    """Listen in folder `here` as the server in `socket_folder` does."""
    name = f".s.PGSQL.{port}"
    made = Relay(f"{socket_folder}/{name}")
    server = await asyncio.start_unix_server(made.serve, path=here / name, limit=1 << 20)
    try:
        yield made
    finally:
        server.close()


def summary(counted: Counter[int]) -> dict[str, object]:
    """The usual number, and how often each was seen."""
    return {"usual": counted.most_common(1)[0][0], "seen": {str(n): c for n, c in sorted(counted.items())}}
