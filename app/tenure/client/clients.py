"""`Client` and `AsyncClient`: the same calls, over HTTP.

    with Client("https://tenure.example", api_key, purpose="customer-support") as client:
        client.put(SCOPE, "talk-1", {"text": "…"}, subjects=["customer:42"], categories=["contact"])
        with client.decision(subject="customer:42") as decision:
            talk = decision.get(SCOPE, "talk-1")
            decision.outcome = "refund"

Both may be shared: by threads, and by tasks. Connections are kept and used again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar, Unpack

import httpx

from tenure.client.bearer import bearer
from tenure.client.calls import Bound
from tenure.client.decisions import About, Decisions
from tenure.client.operation import Work
from tenure.client.records import Records
from tenure.client.steps import RETRIES, TIMEOUT_S, Answer, Ask, NotAnswered, NotSent, Pause, Send, Step
from tenure.client.threads import Threads
from tenure.errors import TenureError, Unsupported
from tenure.tls import authorities

R = TypeVar("R")
COMPLETED: Final = "completed"
"""The outcome of a block that ended and said no other."""
FAILED: Final = "failed"
"""The outcome of a block that an exception left."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Common(Records, Decisions, Threads):
    """What does not depend on how steps are carried out."""

    outcome: str = COMPLETED
    """Of the decision that this client belongs to: said when its block ends."""

    def _asking(self, step: Ask) -> Any:  # noqa: ANN401 - what the cell answers, or what is awaited for it
        if self.direct is None:
            raise Unsupported("Only a cell in this process is asked directly; nothing was done.")
        return self.direct(step, self.bound)

    def _with(self, bound: Bound) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, bound=bound)
        return other


class Client(_Common):
    """Calls that block."""

    def __init__(
        self,
        base: str,
        api_key: str,
        *,
        purpose: str | None = None,
        on_behalf_of: str | None = None,
        retries: int = RETRIES,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`base`: the service's root, such as `https://tenure.example`. `api_key`: or an access token.

        White space around a key is left out. Raises Unauthenticated for what is no key at all.
        """
        self.bound = Bound(purpose, None, on_behalf_of, retries, timeout_s)
        verify = transport is not None or authorities()
        self._http = httpx.Client(base_url=base, headers=bearer(api_key), transport=transport, verify=verify)

    def drive(self, work: Work[R], /) -> R:
        """Carry out the steps of a call."""
        try:
            step = next(work)
            while True:
                try:
                    answer = self._done(step)
                except (NotSent, NotAnswered, TenureError) as lost:
                    step = work.throw(lost)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the generator returned

    def _done(self, step: Step) -> Any:  # noqa: ANN401 - see `steps`
        if isinstance(step, Ask):
            return self._asking(step)
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        with _lost():
            return _answer(self._http.send(_request(self._http, step)))

    @contextmanager
    def decision(self, **about: Unpack[About]) -> Iterator[Self]:
        """A decision around a block: a client whose accesses belong to it, sealed when the block ends.

        Takes what `open_decision` takes. Set `outcome` in the block; otherwise it is `completed`, or `failed`
        when an exception leaves the block. That exception goes on, whether or not sealing works.
        """
        opened = self.open_decision(**about)
        inside = self.for_purpose(opened.purpose, on_behalf_of=self.bound.on_behalf_of).within(opened.id)
        try:
            yield inside
        except BaseException:
            with suppress(TenureError):
                self.seal_decision(opened.id, FAILED)
            raise
        self.seal_decision(opened.id, inside.outcome)

    def close(self) -> None:
        """Close the connections, of every client made from this one, too."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Common):
    """Calls that are awaited."""

    def __init__(
        self,
        base: str,
        api_key: str,
        *,
        purpose: str | None = None,
        on_behalf_of: str | None = None,
        retries: int = RETRIES,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As `Client`."""
        self.bound = Bound(purpose, None, on_behalf_of, retries, timeout_s)
        verify = transport is not None or authorities()
        self._http = httpx.AsyncClient(
            base_url=base, headers=bearer(api_key), transport=transport, verify=verify
        )

    async def drive(self, work: Work[R], /) -> R:
        """Carry out the steps of a call."""
        try:
            step = next(work)
            while True:
                try:
                    answer = await self._done(step)
                except (NotSent, NotAnswered, TenureError) as lost:
                    step = work.throw(lost)
                else:
                    step = work.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the generator returned

    def _done(self, step: Step) -> Awaitable[Any]:
        if isinstance(step, Ask):
            return self._asking(step)  # type: ignore[no-any-return]  # what `direct` returns is awaited here
        if isinstance(step, Pause):
            return asyncio.sleep(step.seconds)
        return self._sent(step)

    async def _sent(self, step: Send) -> Answer:
        with _lost():
            return _answer(await self._http.send(_request(self._http, step)))

    @asynccontextmanager
    async def decision(self, **about: Unpack[About]) -> AsyncIterator[Self]:
        """As of `Client`."""
        opened = await self.open_decision(**about)
        inside = self.for_purpose(opened.purpose, on_behalf_of=self.bound.on_behalf_of).within(opened.id)
        try:
            yield inside
        except BaseException:
            with suppress(TenureError):
                await self.seal_decision(opened.id, FAILED)
            raise
        await self.seal_decision(opened.id, inside.outcome)

    async def aclose(self) -> None:
        """As `Client.close`."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _request(http: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
    return http.build_request(
        step.method,
        step.path,
        headers=dict(step.headers),
        params=dict(step.params) or None,
        content=step.content,
        timeout=step.timeout_s,
    )


@contextmanager
def _lost() -> Iterator[None]:
    """What goes wrong on the way: only its class is told, as messages may hold addresses with keys."""
    try:
        yield
    except _NOT_SENT as failure:
        raise NotSent(type(failure).__name__) from failure
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        raise NotAnswered(type(failure).__name__) from failure


def _answer(response: httpx.Response) -> Answer:
    media = response.headers.get("Content-Type", "").partition(";")[0]
    return Answer(response.status_code, media, response.content)
