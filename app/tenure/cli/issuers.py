"""`tenure issuer`: whose access tokens the tenant takes."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tenure.cli.governing import governing, segment
from tenure.cli.output import Output
from tenure.client.http import Connection
from tenure.errors import Invalid, NotFound

app = typer.Typer(no_args_is_help=True, help="Issuers of access tokens (OpenID Connect).")


@app.command()
@governing
async def add(
    connection: Connection,
    output: Output,
    file: Annotated[
        Path,
        typer.Option("-f", "--file", metavar="FILE", help="The configuration as JSON: docs/identity.md."),
    ],
    proof: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file with a current token for the audience.")
    ] = None,
    replaces: Annotated[
        str | None, typer.Option(metavar="ISSUER", help="Name or id of the configuration that ends with it.")
    ] = None,
) -> Any:  # noqa: ANN401 - any JSON
    """Take an issuer's tokens from now on."""
    body = _read(file)
    if proof is not None:
        body["proof"] = _text(proof, "--proof").strip()
    if replaces is not None:
        body["replaces"] = await _id_of(connection, replaces)
    made = await connection.call("POST", "/v1/issuers", body)
    output.table(("", ""), [(name, made[name]) for name in ("id", "name", "issuer", "audience")])
    return made


@app.command("list")
@governing
async def show(connection: Connection, output: Output) -> Any:  # noqa: ANN401 - any JSON
    """List issuers."""
    page = await connection.call("GET", "/v1/issuers")
    rows = [(one["name"], one["issuer"], one["audience"], one["id"]) for one in page["items"]]
    output.table(("name", "issuer", "audience", "id"), rows)
    return page


@app.command()
@governing
async def remove(
    connection: Connection,
    output: Output,
    issuer: Annotated[str, typer.Argument(metavar="ISSUER", help="Its name or id.")],
) -> Any:  # noqa: ANN401 - any JSON
    """Take none of an issuer's tokens any more."""
    found = await _id_of(connection, issuer)
    await connection.call("DELETE", f"/v1/issuers/{segment(found)}")
    output.line(f"removed {found}")
    return {"issuer": found, "removed": True}


async def _id_of(connection: Connection, name: str) -> str:
    for one in (await connection.call("GET", "/v1/issuers"))["items"]:
        if name in (one["id"], one["name"]):
            return str(one["id"])
    raise NotFound("There is no such issuer; nothing was changed.", remedy="See 'tenure issuer list'.")


def _read(file: Path) -> dict[str, Any]:
    try:
        body = json.loads(_text(file, "--file"))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Invalid(
            "The configuration is no JSON object; nothing was changed.",
            field="--file",
            rule="a JSON object, as POST /v1/issuers takes it",
            remedy="See the example in docs/identity.md.",
        )
    return body


def _text(file: Path, option: str) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError):
        raise Invalid(
            "The file cannot be read; nothing was changed.",
            field=option,
            rule="a readable UTF-8 file",
            remedy="Check its path and rights.",
        ) from None
