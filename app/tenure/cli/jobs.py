"""`tenure jobs`: what happens by itself, with the operator's key."""

import asyncio
import inspect
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.options import with_parameters
from tenure.cli.output import NO, Output
from tenure.client.http import Connection
from tenure.errors import NotYet, Unavailable

app = typer.Typer(help="What happens by itself: how each job went, when it is next; with the operator's key.")

_POLL_S = 2.0
_PATH = "/v1/jobs"


@governing
async def listed(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """List the jobs."""
    found = await connection.call("GET", _PATH)
    columns = ("job", "every", "last run", "outcome", "next", "by", "what it does")
    output.table(columns, [_line(one) for one in found["items"]])
    return found


def _unless_more(ctx: typer.Context, **values: Any) -> None:  # noqa: ANN401 - the options' own values
    if ctx.invoked_subcommand is None:
        listed(**values)


_CONTEXT = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
app.callback(invoke_without_command=True)(with_parameters(_unless_more, listed, [_CONTEXT], drop=set()))


@app.command()
@governing
async def run(
    connection: Connection,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the job.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Run a job now, due or not, unless another process runs it. Exit code 1 when it did not go well."""
    try:
        ran = await connection.call("POST", f"{_PATH}/{segment(name)}:run")
    except NotYet:
        ran = await _ended(connection, name)
    counts = "".join(f", {count} {what}" for what, count in sorted(ran["counts"].items()))
    error = f" ({ran['error']})" if ran["error"] else ""
    output.line(f"{name}: {ran['outcome']}{error}{counts}")
    if ran["outcome"] != "ok":
        output.document(ran)
        raise typer.Exit(NO)
    return ran


async def _ended(connection: Connection, name: str) -> dict[str, Any]:
    """How the run that is under way went, once it is over."""
    while True:
        await asyncio.sleep(_POLL_S)
        items = (await connection.call("GET", _PATH))["items"]
        one: dict[str, Any] = next(one for one in items if one["name"] == name)
        if one["outcome"] is not None:
            return one
        if one["state"] == "left":
            raise Unavailable(
                "The process that ran the job is gone; nobody has finished it yet.",
                remedy="Another process goes on with it by itself: look again with 'tenure jobs'.",
            )


def _line(one: dict[str, Any]) -> tuple[str, ...]:
    outcome = one["state"] if one["state"] != "waiting" else one["outcome"] or "never ran"
    if one["failures"]:
        outcome += f" {one['failures']} times"
    if one["error"]:
        outcome += f" ({one['error']})"
    following = "" if one["state"] == "running" else _short(one["next_at"]) or "now"
    where = (one["process"] or "") if one["single"] else "each process"
    return (
        one["name"],
        _length(one["every_s"]),
        _short(one["started_at"]),
        outcome,
        following,
        where,
        one["describe"],
    )


def _short(at: str | None) -> str:
    """An instant to the second."""
    return "" if at is None else f"{at[:10]} {at[11:19]}"


def _length(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
