"""`tenure notice`: what recipients are told of somebody's data, and what they did not take."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(
    no_args_is_help=True,
    help="Notices to recipients of what became of somebody's data: listed, and sent again.",
)
_COLUMNS = ("id", "state", "recipient", "event", "result")


class State(StrEnum):
    """Of a notice."""

    QUEUED = "queued"
    SENT = "sent"
    DEAD = "dead"


@app.command("list")
@governing
async def every(
    connection: Connection,
    output: Output,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    request: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those of this rights request.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """List notices, newest first. Those that are dead nobody tries any more."""
    query = "limit=200" if state is None else f"limit=200&state={state.value}"
    query += "" if request is None else f"&request={segment(request)}"
    found = await connection.call("GET", f"/v1/notices?{query}")
    items = found["items"]
    while found["next"] is not None:
        found = await connection.call("GET", f"/v1/notices?{query}&cursor={segment(found['next'])}")
        items += found["items"]
    output.table(_COLUMNS, [["" if one[name] is None else one[name] for name in _COLUMNS] for one in items])
    return {"items": items, "next": None}


@app.command()
@governing
async def resend(
    connection: Connection,
    output: Output,
    notice: Annotated[str, typer.Argument(metavar="ID", help="The notice's id.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Have a dead notice tried again."""
    done = await connection.call("POST", f"/v1/notices/{segment(notice)}:resend")
    output.table(("", ""), [(name, "" if value is None else value) for name, value in done.items()])
    return done
