"""Commands that govern: one credential, one service. A running one by its URL, or the embedded one here.

Either way they speak the public HTTP API; there is no second path to a cell.
"""

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from tenure.cli.options import PLACES, Given, Json, takes_settings, with_parameters
from tenure.cli.output import Output, answering, wrong_use
from tenure.client.http import Connection


def _trimmed(given: str | None) -> str | None:
    """A variable that is read from a file often ends in a newline; one of white space is as good as none."""
    return given and given.strip()


ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="TENURE_API_KEY",
        metavar="KEY",
        help="Whose rights to use.",
        show_default=False,
        callback=_trimmed,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="TENURE_URL", metavar="URL", help="A running service; the embedded store if left out."
    ),
]

Verb = Callable[..., Awaitable[Any]]


def governing(verb: Verb) -> Callable[..., None]:
    """A command from `async verb(connection, output, …) -> JSON`: connects, answers, maps errors."""

    @takes_settings(*PLACES)
    def command(
        given: Given,
        api_key: ApiKey = None,
        url: Url = None,
        as_json: Json = False,
        **values: Any,  # noqa: ANN401 - any JSON
    ) -> None:
        output = Output(as_json=as_json)
        if not api_key:
            wrong_use(output, "Whose rights? Give --api-key or set TENURE_API_KEY. Nothing was done.")
            return
        with answering(output):
            output.document(asyncio.run(_inside(verb, output, api_key, url, given, values)))

    mine = [one for one in inspect.signature(command).parameters.values() if one.name != "values"]
    functools.update_wrapper(command, verb)
    return with_parameters(command, verb, mine, drop={"connection", "output"})


async def _inside(
    verb: Verb, output: Output, api_key: str, url: str | None, given: Given, values: dict[str, Any]
) -> Any:  # noqa: ANN401 - the verb's own answer
    async with _connected(api_key, url, given) as connection:
        return await verb(connection, output, **values)


@contextlib.asynccontextmanager
async def _connected(api_key: str, url: str | None, given: Given) -> AsyncIterator[Connection]:
    if url:
        async with Connection(api_key, url) as connection:
            yield connection
        return
    from tenure.cli.embedded import open_cell  # noqa: PLC0415 - only this path needs the server side

    async with open_cell(given.settings()) as cell, cell.connect(api_key) as connection:
        yield connection


def segment(text: str) -> str:
    """A value as one segment of a path (RFC 3986 §3.3)."""
    return quote(text, safe="")
