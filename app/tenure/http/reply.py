"""Answers that are ready to send. One class of our own: the record path is too hot for a general one."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.types import Receive, Scope, Send

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
PROBLEM = b"application/problem+json"
BYTES = b"application/octet-stream"

encode = msgspec.json.Encoder().encode

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


def json_reply(status: int, value: Mapping[str, Any], *headers: tuple[bytes, bytes]) -> Reply:
    """Answer with a JSON object."""
    return Reply(status, encode(value), JSON, *headers)


def text_reply(text: str, *, cache: bytes | None = None) -> Reply:
    """Answer with plain text."""
    return Reply(200, text.encode(), TEXT, cache=cache)
