"""`tenure hold`: what must be kept although it is erased."""

import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.cli.shred import follow
from tenure.client.http import Connection

app = typer.Typer(
    no_args_is_help=True, help="Legal holds: what is held is kept, unreadable, when it is erased."
)


class By(StrEnum):
    """What a hold covers: everything about a subject, everything in a scope, one record."""

    SUBJECT = "subject"
    SCOPE = "scope"
    RECORD = "record"


_Hold = Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.")]


@app.command()
@governing
async def place(
    connection: Connection,
    output: Output,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A subject's id, a scope's name or a record's id.")
    ],
    by: Annotated[By, typer.Option(help="What the target is.")],
    ground: Annotated[str, typer.Option(metavar="TEXT", help="Why; not personal data.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Keep what is erased from now on, until the hold is released."""
    placed = await connection.call("POST", "/v1/holds", {"by": by.value, "target": target, "ground": ground})
    _show(output, placed)
    return placed


@app.command("list")
@governing
async def every(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """List holds, released ones too."""
    found = await connection.call("GET", "/v1/holds")
    columns = ("id", "by", "target", "ground", "state", "versions")
    output.table(columns, [[one[name] for name in columns] for one in found["items"]])
    return found


@app.command()
@governing
async def show(connection: Connection, output: Output, hold: _Hold) -> Any:  # noqa: ANN401 - any JSON
    """Show one hold, and how many versions only it keeps."""
    found = await connection.call("GET", f"/v1/holds/{segment(hold)}")
    _show(output, found)
    return found


@app.command()
@governing
async def release(
    connection: Connection,
    output: Output,
    hold: _Hold,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Any:  # noqa: ANN401 - any JSON
    """End a hold: what only it kept is erased for good, with a certificate."""
    if not (yes or output.as_json) and _answers():
        _show(output, await connection.call("GET", f"/v1/holds/{segment(hold)}"))
        typer.confirm("End this hold, and erase for good what only it keeps?", abort=True)
    asked = await connection.call("POST", f"/v1/holds/{segment(hold)}:release")
    erasure = await connection.call("GET", f"/v1/shreds/{segment(asked['shred'])}")
    follow(output, erasure)
    output.line(f"Follow it: tenure shred status {asked['shred']}")
    return {**erasure, **asked}


def _answers() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _show(output: Output, hold: dict[str, Any]) -> None:
    output.table(("", ""), [(name, "" if value is None else value) for name, value in hold.items()])
