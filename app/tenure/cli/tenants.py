"""`tenure tenant`: the cell operator's verbs."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="Tenants, with the operator's key.")


@app.command()
@governing
async def create(
    connection: Connection,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the organisation.")],
) -> Any:  # noqa: ANN401
    """Create a tenant with its keys, its ledger and its first administrator."""
    made = await connection.call("POST", "/v1/tenants", {"name": name})
    output.table(("", ""), [("tenant", made["name"]), ("id", made["id"]), ("admin_key", made["admin_key"])])
    output.line("The key is shown this once.")
    return made


@app.callback()
def _group() -> None:
    """Keep `tenant` a group although it has one command."""
