"""`tenure lifecycle`: the rules by which the cell's bucket moves and deletes packs; an operator's."""

from typing import Any

import typer

from tenure.cli.governing import governing
from tenure.cli.output import NO, Output
from tenure.client.http import Connection

app = typer.Typer(no_args_is_help=True, help="The bucket's rules for packs, with the operator's key.")

_OURS = ("added", "changed", "removed")


@app.command()
@governing
async def plan(connection: Connection, output: Output) -> dict[str, Any]:
    """Show the bucket's rules beside those that it should have. Nothing is changed."""
    found = dict(await connection.call("GET", "/v1/lifecycle"))
    _show(found, output)
    if found["place"] == "bucket":
        output.line(_count(found) if found["drift"] else "The rules are as they should be.")
    return found


@app.command()
@governing
async def drift(connection: Connection, output: Output) -> dict[str, Any]:
    """Say whether this cell's rules in the bucket are as they should be. Exit code 1 if not."""
    found = dict(await connection.call("GET", "/v1/lifecycle"))
    _show({**found, "rules": [one for one in found["rules"] if one["change"] in _OURS]}, output)
    if found["drift"]:
        output.line(f"{_count(found)} Mend it: tenure lifecycle apply")
        output.document(found)
        raise typer.Exit(NO)
    if found["place"] == "bucket":
        output.line("The rules are as they should be.")
    return found


@app.command(name="apply")
@governing
async def apply_(connection: Connection, output: Output) -> dict[str, Any]:
    """Make the bucket's rules what they should be. Others' rules stay as they are."""
    before = await connection.call("GET", "/v1/lifecycle")
    body = {} if before["seen"] is None else {"seen": before["seen"]}
    found = dict(await connection.call("POST", "/v1/lifecycle:apply", body))
    _show({**found, "rules": [one for one in found["rules"] if one["change"] in _OURS]}, output)
    if found["applied"]:
        kept = sum(one["change"] == "foreign" for one in found["rules"])
        output.line(f"Done: {_count(found)} Rules of others, kept as they are: {kept}.")
        if not found["confirmed"]:
            output.line(
                "The bucket does not show all of it yet, which may take minutes: tenure lifecycle drift"
            )
    elif found["place"] == "bucket":
        output.line("The rules were as they should be; nothing was changed.")
    return found


def _show(found: dict[str, Any], output: Output) -> None:
    if found["place"] == "bucket":
        output.line(f"bucket {found['bucket']}, packs below {found['prefix']}")
    rows = [(one["change"], one["id"], one["does"]) for one in found["rules"]]
    if rows:
        output.table(("", "rule", "does"), rows)
    for note in found["notes"]:
        output.line(f"Note: {note}")


def _count(found: dict[str, Any]) -> str:
    counts = [(change, sum(one["change"] == change for one in found["rules"])) for change in _OURS]
    return ", ".join(f"{count} {change}" for change, count in counts if count) + "."
