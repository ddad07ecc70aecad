"""Searching a tenant's context for what names no subject, as part of an erasure."""

import sys
from pathlib import Path
from typing import Any

import typer

from tenure.cli.governing import segment
from tenure.cli.output import NO, Output
from tenure.client.http import Connection
from tenure.errors import Invalid

_STDIN = Path("-")
_MOST_ROWS = 50
_MIN_BYTES = 4
"""As `tenure.residue.values` has it, which the bare install cannot import: it needs the search library."""


def values_in(path: Path) -> list[str]:
    """The values of a file, one a line, `label<TAB>value` or the value alone.

    Raises Invalid when the service could not search for them: looked at before anybody is erased.
    """
    try:
        text = sys.stdin.read() if path == _STDIN else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Invalid(
            "The file of values cannot be read; nothing was searched.",
            field="values",
            rule="a text file in UTF-8, one value a line",
            remedy="Give its path, or - for standard input.",
        ) from None
    rows = [line for line in text.splitlines() if line.strip()]
    values = [row.partition("\t")[2] or row for row in rows]
    if not values or min(len(value.strip().encode()) for value in values) < _MIN_BYTES:
        raise Invalid(
            "The file has no value, or one that chance finds everywhere; nothing was searched.",
            field="values",
            rule=f"at least one value, each of {_MIN_BYTES} bytes or more",
            remedy="Give longer values, such as the whole name.",
        )
    return values


async def search(
    connection: Connection, output: Output, shred_id: str, values: list[str], *, accept: bool
) -> dict[str, Any]:
    """Have the service search. Ends the command with 1 when an erasure still waits afterwards."""
    body = {"values": values, "accept": accept}
    path = f"/v1/shreds/{segment(shred_id)}:scan"
    answer = dict(await connection.call("POST", path, body, seconds=None))  # as long as the tenant is large
    result = answer["residue"]
    counts = [("verdict", result["verdict"]), ("findings", result["findings"]), ("state", answer["state"])]
    output.table(("", ""), [*counts, *result["looked_at"].items(), *result["incomplete"].items()])
    if answer["found"]:
        rows = [
            (one["value"], _where(one), one["encoding"], one["count"]) for one in answer["found"][:_MOST_ROWS]
        ]
        output.table(("value", "where", "encoding", "times"), rows)
    if not answer["attached"]:
        output.line("No certificate yet. Erase or rewrite what was found and search again, or --accept it.")
        output.document(answer)
        raise typer.Exit(NO)
    return answer


def _where(one: dict[str, Any]) -> str:
    if "record" in one:
        return f"{one['scope']}: record {one['record']}, version {one['version']}"
    return f"{one['table']}.{one['column']}" if "table" in one else str(one["object"])
