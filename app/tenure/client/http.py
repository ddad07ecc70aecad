"""One credential at one service, over HTTP. Errors come back as the classes that the service raised.

A call that the service refuses because the caller is over a limit (429: nothing was done) is made again, a
few times, when the service says, and a little later than that by chance: callers that were refused together
must not come back together.
"""

import asyncio
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from tenure.client.bearer import bearer
from tenure.client.problems import error_of
from tenure.errors import RateLimited, Unavailable
from tenure.tls import authorities

_TIMEOUT = 30.0
_PROBLEM = "application/problem+json"
RETRIES = 4
"""How often a call that was refused with 429 is made again."""
_LONGEST_S = 30
"""A service that says to wait longer is believed, and not waited for."""
_chance = secrets.SystemRandom()


class Connection:
    """Calls of the public API (`docs/openapi.json`) with an API key.

    `base` is the service's root, such as `http://127.0.0.1:8420`. `transport` reaches a service in this
    process instead of over the network.
    """

    def __init__(
        self,
        api_key: str,
        base: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        retries: int = RETRIES,
    ) -> None:
        """`retries`: see above; with 0 a refusal is raised at once.

        White space around a key is left out. Raises Unauthenticated for what is no key at all.
        """
        self.served = True
        """Whether the cell runs on when this connection is closed."""
        self.base = base.rstrip("/")
        self._retries = retries
        self._client = httpx.AsyncClient(
            base_url=base,
            headers=bearer(api_key),
            transport=transport,
            timeout=_TIMEOUT,
            verify=transport is not None or authorities(),
        )

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - any JSON
        *,
        text: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        seconds: float | None = _TIMEOUT,
    ) -> Any:  # noqa: ANN401 - whatever the call answers
        """Parsed JSON, text for other media types, None for no content.

        `body` is sent as JSON, or `text` as it is; the answer is waited for `seconds`, or with None for ever.
        Raises the `TenureError` that the service answered with, `Unavailable` when it does not answer or
        answers with something else.
        """
        response = await self._answer(
            method, path, json=body, content=text, headers=headers, params=params, timeout=seconds
        )
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        return response.json() if kind == "application/json" else response.text

    async def fetch(self, path: str) -> bytes:
        """The exact bytes of an answer. Raises as `call` does."""
        return (await self._answer("GET", path)).content

    async def _answer(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - passed on
        for attempt in range(self._retries + 1):
            try:
                return await self._once(method, path, **more)
            except RateLimited as refused:
                if attempt == self._retries or refused.retry_after > _LONGEST_S:
                    raise
                await asyncio.sleep(pause(refused.retry_after, attempt))
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _once(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - passed on
        try:
            response = await self._client.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise Unavailable(
                f"The service did not answer ({type(failure).__name__}); what it did is not known.",
                remedy="Check its address and that it runs, then ask again.",
            ) from failure
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind == _PROBLEM:
            raise error_of(response.json())
        if not response.is_success:
            raise Unavailable(
                f"The service answered {response.status_code} without saying why; what it did is not known.",
                remedy="Check that the address is a Tenure service's.",
            )
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def pause(retry_after: int, attempt: int) -> float:
    """Seconds until the next attempt, from 0: never less than the service said, and some more.

    How much more is left to chance: up to as long again, doubled with every refusal, a minute at most.
    """
    return retry_after + _chance.uniform(0, min(max(retry_after, 1) << attempt, 60))
