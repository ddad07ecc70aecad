"""Answers that are ready to send. One class of our own: the record path is too hot for a general one."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
import structlog
from litestar.types import Receive, Scope, Send

from tenure.errors import TenureError

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
PROBLEM = b"application/problem+json"
BYTES = b"application/octet-stream"

encode = msgspec.json.Encoder().encode

_log = structlog.get_logger(__name__)
_NO_STORE = (b"cache-control", b"no-store")


class Reply:
    """An ASGI application that sends these bytes. Nothing is cached on the way unless it says so."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        media: bytes = JSON,
        *headers: tuple[bytes, bytes],
        cache: bytes | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [
            (b"content-type", media),
            (b"content-length", b"%d" % len(body)),
            _NO_STORE if cache is None else (b"cache-control", cache),
            *headers,
        ]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class Streamed:
    """An ASGI application that sends bytes as they come: `size` in all, which is said before the first.

    What fails under way cannot be said any more: the answer ends early, and whoever gets it sees that it is
    shorter than it was to be.
    """

    __slots__ = ("headers", "parts")

    def __init__(
        self, size: int, parts: AsyncIterator[bytes], media: bytes, *headers: tuple[bytes, bytes]
    ) -> None:
        self.parts = parts
        length = (b"content-length", b"%d" % size)
        self.headers = [(b"content-type", media), length, _NO_STORE, *headers]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it. What fails before the first part is still answered with its own status."""
        part = await anext(self.parts, b"")
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        while part:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            try:
                part = await anext(self.parts, b"")
            except TenureError as failure:
                _log.error("an answer ended early", error=failure.kind)
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def json_reply(status: int, value: Mapping[str, Any], *headers: tuple[bytes, bytes]) -> Reply:
    """Answer with a JSON object."""
    return Reply(status, encode(value), JSON, *headers)


def text_reply(text: str, *, cache: bytes | None = None) -> Reply:
    """Answer with plain text."""
    return Reply(200, text.encode(), TEXT, cache=cache)
