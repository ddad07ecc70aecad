"""Calls that the service makes to others."""

import asyncio
from typing import Final

import httpx

from tenure.tls import authorities

NO_PROXY: Final = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"), None)
"""httpx `mounts`: this machine is never asked through a proxy, which would be the proxy's machine."""

_OK: Final = 200


class NoAnswer(Exception):
    """Somebody else's server did not give what it was asked for. Says nothing of what it gave."""


def fetch(url: str, *, most_bytes: int, within_s: float) -> bytes:
    """The body of a GET that answers 200, at most so long and so late. Raises NoAnswer. Blocks.

    The time is that of the whole call, however the answer is cut into pieces; only a name server that is
    slow can make it longer. No redirect is followed: where to ask is configuration, not an answer.
    """
    try:
        return asyncio.run(_fetch(url, most_bytes, within_s))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError):
        raise NoAnswer from None


async def _fetch(url: str, most_bytes: int, within_s: float) -> bytes:
    # A loop of its own: httpx can bound the wait for each piece, and a loop the wait for all of them.
    async with (
        asyncio.timeout(within_s),
        httpx.AsyncClient(
            timeout=within_s, follow_redirects=False, mounts=NO_PROXY, verify=authorities()
        ) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status_code != _OK:
            raise NoAnswer
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > most_bytes:
                raise NoAnswer
        return bytes(body)


def asking(within_s: float) -> httpx.AsyncClient:
    """A client for `post`: no redirects, no proxy to this machine. To be closed."""
    return httpx.AsyncClient(timeout=within_s, follow_redirects=False, mounts=NO_PROXY, verify=authorities())


async def post(
    client: httpx.AsyncClient, url: str, body: bytes | str, headers: dict[str, str], *, within_s: float
) -> int:
    """The status that a POST is answered with, within so long in all; the answer's body is never read.

    Raises NoAnswer, with what kept it from one as its cause.
    """
    try:
        async with (
            asyncio.timeout(within_s),
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            return answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as failure:
        raise NoAnswer from failure
