"""`tenure principal`: who may call, and with which keys."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from tenure.cli import limits
from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.errors import NotFound

app = typer.Typer(no_args_is_help=True, help="Agents, services and people that may call.")
credential = typer.Typer(no_args_is_help=True, help="Further API keys of a principal.")
app.add_typer(credential, name="credential")

_PAGE = "200"


class Kind(StrEnum):
    """What a principal is."""

    AGENT = "agent"
    SERVICE = "service"
    PERSON = "person"


_Who = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Its name or id.")]


@app.command()
@governing
async def create(
    connection: Connection,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique in the tenant; not personal data.")],
    kind: Annotated[Kind, typer.Option(help="What it is.")],
    role: Annotated[list[str], typer.Option(help="A declared or built-in role. May repeat.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Create a principal with its first API key."""
    made = await connection.call("POST", "/v1/principals", {"name": name, "kind": kind.value, "roles": role})
    rows = [("principal", made["name"]), ("id", made["id"]), ("roles", ", ".join(made["roles"]))]
    output.table(("", ""), [*rows, ("api_key", made["api_key"])])
    output.line("The key is shown this once.")
    return made


@app.command("list")
@governing
async def show(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """List principals."""
    items = [one async for one in _every(connection)]
    rows = [(one["name"], one["kind"], ", ".join(one["roles"]), one["id"]) for one in items]
    output.table(("name", "kind", "roles", "id"), rows)
    return {"items": items}


@app.command()
@governing
async def change(
    connection: Connection,
    output: Output,
    principal: _Who,
    role: Annotated[
        list[str] | None, typer.Option(help="All roles that it has from now on. May repeat.")
    ] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Switch it off, or on again.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Give a principal other roles, or switch it off: from the next transaction on."""
    body: dict[str, Any] = {"roles": role} if role else {}
    if disabled is not None:
        body["disabled"] = disabled
    found = await _id_of(connection, principal)
    made = await connection.call("PATCH", f"/v1/principals/{segment(found)}", body)
    rows = [("principal", made["name"]), ("roles", ", ".join(made["roles"]))]
    output.table(("", ""), [*rows, ("disabled", made["disabled_at"] or "no")])
    return made


@credential.command()
@governing
async def add(
    connection: Connection,
    output: Output,
    principal: _Who,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until when, such as 2027-01-31T12:00:00Z.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="Only these of its roles. May repeat.")] = None,
    scope: Annotated[list[str] | None, typer.Option(help="Only scopes like this, a.**. May repeat.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Only these purposes. May repeat.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="Only these actions. May repeat.")] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Give a principal one more API key; one that ends, or is narrower than the principal."""
    found = await _id_of(connection, principal)
    given = {"roles": role, "scopes": scope, "purposes": purpose, "actions": action}
    reach = {name: values for name, values in given.items() if values}
    body: dict[str, Any] = {"reach": reach} if reach else {}
    if expires_at is not None:
        body["expires_at"] = expires_at
    made = await connection.call("POST", f"/v1/principals/{segment(found)}/credentials", body)
    rows = [("credential", made["id"]), ("expires", made["expires_at"] or "never")]
    output.table(("", ""), [*rows, ("api_key", made["api_key"])])
    output.line("The key is shown this once.")
    return made


@credential.command()
@governing
async def revoke(
    connection: Connection,
    output: Output,
    principal: _Who,
    credential_id: Annotated[
        str | None,
        typer.Argument(metavar="[CREDENTIAL]", help="Its id. Left out: the principal's keys are listed."),
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Revoke an API key, from the next request on."""
    found = await _id_of(connection, principal)
    if credential_id is None:
        page = await connection.call("GET", f"/v1/principals/{segment(found)}/credentials")
        rows = [
            (one["id"], one["created_at"], one["expires_at"] or "", one["revoked_at"] or "")
            for one in page["items"]
        ]
        output.table(("credential", "created", "expires", "revoked"), rows)
        return page
    await connection.call("DELETE", f"/v1/principals/{segment(found)}/credentials/{segment(credential_id)}")
    output.line(f"revoked {credential_id}")
    return {"principal": found, "credential": credential_id, "revoked": True}


@credential.command("limits")
@governing
async def show_limits(
    connection: Connection,
    output: Output,
    principal: _Who,
    credential_id: Annotated[str, typer.Argument(metavar="CREDENTIAL", help="Its id: see 'revoke'.")],
    requests: limits.Requests = None,
    bytes_: limits.Bytes = None,
    records: limits.Records = None,
    burst_s: limits.Burst = None,
    concurrent: limits.Concurrent = None,
    reset: limits.Reset = False,
) -> Any:  # noqa: ANN401 - any JSON
    """What an API key may take, within what its tenant may. Options change it; 0 is no limit of its own."""
    found = await _id_of(connection, principal)
    changes = {
        "requests": requests,
        "bytes": bytes_,
        "records": records,
        "burst_s": burst_s,
        "concurrent": concurrent,
    }
    path = f"/v1/principals/{segment(found)}/credentials/{segment(credential_id)}/limits"
    return await limits.look_or_change(connection, output, path, changes, reset=reset)


async def _id_of(connection: Connection, name: str) -> str:
    """The id of a principal given by name or id."""
    async for one in _every(connection):
        if name in (one["id"], one["name"]):
            return str(one["id"])
    raise NotFound("There is no such principal; nothing was changed.", remedy="See 'tenure principal list'.")


async def _every(connection: Connection) -> AsyncIterator[dict[str, Any]]:
    params = {"limit": _PAGE}
    while True:
        page = await connection.call("GET", "/v1/principals", params=params)
        for one in page["items"]:
            yield one
        if page["next"] is None:
            return
        params = {"limit": _PAGE, "cursor": page["next"]}
