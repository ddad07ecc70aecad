"""`tenure tenant limits` and `tenure principal credential limits`: look at limits, or change some of them."""

from typing import Annotated, Any

import typer

from tenure.cli.output import Output
from tenure.client.http import Connection

_NONE = "0: no limit."
Requests = Annotated[int | None, typer.Option(min=0, help=f"Requests a second. {_NONE}")]
Bytes = Annotated[int | None, typer.Option("--bytes", min=0, help="Of requests and answers, a second.")]
Records = Annotated[int | None, typer.Option(min=0, help="Records read or written a second.")]
Burst = Annotated[int | None, typer.Option(min=1, max=60, help="Of how many seconds at once.")]
Concurrent = Annotated[int | None, typer.Option(min=0, help="Requests under way at once.")]
Versions = Annotated[int | None, typer.Option(min=0, help="Versions that may be stored.")]
StoredBytes = Annotated[int | None, typer.Option(min=0, help="Bytes of ciphertext that may be stored.")]
Reset = Annotated[bool, typer.Option("--reset", help="Forget what is declared, before the rest.")]


async def look_or_change(
    connection: Connection, output: Output, path: str, changes: dict[str, int | None], *, reset: bool
) -> Any:  # noqa: ANN401 - any JSON
    """Show the limits at a path; with changes, declare them beside what is declared already."""
    given = {name: value for name, value in changes.items() if value is not None}
    shown = await connection.call("GET", path)
    if given or reset:
        before = {} if reset else shown["declared"]
        declared = {name: value for name, value in {**before, **given}.items() if value is not None}
        shown = await connection.call("PUT", path, declared)
    rows = [(name, _text(shown["declared"][name]), _text(value)) for name, value in shown["limits"].items()]
    output.table(("limit", "declared", "holds"), rows)
    if "stored" in shown:
        output.line(f"stored: {shown['stored']['versions']} versions, {shown['stored']['bytes']} bytes")
    return shown


def _text(value: int | None) -> str:
    if value is None:
        return ""
    return str(value) if value else "no limit"
