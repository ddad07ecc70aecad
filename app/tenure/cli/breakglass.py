"""`tenure breakglass`: roles for emergencies."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(
    no_args_is_help=True,
    help="Roles for emergencies: asked for, approved by a second person, over by the clock, reviewed.",
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="The elevation's id.")]
_COLUMNS = ("id", "state", "role", "principal", "minutes", "ends_at", "review_due", "overdue")


class State(StrEnum):
    """Of an elevation."""

    REQUESTED = "requested"
    LAPSED = "lapsed"
    REFUSED = "refused"
    ACTIVE = "active"
    ENDED = "ended"
    REVIEWED = "reviewed"


@app.command()
@governing
async def request(
    connection: Connection,
    output: Output,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="A role with breakGlass.")],
    minutes: Annotated[int, typer.Option(metavar="N", help="For how long, from the approval on.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; sealed. - reads it from standard input.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Ask for a role for emergencies."""
    body = {"role": role, "minutes": minutes, "reason": _text(reason)}
    made = await connection.call("POST", "/v1/breakglass", body)
    _show(output, made)
    output.line(f"A second person approves it: tenure breakglass approve {made['id']}")
    return made


@app.command()
@governing
async def approve(connection: Connection, output: Output, elevation: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Let the role count for the requester, from now on."""
    return await _step(connection, output, elevation, "approve")


@app.command()
@governing
async def refuse(connection: Connection, output: Output, elevation: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Turn a request down."""
    return await _step(connection, output, elevation, "refuse")


@app.command()
@governing
async def end(connection: Connection, output: Output, elevation: _Id) -> Any:  # noqa: ANN401 - any JSON
    """End an elevation before its time."""
    return await _step(connection, output, elevation, "end")


@app.command()
@governing
async def review(
    connection: Connection,
    output: Output,
    elevation: _Id,
    outcome: Annotated[str, typer.Option(metavar="CODE", help="For example justified.")],
    note: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Sealed. - reads it from standard input.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Say how the review of an elevation that is over came out."""
    body = {"outcome": outcome} | ({} if note is None else {"note": _text(note)})
    return await _step(connection, output, elevation, "review", body)


@app.command("list")
@governing
async def every(
    connection: Connection,
    output: Output,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """List elevations, newest first: one's own, those to approve, or all for who governs them."""
    query = "limit=200" if state is None else f"limit=200&state={state.value}"
    found = await connection.call("GET", f"/v1/breakglass?{query}")
    items = found["items"]
    while found["next"] is not None:
        found = await connection.call("GET", f"/v1/breakglass?{query}&cursor={segment(found['next'])}")
        items += found["items"]
    output.table(_COLUMNS, [["" if one[name] is None else one[name] for name in _COLUMNS] for one in items])
    return {"items": items, "next": None}


@app.command()
@governing
async def show(connection: Connection, output: Output, elevation: _Id) -> Any:  # noqa: ANN401 - any JSON
    """Show one elevation, its reason, and every entry that was made under it or about it."""
    path = f"/v1/breakglass/{segment(elevation)}"
    found = page = await connection.call("GET", path)
    while page["next"] is not None:
        page = await connection.call("GET", f"{path}?cursor={segment(page['next'])}")
        found["entries"] += page["entries"]
    found["next"] = None
    _show(output, {name: value for name, value in found.items() if name not in ("entries", "next")})
    columns = ("entry", "at", "kind", "outcome")
    output.table(columns, [[one[name] for name in columns] for one in found["entries"]])
    return found


async def _step(
    connection: Connection, output: Output, elevation: str, verb: str, body: dict[str, Any] | None = None
) -> Any:  # noqa: ANN401 - any JSON
    done = await connection.call("POST", f"/v1/breakglass/{segment(elevation)}:{verb}", body)
    _show(output, done)
    return done


def _text(given: str) -> str:
    """The text, or what comes on standard input: a command line ends in the shell's history."""
    return sys.stdin.read().strip() if given == "-" else given


def _show(output: Output, elevation: dict[str, Any]) -> None:
    output.table(("", ""), [(name, "" if value is None else value) for name, value in elevation.items()])
