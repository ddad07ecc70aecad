"""`tenure rootstore`: where the root key is, its rotation, its move to another store."""

import asyncio
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.errors import KeyFailure, NotYet

app = typer.Typer(no_args_is_help=True, help="The root key's store, with the operator's key.")

_POLL_S = 2.0
_Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for the provider.")]


@app.command()
@governing
async def status(connection: Connection, output: Output) -> dict[str, Any]:
    """Show the store, its guarantee and its versions; open the live key state to see that it works."""
    found = dict(await connection.call("GET", "/v1/rootstore"))
    _show(found, output)
    if not found["opens"]:
        raise KeyFailure(
            f"The root store does not open the live key state ({found['failure']}). What is served now comes "
            "from keys that this process still has; nothing was changed.",
            rule="rootstore",
            remedy="Mend the root store before the service is started again.",
        )
    return found


@app.command()
@governing
async def rotate(connection: Connection, output: Output, wait: _Wait = 60) -> dict[str, Any]:
    """Make a new root version and destroy every older one. Nobody is erased, no data is touched."""
    return await _rotated(connection, output, "rotate", wait)


@app.command()
@governing
async def migrate(connection: Connection, output: Output, wait: _Wait = 60) -> dict[str, Any]:
    """Move the root key from TENURE_ROOT_STORE_PREVIOUS to TENURE_ROOT_STORE. No data is encrypted anew."""
    found = await _rotated(connection, output, "migrate", wait)
    output.line("The previous store holds no live version: unset TENURE_ROOT_STORE_PREVIOUS.")
    return found


async def _rotated(connection: Connection, output: Output, verb: str, wait: float) -> dict[str, Any]:
    """Rotate, and wait until all older versions are destroyed. Raises NotYet after `wait` seconds."""
    before = (await connection.call("GET", "/v1/rootstore"))["live"]
    end = asyncio.get_running_loop().time() + wait
    try:
        found = dict(await connection.call("POST", f"/v1/rootstore:{verb}"))
    except NotYet:
        found = dict(await connection.call("GET", "/v1/rootstore"))
    while not _done(found, before):
        if asyncio.get_running_loop().time() >= end:
            _show(found, output)
            raise NotYet(
                "The rotation is under way; it goes on while the service runs.",
                remedy="Look again with 'tenure rootstore status': every older version must be destroyed.",
            )
        await asyncio.sleep(_POLL_S)
        found = dict(await connection.call("GET", "/v1/rootstore"))
    _show(found, output)
    return found


def _done(found: dict[str, Any], before: int) -> bool:
    older = [one["state"] for one in found["versions"] if one["version"] != found["live"]]
    return found["live"] > before and not found["under_way"] and set(older) <= {"destroyed"}


def _show(found: dict[str, Any], output: Output) -> None:
    output.line(f"provider   {found['provider']}")
    if found["previous"]:
        output.line(
            f"previous   {found['previous']['provider']}   (a hand-over: new versions are made above)"
        )
    output.line(f"guarantee  {found['guarantee']}")
    output.line(f"live       version {found['live']}, {'opens' if found['opens'] else 'DOES NOT OPEN'}")
    rows = [
        (one["version"], one["provider"], _state(one, found["live"]), one["created_at"])
        for one in found["versions"]
    ]
    output.table(("version", "kept by", "state", "created"), rows)


def _state(one: dict[str, Any], live: int) -> str:
    if one["state"] != "live":
        return str(one["state"])
    return "live" if one["version"] == live else "not used, destroyed by the next rotation or erasure"
