"""What adapters do, written once: in rounds of steps that block, or are awaited.

An adapter's work is a generator. It yields a round, which is a list of steps that do not wait for each other,
and is sent their results in the same order. `finish` does one step after the other; `afinish` does those of a
round at once, a few at a time. What is done is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from tenure.client.clients import AsyncClient, Client
from tenure.client.items import BEGINNING
from tenure.client.results import Page, Record
from tenure.errors import Erased, Invalid, NotFound, TenureError

R = TypeVar("R")
AnyClient = Client | AsyncClient
AT_ONCE: Final = 16
"""Steps of a round that wait for answers together."""
PAGE: Final = 200
"""As many records as one query gives."""
ABSENT: Final = (NotFound, Erased)
"""What is not there, and what is not there any more."""


class Step(NamedTuple):
    """Something to be done, in either way."""

    blocking: Callable[[], Any]
    awaited: Callable[[], Awaitable[Any]]


Rounds = Generator[Sequence[Step], list[Any], R]


def call(
    client: AnyClient,
    name: str,
    *given: Any,  # noqa: ANN401 - what the client's method of this name takes
    excused: tuple[type[TenureError], ...] = (),
    **named: Any,  # noqa: ANN401 - see above
) -> Step:
    """A call of a client. None instead of an error that is excused.

    A `Client` is awaited in a thread; an `AsyncClient` cannot block.
    """
    method = getattr(client, name)

    def blocking() -> Any:  # noqa: ANN401 - as the method answers
        if isinstance(client, AsyncClient):
            raise Invalid(
                "This was called in its blocking form and has an AsyncClient; nothing was done.",
                field="client",
                rule="a Client where calls block",
                remedy="Await the form whose name begins with a, or give it a Client.",
            )
        try:
            return method(*given, **named)
        except excused:
            return None

    async def awaited() -> Any:  # noqa: ANN401 - as the method answers
        if not isinstance(client, AsyncClient):
            return await asyncio.to_thread(blocking)
        try:
            return await method(*given, **named)
        except excused:
            return None

    return Step(blocking, awaited)


def finish(work: Rounds[R]) -> R:
    """Do all of it, blocking. Raises what a step raises; steps before it are done."""
    try:
        steps = next(work)
        while True:
            steps = work.send([step.blocking() for step in steps])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the generator returned


async def afinish(work: Rounds[R]) -> R:
    """The same, awaited. When a step fails, the others of its round are done before that is raised."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def done(step: Step) -> Any:  # noqa: ANN401 - whatever the step gives
        async with gate:
            return await step.awaited()

    try:
        steps = next(work)
        while True:
            results = await asyncio.gather(*map(done, steps), return_exceptions=True)
            for one in results:
                if isinstance(one, BaseException):
                    raise one
            steps = work.send(results)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # what the generator returned


def records(
    client: AnyClient,
    scope: str,
    path: Sequence[str],
    *,
    content: bool,
    enough: Callable[[list[Record]], bool] = lambda _: False,
    limit: int | None = None,
) -> Rounds[list[Record]]:
    """What is filed under a path and may be listed, oldest first: page by page, until it is `enough`.

    Without a path, all items of the scope: of what else is there, no content is asked for.
    """
    prefix = None if path else BEGINNING
    found: list[Record] = []
    cursor: str | None = None
    while True:
        size = limit or PAGE
        query = call(
            client, "query", scope, path=path, prefix=prefix, content=content, limit=size, cursor=cursor
        )
        page: Page = (yield [query])[0]
        found += page.items
        cursor = page.next
        if cursor is None or enough(found):
            return found
