"""`tenure tenant`: the cell operator's verbs."""

from typing import Annotated, Any

import typer

from tenure.cli import limits, storage
from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="Tenants, with the operator's key.")


@app.command()
@governing
async def create(
    connection: Connection,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the organisation.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Create a tenant with its keys, its ledger and its first administrator."""
    made = await connection.call("POST", "/v1/tenants", {"name": name})
    output.table(("", ""), [("tenant", made["name"]), ("id", made["id"]), ("admin_key", made["admin_key"])])
    output.line("The key is shown this once.")
    return made


@app.command("limits")
@governing
async def show_limits(
    connection: Connection,
    output: Output,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Its id.")],
    requests: limits.Requests = None,
    bytes_: limits.Bytes = None,
    records: limits.Records = None,
    burst_s: limits.Burst = None,
    concurrent: limits.Concurrent = None,
    stored_versions: limits.Versions = None,
    stored_bytes: limits.StoredBytes = None,
    reset: limits.Reset = False,
) -> Any:  # noqa: ANN401 - any JSON
    """What a tenant may take and store. Options change it; 0 is no limit."""
    changes = {
        "requests": requests,
        "bytes": bytes_,
        "records": records,
        "burst_s": burst_s,
        "concurrent": concurrent,
        "stored_versions": stored_versions,
        "stored_bytes": stored_bytes,
    }
    path = f"/v1/tenants/{segment(tenant)}/limits"
    return await limits.look_or_change(connection, output, path, changes, reset=reset)


@app.command("storage")
@governing
async def show_storage(
    connection: Connection,
    output: Output,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Its id.")],
    since: storage.Day = None,
    until: storage.End = None,
) -> Any:  # noqa: ANN401 - any JSON
    """What a tenant stores by scope and tier, as it was counted last."""
    path = f"/v1/tenants/{segment(tenant)}/storage"
    return await storage.show(connection, output, path, since=since, until=until)


@app.command()
@governing
async def refused(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """Which tenants the process that answers refused lately, because they were over a limit."""
    found = await connection.call("GET", "/v1/limits/refusals")
    rows = [(one["tenant"], one["limit"], one["count"], one["at"]) for one in found["items"]]
    output.table(("tenant", "limit", "times", "last"), rows)
    return found
