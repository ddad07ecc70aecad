"""What the parts of the client share: who asks, why, as part of which decision; and how a request looks."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from tenure.client.operation import Work, operation
from tenure.client.results import Json
from tenure.client.steps import RETRIES, TIMEOUT_S, Ask, Send, answered


@dataclass(frozen=True, slots=True)
class Bound:
    """What every call of a client carries. `purpose` and `decision` go with reads and writes of records."""

    purpose: str | None = None
    decision: str | None = None
    on_behalf_of: str | None = None
    retries: int = RETRIES
    timeout_s: float = TIMEOUT_S

    @property
    def headers(self) -> dict[str, str]:
        """As request headers."""
        named = {
            "Tenure-Purpose": self.purpose,
            "Tenure-Decision": self.decision,
            "Tenure-On-Behalf-Of": self.on_behalf_of,
        }
        return {name: value for name, value in named.items() if value is not None}


Direct = Callable[[Ask, Bound], Any]
"""What asks a cell in this process: blocking, or to be awaited."""


class Calls:
    """Requests of one client."""

    bound: Bound
    direct: Direct | None = None
    """How a cell in this process is asked; None: over HTTP."""

    def _with(self, bound: Bound) -> Self:
        """The same client, over the same connections, whose calls carry something else."""
        raise NotImplementedError

    def for_purpose(self, purpose: str, *, on_behalf_of: str | None = None) -> Self:
        """The same client for another purpose, such as `customer-support`, on the same connections."""
        return self._with(replace(self.bound, purpose=purpose, on_behalf_of=on_behalf_of))

    @operation
    def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeats: bool | None = None,
    ) -> Work[Json]:
        """Any call of the HTTP API that has no method here, such as `call("GET", "/v1/principals")`.

        Parsed JSON, text for other media types, None for no content. `repeats`: whether it does no harm to
        make it again; GETs do none. Raises the `TenureError` that the service answered with.
        """
        again = method == "GET" if repeats is None else repeats
        return (yield from self._asked(method, path, body, headers or {}, params=params or {}, repeats=again))

    def _asked(
        self,
        method: str,
        path: str,
        body: Json = None,
        headers: Mapping[str, str] = {},
        *,
        params: Mapping[str, str] = {},
        repeats: bool = False,
    ) -> Work[Any]:
        content = None if body is None else json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        typed = {} if content is None else {"Content-Type": "application/json"}
        all_headers = {**self.bound.headers, **typed, **headers}
        request = Send(method, path, all_headers, params, content, repeats, self.bound.timeout_s)
        answer = yield from answered(request, self.bound.retries)
        if not answer.content:
            return None
        return answer.json() if answer.media == "application/json" else answer.content.decode()
