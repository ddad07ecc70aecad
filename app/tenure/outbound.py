"""Calls that the service makes to others."""

import time
from typing import Final

import httpx

NO_PROXY: Final = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"), None)
"""httpx `mounts`: this machine is never asked through a proxy, which would be the proxy's machine."""

_OK: Final = 200


class NoAnswer(Exception):
    """Somebody else's server did not give what it was asked for. Says nothing of what it gave."""


def fetch(url: str, *, most_bytes: int, within_s: float) -> bytes:
    """The body of a GET that answers 200, at most so long and so late. Raises NoAnswer. Blocks.

    No redirect is followed: where to ask is configuration, not an answer.
    """
    begun = time.monotonic()
    try:
        with (
            httpx.Client(timeout=within_s, follow_redirects=False, mounts=NO_PROXY) as client,
            client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            body = bytearray()
            if answer.status_code != _OK:
                raise NoAnswer
            for part in answer.iter_bytes():
                body += part
                if len(body) > most_bytes or time.monotonic() - begun > within_s:
                    raise NoAnswer
            return bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise NoAnswer from None
