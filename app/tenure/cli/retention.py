"""`tenure retention preview`: what other Retention manifests would do, before they are applied."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.chart import size
from tenure.cli.files import located, read_files
from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="How long what is kept, and where.")


@app.callback()
def _group() -> None:
    """More verbs than one."""


@app.command()
@governing
async def preview(
    connection: Connection,
    output: Output,
    file: Annotated[
        Path,
        typer.Option("--file", "-f", exists=True, metavar="FILE|DIR", help="Proposed Retention manifests."),
    ],
    within: Annotated[
        str, typer.Option(metavar="LENGTH", help="How far to look ahead: 12h, 30d, 4w.")
    ] = "30d",
) -> Any:  # noqa: ANN401 - any JSON
    """Show what proposed manifests would move and take away, now and later. Nothing is changed."""
    texts = read_files(file)
    body = {"files": list(texts.values()), "within": within}
    with located(texts):
        found = await connection.call("POST", "/v1/retention:preview", body, seconds=None)
    rows = [
        (
            one["scope"],
            ", ".join(one["categories"]),
            f"{one['from']} → {one['to']}",
            one["rule"],
            _amount(one["now"]),
            _amount(one["later"]),
        )
        for one in found["moves"]
    ]
    if rows:
        columns = ("scope", "categories", "change", "rule", "at once", f"in {found['within']}")
        output.table(columns, rows)
    if found["left_out"]:
        output.line(f"{found['left_out']} smaller groups are not shown.")
    output.line(
        f"Rules change for {_amount(found['touched'])}; of {_amount(found['unknown'])} it cannot be told."
    )
    for note in found["notes"]:
        output.line(f"note: {note}")
    output.line("Nothing was changed: 'tenure apply' does it.")
    return found


def _amount(one: dict[str, Any]) -> str:
    return f"{one['versions']} ({size(one['bytes'])})"
