"""`tenure ledger`: a log's key, and its change."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="The ledger's key, with an administrator's or operator's key.")


@app.command()
@governing
async def key(connection: Connection, output: Output) -> Any:  # noqa: ANN401
    """Show the key that verifiers pin, the ones before it, and the key of the cell's log."""
    found = await connection.call("GET", "/v1/ledger/key")
    rows = [("vkey", found["vkey"])]
    rows += [(f"until entry {one['replaced_at']}", one["vkey"]) for one in found["previous"]]
    if found["cell"]:
        rows.append(("cell", found["cell"]["vkey"]))
    output.table(("", ""), rows)
    return found


@app.command()
@governing
async def rotate_key(
    connection: Connection,
    output: Output,
    tenant: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A tenant's log instead of the own one: for the operator."),
    ] = None,
) -> Any:  # noqa: ANN401
    """Have the log signed with a new key from now on. Witnesses must be told: docs/runbooks/ledger-key.md."""
    body = {"tenant": tenant} if tenant is not None else {}
    done = await connection.call("POST", "/v1/ledger:rotate-key", body)
    output.table(
        ("", ""), [("vkey", done["vkey"]), ("until now", done["previous"]), ("entry", done["index"])]
    )
    output.line("Tell every witness: tenure witness trust 'VKEY'. The old seed goes with the root key's next")
    output.line("rotation: tenure rootstore rotate.")
    return done
