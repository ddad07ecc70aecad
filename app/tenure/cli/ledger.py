"""`tenure ledger`: a log's key and its change; `repair`, an operator's, with the cell's own settings."""

from typing import Annotated, Any

import typer

from tenure.cli.governing import governing
from tenure.cli.options import PLACES, Given, Json, takes_settings
from tenure.cli.output import NO, Output, answering
from tenure.client.http import Connection
from tenure.ledger.note import Verifier
from tenure.ledger.webhook import public_key

app = typer.Typer(no_args_is_help=True, help="The published logs, and the keys that sign them.")

_SHOWN = 20
_WHAT = {
    "missing": "was not in the object tier: put back",
    "changed": "was not what was signed: replaced",
    "database": "was not what was signed in the database: mended",
    "beyond": "CANNOT BE MENDED: no copy fits the signed root",
}


@app.command()
@takes_settings(*PLACES)
def repair(
    given: Given,
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="One tenant's logs; all of the cell if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare published logs and database with what was signed, and mend what does not fit.

    Exit code 0: nothing was to do. 1: something was wrong; what could be mended is. Signs nothing, and works
    beside a running service. It reads every tile and entry: on a large log that takes its time.
    """
    output = Output(as_json=as_json)
    with answering(output):
        from tenure import safekeeping  # noqa: PLC0415 - not in the bare install
        from tenure.logs import log_for_people  # noqa: PLC0415 - not in the bare install

        log_for_people("critical")  # what was found is printed
        logs = safekeeping.repair(given.settings(), tenant)
    well = all(one.well for one in logs)
    output.document(
        {
            "ok": well,
            "logs": [
                {
                    "tenant": one.tenant_id,
                    "generation": one.generation,
                    "size": one.size,
                    "compared": one.compared,
                    **{what: getattr(one, what) for what in _WHAT},
                }
                for one in logs
            ],
        }
    )
    for one in logs:
        state = "well" if one.well else "MENDED" if not one.beyond else "NOT WHOLE"
        output.line(f"{one.tenant_id} generation {one.generation}: {one.size} entries, {state}")
        for what, meaning in _WHAT.items():
            names = getattr(one, what)
            for name in names[:_SHOWN]:
                output.line(f"  {name}: {meaning}")
            if len(names) > _SHOWN:
                output.line(f"  and {len(names) - _SHOWN} more: {meaning}")
    if not well:
        raise typer.Exit(NO)


@app.command()
@governing
async def key(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """Show the key that verifiers pin, the ones before it, and the key of the cell's log."""
    found = await connection.call("GET", "/v1/ledger/key")
    rows = [("vkey", found["vkey"]), ("of webhooks", public_key(Verifier.parse(found["vkey"])))]
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
) -> Any:  # noqa: ANN401 - any JSON
    """Have the log signed with a new key from now on. Witnesses must be told: docs/runbooks/ledger-key.md."""
    body = {"tenant": tenant} if tenant is not None else {}
    done = await connection.call("POST", "/v1/ledger:rotate-key", body)
    output.table(
        ("", ""), [("vkey", done["vkey"]), ("until now", done["previous"]), ("entry", done["index"])]
    )
    output.line("Tell every witness: tenure witness trust 'VKEY'. The old seed goes with the root key's next")
    output.line("rotation: tenure rootstore rotate.")
    return done
